"""What energy costs: kWh x PUE x the tariff at the local hour, tiers included.

How many kWh there were belongs to the connectors; whose they are, to `models/gpu.py` and `models/edge.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal

import polars as pl

from models.config import Site
from models.local_days import hour_end, local_day
from models.money import SCALE
from models.tables import MONEY
from models.tariffs.schedule import Step, local_time, steps, tiered_cost

PRICES = pl.Schema({"hour": pl.Datetime("us"), "price": MONEY})
QUARTER = timedelta(minutes=15)
"""All zones are off UTC by whole quarters of an hour; a tariff is taken as constant within one."""


@contextmanager
def naming(site: object) -> Iterator[None]:
    """Says of which site the errors are that its settings cause.

    Raises:
        ValueError: One was raised inside.
    """
    try:
        yield
    except ValueError as error:
        msg = f"site {str(site)!r}: {error}"
        raise ValueError(msg) from error


def hour_prices(hours: Iterable[datetime], site: Site) -> pl.DataFrame:
    """The price of a kWh in each hour, before PUE.

    The price of an hour is the mean of its four quarters (two of half an hour that ends its day), which differ
    only where the zone or the tariff does not change on the UTC hour. The weekday and month of a period are those of the local hour itself, also
    after midnight of a period that crosses it.

    Args:
        hours: Starts of hours, UTC without a zone; repeated ones count once.
        site: Where.

    Returns:
        hour (Datetime us), price (MONEY; of the lowest tier), sorted.

    Raises:
        ValueError: No period of the tariff matches an hour.
    """
    rows = [(hour, _price(hour, site)) for hour in sorted(set(hours))]
    return pl.DataFrame(rows, schema=PRICES, orient="row")


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


def paid_days(hours: pl.DataFrame, sites: Mapping[str, Site]) -> list[tuple[str, date]]:
    """Site and day of hours in which energy may cost less than nothing: a price, of any tier, is below 0 in some quarter.

    Args:
        hours: Columns site, day and hour (UTC without a zone); only the prices of these hours are asked for.
        sites: The configuration's sites.

    Returns:
        Sorted.
    """
    found: set[tuple[str, date]] = set()
    for name, site in sites.items():
        if site.tariff.may_pay:
            own = hours.filter(pl.col("site") == name).select("day", "hour").unique().drop_nulls()
            found |= {
                (name, day)
                for day, hour in own.iter_rows()
                for at in _quarters(hour, hour_end(hour, site))
                if any(price < 0 for _, price in steps(at, site.tariff, site.zone))
            }
    return sorted(found)


def tier_prices(used: pl.DataFrame, site: Site) -> pl.DataFrame:
    """The price of a kWh in each hour under a tariff with tiers: what the hour's energy costs / its kWh.

    Tiers count what the whole site used since the first hour of the local month; the kWh of an hour are taken
    as even within it.

    Args:
        used: hour (UTC without a zone), kwh (Float64, after PUE) of everything that is known of the site.
        site: Where.

    Returns:
        hour, price (MONEY), sorted; an hour without energy has the price of its next kWh.

    Raises:
        ValueError: No period of the tariff matches an hour.
    """
    rows: list[tuple[datetime, Decimal]] = []
    so_far: dict[tuple[int, int], Decimal] = {}
    hours = used.group_by("hour").agg(pl.col("kwh").sort().sum()).sort("hour")
    for hour, kwh in hours.iter_rows():
        quarters = _quarters(hour, hour_end(hour, site))
        part, total = Decimal(str(kwh)) / len(quarters), Decimal(0)
        for at in quarters:
            local = local_time(at, site.zone)
            month = (local.year, local.month)
            before, prices = so_far.get(month, Decimal(0)), steps(at, site.tariff, site.zone)
            total += tiered_cost(before, part, prices) if part else _next(before, prices)
            so_far[month] = before + part
        rows.append((hour, round(total / (part or 1) / len(quarters), SCALE)))
    return pl.DataFrame(rows, schema=PRICES, orient="row")


def cost(frame: pl.DataFrame, site: Site, prices: pl.DataFrame | None = None) -> pl.DataFrame:
    """Adds what measured and estimated energy cost, apart.

    Args:
        frame: Columns hour (UTC without a zone) or, for energy known by day only, day (local); energy_kwh and
            energy_estimated_kwh (Float64, before PUE). Optional: pue, where it is not the site's.
        site: Where.
        prices: From `tier_prices`, where the tariff has tiers; hours that it lacks are priced at the lowest.

    Returns:
        The frame in its order, with energy_cost and energy_estimated_cost (MONEY) added; NULL where the
        energy is NULL.

    Raises:
        ValueError: No period of the tariff matches an hour, or there is no PUE for its month.
    """
    key = "hour" if "hour" in frame.columns else "day"
    priced = frame.join(_prices(frame[key], site, prices), on=key, how="left", maintain_order="left")
    pue = pl.coalesce("pue", "site_pue") if "pue" in frame.columns else pl.col("site_pue")
    factor = pl.col("price").cast(pl.Float64) * pue
    return priced.with_columns(
        (pl.col(kwh) * factor).round(SCALE).cast(MONEY).alias(into)
        for kwh, into in (("energy_kwh", "energy_cost"), ("energy_estimated_kwh", "energy_estimated_cost"))
    ).drop("price", "site_pue")


def cost_by_site(
    frame: pl.DataFrame, sites: Mapping[str, Site], prices: Mapping[str, pl.DataFrame] | None = None
) -> pl.DataFrame:
    """The same as `cost` for a frame with a column site; rows are grouped by site. A priced frame stays as it is."""
    if "energy_cost" in frame.columns:
        return frame
    prices = prices or {}
    parts = []
    for (site,), part in frame.group_by("site", maintain_order=True):
        with naming(site):
            parts.append(cost(part, sites[str(site)], prices.get(str(site))))
    nothing = pl.lit(None, dtype=MONEY)
    return (
        pl.concat(parts) if parts else frame.with_columns(energy_cost=nothing, energy_estimated_cost=nothing)
    )


def with_tiers(
    frames: Sequence[pl.DataFrame], sites: Mapping[str, Site], asked: pl.Expr
) -> list[pl.DataFrame]:
    """Prices frames together where a tariff has tiers, since what one uses makes another dearer.

    Args:
        frames: As for `cost_by_site`; energy known by day is spread evenly over the hours of its day.
        sites: The configuration's sites.
        asked: Which rows count and have a cost; the others have NULL.

    Returns:
        The frames with their costs; as they are, if no tariff of a site has tiers.

    Raises:
        ValueError: No period of a tariff matches an hour, or there is no PUE for its month.
    """
    tiered = [name for name, site in sites.items() if len(site.tariff.tiers) > 1]
    if not tiered:
        return list(frames)
    counted = [frame.filter(asked) for frame in frames]
    prices = {}
    for name in tiered:
        with naming(name):
            used = [_used(frame.filter(pl.col("site") == name), sites[name]) for frame in counted]
            prices[name] = tier_prices(pl.concat(used), sites[name])
    return [
        pl.concat([cost_by_site(part, sites, prices), frame.filter(~asked)], how="diagonal")
        for part, frame in zip(counted, frames, strict=True)
    ]


def _used(frame: pl.DataFrame, site: Site) -> pl.DataFrame:
    """Hour and kwh after PUE of one site's rows."""
    pue = pl.coalesce("pue", "site_pue") if "pue" in frame.columns else pl.col("site_pue")
    kwh = (pl.col("energy_kwh").fill_null(0.0) + pl.col("energy_estimated_kwh")) * pue
    found = with_pue(frame, site).with_columns(kwh=kwh)
    if "hour" not in found.columns:
        days = found["day"].unique().to_list()
        hours = pl.DataFrame(
            {"day": days, "hour": [_hours(*local_day(day, site)) for day in days]},
            schema={"day": pl.Date, "hour": pl.List(pl.Datetime("us"))},
        )
        found = found.join(hours, on="day").with_columns(kwh=pl.col("kwh") / pl.col("hour").list.len())
        found = found.explode("hour")
    return found.select(pl.col("hour").cast(pl.Datetime("us")), "kwh").drop_nulls("hour")


