"""What each kind of CUR line becomes in FOCUS: one row each, expected values from AWS's own rules, by hand."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.connectors.bills.helpers import counted, cur, facts, load, write

at = datetime.fromisoformat

PLAN = {"savingsPlan__SavingsPlanARN": "arn:aws:savingsplans::1:savingsplan/x"}
RESERVED = {"reservation__ReservationARN": "arn:aws:ec2:us-east-1:1:reserved-instances/y"}


def each(tmp: Path, *changes: dict[str, str]) -> list[dict[str, Any]]:
    """The FOCUS row of each CUR row of one file."""
    write(tmp / "bills" / "a.csv", [cur(**c) for c in changes])
    (loaded,) = load("aws_cur", tmp / "bills", tmp).values()
    assert loaded.rows_loaded == len(changes), loaded.issues
    return facts(loaded).to_dicts()


def test_usage(tmp_path: Path) -> None:
    row = {k: v for k, v in each(tmp_path, {"bill__InvoiceId": "77"})[0].items() if v is not None}
    assert row == {
        "BilledCost": Decimal(10),
        "BillingAccountId": "000111122223",
        "BillingCurrency": "USD",
        "BillingPeriodEnd": at("2026-10-01"),
        "BillingPeriodStart": at("2026-09-01"),
        "ChargeCategory": "Usage",
        "ChargeDescription": "GPU hour",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": at("2026-09-01T01:00"),
        "ChargePeriodStart": at("2026-09-01"),
        "ConsumedQuantity": Decimal(2),
        "ConsumedUnit": "Hrs",
        "ContractedCost": Decimal(10),
        "ContractedUnitPrice": Decimal(5),
        "EffectiveCost": Decimal(10),
        "HostProviderName": "AWS",
        "InvoiceId": "77",
        "InvoiceIssuerName": "Amazon Web Services, Inc.",
        "ListCost": Decimal(12),
        "PricingCategory": "Standard",
        "PricingQuantity": Decimal(2),
        "PricingUnit": "Hrs",
        "ProviderName": "AWS",
        "RegionId": "us-east-1",
        "ServiceCategory": "Compute",
        "ServiceName": "Amazon Elastic Compute Cloud",
        "ServiceProviderName": "AWS",
        "SkuMeter": "BoxUsage:p5.48xlarge",
        "SubAccountId": "000111122224",
        "Tags": '{"team":"vision"}',
        "x_billing_month": date(2026, 9, 1),
        "x_cost_kind": "direct",
        "x_source": "bills",
        "x_tier": "cloud",
    }


# (kind, further columns, billed, effective, list, contracted, quantity, category, frequency, cost kind)
KINDS = [
    ("SavingsPlanCoveredUsage", PLAN | {"savingsPlan__SavingsPlanEffectiveCost": "6"}, 10, 6, 12, 10, 2, "Usage", "Usage-Based", "direct"),
    ("SavingsPlanNegation", PLAN | {"lineItem__UnblendedCost": "-10"}, -10, 0, 0, 0, None, "Usage", "Usage-Based", "direct"),
    ("SavingsPlanUpfrontFee", PLAN, 10, 0, 10, 10, None, "Purchase", "One-Time", "direct"),
    (
        "SavingsPlanRecurringFee",
        PLAN | {"savingsPlan__TotalCommitmentToDate": "10", "savingsPlan__UsedCommitment": "7.5"},
        10, "2.5", 10, 10, None, "Purchase", "Recurring", "idle",
    ),
    ("DiscountedUsage", RESERVED | {"lineItem__UnblendedCost": "0", "reservation__EffectiveCost": "4"}, 0, 4, 12, 12, 2, "Usage", "Usage-Based", "direct"),
    (
        "RIFee",
        RESERVED | {"reservation__UnusedAmortizedUpfrontFeeForBillingPeriod": "1.25", "reservation__UnusedRecurringFee": "0.5"},
        10, "1.75", 10, 10, None, "Purchase", "Recurring", "idle",
    ),
    ("RIFee", RESERVED | {"reservation__UnusedRecurringFee": "0.5"}, 10, "0.5", 10, 10, None, "Purchase", "Recurring", "idle"),
    ("Fee", RESERVED, 10, 0, 10, 10, None, "Purchase", "One-Time", "direct"),
    ("Fee", {}, 10, 10, 10, 10, None, "Purchase", "One-Time", "direct"),
    ("Refund", PLAN | {"lineItem__UnblendedCost": "-10", "lineItem__LineItemDescription": "Refund of upfront fee"}, -10, 0, -10, -10, None, "Adjustment", "One-Time", "direct"),
    ("Refund", PLAN | {"lineItem__UnblendedCost": "-10", "lineItem__LineItemDescription": "One-time fee of a Savings Plan"}, -10, 0, -10, -10, None, "Adjustment", "One-Time", "direct"),
    ("Refund", RESERVED | {"lineItem__UnblendedCost": "-10", "lineItem__LineItemDescription": "Sign up charge, one-time"}, -10, 0, -10, -10, None, "Adjustment", "One-Time", "direct"),
    ("Refund", PLAN | {"lineItem__UnblendedCost": "-3", "lineItem__LineItemDescription": "Hourly fee"}, -3, -3, -3, -3, None, "Adjustment", "One-Time", "direct"),
    ("Refund", {"lineItem__UnblendedCost": "-3", "lineItem__LineItemDescription": "One-time fee of support"}, -3, -3, -3, -3, None, "Adjustment", "One-Time", "direct"),
    ("Refund", {"lineItem__UnblendedCost": "-3"}, -3, -3, -3, -3, None, "Adjustment", "One-Time", "direct"),
    ("Tax", {}, 10, 10, 10, 10, None, "Tax", "One-Time", "direct"),
    ("FlatRateSubscription", {}, 10, 10, 10, 10, None, "Purchase", "Recurring", "direct"),
    ("Credit", {"lineItem__UnblendedCost": "-2"}, -2, -2, -2, -2, None, "Credit", "One-Time", "direct"),
    ("EdpDiscount", {"lineItem__UnblendedCost": "-2"}, -2, -2, -2, -2, None, "Credit", "Usage-Based", "direct"),
]  # fmt: skip


def test_each_kind_of_line(tmp_path: Path) -> None:
    lines = each(tmp_path, *({"lineItem__LineItemType": kind} | more for kind, more, *_ in KINDS))
    for row, (kind, _, billed, effective, list_, contracted, quantity, *words) in zip(
        lines, KINDS, strict=True
    ):
        assert (row["BilledCost"], row["EffectiveCost"]) == (Decimal(billed), Decimal(effective)), kind
        assert (row["ListCost"], row["ContractedCost"]) == (Decimal(list_), Decimal(contracted)), kind
        assert row["ConsumedQuantity"] == (None if quantity is None else Decimal(quantity)), kind
        assert [row["ChargeCategory"], row["ChargeFrequency"], row["x_cost_kind"]] == words, kind


def test_commitments_are_named_and_quantities_of_negations_left_out(tmp_path: Path) -> None:
    covered, negated, used = each(
        tmp_path,
        PLAN
        | {"lineItem__LineItemType": "SavingsPlanCoveredUsage", "savingsPlan__SavingsPlanEffectiveCost": "6"},
        PLAN | {"lineItem__LineItemType": "SavingsPlanNegation"},
        RESERVED | {"lineItem__LineItemType": "DiscountedUsage", "reservation__EffectiveCost": "1"},
    )
    assert covered["CommitmentDiscountId"] == PLAN["savingsPlan__SavingsPlanARN"]
    assert (covered["CommitmentDiscountType"], covered["CommitmentDiscountCategory"]) == (
        "Savings Plan",
        "Spend",
    )
    assert (covered["CommitmentDiscountStatus"], covered["PricingCategory"]) == ("Used", "Committed")
    assert (negated["PricingQuantity"], negated["PricingUnit"]) == (None, None)
    assert (negated["CommitmentDiscountStatus"], negated["PricingCategory"]) == ("Used", "Committed")
    assert (used["CommitmentDiscountType"], used["CommitmentDiscountCategory"]) == (
        "Reserved Instance",
        "Usage",
    )


def test_refund_of_an_earlier_month_is_a_correction(tmp_path: Path) -> None:
    refund = {"lineItem__LineItemType": "Refund"}
    now, earlier = each(tmp_path, refund, refund | {"lineItem__UsageStartDate": "2026-08-31T00:00:00Z"})
    assert (now["ChargeClass"], earlier["ChargeClass"]) == (None, "Correction")


def test_a_region_is_no_availability_zone(tmp_path: Path) -> None:
    """AWS writes the region of what lies in no zone."""
    zone = "lineItem__AvailabilityZone"
    lines = each(tmp_path, {zone: "us-east-1"}, {zone: "us-east-1d"}, {zone: ""})
    assert [(line["RegionId"], line["AvailabilityZone"]) for line in lines] == [
        ("us-east-1", None), ("us-east-1", "us-east-1d"), ("us-east-1", None),
    ]  # fmt: skip


def test_marketplace_bedrock_spot_and_unused_reservation(tmp_path: Path) -> None:
    sold, model, spot, idle = each(
        tmp_path,
        {"bill__BillingEntity": "AWS Marketplace", "lineItem__LegalEntity": "Red Hat"},
        {
            "lineItem__ProductCode": "AmazonBedrock",
            "product__ProductName": "Amazon Bedrock",
            "pricing__unit": "1K tokens",
        },
        {"lineItem__UsageType": "SpotUsage:p5"},
        {"product__capacitystatus": "UnusedCapacityReservation", "lineItem__ResourceId": "cr-1"},
    )
    assert (sold["ServiceProviderName"], sold["ProviderName"], sold["HostProviderName"]) == (
        "Red Hat",
        "AWS",
        "AWS",
    )
    assert (model["ServiceCategory"], model["x_tier"]) == ("AI and Machine Learning", "api")
    assert spot["PricingCategory"] == "Dynamic"
    assert (idle["CapacityReservationStatus"], idle["CapacityReservationId"], idle["x_cost_kind"]) == (
        "Unused",
        "cr-1",
        "idle",
    )


def test_a_reservation_of_capacity_is_no_commitment(tmp_path: Path) -> None:
    """It lowers no price: usage and a block's fee, paid in advance, cost what is billed. The report lacks `capacitystatus`."""
    arn = "arn:aws:ec2:us-east-1:000111122224:capacity-reservation/cr-1"
    used, idle, fee, plain = each(
        tmp_path,
        {"reservation__ReservationARN": arn},
        {"lineItem__UsageType": "USE1-UnusedBox:p5.48xlarge", "lineItem__ResourceId": arn},
        {"reservation__ReservationARN": arn, "lineItem__LineItemType": "Fee"},
        {},
    )
    columns = ("CapacityReservationId", "CapacityReservationStatus", "x_cost_kind")
    assert [tuple(line[c] for c in columns) for line in (used, idle, fee, plain)] == [
        (arn, "Used", "direct"), (arn, "Unused", "idle"), (None, None, "direct"), (None, None, "direct"),
    ]  # fmt: skip
    assert [line["EffectiveCost"] for line in (used, idle, fee, plain)] == [Decimal(10)] * 4
    assert {line["CommitmentDiscountId"] for line in (used, idle, fee, plain)} == {None}


