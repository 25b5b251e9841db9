"""What is wrong with charges, above all what FOCUS validators do not see: counted, never mended or dropped.

Rejecting rows when a bill is read belongs to `connectors/bills/rules.py`; gates, to `pipelines/checks/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl

from connectors.parts import DAY
from connectors.sql import identifier, literals
from models import focus
from models.focus_services import pairs
from pipelines.engines.duckdb import DuckDBEngine


@dataclass(frozen=True)
class Finding:
    """Charges of one billing month that break one rule.

    Attributes:
        month: First day of the billing month.
        rule: Key of `rules()`, or `duplicate`.
        rows: How many.
        meaning: What is wrong with them.
    """

    month: date
    rule: str
    rows: int
    meaning: str


DUPLICATE = "the row is the same as another one in every column"


def product(price: str) -> str:
    """SQL: price x quantity, in doubles: both have 12 decimals, and no decimal has room for 24."""
    return f"CAST({price} AS DOUBLE) * CAST(PricingQuantity AS DOUBLE)"


def _off(cost: str, price: str) -> str:
    """Cost is further from price x quantity than rounding explains: a hundredth of a per cent, or 1e-6."""
    value = f"CAST({cost} AS DOUBLE)"
    return (
        f"ChargeClass IS NULL AND abs({value} - {product(price)}) > greatest(0.000001, 0.0001 * abs({value}))"
    )


def rules() -> Mapping[str, tuple[str, str]]:
    """Rule -> (SQL condition on a charge that breaks it, meaning). NULL in a condition is no breach."""
    closed = {
        f"{c.name} value": (
            f"{identifier(c.name)} NOT IN {literals(c.allowed)}",
            f"{c.name} is none of its allowed values",
        )
        for c in focus.columns("1.2")
        if c.allowed
    }
    missing = {
        f"{c.name} missing": (f"{identifier(c.name)} IS NULL", f"{c.name} is mandatory and not known")
        for c in focus.columns("1.4")
        if c.required
    }
    known = literals(f"{c}/{s}" for c, s in pairs())
    return {
        **closed,
        **missing,
        "ServiceSubcategory pair": (
            f"ServiceCategory IN {literals(focus.SERVICE_CATEGORIES)} AND ServiceCategory || '/' || ServiceSubcategory NOT IN {known}",
            "ServiceSubcategory does not belong to ServiceCategory",
        ),
        "ChargePeriod order": ("ChargePeriodEnd <= ChargePeriodStart", "the charge ends when it starts, or before"),
        "BillingPeriod order": ("BillingPeriodEnd <= BillingPeriodStart", "the billing period ends when it starts, or before"),
        "BillingPeriod month": (
            "BillingPeriodStart < x_billing_month OR BillingPeriodEnd > x_billing_month + INTERVAL 1 MONTH",
            "the billing period reaches beyond its month",
        ),
        "ListCost product": (_off("ListCost", "ListUnitPrice"), "ListCost is not ListUnitPrice x PricingQuantity"),
        "ContractedCost product": (
            _off("ContractedCost", "ContractedUnitPrice"),
            "ContractedCost is not ContractedUnitPrice x PricingQuantity",
        ),
        "Tax usage": (
            "ChargeCategory = 'Tax' AND (ConsumedQuantity IS NOT NULL OR PricingCategory IS NOT NULL)",
            "a tax has a consumed quantity or a pricing category",
        ),
        "RegionName alone": ("RegionName IS NOT NULL AND RegionId IS NULL", "RegionName is there without RegionId"),
        "CommitmentDiscountStatus": (
            "(CommitmentDiscountStatus IS NULL AND CommitmentDiscountId IS NOT NULL AND ChargeCategory = 'Usage') "
            "OR (CommitmentDiscountStatus IS NOT NULL AND CommitmentDiscountId IS NULL)",
            "usage under a commitment has no CommitmentDiscountStatus, or one is there without a commitment",
        ),
        "CapacityReservationStatus": (
            "(CapacityReservationStatus IS NULL AND CapacityReservationId IS NOT NULL AND ChargeCategory = 'Usage') "
            "OR (CapacityReservationStatus IS NOT NULL AND CapacityReservationId IS NULL)",
            "usage of a reservation has no CapacityReservationStatus, or one is there without a reservation",
        ),
    }  # fmt: skip


def findings(engine: DuckDBEngine, charges: str) -> tuple[Finding, ...]:
    """Counts what is wrong in each billing month.

    Args:
        engine: Where the charges can be read.
        charges: Table or view with the columns of `focus.cost_and_usage`.

    Returns:
        Rules that rows break, by month and rule; empty where all is well.
    """
    sums = ", ".join(f"SUM({identifier(rule)}) AS {identifier(rule)}" for rule in meanings())
    months = (
        f"SELECT x_source, x_billing_month, {sums} FROM ({counts_sql(charges)}) GROUP BY ALL ORDER BY ALL"
    )
    return tuple(
        Finding(row["x_billing_month"], rule, int(row[rule]), meaning)
        for row in engine.rows(months)
        for rule, meaning in meanings().items()
        if row[rule]
    )


def meanings() -> Mapping[str, str]:
    """Rule -> what is wrong with charges that break it."""
    return {rule: meaning for rule, (_, meaning) in rules().items()} | {"duplicate": DUPLICATE}


def counts_sql(charges: str) -> str:
    """SQL: x_source, x_billing_month, day (UTC) and how many charges break each rule, a column a rule; one scan.

    Charges of different days are never the same, so duplicates may be counted by day.

    Args:
        charges: SQL table expression with the columns of `focus.cost_and_usage`.
    """
    counts = ", ".join(
        f"count(*) FILTER (WHERE {condition}) AS {identifier(rule)}"
        for rule, (condition, _) in rules().items()
    )
    return (
        f"SELECT x_source, x_billing_month, {DAY} AS day, {counts}, count(*) - count(DISTINCT hash(c)) AS duplicate "
        f"FROM {charges} AS c GROUP BY x_source, x_billing_month, day"
    )


COUNTS = pl.Schema(
    {
        "x_source": pl.String(),
        "x_billing_month": pl.Date(),
        "day": pl.Date(),
        **dict.fromkeys(meanings(), pl.Int64()),
    }
)
"""Columns of `counts_sql`."""

GATES: Mapping[str, tuple[str, ...]] = {
    "focus_period_rows": ("ChargePeriod order", "BillingPeriod order"),
    "focus_billing_month_rows": ("BillingPeriod month",),
    "focus_duplicate_rows": ("duplicate",),
    "focus_price_rows": ("ListCost product", "ContractedCost product"),
    "focus_category_rows": (*(r for r in rules() if r.endswith(" value")), "ServiceSubcategory pair"),
    "focus_region_rows": ("RegionName alone",),
}
"""Gate -> the rules that it counts. What a provider leaves out of its bill is no gate: nobody could mend it."""


def gate_counts(counted: pl.DataFrame) -> dict[str, tuple[int, str]]:
    """Gate -> rows that break its rules, once for each rule, and the worst source, month and rule in words.

    Args:
        counted: Columns of `COUNTS`.
    """
    words = meanings()
    result = {}
    for gate, names in GATES.items():
        found = (
            counted.unpivot(
                names, index=["x_source", "x_billing_month"], variable_name="rule", value_name="rows"
            )
            .group_by("x_source", "x_billing_month", "rule")
            .agg(pl.col("rows").sum())
            .filter(pl.col("rows") > 0)
            .sort(["rows", "x_source", "x_billing_month", "rule"], descending=[True, False, False, False])
        )
        worst = found.row(0, named=True) if found.height else None
        detail = (
            worst
            and f"{worst['x_source']} {worst['x_billing_month']:%Y-%m}: {words[worst['rule']]}, {worst['rows']} rows"
        )
        result[gate] = (int(found["rows"].sum()), detail or "")
    return result
