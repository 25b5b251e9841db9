"""What every question to Prometheus shares: the time asked for, which series, which replica, how much is covered.

The queries themselves belong to the modules beside it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from connectors.prometheus.client import Client
from connectors.telemetry import HOUR, local_hours

GAP_SAMPLES = 2.5
"""An hour that lacks more samples than this has a gap."""

LOST_SAMPLES = 1.5
"""An hour between two others of a thing that lacks no more is whole: the sample before a lost one stands for both."""

QUARTER = HOUR / 4

CHUNK_HOURS = 240
"""Hours asked for at once: points of a series in one answer."""


@dataclass(frozen=True)
class Span:
    """Hours of one length that follow each other: starts of the first and the last, UTC with a zone."""

    first: datetime
    last: datetime
    step: timedelta = HOUR

    def starts(self) -> list[datetime]:
        """The starts of its hours."""
        return [self.first + k * self.step for k in range((self.last - self.first) // self.step + 1)]


def spans(days: Sequence[date], zone: ZoneInfo) -> list[Span]:
    """The local hours of days that follow each other, in as few spans as there can be."""
    found: list[Span] = []
    for start, length in (hour for day in days for hour in local_hours(day, zone)):
        before = found[-1] if found else None
        if (
            before
            and before.step == length
            and before.last + length == start
            and start - before.first < CHUNK_HOURS * HOUR
        ):
            found[-1] = Span(before.first, start, length)
        else:
            found.append(Span(start, start, length))
    return found


@dataclass(frozen=True)
class Question:
    """Hours to ask for, each span in one request as far as the server allows.

    Attributes:
        client: The server.
        spans: The hours.
        matchers: Label matchers of every series, without braces.
        replica_label: Label that tells apart the replicas of a highly available Prometheus; None without.
    """

    client: Client
    spans: Sequence[Span]
    matchers: str = ""
    replica_label: str | None = None

    @property
    def first(self) -> datetime:
        """The first instant."""
        return self.spans[0].first

    @property
    def end(self) -> datetime:
        """The last instant."""
        return self.spans[-1].last + self.spans[-1].step

    def hours(self) -> pl.DataFrame:
        """Index (from 0), hour (UTC without a zone), length (h)."""
        rows = [(at.replace(tzinfo=None), s.step / HOUR) for s in self.spans for at in s.starts()]
        schema = pl.Schema({"hour": pl.Datetime("us"), "length": pl.Float64()})
        return pl.DataFrame(rows, schema=schema, orient="row").with_row_index("index")

    def quarters(self) -> Question:
        """The same time in quarters of an hour, on which every hour starts: answers name them as `hour`."""
        cut = [Span(s.first, s.last + s.step - QUARTER, QUARTER) for s in self.spans]
        return replace(self, spans=cut)

    def select(self, metric: str, *more: str) -> str:
        """A selector of the metric with the matchers, and with more of them."""
        return metric + "{" + ",".join(m for m in (self.matchers, *more) if m) + "}"

    def gauge(self, metric: str, *more: str) -> str:
        """The samples of an hour, that on its first instant included, that on its last not.

        A sample stands for the time from it to the next one. Shifted by a millisecond so in Prometheus 2 (both ends
        closed) and 3 (the first one open) alike.
        """
        return f"{self.select(metric, *more)}[$w] offset 1ms"

    def counter(self, metric: str, *more: str) -> str:
        """The samples of an hour, that on its last instant included: what increase() expects."""
        return f"{self.select(metric, *more)}[$w]"

    def values(self, metric: str, *more: str) -> str:
        """The samples of an hour, that on its last instant included, that on its first not, in all Prometheus."""
        return f"{self.select(metric, *more)}[$h]"

    def ask(
        self, inner: str, labels: Sequence[str], function: str = "max", *, finite: bool = True
    ) -> pl.DataFrame:
        """Asks for the maximum (or another aggregate) of an expression by labels, hour by hour.

        The maximum is over series that tell the same of the same thing: scrapes by two jobs, sharers of a card.
        Replicas are kept apart (see `one_replica`).

        Args:
            inner: PromQL; `$w` stands for the length of an hour, `$h` for that less a second, `$w+90` for 90 seconds more.
            labels: Labels wanted.
            function: Aggregate.
            finite: Without answers that are NaN or infinite.

        Returns:
            The labels, ha (the replica), hour and value.
        """
        names = [*labels, self.replica_label] if self.replica_label else list(labels)
        query = f"{function} by ({', '.join(names)}) ({inner})"
        parts = [
            self.client.steps(_in_hours(query, s.step), s.first, s.last, names, s.step) for s in self.spans
        ]
        replica = pl.col(self.replica_label) if self.replica_label else pl.lit("")
        found = pl.concat(parts).select(*labels, replica.alias("ha"), "hour", "value")
        return found.filter(pl.col("value").is_finite()) if finite else found

    def ask_at(self, inner: str, hour: datetime, length: float, labels: Sequence[str]) -> pl.DataFrame:
        """The answer for one hour (UTC without a zone) of `length` hours: labels and value."""
        end = hour.replace(tzinfo=UTC) + length * HOUR
        return self.client.at(_in_hours(inner, length * HOUR), end, labels)

    def samples_of(
        self, ranged: str, hour: datetime, length: float, labels: Sequence[str], *, finite: bool = True
    ) -> pl.DataFrame:
        """The samples of a range (`gauge`, `values`) in one hour (UTC without a zone): labels, ha, at and value."""
        names = [*labels, self.replica_label] if self.replica_label else list(labels)
        end = hour.replace(tzinfo=UTC) + length * HOUR
        found = self.client.samples(_in_hours(ranged, length * HOUR), end, names)
        replica = pl.col(self.replica_label) if self.replica_label else pl.lit("")
        found = found.select(*labels, replica.alias("ha"), "at", "value")
        return found.filter(pl.col("value").is_finite()) if finite else found


def _in_hours(query: str, step: timedelta) -> str:
    seconds = round(step.total_seconds())
    longer = re.sub(r"\$w\+(\d+)", lambda found: f"{seconds + int(found[1])}s", query)
    return longer.replace("$w", f"{seconds}s").replace("$h", f"{seconds - 1}s")


def bound(le: str) -> float | None:
    """The bound of a bucket, None for what is none: Prometheus 3 writes "1.0" for the "1" of a server, and of Prometheus 2."""
    try:
        return float(le)
    except ValueError:
        return None


def blank(column: str) -> pl.Expr:
    """A label, NULL where it is absent."""
    return pl.col(column).replace("", None)


def first_of(names: Sequence[str]) -> pl.Expr:
    """The first of some labels that is there, NULL if none is."""
    return pl.coalesce([blank(name) for name in names])


def one_replica(frame: pl.DataFrame, thing: Sequence[str]) -> pl.DataFrame:
    """Keeps for each thing and hour the replica with the most samples (column count), the first by name of equals."""
    if frame.is_empty():
        return frame
    by = [*thing, "hour"]
    best = (
        frame.group_by(*by, "ha")
        .agg(samples=pl.col("count").sum())
        .sort("samples", "ha", descending=[True, False])
        .unique(by, keep="first", maintain_order=True)
        .drop("samples")
    )
    return frame.join(best, on=[*by, "ha"], how="semi", nulls_equal=True)


def expected_samples(frame: pl.DataFrame, thing: Sequence[str], interval_s: float | None) -> float:
    """Samples that a full hour of one series has.

    Args:
        frame: With the thing's columns, hour and count.
        thing: Columns that name what has one sample at a time.
        interval_s: Seconds between scrapes; None finds the number that most hours have.
    """
    if interval_s is not None:
        return 3600 / interval_s
    totals = frame.group_by(*thing, "hour").agg(pl.col("count").sum()).filter(pl.col("count") > 0)
    if totals.is_empty():
        return 1.0
    common = totals.group_by("count").len().sort("len", "count", descending=True)
    return float(common["count"][0])


def observed(expected: float, thing: Sequence[str], length: pl.Expr | None = None) -> pl.Expr:
    """Hours a row's samples cover: count / expected, or its part of all samples where there are more than expected.

    Args:
        expected: Samples of a full hour.
        thing: Columns that name what has one sample at a time.
        length: Hours of the row's hour; 1 where absent.
    """
    length = length if length is not None else pl.lit(1.0)
    total, full = pl.col("count").sum().over(*thing, "hour"), pl.lit(expected) * length
    first, last = (pl.col("hour").min().over(thing), pl.col("hour").max().over(thing))
    whole = (first < pl.col("hour")) & (pl.col("hour") < last) & (full - total <= LOST_SAMPLES)
    return pl.col("count") * length / pl.when(whole).then(total).otherwise(pl.max_horizontal(total, full))