def test_columns_of_capacity_reservations_of_cur_2(tmp_path: Path) -> None:
    """What is covered by a savings plan may lie in a reservation of capacity, too; the reservation's own line, of no cost, is neither."""
    name = "capacity_reservation_capacity_reservation_"
    arn = {f"{name}arn": "arn:aws:ec2:us-east-1:000111122224:capacity-reservation/cr-1"}
    lines = each(
        tmp_path,
        arn | {f"{name}status": "Used"},
        arn | {f"{name}status": "Unused"},
        arn | {f"{name}status": "Reserved", "lineItem__UnblendedCost": "0"},
        {f"{name}status": ""},
    )
    columns = ("CapacityReservationId", "CapacityReservationStatus", "x_cost_kind")
    (cr,) = arn.values()
    assert [tuple(line[c] for c in columns) for line in lines] == [
        (cr, "Used", "direct"), (cr, "Unused", "idle"), (None, None, "direct"), (None, None, "direct"),
    ]  # fmt: skip


def test_an_effective_cost_that_is_not_there_is_unknown_not_zero(tmp_path: Path) -> None:
    write(tmp_path / "bills" / "a.csv", [cur(lineItem__LineItemType="SavingsPlanCoveredUsage")])
    (loaded,) = load("aws_cur", tmp_path / "bills", tmp_path).values()
    assert counted(loaded) == {("rejected", "missing_value", "EffectiveCost"): 1}
    assert loaded.issues["billed_cost"].to_list() == [Decimal(10)]


