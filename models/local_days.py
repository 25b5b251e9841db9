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


def with_capacity(frame: pl.DataFrame, sites: Mapping[str, Site]) -> pl.DataFrame:
    """Adds `capacity`, the hours of the local day, to a frame with site and day."""
    days = frame.select("site", "day").unique()
    hours = [day_hours(day, sites[site]) for site, day in days.iter_rows()]
    return frame.join(
        days.with_columns(capacity=pl.Series(hours, dtype=pl.Float64)), on=["site", "day"], how="left"
    )
