"""Samples of inference services to `telemetry.inference_hourly`, in SQL.

An increment belongs to the hour of its later sample (a sample on the hour closes the hour before it), so that
requests stay whole numbers and sum to what the service counted, across gaps too. An hour that is covered and has no
sample of its own counts 0, of what its samples count. `requests_total` counts all requests finished, the failed ones
included.
"""

from __future__ import annotations

from connectors.counters import SEVERAL, counted, counter_increments, counter_segments, histogram_sql
from connectors.steps import HOUR_US, UTC_CLOCK, Clock, by_hour
from connectors.telemetry_files.columns import COUNTERS

SERIES = ("workload", "model", "namespace", "pod")
HISTOGRAM = "bucket_count"
"""The histogram's own counter: what its last bucket holds."""


def segments_sql(samples: str, max_step_us: int, bridge_us: int, clock: Clock = UTC_CLOCK) -> str:
    """SQL: `connectors.counters.counter_segments` of samples of services, with file, t0, hour and buckets.

    Args: As in `inference_hourly_sql`.
    """
    points = f"""
        SELECT COALESCE(workload, model) AS workload, model, namespace, pod, ts, MAX(team) AS team, MAX(file) AS file,
               {", ".join(f"MAX({c}) AS {c}" for c in COUNTERS)},
               MAX(TRY_CAST(TRY_CAST(latency_seconds_buckets AS JSON) AS MAP(VARCHAR, DOUBLE))) AS buckets
        FROM {samples} WHERE ts IS NOT NULL AND COALESCE(workload, model) IS NOT NULL GROUP BY ALL"""
    counters = (*COUNTERS, HISTOGRAM)
    cut = counter_segments(
        f"(SELECT *, buckets['+Inf'] AS {HISTOGRAM} FROM ({points}))",
        SERIES,
        counters,
        bridge_us,
        max_step_us,
    )
    return f"SELECT *, ts AS t0, {clock.hour('(ts - INTERVAL 1 MICROSECOND)')} AS hour FROM ({cut})"


def inference_hourly_sql(samples: str, max_step_us: int, bridge_us: int, clock: Clock = UTC_CLOCK) -> str:
    """SQL: hours of served models.

    Args:
        samples: Relation of `samples_sql("inference", ...)`.
        max_step_us: Longer steps between samples are not covered.
        bridge_us: A longer silence starts the series anew.
        clock: Where the hours of the site lie.

    Returns:
        The columns of `telemetry.inference_hourly` without day, source, site and tier, and with `bounds` and `counts`
        (lists: the histogram) in place of latency_buckets, and `lost` (bounds that are not in all of it).
    """
    keys = ", ".join(SERIES)
    same = " AND ".join(f"a.{c} IS NOT DISTINCT FROM b.{c}" for c in (*SERIES, "hour"))
    value = {c: f"CASE WHEN s.hour IS NULL THEN c.{c} ELSE s.{c} END" for c in COUNTERS}
    return f"""
        WITH segments AS ({segments_sql(samples, max_step_us, bridge_us, clock)}
        ), counted AS ({counter_increments("segments", SERIES, (*COUNTERS, HISTOGRAM), "hour", {"team": "MAX(team)"})}
        ), sums AS (
            SELECT {keys}, hour, MAX(team) AS team, {", ".join(f"{counted(c)} AS {c}" for c in COUNTERS)},
                   SUM(turns_requests_failed_total) >= {SEVERAL} AS turned
            FROM counted GROUP BY {keys}, hour
        ), covered AS (
            SELECT {keys}, hour, MAX(team) AS team, SUM(part_us) / {HOUR_US} AS coverage, {", ".join(f"MAX({c} - {c}) AS {c}" for c in COUNTERS)}
            FROM ({by_hour("(SELECT * EXCLUDE (hour) FROM segments)", f"date_diff('microsecond', t0, t1) <= {max_step_us}", clock)}) GROUP BY {keys}, hour
        ), histograms AS ({histogram_sql("counted", f"{keys}, hour", HISTOGRAM)}
        ), hours AS (SELECT {keys}, hour FROM sums UNION SELECT {keys}, hour FROM covered)
        SELECT a.*, COALESCE(s.team, c.team) AS team,
               CASE WHEN s.turned IS NOT TRUE THEN {value["requests_total"]} - COALESCE({value["requests_failed_total"]}, 0) END AS inferences,
               {value["requests_failed_total"]} AS failed, {value["prompt_tokens_total"]} AS tokens_in,
               {value["cached_tokens_total"]} AS tokens_cached, {value["generation_tokens_total"]} AS tokens_out,
               h.bounds, h.counts, h.lost, COALESCE(c.coverage, 0) AS coverage
        FROM hours AS a
        LEFT JOIN sums AS s ON {same.replace("b.", "s.")}
        LEFT JOIN covered AS c ON {same.replace("b.", "c.")}
        LEFT JOIN histograms AS h ON {same.replace("b.", "h.")}
        WHERE COALESCE(c.coverage, 0) > 0 OR s.turned OR s.requests_total > 0 OR s.requests_failed_total > 0
              OR s.prompt_tokens_total > 0 OR s.generation_tokens_total > 0"""


def turns_sql(samples: str, max_step_us: int, bridge_us: int, clock: Clock = UTC_CLOCK) -> str:
    """SQL: file, ts and turn (in words) of samples that make the counts of an hour unknown.

    Args: As in `inference_hourly_sql`.
    """
    own = f"SUM(turns_requests_total) OVER (PARTITION BY {', '.join(SERIES)}, hour)"
    return f"""
        SELECT file, ts, concat_ws(' ', workload, pod) || ': ' || concat_ws(', ', earlier, value, later)
               || '; pods or replicas under one name? Give a column pod, or prometheus_replica' AS turn
        FROM (
            SELECT *, requests_total AS value, LAG(requests_total) OVER s AS earlier, LEAD(requests_total) OVER s AS later, {own} AS turns
            FROM ({segments_sql(samples, max_step_us, bridge_us, clock)}) WINDOW s AS (PARTITION BY {", ".join(SERIES)} ORDER BY ts)
        ) WHERE turns_requests_total > 0 AND turns >= {SEVERAL}"""
