"""What demand charges of a tariff bill for one calendar month, ratchet included.

Whom the bill is charged to belongs to `models/site_charges.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from models.tariffs.schedule import is_open, local_time
from models.tariffs.settings import DemandCharge, Tariff

Load = Sequence[tuple[datetime, Decimal]]
"""(start of an interval, UTC without a zone; mean kW in it), ascending."""

RATCHET_MONTHS = 11


@dataclass(frozen=True)
class Demand:
    """What one demand charge bills for a month.

    Attributes:
        charge: The charge.
        factor: The kW of one of its units.
        peak_kw: The greatest mean power in its windows; None where no interval of them is known. Of a charge by
            day, the greatest of the month.
        peak_at: Start of the interval with it (the first of equals), UTC without a zone.
        ratchet_kw: What the months before bind it to; 0 without ratchet.
        billed_kw: What is billed: peak_kw or ratchet_kw, the greater; of a charge by day, the sum over its days.
        cost: billed_kw / factor x price, unrounded; None where nothing is known.
    """

    charge: DemandCharge
    factor: Decimal
    peak_kw: Decimal | None
    peak_at: datetime | None
    ratchet_kw: Decimal
    billed_kw: Decimal | None

    @property
    def cost(self) -> Decimal | None:
        """What it costs."""
        return None if self.billed_kw is None else self.billed_kw * self.charge.price / self.factor


def in_intervals(quarters: Load, minutes: int, zone: ZoneInfo) -> Load:
    """Quarters of an hour as longer intervals, which begin with the full hour of the local clock.

    Args:
        quarters: The load, each interval a quarter of an hour.
        minutes: Of an interval: 15, 30 or 60.
        zone: Where.

    Returns:
        The mean of each interval of which all quarters are known.
    """
    found: dict[datetime, list[Decimal]] = defaultdict(list)
    for start, kw in quarters:
        found[start - timedelta(minutes=local_time(start, zone).minute % minutes)].append(kw)
    return [(start, sum(kw, Decimal(0)) / len(kw)) for start, kw in found.items() if len(kw) == minutes // 15]


def demand(
    load: Load, charge: DemandCharge, tariff: Tariff, zone: ZoneInfo, before: Sequence[Decimal] = ()
) -> Demand:
    """What one demand charge bills for a calendar month.

    Args:
        load: The month's load in the intervals of the charge; those that are not known are left out.
        charge: One of the tariff's.
        tariff: The tariff, for its holidays and its power factor.
        zone: Where.
        before: The peaks of earlier months in the windows of this charge, oldest first; the last eleven count.

    Returns:
        The charge's line of the bill.
    """
    peaks: dict[object, tuple[Decimal, datetime]] = {}
    for start, kw in load:
        local = local_time(start, zone)
        if not any(is_open(window, local, tariff) for window in charge.when):
            continue
        period = local.date() if charge.assessed == "day" else None
        if period not in peaks or kw > peaks[period][0]:
            peaks[period] = (kw, start)
    ratchet = Decimal(str(charge.ratchet)) * max(before[-RATCHET_MONTHS:], default=Decimal(0))
    factor = tariff.factor(charge)
    if not peaks:
        return Demand(charge, factor, None, None, ratchet, ratchet or None)
    peak, at = max(peaks.values(), key=lambda found: found[0])
    if charge.assessed == "day":
        return Demand(charge, factor, peak, at, ratchet, sum((kw for kw, _ in peaks.values()), Decimal(0)))
    return Demand(charge, factor, peak, at, ratchet, max(peak, ratchet))
