"""How figures, names and cells are written."""

from datetime import date
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards import format
from models.tables import MONEY

AMOUNTS = st.decimals(min_value=-(10**9), max_value=10**9, places=12)


@given(st.lists(AMOUNTS, max_size=30), st.sampled_from(["USD", "JPY", "BHD"]))
def test_cents_shown_sum_to_the_total_shown_and_stay_within_a_unit(
    amounts: list[Decimal], currency: str
) -> None:
    total = format.cents(sum(amounts, Decimal(0)), currency)
    unit = {"USD": Decimal("0.01"), "JPY": Decimal(1), "BHD": Decimal("0.001")}[currency]
    shown = format.spread_cents(amounts, total, currency)
    assert sum(shown, Decimal(0)) == total
    assert all(abs(s - a) < unit for s, a in zip(shown, amounts, strict=True))
    assert all(s % unit == 0 for s in shown)


def test_the_missing_cent_goes_to_the_line_that_lost_most() -> None:
    # floors 3.33 + 3.33 + 3.33 = 9.99 of 10.00; the second lost 0.004, the others 0.003
    parts = [Decimal("3.333"), Decimal("3.334"), Decimal("3.333")]
    assert format.spread_cents(parts, Decimal("10.00"), "USD") == [
        Decimal("3.33"), Decimal("3.34"), Decimal("3.33"),
    ]  # fmt: skip


def test_a_total_that_is_not_the_sum_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be shown as 5"):
        format.spread_cents([Decimal("1.005")], Decimal(5), "USD")


def test_rounding_is_half_away_from_zero() -> None:
    assert format.cents(Decimal("0.125"), "USD") == Decimal("0.13")
    assert format.cents(Decimal("-0.125"), "USD") == Decimal("-0.13")


def test_less_than_half_a_cent_of_credit_has_no_sign() -> None:
    small = Decimal("-0.004")
    shown = format.amount(small, "USD"), format.money(small, "USD"), format.signed(small, "USD")
    assert shown == ("0.00", "$0.00", "0.00")


def test_money_of_any_size_keeps_its_cents() -> None:
    assert (
        format.money(Decimal("12345678901234567890123456.785"), "USD")
        == "$12,345,678,901,234,567,890,123,456.79"
    )
    assert format.money(Decimal("1234.5"), "JPY") == "¥1,235"
    assert format.money(None, "USD") == "–"


def test_prices_below_one_keep_four_decimals() -> None:
    assert format.unit_price(Decimal("0.03125"), "USD") == "$0.0312"
    assert format.unit_price(Decimal("31.25"), "USD") == "$31.25"


def test_changes_carry_their_sign_and_zero_has_none() -> None:
    assert [format.signed(Decimal(v), "USD") for v in ("1", "-1", "0.001")] == ["+1.00", "-1.00", "0.00"]
    assert [format.signed_percent(v) for v in (0.5, -0.0001, None)] == ["+50.0%", "0.0%", "–"]
    assert format.change(Decimal(3), Decimal(2)) == 0.5
    assert format.change(Decimal(3), Decimal(0)) is None
    assert (format.month_name(date(2026, 9, 1)), format.day_name(None)) == ("September 2026", "–")


@pytest.mark.parametrize(
    ("days", "written"),
    [
        (None, ""),
        ("2026-09-07", "7 Sep"),
        ("2026-09-03, 2026-09-04, 2026-09-07", "3–4, 7 Sep"),
        ("2026-02-01, 2026-02-26, 2026-02-27, 2026-02-28", "1, 26–28 Feb"),
    ],
)
def test_days_that_follow_each_other_are_one_range(days: str | None, written: str) -> None:
    assert format.days_of_month(days) == written


@given(st.lists(st.text(max_size=80), max_size=20))
def test_file_names_are_safe_and_differ(names: list[str]) -> None:
    files = format.file_names(names)
    assert files.keys() == set(names)
    assert len(set(files.values())) == len(files)
    for file in files.values():
        assert 0 < len(file) <= 60
        assert set(file) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")
        assert file not in ("index", "overview", "con")


def test_plain_names_stay_and_a_name_has_the_same_file_whatever_the_others() -> None:
    assert format.file_names(["vision", "data-platform"]) == {
        "vision": "vision",
        "data-platform": "data-platform",
    }
    alone = format.file_names(["ml core"])["ml core"]
    assert format.file_names(["ml core", "ml/core", "ml-core"])["ml core"] == alone
    assert format.file_names(["../../etc/passwd"])["../../etc/passwd"].startswith("etc-passwd-")


def test_a_name_that_spells_the_hash_of_another_gets_its_own_file() -> None:
    taken = format.file_names(["ml core"])["ml core"]
    both = format.file_names(["ml core", taken])
    assert both[taken] == taken
    assert both["ml core"] != taken


def test_text_that_a_spreadsheet_would_run_is_disarmed_and_numbers_are_not() -> None:
    disarmed = {
        "=1": "'=1", "+1": "'+1", "-1": "'-1", "@x": "'@x", "\tx": "'\tx", "\rx": "'\rx", "a=1": "a=1", None: None,
        " =1": "' =1", "＝1": "'＝1",
        # a spreadsheet that parts columns at semicolons or tabs does not see the quotes around a text
        "a;=1": "a;'=1", "a; b": "a; b", "a\t-1": "a\t'-1", "a\n@x": "a\n'@x",
    }  # fmt: skip
    frame = pl.DataFrame(
        {"t": list(disarmed), "n": [Decimal("-1.5")] * len(disarmed)},
        schema={"t": pl.String, "n": MONEY},
    )
    safe = format.csv_safe(frame)
    assert dict(zip(frame["t"], safe["t"], strict=True)) == disarmed
    assert safe["n"].equals(frame["n"])
