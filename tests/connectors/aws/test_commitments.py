"""Commitments over a month: what is billed equals what is spread over usage, whatever the report states."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.base import Loaded
from tests.connectors.aws.exports import export, row
from tests.connectors.bills.helpers import counted, cur, facts, load, write

ARN = "arn:aws:ec2:us-east-1:1:reserved-instances/y"
OTHER = "arn:aws:ec2:us-east-1:1:reserved-instances/z"
NOT_STATED = ("flagged", "missing_effective_cost", "EffectiveCost")


def used(cost: str = "", arn: str = ARN, **more: str) -> dict[str, str]:
    """An hour of reserved usage; AWS bills it with 0."""
    return cur(
        lineItem__LineItemType="DiscountedUsage",
        lineItem__UnblendedCost="0",
        reservation__ReservationARN=arn,
        reservation__EffectiveCost=cost,
        **more,
    )


def fee(cost: str, unused: str = "", arn: str = ARN) -> dict[str, str]:
    """The month's fee of a reservation."""
    return cur(
        lineItem__LineItemType="RIFee",
        lineItem__UnblendedCost=cost,
        reservation__ReservationARN=arn,
        reservation__UnusedRecurringFee=unused,
    )


def month(tmp: Path, *rows: dict[str, str]) -> Loaded:
    write(tmp / "b" / "a.csv", rows)
    (loaded,) = load("aws_cur", tmp / "b", tmp).values()
    return loaded


def effective(loaded: Loaded) -> list[Decimal]:
    return facts(loaded)["EffectiveCost"].to_list()


def test_no_upfront_reservation_costs_what_was_billed(tmp_path: Path) -> None:
    """74.40 for 744 hours; 700 hours used at 0.10 are 70.00, 44 hours unused are 4.40."""
    loaded = month(tmp_path, used("70"), fee("74.4", "4.4"))
    assert effective(loaded) == [Decimal(70), Decimal("4.4")]
    assert sum(effective(loaded)) == loaded.totals["USD"] == Decimal("74.4")
    assert facts(loaded)["x_cost_kind"].to_list() == ["direct", "idle"]
    assert loaded.issues.is_empty()


def test_effective_cost_of_usage_from_its_two_parts(tmp_path: Path) -> None:
    parts = {"reservation__AmortizedUpfrontCostForUsage": "0.05", "reservation__RecurringFeeForUsage": "0.1"}
    only = {"reservation__RecurringFeeForUsage": "0.1"}
    loaded = month(tmp_path, used(**parts), used(**only), used("0.2", **parts))
    assert effective(loaded) == [Decimal("0.15"), Decimal("0.1"), Decimal("0.2")]
    assert loaded.issues.is_empty()


def test_nothing_stated_costs_what_was_billed(tmp_path: Path) -> None:
    """AWS states neither for reservations of dedicated hosts: usage 0, the fee in full."""
    loaded = month(tmp_path, used(), used(), fee("74.4"))
    assert effective(loaded) == [Decimal(0), Decimal(0), Decimal("74.4")]
    assert counted(loaded) == {NOT_STATED: 3}
    assert (loaded.rows_loaded, loaded.totals) == (3, {"USD": Decimal("74.4")})
    assert set(facts(loaded)["x_cost_kind"]) == {"direct"}


def test_a_fee_is_not_counted_again_where_every_covered_line_carries_it(tmp_path: Path) -> None:
    """Of y every line states its cost, so its fee is 0; of z one does not, so its fee stays; w covered nothing."""
    lines = [
        used("70"),
        fee("74.4"),
        used("3", OTHER),
        used("", OTHER),
        fee("9", "", OTHER),
        fee("5", "", "w"),
    ]
    loaded = month(tmp_path, *lines)
    assert effective(loaded) == [Decimal(c) for c in ("70", "0", "3", "0", "9", "5")]
    assert facts(loaded)["BilledCost"].sum() == loaded.totals["USD"] == Decimal("88.4")
    assert counted(loaded) == {NOT_STATED: 4}


# (commitment, used, effective)
PLAN_FEES: list[tuple[Any, Any, str]] = [
    (10.0, 7.4, "2.6"),
    (10.0, 10.0, "0"),
    (None, 7.4, "10"),
    (10.0, None, "10"),
]


