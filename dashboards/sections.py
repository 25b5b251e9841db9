"""The content of a page, before any HTML: what a statement or an overview shows for one currency.

Collects frames from a store and turns them into records and charts. How they look is in the templates; the
arithmetic, in `figures.py` and `usage.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

import polars as pl
from markupsafe import Markup

from dashboards import charts, usage
from dashboards.figures import ZERO, Lines, Period, TeamLines, lines, team_lines, total
from dashboards.format import (
    cents,
    change,
    day_name,
    money,
    number,
    percent,
    signed,
    signed_percent,
    unit_price,
)
from dashboards.store import Store
from models import tables
from models.unit_cost import NO_CURRENCY

WORK = ("workload", "project", "environment", "workload_type", "tier")


@dataclass(frozen=True)
class Frames:
    """What a page is made of: rows of the marts of the month, and (`*_before`) of the days compared with."""

    now: pl.DataFrame
    before: pl.DataFrame | None
    daily: pl.DataFrame
    gpu: pl.DataFrame
    gpu_before: pl.DataFrame | None
    unit: pl.DataFrame
    unit_before: pl.DataFrame | None
    placement: pl.DataFrame
    stale: Mapping[str, datetime | None]

    def of(self, currency: str) -> Frames:
        """The rows in one currency; work without a known cost, which has none, stands with the first of them."""
        shown = self.currencies
        mine = [currency, *({NO_CURRENCY} - {*shown} if currency == shown[0] else ())]

        def own(frame: pl.DataFrame) -> pl.DataFrame:
            return frame.filter(pl.col("currency").is_in(mine))

        return replace(
            self,
            now=own(self.now),
            before=None if self.before is None else own(self.before),
            daily=own(self.daily),
            gpu=own(self.gpu),
            gpu_before=None if self.gpu_before is None else own(self.gpu_before),
            unit=own(self.unit),
            unit_before=None if self.unit_before is None else own(self.unit_before),
            placement=own(self.placement),
        )

    @property
    def currencies(self) -> list[str]:
        """Currencies with charges in the month or with measured costs, the one with most charges first.

        Work without a known cost makes none of its own, unless there is nothing else.
        """
        rows = dict(self.now.group_by("currency").len().iter_rows())
        priced = {*rows, *self.gpu["currency"].to_list()}
        measured = {*self.unit["currency"].to_list()}
        names = priced | (measured - {NO_CURRENCY} if priced | measured != {NO_CURRENCY} else measured)
        return sorted(names, key=lambda c: (-rows.get(c, 0), c))


def collect(store: Store, period: Period) -> Frames:
    """Reads what a page needs, for all teams or for the store's team."""
    month, previous = period.month, period.previous
    return Frames(
        now=store.chargeback_monthly(month),
        before=None if previous is None else period.before(store.chargeback_daily(previous)),
        daily=store.chargeback_daily(month),
        gpu=store.gpu_daily(month),
        gpu_before=None if previous is None else period.before(store.gpu_daily(previous)),
        unit=store.unit_cost_daily(month),
        unit_before=None if previous is None else period.before(store.unit_cost_daily(previous)),
        placement=store.placement() if period.latest else tables.PLACEMENT.empty(),
        stale=store.stale(),
    )


@dataclass(frozen=True)
class Figure:
    """One of the five figures.

    Attributes:
        title: What it is.
        value: The figure, written out.
        change: Its change, written out; empty where there is nothing to compare with.
        direction: up or down, where it is a change of money; else empty. Only money going up is red.
        note: What it is made of.
        is_stale: A source behind it has failed.
    """

    title: str
    value: str
    change: str
    direction: str
    note: str
    is_stale: bool = False


@dataclass(frozen=True)
class Section:
    """Everything a page shows for one currency.

    Attributes:
        closed: Cost when the month was closed; None while it is open.
        adjustment: What changed since then.
        outside: Cost billed in the month for days outside it, which the daily chart does not draw.
        charts: Name -> SVG, of those charts that have something to show.
        is_log: The chart of unit costs has a logarithmic axis.
    """

    currency: str
    figures: tuple[Figure, ...]
    work: Lines
    services: Lines
    kinds: Lines
    methods: Lines
    teams: TeamLines | None
    closed: Decimal | None
    adjustment: Decimal
    outside: Decimal
    gpu: usage.GpuUse
    cards: list[tuple[str, str, str, usage.GpuUse]]
    units: list[usage.UnitCost]
    charts: Mapping[str, Markup]
    is_log: bool


