"""What utilisation cards have, and would have if those who hold them shared as few as their measured use needs."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from models.config import Sharing
from models.tables import GPU_SHARING, MONEY
from models.waste import WINDOW_DAYS


def possible(gpu_daily: pl.DataFrame, as_of: date, settings: Sharing | None = None) -> pl.DataFrame:
    """Utilisation of held cards over the last 30 days, as it is and on fewer cards, by site and model of card.

    Held hours whose use is unknown are left out on both sides; coverage says how many. What could be cut into
    MIG slices belongs to `models/mig_packing.py`.

    Args:
        gpu_daily: `marts.gpu_daily`; hours of MIG slices are their part of the card's.
        as_of: Last day of the window.
        settings: The `sharing` settings.

    Returns:
        `marts.gpu_sharing`, sorted by its key.
    """
    most = (settings or Sharing()).max_utilisation
    inside = pl.col("day").is_between(as_of - timedelta(days=WINDOW_DAYS - 1), as_of)
    window = gpu_daily.filter(inside)
    lengths = (
        window.group_by("day", "site", "gpu")
        .agg(pl.col("gpu_hours_capacity").sort().sum())
        .group_by("day", "site")
        .agg(length=pl.col("gpu_hours_capacity").max())
    )
    by = ["site", "gpu_model", "currency"]
    known = pl.col("gpu_hours_used").is_not_null()
    held, used = pl.col("gpu_hours_allocated"), pl.col("gpu_hours_used")
    days = (
        window.filter(pl.col("state") == "allocated")
        .group_by("day", *by)
        .agg(
            all_held=held.sort().sum(),
            held=held.filter(known).sort().sum(),
            used=used.drop_nulls().sort().sum(),
            cost=(pl.col("cost_used") + pl.col("cost_idle")).filter(known).sum(),
        )
        .filter(pl.col("all_held") > 0)
        .join(lengths, on=["day", "site"])
        .with_columns(needed=(pl.col("used") / (most * pl.col("length")) - 1e-9).ceil().clip(lower_bound=0))
    )
    hours = pl.col("length").filter(pl.col("held") > 0).sum()
    rows = days.group_by(by).agg(
        pl.col("held", "used", "all_held").sort().sum(), pl.col("cost").sum(), pl.col("needed").max(), hours=hours
    )  # fmt: skip
    held, used = pl.col("held"), pl.col("used")
    fewer = pl.min_horizontal(pl.col("needed") * pl.col("hours"), held)
    rows = rows.filter(held > 0).with_columns(
        cards_held=held / pl.col("hours"),
        utilisation=used / held,
        cards_needed=fewer / pl.col("hours"),
        utilisation_shared=pl.when(used > 0).then(used / fewer),
        saving_share=1 - fewer / held,
        coverage=held / pl.col("all_held"),
    )
    saving = (pl.col("cost").cast(pl.Float64) * pl.col("saving_share")).round(12).cast(MONEY)
    return GPU_SHARING.conform(rows.with_columns(saving=saving)).sort(GPU_SHARING.key)
