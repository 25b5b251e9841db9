"""What is looked up for a row of a large Parquet file is what its texts say, whatever they are (`connectors/bills/lookups.py`)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.bills import lookups
from tests.connectors.aws.exports import export, row
from tests.connectors.bills.helpers import counted, facts, load

SEPTEMBER = date(2026, 9, 1)
PLAN = "arn:aws:savingsplans::1:savingsplan/x"
KINDS = ["Usage", "Tax", "SavingsPlanCoveredUsage"]
UNITS = ["Hrs", "", None, "N/A", 'O\'Brien "é" [1]']
RATES = ["5", "0.1234567890123", "", None]


def _rows(rates: list[str | None]) -> list[dict[str, Any]]:
    """600 rows, more than ten for each combination: of kinds, units, rates and regions all in turn."""
    return [
        row(
            line_item_resource_id=str(n),
            line_item_line_item_type=KINDS[n % 3],
            savings_plan_savings_plan_a_r_n=PLAN if n % 3 == 2 else "",
            savings_plan_savings_plan_effective_cost=6.1,
            pricing_unit=UNITS[n % 5],
            line_item_unblended_rate=rates[n // 15 % 4],
            line_item_availability_zone=None if n % 2 else "us-east-1a",
            line_item_operation="RunInstances",
        )
        for n in range(600)
    ]


def _loaded(tmp_path: Path, rates: list[str | None]) -> tuple[pl.DataFrame, dict[tuple[str, str, str], int]]:
    export(tmp_path / "bucket", {"a.parquet": _rows(rates)})
    loaded = load("aws_cur2", tmp_path / "bucket", tmp_path)[SEPTEMBER]
    return facts(loaded).sort(pl.col("ResourceId").cast(pl.Int64)), counted(loaded)


@pytest.mark.parametrize("most", [lookups.MOST_COMBINATIONS, 0])
def test_texts_and_prices_are_those_of_each_row(
    tmp_path: Path, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "MOST_COMBINATIONS", most)
    found, _ = _loaded(tmp_path, RATES)
    units = ["Hrs", None, None, None, 'O\'Brien "é" [1]']
    prices = [Decimal(5), Decimal("0.123456789012"), None, None]
    expected = [
        {
            "ChargeCategory": ["Usage", "Tax", "Usage"][n % 3],
            "CommitmentDiscountId": [None, None, PLAN][n % 3],
            "CommitmentDiscountStatus": [None, None, "Used"][n % 3],
            "PricingCategory": ["Standard", None, "Committed"][n % 3],
            "PricingUnit": None if n % 3 == 1 else units[n % 5],
            "ContractedUnitPrice": None if n % 3 == 1 else prices[n // 15 % 4],
            "AvailabilityZone": None if n % 2 else "us-east-1a",
            "BillingAccountId": "000111122223",
            "InvoiceId": None,
            "x_tier": "cloud",
            "x_cost_kind": "direct",
        }
        for n in range(600)
    ]
    assert found.select(expected[0].keys()).to_dicts() == expected


def test_a_text_that_stands_for_null_is_counted_as_before(tmp_path: Path) -> None:
    _, issues = _loaded(tmp_path, RATES)
    # units that are N/A: a fifth of the rows, of which a third is tax, which has no unit
    assert {k: n for k, n in issues.items() if k[2] == "PricingUnit"} == {
        ("repaired", "null_text", "PricingUnit"): 80
    }


def test_a_price_with_the_sign_of_its_currency_is_read(tmp_path: Path) -> None:
    found, _ = _loaded(tmp_path, ["$1,234.50", "5", "five", None])
    prices = [Decimal("1234.5"), Decimal(5), None, None]
    expected = [None if n % 3 == 1 else prices[n // 15 % 4] for n in range(600)]
    assert found["ContractedUnitPrice"].to_list() == expected
