"""SQL over counters in order of time: where they begin anew, what they counted, and where nobody can tell.

A counter that falls began at 0 with its process: that is the rule, and it is wrong by all that was ever counted where
two counters take turns under one name, where a clock was set back, or where a counter outlives its process. What gives
those away is one ordinary step (no gap) that would have to count half of what took a whole life. Such a step is a turn;
with one of them the counts of its period are unknown, unless the counter had shown `FEW` at most and there are less than
`SEVERAL`.

- A fall to more than half: the counter did not begin anew.
- A fall soon after another one: within `LIFE` samples (counts as one of few).
- A rise by more than half, which brings the counter back to about where it had been (0.9 to 1.5 times that).
- A fall, or a rise by more than half, to about where it was two or three samples before: what lies between was another
  counter's, or nonsense.
- A fall and a rise, one after the other and within the bridge, each of more than `UNUSUAL` times what any of the
  `AROUND` steps before and after it counts, of which the later leads to where the earlier left, or above: turns of hours.
- A life (a boot id) that comes back soon after another one.
- More than the counter can count in the time (`most`), for amounts that have a limit.
- A new life that shows more than half of what the last one did, which had been seen `LIFE` times.

Shared by the connectors that read samples from files or sample by sample. All relations have `ts`, a UTC timestamp.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

FEW = 10
"""A counter of events that shows no more may regain half of it at once."""

SEVERAL = 3
"""So many turns of a counter that shows few are no chance."""

LIFE = 5
"""Samples after which a life was long: half of what it counted takes more than a step (at most 2.5 intervals)."""

AROUND = 10
"""Samples on each side of a step that say what is usual."""

UNUSUAL = 10
"""So many times the usual is more than one step can count after a restart, which it does at 2.5 times."""


WRAP = 1 << 32
NEARLY = 1 << 20
"""A counter of 32 bits that falls from so close below its end to so close above 0 has run over."""


def counter_segments(
    relation: str,
    series: Sequence[str],
    counters: Sequence[str],
    bridge_us: int,
    max_step_us: int,
    *,
    life: str = "",
    period: str = "",
    few: Mapping[str, str] | None = None,
    most: Mapping[str, str] | None = None,
) -> str:
    """SQL: samples cut into segments in which no counter falls.

    A counter that falls means that its process restarted, and all counters of the series with it, but for those that
    still show more than half in an ordinary step: what the others show was counted since. One of 32 bits that is full goes
    on from 0. The first sample of a series,
    or the first after more than `bridge_us`, has no base: it counts nothing.

    Args:
        relation: With ts, the series' columns and the counters.
        series: Columns that name a series.
        counters: Counter columns, NULL where unknown; turns of the first are turns of all.
        bridge_us: A longer silence starts the series anew.
        max_step_us: Longer steps are gaps: anything may have been counted in them.
        life: Column that names one life of the process (a boot id), if there is one.
        period: Column of the periods that are read whole, where what comes after one may be read later or not at all.
        few: Counter -> SQL of what it may show and still regain half of at once, where that is not `FEW`.
        most: Counter -> SQL of the most that it can count in a microsecond; NULL or absent where nobody knows.

    Returns:
        The relation with `t1` (next sample), `previous_ts`, `fresh` (no base), `restart` (counters began at 0), `segment`,
        and for each counter `base_C` (what it had shown where a segment begins), `kept_C` (it did not begin anew) and
        `turns_C` (a turn: `SEVERAL`; one of few: 1).
    """
    keys, first = ", ".join(series), counters[0]
    alive = ", ".join((*series, *([life] if life else ())))
    least = {c: (few or {}).get(c, str(FEW)) for c in counters}
    same_life = f"{life} IS NOT DISTINCT FROM LAG({life}) OVER s" if life else "TRUE"
    earlier = ", ".join(f"LAG({life}, {k}) OVER s" for k in range(2, LIFE + 1))
    lives = {
        "same_life": same_life,
        "long_life": f"LAG({life}, {LIFE}) OVER s IS NOT DISTINCT FROM LAG({life}) OVER s"
        if life
        else "FALSE",
        "came_back": f"NOT ({same_life}) AND COALESCE({life} IN ({earlier}), FALSE)" if life else "FALSE",
    }
    seen = {f"before_{c}": f"LAG({c} IGNORE NULLS) OVER s" for c in counters}
    seen |= {f"before{k}_{c}": f"LAG({c}, {k}) OVER alive" for c in counters for k in (2, 3)}
    seen |= {f"fell_{c}": f"COALESCE({c} < LAG({c} IGNORE NULLS) OVER alive, FALSE)" for c in counters}
    near = lives | seen | {"top": f"MAX({first}) OVER (alive ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"}  # fmt: skip
    fell = " OR ".join(f"fell_{c}" for c in counters)
    judged = {f"spike_{c}": _spike(c, least[c]) for c in counters}
    judged |= {"usual": _usual(first)}
    judged |= {
        f"kept_{c}": f"COALESCE(near AND (same_life OR long_life) AND {c} > before_{c} / 2 AND before_{c} > {least[c]}, FALSE)"
        for c in counters
    }
    turns = {c: _turns(c, least[c], (most or {}).get(c, "NULL")) for c in counters}
    of_first = f"GREATEST({_back(first, least[first])}, {turns[first]}, {_around(first)}, {_sticky(first, least[first], bridge_us, period)})"
    found = {
        f"base_{c}": f"CASE WHEN NOT restart THEN {c} WHEN kept_{c} THEN before_{c} WHEN same_life AND {_wrapped(c)} THEN before_{c} - {WRAP} ELSE 0 END"
        for c in counters
    }
    found |= {
        f"turns_{c}": of_first if c == first else f"GREATEST(turns_{first}, {turns[c]}, {_around(c)})"
        for c in counters
    }
    inner = [*near, *(n for n in judged if n.startswith("spike_")), "us", "near", "falls", "usual"]
    return f"""
        SELECT * EXCLUDE ({", ".join(inner)}),
               SUM(CASE WHEN restart OR fresh THEN 1 ELSE 0 END) OVER (PARTITION BY {keys} ORDER BY ts) AS segment FROM (
            SELECT *, {_named(found)} FROM (
                SELECT *, {_named(judged)}, NOT fresh AND ({fell} OR NOT same_life) AS restart,
                       COUNT(*) FILTER (fell_{first}) OVER (alive ROWS BETWEEN {LIFE} PRECEDING AND 1 PRECEDING) AS falls
                FROM (
                    SELECT *, LEAD(ts) OVER s AS t1, LAG(ts) OVER s AS previous_ts,
                           date_diff('microsecond', previous_ts, ts) AS us, COALESCE(us > {bridge_us}, TRUE) AS fresh,
                           NOT fresh AND us <= {max_step_us} AS near, {_named(near)}
                    FROM {relation} WINDOW s AS (PARTITION BY {keys} ORDER BY ts), alive AS (PARTITION BY {alive} ORDER BY ts)
                ) WINDOW alive AS (PARTITION BY {alive} ORDER BY ts)
            ) WINDOW s AS (PARTITION BY {keys} ORDER BY ts), odd AS (PARTITION BY {alive}, {_odd(first, least[first])} ORDER BY ts)
        )"""


def _named(columns: Mapping[str, str]) -> str:
    return ", ".join(f"{sql} AS {name}" for name, sql in columns.items())


def _wrapped(c: str) -> str:
    """SQL: a counter of 32 bits was all but full, and is all but empty."""
    return f"before_{c} < {WRAP} AND before_{c} > {WRAP} - {NEARLY} AND {c} < {NEARLY}"


def _weight(value: str, least: str) -> str:
    return f"CASE WHEN {value} > {least} THEN {SEVERAL} ELSE 1 END"


def _spike(c: str, least: str) -> str:
    """SQL: so many samples after it, a reading that was another counter's shows: 2 or 3 for one or two readings, else 0."""
    about = (
        f"near AND same_life AND before{{0}}_{c} > {least} AND {c} BETWEEN before{{0}}_{c} * 0.9 AND before{{0}}_{c} * 1.5 "
        f"AND ({c} < before_{c} OR (before_{c} < before{{0}}_{c} AND {c} - before_{c} > before{{0}}_{c} / 2))"
    )
    return f"CASE WHEN {about.format(2)} THEN 2 WHEN {about.format(3)} THEN 3 ELSE 0 END"


