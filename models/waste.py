"""What is paid for and not used: ranked by money, and by hour of the week.

What idle and unallocated hours cost belongs to `models/gpu.py` and `models/edge.py`; here they are only added up.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import polars as pl

from models.config import Site
from models.gpu_slices import CARD, placed, weighted
from models.money import split
from models.owned_lines import UNUSED_SERVICE
from models.tables import MONEY, WASTE, WASTE_HOURLY

WINDOW_DAYS = 30
WEEKS_DAYS = 28
"""Whole weeks, so that every hour of the week is there equally often."""

OWNED = ("onprem", "edge")

ADVICE: Mapping[str, str] = {
    "gpu_idle": "held and little used: batch its work, share the card (MIG, time-slicing), or give it back when done",
    "gpu_unallocated": "nobody asks for it: let work move here, switch it off, or sell it",
    "gpu_unknown": "no telemetry: install the exporter, or correct the asset register",
    "reserved_unused": "paid for in advance and not used: move work onto it, share it between accounts, do not renew it",
    "device_silent": "it reports nothing: repair it, or retire it in the asset register",
}


def ranked(gpu_daily: pl.DataFrame, chargeback_daily: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """Idle and unallocated cost of the last 30 days, greatest first in each currency.

    Owned cards are named one by one, from `marts.gpu_daily`; unused commitments of contracts and clouds, capacity
    reservations, and silent edge devices, by service, account, team and workload, from the chargeback. All rows together
    are the idle and unallocated cost of the window, without the write-offs and the site electricity of owned hardware.

    Args:
        gpu_daily: `marts.gpu_daily`.
        chargeback_daily: `marts.chargeback_daily`.
        as_of: Last day of the window.

    Returns:
        `marts.waste`, by currency and rank.
    """
    first = as_of - timedelta(days=WINDOW_DAYS - 1)
    cards = _cards(gpu_daily.filter(pl.col("day").is_between(first, as_of)))
    unused = (
        chargeback_daily.filter(
            pl.col("day").is_between(first, as_of)
            & pl.col("cost_kind").is_in(["idle", "unallocated"])
            & (
                (pl.col("tier") != "onprem")
                | (pl.col("service_name") == UNUSED_SERVICE).fill_null(value=False)
            )
        )
        .with_columns(
            kind=pl.when(pl.col("tier") == "edge")
            .then(pl.lit("device_silent"))
            .otherwise(pl.lit("reserved_unused")),
            site=pl.when(pl.col("tier").is_in(OWNED)).then("sub_account"),
            subject=pl.concat_str("service_name", "sub_account", separator=" · ", ignore_nulls=True),
        )
        .group_by("kind", "tier", "site", "subject", "team", "workload", "currency")
        .agg(cost=pl.col("effective_cost").sum(), first_day=pl.col("day").min(), last_day=pl.col("day").max())
    )
    rows = pl.concat([cards, unused], how="diagonal").filter(pl.col("cost") != 0)
    charged = chargeback_daily.filter(pl.col("day").is_between(first, as_of))["day"]
    days = (as_of - min(charged, default=first)).days + 1
    order = ["currency", "cost", "kind", "site", "subject", "team", "workload"]
    return WASTE.conform(
        rows.sort(order, descending=[False, True, *[False] * 5], nulls_last=True).with_columns(
            rank=pl.int_range(1, pl.len() + 1).over("currency"),
            share=pl.when(pl.col("paid_hours") > 0).then(pl.col("hours") / pl.col("paid_hours")),
            cost_month=(pl.col("cost").cast(pl.Float64) * WINDOW_DAYS / days).round(12).cast(MONEY),
            advice=pl.col("kind").replace_strict(ADVICE, return_dtype=pl.String),
        )
    )


def _cards(gpu_daily: pl.DataFrame) -> pl.DataFrame:
    """Rows of cards: one a card, holder and kind of waste."""
    held = pl.col("state") == "allocated"
    capacity, used = pl.col("gpu_hours_capacity"), pl.col("gpu_hours_used")
    kinds = {
        "gpu_idle": (held, pl.col("gpu_hours_allocated") - used, "cost_idle"),
        "gpu_unallocated": (pl.col("state") == "unallocated", capacity, "cost_unallocated"),
        "gpu_unknown": (pl.col("state") == "unknown", capacity, "cost_unallocated"),
    }
    return pl.concat(
        gpu_daily.filter(which)
        .with_columns(subject=pl.concat_str("node", "gpu", "mig_profile", separator=" · ", ignore_nulls=True))
        .group_by("site", "subject", "team", "workload", "currency")
        .agg(
            hours=pl.when(hours.is_not_null().all()).then(hours.sort().sum()),
            paid_hours=capacity.sort().sum(),
            cost=pl.col(cost).sum(),
            first_day=pl.col("day").filter(pl.col(cost) != 0).min(),
            last_day=pl.col("day").filter(pl.col(cost) != 0).max(),
        )
        .with_columns(kind=pl.lit(kind), tier=pl.lit("onprem"))
        for kind, (which, hours, cost) in kinds.items()
    )


def by_hour_of_week(
    gpu_hourly: pl.DataFrame, gpu_daily: pl.DataFrame, sites: Mapping[str, Site], as_of: date
) -> pl.DataFrame:
    """Hours and waste of owned cards by local weekday and hour, over the last 28 days.

    The idle cost of a card's day is spread over the hours in which the card was held, by what was not used of them;
    its unallocated cost over the hours in which telemetry saw nobody hold it. Cost of cards without telemetry has no
    hour and is not in this table.

    Args:
        gpu_hourly: `telemetry.gpu_hourly`.
        gpu_daily: `marts.gpu_daily`.
        sites: The configuration's sites.
        as_of: Last day of the window.

    Returns:
        `marts.waste_hourly`, sorted by its key.
    """
    window = pl.col("day").is_between(as_of - timedelta(days=WEEKS_DAYS - 1), as_of)
    card = ["day", "site", "gpu"]
    daily = gpu_daily.filter(window & (pl.col("state") != "unknown"))
    costs = daily.group_by(card).agg(
        pl.col("currency").first(), pl.col("cost_idle", "cost_unallocated").sum()
    )
    hours = placed(weighted(gpu_hourly.filter(window).join(costs, on=card)))
    columns = [*CARD, "hour", "currency", "cost_idle", "cost_unallocated"]
    held = pl.col("state") == "allocated"
    cut = hours.filter(pl.col("absent") > 0).unique([*CARD, "hour"])
    order = [*CARD, "hour", "mig_id", "namespace", "pod"]
    seen = pl.concat(
        [
            hours.filter(pl.col("state") != "unknown").sort(order).select(*columns, "hours", "used", held=held),
            cut.sort(order).select(*columns, hours="absent", used=pl.lit(None, dtype=pl.Float64), held=pl.lit(value=False)),
        ]
    )  # fmt: skip
    held = pl.col("held")
    unused = (pl.col("hours") - pl.col("used")).clip(lower_bound=0.0)
    rows = seen.with_columns(
        idle_weight=pl.when(held).then(unused.fill_null(0.0)).otherwise(0.0),
        free_weight=pl.when(~held).then("hours").otherwise(0.0),
    )
    spread = split(rows, card, "cost_idle", "idle_weight", "idle")
    spread = split(spread, card, "cost_unallocated", "free_weight", "unallocated")
    local = (
        pl.concat(
            part.with_columns(
                local=pl.col("hour").dt.replace_time_zone("UTC").dt.convert_time_zone(sites[str(site)].time_zone)
                .dt.replace_time_zone(None)
            )
            for (site,), part in spread.group_by("site", maintain_order=True)
        )
        if spread.height
        else spread.with_columns(local="hour")
    )  # fmt: skip
    observed, used = pl.col("hours"), pl.col("used")
    held_use = pl.when(held).then(used).otherwise(0.0)
    return WASTE_HOURLY.conform(
        local.group_by(
            "site",
            "currency",
            weekday=pl.col("local").dt.weekday().cast(pl.Int64),
            hour=pl.col("local").dt.hour().cast(pl.Int64),
        ).agg(
            gpu_hours_observed=observed.sort().sum(),
            gpu_hours_allocated=observed.filter(held).sort().sum(),
            gpu_hours_used=pl.when(held_use.is_not_null().all()).then(held_use.sort().sum()),
            cost_idle=pl.col("idle").sum(),
            cost_unallocated=pl.col("unallocated").sum(),
        )
    ).sort(WASTE_HOURLY.key)
