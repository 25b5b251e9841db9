"""Hours of owned GPUs: measured rows become hours held, unheld and unknown that add up, by card and day.

What part of a card a row is belongs to `models/gpu_slices.py`, what the hours cost to `models/gpu.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from models.config import DIMENSIONS, Site
from models.energy import cost_by_site
from models.gpu_slices import CARD, TOLERANCE, above_noise, placed, weighted
from models.local_days import with_capacity
from models.ratecard import Days, is_asked

SUMS = ("energy_kwh", "energy_estimated_kwh", "energy_cost", "energy_estimated_cost")

BESIDE = 0.1
"""Hours for which a card that replaces another may be seen beside it in one hour: samples and clocks are not exact."""

ANOMALIES = pl.Schema(
    {
        "issue": pl.String(),
        "site": pl.String(),
        "node": pl.String(),
        "gpu": pl.String(),
        "first_day": pl.Date(),
        "last_day": pl.Date(),
        "rows": pl.Int64(),
        "detail": pl.String(),
    }
)


@dataclass(frozen=True)
class Hours:
    """Measured hours that add up.

    Attributes:
        holders: One row for each card, day, mig_profile, state and holder: CARD, gpu_model, mig_profile,
            state (allocated, unallocated, unknown), owner columns (NULL unless allocated), busy_hours and
            idle_hours (GPU-h, together this row's part of the card's capacity; held hours of unknown use are
            busy), blind (held by the scheduler's requests alone, in a gap), use_known, seen_hours (of unknown rows: samples that name no holder), energy_kwh,
            energy_estimated_kwh, energy_cost, energy_estimated_cost (of the energy that is known), energy_known
            (that of every hour is).
        anomalies: What telemetry and register contradict each other in, in `ANOMALIES`.
    """

    holders: pl.DataFrame
    anomalies: pl.DataFrame


def card_hours(hourly: pl.DataFrame, servers: pl.DataFrame, sites: Mapping[str, Site], days: Days) -> Hours:
    """Adds up hours by card, day and holder, so that the parts of each card sum to the hours of its day.

    A MIG slice counts as its compute slices by those of the card; slices that do not exist while others are
    observed are unallocated. What no row covers is unknown. Rows of one card that cover more than the day
    (overlapping holders in one hour) are scaled down in proportion, and reported. More use than time held is
    impossible: it counts as unknown use, and is reported. A node has the cards that were seen in it at once
    (`slots`): cards that follow each other (replaced, moved here or away) have one day between them.

    Args:
        hourly: `telemetry.gpu_hourly` with owners from `ownership.label`.
        servers: gpu_server rows of `ratecard.asset_days` for the same days.
        sites: The configuration's sites.
        days: Site -> first and last day; other rows are passed over.

    Returns:
        The hours; cards that no row names are not in them.

    Raises:
        ValueError: Hours or energy are negative or not finite, or no period of a tariff matches an hour.
    """
    refuse_impossible(hourly)
    asked = hourly.filter(is_asked(days))
    registered = servers.select("site", "node", "day", "units").unique()
    in_register = asked.join(registered, on=["site", "node", "day"], how="inner", maintain_order="left")
    rows = placed(weighted(cost_by_site(in_register, sites)))
    absent = (
        rows.filter(pl.col("absent") > 0)
        .select(*CARD, "gpu_model", "hour", hours="absent")
        .unique([*CARD, "hour"])
    )
    observed = pl.concat(
        [rows.filter(pl.col("state") != "unknown").select(*CARD, "hours"), absent.select(*CARD, "hours")]
    )
    at_once = pl.concat(
        [rows.filter(pl.col("state") != "unknown").select(*CARD, "hour", "hours"), absent.drop("gpu_model")]
    )
    node = ["day", "site", "node"]
    dark = (pl.col("capacity") - pl.col("hours")).clip(lower_bound=0.0)
    cards = (
        rows.group_by(CARD)
        .agg(pl.col("gpu_model").max(), pl.col("units").max())
        .join(observed.group_by(CARD).agg(pl.col("hours").sort().sum()), on=CARD, how="left")
        .with_columns(pl.col("hours").fill_null(0.0))
        .pipe(with_capacity, sites)
        .join(slots(at_once), on=node, how="left", nulls_equal=True)
        .with_columns(slots=pl.max_horizontal("units", pl.col("slots").fill_null(0)))
        .with_columns(
            unknown=above_noise(
                dark * unseen_share(dark, pl.min_horizontal("slots", pl.len().over(node)), node, "capacity")
            ),
            excess=above_noise(pl.col("hours") - pl.col("capacity")),
        )
        .with_columns(
            scale=pl.when(pl.col("excess") > 0).then(pl.col("capacity") / pl.col("hours")).otherwise(1.0)
        )
    )
    rented = [name for name, site in sites.items() if site.rented]
    unregistered = asked.filter(~pl.col("site").is_in(rented)).join(
        registered, on=["site", "node", "day"], how="anti"
    )
    return Hours(_holders(rows, absent, cards), _anomalies(rows, cards, unregistered))


def slots(seen: pl.DataFrame) -> pl.DataFrame:
    """How many cards a node had at once: the greatest sum of card hours in any of its hours, less BESIDE, rounded up.

    Args:
        seen: CARD, hour and hours (of a whole card).

    Returns:
        day, site, node, slots (Int64).
    """
    card = seen.group_by(*CARD, "hour").agg(pl.col("hours").sum().clip(upper_bound=1.0))
    return (
        card.group_by("day", "site", "node", "hour")
        .agg(pl.col("hours").sum())
        .group_by("day", "site", "node")
        .agg(slots=(pl.col("hours").max() - BESIDE).ceil().cast(pl.Int64))
    )


def unseen_share(dark: pl.Expr, slots_: pl.Expr, over: Sequence[str], capacity: str) -> pl.Expr:
    """The part of each card's time without samples in which its node had it: 1 unless cards followed each other.

    Args:
        dark: Time of the card without samples.
        slots_: Cards that the node has.
        over: Columns of what the cards share.
        capacity: Column with the time of a card.
    """
    whole = pl.col(capacity)
    taken = (whole - dark).sum().over(over)
    missing = (slots_ * whole - taken).clip(lower_bound=0.0)
    total = dark.sum().over(over)
    return pl.when(total > TOLERANCE).then((missing / total).clip(upper_bound=1.0)).otherwise(1.0)


def refuse_impossible(hourly: pl.DataFrame) -> None:
    """Refuses hours and energy of `telemetry.gpu_hourly` that are negative or not finite.

    Raises:
        ValueError: There are such values.
    """
    for column in ("observed_hours", "energy_kwh", "energy_estimated_kwh"):
        value = pl.col(column)
        absent = value.is_null() if column != "energy_kwh" else pl.lit(value=False)
        bad = hourly.filter(absent | ~value.is_finite() | (value < 0))
        if bad.height:
            first = bad.row(0, named=True)
            msg = (
                f"telemetry.gpu_hourly: {column} is {first[column]} in {bad.height} rows, first: source "
                f"{first['source']!r}, gpu {first['gpu']!r}, hour {first['hour']}; it must be a number >= 0"
            )
            raise ValueError(msg)


def rented_hours(hourly: pl.DataFrame, sites: Mapping[str, Site]) -> pl.DataFrame:
    """Hours used of rented GPUs, whose cost is in a cloud's bill, in hours of a whole card.

    Args:
        hourly: `telemetry.gpu_hourly` with owners from `ownership.label`.
        sites: The configuration's sites; those that are `rented` count.

    Returns:
        day, workload, team, gpu_hours_used; NULL where the use of a held hour, or a slice's part of its card, is
        unknown. Time of which no sample says who held the card is nobody's.
    """
    rented = [name for name, site in sites.items() if site.rented]
    held = weighted(hourly.filter(pl.col("site").is_in(rented) & pl.col("allocated").fill_null(value=False)))
    used = pl.when(~pl.col("impossible")).then(pl.col("used_hours") * pl.col("weight"))
    return (
        held.filter((pl.col("observed_hours") > 0) & pl.col("workload").is_not_null())
        .with_columns(used=used)
        .group_by("day", "workload", "team")
        .agg(gpu_hours_used=pl.when(pl.col("used").is_not_null().all()).then(pl.col("used").sort().sum()))
    )


def _holders(rows: pl.DataFrame, absent: pl.DataFrame, cards: pl.DataFrame) -> pl.DataFrame:
    held, unknown = pl.col("state") == "allocated", pl.col("state") == "unknown"
    none = pl.lit(0.0)
    measured = rows.with_columns(
        *(pl.when(held).then(pl.col(name)).alias(name) for name in DIMENSIONS),
        mig_profile=pl.when(~unknown).then(pl.col("mig_profile")),
        busy_hours=pl.when(held)
        .then(pl.coalesce("used", "hours"))
        .when(unknown)
        .then(none)
        .otherwise("hours"),
        idle_hours=pl.when(held & pl.col("used").is_not_null())
        .then(pl.col("hours") - pl.col("used"))
        .otherwise(none),
        seen_hours=pl.when(unknown).then("hours").otherwise(none),
        blind=held & pl.col("sampled").not_().fill_null(value=False),
        use_known=~unknown & (~held | pl.col("used").is_not_null() | (pl.col("hours") == 0)),
        energy_known=pl.col("energy_kwh").is_not_null()
        | (pl.col("weight").is_not_null() & (pl.col("hours") == 0)),
    )
    nobody = absent.select(
        *CARD,
        state=pl.lit("unallocated"),
        blind=pl.lit(value=False),
        busy_hours="hours",
        use_known=pl.lit(value=True),
        energy_known=pl.lit(value=True),
    )
    dark = cards.filter(pl.col("unknown") > 0).select(
        *CARD,
        state=pl.lit("unknown"),
        blind=pl.lit(value=False),
        busy_hours="unknown",
        use_known=pl.lit(value=False),
        energy_known=pl.lit(value=True),
    )
    names = [*CARD, "mig_profile", "state", "blind", *DIMENSIONS]
    sums = ["busy_hours", "idle_hours", "seen_hours", *SUMS]
    flags = ["use_known", "energy_known"]
    stacked = pl.concat([measured.select(*names, *sums, *flags), nobody, dark], how="diagonal")
    return (
        stacked.group_by(names)
        .agg(pl.col(sums).sort().sum(), pl.col("use_known").all(), pl.col("energy_known").all())
        .join(cards.select(*CARD, "gpu_model", "scale"), on=CARD, how="left")
        .with_columns(
            pl.when(unknown).then(pl.col(h)).otherwise(pl.col(h) * pl.col("scale"))
            for h in ("busy_hours", "idle_hours")
        )
        .drop("scale")
        .sort(names)
    )


def _anomalies(rows: pl.DataFrame, cards: pl.DataFrame, unregistered: pl.DataFrame) -> pl.DataFrame:
    found = {
        "no asset": (
            unregistered,
            pl.when(pl.col("energy_kwh").is_not_null().all())
            .then(pl.format("{} kWh without a price", pl.col("energy_kwh").sum().round(3)))
            .otherwise(pl.lit("energy not measured")),
        ),
        "more cards than units": (
            cards.filter(pl.col("slots") > pl.col("units")),
            pl.format("{} cards seen, {} registered", pl.col("slots").max(), pl.col("units").min()),
        ),
        "overlapping holders": (
            cards.filter(pl.col("excess") > 0),
            pl.format("up to {} h a day above capacity", pl.col("excess").max().round(6)),
        ),
        "impossible use": (
            rows.filter("impossible"),
            pl.format(
                "up to {} used in {} observed hours",
                pl.col("used_hours").max(),
                pl.col("observed_hours").sort_by("used_hours").last(),
            ),
        ),
        "unknown MIG profile": (
            rows.filter(pl.col("alien").is_not_null()),
            pl.col("alien").first(),
        ),
        "MIG layout does not fit": (rows.filter(pl.col("misfit").is_not_null()), pl.col("misfit").first()),
    }
    frames = [
        frame.group_by("site", "node", "gpu")
        .agg(
            issue=pl.lit(issue),
            first_day=pl.col("day").min(),
            last_day=pl.col("day").max(),
            rows=pl.len().cast(pl.Int64),
            detail=detail,
        )
        .select(ANOMALIES.names())
        for issue, (frame, detail) in found.items()
    ]
    return pl.concat(frames, how="vertical_relaxed").sort(ANOMALIES.names())