def _around(c: str) -> str:
    """SQL: the readings of a spike are turns, and so is the one after them."""
    leads = f"LEAD(spike_{c}) OVER s IN (2, 3) OR LEAD(spike_{c}, 2) OVER s = 3"
    return f"CASE WHEN spike_{c} > 0 OR COALESCE({leads}, FALSE) THEN {SEVERAL} ELSE 0 END"


def _turns(c: str, least: str, most: str) -> str:
    """SQL: a step of a counter by itself."""
    rise = f"{c} - CASE WHEN same_life AND {c} >= before_{c} THEN before_{c} ELSE 0 END"
    return (
        f"CASE WHEN near AND same_life AND {c} < before_{c} AND {c} > before_{c} / 2 THEN {_weight(f'before_{c}', least)} "
        f"WHEN came_back OR (NOT same_life AND kept_{c}) THEN {SEVERAL} "
        f"WHEN NOT fresh AND {rise} > ({most}) * us THEN {SEVERAL} "
        f"WHEN fell_{c} AND falls > 0 THEN 1 ELSE 0 END"
    )


def _back(c: str, least: str) -> str:
    """SQL: a rise by more than half, back to about where the counter had been."""
    return (
        f"CASE WHEN near AND same_life AND before_{c} < top AND {c} BETWEEN top * 0.9 AND top * 1.5 "
        f"AND {c} - before_{c} > top / 2 THEN {_weight('top', least)} ELSE 0 END"
    )


