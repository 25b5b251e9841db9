"""Charges of a model API as FOCUS rows, one a day, account, model and meter.

What a source's fields mean belongs to the readers beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

import polars as pl

from connectors.base import Context
from models import tables

COST = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")

SCHEMA = pl.Schema(
    {
        "day": pl.Date(),
        "start": pl.Datetime("us"),
        "end": pl.Datetime("us"),
        "provider": pl.String(),
        "account": pl.String(),
        "sub_account": pl.String(),
        "sub_account_name": pl.String(),
        "service": pl.String(),
        "meter": pl.String(),
        "description": pl.String(),
        "quantity": tables.MONEY,
        "cost": tables.MONEY,
        "currency": pl.String(),
        "tags": pl.String(),
    }
)
"""What a charge must say: times in UTC, quantity in tokens (NULL unknown), tags as flat JSON or NULL."""


def tags(labels: Mapping[str, str | None]) -> str | None:
    """Labels that are known, as flat JSON; None where none is."""
    known = {k: v for k, v in labels.items() if v}
    return json.dumps(known, ensure_ascii=False, sort_keys=True) if known else None


def to_focus(charges: pl.DataFrame, context: Context) -> pl.DataFrame:
    """Charges as FOCUS rows; all four costs are the amount charged, since list prices are not known.

    Args:
        charges: Columns of `SCHEMA`.
        context: The source's name is its `x_source`.

    Returns:
        `focus.cost_and_usage`, with the column day in front.
    """
    month = pl.col("day").dt.truncate("1mo")
    unit = pl.when(pl.col("quantity").is_not_null()).then(pl.lit("Tokens"))
    rows = charges.select(
        *(pl.col("cost").alias(name) for name in COST),
        *(pl.col("provider").alias(n) for n in ("ServiceProviderName", "ProviderName", "InvoiceIssuerName")),
        *(pl.col("quantity").alias(name) for name in ("ConsumedQuantity", "PricingQuantity")),
        *(unit.alias(name) for name in ("ConsumedUnit", "PricingUnit")),
        BillingAccountId="account",
        BillingAccountType=pl.lit("Organisation"),
        BillingCurrency="currency",
        BillingPeriodStart=month,
        BillingPeriodEnd=month.dt.offset_by("1mo"),
        ChargeCategory=pl.lit("Usage"),
        ChargeDescription="description",
        ChargeFrequency=pl.lit("Usage-Based"),
        ChargePeriodStart="start",
        ChargePeriodEnd="end",
        PricingCategory=pl.lit("Standard"),
        PricingCurrency="currency",
        PricingCurrencyEffectiveCost="cost",
        ServiceCategory=pl.lit("AI and Machine Learning"),
        ServiceName="service",
        ServiceSubcategory=pl.lit("Generative AI"),
        SkuId=pl.concat_str("service", "meter", separator="/", ignore_nulls=True),
        SkuMeter=pl.coalesce("meter", "service"),
        SubAccountId="sub_account",
        SubAccountName="sub_account_name",
        SubAccountType=pl.when(pl.col("sub_account").is_not_null()).then(pl.lit("Project")),
        Tags="tags",
        x_source=pl.lit(context.name),
        x_tier=pl.lit("api"),
        x_billing_month=month,
        x_cost_kind=pl.lit("direct"),
    )
    return charges.select("day").hstack(tables.FOCUS.conform(rows))


def write_charges(focus: pl.DataFrame, days: Iterable[date], work: Path) -> dict[date, tuple[Path, int]]:
    """Writes each day's rows of `to_focus` as Parquet below `work`: day -> file, number of rows; days without are left out."""
    parts = focus.partition_by("day", as_dict=True, include_key=False)
    written = {}
    for day in days:
        if (part := parts.get((day,))) is not None:
            path = work / day.isoformat() / f"{tables.FOCUS.name}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_parquet(path, compression="zstd")
            written[day] = (path, part.height)
    return written
