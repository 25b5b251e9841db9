"""What telemetry and the ledger say about a workload's month, as the placement decision needs it.

A month is 730 hours. What the figures are used for belongs to `options.py` and `recommend.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import polars as pl

from models.placement.settings import MONTH_HOURS
from models.tables import MONEY
from models.unit_cost import costed

SCHEMA = pl.Schema(
    {
        "workload": pl.String(),
        "team": pl.String(),
        "days_observed": pl.Int64(),
        "days_left_out": pl.Int64(),
        "inferences_month": pl.Float64(),
        "tokens_in_month": pl.Float64(),
        "tokens_out_month": pl.Float64(),
        "gpu_hours_allocated_month": pl.Float64(),
        "effective_cost_month": MONEY,
        "currency": pl.String(),
        "other_currencies": pl.String(),
        "p95_ms": pl.Float64(),
        "coverage": pl.Float64(),
    }
)
"""One row per workload. NULL is unknown, never zero."""

NO_WORKLOAD = "untagged"

Spans = dict[tuple[str, str], int]
"""(workload, scope) -> days over which the scope was observed while the workload existed."""

Raised = dict[str, Fraction]
"""Workload -> days with anything of tier onprem / those of which the cost is known, where they differ."""

WORK_DAY = ("day", "workload", "tier")


def measure(
    chargeback_daily: pl.DataFrame,
    unit_cost_daily: pl.DataFrame,
    gpu_daily: pl.DataFrame,
    as_of: date,
    days: int = 30,
    *,
    currency: str,
) -> pl.DataFrame:
    """One row per workload, from the last `days` complete days, normalised to a month of 730 hours.

    A total is divided by the calendar days between the first and last day that its source (bills), site
    (GPUs) or tier (requests) reported inside the window, counted from the workload's first day: a batch job
    that runs weekly is not taken for a daily one, and a bill that lags two days is not taken for two days
    without cost. A day on which a value is NULL counts as the mean of the days with one. So does, for all that is of
    tier onprem, a day of a workload on which it is not known who held its GPUs, since its cost is of a part of the
    day and its requests of the whole; a workload of which no such day is known has no figures.

    Args:
        chargeback_daily: `marts.chargeback_daily`.
        unit_cost_daily: `marts.unit_cost_daily`; rows of the basis `full` are used.
        gpu_daily: `marts.gpu_daily`.
        as_of: The last complete day; it belongs to the window.
        days: Length of the window.
        currency: Of the cost. Cost in other currencies is not added; their codes go to `other_currencies`.

    Returns:
        A frame of `SCHEMA`, sorted by workload. `p95_ms` is the median of the daily values (of the slowest
        model, where there are several); `coverage` is the observed share of the GPU capacity of the sites it
        uses, NULL where it uses no owned GPU; `days_observed` is the shortest of its spans, without the
        `days_left_out` where they are in it.
    """
    start = as_of - timedelta(days=days - 1)
    full = unit_cost_daily.filter(pl.col("basis") == "full")
    born: dict[str, date] = {}
    for frame in (chargeback_daily, full, gpu_daily):
        for workload, first in frame.group_by("workload").agg(pl.col("day").min()).iter_rows():
            born[workload] = min(first, born.get(workload, first))
    inside = pl.col("day").is_between(start, as_of)
    cost_spans = _spans(chargeback_daily, "source", start, as_of, born)
    gpu_spans = _spans(gpu_daily, "site", start, as_of, born)
    work_spans = _spans(full, "tier", start, as_of, born)

    charges, served, held = (
        frame.filter(inside)
        for frame in (chargeback_daily, full, gpu_daily.filter(pl.col("state") == "allocated"))
    )
    teams = _teams(charges, served, held)
    held = held.with_columns(tier=pl.lit("onprem"))
    uncosted = _uncosted(served)
    left_out, raised = _left_out(uncosted, charges, served, held)
    unknown = pl.col("workload").is_in(sorted(left_out.keys() - raised.keys()))
    costs, served, cards = (
        frame.filter(~unknown).join(uncosted, on=WORK_DAY, how="anti") for frame in (charges, served, held)
    )
    work = _requests(served)
    cost = _cost_month(costs.filter(pl.col("currency") == currency), cost_spans, raised)
    others = dict(
        costs.filter(pl.col("currency") != currency, pl.col("effective_cost") != 0)
        .group_by("workload")
        .agg(pl.col("currency").unique().sort().str.join(", "))
        .iter_rows()
    )
    volumes = {
        "inferences_month": _month(work, "tier", "inferences", work_spans, raised),
        "tokens_in_month": _month(work, "tier", "tokens_in", work_spans, raised),
        "tokens_out_month": _month(work, "tier", "tokens_out", work_spans, raised),
        "gpu_hours_allocated_month": _month(cards, "site", "gpu_hours_allocated", gpu_spans, raised),
    }
    p95 = dict(work.group_by("workload").agg(pl.col("p95_ms").median()).iter_rows())
    coverage = _coverage(gpu_daily.filter(inside), cards)
    observed: dict[str, int] = {}
    for spans in (work_spans, gpu_spans, cost_spans):
        for (workload, scope), span in spans.items():
            absent = left_out.get(workload, 0) if spans is work_spans and scope == "onprem" else 0
            observed[workload] = min(span - absent, observed.get(workload, span))
    rows = [
        {
            "workload": workload,
            "team": teams.get(workload),
            "days_observed": observed[workload],
            "days_left_out": left_out.get(workload, 0),
            **{name: values.get(workload) for name, values in volumes.items()},
            "effective_cost_month": cost.get(workload),
            "currency": currency,
            "other_currencies": others.get(workload),
            "p95_ms": p95.get(workload),
            "coverage": coverage.get(workload),
        }
        for workload in sorted(observed)
        if workload != NO_WORKLOAD
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _uncosted(full: pl.DataFrame) -> pl.DataFrame:
    """Columns day, workload and tier: days whose cost is not that of the whole day; the tier is onprem.

    It is that of a part where the row is not `costed`, and of none where owned GPUs served requests of a workload
    that has a charge on other days and none on this one.
    """
    charged = full.filter(pl.col("cost").is_not_null()).select("workload", "tier").unique()
    blind = pl.col("cost").is_null() & pl.col("inferences").ne_missing(pl.lit(0.0))
    return (
        full.filter(pl.col("tier") == "onprem")
        .join(charged, on=["workload", "tier"], how="semi")
        .filter(~costed() | blind)
        .select(WORK_DAY)
        .unique()
    )


def _left_out(uncosted: pl.DataFrame, *frames: pl.DataFrame) -> tuple[dict[str, int], Raised]:
    """Workload -> days of tier onprem that are left out; and what the others count for, absent where there are none."""
    there = pl.concat([frame.select(WORK_DAY) for frame in frames]).unique()
    left = dict(uncosted.group_by("workload").agg(pl.len()).iter_rows())
    active = dict(
        there.join(uncosted, on=["workload", "tier"], how="semi")
        .group_by("workload")
        .agg(pl.len())
        .iter_rows()
    )
    return left, {
        workload: Fraction(days, days - left[workload])
        for workload, days in active.items()
        if days > left[workload]
    }


def _spans(frame: pl.DataFrame, scope: str, start: date, end: date, born: Mapping[str, date]) -> Spans:
    """Days of each workload in each scope in which it has rows inside the window."""
    inside = frame.filter(pl.col("day").is_between(start, end))
    first = dict(frame.group_by(scope).agg(pl.col("day").min()).iter_rows())
    last = dict(inside.group_by(scope).agg(pl.col("day").max()).iter_rows())
    return {
        (workload, name): (last[name] - max(start, first[name], born[workload])).days + 1
        for workload, name in inside.select("workload", scope).unique().iter_rows()
    }


def _requests(full: pl.DataFrame) -> pl.DataFrame:
    """Requests per day, workload and tier, once where rows of several teams or currencies repeat them."""
    counts = ("inferences", "tokens_in", "tokens_out")
    return (
        full.group_by("day", "workload", "tier", "model")
        .agg(pl.col(counts).max(), pl.col("p95_ms").max())
        .group_by("day", "workload", "tier")
        .agg(*map(_all, counts), pl.col("p95_ms").max())
    )


def _all(name: str) -> pl.Expr:
    """The sum, NULL where one of the values is unknown."""
    return pl.when(pl.col(name).is_not_null().all()).then(pl.col(name).sort().sum()).alias(name)


def _month(rows: pl.DataFrame, scope: str, value: str, spans: Spans, raised: Raised) -> dict[str, float]:
    """Workload -> value per 730 hours; absent where no day of it is known. A tier that only has cost, such as storage, has no value."""
    by = list(dict.fromkeys(("workload", scope, "tier")))
    daily = (
        rows.group_by(*by, "day")
        .agg(_all(value).alias("total"))
        .group_by(by)
        .agg(pl.col("total").sort().sum(), pl.col("total").count().alias("known"), pl.len().alias("days"))
        .filter(pl.col("known") > 0)
        .sort(by)
    )
    months: dict[str, float] = defaultdict(float)
    for row in daily.iter_rows(named=True):
        workload = row["workload"]
        days = spans[workload, row[scope]] * row["known"] / row["days"]
        months[workload] += row["total"] / days * float(_raise(raised, row)) * MONTH_HOURS / 24
    return dict(months)


def _cost_month(rows: pl.DataFrame, spans: Spans, raised: Raised) -> dict[str, Decimal]:
    """Workload -> effective cost per 730 hours, rounded half-even to 12 decimals."""
    months: dict[str, Decimal] = defaultdict(Decimal)
    by = ("workload", "source", "tier")
    totals = rows.group_by(by).agg(pl.col("effective_cost").sum()).sort(by)
    with localcontext(prec=60):
        for row in totals.iter_rows(named=True):
            part, workload = _raise(raised, row), row["workload"]
            month = row["effective_cost"] * MONTH_HOURS * part.numerator
            month /= 24 * spans[workload, row["source"]] * part.denominator
            months[workload] += month.quantize(Decimal("1e-12"))
    return dict(months)


def _raise(raised: Raised, row: Mapping[str, Any]) -> Fraction:
    return raised.get(row["workload"], Fraction(1)) if row["tier"] == "onprem" else Fraction(1)


def _teams(costs: pl.DataFrame, *others: pl.DataFrame) -> dict[str, str]:
    """Workload -> the team that pays most of it; without cost, the first team that has rows of it."""
    teams: dict[str, str] = {}
    for frame in reversed(others):
        teams |= dict(frame.group_by("workload").agg(pl.col("team").min()).iter_rows())
    paying = costs.group_by("workload", "team").agg(pl.col("effective_cost").sum())
    ranked = paying.sort("workload", "effective_cost", "team", descending=[False, True, False])
    return teams | dict(
        ranked.unique("workload", keep="first", maintain_order=True).select("workload", "team").iter_rows()
    )


def _coverage(gpu: pl.DataFrame, cards: pl.DataFrame) -> dict[str, float]:
    """Workload -> observed share of the GPU capacity of the sites on which it held cards."""
    sites = gpu.group_by("site").agg(
        (pl.col("coverage") * pl.col("gpu_hours_capacity")).sort().sum().alias("seen"),
        pl.col("gpu_hours_capacity").sort().sum().alias("capacity"),
    )
    return dict(
        cards.select("workload", "site")
        .unique()
        .join(sites, on="site")
        .sort("workload", "site")
        .group_by("workload", maintain_order=True)
        .agg(pl.col("seen").sum() / pl.col("capacity").sum())
        .filter(pl.col("seen").is_finite())
        .iter_rows()
    )
