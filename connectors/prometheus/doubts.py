"""Energy counters of cards that show what no card can do: a reading of 0 between others, another unit, a counter that stands.

An hour in which a counter rose by more than any card draws is told sample by sample, and its gauge tells what is left. One
in which it rose by less than a tenth of what its gauge shows, or not at all, is told by the gauge, and without one by nothing. Blanks of DCGM belong to `gpu.py`.
"""

from __future__ import annotations

import polars as pl

from connectors.prometheus.counters import Grid
from connectors.prometheus.jumps import nonsense
from connectors.prometheus.question import GAP_SAMPLES, Question
from connectors.prometheus.recut import CARD, Samples, samples_of_cards
from connectors.telemetry import MAX_CARD_KW, STANDS

DROPPED = pl.Schema(
    {"hour": pl.Datetime("us"), "column_name": pl.String(), "value": pl.String(), "rows": pl.Float64()}
)


def believed(
    energy: pl.DataFrame, rows: pl.DataFrame, grid: Grid, question: Question, kind: Samples
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Energy of cards with what gauge and single samples say where a counter cannot be right.

    Args:
        energy: hour, gpu, measured and estimated (kWh), by the counters.
        rows: gpu, mig_id, hour, kw (NULL without a gauge) and observed_hours.
        grid: The hours.
        question: The same.
        kind: The counter's samples.

    Returns:
        The energy, without hours of which nothing is known; and `DROPPED`.
    """
    judged = energy.join(grid.hours.select("hour", "length"), on="hour").join(
        _gauges(rows), on=CARD, how="left"
    )
    total = pl.col("measured") + pl.col("estimated")
    judged = judged.with_columns(counted=total).with_columns(
        high=total > MAX_CARD_KW * pl.col("length"), low=pl.sql_expr(STANDS).fill_null(value=False)
    )
    odd = judged.filter(pl.col("high") | pl.col("low"))
    if odd.is_empty():
        return energy, pl.DataFrame(schema=DROPPED)
    cut = odd.filter("high").select(*CARD, "length").sort("hour", "gpu")
    sums = [_sound(question, hours, kind, grid.expected) for hours in cut.partition_by("hour")]
    sound = pl.concat([*sums, *([] if sums else [_nothing(odd)])])
    rest = pl.col("gauge") / pl.col("seen") * (pl.col("seen") - pl.col("hours")).clip(lower_bound=0.0)
    known = (pl.col("hours") > 0) | pl.col("gauge").is_not_null()
    told = odd.join(sound, on=CARD, how="left").with_columns(pl.col("kwh", "hours", "bad").fill_null(0.0))
    dropped = told.select(
        "hour",
        column_name=pl.lit("energy_kwh"),
        value=total.round(3).cast(pl.String),
        rows=pl.when("high").then("bad").otherwise(pl.col("seen") * grid.expected),
    )
    told = told.filter(known).with_columns(
        measured=pl.col("kwh") + rest.fill_null(0.0), estimated=pl.lit(0.0)
    )
    fine = judged.filter(~pl.col("high") & ~pl.col("low"))
    return pl.concat(f.select(energy.columns) for f in (fine, told)), dropped


def _gauges(rows: pl.DataFrame) -> pl.DataFrame:
    """gpu, hour, gauge (kWh, NULL without one) and seen (h): each slice repeats the gauge of its card."""
    there, gauged = rows.filter(pl.col("observed_hours") > 0), pl.col("kw").is_not_null()
    slices = there.with_columns(gauged=gauged.any().over(CARD)).filter(gauged | ~pl.col("gauged"))
    slices = slices.group_by(*CARD, "mig_id").agg(
        gauge=pl.when(gauged.any()).then((pl.col("kw") * pl.col("observed_hours")).sum()),
        seen=pl.col("observed_hours").sum(),
    )
    return slices.sort("seen").group_by(CARD, maintain_order=True).agg(pl.col("gauge", "seen").last())


def _nothing(odd: pl.DataFrame) -> pl.DataFrame:
    return odd.select(CARD).clear().with_columns(kwh=pl.lit(0.0), hours=pl.lit(0.0), bad=pl.lit(0.0))


def _sound(question: Question, cut: pl.DataFrame, kind: Samples, expected: float) -> pl.DataFrame:
    """What a card's counter says in the steps of an hour that a card can make: gpu, hour, kwh, hours, and bad samples.

    A counter that comes back to where it was did not begin anew: what lies between is nonsense.
    """
    seen = samples_of_cards(question, cut, kind, expected)
    card = seen.group_by(*CARD, "at").agg(pl.col("value").max()).sort(*CARD, "at").join(cut, on=CARD)
    card = card.with_columns(nonsense=nonsense("value", CARD))
    steps = card.filter(~pl.col("nonsense"))
    now, then = pl.col("value"), pl.col("value").shift(-1).over(CARD)
    end = pl.col("at").shift(-1).over(CARD)
    last = pl.min_horizontal(end, pl.col("hour") + pl.duration(seconds=pl.col("length") * 3600))
    inside = (last - pl.max_horizontal("at", "hour")).dt.total_microseconds() / 3.6e9
    steps = steps.with_columns(
        took=(end - pl.col("at")).dt.total_microseconds() / 3.6e9,
        inside=inside.clip(lower_bound=0.0),
        kwh=pl.when(then >= now).then(then - now).otherwise(then) / kind.per_kwh,
    )
    high = pl.col("kwh") > MAX_CARD_KW * pl.col("took")
    within = pl.col("at").is_between(
        pl.col("hour"), pl.col("hour") + pl.duration(seconds=pl.col("length") * 3600), closed="left"
    )
    good = steps.filter(~high & (pl.col("took") <= GAP_SAMPLES / expected) & (pl.col("inside") > 0))
    bad = pl.concat([f.filter(within).select(CARD) for f in (card.filter("nonsense"), steps.filter(high))])
    sums = good.group_by(CARD).agg(
        kwh=(pl.col("kwh") * pl.col("inside") / pl.col("took")).sum(), hours=pl.col("inside").sum()
    )
    counts = bad.group_by(CARD).agg(bad=pl.len().cast(pl.Float64))
    return sums.join(counts, on=CARD, how="full", coalesce=True)
