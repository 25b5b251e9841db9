"""Which samples of a card count in an hour: several exporters may see it, and several holders follow or share.

Each exporter (a job's target) scrapes at moments of its own, and as often as its job says: added up, two would look
like one that is scraped twice as often. So of a card and hour the exporter counts that names holders for longest, in
this hour, then in all; then the one with more samples. Where it lacks some, the others fill in for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

import polars as pl

from connectors.prometheus.holder_energy import KEYS
from connectors.prometheus.holders import PODS, holders
from connectors.prometheus.pace import Pace, pace
from connectors.prometheus.question import LOST_SAMPLES, Question, blank, first_of, one_replica

UUIDS = ("UUID", "uuid", "gpu_uuid")
"""Labels that name a card."""

TARGET = ("job", "instance")
"""Labels that name an exporter."""

REPLICAS = ("prometheus_replica", "replica", "__replica__")
"""Labels that mostly tell apart the replicas of a highly available Prometheus, where the configuration names none."""

EXPORTER = pl.concat_str(TARGET, separator=" ")

VIEW = ("gpu", "mig_id", "exporter")
"""What has one sample at a time: a card or slice as an exporter sees it."""

ROW = (*KEYS, "count", "instants", "held", "apart")

CARD_HOUR = ("gpu", "mig_id", "hour")

LATE = 1.25
"""A sample stands for so many intervals at most: scrapes come a little late."""


@dataclass(frozen=True)
class Counted:
    """Samples that count.

    Attributes:
        rows: `KEYS`, count (samples under a holder), and where an hour has several holders instants (samples at different
            times), held (those with a holder) and apart (the row's own part of them: those of one moment share it evenly).
            Samples are as many as at the slowest pace.
        kept: gpu, mig_id, hour, exporter: those whose samples count, and not just one between two of another.
        full: gpu, mig_id, hour, full: samples that the exporter that counts first would have of a full hour.
        scrapes: How often each view is scraped.
    """

    rows: pl.DataFrame
    kept: pl.DataFrame
    full: pl.DataFrame
    scrapes: Pace


@dataclass(frozen=True)
class Moments:
    """Where samples one by one come from: the question, the exporters' own pods, and metrics, best first."""

    question: Question
    exporter_pods: str
    metrics: Sequence[str]

    def of(self, views: pl.DataFrame, before_s: int = 0) -> Iterator[pl.DataFrame]:
        """Samples of views in each of their hours: `KEYS`, exporter and at.

        Args:
            views: `VIEW`, hour and length.
            before_s: Seconds before each hour that are asked for, too.
        """
        unnamed = () if self.question.replica_label else REPLICAS
        for part_ in views.sort("hour").partition_by("hour"):
            hour, length, left = part_["hour"][0], part_["length"][0], part_
            found = []
            for metric in self.metrics:
                ranged = f"{self.question.select(metric)}[$w+{before_s}] offset 1ms"
                seen = self.question.samples_of(
                    ranged, hour, length, (*UUIDS, "GPU_I_ID", *TARGET, *PODS, *unnamed)
                ).with_columns(gpu=first_of(UUIDS), mig_id=blank("GPU_I_ID"), exporter=EXPORTER)
                seen = seen.with_columns(ha=pl.concat_str("ha", *unnamed))
                found.append(seen.join(left, on=VIEW, how="semi", nulls_equal=True))
                inside = found[-1].filter(pl.col("at") >= hour)
                left = left.join(inside, on=VIEW, how="anti", nulls_equal=True)
                if left.is_empty():
                    break
            named = holders(pl.concat(found), self.exporter_pods).with_columns(
                pl.lit(hour, dtype=pl.Datetime("us")).alias("hour"), count=pl.lit(1.0)
            )
            yield one_replica(named, ["gpu"]).select(*KEYS, "exporter", "at").unique()


def part(expected: float, instance: Sequence[str]) -> pl.Expr:
    """Hours of a row that others have samples beside: of its kind's (with a holder or without) by its part of the times."""
    kind = [*instance, "hour", pl.col("pod").is_not_null()]
    held = pl.min_horizontal(pl.col("held") / expected, "length")
    left = pl.min_horizontal((pl.col("instants") - pl.col("held")) / expected, pl.col("length") - held)
    apart = pl.col("apart").sum().over(kind)
    free = pl.min_horizontal(apart / expected, pl.max_horizontal(left, 0.0))
    hours = pl.when(pl.col("pod").is_not_null()).then(held).otherwise(free)
    return pl.col("apart") / apart * hours


def counted(moments: Moments, frame: pl.DataFrame, interval_s: float | None) -> Counted:
    """Finds the samples that count.

    Args:
        moments: Where samples come from.
        frame: `KEYS`, exporter, length and count, of one replica.
        interval_s: Seconds between scrapes, None to find out.
    """
    views = frame.group_by(*KEYS, "exporter", "length").agg(pl.col("count").sum()).filter(pl.col("count") > 0)
    times, aparts = _times(moments, views)
    scrapes = pace(times, VIEW, interval_s, CARD_HOUR[:2])
    times = scrapes.even(times, "count", "instants", "held")
    ranks = _ranked(times)
    lead = ranks.filter(pl.col("rank") == 0)
    lacks = pl.col("count") < scrapes.expected * pl.col("length") - LOST_SAMPLES
    short = lead.filter(lacks & (pl.col("exporters") > 1))
    alone = lead.join(short, on=CARD_HOUR, how="anti", nulls_equal=True)
    by = [*VIEW, "hour"]
    views = views.join(aparts, on=[*KEYS, "exporter"], how="left", nulls_equal=True, maintain_order="left")
    rows = scrapes.even(views, "count", "apart").join(
        alone.select(*by, "instants", "held"), on=by, nulls_equal=True, maintain_order="left"
    )  # fmt: skip
    completed = ranks.join(short, on=CARD_HOUR, how="semi", nulls_equal=True)
    parts = [(rows.select(ROW), alone.select(by))]
    for taken in _completed(moments, completed, scrapes):
        much = taken.group_by(by).agg(pl.col("weight").sum()).filter(pl.col("weight") > LOST_SAMPLES)
        parts.append((_rows(taken).select(ROW), much.select(by)))
    full = scrapes.with_full(lead).select(*CARD_HOUR, "full")
    return Counted(pl.concat(r for r, _ in parts), pl.concat(k for _, k in parts), full, scrapes)


def _times(moments: Moments, views: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Of each view and hour count, samples at different times; for those with several holders instants and held, too.

    Pods that follow each other have samples one after the other, pods that share a card at the same times. And of the rows
    of these hours `KEYS`, exporter and apart.
    """
    by = [*VIEW, "hour"]
    sums = views.group_by(*by, "length").agg(
        pl.len(), pl.col("count").sum(), names=pl.col("count").filter(pl.col("pod").is_not_null()).sum()
    )
    none = pl.lit(None, dtype=pl.Float64)
    found = [sums.select(by).clear().with_columns(instants=none, held=none)]
    aparts = [views.select(*KEYS, "exporter").clear().with_columns(apart=none)]
    for seen in moments.of(sums.filter(pl.col("len") > 1)):
        held = pl.col("at").filter(pl.col("pod").is_not_null())
        found.append(
            seen.group_by(by).agg(
                instants=pl.col("at").n_unique().cast(pl.Float64), held=held.n_unique().cast(pl.Float64)
            )
        )
        aparts.append(_apart(seen.with_columns(weight=1.0), [*by, "at"], [*KEYS, "exporter"]))
    joined = sums.join(pl.concat(found), on=by, how="left", nulls_equal=True)
    return joined.with_columns(pl.coalesce("instants", "count").alias("count")), pl.concat(aparts)


def _apart(samples: pl.DataFrame, moment: Sequence[str], key: Sequence[str]) -> pl.DataFrame:
    """Columns of the key and apart: the weight of samples, of which those of one moment and kind (with a holder or without) share one."""
    kind = [*moment, pl.col("pod").is_not_null()]
    parts = samples.with_columns(apart=pl.col("weight") / pl.len().over(kind))
    return parts.group_by(key).agg(pl.col("apart").sum())


def _ranked(times: pl.DataFrame) -> pl.DataFrame:
    """Adds rank, 0 for the exporter that counts first in an hour of a card, and exporters, how many see it."""
    named = pl.coalesce("held", "names")
    best = times.with_columns(named=named, ever=named.sum().over(VIEW)).sort(
        *CARD_HOUR, "named", "ever", "count", "exporter", descending=[False] * 3 + [True] * 3 + [False]
    )
    return best.with_columns(rank=pl.int_range(pl.len()).over(CARD_HOUR), exporters=pl.len().over(CARD_HOUR))


def _completed(moments: Moments, ranks: pl.DataFrame, scrapes: Pace) -> Iterator[pl.DataFrame]:
    """Samples of hours in which the exporter that counts first lacks some: others' count where those before are silent."""
    usual_s = 3600 / scrapes.expected
    ranks = scrapes.with_full(ranks).with_columns(
        weight=scrapes.expected / pl.col("full"), card=pl.concat_str("gpu", pl.col("mig_id").fill_null(""))
    )
    by = [*VIEW, "hour"]
    for seen in moments.of(ranks, ceil(LATE * usual_s)):
        placed = seen.join(ranks.select(*by, "card", "rank", "weight"), on=by, nulls_equal=True).sort("at")
        stands = pl.duration(milliseconds=LATE * 1000 * usual_s * pl.col("weight"))
        placed = placed.with_columns(until=pl.col("at") + stands)
        taken = placed.filter(pl.col("rank") == 0)
        for rank in sorted(placed.filter(pl.col("rank") > 0)["rank"].unique()):
            silent = taken.select("card", "at", so_far=pl.col("until").cum_max().over("card"))
            more = placed.filter(pl.col("rank") == rank).join_asof(silent, on="at", by="card")
            late = pl.col("so_far").is_null() | (pl.col("at") > pl.col("so_far"))
            taken = pl.concat([taken, more.filter(late).drop("so_far")]).sort("at")
        yield taken.filter(pl.col("at") >= pl.col("hour"))


def _rows(taken: pl.DataFrame) -> pl.DataFrame:
    """Rows of samples with a weight, as `Counted.rows`."""
    held = pl.col("pod").is_not_null().any()
    times = taken.group_by(*CARD_HOUR, "at").agg(pl.col("weight").max(), held=held)
    cards = times.group_by(CARD_HOUR).agg(
        instants=pl.col("weight").sum(), held=pl.col("weight").filter("held").sum()
    )
    rows = taken.group_by(KEYS).agg(count=pl.col("weight").sum())
    rows = rows.join(_apart(taken, [*CARD_HOUR, "at"], KEYS), on=KEYS, nulls_equal=True)
    several = pl.len().over(CARD_HOUR) > 1
    return rows.join(cards, on=CARD_HOUR, nulls_equal=True).with_columns(
        pl.when(several).then(name) for name in ("instants", "held", "apart")
    )
