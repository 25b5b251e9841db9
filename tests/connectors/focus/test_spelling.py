"""Dates and amounts as spreadsheets write them, and a currency that only the configuration knows."""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

from connectors.base import SourceError
from tests.connectors.bills.helpers import WINDOW, counted, facts, focus, load, reader, write

SEPTEMBER = date(2026, 9, 1)
at = datetime.fromisoformat


def slashed(**changes: str) -> dict[str, str]:
    """A row of September 2026 with American dates."""
    dates = {
        "BillingPeriodStart": "9/1/26",
        "BillingPeriodEnd": "10/1/26",
        "ChargePeriodStart": "9/2/26",
        "ChargePeriodEnd": "9/3/26",
    }
    return focus(**(dates | changes))


def named(name: str, style: str) -> str:
    words = re.findall("[A-Z][a-z]*", name)
    return {"snake": "_".join(words).lower(), "upper": "_".join(words).upper(), "display": " ".join(words)}[
        style
    ]


@pytest.mark.parametrize("style", ["snake", "upper", "display"])
def test_columns_as_warehouses_and_the_specification_spell_them(style: str, tmp_path: Path) -> None:
    """`billed_cost`, `BILLED_COST` and `Billed Cost` are BilledCost; beside that, such a column is not."""
    plain = focus(BilledCost="1,234.50", ListCost="2,250")
    other = {named(k, style): v for k, v in plain.items()}
    write(tmp_path / "b" / "a.csv", [other])
    write(tmp_path / "b" / "b.csv", [plain | {"SubAccountId": "b", named("BilledCost", style): "99"}])
    loaded = load("focus", tmp_path / "b", tmp_path)[SEPTEMBER]
    one, two = facts(loaded).sort("SubAccountId").drop("SubAccountId").rows()
    assert one == two
    assert facts(loaded).select("BilledCost", "ListCost").row(0) == (Decimal("1234.5"), Decimal(2250))
    assert f"columns not used: {named('BilledCost', style)}" in loaded.note


def test_a_blank_before_the_zone(tmp_path: Path) -> None:
    """As Snowflake writes times: midnight in Los Angeles is 07:00 in UTC."""
    times = {
        "BillingPeriodStart": "2026-09-01 00:00:00.000 Z", "BillingPeriodEnd": "2026-10-01 00:00:00.000 +0000",
        "ChargePeriodStart": "2026-09-30 00:00:00.000 -0700", "ChargePeriodEnd": "2026-09-30 01:00:00 -07:00",
    }  # fmt: skip
    write(tmp_path / "b" / "a.csv", [focus(**times)])
    (tmp_path / "b" / "b.jsonl").write_text(json.dumps(focus(**times, SubAccountId="b")))
    loaded = load("focus", tmp_path / "b", tmp_path)[SEPTEMBER]
    assert loaded.totals == {"USD": Decimal(3)}
    assert {*facts(loaded).select("ChargePeriodStart", "ChargePeriodEnd").rows()} == {
        (at("2026-09-30T07:00"), at("2026-09-30T08:00"))
    }


def test_the_columns_of_the_preview_which_oracle_delivers(tmp_path: Path) -> None:
    names = {"ProviderName": "Provider", "InvoiceIssuerName": "InvoiceIssuer", "ConsumedQuantity": "UsageQuantity", "ConsumedUnit": "UsageUnit"}  # fmt: skip
    rows = [
        {names.get(k, k): v for k, v in focus(Region="eu-frankfurt-1", **changes).items()}
        for changes in (
            {"ChargeSubcategory": "On-Demand", "PricingCategory": "On-Demand", "ConsumedQuantity": "2.5"},
            {"ChargeSubcategory": "Unused Commitment", "PricingCategory": "Commitment-Based"},
        )
    ]
    for row in rows:
        del row["CommitmentDiscountStatus"]
    write(tmp_path / "b" / "a.csv", rows)
    loaded = load("focus", tmp_path / "b", tmp_path)[SEPTEMBER]
    new = ("ServiceProviderName", "InvoiceIssuerName", "RegionId", "ConsumedQuantity", "ConsumedUnit", "PricingCategory", "CommitmentDiscountStatus")  # fmt: skip
    assert facts(loaded).select(new).rows() == [
        ("Acme Cloud", "Acme Cloud", "eu-frankfurt-1", Decimal("2.5"), "Hours", "Standard", None),
        ("Acme Cloud", "Acme Cloud", "eu-frankfurt-1", Decimal(1), "Hours", "Committed", "Unused"),
    ]
    assert (loaded.issues.height, loaded.note) == (0, "")


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet"])
def test_billing_periods_prove_the_order_and_the_note_says_so(name: str, tmp_path: Path) -> None:
    path = tmp_path / "b" / name
    if name.endswith(".parquet"):
        path.parent.mkdir()
        pl.DataFrame([slashed()]).write_parquet(path)
    else:
        write(path, [slashed()])
    loaded = load("focus", tmp_path / "b", tmp_path)[SEPTEMBER]
    row = facts(loaded).row(0, named=True)
    assert (row["ChargePeriodStart"], row["BillingPeriodEnd"]) == (at("2026-09-02"), at("2026-10-01"))
    assert loaded.issues.is_empty()
    assert f"dates read as month/day/year: {name}" in loaded.note


