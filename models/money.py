"""Money as decimals: splitting an amount so that its parts sum to it exactly."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from models.tables import MONEY

SCALE = 12


def split(frame: pl.DataFrame, by: Sequence[str], total: str, weight: str, into: str) -> pl.DataFrame:
    """Splits each group's total over its rows in proportion to a weight; the parts sum to the total exactly.

    Each part is total x weight / sum of weights, cut to 12 decimals; what that leaves over goes to the row
    with the greatest weight (the first of them), so that no part has another sign than the total and weight 0
    gets nothing. A group whose weights sum to 0 is split evenly.

    Args:
        frame: Any frame.
        by: Columns that name the group.
        total: Column with the group's total, MONEY, the same in every row of the group.
        weight: Column with the weights, Float64, >= 0 and not NULL.
        into: Name of the column to add, MONEY.

    Returns:
        The frame with the column added, in its own order.

    Raises:
        ValueError: A weight is negative, NULL or not a number.
    """
    bad = frame.filter(pl.col(weight).is_null() | pl.col(weight).is_nan() | (pl.col(weight) < 0))
    if bad.height:
        msg = (
            f"weights must be numbers >= 0; column {weight!r} has {bad.height} rows that are not, "
            f"first: {bad.row(0, named=True)}"
        )
        raise ValueError(msg)
    by = list(by)
    order = "__order"
    weight_sum = pl.col(weight).sum().over(by)
    share = pl.when(weight_sum > 0).then(pl.col(weight) / weight_sum).otherwise(1.0 / pl.len().over(by))
    parts = frame.with_row_index(order).with_columns(
        (pl.col(total).cast(pl.Float64) * share).truncate(SCALE).cast(MONEY).alias(into)
    )
    largest = pl.col(order) == pl.col(order).sort_by(
        pl.col(weight), descending=True, maintain_order=True
    ).first().over(by)
    rest = pl.col(total).cast(MONEY) - pl.col(into).sum().over(by)
    return parts.with_columns(
        pl.when(largest).then(pl.col(into) + rest).otherwise(pl.col(into)).cast(MONEY).alias(into)
    ).drop(order)
