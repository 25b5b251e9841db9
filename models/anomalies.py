"""Days on which a team's service costs what it usually does not.

A day is held against three things: the 28 days before it (beyond Tukey's outer fences, three interquartile ranges from
the quartiles), the same weekday of the last four weeks, and the same day of the month before. It is unusual only if it is
beyond all of them, so that what comes weekly or monthly is no surprise the second time.

Source: J. W. Tukey, Exploratory Data Analysis, 1977, for the fences.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from models.config import Anomalies
from models.owned_lines import ELECTRICITY_SERVICE
from models.tables import ANOMALIES, MONEY

SERIES = ["source", "team", "service_provider", "service_name", "currency"]
"""What costs are looked at by."""

BEFORE_DAYS = 28
LEAST_DAYS = 14
"""Days before a day of which the costs are looked at, and the fewest of them that tell anything."""

FENCE = 3.0
"""Interquartile ranges from the quartiles to Tukey's outer fences."""

LATE_DAYS = 2
"""Last days of a source that may lack charges which are still to come: they are not called low."""

SHARE_OF_DAY = 0.01
"""Least that a difference must be of an ordinary day's cost of all teams, where the settings name no amount."""

_WHO = ["workload", "project", "environment", "sub_account"]


def daily(chargeback_daily: pl.DataFrame, as_of: date, settings: Anomalies) -> pl.DataFrame:
    """Unusual days, high and low.

    A day without charges costs 0 if it lies between the first and the last ordinary day of its source. The demand charge of a
    site, which is all charged on the day of the peak, is left out.

    Args:
        chargeback_daily: `marts.chargeback_daily`.
        as_of: Days after it are not looked at.
        settings: What is too little to be told.

    Returns:
        `marts.anomalies`, sorted by its key.
    """
    rows = chargeback_daily.filter(
        (pl.col("day") <= as_of) & (pl.col("service_name") != ELECTRICITY_SERVICE).fill_null(value=True)
    )
    if rows.is_empty():
        return ANOMALIES.empty()
    judged = _judged(_dense(rows))
    worth = _ordinary_day(rows, settings)
    cost, high, low = (pl.col(name) for name in ("amount", "most", "least"))
    expected = pl.when(cost > high).then(high).otherwise(low)
    impact = (cost - expected).abs()
    found = (
        judged.sort("day")
        .join_asof(worth, on="day", by="currency", check_sortedness=False)
        .filter(
            (cost > pl.max_horizontal(high, "above"))
            | ((cost < pl.min_horizontal(low, "below")) & (pl.col("left") >= LATE_DAYS))
        )
        .filter((impact >= pl.col("worth")) & (impact >= settings.min_share * expected.abs()))
        .with_columns(
            direction=pl.when(cost > high).then(pl.lit("high")).otherwise(pl.lit("low")),
            expected=expected.round(12).cast(MONEY),
        )
        .with_columns(impact=pl.col("cost") - pl.col("expected"))
    )
    return ANOMALIES.conform(_with_driver(_with_since(found), rows)).sort(ANOMALIES.key, nulls_last=True)


def _dense(rows: pl.DataFrame) -> pl.DataFrame:
    """SERIES, day, cost (MONEY), left: a row for each day of the source, with how many more it has.

    A source begins and ends with a day on which at least half as many of its series have charges as on the ordinary one of
    its first or last days: a fee of the month that is dated the 1st says nothing of the days after it.
    """
    costs = rows.group_by(*SERIES, "day").agg(cost=pl.col("effective_cost").sum())
    day, count = pl.col("day"), pl.col("len")
    days = (
        costs.group_by("source", "day")
        .len()
        .sort("source", "day")
        .group_by("source")
        .agg(
            first=day.filter(2 * count >= count.head(BEFORE_DAYS).median()).min(),
            last=day.filter(2 * count >= count.tail(BEFORE_DAYS).median()).max(),
        )
        .with_columns(day=pl.date_ranges("first", "last"))
        .drop("first")
        .explode("day")
        .with_columns(left=(pl.col("last") - pl.col("day")).dt.total_days())
        .drop("last")
    )
    grid = costs.select(SERIES).unique().join(days, on="source")
    return grid.join(costs, on=[*SERIES, "day"], how="left", nulls_equal=True).with_columns(
        pl.col("cost").fill_null(0).cast(MONEY)
    )


