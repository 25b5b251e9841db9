"""What SageMaker and Bedrock count in CloudWatch, and how it becomes columns of `telemetry.inference_hourly`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl


@dataclass(frozen=True)
class Service:
    """A service that publishes counts of requests.

    Attributes:
        namespace: Of its metrics.
        dimensions: Those of the series that are read, exactly these.
        tier: Tier of its inference.
        errors: Metrics of requests that were answered with an error.
        tokens: Column -> metrics that are added up.
        latency: Metric of how long a request took.
        second: So many of its unit are a second.
    """

    namespace: str
    dimensions: tuple[str, ...]
    tier: str
    errors: tuple[str, ...]
    tokens: Mapping[str, tuple[str, ...]]
    latency: str
    second: int

    @property
    def metrics(self) -> tuple[str, ...]:
        """All its metrics."""
        return (REQUESTS, *self.errors, *dict.fromkeys(m for names in self.tokens.values() for m in names))

    def asked(self, *, latency: bool) -> list[tuple[str, str]]:
        """Metrics and the statistics of them that are asked for; of latency how many values there are, and at each bound."""
        ranks = [(self.latency, stat) for stat in (COUNT, *self.ranks())] if latency else []
        return [*((metric, SUM) for metric in self.metrics), *ranks]

    def ranks(self) -> dict[str, str]:
        """Statistic that gives the percentage of values at or below a bound -> the bound in seconds."""
        return {f"PR(:{round(float(bound) * self.second)})": bound for bound in BOUNDS}


REQUESTS = "Invocations"
SUM, COUNT = "Sum", "SampleCount"
BOUNDS = ("0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "25", "60", "120")
"""Upper bounds of latency, seconds."""

COUNTS = ("inferences", "failed", "tokens_in", "tokens_cached", "tokens_out")
READ, WRITTEN = "CacheReadInputTokenCount", "CacheWriteInputTokenCount"

SERVICES: Mapping[str, Service] = {
    "sagemaker": Service(
        "AWS/SageMaker", ("EndpointName", "VariantName"), "cloud", ("Invocation4XXErrors", "Invocation5XXErrors"), {},
        "ModelLatency", 1_000_000,
    ),
    "bedrock": Service(
        "AWS/Bedrock", ("ModelId",), "api", ("InvocationClientErrors", "InvocationServerErrors"),
        {"tokens_in": ("InputTokenCount", READ, WRITTEN), "tokens_cached": (READ,), "tokens_out": ("OutputTokenCount",)},
        "InvocationLatency", 1000,
    ),
}  # fmt: skip
"""Throttled requests are neither invocations nor errors. Bedrock's InputTokenCount holds no tokens from or for a cache."""


def counts(sums: pl.DataFrame, service: Service, *, errors_within: bool) -> pl.DataFrame:
    """Counts of a service by series and hour.

    CloudWatch has no data where nothing happened: where there were requests, no errors are 0 errors.

    Args:
        sums: The service's dimensions, hour, metric and value (a sum within the hour).
        service: The service.
        errors_within: Its invocations hold those that failed.

    Returns:
        The dimensions, hour and `COUNTS`; inferences are NULL where more failed than there were.
    """
    by = [*service.dimensions, "hour"]

    def total(*metrics: str) -> pl.Expr:
        chosen = pl.col("value").filter(pl.col("metric").is_in(metrics))
        return pl.when(chosen.len() > 0).then(chosen.sum())

    failed = total(*service.errors).fill_null(0.0)
    answered = total(REQUESTS).fill_null(0.0) - (failed if errors_within else 0.0)
    return sums.group_by(by).agg(
        inferences=pl.when(answered >= 0).then(answered),
        failed=failed,
        **{c: total(*service.tokens[c]) if c in service.tokens else pl.lit(None, pl.Float64) for c in COUNTS[2:]},
    ).sort(by)  # fmt: skip


def latencies(found: pl.DataFrame, service: Service) -> pl.DataFrame:
    """Histograms of a service by series and hour.

    A percentage of the values of a period is a count of them, and counts add up. CloudWatch knows percentages only where
    it was given single values; it interpolates them.

    Args:
        found: The service's dimensions, at, hour, stat and value of its metric of latency.
        service: The service.

    Returns:
        The dimensions, hour, latency_buckets (JSON); NULL where a percentage of one of its periods is missing, none, or
        less than at a lower bound.
    """
    by = [*service.dimensions, "hour"]
    bounds = service.ranks()
    periods: dict[tuple[Any, ...], dict[Any, dict[str, float]]] = {}
    for *series, at, stat, value in found.select(*by, "at", "stat", "value").iter_rows():
        periods.setdefault(tuple(series), {}).setdefault(at, {})[stat] = value
    rows = []
    for key, of_hour in periods.items():
        buckets: dict[str, float] | None = dict.fromkeys((*bounds.values(), "+Inf"), 0.0)
        for known in of_hour.values():
            count = known.get(COUNT, 0.0)
            ranks = [known.get(stat, -1.0) for stat in bounds]
            if count and not (ranks == sorted(ranks) and ranks[0] >= 0 and ranks[-1] <= 100):
                buckets = None
            if buckets is None:
                break
            for bound, rank in zip(buckets, (*ranks, 100.0), strict=True):
                buckets[bound] += count * rank / 100
        text = None if buckets is None else json.dumps({b: round(n, 6) for b, n in buckets.items()})
        rows.append((*key, text))
    names = dict.fromkeys(service.dimensions, pl.String())
    schema = pl.Schema({**names, "hour": pl.Datetime("us"), "latency_buckets": pl.String()})
    return pl.DataFrame(rows, schema=schema, orient="row")