def _step(c: str) -> str:
    """SQL: what a step that is no gap counts, if the counter began at 0 where it falls."""
    return (
        f"CASE WHEN near AND same_life THEN {c} - CASE WHEN {c} < before_{c} THEN 0 ELSE before_{c} END END"
    )


def _usual(c: str) -> str:
    """SQL: the most that a step counts among those around it."""
    return f"MAX({_step(c)}) OVER (alive ROWS BETWEEN {AROUND} PRECEDING AND {AROUND} FOLLOWING EXCLUDE CURRENT ROW)"


def _odd(c: str, least: str) -> str:
    """SQL: a step counts more than so many of those around it."""
    return f"COALESCE({_step(c)} > GREATEST({least}, {UNUSUAL} * usual), FALSE)"


def _sticky(c: str, least: str, bridge_us: int, period: str) -> str:
    """SQL: an odd fall and an odd rise, one after the other, of which the later leads to where the earlier left, or above."""
    fell = f"{c} < before_{c}"
    known = f" AND {period} = LEAD({period}) OVER odd" if period else ""
    pair = " OR ".join(
        f"(({fell}) <> ({of}({fell}) OVER odd) AND abs(date_diff('microsecond', ts, {of}(ts) OVER odd)) <= {bridge_us} AND {back})"
        for of, back in (
            ("LAG", f"{c} >= 0.9 * LAG(before_{c}) OVER odd"),
            ("LEAD", f"LEAD({c}) OVER odd >= 0.9 * before_{c}{known}"),
        )
    )
    return f"CASE WHEN {_odd(c, least)} AND COALESCE({pair}, FALSE) THEN {SEVERAL} ELSE 0 END"