def _judged(dense: pl.DataFrame) -> pl.DataFrame:
    """With amount (Float64), most and least of what is usual, the fences above and below, and seen, the days before (at most 28).

    Days with enough before them.
    """
    month_ago = dense.select(
        *SERIES, pl.col("day").alias("month_ago"), pl.col("cost").cast(pl.Float64).alias("last_month")
    )
    ordered = (
        dense.with_columns(
            amount=pl.col("cost").cast(pl.Float64), month_ago=pl.col("day").dt.offset_by("-1mo")
        )
        .join(month_ago, on=[*SERIES, "month_ago"], how="left", nulls_equal=True)
        .sort(*SERIES, "day")
    )
    before = pl.col("amount").shift(1)
    quartiles = {
        name: before.rolling_quantile(q, "linear", window_size=BEFORE_DAYS, min_samples=LEAST_DAYS).over(
            SERIES
        )
        for name, q in (("q1", 0.25), ("median", 0.5), ("q3", 0.75))
    }
    weekdays = {
        f"week_{k}": pl.col("amount").shift(7 * k).over(SERIES) for k in range(1, BEFORE_DAYS // 7 + 1)
    }
    seen = pl.int_range(pl.len(), dtype=pl.Int64).over(SERIES).clip(upper_bound=BEFORE_DAYS)
    usual = ["median", *weekdays, "last_month"]
    reach = FENCE * (pl.col("q3") - pl.col("q1"))
    return (
        ordered.with_columns(**quartiles, **weekdays, seen=seen)
        .filter(pl.col("median").is_not_null())
        .with_columns(
            most=pl.max_horizontal(usual),
            least=pl.min_horizontal(usual),
            above=pl.col("q3") + reach,
            below=pl.col("q1") - reach,
        )
        .select(*SERIES, "day", "left", "seen", "cost", "amount", "most", "least", "above", "below")
    )


def _ordinary_day(rows: pl.DataFrame, settings: Anomalies) -> pl.DataFrame:
    """currency, day, worth: the least difference that is told, by the days with charges up to this one."""
    days = rows.group_by("currency", "day").agg(cost=pl.col("effective_cost").sum().cast(pl.Float64).abs())
    median = pl.col("cost").rolling_median(BEFORE_DAYS, min_samples=1).over("currency")
    told = SHARE_OF_DAY * median if settings.min_impact is None else pl.lit(float(settings.min_impact))
    return (
        days.sort("currency", "day").with_columns(worth=told).select("currency", "day", "worth").sort("day")
    )


def _with_since(found: pl.DataFrame) -> pl.DataFrame:
    """With since: the first of the days in a row that are unusual in the same direction."""
    group = [*SERIES, "direction"]
    place = pl.int_range(pl.len(), dtype=pl.Int64).over(group)
    return (
        found.sort(*group, "day")
        .with_columns(run=pl.col("day").cast(pl.Int32).cast(pl.Int64) - place)
        .with_columns(since=pl.col("day").min().over(*group, "run"))
    )


def _named(column: str) -> pl.Expr:
    """A name, NULL where there is none."""
    return pl.when(pl.col(column) != "untagged").then(pl.col(column))


def _with_driver(found: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """With the part of the series that differs most from its mean of the days before, in the same direction."""
    asked = found.select(*SERIES, pl.col("day").alias("on"), "direction", "seen")
    days = pl.date_ranges(pl.col("on") - pl.duration(days="seen"), "on")
    costs = rows.select(*SERIES, *_WHO, "day", "effective_cost")
    near = asked.with_columns(day=days).explode("day").join(costs, on=[*SERIES, "day"], nulls_equal=True)
    cost, is_day = pl.col("effective_cost"), pl.col("day") == pl.col("on")
    moved = near.group_by(*SERIES, *_WHO, "on", "direction").agg(
        driver_impact=cost.filter(is_day).sum().cast(pl.Float64)
        - cost.filter(~is_day).sum().cast(pl.Float64) / pl.col("seen").first()
    )
    sign = pl.when(pl.col("direction") == "high").then(1).otherwise(-1)
    first = (
        moved.sort(pl.col("driver_impact") * sign, *_WHO, descending=[True, *[False] * len(_WHO)])
        .group_by(*SERIES, "on", maintain_order=True)
        .first()
        .with_columns(
            pl.col("driver_impact").round(12).cast(MONEY),
            driver=pl.concat_str([_named(c) for c in _WHO], separator=" · ", ignore_nulls=True).replace(
                "", None
            ),
        )
    )
    picked = first.select(*SERIES, pl.col("on").alias("day"), "driver", "driver_impact")
    return found.join(picked, on=[*SERIES, "day"], how="left", nulls_equal=True)
