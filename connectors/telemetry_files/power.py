"""Samples of wall and node power meters to `telemetry.power_hourly`, in SQL.

The same rules as for cards: the counter first, the trapezoid of the gauge else, gaps bridged by the counter only. A counter that
jumps (`connectors.meters.jumps`) or stands still beside its gauge is not believed there. Meters
may be read more seldom than cards: steps that are no longer than the ones beside them are no gaps. The
mean power of a quarter of an hour, by which demand is billed, is known where samples without a gap cover all of it.
"""

from __future__ import annotations

import polars as pl

from connectors.meters import JUMP_KWH, LACKS, METER, METHODS, STILL
from connectors.sql import literal
from connectors.steps import HOUR_US, MEAN_W, UTC_CLOCK, Clock, by_hour, energy_steps, kwh, paced
from connectors.telemetry import LESS, MAX_METER_KW, TOO_LOW


def meter_steps_sql(samples: str, max_step_us: int, bridge_us: int) -> str:
    """SQL: the table `steps`: from each sample of a meter to its next.

    Args:
        samples: Relation of `samples_sql("power", ...)`.
        max_step_us: Longer steps between samples are gaps.
        bridge_us: Longer gaps are not bridged by the counter.
    """
    methods = ", ".join(literal(m) for m in METHODS)
    return f"""
        WITH meters AS (
            SELECT {METER} AS meter, ts, MAX(node) AS node, MAX(CASE WHEN method IN ({methods}) THEN method END) AS method, MAX(energy_kwh_total) AS energy_kwh_total,
                   AVG(power_w) AS power_w
            FROM {samples} WHERE ts IS NOT NULL AND {METER} IS NOT NULL GROUP BY ALL
        ), paced AS ({paced("meters", "meter", "TRUE", max_step_us)})
        SELECT * FROM ({energy_steps("paced", "meter", "max_us", bridge_us, MAX_METER_KW)})"""


GAUGE = kwh(MEAN_W)
"""SQL: kWh of a step by the gauge."""

RISES = f"""
    SELECT meter, ts, t1 AS until, counted, us / {HOUR_US} AS step_h, NOT observed AND us >= {HOUR_US} AS silent, MIN(t0) OVER since AS risen,
           CASE WHEN BOOL_AND(observed) OVER since AND COUNT({GAUGE}) OVER since = COUNT(*) OVER since THEN SUM({GAUGE}) OVER since END AS gauge
    FROM (
        SELECT *, COUNT(*) FILTER (counted > 0) OVER (PARTITION BY meter ORDER BY ts ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS run
        FROM steps WHERE meter IN (SELECT meter FROM steps WHERE counted > {JUMP_KWH} AND NOT stale)
    ) WINDOW since AS (PARTITION BY meter, run) QUALIFY counted > 0 AND NOT stale AND (NOT implausible OR gauge IS NULL)"""
"""SQL: of `steps`, what `connectors.meters.jumps` judges."""


def unbelieved_sql(found: pl.DataFrame) -> str:
    """SQL: takes the jumps out of `steps`: the gauge tells what it can. What a counter regains is an estimate of all the time since it rose.

    Args:
        found: meter, ts, until, risen (when it rose before), took_h and regained.
    """
    rows = ", ".join(
        f"({literal(meter)}, TIMESTAMP {literal(str(ts))}, TIMESTAMP {literal(str(risen))}, {regained})"
        for meter, ts, risen, regained in found.select(
            "meter",
            "ts",
            pl.max_horizontal("risen", pl.col("until") - pl.duration(microseconds=pl.col("took_h") * 3.6e9)),
            "regained",
        ).iter_rows()
    )
    return f"""
        CREATE OR REPLACE TEMP TABLE doubted AS FROM (VALUES {rows}) AS d(meter, ts, risen, regained);
        UPDATE steps SET implausible = TRUE, kwh = CASE WHEN observed THEN {GAUGE} END WHERE (meter, ts) IN (SELECT (meter, ts) FROM doubted WHERE NOT regained);
        DELETE FROM steps AS s USING doubted AS d WHERE d.regained AND s.meter = d.meter AND s.ts >= d.risen AND s.ts < d.ts;
        UPDATE steps AS s SET t0 = risen, us = date_diff('microsecond', risen, t1), observed = FALSE, implausible = FALSE, kwh = counted
        FROM doubted AS d WHERE d.regained AND s.meter = d.meter AND s.ts = d.ts;
        DROP TABLE doubted"""


