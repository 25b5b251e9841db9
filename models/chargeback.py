"""What owners owe: charges with an owner added up by day and month, and the proof that no money is lost.

Who owns a charge belongs to `models/ownership.py`; bounds on the difference, to the gates.
"""

from __future__ import annotations

import polars as pl

from models.tables import CHARGEBACK_DAILY, CHARGEBACK_MONTHLY, MONEY, RECONCILIATION

AMOUNTS = ("billed_cost", "effective_cost")


def daily(assigned: pl.DataFrame) -> pl.DataFrame:
    """Adds up charges with an owner.

    Args:
        assigned: The columns of `marts.chargeback_daily`, in any grain; further columns are ignored.

    Returns:
        `marts.chargeback_daily`, sorted by its key.
    """
    key = list(CHARGEBACK_DAILY.key)
    return CHARGEBACK_DAILY.conform(_sum(assigned, key)).sort(key)


def monthly(daily: pl.DataFrame) -> pl.DataFrame:
    """Adds days up to billing months, all of them still open.

    Args:
        daily: `marts.chargeback_daily`.

    Returns:
        `marts.chargeback_monthly`, sorted by its key; published_cost and adjustment are NULL;
        converted_cost is NULL where that of any of its days is, and unconverted_cost the effective_cost of those days.
    """
    key = list(CHARGEBACK_MONTHLY.key)
    days = daily.with_columns(month="billing_month")
    converted = pl.col("converted_cost")
    known = days.group_by(key).agg(
        pl.when(converted.is_not_null().all()).then(converted.sum()).cast(MONEY).alias("converted_cost"),
        pl.col("effective_cost").filter(converted.is_null()).sum().cast(MONEY).alias("unconverted_cost"),
    )
    months = _sum(days, key).join(known, on=key, how="left", nulls_equal=True)
    return CHARGEBACK_MONTHLY.conform(months).sort(key)


def _sum(frame: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    return frame.group_by(key).agg(pl.col(name).cast(MONEY).sum() for name in AMOUNTS)


def reconcile(
    ingested: pl.DataFrame, focus: pl.DataFrame, quarantined: pl.DataFrame, daily: pl.DataFrame
) -> pl.DataFrame:
    """Compares money in with money out, by source, billing month and currency, in BilledCost.

    Args:
        ingested: Columns source, month, currency, total: sums over native rows, apart from the mapping.
        focus: The same columns: sums over `focus.cost_and_usage`.
        quarantined: The same columns: sums over rows set aside.
        daily: `marts.chargeback_daily`.

    Returns:
        `ops.reconciliation`, sorted by its key; what one side lacks counts as 0 there.
    """
    key = list(RECONCILIATION.key)
    allocated = daily.select(
        "source", pl.col("billing_month").alias("month"), "currency", total="billed_cost"
    )
    sides = {
        "source_total": ingested,
        "focus_total": focus,
        "quarantined_total": quarantined,
        "allocated_total": allocated,
    }
    stacked = pl.concat(
        [
            side.select(
                *(pl.col(name).cast(RECONCILIATION.schema[name]) for name in key),
                pl.col("total").cast(MONEY).alias(side_total),
            )
            for side_total, side in sides.items()
        ],
        how="diagonal",
    )
    lost = pl.col("source_total") - pl.col("focus_total") - pl.col("quarantined_total")
    unassigned = pl.col("focus_total") - pl.col("allocated_total")
    totals = stacked.group_by(key).agg(pl.col(name).sum() for name in sides)
    return RECONCILIATION.conform(totals.with_columns(difference=lost.abs() + unassigned.abs())).sort(key)
