"""Which power meter bills which nodes, and what it measured by the hour.

A supply is what one bill is about: the meters of a node, or the meter of a rack that assets name in `meter`. Whose
its energy is belongs to `models/attribution.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from models.config import Asset, Site
from models.ratecard import Days, asset_days

NODE = ("day", "site", "node")
SUPPLY = ("site", "supply", "hour")


def supplied_nodes(assets: Sequence[Asset], days: Days) -> pl.DataFrame:
    """The supply of every registered server and day: its `meter`, else the node's own name.

    Args:
        assets: The register.
        days: Site -> first and last day.

    Returns:
        day, site, node, units, model, meter (NULL for the node's own), supply.
    """
    servers = [a for a in assets if a.kind == "gpu_server"]
    rows = asset_days(servers, days).select(*NODE, "asset", "units", "model")
    meters = pl.DataFrame(
        [(a.asset, a.meter) for a in servers],
        schema={"asset": pl.String, "meter": pl.String},
        orient="row",
    )
    return (
        rows.join(meters, on="asset", how="left")
        .with_columns(supply=pl.coalesce("meter", "node"))
        .drop("asset")
    )


def supply_hours(power_hourly: pl.DataFrame, nodes: pl.DataFrame, sites: Mapping[str, Site]) -> pl.DataFrame:
    """What the meters of each supply measured.

    A node's own meters are those that count for it (`counts`) and see all that it draws (scope wall); they add
    up. Where two sources or methods report one supply on one day, the one that covers more of it counts. A gap over which
    a counter tells the energy is covered.

    Args:
        power_hourly: `telemetry.power_hourly`.
        nodes: From `supplied_nodes`.
        sites: The configuration's sites.

    Returns:
        day, SUPPLY, kwh and estimated_kwh (Float64), covered (part of the hour, 0-1; of several meters the mean),
        facility (they see the whole facility), sorted; only hours with something covered.

    Raises:
        ValueError: Energy is negative or not finite.
    """
    for column in ("energy_kwh", "energy_estimated_kwh"):
        bad = power_hourly.filter(~pl.col(column).is_finite() | (pl.col(column) < 0))
        if bad.height:
            first = bad.row(0, named=True)
            msg = (
                f"telemetry.power_hourly: {column} is {first[column]} in {bad.height} rows, first: source "
                f"{first['source']!r}, meter {first['meter']!r}, hour {first['hour']}; it must be a number >= 0"
            )
            raise ValueError(msg)
    own = nodes.filter(pl.col("meter").is_null()).select(*NODE, "supply")
    shared = nodes.filter(pl.col("meter").is_not_null()).select("day", "site", "meter", "supply").unique()
    whole = power_hourly.filter((pl.col("scope") == "wall") & pl.col("counts"))
    rows = pl.concat(
        [whole.join(own, on=NODE), power_hourly.join(shared, on=["day", "site", "meter"])], how="diagonal"
    )
    facility = [
        (pl.col("site") == name) & pl.col("meter").is_in(site.facility_meters) for name, site in sites.items()
    ]
    day = ["site", "supply", "day"]
    best = (
        rows.group_by(*day, "source", "method")
        .agg(pl.col("coverage").sum(), meters=pl.col("meter").n_unique())
        .sort("coverage", "source", "method", descending=[True, False, False])
        .unique(day, keep="first", maintain_order=True)
        .drop("coverage")
    )
    known = pl.when(pl.col("energy_estimated_kwh") > 0).then(1.0).otherwise("coverage")
    return (
        rows.join(best, on=[*day, "source", "method"])
        .with_columns(facility=pl.any_horizontal(pl.lit(value=False), *facility), known=known)
        .group_by("day", *SUPPLY)
        .agg(
            kwh=pl.col("energy_kwh").sort().sum(),
            estimated_kwh=pl.col("energy_estimated_kwh").sort().sum(),
            covered=pl.col("known").sort().sum() / pl.col("meters").first(),
            facility=pl.col("facility").all(),
        )
        .filter(pl.col("covered") > 0)
        .sort("day", *SUPPLY)
    )
