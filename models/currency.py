"""Amounts in the organisation's currency, beside the original and never instead of it.

Which rates there are is configured (`rates`); amounts of different currencies are never added anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from models.records import Rate
from models.tables import MONEY


def convert(
    costs: pl.DataFrame, rates: Sequence[Rate], currency: str, amount: str, into: str
) -> pl.DataFrame:
    """Adds an amount in another currency, at the rate of the charge's day.

    The rate of a day is the latest one dated on or before it. The product is rounded half to even to
    12 decimals, row by row, so converted rows add up to the converted total of those rows and to no other.

    Args:
        costs: Columns day, currency and the amount (MONEY).
        rates: Dated rates: one unit of `Rate.currency` is worth `Rate.rate` units of `currency`.
        currency: The currency to convert to.
        amount: Name of the amount.
        into: Name of the column to add, MONEY.

    Returns:
        The frame in its order, with the column: the amount itself where it is in that currency already, NULL
        where no rate is known on that day.
    """
    table = pl.DataFrame(
        [(r.date, r.currency, r.rate) for r in rates],
        schema={"rate_day": pl.Date(), "currency": pl.String(), "__rate": MONEY},
        orient="row",
    ).sort("rate_day")
    order = "__order"
    rated = (
        costs.with_row_index(order)
        .sort("day")
        .join_asof(
            table,
            left_on="day",
            right_on="rate_day",
            by="currency",
            strategy="backward",
            check_sortedness=False,
        )
        .sort(order)
    )
    same = pl.col("currency") == currency
    value = pl.when(same).then(pl.col(amount)).otherwise(pl.col(amount) * pl.col("__rate"))
    return rated.with_columns(value.cast(MONEY).alias(into)).drop(order, "__rate", "rate_day", strict=False)
