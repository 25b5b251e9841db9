"""What owned hardware costs a day before energy: recovery of capital, running costs, and what early retirement leaves.

Energy belongs to `models/energy.py`; who bears the cost of a card or device, to `models/gpu.py` and
`models/edge.py`.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal

import polars as pl

from models.capital import part_of, recoverable, unrecovered
from models.config import Site
from models.money import SCALE, split
from models.register import Asset, Staff
from models.tables import MONEY

Days = Mapping[str, tuple[date, date]]
"""Site -> first and last local day (inclusive) to compute."""

CAPEX = ("hardware", "network", "cooling", "build_out", "installation")
"""Parts of the capex basis, whose sum is the column depreciation."""

OPEX = ("other_opex", "maintenance", "space", "software", "staff")
"""Running costs, whose sum is the column opex."""

SCHEMA = pl.Schema(
    {
        "asset": pl.String(),
        "site": pl.String(),
        "node": pl.String(),
        "kind": pl.String(),
        "units": pl.Int64(),
        "model": pl.String(),
        "day": pl.Date(),
        "currency": pl.String(),
        "depreciation": MONEY,
        "opex": MONEY,
    }
    | dict.fromkeys((*CAPEX, *OPEX), MONEY)
)

WRITE_OFFS = pl.Schema(
    {
        "asset": pl.String(),
        "site": pl.String(),
        "node": pl.String(),
        "kind": pl.String(),
        "model": pl.String(),
        "day": pl.Date(),
        "currency": pl.String(),
        "cost": MONEY,
    }
)


def asset_days(assets: Sequence[Asset], days: Days, staff: Sequence[Staff] = ()) -> pl.DataFrame:
    """The fixed cost of every asset for every day on which it is in service.

    Each part of the capex is recovered in equal service months (from `in_service` to the same day of the next
    month, or that month's last day), each spread evenly over its days; nothing after the last of `life_months`.
    What there is to recover is in `models/capital.py`. A day costs what the running total, rounded to 12
    decimals, grows by, so that the whole life sums to it exactly. Monthly costs are spread over the days of the
    calendar month in the same way. From `retired` on there are no rows: see `write_offs`.

    Staff are counted by day: as many as the assets in service need, in whole steps. What they cost that day is shared
    over those assets by nodes or GPUs, also those of sites that are not asked for; the parts sum to it exactly.

    Args:
        assets: The register.
        days: Site -> first and last day; assets of other sites give no rows.
        staff: Who looks after the assets.

    Returns:
        One row an asset and day in `SCHEMA`, in the order of the register.

    Raises:
        ValueError: Two assets of one kind share a node on one day.
    """
    rows = [row for asset in assets if asset.site in days for row in _rows(asset, *days[asset.site])]
    computed = ("depreciation", "opex", "staff")
    schema = pl.Schema({name: dtype for name, dtype in SCHEMA.items() if name not in computed})
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    shared = frame.filter(pl.struct("site", "node", "kind", "day").is_duplicated()).sort(
        "day", "node", "asset"
    )
    if shared.height:
        first, second = shared.row(0, named=True), shared.row(1, named=True)
        msg = (
            f"assets {first['asset']!r} and {second['asset']!r} are both {first['kind']} {first['node']!r} "
            f"of site {first['site']!r} on {first['day']} ({shared.height} such rows): register one asset a "
            "node, or set `retired` of the earlier one"
        )
        raise ValueError(msg)
    return (
        frame.join(_staff_days(assets, days, staff), on=["asset", "day"], how="left", maintain_order="left")
        .with_columns(pl.col("staff").fill_null(pl.lit(0).cast(MONEY)))
        .with_columns(depreciation=_sum(CAPEX), opex=_sum(OPEX))
        .select(SCHEMA.names())
    )


def write_offs(assets: Sequence[Asset], days: Days) -> pl.DataFrame:
    """What is not yet recovered of assets that retire before the end of their life: a cost of the day `retired`.

    The salvage value is taken to be earned, also by an asset that retires early. A retired asset costs nothing after
    that day (IAS 16.67-71: what is left of the carrying amount is an expense when the asset is derecognised).

    Args:
        assets: The register.
        days: Site -> first and last day.

    Returns:
        One row an asset in `WRITE_OFFS`, without those that are fully recovered.
    """
    rows = [
        (a.asset, a.site, a.node, a.kind, a.model, a.retired, a.currency, left)
        for a in assets
        if a.retired is not None
        and a.site in days
        and days[a.site][0] <= a.retired <= days[a.site][1]
        and (left := unrecovered(a, *_elapsed(a, a.retired - timedelta(days=1))))
    ]
    return pl.DataFrame(rows, schema=WRITE_OFFS, orient="row")


def _sum(columns: Sequence[str]) -> pl.Expr:
    return sum((pl.col(name) for name in columns[1:]), start=pl.col(columns[0])).cast(MONEY)


def _staff_days(assets: Sequence[Asset], days: Days, staff: Sequence[Staff]) -> pl.DataFrame:
    """Columns asset, day, staff."""
    asked = sorted(
        {first + timedelta(days=n) for first, last in days.values() for n in range((last - first).days + 1)}
    )
    rows = []
    for number, people in enumerate(staff):
        covered = [a for a in assets if people.covers(a)]
        for day in asked:
            there = [
                (a.asset, 1 if people.of == "nodes" else a.units)
                for a in covered
                if a.in_service <= day and (a.retired is None or day < a.retired)
            ]
            steps = -(-sum(size for _, size in there) // people.per)
            rows += [
                (number, name, day, float(size), steps * _opex(people.cost_month, day))
                for name, size in there
            ]
    schema = pl.Schema(
        {"number": pl.Int64(), "asset": pl.String(), "day": pl.Date(), "size": pl.Float64(), "cost": MONEY}
    )
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    parts = split(frame, ["number", "day"], "cost", "size", "staff")
    return parts.group_by("asset", "day").agg(pl.col("staff").sum())


def currencies(assets: Sequence[Asset], sites: Mapping[str, Site]) -> dict[str, str]:
    """The one currency in which the owned hardware of each site is charged.

    Args:
        assets: The register.
        sites: The configuration's sites. A tariff without a currency counts as being in that of the site's assets.

    Returns:
        Site -> currency, for sites that have assets.

    Raises:
        ValueError: An asset names an unknown site, or assets and tariff of a site differ in currency.
    """
    found: dict[str, str] = {}
    for asset in assets:
        if asset.site not in sites:
            known = ", ".join(sorted(sites))
            msg = f"asset {asset.asset!r}: site {asset.site!r} is not one of `sites` ({known})"
            raise ValueError(msg)
        tariff = sites[asset.site].currency or asset.currency
        expected = found.setdefault(asset.site, tariff)
        if asset.currency != expected:
            msg = (
                f"asset {asset.asset!r} is in {asset.currency}, but site {asset.site!r} is in {expected} "
                "(its tariff and its other assets): write all of a site in one currency, or set `currency` "
                "of the site"
            )
            raise ValueError(msg)
    return found


def is_asked(days: Days) -> pl.Expr:
    """Whether a row with site and day is among the days to compute."""
    return pl.any_horizontal(
        pl.lit(value=False),
        *((pl.col("site") == site) & pl.col("day").is_between(*between) for site, between in days.items()),
    )


def _rows(asset: Asset, first: date, last: date) -> Iterator[tuple[object, ...]]:
    day = max(first, asset.in_service)
    end = last if asset.retired is None else min(last, asset.retired - timedelta(days=1))
    if day > end:
        return
    bases, months = tuple(recoverable(asset).values()), tuple(_month_costs(asset))
    before = _recovered(asset, bases, day - timedelta(days=1))
    while day <= end:
        until = _recovered(asset, bases, day)
        yield (
            asset.asset,
            asset.site,
            asset.node,
            asset.kind,
            asset.units,
            asset.model,
            day,
            asset.currency,
            *(u - b for u, b in zip(until, before, strict=True)),
            *(_opex(amount, day) for amount in months),
        )
        before, day = until, day + timedelta(days=1)


def _month_costs(asset: Asset) -> Iterator[Decimal]:
    """Running costs of a calendar month, in the order of `OPEX`, without staff."""
    yield asset.opex_month
    yield asset.maintenance_month + round(
        asset.capex * Decimal(str(asset.maintenance_year_share)) / 12, SCALE
    )
    yield (
        asset.space_month
        + round(asset.rated_kw * asset.space_kw_month, SCALE)
        + round(asset.rack_units * asset.space_rack_unit_month, SCALE)
    )
    yield asset.software_month + asset.units * asset.software_unit_month


def _recovered(asset: Asset, bases: Sequence[Decimal], day: date) -> tuple[Decimal, ...]:
    """What of each part is recovered from the first day of service to the end of the given day."""
    done, whole = _elapsed(asset, day)
    return tuple(part_of(base, done, whole) if base else base for base in bases)


def _elapsed(asset: Asset, day: date) -> tuple[int, int]:
    """The part of its life that an asset has behind it at the end of a day, as a fraction."""
    if day < asset.in_service:
        return 0, 1
    month = (day.year - asset.in_service.year) * 12 + day.month - asset.in_service.month
    if day < _service_month(asset.in_service, month):
        month -= 1
    if month >= asset.life_months:
        return 1, 1
    start, end = (_service_month(asset.in_service, month + k) for k in (0, 1))
    length = (end - start).days
    return month * length + (day - start).days + 1, asset.life_months * length


def month_length(day: date) -> int:
    """Days of the calendar month of a day."""
    return monthrange(day.year, day.month)[1]


def _service_month(start: date, months: int) -> date:
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    return date(year, month + 1, min(start.day, monthrange(year, month + 1)[1]))


def _opex(month: Decimal, day: date) -> Decimal:
    if not month:
        return month
    length = month_length(day)
    return part_of(month, day.day, length) - part_of(month, day.day - 1, length)
