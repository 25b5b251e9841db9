"""Energy of cards in hours in which they are cut anew: from their samples one by one, as for files.

An hour's rise of each series says what a slice saw, not what others were there meanwhile: seven slices that two of
three sevenths follow are seven parts of their time, the two are each a half of theirs. `telemetry_files/gpu.py` has the
same rule. Other hours belong to `gpu.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from connectors.prometheus.exporters import VIEW, Counted
from connectors.prometheus.question import GAP_SAMPLES, Question, one_replica

CARD = ("gpu", "hour")
_INSTANCE = ("gpu", "mig_id")


@dataclass(frozen=True)
class Samples:
    """Which samples say what cards draw.

    Attributes:
        metrics: Names of the metric.
        labels: Labels that `named` needs.
        named: Puts gpu, mig_id, exporter, namespace, pod and uid under those names.
        believed: Whether a sample is none of DCGM's blanks and not more than a card can do.
        counter: A counter in units of `per_kwh`, else a gauge in W.
        per_kwh: Units of the counter in a kWh; of the gauge, W x h.
    """

    metrics: Sequence[str]
    labels: Sequence[str]
    named: Callable[[pl.DataFrame], pl.DataFrame]
    believed: pl.Expr
    counter: bool
    per_kwh: float


def cut_hours(rows: pl.DataFrame, expected: float) -> pl.DataFrame:
    """gpu, hour and length of hours in which a card has slices, of which one is not there all the time.

    Args:
        rows: gpu, mig_id, hour, length and observed_hours of holders.
        expected: Samples of a full hour.
    """
    instances = rows.group_by(*_INSTANCE, "hour", "length").agg(pl.col("observed_hours").sum())
    there = instances.group_by(*CARD, "length").agg(
        pl.col("observed_hours").min(), pl.len(), sliced=pl.col("mig_id").is_not_null().any()
    )
    part = pl.col("observed_hours") < pl.col("length") - 0.5 / expected
    return there.filter("sliced", pl.col("len") > 1, part).select(*CARD, "length").sort("hour", "gpu")


def parts(
    question: Question, cut: pl.DataFrame, rows: pl.DataFrame, kinds: Sequence[Samples], counted: Counted
) -> pl.DataFrame:
    """What each holder's samples say of the energy in hours in which a card is cut anew.

    From one sample of a card to its next its energy belongs to who is in the first, by compute slices; those who share
    a slice, evenly. A whole card that nobody holds has nothing beside slices. Gaps have no energy here.

    Args:
        question: The hours.
        cut: Result of `cut_hours`.
        rows: gpu, mig_id, hour and slices.
        kinds: The samples to ask for; of each card the first kind with an answer counts.
        counted: Which exporters count.

    Returns:
        gpu, hour, mig_id, namespace, pod, uid and kwh.
    """
    slices = rows.group_by(*_INSTANCE, "hour").agg(pl.col("slices").max())
    key = ["gpu", "hour", "mig_id", "namespace", "pod", "uid"]
    expected = counted.scrapes.expected
    found = [rows.select(key).clear().with_columns(kwh=pl.lit(None, dtype=pl.Float64))]
    for hours in cut.partition_by("hour"):
        left = hours
        for kind in kinds:
            seen = (
                samples_of_cards(question, left, kind, expected)
                .join(counted.kept, on=[*VIEW, "hour"], how="semi", nulls_equal=True)
                .join(slices, on=[*_INSTANCE, "hour"], nulls_equal=True)
            )
            found.append(_shared(_steps(seen, left, kind, expected), key))
            left = left.join(found[-1], on=CARD, how="anti")
            if left.is_empty():
                break
    return pl.concat(found)


def samples_of_cards(question: Question, cut: pl.DataFrame, kind: Samples, expected: float) -> pl.DataFrame:
    """Samples of some cards in an hour and up to a gap around it, of one replica: with hour, at and value."""
    hour, length = cut.select("hour", "length").row(0)
    beside = GAP_SAMPLES / expected
    seconds = round((length + 2 * beside) * 3600)
    answers = [
        question.samples_of(f"{question.select(m)}[{seconds}s]", hour, length + beside, kind.labels)
        for m in kind.metrics
    ]
    samples = kind.named(pl.concat(answers).filter(kind.believed).with_columns(count=pl.lit(1.0)))
    samples = samples.with_columns(pl.lit(hour, dtype=pl.Datetime("us")).alias("hour"))
    return one_replica(samples.join(cut, on=CARD, how="semi"), ["gpu"])


def _steps(samples: pl.DataFrame, cut: pl.DataFrame, kind: Samples, expected: float) -> pl.DataFrame:
    """The samples with kwh: what the card drew until its next one, as far as that is in the hour; 0 in a gap."""
    card = samples.group_by(*CARD, "at").agg(pl.col("value").max()).sort(*CARD, "at").join(cut, on=CARD)
    now, then = pl.col("value"), pl.col("value").shift(-1).over(CARD)
    end = pl.col("at").shift(-1).over(CARD)
    hours = (end - pl.col("at")).dt.total_microseconds() / 3.6e9
    rise = pl.when(then >= now).then(then - now).otherwise(then) if kind.counter else (now + then) / 2 * hours
    last = pl.min_horizontal(end, pl.col("hour") + pl.duration(seconds=pl.col("length") * 3600))
    inside = (last - pl.max_horizontal("at", "hour")).dt.total_microseconds() / 3.6e9
    drawn = rise * inside.clip(lower_bound=0.0) / hours / kind.per_kwh
    steps = card.with_columns(kwh=pl.when(hours <= GAP_SAMPLES / expected).then(drawn).otherwise(0.0))
    return samples.join(steps.select(*CARD, "at", "kwh").drop_nulls("kwh"), on=[*CARD, "at"])


def _shared(steps: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    moment = [*CARD, "at"]
    slices_there = pl.col("mig_id").is_not_null().any().over(moment)
    empty = pl.col("mig_id").is_null() & pl.col("pod").is_null() & slices_there
    holders = steps.group_by(*key, "at").agg(pl.col("slices", "kwh").max()).filter(~empty)
    weight = pl.col("slices") / pl.len().over(*moment, "mig_id")
    return (
        holders.with_columns(weight=weight)
        .with_columns(kwh=pl.col("kwh") * pl.col("weight") / pl.col("weight").sum().over(moment))
        .group_by(key)
        .agg(pl.col("kwh").sum())
    )
