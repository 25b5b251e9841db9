"""Amounts in the organisation's currency: dated rates, exact products, unknown where no rate is known."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import polars as pl

from models.currency import convert
from models.records import Rate
from models.tables import MONEY

RATES = (
    Rate(date=date(2026, 10, 1), currency="EUR", rate=Decimal("1.10")),
    Rate(date=date(2026, 10, 10), currency="EUR", rate=Decimal("1.20")),
    Rate(date=date(2026, 10, 1), currency="JPY", rate=Decimal("0.0065")),
)


def costs(*rows: tuple[int, str, str]) -> pl.DataFrame:
    data = [(date(2026, 10, day), currency, Decimal(amount)) for day, currency, amount in rows]
    return pl.DataFrame(
        data, schema={"day": pl.Date, "currency": pl.String, "effective_cost": MONEY}, orient="row"
    )


def converted(frame: pl.DataFrame) -> list[Decimal | None]:
    return convert(frame, RATES, "USD", "effective_cost", "usd")["usd"].to_list()


def test_rate_of_the_day_and_of_the_last_day_before() -> None:
    """9 October is still at 1.10: 10 x 1.10 = 11; the 10th and later at 1.20: 12; 1,000 yen at 0.0065 are 6.50."""
    found = converted(costs((10, "EUR", "10"), (9, "EUR", "10"), (31, "EUR", "10"), (2, "JPY", "1000")))
    assert found == [Decimal(12), Decimal(11), Decimal(12), Decimal("6.5")]


def test_own_currency_is_exact_and_unknown_is_null() -> None:
    found = converted(costs((1, "USD", "0.000000000001"), (1, "GBP", "5")))
    assert found == [Decimal("0.000000000001"), None]


def test_before_the_first_rate_nothing_is_known() -> None:
    frame = costs((1, "EUR", "1")).with_columns(day=pl.lit(date(2026, 9, 30)))
    assert converted(frame) == [None]


def test_order_and_rows_are_kept() -> None:
    frame = costs((31, "EUR", "1"), (1, "USD", "2"), (15, "EUR", "3"))
    found = convert(frame, RATES, "USD", "effective_cost", "usd")
    assert found["effective_cost"].to_list() == frame["effective_cost"].to_list()
    assert found.columns == [*frame.columns, "usd"]


def test_the_thirteenth_decimal_is_rounded_half_to_even() -> None:
    """At 1.10: 15 billionths of a thousandth are 16.5, rounded to 16; 5 are 5.5, rounded to 6."""
    found = converted(costs((1, "EUR", "0.000000000015"), (1, "EUR", "-0.000000000005")))
    assert found == [Decimal("0.000000000016"), Decimal("-0.000000000006")]
