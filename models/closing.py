"""What a month that was closed has come to since: published cost, adjustments, and what each run changed.

Which months are closed, and at what, is kept by `pipelines/closing.py`.
"""

from __future__ import annotations

import polars as pl

from models.tables import ADJUSTMENTS, CHARGEBACK_MONTHLY, MONEY

KEY = list(CHARGEBACK_MONTHLY.key)
BY = [name for name in ADJUSTMENTS.key if name != "run_id"]
"""What adjustments are told by."""


def with_published(monthly: pl.DataFrame, closed: pl.DataFrame) -> pl.DataFrame:
    """Holds the figures of closed months against what they were closed at.

    Args:
        monthly: `marts.chargeback_monthly`.
        closed: Rows of closed months: the key of `monthly` and published_cost.

    Returns:
        `monthly` with published_cost and adjustment, sorted by its key. What a closed month did not hold was published at
        0; what it held and no longer does has a row at a cost of 0, so that adjustments add up. Months that are open have NULL.
    """
    was = closed.select(*KEY, pl.col("published_cost").cast(MONEY))
    rows = monthly.drop("published_cost", "adjustment").join(
        was, on=KEY, how="full", nulls_equal=True, coalesce=True
    )
    gone = pl.col("effective_cost").is_null()
    amounts = ("billed_cost", "effective_cost", "converted_cost", "unconverted_cost")
    is_closed = pl.col("month").is_in(closed["month"].unique().to_list())
    filled = rows.with_columns(
        *(pl.when(gone).then(pl.lit(0, dtype=MONEY)).otherwise(name).alias(name) for name in amounts),
        published_cost=pl.when(is_closed).then(pl.col("published_cost").fill_null(0)),
    )
    return CHARGEBACK_MONTHLY.conform(
        filled.with_columns(adjustment=pl.col("effective_cost") - pl.col("published_cost"))
    ).sort(KEY)


def changed(now: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """What of closed months differs from the publication before.

    Args:
        now: `marts.chargeback_monthly`, with published_cost.
        before: The same of the publication before: the columns of `BY` and effective_cost.

    Returns:
        `ops.adjustments` without run_id, sorted; only what differs.
    """
    closed = now.filter(pl.col("published_cost").is_not_null())
    after = closed.group_by(BY).agg(pl.col("effective_cost", "published_cost").sum())
    earlier = before.filter(pl.col("month").is_in(closed["month"].unique().to_list()))
    was = earlier.group_by(BY).agg(pl.col("effective_cost").cast(MONEY).sum().alias("was"))
    both = after.join(was, on=BY, how="full", nulls_equal=True, coalesce=True)
    filled = both.with_columns(pl.col("effective_cost", "published_cost", "was").fill_null(0))
    amounts = filled.with_columns(
        difference=pl.col("effective_cost") - pl.col("was"),
        adjustment=pl.col("effective_cost") - pl.col("published_cost"),
    )
    return amounts.filter(pl.col("difference") != 0).drop("was", "published_cost").sort(BY)
