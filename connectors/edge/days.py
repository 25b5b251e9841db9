"""Reports of edge devices to `telemetry.edge_daily`, in SQL.

Rules:
- A report counts once: the first of each (device_id, boot_id, seq), by file, then line; the others are duplicates. One
  whose time or counter differs is none: the sequence was used again, or ran over.
- What a report says of its time holds unless its sequence contradicts it (`clocks.py`), or it is of a clock that was not set: before
  `CLOCK_SET`, or years before most of its file; or is ahead of the moment at which its file was first seen.
- Counters count since the device started: an increment belongs to the local day of the later report. A new `boot_id`
  starts at 0; so does a counter that falls. Where that cannot be (`connectors/counters.py`), the day's count is NULL. A device's first report within the bridge only sets the base: alone on its
  day it says nothing, and the counts are NULL.
- A report covers the time back to the previous one, at most `MAX_STEP` report intervals, on each local day its part.
- Energy between reports farther apart than that, or that span such a time, is estimated.
- Devices and boots are numbers where reports are put in order: that takes a third less time than their names.
- A report is late when files before its own (by name) had brought reports from after its day, or when it lies behind
  theirs and its own file is mostly of a later day.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

import polars as pl

from connectors.counters import SEVERAL, counted, counter_increments, counter_segments, histogram_sql
from connectors.epochs import sql_epoch_text
from connectors.sql import literal
from connectors.steps import HOUR_US
from connectors.telemetry import sql_timestamp

TEXTS = (
    "device_id",
    "boot_id",
    "device_model",
    "model",
    "team",
    "project",
    "environment",
    "workload",
    "workload_type",
)
COUNTERS = ("inferences_total", "failed_total", "energy_wh_total")
MOST = 1e15
"""No counter of a report shows more: a billion a second for eleven days, or 1 TW for a thousand hours."""

MAX_COUNTED_KW = 100.0
"""No device uses more by its counter of energy; one that says so is not believed."""

CLOCK_SET = datetime.fromisoformat("2010-01-01")
"""A report from before comes from a clock that was never set; its counters are in the next report, too."""

MUST = ("device_id", "ts", "boot_id", "seq", "inferences_total")
"""Keys without which a report means nothing."""


def reports_sql(lines: str) -> str:
    """SQL: lines of JSON as reports.

    Args:
        lines: Relation with file, number (of the line), line (text), whole (false for a last line without its end), since and until (times before and after are those of a
            clock that was not set, or is ahead; UTC, until may be NULL).

    Returns:
        file, number, line (of a bad one), wrong (the rule a line breaks, NULL for a good one), wrong_key, ts (UTC), seq, the texts,
        the counters, and `buckets` (MAP of upper bound -> count since start).
    """
    names = ("ts", "seq", *TEXTS, *COUNTERS, "latency_seconds_buckets")
    at = {name: f"v[{i}]" for i, name in enumerate(names, start=1)}
    paths = ", ".join(f"'$.{name}'" for name in names)
    texts = ", ".join(f"NULLIF(TRIM({at[name]}), '') AS {name}" for name in TEXTS)
    counters = ", ".join(f"TRY_CAST({at[name]} AS DOUBLE) AS {name}" for name in COUNTERS)
    must = {key: key if key in TEXTS else f"NULLIF(TRIM({at[key]}), '')" for key in MUST}
    missing = " ".join(f"WHEN {sql} IS NULL THEN '{key}'" for key, sql in must.items())
    bad = " ".join(
        f"WHEN {at[name]} IS NOT NULL AND NOT COALESCE({name} >= 0 AND {name} < {MOST}, FALSE) THEN '{name}'"
        for name in COUNTERS
    )
    return f"""
        SELECT * EXCLUDE (v, missing, bad, line, whole, since, until),
               CASE WHEN v IS NULL AND NOT whole AND line LIKE '{{%' THEN 'line_cut' WHEN v IS NULL THEN 'json_unreadable' WHEN missing IS NOT NULL THEN 'key_missing'
                    WHEN ts IS NULL THEN 'ts_unreadable' WHEN ts < since THEN 'clock_not_set' WHEN ts > until THEN 'clock_ahead' WHEN bad IS NOT NULL THEN 'number_unreadable' END AS wrong,
               CASE WHEN v IS NULL THEN 'line' WHEN missing IS NOT NULL THEN missing
                    WHEN ts IS NULL OR ts < since OR ts > until THEN 'ts' ELSE bad END AS wrong_key,
               CASE WHEN wrong IS NOT NULL THEN LEFT(line, 500) END AS line
        FROM (
            SELECT *, CASE {missing} END AS missing, CASE {bad} END AS bad FROM (
                SELECT file, number, line, whole, since, until, v, COALESCE({sql_timestamp(at["ts"])}, {sql_epoch_text(at["ts"])}) AS ts, {at["seq"]} AS seq, {texts}, {counters},
                       TRY_CAST(CAST({at["latency_seconds_buckets"]} AS JSON) AS MAP(VARCHAR, DOUBLE)) AS buckets
                FROM (
                    SELECT file, number, line, whole, since, until, CASE WHEN json_valid(line) THEN json_extract_string(line, [{paths}]) END AS v
                    FROM {lines}
                )
            )
        )"""


QUARTER = "15 MINUTE"
"""The days of every time zone start on one: a join by it needs no sort."""


def calendar(bounds: Mapping[date, tuple[datetime, datetime]]) -> str:
    """SQL: the local days as `c(day, opens, closes)`, UTC."""
    rows = ", ".join(
        f"(DATE '{day}', TIMESTAMP '{a:%Y-%m-%d %H:%M:%S}', TIMESTAMP '{b:%Y-%m-%d %H:%M:%S}')"
        for day, (a, b) in sorted(bounds.items())
    )
    return f"(VALUES {rows}) AS c(day, opens, closes)"


def by_quarter(bounds: Mapping[date, tuple[datetime, datetime]]) -> str:
    """SQL: a row for each quarter of an hour of the local days: day, closes, quarter."""
    quarters = f"UNNEST(range(opens, closes, INTERVAL {QUARTER}))"
    return f"(SELECT day, closes, {quarters} AS quarter FROM {calendar(bounds)})"


CARRIED = ("device_model", "model", "team", "project", "environment", "workload", "workload_type")
"""Texts of a report that its day has."""

DAYS = pl.Schema(
    {
        "day": pl.Date(),
        "device": pl.String(),
        **dict.fromkeys(CARRIED, pl.String()),
        **dict.fromkeys(
            ("inferences", "failed", "online_hours", "energy_kwh", "energy_estimated_kwh"), pl.Float64()
        ),
        **dict.fromkeys(("messages", "duplicates", "late_messages"), pl.Decimal(38, 0)),
        "bounds": pl.List(pl.String()),
        "counts": pl.List(pl.Float64()),
        "turned": pl.List(pl.String()),
        "lost": pl.Int64(),
        "mixed": pl.List(pl.String()),
    }
)
"""The columns of `edge_daily_sql`, for where there are no reports: to plan it takes a tenth of a second."""


def edge_daily_sql(
    reports: str,
    bounds: Mapping[date, tuple[datetime, datetime]],
    horizons: Mapping[str, datetime],
    max_step_us: int,
    bridge_us: int,
    *,
    part: tuple[int, int] = (0, 1),
) -> str:
    """SQL: days of devices.

    Args:
        reports: Relation of `reports_sql`.
        bounds: Local day -> its first instant and the next day's, UTC, for all days of the reports.
        horizons: File -> until when earlier files had brought reports; files without earlier ones are absent.
        max_step_us: A report covers at most this.
        bridge_us: A longer silence starts a device anew.
        part: Which part of the devices, of how many.

    Returns:
        The columns of `telemetry.edge_daily` without source, site and coverage, with `bounds` and `counts` (the
        histogram) in place of latency_buckets; `turned` (counters that are unknown), `lost` (bounds that are not in all
        of a day's histograms), `mixed` (texts of which a day has several; the last one counts).
    """
    series = ("d",)
    mine = "wrong IS NULL" if part[1] == 1 else f"wrong IS NULL AND hash(device_id) % {part[1]} = {part[0]}"
    on_days = f"JOIN {by_quarter(bounds)} AS c ON time_bucket(INTERVAL {QUARTER}, r.ts) = c.quarter"
    files = (
        ", ".join(f"({literal(f)}, TIMESTAMP '{h:%Y-%m-%d %H:%M:%S}')" for f, h in sorted(horizons.items()))
        or "(CAST(NULL AS VARCHAR), CAST(NULL AS TIMESTAMP))"
    )
    counters = (*COUNTERS, "bucket_count")
    unknown = ", ".join(f"CASE WHEN SUM(turns_{c}) >= {SEVERAL} THEN '{c}' END" for c in COUNTERS)
    differ = ", ".join(f"CASE WHEN COUNT(DISTINCT {c}) > 1 THEN '{c}' END" for c in CARRIED)
    mixed = f"list_filter([{differ}], lambda c: c IS NOT NULL) AS mixed"
    turned = f"list_filter([{unknown}], lambda c: c IS NOT NULL) AS turned"
    return f"""
        WITH placed AS (
            SELECT r.{", r.".join(("file", "device_id", "boot_id", "ts", *COUNTERS, "buckets", *CARRIED))}, c.day, c.closes,
                   r.rowid NOT IN (
                       SELECT MIN(rowid) FROM {reports} WHERE {mine} GROUP BY device_id, boot_id, seq, ts, inferences_total
                   ) AS again
            FROM {reports} AS r {on_days} WHERE {mine}
        ), centres AS (SELECT file, mode(day) AS centre FROM {reports} AS r {on_days} WHERE wrong IS NULL GROUP BY file
        ), came AS (
            SELECT file, ANY_VALUE(centre) AS centre, ANY_VALUE(horizon) AS horizon
            FROM centres LEFT JOIN (VALUES {files}) AS h(file, horizon) USING (file) GROUP BY file
        ), kinds AS (
            SELECT device_id, p.day, {", ".join(CARRIED)}, MAX(ts) AS ts, COUNT(*) AS lines, COUNT(*) FILTER (NOT again) AS messages,
                   COUNT(*) FILTER (NOT again AND (horizon >= p.closes OR (p.ts < horizon AND p.day < centre))) AS late_messages
            FROM placed AS p JOIN came USING (file) GROUP BY ALL
        ), messages AS (
            SELECT device_id, day, SUM(messages) AS messages, SUM(lines - messages) AS duplicates, SUM(late_messages) AS late_messages,
                   {", ".join(f"arg_max({c}, ts) AS {c}" for c in CARRIED)}, {mixed}
            FROM kinds GROUP BY device_id, day
        ), lives AS (
            SELECT device_id, boot_id, dense_rank() OVER (ORDER BY device_id) AS d, row_number() OVER () AS life
            FROM (SELECT DISTINCT device_id, boot_id FROM placed)
        ), points AS (
            SELECT d, life, ts, {", ".join(COUNTERS)}, buckets['+Inf'] AS bucket_count, buckets, day
            FROM placed JOIN lives USING (device_id, boot_id) WHERE NOT again
        ), segments AS ({counter_segments("points", series, counters, bridge_us, max_step_us, life="life", period="day", few={"energy_wh_total": "0"}, most={"energy_wh_total": str(MAX_COUNTED_KW * 1000 / HOUR_US)})}
        ), counted AS ({counter_increments("segments", series, counters, "day", {"told": "COUNT(*) FILTER (NOT fresh)"})}
        ), sums AS (
            SELECT d, day, {counted("inferences_total")} AS inferences, {counted("failed_total")} AS failed,
                   {counted("energy_wh_total")} / 1000 AS kwh, {turned}
            FROM counted WHERE told > 0 GROUP BY d, day
        ), gaps AS (
            SELECT d, day, SUM(CASE WHEN restart THEN energy_wh_total ELSE energy_wh_total - before END) / 1000 AS gap_kwh
            FROM (
                SELECT *, LAG(energy_wh_total) OVER (PARTITION BY d ORDER BY ts) AS before FROM segments
            ) WHERE previous_ts IS NOT NULL AND date_diff('microsecond', previous_ts, ts) BETWEEN {max_step_us} + 1 AND {bridge_us}
            GROUP BY d, day
        ), online AS (
            SELECT d, c.day,
                   SUM(date_diff('microsecond', GREATEST(t0, c.opens), LEAST(ts, c.closes))) / 3.6e9 AS online_hours
            FROM (
                SELECT d, ts, GREATEST(previous_ts, ts - to_microseconds({max_step_us})) AS t0
                FROM segments WHERE previous_ts IS NOT NULL
            ) AS s JOIN {calendar(bounds)} ON s.t0 < c.closes AND s.ts > c.opens GROUP BY d, c.day
        ), histograms AS ({histogram_sql("counted", "d, day", "bucket_count")}
        )
        SELECT m.day, m.device_id AS device, {", ".join(CARRIED)}, inferences, failed,
               COALESCE(online_hours, 0) AS online_hours, kwh - COALESCE(gap_kwh, 0) AS energy_kwh,
               CASE WHEN kwh IS NOT NULL THEN COALESCE(gap_kwh, 0) ELSE 0 END AS energy_estimated_kwh, messages, duplicates, late_messages, bounds, counts,
               turned, lost, mixed
        FROM messages AS m JOIN (SELECT DISTINCT device_id, d FROM lives) AS n USING (device_id)
        LEFT JOIN sums AS s ON s.d = n.d AND s.day = m.day
        LEFT JOIN gaps AS g ON g.d = n.d AND g.day = m.day
        LEFT JOIN online AS o ON o.d = n.d AND o.day = m.day
        LEFT JOIN histograms AS h ON h.d = n.d AND h.day = m.day"""
