"""What a page states about use: GPU hours and utilisation, cost per unit, and placement options.

Pure functions from frames to plain records. Sums of money by owner are in `figures.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext

import polars as pl

from dashboards.figures import total
from models.unit_cost import costed

MILLION = Decimal(1_000_000)
COST_PARTS: Mapping[str, str] = {
    "capex": "hardware",
    "usage": "usage",
    "energy": "energy",
    "opex": "operation",
    "egress": "data transfer",
    "migration": "migration",
}
"""Columns of `marts.placement_options` -> parts of a chart."""


@dataclass(frozen=True)
class GpuUse:
    """Use of some GPUs over some days.

    Attributes:
        capacity: GPU-hours in service.
        allocated: GPU-hours held by somebody.
        known: GPU-hours allocated for which the use is known.
        used: GPU-hours used of those; None where it is known for none.
        utilisation: used / known (0-1).
        coverage: Observed part of the capacity (0-1).
        energy_kwh: Energy at the cards, measured and estimated, before PUE; None where a part of it is unknown.
        cost_used: Cost of the used part.
        cost_idle: Cost of hours held and not used.
        cost_unallocated: Cost of hours nobody held.
    """

    capacity: float
    allocated: float
    known: float
    used: float | None
    utilisation: float | None
    coverage: float | None
    energy_kwh: float | None
    cost_used: Decimal
    cost_idle: Decimal
    cost_unallocated: Decimal


def gpu_use(frame: pl.DataFrame) -> GpuUse:
    """Adds up rows of `marts.gpu_daily` of one currency."""
    known = frame.filter(pl.col("gpu_hours_used").is_not_null())
    capacity, held = float(frame["gpu_hours_capacity"].sum()), float(known["gpu_hours_allocated"].sum())
    used = float(known["gpu_hours_used"].sum()) if known.height else None
    observed = float((frame["coverage"] * frame["gpu_hours_capacity"]).sum())
    energy = frame["energy_kwh"] + frame["energy_estimated_kwh"]
    return GpuUse(
        capacity=capacity,
        allocated=float(frame["gpu_hours_allocated"].sum()),
        known=held,
        used=used,
        utilisation=used / held if used is not None and held > 0 else None,
        coverage=observed / capacity if capacity > 0 else None,
        energy_kwh=None if energy.has_nulls() else float(energy.sum()),
        cost_used=total(frame, "cost_used"),
        cost_idle=total(frame, "cost_idle"),
        cost_unallocated=total(frame, "cost_unallocated"),
    )


def card_label() -> pl.Expr:
    """A card's short name: node, the last 8 characters of its UUID, and its MIG profile if it has one."""
    short = pl.col("gpu").str.slice(-8)
    mig = pl.when(pl.col("mig_profile").is_null()).then(pl.lit("")).otherwise(" " + pl.col("mig_profile"))
    return (pl.coalesce("node", "site") + " · " + short + mig).alias("card")


def gpu_cards(frame: pl.DataFrame, top: int = 20) -> list[tuple[str, str, str, GpuUse]]:
    """Use by card, the greatest cost of idle and unallocated hours first.

    Args:
        frame: Rows of `marts.gpu_daily` of one currency.
        top: Most lines to give; what does not fit becomes one line `N other cards`.

    Returns:
        (site, card, model, use) a line.
    """
    labelled = frame.with_columns(
        card_label(), (pl.col("cost_idle") + pl.col("cost_unallocated")).alias("waste")
    )
    keys = ["site", "node", "gpu", "mig_profile"]
    order = (
        labelled.group_by([*keys, "card"])
        .agg(pl.col("waste").sum())
        .sort(["waste", *keys], descending=[True, False, False, False, False])
    )
    ranked = labelled.join(order.with_row_index("rank").drop("waste", "card"), on=keys, nulls_equal=True)
    result = [
        (f["site"][0], f["card"][0], f["gpu_model"].drop_nulls().sort().first() or "", gpu_use(f))
        for _, f in ranked.filter(pl.col("rank") < top).sort("rank").group_by("rank", maintain_order=True)
    ]
    if order.height > top:
        result.append(
            ("", f"{order.height - top} other cards", "", gpu_use(ranked.filter(pl.col("rank") >= top)))
        )
    return [(str(s), str(c), str(m), u) for s, c, m, u in result]


