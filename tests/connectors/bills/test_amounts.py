"""Amounts as India groups them, and amounts with the code of a currency."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from connectors.base import Loaded, SourceError
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


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Loaded]:
    """A file of `WRITTEN`, each described by its place, and what became of it."""
    folder = tmp_path_factory.mktemp("written")
    rows = [
        focus(BilledCost=amount, BillingCurrency=currency, ChargeDescription=str(n))
        for n, (currency, amount, _) in enumerate(WRITTEN)
    ]
    path = folder / "bills" / "a.csv"
    path.parent.mkdir()
    path.write_bytes(separated(",", rows))
    (loaded,) = load("focus", path.parent, folder).values()
    return path, loaded


@pytest.mark.parametrize("place", range(len(WRITTEN)), ids=[f"{c} as {w}" for c, w, _ in WRITTEN])
def test_an_amount(place: int, written: tuple[Path, Loaded]) -> None:
    path, loaded = written
    currency, text, amount = WRITTEN[place]
    kept = facts(loaded).filter(ChargeDescription=str(place)).select("BillingCurrency", "BilledCost").rows()
    rejected = loaded.issues.filter(action="rejected", location=f"{path}:{place + 2}")["value"].to_list()
    expected = ([], [text]) if amount is None else ([(currency.upper(), Decimal(amount))], [])
    assert (kept, rejected) == expected


def test_amounts_are_added_by_currency_and_those_with_signs_are_counted(
    written: tuple[Path, Loaded],
) -> None:
    known = [(currency.upper(), Decimal(amount)) for currency, _, amount in WRITTEN if amount is not None]
    totals = {c: sum((a for of, a in known if of == c), Decimal(0)) for c, _ in known}
    assert written[1].totals == totals
    assert counted(written[1])["repaired", "spelling", "BilledCost"] == len(known)


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
