"""How the price of an asset is recovered over its life: straight-line, or by capital recovery.

Spreading it over days belongs to `models/ratecard.py`.

Capital recovery (engineering economics; Walker, The Real Cost of a CPU Hour, IEEE Computer 2009, uses the same): with
discount rate r a year, life of n years, price C and salvage value S,

    CRF = r (1 + r)^n / ((1 + r)^n - 1)    capital recovery factor
    SFF = CRF - r                          sinking fund factor
    EAC = C x CRF - S x SFF                equivalent annual cost

Months carry EAC / 12. What is not yet recovered after t years is C (1 + r)^t - EAC ((1 + r)^t - 1) / r, which
is C at the start and S at the end. At r = 0 that is the straight line.
"""

from __future__ import annotations

from decimal import Decimal, localcontext

from models.money import SCALE
from models.register import Asset

PRECISION = 60
"""Digits of the powers; amounts have 12 behind the point."""


def recoverable(asset: Asset) -> dict[str, Decimal]:
    """What the whole life recovers of each part of the capex: with straight line its price, less salvage of the hardware.

    Returns:
        Part -> amount, rounded to 12 decimals.
    """
    salvage = dict.fromkeys(asset.capex_parts, Decimal(0)) | {"hardware": asset.salvage}
    if not asset.discount_rate:
        return {part: price - salvage[part] for part, price in asset.capex_parts.items()}
    years = Decimal(asset.life_months) / 12
    with localcontext(prec=PRECISION):
        return {
            part: round(annual_cost(price, salvage[part], asset.discount_rate, years) * years, SCALE)
            for part, price in asset.capex_parts.items()
        }


def annual_cost(price: Decimal, salvage: Decimal, rate: Decimal, years: Decimal) -> Decimal:
    """EAC: the equal payment at the end of each year that is worth price less discounted salvage."""
    with localcontext(prec=PRECISION):
        growth = (1 + rate) ** years
        recovery = rate * growth / (growth - 1)
        return price * recovery - salvage * (recovery - rate)


def unrecovered(asset: Asset, done: int, whole: int) -> Decimal:
    """What is still to be recovered when the part `done` / `whole` of the life is over, salvage aside.

    Returns:
        Amount >= 0, rounded to 12 decimals, so that with straight line it completes what the days have cost.
    """
    if not asset.discount_rate:
        return sum((b - part_of(b, done, whole) for b in recoverable(asset).values()), Decimal(0))
    price = sum(asset.capex_parts.values(), Decimal(0))
    with localcontext(prec=PRECISION):
        years = Decimal(asset.life_months) / 12
        growth = (1 + asset.discount_rate) ** (years * done / whole)
        payment = annual_cost(price, asset.salvage, asset.discount_rate, years)
        left = price * growth - payment * (growth - 1) / asset.discount_rate
        return round(left - asset.salvage, SCALE) if done < whole else Decimal(0)


def part_of(total: Decimal, numerator: int, denominator: int) -> Decimal:
    """Total x numerator / denominator, in whole units of 1e-12, half up."""
    units = int(total.scaleb(SCALE))
    return (2 * units * numerator + denominator) // (2 * denominator) * Decimal(1).scaleb(-SCALE)
