"""Requests that several pods or scrapes show, counted once.

Which of several servers in one pod counts belongs to `inference.py`.
"""

from __future__ import annotations

import polars as pl


def prefilled_once(hours: pl.DataFrame) -> pl.DataFrame:
    """Counts requests once whose prompt one pod fills in and another one goes on with (`NAME-prefill-`, `NAME-decode-`).

    Both count request and prompt. Decoding counts; of prefilling what failed there and was cached there, since to the
    decoder all that it is sent is cached. Its time begins after the prefill: latency is unknown.
    """
    parts = pl.col("pod").str.extract_groups(r"^(?<service>.+)-(?<role>prefill|decode)-")
    hours = hours.with_columns(parts.struct.unnest())
    over = ["namespace", "hour", "service", "model"]
    both = (pl.col("role").n_unique().over(over) == 2) & pl.col("role").is_not_null()
    fills, decodes = both & (pl.col("role") == "prefill"), both & (pl.col("role") == "decode")
    none = (
        pl.when(fills & pl.col(c).is_not_null()).then(0.0).otherwise(pl.col(c)).alias(c)
        for c in ("inferences", "tokens_in", "tokens_out")
    )
    return hours.with_columns(
        *none,
        tokens_cached=pl.when(decodes & pl.col("tokens_cached").is_not_null())
        .then(0.0)
        .otherwise("tokens_cached"),
        latency_buckets=pl.when(~both).then("latency_buckets"),
    ).drop("service", "role")


def without_transformers(hours: pl.DataFrame) -> pl.DataFrame:
    """Leaves out what KServe's transformers pass on to predictors that count it, whatever server these are."""
    parts = pl.col("pod").str.extract_groups(r"^(?<service>.+)-(?<role>transformer|predictor)-")
    hours = hours.with_columns(parts.struct.unnest())
    place = ["namespace", "hour", "service"]
    predicted = hours.filter(pl.col("role") == "predictor").select(*place, twice=pl.lit(value=True)).unique()
    passed = pl.col("twice") & (pl.col("role") == "transformer") & (pl.col("server") == "kserve")
    return (
        hours.join(predicted, on=place, how="left", nulls_equal=True)
        .filter(~passed.fill_null(value=False))
        .drop("twice", "service", "role")
    )


def seen_once(each: pl.DataFrame) -> pl.DataFrame:
    """Leaves out what a Collector tells of while the pod, or server of none, is scraped under its own names, too."""
    pod = ["model", "served", "namespace", "holder"]
    each = each.with_columns(holder=pl.coalesce("pod", "instance"))
    own = each.filter("plain")
    own = own.group_by(pod).agg(since=pl.col("hour").min(), until=pl.col("hour").max())
    both = ~pl.col("plain") & pl.col("hour").is_between("since", "until")
    joined = each.join(own, on=pod, how="left", nulls_equal=True)
    return joined.filter(~both.fill_null(value=False)).drop("since", "until", "plain", "holder")
