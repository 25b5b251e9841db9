"""What a model cost over its life, and what AI costs of revenue: two more sums over the chargeback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from models.config import ModelScope
from models.currency import convert
from models.ownership import fold
from models.records import Rate, Revenue
from models.tables import AI_COST_RATIO, MODEL_COST_MONTHLY, MONEY

UNASSIGNED = "unassigned"

PHASES: Mapping[str, str] = {
    "prototyping": "development",
    "evaluation": "development",
    "data_processing": "development",
    "training": "training",
    "fine_tuning": "training",
    "batch_inference": "serving",
    "realtime_inference": "serving",
    "edge_inference": "serving",
}
"""workload_type -> phase of a model's life; what is not here is `other`."""


def monthly(chargeback_monthly: pl.DataFrame, models: Mapping[str, ModelScope]) -> pl.DataFrame:
    """Effective cost by model and phase; every charge is in exactly one row.

    A charge belongs to the model that names its workload, else to the one that names its project, else to
    `unassigned`.

    Args:
        chargeback_monthly: `marts.chargeback_monthly`.
        models: The `models` settings.

    Returns:
        `marts.model_cost_monthly`, sorted by its key; cost_to_date adds the months up to the row's own.

    Raises:
        ValueError: Two models name one workload or project.
    """
    workloads, projects = _owners(models, "workloads"), _owners(models, "projects")

    def folded(column: str) -> pl.Expr:
        return pl.col(column).map_elements(fold, return_dtype=pl.String)

    def named(column: str, by: Mapping[str, str]) -> pl.Expr:
        return folded(column).replace_strict(by, default=None, return_dtype=pl.String)

    key = list(MODEL_COST_MONTHLY.key)
    rows = (
        chargeback_monthly.with_columns(
            model=pl.coalesce(named("workload", workloads), named("project", projects), pl.lit(UNASSIGNED)),
            phase=folded("workload_type").replace_strict(PHASES, default="other", return_dtype=pl.String),
        )
        .group_by(key)
        .agg(cost=pl.col("effective_cost").sum())
        .sort(key)
    )
    life = [name for name in key if name != "month"]
    return MODEL_COST_MONTHLY.conform(
        rows.with_columns(cost_to_date=pl.col("cost").cum_sum().over(life, order_by="month").cast(MONEY))
    )


def ratio(
    chargeback_monthly: pl.DataFrame, revenue: Sequence[Revenue], rates: Sequence[Rate], currency: str
) -> pl.DataFrame:
    """What AI cost of revenue, by month, both in the organisation's currency.

    Revenue in another currency is converted at the rate of the month's first day.

    Args:
        chargeback_monthly: `marts.chargeback_monthly`.
        revenue: Revenue by month and currency; what projects brought is left out.
        rates: Exchange rates.
        currency: The organisation's currency.

    Returns:
        `marts.ai_cost_ratio`, sorted: months with charges or revenue.
    """
    schema = pl.Schema({"day": pl.Date(), "currency": pl.String(), "amount": MONEY})
    earned = pl.DataFrame(
        [(r.month, r.currency, r.amount) for r in revenue if r.project is None], schema=schema, orient="row"
    )
    earned = (
        convert(earned, rates, currency, "amount", "converted")
        .group_by(month="day")
        .agg(revenue=pl.when(pl.col("converted").is_not_null().all()).then(pl.col("converted").sum()))
    )
    unknown = pl.col("converted_cost").is_null()
    spent = chargeback_monthly.group_by("month").agg(
        cost=pl.when(~unknown.any()).then(pl.col("converted_cost").sum()),
        unconverted_rows=unknown.sum().cast(pl.Int64),
    )
    both = spent.join(earned, on="month", how="full", coalesce=True)
    return AI_COST_RATIO.conform(
        both.with_columns(
            pl.col("unconverted_rows").fill_null(0),
            ratio=pl.col("cost").cast(pl.Float64) / pl.col("revenue").cast(pl.Float64),
        )
    ).sort("month")


def _owners(models: Mapping[str, ModelScope], what: str) -> dict[str, str]:
    owners: dict[str, str] = {}
    for model, scope in models.items():
        for name in getattr(scope, what):
            other = owners.setdefault(fold(name), model)
            if other != model:
                msg = (
                    f"models: {what[:-1]} {name!r} is named by both {other!r} and {model!r}; keep one of them"
                )
                raise ValueError(msg)
    return owners
