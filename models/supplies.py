"""Which power meter bills which nodes, and what it measured by the hour.

A supply is what one bill is about: the meters of a node, or the meter of a rack that assets name in `meter`. Whose
its energy is belongs to `models/attribution.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from models.config import Site
from models.energy import with_pue_of_site
from models.local_days import with_hour_length
from models.ratecard import Days, asset_days
from models.register import Asset

NODE = ("day", "site", "node")
SUPPLY = ("site", "supply", "hour")
QUARTERS = ("kw_q1", "kw_q2", "kw_q3", "kw_q4")


def supplied_nodes(assets: Sequence[Asset], days: Days) -> pl.DataFrame:
    """The supply of every registered server and day: its `meter`, else the node's own name.

    Args:
        assets: The register.
        days: Site -> first and last day.

    Returns:
        day, site, node, units, model, meter (NULL for the node's own), supply.
    """
    servers = [a for a in assets if a.kind == "gpu_server"]
    rows = asset_days(servers, days).select(*NODE, "asset", "units", "model")
    meters = pl.DataFrame(
        [(a.asset, a.meter) for a in servers],
        schema={"asset": pl.String, "meter": pl.String},
        orient="row",
    )
    return (
        rows.join(meters, on="asset", how="left")
        .with_columns(supply=pl.coalesce("meter", "node"))
        .drop("asset")
    )


def supply_hours(power_hourly: pl.DataFrame, nodes: pl.DataFrame, sites: Mapping[str, Site]) -> pl.DataFrame:
    """What the meters of each supply measured.

    A node's own meters are those that count for it (`counts`) and see all that it draws (scope wall); they add
    up. Where two sources or methods report one supply on one day, the one that covers more of it counts. A gap over which
    a counter tells the energy is covered.

    Args:
        power_hourly: `telemetry.power_hourly`.
        nodes: From `supplied_nodes`.
        sites: The configuration's sites.

    Returns:
        day, SUPPLY, kwh and estimated_kwh (Float64), length (of the hour, h), covered (part of it, 0-1; of several
        meters the mean), facility (they see the whole facility), sorted; only hours with something covered.

    Raises:
        ValueError: Energy is negative or not finite.
    """
    for column in ("energy_kwh", "energy_estimated_kwh"):
        bad = power_hourly.filter(~pl.col(column).is_finite() | (pl.col(column) < 0))
        if bad.height:
            first = bad.row(0, named=True)
            msg = (
                f"telemetry.power_hourly: {column} is {first[column]} in {bad.height} rows, first: source "
                f"{first['source']!r}, meter {first['meter']!r}, hour {first['hour']}; it must be a number >= 0"
            )
            raise ValueError(msg)
    rows = with_hour_length(_meters(power_hourly, nodes), sites)
    known = (
        pl.when(pl.col("energy_estimated_kwh") > 0).then(1.0).otherwise(pl.col("coverage") / pl.col("length"))
    )
    return (
        rows.with_columns(facility=_sees_facility(sites), known=known)
        .group_by("day", *SUPPLY)
        .agg(
            kwh=pl.col("energy_kwh").sort().sum(),
            estimated_kwh=pl.col("energy_estimated_kwh").sort().sum(),
            length=pl.col("length").first(),
            covered=pl.col("known").sort().sum() / pl.col("meters").first(),
            facility=pl.col("facility").all(),
        )
        .filter(pl.col("covered") > 0)
        .sort("day", *SUPPLY)
    )


def quarter_loads(power_hourly: pl.DataFrame, nodes: pl.DataFrame, sites: Mapping[str, Site]) -> pl.DataFrame:
    """The power that each site's supplier bills demand by, in quarters of an hour.

    That of the tariff's `meter`, in each hour by the source that covers most of it; where none is named, of all supplies of the site's servers added up, with PUE but
    for facility meters: known only where every meter of every supply is.

    Args:
        power_hourly: `telemetry.power_hourly`.
        nodes: From `supplied_nodes`.
        sites: The configuration's sites.

    Returns:
        site, day, start (UTC without a zone), kw (Float64); only quarters that are known; sorted.
    """
    named = [
        power_hourly.filter((pl.col("site") == name) & (pl.col("meter") == site.tariff.meter))
        .sort("coverage", "source", "method", descending=[True, False, False])
        .unique(["site", "hour"], keep="first", maintain_order=True)
        .with_columns(expected=pl.lit(1, dtype=pl.UInt32), factor=pl.lit(1.0))
        for name, site in sites.items()
        if site.tariff.meter is not None
    ]
    every = pl.col("site").is_in([name for name, site in sites.items() if site.tariff.meter is None])
    rows = _meters(power_hourly.filter(every), nodes.filter(every))
    day = ["site", "day"]
    counts = (
        rows.select(*day, "supply", "meters")
        .unique()
        .group_by(day)
        .agg(metered=pl.len(), expected=pl.col("meters").sum().cast(pl.UInt32))
    )
    complete = (
        nodes.select(*day, "supply").unique().group_by(day).agg(supplies=pl.len()).join(counts, on=day)
        .filter(pl.col("supplies") == pl.col("metered")).select(*day, "expected")
    )  # fmt: skip
    parts = with_pue_of_site(rows.join(complete, on=day), sites).with_columns(
        factor=pl.when(_sees_facility(sites)).then(1.0).otherwise("site_pue")
    )
    columns = [*day, "hour", "expected", "factor", *QUARTERS]
    found = [frame.select(columns) for frame in (*named, parts) if frame.height]
    if not found:
        return pl.DataFrame(
            schema={"site": pl.String, "day": pl.Date, "start": pl.Datetime("us"), "kw": pl.Float64}
        )
    minutes = {name: 15 * place for place, name in enumerate(QUARTERS)}
    return (
        pl.concat(found)
        .unpivot(QUARTERS, index=columns[:5], variable_name="quarter", value_name="kw")
        .with_columns(
            start=pl.col("hour")
            + pl.duration(minutes=pl.col("quarter").replace_strict(minutes, return_dtype=pl.Int64)),
            kw=pl.col("kw") * pl.col("factor"),
        )
        .group_by(*day, "start")
        .agg(
            pl.col("kw").drop_nulls().sort().sum(),
            known=pl.col("kw").count(),
            expected=pl.col("expected").first(),
        )
        .filter(pl.col("known") == pl.col("expected"))
        .select(*day, "start", "kw")
        .sort("site", "start")
    )


def _meters(power_hourly: pl.DataFrame, nodes: pl.DataFrame) -> pl.DataFrame:
    """The rows that count for a supply, and meters: how many meters it has that day."""
    own = nodes.filter(pl.col("meter").is_null()).select(*NODE, "supply")
    shared = nodes.filter(pl.col("meter").is_not_null()).select("day", "site", "meter", "supply").unique()
    whole = power_hourly.filter((pl.col("scope") == "wall") & pl.col("counts"))
    rows = pl.concat(
        [whole.join(own, on=NODE), power_hourly.join(shared, on=["day", "site", "meter"])], how="diagonal"
    )
    day = ["site", "supply", "day"]
    best = (
        rows.group_by(*day, "source", "method")
        .agg(pl.col("coverage").sum(), meters=pl.col("meter").n_unique())
        .sort("coverage", "source", "method", descending=[True, False, False])
        .unique(day, keep="first", maintain_order=True)
        .drop("coverage")
    )
    return rows.join(best, on=[*day, "source", "method"], maintain_order="left")


def _sees_facility(sites: Mapping[str, Site]) -> pl.Expr:
    return pl.any_horizontal(
        pl.lit(value=False),
        *((pl.col("site") == n) & pl.col("meter").is_in(s.facility_meters) for n, s in sites.items()),
    )
