"""What owned GPUs cost by day, card and holder: used, idle and unallocated.

Hours belong to `models/gpu_hours.py`, the fixed cost of a node to `models/ratecard.py`, prices of energy to
`models/energy.py`; the rows of the ledger that follow from these, to `models/owned_focus.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import polars as pl

from models.config import DIMENSIONS, Ownership, Site
from models.contracts import with_contract_cost
from models.gpu_hours import SUMS, card_hours
from models.gpu_slices import CARD
from models.local_days import with_capacity
from models.money import split
from models.ownership import NOBODY, platform_team
from models.ratecard import Days, asset_days, currencies
from models.register import Asset, Contract, Staff
from models.tables import GPU_DAILY, MONEY

PARTS = pl.Schema(
    dict.fromkeys(("site", "node", "gpu", "gpu_model", "mig_profile", "state", "cost_kind"), pl.String())
    | {"day": pl.Date(), "asset": pl.String(), "currency": pl.String()}
    | dict.fromkeys(DIMENSIONS, pl.String())
    | {
        "gpu_hours": pl.Float64(),
        "blind": pl.Boolean(),
        "use_known": pl.Boolean(),
        "seen_hours": pl.Float64(),
    }
    | {"energy_known": pl.Boolean()}
    | {"energy_kwh": pl.Float64(), "energy_estimated_kwh": pl.Float64()}
    | {"fixed_cost": MONEY, "energy_cost": MONEY, "energy_estimated_cost": MONEY, "contract_cost": MONEY}
)
"""Columns of `daily_parts`."""


def daily_parts(
    hourly: pl.DataFrame,
    assets: Sequence[Asset],
    sites: Mapping[str, Site],
    days: Days,
    *,
    staff: Sequence[Staff] = (),
    contracts: Mapping[str, Contract] = MappingProxyType({}),
) -> pl.DataFrame:
    """The cost of every card and day, in parts that add up to it exactly.

    The fixed cost of a node (depreciation and opex) is split evenly over its cards: as many as are
    registered, or as were seen at once if that is more; cards that follow each other in a node on one day, by the
    hours that each was there. A card's fixed cost is split over its hours: used (direct)
    and idle of each holder, unallocated and unknown. Held hours of unknown use are direct. Energy stays with
    the hours in which it was measured or estimated; a holder's is direct. Energy that is not known costs nothing.

    Args:
        hourly: `telemetry.gpu_hourly` with owners from `ownership.label`.
        assets: The register.
        sites: The configuration's sites.
        days: Site -> first and last day to compute. Sites without assets belong in it too, so that
            `anomalies` can name them.
        staff: Who looks after the assets.
        contracts: Terms of assets that are paid by use; their GPU-hours cost `contract_cost`.

    Returns:
        `PARTS`, sorted: one row a card, day, mig_profile, holder and cost_kind (direct, idle, unallocated).
        gpu_hours are this part of the hours of the day; energy is what is known of it, all of it only where
        energy_known, before PUE, its cost after.

    Raises:
        ValueError: Currencies of a site differ, two assets share a node, a tariff has no price for an hour,
            or hours or energy are negative.
    """
    currencies(assets, sites)
    servers = _servers(assets, days, staff)
    hours = card_hours(hourly, servers, sites, days).holders
    held = pl.col("state") == "allocated"
    kinds = [
        hours.with_columns(
            gpu_hours="busy_hours",
            cost_kind=pl.when(held).then(pl.lit("direct")).otherwise(pl.lit("unallocated")),
        ),
        hours.filter(pl.col("idle_hours") > 0).with_columns(
            *(pl.lit(0).cast(hours.schema[name]).alias(name) for name in SUMS),
            gpu_hours="idle_hours",
            cost_kind=pl.lit("idle"),
            energy_known=pl.lit(value=True),
        ),
    ]
    rows = pl.concat([*kinds, _unseen(servers, hours, sites)], how="diagonal")
    cards = rows.group_by(CARD).agg(pl.col("gpu_hours").sort().sum().round(6)).sort(CARD)
    cards = cards.join(servers, on=["day", "site", "node"], how="left")
    cards = split(cards, ["day", "site", "node"], "node_cost", "gpu_hours", "card_cost")
    rows = rows.sort(*CARD, "cost_kind", "state", "mig_profile", *DIMENSIONS).join(
        cards.select(*CARD, "card_cost", "asset", "currency"), on=CARD, how="left", maintain_order="left"
    )
    parts = split(rows, CARD, "card_cost", "gpu_hours", "fixed_cost").pipe(
        with_contract_cost, assets, contracts
    )
    return parts.select(pl.col(name).cast(dtype) for name, dtype in PARTS.items())


def anomalies(
    hourly: pl.DataFrame, assets: Sequence[Asset], sites: Mapping[str, Site], days: Days
) -> pl.DataFrame:
    """Where telemetry and the register contradict each other: `gpu_hours.ANOMALIES`.

    One row an issue and card. Issues: `no asset` (the card's node is not registered on those days: its cost
    is not in the ledger), `more cards than units`, `overlapping holders`, `impossible use`, `unknown MIG
    profile`. Arguments and errors are those of `daily_parts`.
    """
    return card_hours(hourly, _servers(assets, days), sites, days).anomalies


def daily(
    hourly: pl.DataFrame,
    assets: Sequence[Asset],
    sites: Mapping[str, Site],
    ownership: Ownership,
    days: Days,
) -> pl.DataFrame:
    """`marts.gpu_daily` from telemetry; arguments and errors are those of `daily_parts`."""
    return from_parts(daily_parts(hourly, assets, sites, days), ownership)


def from_parts(parts: pl.DataFrame, ownership: Ownership) -> pl.DataFrame:
    """`marts.gpu_daily`: the parts of each card, holder and day side by side.

    Args:
        parts: `daily_parts`.
        ownership: The `ownership` settings.

    Returns:
        `marts.gpu_daily`, sorted by its key.
    """
    key = list(GPU_DAILY.key)
    held, unknown = pl.col("state") == "allocated", pl.col("state") == "unknown"
    cost = pl.sum_horizontal("fixed_cost", "energy_cost", "energy_estimated_cost", "contract_cost")
    nothing = pl.lit(0).cast(MONEY)
    seen = held & ~pl.col("blind")
    known_use = pl.when(seen & (pl.col("cost_kind") == "direct")).then("gpu_hours").otherwise(0.0)
    capacity = pl.col("gpu_hours_capacity")
    sampled = pl.col("gpu_hours_allocated") - pl.col("blind_hours")
    return GPU_DAILY.conform(
        parts.with_columns(
            team=pl.when(held)
            .then(pl.col("team").fill_null(NOBODY["team"]))
            .otherwise(pl.lit(platform_team(ownership))),
            workload=pl.col("workload").fill_null(NOBODY["workload"]),
            used=known_use,
            held_hours=pl.when(held).then("gpu_hours").otherwise(0.0),
            blind_hours=pl.when("blind").then("gpu_hours").otherwise(0.0),
            cost_used=pl.when(pl.col("cost_kind") == "direct").then(cost).otherwise(nothing),
            cost_idle=pl.when(pl.col("cost_kind") == "idle").then(cost).otherwise(nothing),
            cost_unallocated=pl.when(pl.col("cost_kind") == "unallocated").then(cost).otherwise(nothing),
        )
        .group_by(key)
        .agg(
            pl.col("gpu_model", "currency").first(),
            pl.col("gpu_hours").sort().sum().alias("gpu_hours_capacity"),
            pl.col("held_hours").sort().sum().alias("gpu_hours_allocated"),
            pl.col("blind_hours").sort().sum(),
            pl.when((pl.col("use_known") | pl.col("blind")).all() & ~pl.col("blind").all())
            .then(pl.col("used").sort().sum())
            .alias("gpu_hours_used"),
            pl.when(pl.col("energy_known").all()).then(pl.col("energy_kwh").sort().sum()).alias("energy_kwh"),
            pl.col("seen_hours", "energy_estimated_kwh").sort().sum(),
            pl.col("cost_used", "cost_idle", "cost_unallocated").sum(),
        )
        .with_columns(
            utilisation=pl.when(sampled > 0).then(pl.col("gpu_hours_used") / sampled),
            coverage=pl.when(~unknown)
            .then(1 - pl.when(capacity > 0).then(pl.col("blind_hours") / capacity).otherwise(0.0))
            .when(capacity > 0)
            .then(pl.min_horizontal(pl.col("seen_hours") / capacity, 1.0))
            .otherwise(0.0),
        )
    ).sort(key)


def _servers(assets: Sequence[Asset], days: Days, staff: Sequence[Staff] = ()) -> pl.DataFrame:
    servers = asset_days([a for a in assets if a.kind == "gpu_server"], days, staff)
    return servers.with_columns(node_cost=pl.col("depreciation") + pl.col("opex"))


def _unseen(servers: pl.DataFrame, hours: pl.DataFrame, sites: Mapping[str, Site]) -> pl.DataFrame:
    """A row of unknown hours for each registered card that no telemetry names that day."""
    node = ["day", "site", "node"]
    seen = hours.select(CARD).unique().group_by(node).agg(seen=pl.len().cast(pl.Int64))
    missing = (
        servers.join(seen, on=node, how="left")
        .with_columns(missing=pl.int_ranges(1, pl.col("units") - pl.col("seen").fill_null(0) + 1))
        .filter(pl.col("missing").list.len() > 0)
        .explode("missing")
    )
    return with_capacity(missing, sites).select(
        *node,
        pl.format("{}/unseen-{}", "node", "missing").alias("gpu"),
        gpu_model="model",
        state=pl.lit("unknown"),
        cost_kind=pl.lit("unallocated"),
        gpu_hours="capacity",
        blind=pl.lit(value=False),
        use_known=pl.lit(value=False),
        energy_known=pl.lit(value=True),
        seen_hours=pl.lit(0.0),
        **{name: pl.lit(0).cast(hours.schema[name]) for name in SUMS},
    )
