"""Who held a card while its own samples are silent: the pods that requested it and were running.

Where dcgm-exporter names a pod, that counts. In a gap the pod that held the card before or after it held it still, for
as long as kube-state-metrics says that it was running: the hours are known, the use of the card in them is not. While
kube-state-metrics is silent too, or is not there, it is the pod that alone held the card in the hours around.
"""

from __future__ import annotations

import polars as pl

from connectors.prometheus.question import LOST_SAMPLES

HOLD = ["gpu", "mig_id", "namespace", "pod", "uid"]


def gap_rows(rows: pl.DataFrame, gaps: pl.DataFrame, pods: pl.DataFrame, hours: pl.DataFrame) -> pl.DataFrame:
    """Rows for the time without samples: held where requests say so, else nobody knows.

    Args:
        rows: `Cards.hours`.
        gaps: `Cards.gaps`: energy of gaps by hour and gpu.
        pods: Result of `kube.requests`.
        hours: index, hour, length.

    Returns:
        hour, gpu, mig_id, ..., allocated (true or NULL), observed_hours, sampled (false), energy_kwh 0,
        energy_estimated_kwh.
    """
    if rows.is_empty():
        return rows.select("hour", "gpu", "node").clear()
    missing = _missing(rows, hours)
    held = _held(rows, missing, pods, _silent(pods, hours))
    cards = rows.group_by("gpu").agg(pl.col("node", "gpu_model").drop_nulls().last())
    slices = rows.group_by("gpu", "mig_id").agg(pl.col("slices").max()).with_columns(
        part=pl.when(pl.col("mig_id").is_not_null().any().over("gpu")).then(
            pl.when(pl.col("mig_id").is_not_null()).then(pl.col("slices")).otherwise(0.0)
        ).otherwise(pl.lit(1.0))
    ).with_columns(part=pl.col("part") / pl.col("part").sum().over("gpu"))  # fmt: skip
    held = (
        held.join(slices.select("gpu", "mig_id", "part"), on=["gpu", "mig_id"], how="left", nulls_equal=True)
        .join(gaps, on=["gpu", "hour"], how="left")
        .with_columns(
            energy_estimated_kwh=pl.col("estimated").fill_null(0.0) * pl.col("part")
            * pl.min_horizontal(pl.col("observed_hours") / pl.col("missing"), 1.0)
        )
    )  # fmt: skip
    given = held.group_by("gpu", "hour").agg(given=pl.col("energy_estimated_kwh").sum())
    nobody = (
        gaps.join(given, on=["gpu", "hour"], how="left")
        .with_columns(energy_estimated_kwh=pl.col("estimated") - pl.col("given").fill_null(0.0))
        .filter(pl.col("energy_estimated_kwh") > 1e-9)
        .join(cards, on="gpu", how="left")
        .select("hour", "gpu", "node", "gpu_model", "energy_estimated_kwh", observed_hours=pl.lit(0.0), energy_kwh=pl.lit(0.0))
    )  # fmt: skip
    named = held.with_columns(
        allocated=pl.lit(value=True), energy_kwh=pl.lit(0.0), sampled=pl.lit(value=False)
    ).drop("missing", "part", "estimated")
    return pl.concat([named, nobody.with_columns(sampled=pl.lit(value=False))], how="diagonal")


def _missing(rows: pl.DataFrame, hours: pl.DataFrame) -> pl.DataFrame:
    """gpu, mig_id, index, hour, missing: of each instance, hours without samples between its first and its last."""
    indexed = rows.join(hours.select("hour", "index"), on="hour")
    instance = ["gpu", "mig_id"]
    life = indexed.group_by(instance).agg(first=pl.col("index").min(), last=pl.col("index").max())
    seen = indexed.group_by(*instance, "index").agg(
        seen=pl.col("observed_hours").sum(), tolerance=LOST_SAMPLES / pl.col("full").max()
    )
    return (
        life.with_columns(index=pl.int_ranges("first", pl.col("last") + 1))
        .explode("index")
        .with_columns(pl.col("index").cast(pl.UInt32))
        .join(seen, on=[*instance, "index"], how="left", nulls_equal=True)
        .join(hours, on="index")
        .with_columns(missing=pl.col("length") - pl.col("seen").fill_null(0.0))
        .filter(pl.col("missing") > pl.col("tolerance").fill_null(0.0))
        .select(*instance, "index", "hour", "missing")
    )


