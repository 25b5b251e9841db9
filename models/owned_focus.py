"""Owned GPUs and edge devices as rows of the ledger, in FOCUS columns, and the proof of their total.

What a card or device costs belongs to `models/gpu.py` and `models/edge.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import polars as pl

from models.allocation import with_allocation
from models.config import DIMENSIONS, Site
from models.contracts import total
from models.energy import cost_by_site
from models.local_days import local_day
from models.owned_lines import ELECTRICITY_SERVICE, UNUSED_COMMITMENT, WRITE_OFF
from models.ratecard import Days, asset_days, currencies, is_asked, write_offs
from models.register import Asset, Contract, Staff
from models.tables import FOCUS, MONEY

PROVIDER = "Owned hardware"
SOURCE = "site:"
"""Prefix of `x_source` before the name of the site."""

ORIGIN = ("site", "node", "resource", "day", "sku")
"""What one charge is before it is split: the fixed cost or the energy of a card or device and day."""

KEPT = (
    *("day", "site", "tier", "asset", "node", "resource", "resource_type", "category", "service"),
    *("cost_kind", "currency", "held", "slice", *DIMENSIONS),
)
"""Columns that every charge has beside its cost, quantity, SKU and detail."""


def rows(
    gpu_parts: pl.DataFrame,
    edge_costs: pl.DataFrame,
    sites: Mapping[str, Site],
    more: Sequence[pl.DataFrame] = (),
    site_parts: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """One row for the fixed cost and one for the energy of each card or device, day, owner and cost kind.

    Demand and fixed charges of a site's tariff are rows of their own, of no card.

    Energy is apart because its quantity is kWh (before PUE); measured and estimated energy are one row. All
    four FOCUS costs are equal: there are no discounts. The rows of one card, day and SKU replace its charge, and
    the allocation columns say how: the owner is in AllocatedTags. The unit price is that of the whole charge,
    given only where price x quantity is the cost to the last decimal. The billing period is the calendar month of
    the local day.

    Args:
        gpu_parts: `gpu.daily_parts`.
        edge_costs: `edge.daily_costs`.
        sites: The configuration's sites.
        more: `owned_lines.lines`.
        site_parts: `site_charges.SiteCharges.parts`.

    Returns:
        `focus.cost_and_usage`, sorted; parts without quantity and cost give no row.
    """
    parts = [*_gpu_charges(gpu_parts), *_edge_charges(edge_costs), *_site_charges(site_parts)]
    charges = (
        pl.concat([p.with_columns(pl.col("quantity").round(12).cast(MONEY)) for p in parts], how="diagonal")
        .pipe(lambda charges: pl.concat([charges, *more], how="diagonal"))
        .filter((pl.col("quantity") != 0) | (pl.col("cost") != 0))
        .sort("site", "day", "resource", "node", "sku", "cost_kind", *DIMENSIONS, "detail", nulls_last=True)
        .pipe(with_allocation, ORIGIN)
    )
    money, quantity = pl.col("cost"), pl.col("quantity")
    whole = quantity.sum().over(ORIGIN)
    price = money.sum().over(ORIGIN) / pl.when(whole > 0).then(whole)
    exact = pl.when((price * quantity == money) & (price >= 0)).then(price)  # FOCUS knows no price below 0
    month = pl.col("day").dt.truncate("1mo")
    reserved = pl.col("sku").is_in(["gpu-hour", "device-hour", "contract-gpu-hour"])
    status = (
        pl.when(reserved)
        .then(pl.col("cost_kind").replace_strict({"direct": "Used", "idle": "Unused"}, default=None))
        .when(pl.col("sku") == UNUSED_COMMITMENT)
        .then(pl.lit("Unused"))
    )
    written_off = pl.col("sku") == WRITE_OFF
    usage = pl.when(reserved).then(pl.lit("Recurring")).otherwise(pl.lit("Usage-Based"))
    provider, site = pl.lit(PROVIDER), pl.col("site")
    return FOCUS.conform(
        charges.join(_periods(charges, sites), on=["site", "day"], how="left", maintain_order="left")
        .with_columns(exact=exact)
        .select(
            *(money.alias(name) for name in ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")),
            *(quantity.alias(name) for name in ("ConsumedQuantity", "PricingQuantity")),
            *(pl.col("unit").alias(name) for name in ("ConsumedUnit", "PricingUnit")),
            *(pl.col("exact").alias(name) for name in ("ListUnitPrice", "ContractedUnitPrice")),
            *(provider.alias(name) for name in ("ServiceProviderName", "ProviderName", "InvoiceIssuerName")),
            "ChargePeriodStart",
            "ChargePeriodEnd",
            "RegionId",
            "AllocatedMethodId",
            "AllocatedMethodDetails",
            "AllocatedResourceId",
            "AllocatedResourceName",
            "AllocatedTags",
            BillingAccountId=pl.lit("owned-hardware"),
            BillingAccountName=provider,
            BillingAccountType=pl.lit("Organisation"),
            BillingCurrency="currency",
            BillingPeriodStart=month,
            BillingPeriodEnd=month.dt.offset_by("1mo"),
            CapacityReservationId=pl.when(status.is_not_null()).then("node"),
            CapacityReservationStatus=status,
            ChargeCategory=pl.when(written_off).then(pl.lit("Adjustment")).otherwise(pl.lit("Usage")),
            ChargeDescription="detail",
            ChargeFrequency=pl.when(written_off).then(pl.lit("One-Time")).otherwise(usage),
            HostProviderName=site,
            PricingCategory=pl.when(~written_off).then(pl.lit("Standard")),
            RegionName="RegionId",
            ResourceId="resource",
            ResourceName="node",
            ResourceType="resource_type",
            ServiceCategory="category",
            ServiceName="service",
            ServiceSubcategory=pl.format("Other ({})", "category"),
            SkuId="sku",
            SkuMeter="meter",
            SkuPriceId=pl.when(pl.col("exact").is_not_null()).then(pl.format("{}/{}", "sku", "asset")),
            SubAccountId=site,
            SubAccountName=site,
            SubAccountType=pl.lit("Site"),
            x_source=pl.concat_str(pl.lit(SOURCE), site),
            x_tier="tier",
            x_billing_month=month,
            x_cost_kind="cost_kind",
        )
    )


def totals(
    gpu_hourly: pl.DataFrame,
    edge_daily: pl.DataFrame,
    assets: Sequence[Asset],
    sites: Mapping[str, Site],
    days: Days,
    *,
    staff: Sequence[Staff] = (),
    contracts: Mapping[str, Contract] = MappingProxyType({}),
    gpu_parts: pl.DataFrame | None = None,
    site_bills: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """What owned hardware costs by site and month, without splitting: assets, energy, contracts, site charges.

    Args:
        gpu_hourly: `telemetry.gpu_hourly`.
        edge_daily: `telemetry.edge_daily`.
        assets: The register.
        sites: The configuration's sites.
        days: Site -> first and last day.
        staff: Who looks after the assets.
        contracts: Terms of assets that are paid by use.
        gpu_parts: `gpu.daily_parts`, whose hours contracts count; needed only with contracts.
        site_bills: `site_charges.SiteCharges.bills`.

    Returns:
        source, month, currency, total (MONEY); sorted.

    Raises:
        ValueError: As `gpu.daily_parts`.
    """
    currency = currencies(assets, sites)
    fixed = asset_days(assets, days, staff)
    amounts = [
        fixed.select("site", "day", total=pl.col("depreciation") + pl.col("opex")),
        write_offs(assets, days).select("site", "day", total="cost"),
    ]
    if contracts and gpu_parts is not None:
        amounts.append(total(gpu_parts, assets, contracts, days))
    for measured, kind, name in ((gpu_hourly, "gpu_server", "node"), (edge_daily, "edge_device", "device")):
        registered = fixed.filter(pl.col("kind") == kind).select("site", "day", pl.col("node").alias(name))
        energy = measured.filter(is_asked(days)).join(registered, on=["site", "day", name], how="semi")
        priced = cost_by_site(energy, sites)
        amounts += [
            priced.select("site", "day", total=column) for column in ("energy_cost", "energy_estimated_cost")
        ]
    if site_bills is not None:
        amounts.append(site_bills.select("site", day="month", total="cost"))
    return (
        pl.concat(amounts)
        .group_by(
            source=pl.concat_str(pl.lit(SOURCE), pl.col("site")),
            month=pl.col("day").dt.truncate("1mo"),
            currency=pl.col("site").replace_strict(currency, return_dtype=pl.String),
        )
        .agg(pl.col("total").sum())
        .sort("source", "month", "currency")
    )


def _gpu_charges(parts: pl.DataFrame) -> list[pl.DataFrame]:
    common = parts.with_columns(
        tier=pl.lit("onprem"),
        resource="gpu",
        held=pl.col("state") == "allocated",
        slice="mig_profile",
        resource_type=pl.lit("GPU"),
        category=pl.lit("AI and Machine Learning"),
        service=pl.lit("Owned GPU"),
        what=pl.concat_str(
            pl.coalesce("gpu_model", pl.lit("GPU")),
            pl.col("mig_profile"),
            pl.col("state"),
            separator=", ",
            ignore_nulls=True,
        ),
    )
    metered = pl.col("contract_cost") > 0
    contract = common.filter(metered).select(
        *KEPT,
        cost="contract_cost",
        quantity="gpu_hours",
        unit=pl.lit("Hours"),
        sku=pl.lit("contract-gpu-hour"),
        meter=pl.lit("GPU-hours"),
        detail=pl.format("Paid by use: {}", "what"),
    )
    return [*_charges(common, hours="gpu_hours", sku="gpu-hour", meter="GPU-hours"), contract]


def _edge_charges(costs: pl.DataFrame) -> list[pl.DataFrame]:
    common = costs.with_columns(
        tier=pl.lit("edge"),
        resource="device",
        node="device",
        held=pl.col("cost_kind") != "unallocated",
        slice=pl.lit(None, dtype=pl.String),
        resource_type=pl.lit("Edge device"),
        category=pl.lit("Compute"),
        service=pl.lit("Edge fleet"),
        what=pl.concat_str(
            pl.coalesce("device_model", pl.lit("device")),
            pl.when("reported").then(pl.lit("reported")).otherwise(pl.lit("silent")),
            separator=", ",
        ),
    )
    return _charges(common, hours="device_hours", sku="device-hour", meter="Device-hours")


def _site_charges(parts: pl.DataFrame | None) -> list[pl.DataFrame]:
    if parts is None:
        return []
    by_power = pl.col("unit").is_in(["kW", "kVA"])
    what = (
        pl.when("provisional")
        .then(pl.format("{}, provisional until the month ends", "charge"))
        .otherwise("charge")
    )
    return [
        parts.with_columns(
            tier=pl.lit("onprem"),
            asset="site",
            node="site",
            resource=pl.format("{}/{}", "site", "charge"),
            resource_type=pl.lit("Site"),
            category=pl.lit("AI and Machine Learning"),
            service=pl.lit(ELECTRICITY_SERVICE),
            cost_kind=pl.when("held").then(pl.lit("direct")).otherwise(pl.lit("unallocated")),
            slice=pl.lit(None, dtype=pl.String),
            meter=pl.when(by_power).then(pl.lit("Demand")).otherwise(pl.lit("Fixed charge")),
            detail=pl.format(
                "{}: {}",
                pl.when(by_power).then(pl.lit("Demand")).otherwise(pl.lit("Electricity")),
                what,
            ),
        ).drop("month", "charge", "provisional")
    ]


def _charges(common: pl.DataFrame, hours: str, sku: str, meter: str) -> list[pl.DataFrame]:
    fixed = common.select(
        *KEPT,
        cost="fixed_cost",
        quantity=hours,
        unit=pl.lit("Hours"),
        sku=pl.lit(sku),
        meter=pl.lit(meter),
        detail=pl.format("Depreciation and fixed operation: {}", "what"),
    )
    energy = common.select(
        *KEPT,
        cost=_known("energy_cost") + _known("energy_estimated_cost"),
        quantity=_known("energy_kwh") + _known("energy_estimated_kwh"),
        unit=pl.lit("kWh"),
        sku=pl.lit("energy"),
        meter=pl.lit("Energy"),
        detail=pl.format("Energy with PUE at the site's tariff: {}", "what"),
    )
    return [fixed, energy]


def _known(column: str) -> pl.Expr:
    """Energy that is not known is not in the ledger; `edge.daily_costs` keeps it as NULL."""
    return pl.col(column).fill_null(0)


def _periods(charges: pl.DataFrame, sites: Mapping[str, Site]) -> pl.DataFrame:
    found = [
        (site, day, *local_day(day, sites[site]), sites[site].region or site)
        for site, day in charges.select("site", "day").unique().iter_rows()
    ]
    names = ("site", "day", "ChargePeriodStart", "ChargePeriodEnd", "RegionId")
    types = (pl.String(), pl.Date(), pl.Datetime("us"), pl.Datetime("us"), pl.String())
    return pl.DataFrame(found, schema=pl.Schema(zip(names, types, strict=True)), orient="row")
