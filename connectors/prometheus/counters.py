"""Energy by hour from counters that only ever rise, restart or fall silent.

An hour's energy is the highest value seen in it less the highest seen before, so that hours add up to the whole
whatever the scrapes' phase, and however the labels change. What cards and meters these are belongs to `gpu.py` and
`power.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from connectors.prometheus.question import GAP_SAMPLES

_EPOCH = datetime.fromisoformat("1970-01-01")

Rises = Callable[[datetime, float], pl.DataFrame]
"""Start (UTC) and length of an hour -> keys and value: what the counters rose by in it, restarts bridged."""


@dataclass(frozen=True)
class Grid:
    """The hours of counters: all of them (index, hour, length), samples of a full one, the longest gap bridged (h)."""

    hours: pl.DataFrame
    expected: float
    bridge_h: float


def counter_hours(values: pl.DataFrame, key: Sequence[str], grid: Grid, rises: Rises) -> pl.DataFrame:
    """What counters counted in each hour, and in gaps.

    A gap's energy is what the counter shows after it less before it, spread evenly over the time without samples. A
    counter that falls in a gap has restarted: what it shows since then is the least there was.

    Args:
        values: key, hour, hi and lo (highest and lowest value in the hour), count, missing (hours without samples).
        key: Columns that name a counter.
        grid: The hours, those without samples included.
        rises: Asks for hours in which a counter restarts.

    Returns:
        key, hour, measured, estimated (in the counter's unit).
    """
    over, hours = list(key), grid.hours
    rows = values.join(hours, on="hour").sort(*over, "index").with_columns(
        prev_hi=pl.col("hi").shift(1).over(over),
        prev_index=pl.col("index").shift(1).over(over),
        prev_missing=pl.col("missing").shift(1).over(over),
        prev_length=pl.col("length").shift(1).over(over),
        prev_end=(pl.col("hour") + _duration("length")).shift(1).over(over),
        inner=pl.col("hi") - pl.col("lo"),
        seen=pl.col("length") - pl.col("missing"),
        tolerance=pl.lit(GAP_SAMPLES / grid.expected),
    )  # fmt: skip
    rows = (
        rows.with_columns(
            restart=((pl.col("lo") < pl.col("prev_hi")) & (pl.col("hi") >= pl.col("prev_hi"))).fill_null(
                value=False
            ),
            adjacent=(pl.col("index") == pl.col("prev_index") + 1).fill_null(value=False),
            between=(pl.col("hour") - pl.col("prev_end")).dt.total_seconds() / 3600,
        )
        .with_columns(silent=pl.col("between") + pl.col("prev_missing") + pl.col("missing"))
        .with_columns(after_restart=pl.col("restart").shift(1, fill_value=False).over(over))
    )
    fell = pl.col("lo") < pl.col("prev_hi")
    unknown = (
        pl.col("prev_hi").is_null()
        | pl.col("restart")
        | pl.col("after_restart")
        | (pl.col("silent") > grid.bridge_h + 1e-9)
    )
    rows = rows.with_columns(
        asked=pl.col("restart") | (pl.col("after_restart") & pl.col("adjacent")),
        step=pl.when(unknown).then(0.0).when(fell).then("lo").otherwise(pl.col("lo") - pl.col("prev_hi")),
    )
    usual = (
        pl.col("inner") / (pl.col("length") - pl.col("missing")).clip(lower_bound=1e-9) * pl.col("tolerance")
    )
    # samples may be missing after the first of this hour or before the last of the one before: then no time is between
    usual = pl.max_horizontal(usual, usual.shift(1).over(over))
    gap = (pl.col("silent") > pl.col("tolerance")) & ~(pl.col("adjacent") & (pl.col("step") <= usual))
    rows = rows.with_columns(gap=gap.fill_null(value=False) & ~pl.col("asked"))
    beside = pl.col("gap") | pl.col("gap").shift(-1, fill_value=False).over(over) | pl.col("asked")
    # in its first and its last hour a counter was there for a part, and counted in that part
    edge = pl.col("prev_hi").is_null() | (pl.col("index") == pl.col("index").max().over(over))
    lacking = ~beside & ~edge & (pl.col("missing") > pl.col("tolerance"))
    rows = rows.with_columns(
        inside=pl.when(lacking).then(pl.col("inner") * pl.col("missing") / pl.col("length")).otherwise(0.0)
    )
    own = rows.join(_asked(rows, over, rises), on=[*over, "hour"], how="left", nulls_equal=True).with_columns(
        measured=pl.when("asked")
        .then(pl.coalesce("risen", "inner"))
        .otherwise(pl.col("inner") - pl.col("inside") + pl.when("gap").then(0.0).otherwise("step"))
    )
    own = _to_the_end(own, over, grid)
    parts = [own.select(*over, "hour", "measured", estimated="inside"), _spread(rows, over, grid)]
    return pl.concat(parts).group_by(*over, "hour").agg(pl.col("measured", "estimated").sum())


def _duration(hours: str) -> pl.Expr:
    return pl.duration(seconds=pl.col(hours) * 3600)


def _asked(rows: pl.DataFrame, key: list[str], rises: Rises) -> pl.DataFrame:
    wanted = rows.filter("asked").select("hour", "length").unique().sort("hour")
    empty = rows.select(*key, "hour").clear().with_columns(risen=pl.lit(None, dtype=pl.Float64))
    found = [
        rises(hour, length).select(*key, pl.lit(hour, dtype=pl.Datetime("us")).alias("hour"), risen="value")
        for hour, length in wanted.iter_rows()
    ]
    return pl.concat([empty, *found])


def _to_the_end(rows: pl.DataFrame, key: list[str], grid: Grid) -> pl.DataFrame:
    """A counter that ends with a full hour has no sample on its last instant: the last interval is as the others."""
    last = (pl.col("index") == pl.col("index").max().over(key)) & (
        pl.col("index") < grid.hours["index"].max()
    )
    full = (pl.col("missing") <= 0.5 / grid.expected) & ~pl.col("asked")
    known = (pl.col("length") * grid.expected - 1).clip(lower_bound=1.0)
    ends = last & full & (pl.col("count") < pl.col("length") * grid.expected - 0.5)
    return rows.with_columns(
        measured=pl.when(ends).then(pl.col("measured") * (1 + 1 / known)).otherwise("measured")
    )


def _spread(rows: pl.DataFrame, key: list[str], grid: Grid) -> pl.DataFrame:
    """The energy of gaps over the hours without samples, by a rate that goes from that before to that after.

    A rate is that of the hour beside the gap, of which a part is seen, and of the full one beside that, in the middle of
    both. n samples span n - 1 intervals. Why not by time alone or by longer averages: `docs/sources.md` has the errors of each.
    """
    hours = grid.hours
    rows = rows.with_columns(
        rise=pl.when(~pl.col("asked")).then("inner"),
        span=pl.when(~pl.col("asked")).then((pl.col("seen") - 1 / grid.expected).clip(lower_bound=0.0)),
        far=~pl.col("adjacent"),
    )

    def rate(near: int, beyond: int, apart: pl.Expr) -> pl.Expr:
        def both(name: str) -> pl.Expr:
            more = pl.when(~apart).then(pl.col(name).shift(beyond).over(key)).fill_null(0.0)
            return pl.col(name).shift(near).over(key).fill_null(0.0) + more

        return pl.when(both("span") >= 0.25).then(both("rise") / both("span"))

    def at(hour: str, hours: pl.Expr) -> pl.Expr:
        return (pl.col(hour) - pl.lit(_EPOCH)).dt.total_seconds() / 3600 + hours

    # a gap that begins within an hour begins with its last sample, which stands for an interval
    last = pl.when(pl.col("prev_missing") > 0.5 / grid.expected).then(1 / grid.expected).otherwise(0.0)
    alone, to_come = (
        pl.col("far").shift(1, fill_value=True).over(key),
        pl.col("far").shift(-1, fill_value=True).over(key),
    )
    begins, ends = at("prev_end", -pl.col("prev_missing") - last), at("hour", pl.col("missing"))
    seen_from = at("prev_end", -pl.col("prev_length") - pl.when(alone).then(0.0).otherwise(1.0))
    seen_to = at("hour", pl.col("length") + pl.when(to_come).then(0.0).otherwise(1.0))
    from_, to = at("at", pl.lit(0.0)), at("at", pl.col("full"))
    middle = (pl.max_horizontal(from_, "begins") + pl.min_horizontal(to, "ends")) / 2
    part = ((middle - pl.col("middle_before")) / (pl.col("middle_after") - pl.col("middle_before"))).clip(
        0.0, 1.0
    )
    return (
        rows.with_columns(
            after=rate(0, -1, to_come),
            before=rate(1, 2, alone),
            begins=begins,
            ends=ends,
            middle_before=(seen_from + begins) / 2,
            middle_after=(ends + seen_to) / 2,
        )
        .filter(pl.col("gap") & (pl.col("step") > 0))
        .with_columns(slot=pl.int_ranges(pl.col("prev_index"), pl.col("index") + 1))
        .explode("slot")
        .join(hours.select(slot="index", at="hour", full="length"), on="slot")
        .with_columns(
            silent=pl.when(pl.col("slot") == pl.col("index"))
            .then("missing")
            .when(pl.col("slot") == pl.col("prev_index"))
            .then(pl.col("prev_missing") + last)
            .otherwise("full"),
            rate=pl.coalesce("before", "after", 1.0)
            + (pl.coalesce("after", "before", 1.0) - pl.coalesce("before", "after", 1.0)) * part,
        )
        .with_columns(flat=pl.col("silent").sum().over(*key, "index"))
        .with_columns(weight=pl.col("silent") * pl.col("rate"))
        .with_columns(whole=pl.col("weight").sum().over(*key, "index"))
        .select(
            *key,
            hour="at",
            measured=pl.lit(0.0),
            estimated=pl.col("step")
            * pl.when(pl.col("whole") > 0)
            .then(pl.col("weight") / pl.col("whole"))
            .otherwise(pl.col("silent") / pl.col("flat")),
        )
        .filter(pl.col("estimated") > 0)
    )
