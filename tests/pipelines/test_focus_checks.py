"""Our own checks of FOCUS rows: each finds what breaks it, and only that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from models import focus
from models.focus_services import SUBCATEGORIES, pairs
from models.tables import FOCUS
from pipelines.engines.duckdb import DuckDBEngine
from pipelines.focus_checks import GATES, findings, rules
from tests.pipelines import small


def at(month: int, day: int, hour: int = 0) -> datetime:
    """An instant of 2026 as the ledger has it: UTC without a zone."""
    return datetime(2026, month, day, hour, tzinfo=UTC).replace(tzinfo=None)


GOOD: Mapping[str, Any] = {
    **dict.fromkeys(("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"), Decimal("0.3")),
    **dict.fromkeys(("ListUnitPrice", "ContractedUnitPrice"), Decimal("0.1")),
    "PricingQuantity": Decimal(3),
    "PricingUnit": "Hours",
    "PricingCategory": "Committed",
    "BillingAccountId": "a",
    "BillingCurrency": "USD",
    "BillingPeriodStart": at(10, 1),
    "BillingPeriodEnd": at(11, 1),
    "ChargePeriodStart": at(10, 1),
    "ChargePeriodEnd": at(10, 1, 1),
    "ChargeCategory": "Usage",
    "ChargeFrequency": "Usage-Based",
    "CommitmentDiscountId": "plan",
    "CommitmentDiscountStatus": "Used",
    "CapacityReservationId": "node",
    "CapacityReservationStatus": "Unused",
    "InvoiceIssuerName": "AWS",
    "ServiceCategory": "Compute",
    "ServiceSubcategory": "Virtual Machines",
    "ServiceName": "EC2",
    "ServiceProviderName": "AWS",
    "RegionId": "r",
    "RegionName": "Region",
    "x_source": "s",
    "x_tier": "cloud",
    "x_billing_month": date(2026, 10, 1),
    "x_cost_kind": "direct",
}
BAD: list[tuple[str, dict[str, Any]]] = [
    ("ListCost missing", {"ListCost": None}),
    ("ContractedCost missing", {"ContractedCost": None}),
    ("ServiceProviderName missing", {"ServiceProviderName": None}),
    ("ChargePeriod order", {"ChargePeriodEnd": at(9, 30)}),
    ("ChargePeriod order", {"ChargePeriodEnd": at(10, 1)}),
    ("BillingPeriod order", {"BillingPeriodEnd": at(9, 1)}),
    ("BillingPeriod month", {"BillingPeriodEnd": at(11, 2)}),
    ("BillingPeriod month", {"BillingPeriodStart": at(9, 30)}),
    ("ListCost product", {"ListCost": Decimal("0.31")}),
    ("ListCost product", {"ListCost": Decimal("-0.3")}),
    ("ContractedCost product", {"ContractedUnitPrice": Decimal(1)}),
    ("ChargeCategory value", {"ChargeCategory": "Discount", "CommitmentDiscountStatus": None}),
    ("ServiceCategory value", {"ServiceCategory": "Power"}),
    ("PricingCategory value", {"PricingCategory": "On-Demand"}),
    ("ServiceSubcategory pair", {"ServiceSubcategory": "Generative AI"}),
    ("ServiceSubcategory pair", {"ServiceSubcategory": "Other (Storage)"}),
    ("Tax usage", {"ChargeCategory": "Tax"}),
    ("RegionName alone", {"RegionId": None}),
    ("CommitmentDiscountStatus", {"CommitmentDiscountStatus": None}),
    ("CommitmentDiscountStatus", {"CommitmentDiscountId": None}),
    ("CapacityReservationStatus", {"CapacityReservationStatus": None}),
    ("CapacityReservationStatus", {"CapacityReservationId": None}),
]
FINE: list[dict[str, Any]] = [
    {},
    {"ListCost": Decimal("0.30001")},  # 0.003 %: rounding
    {"ListCost": Decimal(9), "ContractedCost": Decimal(9), "ChargeClass": "Correction"},
    {"ListUnitPrice": None, "ContractedUnitPrice": None, "ListCost": Decimal(9)},
    {"PricingQuantity": None, "ListCost": Decimal(9)},
    {"ChargeCategory": "Purchase", "CommitmentDiscountStatus": None, "CapacityReservationStatus": None},
    {"ChargeCategory": "Tax", "PricingCategory": None},
    {"RegionName": None, "ServiceSubcategory": None},
    {"ServiceSubcategory": "Other (Compute)"},
]


@pytest.fixture(scope="module")
def engine() -> Iterator[DuckDBEngine]:
    with DuckDBEngine() as opened:
        opened.execute("CREATE SCHEMA focus")
        opened.execute(FOCUS.ddl())
        yield opened


def found(engine: DuckDBEngine, *rows: Mapping[str, Any]) -> list[tuple[date, str, int]]:
    engine.execute(f"DELETE FROM {FOCUS.name}")
    for row in rows:
        engine.insert(FOCUS.name, FOCUS.conform(pl.DataFrame([{**GOOD, **row}])))
    return [(f.month, f.rule, f.rows) for f in findings(engine, FOCUS.name)]


@pytest.mark.parametrize(("rule", "change"), BAD)
def test_finds_what_breaks_it(engine: DuckDBEngine, rule: str, change: dict[str, Any]) -> None:
    assert found(engine, {}, change) == [(date(2026, 10, 1), rule, 1)]


@pytest.mark.parametrize("change", FINE)
def test_right_charges_break_nothing(engine: DuckDBEngine, change: dict[str, Any]) -> None:
    assert found(engine, change) == []


def test_duplicates_are_rows_beyond_the_first(engine: DuckDBEngine) -> None:
    other = {"ResourceId": "r-2"}
    assert found(engine, {}, {}, {}, other) == [(date(2026, 10, 1), "duplicate", 2)]
    assert found(engine, {"ResourceName": "x"}, {"ResourceId": "x"}) == []


def test_counts_by_month(engine: DuckDBEngine) -> None:
    november = {
        "x_billing_month": date(2026, 11, 1),
        "BillingPeriodStart": at(11, 1),
        "BillingPeriodEnd": at(12, 1),
    }
    wrong = {"RegionId": None}
    assert found(engine, wrong, {**wrong, "ResourceId": "r"}, {**wrong, **november}, november) == [
        (date(2026, 10, 1), "RegionName alone", 2),
        (date(2026, 11, 1), "RegionName alone", 1),
    ]
    assert found(engine) == []


def test_every_rule_is_tested_here_or_comes_from_the_columns() -> None:
    derived = {f"{c.name} {what}" for c in focus.columns("1.4") for what in ("value", "missing")}
    assert set(rules()) - derived <= {rule for rule, _ in BAD}


def test_subcategories_have_one_of_the_known_categories() -> None:
    assert set(SUBCATEGORIES) == set(focus.SERVICE_CATEGORIES)
    names = [subcategory for _, subcategory in pairs()]
    assert len(names) == len(set(names)) == 82  # of FOCUS 1.2


QUALITY = """SELECT gate, value, passed, severity, maximum, detail FROM ops.quality WHERE gate LIKE 'focus%'
    AND run_id = (SELECT max_by(run_id, published_at) FROM ops.publications)"""
CLEAN = dict.fromkeys(GATES, (0.0, True))


def judged(site: Path) -> tuple[dict[str, tuple[float, bool]], dict[str, str], str]:
    """Gates `focus_*` of a run: value and passed, details of the failed ones, what the run said."""
    done = small.tierwise("run", "--config", site / "tierwise.yaml", "--date", "2026-11-05")
    assert done.returncode == 0, done.stderr
    rows = small.query(site, QUALITY)
    assert {r[3] for r in rows} == {"warning"}
    return {r[0]: (r[1], r[2]) for r in rows}, {r[0]: r[5] for r in rows if not r[2]}, done.stdout


@pytest.mark.long
def test_a_run_shows_the_counts_as_gates_that_warn(tmp_path: Path) -> None:
    """November: a row twice, and one that ends when it starts; then November is mended, and one bound lifted."""
    small.write_site(tmp_path)
    assert judged(tmp_path)[0] == CLEAN
    row = small.row("5", small.NOVEMBER, 3)
    hollow = small.row("7", small.NOVEMBER, 4).replace("-04T12:", "-04T00:")
    small.write_bill(tmp_path, "2026-11", [row, row, hollow])
    values, details, said = judged(tmp_path)
    assert values == {**CLEAN, "focus_duplicate_rows": (1.0, False), "focus_period_rows": (1.0, False)}
    assert (
        "bills 2026-11: the row is the same as another one in every column, 1 rows"
        in details["focus_duplicate_rows"]
    )
    assert "focus_period_rows is 1; allowed: at most 0" in said
    small.write_site(tmp_path, small.CONFIG + "gates: {focus_max_rows: 1}\n")
    small.write_bill(tmp_path, "2026-11", [row, row, small.row("7", small.NOVEMBER, 4)])
    values, details, _ = judged(tmp_path)
    assert values == {**CLEAN, "focus_duplicate_rows": (1.0, True)}
    assert details == {}
