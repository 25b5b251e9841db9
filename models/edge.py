"""What owned edge devices cost by day and owner.

The fixed cost of a device belongs to `models/ratecard.py`, prices of energy to `models/energy.py`; the rows
of the ledger that follow from these, to `models/owned_focus.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from models.config import DIMENSIONS, Ownership, Site
from models.energy import cost_by_site
from models.local_days import with_capacity
from models.money import split
from models.ownership import label
from models.ratecard import Days, asset_days, currencies, is_asked
from models.register import Asset, Staff
from models.tables import MONEY

DEVICE = ("site", "device", "day")

COSTS = pl.Schema(
    {
        "day": pl.Date(),
        "site": pl.String(),
        "device": pl.String(),
        "asset": pl.String(),
        "device_model": pl.String(),
    }
    | {"cost_kind": pl.String(), "currency": pl.String(), "reported": pl.Boolean()}
    | dict.fromkeys(DIMENSIONS, pl.String())
    | dict.fromkeys(("device_hours", "online_hours", "energy_kwh", "energy_estimated_kwh"), pl.Float64())
    | dict.fromkeys(("fixed_cost", "energy_cost", "energy_estimated_cost"), MONEY)
)
"""Columns of `daily_costs`."""


def daily_costs(
    edge_daily: pl.DataFrame,
    assets: Sequence[Asset],
    sites: Mapping[str, Site],
    ownership: Ownership,
    days: Days,
    *,
    staff: Sequence[Staff] = (),
) -> pl.DataFrame:
    """The cost of every registered device and day, in parts that add up to it exactly.

    A device's fixed cost is split over the workloads it reported that day by their hours online (evenly if
    there are none). A device that reports nothing costs as well: as idle cost of its last owner before that day (of the
    workload most online then), else of the site's default owner (`ownership.accounts`), else as unallocated.

    Args:
        edge_daily: `telemetry.edge_daily` with owners from `ownership.label`; earlier days than those asked
            for tell who owned a device.
        assets: The register.
        sites: The configuration's sites.
        ownership: The `ownership` settings.
        days: Site -> first and last day to compute.
        staff: Who looks after the devices.

    Returns:
        `COSTS`, sorted: one row a device, day and owner. device_hours are this row's part of the hours of the
        day. energy_kwh and energy_cost are NULL where the device does not report energy or reports nothing:
        unknown, and not in the ledger. Energy is before PUE, its cost after.

    Raises:
        ValueError: Currencies of a site differ, two assets share a device, a tariff has no price for an
            hour, or hours are negative.
    """
    currencies(assets, sites)
    devices = _devices(assets, days, staff)
    reported = cost_by_site(edge_daily.join(devices, on=DEVICE, how="inner"), sites).with_columns(
        cost_kind=pl.lit("direct"), reported=pl.lit(value=True), weight="online_hours"
    )
    silent = _owned(devices.join(edge_daily, on=DEVICE, how="anti"), edge_daily, ownership).with_columns(
        reported=pl.lit(value=False), weight=pl.lit(1.0), online_hours=pl.lit(0.0)
    )
    rows = (
        pl.concat([reported, silent], how="diagonal_relaxed")
        .pipe(with_capacity, sites)
        .sort(*DEVICE, *DIMENSIONS, "model", "source")
    )
    parts = split(rows, DEVICE, "device_cost", "weight", "fixed_cost")
    total = pl.col("weight").sum().over(DEVICE)
    share = pl.when(total > 0).then(pl.col("weight") / total).otherwise(1.0 / pl.len().over(DEVICE))
    parts = parts.with_columns(
        device_hours=pl.col("capacity") * share, device_model=pl.coalesce("device_model", "registered_model")
    )
    return parts.select(pl.col(name).cast(dtype) for name, dtype in COSTS.items())


def unregistered(edge_daily: pl.DataFrame, assets: Sequence[Asset], days: Days) -> pl.DataFrame:
    """Devices that report and that no asset registers, so that their cost is not in the ledger.

    Args:
        edge_daily: `telemetry.edge_daily`.
        assets: The register.
        days: Site -> first and last day to look at.

    Returns:
        site, device, first_day, last_day, rows; sorted.
    """
    unknown = edge_daily.filter(is_asked(days)).join(_devices(assets, days), on=DEVICE, how="anti")
    return (
        unknown.group_by("site", "device")
        .agg(first_day=pl.col("day").min(), last_day=pl.col("day").max(), rows=pl.len())
        .sort("site", "device")
    )


def _devices(assets: Sequence[Asset], days: Days, staff: Sequence[Staff] = ()) -> pl.DataFrame:
    devices = asset_days([a for a in assets if a.kind == "edge_device"], days, staff)
    return devices.select(
        "site",
        "day",
        "asset",
        "currency",
        device="node",
        registered_model="model",
        device_cost=pl.col("depreciation") + pl.col("opex"),
    )


def _owned(silent: pl.DataFrame, edge_daily: pl.DataFrame, ownership: Ownership) -> pl.DataFrame:
    """Adds owner and cost_kind to days of devices without reports."""
    last = (
        edge_daily.filter(pl.col("team").is_not_null())
        .sort("online_hours", "workload", descending=[True, False], nulls_last=True)
        .unique(DEVICE, keep="first", maintain_order=True)
        .select(*DEVICE, *DIMENSIONS)
        .sort("day")
    )
    found = silent.sort("day").join_asof(last, on="day", by=["site", "device"], check_sortedness=False)
    default = label(silent.select("site").unique().with_columns(_no_owner()), ownership)
    unknown = found.filter(pl.col("team").is_null()).drop(DIMENSIONS).join(default, on="site", how="left")
    return pl.concat(
        [found.filter(pl.col("team").is_not_null()), unknown.select(found.columns)]
    ).with_columns(
        cost_kind=pl.when(pl.col("team").is_null()).then(pl.lit("unallocated")).otherwise(pl.lit("idle"))
    )


def _no_owner() -> list[pl.Expr]:
    return [pl.lit(None, dtype=pl.String).alias(dimension) for dimension in DIMENSIONS]
