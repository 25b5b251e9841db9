"""One pass over sample files (two, where samples of GPUs are not regular): hours of each kind of samples, and what was wrong with rows and values.

The formulas belong to `gpu.py`, `power.py` and `inference.py`; days and facts, to `reader.py`.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from connectors.base import DamagedFileError, Engine, SourceError
from connectors.day_files import Days
from connectors.meters import METER, jumps, with_counts
from connectors.objects import Store
from connectors.run_power import run_power_sql
from connectors.sql import literal
from connectors.steps import UTC_CLOCK, Clock
from connectors.telemetry import MAX_STEP, day_of, local_day
from connectors.telemetry_files.columns import DATASETS
from connectors.telemetry_files.files import Logs, log_rows, parse_layout
from connectors.telemetry_files.gpu import IMPLAUSIBLE, SPARSE
from connectors.telemetry_files.gpu_hours import LEFT, gpu_hours
from connectors.telemetry_files.inference import inference_hourly_sql, turns_sql
from connectors.telemetry_files.labels import Layout
from connectors.telemetry_files.power import (
    JUMPS,
    RISES,
    meter_steps_sql,
    power_hourly_sql,
    standing_sql,
    unbelieved_sql,
)
from connectors.telemetry_files.replicas import chosen_sql, kept, others_sql, paces_sql, with_replicas
from connectors.telemetry_files.rows import samples_sql, scan_sql
from connectors.telemetry_index import Indexed
from models.records import TrainingRun
from models.tables import GPU_HOURLY, INFERENCE_HOURLY, POWER_HOURLY, RUN_POWER_DAILY, Table

HOURS: Mapping[str, Table] = {"gpu": GPU_HOURLY, "power": POWER_HOURLY, "inference": INFERENCE_HOURLY}
"""Kind of samples -> its table."""

THING = {"gpu": "gpu", "power": METER, "inference": "COALESCE(workload, model)"}
"""Kind of samples -> SQL of what a row must name."""

SAME = {
    "gpu": "gpu, COALESCE(mig_id, mig_profile), namespace, pod, hpc_job",
    "power": METER,
    "inference": "workload, model, namespace, pod",
}
"""Kind of samples -> SQL of what has one sample at a time; holders that share a card have one each."""


@dataclass(frozen=True)
class Steps:
    """How samples follow each other: seconds between them, the longest gap to bridge, zones of days and of logs.

    `runs` are those whose power is added up.
    """

    interval_s: float
    bridge: timedelta
    zone: ZoneInfo
    log_zone: ZoneInfo
    runs: Sequence[TrainingRun] = ()

    @property
    def max_us(self) -> int:
        """Longer steps are gaps; microseconds."""
        return int(self.interval_s * MAX_STEP * 1_000_000)

    @property
    def bridge_us(self) -> int:
        """Longer gaps are not bridged; microseconds."""
        return self.bridge // timedelta(microseconds=1)


def read_hours(store: Store, files: Sequence[Indexed], steps: Steps, work: Path, engine: Engine) -> Days:
    """Reads files into hours.

    Args:
        store: Where they lie.
        files: The files, indexed.
        steps: How samples follow each other.
        work: Folder for intermediate files.
        engine: Runs the SQL.

    Raises:
        DamagedFileError: A file cannot be read.
        SourceError: The files cannot be read together.
    """
    from duckdb import Error

    held = [f for f in files if f.runs]
    clock = Clock.of(steps.zone, min(f.start for f in held), max(f.end for f in held)) if held else UTC_CLOCK
    frames: dict[Table, pl.DataFrame] = {}
    rows_read: dict[date, int] = defaultdict(int)
    findings: dict[date, list[Mapping[str, Any]]] = defaultdict(list)
    for dataset, table in HOURS.items():
        scans, places = _scans(store, files, dataset, steps, work)
        if not scans:
            continue
        try:
            read, seen = _read(dataset, scans, steps, clock, engine)
        except Error as error:
            raise _unreadable(store, places, engine, error) from error
        _note_lost_bounds(read[table], steps.zone, findings)
        finished = _finish(read[table], steps.zone)
        frames |= {**read, table: with_counts(finished) if table is POWER_HOURLY else finished}
        for row in seen.sort(["file", "day", "rule", "column_name"], nulls_last=False).iter_rows(named=True):
            file = places[row["file"]]
            day = row["day"] or day_of(file.start, steps.zone)
            if row["rule"] == "row":
                rows_read[day] += row["rows"]
            else:
                finding = {k: row[k] for k in ("action", "rule", "column_name", "value", "rows")}
                findings[day].append(finding | {"location": store.uri(file.object.key)})
    return Days(frames, rows_read, findings)


def _scans(
    store: Store, files: Sequence[Indexed], dataset: str, steps: Steps, work: Path
) -> tuple[list[str], dict[str, Indexed]]:
    """Of the files of one kind of samples: a scan for each layout, and path -> file; logs are unfolded first."""
    layouts: dict[str, list[Indexed]] = defaultdict(list)
    for file in files:
        if parse_layout(file.layout)[0] == dataset:
            layouts[file.layout].append(file)
    scans: list[str] = []
    places: dict[str, Indexed] = {}
    for layout, group in sorted(layouts.items()):
        written, paths = parse_layout(layout)[1], store.fetch([f.object for f in group])
        if written == "log":
            paths = [_unfold(store, f, path, work, steps) for f, path in zip(group, paths, strict=True)]
        places |= dict(zip(map(str, paths), group, strict=True))
        scans.append(scan_sql(paths, parquet=written != "csv"))
    return scans, places


def _read(
    dataset: str, scans: Sequence[str], steps: Steps, clock: Clock, engine: Engine
) -> tuple[dict[Table, pl.DataFrame], pl.DataFrame]:
    """The frames of one kind of samples, and what was found about its rows."""
    frames = {HOURS[dataset]: _hours(dataset, scans, steps, clock, engine)}
    seen = engine.query(_findings_sql(dataset, steps, clock))
    if dataset == "power" and steps.runs:
        frames[RUN_POWER_DAILY] = engine.query(run_power_sql("samples", steps.runs, steps.zone))
    tables = ("samples", "paces", "chosen", "others", *LEFT)
    engine.execute("; ".join(f"DROP TABLE IF EXISTS {name}" for name in tables))
    return frames, seen


def _unreadable(store: Store, places: Mapping[str, Indexed], engine: Engine, error: Exception) -> SourceError:
    """What to raise where a pass over files failed."""
    _find_damaged(store, places, engine)
    names = ", ".join(store.uri(f.object.key) for f in list(places.values())[:3])
    more = " ..." if len(places) > 3 else ""
    return SourceError(f"samples cannot be read from {names}{more}: {error}. Deliver the file again")


def _find_damaged(store: Store, places: Mapping[str, Indexed], engine: Engine) -> None:
    """Reads all of each file by itself, for the one that made a pass fail.

    Raises:
        DamagedFileError: One cannot be read.
    """
    from duckdb import Error

    for path, file in places.items():
        scan = scan_sql([Path(path)], parquet=parse_layout(file.layout)[1] != "csv")
        try:
            engine.query(f"SELECT bit_xor(hash(s)) FROM ({scan}) AS s")
        except Error as error:
            msg = f"{store.uri(file.object.key)} is damaged: {error}. Deliver it again"
            raise DamagedFileError(msg, file.object) from error


def _hours(dataset: str, scans: Sequence[str], steps: Steps, clock: Clock, engine: Engine) -> pl.DataFrame:
    """The hours of files; what they follow from stays in `samples`, of GPUs most of it in `bundles`."""

    def make(name: str, sql: str) -> None:
        engine.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {sql}")

    layouts: list[Layout] = [(scan, engine.columns(scan)) for scan in scans]
    interval_us = int(steps.interval_s * 1_000_000)
    pairs = with_replicas(dataset, layouts)
    if pairs:
        make("paces", paces_sql(dataset, pairs, interval_us))
        make("chosen", chosen_sql(dataset, pairs, interval_us))
    make("others", others_sql(dataset, pairs, interval_us))
    layouts = [kept(dataset, layout, interval_us) for layout in layouts]
    if dataset == "gpu":
        us = {"interval_us": interval_us, "max_step_us": steps.max_us, "bridge_us": steps.bridge_us}
        return gpu_hours(layouts, clock, engine, same=SAME["gpu"], **us)
    make("samples", " UNION ALL BY NAME ".join(samples_sql(dataset, *layout) for layout in layouts))
    if dataset == "inference":
        return engine.query(inference_hourly_sql("samples", steps.max_us, steps.bridge_us, clock))
    make("steps", meter_steps_sql("samples", steps.max_us, steps.bridge_us))
    engine.execute(standing_sql(clock, steps.bridge_us))
    jumped = jumps(engine.query(RISES), ["meter"], steps.bridge)
    if jumped.height:
        engine.execute(unbelieved_sql(jumped))
    return engine.query(power_hourly_sql(clock))


def _unfold(store: Store, file: Indexed, path: Path, work: Path, steps: Steps) -> Path:
    """A log as Parquet."""
    uri = store.uri(file.object.key)
    work.mkdir(parents=True, exist_ok=True)
    unfolded = work / f"log-{hashlib.sha256(uri.encode()).hexdigest()[:16]}.parquet"
    log_rows(path, file.object.key, uri, Logs(steps.log_zone, steps.interval_s)).write_parquet(unfolded)
    return unfolded


def _finish(frame: pl.DataFrame, zone: ZoneInfo) -> pl.DataFrame:
    frame = frame.with_columns(local_day("hour", zone).alias("day"))
    if "bounds" not in frame.columns:
        return frame
    texts = [
        None if bounds is None else json.dumps(dict(zip(bounds, counts, strict=True)))
        for bounds, counts in frame.select("bounds", "counts").iter_rows()
    ]
    return frame.drop("bounds", "counts", "lost").with_columns(
        pl.Series("latency_buckets", texts, dtype=pl.String)
    )


def _note_lost_bounds(
    frame: pl.DataFrame, zone: ZoneInfo, findings: Mapping[date, list[Mapping[str, Any]]]
) -> None:
    """Adds a finding to each day with hours whose histograms have bounds that are not in all of them."""
    if "lost" not in frame.columns:
        return
    flag = {"action": "flagged", "rule": "histogram_bounds_differ", "column_name": "latency_seconds_buckets"}
    hours = frame.filter(pl.col("lost") > 0).group_by(local_day("hour", zone).alias("day"))
    for day, rows, workload in hours.agg(pl.len(), pl.col("workload").min()).iter_rows():
        findings[day].append(flag | {"value": workload, "rows": rows})


def _findings_sql(dataset: str, steps: Steps, clock: Clock) -> str:
    """SQL: file, day, action, rule, column_name, value (an example), rows; rule `row` counts all rows.

    Rows without a readable time have no day.
    """
    day = f"CAST(ts AT TIME ZONE 'UTC' AT TIME ZONE {literal(steps.zone.key)} AS DATE)"
    thing, same, samples = THING[dataset], f"hash({SAME[dataset]})", "samples"
    if dataset == "gpu":
        same, samples = "same", "(SELECT * FROM samples JOIN labels USING (label))"

    def count(action: str, rule: str, column: str, value: str, where: str, *, relation: str = samples) -> str:
        return (
            f"SELECT file, {day} AS day, '{action}' AS action, '{rule}' AS rule, {literal(column)} AS column_name, "
            f"CAST(MIN({value}) AS VARCHAR) AS value, COUNT(*) AS rows FROM {relation} WHERE {where} GROUP BY file, {day}"
        )

    columns = DATASETS[dataset]
    parts = [
        count("", "row", "", "NULL", "TRUE"),
        count("", "row", "", "NULL", "TRUE", relation="others"),
        count("flagged", "other_replica", "replica", "replica", "TRUE", relation="others"),
        count("rejected", "ts_unreadable", "ts", "ts_text", "ts IS NULL"),
        count("rejected", f"{dataset}_unnamed", thing, "NULL", f"ts IS NOT NULL AND {thing} IS NULL"),
    ]  # fmt: skip
    again = (
        f"SELECT file, {day} AS day, ts_text, 1 AS repeats FROM (SELECT *, row_number() OVER (PARTITION BY {same}, ts ORDER BY file) AS again FROM {samples} AS s "
        f"WHERE ({same}, ts) IN (SELECT ({same}, ts) FROM {samples} AS t WHERE ts IS NOT NULL AND {thing} IS NOT NULL GROUP BY {same}, ts HAVING COUNT(*) > 1)) WHERE again > 1"
    )
    if dataset == "gpu":
        again += (
            f" UNION ALL SELECT file, {day}, CAST(ts AS VARCHAR), n // copies * repeats FROM (SELECT *, first_ts AS ts FROM bundles WHERE regular) "
            "JOIN (FROM twins WHERE repeats > 0) USING (label, stretch) JOIN labels USING (label)"
        )
    parts.append(
        "SELECT file, day, 'flagged' AS action, 'duplicate_sample' AS rule, 'ts' AS column_name, MIN(ts_text) AS value, "
        f"SUM(repeats)::BIGINT AS rows FROM ({again}) GROUP BY file, day"
    )
    if dataset == "gpu":
        parts.append(
            "SELECT file, day, '' AS action, 'row' AS rule, '' AS column_name, NULL AS value, SUM(n)::BIGINT AS rows "
            f"FROM (SELECT file, {day} AS day, n FROM (SELECT label, first_ts AS ts, n FROM bundles WHERE regular) JOIN labels USING (label)) "
            "GROUP BY file, day"
        )
        parts.append(
            count(
                "flagged",
                "node_unnamed",
                "node",
                "gpu",
                "ts IS NOT NULL AND gpu IS NOT NULL AND node IS NULL",
            )
        )
        parts.append(
            count("flagged", "counter_implausible", "energy_mj", "jump", "TRUE", relation=f"({IMPLAUSIBLE})")
        )
        parts.append(count("flagged", "interval_longer", "ts", "step", "TRUE", relation=f"({SPARSE})"))
    if dataset == "power":
        parts.append(
            count("flagged", "counter_implausible", "energy_kwh_total", "jump", "TRUE", relation=f"({JUMPS})")
        )
    if dataset == "inference":
        parts.append(
            count(
                "flagged",
                "counter_alternates",
                "requests_total",
                "turn",
                "TRUE",
                relation=f"({turns_sql('samples', steps.max_us, steps.bridge_us, clock)})",
            )
        )
    parts += [
        count(
            "repaired",
            "value_dropped",
            c.name,
            f"{c.name}_bad",
            f"{c.name}_bad IS NOT NULL AND ts IS NOT NULL",
        )
        for c in columns
        if c.condition
    ]
    return " UNION ALL BY NAME ".join(parts)
