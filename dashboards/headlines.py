"""The five figures at the top of a page, written out, each with its change.

Amounts are added up in `figures.py` and `usage.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from dashboards import usage
from dashboards.figures import ZERO, Lines, Period, total
from dashboards.format import change, day_name, money, number, percent, signed, signed_percent, unit_price
from dashboards.frames import Frames


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


def _direction(now: Decimal, before: Decimal | None) -> str:
    return "" if before is None or now == before else "up" if now > before else "down"


def _moved(now: Decimal, before: Decimal | None, period: Period, currency: str) -> str:
    if before is None:
        return "no whole month before to compare with" if period.compared is None else ""
    share = change(now, before)
    relative = "" if share is None else f" ({signed_percent(share)})"
    return f"{signed(now - before, currency)}{relative} vs {period.against}"


def cost(kinds: Lines, period: Period, currency: str) -> Figure:
    """What the month cost."""
    now, before = kinds.total.shown, kinds.total.before
    return Figure(
        "Total effective cost",
        money(now, currency),
        _moved(now, before, period, currency),
        _direction(now, before),
        "amortised; direct, shared, idle and unallocated",
        kinds.total.is_stale,
    )


def idle(kinds: Lines, period: Period, currency: str) -> Figure:
    """What was held and not used."""
    line = next((line for line in kinds.lines if line.labels == ("idle",)), None)
    before = None if period.compared is None else ZERO
    now, before = (ZERO, before) if line is None else (line.shown, line.before)
    share = None if line is None else line.share
    return Figure(
        "Idle cost",
        money(now, currency),
        _moved(now, before, period, currency),
        _direction(now, before),
        "nothing held and unused" if share is None else f"{percent(share)} of the total: held and unused",
        line is not None and line.is_stale,
    )


def gpu(own: Frames, period: Period) -> Figure:
    """Hours of owned GPUs that were used."""
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


def unit(own: Frames, units: list[usage.UnitCost], period: Period, currency: str) -> Figure:
    """What a million inferences of the workload with the greatest cost cost."""
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


def saving(placement: pl.DataFrame, period: Period, currency: str) -> Figure:
    """What moving workloads would save."""
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
