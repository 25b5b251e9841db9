"""SQL over samples in order of time: energy between two samples, its split over hours.

Shared by the connectors that read samples from files. All relations have `ts`, a UTC timestamp; durations are in
microseconds, so that a full hour is exactly 3,600,000,000.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from connectors.telemetry import MAX_STEP

HOUR_US = 3_600_000_000
SELDOM_S = 1900
"""Seconds: cards and meters are read every half an hour, or more often."""

EVEN = 1.25
"""The longest of equal steps / the shortest."""
QUARTER_MINUTES = 15

SHORT_S = 60
"""Seconds: so long a pause of what is read more often than once a minute is no gap."""

MEAN_W = "(power_w + next_power_w) / 2"
"""SQL: the mean power of a step, as a gauge of its two ends tells it: energy is the trapezoid."""

FIRST_MEAN_W = "(first_power_w + power_w) / 2"
"""SQL: the same of a span of time that begins with `first_power_w` and ends with `power_w`."""


def kwh(watts: str, us: str = "us") -> str:
    """SQL: the energy of a time in microseconds at a mean power."""
    return f"{watts} * {us} / 3.6e12"


AROUND = 10
"""Steps on each side that tell how often a card or meter is read."""


@dataclass(frozen=True)
class Clock:
    """Where the hours of a site's clock lie in UTC: those of a day start at its midnight.

    Attributes:
        phases: From when on (UTC without a zone), and by how many minutes past the UTC hour they start; in order.
    """

    phases: tuple[tuple[datetime, int], ...] = ((datetime.fromisoformat("1970-01-01"), 0),)

    @classmethod
    def of(cls, zone: ZoneInfo, first: datetime, last: datetime) -> Clock:
        """The clock of a zone between two instants with a zone."""
        phases: list[tuple[datetime, int]] = []
        for day in range(-2, (last - first).days + 3):
            local = datetime.combine(first.astimezone(zone).date() + timedelta(days=day), time(0), zone)
            midnight = local.astimezone(UTC).replace(tzinfo=None)
            if not phases or phases[-1][1] != midnight.minute:
                phases.append((midnight, midnight.minute))
        return cls(tuple(phases))

    @property
    def unit_minutes(self) -> int:
        """Minutes of the pieces that steps are cut into: an hour, or less where the clock changes by less."""
        return 60 if len(self.phases) == 1 else QUARTER_MINUTES

    def hour(self, instant: str) -> str:
        """SQL: the start of the hour that an instant lies in."""
        minutes = self._minutes(instant)
        if minutes == "0":
            return f"date_trunc('hour', {instant})"
        return f"date_trunc('hour', {instant} - to_minutes({minutes})) + to_minutes({minutes})"

    def unit(self, instant: str) -> str:
        """SQL: the start of the piece that an instant lies in."""
        if len(self.phases) == 1:
            return self.hour(instant)
        return self.quarter(instant)

    def quarter(self, instant: str) -> str:
        """SQL: the start of the quarter of an hour that an instant lies in."""
        return f"time_bucket(INTERVAL {QUARTER_MINUTES} MINUTE, {instant})"

    def _minutes(self, instant: str) -> str:
        if len(self.phases) == 1:
            return str(self.phases[0][1])
        cases = " ".join(
            f"WHEN {instant} >= TIMESTAMP '{at:%Y-%m-%d %H:%M:%S}' THEN {minutes}"
            for at, minutes in reversed(self.phases[1:])
        )
        return f"CASE {cases} ELSE {self.phases[0][1]} END"


UTC_CLOCK = Clock()


def by_hour(steps: str, condition: str, clock: Clock = UTC_CLOCK, *, quarters: bool = False) -> str:
    """SQL: every step (t0, t1) that meets the condition once for each piece of an hour it touches.

    Adds `hour`, the start of the hour, and `part_us`, the microseconds of the step that lie in the piece; with
    `quarters` the pieces are quarters of an hour, and `quarter` (1 to 4) says which.
    """
    unit = f"INTERVAL {QUARTER_MINUTES if quarters else clock.unit_minutes} MINUTE"
    first = clock.quarter("t0") if quarters else clock.unit("t0")
    hour = clock.hour("piece")
    quarter = f" date_diff('minute', {hour}, piece) // {QUARTER_MINUTES} + 1 AS quarter," if quarters else ""
    overlap = f"date_diff('microsecond', GREATEST(t0, piece), LEAST(t1, piece + {unit}))"
    return f"""
        SELECT * EXCLUDE (piece), {hour} AS hour,{quarter} {overlap} AS part_us FROM (
            SELECT *, UNNEST(range({first}, t1, {unit})) AS piece FROM {steps} WHERE {condition}
        )"""


def paced(relation: str, key: str, alone: str, max_step_us: int) -> str:
    """SQL: adds, to each sample of a card or meter, the longest step after it that is no gap, `max_us`, and what it stands for before one, `tail_us`.

    What is read more seldom than the configuration says has no gap between any two samples: of three steps in a row
    that are equally long, up to `EVEN`, none is a gap, if it is of at most `SELDOM_S` seconds. What is read at least
    twice as often has its own interval, `own_us` (of nine tenths of the `AROUND` steps on both sides none is longer), and
    gaps go by that, but for pauses of `SHORT_S`. A card or meter that has one sample in each half of a longest step has no longer one, and one that has
    only spans has no step between samples: they are not put in order.

    Args:
        relation: With the key and ts; one row a key and ts.
        key: Column that names the card or meter.
        alone: SQL condition: the row is one sample, and no span of time.
        max_step_us: Longer steps are gaps else; `MAX_STEP` intervals.
    """
    before, after = "LAG(step, {}) OVER s", "LEAD(step, {}) OVER s"
    threes = (
        (before.format(2), before.format(1), "step"),
        (before.format(1), "step", after.format(1)),
        ("step", after.format(1), after.format(2)),
    )
    even = " OR ".join(
        f"({' + '.join(three)} IS NOT NULL AND GREATEST({', '.join(three)}) <= {EVEN} * LEAST({', '.join(three)}))"
        for three in threes
    )
    slot, interval_us = f"epoch_us(ts) // {max_step_us // 2}", int(max_step_us / MAX_STEP)
    longest = f"GREATEST(own_us * {max_step_us} // {interval_us}, {min(max_step_us, SHORT_S * 1_000_000)})"
    last_step = "LAG(step) OVER s"
    return f"""
        WITH unpaced AS MATERIALIZED (SELECT * FROM {relation}
        ), gappy AS (
            SELECT {key} FROM (SELECT {key}, {slot} AS slot, BOOL_OR({alone}) AS single FROM unpaced GROUP BY {key}, slot)
            GROUP BY {key} HAVING MAX(slot) - MIN(slot) >= COUNT(*) AND BOOL_OR(single)
            UNION
            SELECT {key} FROM unpaced GROUP BY {key}, epoch_us(ts) // {interval_us} HAVING COUNT(*) > 1 AND BOOL_OR({alone})
        )
        SELECT *, {max_step_us} AS max_us, {interval_us} AS tail_us FROM unpaced ANTI JOIN gappy USING ({key})
        UNION ALL BY NAME
        SELECT * EXCLUDE (next_alone, step, own_us),
               CASE WHEN {last_step} BETWEEN {max_step_us} + 1 AND LAG(max_us) OVER s THEN {last_step} ELSE own_us END AS tail_us
        FROM (
            SELECT *, CASE WHEN step <= {SELDOM_S * 1_000_000} AND ({even}) THEN GREATEST(step, {longest}) ELSE {longest} END AS max_us
            FROM (
                SELECT *, CASE WHEN BOOL_AND({alone}) OVER around AND 2 * quantile_disc(step, 0.9) OVER around <= {interval_us}
                               THEN quantile_disc(step, 0.9) OVER around ELSE {interval_us} END AS own_us
                FROM (
                    SELECT *, LEAD({alone}) OVER w AS next_alone,
                           CASE WHEN {alone} AND next_alone THEN date_diff('microsecond', ts, LEAD(ts) OVER w) END AS step
                    FROM unpaced SEMI JOIN gappy USING ({key}) WINDOW w AS (PARTITION BY {key} ORDER BY ts)
                ) WINDOW around AS (PARTITION BY {key} ORDER BY ts ROWS BETWEEN {AROUND} PRECEDING AND {AROUND} FOLLOWING)
            ) WINDOW s AS (PARTITION BY {key} ORDER BY ts)
        ) WINDOW s AS (PARTITION BY {key} ORDER BY ts)"""


def energy_steps(
    relation: str,
    key: str,
    max_step_us: int | str,
    bridge_us: int,
    max_kw: float,
    *,
    first: str = "",
    wrap_kwh: float | None = None,
) -> str:
    """SQL: the energy between each sample of a card or meter and its next.

    The counter decides where both samples have it: E = v1 - v0, or v1 after a reset (v1 < v0, the Prometheus rule),
    unless that means more than `max_kw`. A reading that is less than the one before, and more than can have been counted
    since, while the next is not less, is of another clock (a replica's) or another counter: it is left out, and steps go
    from the one before to the one after. So are readings from a fall to a rise of more than `max_kw`, or from 0, back to where the
    counter was: it shows 0 (or anything) for a while and did not begin anew. Else, for steps that are no gap, the trapezoid of the gauge:
    E = (P0 + P1) / 2 x dt. A gauge is never stretched over a gap.

    Args:
        relation: With the key, ts, energy_kwh_total, power_w; one row a key and ts.
        key: Column that names the card or meter.
        max_step_us: Longer steps are gaps; a number, or a column that holds one for the step that begins with the row.
        bridge_us: Longer gaps are not bridged by the counter.
        max_kw: Power that one card or meter cannot exceed.
        first: Rows are spans of time that end with these columns and begin with columns of this prefix before their
            names; steps lie between them.
        wrap_kwh: Where a counter may run over: one that falls did so if that is nearer to the gauge.

    Returns:
        All columns of the relation, t0, t1, us, `observed` (no gap), `kwh` (NULL unknown), and `implausible`
        (the counter was not believed).
    """
    since = f"date_diff('microsecond', LAG(ts) OVER before, {first}ts)"
    earlier, later = "LAG(energy_kwh_total) OVER before", f"LEAD({first}energy_kwh_total) OVER before"
    ahead = {
        "t1": f"LEAD({first}ts)",
        "next_total": f"LEAD({first}energy_kwh_total)",
        "next_power_w": f"LEAD({first}power_w)",
    }
    took = "date_diff('microsecond', ts, t1)"
    over = "FALSE"
    if wrap_kwh is not None:
        expected = kwh(MEAN_W, took)
        whole = f"next_total + {wrap_kwh!r}e0 - energy_kwh_total"
        over = (
            f"energy_kwh_total < {wrap_kwh!r}e0 AND {whole} <= {max_kw} * {took} / {HOUR_US} "
            f"AND abs({whole} - {expected}) < abs(next_total - {expected})"
        )
    return f"""
        WITH judged AS MATERIALIZED (
            SELECT *, {since} AS us, {first}energy_kwh_total - {earlier} AS fell,
                   COALESCE(fell < 0 AND {later} >= {earlier} AND {first}ts = ts
                            AND {first}energy_kwh_total > {max_kw} * us / {HOUR_US}, FALSE) AS stale,
                   {", ".join(f"{sql} OVER before AS {name}" for name, sql in ahead.items())},
                   COALESCE(next_total - energy_kwh_total > {max_kw} * {took} / {HOUR_US} OR (energy_kwh_total = 0 AND next_total > 0), FALSE) AS leaps
            FROM {relation} WHERE energy_kwh_total IS NOT NULL OR power_w IS NOT NULL
            WINDOW before AS (PARTITION BY {key} ORDER BY ts)
        ), doubtful AS (
            SELECT {key} FROM judged GROUP BY {key} HAVING BOOL_OR(stale) OR (BOOL_OR(leaps) AND BOOL_OR(fell < 0))
        ), runs AS MATERIALIZED (
            SELECT *, COUNT(*) FILTER (fell < 0 OR leapt) OVER (PARTITION BY {key} ORDER BY ts) AS run FROM (
                SELECT *, LAG(leaps) OVER (PARTITION BY {key} ORDER BY ts) AS leapt FROM judged SEMI JOIN doubtful USING ({key})
            )
        ), nonsense AS (
            SELECT {key}, run FROM runs GROUP BY {key}, run
            HAVING arg_min(fell, ts) < 0 AND arg_max(leaps, ts) AND arg_max(next_total, ts) >= arg_min({first}energy_kwh_total - fell, ts)
               AND BOOL_AND({first}ts = ts) AND date_diff('microsecond', MIN(ts), MAX(ts)) <= {bridge_us}
        ), left_out AS (
            SELECT r.* EXCLUDE (leapt, run) REPLACE (r.stale OR n.run IS NOT NULL AS stale) FROM runs AS r LEFT JOIN nonsense AS n USING ({key}, run)
        )
        SELECT * EXCLUDE (leaps), ts AS t0, NOT stale AND us <= {max_step_us} AS observed,
               stale OR (counted IS NOT NULL AND NOT believable) AS implausible,
               CASE WHEN stale THEN NULL WHEN believable THEN counted
                    WHEN us <= {max_step_us} THEN {kwh(MEAN_W)} END AS kwh
        FROM (
            SELECT *, COALESCE(counted <= {max_kw} * us / {HOUR_US}, FALSE) AS believable FROM (
                SELECT * REPLACE (CASE WHEN stale THEN us ELSE {took} END AS us),
                       CASE WHEN stale THEN fell
                            WHEN next_total >= energy_kwh_total THEN next_total - energy_kwh_total
                            WHEN {over} THEN next_total + {wrap_kwh or 0.0!r}e0 - energy_kwh_total
                            WHEN energy_kwh_total IS NOT NULL THEN next_total END AS counted
                FROM (
                    FROM judged ANTI JOIN doubtful USING ({key})
                    UNION ALL
                    SELECT * REPLACE ({", ".join(f"{sql} OVER w AS {name}" for name, sql in ahead.items())})
                    FROM left_out WINDOW w AS (PARTITION BY {key}, stale ORDER BY ts)
                )
            ) WHERE stale OR us <= {bridge_us}
        )"""