def counter_increments(
    segments: str, series: Sequence[str], counters: Sequence[str], period: str, labels: Mapping[str, str]
) -> str:
    """SQL: what each counter counted in each period; an increment belongs to the period of its later sample.

    Args:
        segments: Result of `counter_segments` with the column `period` and, for histograms, `buckets`: a
            MAP of upper bound -> count so far, whose own counter is the last of `counters`.
        series: Columns that name a series.
        counters: Counter columns.
        period: Column with the hour or day of a sample.
        labels: Further columns to carry: name -> SQL aggregate.

    Returns:
        One row a series, segment and period: counters as increments, their `turns_C`, `buckets` and `base` (MAPs, the
        counts at the end and at the start), labels.
    """
    keys = ", ".join((*series, "segment"))
    last = ", ".join(
        f"MAX({c}) AS last_{c}, arg_min(base_{c}, ts) AS base_{c}, SUM(turns_{c}) AS turns_{c}"
        for c in counters
    )
    carried = "".join(f", {sql} AS {name}" for name, sql in labels.items())
    increments = ", ".join(
        f"last_{c} - COALESCE(LAG(last_{c}) OVER s, base_{c}) AS {c}, turns_{c}" for c in counters
    )
    return f"""
        SELECT {keys}, {period}, {increments}{"".join(f", {name}" for name in labels)},
               last_buckets AS buckets,
               COALESCE(LAG(last_buckets) OVER s, CASE WHEN kept THEN LAG(last_buckets) OVER all_of WHEN restart THEN MAP {{}} END, first_buckets) AS base
        FROM (
            SELECT {keys}, {period}, BOOL_OR(restart) AS restart, BOOL_OR(restart AND kept_{counters[-1]}) AS kept, {last}{carried},
                   arg_max(buckets, ts) AS last_buckets, arg_min(buckets, ts) AS first_buckets
            FROM {segments} GROUP BY {keys}, {period}
        )
        WINDOW s AS (PARTITION BY {keys} ORDER BY {period}), all_of AS (PARTITION BY {", ".join(series)} ORDER BY segment, {period})"""


def counted(counter: str) -> str:
    """SQL: the sum of a counter's increments; NULL where a turn among them makes it unknown."""
    return f"CASE WHEN SUM(turns_{counter}) < {SEVERAL} THEN SUM({counter}) END"


def histogram_sql(increments: str, keys: str, count: str) -> str:
    """SQL: cumulative histograms of periods, from the parts that `counter_increments` gives.

    Counts below bounds that a part does not have are not in it: only bounds that all parts have at their start and end can
    be added. Without a finite one there is no histogram, nor where `count` is unknown.

    Args:
        increments: Relation with the keys, `buckets`, `base`, and `turns_C` of the histogram's own counter.
        keys: Columns of a histogram, separated by commas.
        count: The histogram's own counter.

    Returns:
        The keys, `bounds` and `counts` (lists), and `lost` (bounds that some parts lack).
    """
    number = "CAST(bound AS DOUBLE)"
    return f"""
        SELECT {keys}, CASE WHEN known THEN bounds END AS bounds, CASE WHEN known THEN counts END AS counts, lost FROM (
            SELECT {keys}, list(bound ORDER BY {number}) FILTER (everywhere) AS bounds,
                   list(requests ORDER BY {number}) FILTER (everywhere) AS counts, COUNT(*) FILTER (NOT everywhere) AS lost,
                   BOOL_OR(everywhere AND NOT isinf({number})) AND MAX(turns) < {SEVERAL} AS known
            FROM (
                SELECT {keys}, bound, SUM(buckets[bound] - COALESCE(base[bound], 0)) AS requests, MAX(turns) AS turns,
                       COUNT(*) FILTER (buckets[bound] IS NOT NULL AND (cardinality(base) = 0 OR base[bound] IS NOT NULL)) = MAX(parts) AS everywhere
                FROM (
                    SELECT *, UNNEST(list_distinct(list_concat(map_keys(buckets), map_keys(base)))) AS bound FROM (
                        SELECT *, COUNT(*) OVER k AS parts, SUM(turns_{count}) OVER k AS turns FROM {increments}
                        WHERE buckets IS NOT NULL WINDOW k AS (PARTITION BY {keys})
                    )
                ) WHERE TRY_CAST(bound AS DOUBLE) IS NOT NULL GROUP BY {keys}, bound
            ) GROUP BY {keys}
        )"""
