"""What every question to Prometheus shares: the time asked for, which series, which replica, who holds what.

The queries themselves belong to `gpu.py`, `inference.py` and `power.py` beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from connectors.prometheus.client import Client

PODS = ("namespace", "pod", "exported_namespace", "exported_pod")
"""Labels that may name the holder; where a series has both, `exported_` is the workload's own."""

HALF_OPEN = "3599s"
"""The range of a gauge's hour: without the sample on its first instant, in Prometheus 2 and 3 alike."""


@dataclass(frozen=True)
class Question:
    """Hours to ask for, in one request as far as the server allows.

    Attributes:
        client: The server.
        first: Start of the first hour, UTC with a zone.
        last: Start of the last hour.
        matchers: Label matchers of every series, without braces.
        replica_label: Label that tells apart the replicas of a highly available Prometheus; None without.
    """

    client: Client
    first: datetime
    last: datetime
    matchers: str = ""
    replica_label: str | None = None

    def select(self, metric: str, *more: str) -> str:
        """A selector of the metric with the matchers, and with more of them."""
        return metric + "{" + ",".join(m for m in (self.matchers, *more) if m) + "}"

    def ask(self, inner: str, labels: Sequence[str]) -> pl.DataFrame:
        """Asks for the maximum of an expression by labels, hour by hour.

        The maximum is over series that tell the same of the same thing: scrapes by two jobs, sharers of a card.
        Replicas are kept apart (see `one_replica`).

        Returns:
            The labels, replica, hour and value.
        """
        names = self.names(labels)
        query = f"max by ({', '.join(names)}) ({inner})"
        return self.tidy(self.client.hourly(query, self.first, self.last, names), labels)

    def names(self, labels: Sequence[str]) -> list[str]:
        """The labels to ask for: those wanted, and the replica's."""
        return [*labels, self.replica_label] if self.replica_label else list(labels)

    def tidy(self, frame: pl.DataFrame, labels: Sequence[str]) -> pl.DataFrame:
        """The answer with the label of the replica called `replica`."""
        replica = pl.col(self.replica_label) if self.replica_label else pl.lit("")
        rest = [c for c in ("hour", "value") if c in frame.columns]
        return frame.select(*labels, replica.alias("replica"), *rest)


def one_replica(frame: pl.DataFrame, thing: Sequence[str]) -> pl.DataFrame:
    """Keeps for each thing and hour the replica with the most samples (column count), the first by name of equals."""
    if frame.is_empty():
        return frame
    by = [*thing, "hour"]
    best = (
        frame.group_by(*by, "replica")
        .agg(samples=pl.col("count").sum())
        .sort("samples", "replica", descending=[True, False])
        .unique(by, keep="first", maintain_order=True)
        .drop("samples")
    )
    return frame.join(best, on=[*by, "replica"], how="semi")


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


def observed(expected: float, thing: Sequence[str]) -> pl.Expr:
    """Hours a row's samples cover: count / expected, or its part of all samples where there are more than expected."""
    total = pl.col("count").sum().over(*thing, "hour")
    return pl.col("count") / pl.max_horizontal(total, pl.lit(expected))


def holders(frame: pl.DataFrame, exporter_pods: str) -> pl.DataFrame:
    """Puts the workload's namespace and pod under those names, NULL where nobody holds it.

    With `honorLabels: false` the exporter's own pod takes the plain names and the workload's become `exported_`; a
    series of a free card then has the exporter's pod alone.

    Args:
        frame: With the columns of `PODS`, "" where absent.
        exporter_pods: Regular expression of the exporter's own pods.
    """
    own = pl.col("pod").str.contains(f"^(?:{exporter_pods})$")

    def choose(name: str) -> pl.Expr:
        plain = pl.when(own).then(pl.lit("")).otherwise(pl.col(name))
        value = pl.when(pl.col("exported_pod") != "").then(pl.col(f"exported_{name}")).otherwise(plain)
        return value.replace("", None).alias(name)

    return frame.with_columns(choose("namespace"), choose("pod")).drop("exported_namespace", "exported_pod")


def pod_labels(question: Question, wanted: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """What the labels of pods say of their owners, from kube-state-metrics.

    Args:
        question: The hours.
        wanted: Dimension (team, ...) -> labels that may hold it, best first.

    Returns:
        namespace, pod, hour and each dimension (NULL unknown): one row a pod and hour. Of several pods of one name
        in one hour the one that was there longer counts.
    """
    labels = sorted({name for names in wanted.values() for name in names})
    series = question.select("kube_pod_labels")
    found = question.ask(f"count_over_time({series}[{HALF_OPEN}])", [*PODS, "uid", *labels])
    if found.is_empty():
        return pl.DataFrame(
            schema={
                "namespace": pl.String,
                "pod": pl.String,
                "hour": pl.Datetime("us"),
                **dict.fromkeys(wanted, pl.String),
            }
        )
    named = found.with_columns(
        pl.when(pl.col("exported_pod") != "").then(pl.col(f"exported_{n}")).otherwise(pl.col(n)).alias(n)
        for n in ("namespace", "pod")
    )
    return (
        named.sort("value", "uid", descending=[True, False])
        .unique(["namespace", "pod", "hour"], keep="first", maintain_order=True)
        .select(
            "namespace", "pod", "hour",
            *(pl.coalesce([pl.col(n).replace("", None) for n in names]).alias(d) for d, names in wanted.items()),
        )
    )  # fmt: skip


def hours_between(first: datetime, last: datetime) -> list[datetime]:
    """Starts of the hours from the first to the last, UTC without a zone."""
    count = int((last - first).total_seconds() // 3600) + 1
    return [(first + timedelta(hours=h)).replace(tzinfo=None) for h in range(count)]
