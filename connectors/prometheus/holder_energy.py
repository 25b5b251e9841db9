"""The energy of a card shared among those who held it in an hour.

What the card drew belongs to `gpu.py`; hours in which it is cut anew, to `recut.py`.
"""

from __future__ import annotations

import polars as pl

KEYS = ("gpu", "mig_id", "hour", "namespace", "pod", "uid")

RETURNED = 1.05
"""Holders whose counters say more than so many times the card's energy held it in turns, or together."""


def shared(rows: pl.DataFrame, energy: pl.DataFrame, parts_: pl.DataFrame) -> pl.DataFrame:
    """Adds energy_kwh: the card's energy shared among its rows of the hour, by `parts_` where it is cut anew in it."""
    card = ["gpu", "hour"]
    rows = rows.join(energy.select(*card, "measured"), on=card, how="left")
    rows = rows.join(parts_.rename({"kwh": "part"}), on=list(KEYS), how="left", nulls_equal=True)
    part = pl.col("part").fill_null(0.0)
    anew = part.sum().over(card) > 0
    sliced = pl.col("mig_id").is_not_null()
    gauge = pl.col("kw") * pl.col("observed_hours")
    instance = ["gpu", "mig_id", "hour"]
    # of a holder that comes back within the hour, the counter rose while others held the card
    returned = pl.col("own").sum().over(instance) > RETURNED * pl.col("measured")
    by_gauge = pl.when(gauge.is_not_null().all().over(instance)).then(gauge)
    apart = pl.coalesce(by_gauge, pl.col("measured") * pl.col("observed_hours") / pl.col("length"))
    seen = (
        pl.when(returned)
        .then(apart)
        .otherwise(pl.coalesce("own", pl.when(pl.col("measured").is_null()).then(gauge)))
    )
    rows = rows.with_columns(
        seen=seen,
        beside=sliced.any().over(card) & ~sliced & pl.col("pod").is_null(),
        gauged=gauge.sum().over(instance),
    )
    rows = rows.with_columns(
        weight=pl.when(anew).then(part).when("beside").then(0.0).otherwise(pl.col("seen") * pl.col("slices")),
        whole=pl.coalesce(
            "measured",
            pl.when(anew).then(part.sum().over(card)),
            pl.when(gauge.is_not_null().any().over(card)).then(pl.col("gauged").max().over(card)),
        ),
    ).with_columns(total=pl.col("weight").sum().over(card))
    # slices that show nothing of their own have a part of what their card shows
    by_time = pl.when(~pl.col("beside")).then(pl.col("observed_hours") * pl.col("slices")).otherwise(0.0)
    return rows.with_columns(
        energy_kwh=pl.when(pl.col("total") > 0)
        .then(pl.col("whole") * pl.col("weight") / pl.col("total"))
        .when(pl.col("whole").is_not_null())
        .then(
            pl.col("whole")
            * pl.when(by_time.sum().over(card) > 0)
            .then(by_time / by_time.sum().over(card))
            .otherwise(1 / pl.len().over(card))
        )
    ).drop("measured", "seen", "part", "beside", "gauged", "weight", "whole", "total")
