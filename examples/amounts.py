"""Amounts as integers, and as the exact decimal text that a bill carries. No amount is ever a float here."""

from __future__ import annotations

from decimal import Decimal

import polars as pl

SCALE = 10
"""Money is counted in units of 1e-10 of the currency."""

UNIT = 10**SCALE
RATE_UNIT = 10**7
"""Prices are counted in units of 1e-7 of the currency, usage in thousandths: their product is in `UNIT`s."""


def rate(price: str) -> int:
    """A price such as `"0.0230"` in units of 1e-7.

    Raises:
        ValueError: The price has more than seven decimals.
    """
    scaled = Decimal(price) * RATE_UNIT
    if scaled != int(scaled):
        msg = f"price {price} has more than seven decimals"
        raise ValueError(msg)
    return int(scaled)


def text(value: pl.Expr, scale: int = SCALE) -> pl.Expr:
    """Integers in units of 10**-scale as decimal text with exactly `scale` decimals."""
    size = value.abs()
    return pl.concat_str(
        pl.when(value < 0).then(pl.lit("-")).otherwise(pl.lit("")),
        (size // 10**scale).cast(pl.String),
        pl.lit("."),
        (size % 10**scale).cast(pl.String).str.zfill(scale),
    )


def decimal(value: int) -> Decimal:
    """An integer in `UNIT`s as a decimal."""
    return Decimal(value).scaleb(-SCALE)
