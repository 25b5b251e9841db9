"""What a project brought of what it cost, by month and to date: the chargeback beside benefits that are declared."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from models.currency import convert
from models.ownership import fold
from models.records import Rate, Revenue
from models.tables import MONEY, ROI_MONTHLY

KINDS = ("direct", "shared", "idle", "unallocated")


def monthly(
    chargeback_monthly: pl.DataFrame, revenue: Sequence[Revenue], rates: Sequence[Rate], currency: str
) -> pl.DataFrame:
    """Cost, benefit and return of the projects for which a benefit is declared, in the organisation's currency.

    A benefit in another currency is converted at the rate of the month's first day. A month without one, up to the
    last that has one, brought 0; what later months brought is unknown.

    Args:
        chargeback_monthly: `marts.chargeback_monthly`.
        revenue: Rows with a project (compared without regard to case) are its benefits; others are left out.
        rates: Exchange rates.
        currency: The organisation's currency.

    Returns:
        `marts.roi_monthly`, sorted by its key: months with charges or benefit. To date is since the first of them.
        NULL from the first month on of which a part has no rate.
    """
    schema = pl.Schema({"day": pl.Date(), "project": pl.String(), "currency": pl.String(), "amount": MONEY})
    declared = [(r.month, fold(r.project), r.currency, r.amount) for r in revenue if r.project is not None]
    brought = (
        convert(
            pl.DataFrame(declared, schema=schema, orient="row"), rates, currency, "amount", "converted"
        )
        .group_by("project", month="day")
        .agg(benefit=pl.when(pl.col("converted").is_not_null().all()).then(pl.col("converted").sum()))
        .with_columns(declared=pl.lit(value=True))
    )  # fmt: skip
    known = pl.col("converted_cost").is_not_null().all()
    amount = pl.col("converted_cost")
    spent = (
        chargeback_monthly.with_columns(pl.col("project").map_elements(fold, return_dtype=pl.String))
        .join(brought.select("project").unique(), on="project", how="semi")
        .group_by("project", "month")
        .agg(
            cost=pl.when(known).then(amount.sum()),
            **{
                f"cost_{kind}": pl.when(known).then(amount.filter(pl.col("cost_kind") == kind).sum())
                for kind in KINDS
            },
            charged=pl.lit(value=True),
        )
    )
    costs = ["cost", *(f"cost_{kind}" for kind in KINDS)]
    zero = pl.lit(0).cast(MONEY)
    rows = (
        spent.join(brought, on=["project", "month"], how="full", coalesce=True)
        .sort("project", "month")
        .with_columns(
            *(pl.when("charged").then(name).otherwise(zero).alias(name) for name in costs),
            last=pl.col("month").filter("declared").max().over("project"),
        )
        .with_columns(
            benefit=pl.when("declared").then("benefit").when(pl.col("month") <= pl.col("last")).then(zero)
        )
        .with_columns(_to_date("cost"), _to_date("benefit"))
    )
    cost, benefit = (pl.col(f"{name}_to_date").cast(pl.Float64) for name in ("cost", "benefit"))
    return ROI_MONTHLY.conform(
        rows.with_columns(currency=pl.lit(currency), roi=pl.when(cost > 0).then((benefit - cost) / cost))
    ).sort(ROI_MONTHLY.key)


def _to_date(name: str) -> pl.Expr:
    """The sum of the project's months so far; NULL as soon as one is."""
    lacking = pl.col(name).is_null().cum_max().over("project")
    summed = pl.col(name).cum_sum().over("project").cast(MONEY)
    return pl.when(~lacking).then(summed).alias(f"{name}_to_date")
