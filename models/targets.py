"""Figures of a month against the targets of the configuration."""

from __future__ import annotations

import polars as pl

from models.config import Targets
from models.tables import TARGETS

ABOVE = ("gpu_utilisation", "gpu_allocation")
"""Metrics that must be over their target; uptime and success must reach it, the share of revenue may not exceed it."""

SERVICES = ("uptime", "request_success")
"""Of a workload; one that reports no requests or samples is no service and has no row."""

AT_MOST = ("ai_cost_share_of_revenue",)

DIGITS = 9
"""Decimals by which a figure is compared with its target: more are only noise of floating point."""


def monthly(
    gpu_daily: pl.DataFrame, unit_cost_daily: pl.DataFrame, ai_cost_ratio: pl.DataFrame, targets: Targets
) -> pl.DataFrame:
    """Every figure that has a target, by month.

    Utilisation is the sum of used by the sum of allocated GPU-hours of which the use is known: those that the coverage of
    a row is of. Uptime is the mean over days, request success the sum of answered by the sum of all requests.

    Args:
        gpu_daily: `marts.gpu_daily`.
        unit_cost_daily: `marts.unit_cost_daily`.
        ai_cost_ratio: `marts.ai_cost_ratio`.
        targets: The `targets` settings.

    Returns:
        `marts.targets`, sorted by its key. A figure that is not known at all is `unknown`, neither met nor missed.
    """
    month = pl.col("day").dt.truncate("1mo").alias("month")
    held, used = pl.col("gpu_hours_allocated"), pl.col("gpu_hours_used")
    known = (held * pl.col("coverage")).filter(used.is_not_null()).sum()
    seen = pl.col("gpu_hours_capacity").filter(pl.col("state") != "unknown").sum()
    capacity = pl.col("gpu_hours_capacity").sum()
    by_site = gpu_daily.group_by(month, subject="site")
    work = unit_cost_daily.filter(pl.col("basis") == "full").unique(["day", "workload", "tier"], keep="first")
    by_work = work.group_by(month, subject=pl.concat_str("workload", "tier", separator=" · "))
    up, requests = pl.col("uptime"), pl.col("answered") + pl.col("failed")
    frames = {
        "gpu_utilisation": by_site.agg(
            value=_ratio(used.sum(), known),
            coverage=pl.when(held.sum() > 0).then(known / held.sum()).otherwise(0.0),
        ),
        "gpu_allocation": by_site.agg(value=_ratio(held.sum(), seen), coverage=_ratio(seen, capacity)),
        "uptime": by_work.agg(value=up.mean(), coverage=up.is_not_null().mean()),
        "request_success": by_work.agg(
            value=_ratio(pl.col("answered").filter(requests.is_not_null()).sum(), requests.sum()),
            coverage=requests.is_not_null().mean(),
        ),
        "ai_cost_share_of_revenue": ai_cost_ratio.select(
            "month",
            subject=pl.lit("organisation"),
            value="ratio",
            coverage=pl.col("ratio").is_not_null().cast(pl.Float64),
        ),
    }
    found = [
        frame.with_columns(metric=pl.lit(name), target=pl.lit(bound, dtype=pl.Float64))
        for name, frame in frames.items()
        if (bound := getattr(targets, name)) is not None
    ]
    if not found:
        return TARGETS.empty()
    value, target, metric = pl.col("value").round(DIGITS), pl.col("target").round(DIGITS), pl.col("metric")
    good = (
        pl.when(metric.is_in(ABOVE)).then(value > target).when(metric.is_in(AT_MOST)).then(value <= target)
        .otherwise(value >= target)
    )  # fmt: skip
    return TARGETS.conform(
        pl.concat(found, how="diagonal")
        .filter(value.is_not_null() | ~metric.is_in(SERVICES))
        .with_columns(
            pl.col("coverage").fill_null(0.0),
            status=pl.when(value.is_null())
            .then(pl.lit("unknown"))
            .when(good)
            .then(pl.lit("met"))
            .otherwise(pl.lit("missed")),
        )
    ).sort(TARGETS.key)


def _ratio(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    return pl.when(whole > 0).then(part / whole)
