"""The whole bill of a month, which the product makes of its parts: an oracle for figures worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from zoneinfo import ZoneInfo

from models.tariffs.bill import Load, demand
from models.tariffs.schedule import steps, tiered_cost
from models.tariffs.settings import Tariff


def energy_cost(load: Load, interval_h: Decimal, tariff: Tariff, zone: ZoneInfo) -> Decimal:
    """What the energy of a calendar month costs: the sum over intervals of kW x hours x price of the tier reached.

    Args:
        load: The month's load, from its first interval on, as tiers count from there.
        interval_h: Hours of an interval.
        tariff: The tariff.
        zone: Where.

    Returns:
        The cost, unrounded.

    Raises:
        ValueError: The tariff has no price for an interval.
    """
    used, cost = Decimal(0), Decimal(0)
    for start, kw in load:
        kwh = kw * interval_h
        cost += tiered_cost(used, kwh, steps(start, tariff, zone))
        used += kwh
    return cost


def month_cost(
    load: Load,
    interval_h: Decimal,
    tariff: Tariff,
    zone: ZoneInfo,
    before: Mapping[str, Sequence[Decimal]] | None = None,
) -> Decimal:
    """The whole bill of a calendar month: energy + demand + fixed charge, or the minimum; unrounded.

    Args:
        load: The whole load of the month.
        interval_h: Hours of an interval.
        tariff: The tariff.
        zone: Where.
        before: Name of a demand charge -> peaks of earlier months, oldest first.

    Returns:
        The bill. A demand charge whose windows hold no interval of the month costs nothing.
    """
    charges = (demand(load, c, tariff, zone, (before or {}).get(c.name, ())) for c in tariff.demand)
    bill = (
        energy_cost(load, interval_h, tariff, zone)
        + sum((line.cost or Decimal(0) for line in charges), Decimal(0))
        + tariff.customer_month
    )
    return max(bill, tariff.minimum_month)
