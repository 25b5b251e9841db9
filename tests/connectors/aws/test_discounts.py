"""Discounts of an agreement: lines of their own, columns of the lines that they lower, or both."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.base import Loaded, SourceError
from tests.connectors.aws.exports import parquet, row
from tests.connectors.bills.helpers import cur, facts, load, write
from tests.connectors.bills.so_far import SEPTEMBER

PLAN = {"savings_plan_savings_plan_a_r_n": "arn:plan"}
ROWS: list[dict[str, Any]] = [
    # unblended and net cost; what a plan covers is 4, and 3.6 after the discount; a tax has none
    row(line_item_unblended_cost=100.0, line_item_net_unblended_cost=90.0, discount_total_discount=-10.0),
    row(
        line_item_unblended_cost=10.0, line_item_net_unblended_cost=9.0, discount_total_discount=-1.0, line_item_line_item_type="SavingsPlanCoveredUsage",
        savings_plan_savings_plan_effective_cost=4.0, savings_plan_net_savings_plan_effective_cost=3.6, **PLAN,
    ),
    row(line_item_unblended_cost=-10.0, line_item_net_unblended_cost=-9.0, discount_total_discount=1.0, line_item_line_item_type="SavingsPlanNegation", **PLAN),
    row(line_item_unblended_cost=19.0, line_item_net_unblended_cost=None, line_item_line_item_type="Tax"),
    row(line_item_unblended_cost=7.0, line_item_net_unblended_cost=6.3, split_line_item_parent_resource_id="i-1"),
]  # fmt: skip
FILLED = [
    {"discount_total_discount": 0.0, "savings_plan_net_savings_plan_effective_cost": 0.0} | r for r in ROWS
]


def read(tmp: Path, form: str, rows: list[dict[str, Any]]) -> Loaded:
    if form == "parquet":
        (tmp / "bills").mkdir()
        parquet(tmp / "bills" / "a.parquet", rows)
    else:
        texts = [
            {k: "" if v is None else str(v) for k, v in r.items() if not isinstance(v, dict)} for r in rows
        ]
        write(tmp / "bills" / "a.csv.gz", texts)
    return load("aws_cur2", tmp / "bills", tmp)[SEPTEMBER]


def discounted(cost: str, net: str, total: str, **changes: str) -> dict[str, str]:
    return cur(
        lineItem__UnblendedCost=cost, lineItem__NetUnblendedCost=net, discount__TotalDiscount=total, **changes
    )


def not_taken(loaded: Loaded) -> list[Decimal]:
    return loaded.issues.filter(rule="discount_not_taken")["billed_cost"].to_list()


def costs(loaded: Loaded, column: str) -> list[Decimal]:
    return facts(loaded)[column].to_list()


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_discounts_in_columns_alone_are_taken_off(form: str, tmp_path: Path) -> None:
    """90 + 9 - 9 + 19 = 109 are invoiced, 119 before discounts; in effect 90 + 3.6 + 0 + 19 = 112.6."""
    loaded = read(tmp_path, form, FILLED)
    assert loaded.totals == {"USD": Decimal(109)}
    assert costs(loaded, "BilledCost") == [90, 9, -9, 19]
    assert costs(loaded, "EffectiveCost") == [90, Decimal("3.6"), 0, 19]
    assert "discounts are in columns alone: costs are net" in loaded.note


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_discounts_in_lines_of_their_own_are_not_taken_off_twice(form: str, tmp_path: Path) -> None:
    """100 + 10 - 10 + 19 - 10 = 109."""
    line = {
        "line_item_line_item_type": "EdpDiscount",
        "line_item_unblended_cost": -10.0,
        "line_item_net_unblended_cost": 0.0,
    }
    loaded = read(tmp_path, form, [*FILLED, FILLED[0] | line])
    assert loaded.totals == {"USD": Decimal(109)}
    assert costs(loaded, "BilledCost") == [100, 10, -10, 19, -10]
    assert costs(loaded, "EffectiveCost") == [100, 4, 0, 19, -10]
    assert "net" not in loaded.note


def test_each_month_by_itself(tmp_path: Path) -> None:
    """10 USD each. September: 1 off. October: nothing off, but zeros as net costs. November: rounding alone. December: 1 off by net alone."""
    rows = []
    for month, net, total in ((9, "9", "-1"), (10, "0", "0"), (11, "9.999", "-0.001"), (12, "9", "")):
        start = f"2026-{month:02}-01T00:00:00Z"
        rows.append(
            cur(
                bill__BillingPeriodStartDate=start, bill__BillingPeriodEndDate=f"2026-{month:02}-28T00:00:00Z",
                lineItem__UsageStartDate=start, lineItem__UsageEndDate=start, lineItem__NetUnblendedCost=net, discount__TotalDiscount=total,
            )
        )  # fmt: skip
    write(tmp_path / "bills" / "a.csv", rows)
    loaded = load("aws_cur", tmp_path / "bills", tmp_path)
    assert {month.month: one.totals["USD"] for month, one in loaded.items()} == {9: 9, 10: 10, 11: 10, 12: 10}
    assert {month.month: not_taken(one) for month, one in loaded.items()} == {9: [], 10: [], 11: [], 12: [-1]}


def test_what_does_not_fit_is_not_taken_off_and_flagged(tmp_path: Path) -> None:
    """Of a discount of 21 net costs have 1 (110 - 21 are invoiced). Another payer has its own of 1 as a line."""
    rows = [
        discounted("10", "9", "-1"),
        discounted("100", "", "-20"),
        discounted("10", "9", "-1", bill__PayerAccountId="000999999999"),
        discounted("-1", "0", "", bill__PayerAccountId="000999999999", lineItem__LineItemType="EdpDiscount"),
    ]
    write(tmp_path / "bills" / "a.csv", rows)
    loaded = load("aws_cur", tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert loaded.totals == {"USD": Decimal(119)}
    assert not_taken(loaded) == [-21]
    assert "net" not in loaded.note


OTHER = {"bill__PayerAccountId": "000999999999"}


def test_a_payer_with_discounts_as_lines_does_not_keep_another_from_its_net_costs(tmp_path: Path) -> None:
    """2 hours at 4.5 are 9; the other has 2 at 5 and a line of -1: 18 in all."""
    rows = [
        discounted("10", "9", "-1", lineItem__NetUnblendedRate="4.5"),
        discounted("10", "9", "-1", lineItem__NetUnblendedRate="4.5", **OTHER),
        discounted("-1", "0", "", lineItem__LineItemType="EdpDiscount", **OTHER),
    ]
    write(tmp_path / "bills" / "a.csv", rows)
    loaded = load("aws_cur", tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert loaded.totals == {"USD": Decimal(18)}
    assert facts(loaded).select("BilledCost", "EffectiveCost", "ContractedUnitPrice").rows() == [
        (9, 9, Decimal("4.5")),
        (10, 10, 5),
        (-1, -1, None),
    ]
    assert not_taken(loaded) == []
    assert "discounts of payer 000111122223 are in columns alone: costs are net" in loaded.note


def test_a_text_for_null_is_no_net_cost(tmp_path: Path) -> None:
    """A tax of 10 has none: 9 + 10."""
    rows = [discounted("10", "9", "-1"), discounted("10", "NULL", "NULL", lineItem__LineItemType="Tax")]
    write(tmp_path / "bills" / "a.csv", rows)
    assert costs(load("aws_cur", tmp_path / "bills", tmp_path)[SEPTEMBER], "BilledCost") == [9, 10]


def test_discounts_with_a_decimal_comma(tmp_path: Path) -> None:
    row = discounted("10,5", "9,25", "-1,25")
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "a.csv").write_text(f"{';'.join(row)}\n{';'.join(row.values())}\n")
    assert load("aws_cur", tmp_path / "bills", tmp_path)[SEPTEMBER].totals == {"USD": Decimal("9.25")}


def test_a_damaged_report_is_refused_as_any_other(tmp_path: Path) -> None:
    rows = [{"lineItem/NetUnblendedCost": str(n), **cur()} for n in range(500)]
    path = write(tmp_path / "bills" / "2026-09.csv.gz", rows)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError, match=r"2026-09\.csv\.gz is damaged"):
        load("aws_cur", tmp_path / "bills", tmp_path)


@pytest.mark.parametrize(
    ("rate", "price"), [({"lineItem__NetUnblendedRate": "4.5"}, Decimal("4.5")), ({}, None)]
)
def test_the_contracted_price_fits_the_net_cost(
    rate: dict[str, str], price: Decimal | None, tmp_path: Path
) -> None:
    """2 hours at 4.5 are 9; the 5 that the report states before discounts would be 10."""
    write(tmp_path / "bills" / "a.csv", [discounted("10", "9", "-1", **rate)])
    found = facts(load("aws_cur", tmp_path / "bills", tmp_path)[SEPTEMBER])
    names = ("ContractedCost", "ContractedUnitPrice", "PricingQuantity")
    assert found.select(names).rows() == [(9, price, 2)]


def test_a_refund_of_what_was_discounted(tmp_path: Path) -> None:
    """45 of 50 had been invoiced, and come back."""
    write(tmp_path / "bills" / "a.csv", [discounted("-50", "-45", "5", lineItem__LineItemType="Refund")])
    assert load("aws_cur", tmp_path / "bills", tmp_path)[SEPTEMBER].totals == {"USD": Decimal(-45)}


def test_amounts_without_a_net_column_are_named(tmp_path: Path) -> None:
    """Of 10 are invoiced 9; what a reservation costs in effect is 4 before discounts, more is not known."""
    used = {"lineItem__LineItemType": "DiscountedUsage", "reservation__EffectiveCost": "4"}
    write(tmp_path / "bills" / "a.csv", [discounted("10", "9", "-1"), discounted("0", "0", "0", **used)])
    loaded = load("aws_cur", tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert costs(loaded, "EffectiveCost") == [9, 4]
    assert "costs are net, but reservation/EffectiveCost, which have no net column" in loaded.note
