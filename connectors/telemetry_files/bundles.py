"""Bundles of samples: what is regular is added up while it is read, and only the rest is put in order of time.

Almost all samples of a card come at their interval, under one holder, with a counter that grows. An hour of them says
no more than its first and its last sample, and the sums of those between. So one pass adds up the samples of each card,
instance, holder and stretch of up to `SLOTS` intervals, and proves of each such bundle that nothing is hidden in it. The
samples of a stretch of which one bundle cannot be proven are read one by one, and so are those of its neighbours.

A bundle is proven if each of its intervals holds exactly one sample and all at the same phase (to 1 % of the interval),
no value was dropped, utilisation is known of all samples or of none, and energy follows from its ends: the counter is
least at its first sample and greatest at its last, in between it rises by no more than a card can draw, and it is high
enough that a restart from zero would show as a lower value. Without a counter column the gauge is integrated by the
trapezoid, which for even steps is the mean step times the sum of all powers less half of the first and the last.

What this cannot see is a counter that falls within a stretch by less than it rises there: energy is then what the
counter shows at its ends. A restart always falls by more.
"""

from __future__ import annotations

from connectors.steps import HOUR_US, Clock
from connectors.telemetry_files.columns import GPU, MAX_CARD_KW

SLOTS = 62
"""Intervals of one bundle at most: as many as a BIGINT has bits for."""

_PHASE = 0.01
"""Share of the interval by which samples of a bundle may be early or late."""

_LABELS = tuple(c.name for c in GPU if not c.condition)
_SERIES = "COALESCE(mig_id, mig_profile)"


def _stretch(clock: Clock, interval_us: int) -> str:
    """SQL: `unit`, `stretch` (the number within it) of samples, and `offset_us` within the unit.

    Half an interval is added, so that samples a moment early or late on the full minute share a slot.
    """
    return (
        f"SELECT *, offset_us // {interval_us * SLOTS} AS stretch FROM (SELECT *, "
        f"date_diff('microsecond', unit, ts) + {interval_us // 2} AS offset_us FROM (SELECT *, {clock.unit('ts')} AS unit"
    )


