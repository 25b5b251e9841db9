"""What a site's electricity costs beside its kWh: demand, fixed and minimum charges, and whom they are charged to.

The formulas of a bill belong to `models/tariffs/bill.py`; the rows of the ledger, to `models/owned_focus.py`.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import groupby, pairwise

import polars as pl

from models.config import DIMENSIONS, Site
from models.energy import naming
from models.local_days import local_day
from models.money import SCALE, split
from models.ratecard import Days, currencies
from models.register import Asset
from models.supplies import NODE, quarter_loads, supplied_nodes
from models.tables import DEMAND_MONTHLY, MONEY
from models.tariffs.bill import demand, in_intervals
from models.tariffs.schedule import local_time

BILLS = pl.Schema(
    {
        "site": pl.String(),
        "month": pl.Date(),
        "charge": pl.String(),
        "sku": pl.String(),
        "currency": pl.String(),
    }
    | {"cost": MONEY, "quantity": MONEY, "unit": pl.String(), "provisional": pl.Boolean()}
    | {"day": pl.Date(), "hour": pl.Datetime("us")}
)
"""One amount to split: over who drew energy on `day` and in `hour`, where these are known, else in the month."""


@dataclass(frozen=True)
class SiteCharges:
    """The charges of all sites.

    Attributes:
        bills: `BILLS`, before they are split.
        parts: Of each bill, by day and holder: its columns, the owner's columns, held, cost and quantity (MONEY),
            which add up to the bill's.
        demand: `marts.demand_monthly`.
    """

    bills: pl.DataFrame
    parts: pl.DataFrame
    demand: pl.DataFrame


def site_charges(
    hourly: pl.DataFrame,
    edge_costs: pl.DataFrame,
    power_hourly: pl.DataFrame,
    assets: Sequence[Asset],
    sites: Mapping[str, Site],
    *,
    days: Days,
    gpu_parts: pl.DataFrame,
) -> SiteCharges:
    """Bills demand by calendar month and the fixed charge by day, and splits them by energy.

    A demand charge is due for its whole month as soon as its peak is: during the month it is what the peak so
    far costs, provisional. It is charged on the day of the peak, by share of the energy drawn in the hour of the peak;
    where the tariff says `demand_by: energy`, where the charge is by day, or where the hour has no energy, by share
    of the month's energy and over its days. The fixed charge of a month is spread evenly over its days,
    and by the energy of each day. So is what a month lacks of the tariff's minimum, of which each day billed is an
    even part; until the month ends it is provisional, and unknown energy and demand are taken as nothing. What nobody held, and bills without any energy to go by, is nobody's.

    Args:
        hourly: `telemetry.gpu_hourly` after `attribution.attribute`.
        edge_costs: `edge.daily_costs`.
        power_hourly: `telemetry.power_hourly`.
        assets: The register; sites without assets are not billed.
        sites: The configuration's sites.
        days: Site -> first and last day.
        gpu_parts: `gpu.daily_parts`, whose energy counts towards a minimum, as that of `edge_costs` does.

    Returns:
        The charges. Demand is NULL, and not billed, where no quarter of an hour of its windows is known.

    Raises:
        ValueError: Currencies of a site differ, there is no PUE for a month, or a tariff does not hold on a day.
    """
    currency = currencies(assets, sites)
    billed = {site: currency[site] for site in sorted(currency) if site in days}
    nodes = supplied_nodes(assets, days)
    loads = quarter_loads(power_hourly, nodes, sites)
    in_register = hourly.join(nodes, on=NODE, how="semi")
    energy = _energy_costs(gpu_parts, edge_costs)
    bills, lines = [], []
    for name, code in billed.items():
        own = loads.filter(pl.col("site") == name)
        with naming(name):
            due = list(_customer(name, sites[name], code, days[name]))
            for line, bill in _demand(name, sites[name], code, days[name], own):
                lines.append(line)
                due += [] if bill is None else [bill]
            spent = pl.DataFrame(due, schema=BILLS, orient="row").select("site", "month", "cost")
            bills += [*due, *_minimum(name, sites[name], code, days[name], pl.concat([spent, energy]))]
    frame = pl.DataFrame(bills, schema=BILLS, orient="row")
    return SiteCharges(
        frame,
        _split(frame, _energy(in_register, edge_costs, days), days),
        DEMAND_MONTHLY.conform(pl.DataFrame(lines, schema=DEMAND_MONTHLY.schema, orient="row")),
    )


def _customer(name: str, site: Site, code: str, days: tuple[date, date]) -> Iterator[tuple[object, ...]]:
    if not site.tariff.customer_month:
        return
    for first, last, _ in _months(*days):
        site.tariff.require_valid(first)
        site.tariff.require_valid(last)
        length = monthrange(first.year, first.month)[1]
        parts = _even(site.tariff.customer_month, length)[first.day - 1 : last.day]
        yield from _by_day(name, code, "fixed charge", first, parts, provisional=False)


def _minimum(
    name: str, site: Site, code: str, days: tuple[date, date], spent: pl.DataFrame
) -> Iterator[tuple[object, ...]]:
    """What each month lacks of its minimum; `spent` is the rest of the bill (site, month, cost)."""
    own = spent.filter(pl.col("site") == name).group_by("month").agg(pl.col("cost").sum())
    costs = dict(own.iter_rows())
    for first, last, ends in _months(*days) if site.tariff.minimum_month else ():
        site.tariff.require_valid(first)
        site.tariff.require_valid(last)
        length = monthrange(first.year, first.month)[1]
        least = sum(_even(site.tariff.minimum_month, length)[first.day - 1 : last.day])
        lacking = least - costs.get(first.replace(day=1), Decimal(0))
        if lacking > 0:
            parts = _even(lacking, last.day - first.day + 1)
            yield from _by_day(name, code, "top-up to the minimum", first, parts, provisional=not ends)


def _by_day(
    name: str, code: str, charge: str, first: date, parts: Sequence[Decimal], *, provisional: bool
) -> Iterator[tuple[object, ...]]:
    """A bill for each day from the first on."""
    shares = _even(Decimal(1), monthrange(first.year, first.month)[1])[first.day - 1 :]
    for number, (cost, share) in enumerate(zip(parts, shares, strict=False)):
        head = (name, first.replace(day=1), charge, "site-month", code, cost, share, "Months", provisional)
        yield (*head, first + timedelta(days=number), None)


def _even(amount: Decimal, count: int) -> list[Decimal]:
    """An amount in even parts that sum to it exactly."""
    until = [round(amount * k / count, SCALE) for k in range(count + 1)]
    return [b - a for a, b in pairwise(until)]


def _energy_costs(*frames: pl.DataFrame) -> pl.DataFrame:
    """site, month, cost of the energy in the ledger."""
    cost = pl.col("energy_cost").fill_null(0) + pl.col("energy_estimated_cost").fill_null(0)
    return pl.concat(
        f.select("site", month=pl.col("day").dt.truncate("1mo"), cost=cost.cast(MONEY)) for f in frames
    )


def _demand(
    name: str, site: Site, code: str, days: tuple[date, date], loads: pl.DataFrame
) -> Iterator[tuple[tuple[object, ...], tuple[object, ...] | None]]:
    """A line of `marts.demand_monthly` for each month and charge, and its bill where it is known."""
    inside = loads.filter(pl.col("day").is_between(*days)).sort("start")
    known = [
        (day, start, Decimal(str(kw))) for day, start, kw in inside.select("day", "start", "kw").iter_rows()
    ]
    months = {
        month: [(start, kw) for _, start, kw in rows]
        for month, rows in groupby(known, lambda row: row[0].replace(day=1))
    }
    peaks: dict[str, list[Decimal]] = {charge.name: [] for charge in site.tariff.demand}
    for first, last, ends in _months(*days):
        month, load = first.replace(day=1), months.get(first.replace(day=1), [])
        quarters = (local_day(last, site)[1] - local_day(first, site)[0]) / timedelta(minutes=15)
        for charge in site.tariff.demand:
            site.tariff.require_valid(first)
            site.tariff.require_valid(last)
            intervals = in_intervals(load, charge.interval_minutes, site.zone)
            line = demand(intervals, charge, site.tariff, site.zone, peaks[charge.name])
            peaks[charge.name].append(line.peak_kw or Decimal(0))
            if line.billed_kw is None and not any(month.month in window.months for window in charge.when):
                continue  # a charge of another season
            cost = None if line.cost is None else round(line.cost, SCALE)
            shown = (
                month, name, charge.name, _float(line.peak_kw), line.peak_at, float(line.ratchet_kw),
                _float(line.billed_kw), charge.unit, float(line.factor), charge.price, cost, code, len(load) / quarters,
                not ends,
            )  # fmt: skip
            if cost is None or line.billed_kw is None:
                yield shown, None
                continue
            by_peak = site.tariff.demand_by == "coincident_peak" and charge.assessed == "month"
            hour = _hour_of(line.peak_at, site) if by_peak and line.peak_at is not None else None
            sku, quantity = (
                "demand" if hour else "demand-by-energy",
                round(line.billed_kw / line.factor, SCALE),
            )
            yield (
                shown,
                (name, month, charge.name, sku, code, cost, quantity, charge.unit, not ends, None, hour),
            )


def _hour_of(at: datetime, site: Site) -> datetime:
    """Start of the hour of the site's clock that an instant lies in, both UTC: in India they start at half past."""
    midnight, _ = local_day(local_time(at, site.zone).date(), site)
    return at - (at - midnight) % timedelta(hours=1)


