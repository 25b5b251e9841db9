"""Samples of wall and node power meters to `telemetry.power_hourly`, in SQL.

The same rules as for cards: the counter first, the trapezoid of the gauge else, gaps bridged by the counter only. Meters
may be read more seldom than cards: steps that are no longer than the ones beside them are no gaps. The
mean power of a quarter of an hour, by which demand is billed, is known where samples without a gap cover all of it.
"""

from __future__ import annotations

from connectors.meters import METER, METHODS
from connectors.sql import literal
from connectors.steps import HOUR_US, UTC_CLOCK, Clock, by_hour, energy_steps, paced
from connectors.telemetry import MAX_METER_KW


def power_hourly_sql(samples: str, max_step_us: int, bridge_us: int, clock: Clock = UTC_CLOCK) -> str:
    """SQL: hours of meters.

    Args:
        samples: Relation of `samples_sql("power", ...)`.
        max_step_us: Longer steps between samples are gaps.
        bridge_us: Longer gaps are not bridged by the counter.
        clock: Where the hours of the site lie.

    Returns:
        The columns of `telemetry.power_hourly` without day, source and site.
    """
    methods = ", ".join(literal(m) for m in METHODS)
    quarters = ", ".join(_mean_kw(k) for k in (1, 2, 3, 4))
    return f"""
        WITH meters AS (
            SELECT {METER} AS meter, ts, MAX(node) AS node, MAX(CASE WHEN method IN ({methods}) THEN method END) AS method, MAX(energy_kwh_total) AS energy_kwh_total,
                   AVG(power_w) AS power_w
            FROM {samples} WHERE ts IS NOT NULL AND {METER} IS NOT NULL GROUP BY ALL
        ), paced AS ({paced("meters", "meter", "TRUE", max_step_us)}
        ), steps AS ({energy_steps("paced", "meter", "max_us", bridge_us, MAX_METER_KW)})
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
