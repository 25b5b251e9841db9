"""Total cost of one option over the horizon, item by item, and the comparison of two of them.

What each item comes to for an option belongs to `options.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

ZERO = Decimal(0)
_CENT = Decimal("1e-12")
_DIGITS = 60


def exact(value: Decimal) -> Decimal:
    """The amount rounded half-even to the 12 decimals of the ledger, the one place where placement rounds."""
    with localcontext(prec=_DIGITS):
        return value.quantize(_CENT, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True)
class Cost:
    """What one option costs, in the organisation's currency.

    A monthly part that is None is not known apart: it is inside another part, or its quantity is unknown; the
    note of the option says which. All amounts have at most 12 decimals, so that sums are exact.

    Attributes:
        horizon: Months.
        usage_month: Rented hours, tokens, requests, fees; or everything, where cost is measured as a whole.
        energy_month: Energy.
        opex_month: Space, staff, support.
        egress_month: Data transfer.
        capex: Spent before month 1.
        salvage: Got back after the last month.
        migration: Spent before month 1.
    """

    horizon: int
    usage_month: Decimal | None = ZERO
    energy_month: Decimal | None = ZERO
    opex_month: Decimal | None = ZERO
    egress_month: Decimal | None = ZERO
    capex: Decimal = ZERO
    salvage: Decimal = ZERO
    migration: Decimal = ZERO

    @property
    def month(self) -> Decimal:
        """The recurring cost of one month."""
        with localcontext(prec=_DIGITS):
            parts = (self.usage_month, self.energy_month, self.opex_month, self.egress_month)
            return sum((part for part in parts if part is not None), ZERO)

    @property
    def upfront(self) -> Decimal:
        """What is spent before month 1."""
        with localcontext(prec=_DIGITS):
            return self.capex + self.migration

    @property
    def total(self) -> Decimal:
        """The sum of all: capex - salvage + horizon x month + migration."""
        with localcontext(prec=_DIGITS):
            return self.upfront - self.salvage + self.month * self.horizon

    @property
    def spread_month(self) -> Decimal:
        """`total` spread evenly over the months of the horizon; for reading only."""
        return self.total / self.horizon

    def parts(self) -> dict[str, Decimal | None]:
        """The items of `marts.placement_options` over the horizon; those that are not None sum to `total`."""

        def over(part: Decimal | None) -> Decimal | None:
            return None if part is None else part * self.horizon

        with localcontext(prec=_DIGITS):
            return {
                "capex": self.capex - self.salvage,
                "usage": over(self.usage_month),
                "energy": over(self.energy_month),
                "opex": over(self.opex_month),
                "egress": over(self.egress_month),
                "migration": self.migration,
            }


def saving(stay: Cost, move: Cost) -> Decimal:
    """Cost of staying - cost of moving over the same horizon, migration included."""
    with localcontext(prec=_DIGITS):
        return stay.total - move.total


def npv(stay: Cost, move: Cost, discount_rate: Decimal) -> Decimal:
    """Net present value of moving: -C0 + sum of s/(1+r_m)^m for m = 1..H, + S/(1+r_m)^H.

    r_m = (1+r)^(1/12) - 1. C0 is what moving costs up front, s the monthly saving, S the salvage, each as a
    difference of the two.

    Args:
        stay: The current option.
        move: The other option, over the same horizon.
        discount_rate: Yearly rate r; at 0 the result is `saving`.
    """
    with localcontext(prec=_DIGITS):
        if discount_rate == 0:
            return saving(stay, move)
        factor = (1 + discount_rate) ** (Decimal(-1) / 12)
        discount = [factor**m for m in range(1, stay.horizon + 1)]
        return exact(
            stay.upfront
            - move.upfront
            + (stay.month - move.month) * sum(discount, ZERO)
            + (move.salvage - stay.salvage) * discount[-1]
        )


def breakeven_month(stay: Cost, move: Cost) -> int | None:
    """First whole month in which moving has paid: ceil(C0 / s), searched to the horizon.

    C0 is what moving costs up front above staying, s what it saves a month; salvage counts only at the end of
    the horizon and so not here. Without anything spent up front moving has paid from month 0.

    Returns:
        The first m in 0..horizon with m x s >= C0; None if there is none, or nothing is ever saved.
    """
    with localcontext(prec=_DIGITS):
        upfront, monthly = move.upfront - stay.upfront, stay.month - move.month
        if upfront < 0 or (upfront == 0 and monthly > 0):
            return 0
        if monthly <= 0 or monthly * stay.horizon < upfront:
            return None
        whole = int(upfront // monthly)
        return whole if monthly * whole == upfront else whole + 1
