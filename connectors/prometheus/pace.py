"""How often things are scraped, where that differs among them or changes.

How much of an hour samples cover belongs to `question.observed`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from connectors.prometheus.question import expected_samples
from connectors.telemetry import HOUR

STEADY_HOURS = 3
"""So many hours in a row with as many samples, but for one, show how often a thing is scraped."""

LEAST = 6.0
"""Fewer samples an hour show nothing: they are what gaps leave."""

SLOWER = 0.75
"""A thing with more than this part of the usual samples is scraped as the others are, and lacks some."""


@dataclass(frozen=True)
class Pace:
    """Scrapes of some things, as if all had come at the pace of the slowest.

    Attributes:
        thing: Columns that name what has one sample at a time.
        expected: Samples of a full hour of the slowest.
        fuller: thing, hour, full: samples of a full hour, where they are more than `expected`.
    """

    thing: Sequence[str]
    expected: float
    fuller: pl.DataFrame

    def with_full(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Adds full, samples of a full hour, to a frame with the thing's columns and hour."""
        found = frame.join(
            self.fuller, on=[*self.thing, "hour"], how="left", nulls_equal=True, maintain_order="left"
        )
        return found.with_columns(pl.col("full").fill_null(self.expected))

    def even(self, frame: pl.DataFrame, *counts: str) -> pl.DataFrame:
        """A frame with the thing's columns and hour, its counts of samples made comparable."""
        part = pl.lit(self.expected) / pl.col("full")
        return self.with_full(frame).with_columns(pl.col(name) * part for name in counts).drop("full")


def pace(
    frame: pl.DataFrame, thing: Sequence[str], interval_s: float | None, seen: Sequence[str] = ()
) -> Pace:
    """Finds how often things are scraped.

    Usual is what the configuration says, else what most hours have. Slower is a thing that for some hours in a row
    has fewer samples, equally many in each. An hour beside such hours is as slow as the slower of those before and after.
    A thing that is never there for so long, since the exporter that sees it has a new address every few hours, is as slow
    as what it sees is in most hours.

    Args:
        frame: The thing's columns, hour and count.
        thing: Columns that name what has one sample at a time.
        interval_s: Seconds between scrapes; None finds the usual number.
        seen: Those of these columns that name what several things may see.
    """
    usual = expected_samples(frame, thing, interval_s)
    things, run = list(thing), [*thing, "run"]
    alike = (pl.col("hour").diff() == HOUR) & (pl.col("count").diff().abs() <= 1)
    rows = (
        frame.group_by(*things, "hour").agg(pl.col("count").sum()).filter(pl.col("count") > 0).sort("hour")
        .with_columns(run=(~alike.fill_null(value=False)).cum_sum().over(things))
        .with_columns(most=pl.col("count").max().over(run), steady=pl.len().over(run) >= STEADY_HOURS)
    )  # fmt: skip

    def slow(count: str) -> pl.Expr:
        return pl.when(pl.col(count).is_between(LEAST, SLOWER * usual)).then(count).otherwise(usual)

    shown = pl.when("steady").then(slow("most"))
    before, after = shown.forward_fill().over(things), shown.backward_fill().over(things)
    rows = rows.with_columns(full=pl.min_horizontal(before, after))
    if seen:
        most = (
            rows.group_by(*seen, "hour").agg(pl.col("count").sum())
            .group_by(*seen, often="count").len().filter(pl.col("len") >= STEADY_HOURS)
            .sort("len", "often").unique(seen, keep="last", maintain_order=True)
        )  # fmt: skip
        rows = rows.join(most, on=list(seen), how="left", nulls_equal=True, maintain_order="left")
        rows = rows.with_columns(pl.col("full").fill_null(slow("often")))
    found = rows.select(*things, "hour", pl.col("full").fill_null(usual))
    slowest = found.select(pl.col("full").min().fill_null(usual)).item()
    return Pace(thing, slowest, found.filter(pl.col("full") > slowest))