def gpu_parts(frame: pl.DataFrame) -> pl.DataFrame:
    """GPU-hours per day: day, series (used, idle, unallocated, unknown), value.

    The values of a day sum to its capacity; a series that is 0 on a day has no row.
    """
    held, used = pl.col("gpu_hours_allocated"), pl.col("gpu_hours_used")
    rest = pl.col("gpu_hours_capacity") - held
    parts = {
        "used": used,
        "idle": held - used,
        "unallocated": pl.when(pl.col("state") != "unknown").then(rest),
        "unknown": pl.when(used.is_null()).then(held).otherwise(0.0)
        + pl.when(pl.col("state") == "unknown").then(rest).otherwise(0.0),
    }
    return (
        pl.concat(
            frame.group_by("day")
            .agg(e.fill_null(0.0).sum().alias("value"))
            .select("day", pl.lit(name).alias("series"), "value")
            for name, e in parts.items()
        )
        .filter(pl.col("value") != 0)
        .sort("day", "series")
    )


def waste_by_card(frame: pl.DataFrame) -> pl.DataFrame:
    """Cost of idle and unallocated hours of the 20 worst cards by day: card, day, value; the worst first."""
    daily = (
        frame.with_columns(card_label(), (pl.col("cost_idle") + pl.col("cost_unallocated")).alias("value"))
        .group_by("site", "card", "day")
        .agg(pl.col("value").sum())
        .with_columns(pl.col("value").sum().over("site", "card").alias("all"))
        .sort(["all", "site", "card", "day"], descending=[True, False, False, False])
    )
    worst = daily.select("site", "card").unique(maintain_order=True).head(20)
    return daily.join(worst, on=["site", "card"], how="semi", maintain_order="left").select(
        "card", "day", "value"
    )


