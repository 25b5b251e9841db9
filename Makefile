# `make demo` and `make test` do all the set-up themselves; `make check` is what CI runs.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# files whole, so that what a file sets up is set up once, and in the order of tests/conftest.py
PARALLEL := -n auto --dist loadfile --no-loadscope-reorder

# compiled tests are kept, also where the environment would not keep them: half of the time to collect them
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check quick lint docs dev lock clean

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Tierwise needs Python 3.11 or newer; found " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY)   ## write a made-up company's inputs to ./demo and run the day
	$(BIN)/tierwise demo

test: $(READY)   ## all tests; those that need a service start it, or say why they cannot
	$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

check: lint test ## lint, types, import rules, all tests

quick: lint      ## the same without tests that start a service or take seconds each
	TIERWISE_HYPOTHESIS=$${TIERWISE_HYPOTHESIS:-few} $(BIN)/python -m pytest $(PARALLEL) -m "not service and not long" $(PYTEST_ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers auto
	$(BIN)/lint-imports

docs: $(READY)   ## rewrite docs/tables.md from models/tables/
	$(BIN)/python -m pipelines.document > docs/tables.md

dev: $(READY)    ## Dagster's UI over the demo on 127.0.0.1:3000
	test -f demo/tierwise.yaml || $(BIN)/tierwise demo
	DAGSTER_DISABLE_TELEMETRY=yes TIERWISE_CONFIG=$(CURDIR)/demo/tierwise.yaml $(BIN)/dagster dev -w workspace.yaml -h 127.0.0.1

lock: $(VENV)/bin/python  ## renew requirements.lock from pyproject.toml, for every Python we support
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --no-strip-extras --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header --output-file requirements.lock pyproject.toml

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
