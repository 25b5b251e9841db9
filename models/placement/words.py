"""Numbers and lists as people read them; what is said with them belongs to `explain.py`."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal


def number(value: float | Decimal) -> str:
    """A quantity with thousands separated: whole from 100 up, else at most two decimals (4210.4 -> 4,210)."""
    return f"{value:,.0f}" if abs(float(value)) >= 100 else f"{value:,.2f}".rstrip("0").rstrip(".")


def money(value: Decimal, currency: str) -> str:
    """An amount for reading, never for reckoning: whole units from 100 up, else two decimals (4,210 USD)."""
    return f"{value:,.0f} {currency}" if abs(value) >= 100 else f"{value:,.2f} {currency}"


def listing(items: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))