def test_unknown_kind_of_line_is_rejected_with_its_name(tmp_path: Path) -> None:
    write(tmp_path / "bills" / "a.csv", [cur(lineItem__LineItemType="Surprise")])
    (loaded,) = load("aws_cur", tmp_path / "bills", tmp_path).values()
    assert loaded.issues.select("rule", "value").rows() == [("unknown_charge_category", "Surprise")]


def test_accounts_of_a_report_that_a_spreadsheet_saved(tmp_path: Path) -> None:
    """It drops leading zeros, which 12 digits tell; `1.11122E+11` may be any of a million accounts and is named."""
    ids = ("000111122224", "111122224", "1.11122E+11", "")
    write(tmp_path / "bills" / "a.csv", [cur(lineItem__UsageAccountId=i) for i in ids])
    (loaded,) = load("aws_cur", tmp_path / "bills", tmp_path).values()
    assert sorted(facts(loaded)["SubAccountId"].drop_nulls()) == [*["000111122224"] * 2, "1.11122E+11"]
    [named] = loaded.issues.filter(rule="rounded_id").iter_rows(named=True)
    assert (named["column_name"], named["value"], named["rows"]) == ("SubAccountId", "1.11122E+11", 1)


def test_split_lines_of_containers_are_left_out_because_their_parent_has_the_cost(tmp_path: Path) -> None:
    write(
        tmp_path / "bills" / "a.csv",
        [cur(), cur(splitLineItem__ParentResourceId="i-1"), cur(splitLineItem__ParentResourceId="")],
    )
    (loaded,) = load("aws_cur", tmp_path / "bills", tmp_path).values()
    assert (loaded.rows_read, loaded.rows_loaded, loaded.totals) == (3, 2, {"USD": Decimal(20)})
    assert counted(loaded) == {("flagged", "repeats_parent_cost", "BilledCost"): 1}


