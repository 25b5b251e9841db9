"""Which billing months a file holds, remembered by the file's version so that it is looked into only once."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from connectors.base import Object, SourceError
from connectors.bills.dates import is_written, iso
from connectors.bills.files import JSON_FORMS, BillFile, json_lines, lazy, open_bill
from connectors.bills.texts import UnpackError
from connectors.bills.unpack import Unpacked
from connectors.epochs import END_YEAR, FIRST_YEAR
from connectors.objects import Store, fetch_ahead, read_json, write_json

Column = Callable[[BillFile], str | Sequence[str]]
"""The native column with the start of the billing period, or several of which the first with a value counts.

`a.b` is the field b of the nested column a, unless there is a column of that name. Raises SourceError if there
is none.
"""

READABLE_ROWS = 1_000_000
"""Rows of a damaged file that are looked at for its months."""

NAMED_MONTH = re.compile(r"(?<!\d)(20\d\d)[-_]?(0[1-9]|1[0-2])(?:-?[0-3]\d)?(?!\d)")

YEAR_FIRST = re.compile(r"(\d{4})/(\d{1,2})/(\d{1,2})(?: (\d{1,2})(?=:)|(?!\d))")
"""How spreadsheets of Japan and China write a date; DuckDB reads it as well."""

Parse = Callable[[str | None], date | None]
"""First day of the month that a value of such a column names; None if it names none."""


AHEAD_H = 14
"""Hours that midnight of some zone is ahead of UTC, at most."""


def parse_month(text: str | None, ahead_h: int = 0) -> date | None:
    """First day of the UTC month of an ISO 8601 date or time, or of 2026/9/30; None if it is none or outside 2000-2099.

    Args:
        text: The date or time.
        ahead_h: The last hours of a month that count as the next one.
    """
    written = YEAR_FIRST.sub(
        lambda d: f"{d[1]}-{d[2]:0>2}-{d[3]:0>2}" + (f" {d[4]:0>2}" if d[4] else ""), (text or "").strip(), 1
    )
    try:
        moment = datetime.fromisoformat(written.removesuffix(" UTC"))
    except ValueError:
        return None
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    if not FIRST_YEAR <= moment.year < END_YEAR:
        return None
    moment += timedelta(hours=ahead_h)
    return date(moment.year, moment.month, 1)


ORDER_HINT = "; dates such as 4/1/25 prove no order here: set `date_order: mdy` or `dmy` (kind focus)"

Prepare = Callable[[BillFile], BillFile]
"""Adds to a file just opened what its format has to know about it. Raises SourceError if it cannot be known."""


LOOK = 2
"""Changes whenever the same file would be looked at in another way."""


class MonthIndex:
    """Months by file, kept in a JSON file below the cache.

    Args:
        store: Where the files are.
        cache: The JSON file.
        version: Version of the way of looking; an index of another one is not used.
        parse: How the column names a month.
        prepare: Looks further into a file.
        optional: As in `open_bill`.
    """

    def __init__(
        self,
        store: Store,
        cache: Path,
        version: str,
        parse: Parse = parse_month,
        *,
        prepare: Prepare = lambda bill: bill,
        optional: Sequence[str] = (),
    ) -> None:
        self._store = store
        self._cache = cache
        self._optional = optional
        self._version = version
        self._parse = parse
        self._prepare = prepare

    def months(self, objects: Sequence[Object], column: Column) -> dict[str, tuple[date, ...]]:
        """Key -> months, in order; no month for a file without rows.

        Args:
            objects: The files.
            column: Finds the column to look at.

        Raises:
            SourceError: A file cannot be read, lacks the column, or has rows and not one readable month.
        """
        months, damaged = self._look(objects, column, forget=False)
        for _, error in damaged.values():
            raise error
        return months

    def look(
        self, objects: Sequence[Object], column: Column
    ) -> tuple[dict[str, tuple[date, ...]], dict[str, tuple[tuple[date, ...], str]]]:
        """The same for all files there are; what is known of others is dropped.

        Returns:
            Months of the files that can be read, and of the others the months and what is wrong. The months of a
            damaged file are those of its earlier version, else of the part that can be read, else the one that its
            name says.

        Raises:
            SourceError: A file cannot be fetched, or is damaged and nothing tells of which month.
        """
        months, damaged = self._look(objects, column, forget=True)
        for of, error in damaged.values():
            if not of:
                raise error
        return months, {key: (of, str(error)) for key, (of, error) in damaged.items()}

    def _look(
        self, objects: Sequence[Object], column: Column, *, forget: bool
    ) -> tuple[dict[str, tuple[date, ...]], dict[str, tuple[tuple[date, ...], SourceError]]]:
        known = read_json(self._cache)
        entries = {} if forget else dict(known)
        damaged = {}
        fetch_ahead(self._store, [o for o in objects if self._name(o) not in known])
        for item in objects:
            name = self._name(item)
            if name in known:
                entries[name] = known[name]
                continue
            opened = None
            try:
                opened = partial(self._open, item, self._store.fetch([item])[0])
                bill = opened()
                found_there, undated = _scan(bill, column(bill), self._parse) if bill.columns else ([], False)
                if undated and isinstance(self._store, Unpacked) and self._store.without_footer(item):
                    bill = self._open(item, self._store.fetch([item])[0])
                    found_there, _ = _scan(bill, column(bill), self._parse)
                entries[name] = [m.isoformat() for m in found_there]
            except SourceError as error:
                if opened is None and not isinstance(error, UnpackError):
                    raise
                earlier = {n: v for n, v in known.items() if n.rpartition(":")[0] == name.rpartition(":")[0]}
                entries |= earlier
                found = {date.fromisoformat(m) for v in earlier.values() for m in v}
                found = (
                    found or (_readable(opened, column, self._parse) if opened else set()) or _named(item.key)
                )
                damaged[item.key] = (tuple(sorted(found)), error)
        if entries != known:
            write_json(self._cache, entries)
        whole = [item for item in objects if item.key not in damaged]
        return {o.key: tuple(map(date.fromisoformat, entries[self._name(o)])) for o in whole}, damaged

    def _open(self, item: Object, path: Path) -> BillFile:
        return self._prepare(open_bill(item, self._store.uri(item.key), path, optional=self._optional))

    def _name(self, item: Object) -> str:
        return f"{self._version}/{LOOK}:{item.key}:{item.version}"


def _readable(opened: Callable[[], BillFile], column: Column, parse: Parse) -> set[date]:
    """Months of the rows of a damaged CSV or JSON lines file before the place where it is damaged."""
    found = set()
    with suppress(SourceError, OSError, EOFError, zlib.error, ValueError, csv.Error), ExitStack() as stack:
        bill = opened()
        columns = column(bill)
        rows: Iterable[dict[str, Any]]
        if bill.form in JSON_FORMS:
            rows = json_lines(bill.path, bill.form)
        elif bill.form == "parquet":
            return set()
        else:
            opener = gzip.open if bill.form == "gzip" else open
            file = stack.enter_context(
                opener(bill.path, "rt", encoding="utf-8-sig", errors="replace", newline="")
            )
            rows = csv.DictReader(file, bill.columns, delimiter=bill.separator)  # the header names no month
        for row in islice(rows, READABLE_ROWS):
            text = _first(row, [columns] if isinstance(columns, str) else columns)
            found.add(parse(iso(text, bill.dates)))
    return {month for month in found if month}


def _named(key: str) -> set[date]:
    """The one month that the name of a file speaks of, as 2026-09, 202609 or 20260901; none where it names several."""
    found = {date(int(year), int(month), 1) for year, month in NAMED_MONTH.findall(key)}
    return found if len(found) == 1 else set()


def _scan(bill: BillFile, column: str | Sequence[str], parse: Parse) -> tuple[list[date], bool]:
    """The months of a file, in order, and whether a row names none, as a line of totals below the rows does."""
    columns = [column] if isinstance(column, str) else list(column)
    try:
        texts = _json_texts(bill, columns) if bill.form in JSON_FORMS else _table_texts(bill, columns)
    except (pl.exceptions.PolarsError, OSError, EOFError, zlib.error, ValueError) as error:
        reason = str(error).strip().split("\n", maxsplit=1)[0]
        msg = f"{bill.uri} is damaged or not a complete CSV, JSON lines or Parquet file ({reason}); have it delivered again"
        raise SourceError(msg) from error
    texts = [text for text in texts if (text or "").strip() not in columns]  # the header, repeated
    named = {parse(iso(text, bill.dates)) for text in texts}
    months = sorted(month for month in named if month)
    if texts and not months:
        msg = (
            f"{bill.uri}: column {' or '.join(map(repr, columns))} holds no date such as 2026-09-01T00:00:00Z "
            f"in any row (found {texts[:3]}); correct the export{ORDER_HINT if any(map(is_written, texts)) else ''}"
        )
        raise SourceError(msg)
    return months, None in named


def _table_texts(bill: BillFile, columns: Sequence[str]) -> list[str | None]:
    """Distinct values of the first column that has one."""
    frame = lazy(bill)
    values = []
    for name in columns:
        outer, _, inner = name.partition(".")
        nested = name not in bill.columns
        if nested:
            _require_field(bill, outer, inner, frame.collect_schema()[outer])
        value = (pl.col(outer).struct.field(inner) if nested else pl.col(name)).cast(pl.String)
        values.append(pl.when(value != "").then(value))
    found = frame.select(pl.coalesce(values).alias("month").unique()).collect(engine="streaming")
    return found["month"].to_list()


def _require_field(bill: BillFile, outer: str, inner: str, type_: pl.DataType) -> None:
    """Raises SourceError if the nested column is not one, or lacks the field."""
    if not isinstance(type_, pl.Struct) or inner not in {field.name for field in type_.fields}:
        msg = (
            f"{bill.uri}: column {outer!r} has the type {type_}, so mandatory column '{outer}.{inner}' is missing; "
            f"it must be a record with the field {inner!r}: export the column as its table has it"
        )
        raise SourceError(msg)


def _json_texts(bill: BillFile, columns: Sequence[str]) -> list[str | None]:
    """The same of a JSON file."""
    return list(dict.fromkeys(_first(row, columns) for row in json_lines(bill.path, bill.form)))


def _first(row: dict[str, Any], columns: Sequence[str]) -> str | None:
    values = (_field(row, name) for name in columns)
    return next((str(v) for v in values if v not in (None, "")), None)


def _field(row: dict[str, Any], name: str) -> Any:
    if name in row:
        return row[name]
    outer, _, inner = name.partition(".")
    nested = row.get(outer)
    return nested.get(inner) if isinstance(nested, dict) else None