def bundles_sql(
    samples: str, clock: Clock, interval_us: int, max_step_us: int, bridge_us: int, *, counter: bool
) -> str:
    """SQL: the bundles of samples, and whether they are `regular`.

    Args:
        samples: SELECT of `samples_sql("gpu", ...)`.
        clock: Where the hours of the site lie.
        interval_us: Time between samples.
        max_step_us: Longer steps are gaps.
        bridge_us: Longer gaps are not bridged by the counter.
        counter: A file has an energy counter; else energy follows from the gauge.

    Returns:
        One row a file, card, instance, holder and stretch: labels, n, first_ts, last_ts, utilisation of the samples
        before the last (their mean) and of the last, energy or power of both ends, `bundle_kwh` between them.
    """
    value = "energy_kwh_total" if counter else "power_w"
    ends = (
        f"arg_min({value}, ts) AS first_value, arg_max({value}, ts) AS last_value, COUNT({value}) AS valued"
    )
    bad = " + ".join(f"COUNT({c.name}_bad)" for c in GPU if c.condition)
    most = MAX_CARD_KW / HOUR_US
    if counter:
        ends += f", MIN({value}) AS least, MAX({value}) AS greatest"
        proven = (
            f"valued = n AND least = first_value AND greatest = last_value AND last_value - first_value <= {most} * us "
            f"AND first_value > {most} * {max_step_us}"
        )
        kwh = "last_value - first_value"
        jump = f"next_value < last_value OR next_value - last_value > {most} * date_diff('microsecond', last_ts, next_ts)"
        breaks = f"date_diff('microsecond', last_ts, next_ts) <= {bridge_us} AND ({jump})"
    else:
        ends += f", SUM({value}) AS total"
        proven = "valued IN (0, n)"
        kwh = "(total - (first_value + last_value) / 2) * us / (n - 1) / 3.6e12"
        breaks = "FALSE"
    near = "(PARTITION BY gpu ORDER BY unit, stretch)"
    return f"""
        WITH added AS (
            SELECT file, unit, stretch, {", ".join(_LABELS)}, COUNT(*) AS n, MIN(ts) AS first_ts, MAX(ts) AS last_ts,
                   COUNT(utilisation) AS used, SUM(utilisation) AS used_sum, arg_max(utilisation, ts) AS last_utilisation,
                   MIN(offset_us % {interval_us}) AS early, MAX(offset_us % {interval_us}) AS late,
                   BIT_OR(1::BIGINT << CAST(offset_us // {interval_us} % {SLOTS} AS BIGINT)) AS slots,
                   {bad} AS bad, {ends}
            FROM ({_stretch(clock, interval_us)} FROM ({samples}))))
            GROUP BY ALL
        ), bundles AS (
            SELECT *, {_SERIES} AS series, COALESCE({proven}, FALSE) AND bad = 0 AND used IN (0, n)
                   AND gpu IS NOT NULL AND node IS NOT NULL AND bit_count(slots) = n
                   AND us < (n - 0.5) * {interval_us} AND late - early <= {interval_us * _PHASE} AS proven
            FROM (SELECT *, date_diff('microsecond', first_ts, last_ts) AS us FROM added)
        ), followed AS (
            SELECT *, COALESCE(next_ts <= last_ts OR {breaks}, FALSE) AS broken FROM (
                SELECT *, LEAD(first_ts) OVER w AS next_ts, LEAD(first_value) OVER w AS next_value FROM bundles
                WINDOW w AS (PARTITION BY gpu, series ORDER BY first_ts, last_ts))
        ), stretches AS (
            SELECT gpu, unit, stretch, MIN(first_ts) AS first_ts, MAX(last_ts) AS last_ts,
                   MIN(first_value) AS first_value, MAX(last_value) AS last_value, BOOL_OR(broken) AS broken,
                   NOT BOOL_AND(proven) OR MIN(COALESCE(series, '')) < MAX(COALESCE(series, '')) AND (
                       MIN(n) < MAX(n) OR MIN(first_ts) < MAX(first_ts) OR MIN(last_ts) < MAX(last_ts)
                       OR MIN(first_value) < MAX(first_value) OR MIN(last_value) < MAX(last_value)) AS odd
            FROM followed GROUP BY gpu, unit, stretch
        ), breaks AS (
            SELECT *, odd OR broken OR COALESCE({breaks}, FALSE) AS breaks FROM (
                SELECT *, LEAD(first_ts) OVER {near} AS next_ts, LEAD(first_value) OVER {near} AS next_value FROM stretches)
        ), judged AS (
            SELECT gpu, unit, stretch, breaks OR COALESCE(LAG(breaks) OVER {near} OR LEAD(odd OR broken) OVER {near}, FALSE) AS odd
            FROM breaks
        )
        SELECT r.file, r.unit, r.stretch, {", ".join(f"r.{c}" for c in _LABELS)}, n, first_ts, last_ts, NOT odd AS regular,
               CASE WHEN n > 1 THEN (used_sum - last_utilisation) / (n - 1) ELSE used_sum END AS utilisation,
               last_utilisation, first_value, last_value, CASE WHEN n > 1 THEN {kwh} END AS bundle_kwh
        FROM bundles AS r JOIN judged AS s ON r.gpu IS NOT DISTINCT FROM s.gpu AND r.unit IS NOT DISTINCT FROM s.unit
             AND r.stretch IS NOT DISTINCT FROM s.stretch"""


def single_sql(samples: str, bundles: str, clock: Clock, interval_us: int) -> str:
    """SQL: the samples that belong to no regular bundle, with the columns of `samples`."""
    return f"""
        SELECT * EXCLUDE (unit, stretch, offset_us) FROM ({_stretch(clock, interval_us)} FROM ({samples})))) AS s
        WHERE EXISTS (FROM (SELECT DISTINCT gpu, unit, stretch FROM {bundles} WHERE NOT regular) AS r
            WHERE r.gpu IS NOT DISTINCT FROM s.gpu AND r.unit IS NOT DISTINCT FROM s.unit
                  AND r.stretch IS NOT DISTINCT FROM s.stretch)"""


def points_sql(bundles: str, singles: str, *, counter: bool) -> str:
    """SQL: samples one by one, and of each bundle its two ends.

    Returns:
        The columns of `singles`, `inside` (a bundle lies between this sample and the next of its instance) and `bundle_kwh`,
        the energy of the card in that bundle.
    """
    value = "energy_kwh_total" if counter else "power_w"
    labels = ", ".join(("file", *_LABELS))
    return f"""
        SELECT *, FALSE AS inside, CAST(NULL AS DOUBLE) AS bundle_kwh FROM {singles}
        UNION ALL BY NAME
        SELECT {labels}, first_ts AS ts, utilisation, first_value AS {value}, n > 1 AS inside, bundle_kwh FROM {bundles} WHERE regular
        UNION ALL BY NAME
        SELECT {labels}, last_ts AS ts, last_utilisation AS utilisation, last_value AS {value}, FALSE AS inside FROM {bundles}
        WHERE regular AND n > 1"""