def _months(first: date, last: date) -> Iterator[tuple[date, date, bool]]:
    """First and last day asked for in each calendar month, and whether the month has ended by then."""
    while first <= last:
        end = first.replace(day=monthrange(first.year, first.month)[1])
        yield first, min(end, last), end <= last
        first = end + timedelta(days=1)


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def _energy(hourly: pl.DataFrame, edge_costs: pl.DataFrame, days: Days) -> pl.DataFrame:
    """site, day, hour (NULL for devices), owner, held, kwh: who drew what."""
    kwh = (pl.col("energy_kwh").fill_null(0.0) + pl.col("energy_estimated_kwh").fill_null(0.0)).alias("kwh")
    cards = hourly.select(
        "site", "day", "hour", *DIMENSIONS, kwh, held=pl.col("allocated").fill_null(value=False)
    )
    devices = edge_costs.select("site", "day", *DIMENSIONS, kwh, held=pl.col("cost_kind") != "unallocated")
    owner = [pl.when("held").then(pl.col(name)).alias(name) for name in DIMENSIONS]
    rows = pl.concat([cards, devices], how="diagonal").filter(pl.col("kwh") > 0).with_columns(owner)
    inside = [(pl.col("site") == site) & pl.col("day").is_between(*between) for site, between in days.items()]
    return rows.filter(pl.any_horizontal(pl.lit(value=False), *inside))