def test_two_files_of_different_orders_are_each_read_in_their_own(tmp_path: Path) -> None:
    european = {
        "BillingPeriodStart": "01.09.2026",
        "BillingPeriodEnd": "01.10.2026",
        "ChargePeriodStart": "02.09.2026 00:00:00",
        "ChargePeriodEnd": "03.09.2026 00:00:00",
    }
    write(tmp_path / "b" / "us.csv", [slashed()])
    write(tmp_path / "b" / "de.csv", [focus(**european)])
    loaded = load("focus", tmp_path / "b", tmp_path)[SEPTEMBER]
    assert facts(loaded)["ChargePeriodStart"].to_list() == [at("2026-09-02")] * 2
    assert "month/day/year: us.csv" in loaded.note
    assert "day/month/year: de.csv" in loaded.note


def test_an_order_that_nothing_proves_is_asked_for(tmp_path: Path) -> None:
    weekly = slashed(BillingPeriodStart="9/1/26", BillingPeriodEnd="9/8/26")
    write(tmp_path / "b" / "a.csv", [weekly])
    with pytest.raises(SourceError, match="prove no order here: set `date_order: mdy` or `dmy`"):
        reader("focus", tmp_path / "b", tmp_path).slices(WINDOW)
    (month,) = load("focus", tmp_path / "b", tmp_path, date_order="mdy")
    assert month == SEPTEMBER
    (month,) = load("focus", tmp_path / "b", tmp_path, date_order="dmy")
    assert month == date(2026, 1, 1)


def test_an_option_that_the_file_contradicts_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "b" / "a.csv", [slashed()])
    with pytest.raises(SourceError, match=r"can only be month/day/year, and `date_order` says dmy"):
        reader("focus", tmp_path / "b", tmp_path, date_order="dmy").slices(WINDOW)


def test_a_date_that_the_order_does_not_allow_is_rejected(tmp_path: Path) -> None:
    write(tmp_path / "b" / "a.csv", [slashed(), slashed(ChargePeriodEnd="9/31/26")])
    loaded = load("focus", tmp_path / "b", tmp_path)[SEPTEMBER]
    assert counted(loaded) == {("rejected", "bad_date", "ChargePeriodEnd"): 1}


# (written, currency, amount)
AMOUNTS = [
    ("$10,000.00 ", "USD", "10000"),
    ("$1.50", "USD", "1.5"),
    ("-$1,234.50", "USD", "-1234.5"),
    ("($12.00)", "CAD", "-12"),
    ("1,234,567", "EUR", "1234567"),
    ("1,234.5", "EUR", "1234.5"),
    ("(1,234.56)", "EUR", "-1234.56"),
    ("€ 1.5", "EUR", "1.5"),
    ("1'234.56", "CHF", "1234.56"),
    ("1\u2019234.5-", "CHF", "-1234.5"),
    ("\u2212\u00a012\u202f345.5\u00a0£", "GBP", "-12345.5"),
    ("$ (2.50)", "USD", "-2.5"),
    ("¥7-", "JPY", "-7"),
    ("1,234", "USD", "1234"),
]


