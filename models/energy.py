"""What energy costs: kWh x PUE x the tariff at the local hour.

How many kWh there were belongs to the connectors; whose they are, to `models/gpu.py` and `models/edge.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl

from models.config import Site, TariffPeriod
from models.money import SCALE
from models.tables import MONEY

QUARTER = timedelta(minutes=15)
"""All zones are off UTC by whole quarters of an hour; a tariff is taken as constant within one."""


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


def hour_prices(hours: Iterable[datetime], site: Site) -> pl.DataFrame:
    """The price of a kWh in each hour, before PUE.

    The price of an hour is the mean of its four quarters, which differ only where the zone or the tariff does
    not change on the UTC hour. The weekday and month of a period are those of the local hour itself, also
    after midnight of a period that crosses it.

    Args:
        hours: Starts of hours, UTC without a zone; repeated ones count once.
        site: Where.

    Returns:
        hour (Datetime us), price (MONEY), sorted.

    Raises:
        ValueError: No period of the tariff matches an hour.
    """
    rows = [(hour, _price(hour, site)) for hour in sorted(set(hours))]
    return pl.DataFrame(rows, schema={"hour": pl.Datetime("us"), "price": MONEY}, orient="row")


def day_prices(days: Iterable[date], site: Site) -> pl.DataFrame:
    """The mean price of a kWh over each local day, for energy that is known by day only.

    Args:
        days: Local days; repeated ones count once.
        site: Where.

    Returns:
        day, price (MONEY), sorted.

    Raises:
        ValueError: No period of the tariff matches an hour.
    """
    rows = []
    for day in sorted(set(days)):
        start, end = local_day(day, site)
        rows.append((day, _mean([_at(at, site) for at in _quarters(start, end)])))
    return pl.DataFrame(rows, schema={"day": pl.Date, "price": MONEY}, orient="row")


def cost(frame: pl.DataFrame, site: Site) -> pl.DataFrame:
    """Adds what measured and estimated energy cost, apart.

    Args:
        frame: Columns hour (UTC without a zone) or, for energy known by day only, day (local); energy_kwh and
            energy_estimated_kwh (Float64, before PUE).
        site: Where.

    Returns:
        The frame in its order, with energy_cost and energy_estimated_cost (MONEY) added; NULL where the
        energy is NULL.

    Raises:
        ValueError: No period of the tariff matches an hour.
    """
    key = "hour" if "hour" in frame.columns else "day"
    prices = (hour_prices if key == "hour" else day_prices)(frame[key], site)
    priced = frame.join(prices, on=key, how="left", maintain_order="left")
    factor = pl.col("price").cast(pl.Float64) * site.pue
    return priced.with_columns(
        (pl.col(kwh) * factor).round(SCALE).cast(MONEY).alias(into)
        for kwh, into in (("energy_kwh", "energy_cost"), ("energy_estimated_kwh", "energy_estimated_cost"))
    ).drop("price")


def cost_by_site(frame: pl.DataFrame, sites: Mapping[str, Site]) -> pl.DataFrame:
    """The same as `cost` for a frame with a column site; rows are grouped by site."""
    parts = [cost(part, sites[str(site)]) for (site,), part in frame.group_by("site", maintain_order=True)]
    nothing = pl.lit(None, dtype=MONEY)
    return (
        pl.concat(parts) if parts else frame.with_columns(energy_cost=nothing, energy_estimated_cost=nothing)
    )


def _price(hour: datetime, site: Site) -> Decimal:
    return _mean([_at(at, site) for at in _quarters(hour, hour + timedelta(hours=1))])


def _quarters(start: datetime, end: datetime) -> list[datetime]:
    return [start + k * QUARTER for k in range((end - start) // QUARTER)]


def _mean(prices: list[Decimal]) -> Decimal:
    return round(sum(prices, Decimal(0)) / len(prices), SCALE)


def _at(instant: datetime, site: Site) -> Decimal:
    if isinstance(site.tariff, Decimal):
        return site.tariff
    local = instant.replace(tzinfo=UTC).astimezone(site.zone)
    for period in site.tariff:
        if _matches(period, local):
            return period.price
    msg = (
        f"tariff: none of its {len(site.tariff)} periods matches {local:%A %Y-%m-%d %H:%M} "
        f"({site.time_zone}); add a last period without start, end, weekdays and months for all other hours"
    )
    raise ValueError(msg)


def _matches(period: TariffPeriod, local: datetime) -> bool:
    now, start, end = local.time(), period.start, period.end
    inside = start <= now < end if start < end else now >= start or now < end
    return inside and local.weekday() in period.weekdays and local.month in period.months