@dataclass(frozen=True)
class UnitCost:
    """What one workload's work cost per unit over some days.

    Attributes:
        workload, team, tier: Whose work.
        model: Served model; empty where several share the cost.
        inferences: Inferences on the days on which they are known; None for no such day.
        tokens: Prompt and generated tokens; None where unknown.
        cost: Cost on the full basis, on every day.
        per_inferences: basis -> cost per 1M inferences; None where there were none.
        per_tokens: basis -> cost per 1M tokens.
        kwh_per_tokens: kWh per 1M tokens over the days on which both are known.
        worst_p95_ms: The highest daily 95th percentile of latency.
        peak_per_s: Inferences a second of the busiest hour; None where unknown.
        days_known: Days with known inferences and whole costs: those of `per_inferences`.
        days: Days with cost.
        dark: On some day who held its GPUs is not known for so long that the day is in no unit cost.
    """

    workload: str
    model: str
    team: str
    tier: str
    inferences: float | None
    tokens: float | None
    cost: Decimal
    per_inferences: Mapping[str, Decimal | None]
    per_tokens: Mapping[str, Decimal | None]
    kwh_per_tokens: float | None
    worst_p95_ms: float | None
    peak_per_s: float | None
    days_known: int
    days: int
    dark: bool

    @property
    def counted(self) -> bool:
        """Its requests or tokens are known on some day."""
        return self.inferences is not None or self.tokens is not None

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What tells it from other unit costs of a period and currency."""
        return self.workload, self.model, self.team, self.tier


def unit_costs(frame: pl.DataFrame) -> list[UnitCost]:
    """Adds up rows of `marts.unit_cost_daily` of one currency by workload, model, team and tier.

    Cost per unit is 1e6 x cost / units over the days on which the units and the whole cost are known, so that
    a day without work still costs and a day without a measurement distorts nothing.

    Returns:
        Greatest full cost first.
    """
    keys = ["workload", "model", "team", "tier"]
    tokens = pl.col("tokens_in") + pl.col("tokens_out")
    result = []
    for _, group in frame.with_columns(tokens.alias("tokens")).group_by(keys):
        full = group.filter(pl.col("basis") == "full")
        known = full.filter(pl.col("inferences").is_not_null())
        seen = group.filter(costed())
        both = seen.filter(
            pl.col("basis") == "full", pl.col("tokens").is_not_null(), pl.col("energy_kwh").is_not_null()
        )
        bases = {b: seen.filter(pl.col("basis") == b) for b in ("full", "marginal")}
        first = group.row(0, named=True)
        both_tokens = float(both["tokens"].sum())
        result.append(
            UnitCost(
                workload=first["workload"],
                model=first["model"] or "",
                team=first["team"],
                tier=first["tier"],
                inferences=float(known["inferences"].sum()) if known.height else None,
                tokens=float(full["tokens"].sum()) if full["tokens"].drop_nulls().len() else None,
                cost=total(full, "cost"),
                per_inferences={b: _per_million(f, "inferences") for b, f in bases.items()},
                per_tokens={b: _per_million(f, "tokens") for b, f in bases.items()},
                kwh_per_tokens=1e6 * float(both["energy_kwh"].sum()) / both_tokens
                if both_tokens > 0
                else None,
                worst_p95_ms=full["p95_ms"].max(),  # type: ignore[arg-type]
                peak_per_s=full["inferences_per_s_peak"].max(),  # type: ignore[arg-type]
                days_known=known.filter(costed())["day"].n_unique(),
                days=full["day"].n_unique(),
                dark=seen.height < group.height,
            )
        )
    return sorted(result, key=lambda u: (-u.cost, u.workload, u.model, u.team, u.tier))


def _per_million(frame: pl.DataFrame, unit: str) -> Decimal | None:
    known = frame.filter(pl.col(unit).is_not_null() & pl.col("cost").is_not_null())
    units = Decimal(str(float(known[unit].sum())))
    if units <= 0:
        return None
    with localcontext() as context:
        context.prec = 40
        return MILLION * total(known, "cost") / units


def unit_cost_lines(frame: pl.DataFrame) -> pl.DataFrame:
    """Full cost per 1M inferences by day, for a chart, of the eight series of greatest cost.

    Args:
        frame: Rows of `marts.unit_cost_daily` of one currency.

    Returns:
        day, series (the workload, with tier and model where it has several), value.
    """
    full = frame.filter(pl.col("basis") == "full")
    several = pl.struct("tier", "model").n_unique().over("workload") > 1
    name = (
        pl.when(several)
        .then(pl.concat_str("workload", "tier", "model", separator=" · ", ignore_nulls=True))
        .otherwise(pl.col("workload"))
    )
    named = full.select("day", "cost", name.alias("series"), pl.col("cost_per_1m_inferences").alias("value"))
    known = named.filter(pl.col("value").is_not_null())
    greatest = (
        known.group_by("series").agg(pl.col("cost").sum()).sort(["cost", "series"], descending=[True, False])
    )
    return known.join(greatest.head(8), on="series", how="semi").drop("cost").sort("series", "day")


def option_parts(options: pl.DataFrame, current: str | None, recommended: str | None) -> pl.DataFrame:
    """Cost parts of the options with a known cost, cheapest first.

    Args:
        options: Rows of `marts.placement_options` of one workload.
        current: The option of today.
        recommended: The option advised.

    Returns:
        option (marked where it is today's or advised), part, value.
    """
    marks = {
        name: " (today, advised)" if current == recommended else mark
        for name, mark in ((recommended, " (advised)"), (current, " (today)"))
        if name is not None
    }
    label = pl.col("option") + pl.col("option").replace_strict(marks, default="", return_dtype=pl.String)
    return (
        options.filter(pl.col("feasible") & pl.col("cost_36m").is_not_null())
        .sort("cost_36m", "option")
        .with_columns(label.alias("option"))
        .unpivot(list(COST_PARTS), index="option", variable_name="part", value_name="value")
        .filter(pl.col("value") != 0)
        .with_columns(pl.col("part").replace_strict(COST_PARTS, return_dtype=pl.String))
    )
