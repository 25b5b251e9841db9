"""Reduces FOCUS rows to daily costs: the one pass over line items, in SQL, kept for each file of them."""

from __future__ import annotations

import hashlib
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from connectors.parts import current_rows
from connectors.sql import literal
from models import tables
from models.api_reconciliation import BILL
from pipelines.engines.duckdb import DuckDBEngine
from pipelines.facts import SliceFacts
from pipelines.focus_checks import COUNTS, counts_sql

UNUSED = timedelta(days=7)
"""What was reduced stays this long after it was last asked for: a restatement is compared with what it replaced."""

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


def daily_costs(slices: Iterable[SliceFacts], zones: Mapping[str, str], cache: Path) -> pl.DataFrame:
    """Daily costs of all FOCUS facts; a file that has been reduced before is read back.

    Args:
        slices: Facts; those without FOCUS rows are passed over.
        zones: Source -> time zone, for sources other than UTC.
        cache: Folder of reduced files.

    Returns:
        day, billing_month, source, tier, service_provider, service_name, sub_account, cost_kind, currency, tags,
        allocated_tags, billed_cost, effective_cost (MONEY), rows.
    """
    return _reduced(slices, daily_costs_sql, cache, EMPTY.schema, zones)


def api_lines(slices: Iterable[SliceFacts], cache: Path) -> pl.DataFrame:
    """Lines of model APIs in all bills, gateways' charges included; a file reduced before is read back.

    Args:
        slices: Facts; those without FOCUS rows, and owned hardware, are passed over.
        cache: Folder of reduced files.

    Returns:
        `source` and the columns of `models.api_reconciliation.BILL`.
    """
    bills = [s for s in slices if not s.source.startswith(SITE)]
    schema = pl.Schema({"source": pl.String(), **BILL})
    return _reduced(bills, lambda rows, _: api_lines_sql(rows), cache, schema)


def focus_counts(slices: Iterable[SliceFacts], cache: Path) -> pl.DataFrame:
    """How many charges break each of our own rules of FOCUS; a file counted before is read back.

    Args:
        slices: Facts; those without FOCUS rows are passed over.
        cache: Folder of counted files.

    Returns:
        Columns of `pipelines.focus_checks.COUNTS`; a row for each source, billing month and day of a file.
    """
    return _reduced(slices, lambda rows, _: counts_sql(rows), cache, COUNTS, temp=cache / "temp")


def _reduced(
    slices: Iterable[SliceFacts],
    sql_of: Callable[[str, str], str],
    cache: Path,
    schema: pl.Schema,
    zones: Mapping[str, str] | None = None,
    *,
    temp: Path | None = None,
) -> pl.DataFrame:
    """Every file of facts reduced by itself and once: when a few days of a month change, only their new file is read.

    Args:
        slices: Facts.
        sql_of: Table expression of rows of `focus.cost_and_usage`, and time zone -> SQL that groups by `day`, among others.
        cache: Folder of reduced files; those that nobody asked for within `UNUSED` go.
        schema: Columns of the result.
        zones: Source -> time zone of `day` where it is not UTC.
        temp: Where DuckDB may spill.
    """
    found: dict[tuple[date, ...], list[Path]] = defaultdict(list)
    with DuckDBEngine(temp=temp) as engine:
        for facts in slices:
            zone = (zones or {}).get(facts.source, "UTC")
            for part in facts.parts(tables.FOCUS.name):
                # days that no longer count are days in UTC: only from days in UTC can they be left out afterwards
                read, without = (replace(part, without=()), part.without) if zone == "UTC" else (part, ())
                name = f"{sql_of('facts', zone)} {_identity(read.file)} {read.without}"
                reduced = cache / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.parquet"
                if reduced.is_file():
                    os.utime(reduced)
                else:
                    building = reduced.with_suffix(".building")
                    engine.copy(sql_of(current_rows(tables.FOCUS, [read]), zone), building)
                    building.replace(reduced)
                found[without].append(reduced)
    for old in cache.glob("*.parquet"):
        if time.time() - old.stat().st_mtime > UNUSED.total_seconds():
            old.unlink(missing_ok=True)
    columns = [pl.col(n).cast(t) for n, t in schema.items()]
    frames = [
        pl.read_parquet(files).select(columns).remove(pl.col("day").is_in(without))
        for without, files in found.items()
    ]
    return pl.concat([pl.DataFrame(schema=schema), *frames])


def _identity(file: Path) -> str:
    """Text that differs for every file of facts, which never change; equal for all names of one file."""
    at = file.stat()
    return f"{at.st_dev}-{at.st_ino}-{at.st_mtime_ns}-{at.st_size}"


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
