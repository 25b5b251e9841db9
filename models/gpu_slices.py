"""Rows of cards and of their MIG slices, in hours of a whole card: what part of the card a slice is, and when it is there.

Which profiles a card has belongs to `models/mig.py`; hours that add up by card and day, to `models/gpu_hours.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from models import mig

CARD = ("day", "site", "node", "gpu")
TOLERANCE = 1e-6
"""Hours (3.6 ms) and shares that are only noise of floating point."""


def above_noise(hours: pl.Expr) -> pl.Expr:
    """Hours, and 0 for what is only noise."""
    return pl.when(hours > TOLERANCE).then(hours).otherwise(0.0)


def weighted(rows: pl.DataFrame) -> pl.DataFrame:
    """Adds whole_card, weight (share of the card), state, `impossible` use, and what is wrong with a slice.

    The weight is NULL, and the time of the row unknown, for a profile that the card has not (`alien` says why), and
    where the slices that are there at once do not fit the card (`misfit`; `models/mig.py`).
    """
    whole_card = pl.col("mig_profile").is_null() & pl.col("mig_id").is_null()
    used, observed = pl.col("used_hours"), pl.col("observed_hours")
    kind = ["gpu_model", "mig_profile"]
    kinds = rows.filter(~whole_card).select(kind).unique()
    found = [(mig.share(*row), row[0], row[1]) for row in kinds.iter_rows()]
    kinds = kinds.with_columns(
        share=pl.Series([s for s, _, _ in found], dtype=pl.Float64),
        alien=pl.Series(
            [None if s else mig.misfit(m, (p or "no profile",)) for s, m, p in found], dtype=pl.String
        ),
    )
    rows = rows.join(kinds, on=kind, how="left", nulls_equal=True, maintain_order="left").with_columns(
        share=pl.when(whole_card).then(1.0).otherwise("share"), alien=pl.when(~whole_card).then("alien")
    )
    misfits = _misfits(rows.filter(~whole_card & pl.col("alien").is_null()))
    rows = rows.join(misfits, on=[*CARD, "hour"], how="left", nulls_equal=True, maintain_order="left")
    return (
        rows.with_columns(whole_card=whole_card, weight=pl.when(pl.col("misfit").is_null()).then("share"))
        .with_columns(
            state=pl.when(pl.col("weight").is_null() | pl.col("allocated").is_null())
            .then(pl.lit("unknown"))
            .when("allocated")
            .then(pl.lit("allocated"))
            .otherwise(pl.lit("unallocated")),
            impossible=(used < 0) | (used > observed * (1 + TOLERANCE) + TOLERANCE) | ~used.is_finite(),
        )
        .drop("share")
    )


def _misfits(slices: pl.DataFrame) -> pl.DataFrame:
    """CARD, hour and misfit of hours whose slices do not fit their card together.

    Slices that are each there for more than half of an hour are there at once; of others it is not known.
    """
    hour = [*CARD, "hour"]
    layouts = (
        slices.group_by(*hour, "mig_id", "mig_profile")
        .agg(pl.col("gpu_model").drop_nulls().max(), pl.col("observed_hours").sum())
        .filter(pl.col("observed_hours") > 0.5 + TOLERANCE)
        .group_by(hour)
        .agg(pl.col("gpu_model").drop_nulls().max(), layout=pl.col("mig_profile").sort())
    )
    kinds = layouts.select("gpu_model", "layout").unique()
    why = [mig.misfit(model, tuple(layout)) for model, layout in kinds.iter_rows()]
    kinds = kinds.with_columns(misfit=pl.Series(why, dtype=pl.String)).drop_nulls("misfit")
    return layouts.join(kinds, on=["gpu_model", "layout"], nulls_equal=True).select(*hour, "misfit")


def cut(rows: pl.DataFrame) -> pl.DataFrame:
    """Time in which cards were cut in slices.

    Args:
        rows: Result of `weighted`.

    Returns:
        CARD, hour, sliced (time with slices), and missing (of it, the hours of slices that do not exist); hours of a
        whole card.
    """
    slices = (
        rows.filter(~pl.col("whole_card") & (pl.col("state") != "unknown"))
        .group_by(*CARD, "hour", "mig_profile", "mig_id")
        .agg(pl.col("observed_hours").sum(), pl.col("weight").first())
        .filter(pl.col("observed_hours") > 0)
    )
    return time_of_slices(slices, [*CARD, "hour"])


def time_of_slices(slices: pl.DataFrame, hour: Sequence[str]) -> pl.DataFrame:
    """How long slices were there, together.

    Slices of one card that are observed equally long are one layout, or as many as they fill cards. Layouts that fill
    more than half of the card each cannot be there at once: they follow each other within the hour, and their times add up.

    Args:
        slices: One row a slice and hour: the columns of `hour`, observed_hours, and weight, its share of the card.
        hour: What names a card's hour.

    Returns:
        `hour`, sliced (hours), and missing (of it, the hours of slices that do not exist, of a whole card).
    """
    cards = pl.max_horizontal((pl.col("weight") - TOLERANCE).ceil(), 1.0)
    layouts = (
        slices.group_by(*hour, pl.col("observed_hours").round(6))
        .agg(pl.col("weight").sum())
        .filter(pl.col("weight") > 0.5 + TOLERANCE)
        .group_by(hour)
        .agg(apart=(pl.col("observed_hours") * cards).sum().clip(upper_bound=1.0))
    )
    filled = pl.col("observed_hours") * pl.col("weight")
    follow = pl.col("present") > 1 + TOLERANCE
    return (
        slices.group_by(hour)
        .agg(
            longest=pl.col("observed_hours").max(),
            present=pl.col("weight").sort().sum(),
            filled=filled.sort().sum(),
        )
        .join(layouts, on=hour, how="left", nulls_equal=True)
        .with_columns(sliced=pl.when(follow).then(pl.max_horizontal("longest", "apart")).otherwise("longest"))
        .with_columns(
            missing=above_noise(
                pl.when(follow)
                .then(pl.col("sliced") - pl.col("filled"))
                .otherwise(pl.col("sliced") * (1 - pl.col("present")))
            )
        )
        .select(*hour, "sliced", "missing")
    )


def with_layouts(rows: pl.DataFrame, slice_: pl.Expr) -> pl.DataFrame:
    """Adds layout and kw (together they name a layout), time (h), and part of the card's energy in the hour, of slices that were there together.

    Slices that last equally long are one layout, where layouts so found follow each other within the hour, each is no
    more than a card, and the energy of all is known. Else the hour is one layout. Two layouts of half an hour each are
    told apart by their energy, of which slices that are there together have it by their size.

    Args:
        rows: CARD, hour, mig_id, mig_profile, observed_hours, hours (of a whole card), sliced and energy_kwh.
        slice_: Which of them are slices.
    """
    one_slice = [*CARD, "hour", "mig_id", "mig_profile"]
    lasts = pl.col("observed_hours").filter(slice_).sum().over(one_slice)
    rows = rows.with_columns(layout=pl.when(slice_).then(lasts.round(6)))
    many = pl.col("hours").filter(slice_).sum().over(*CARD, "hour", "layout") > pl.col("layout") + TOLERANCE
    kw = (pl.col("energy_kwh").sum() / pl.col("hours").sum()).over(one_slice)
    rows = rows.with_columns(kw=pl.when(slice_ & many).then(kw.round(6)))
    layout, energy = [*CARD, "hour", "layout", "kw"], pl.col("energy").sum()
    together = (pl.col("layout").sum() - pl.col("sliced").first()).abs() < TOLERANCE
    fits = (pl.col("hours") < pl.col("layout") + TOLERANCE) & pl.col("known")
    found = (
        rows.filter(slice_)
        .group_by(layout)
        .agg(
            pl.col("hours").sum(),
            pl.col("sliced").first(),
            known=pl.col("energy_kwh").is_not_null().all(),
            energy=pl.col("energy_kwh").sum(),
        )
        .filter((together & fits.all() & (energy > 0) & (pl.len() > 1)).over(*CARD, "hour"))
        .select(*layout, of_card=pl.col("energy") / energy.over(*CARD, "hour"))
    )
    one = pl.col("of_card").is_null()
    return rows.join(found, on=layout, how="left", nulls_equal=True, maintain_order="left").with_columns(
        layout=pl.when(~one).then("layout"),
        time=pl.when(one).then("sliced").otherwise("layout"),
        part=pl.coalesce("of_card", 1.0),
        kw=pl.when(~one).then("kw"),
    )


def carries() -> pl.Expr:
    """Whether a row of the whole card that nobody holds only carries the energy of slices that are there meanwhile.

    It does where it is observed at least as long as the slices, unless both together are the whole hour: then the card
    was whole before or after them.
    """
    free = pl.col("whole_card") & (pl.col("state") == "unallocated")
    seen = pl.col("observed_hours").filter(free).sum().over(*CARD, "hour")
    before_or_after = (seen < pl.col("sliced") - TOLERANCE) | (
        (seen + pl.col("sliced") - 1).abs() < TOLERANCE
    )
    return free & pl.col("sliced").is_not_null() & ((seen < TOLERANCE) | ~before_or_after)


def placed(rows: pl.DataFrame) -> pl.DataFrame:
    """Adds hours and used in hours of a whole card, and absent: the hours of slices that do not exist.

    Where the profile of a slice cannot be read, what the others leave is not known.

    A row of the whole card that only carries the energy of its slices (`carries`) has their time, so only what it
    covers beyond them counts.
    """
    hour = [*CARD, "hour"]
    unread = pl.col("alien").is_not_null()
    hours = pl.col("observed_hours") * pl.col("weight").fill_null(0.0)
    return (
        rows.join(cut(rows), on=hour, how="left", nulls_equal=True)
        .with_columns(
            hours=pl.when(carries()).then((hours - pl.col("sliced")).clip(lower_bound=0.0)).otherwise(hours),
            absent=pl.when(~unread.any().over(hour)).then("missing"),
        )
        .drop("missing")
        .with_columns(
            used=pl.when(~pl.col("impossible")).then(
                pl.min_horizontal(pl.col("used_hours") * pl.col("weight"), pl.col("hours"))
            )
        )
    )
