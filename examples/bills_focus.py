"""The second cloud's bill, as its native FOCUS 1.2 export: CSV for all months but the last, which is Parquet.

The provider is shaped like Google Cloud, with a managed model API that charges by the token. What FOCUS
requires of a column belongs to the specification; which columns Tierwise publishes, to `models/focus.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from examples import amounts
from examples.company import GCP_BILLING, MISSPELT, Owner
from examples.gcp_resources import MARKETPLACE, METERS, SANDBOX
from examples.noise import SECONDS, noise
from examples.truth import Bill

CREDIT_PERCENT = 10
COLUMNS = (
    "ProviderName", "PublisherName", "InvoiceIssuerName", "InvoiceId", "BillingAccountId",
    "BillingAccountName", "BillingAccountType", "SubAccountId", "SubAccountName", "SubAccountType",
    "BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd", "ChargeCategory",
    "ChargeClass", "ChargeDescription", "ChargeFrequency", "BilledCost", "EffectiveCost", "ListCost",
    "ContractedCost", "ListUnitPrice", "ContractedUnitPrice", "PricingCategory", "PricingQuantity",
    "PricingUnit", "PricingCurrency", "BillingCurrency", "ConsumedQuantity", "ConsumedUnit",
    "ServiceName", "ServiceCategory", "ServiceSubcategory", "SkuId", "SkuMeter", "SkuPriceId",
    "ResourceId", "ResourceName", "ResourceType", "RegionId", "RegionName", "AvailabilityZone",
    "CommitmentDiscountId", "Tags",
)  # fmt: skip
NUMBERS = (
    "BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "ListUnitPrice", "ContractedUnitPrice",
    "PricingQuantity", "ConsumedQuantity",
)  # fmt: skip
TIMES = ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")


def _tags(owner: Owner) -> str:
    return json.dumps({key: value for key, value in asdict(owner).items() if value})


def _meters() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "number": n,
            "rate": amounts.rate(m.price),
            "amount": m.amount,
            "team": m.owner.team,
            "SubAccountId": m.project,
            "ServiceName": m.service,
            "ServiceCategory": m.category,
            "ServiceSubcategory": m.subcategory,
            "SkuId": m.sku,
            "SkuMeter": m.meter,
            "PricingUnit": m.unit,
            "ResourceId": m.resource,
            "Tags": _tags(m.owner),
        }
        for n, m in enumerate(METERS)
    )


def _usage(start: date, end: date, seed: int) -> pl.DataFrame:
    days = pl.date_range(start, end, "1d", eager=True).alias("day").to_frame()
    key = pl.col("number") * SECONDS + pl.col("day").cast(pl.Int32).cast(pl.Int64)
    growth = 100 + (pl.col("day") - pl.lit(start)).dt.total_days() // 3
    return (
        days.join(_meters(), how="cross", maintain_order="left_right")
        .with_columns(usage=pl.col("amount") * (90 + noise(key, "focus", seed, 21)) // 100 * growth // 100)
        .with_columns(usage=pl.col("usage") * pl.when(_runs_away(end)).then(6).otherwise(1))
        .with_columns(cost=pl.col("usage") * pl.col("rate"), category=pl.lit("Usage"))
    )


def _runs_away(end: date) -> pl.Expr:
    """Two days on which a query was left in a loop: an unusual cost, of which the statement tells."""
    days = pl.col("day").is_between(end - timedelta(9), end - timedelta(8))
    return (pl.col("ServiceName") == "BigQuery") & days


def _credit(usage: pl.DataFrame) -> pl.DataFrame:
    """A closing credit on the sandbox's machines: one row a resource, dated on the last day."""
    machines = (pl.col("SubAccountId") == SANDBOX) & (pl.col("ServiceName") == "Compute Engine")
    return (
        usage.filter(machines)
        .group_by("ResourceId", maintain_order=True)
        .agg(
            pl.col(
                "day", "team", "SubAccountId", "ServiceName", "ServiceCategory", "ServiceSubcategory", "Tags"
            ).last(),
            cost=-(pl.col("cost").sum() * CREDIT_PERCENT // 100),
        )
        .with_columns(category=pl.lit("Credit"))
    )


def _native(rows: pl.DataFrame, month: date, following: date, invoice: str | None) -> pl.DataFrame:
    """The rows in the export's columns, all text."""
    usage = pl.col("category") == "Usage"
    money = amounts.text(pl.col("cost"))
    price = amounts.text(pl.col("rate"), 7)
    quantity = amounts.text(pl.col("usage"), 3)
    null = pl.lit(None, dtype=pl.String)
    values = {
        "ProviderName": pl.lit("Google Cloud"),
        "PublisherName": pl.lit("Google Cloud"),
        "InvoiceIssuerName": pl.lit("Google Cloud"),
        "InvoiceId": pl.lit(invoice, dtype=pl.String),
        "BillingAccountId": pl.lit(GCP_BILLING),
        "BillingAccountName": pl.lit("Lumen Orchard"),
        "BillingAccountType": pl.lit("Billing Account"),
        "SubAccountName": pl.col("SubAccountId"),
        "SubAccountType": pl.lit("Project"),
        "BillingPeriodStart": pl.lit(f"{month}T00:00:00Z"),
        "BillingPeriodEnd": pl.lit(f"{following}T00:00:00Z"),
        "ChargePeriodStart": pl.col("day").dt.strftime("%Y-%m-%dT00:00:00Z"),
        "ChargePeriodEnd": (pl.col("day") + pl.duration(days=1)).dt.strftime("%Y-%m-%dT00:00:00Z"),
        "ChargeCategory": pl.col("category"),
        "ChargeDescription": pl.when(usage)
        .then(pl.concat_str("ServiceName", pl.lit(" "), "SkuMeter"))
        .otherwise(pl.lit("Closing credit")),
        "ChargeFrequency": pl.when(usage).then(pl.lit("Usage-Based")).otherwise(pl.lit("One-Time")),
        "BilledCost": money,
        "EffectiveCost": money,
        "ListCost": money,
        "ContractedCost": money,
        "ListUnitPrice": price,
        "ContractedUnitPrice": price,
        "PricingCategory": pl.when(usage).then(pl.lit("Standard")),
        "PricingQuantity": quantity,
        "PricingCurrency": pl.lit("USD"),
        "BillingCurrency": pl.lit("USD"),
        "ConsumedQuantity": quantity,
        "ConsumedUnit": pl.col("PricingUnit"),
        "SkuPriceId": pl.col("SkuId"),
        "ResourceName": pl.col("ResourceId").str.split("/").list.last(),
        "ResourceType": pl.col("ServiceSubcategory"),
        "RegionId": pl.lit("europe-west3"),
        "RegionName": pl.lit("Frankfurt"),
    }
    return rows.select(values.get(c, pl.col(c) if c in rows.columns else null).alias(c) for c in COLUMNS)


def _typed(native: pl.DataFrame) -> pl.DataFrame:
    return native.with_columns(
        pl.col(NUMBERS).cast(pl.Decimal(38, amounts.SCALE)),
        pl.col(TIMES).str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC"),
    )


def _bill(rows: pl.DataFrame) -> Bill:
    team = pl.col("team")
    sums = rows.select(
        billed=pl.col("cost").sum(),
        untagged=pl.col("cost").filter((team == "") & (pl.col("SubAccountId") == MARKETPLACE)).sum(),
        misspelt=pl.col("cost").filter(team.is_in(list(MISSPELT))).sum(),
    ).row(0, named=True)
    found = {name: amounts.decimal(value) for name, value in sums.items()}
    return Bill(rows=rows.height, effective=found["billed"], **found)


def write(root: Path, start: date, end: date, seed: int) -> Mapping[date, Bill]:
    """Writes `root/<YYYY-MM>/focus-000.csv`, or `.parquet` for the last month.

    Args:
        root: Folder of the export.
        start: First day charged (UTC).
        end: Last day charged.
        seed: Seed of the demo.

    Returns:
        Billing month -> truth.
    """
    usage = _usage(start, end, seed)
    truth: dict[date, Bill] = {}
    month = start.replace(day=1)
    while month <= end:
        following = (month + timedelta(days=32)).replace(day=1)
        rows = usage.filter(pl.col("day").is_between(month, following, closed="left"))
        invoice = None
        if following <= end:
            rows = pl.concat([rows, _credit(rows)], how="diagonal")
            invoice = f"{5_300_000_000 + month.year * 100 + month.month}"
        native = _native(rows, month, following, invoice)
        folder = root / f"{month:%Y-%m}"
        folder.mkdir(parents=True)
        if following <= end:
            native.write_csv(folder / "focus-000.csv")
        else:
            _typed(native).write_parquet(folder / "focus-000.parquet")
        truth[month] = _bill(rows)
        month = following
    return truth
