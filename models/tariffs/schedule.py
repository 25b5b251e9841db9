"""What a tariff says at an instant: whether a window is open, and what a kWh costs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from models.tariffs.settings import Tariff, Window

Step = tuple[Decimal, Decimal]
"""(kWh of the month from which on a price holds, price)."""


def local_time(instant: datetime, zone: ZoneInfo) -> datetime:
    """The wall time of a UTC instant without a zone."""
    return instant.replace(tzinfo=UTC).astimezone(zone)


def is_open(window: Window, local: datetime, tariff: Tariff) -> bool:
    """Whether a window holds a local time. Weekday and month are those of the time itself, after midnight too."""
    now, start, end = local.time(), window.start, window.end
    inside = start <= now < end if start < end else now >= start or now < end
    holiday = local.date() in tariff.holidays
    weekday = 6 if holiday else local.weekday()
    return (
        inside
        and weekday in window.weekdays
        and local.month in window.months
        and window.holidays in (None, holiday)
    )


def steps(instant: datetime, tariff: Tariff, zone: ZoneInfo) -> tuple[Step, ...]:
    """The prices of a kWh at an instant by tier, ascending; equal prices of neighbours are kept.

    A tier without a period of its own for this hour takes the price of the one below. The price of the market is in each.

    Args:
        instant: UTC without a zone.
        tariff: The tariff.
        zone: Where.

    Raises:
        ValueError: No period of the lowest tier matches, the market's price is not known, or the tariff does not hold
            that day.
    """
    local = local_time(instant, zone)
    tariff.require_valid(local.date())
    found: dict[Decimal, Decimal] = {}
    for period in tariff.energy:
        if period.above_kwh not in found and is_open(period, local, tariff):
            found[period.above_kwh] = period.price
    if Decimal(0) not in found:
        msg = (
            f"tariff: none of its {len(tariff.energy)} periods matches {local:%A %Y-%m-%d %H:%M} "
            f"({zone.key}); add a last period without start, end, weekdays and months for all other hours"
        )
        raise ValueError(msg)
    spot = tariff.spot_price(instant)
    return tuple(sorted((above, price + spot) for above, price in found.items()))


def tiered_cost(before_kwh: Decimal, kwh: Decimal, prices: Sequence[Step]) -> Decimal:
    """What energy costs whose place in the month is known.

    Args:
        before_kwh: kWh of the month until then.
        kwh: kWh to price.
        prices: From `steps`.

    Returns:
        The sum over tiers of the kWh in each x its price, unrounded.
    """
    end, cost = before_kwh + kwh, Decimal(0)
    for place, (low, price) in enumerate(prices):
        high = prices[place + 1][0] if place + 1 < len(prices) else end
        part = min(end, high) - max(before_kwh, low)
        if part > 0:
            cost += part * price
    return cost
