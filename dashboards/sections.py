"""The content of a page, before any HTML: what a statement or an overview shows for one currency.

Turns frames (`frames.py`) into records and charts; the five figures at the top are in `headlines.py`. How they look is
in the templates; the arithmetic, in `figures.py` and `usage.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import polars as pl
from markupsafe import Markup

from dashboards import charts, headlines, usage
from dashboards.figures import ZERO, Lines, Period, TeamLines, lines, team_lines, total
from dashboards.format import cents, signed
from dashboards.frames import Frames

WORK = ("workload", "project", "environment", "workload_type", "tier")


@dataclass(frozen=True)
class Section:
    """Everything a page shows for one currency.

    Attributes:
        closed: Cost when the month was closed; None while it is open.
        adjustment: What changed since then.
        adjusted: What did, by service or team, beside what it was closed at; None where nothing did.
        outside: Cost billed in the month for days outside it, which the daily chart does not draw.
        charts: Name -> SVG, of those charts that have something to show.
        is_log: The chart of unit costs has a logarithmic axis.
    """

    currency: str
    figures: tuple[headlines.Figure, ...]
    work: Lines
    services: Lines
    kinds: Lines
    methods: Lines
    teams: TeamLines | None
    closed: Decimal | None
    adjustment: Decimal
    adjusted: Lines | None
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
            headlines.cost(kinds, period, currency),
            headlines.idle(kinds, period, currency),
            headlines.gpu(own, period),
            headlines.unit(own, units, period, currency),
            headlines.saving(own.placement, period, currency),
        ),
        work=lines(_worded(own.now), before, WORK, currency, own.stale),
        services=services,
        kinds=kinds,
        methods=lines(own.now, None, ["method"], currency, own.stale),
        teams=by_team,
        closed=total(own.now, "published_cost") if published.drop_nulls().len() else None,
        adjustment=total(own.now, "adjustment"),
        adjusted=_adjusted(own.now, ["team"] if teams else ["service_provider", "service_name"], currency),
        outside=total(own.daily.filter(~pl.col("day").is_in(period.days))),
        gpu=usage.gpu_use(own.gpu),
        cards=usage.gpu_cards(own.gpu),
        units=units,
        charts=_charts(own, period, currency, services, by_team),
        is_log=charts.is_wide(usage.unit_cost_lines(own.unit)["value"]),
    )


def _adjusted(now: pl.DataFrame, by: list[str], currency: str) -> Lines | None:
    changed = now.filter(pl.col("adjustment").sum().over(by) != 0)
    before = changed.select(*by, effective_cost="published_cost")
    return lines(changed, before, by, currency, {}) if changed.height else None


def _worded(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("workload_type").str.replace_all("_", " "))


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