def section(frames: Frames, period: Period, currency: str, *, teams: bool) -> Section:
    """The section of one currency.

    Args:
        frames: What `collect` gave.
        period: The month and what it is compared with.
        currency: The currency.
        teams: The page is about all teams: amounts and charts by team.
    """
    own = frames.of(currency)
    kinds = lines(own.now, own.before, ["cost_kind"], currency, own.stale)
    services = lines(own.now, own.before, ["service_provider", "service_name"], currency, own.stale, top=25)
    by_team = team_lines(own.now, own.before, currency, own.stale) if teams else None
    units = usage.unit_costs(own.unit)
    published = own.now["published_cost"]
    before = None if own.before is None else _worded(own.before)
    return Section(
        currency=currency,
        figures=(
            _cost(kinds, period, currency),
            _idle(kinds, period, currency),
            _gpu(own, period),
            _unit(own, units, period, currency),
            _saving(own.placement, period, currency),
        ),
        work=lines(_worded(own.now), before, WORK, currency, own.stale),
        services=services,
        kinds=kinds,
        methods=lines(own.now, None, ["method"], currency, own.stale),
        teams=by_team,
        closed=total(own.now, "published_cost") if published.drop_nulls().len() else None,
        adjustment=total(own.now, "adjustment"),
        outside=total(own.daily.filter(~pl.col("day").is_in(period.days))),
        gpu=usage.gpu_use(own.gpu),
        cards=usage.gpu_cards(own.gpu),
        units=units,
        charts=_charts(own, period, currency, services, by_team),
        is_log=charts.is_wide(usage.unit_cost_lines(own.unit)["value"]),
    )


def _worded(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("workload_type").str.replace_all("_", " "))


def _direction(now: Decimal, before: Decimal | None) -> str:
    return "" if before is None or now == before else "up" if now > before else "down"


def _change(now: Decimal, before: Decimal | None, period: Period, currency: str) -> str:
    if before is None:
        return "no earlier month to compare with" if period.previous is None else ""
    share = change(now, before)
    relative = "" if share is None else f" ({signed_percent(share)})"
    return f"{signed(now - before, currency)}{relative} vs {period.against}"


def _cost(kinds: Lines, period: Period, currency: str) -> Figure:
    now, before = kinds.total.shown, kinds.total.before
    return Figure(
        "Total effective cost",
        money(now, currency),
        _change(now, before, period, currency),
        _direction(now, before),
        "amortised; direct, shared, idle and unallocated",
        kinds.total.is_stale,
    )


def _idle(kinds: Lines, period: Period, currency: str) -> Figure:
    line = next((line for line in kinds.lines if line.labels == ("idle",)), None)
    before = None if period.previous is None else ZERO
    now, before = (ZERO, before) if line is None else (line.shown, line.before)
    share = None if line is None else line.share
    return Figure(
        "Idle cost",
        money(now, currency),
        _change(now, before, period, currency),
        _direction(now, before),
        "nothing held and unused" if share is None else f"{percent(share)} of the total: held and unused",
        line is not None and line.is_stale,
    )


def _gpu(own: Frames, period: Period) -> Figure:
    use = usage.gpu_use(own.gpu)
    past = None if own.gpu_before is None else usage.gpu_use(own.gpu_before).utilisation
    moved = ""
    if use.utilisation is not None and past is not None:
        moved = f"utilisation {100 * (use.utilisation - past):+.1f} points vs {period.against}"
    note = "no owned GPUs held in this month"
    if not own.gpu.is_empty():
        partly = f"{number(use.known)} of " if number(use.known) != number(use.allocated) else ""
        note = f"{percent(use.utilisation)} of {partly}{number(use.allocated)} GPU-hours allocated"
        note += " (use known)" if partly else ""
        if use.coverage is not None:
            note += f"; {percent(use.coverage)} measured"
    value = "–" if use.used is None else f"{number(use.used)} h"
    is_stale = any(f"site:{s}" in own.stale for s in own.gpu["site"].unique())
    return Figure("GPU-hours used", value, moved, "", note, is_stale)