def _silent(pods: pl.DataFrame, hours: pl.DataFrame) -> pl.DataFrame:
    """Hour and silent: what of an hour no pod is seen running."""
    seen = pods.group_by("hour").agg(pl.col("running_hours").max())
    return hours.join(seen, on="hour", how="left").select(
        "hour", silent=pl.col("length") - pl.col("running_hours").fill_null(0.0)
    )


def _alone(rows: pl.DataFrame, missing: pl.DataFrame) -> pl.DataFrame:
    """HOLD and hour of missing hours in, before and after which one pod alone held the instance, as far as is seen."""
    key = ["gpu", "mig"]
    holders = (
        rows.with_columns(mig=pl.col("mig_id").fill_null(""))
        .group_by(*key, "hour")
        .agg(who=pl.struct("namespace", "pod", "uid").unique())
        .sort("hour")
    )
    times = missing.with_columns(mig=pl.col("mig_id").fill_null("")).sort("hour")
    for side in ("backward", "forward"):
        times = times.join_asof(
            holders.rename({"who": side}), on="hour", by=key, strategy=side, allow_exact_matches=False, check_sortedness=False
        )  # fmt: skip
    times = times.join(holders, on=[*key, "hour"], how="left").with_columns(
        pl.col("who").fill_null(pl.col("backward"))
    )
    same = (pl.col("who") == pl.col("backward")) & (pl.col("who") == pl.col("forward"))
    found = (
        times.filter(same & (pl.col("who").list.len() == 1))
        .with_columns(pl.col("who").list.first())
        .unnest("who")
    )
    return found.select(*HOLD, "hour")


def _held(
    rows: pl.DataFrame, missing: pl.DataFrame, pods: pl.DataFrame, silent: pl.DataFrame
) -> pl.DataFrame:
    """Missing hours in which the holder before or after was still running, with the columns that rows carry."""
    about = ["node", "gpu_model", "mig_profile", "slices"]
    known = rows.filter("allocated").select(*HOLD, *about, "hour", "observed_hours").sort("hour")
    instance = ["gpu", "mig_id"]
    times = missing.sort("hour").with_columns(mig=pl.col("mig_id").fill_null(""))
    near = known.with_columns(mig=pl.col("mig_id").fill_null(""))
    near = near.drop("mig_id", "observed_hours")
    by = ["gpu", "mig"]
    before, after = (
        times.join_asof(
            near, on="hour", by=by, strategy=side, allow_exact_matches=False, check_sortedness=False
        )
        for side in ("backward", "forward")
    )
    sides = [before, times.join(near, on=[*by, "hour"], how="left"), after]
    found = pl.concat([s.with_columns(side=pl.lit(i)) for i, s in enumerate(sides)]).filter(
        pl.col("pod").is_not_null()
    )
    found = found.sort("side").unique([*HOLD, "hour"], keep="first", maintain_order=True)
    already = known.group_by(*HOLD, "hour").agg(pl.col("observed_hours").sum().alias("already"))
    running = pods.group_by("namespace", "pod", "hour").agg(pl.col("running_hours").max())
    alone = _alone(rows, missing).join(silent, on="hour")
    found = (
        found.join(running, on=["namespace", "pod", "hour"], how="left", nulls_equal=True)
        .join(already, on=[*HOLD, "hour"], how="left", nulls_equal=True)
        .join(alone, on=[*HOLD, "hour"], how="left", nulls_equal=True)
        .with_columns(pl.col("running_hours", "already", "silent").fill_null(0.0))
        .with_columns(
            wanted=(pl.col("running_hours") + pl.col("silent") - pl.col("already")).clip(lower_bound=0.0)
        )
        .sort(*instance, "hour", "side")
        .with_columns(before=pl.col("wanted").cum_sum().over(*instance, "hour") - pl.col("wanted"))
        .with_columns(
            observed_hours=pl.min_horizontal(
                "wanted", (pl.col("missing") - pl.col("before")).clip(lower_bound=0.0)
            )
        )
        .filter(pl.col("observed_hours") > 1e-9)
    )
    return found.select(*HOLD, *about, "hour", "missing", "observed_hours")
