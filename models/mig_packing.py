"""Which whole cards do work that a MIG slice would hold, and on how few cards these slices find place.

The slices of a card and their places are those of `models/mig.py`. Work is taken to slow down with the compute slices it
has, and all slices are there at once: an estimate, until somebody has measured it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import ROUND_DOWN, Decimal, localcontext

import polars as pl

from models.config import Sharing
from models.gpu_hours import BESIDE
from models.gpu_slices import TOLERANCE, weighted
from models.mig import Card, cards, fits, memory_gb
from models.ownership import NOBODY, fold
from models.tables import MIG_CARDS, MIG_PACKING
from models.waste import WINDOW_DAYS

ID = ("site", "node", "gpu")
KIND = ("site", "gpu_model", "currency")
CENTS = Decimal(1).scaleb(-12)


def candidates(hourly: pl.DataFrame, as_of: date, settings: Sharing) -> pl.DataFrame:
    """Every card that was held whole in the last 30 days, and the slice that would hold its work.

    A slice holds it if the busiest hour of the card is at most `max_utilisation` of the slice's compute, and the memory
    of all its workloads together at most `max_memory` of the slice's. Cards that one holder has at once, as training
    over several cards has, stay whole: slices do not talk to each other. Cards that were cut in the window are no
    candidates; nor, without memory, use or a known model, is anything guessed.

    Args:
        hourly: `telemetry.gpu_hourly` with owners from `ownership.label`.
        as_of: Last day of the window.
        settings: The `sharing` settings.

    Returns:
        `marts.mig_cards`, sorted by its key.
    """
    rows = weighted(hourly.filter(pl.col("day").is_between(as_of - timedelta(days=WINDOW_DAYS - 1), as_of)))
    cut = rows.filter(~pl.col("whole_card")).select(ID).unique()
    held = rows.filter(
        pl.col("allocated").fill_null(value=False) & (pl.col("observed_hours") > TOLERANCE)
    ).join(cut, on=ID, how="anti", nulls_equal=True)
    unsaid = (
        rows.group_by(*ID, "hour")
        .agg(gap=(pl.col("state") == "unknown").any(), seen=pl.col("observed_hours").sum())
        .filter("gap")
        .group_by(ID)
        .agg(unsaid=(1 - pl.col("seen")).clip(lower_bound=0.0).sort().sum())
    )
    holder = ["site", "hour", "namespace", "pod", "team", "workload"]
    several = held.group_by(holder).agg(many=pl.struct(ID).n_unique() > 1)
    use = pl.when(~pl.col("impossible")).then("used_hours")
    busy = held.with_columns(
        use=use, team=pl.col("team").fill_null(NOBODY["team"]), named=pl.col("workload").fill_null(NOBODY["workload"])
    ).join(several, on=holder, nulls_equal=True)  # fmt: skip
    told = pl.col("pod").is_not_null()
    seen = pl.col("observed_hours").sum()
    hours = busy.group_by(*ID, "hour").agg(
        pl.col("gpu_model").max(), "team", "named", many=(pl.col("many") & told).any(), untold=(pl.col("many") & ~told).any(),
        use=pl.when(pl.col("use").is_not_null().all()).then(pl.col("use").sum() / seen), held=seen.clip(upper_bound=1.0),
    )  # fmt: skip
    known = pl.col("use").is_not_null()
    found = hours.group_by(ID).agg(
        pl.col("gpu_model").max(),
        pl.col("many", "untold").any(),
        teams=pl.col("team").explode().unique().sort(),
        workloads=pl.col("named").explode().unique().sort(),
        gpu_hours_allocated=pl.col("held").sort().sum(),
        utilisation_peak=pl.col("use").max(),
        known=pl.col("held").filter(known).sort().sum(),
    )
    found = found.join(unsaid, on=ID, how="left", nulls_equal=True).with_columns(
        coverage=pl.col("known") / (pl.col("gpu_hours_allocated") + pl.col("unsaid").fill_null(0.0))
    )
    memory = {fold(name): gb for name, gb in sorted(settings.memory_gb.items(), key=lambda item: item[1])}
    judged = [row | _judged(row, memory, settings) for row in found.iter_rows(named=True)]
    return MIG_CARDS.conform(pl.DataFrame(judged, schema_overrides=MIG_CARDS.schema, strict=False)).sort(MIG_CARDS.key) if judged else MIG_CARDS.empty()  # fmt: skip


def _judged(row: Mapping[str, object], memory: Mapping[str, float], settings: Sharing) -> dict[str, object]:
    """The columns that `MIG_CARDS` has beside what is measured."""
    workloads: list[str] = row["workloads"]  # type: ignore[assignment]
    taken = [memory.get(fold(name)) for name in workloads]
    needed = None if None in taken else sum(gb for gb in taken if gb is not None)
    profile, status, reason = _slice(row, needed, workloads, settings)
    return {
        "team": " + ".join(row["teams"]),  # type: ignore[arg-type]
        "workload": " + ".join(workloads),
        "memory_gb": needed, "mig_profile": profile, "status": status, "reason": reason,
    }  # fmt: skip


def _slice(
    row: Mapping[str, object], memory: float | None, workloads: Sequence[str], settings: Sharing
) -> tuple[str | None, str, str]:
    """Profile, status and reason of one card."""
    model, peak, coverage = row["gpu_model"], row["utilisation_peak"], row["coverage"]
    kinds = cards(model)  # type: ignore[arg-type]
    if row["many"]:
        return None, "whole", "its holder has several cards at once"
    if len(kinds) != 1:
        which = "does not tell its memory" if kinds else "has no known MIG profiles"
        return None, "unknown", f"{model or 'a card without a model'} {which}"
    if row["untold"] or peak is None or coverage < settings.min_coverage:  # type: ignore[operator]
        untold = "several cards have this holder at once, not told apart by pod"
        return None, "unknown", untold if row["untold"] else f"use is known for {coverage:.1%} of its hours"
    if memory is None:
        return None, "unknown", f"sharing.memory_gb does not have {' + '.join(workloads)}"
    card = kinds[0]
    for name, profile in sorted(card.profiles.items(), key=lambda p: (p[1].memory, p[1].compute)):
        room = profile.compute / card.compute * settings.max_utilisation
        if profile.compute < card.compute and peak <= room + 1e-9 and memory <= settings.max_memory * memory_gb(name) + 1e-9:  # type: ignore[operator]  # fmt: skip
            return name, "fits", f"busiest hour {peak:.1%} of the card, {memory:g} GB"
    return None, "whole", f"no slice holds {peak:.1%} of the card and {memory:g} GB"


def packing(found: pl.DataFrame, hourly: pl.DataFrame, gpu_daily: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """The fewest cards for the slices of each site and model, and what the others cost.

    Only cards that are held at once can be freed: those that follow each other (a pod that starts anew elsewhere, a card
    that is replaced or moved) are one.

    Args:
        found: Result of `candidates`.
        hourly: `telemetry.gpu_hourly`, as for `candidates`.
        gpu_daily: `marts.gpu_daily`.
        as_of: Last day of the window.

    Returns:
        `marts.mig_packing`, sorted by its key.
    """
    inside = pl.col("day").is_between(as_of - timedelta(days=WINDOW_DAYS - 1), as_of)
    costs = (
        gpu_daily.filter(inside & (pl.col("state") == "allocated") & pl.col("mig_profile").is_null())
        .group_by(*ID, "currency")
        .agg(cost=(pl.col("cost_used") + pl.col("cost_idle")).sum())
    )
    held = (
        hourly.filter(inside & pl.col("allocated").fill_null(value=False))
        .group_by(*ID, "hour")
        .agg(pl.col("observed_hours").sum().clip(upper_bound=1.0))
    )
    result = []
    priced = found.join(costs, on=ID, how="left", nulls_equal=True)
    for key, group in priced.group_by(KIND):
        fit = group.filter(pl.col("status") == "fits")
        counts = dict(fit["mig_profile"].value_counts().sort("mig_profile").iter_rows())
        layout = fewest(cards(key[1])[0], counts) if counts else {}
        needed, unknown = sum(layout.values()), group.filter(pl.col("status") == "unknown").height
        cost = None if key[2] is None else sum(fit["cost"], Decimal(0))
        by_hour = held.join(fit, on=ID, how="semi", nulls_equal=True).group_by("hour").agg(
            pl.col("observed_hours").sort().sum()
        )["observed_hours"].sort()  # fmt: skip
        most = max(math.ceil(max(by_hour, default=0.0) - BESIDE), min(by_hour.len(), 1))
        hours, beyond = (Decimal(h.sum()) for h in (by_hour, (by_hour - needed).clip(lower_bound=0.0)))
        with localcontext(prec=60):
            saving = None if cost is None else (cost * beyond / (hours or 1)).quantize(CENTS, ROUND_DOWN)
        result.append(
            dict(zip(KIND, key, strict=True))
            | {
                "cards_held": group.height, "cards_fit": fit.height, "cards_unknown": unknown,
                "cards_whole": group.height - fit.height - unknown, "cards_at_once": most,
                "cards_needed": needed, "cards_freed": max(most - needed, 0), "cost": cost, "saving": saving,
                "layout": "; ".join(f"{n} x ({' + '.join(cut)})" for cut, n in layout.items()) or None,
                "coverage": 1 - unknown / group.height,
            }
        )  # fmt: skip
    if not result:
        return MIG_PACKING.empty()
    return MIG_PACKING.conform(pl.DataFrame(result, schema_overrides=MIG_PACKING.schema)).sort(
        MIG_PACKING.key
    )


def fewest(card: Card, counts: Mapping[str, int]) -> dict[tuple[str, ...], int]:
    """Layouts of the fewest cards that have exactly these slices: layout -> cards, an integer programme solved exactly.

    Args:
        card: What can be cut.
        counts: Profile -> how many slices.

    Returns:
        The layouts, greatest count first; sum of the values is the number of cards.

    Raises:
        ValueError: A profile does not fit the card.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp  # noqa: PLC0415 - half a second, for few who need it

    names = tuple(sorted(counts))
    layouts = [cut for cut in _layouts(card, names) if all(cut.count(n) <= counts[n] for n in cut)]
    takes = [[cut.count(name) for cut in layouts] for name in names]
    wanted = [counts[name] for name in names]
    answer = None if not layouts else milp(
        [1.0] * len(layouts), constraints=LinearConstraint(takes, wanted, wanted), integrality=[1] * len(layouts),
        bounds=Bounds(0), options={"mip_rel_gap": 0},
    )  # fmt: skip
    if answer is None or answer.x is None:
        msg = f"slices {dict(counts)} find no place on cards with {', '.join(card.profiles)}"
        raise ValueError(msg)
    cut = {layout: round(n) for layout, n in zip(layouts, answer.x, strict=True) if round(n)}
    return dict(sorted(cut.items(), key=lambda item: (-item[1], item[0])))


def _layouts(card: Card, names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """All layouts of these profiles that fit one card; every part of a layout that fits does too."""

    def grow(cut: tuple[str, ...], first: int) -> Iterator[tuple[str, ...]]:
        for at in range(first, len(names)):
            more = (*cut, names[at])
            if fits(card, more):
                yield more
                yield from grow(more, at)

    return list(grow((), 0))