def _split(bills: pl.DataFrame, energy: pl.DataFrame, days: Days) -> pl.DataFrame:
    who = ["site", "day", *DIMENSIONS, "held"]
    columns = [*(c for c in BILLS.names() if c not in ("day", "hour")), "day", *DIMENSIONS, "held"]
    parts = []
    for bill in bills.iter_rows(named=True):
        site = energy.filter(pl.col("site") == bill["site"])
        month = site.filter(pl.col("day").dt.truncate("1mo") == bill["month"])
        exact = month.filter(pl.col("hour") == bill["hour"]) if bill["hour"] is not None else month
        if bill["day"] is not None:
            exact = site.filter(pl.col("day") == bill["day"])
        elif exact.is_empty():
            exact = month
        shares = exact.group_by(who).agg(pl.col("kwh").sort().sum()).sort(who)
        if shares.is_empty():
            first = bill["day"] or max(bill["month"], days[bill["site"]][0])
            nobody = {"site": bill["site"], "day": first, "held": False, "kwh": 1.0}
            shares = pl.DataFrame([nobody], schema=shares.schema)
        given = shares.with_columns(
            pl.lit(bill[c], dtype=BILLS[c]).alias(c) for c in BILLS if c not in ("day", "hour", "site")
        )
        for column in ("cost", "quantity"):
            given = split(given.rename({column: "whole"}), ["site"], "whole", "kwh", column).drop("whole")
        parts.append(given.select(columns))
    schema = pl.Schema({c: BILLS.get(c, pl.String()) for c in columns} | {"held": pl.Boolean()})
    return pl.concat(parts) if parts else schema.to_frame()