def test_split_lines_whose_parent_is_not_in_the_bill_are_named_with_their_cost(tmp_path: Path) -> None:
    """An export filtered by cost category: of four parts (7, 0, 2.5 and 4) the parents of two are not there: 2.5 + 4."""
    parts = [("i-1", "7"), ("i-2", "0"), ("i-2", "2.5"), ("i-3", "4")]
    rows = [cur(lineItem__ResourceId="i-1")]
    rows += [
        cur(
            lineItem__ResourceId=f"pod-{n}",
            splitLineItem__ParentResourceId=parent,
            lineItem__UnblendedCost=cost,
        )
        for n, (parent, cost) in enumerate(parts)
    ]
    write(tmp_path / "bills" / "a.csv", rows)
    (loaded,) = load("aws_cur", tmp_path / "bills", tmp_path).values()
    assert loaded.totals == {"USD": Decimal(10)}
    found = loaded.issues.select("rule", "value", "rows", "currency", "billed_cost").rows()
    assert found == [
        ("repeats_parent_cost", None, 4, None, None),
        ("parent_missing", "i-2", 2, "USD", Decimal("6.5")),
    ]


def test_tags_become_flat_json_whatever_they_contain(tmp_path: Path) -> None:
    tags = {
        "resourceTags/user:team": 'a "b",\n c\\',
        "resourceTags/user:Team": "other case",
        "resourceTags/user:it's": "é",
        "resourceTags/aws:createdBy": "root",
        "resourceTags/user:empty": "",
        "resourceTags/user:aws_zone": "x",
    }
    write(tmp_path / "bills" / "a.csv", [cur() | tags, cur(**{"resourceTags__user:team": ""})])
    (loaded,) = load("aws_cur", tmp_path / "bills", tmp_path).values()
    first, second = facts(loaded)["Tags"]
    assert json.loads(first) == {
        "team": 'a "b",\n c\\', "Team": "other case", "it's": "é", "aws:createdBy": "root", "aws_zone": "x",
    }  # fmt: skip
    assert second is None


