"""The two independent FOCUS validators for tests, each in an environment of its own, run as tools.

- `focus-validator`, of the FinOps Foundation, with the rules of 1.2; needs Python 3.12 or 3.13
- `focus-toolkit` of `focus-data-toolkit`, with the rules of 1.4

The environments are kept in `$TIERWISE_TEST_CACHE`, or `.cache/` of the repository. Where one cannot be had, tests
are skipped with the reason; with `$CI` set they fail.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[2]
VALIDATOR = ("focus-validator==2.2.1", "pyarrow<20")
TOOLKIT = ("focus-data-toolkit==0.14.1",)


def _unavailable(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def _pythons() -> Iterator[str]:
    """Interpreters that the validator's dependencies have wheels for; a shim of pyenv may not run."""
    yield sys.executable
    for version in ("3.12", "3.13"):
        found = shutil.which(f"python{version}")
        if found:
            yield found
        pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
        yield from map(str, sorted(pyenv.glob(f"{version}.*/bin/python")))


def _python_of_validator() -> str:
    for python in _pythons():
        asked = subprocess.run(
            [python, "-c", "import sys; print(sys.version_info[:2] in ((3, 12), (3, 13)))"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if asked.stdout.strip() == "True":
            return python
    _unavailable(
        "focus-validator cannot be had: it needs Python 3.12 or 3.13, and none is on the PATH or in pyenv"
    )
    raise AssertionError


def _environment(name: str, python: str, packages: Sequence[str]) -> Path:
    """The folder of a virtual environment with the packages; made on first use."""
    cache = Path(os.environ.get("TIERWISE_TEST_CACHE") or ROOT / ".cache") / "focus-validators"
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / name
    ready = folder / ".ready"
    with FileLock(cache / f"{name}.lock"):
        if not ready.is_file():
            shutil.rmtree(folder, ignore_errors=True)
            for command in (
                [python, "-m", "venv", folder],
                [
                    folder / "bin" / "python",
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    *packages,
                ],
            ):
                done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
                if done.returncode:
                    _unavailable(f"{packages[0]} cannot be had: {done.stderr.strip()[-300:]}")
            ready.touch()
    return folder


@pytest.fixture(scope="session")
def focus_validator() -> Path:
    """The environment of focus-validator."""
    return _environment("validator-2.2.1", _python_of_validator(), VALIDATOR)


@pytest.fixture(scope="session")
def focus_toolkit() -> Path:
    """The environment of focus-toolkit."""
    return _environment("toolkit-0.14.1", sys.executable, TOOLKIT)


def failed_rules(environment: Path, file: Path, work: Path) -> tuple[frozenset[str], int]:
    """The rules of 1.2 that a file fails, and how many were tested; the exit code says neither."""
    out = work / "out.xml"
    out.unlink(missing_ok=True)
    (site_packages,) = environment.glob("lib/python3*/site-packages")
    done = subprocess.run(
        [
            environment / "bin" / "focus-validator", "--data-file", file.resolve(), "--validate-version", "1.2",
            "--block-download", "--applicability-criteria", "ALL",
            "--output-type", "unittest", "--output-destination", out,
        ],
        cwd=site_packages, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert out.is_file(), done.stdout + done.stderr
    cases = [
        (str(c.get("name")).split(" ")[0], [part.tag for part in c])
        for c in ElementTree.parse(out).iter("testcase")
    ]
    tested = sum("skipped" not in parts for _, parts in cases)
    return frozenset(rule for rule, parts in cases if {"failure", "error"} & set(parts)), tested


def violations(environment: Path, file: Path) -> str:
    """What focus-toolkit finds wrong in a file as FOCUS 1.4; empty where it is valid."""
    done = subprocess.run(
        [environment / "bin" / "focus-toolkit", "validate", file.resolve(), "--dataset", "cost-and-usage"],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    return "" if done.returncode == 0 else done.stdout + done.stderr


def baseline(page: Path) -> list[tuple[frozenset[str], frozenset[str]]]:
    """Rules that may fail, with the words for the files in which they do: the rows of tables of the page."""
    rows = [line.strip("|").split("|") for line in page.read_text().splitlines() if line.startswith("| `")]
    found = [
        (frozenset(re.findall(r"\b\w+-[CD]-\d{3}-[MCOR]\b", row[0] + row[1])), frozenset(row[2].split()))
        for row in rows
        if len(row) == 4
    ]
    return [(rules, words) for rules, words in found if rules]
