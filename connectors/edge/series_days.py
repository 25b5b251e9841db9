"""Samples of edge devices' series to `telemetry.edge_daily`, in SQL.

Rules, those of `days.py` as far as series can tell:
- A counter's increment belongs to the local day of the later sample. A counter that falls began at 0; one of inferences
  also where its uptime says that the device started since the sample before. A series' first sample within the bridge sets the base.
- Of series that show one counter (`labels.ignored`) a reading that another one is ahead of counts nothing, if its own
  series gets there within `MAX_STEP` report intervals, or would by what it rose in the last ones: it has another clock.
  So does one that shows the counter as it was before a restart that another series has shown already.
- Counts are NULL where a fall cannot be a restart (`connectors/counters.py`), and so is energy; then the gauge counts.
- Bounds of a histogram that are not in all of a day's samples of it are left out.
- A device is online back from each sample (of any metric) to the one before, at most `MAX_STEP` report intervals.
- Energy is the counter's; over a longer gap it is estimated. On days without the counter it is the gauge of power's:
  trapezoids between samples that are no gap.
- Models and workloads of a device have rows of their own; they share its hours and its energy by inferences.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

from connectors.counters import FEW, counted, counter_increments, counter_segments
from connectors.edge.days import MAX_COUNTED_KW, QUARTER, by_quarter, calendar
from connectors.steps import HOUR_US

CARRIED = ("device_model", "model", "team", "project", "environment", "workload", "workload_type")
COUNTED = "('inferences', 'failed', 'latency')"
"""Counters that the device's start sets to 0; a meter's may go on."""

ALIKE = 20
"""Turns by which two series of a device that never contradict each other show that they are one counter."""

MAX_UPTIME_S = 1e10
"""Three hundred years; what says more, or less than 0, is no uptime."""


def series_days_sql(
    samples: str,
    about: str,
    bounds: Mapping[date, tuple[datetime, datetime]],
    max_step_us: int,
    bridge_us: int,
    *,
    kwh: float,
    watts: float,
) -> str:
    """SQL: days of devices.

    Args:
        samples: Relation with the columns of `series.SAMPLES`.
        about: Relation with the columns of `series.ABOUT`.
        bounds: Local day -> its first instant and the next day's, UTC without a zone.
        max_step_us: A sample covers at most this.
        bridge_us: A longer silence starts a series anew.
        kwh: How many of the energy counter's unit are a kWh.
        watts: How many of the power gauge's unit are a watt.

    Returns:
        The columns of `telemetry.edge_daily` without source, site and coverage, with `bounds` and `counts` (the
        histogram) in place of latency_buckets; `lost` (bounds that are not in all of its parts), `turned` (kinds of counters
        that take turns), `dropped` (readings of power that no device draws; of the device, in each of its rows), `alike` (kinds of counters that two series of the device show alike).
    """
    same = " AND ".join(
        f"{{0}}.{c} IS NOT DISTINCT FROM {{1}}.{c}" for c in ("device", "day", "model", "workload")
    )
    on = same.format
    key = "device, day, model, workload"
    plausible = f"value BETWEEN 0 AND {MAX_COUNTED_KW * 1000 * watts}"
    cut = "GREATEST({0}, c.opens), LEAST({1}, c.closes)"
    recent = f"ORDER BY moment RANGE BETWEEN to_microseconds({max_step_us}) PRECEDING AND CURRENT ROW"
    return f"""
        WITH points AS (SELECT series, ts, MAX(value) AS value FROM {samples} GROUP BY series, ts
        ), placed AS (
            SELECT p.*, a.kind, a.device, a.stream, c.day FROM points AS p JOIN {about} AS a USING (series)
            JOIN {by_quarter(bounds)} AS c ON time_bucket(INTERVAL {QUARTER}, p.ts) = c.quarter
        ), starts AS (
            SELECT device, ts - to_microseconds(CAST(value * 1e6 AS BIGINT)) AS started FROM (
                SELECT *, LAG(value) OVER w AS before, date_diff('microsecond', LAG(ts) OVER w, ts) / 1e6 AS seconds
                FROM (SELECT device, ts, MAX(value) AS value FROM placed WHERE kind = 'uptime' AND value BETWEEN 0 AND {MAX_UPTIME_S} GROUP BY device, ts)
                WINDOW w AS (PARTITION BY device ORDER BY ts)
            ) WHERE value < before OR value < seconds
        ), lives AS (
            SELECT device, started, COALESCE(LEAD(started) OVER (PARTITION BY device ORDER BY started), TIMESTAMP 'infinity') AS until
            FROM (SELECT device, started FROM starts UNION SELECT device, TIMESTAMP '-infinity' FROM starts)
        ), readings AS (SELECT * FROM placed WHERE kind NOT IN ('uptime', 'power')
        ), doubled AS (SELECT stream FROM {about} GROUP BY stream HAVING COUNT(*) > 1
        ), ordered AS (
            SELECT *, ts + to_microseconds(row_number() OVER (PARTITION BY stream, ts ORDER BY value DESC, series) - 1) AS moment
            FROM readings SEMI JOIN doubled USING (stream)
        ), followed AS (
            SELECT *, LAG(value) OVER s AS before, series <> LAG(series) OVER s AS other,
                   MAX(value) OVER (own RANGE BETWEEN CURRENT ROW AND to_microseconds({max_step_us}) FOLLOWING) AS later,
                   value - MIN(value) OVER (own RANGE BETWEEN to_microseconds({max_step_us}) PRECEDING AND CURRENT ROW) AS rose,
                   value < LAG(value) OVER own AS fell, LEAD(value) OVER own < value AS falls
            FROM ordered WINDOW s AS (PARTITION BY stream ORDER BY moment), own AS (PARTITION BY series ORDER BY moment)
        ), restarted AS (
            SELECT *, BOOL_OR(fell) OVER (PARTITION BY stream {recent}) AND NOT BOOL_OR(fell) OVER (PARTITION BY series {recent}) AS others_fell FROM followed
        ), kept AS (
            SELECT * REPLACE (moment AS ts) FROM restarted
            WHERE NOT COALESCE(other AND value < before AND GREATEST(later, value + rose) >= before, FALSE)
              AND NOT COALESCE(falls AND others_fell AND value > before, FALSE)
            UNION ALL BY NAME SELECT * FROM readings ANTI JOIN doubled USING (stream)
        ), counters AS (
            SELECT p.stream, p.ts, p.value, p.day, p.series, CASE WHEN kind IN {COUNTED} THEN started END AS life,
                   CASE WHEN kind = 'energy' THEN 0 ELSE {FEW} END AS few,
                   CASE WHEN kind = 'energy' THEN {MAX_COUNTED_KW * kwh / HOUR_US} END AS most, CAST(NULL AS MAP(VARCHAR, DOUBLE)) AS buckets
            FROM kept AS p LEFT JOIN lives AS l ON l.device = p.device AND p.ts >= started AND p.ts < until
        ), segments AS ({counter_segments("counters", ("stream",), ("value",), bridge_us, max_step_us, life="life", period="day", few={"value": "few"}, most={"value": "most"})}
        ), increments AS ({counter_increments("segments", ("stream",), ("value",), "day", {"told": "COUNT(*) FILTER (NOT fresh)", "begun": "COUNT(*) FILTER (fresh)", "series": "arg_max(series, ts)"})}
        ), counted AS (
            SELECT i.day, i.value, i.turns_value, i.begun, a.* FROM increments AS i JOIN {about} AS a USING (series) WHERE told > 0
        ), kinds AS (
            SELECT {key}, kind, stream, MAX(bound) AS bound, {counted("value")} AS value, SUM(begun) AS begun
            FROM counted GROUP BY {key}, kind, stream
        ), sums AS (
            SELECT {key}, kind, CASE WHEN COUNT(*) = COUNT(value) THEN SUM(value) END AS value FROM kinds GROUP BY {key}, kind
        ), turned AS (
            SELECT device, day, list(DISTINCT kind ORDER BY kind) AS unknown FROM kinds WHERE value IS NULL GROUP BY device, day
        ), work AS (
            SELECT {key}, MAX(value) FILTER (kind = 'inferences') AS inferences, MAX(value) FILTER (kind = 'failed') AS failed,
                   BOOL_OR(kind = 'inferences' AND value IS NULL) AS unknown
            FROM sums WHERE kind IN ('inferences', 'failed') GROUP BY {key}
        ), gaps AS (
            SELECT device, day, SUM(CASE WHEN restart THEN value ELSE value - before END) AS gap
            FROM (SELECT *, LAG(value) OVER (PARTITION BY stream ORDER BY ts) AS before FROM segments) JOIN {about} AS a USING (series)
            WHERE kind = 'energy' AND NOT fresh AND date_diff('microsecond', previous_ts, ts) > {max_step_us}
            GROUP BY device, day
        ), metered AS (
            SELECT device, day, SUM(value) / {kwh} AS kwh, COALESCE(MAX(gap), 0) / {kwh} AS gap_kwh
            FROM sums LEFT JOIN gaps USING (device, day) WHERE kind = 'energy' GROUP BY device, day HAVING COUNT(*) = COUNT(value)
        ), gauged AS (
            SELECT device, c.day,
                   SUM((value + before) / 2 * date_diff('microsecond', {cut.format("t0", "ts")})) / {watts} / 3.6e12 AS kwh
            FROM (
                SELECT device, ts, value, LAG(ts) OVER w AS t0, LAG(value) OVER w AS before FROM placed
                WHERE kind = 'power' AND {plausible}
                WINDOW w AS (PARTITION BY stream ORDER BY ts)
            ) AS s JOIN {calendar(bounds)} ON s.t0 < c.closes AND s.ts > c.opens
            WHERE date_diff('microsecond', t0, ts) <= {max_step_us} GROUP BY device, c.day
        ), switches AS (
            SELECT device, day, kind, model, workload, value, stream <> LAG(stream) OVER w AS other, value < LAG(value) OVER w AS falls
            FROM readings JOIN (SELECT series, model, workload FROM {about}) USING (series)
            SEMI JOIN (SELECT device, kind FROM {about} WHERE kind IN ('inferences', 'energy') GROUP BY ALL HAVING COUNT(DISTINCT stream) > 1) USING (device, kind)
            WINDOW w AS (PARTITION BY device, day, kind, model, workload ORDER BY ts, value)
        ), twins AS (
            SELECT device, day, list(DISTINCT kind ORDER BY kind) AS alike FROM (
                SELECT device, day, kind FROM switches WHERE other GROUP BY device, day, kind, model, workload
                HAVING COUNT(DISTINCT value) >= {ALIKE} AND NOT BOOL_OR(falls)
            ) GROUP BY device, day
        ), nonsense AS (SELECT device, day, COUNT(*) AS dropped FROM placed WHERE kind = 'power' AND NOT ({plausible}) GROUP BY device, day
        ), moments AS (SELECT DISTINCT device, ts, day FROM placed
        ), online AS (
            SELECT device, c.day, SUM(date_diff('microsecond', {cut.format("t0", "ts")})) / 3.6e9 AS hours
            FROM (
                SELECT device, ts, GREATEST(previous_ts, ts - to_microseconds({max_step_us})) AS t0 FROM (
                    SELECT *, LAG(ts) OVER (PARTITION BY device ORDER BY ts) AS previous_ts FROM moments
                ) WHERE date_diff('microsecond', previous_ts, ts) <= {bridge_us}
            ) AS s JOIN {calendar(bounds)} ON s.t0 < c.closes AND s.ts > c.opens GROUP BY device, c.day
        ), devices AS (
            SELECT device, m.day, COALESCE(hours, 0) AS hours, COALESCE(metered.kwh - gap_kwh, gauged.kwh) AS kwh,
                   COALESCE(gap_kwh, 0) AS gap_kwh
            FROM (SELECT DISTINCT device, day FROM moments) AS m LEFT JOIN online USING (device, day)
            LEFT JOIN metered USING (device, day) LEFT JOIN gauged USING (device, day)
        ), labelled AS (
            SELECT {key}, COUNT(DISTINCT ts) AS messages, {", ".join(f"arg_max({c}, ts) AS {c}" for c in CARRIED if c not in ("model", "workload"))}
            FROM (SELECT p.ts, p.day, a.* FROM placed AS p JOIN {about} AS a USING (series)) WHERE kind = 'inferences' GROUP BY {key}
        ), shared AS (
            SELECT d.device, d.day, d.hours, d.kwh, d.gap_kwh, l.* EXCLUDE (device, day), w.inferences, w.failed,
                   CASE WHEN NOT COALESCE(BOOL_OR(w.unknown) OVER here, FALSE) THEN SUM(w.inferences) OVER here END AS total, COUNT(*) OVER here AS parts
            FROM devices AS d LEFT JOIN labelled AS l ON l.device = d.device AND l.day = d.day
            LEFT JOIN work AS w ON {on("w", "l")}
            WINDOW here AS (PARTITION BY d.device, d.day)
        ), bins AS (
            SELECT {key}, CAST(REPLACE(bound, 'Inf', 'inf') AS DOUBLE) AS bound, CASE WHEN COUNT(*) = COUNT(value) THEN SUM(value) END AS requests,
                   (SUM(begun), SUM(samples)) AS seen
            FROM kinds JOIN (SELECT stream, day, COUNT(*) AS samples FROM readings GROUP BY stream, day) USING (stream, day)
            WHERE kind = 'latency' AND TRY_CAST(REPLACE(bound, 'Inf', 'inf') AS DOUBLE) IS NOT NULL
            GROUP BY {key}, CAST(REPLACE(bound, 'Inf', 'inf') AS DOUBLE)
        ), whole AS (
            SELECT *, COALESCE(seen = MAX(seen) FILTER (isinf(bound)) OVER (PARTITION BY {key}), FALSE) AS everywhere,
                   BOOL_AND(requests IS NOT NULL) OVER (PARTITION BY {key}) AS known
            FROM bins
        ), histograms AS (
            SELECT {key}, COUNT(*) FILTER (NOT everywhere) AS lost,
                   list(CASE WHEN isinf(bound) THEN '+Inf' ELSE format('{{:g}}', bound) END ORDER BY bound) FILTER (everywhere AND usable) AS bounds,
                   list(requests ORDER BY bound) FILTER (everywhere AND usable) AS counts
            FROM (SELECT *, known AND BOOL_OR(everywhere AND NOT isinf(bound)) OVER (PARTITION BY {key}) AS usable FROM whole)
            GROUP BY {key}
        ), parts AS (
            SELECT *, CASE WHEN total > 0 THEN COALESCE(inferences, 0) / total ELSE 1 / parts END AS part FROM shared
        )
        SELECT p.day, p.device, {", ".join(f"p.{c}" for c in CARRIED)}, inferences, failed, hours * part AS online_hours,
               kwh * part AS energy_kwh, gap_kwh * part AS energy_estimated_kwh, COALESCE(messages, 0) AS messages, bounds, counts,
               lost, unknown AS turned, dropped, alike
        FROM parts AS p LEFT JOIN histograms AS h ON {on("h", "p")} LEFT JOIN turned AS t ON t.device = p.device AND t.day = p.day
        LEFT JOIN nonsense AS n ON n.device = p.device AND n.day = p.day
        LEFT JOIN twins AS w ON w.device = p.device AND w.day = p.day"""