def test_amounts_with_one_meaning_are_read_and_counted(tmp_path: Path) -> None:
    rows = [focus(BilledCost=written, BillingCurrency=currency) for written, currency, _ in AMOUNTS]
    write(tmp_path / "b" / "a.csv", [*rows, focus()])
    loaded = load("focus", tmp_path / "b", tmp_path)[SEPTEMBER]
    assert facts(loaded)["BilledCost"].to_list() == [*(Decimal(a) for *_, a in AMOUNTS), Decimal("1.5")]
    assert loaded.totals == {
        "USD": Decimal(10000),  # 10,000 + 1.50 - 1,234.50 - 2.50 + 1,234 + 1.50 = 10,000
        "CAD": Decimal(-12),
        "EUR": Decimal("1234568.44"),  # 1,234,567 + 1,234.50 - 1,234.56 + 1.50
        "CHF": Decimal("0.06"),  # 1,234.56 - 1,234.50
        "GBP": Decimal("-12345.5"),
        "JPY": Decimal(-7),
    }
    # 1,234 alone has two meanings: the note says which one its file proves
    assert counted(loaded) == {("repaired", "spelling", "BilledCost"): len(AMOUNTS) - 1}
    assert "amounts read with a comma between thousands: a.csv" in loaded.note


@pytest.mark.parametrize(("written", "currency", "amount"), AMOUNTS[::4])
def test_one_amount_with_a_sign_or_commas_is_enough(
    written: str, currency: str, amount: str, tmp_path: Path
) -> None:
    """A column of which one cell alone is written so, whatever was inferred from the others."""
    write(tmp_path / "b" / "a.csv", [focus(BilledCost=written, BillingCurrency=currency), focus()])
    loaded = load("focus", tmp_path / "b", tmp_path)[SEPTEMBER]
    assert facts(loaded)["BilledCost"].to_list() == [Decimal(amount), Decimal("1.5")]
    assert counted(loaded) == {("repaired", "spelling", "BilledCost"): 1}


def test_amounts_with_two_meanings_or_another_sign_are_rejected(tmp_path: Path) -> None:
    amounts = [
        ("1,234", "USD"),
        ("1,5", "USD"),
        ("$5.00", "EUR"),
        ("1.234,50", "EUR"),
        ("5 EUR", "USD"),
        ("€5", "USD"),
        ("5--", "USD"),
        ("(-5)", "USD"),
        ("€5$", "EUR"),
        ("1'23.5", "CHF"),
    ]
    rows = [focus(BilledCost=written, BillingCurrency=currency) for written, currency in amounts]
    write(tmp_path / "b" / "a.csv", [*rows, focus()])
    loaded = load("focus", tmp_path / "b", tmp_path)[SEPTEMBER]
    assert loaded.issues.select("rule", "value").rows() == [("not_a_number", w) for w, _ in amounts]
    assert loaded.totals == {"USD": Decimal("1.5")}


def test_prices_in_a_virtual_currency_have_no_sign_of_money(tmp_path: Path) -> None:
    row = focus(
        PricingCurrency="Token", PricingCurrencyEffectiveCost="$5.00", PricingCurrencyListUnitPrice="2.5"
    )
    write(tmp_path / "b" / "a.csv", [row])
    loaded = load("focus", tmp_path / "b", tmp_path)[SEPTEMBER]
    found = facts(loaded).row(0, named=True)
    assert (found["PricingCurrencyEffectiveCost"], found["PricingCurrencyListUnitPrice"]) == (
        None,
        Decimal("2.5"),
    )
    assert counted(loaded) == {("repaired", "not_a_number", "PricingCurrencyEffectiveCost"): 1}


def test_a_currency_that_the_file_lacks_is_never_guessed(tmp_path: Path) -> None:
    rows = [{k: v for k, v in focus().items() if k != "BillingCurrency"}]
    write(tmp_path / "b" / "a.csv", rows)
    with pytest.raises(SourceError, match="mandatory column 'BillingCurrency' is missing"):
        load("focus", tmp_path / "b", tmp_path)
    loaded = load("focus", tmp_path / "b", tmp_path, currency="EUR")[SEPTEMBER]
    assert loaded.totals == {"EUR": Decimal("1.5")}
    assert facts(loaded)["BillingCurrency"].to_list() == ["EUR"]
    assert "billed in EUR by the option `currency`: a.csv" in loaded.note


