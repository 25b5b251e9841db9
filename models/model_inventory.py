"""Which model runs where, how it performs, what it costs, and where its updates come from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import polars as pl

from models.config import ModelScope
from models.latency import merge, quantile
from models.ownership import fold
from models.tables import MODEL_INVENTORY, MONEY
from models.unit_cost import costed

WINDOW_DAYS = 30
WORK = ("day", "workload", "tier")
PLACE = ("model", "place")
COUNTS = ("inferences", "tokens_in", "tokens_out")


def inventory(
    unit_cost_daily: pl.DataFrame,
    inference_hourly: pl.DataFrame,
    edge_daily: pl.DataFrame,
    models: Mapping[str, ModelScope],
    as_of: date,
) -> pl.DataFrame:
    """One row a served model, tier, place, workload, team that pays and currency.

    Figures are of the last 30 days. A workload's cost of a day is that of its model where one model ran at one place; where
    several did, it cannot be told apart: it stands in a row without model and place, as does that of days without work of a
    workload with several. So all rows together cost what `marts.unit_cost_daily` (basis full) says of workloads with
    a model. Teams that share a workload each have its whole work, as there.

    Args:
        unit_cost_daily: `marts.unit_cost_daily`.
        inference_hourly: `telemetry.inference_hourly` with owners.
        edge_daily: `telemetry.edge_daily` with owners.
        models: The `models` settings; version and update_source are those of the entry of the model's name.
        as_of: Last day of the window.

    Returns:
        `marts.model_inventory`, sorted by its key. p95_ms is the median of the days' percentiles.
    """
    first = as_of - timedelta(days=WINDOW_DAYS - 1)
    reports = _reports(inference_hourly, edge_daily, first)
    tokens = pl.col("tokens_in") + pl.col("tokens_out")
    full = unit_cost_daily.filter(pl.col("basis") == "full").select(
        *WORK, "team", "currency", "cost", "inferences", "p95_ms", tokens=tokens, costed=costed()
    )
    reports = reports.with_columns(places=pl.len().over(WORK), tokens=tokens)
    one, several = reports.filter(pl.col("places") == 1), reports.filter(pl.col("places") > 1)
    alone = one.select(*WORK, *PLACE).join(full, on=WORK).with_columns(ran=pl.lit(value=True))
    paid = full.filter(pl.col("cost").is_not_null() | pl.col("cost").is_null().all().over(WORK))
    apart = several.select(*WORK, *PLACE, "inferences", "tokens", "p95_ms").join(
        paid.select(*WORK, "team", "currency"), on=WORK
    )
    apart = apart.with_columns(costed=pl.lit(value=True), ran=pl.lit(value=True))
    of = ["workload", "tier"]
    only = reports.filter(pl.col("day") >= first).select(*of, *PLACE).unique().filter(pl.len().over(of) == 1)
    rest = full.join(reports.select(of).unique(), on=of, how="semi").join(
        one.select(WORK), on=WORK, how="anti"
    )
    shared = rest.join(several.select(WORK).unique(), on=WORK, how="semi")
    silent = rest.join(several.select(WORK), on=WORK, how="anti").join(only, on=of, how="left")
    rows = pl.concat(
        [alone, apart, shared.with_columns(pl.lit(None, dtype=pl.Float64).alias(c) for c in ("inferences", "tokens", "p95_ms")), silent],
        how="diagonal",
    )  # fmt: skip
    inside = pl.col("day").is_between(first, as_of)
    known = inside & pl.col("costed") & pl.col("cost").is_not_null() & pl.col("inferences").is_not_null()
    ran = inside & pl.col("ran").is_not_null()

    def total(name: str) -> pl.Expr:
        value = pl.col(name).filter(inside)
        return pl.when(value.is_not_null().any()).then(value.drop_nulls().sort().sum()).alias(name)

    cost, work = (pl.col(name).filter(known).sum().cast(pl.Float64) for name in ("cost", "inferences"))
    grouped = rows.group_by(*PLACE, "tier", "team", "workload", "currency").agg(
        first_day=pl.coalesce(pl.col("day").filter(pl.col("ran")).min(), pl.col("day").min()),
        last_day=pl.coalesce(pl.col("day").filter(pl.col("ran")).max(), pl.col("day").max()),
        days=pl.col("day").filter(ran).n_unique().cast(pl.Int64),
        days_counted=pl.col("day").filter(ran & pl.col("inferences").is_not_null()).n_unique().cast(pl.Int64),
        **{name: total(name) for name in ("inferences", "tokens", "cost")},
        p95_ms=pl.col("p95_ms").filter(inside).median(),
        cost_per_1m_inferences=pl.when(work > 0).then((1e6 * cost / work).round(12)).cast(MONEY),
    )
    declared = {fold(name): scope for name, scope in models.items()}
    found = [None if m is None else declared.get(fold(m)) for m in grouped["model"]]
    return MODEL_INVENTORY.conform(
        grouped.with_columns(
            version=pl.Series([s and s.version for s in found], dtype=pl.String),
            update_source=pl.Series([s and s.update_source for s in found], dtype=pl.String),
        )
    ).sort(MODEL_INVENTORY.key)


def _reports(hourly: pl.DataFrame, edge: pl.DataFrame, first: date) -> pl.DataFrame:
    """Columns WORK, PLACE, counts, p95_ms (of days from the first on where a workload has several places)."""
    served = hourly.with_columns(place=pl.coalesce("site", "source"))
    devices = edge.with_columns(place="site", tier=pl.lit("edge"))
    needed = (*WORK, *PLACE, *COUNTS, "failed", "latency_buckets")
    both = pl.concat(
        [f.select(c for c in needed if c in f.columns) for f in (served, devices)], how="diagonal"
    )
    requests = pl.col("inferences") + pl.col("failed").fill_null(0.0)
    buckets = pl.col("latency_buckets")
    days = (
        both.filter(pl.col("workload").is_not_null())
        .group_by(*WORK, *PLACE)
        .agg(
            *(pl.when(pl.col(c).is_not_null().all()).then(pl.col(c).sort().sum()).alias(c) for c in COUNTS),
            buckets=buckets.filter(buckets.is_not_null() | requests.ne_missing(pl.lit(0.0))),
        )
        .with_columns(told=(pl.len().over(WORK) > 1) & (pl.col("day") >= first))
    )
    p95 = [_p95(found) if told else None for found, told in days.select("buckets", "told").iter_rows()]
    return days.drop("buckets", "told").with_columns(p95_ms=pl.Series(p95, dtype=pl.Float64))


def _p95(histograms: list[str | None]) -> float | None:
    merged = merge(histograms)
    seconds = None if merged is None else quantile(merged, 0.95)
    return None if seconds is None else 1000 * seconds
