"""Samples of wall and node power meters to `telemetry.power_hourly`, in SQL.

The same rules as for cards: the counter first, the trapezoid of the gauge else, gaps bridged by the counter only. Meters
may be read more seldom than cards: steps that are no longer than the ones beside them are no gaps. The
mean power of a quarter of an hour, by which demand is billed, is known where samples without a gap cover all of it.
"""

from __future__ import annotations

from connectors.meters import METER, METHODS
from connectors.sql import literal
from connectors.steps import HOUR_US, UTC_CLOCK, Clock, by_hour, energy_steps
from connectors.telemetry_files.columns import MAX_METER_KW

SELDOM_S = 1900
"""Seconds: a meter is read every half an hour, or more often."""

EVEN = 1.25
"""The longest of equal steps / the shortest."""


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
        ), paced AS ({_paced_sql("meters", max_step_us)}
        ), steps AS ({energy_steps("paced", "meter", "max_us", bridge_us, MAX_METER_KW)})
        SELECT hour, meter, COALESCE(MAX(method), 'file') AS method, MAX(node) AS node,
               SUM(CASE WHEN observed THEN kwh * part_us / us ELSE 0 END) AS energy_kwh,
               SUM(CASE WHEN observed THEN 0 ELSE kwh * part_us / us END) AS energy_estimated_kwh,
               SUM(CASE WHEN observed THEN part_us ELSE 0 END) / {HOUR_US} AS coverage,
               {quarters}
        FROM ({by_hour("steps", "kwh IS NOT NULL", clock, quarters=True)})
        GROUP BY hour, meter"""


def _paced_sql(meters: str, max_step_us: int) -> str:
    """SQL: adds max_us, the longest step from each row on that is no gap.

    Of three steps in a row that are equally long, up to `EVEN`, none is a gap, if it is of at most `SELDOM_S` seconds.
    """
    before, here, after = ("LAG(step, {}) OVER s", "step", "LEAD(step, {}) OVER s")
    windows = [
        [before.format(2), before.format(1), here],
        [before.format(1), here, after.format(1)],
        [here, after.format(1), after.format(2)],
    ]
    even = " OR ".join(
        f"GREATEST({', '.join(w)}) <= {EVEN} * LEAST({', '.join(w)}) AND NOT ({' OR '.join(f'{x} IS NULL' for x in w)})"
        for w in windows
    )
    return f"""
        SELECT * EXCLUDE (step), CASE WHEN step <= {SELDOM_S * 1_000_000} AND ({even}) THEN GREATEST(step, {max_step_us}) ELSE {max_step_us} END AS max_us
        FROM (SELECT *, date_diff('microsecond', ts, LEAD(ts) OVER (PARTITION BY meter ORDER BY ts)) AS step FROM {meters})
        WINDOW s AS (PARTITION BY meter ORDER BY ts)"""


def _mean_kw(quarter: int) -> str:
    where = f"FILTER (WHERE observed AND quarter = {quarter})"
    return f"CASE WHEN SUM(part_us) {where} = {HOUR_US // 4} THEN SUM(kwh * part_us / us) {where} * 4 END AS kw_q{quarter}"
