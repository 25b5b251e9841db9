"""A seeded fleet with known truth, in files by day and by device: every figure of every device and day is exact."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from connectors.base import Context, Window
from connectors.edge import passes
from connectors.edge.reader import EdgeFilesReader, Options
from models.config import Site
from pipelines.bench.fleet import TRUTH, Fleet, Plan
from tests.engine import Session

pytestmark = pytest.mark.long


@pytest.mark.parametrize(
    ("plan", "by_device", "at_once"),
    [
        (Plan(10, 8, seed=3, silent=(3, 6)), True, passes.AT_ONCE),
        (Plan(12, 9, seed=4, silent=(2, 7), zone="America/New_York", clock_sides=200), False, 1500),
    ],
    ids=["devices together", "devices in parts"],
)
def test_each_day_read_alone_is_the_truth(
    plan: Plan, by_device: bool, at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "AT_ONCE", at_once)
    window = Window(plan.last + timedelta(days=9), datetime(2027, 1, 1, tzinfo=UTC))
    sites = {"plant": Site.model_validate({"time_zone": plan.zone, "tariff": "0.1"})}
    options = Options(kind="edge_files", location="in", site="plant", bridge_days=3)
    source = EdgeFilesReader(options, Context("cams", tmp_path, tmp_path / "cache", sites))
    (tmp_path / "work").mkdir()
    found, read = [], 0
    with Session() as engine:
        fleet = Fleet(plan, engine)
        fleet.write(tmp_path / "in", by_device=by_device)
        truth, lines = fleet.truth(3), fleet.lines()
    with Session() as engine:
        for piece in source.slices(window):
            for loaded in source.load([piece], tmp_path / "work", engine):
                read += loaded.rows_read
                found += [pl.read_parquet(path) for path in loaded.facts.values()]
    got = pl.concat(found).with_columns(kwh=pl.col("energy_kwh") + pl.col("energy_estimated_kwh"))
    got = got.sort("device", "day").select("device", "day", *TRUTH)
    # energy is counted in milliwatt-hours: six decimals of a kWh
    both = [f.with_columns(pl.col("kwh").round(6)).cast({"inferences": pl.Int64, "failed": pl.Int64}) for f in (got, truth)]  # fmt: skip
    assert both[0].rows() == both[1].rows()
    assert read == lines
