"""Amounts with a decimal comma or the sign of a currency: read where all amounts of a file agree, else refused."""

from __future__ import annotations

import gzip
import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.base import SourceError
from tests.connectors.azure.rows import row as azure_row
from tests.connectors.bills.forms import archive, separated, utf_16
from tests.connectors.bills.helpers import counted, csv_bytes, cur, facts, focus, load
from tests.connectors.gcp.rows import flat
from tests.connectors.gcp.rows import row as gcp_row
from tests.connectors.oci.rows import row as oci_row

SEPTEMBER = date(2026, 9, 1)

# Amounts of a German file: 1,234.56 + 1 - 0.5 + 1,000 - 2,000.25 = 234.81; thousands by points, and a hard blank
GERMAN = ["1.234,56", "1", "-0,5", "1.000", "-2\u00a0000,25"]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
@pytest.mark.parametrize("sign", [";", ","])
def test_a_decimal_comma_that_every_amount_agrees_with(sign: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "bills").mkdir()
    rows = [focus(BilledCost=a, EffectiveCost=a, ListCost="1,5E-05", ContractedCost="3,25") for a in GERMAN]
    if name.endswith(".csv"):
        (tmp_path / "bills" / name).write_bytes(separated(sign, rows))
    else:
        import polars as pl

        pl.DataFrame(rows).write_parquet(tmp_path / "bills" / name)
    (loaded,) = load("focus", tmp_path / "bills", tmp_path).values()
    assert loaded.totals == {"USD": Decimal("234.81")}
    assert facts(loaded)["BilledCost"].to_list() == [
        Decimal(a) for a in ("1234.56", "1", "-0.5", "1000", "-2000.25")
    ]
    assert set(facts(loaded)["ListCost"]) == {Decimal("0.000015")}
    assert f"amounts read with a decimal comma: {name}" in loaded.note
    assert counted(loaded) == {}


def test_each_file_is_read_in_its_own_form(tmp_path: Path) -> None:
    """1,234 in the one is a bit more than one, 1.234 in the other a thousand: 1.234 + 0.5 + 1,234 + 0.5."""
    (tmp_path / "bills").mkdir()
    plain = [focus(BilledCost="1.234", EffectiveCost="0.5"), focus(BilledCost="0.5", EffectiveCost="0.5")]
    comma = [
        {k: v.replace(".", ",") if k in ("EffectiveCost", "ContractedCost") else v for k, v in r.items()}
        for r in plain
    ]
    comma[1]["BilledCost"] = "0,5"
    (tmp_path / "bills" / "us.csv").write_bytes(separated(",", plain))
    (tmp_path / "bills" / "de.csv").write_bytes(separated(";", comma))
    (loaded,) = load("focus", tmp_path / "bills", tmp_path).values()
    assert loaded.totals == {"USD": Decimal("1236.234")}
    assert "amounts read with a decimal comma: de.csv" in loaded.note


# 1,234.56 - 1,234.56 + 1,000 - 12.5 + 2,345.5 - 0.25 + 7 = 3,339.75; 1.000 is a thousand, as the commas say
MARKED = ["€ 1.234,56", "1.234,56-", "1.000 €", "(12,50)", "2\u202f345,5", "\u2212 0,25 €", "+7"]


def test_a_decimal_comma_with_signs_and_brackets(tmp_path: Path) -> None:
    (tmp_path / "bills").mkdir()
    rows = [focus(BilledCost=a, EffectiveCost=a, BillingCurrency="EUR", ListCost="2,0") for a in MARKED]
    others = [r | {"ContractedCost": ""} for r in rows]
    (tmp_path / "bills" / "a.csv").write_bytes(separated(";", others))
    (loaded,) = load("focus", tmp_path / "bills", tmp_path).values()
    assert loaded.totals == {"EUR": Decimal("3339.75")}
    # the trailing minus, the brackets and the three signs
    assert counted(loaded)["repaired", "spelling", "BilledCost"] == 5
    assert loaded.issues.filter(action="rejected").is_empty()