def standing_sql(clock: Clock, near_us: int) -> str:
    """SQL: in hours in which a meter's counter stands still, or counts in a larger unit, the gauge tells of `steps`.

    That is where it shows less than a tenth of the gauge (`TOO_LOW`), and no `LACKS` of its smallest rises
    (nor of `JUMP_KWH`) are what it lacks. A small load does not lack so much in an hour: also where every step shows less than a tenth
    for so long that the gauge has more than `STILL` times that. What such a meter later regains in one step is told already.

    Args:
        clock: Where the hours of the site lie.
        near_us: What is farther away says nothing, so that a day has one result, whatever is read with it.
    """
    told = f"observed AND NOT implausible AND counted IS NOT NULL AND {GAUGE} IS NOT NULL"
    low = f"counted * {LESS} < {GAUGE}"
    near = f"to_microseconds({near_us})"
    around = f"ORDER BY ts RANGE BETWEEN {near} PRECEDING AND {near} FOLLOWING"
    smallest = (
        f"MIN(CASE WHEN counted > 0 AND NOT implausible THEN counted END) OVER (PARTITION BY meter {around})"
    )
    hours = by_hour("ticked", told, clock)
    return f"""
        WITH suspects AS MATERIALIZED (SELECT DISTINCT meter FROM steps WHERE {told} AND {low}
        ), ticked AS MATERIALIZED (
            SELECT *, {LACKS} * GREATEST(COALESCE({smallest}, 0), {JUMP_KWH}) AS tick,
                   COUNT(*) FILTER (counted > 0 AND NOT COALESCE({low}, FALSE)) OVER (PARTITION BY meter ORDER BY ts) AS run
            FROM steps SEMI JOIN suspects USING (meter)
        ), low AS (
            SELECT meter, hour FROM (
                SELECT meter, hour, SUM(counted * part_us / us) AS counted, SUM({GAUGE} * part_us / us) - MAX(tick) AS gauge, SUM(part_us) / {HOUR_US} AS seen
                FROM ({hours}) GROUP BY meter, hour
            ) WHERE {TOO_LOW}
        ), still AS MATERIALIZED (
            SELECT meter, ts FROM ({hours}) SEMI JOIN low USING (meter, hour)
            UNION SELECT meter, ts FROM ticked WHERE {told} AND {low}
            QUALIFY SUM({GAUGE}) OVER (PARTITION BY meter, run {around}) > {STILL} * tick
        ), told AS (
            FROM still UNION
            SELECT meter, ts FROM ticked AS t WHERE {told} AND counted > {LESS} * {GAUGE} AND counted > tick
               AND EXISTS (FROM still AS s WHERE s.meter = t.meter AND s.ts BETWEEN t.ts - {near} AND t.ts)
        )
        UPDATE steps SET implausible = TRUE, kwh = {GAUGE} WHERE (meter, ts) IN (FROM told)"""


JUMPS = f"""
    SELECT MAX(file) AS file, ts, j.meter || ': ' || CAST(ROUND(counted, 3) AS VARCHAR) || ' kWh in ' || CAST(us / 1000000 AS VARCHAR) || ' s' AS jump
    FROM samples AS s JOIN (SELECT meter, ts, counted, us FROM steps WHERE implausible) AS j USING (ts) WHERE {METER.replace("meter", "s.meter")} = j.meter
    GROUP BY ts, j.meter, counted, us"""
"""SQL: file, ts and jump (in words) of counter steps that were not believed."""


def power_hourly_sql(clock: Clock = UTC_CLOCK) -> str:
    """SQL: hours of meters, from `steps`.

    Args:
        clock: Where the hours of the site lie.

    Returns:
        The columns of `telemetry.power_hourly` without day, source and site.
    """
    quarters = ", ".join(_mean_kw(k) for k in (1, 2, 3, 4))
    return f"""
        SELECT hour, meter, COALESCE(MAX(method), 'file') AS method, BOOL_OR(energy_kwh_total IS NOT NULL) AS counter, MAX(node) AS node,
               SUM(CASE WHEN observed THEN kwh * part_us / us ELSE 0 END) AS energy_kwh,
               SUM(CASE WHEN observed THEN 0 ELSE kwh * part_us / us END) AS energy_estimated_kwh,
               SUM(CASE WHEN observed THEN part_us ELSE 0 END) / {HOUR_US} AS coverage,
               {quarters}
        FROM ({by_hour("steps", "kwh IS NOT NULL", clock, quarters=True)})
        GROUP BY hour, meter"""


def _mean_kw(quarter: int) -> str:
    where = f"FILTER (WHERE observed AND quarter = {quarter})"
    return f"CASE WHEN SUM(part_us) {where} = {HOUR_US // 4} THEN SUM(kwh * part_us / us) {where} * 4 END AS kw_q{quarter}"
