"""Counts of counters hour by hour, to the last one whatever the scrapes' phase: requests, tokens, buckets.

An hour's count is the counter's last value in it less the last value before, so that hours add up to the whole. Where
that may be wrong (restart, gap, a metric renamed between versions, a series that is new) the samples of the hour
themselves are asked for. Energy, which is shared out and estimated, belongs to `counters.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from connectors.prometheus.pace import Pace
from connectors.prometheus.question import GAP_SAMPLES, Question

Metric = tuple[str, tuple[str, ...]]
"""A name and label matchers."""

Named = Callable[[pl.DataFrame], pl.DataFrame]
"""Adds the columns of a thing to an answer with labels."""

FEW = 40
"""Up to so many instances are named when samples are asked for."""


@dataclass(frozen=True)
class Counters:
    """The counters of some servers.

    Attributes:
        question: The hours.
        thing: Columns that name what has counters, `instance` among them.
        child: Labels that tell apart counters of one thing, which are added up.
        named: Adds the columns of a thing.
        kept: thing, hour, ha (the replica that counts), count (samples) and behind (`instance` is another label's).
        scrapes: How often the things are scraped.
        bridge_h: What a longer gap held is unknown.
    """

    question: Question
    thing: Sequence[str]
    child: Sequence[str]
    named: Named
    kept: pl.DataFrame
    scrapes: Pace
    bridge_h: float

    def hours(
        self, names: Sequence[Metric], labels: Sequence[str], more: Sequence[str] = (), *, late: bool = False
    ) -> pl.DataFrame:
        """Counts of one metric by thing, more labels and hour.

        What a gap held is exact in sum and spread evenly over the time without samples, whose hours get rows. A thing's
        first sample shows nothing; a series that is new beside others of its thing counts from 0.

        Args:
            names: The metric under its names, best first; of names that are there at once the best counts.
            labels: Labels that the thing is named by.
            more: Further labels to keep apart.
            late: The metric appears with its first count: of a thing that was there before it counts from 0 too.

        Returns:
            thing, more, hour and value.
        """
        over, asked = [*self.thing, *self.child, *more], [*labels, *more]
        rows = self._lasts(names, asked, over)
        raw = self._raw(names, asked, over, rows)
        rows = _before(
            rows.join(raw, on=[*over, "hour"], how="left", nulls_equal=True)
            .filter(~pl.col("unsure") | pl.col("first").is_not_null())
            .with_columns(last=pl.coalesce("raw_last", "last")),
            over,
        )
        old = (pl.col("index").min().over(self.thing) < pl.col("index")) | (
            pl.col("first_at").min().over([*self.thing, "hour"]) < pl.col("first_at")
        )
        if late:
            rows = rows.join(
                self.kept.select(*self.thing, "hour", "count", since=pl.col("hour").min().over(self.thing)),
                on=[*self.thing, "hour"], how="left", nulls_equal=True,
            )  # fmt: skip
            longer = pl.col("count") > pl.col("samples")
            old |= (pl.col("since") < pl.col("hour")).fill_null(value=False) | longer.fill_null(value=False)
        first = pl.coalesce("first", "last")
        rows = rows.with_columns(
            between=(pl.col("hour") - pl.col("prev_end")).dt.total_seconds() / 3600,
            step=pl.when(pl.col("prev_last").is_null())
            .then(pl.when(old).then(first).otherwise(0.0))
            .when(first < pl.col("prev_last"))
            .then(first)
            .otherwise(first - pl.col("prev_last")),
        )
        gap = (pl.col("between") > 1e-6).fill_null(value=False)
        tells = pl.col("prev_last").is_not_null() | (
            pl.col("first").is_not_null() & (old | (pl.col("samples") > 1))
        )
        own = rows.filter(tells).select(
            *over, "hour", value=pl.col("inside").fill_null(0.0) + pl.when(gap).then(0.0).otherwise("step")
        )
        spread = self._spread(rows.filter(gap & (pl.col("between") <= self.bridge_h)), over)
        return pl.concat([own, spread]).group_by(*self.thing, *more, "hour").agg(pl.col("value").sum())

    def _chosen(self, frame: pl.DataFrame) -> pl.DataFrame:
        return self.named(frame).join(self.kept, on=[*self.thing, "hour", "ha"], how="semi", nulls_equal=True)

    def _lasts(self, names: Sequence[Metric], labels: Sequence[str], over: list[str]) -> pl.DataFrame:
        """over, hour, index, length, missing, last and unsure: of the best name, and of all where that changes."""
        asked, reach = self.question.ask, round(GAP_SAMPLES * 3600 / self.scrapes.expected)
        lasts, resets = [], []
        for order, (name, more) in enumerate(names):
            found = asked(f"last_over_time({self.question.values(name, *more)})", labels)
            lasts.append(found.with_columns(order=pl.lit(order)))
            resets.append(asked(f"resets({self.question.select(name, *more)}[$w+{reach}]) > 0", labels))
        by = [*over, "hour"]
        hours, thing = self.question.hours(), [*self.thing, "hour"]
        seen = self.scrapes.even(self.kept.group_by(thing).agg(pl.col("count").max()), "count")
        restarted = self._chosen(pl.concat(resets)).select(by).unique()
        found = self._chosen(pl.concat(lasts)).join(hours, on="hour")
        names_of = found.group_by(*thing, "index").agg(best=pl.col("order").min()).sort("index")
        change = (pl.col("best") != pl.col("best").shift(1)) | (pl.col("best") != pl.col("best").shift(-1))
        names_of = names_of.with_columns(renamed=change.over(self.thing).fill_null(value=False)).drop("index")
        rows = (
            found.join(names_of, on=thing, how="left", nulls_equal=True)
            .filter(pl.col("renamed") | (pl.col("order") == pl.col("best")))
            .group_by(*by, "index", "length", "renamed")
            .agg(last=pl.col("value").sort_by("order", "value", descending=[False, True]).first())
            .join(seen, on=thing, how="left", nulls_equal=True)
            .join(restarted.with_columns(restarted=pl.lit(value=True)), on=by, how="left", nulls_equal=True)
            .with_columns(
                missing=(pl.col("length") - pl.col("count") / self.scrapes.expected).clip(lower_bound=0.0)
            )
        )
        tolerance = GAP_SAMPLES / self.scrapes.expected
        return (
            _before(rows, over)
            .with_columns(
                unsure=(
                    pl.col("restarted").fill_null(value=False)
                    | pl.col("renamed")
                    | (pl.col("prev_last").is_null() & (pl.col("index") > 0))
                    | (pl.col("index").cast(pl.Int64) - pl.col("prev_index") > 1)
                    | (pl.col("missing") > tolerance)
                    | (pl.col("prev_missing") > tolerance)
                ).fill_null(value=False)
            )
            .drop("restarted", "renamed", "count", *PREVIOUS)
        )

    def _raw(
        self, names: Sequence[Metric], labels: Sequence[str], over: list[str], rows: pl.DataFrame
    ) -> pl.DataFrame:
        """Of hours that are not sure, by their samples: over, hour, first, first_at, raw_last, inside."""
        unsure = rows.filter("unsure")
        parts = [
            self._samples(name, labels, part).select(*over, "hour", "at", "value", order=pl.lit(order))
            for part in unsure.partition_by("hour")
            for order, name in enumerate(names)
        ]
        numbers = {name: pl.Float64() for name in ("first", "raw_last", "samples", "inside")}
        schema = pl.Schema({**rows.select(*over, "hour").schema, "first_at": pl.Datetime("us"), **numbers})
        if not parts:
            return schema.to_frame()
        rise = pl.col("value").diff()
        return (
            pl.concat(parts)
            .filter(pl.col("order") == pl.col("order").min().over(*self.thing, "at"))
            .group_by(*over, "hour", "at")
            .agg(pl.col("value").max())
            .sort("at")
            .group_by(*over, "hour", maintain_order=True)
            .agg(
                first=pl.col("value").first(),
                first_at=pl.col("at").first(),
                raw_last=pl.col("value").last(),
                samples=pl.len().cast(pl.Float64),
                inside=pl.when(rise < 0).then("value").otherwise(rise).sum(),
            )
            .select(*schema)
        )

    def _samples(self, name: Metric, labels: Sequence[str], part: pl.DataFrame) -> pl.DataFrame:
        """The samples of some series in their one hour."""
        hour, length = part["hour"][0], part["length"][0]
        instances = part["instance"].unique().sort().to_list()
        metric, more = name
        if len(instances) <= FEW and "" not in instances and not self.kept["behind"].any():
            one_of = "|".join(re.escape(i) for i in instances).replace("\\", "\\\\")
            more = (*more, f'instance=~"{one_of}"')
        found = self.question.samples_of(self.question.values(metric, *more), hour, length, labels)
        return self._chosen(found.with_columns(pl.lit(hour, dtype=pl.Datetime("us")).alias("hour")))

    def _spread(self, rows: pl.DataFrame, over: list[str]) -> pl.DataFrame:
        """What gaps held, over the time without samples."""
        hours = self.question.hours()
        return (
            rows.with_columns(slot=pl.int_ranges(pl.col("prev_index"), pl.col("index") + 1))
            .explode("slot")
            .join(hours.select(slot=pl.col("index").cast(pl.Int64), at="hour", full="length"), on="slot")
            .with_columns(
                silent=pl.when(pl.col("slot") == pl.col("index"))
                .then("missing")
                .when(pl.col("slot") == pl.col("prev_index"))
                .then("prev_missing")
                .otherwise("full")
            )
            .select(*over, hour="at", value=pl.col("step") * pl.col("silent") / pl.col("silent").sum().over(*over, "index"))
        )  # fmt: skip


PREVIOUS = ("prev_last", "prev_index", "prev_missing", "prev_end")


def _before(rows: pl.DataFrame, over: list[str]) -> pl.DataFrame:
    """Adds what there was in the hour before of the same series."""
    ends = pl.col("hour") + pl.duration(seconds=pl.col("length") * 3600)
    values = (pl.col("last"), pl.col("index").cast(pl.Int64), pl.col("missing"), ends)
    return rows.sort(*over, "index").with_columns(
        value.shift(1).over(over).alias(name) for name, value in zip(PREVIOUS, values, strict=True)
    )
