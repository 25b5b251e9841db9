"""What is wrong with charges, above all what FOCUS validators do not see: counted, never mended or dropped.

Rejecting rows when a bill is read belongs to `connectors/bills/rules.py`; gates, to `pipelines/checks/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

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


def _product(cost: str, price: str) -> str:
    """Cost is further from price x quantity than rounding explains: a hundredth of a per cent, or 1e-6."""
    product = f"CAST({price} AS DOUBLE) * CAST(PricingQuantity AS DOUBLE)"
    value = f"CAST({cost} AS DOUBLE)"
    return f"ChargeClass IS NULL AND abs({value} - {product}) > greatest(0.000001, 0.0001 * abs({value}))"


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
        "ListCost product": (_product("ListCost", "ListUnitPrice"), "ListCost is not ListUnitPrice x PricingQuantity"),
        "ContractedCost product": (
            _product("ContractedCost", "ContractedUnitPrice"),
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
    known = rules()
    counts = ", ".join(
        f"count(*) FILTER (WHERE {condition}) AS {identifier(rule)}" for rule, (condition, _) in known.items()
    )
    found = engine.query(
        f"SELECT x_billing_month, {counts}, count(*) - count(DISTINCT hash(c)) AS duplicate "
        f"FROM {charges} AS c GROUP BY x_billing_month ORDER BY x_billing_month"
    )
    meanings = {rule: meaning for rule, (_, meaning) in known.items()} | {"duplicate": DUPLICATE}
    return tuple(
        Finding(row["x_billing_month"], rule, row[rule], meaning)
        for row in found.iter_rows(named=True)
        for rule, meaning in meanings.items()
        if row[rule]
    )
