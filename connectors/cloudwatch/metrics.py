"""What SageMaker and Bedrock count in CloudWatch, and how it becomes columns of `telemetry.inference_hourly`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
    """

    namespace: str
    dimensions: tuple[str, ...]
    tier: str
    errors: tuple[str, ...]
    tokens: Mapping[str, tuple[str, ...]]

    @property
    def metrics(self) -> tuple[str, ...]:
        """All its metrics."""
        return (REQUESTS, *self.errors, *dict.fromkeys(m for names in self.tokens.values() for m in names))


REQUESTS = "Invocations"
COUNTS = ("inferences", "failed", "tokens_in", "tokens_cached", "tokens_out")
READ, WRITTEN = "CacheReadInputTokenCount", "CacheWriteInputTokenCount"

SERVICES: Mapping[str, Service] = {
    "sagemaker": Service(
        "AWS/SageMaker", ("EndpointName", "VariantName"), "cloud", ("Invocation4XXErrors", "Invocation5XXErrors"), {}
    ),
    "bedrock": Service(
        "AWS/Bedrock", ("ModelId",), "api", ("InvocationClientErrors", "InvocationServerErrors"),
        {"tokens_in": ("InputTokenCount", READ, WRITTEN), "tokens_cached": (READ,), "tokens_out": ("OutputTokenCount",)},
    ),
}  # fmt: skip
"""Throttled requests are neither invocations nor errors. Bedrock's InputTokenCount holds no tokens from or for a cache."""


def counts(sums: pl.DataFrame, service: Service, *, errors_within: bool) -> pl.DataFrame:
    """Counts of a service by series and hour.

    CloudWatch has no data where nothing happened: where there were requests, no errors are 0 errors.

    Args:
        sums: The service's dimensions, hour, metric and value (the sum of the hour).
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
