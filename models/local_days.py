"""Calendar days of a zone or site: when they begin, and how long they are where clocks change."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from models.config import Site


def day_bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """First instant of a calendar day and of the next one, UTC without a zone."""
    start, end = (
        datetime.combine(day + timedelta(days=k), time(), zone).astimezone(UTC).replace(tzinfo=None)
        for k in (0, 1)
    )
    return start, end


def length_h(day: date, zone: ZoneInfo) -> float:
    """Hours of a calendar day: 24, or 23 or 25 at daylight saving."""
    start, end = day_bounds(day, zone)
    return (end - start) / timedelta(hours=1)


def local_day(day: date, site: Site) -> tuple[datetime, datetime]:
    """First instant of a site's calendar day and of the next one, UTC without a zone."""
    return day_bounds(day, site.zone)


def day_hours(day: date, site: Site) -> float:
    """Hours of a site's calendar day."""
    return length_h(day, site.zone)


def hour_end(hour: datetime, site: Site) -> datetime:
    """End of an hour of telemetry: an hour later, or where its local day ends if that is sooner (a day of 24.5 hours).

    Args:
        hour: Its start, UTC without a zone.
        site: Where.
    """
    day = hour.replace(tzinfo=UTC).astimezone(site.zone).date()
    return min(hour + timedelta(hours=1), local_day(day, site)[1])


def with_hour_length(frame: pl.DataFrame, sites: Mapping[str, Site]) -> pl.DataFrame:
    """Adds `length`, the hours from the start of an hour to its `hour_end`, to a frame with site and hour."""
    hours = frame.select("site", "hour").unique()
    lengths = [(hour_end(hour, sites[site]) - hour) / timedelta(hours=1) for site, hour in hours.iter_rows()]
    return frame.join(
        hours.with_columns(length=pl.Series(lengths, dtype=pl.Float64)),
        on=["site", "hour"],
        how="left",
        maintain_order="left",
    )


def with_capacity(frame: pl.DataFrame, sites: Mapping[str, Site]) -> pl.DataFrame:
    """Adds `capacity`, the hours of the local day, to a frame with site and day."""
    days = frame.select("site", "day").unique()
    hours = [day_hours(day, sites[site]) for site, day in days.iter_rows()]
    return frame.join(
        days.with_columns(capacity=pl.Series(hours, dtype=pl.Float64)), on=["site", "day"], how="left"
    )
