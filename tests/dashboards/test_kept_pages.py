"""Which teams' pages a publication takes over from the one before, told by files that are one on disk."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from dashboards.kept_pages import INPUTS, KeptPages
from dashboards.statements import render_all
from dashboards.store import Store
from tests.dashboards import conftest as made

NEXT_DAY = """
    INSERT INTO ops.publications (run_id, published_at, as_of, version, currency, config_hash, input_hash, money_in, money_out)
    SELECT 'run-3', published_at + INTERVAL 1 DAY, as_of + 1, version, currency, config_hash, input_hash, money_in, money_out
    FROM ops.publications WHERE run_id = 'run-2'"""
PAGES = ("speech.html", "speech.csv", "vision.html", "vision.csv")


@dataclass(frozen=True)
class Published:
    """A warehouse of two teams, and its statements."""

    warehouse: Path
    statements: Path
    charts: Path

    def next_day(self, folder: Path, *changes: str) -> Path:
        """The warehouse of the next day, after some SQL."""
        changed = Path(shutil.copy(self.warehouse, folder / "warehouse.duckdb"))
        with duckdb.connect(changed) as connection:
            for sql in (NEXT_DAY, *changes):
                connection.execute(sql)
        return changed


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """The first day."""
    base = tmp_path_factory.mktemp("kept")
    charges = [c for c in made.CHARGES if c["team"] in ("speech", "vision")]
    path = base / "warehouse.duckdb"
    made.build(path, charges, made.GPUS, made.UNITS, made.PLACEMENT, made.OPTIONS)
    with Store(path) as store:
        render_all(store, base / "first", base / "charts")
    return Published(path, base / "first", base / "charts")


def test_a_month_that_is_over_stays_and_says_which_run_wrote_it(first: Published, tmp_path: Path) -> None:
    changed = first.next_day(tmp_path, "UPDATE ops.sources SET last_day = last_day + 1 WHERE status = 'ok'")
    out = tmp_path / "out"
    with Store(changed) as store:
        files = render_all(store, out, first.charts, first.statements)
    assert {*files} == {f for f in out.rglob("*") if f.is_file()}
    same = {f"{m}/{p}" for m in ("2026-08", "2026-09") for p in PAGES if (out / m / p).samefile(first.statements / m / p)}  # fmt: skip
    assert same == {f"2026-08/{p}" for p in PAGES}  # September is not over: it grew by a day
    assert "run run-2" in (out / "2026-08" / "vision.html").read_text(encoding="utf-8")
    for page in ("2026-09/vision.html", "2026-08/index.html", "index.html"):
        assert "run run-3" in (out / page).read_text(encoding="utf-8")
    assert (
        json.loads((out / INPUTS).read_text())["2026-08"]
        == json.loads((first.statements / INPUTS).read_text())["2026-08"]
    )


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ("UPDATE marts.chargeback_daily SET effective_cost = 26.71 WHERE effective_cost = 26.70", False),
        ("UPDATE marts.chargeback_monthly SET adjustment = 0.01 WHERE team = 'speech' AND month = '2026-08-01'", False),
        ("UPDATE ops.sources SET status = 'stale' WHERE source = 'bills'", False),
        ("UPDATE ops.publications SET currency = 'EUR'", False),
        ("UPDATE ops.quarantine SET period = '2026-08-04' WHERE source = 'bills'", False),
        ("DELETE FROM marts.placement", True),  # told on the latest month's page alone
        ("UPDATE marts.gpu_daily SET gpu_hours_used = 13 WHERE gpu_hours_used = 12", True),  # of September
    ],
)  # fmt: skip
def test_a_month_is_written_anew_where_something_on_its_pages_changed(
    first: Published, tmp_path: Path, change: str, kept: bool
) -> None:
    (tmp_path / "2026-08").mkdir()
    with Store(first.next_day(tmp_path, change)) as store:
        august = store.period(made.AUGUST)
        assert KeptPages(store, first.statements).taken(august, PAGES, tmp_path / "2026-08") is kept
        assert len([*(tmp_path / "2026-08").iterdir()]) == (4 if kept else 0)
        assert not KeptPages(store, None).taken(august, PAGES, tmp_path / "2026-08")
        assert not KeptPages(store, first.statements).taken(
            august, [*PAGES, "new.html"], tmp_path / "2026-08"
        )


@pytest.mark.parametrize("damage", ["2026-08/vision.csv", INPUTS])
def test_pages_that_are_not_whole_are_written_anew(first: Published, tmp_path: Path, damage: str) -> None:
    earlier = Path(shutil.copytree(first.statements, tmp_path / "earlier"))
    whole = (earlier / damage).read_text(encoding="utf-8")
    (tmp_path / "2026-08").mkdir()
    with Store(first.next_day(tmp_path)) as store:
        august = store.period(made.AUGUST)
        assert KeptPages(store, earlier).taken(august, PAGES, tmp_path / "2026-08")
        (earlier / damage).unlink() if damage != INPUTS else (earlier / damage).write_text(whole[:100])
        shutil.rmtree(tmp_path / "2026-08")
        (tmp_path / "2026-08").mkdir()
        assert not KeptPages(store, earlier).taken(august, PAGES, tmp_path / "2026-08")
