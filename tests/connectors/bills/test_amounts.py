"""Amounts as India groups them, and amounts with the code of a currency."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from connectors.base import SourceError
from tests.connectors.bills.forms import separated
from tests.connectors.bills.helpers import counted, facts, focus, load

# currency of the row, how its amount is written, and what it is; None: it cannot be known
WRITTEN = [
    ("INR", "1,23,456.78", "123456.78"),
    ("INR", "-12,34,56,789", "-123456789"),
    ("INR", "₹ 1,00,000.5", "100000.5"),
    ("INR", "(1,23,456)", "-123456"),
    ("INR", "1,2,345.00", None),
    ("INR", "123,45,678.00", None),
    ("INR", "1,23,45.00", None),
    ("USD", "5 USD", "5"),
    ("USD", "USD 5", "5"),
    ("usd", "USD1,234.50", "1234.5"),
    ("USD", "-5.25USD", "-5.25"),
    ("USD", "USD -5.25", "-5.25"),
    ("USD", "$5.25 USD", "5.25"),
    ("USD", "(5.25) USD", "-5.25"),
    ("USD", "5 EUR", None),
    ("USD", "€5 USD", None),
    ("USD", "$5 EUR", None),
    ("USD", "EUR 5 USD", None),
    ("USD", "5 usd", "5"),
    ("usd", "usd -5.25", "-5.25"),
    ("USD", "5 eur", None),
    ("USD", "US$ 1,234.50", "1234.5"),
    ("USD", "(us$5)", "-5"),
    ("USD", "-US$5.25", "-5.25"),
    ("CAD", "C$5", "5"),
    ("AUD", "5.25 A$", "5.25"),
    ("USD", "C$5", None),
    ("AUD", "US$5", None),
    ("USD", "U 5 S$", None),
    ("USD", "U5SD", None),
    ("US", "$5", None),
    ("USD", "5 USDT", None),
    ("USD", "5 USD 3", None),
]


@pytest.mark.parametrize(("currency", "written", "amount"), WRITTEN)
def test_an_amount(currency: str, written: str, amount: str | None, tmp_path: Path) -> None:
    (tmp_path / "bills").mkdir()
    rows = [focus(BilledCost=written, BillingCurrency=currency), focus(BilledCost="2", BillingCurrency="EUR")]
    (tmp_path / "bills" / "a.csv").write_bytes(separated(",", rows))
    (loaded,) = load("focus", tmp_path / "bills", tmp_path).values()
    kept = facts(loaded).filter(BillingCurrency=currency.upper())["BilledCost"].to_list()
    rejected = loaded.issues.filter(action="rejected")["value"].to_list()
    assert (kept, rejected) == (([], [written]) if amount is None else ([Decimal(amount)], []))
    if amount is not None:
        assert loaded.totals == {"EUR": Decimal(2), currency.upper(): Decimal(amount)}
        assert counted(loaded)["repaired", "spelling", "BilledCost"] == 1


def test_codes_with_a_decimal_comma(tmp_path: Path) -> None:
    """1,234.5 + 2.25 - 1,000 = 236.75; dollars in a row of euros are rejected."""
    (tmp_path / "bills").mkdir()
    amounts = ["1.234,50 EUR", "EUR 2,25", "-1.000 EUR", "3,00 USD"]
    rows = [
        focus(BilledCost=a, EffectiveCost="1,5", ContractedCost="", BillingCurrency="EUR") for a in amounts
    ]
    (tmp_path / "bills" / "a.csv").write_bytes(separated(";", rows))
    (loaded,) = load("focus", tmp_path / "bills", tmp_path).values()
    assert loaded.totals == {"EUR": Decimal("236.75")}
    [bad] = loaded.issues.filter(action="rejected").iter_rows(named=True)
    assert (bad["rule"], bad["column_name"]) == ("not_a_number", "BilledCost")


def test_an_amount_with_a_code_and_two_meanings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bills").mkdir()
    rows = [focus(BilledCost="1.234 USD", EffectiveCost="3", ContractedCost="2")]
    (tmp_path / "bills" / "a.csv").write_bytes(separated(";", rows))
    with pytest.raises(SourceError, match=r"the amount '1\.234 USD' may be written .*no other amount says"):
        load("focus", tmp_path / "bills", tmp_path)
