from __future__ import annotations

from datetime import date, datetime
from typing import Any

import polars as pl
import pytest

from models.config import Ownership
from models.ownership import names
from models.records import TrainingRun
from models.run_energy import measured
from models.tables import RUN_ENERGY, RUN_POWER_DAILY

SPELLED = names(Ownership())["workload"]


def run(name: str, start: str, end: str, **more: Any) -> TrainingRun:
    line = {"run_id": name, "workload": "bench", "started_at": f"{start}Z", "ended_at": f"{end}Z"}
    return TrainingRun.model_validate(line | more)


def read(day: int, first: str | None, last: str | None, **more: Any) -> dict[str, Any]:
    row = {"day": date(2026, 9, day), "source": "dc1", "site": "dc1", "run_id": "a", "meter": "pdu-7"}
    at = {
        f"{name}_reading": text and datetime.fromisoformat(f"2026-09-0{day}T{text}")
        for name, text in (("first", first), ("last", last))
    }
    return row | {"readings": 0, "readings_dropped": 0, "sum_w": 0.0, "longest_gap_s": None} | at | more


def table(runs: list[TrainingRun], *rows: dict[str, Any]) -> list[dict[str, Any]]:
    got = measured(runs, pl.DataFrame(rows, schema=RUN_POWER_DAILY.schema), SPELLED)
    assert got.schema == RUN_ENERGY.schema
    return list(got.iter_rows(named=True))


def test_mean_of_all_days_times_the_length() -> None:
    """100 readings of 6,000 W in all, 300 of 10,000 W in all: 16,000 / 400 = 40 W for 90 min = 60 Wh."""
    (got,) = table(
        [run("a", "2026-09-01T23:30", "2026-09-02T01:00", tokens=3e6, samples=120, epochs=2)],
        read(2, "00:00:20", "00:59:10", readings=300, sum_w=10_000.0, longest_gap_s=25.0, readings_dropped=3),
        read(1, "23:30:10", "23:59:40", readings=100, sum_w=6_000.0, longest_gap_s=30.0, readings_dropped=1),
    )
    assert (got["readings"], got["readings_dropped"], got["duration_s"]) == (400, 4, 5400.0)
    assert got["mean_w"] == 40
    assert got["energy_kwh"] == pytest.approx(0.06)
    assert got["kwh_per_1m_tokens"] == pytest.approx(0.02)
    assert got["kwh_per_1m_samples"] == pytest.approx(500)
    assert got["kwh_per_epoch"] == pytest.approx(0.03)
    # 50 s before the end of the run, 40 s across midnight, 30 s and 25 s within the days, 10 s at the start
    assert got["longest_gap_s"] == 50


def test_gap_over_a_day_without_a_reading() -> None:
    """From 12:00 on the first day to 06:00 on the third: 42 h, across a day of sentinels."""
    (got,) = table(
        [run("a", "2026-09-01T11:00", "2026-09-03T07:00")],
        read(1, "11:00:01", "12:00:00", readings=9, sum_w=9.0, longest_gap_s=700.0),
        read(2, None, None, readings_dropped=86_400),
        read(3, "06:00:00", "06:59:59", readings=9, sum_w=9.0, longest_gap_s=700.0),
    )
    assert (got["longest_gap_s"], got["readings_dropped"], got["mean_w"]) == (42 * 3600, 86_400, 1.0)


def test_without_a_reading_energy_is_unknown() -> None:
    runs = [run(name, "2026-09-01T00:00", "2026-09-01T01:00", tokens=1e6) for name in "ab"]
    a, b = table(runs, read(1, None, None, readings_dropped=5))
    assert (a["energy_kwh"], a["mean_w"], a["kwh_per_1m_tokens"], a["longest_gap_s"]) == (None,) * 4
    assert (a["readings"], a["readings_dropped"], a["method"], a["meter"]) == (0, 5, "none", "pdu-7")
    assert (b["readings"], b["readings_dropped"], b["method"], b["meter"]) == (0, 0, "none", None)


def test_two_meters_are_two_rows_and_other_runs_none() -> None:
    rows = [
        read(1, "00:30:00", "00:30:00", readings=1, sum_w=w, meter=m) for m, w in (("m2", 80.0), ("m1", 70.0))
    ]
    got = table([run("a", "2026-09-01T00:00", "2026-09-01T01:00")], *rows, rows[0] | {"run_id": "gone"})
    assert [(r["meter"], r["energy_kwh"], r["kwh_per_1m_tokens"]) for r in got] == [
        ("m1", pytest.approx(0.07), None),
        ("m2", pytest.approx(0.08), None),
    ]


def test_no_run_without_readings_table() -> None:
    assert table([]) == []


@pytest.mark.parametrize("bad", [0, -1, "nan", "inf"])
def test_tokens_must_be_a_positive_number(bad: Any) -> None:
    with pytest.raises(ValueError, match="tokens"):
        run("a", "2026-09-01T00:00", "2026-09-01T01:00", tokens=bad)
