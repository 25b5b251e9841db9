"""What owned hardware costs a day before energy: straight-line depreciation and fixed operating cost.

Energy belongs to `models/energy.py`; who bears the cost of a card or device, to `models/gpu.py` and
`models/edge.py`.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal

import polars as pl

from models.config import Asset, Site
from models.money import SCALE
from models.tables import MONEY

UNIT = Decimal(1).scaleb(-SCALE)
"""The smallest amount of money that is kept."""

Days = Mapping[str, tuple[date, date]]
"""Site -> first and last local day (inclusive) to compute."""

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
)


def asset_days(assets: Sequence[Asset], days: Days) -> pl.DataFrame:
    """The fixed cost of every asset for every day on which it is in service.

    Depreciation is straight-line by service month (from `in_service` to the same day of the next month, or
    that month's last day): each of `life_months` carries an equal part of capex - salvage, spread evenly over
    its days; nothing after the last. A day costs what the running total, rounded to 12 decimals, grows by, so
    the whole life sums to capex - salvage exactly. `opex_month` is spread over the days of the calendar month
    in the same way. From `retired` on there are no rows: what is not yet depreciated then is not charged.

    Args:
        assets: The register.
        days: Site -> first and last day; assets of other sites give no rows.

    Returns:
        One row an asset and day in `SCHEMA`, in the order of the register.

    Raises:
        ValueError: Two assets of one kind share a node on one day.
    """
    rows = [row for asset in assets if asset.site in days for row in _rows(asset, *days[asset.site])]
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
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
    return frame


def currencies(
    assets: Sequence[Asset], sites: Mapping[str, Site], organisation: str | None = None
) -> dict[str, str]:
    """The one currency in which the owned hardware of each site is charged.

    Args:
        assets: The register.
        sites: The configuration's sites.
        organisation: The organisation's currency, in which a tariff without one is; None where it is not
            known, and then such a tariff counts as being in the currency of the site's assets.

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
        tariff = sites[asset.site].currency or organisation or asset.currency
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
    before = _depreciated(asset, day - timedelta(days=1))
    while day <= end:
        until = _depreciated(asset, day)
        yield (
            asset.asset,
            asset.site,
            asset.node,
            asset.kind,
            asset.units,
            asset.model,
            day,
            asset.currency,
            until - before,
            _opex(asset.opex_month, day),
        )
        before, day = until, day + timedelta(days=1)


def _depreciated(asset: Asset, day: date) -> Decimal:
    """Depreciation from the first day of service to the end of the given day."""
    if day < asset.in_service:
        return Decimal(0)
    month = (day.year - asset.in_service.year) * 12 + day.month - asset.in_service.month
    if day < _service_month(asset.in_service, month):
        month -= 1
    base = asset.capex - asset.salvage
    if month >= asset.life_months:
        return base
    start, end = (_service_month(asset.in_service, month + k) for k in (0, 1))
    length = (end - start).days
    return _part(base, month * length + (day - start).days + 1, asset.life_months * length)


def _service_month(start: date, months: int) -> date:
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    return date(year, month + 1, min(start.day, monthrange(year, month + 1)[1]))


def _opex(month: Decimal, day: date) -> Decimal:
    length = monthrange(day.year, day.month)[1]
    return _part(month, day.day, length) - _part(month, day.day - 1, length)


def _part(total: Decimal, numerator: int, denominator: int) -> Decimal:
    """Total x numerator / denominator, in whole units of 1e-12, half up."""
    units = int(total.scaleb(SCALE))
    return (2 * units * numerator + denominator) // (2 * denominator) * UNIT
