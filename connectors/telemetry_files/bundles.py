"""Bundles of samples: what is regular is added up while it is read, and only the rest is put in order of time.

Almost all samples of a card come at their interval, under one holder, with a counter that grows. An hour of them says
no more than its first and its last sample, and the sums of those between. So one pass adds up the samples of each label
(file, card, instance, holder) and stretch of up to `SLOTS` intervals, and proves of each such bundle that nothing is
hidden in it. If one bundle of a card's stretch cannot be proven, all samples of that stretch are read one by one.

A bundle is proven if each of its intervals holds exactly one sample and all at the same phase (to 1 % of the interval),
no value was dropped, utilisation and power are known of all samples or of none, and energy follows from its ends: the counter is
least at its first sample and greatest at its last, in between it rises by no more than a card can draw and not by less than a tenth of what the gauge shows at both, and it is high
enough that a restart from zero would show as a lower value. Without a counter column the gauge is integrated by the
trapezoid, which for even steps is the mean step times the sum of all powers less half of the first and the last.
Bundles of one instance must not share an interval; those of several instances of a card must agree on time and energy.

Where two collectors wrote the same, or one wrote it twice, bundles of a holder share all their intervals. Of such bundles
the samples are hashed, and if they are the same ones, all equally often in a bundle, one bundle counts for all.

What this cannot see is a counter that falls within a stretch by less than it rises there: energy is then what the
counter shows at its ends. A restart always falls by more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connectors.steps import FIRST_MEAN_W, HOUR_US, Clock, kwh
from connectors.telemetry import LESS, MAX_CARD_KW
from connectors.telemetry_files.columns import GPU
from connectors.telemetry_files.labels import Layout
from connectors.telemetry_files.rows import dropped_sql, label_sql, samples_sql, stamp_sql, unchecked

SLOTS = 62
"""Intervals of one bundle at most: as many as a BIGINT has bits for."""

_PHASE = 0.01
"""Share of the interval by which samples of a bundle may be early or late."""

_ENDS = "first_power_w, power_w, first_energy_kwh_total, energy_kwh_total"
_NUMBERS = tuple(c for c in GPU if c.condition)


def _offset_us(ts: str, clock: Clock, interval_us: int) -> str:
    """SQL: time since the start of the hour and half an interval, so that samples a moment early or late share a slot."""
    return f"date_diff('microsecond', {clock.unit(ts)}, {ts}) + {interval_us // 2}"


def _stretch(ts: str, slot: str, clock: Clock, interval_us: int) -> str:
    """SQL: a number for a stretch of up to `SLOTS` slots of an hour; NULL without a time."""
    start = f"epoch_us({clock.unit(ts)})"
    return start if _fits(clock, interval_us) else f"{start} + ({slot}) // {SLOTS}"


def _fits(clock: Clock, interval_us: int) -> bool:
    """All slots of an hour make one stretch."""
    return (clock.unit_minutes * 60_000_000 + interval_us // 2) // interval_us < SLOTS


def added_sql(layouts: Sequence[Layout], clock: Clock, interval_us: int, *, counter: bool) -> str:
    """SQL: the table `added`: a row for each label and stretch, of the samples added up.

    Args:
        layouts: The files.
        clock: Where the hours of the site lie.
        interval_us: Time between samples.
        counter: A file has an energy counter; else energy follows from the gauge.
    """
    power_sum = "CAST(NULL AS DOUBLE)" if counter else "SUM(power_w)"
    slot = "slot" if _fits(clock, interval_us) else f"slot % {SLOTS}"
    return " UNION ALL BY NAME ".join(
        f"""
            SELECT label, stretch, COUNT(*) AS n, MIN(ts) AS first_ts, MAX(ts) AS last_ts,
                   COUNT(utilisation) AS used, SUM(utilisation) AS used_sum, arg_max(utilisation, ts) AS last_utilisation,
                   MIN(phase_us) AS early, MAX(phase_us) AS late, BIT_OR(1::BIGINT << {slot}) AS slots,
                   COUNT(power_w) AS powered, {power_sum} AS power_sum,
                   arg_min(power_w, ts) AS first_power_w, arg_max(power_w, ts) AS power_w,
                   COUNT(energy_kwh_total) AS counted, MIN(energy_kwh_total) AS least, MAX(energy_kwh_total) AS greatest,
                   arg_min(energy_kwh_total, ts) AS first_energy_kwh_total, arg_max(energy_kwh_total, ts) AS energy_kwh_total,
                   {" OR ".join(dropped_sql(c, types) for c in _NUMBERS)} AS dropped
            FROM ({_placed(scan, types, clock, interval_us)}) GROUP BY label, stretch"""
        for scan, types in layouts
    )


def bundles_sql(added: str, interval_us: int, max_step_us: int, *, counter: bool) -> str:
    """SQL: the bundles of samples, and whether they are `regular`.

    Args:
        added: Relation of `added_sql`; the table `labels` has its labels.
        interval_us: Time between samples.
        max_step_us: Longer steps are gaps.
        counter: A file has an energy counter; else energy follows from the gauge.

    Returns:
        One row a label and stretch: n, first_ts, last_ts, utilisation of the samples before the last (their mean) and
        of the last, counter and gauge of both ends, kwh between them; `spare` and `several` as `twinned_sql` has them.
    """
    most = MAX_CARD_KW / HOUR_US
    if counter:
        proven = (
            "counted = n AND least = first_energy_kwh_total AND greatest = energy_kwh_total "
            f"AND greatest - least <= {most} * us AND least > {most} * {max_step_us} "
            f"AND COALESCE({kwh(FIRST_MEAN_W)} <= {LESS} * (greatest - least), TRUE) AND (n = 1 OR least < greatest)"
        )
        drawn = "greatest - least"
        alike = ["first_ts", "last_ts", "first_power_w", "power_w", "least", "greatest"]
    else:
        proven = "TRUE"
        drawn = kwh(f"(power_sum - {FIRST_MEAN_W})", "us / (n - 1)")
        alike = ["first_ts", "last_ts", "first_power_w", "power_w", "ROUND(power_sum, 6)"]
    return f"""
        WITH bundles AS (
            SELECT *, COALESCE({proven}, FALSE) AND NOT dropped AND used IN (0, n) AND powered IN (0, n) AND gpu IS NOT NULL AND node IS NOT NULL
                   AND bit_count(slots) = n AND us < (n - 0.5) * {interval_us} AND late - early <= {interval_us * _PHASE} AS proven
            FROM (SELECT a.*, card, instance, gpu, node, date_diff('microsecond', first_ts, last_ts) AS us
                  FROM {added} AS a JOIN labels USING (label))
        ), instances AS (
            SELECT card, stretch, instance, BOOL_AND(proven) AND bit_count(BIT_OR(slots)) = SUM(n) AS proven
            FROM bundles GROUP BY card, stretch, instance
        ), cards AS (
            SELECT card, stretch, BOOL_AND(proven) AS proven, COUNT(*) AS instances FROM instances GROUP BY card, stretch
        ), odd AS (
            SELECT card, stretch FROM cards WHERE NOT proven
            UNION ALL
            SELECT card, stretch FROM bundles SEMI JOIN (FROM cards WHERE proven AND instances > 1) USING (card, stretch)
            GROUP BY card, stretch HAVING {" OR ".join(f"MIN({c}) < MAX({c})" for c in alike)}
        )
        SELECT label, stretch, n, first_ts, last_ts, last_utilisation,
               {_ENDS}, CASE WHEN n > 1 THEN {drawn} END AS kwh,
               CASE WHEN n > 1 THEN (used_sum - last_utilisation) / (n - 1) END AS utilisation,
               NOT EXISTS (FROM odd AS o WHERE o.card = b.card AND o.stretch IS NOT DISTINCT FROM b.stretch) AS regular,
               FALSE AS spare, CAST(NULL AS HUGEINT) AS several
        FROM bundles AS b"""


CANDIDATES = """
    SELECT label, stretch, n // bit_count(slots) AS copies FROM added JOIN labels USING (label) SEMI JOIN (
        SELECT card, stretch, instance, holder FROM added JOIN labels USING (label)
        SEMI JOIN (SELECT label, stretch FROM bundles WHERE NOT regular) USING (label, stretch)
        GROUP BY card, stretch, instance, holder
        HAVING SUM(n) > bit_count(MAX(slots)) AND MIN(slots) = MAX(slots) AND BOOL_AND(n % bit_count(slots) = 0)
    ) USING (card, stretch, instance, holder)"""
"""SQL: the table `candidates`: bundles in which each interval may have equally many samples, as it has in others of the same holder."""


def twins_sql(layouts: Sequence[Layout], clock: Clock, interval_us: int) -> str:
    """SQL: the table `twins`: those of the `candidates` that hold the same samples.

    All samples of a bundle are in it equally often; bundles of the same samples have one sum of their hashes.

    Returns:
        label, stretch, copies of each sample, `spare` (another one counts for it), `repeats` (rows that are not the first
        of what is the `same`, by file) and `several` (a number for the names, where they differ).
    """
    hashes = " UNION ALL ".join(
        f"""
            SELECT label, stretch, MIN(times) AS least, MAX(times) AS most, SUM(h) AS total FROM (
                SELECT label, stretch, hash(ts, {", ".join(c.name for c in _NUMBERS)}) AS h, COUNT(*) AS times
                FROM ({_placed(scan, types, clock, interval_us)}) WHERE label IN (SELECT label FROM candidates) GROUP BY ALL
            ) GROUP BY label, stretch"""
        for scan, types in layouts
    )
    return f"""
        WITH hashed AS (
            SELECT label, stretch, copies, least, most, total, card, instance, holder, name, file, same
            FROM candidates JOIN ({hashes}) USING (label, stretch) JOIN labels USING (label)
        ), agreed AS (
            SELECT card, stretch, instance, holder, CASE WHEN MIN(name) < MAX(name) THEN SUM(name) END AS several
            FROM hashed GROUP BY ALL
            HAVING MIN(total) = MAX(total) AND BOOL_AND(least = copies AND most = copies)
        )
        SELECT label, stretch, copies, several, row_number() OVER (PARTITION BY card, stretch, instance, holder ORDER BY label) > 1 AS spare,
               copies - CASE WHEN row_number() OVER (PARTITION BY card, stretch, instance, holder, same ORDER BY file, label) = 1 THEN 1 ELSE 0 END AS repeats
        FROM hashed JOIN agreed USING (card, stretch, instance, holder)"""


_ONCE = """(
    SELECT a.* REPLACE (n // copies AS n, used // copies AS used, used_sum / copies AS used_sum, powered // copies AS powered,
                        power_sum / copies AS power_sum, counted // copies AS counted)
    FROM (SELECT a.*, COALESCE(copies, 1) AS copies, spare FROM added AS a LEFT JOIN twins USING (label, stretch)) AS a WHERE spare IS NOT TRUE)"""
"""SQL: `added` without what is there twice."""


def twinned_sql(interval_us: int, max_step_us: int, *, counter: bool) -> str:
    """SQL: the table `bundles` where there are `twins`: one of them is judged, and counts if it is regular.

    The others are `spare`; `several` is the number for the names, where they differ.
    """
    return f"""
        WITH once AS ({bundles_sql(_ONCE, interval_us, max_step_us, counter=counter)})
        SELECT o.* REPLACE (n * COALESCE(copies, 1) AS n, t.several AS several) FROM once AS o LEFT JOIN twins AS t USING (label, stretch)
        UNION ALL BY NAME
        SELECT label, stretch, n, first_ts, last_ts, regular, TRUE AS spare
        FROM added JOIN (FROM twins WHERE spare) USING (label, stretch) JOIN labels USING (label)
        JOIN (SELECT DISTINCT card, stretch, regular FROM once JOIN labels USING (label)) USING (card, stretch)"""


def _placed(scan: str, types: Mapping[str, str], clock: Clock, interval_us: int) -> str:
    """SQL: samples whose values are not checked, with stretch, slot (of the hour) and phase_us (within the slot)."""
    numbers = ", ".join(part for column in _NUMBERS for part in unchecked(column, types))
    return f"""
        SELECT *, {_stretch("ts", "slot", clock, interval_us)} AS stretch, offset_us - slot * {interval_us} AS phase_us FROM (
            SELECT *, offset_us // {interval_us} AS slot FROM (
                SELECT *, {_offset_us("ts", clock, interval_us)} AS offset_us FROM (
                    SELECT {label_sql("gpu", types)} AS label, {stamp_sql(types)} AS ts, {numbers} FROM ({scan}))))"""


def singles_sql(layouts: Sequence[Layout], clock: Clock, interval_us: int) -> str:
    """SQL: the samples that belong to no regular bundle of the table `bundles`."""
    singles = []
    for scan, types in layouts:
        ts = stamp_sql(types)
        slot = f"({_offset_us(ts, clock, interval_us)}) // {interval_us}"
        odd = f"""
            SELECT s.* FROM ({scan}) AS s SEMI JOIN (SELECT label, stretch FROM bundles WHERE NOT regular) AS b
            ON b.label = {label_sql("gpu", types)} AND b.stretch IS NOT DISTINCT FROM {_stretch(ts, slot, clock, interval_us)}"""
        singles.append(samples_sql("gpu", odd, types, labelled=True))
    return " UNION ALL BY NAME ".join(singles)


SPANS = f"""
    WITH spans AS (
        SELECT s.* EXCLUDE (sharers), card, instance, holder, pod IS NOT NULL AS in_pod, sharers, slices / sharers AS slices,
               mig_id IS NOT NULL AS sliced, allocated FROM (
            SELECT COALESCE(m.name, l.name) AS name, first_ts, last_ts AS ts, utilisation, last_utilisation, kwh, {_ENDS}, 1 AS sharers, 1 AS nth
            FROM bundles JOIN labels AS l USING (label) LEFT JOIN merged AS m USING (several) WHERE regular AND NOT spare
            UNION ALL BY NAME
            SELECT name, ts AS first_ts, ts, utilisation AS last_utilisation, power_w AS first_power_w, power_w,
                   energy_kwh_total AS first_energy_kwh_total, energy_kwh_total, sharers, nth FROM readings
        ) AS s JOIN names USING (name)
    ), carried AS (
        SELECT card FROM names GROUP BY card HAVING BOOL_OR(mig_id IS NOT NULL) AND BOOL_OR(mig_id IS NULL AND NOT allocated)
    )
    SELECT * EXCLUDE (sliced, allocated) FROM spans ANTI JOIN carried USING (card)
    UNION ALL
    SELECT * EXCLUDE (sliced, allocated) REPLACE (
        CASE WHEN NOT sliced AND NOT allocated AND BOOL_OR(sliced) OVER (PARTITION BY card, first_ts) THEN 0 ELSE slices END AS slices)
    FROM spans SEMI JOIN carried USING (card)"""
"""SQL: the table `spans`, that hours are made of: regular bundles, and other samples, which begin and end at once.

A whole card that nobody holds has no part of what it draws beside its slices.
"""
