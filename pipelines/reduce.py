"""Reduces FOCUS rows to daily costs: the one pass over line items, in SQL, kept for each version of each slice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import polars as pl

from connectors.parts import current_rows
from connectors.sql import literal
from models import tables
from models.api_reconciliation import BILL
from pipelines.engines.duckdb import DuckDBEngine
from pipelines.facts import SliceFacts
from pipelines.focus_checks import COUNTS, counts_sql

SITE = "site:"
"""Prefix of the source name of a site's own hardware."""


def daily_costs_sql(focus_rows: str, zone: str) -> str:
    """Daily costs of FOCUS rows, by everything that ownership and statements look at.

    Args:
        focus_rows: SQL table expression of rows of `focus.cost_and_usage`.
        zone: Time zone whose calendar day counts: UTC for providers, the site's for owned hardware.
    """
    day = (
        "ChargePeriodStart"
        if zone == "UTC"
        else f"ChargePeriodStart AT TIME ZONE 'UTC' AT TIME ZONE {literal(zone)}"
    )
    return f"""
        SELECT CAST({day} AS DATE) AS day, x_billing_month AS billing_month, x_source AS source, x_tier AS tier,
               ServiceProviderName AS service_provider, ServiceName AS service_name, SubAccountId AS sub_account,
               x_cost_kind AS cost_kind, BillingCurrency AS currency, CAST(Tags AS VARCHAR) AS tags,
               CAST(AllocatedTags AS VARCHAR) AS allocated_tags,
               SUM(BilledCost) AS billed_cost, SUM(EffectiveCost) AS effective_cost, COUNT(*) AS rows
        FROM {focus_rows}
        GROUP BY ALL"""


def api_lines_sql(focus_rows: str) -> str:
    """Lines of model APIs of FOCUS rows, added up by day; quantity is NULL where one row has none.

    Args:
        focus_rows: SQL table expression of rows of `focus.cost_and_usage`.
    """
    consumed = "ConsumedQuantity IS NOT NULL AND ConsumedUnit IS NOT NULL"
    quantity = f"CASE WHEN {consumed} THEN ConsumedQuantity ELSE PricingQuantity END"
    return f"""
        SELECT CAST(ChargePeriodStart AS DATE) AS day, CAST(ChargePeriodEnd - INTERVAL 1 MICROSECOND AS DATE) AS last_day,
               x_source AS source, ServiceProviderName AS service_provider,
               ServiceName AS service_name, SkuMeter AS sku_meter, ChargeDescription AS description,
               CASE WHEN {consumed} THEN ConsumedUnit ELSE PricingUnit END AS unit, ChargeCategory AS category,
               BillingCurrency AS currency, SUM(BilledCost) AS billed_cost,
               CASE WHEN COUNT({quantity}) = COUNT(*) THEN SUM({quantity}) END AS quantity
        FROM {focus_rows} WHERE x_tier = 'api'
        GROUP BY ALL"""


def daily_costs(slices: Iterable[SliceFacts], zones: dict[str, str], cache: Path) -> pl.DataFrame:
    """Daily costs of all FOCUS facts; a slice that has been reduced before is read back.

    Args:
        slices: Facts; those without FOCUS rows are passed over.
        zones: Source -> time zone, for sources other than UTC.
        cache: Folder of reduced slices.

    Returns:
        day, billing_month, source, tier, service_provider, service_name, sub_account, cost_kind, currency, tags,
        allocated_tags, billed_cost, effective_cost (MONEY), rows.
    """
    return _reduced(
        slices, lambda s, rows: daily_costs_sql(rows, zones.get(s.source, "UTC")), cache, EMPTY.schema
    )


def api_lines(slices: Iterable[SliceFacts], cache: Path) -> pl.DataFrame:
    """Lines of model APIs in all bills, gateways' charges included; a slice reduced before is read back.

    Args:
        slices: Facts; those without FOCUS rows, and owned hardware, are passed over.
        cache: Folder of reduced slices.

    Returns:
        `source` and the columns of `models.api_reconciliation.BILL`.
    """
    bills = [s for s in slices if not s.source.startswith(SITE)]
    schema = pl.Schema({"source": pl.String(), **BILL})
    return _reduced(bills, lambda _, rows: api_lines_sql(rows), cache, schema)


def focus_counts(slices: Iterable[SliceFacts], cache: Path) -> pl.DataFrame:
    """How many charges break each of our own rules of FOCUS; a slice counted before is read back.

    Args:
        slices: Facts; those without FOCUS rows are passed over.
        cache: Folder of counted slices.

    Returns:
        Columns of `pipelines.focus_checks.COUNTS`; a row for each source and billing month of a slice.
    """
    return _reduced(slices, lambda _, rows: counts_sql(rows), cache, COUNTS, temp=cache / "temp")


def _reduced(
    slices: Iterable[SliceFacts],
    sql_of: Callable[[SliceFacts, str], str],
    cache: Path,
    schema: pl.Schema,
    *,
    temp: Path | None = None,
) -> pl.DataFrame:
    files = []
    with DuckDBEngine(temp=temp) as engine:
        for facts in slices:
            if tables.FOCUS.name not in facts.tables:
                continue
            sql = sql_of(facts, current_rows(tables.FOCUS, facts.parts(tables.FOCUS.name)))
            reduced = cache / f"{hashlib.sha256(sql.encode()).hexdigest()[:32]}.parquet"
            if not reduced.is_file():
                building = reduced.with_suffix(".building")
                engine.copy(sql, building)
                building.replace(reduced)
            files.append(reduced)
    for stale in set(cache.glob("*.parquet")) - set(files):
        stale.unlink()
    if not files:
        return pl.DataFrame(schema=schema)
    return pl.read_parquet(files).select(pl.col(n).cast(t) for n, t in schema.items())


EMPTY = pl.DataFrame(
    schema={
        "day": pl.Date,
        "billing_month": pl.Date,
        **dict.fromkeys(
            (
                "source",
                "tier",
                "service_provider",
                "service_name",
                "sub_account",
                "cost_kind",
                "currency",
                "tags",
                "allocated_tags",
            ),
            pl.String,
        ),
        "billed_cost": tables.MONEY,
        "effective_cost": tables.MONEY,
        "rows": pl.Int64,
    }
)
