"""What the charges of a page are worth in the organisation's currency, and what of them has no rate.

Rates are applied in `models/currency.py`; this adds up what came of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import polars as pl

from dashboards.figures import total
from dashboards.format import cents, spread_cents


@dataclass(frozen=True)
class Converted:
    """The charges of one currency.

    Attributes:
        currency: Their own.
        cost: Effective cost in it.
        shown: The same in the organisation's currency, at its smallest unit; None where a part has no rate.
        unrated: The part of `cost` that has no rate.
        unrated_days: Its days, ascending.
    """

    currency: str
    cost: Decimal
    shown: Decimal | None
    unrated: Decimal
    unrated_days: tuple[date, ...]


@dataclass(frozen=True)
class Conversion:
    """Charges of several currencies in one.

    Attributes:
        into: The organisation's currency.
        lines: One a currency, by name. Where all have a rate, what they show sums to the total.
        total: Their sum in it; None where a part has no rate.
    """

    into: str
    lines: tuple[Converted, ...]
    total: Decimal | None


def conversion(daily: pl.DataFrame, into: str) -> Conversion | None:
    """Converts the charges of a month; None where all are in the organisation's currency already.

    Args:
        daily: Rows of `marts.chargeback_daily`.
        into: The organisation's currency.
    """
    if daily.filter(pl.col("currency") != into).is_empty():
        return None
    own = [frame for _, frame in daily.sort("currency").group_by("currency", maintain_order=True)]
    unrated = [frame.filter(pl.col("converted_cost").is_null()) for frame in own]
    exact = [None if u.height else total(f, "converted_cost") for f, u in zip(own, unrated, strict=True)]
    known = [value for value in exact if value is not None]
    whole = cents(sum(known, Decimal(0)), into) if len(known) == len(exact) else None
    shown: list[Decimal | None] = [None if value is None else cents(value, into) for value in exact]
    if whole is not None:
        shown = [*spread_cents(known, whole, into)]
    lines = [
        Converted(str(f["currency"][0]), total(f), s, total(u), tuple(u["day"].unique().sort()))
        for f, s, u in zip(own, shown, unrated, strict=True)
    ]
    return Conversion(into, tuple(lines), whole)
