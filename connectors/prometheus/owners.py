"""Whose hours are: those of the pod, by what kube-state-metrics says of it (`kube.pod_labels`).

All is joined on the uid of a pod where a series has it; a name alone is given again to the next pod.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from connectors.prometheus.question import expected_samples

AMOUNTS = ("observed_hours", "used_hours", "energy_kwh", "energy_estimated_kwh")
"""Columns of cards that those share who had a pod one after the other in an hour."""

APART = ("team", "workload")
"""Dimensions that have rows of their own in an hour."""

TOGETHER = 1.05
"""Labels with more than so many times the samples that a pod's time on a card has are told side by side."""


def with_owners(
    rows: pl.DataFrame, owners: pl.DataFrame, dimensions: Sequence[str], amounts: Sequence[str] = ()
) -> pl.DataFrame:
    """Adds the dimensions of a row's pod: by uid where the row has one, else by name.

    A pod that was not seen in just that hour (kube-state-metrics was silent) is what it was in the nearest hour. One that
    is never seen is its namespace's. Where a pod is labelled anew within an hour, or another one gets its name, each has
    its part of the amounts by time. Without amounts, and where labels are told side by side, the one with most labels
    counts, of equals the longer one.

    Args:
        rows: namespace, pod, uid and hour; with amounts gpu, mig_id, observed_hours and present_hours, too.
        owners: Result of `kube.pod_labels`.
        dimensions: Its columns to add.
        amounts: Columns to share.
    """
    known = owners.filter(pl.col("pod").is_not_null()).sort(
        "told", "samples", "uid", *dimensions, descending=[True, True, False, *(False for _ in dimensions)]
    )
    steps = (
        (rows.filter(pl.col("uid").is_not_null()), known.filter(pl.col("uid").is_not_null()), ["uid"]),
        (rows.filter(pl.col("uid").is_null()), known, ["namespace", "pod"]),
    )
    parts = []
    for part, source, key in steps:
        left = part
        if amounts:
            turns = _turns(part, source, key, dimensions)
            shared = part.join(turns, on=[*key, "hour"])
            parts.append(shared.with_columns(pl.col(amounts) * pl.col("share")).drop("share"))
            left = part.join(turns, on=[*key, "hour"], how="anti")
        longest = source.unique([*key, "hour"], keep="first", maintain_order=True)
        nearest = longest.select(*key, "hour", *dimensions).sort("hour")
        parts.append(
            left.sort("hour").join_asof(
                nearest, on="hour", by=key, strategy="nearest", check_sortedness=False
            )
            if nearest.height
            else left.with_columns(pl.lit(None, dtype=pl.String).alias(d) for d in dimensions)
        )
    found = pl.concat(parts, how="vertical_relaxed")
    spaces = owners.filter(pl.col("pod").is_null()).select("namespace", "hour", *dimensions).sort("hour")
    if spaces.is_empty():
        return found
    joined = found.sort("hour").join_asof(
        spaces, on="hour", by="namespace", strategy="nearest", suffix="_of_namespace", check_sortedness=False
    )
    return joined.with_columns(pl.coalesce(d, f"{d}_of_namespace").alias(d) for d in dimensions).select(
        found.columns
    )


def _turns(
    rows: pl.DataFrame, owners: pl.DataFrame, key: Sequence[str], dimensions: Sequence[str]
) -> pl.DataFrame:
    """key, hour, dimensions and share of hours in which a pod had several owners, one after the other.

    Their samples are then no more than those of the time for which the pod held a card.
    """
    full = expected_samples(owners.rename({"samples": "count"}), ["namespace", "pod", "uid"], None)
    who = [d for d in dimensions if d in APART]
    both = [*key, "hour"]
    time = pl.coalesce("present_hours", "observed_hours").sum()
    held = rows.group_by(*both, "gpu", "mig_id").agg(held=time).group_by(both).agg(pl.col("held").max())
    parts = owners.group_by(*both, *who, maintain_order=True).agg(
        pl.col(d for d in dimensions if d not in who).first(), pl.col("samples").sum()
    )
    several = parts.filter(pl.len().over(both) > 1).join(held, on=both)
    seen = pl.col("samples").sum().over(both)
    in_turn = seen <= TOGETHER * full * pl.col("held")
    return several.filter(in_turn).select(*both, *dimensions, share=pl.col("samples") / seen)
