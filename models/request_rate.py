"""How many inferences a second a workload answers: mean and peak of a day, of the time that telemetry saw whole.

What they cost belongs to `models/unit_cost.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from zoneinfo import ZoneInfo

import polars as pl

from models.local_days import day_bounds, length_h

WORK = ("day", "workload", "tier")
POD = ("source", "site", "workload", "tier", "model", "namespace", "pod")
HOUR = timedelta(hours=1)

WHOLE = 0.98
"""Samples of a replica that cover less of an hour do not tell all of it."""

ALL = 0.9999
"""From here on no part of a silence before the hour is in what the hour counts."""

LOG_HOURS = 24.0
"""A log, and the usage that a model API tells, are of their whole day."""

Zones = Mapping[str | None, ZoneInfo]


def with_rates(
    rows: pl.DataFrame, inference_hourly: pl.DataFrame, edge_daily: pl.DataFrame, zones: Zones
) -> pl.DataFrame:
    """Adds inferences a second to days of work.

    Of services with counters, the hours are taken that were seen whole: one replica at least has samples all through,
    and so has each that was there before and is after. Else an hour of which half was seen would be slow, and the hour after a
    silence, in which the counter went on, would hold the work of several. Of tier api all hours are known; usage that
    is told by the day stands in the first hour of the UTC day, and has no peak. Of devices the mean is over the whole
    day, since their counters go on while they are offline, and there is no peak.

    Args:
        rows: Columns day, workload, tier, inferences; others pass through.
        inference_hourly: `telemetry.inference_hourly` with owners.
        edge_daily: `telemetry.edge_daily` with owners.
        zones: Site -> time zone, None -> the organisation's, for the length of days; 24 h where a site is not in it.

    Returns:
        The rows with inferences_per_s_mean and inferences_per_s_peak (1/s), and rate_hours (h), of which they are;
        NULL where unknown. A workload that devices and services report on one tier has none.
    """
    named = pl.col("workload").is_not_null()
    is_log = pl.col("tier") == "api"
    served, logged = inference_hourly.filter(named & ~is_log), inference_hourly.filter(named & is_log)
    rates = pl.concat(
        [_served(served, zones), _logged(logged), _devices(edge_daily.filter(named), zones)], how="diagonal"
    ).filter(pl.len().over(WORK) == 1)
    of_day = pl.col("inferences") / (3600 * pl.col("rate_hours"))
    return rows.join(rates, on=WORK, how="left").with_columns(
        inferences_per_s_mean=pl.when("counted").then("inferences_per_s_mean").otherwise(of_day)
    ).drop("counted")  # fmt: skip


def _served(hourly: pl.DataFrame, zones: Zones) -> pl.DataFrame:
    """Columns WORK, both rates, rate_hours, counted (true)."""
    pods = (
        hourly.group_by(*POD, "day", "hour")
        .agg(_sum("inferences"), pl.col("coverage").max())
        .join(_lengths(hourly, zones), on=["site", "day", "hour"], nulls_equal=True)
        .sort("hour")
    )
    part, hour = pl.col("coverage") / pl.col("length"), pl.col("hour")
    pods = pods.with_columns(
        part=part,
        part_before=pl.when(hour.shift(1).over(POD) == hour - HOUR).then(part.shift(1).over(POD)),
        is_end=(hour == hour.min().over(POD)) | (hour == hour.max().over(POD)),
    )
    whole = (pl.col("part") >= ALL) | ((pl.col("part") >= WHOLE) & (pl.col("part_before") >= WHOLE))
    whole = whole.fill_null(value=False)
    by_site = pods.group_by(*WORK, "site", "hour").agg(
        _sum("inferences"),
        pl.col("length").max(),
        known=whole.any() & (whole | pl.col("is_end")).all() & pl.col("inferences").is_not_null().all(),
    )
    known = by_site.filter("known")
    means = (
        known.group_by(*WORK, "site")
        .agg(pl.col("inferences").sort().sum(), hours=pl.col("length").sum())
        .join(by_site.select(*WORK, "site").unique(), on=[*WORK, "site"], how="right", nulls_equal=True)
        .group_by(WORK)
        .agg(
            inferences_per_s_mean=pl.when(pl.col("hours").is_not_null().all()).then(
                (pl.col("inferences") / (3600 * pl.col("hours"))).sort().sum()
            ),
            rate_hours=pl.col("hours").max(),
        )
    )
    together = (
        by_site.group_by(*WORK, "hour")
        .agg(_sum("inferences"), pl.col("length", "site"), pl.col("known").all())
        .with_columns(pl.col("length").list.max())
    )
    # hours of places that are half an hour apart cannot be added
    apart = (pl.col("site").explode().n_unique() > 1) & (pl.col("hour").dt.minute().n_unique() > 1)
    rate = pl.col("inferences") / (3600 * pl.col("length"))
    peaks = together.group_by(WORK).agg(
        inferences_per_s_peak=pl.when(~apart).then(rate.filter("known").max())
    )
    return means.join(peaks, on=WORK).with_columns(counted=pl.lit(value=True))


def _logged(hourly: pl.DataFrame) -> pl.DataFrame:
    """Columns WORK, inferences_per_s_peak, rate_hours, counted (false)."""
    midnight = pl.col("hour").dt.hour() == 0
    by_day = midnight.all().over("day", "source")
    return (
        hourly.with_columns(inferences=pl.when(~by_day).then("inferences"))
        .group_by(*WORK, "hour")
        .agg(_sum("inferences"))
        .group_by(WORK)
        .agg(
            inferences_per_s_peak=pl.when(pl.col("inferences").is_not_null().all()).then(
                pl.col("inferences").max() / 3600
            )
        )
        .with_columns(rate_hours=pl.lit(LOG_HOURS), counted=pl.lit(value=False))
    )


def _devices(daily: pl.DataFrame, zones: Zones) -> pl.DataFrame:
    """Columns WORK, rate_hours, counted (false)."""
    days = daily.select("day", "workload", "site").unique().with_columns(tier=pl.lit("edge"))
    hours = [
        length_h(day, zones[site]) if site in zones else LOG_HOURS
        for day, site in days.select("day", "site").iter_rows()
    ]
    return (
        days.with_columns(hours=pl.Series(hours, dtype=pl.Float64))
        .group_by(WORK)
        .agg(rate_hours=pl.col("hours").max())
        .with_columns(counted=pl.lit(value=False))
    )


def _sum(column: str) -> pl.Expr:
    """The sum, NULL where a part is unknown."""
    return pl.when(pl.col(column).is_not_null().all()).then(pl.col(column).sort().sum()).alias(column)


def _lengths(hourly: pl.DataFrame, zones: Zones) -> pl.DataFrame:
    """Columns site, day, hour and length: hours up to the next hour, or to the end of the day if that is sooner."""
    hours = hourly.select("site", "day", "hour").unique()
    lengths = [
        min(HOUR, day_bounds(day, zones[site])[1] - hour) / HOUR if site in zones else 1.0
        for site, day, hour in hours.iter_rows()
    ]
    return hours.with_columns(length=pl.Series(lengths, dtype=pl.Float64))
