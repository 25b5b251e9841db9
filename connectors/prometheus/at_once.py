"""Cards with several holders in an hour: one after the other, at the same times, or seen by two exporters.

What a row of `gpu.py` has of such an hour.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from connectors.prometheus.holders import PODS, holders
from connectors.prometheus.question import Question, blank, first_of

UUIDS = ("UUID", "uuid", "gpu_uuid")
"""Labels that name a card."""


def part(expected: float, instance: Sequence[str]) -> pl.Expr:
    """Hours of a row that others have samples beside: of its kind's (with a holder or without) by its part of the samples."""
    kind = [*instance, "hour", pl.col("pod").is_not_null()]
    held = pl.min_horizontal(pl.col("held") / expected, "length")
    left = pl.min_horizontal((pl.col("instants") - pl.col("held")) / expected, pl.col("length") - held)
    samples = pl.col("count").sum().over(kind)
    free = pl.min_horizontal(samples / expected, pl.max_horizontal(left, 0.0))
    hours = pl.when(pl.col("pod").is_not_null()).then(held).otherwise(free)
    return pl.col("count") / samples * hours


def at_once(
    question: Question, merged: pl.DataFrame, exporter_pods: str, metrics: Sequence[str]
) -> pl.DataFrame:
    """Of cards and slices with several holders in an hour: gpu, mig_id, hour, instants (samples at different times), held.

    Pods that follow each other have samples one after the other, pods that share a card at the same times. `held` are the
    times with a holder.
    """
    key = ["gpu", "mig_id", "hour"]
    none = pl.lit(None, dtype=pl.Float64)
    several = merged.group_by(*key, "length").len().filter(pl.col("len") > 1)
    parts = [several.select(key).clear().with_columns(instants=none, held=none)]
    for part in several.sort("hour").partition_by("hour"):
        hour, length, left = part["hour"][0], part["length"][0], part
        for metric in metrics:
            found = question.samples_of(question.gauge(metric), hour, length, (*UUIDS, "GPU_I_ID", *PODS))
            named = holders(found, exporter_pods)
            held = pl.col("at").filter(pl.col("pod").is_not_null())
            times = (
                named.group_by("ha", gpu=first_of(UUIDS), mig_id=blank("GPU_I_ID"))
                .agg(instants=pl.col("at").n_unique().cast(pl.Float64), held=held.n_unique().cast(pl.Float64))
                .group_by("gpu", "mig_id").agg(pl.col("instants", "held").max())
            )  # fmt: skip
            parts.append(left.select(key).join(times, on=["gpu", "mig_id"], nulls_equal=True))
            left = left.join(times, on=["gpu", "mig_id"], how="anti", nulls_equal=True)
            if left.is_empty():
                break
    return pl.concat(parts)