def _unit(own: Frames, units: list[usage.UnitCost], period: Period, currency: str) -> Figure:
    title = "Cost per 1M inferences"
    main = next((u for u in units if u.per_inferences["full"] is not None), None)
    if main is None:
        return Figure(title, "–", "", "", "no inferences were measured in this month")
    past = [] if own.unit_before is None else usage.unit_costs(own.unit_before)
    same = next((u for u in past if u.key == main.key), None)
    now = main.per_inferences["full"] or ZERO
    before = None if same is None else same.per_inferences["full"]
    share = change(now, before)
    moved = signed_percent(share)
    return Figure(
        title,
        unit_price(now, currency),
        "" if share is None else f"{moved} vs {period.against}",
        "" if moved == signed_percent(0.0) else _direction(now, before),
        f"{main.workload} ({main.tier}), idle and fixed cost included",
    )


def _saving(placement: pl.DataFrame, period: Period, currency: str) -> Figure:
    moves = placement.filter(pl.col("status").is_in(["plan", "implement"]) & (pl.col("saving_36m") > 0))
    n, judged = moves.height, placement.height
    note = "no workload was judged" if period.latest else "stands on the page of the latest month"
    if judged:
        note = f"over 36 months, by moving {n} of {judged} {'workload' if judged == 1 else 'workloads'}"
    return Figure(
        "Placement saving possible",
        money(total(moves, "saving_36m"), currency) if judged else "–",
        f"as of {day_name(period.as_of)}" if judged else "",
        "",
        note,
    )


def _charts(
    own: Frames, period: Period, currency: str, services: Lines, teams: TeamLines | None
) -> dict[str, Markup]:
    name = f"c-{currency.lower()}"
    result: dict[str, str] = {}
    by = pl.col("tier") if teams is None else pl.col("team")
    grey = pl.when(pl.col("cost_kind") == "unallocated").then(pl.lit("unallocated")).otherwise(by)
    spend = own.daily.group_by("day", grey.alias("series")).agg(pl.col("effective_cost").sum().alias("value"))
    spend = spend.filter(pl.col("day").is_in(period.days)).sort("day", "series")
    if spend.height:
        result["spend"] = charts.stacked_days(spend, period.days, f"{name}-spend")
    moves = (
        [(t.team, t.shown - t.before) for t in teams.lines if t.before is not None]
        if teams is not None
        else [(" · ".join(line.labels), line.difference) for line in services.lines if line.difference]
    )
    moved = _largest([(label, value) for label, value in moves if value], currency)
    if moved.height:
        result["changes"] = charts.changes(moved, f"{name}-change")
    if own.gpu.height:
        result["gpu"] = charts.stacked_days(
            usage.gpu_parts(own.gpu), period.days, f"{name}-gpu", ["used", "idle"]
        )
        waste = usage.waste_by_card(own.gpu)
        if waste["value"].cast(pl.Float64).sum() > 0:
            result["heat"] = charts.heat_map(waste, period.days, f"{name}-heat")
    unit = usage.unit_cost_lines(own.unit)
    if unit.height:
        result["unit"] = charts.lines(unit, period.days, f"{name}-unit")
    return {key: Markup(value) for key, value in result.items()}  # noqa: S704 - SVG of vl-convert, escaped


def _largest(moves: list[tuple[str, Decimal]], currency: str) -> pl.DataFrame:
    """Bars of the ten greatest moves, the sum of the others, in order of their value."""
    by_size = sorted(moves, key=lambda m: (-abs(m[1]), m[0]))
    kept, rest = (by_size[:10], by_size[10:]) if len(by_size) > 11 else (by_size, [])
    if rest:
        kept = [*kept, (f"{len(rest)} others", sum((v for _, v in rest), ZERO))]
    kept.sort(key=lambda m: (-m[1], m[0]))
    return pl.DataFrame(
        {
            "series": [label for label, _ in kept],
            "value": [float(v) for _, v in kept],
            "text": [signed(cents(v, currency), currency) for _, v in kept],
        },
        schema={"series": pl.String, "value": pl.Float64, "text": pl.String},
    )