@pytest.mark.parametrize("form", ["a.snappy.parquet", "a.csv.gz"])
def test_fee_of_a_plan(form: str, tmp_path: Path) -> None:
    """Each fee is of a plan of its own, beside a row of usage."""
    lines = [
        row(
            line_item_line_item_type="SavingsPlanRecurringFee",
            savings_plan_savings_plan_a_r_n=f"arn-{n}",
            savings_plan_total_commitment_to_date=commitment,
            savings_plan_used_commitment=spent,
        )
        for n, (commitment, spent, _) in enumerate(PLAN_FEES)
    ]
    export(tmp_path / "b", {form: [*lines, row()]})
    (loaded,) = load("aws_cur2", tmp_path / "b", tmp_path).values()
    assert effective(loaded) == [*(Decimal(expected) for *_, expected in PLAN_FEES), Decimal(10)]
    assert counted(loaded) == {NOT_STATED: 2}
    export(tmp_path / "b", {form: [*lines[:2], row()]})
    (loaded,) = load("aws_cur2", tmp_path / "b", tmp_path).values()
    assert counted(loaded) == {}


def test_a_plan_whose_usage_states_its_cost_has_no_fee_beside_it(tmp_path: Path) -> None:
    plan = {"savings_plan_savings_plan_a_r_n": "arn"}
    lines = [
        row(
            line_item_line_item_type="SavingsPlanCoveredUsage",
            savings_plan_savings_plan_effective_cost=6.0,
            **plan,
        ),
        row(line_item_line_item_type="SavingsPlanNegation", line_item_unblended_cost=-10.0, **plan),
        row(
            line_item_line_item_type="SavingsPlanRecurringFee",
            line_item_unblended_cost=8.0,
            savings_plan_total_commitment_to_date=None,
            **plan,
        ),
    ]
    export(tmp_path / "b", {"a.snappy.parquet": lines})
    (loaded,) = load("aws_cur2", tmp_path / "b", tmp_path).values()
    assert effective(loaded) == [Decimal(6), Decimal(0), Decimal(0)]
    assert facts(loaded)["BilledCost"].sum() == loaded.totals["USD"] == Decimal(8)


# (kind, columns, billed cost, category, class)
OTHERS: list[tuple[str, dict[str, str], str, str, str | None]] = [
    ("Discount", {}, "-2", "Credit", None),
    ("BundledDiscount", {}, "-2", "Credit", None),
    ("EdpDiscount", {}, "-2", "Credit", None),
    ("PrivateRateDiscount", {}, "-2", "Credit", None),
    ("RiVolumeDiscount", {}, "-2", "Credit", None),
    ("SppDiscount", {}, "-2", "Credit", None),
    ("DistributorDiscount", {}, "-2", "Credit", None),
    ("FlatRateSubscription", {"lineItem__ProductCode": "Kiro"}, "40", "Purchase", None),
    ("Credit", {}, "-2", "Credit", None),
    ("Refund", {}, "-2", "Adjustment", None),
    ("Refund", {"lineItem__UsageStartDate": "2026-08-01T00:00:00Z"}, "-2", "Adjustment", "Correction"),
    ("Tax", {"lineItem__TaxType": "VAT"}, "1.9", "Tax", None),
    ("Fee", {"lineItem__ProductCode": "AWSSupportBusiness", "product__ProductName": "AWS Support (Business)"}, "100", "Purchase", None),
    ("Usage", {"lineItem__ProductCode": "AWSSupportBusiness", "product__ProductName": "AWS Support (Business)"}, "100", "Usage", None),
    ("Usage", {"bill__BillingEntity": "AWS Marketplace", "lineItem__LegalEntity": "Red Hat"}, "7", "Usage", None),
    ("Fee", {"bill__BillingEntity": "AWS Marketplace", "lineItem__LegalEntity": "Red Hat"}, "7", "Purchase", None),
]  # fmt: skip


def test_what_is_no_commitment_costs_what_it_is_billed(tmp_path: Path) -> None:
    """-2 ten times, 40, 1.90, 100 twice and 7 twice are 235.90 in all."""
    lines = [
        cur(lineItem__LineItemType=kind, lineItem__UnblendedCost=cost, **more)
        for kind, more, cost, *_ in OTHERS
    ]
    loaded = month(tmp_path, *lines)
    for found, (kind, more, cost, category, class_) in zip(facts(loaded).to_dicts(), OTHERS, strict=True):
        assert found["BilledCost"] == found["EffectiveCost"] == Decimal(cost), kind
        assert (found["ChargeCategory"], found["ChargeClass"]) == (category, class_), kind
        if "Support" in more.get("product__ProductName", ""):
            assert found["ServiceCategory"] == "Management and Governance"
    assert loaded.totals == {"USD": Decimal("235.9")}
    assert loaded.issues.is_empty()
