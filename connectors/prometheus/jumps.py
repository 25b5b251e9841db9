"""Hours of power meters without what their energy counters jump by (`connectors.meters.jumps`).

An hour whose quarters are all known, and sum to it, is judged by them, and keeps those that are no jump; another one is judged whole, and
one that jumps is left out. Hours of a gap are judged together, since its energy is spread over them: where it is a jump,
they have no estimated energy.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from connectors.meters import jumps

AGREED = 0.1
"""Quarters that sum to the hour, up to such a part (and 0.1 kWh), tell the same; where a counter showed 0 for a while they do not."""

_HOUR, _QUARTER = pl.duration(hours=1), pl.duration(minutes=15)


def without_jumps(
    rows: pl.DataFrame, thing: Sequence[str], quarters: Sequence[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Takes jumps out of hours.

    Args:
        rows: thing, hour, energy_kwh, energy_estimated_kwh, coverage, and the kW of quarters.
        thing: Columns that name a meter.
        quarters: Columns of mean power, in order of time.

    Returns:
        The hours; and hour (a moment within it) and kWh of the jumps.
    """
    key = [*thing, "hour"]
    gap, told = pl.col("energy_estimated_kwh") > 0, pl.sum_horizontal(quarters) / len(quarters)
    whole = pl.all_horizontal(pl.col(*quarters).is_not_null()) & (
        (told - pl.col("energy_kwh")).abs() <= AGREED * (1 + pl.col("energy_kwh"))
    )
    judged = rows.with_columns(kind=pl.when(gap).then(0).when(whole).then(4).otherwise(1)).sort(key)
    apart = (pl.col("kind") != 0) | (pl.col("kind").shift(1) != 0) | (pl.col("hour").diff() != _HOUR)
    judged = judged.with_columns(span=apart.fill_null(value=True).cum_sum().over(thing))
    by_span = judged.filter(pl.col("kind") != 4).group_by(*thing, "span").agg(
        until=pl.col("hour").max() + _HOUR,
        counted=(pl.col("energy_kwh") + pl.col("energy_estimated_kwh")).sum(),
    )  # fmt: skip
    each = judged.filter(kind=4).unpivot(
        quarters, index=[*key, "span"], variable_name="part", value_name="kw"
    )
    place = pl.col("part").replace_strict({q: n + 1 for n, q in enumerate(quarters)}, return_dtype=pl.Int64)
    by_part = each.with_columns(until=pl.col("hour") + _QUARTER * place, counted=pl.col("kw") / 4)
    rises = pl.concat([by_span, by_part], how="diagonal").filter(pl.col("counted") > 0)
    found = jumps(rises, thing)
    if found.is_empty():
        return rows, rows.select("hour", kwh="energy_kwh").clear()
    spans = found.filter(pl.col("part").is_null()).select(*thing, "span", jumps=pl.lit(value=True))
    parts = found.filter(pl.col("part").is_not_null()).select(*key, "part")
    left = by_part.join(parts, on=[*key, "part"], how="anti").group_by(key).agg(
        rest=pl.col("counted").sum(), share=pl.len() / len(quarters)
    ).join(parts, on=key, how="semi")  # fmt: skip
    odd = parts.group_by(key).agg("part")
    kept = (
        judged.join(spans, on=[*thing, "span"], how="left")
        .join(left, on=key, how="left")
        .join(odd, on=key, how="left")
    )
    kept = kept.filter(pl.col("jumps").is_null() | (pl.col("kind") == 0)).with_columns(
        energy_kwh=pl.coalesce("rest", "energy_kwh"),
        energy_estimated_kwh=pl.when(pl.col("jumps").is_null()).then("energy_estimated_kwh").otherwise(0.0),
        coverage=pl.col("coverage") * pl.col("share").fill_null(1.0),
        **{q: pl.when(~pl.col("part").list.contains(q).fill_null(value=False)).then(q) for q in quarters},
    )
    wrong = found.select(hour=pl.col("until") - pl.duration(seconds=1), kwh="counted")
    return kept.select(rows.columns), wrong
