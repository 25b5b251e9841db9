"""The rate card: what an available hour of an owned GPU costs, fixed and variable part apart.

Cost is divided by hours in which the GPUs are available, not by hours used: what is idle shows as idle and does not
make the rate dearer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from models.config import Site
from models.local_days import with_capacity
from models.ratecard import CAPEX, OPEX, Days, asset_days
from models.register import Asset, Staff
from models.tables import GPU_RATE_DAILY, MONEY


def daily(
    parts: pl.DataFrame,
    assets: Sequence[Asset],
    sites: Mapping[str, Site],
    days: Days,
    staff: Sequence[Staff] = (),
) -> pl.DataFrame:
    """Cost of every GPU server and day per available GPU-hour.

    Args:
        parts: `gpu.daily_parts`.
        assets: The register.
        sites: The configuration's sites.
        days: Site -> first and last day.
        staff: Who looks after the assets.

    Returns:
        `marts.gpu_rate_daily`, sorted by its key. Rates are quotients rounded to 12 decimals.
    """
    servers = [a for a in assets if a.kind == "gpu_server"]
    planned = pl.DataFrame(
        [(a.asset, float(a.planned_availability)) for a in servers],
        schema={"asset": pl.String, "planned": pl.Float64},
        orient="row",
    )
    energy = pl.sum_horizontal("energy_cost", "energy_estimated_cost", "contract_cost")
    unknown = pl.col("state") == "unknown"
    observed = pl.when(unknown).then("seen_hours").when("blind").then(0.0).otherwise("gpu_hours")
    measured = parts.group_by("asset", "day").agg(
        variable_cost=pl.when(pl.col("energy_known").all()).then(energy.sum()).cast(MONEY),
        observed=observed.sort().sum(),
        hours=pl.col("gpu_hours").sort().sum(),
    )
    fixed = pl.col("fixed_cost").cast(pl.Float64) / pl.col("gpu_hours_available")
    variable = pl.col("variable_cost").cast(pl.Float64) / pl.col("gpu_hours_available")
    return GPU_RATE_DAILY.conform(
        asset_days(servers, days, staff)
        .join(measured, on=["asset", "day"], how="left")
        .join(planned, on="asset", how="left")
        .pipe(with_capacity, sites)
        .with_columns(
            gpu_hours_capacity=pl.col("capacity") * pl.col("units"),
            fixed_cost=pl.sum_horizontal(*CAPEX, *OPEX).cast(MONEY),
            coverage=pl.when(pl.col("hours") > 0)
            .then(pl.min_horizontal(pl.col("observed") / pl.col("hours"), 1.0))
            .otherwise(0.0),
        )
        .with_columns(gpu_hours_available=pl.col("gpu_hours_capacity") * pl.col("planned"))
        .with_columns(fixed_rate=fixed.round(12).cast(MONEY), variable_rate=variable.round(12).cast(MONEY))
        .with_columns(total_rate=pl.col("fixed_rate") + pl.col("variable_rate"))
    ).sort(GPU_RATE_DAILY.key)
