"""Rows of FOCUS files in, FOCUS 1.4 rows out: names, repairs, flags, rejections, and no money lost."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.base import Loaded
from models import tables
from tests.connectors.bills.helpers import (
    counted,
    facts,
    focus,
    load,
    write,
)

at = datetime.fromisoformat

SEPTEMBER, OCTOBER = date(2026, 9, 1), date(2026, 10, 1)


def one(tmp: Path, *rows: dict[str, str]) -> tuple[pl.DataFrame, dict[tuple[str, str, str], int]]:
    """Facts and issues of one file of September."""
    write(tmp / "bills" / "a.csv", rows)
    loaded = load("focus", tmp / "bills", tmp)[SEPTEMBER]
    return facts(loaded), counted(loaded)


def test_a_1_0_row_becomes_1_4(tmp_path: Path) -> None:
    frame, issues = one(tmp_path, focus())
    assert frame.schema == tables.FOCUS.schema
    assert issues == {}
    row = {k: v for k, v in frame.row(0, named=True).items() if v is not None}
    assert row == {
        "BilledCost": Decimal("1.5"),
        "BillingAccountId": "0012",
        "BillingAccountName": "Acme",
        "BillingCurrency": "USD",
        "BillingPeriodEnd": at("2026-10-01"),
        "BillingPeriodStart": at("2026-09-01"),
        "ChargeCategory": "Usage",
        "ChargeDescription": "GPU hours",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": at("2026-09-02"),
        "ChargePeriodStart": at("2026-09-01"),
        "ConsumedQuantity": Decimal(1),
        "ConsumedUnit": "Hours",
        "ContractedCost": Decimal("1.5"),
        "EffectiveCost": Decimal("1.25"),
        "InvoiceIssuerName": "Acme Cloud",
        "ListCost": Decimal(2),
        "PricingUnit": "Hours",
        "ProviderName": "Acme Cloud",
        "ServiceCategory": "Compute",
        "ServiceName": "Machines",
        "ServiceProviderName": "Acme Cloud",
        "SubAccountId": "007",
        "Tags": '{"team": "vision"}',
        "x_billing_month": SEPTEMBER,
        "x_cost_kind": "direct",
        "x_source": "bills",
        "x_tier": "cloud",
    }


def test_later_versions_keep_their_own_columns(tmp_path: Path) -> None:
    later = focus(
        ServiceProviderName="Seller",
        HostProviderName="Host",
        InvoiceId="I-1",
        SkuMeter="m",
        PublisherName="x",
    )
    later |= {"AllocatedTags": '{"pod": "a"}', "SkuPriceDetails": '["a"]'}
    del later["ProviderName"]
    frame, issues = one(tmp_path, later)
    row = frame.row(0, named=True)
    assert issues == {}
    assert (row["ServiceProviderName"], row["ProviderName"], row["HostProviderName"]) == (
        "Seller",
        "Seller",
        "Host",
    )
    assert (row["InvoiceId"], row["SkuMeter"], row["AllocatedTags"]) == ("I-1", "m", '{"pod": "a"}')


def test_texts_for_null_become_null_and_are_counted(tmp_path: Path) -> None:
    frame, issues = one(
        tmp_path,
        focus(AvailabilityZone="NULL", ChargeClass="N/A"),
        focus(AvailabilityZone="null", ContractedCost="NULL"),
        focus(AvailabilityZone="a", SubAccountId=r"\N", Tags=r"\N"),
    )
    assert frame["AvailabilityZone"].to_list() == [None, None, "a"]
    assert frame["ChargeClass"].null_count() == 3
    assert frame["ContractedCost"].to_list() == [Decimal("1.5"), None, Decimal("1.5")]
    assert frame.select("SubAccountId", "Tags").row(2) == (None, None)
    assert issues == {
        ("repaired", "null_text", "SubAccountId"): 1,
        ("repaired", "null_text", "Tags"): 1,
        ("repaired", "null_text", "AvailabilityZone"): 2,
        ("repaired", "null_text", "ChargeClass"): 1,
        ("repaired", "null_text", "ContractedCost"): 1,
        ("flagged", "missing_mandatory", "ContractedCost"): 1,
    }


def test_values_that_do_not_fit_are_repaired_or_flagged_with_an_example(tmp_path: Path) -> None:
    write(
        tmp_path / "bills" / "a.csv",
        [
            focus(AvailabilityZone="0.02"),
            focus(AvailabilityZone="2"),  # Azure names its zones 1, 2 and 3
            focus(Tags='{"team": "vision"'),
            focus(Tags='["vision"]'),
            focus(ListCost="two"),
            focus(ChargeFrequency="Usage-based"),
            focus(ServiceCategory="Edge"),
            focus(ServiceName=""),
        ],
    )
    loaded = load("focus", tmp_path / "bills", tmp_path)[SEPTEMBER]
    frame = facts(loaded)
    assert frame["AvailabilityZone"].to_list() == [None, "2", None, None, None, None, None, None]
    assert frame["Tags"].null_count() == 2
    assert frame["ListCost"].to_list()[4] is None
    assert set(frame["ChargeFrequency"]) == {"Usage-Based"}
    assert frame["ServiceCategory"].to_list()[6] == "Edge"
    assert frame["ServiceName"].to_list()[7] is None
    found = loaded.issues.select("action", "rule", "column_name", "value", "rows").rows()
    assert sorted(found, key=str) == [
        ("flagged", "missing_mandatory", "ServiceName", None, 1),
        ("flagged", "unknown_value", "ServiceCategory", "Edge", 1),
        ("repaired", "malformed_tags", "Tags", '["vision"]', 2),
        ("repaired", "misplaced_availability_zone", "AvailabilityZone", "0.02", 1),
        ("repaired", "not_a_number", "ListCost", "two", 1),
        ("repaired", "spelling", "ChargeFrequency", "Usage-based", 1),
    ]
    assert (loaded.rows_read, loaded.rows_loaded) == (8, 8)


def test_a_subcategory_that_is_none_of_focus_is_kept_and_flagged(tmp_path: Path) -> None:
    """One that belongs to another category is for the gates (`pipelines/focus_checks.py`)."""
    names = ["GPU Rental", "Virtual Machines", "Other (Compute)", "virtual machines", "Caching", ""]
    write(tmp_path / "bills" / "a.csv", [focus(ServiceSubcategory=name) for name in names])
    loaded = load("focus", tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert facts(loaded)["ServiceSubcategory"].to_list() == [*names[:-1], None]
    found = loaded.issues.select("action", "rule", "column_name", "value", "rows").rows()
    assert found == [("flagged", "unknown_value", "ServiceSubcategory", "GPU Rental", 2)]


BAD = [
    ({"BilledCost": "12 dollars"}, "not_a_number", "BilledCost", "12 dollars", None),
    ({"BilledCost": "NaN"}, "not_a_number", "BilledCost", "NaN", None),
    ({"BilledCost": "inf"}, "not_a_number", "BilledCost", "inf", None),
    ({"BilledCost": ""}, "missing_value", "BilledCost", None, None),
    ({"BilledCost": "NULL"}, "missing_value", "BilledCost", None, None),
    ({"EffectiveCost": "1,5"}, "not_a_number", "EffectiveCost", "1,5", Decimal("1.5")),
    ({"EffectiveCost": ""}, "missing_value", "EffectiveCost", None, Decimal("1.5")),
    ({"BillingCurrency": " "}, "missing_value", "BillingCurrency", None, Decimal("1.5")),
    ({"ChargePeriodStart": "9/1/26"}, "bad_date", "ChargePeriodStart", "9/1/26", Decimal("1.5")),
    ({"ChargePeriodEnd": "2026-02-30"}, "bad_date", "ChargePeriodEnd", "2026-02-30", Decimal("1.5")),
    ({"ChargePeriodEnd": "infinity"}, "bad_date", "ChargePeriodEnd", "infinity", Decimal("1.5")),
    ({"BillingPeriodStart": "soon"}, "bad_date", "BillingPeriodStart", "soon", Decimal("1.5")),
    ({"BillingPeriodEnd": ""}, "missing_value", "BillingPeriodEnd", None, Decimal("1.5")),
    (
        {"ChargePeriodEnd": "2026-08-31"},
        "period_ends_before_start",
        "ChargePeriodEnd",
        "2026-08-31",
        Decimal("1.5"),
    ),
    ({"ChargeCategory": "Fee"}, "unknown_charge_category", "ChargeCategory", "Fee", Decimal("1.5")),
]


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Loaded]:
    """Two good rows, then one of each that has no meaning."""
    folder = tmp_path_factory.mktemp("rows")
    rows = [focus(), focus(ChargeDescription="a\nb"), *(focus(**change) for change, *_ in BAD)]
    path = write(folder / "bills" / "we'ird \"[x].csv", rows)
    return path, load("focus", folder / "bills", folder)[SEPTEMBER]


@pytest.mark.parametrize("place", range(len(BAD)))
def test_a_row_without_meaning_is_rejected_and_described(bad: tuple[Path, Loaded], place: int) -> None:
    path, loaded = bad
    change, rule, column, value, cost = BAD[place]
    at = f"{path}:{place + 4}"  # the header is row 1
    [issue] = loaded.issues.filter(action="rejected", location=at).iter_rows(named=True)
    currency = "USD" if "BillingCurrency" not in change else "XXX"
    assert (issue["rule"], issue["column_name"], issue["value"]) == (rule, column, value)
    assert (issue["billed_cost"], issue["currency"], issue["rows"]) == (cost, currency, 1)
    expected = {k: v for k, v in focus(**change).items() if v}
    assert issue["raw"] == json.dumps(expected)[:500]


def test_rows_beside_those_without_meaning_are_kept(bad: tuple[Path, Loaded]) -> None:
    """Two rows of 1.50, nine more whose cost can be read in dollars, and one without a currency."""
    loaded = bad[1]
    assert (loaded.rows_read, loaded.rows_loaded, facts(loaded).height) == (len(BAD) + 2, 2, 2)
    assert loaded.issues.filter(action="rejected").height == len(BAD)
    assert loaded.totals == {"USD": Decimal("16.5"), "XXX": Decimal("1.5")}


def test_more_rejected_rows_than_are_shown_still_add_up(tmp_path: Path) -> None:
    rows = [focus(EffectiveCost="x", BilledCost="0.01") for _ in range(1200)]
    write(tmp_path / "bills" / "a.csv", [*rows, focus()])
    loaded = load("focus", tmp_path / "bills", tmp_path)[SEPTEMBER]
    rejected = loaded.issues.filter(action="rejected")
    assert rejected.height == 1001
    assert rejected["rows"].sum() == 1200
    assert rejected["billed_cost"].sum() == Decimal("12.00")
    assert loaded.totals == {"USD": Decimal("13.50")}


def test_tier_and_cost_kind(tmp_path: Path) -> None:
    write(
        tmp_path / "bills" / "a.csv",
        [
            focus(),
            focus(ServiceName="Amazon Bedrock"),
            focus(PricingUnit="1K tokens"),
            focus(PricingUnit="tokenizer calls"),
            focus(CommitmentDiscountStatus="Unused"),
            focus(CapacityReservationStatus="unused"),
        ],
    )
    frame = facts(load("focus", tmp_path / "bills", tmp_path, tier="edge")[SEPTEMBER])
    assert frame["x_tier"].to_list() == ["edge", "api", "api", "edge", "edge", "edge"]
    assert frame["x_cost_kind"].to_list() == ["direct", "direct", "direct", "direct", "idle", "idle"]


def test_currencies_are_never_added(tmp_path: Path) -> None:
    write(tmp_path / "bills" / "a.csv", [focus(), focus(BillingCurrency="EUR", BilledCost="9"), focus()])
    assert load("focus", tmp_path / "bills", tmp_path)[SEPTEMBER].totals == {
        "USD": Decimal(3),
        "EUR": Decimal(9),
    }


costs = st.decimals(min_value=-(10**9), max_value=10**9, places=12, allow_nan=False)


cells = st.tuples(
    costs, st.sampled_from(["USD", "EUR", "NULL"]), st.sampled_from(["1", "x", ""]), st.text(max_size=5)
)


@pytest.mark.long
@settings(
    max_examples=settings.default.max_examples // 2,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(cells, min_size=1, max_size=20))
def test_money_in_is_facts_and_rejected_rows_to_the_last_digit(
    tmp_path: Path, rows: list[tuple[Decimal, str, str, str]]
) -> None:
    native = [
        focus(
            BilledCost=f"{cost:f}",
            BillingCurrency=currency,
            EffectiveCost=effective,
            SubAccountName=text.replace("\0", ""),
        )
        for cost, currency, effective, text in rows
    ]
    write(tmp_path / "bills" / "a.csv", native)
    loaded = load("focus", tmp_path / "bills", tmp_path)[SEPTEMBER]
    expected: dict[str, Decimal] = {}
    for cost, currency, _, _ in rows:
        name = "XXX" if currency == "NULL" else currency
        expected[name] = expected.get(name, Decimal(0)) + cost
    assert loaded.totals == expected
    kept = facts(loaded).group_by("BillingCurrency").agg(pl.col("BilledCost").sum())
    found = dict(kept.iter_rows())
    for currency, cost in (
        loaded.issues.filter(action="rejected").select("currency", "billed_cost").iter_rows()
    ):
        found[currency] = found.get(currency, Decimal(0)) + cost
    assert found == expected
    assert (
        loaded.rows_loaded + loaded.issues.filter(action="rejected")["rows"].sum()
        == loaded.rows_read
        == len(rows)
    )


def test_tags_as_a_list_of_keys_and_values(tmp_path: Path) -> None:
    """As Google's FOCUS view has them, and polars a MAP; of a key of label and project the first counts."""
    tags = [
        {"key": "team", "value": "vision", "x_type": "label"},
        {"key": "team", "value": "shared", "x_type": "project"},
        {"key": 'a"b', "value": None, "x_type": "label"},
    ]
    (tmp_path / "bills").mkdir()
    frame = pl.DataFrame([focus() | {"Tags": tags}, focus() | {"Tags": []}])
    frame.write_parquet(tmp_path / "bills" / "a.parquet")
    (loaded,) = load("focus", tmp_path / "bills", tmp_path).values()
    found = facts(loaded)["Tags"].to_list()
    assert [t and json.loads(t) for t in found] == [{"team": "vision", 'a"b': True}, None]
    assert counted(loaded) == {("repaired", "repeated_tag_key", "Tags"): 1}