def snake(name: str) -> str:
    out = "".join(f"_{c.lower()}" if c.isupper() else c for c in name.replace("/", "_").replace(":", "_"))
    return out.replace("__", "_")


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_underscore_columns_are_the_same_columns(form: str, tmp_path: Path) -> None:
    native = cur(
        savingsPlan__SavingsPlanARN="arn",
        savingsPlan__SavingsPlanEffectiveCost="6",
        lineItem__LineItemType="SavingsPlanCoveredUsage",
    )
    names = {snake(k): v for k, v in native.items()} | {"resource_tags_aws_created_by": "root"}
    assert {
        "line_item_usage_start_date",
        "resource_tags_user_team",
        "savings_plan_savings_plan_a_r_n",
    } <= set(names)
    if form == "csv":
        write(tmp_path / "a" / "a.csv", [names])
    else:
        (tmp_path / "a").mkdir()
        frame = pl.DataFrame([names]).with_columns(
            pl.col("line_item_unblended_cost").cast(pl.Float64),
            pl.col("line_item_usage_start_date").str.to_datetime(time_zone="UTC"),
        )
        frame.write_parquet(tmp_path / "a" / "gpu-00001.snappy.parquet")
    write(tmp_path / "b" / "b.csv", [native])
    (read,) = load("aws_cur", tmp_path / "a", tmp_path / "x").values()
    (legacy,) = load("aws_cur", tmp_path / "b", tmp_path / "y").values()
    assert facts(read).drop("Tags").equals(facts(legacy).drop("Tags"))
    assert json.loads(facts(read)["Tags"][0]) == {"team": "vision", "aws:created_by": "root"}


def test_columns_that_change_from_month_to_month_are_one_ledger(tmp_path: Path) -> None:
    october = {
        "bill__BillingPeriodStartDate": "2026-10-01T00:00:00Z", "bill__BillingPeriodEndDate": "2026-11-01T00:00:00Z",
        "lineItem__UsageStartDate": "2026-10-01T00:00:00Z", "lineItem__UsageEndDate": "2026-10-01T01:00:00Z",
    }  # fmt: skip
    later = cur(**october, lineItem__UnblendedCost="3") | {"resourceTags/user:owner": "ann"}
    del later["resourceTags/user:team"], later["product/region"], later["pricing/publicOnDemandCost"]
    write(tmp_path / "bills" / "a.csv", [cur()])
    write(tmp_path / "bills" / "b.csv", [later])
    found = pl.concat(facts(r) for r in load("aws_cur", tmp_path / "bills", tmp_path).values())
    assert found.select("BilledCost", "Tags", "RegionId", "ListCost").rows() == [
        (Decimal(10), '{"team":"vision"}', "us-east-1", Decimal(12)),
        (Decimal(3), '{"owner":"ann"}', None, None),
    ]