def _hours(start: datetime, end: datetime) -> list[datetime]:
    """The hours of a local day as telemetry counts them: from its midnight, in India from half past."""
    return [start + timedelta(hours=k) for k in range(25) if start + timedelta(hours=k) < end]


def with_pue(frame: pl.DataFrame, site: Site) -> pl.DataFrame:
    """Adds `site_pue`, that of the local month, to a frame with hour (UTC without a zone) or day."""
    key = "hour" if "hour" in frame.columns else "day"
    rows = [
        (at, site.pue_of(local_time(at, site.zone).date() if key == "hour" else at))
        for at in frame[key].unique().sort()
    ]
    found = pl.DataFrame(rows, schema={key: frame.schema[key], "site_pue": pl.Float64}, orient="row")
    return frame.join(found, on=key, how="left", maintain_order="left")


def with_pue_of_site(frame: pl.DataFrame, sites: Mapping[str, Site]) -> pl.DataFrame:
    """The same for a frame with a column site; rows are grouped by site."""
    parts = [frame.clear().with_columns(site_pue=pl.lit(None, dtype=pl.Float64))]
    for (site,), part in frame.group_by("site", maintain_order=True):
        with naming(site):
            parts.append(with_pue(part, sites[str(site)]))
    return pl.concat(parts)


def _prices(keys: pl.Series, site: Site, tiered: pl.DataFrame | None) -> pl.DataFrame:
    """Price and site_pue of each hour or day."""
    if keys.name == "hour":
        found = hour_prices(keys, site)
        if tiered is not None:
            found = tiered.join(found, on="hour", how="semi").vstack(
                found.join(tiered, on="hour", how="anti")
            )
    elif tiered is None:
        found = day_prices(keys, site)
    else:
        rows = []
        for day in keys.unique().sort():
            start, end = local_day(day, site)
            inside = tiered.filter(pl.col("hour").is_between(start, end, closed="left"))["price"]
            rows.append(
                (day, _mean(inside.to_list()) if inside.len() else day_prices([day], site)["price"][0])
            )
        found = pl.DataFrame(rows, schema={"day": pl.Date, "price": MONEY}, orient="row")
    return with_pue(found, site)


def _price(hour: datetime, site: Site) -> Decimal:
    return _mean([_at(at, site) for at in _quarters(hour, hour_end(hour, site))])


def _quarters(start: datetime, end: datetime) -> list[datetime]:
    return [start + k * QUARTER for k in range((end - start) // QUARTER)]


def _mean(prices: list[Decimal]) -> Decimal:
    return round(sum(prices, Decimal(0)) / len(prices), SCALE)


def _at(instant: datetime, site: Site) -> Decimal:
    return steps(instant, site.tariff, site.zone)[0][1]


def _next(before: Decimal, prices: Sequence[Step]) -> Decimal:
    return next(price for low, price in reversed(prices) if low <= before)
