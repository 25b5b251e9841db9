"""What the labels of a node say: who its cards work for where nothing nearer does, and how many share one card.

Labels of pods, jobs and namespaces belong to `kube.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from connectors.prometheus.kube import labels_of
from connectors.prometheus.question import Question, first_of

REPLICAS = "label_nvidia_com_gpu_replicas"
"""Label of gpu-feature-discovery: pods that may share a card by time-slicing or MPS."""


def node_labels(question: Question, wanted: Mapping[str, Sequence[str]], there: set[str]) -> pl.DataFrame:
    """node, hour, replicas (NULL unknown) and each dimension (NULL unknown) by the labels of nodes.

    Args:
        question: The hours.
        wanted: Dimension -> labels that may hold it, best first.
        there: Names of metrics that the server has.
    """
    names = sorted({n for all_ in wanted.values() for n in all_ if n.startswith("label_")})
    found = labels_of(question, "kube_node_labels", ["node"], [*names, REPLICAS], there)
    return found.filter(pl.col("node").is_not_null()).select(
        "node",
        "hour",
        replicas=pl.col(REPLICAS).cast(pl.Int64, strict=False),
        **{
            d: first_of([n for n in all_ if n in names]) if names else pl.lit(None)
            for d, all_ in wanted.items()
        },
    )


def of_node(rows: pl.DataFrame, labels: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Adds `NAME_of_node` for each column: what the row's node was labelled with in the nearest hour."""
    added = [f"{c}_of_node" for c in columns]
    if labels.is_empty():
        return rows.with_columns(
            pl.lit(None, dtype=labels.schema[c]).alias(a) for c, a in zip(columns, added, strict=True)
        )
    nearest = labels.select(
        "node", "hour", *(pl.col(c).alias(a) for c, a in zip(columns, added, strict=True))
    )
    placed = rows.filter(pl.col("node").is_not_null()).sort("hour")
    joined = placed.join_asof(
        nearest.sort("hour"), on="hour", by="node", strategy="nearest", check_sortedness=False
    )
    return pl.concat([joined, rows.filter(pl.col("node").is_null())], how="diagonal_relaxed")


def with_node_owners(rows: pl.DataFrame, labels: pl.DataFrame, dimensions: Sequence[str]) -> pl.DataFrame:
    """Fills dimensions of rows that somebody holds from the labels of their node, where nothing nearer names them."""
    found = of_node(rows, labels, dimensions)
    held = pl.col("allocated").fill_null(value=False)
    return found.with_columns(
        pl.when(held).then(pl.coalesce(d, f"{d}_of_node")).otherwise(d).alias(d) for d in dimensions
    ).drop(f"{d}_of_node" for d in dimensions)


def with_replicas(rows: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Hours of time-sliced cards: each of the n replicas of a card has 1/n of it, whether a pod holds it or not.

    Where pods hold fewer replicas than there are, the others are free: rows of nobody without energy, which stays with
    those who work. Without the label, and where there are more pods than replicas, the pods share the card's hours evenly.

    Args:
        rows: `Cards.hours`.
        labels: From `node_labels`.
    """
    found = of_node(rows, labels, ["replicas"])
    card = ["gpu", "mig_id", "hour"]
    shared = (
        (pl.col("replicas_of_node") > 1) & pl.col("mig_id").is_null() & pl.col("allocated").any().over(card)
    )
    shared = shared.fill_null(value=False)
    sliced, rest = found.filter(shared), found.filter(~shared)
    if sliced.is_empty():
        return rows
    covered = pl.col("observed_hours").sum().over(card)
    part = (
        pl.when("allocated")
        .then(pl.col("present_hours") / pl.col("replicas_of_node"))
        .otherwise("present_hours")
    )
    sliced = sliced.with_columns(covered=covered, part=part).with_columns(
        part=pl.when(pl.col("part").sum().over(card) > pl.col("covered"))
        .then("observed_hours")
        .otherwise("part")
    )
    free = sliced.group_by(card).agg(
        pl.col("node", "exporter_pod", "instance", "gpu_model", "length", "slices").first(),
        rest=(pl.col("covered").first() - pl.col("part").sum()).clip(lower_bound=0.0),
        part=pl.col("part").filter(~pl.col("allocated")).sum(),
        used_hours=pl.col("used_hours").filter(~pl.col("allocated")).sum(),
        energy_kwh=pl.when(pl.col("allocated").all())
        .then(0.0)
        .otherwise(pl.col("energy_kwh").filter(~pl.col("allocated")).max()),
    )
    free = free.filter(pl.col("rest") + pl.col("part") > 1e-9).with_columns(
        allocated=pl.lit(value=False), observed_hours=pl.col("rest") + pl.col("part")
    )
    sliced = sliced.filter("allocated").with_columns(
        used_hours=pl.col("used_hours") * pl.col("part") / pl.col("observed_hours"), observed_hours="part"
    )
    return pl.concat([rest, sliced, free], how="diagonal_relaxed").select(rows.columns)
