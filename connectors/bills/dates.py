"""Dates that are not written as ISO 8601: in which order day, month and year stand, as far as a file proves it.

`4/1/25` is 1 April or 4 January. A file proves its order by a number above 12, or by billing periods that are
whole calendar months when they are read in one order and not in the other. What no file proves, an option says.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice, product
from typing import Literal

import polars as pl

from connectors import epochs
from connectors.base import SourceError
from connectors.bills.files import JSON_FORMS, BillFile, json_lines, lazy
from connectors.sql import literal

Order = Literal["mdy", "dmy"]
EPOCH = "epoch"
"""The order of times written as numbers, as programs write them: since 1970, in the unit that `connectors/epochs.py` tells."""
APART = "apart"
"""The order of ISO 8601 with a blank before the zone, as Snowflake writes it: `2026-09-01 00:00:00.000 +0000`."""
ZONE = r"\s+(Z|[+-]\d{2}(?::?\d{2})?)$"
WORDS = {"mdy": "month/day/year", "dmy": "day/month/year"}

WRITTEN = r"\s*\d{1,2}(?:/\d{1,2}/\d{2}(?:\d{2})?|\.\d{1,2}\.\d{2}(?:\d{2})?|-\d{1,2}-\d{4})(?:[ T].*)?\s*"
"""01/09/2026, 1.9.26, 01-09-2026, and with a time; 26-09-01 is none of them."""

TIMES = ("", " %H:%M", " %H:%M:%S", "T%H:%M:%S", " %I:%M %p", " %I:%M:%S %p")


def formats(order: Order) -> list[str]:
    """Formats of `strptime` for an order; two digits of a year are tried first, since four never fit them."""
    first, second = ("%m", "%d") if order == "mdy" else ("%d", "%m")
    days = [f"{first}/{second}/%y", f"{first}/{second}/%Y", f"{first}.{second}.%y", f"{first}.{second}.%Y"]
    return [day + time for day, time in product([*days, f"{first}-{second}-%Y"], TIMES)]


def is_written(text: str | None) -> bool:
    """The text is a date whose order is not that of ISO 8601."""
    return re.fullmatch(WRITTEN, text or "") is not None


def iso(text: str | None, order: str) -> str | None:
    """A date of that order as ISO 8601; any other text as it is."""
    if order == EPOCH and text is not None and (at := epochs.moment(text)):
        return at.isoformat()
    if order == APART and text is not None:
        return re.sub(ZONE, r"\1", text.strip())
    if order in WORDS and text is not None and is_written(text):
        moment = _moment(text, order)
        return text if moment is None else moment.isoformat()
    return text


def iso_sql(text: str, order: str) -> str:
    """SQL of the same."""
    if order == EPOCH:
        return f"COALESCE(CAST({epochs.sql_epoch_text(text)} AS VARCHAR), {text})"
    if order == APART:
        return f"regexp_replace(trim({text}), {literal(ZONE)}, '\\1')"
    if order not in WORDS:
        return text
    known = "[" + ", ".join(map(literal, formats("mdy" if order == "mdy" else "dmy"))) + "]"
    moment = f"CAST(try_strptime(trim({text}), {known}) AS VARCHAR)"
    return f"CASE WHEN regexp_full_match({text}, {literal(WRITTEN)}) THEN COALESCE({moment}, {text}) ELSE {text} END"


def proven(moments: Iterable[str], periods: Sequence[tuple[str, str]], uri: str) -> Order | None:
    """The order that a file's dates prove; None if they prove none.

    Args:
        moments: Its distinct dates.
        periods: Its distinct billing periods, start and end.
        uri: Its name, for the error.

    Raises:
        SourceError: Some dates can be read only in one order and others only in the other.
    """
    dates = [m for m in moments if is_written(m)]
    fits = {o: [m for m in dates if _moment(m, o) is not None] for o in WORDS}
    only = {o: [m for m in fits[o] if m not in fits[other]] for o, other in (("mdy", "dmy"), ("dmy", "mdy"))}
    if only["mdy"] and only["dmy"]:
        msg = (
            f"{uri}: its dates are in two orders: {only['mdy'][0]!r} can only be month/day/year and "
            f"{only['dmy'][0]!r} only day/month/year; export it with dates such as 2026-09-01T00:00:00Z"
        )
        raise SourceError(msg)
    if only["mdy"] or only["dmy"]:
        return "mdy" if only["mdy"] else "dmy"
    pairs = [(start, end) for start, end in periods if is_written(start) and is_written(end)]
    whole = {o: all(_is_month(start, end, o) for start, end in pairs) for o in WORDS}
    if not pairs or whole["mdy"] == whole["dmy"]:
        return None
    return "mdy" if whole["mdy"] else "dmy"


LOOKED_AT = 1000
"""Rows of a file that say whether its dates are ISO 8601."""


def certain(bill: BillFile, moments: Sequence[str], period: Sequence[str] = ()) -> BillFile:
    """A bill whose provider writes ISO 8601, with the order of its dates where a spreadsheet wrote them anew in a CSV, or a program as numbers.

    Args:
        bill: A file.
        moments: As in `dated`.
        period: As in `dated`.

    Raises:
        SourceError: Its dates prove no order, or contradict each other.
    """
    if bill.form in JSON_FORMS:
        return replace(bill, dates=_other_form(bill, moments))
    if bill.form not in ("csv", "gzip"):
        return bill
    return dated(bill, "", moments, period, needed=True)


def dated(
    bill: BillFile, asked: str, moments: Sequence[str], period: Sequence[str] = (), *, needed: bool = False
) -> BillFile:
    """The file with the order of its dates: as it proves it, else as an option says; empty where neither does.

    Args:
        bill: A file.
        asked: Option `date_order`, empty where it is absent.
        moments: Its columns with dates.
        period: Of these, start and end of the billing period, as far as it has both.
        needed: A file that has no other dates, and whose order neither proves, is refused here.

    Raises:
        SourceError: Its dates contradict the option or each other, or prove no order where one is needed.
    """
    try:
        dates, periods = _dates(bill, moments, period)
    except (pl.exceptions.PolarsError, OSError, EOFError, zlib.error, ValueError):
        return bill  # damaged: whoever reads it says what is wrong
    if not dates:
        return replace(bill, dates=_other_form(bill, moments))
    order = proven(dates, periods, bill.uri)
    if order and asked and order != asked:
        msg = (
            f"{bill.uri}: its dates can only be {WORDS[order]}, and `date_order` says {asked}; correct `date_order`, "
            "or put the file into a source of its own"
        )
        raise SourceError(msg)
    if needed and not (order or asked) and all(map(is_written, dates)):
        written = min(dates)
        msg = (
            f"{bill.uri}: its dates, such as {written!r}, may be month/day/year or day/month/year, and no other date of the "
            "file says which; deliver the file as the provider wrote it, with dates such as 2026-09-01T00:00:00Z"
        )
        raise SourceError(msg)
    return replace(bill, dates=order or asked)


def remark(files: Iterable[BillFile]) -> list[str]:
    """What was concluded of the order of dates, for the note of a month: one text for each order."""
    words_of = {**WORDS, EPOCH: "times since 1970"}
    of = [(words, [f.key for f in files if f.dates == order]) for order, words in words_of.items()]
    return [f"dates read as {words}: {', '.join(keys)}" for words, keys in of if keys]


def _dates(
    bill: BillFile, moments: Sequence[str], period: Sequence[str]
) -> tuple[set[str], list[tuple[str, str]]]:
    """Distinct dates and billing periods as they are written; none where the first rows have ISO 8601."""
    if bill.form in JSON_FORMS:
        found_rows = {tuple(_text(row.get(c)) for c in moments) for row in json_lines(bill.path, bill.form)}
        frame = pl.LazyFrame([*found_rows], dict.fromkeys(moments, pl.String), orient="row")
    else:
        frame = lazy(bill)
    schema = frame.collect_schema()
    texts = [c for c in moments if schema.get(c) == pl.String]
    head = frame.select(texts).head(LOOKED_AT).collect()
    if not any(is_written(v) for column in head for v in column):
        return set(), []
    found = {v for c in texts for v in frame.select(pl.col(c).unique()).collect(engine="streaming")[c] if v}
    pair = [c for c in period if c in texts]
    rows = frame.select(pair).unique().collect().rows() if len(pair) == 2 else []
    return found, [(start or "", end or "") for start, end in rows]


def _other_form(bill: BillFile, moments: Sequence[str]) -> str:
    """`EPOCH` where the first rows have times as numbers, and no other dates; `APART` where one has a zone apart; else nothing."""
    try:
        if bill.form in JSON_FORMS:
            first = islice(json_lines(bill.path, bill.form), LOOKED_AT)
            values = [row[c] for row in first for c in moments if row.get(c) not in (None, "")]
        else:
            head = lazy(bill).select(moments).head(LOOKED_AT).collect()
            values = [v for column in head for v in column if v not in (None, "")]
    except (pl.exceptions.PolarsError, OSError, EOFError, zlib.error, ValueError):
        return ""  # damaged: whoever reads it says what is wrong
    if values and all(epochs.moment(str(value)) for value in values):
        return EPOCH
    return APART if any(re.search(ZONE, v) for v in values if isinstance(v, str)) else ""


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _moment(text: str, order: str) -> datetime | None:
    for form in formats("mdy" if order == "mdy" else "dmy"):
        try:
            return datetime.strptime(text.strip(), form)  # noqa: DTZ007
        except ValueError:
            continue
    return None


def _is_month(start: str, end: str, order: str) -> bool:
    first, last = _moment(start, order), _moment(end, order)
    if first is None or last is None or (first.day, last.day) != (1, 1):
        return False
    return (last.year - first.year) * 12 + last.month - first.month == 1
