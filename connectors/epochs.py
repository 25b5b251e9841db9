"""Times written as numbers: seconds, milliseconds, microseconds or nanoseconds since 1970, UTC.

The number says which: of the years 2000 to 2099 the seconds, the milliseconds and so on share no value. Every other
number is no time: a date without separators (20260901100000), a time of a day, a day of a spreadsheet.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

import polars as pl

UNITS: Mapping[str, int] = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
"""Unit -> how many make a second."""

FIRST_YEAR, END_YEAR = 2000, 2100
"""The years that a time in the world's data may be of, the second one no more; what is outside is damaged, or no time."""

FIRST, END = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (FIRST_YEAR, END_YEAR))
"""The same in seconds since 1970."""

NUMBER = r"[0-9]{9,19}([.][0-9]{1,9})?"
"""A time in text. Not with an exponent: it would hide how many digits are left out."""

_NUMERIC = ("BIGINT", "UBIGINT", "INTEGER", "UINTEGER", "HUGEINT", "UHUGEINT", "DOUBLE", "DECIMAL")
"""DuckDB types of a time. Not of 32 bits with decimals (FLOAT), which knows two minutes at best."""


def is_numeric(duckdb_type: str) -> bool:
    """A column of that type can hold times as numbers."""
    return duckdb_type.split("(", maxsplit=1)[0] in _NUMERIC


def sql_plausible(moment: str) -> str:
    """SQL condition: the timestamp is of these years."""
    return f"{moment} >= TIMESTAMP '{FIRST_YEAR}-01-01' AND {moment} < TIMESTAMP '{END_YEAR}-01-01'"


def sql_epoch(value: str) -> str:
    """SQL: the UTC timestamp of a DOUBLE, to the microsecond; NULL where it is no time."""
    cases = " ".join(
        f"WHEN {value} >= {FIRST * n}e0 AND {value} < {END * n}e0 "
        f"THEN make_timestamp(CAST(ROUND({value} * {1e6 / n!r}) AS BIGINT))"
        for n in UNITS.values()
    )
    return f"CASE {cases} END"


def sql_epoch_text(text: str) -> str:
    """SQL: the same of text."""
    clean = f"CASE WHEN regexp_full_match(TRIM({text}), '{NUMBER}') THEN CAST({text} AS DOUBLE) END"
    return sql_epoch(f"({clean})")


def moment(text: str) -> datetime | None:
    """The same of one text; None where it is no time."""
    value = float(text) if re.fullmatch(NUMBER, text.strip()) else 0.0
    return next(
        (datetime.fromtimestamp(value / n, UTC) for n in UNITS.values() if FIRST * n <= value < END * n),
        None,
    )


def seconds(stamps: pl.Series) -> dict[str, pl.Series]:
    """The times among numbers or text as whole seconds since 1970, by unit; units without any are left out."""
    if stamps.dtype == pl.String:
        text = stamps.drop_nulls().str.strip_chars()
        stamps = text.filter(text.str.contains(f"^{NUMBER}$"))
    elif not stamps.dtype.is_numeric() or stamps.dtype == pl.Float32:
        return {}
    values = stamps.drop_nulls().cast(pl.Float64)
    found = {
        name: values.filter((values >= FIRST * n) & (values < END * n)) // n for name, n in UNITS.items()
    }
    return {name: times.cast(pl.Int64) for name, times in found.items() if len(times)}
