"""One pass over files of reports and logs: days of devices, and what was wrong with lines and values.

The formulas belong to `days.py` and `log_days.py`; slices and facts, to `reader.py`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from connectors.base import Engine
from connectors.day_files import NO_DAY, Days
from connectors.edge.clocks import set_aside
from connectors.edge.days import CLOCK_SET, DAYS, edge_daily_sql, reports_sql
from connectors.edge.files import Logs, log_samples, read_lines
from connectors.edge.log_days import LOG_DAYS, completed, is_sample, log_days_sql, power_sql
from connectors.edge.logs import SAMPLES
from connectors.objects import Store
from connectors.run_power import run_power_sql
from connectors.sql import literals
from connectors.telemetry import day_bounds, day_of
from connectors.telemetry_index import Indexed, days
from models.records import TrainingRun
from models.tables import EDGE_DAILY, RUN_POWER_DAILY, Table

MICROSECOND = timedelta(microseconds=1)
TOGETHER = 50_000
"""Lines of small files that go into one intermediate file, about."""

REPORTS = pl.Schema(
    {
        "file": pl.String(),
        "number": pl.UInt32(),
        "line": pl.String(),
        "whole": pl.Boolean(),
        "since": pl.Datetime("us"),
        "until": pl.Datetime("us"),
    }
)
LOGS = pl.Schema({"file": pl.String(), "device": pl.String(), "content": pl.UInt64(), **SAMPLES})
ACTIONS = {
    "line_cut": "flagged",
    "report_contradicts": "flagged",
    "value_dropped": "repaired",
    "power_unknown": "flagged",
    "clock_not_set": "flagged",
    "clock_ahead": "flagged",
    "clock_contradicts_sequence": "flagged",
}
"""Rule of a line -> what is done; lines that break other rules are rejected. What a report with a wrong clock counted
is in the next one, too, and so is what one that is cut off counted: it comes again with the rest of its file, or is missing."""

BY_DEVICE = ("clock_ahead", "clock_contradicts_sequence", "report_contradicts")
"""Rules of lines that are told for each device of a file."""


AT_ONCE = 1_500_000
"""Reports that are put in order at once: of more, what is sorted is written to disk, which doubles the CPU."""

PACKED = "edge_pass"
"""A database in memory that is packed: reports take a tenth of the room there, and those of a month are not spilled."""

REPORTS_OF_PASS = f"{PACKED}.reports"

CONTRADICTIONS = f"""
    UPDATE {REPORTS_OF_PASS} SET wrong = 'report_contradicts', wrong_key = 'inferences_total' WHERE wrong IS NULL AND (device_id, boot_id, seq, ts) IN (
        SELECT (device_id, boot_id, seq, ts) FROM {REPORTS_OF_PASS} WHERE wrong IS NULL
        GROUP BY device_id, boot_id, seq, ts HAVING MIN(inferences_total) < MAX(inferences_total))"""
"""SQL: sets aside reports of one device, boot, sequence and time that count differently: which is right nobody knows, and the next tells."""


@dataclass(frozen=True)
class Steps:
    """How reports and samples follow each other: the longest steps that are no gap, the longest silence, zones.

    `runs` are those whose power is added up.
    """

    report: timedelta
    log: timedelta
    bridge: timedelta
    zone: ZoneInfo
    logs: Logs
    runs: Sequence[TrainingRun] = ()


def read_days(
    store: Store,
    files: Sequence[Indexed],
    horizons: Mapping[str, datetime],
    steps: Steps,
    *,
    work: Path,
    engine: Engine,
) -> Days:
    """Reads files into days of devices.

    Args:
        store: Where they lie.
        files: The files, indexed.
        horizons: File of reports -> until when earlier ones had brought reports.
        steps: How reports and samples follow each other.
        work: Folder for intermediate files.
        engine: Runs the SQL.

    Raises:
        SourceError: A file cannot be read.
    """
    bounds = {day: day_bounds(day, steps.zone) for day in days(files, steps.zone, timedelta(days=400))}
    naive = {d: (a.replace(tzinfo=None), b.replace(tzinfo=None)) for d, (a, b) in bounds.items()}
    came = {f.object.key: horizons[f.object.key] for f in files if f.object.key in horizons}
    reports, logs = _unfold(store, files, steps, work)
    engine.execute(f"ATTACH IF NOT EXISTS ':memory:' AS {PACKED} (COMPRESS)")
    engine.execute(
        f"CREATE OR REPLACE TABLE {REPORTS_OF_PASS} AS {reports_sql(f'read_parquet({literals(reports)})')}"
    )
    engine.execute(f"CHECKPOINT {PACKED}")
    engine.execute(f"CREATE OR REPLACE TEMP TABLE logs AS SELECT * FROM read_parquet({literals(logs)})")
    reported, logged = DAYS.to_frame(), LOG_DAYS.to_frame()
    if any(f.layout.isdigit() for f in files):
        engine.execute(CONTRADICTIONS)
        set_aside(REPORTS_OF_PASS, work, engine)
        horizon = {k: at.replace(tzinfo=None) for k, at in came.items()}
        longest = (steps.report // MICROSECOND, steps.bridge // MICROSECOND)
        ((count,),) = engine.query(f"SELECT COUNT(*) FROM {REPORTS_OF_PASS}").iter_rows()
        parts = max(1, -(-count // AT_ONCE))
        reported = pl.concat(
            engine.query(edge_daily_sql(REPORTS_OF_PASS, naive, horizon, *longest, part=(p, parts)))
            for p in range(parts)
        )
    frames: dict[Table, pl.DataFrame] = {}
    if steps.runs:
        frames[RUN_POWER_DAILY] = engine.query(run_power_sql(power_sql("logs"), steps.runs, steps.zone))
    if not all(f.layout.isdigit() for f in files):
        longest = (steps.log // MICROSECOND, steps.bridge // MICROSECOND)
        logged = engine.query(log_days_sql("logs", naive, *longest))
    wrong = engine.query(
        f"SELECT file, rule, rule_key, CASE WHEN list_contains({literals(BY_DEVICE)}, rule) THEN device END AS value, COUNT(*) AS rows, MIN(number) AS number, arg_min(line, number) AS raw FROM ("
        f"SELECT file, wrong AS rule, wrong_key AS rule_key, device_id AS device, number, line FROM {REPORTS_OF_PASS} UNION ALL BY NAME "
        "SELECT file, rule, rule_key, device, number, line FROM logs) WHERE rule IS NOT NULL GROUP BY ALL ORDER BY ALL"
    )
    good = engine.query(
        f"SELECT ts FROM {REPORTS_OF_PASS} WHERE wrong IS NULL UNION ALL SELECT ts FROM logs WHERE {is_sample()}"
    )
    engine.execute(f"DETACH {PACKED}")
    engine.execute("DROP TABLE logs")
    for path in (*reports, *logs):
        path.unlink()
    rows: dict[date, int] = defaultdict(int)
    local = good["ts"].dt.replace_time_zone("UTC").dt.convert_time_zone(steps.zone.key).dt.date()
    rows.update(dict(local.value_counts().iter_rows()))
    findings: dict[date, list[Mapping[str, Any]]] = defaultdict(list)
    first_days = {f.object.key: NO_DAY if f.ahead else day_of(f.start, steps.zone) for f in files}
    for row in wrong.iter_rows(named=True):
        day, action = first_days[row["file"]], ACTIONS.get(row["rule"], "rejected")
        if action == "rejected" or row["rule"].startswith(("clock_", "line_", "report_")):
            rows[day] += row["rows"]
        findings[day].append(
            {
                "action": action, "rule": row["rule"], "column_name": row["rule_key"], "rows": row["rows"], "value": row["value"],
                "location": f"{store.uri(row['file'])}:{row['number']}", "raw": row["raw"] and row["raw"][:500],
            }
        )  # fmt: skip
    for day, finding in unknown_counts(reported):
        findings[day].append(finding)
    frames[EDGE_DAILY] = finish(completed(reported, logged), bounds)
    return Days(frames, rows, findings)


def _unfold(
    store: Store, files: Sequence[Indexed], steps: Steps, work: Path
) -> tuple[list[Path], list[Path]]:
    """Lines of reports and samples of logs as Parquet, so that one SQL can read them; an empty file is among both."""
    reports, logs = [work / "lines-none.parquet"], [work / "logs-none.parquet"]
    pl.DataFrame(schema=REPORTS).write_parquet(reports[0])
    pl.DataFrame(schema=LOGS).write_parquet(logs[0])
    lines: list[pl.DataFrame] = []
    held = 0
    for number, (file, path) in enumerate(zip(files, store.fetch([f.object for f in files]), strict=True)):
        if held > TOGETHER:
            reports.append(_together(lines, work / f"lines-{number}.parquet"))
            lines, held = [], 0
        key, uri = file.object.key, store.uri(file.object.key)
        since = max(file.start.replace(tzinfo=None), CLOCK_SET)
        until = file.until and file.until.replace(tzinfo=None)
        frame = read_lines(path, uri).with_columns(
            pl.lit(since, pl.Datetime("us")).alias("since"),
            pl.lit(until, pl.Datetime("us")).alias("until"),
            file=pl.lit(key),
        )
        if file.layout.isdigit():
            lines.append(frame.select(REPORTS.names()))
            held += frame.height
            continue
        found = log_samples(
            frame.drop("file", "since", "until"), file.layout, key, uri, steps.logs, since=since, until=until
        )
        logs.append(work / f"logs-{number}.parquet")
        found.with_columns(
            file=pl.lit(key),
            content=pl.col("line").hash(),
            line=pl.when(pl.col("rule").is_not_null()).then("line"),
        ).select(LOGS.names()).write_parquet(logs[-1], compression="lz4")
    if lines:
        reports.append(_together(lines, work / "lines-last.parquet"))
    return reports, logs


def _together(frames: Sequence[pl.DataFrame], path: Path) -> Path:
    pl.concat(frames).write_parquet(path, compression="lz4")
    return path


def finish(frame: pl.DataFrame, bounds: Mapping[date, tuple[datetime, datetime]]) -> pl.DataFrame:
    """Adds coverage and latency_buckets (JSON) to days that have online_hours, bounds and counts."""
    hours = {day: (b - a).total_seconds() / 3600 for day, (a, b) in bounds.items()}
    texts = [
        None if names is None else json.dumps(dict(zip(names, counts, strict=True)))
        for names, counts in frame.select("bounds", "counts").iter_rows()
    ]
    return frame.drop(
        "bounds", "counts", "turned", "lost", "dropped", "mixed", "alike", strict=False
    ).with_columns(
        latency_buckets=pl.Series(texts, dtype=pl.String),
        coverage=pl.col("online_hours") / pl.col("day").replace_strict(hours, return_dtype=pl.Float64),
    )


def unknown_counts(frame: pl.DataFrame) -> Iterator[tuple[date, Mapping[str, Any]]]:
    """What makes counts of days unknown, for `connectors.telemetry.issues`: by day and rule, with the devices.

    Args:
        frame: day, device, `turned` (counters that take turns), `lost` (bounds of histograms that differ within the day), and
            where there are any `dropped` (readings of power that no device draws), `mixed` (texts of which a day has several)
            and `alike` (counters that two series seem to show, and that count twice then).
    """
    turned = frame.filter(pl.col("turned").list.len() > 0).select("day", "device", what=pl.col("turned"))
    lost = frame.filter(pl.col("lost") > 0).select("day", "device", what=pl.lit(["latency_buckets"]))
    found_wrong = {"counter_alternates": turned, "histogram_bounds_differ": lost}
    for rule, column in (("several_in_a_day", "mixed"), ("series_alike", "alike")):
        if column in frame.columns:
            rows = frame.filter(pl.col(column).list.len() > 0)
            found_wrong[rule] = rows.select("day", "device", what=pl.col(column))
    for rule, rows in found_wrong.items():
        devices = rows.group_by("day", "device").agg(pl.col("what").explode().unique().sort())
        for (day,), found in devices.sort("device").group_by("day", maintain_order=True):
            yield day, {
                "action": "flagged", "rule": rule, "rows": found.height, "value": ", ".join(found["device"].head(3)),
                "column_name": ", ".join(sorted(set(found["what"].explode()))),
            }  # fmt: skip
    if "dropped" in frame.columns:
        nonsense = frame.filter(pl.col("dropped") > 0).unique(["day", "device"]).sort("device")
        for (day,), found in nonsense.group_by("day", maintain_order=True):
            yield day, {
                "action": "repaired", "rule": "value_dropped", "rows": found["dropped"].sum(), "value": ", ".join(found["device"].head(3)),
                "column_name": "power",
            }  # fmt: skip
