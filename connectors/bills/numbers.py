"""Amounts with a decimal comma, `1.234,56`: how a file writes its numbers, as far as all of them prove it.

`1.234` is one thousand or one and a bit, and stands for what the other amounts of its file say.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import polars as pl

from connectors.base import SourceError
from connectors.bills.files import JSON_FORMS, BillFile, Shape, lazy
from connectors.sql import literal

AROUND = r"\s*-?\(?\s*\$?\s*-?{}\s*\)?\s*"
EXPONENT = r"([eE][+-]?\d+)?"
COMMA = AROUND.format(rf"([1-9]\d{{0,2}}([. \x{{00A0}}\x{{202F}}]\d{{3}})+|\d+)(,\d+)?{EXPONENT}")
"""With a decimal comma, and points or blanks between thousands; in the spelling of RE2."""
POINT = AROUND.format(rf"([1-9]\d{{0,2}}(,\d{{3}})+|\d+)?(\.\d+)?{EXPONENT}")
"""The other way round."""

_COMMA, _POINT = (re.compile(re.sub(r"\\x\{(\w+)\}", r"\\u\1", p)) for p in (COMMA, POINT))


def decimal_comma(amounts: Iterable[str], uri: str, *, doubtful: bool = False) -> bool:
    """The amounts of a file are written with a decimal comma. Where nothing says so they are not: FOCUS has a point.

    Args:
        amounts: The distinct texts of its columns of numbers.
        uri: Its name, for the error.
        doubtful: It comes from a program that writes a comma or a point as the country has it.

    Raises:
        SourceError: An amount such as `1.234` has two meanings, and the others do not say which.
    """
    texts = [a for a in amounts if "," in a or "." in a]
    commas = [a for a in texts if _COMMA.fullmatch(a)]
    points = [a for a in texts if _POINT.fullmatch(a)]
    only_comma, only_point = sorted({*commas} - {*points}), sorted({*points} - {*commas})
    either = sorted(a for a in {*commas} & {*points} if "." in a)
    if only_comma and not only_point:
        return True
    if either and (only_comma or (not only_point and (doubtful or any("," in a for a in texts)))):
        says = (
            f"{only_comma[0]!r} can only be written with a decimal comma and {only_point[0]!r} only with a point"
            if only_comma
            else "no other amount says which"
        )
        msg = (
            f"{uri}: the amount {either[0]!r} may be written with a decimal point or with a point between thousands, "
            f"and {says}; export it with decimal points, such as 1234.56"
        )
        raise SourceError(msg)
    return False


def point_sql(column: str, shape: Shape) -> str:
    """SQL: the numbers of a native column, with a point where they have a decimal comma; any other text as it is."""
    text = shape.text[column]
    if not shape.comma or shape.types.get(column, "VARCHAR") != "VARCHAR":
        return text
    bare = f"replace(regexp_replace({text}, '[. \\x{{00A0}}\\x{{202F}}]', '', 'g'), ',', '.')"
    return f"CASE WHEN regexp_full_match({text}, {literal(COMMA)}) THEN {bare} ELSE {text} END"


def numbered(bill: BillFile, columns: Collection[str]) -> BillFile:
    """The file with the form of its numbers, as all of them prove it.

    Args:
        bill: A file.
        columns: Its columns of numbers.

    Raises:
        SourceError: They do not prove it, and it matters.
    """
    if bill.form in JSON_FORMS:
        return bill
    doubtful = bill.separator != ","
    try:
        frame = lazy(bill)
        texts = [c for c, type_ in frame.collect_schema().items() if c in columns and type_ == pl.String]
        if not texts or not (doubtful or _any_comma(frame, texts)):
            return bill
        amounts = {
            v for c in texts for v in frame.select(pl.col(c).unique()).collect(engine="streaming")[c] if v
        }
    except (pl.exceptions.PolarsError, OSError, EOFError, zlib.error, ValueError):
        return bill  # damaged: whoever reads it says what is wrong
    return replace(bill, comma=decimal_comma(amounts, bill.uri, doubtful=doubtful))


def _any_comma(frame: pl.LazyFrame, texts: Sequence[str]) -> bool:
    asked = pl.any_horizontal(pl.col(c).str.contains(",", literal=True).any() for c in texts)
    return bool(frame.select(asked).collect(engine="streaming").item())


def remark(files: Iterable[BillFile]) -> list[str]:
    """What was concluded of the form of numbers, for the note of a month."""
    found = [f.key for f in files if f.comma]
    return [f"amounts read with a decimal comma: {', '.join(found)}"] if found else []
