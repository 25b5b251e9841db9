"""Whether the amounts of a file have a decimal comma, `1.234,56`, or a point, as far as all of them prove it.

`1.234` is one thousand or one and a bit, and stands for what the other amounts of its file say. How amounts are
written belongs to `amounts.py`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import Literal

import polars as pl

from connectors.base import SourceError
from connectors.bills.amounts import COMMA, POINT, alike, pointed
from connectors.bills.files import JSON_FORMS, BillFile, json_lines, lazy
from connectors.bills.shapes import Shape
from connectors.sql import identifier

_COMMA, _POINT = re.compile(COMMA), re.compile(POINT)
PLAIN = r"[0-9.eE+-]*"


def decimal_sign(amounts: Collection[str], uri: str, *, doubtful: bool = False) -> Literal["", ".", ","]:
    """The decimal sign of the amounts of a file; empty where they do not agree, or each says itself that it is a point.

    Args:
        amounts: The distinct texts of its columns of numbers.
        uri: Its name, for the error.
        doubtful: It comes from a program that writes a comma or a point as the country has it.

    Raises:
        SourceError: An amount such as `1.234` has two meanings, and the others do not say which.
    """
    commas = {a for a in amounts if _COMMA.fullmatch(alike(a))}
    points = {a for a in amounts if _POINT.fullmatch(alike(a))}
    doubtful = doubtful or any(not re.fullmatch(PLAIN, a) for a in commas | points)
    commas, points = ({a for a in found if "," in a or "." in a} for found in (commas, points))
    only_comma, only_point = sorted(commas - points), sorted(points - commas)
    either = sorted(a for a in commas & points if "." in a)
    if only_comma and not only_point:
        return ","
    if only_point and not only_comma:
        return "." if any("," in a for a in commas & points) else ""
    if either and (only_comma or doubtful):
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
    return ""


def point(text: str) -> str:
    """An amount with a decimal comma as a plain number; any other text as it is."""
    bare = alike(text).translate(str.maketrans("", "", " .'")).replace(",", ".")
    return bare if _COMMA.fullmatch(alike(text)) else text


def point_sql(column: str, shape: Shape) -> str:
    """SQL: the numbers of a native column in their plain form, as its file writes them; any other text as it is."""
    text = shape.text[column]
    if not shape.decimal or shape.types.get(column, "VARCHAR") != "VARCHAR":
        return text
    if shape.files[0].form in JSON_FORMS:  # where numbers are no texts, and have a point
        return f"CASE WHEN json_type({identifier(column)}) = 'VARCHAR' THEN {pointed(text, shape.decimal)} ELSE {text} END"
    return pointed(text, shape.decimal)


def numbered(bill: BillFile, columns: Collection[str]) -> BillFile:
    """The file with the form of its numbers, as all of them prove it.

    Args:
        bill: A file.
        columns: Its columns of numbers.

    Raises:
        SourceError: They do not prove it, and it matters.
    """
    doubtful = bill.separator != ","
    try:
        amounts = {*_amounts(bill, columns, all_of_them=doubtful)}
    except (pl.exceptions.PolarsError, OSError, EOFError, zlib.error, ValueError):
        return bill  # damaged: whoever reads it says what is wrong
    return replace(bill, decimal=decimal_sign(amounts, bill.uri, doubtful=doubtful))


def spread(bill: BillFile, columns: Collection[str]) -> BillFile:
    """The same of a bill that its provider writes with decimal points: only a spreadsheet writes other separators, and commas.

    Raises:
        SourceError: As in `numbered`.
    """
    return bill if bill.separator == "," else numbered(bill, columns)


def _amounts(bill: BillFile, columns: Collection[str], *, all_of_them: bool) -> Iterator[str]:
    """Distinct texts of the columns of numbers; unless all are asked for, none where all are plain."""
    if bill.form in JSON_FORMS:
        found = {
            v for row in json_lines(bill.path, bill.form) for c in columns if isinstance(v := row.get(c), str)
        }
        yield from (v for v in found if v)
        return
    frame = lazy(bill)
    texts = [c for c, type_ in frame.collect_schema().items() if c in columns and type_ == pl.String]
    odd = pl.any_horizontal(False, *(pl.col(c).str.contains("[^0-9.eE+-]").any() for c in texts))
    if not texts or not (all_of_them or frame.select(odd).collect(engine="streaming").item()):
        return
    for column in texts:
        values = frame.select(pl.col(column).unique()).collect(engine="streaming")[column]
        yield from (v for v in values if v)


def remark(files: Iterable[BillFile]) -> list[str]:
    """What was concluded of the form of numbers, for the note of a month."""
    words = {",": "a decimal comma", ".": "a comma between thousands"}
    of = [(w, [f.key for f in files if f.decimal == sign]) for sign, w in words.items()]
    return [f"amounts read with {w}: {', '.join(keys)}" for w, keys in of if keys]