def test_a_sign_of_another_currency_is_rejected_with_its_amount(tmp_path: Path) -> None:
    """The first row's 1,234.56 euros; 5 dollars billed in euros cannot be known to be either."""
    (tmp_path / "bills").mkdir()
    rows = [
        focus(BilledCost=a, EffectiveCost="1,0", ContractedCost="", BillingCurrency="EUR")
        for a in ("€ 1.234,56", "$5,00")
    ]
    (tmp_path / "bills" / "a.csv").write_bytes(separated(";", rows))
    (loaded,) = load("focus", tmp_path / "bills", tmp_path).values()
    assert loaded.totals == {"EUR": Decimal("1234.56")}
    [bad] = loaded.issues.filter(action="rejected").iter_rows(named=True)
    assert (bad["rule"], bad["column_name"], bad["value"]) == ("not_a_number", "BilledCost", "$5.00")
    assert "$5,00" in bad["raw"]


def test_decimal_commas_in_texts_of_json(tmp_path: Path) -> None:
    """A number of JSON has a point whatever the texts beside it have: 1,234.56 + 1.234 + 1,000 = 2,235.794."""
    (tmp_path / "bills").mkdir()
    amounts: list[object] = ["1.234,56", 1.234, "1.000"]
    rows = [
        {**focus(EffectiveCost="1,5", ContractedCost="1", ListCost="2"), "BilledCost": a} for a in amounts
    ]
    (tmp_path / "bills" / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (loaded,) = load("focus", tmp_path / "bills", tmp_path).values()
    assert loaded.totals == {"USD": Decimal("2235.794")}
    assert set(facts(loaded)["EffectiveCost"]) == {Decimal("1.5")}
    assert "amounts read with a decimal comma: a.jsonl" in loaded.note


def test_texts_of_json_with_two_meanings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bills").mkdir()
    rows = [focus(BilledCost=a) for a in ("1,5", "1.234")]  # EffectiveCost 1.25
    (tmp_path / "bills" / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    with pytest.raises(
        SourceError, match=r"a\.jsonl: the amount '1\.234' may be written .*'1,5' can only .*'1\.25'"
    ):
        load("focus", tmp_path / "bills", tmp_path)


# other amounts of the file beside 1.234, what separates it, and words of the refusal
UNCERTAIN = [
    ({"BilledCost": "1,5"}, ",", "'1,5' can only be written with a decimal comma and '1.25' only with a point"),
    ({"BilledCost": "1,234", "EffectiveCost": "3", "ContractedCost": "2"}, ",", "no other amount says which"),
    ({"BilledCost": "5", "EffectiveCost": "3", "ContractedCost": "2"}, ";", "no other amount says which"),
]  # fmt: skip


@pytest.mark.parametrize(("other", "sign", "words"), UNCERTAIN)
def test_amounts_of_two_meanings_are_never_guessed(
    other: dict[str, str], sign: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "bills").mkdir()
    rows = [focus(**other), focus(**{**other, "BilledCost": "1.234"})]
    (tmp_path / "bills" / "a.csv").write_bytes(separated(sign, rows))
    with pytest.raises(SourceError, match=rf"a\.csv: the amount '1\.234' may be written .*{words}"):
        load("focus", tmp_path / "bills", tmp_path)


# an export of the portal as a German spreadsheet saves it: (header, value)
PORTAL = {
    "Abrechnungskonto-ID (BillingAccountId)": "0086",
    "Abonnement-GUID (SubscriptionGuid)": "AAAA",
    "datum (date)": "30.09.2026",
    "Kategorie (meterCategory)": "Virtual Machines",
    "Menge (quantity)": "2,5",
    "Einheitenpreis (unitPrice)": "493,824",
    "Kosten (costInBillingCurrency)": "1.234,56",
    "Währung (billingCurrency)": "EUR",
    "Typ (chargeType)": "Usage",
}


@pytest.mark.parametrize("packed", ["plain", "gzip", "zip", "utf-16"])
def test_a_localised_export_of_azure(packed: str, tmp_path: Path) -> None:
    """1,234.56 + 0.5 + 1,000 = 2,235.06 euros; 1.000 is a thousand, as 1.234,56 says."""
    amounts = ["1.234,56", "0,5", "1.000"]
    content = separated(";", [PORTAL | {"Kosten (costInBillingCurrency)": a} for a in amounts])
    name, content = {
        "plain": ("a.csv", b"\xef\xbb\xbf" + content),
        "gzip": ("a.csv.gz", gzip.compress(content)),
        "zip": ("a.zip", archive(("export.csv", content))),
        "utf-16": ("a.csv", utf_16(content)),
    }[packed]
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / name).write_bytes(content)
    (loaded,) = load("azure_export", tmp_path / "bills", tmp_path).values()
    assert (loaded.slice.period, loaded.totals) == (SEPTEMBER, {"EUR": Decimal("2235.06")})
    found = facts(loaded)
    assert found["BilledCost"].to_list() == [Decimal("1234.56"), Decimal("0.5"), Decimal(1000)]
    assert set(found["PricingQuantity"]) == {Decimal("2.5")}
    assert set(found["ContractedUnitPrice"]) == {Decimal("493.824")}
    assert set(found["SubAccountId"]) == {"aaaa"}
    assert f"amounts read with a decimal comma: {name}" in loaded.note


def test_azure_amounts_with_signs_and_a_minus_at_the_end(tmp_path: Path) -> None:
    """1,234.56 - 2,000 = -765.44 euros; dollars in a row of euros are neither."""
    (tmp_path / "bills").mkdir()
    amounts = ["€ 1.234,56", "2.000,00-", "$ 5,00"]
    rows = [PORTAL | {"Kosten (costInBillingCurrency)": a} for a in amounts]
    (tmp_path / "bills" / "a.csv").write_bytes(separated(";", rows))
    (loaded,) = load("azure_export", tmp_path / "bills", tmp_path).values()
    assert loaded.totals == {"EUR": Decimal("-765.44")}
    assert counted(loaded)["rejected", "not_a_number", "BilledCost"] == 1


def test_azure_amounts_of_two_forms_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bills").mkdir()
    rows = [azure_row(Cost=a, Quantity="2.5") for a in ("1,5", "1.234")]
    (tmp_path / "bills" / "a.csv").write_bytes(csv_bytes(rows))
    with pytest.raises(SourceError, match=r"a\.csv: the amount '1\.234' may be written"):
        load("azure_export", tmp_path / "bills", tmp_path)


@pytest.mark.parametrize("kind", ["aws_cur", "gcp_billing_export", "oci_cost_report"])
def test_bills_of_clouds_that_a_spreadsheet_saved_with_semicolons(kind: str, tmp_path: Path) -> None:
    """1.234,5 and 0,0625 in Germany: 1,234.5625, of a price of 2.5 and 3,000.25 hours each."""
    made = {
        "aws_cur": lambda c: cur(lineItem__UnblendedCost=c, lineItem__UnblendedRate="2,5", lineItem__UsageAmount="3.000,25"),
        "gcp_billing_export": lambda c: flat(gcp_row(cost=c, usage__amount_in_pricing_units="3.000,25", price={"effective_price": "2,5"})),
        "oci_cost_report": lambda c: oci_row(cost__myCost=c, cost__unitPrice="2,5", usage__billedQuantity="3.000,25"),
    }  # fmt: skip
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "a.csv").write_bytes(separated(";", [made[kind](c) for c in ("1.234,5", "0,0625")]))
    (loaded,) = load(kind, tmp_path / "bills", tmp_path).values()
    assert loaded.totals == {"USD": Decimal("1234.5625")}
    found = facts(loaded)
    assert found["BilledCost"].to_list() == [Decimal("1234.5"), Decimal("0.0625")]
    assert {*found["PricingQuantity"]} == {Decimal("3000.25")}
    if kind != "gcp_billing_export":
        assert {*found["ContractedUnitPrice"]} == {Decimal("2.5")}
    assert "amounts read with a decimal comma: a.csv" in loaded.note
    assert not counted(loaded).keys() & {
        ("rejected", "not_a_number", "BilledCost"),
        ("repaired", "not_a_number", "PricingQuantity"),
    }
