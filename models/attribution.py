"""Whose the energy of a node is: the wall meter's watt-hours go to cards, MIG slices, pods and nobody.

What the energy costs belongs to `models/energy.py`, which meter stands for which node to `models/supplies.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from models.config import DIMENSIONS, Site
from models.energy import with_pue_of_site
from models.gpu_hours import ANOMALIES, refuse_impossible, slots, unseen_share
from models.gpu_slices import CARD, carries, cut, weighted, with_layouts
from models.money import split
from models.ratecard import Days
from models.register import Asset
from models.supplies import NODE, SUPPLY, supplied_nodes, supply_hours
from models.tables import ENERGY_BALANCE, GPU_HOURLY, MONEY

CARD_HOUR = ("site", "node", "gpu", "hour")
NOISE = 1e-6
"""kWh and hours that are only noise of floating point."""


@dataclass(frozen=True)
class Attribution:
    """Energy by holder.

    Attributes:
        hourly: `telemetry.gpu_hourly` with the energy that each row is billed for, and pue (Float64): that of the
            row's energy where it is not the site's. Energy in hours without any row of a card is in rows of
            their own: allocated NULL, observed_hours 0.
        balance: `ops.energy_balance`.
        anomalies: Cards that measure more than their wall meter, in `ANOMALIES`.
    """

    hourly: pl.DataFrame
    balance: pl.DataFrame
    anomalies: pl.DataFrame


def attribute(
    hourly: pl.DataFrame,
    power_hourly: pl.DataFrame,
    assets: Sequence[Asset],
    sites: Mapping[str, Site],
    days: Days,
) -> Attribution:
    """Gives the energy of every wall meter to the rows of its cards, to the last watt-hour.

    1. A card that is cut in MIG slices: its energy x (a_i s_i + (1 - U) s_i) goes to slice i, where s_i is its share
       of the card's compute slices, a_i its activity and U the sum of a_i s_i: the active part by measured work, the
       idle part by reservation. What slices that do not exist have of it is nobody's. By s_i alone where the
       activity of a slice is not known.
    2. Hours with a wall meter: each row has the energy of its card; what the meter shows beyond the cards (processors,
       fans, losses) goes to hours whose card energy is known, in proportion to that energy, and to hours
       without it by their length.
    3. Where the cards sum to more than the meter, the meter is billed, in proportion to the cards' energy, and the
       contradiction is reported.
    4. The part of an hour that the meter does not cover is billed by the cards' own energy, as hours without meter.

    Args:
        hourly: `telemetry.gpu_hourly` with owners.
        power_hourly: `telemetry.power_hourly`.
        assets: The register.
        sites: The configuration's sites.
        days: Site -> first and last day; rows of other days and of unregistered nodes stay as they are.

    Returns:
        The attribution; it has no negative energy.

    Raises:
        ValueError: Hours or energy are negative or not finite.
    """
    refuse_impossible(hourly)
    nodes = supplied_nodes(assets, days)
    meters = supply_hours(power_hourly, nodes, sites)
    rows = hourly.join(nodes.select(*NODE, "supply"), on=NODE, how="left", maintain_order="left")
    registered = pl.col("supply").is_not_null()
    cards = _sliced(_measured(rows.filter(registered)))
    dark = _dark(cards, meters, nodes)
    joined = pl.concat([cards, dark], how="diagonal_relaxed").join(
        meters.drop("day"), on=SUPPLY, how="left", maintain_order="left"
    )
    metered = _shared(joined.filter(pl.col("covered").is_not_null()), sites)
    alone = joined.filter(pl.col("covered").is_null())
    columns = [*GPU_HOURLY.schema.names(), "pue"]
    result = pl.concat([metered, alone, rows.filter(~registered)], how="diagonal_relaxed").with_columns(
        pl.col("pue").cast(pl.Float64)
    )
    return Attribution(result.select(columns), _balance(metered, meters), _contradictions(metered))


def _measured(rows: pl.DataFrame) -> pl.DataFrame:
    """Adds hours and used (of a whole card, at most the hour between them) and sliced (the hours of MIG slices)."""
    rows = weighted(rows).with_columns(order=pl.int_range(pl.len()), pue=pl.lit(None, dtype=pl.Float64))
    rows = rows.join(
        cut(rows).drop("missing"), on=[*CARD, "hour"], how="left", nulls_equal=True, maintain_order="left"
    )
    hours = pl.col("observed_hours") * pl.col("weight").fill_null(0.0)
    rows = rows.with_columns(beside=carries()).with_columns(
        hours=pl.when("beside").then(pl.max_horizontal(hours - pl.col("sliced"), 0.0)).otherwise(hours)
    )
    total = pl.col("hours").sum().over(CARD_HOUR)
    scale = pl.when(total > 1).then(1 / total).otherwise(1.0)
    used = pl.when(~pl.col("impossible")).then(pl.col("used_hours") * pl.col("weight"))
    return rows.with_columns(
        hours=pl.col("hours") * scale,
        used=pl.when(used.is_not_null()).then(pl.min_horizontal(used, "hours") * scale),
    )


def _sliced(rows: pl.DataFrame) -> pl.DataFrame:
    """Shares the measured energy of cards cut in MIG slices out to the slices; the rest is nobody's.

    A card that is whole before or after its slices keeps its energy of that time.
    """
    apart = pl.col("whole_card") & (pl.col("state") != "unknown") & ~pl.col("beside")
    of_slices = pl.col("sliced").is_not_null() & ~apart
    plain, rows = rows.filter(~of_slices), rows.filter(of_slices)
    slice_ = ~pl.col("whole_card") & (pl.col("hours") > 0)
    nobody = pl.col("whole_card") & (pl.col("allocated") == pl.lit(value=False)).fill_null(value=False)
    present = pl.col("hours").filter(slice_).sum().over(CARD_HOUR)
    blank = (*DIMENSIONS, "namespace", "pod", "mig_id", "mig_profile")
    numbers = ("observed_hours", "used_hours", "hours", "used", "energy_estimated_kwh")
    added = (
        rows.filter(~nobody.any().over(CARD_HOUR) & (present < pl.col("sliced") - NOISE))
        .unique(CARD_HOUR, keep="first", maintain_order=True)
        .with_columns(
            *(pl.lit(None, dtype=pl.String).alias(name) for name in blank),
            *(pl.lit(0.0).alias(name) for name in numbers),
            allocated=pl.lit(value=False),
            whole_card=pl.lit(value=True),
            beside=pl.lit(value=True),
            weight=pl.lit(1.0),
            energy_kwh=pl.lit(None, dtype=pl.Float64),
        )
    )
    rows = pl.concat([rows, added]).sort("order", "whole_card", maintain_order=True)
    rows = with_layouts(rows, slice_)
    layout = [*CARD_HOUR, "layout", "kw"]
    known = pl.col("used").filter(slice_).is_not_null().all().over(layout)
    active = pl.col("used").filter(slice_).sum().over(layout)
    by_slice = pl.col("hours") / pl.col("time")
    by_work = (pl.col("used") + (1 - active / pl.col("time")) * pl.col("hours")) / pl.col("time")
    share = (
        pl.when(slice_).then(pl.when(known).then(by_work).otherwise(by_slice) * pl.col("part")).otherwise(0.0)
    )
    first = nobody & (nobody.cast(pl.Int64).cum_sum().over(CARD_HOUR) == 1)
    rows = rows.with_columns(share=share).with_columns(
        share=pl.when(first)
        .then(pl.max_horizontal(1 - pl.col("share").sum().over(CARD_HOUR), 0.0))
        .otherwise("share"),
        hours=pl.when(first)
        .then(pl.col("hours") + pl.max_horizontal(pl.col("sliced") - present, 0.0))
        .otherwise("hours"),
        card=pl.col("energy_kwh").sum().over(CARD_HOUR).round(12).cast(MONEY),
    )
    measured = pl.col("energy_kwh").is_not_null().any().over(CARD_HOUR)
    parts = split(rows, CARD_HOUR, "card", "share", "part").with_columns(
        energy_kwh=pl.when(measured).then(pl.col("part").cast(pl.Float64))
    )
    return pl.concat([plain, parts.select(plain.columns)])


def _dark(cards: pl.DataFrame, meters: pl.DataFrame, nodes: pl.DataFrame) -> pl.DataFrame:
    """A row for what no row covers of each card in each metered hour: hours, no energy, no holder."""
    seen = cards.group_by(*NODE, "gpu").agg(pl.col("gpu_model", "source").drop_nulls().max())
    counts = nodes.join(seen.group_by(NODE).agg(seen=pl.len().cast(pl.Int64)), on=NODE, how="left")
    unseen = (
        counts.with_columns(k=pl.int_ranges(1, pl.col("units") - pl.col("seen").fill_null(0) + 1))
        .filter(pl.col("k").list.len() > 0)
        .explode("k")
        .select(*NODE, gpu=pl.format("{}/unseen-{}", "node", "k"), gpu_model="model", source=pl.lit(""))
    )
    covered = cards.group_by(CARD_HOUR).agg(
        seen_hours=pl.coalesce(pl.col("sliced").max(), pl.col("hours").sum()),
        bridged=(pl.col("energy_estimated_kwh") > 0).any(),
    )
    dark = pl.max_horizontal(pl.col("length") - pl.col("seen_hours").fill_null(0.0), 0.0)
    present = cards.select("day", *CARD_HOUR, "hours")
    there = counts.select(*NODE, "units").join(slots(present), on=NODE, how="left")
    most = there.select(*NODE, slots=pl.max_horizontal("units", pl.col("slots").fill_null(0)))
    return (
        pl.concat([seen, unseen])
        .join(nodes.select(*NODE, "supply"), on=NODE)
        .join(meters.select("day", *SUPPLY, "length"), on=["day", "site", "supply"])
        .join(covered, on=CARD_HOUR, how="left")
        .join(most, on=NODE, how="left")
        .with_columns(hours=dark * unseen_share(dark, pl.col("slots"), [*NODE, "hour"], "length"))
        .drop("slots", "length")
        .filter((pl.col("hours") > NOISE) & ~pl.col("bridged").fill_null(value=False))
        .drop("seen_hours", "bridged")
        .with_columns(
            observed_hours=pl.lit(0.0),
            energy_kwh=pl.lit(None, dtype=pl.Float64),
            energy_estimated_kwh=pl.lit(0.0),
        )
        .sort("day", *CARD_HOUR)
    )


def _shared(rows: pl.DataFrame, sites: Mapping[str, Site]) -> pl.DataFrame:
    """Energy of metered hours by row: the meter's for the part it covers, the card's own for the rest."""
    own = pl.col("energy_kwh").fill_null(0.0) + pl.col("energy_estimated_kwh")
    blind_row = ~pl.col("sampled").fill_null(value=True)
    known = (own > 0) | (pl.col("energy_kwh").is_not_null() & (pl.col("hours") > 0) & ~blind_row)
    rows = rows.with_columns(own=own, known=known, cards=own.sum().over(SUPPLY) * pl.col("covered"))
    wall = pl.col("kwh") + pl.col("estimated_kwh")
    beyond = wall - pl.col("cards")
    blind = pl.col("hours").filter(~pl.col("known")).sum().over(SUPPLY)
    sighted = pl.col("hours").filter(pl.col("known")).sum().over(SUPPLY)
    blind_share = pl.when(blind + sighted > 0).then(blind / (blind + sighted)).otherwise(0.0)
    by_energy = (
        pl.when(pl.col("cards") > 0)
        .then(pl.col("own") * pl.col("covered") / pl.col("cards"))
        .when(sighted > 0)
        .then(pl.col("hours") / sighted)
        .otherwise(0.0)
    )
    part = (
        pl.when(beyond < 0)
        .then("own")
        .when("known")
        .then(pl.col("own") * pl.col("covered") + beyond * (1 - blind_share) * by_energy)
        .otherwise(beyond * blind_share * pl.when(blind > 0).then(pl.col("hours") / blind).otherwise(0.0))
    )
    rows = rows.with_columns(
        *(pl.col(c).round(12).cast(MONEY).alias(f"meter_{c}") for c in ("kwh", "estimated_kwh")),
        part=part,
        excess=pl.when(beyond < -NOISE).then(-beyond).otherwise(0.0),
    )
    for column in ("kwh", "estimated_kwh"):
        rows = split(rows, SUPPLY, f"meter_{column}", "part", f"wall_{column}")
    rows = rows.with_columns(pl.col("wall_kwh", "wall_estimated_kwh").cast(pl.Float64))
    rest = 1 - pl.col("covered")
    rows = rows.with_columns(
        kept=pl.col("energy_kwh").fill_null(0.0) * rest, kept_estimated=pl.col("energy_estimated_kwh") * rest
    )
    at_wall, at_card = (
        pl.col(f"{a}") + pl.col(f"{b}")
        for a, b in (("wall_kwh", "wall_estimated_kwh"), ("kept", "kept_estimated"))
    )
    rows = with_pue_of_site(rows, sites)
    return rows.with_columns(
        energy_kwh=pl.col("wall_kwh") + pl.col("kept"),
        energy_estimated_kwh=pl.col("wall_estimated_kwh") + pl.col("kept_estimated"),
        pue=pl.when(pl.col("facility") & (at_wall + at_card > 0)).then(
            (at_wall + at_card * pl.col("site_pue")) / (at_wall + at_card)
        ),
    )


def _balance(rows: pl.DataFrame, meters: pl.DataFrame) -> pl.DataFrame:
    day = ["day", "site", "supply"]
    given = rows.group_by(day).agg(
        attributed_kwh=(pl.col("wall_kwh") + pl.col("wall_estimated_kwh")).sort().sum(),
        cards_kwh=(pl.col("own") * pl.col("covered")).sort().sum(),
        contradicting_hours=pl.col("hour").filter(pl.col("excess") > 0).n_unique().cast(pl.Int64),
    )
    metered = meters.group_by(day).agg(
        metered_kwh=(pl.col("kwh") + pl.col("estimated_kwh")).sort().sum(),
        covered_hours=(pl.col("covered") * pl.col("length")).sort().sum(),
    )
    return ENERGY_BALANCE.conform(
        metered.join(given, on=day, how="left")
        .with_columns(
            pl.col("attributed_kwh", "cards_kwh", "contradicting_hours").fill_null(0), meter="supply"
        )
        .with_columns(difference_kwh=(pl.col("metered_kwh") - pl.col("attributed_kwh")).abs())
        .sort(day)
    )


def _contradictions(rows: pl.DataFrame) -> pl.DataFrame:
    return (
        rows.filter(pl.col("excess") > 0)
        .unique(SUPPLY, keep="first", maintain_order=True)
        .group_by("site", node="supply")
        .agg(
            issue=pl.lit("cards above their wall meter"),
            gpu=pl.lit("all cards"),
            first_day=pl.col("day").min(),
            last_day=pl.col("day").max(),
            rows=pl.len().cast(pl.Int64),
            detail=pl.format("up to {} kWh an hour more than the meter", pl.col("excess").max().round(6)),
        )
        .select(ANOMALIES.names())
        .sort(ANOMALIES.names())
    )
