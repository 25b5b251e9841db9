"""Power logs and runs: which readings are inside, sentinels, days, and which days a change of runs reads again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.base import Loaded, Window
from connectors.telemetry_files.reader import TelemetryFilesReader
from models.records import TrainingRun
from tests.connectors.telemetry_files.samples import POWER, card, minutes, reader, table, utc, write
from tests.engine import Session

RUN_POWER = "telemetry.run_power_daily"
WINDOW = Window(date(2030, 1, 1), datetime(2030, 1, 1, tzinfo=UTC))


def run(name: str, start: str, end: str, meter: str | None = None) -> TrainingRun:
    return TrainingRun(run_id=name, workload="bench", started_at=utc(start), ended_at=utc(end), meter=meter)


def source(folder: Path, runs: Sequence[TrainingRun], zone: str = "UTC") -> TelemetryFilesReader:
    made = reader(folder, zone, sample_interval_s=1)
    return TelemetryFilesReader(made.options, replace(made.context, runs=tuple(runs)))


def load(folder: Path, runs: Sequence[TrainingRun], zone: str = "UTC") -> list[Loaded]:
    made = source(folder, runs, zone)
    with Session() as engine:
        return list(made.load(made.slices(WINDOW), folder / "work", engine))


def log(start: str, watts: Sequence[float | str | None], **more: Any) -> list[dict[str, Any]]:
    """Readings a second apart."""
    return [
        {"ts": ts, "watts": w, **more} for ts, w in zip(minutes(start, len(watts), 1), watts, strict=True)
    ]


def test_readings_strictly_inside_without_sentinels(tmp_path: Path) -> None:
    """From :02 to :08; at :03 ... :07 are 30, -2, 50, 0 and 40: 3 readings of 120 W in all, 2 dropped, 2 s apart."""
    write(
        tmp_path,
        "power/a.csv",
        log("2026-09-01 10:00", [999, 999, 999, 30, -2, 50, 0, 40, 999, 999], node="n1"),
    )
    (item,) = load(tmp_path, [run("r1", "2026-09-01 10:00:02", "2026-09-01 10:00:08", "n1")])
    (row,) = table([item], RUN_POWER).iter_rows(named=True)
    assert (row["run_id"], row["meter"], row["node"]) == ("r1", "n1", "n1")
    assert (row["readings"], row["readings_dropped"], row["sum_w"]) == (3, 2, 120)
    assert (row["first_reading"].second, row["last_reading"].second, row["longest_gap_s"]) == (3, 7, 2)
    dropped = item.issues.filter(pl.col("rule") == "value_dropped")
    assert dropped.select("column_name", "rows", "value").rows() == [("power_w", 2, "watts=-2")]


def test_a_sentinel_beside_a_reading_is_counted(tmp_path: Path) -> None:
    """At :01 both 20 W and -2 W (as real loggers write after a hiccup): 3 readings of 60 W, 1 dropped."""
    rows = log("2026-09-01 10:00", [10, 20, 30], node="n1")
    write(tmp_path, "power/a.parquet", [*rows, rows[1] | {"watts": -2}])
    loaded = load(tmp_path, [run("r1", "2026-09-01 09:00", "2026-09-01 11:00", "n1")])
    row = table(loaded, RUN_POWER).row(0, named=True)
    assert (row["readings"], row["readings_dropped"], row["sum_w"], row["longest_gap_s"]) == (3, 1, 60, 1)


def test_a_run_over_midnight_has_a_row_a_local_day(tmp_path: Path) -> None:
    """Midnight in Athens is 21:00 UTC in summer: 20 readings before, 9 from then on."""
    write(tmp_path, "power/a.parquet", log("2026-09-01 20:59:30", [60.0] * 60, meter="pdu"))
    days = table(
        load(tmp_path, [run("r1", "2026-09-01 20:59:39", "2026-09-01 21:00:09", "pdu")], "Europe/Athens"),
        RUN_POWER,
    )
    assert days.sort("day").select("day", "readings", "sum_w").rows() == [
        (date(2026, 9, 1), 20, 1200.0),
        (date(2026, 9, 2), 9, 540.0),
    ]


def test_logs_that_name_runs_are_matched_by_run(tmp_path: Path) -> None:
    """Two logs of the same minute: each run has its own, the third repeats the first."""
    rows = log("2026-09-01 10:00", [10.0] * 60, run_id="b:1") + log(
        "2026-09-01 10:00", [20.0] * 60, run_id="b:2"
    )
    write(tmp_path, "power/a.parquet", [{"ts_utc": r.pop("ts"), **r} for r in rows])
    at = ("2026-09-01 09:00", "2026-09-01 11:00")
    loaded = load(tmp_path, [run("b:1", *at), run("b:2", *at), run("b:3", *at, meter="b:1"), run("b:4", *at)])
    assert table(loaded, RUN_POWER).sort("run_id").select("run_id", "meter", "readings", "sum_w").rows() == [
        ("b:1", "b:1", 60, 600.0),
        ("b:2", "b:2", 60, 1200.0),
        ("b:3", "b:1", 60, 600.0),
    ]
    assert set(table(loaded, POWER)["meter"]) == {"b:1", "b:2"}


def test_a_reading_that_two_files_hold_counts_once(tmp_path: Path) -> None:
    rows = log("2026-09-01 10:00", [10.0, 20.0, 30.0], meter='it\'s "one"')
    write(tmp_path, "power/a.parquet", rows)
    write(tmp_path, "power/b.parquet", rows[1:])
    loaded = load(tmp_path, [run("r'1", "2026-09-01 09:00", "2026-09-01 11:00", 'it\'s "one"')])
    assert table(loaded, RUN_POWER).select("run_id", "readings", "sum_w").rows() == [("r'1", 3, 60.0)]


@pytest.mark.parametrize("dataset", ["power", "gpu"])
def test_a_new_run_reads_its_own_days_of_power_again(tmp_path: Path, dataset: str) -> None:
    for day in range(1, 8):
        moments = minutes(f"2026-09-0{day} 00:00", 24, 3600)
        rows = [
            {"ts": ts, "node": "n1", "watts": 5.0} if dataset == "power" else card(ts, 1.0) for ts in moments
        ]
        write(tmp_path, f"{dataset}/{day}.parquet", rows)
    first = run("r1", "2026-09-02 01:00", "2026-09-02 02:00", "n1")
    second = run("r2", "2026-09-04 23:00", "2026-09-05 01:00", "n1")
    before, after = (
        {s.period: s.fingerprint for s in source(tmp_path, runs).slices(WINDOW)}
        for runs in ([first], [first, second])
    )
    assert [d.day for d in before if before[d] != after[d]] == ([4, 5] if dataset == "power" else [])


def test_without_runs_there_is_no_table(tmp_path: Path) -> None:
    write(tmp_path, "power/a.csv", log("2026-09-01 10:00", [1, 2, 3], node="n1"))
    (item,) = load(tmp_path, [run("r1", "2026-10-01 10:00", "2026-10-01 11:00", "n1")])
    assert set(item.facts) == {POWER}
