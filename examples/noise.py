"""Reproducible noise as polars expressions: the same seed, stream and key give the same number, in any order.

The integer mixer is splitmix64 (Steele, Lea and Flood, 2014). What the noise is used for belongs to the
modules of the inputs.
"""

from __future__ import annotations

from hashlib import sha256

import polars as pl

SECONDS = 1 << 40
"""Keys made of a number and a time are `number * SECONDS + epoch seconds`."""


def _u64(value: int) -> pl.Expr:
    return pl.lit(value, dtype=pl.UInt64)


def noise(key: pl.Expr, stream: str, seed: int, below: int) -> pl.Expr:
    """An integer in [0, below) for every key, evenly spread.

    Args:
        key: Non-negative integers.
        stream: Name of the purpose; different streams are independent.
        seed: Seed of the whole demo.
        below: Upper bound, exclusive.

    Returns:
        An Int64 expression.
    """
    salt = int.from_bytes(sha256(f"{seed}/{stream}".encode()).digest()[:8], "big")
    z = key.cast(pl.UInt64) * _u64(0x9E3779B97F4A7C15) + _u64(salt)
    z = (z ^ (z // _u64(1 << 30))) * _u64(0xBF58476D1CE4E5B9)
    z = (z ^ (z // _u64(1 << 27))) * _u64(0x94D049BB133111EB)
    return ((z ^ (z // _u64(1 << 31))) % _u64(below)).cast(pl.Int64)
