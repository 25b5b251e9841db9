"""Killing the run at any stage leaves what is published readable and unchanged; the next run completes.

Every run is a process of its own. They are forked from one that has imported all there is and done nothing yet, since
the imports take longer than the run.
"""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from tests.pipelines import small

pytestmark = pytest.mark.service

DIE = """
import os, signal, importlib
owner = importlib.import_module({module!r})
for part in {path!r}[:-1]:
    owner = getattr(owner, part)
original = getattr(owner, {path!r}[-1])
def die(*arguments, **keywords):
    if {after!r}:
        original(*arguments, **keywords)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(owner, {path!r}[-1], die)
"""

STAGES = [
    ("listing", "connectors.focus.reader", ["FocusReader", "slices"], False),
    ("reading", "pipelines.engines.duckdb", ["DuckDBEngine", "copy"], True),
    ("committing facts", "pipelines.facts", ["FactStore", "commit"], True),
    ("computing", "models.chargeback", ["daily"], False),
    ("staging", "pipelines.publication", ["build"], True),
    ("judging", "pipelines.checks.judge", ["judge"], True),
    ("rendering", "dashboards.statements", ["render_all"], True),
    ("before the swap", "pipelines.warehouse", ["swap"], False),
]


IMPORTS = [
    "pipelines.cli",
    "pipelines.daily",
    "pipelines.summary",
    "dashboards.statements",
    "great_expectations",
]


def in_child(site: Path, prelude: str) -> None:
    """The command, in the process that will be killed; `prelude` is Python to run in it first."""
    exec(prelude, {})
    raise SystemExit(
        small.tierwise("run", "--config", site / "tierwise.yaml", "--date", "2026-11-05").returncode
    )


def run(site: Path, prelude: str = "") -> int | None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*IMPORTS, "tests.pipelines.small"])
    child = context.Process(target=in_child, args=(site, prelude))
    child.start()
    child.join(timeout=120)
    code = child.exitcode
    child.kill()
    child.join()
    child.close()
    return code


def test_killed_at_every_stage(tmp_path: Path) -> None:
    small.write_site(tmp_path)
    assert run(tmp_path) == 0
    before, figures = small.fingerprint(tmp_path), small.totals(tmp_path)
    for number, (stage, module, path, after) in enumerate(STAGES):
        small.write_bill(
            tmp_path, "2026-11", [small.row(str(100 + number), small.NOVEMBER, 3, '{"team":"vision"}')]
        )
        code = run(tmp_path, DIE.format(module=module, path=path, after=after))
        assert code == -9, f"{stage}: the run was not killed there"
        assert small.fingerprint(tmp_path) == before, stage
        assert small.totals(tmp_path) == figures, stage
        assert small.query(tmp_path, "SELECT sum(BilledCost)::TEXT FROM focus.cost_and_usage") == [
            ("33.800000000001",)
        ], stage
    assert run(tmp_path) == 0
    assert small.totals(tmp_path)["vision"] == "117.100000000000"  # 10.10 + 107
    # killed right after the swap: the new state is the published one, whole
    small.write_bill(tmp_path, "2026-11", [small.row("1", small.NOVEMBER, 3, '{"team":"vision"}')])
    assert (
        run(tmp_path, DIE.format(module="pipelines.warehouse", path=["Warehouse", "_prune"], after=False))
        == -9
    )
    assert small.totals(tmp_path)["vision"] == "11.100000000000"
    assert run(tmp_path) == 0
    assert small.totals(tmp_path)["vision"] == "11.100000000000"
