"""Hours and days of files in zones with half-hour offsets and with half-hour changes of clocks."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

from tests.connectors.telemetry_files.samples import POWER, load, minutes, table, write


@pytest.mark.parametrize(
    ("zone", "start", "days"),
    [
        # midnight of 4 May in India is 18:30 UTC the day before
        ("Asia/Kolkata", "2026-05-03 18:30", {date(2026, 5, 4): 24.0, date(2026, 5, 5): 24.0}),
        # clocks go back half an hour on 5 April: its midnight is 13:00 UTC, the next one 13:30
        ("Australia/Lord_Howe", "2026-04-04 13:00", {date(2026, 4, 5): 24.5, date(2026, 4, 6): 24.0}),
    ],
)
def test_a_meter_of_a_kilowatt(tmp_path: Path, zone: str, start: str, days: dict[date, float]) -> None:
    count = int(sum(days.values()) * 60) + 1
    rows = [{"ts": ts, "node": "n1", "power_w": 1000} for ts in minutes(start, count)]
    write(tmp_path, "power-1.parquet", rows)
    hours = table(load(tmp_path, zone), POWER)
    by_day = dict(hours.group_by("day").agg(pl.col("energy_kwh").sum()).iter_rows())
    assert by_day == pytest.approx(days)
    assert hours["hour"].min() == datetime.fromisoformat(start)
    lengths = hours.sort("hour").group_by("day", maintain_order=True).agg(pl.col("energy_kwh").last())
    assert lengths["energy_kwh"].to_list() == pytest.approx([h % 1 or 1.0 for h in days.values()])