def test_a_column_of_a_later_file_that_is_named_as_one_of_the_preview_is_none_of_focus(
    tmp_path: Path,
) -> None:
    write(tmp_path / "b" / "a.csv", [focus(Region="Frankfurt", Provider="us", UsageQuantity="7")])
    loaded = load("focus", tmp_path / "b", tmp_path)[SEPTEMBER]
    found = facts(loaded)
    assert found["ServiceProviderName"].to_list() == ["Acme Cloud"]
    assert found.select("ConsumedQuantity", "RegionId").rows() == [(1, None)]
    assert "columns not used: Provider, Region, UsageQuantity" in loaded.note


VERCEL = {
    "BilledCost": 0.0000123, "EffectiveCost": "0.0000123", "BillingCurrency": "USD", "ChargeCategory": "Usage", "ConsumedQuantity": 3,
    "ConsumedUnit": "GB", "ServiceName": "Fast Data Transfer", "ServiceProviderName": "Vercel", "Tags": {"ProjectName": "site"},
}  # fmt: skip


def test_charges_without_a_billing_period_are_of_the_month_in_which_they_start(tmp_path: Path) -> None:
    """As Vercel's API answers. The last hour of September is no charge of October; a start that is none is rejected."""
    (tmp_path / "b").mkdir()
    rows = [
        VERCEL | {"ChargePeriodStart": start, "ChargePeriodEnd": "2026-10-02T00:00:00.000Z"}
        for start in ("2026-09-30T23:00:00.000Z", "2026-10-01T00:00:00.000Z", "2026-10-01T00:00:00.000Z", "x")
    ]
    (tmp_path / "b" / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(
        SourceError, match=r"'BillingPeriodStart' is missing.*say `billing_period: charge_month`"
    ):
        load("focus", tmp_path / "b", tmp_path)
    got = load("focus", tmp_path / "b", tmp_path, billing_period="charge_month")
    assert {m.month: len(facts(one)) for m, one in got.items()} == {9: 1, 10: 2}
    periods = facts(got[date(2026, 10, 1)]).select("BillingPeriodStart", "BillingPeriodEnd").unique()
    assert periods.rows() == [(at("2026-10-01"), at("2026-11-01"))]
    assert got[SEPTEMBER].issues.filter(action="rejected").select("rule", "column_name").rows() == [
        ("bad_date", "BillingPeriodStart")
    ]
    assert "billed in the month of the charge by the option `billing_period`" in got[SEPTEMBER].note
    write(tmp_path / "b" / "b.csv", [focus()])
    with pytest.raises(SourceError, match=r"b\.csv has a column BillingPeriodStart"):
        load("focus", tmp_path / "b", tmp_path, billing_period="charge_month")


def test_the_option_speaks_only_for_rows_that_name_no_currency(tmp_path: Path) -> None:
    write(tmp_path / "b" / "a.csv", [focus(BillingCurrency=c) for c in ("USD", "", "NULL")])
    loaded = load("focus", tmp_path / "b", tmp_path, currency="EUR")[SEPTEMBER]
    assert loaded.totals == {"USD": Decimal("1.5"), "EUR": Decimal(3)}
    with pytest.raises(ValidationError, match="currency"):
        reader("focus", tmp_path / "b", tmp_path, currency="euro")


def test_a_currency_is_one_whatever_its_case_and_blanks(tmp_path: Path) -> None:
    """1.5 + 1.5 + 1.5 dollars are one sum; a code that is none stays apart, and a gate refuses it."""
    rows = [focus(BillingCurrency=c) for c in ("USD", "usd", "USD ", "Credits")]
    write(tmp_path / "bills" / "a.csv", rows)
    (loaded,) = load("focus", tmp_path / "bills", tmp_path).values()
    assert loaded.totals == {"USD": Decimal("4.5"), "CREDITS": Decimal("1.5")}
    assert facts(loaded)["BillingCurrency"].to_list() == ["USD", "USD", "USD", "CREDITS"]
    assert counted(loaded)["repaired", "spelling", "BillingCurrency"] == 3
