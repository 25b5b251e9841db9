"""A whole run over a fleet whose truth is known: days are published, late files come, and the closed days follow.

Twenty devices, each 600 over the 30 days of September: 20 a day. Energy at 0.20 x PUE 1.5 = 0.30 a kWh.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from pipelines.bench.fleet import TRUTH, Fleet, Plan
from pipelines.engines.duckdb import DuckDBEngine
from tests.pipelines import small

pytestmark = pytest.mark.long

BRIDGE_DAYS = 2
PLAN = Plan(devices=20, days=8, silent=(3, 6))
CLOSED = date(2026, 9, 5)
DEVICE_DAY = 20
PRICE = 0.30

CONFIG = f"""
sources:
  cams: {{kind: edge_files, location: ./edge, site: plant, bridge_days: {BRIDGE_DAYS}}}
sites:
  plant: {{time_zone: {PLAN.zone}, pue: 1.5, tariff: 0.20}}
assets: ./assets.csv
"""


@dataclass(frozen=True)
class Published:
    """What a run published, and what was true of what had arrived."""

    found: pl.DataFrame
    truth: pl.DataFrame
    money: dict[date, float]
    ingests: list[tuple[object, ...]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Published, Published]]:
    """After the files of five days, and after all files."""
    folder = tmp_path_factory.mktemp("fleet")
    register = [f"a{d},plant,cam-{d:04d},edge_device,Orin,600,USD,2026-09-01,1" for d in range(PLAN.devices)]
    (folder / "assets.csv").write_text(
        "\n".join(["asset,site,node,kind,model,capex,currency,in_service,life_months", *register]) + "\n"
    )
    (folder / "tierwise.yaml").write_text(CONFIG)
    (folder / "edge").mkdir()
    with DuckDBEngine() as engine:
        fleet = Fleet(PLAN, engine)
        found = []
        for arrived, day in ((CLOSED, CLOSED), (PLAN.last + timedelta(days=7), PLAN.last)):
            for file in fleet.write(folder / "spool"):
                if file.name[:10] <= arrived.isoformat():
                    file.rename(folder / "edge" / file.name)
            done = small.tierwise("run", "--config", folder / "tierwise.yaml", "--date", day.isoformat())
            assert done.returncode == 0, done.stdout + done.stderr
            truth = fleet.truth(BRIDGE_DAYS, arrived).filter(pl.col("day") <= day)
            found.append(_published(folder, truth))
        yield found[0], found[1]


def _published(folder: Path, truth: pl.DataFrame) -> Published:
    columns = (
        "device",
        "day",
        "inferences",
        "failed",
        "energy_kwh + energy_estimated_kwh",
        "messages",
        "duplicates",
        "late_messages",
    )
    rows = small.query(folder, f"SELECT {', '.join(columns)} FROM telemetry.edge_daily ORDER BY device, day")
    money = small.query(folder, "SELECT day, SUM(effective_cost) FROM marts.chargeback_daily GROUP BY day")
    ingests = small.query(
        folder,
        "SELECT period, rows_loaded, run_id FROM ops.ingests WHERE source = 'cams' AND current ORDER BY period",
    )
    frame = pl.DataFrame(rows, schema=truth.schema, orient="row")
    return Published(frame, truth, {d: float(str(m)) for d, m in money if isinstance(d, date)}, ingests)  # fmt: skip


@pytest.mark.parametrize("turn", [0, 1], ids=["five days", "all"])
def test_every_count_of_every_device_and_day_is_exact(runs: tuple[Published, Published], turn: int) -> None:
    got, truth = runs[turn].found, runs[turn].truth
    assert truth.height > 80
    for name in TRUTH:
        # energy is counted in milliwatt-hours: six decimals of a kWh
        wanted = truth[name].round(6) if name == "kwh" else truth[name]
        assert (got[name].round(6) if name == "kwh" else got[name]).to_list() == wanted.to_list(), name


def test_days_that_were_published_are_restated_where_late_reports_changed_them(
    runs: tuple[Published, Published],
) -> None:
    before, after = runs
    changed = before.truth.join(
        after.truth, on=["device", "day"], how="full", coalesce=True, suffix="_later"
    ).filter(pl.any_horizontal(pl.col(c).ne_missing(pl.col(f"{c}_later")) for c in TRUTH))
    changed_days = set(changed.filter(pl.col("day") <= CLOSED)["day"])
    assert len(changed_days) > 2
    first_run = {run for _, _, run in before.ingests}
    assert len(first_run) == 1
    restated = {day for day, _, run in after.ingests if run not in first_run}
    assert changed_days <= restated
    devices = dict(after.truth.group_by("day").len().iter_rows())
    assert {day: rows for day, rows, _ in after.ingests} == devices


def test_money_is_the_devices_and_what_their_energy_cost_and_moves_with_it(
    runs: tuple[Published, Published],
) -> None:
    for published in runs:
        kwh = published.truth.group_by("day").agg(pl.col("kwh").sum())
        wanted = {day: PLAN.devices * DEVICE_DAY + used * PRICE for day, used in kwh.iter_rows()}
        assert published.money == pytest.approx(wanted, abs=1e-6)
    before, after = runs
    assert any(before.money[day] != pytest.approx(after.money[day], abs=1e-6) for day in before.money)


def test_a_silent_device_has_no_day_and_costs_as_idle(runs: tuple[Published, Published]) -> None:
    """cam-0007 is silent on the fourth to sixth day, longer than the bridge: what it did then is nowhere."""
    _, after = runs
    days = after.found.filter(pl.col("device") == "cam-0007")["day"].dt.day().to_list()
    assert not {4, 5, 6} & set(days)
    assert {3, 7} <= set(days)
