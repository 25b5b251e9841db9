"""Which billing months a file holds, remembered by the file's version so that it is looked into only once."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from connectors.base import Object, SourceError
from connectors.bills.dates import is_written, iso
from connectors.bills.files import JSON_FORMS, BillFile, json_lines, open_bill
from connectors.objects import Store, read_json, write_json

Column = Callable[[BillFile], str | Sequence[str]]
"""The native column with the start of the billing period, or several of which the first with a value counts.

`a.b` is the field b of the nested column a, unless there is a column of that name. Raises SourceError if there
is none.
"""

Parse = Callable[[str | None], date | None]
"""First day of the month that a value of such a column names; None if it names none."""


def parse_month(text: str | None) -> date | None:
    """First day of the UTC month of an ISO 8601 date or time; None if it is none or outside 2000-2099."""
    try:
        moment = datetime.fromisoformat((text or "").strip().removesuffix(" UTC"))
    except ValueError:
        return None
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    return date(moment.year, moment.month, 1) if 2000 <= moment.year < 2100 else None


ORDER_HINT = "; dates such as 4/1/25 prove no order here: set `date_order: mdy` or `dmy` (kind focus)"

Prepare = Callable[[BillFile], BillFile]
"""Adds to a file just opened what its format has to know about it. Raises SourceError if it cannot be known."""


class MonthIndex:
    """Months by file, kept in a JSON file below the cache.

    Args:
        store: Where the files are.
        cache: The JSON file.
        version: Version of the way of looking; an index of another one is not used.
        parse: How the column names a month.
        prepare: Looks further into a file.
    """

    def __init__(
        self,
        store: Store,
        cache: Path,
        version: str,
        parse: Parse = parse_month,
        prepare: Prepare = lambda bill: bill,
    ) -> None:
        self._store = store
        self._cache = cache
        self._version = version
        self._parse = parse
        self._prepare = prepare

    def months(
        self, objects: Sequence[Object], column: Column, *, forget: bool = False
    ) -> dict[str, tuple[date, ...]]:
        """Key -> months, in order; no month for a file without rows.

        Args:
            objects: The files.
            column: Finds the column to look at.
            forget: These are all files there are; what is known of others is dropped.

        Raises:
            SourceError: A file cannot be read, lacks the column, or has rows and not one readable month.
        """
        known = read_json(self._cache)
        entries = {} if forget else dict(known)
        for item in objects:
            name = self._name(item)
            if name in known:
                entries[name] = known[name]
                continue
            path = self._store.fetch([item])[0]
            bill = self._prepare(open_bill(item, self._store.uri(item.key), path))
            entries[name] = [m.isoformat() for m in _scan(bill, column(bill), self._parse)]
        if entries != known:
            write_json(self._cache, entries)
        return {item.key: tuple(map(date.fromisoformat, entries[self._name(item)])) for item in objects}

    def _name(self, item: Object) -> str:
        return f"{self._version}:{item.key}:{item.version}"


def _scan(bill: BillFile, column: str | Sequence[str], parse: Parse) -> list[date]:
    columns = [column] if isinstance(column, str) else list(column)
    try:
        texts = _json_texts(bill, columns) if bill.form in JSON_FORMS else _table_texts(bill, columns)
    except (pl.exceptions.PolarsError, OSError, EOFError, zlib.error, ValueError) as error:
        reason = str(error).strip().split("\n", maxsplit=1)[0]
        msg = f"{bill.uri} is damaged or not a complete CSV, JSON lines or Parquet file ({reason}); have it delivered again"
        raise SourceError(msg) from error
    months = sorted({month for month in (parse(iso(text, bill.dates)) for text in texts) if month})
    if texts and not months:
        msg = (
            f"{bill.uri}: column {' or '.join(map(repr, columns))} holds no date such as 2026-09-01T00:00:00Z "
            f"in any row (found {texts[:3]}); correct the export{ORDER_HINT if any(map(is_written, texts)) else ''}"
        )
        raise SourceError(msg)
    return months


def _table_texts(bill: BillFile, columns: Sequence[str]) -> list[str | None]:
    """Distinct values of the first column that has one."""
    frame = (
        pl.scan_parquet(bill.path, glob=False, hive_partitioning=False)
        if bill.form == "parquet"
        else pl.scan_csv(bill.path, infer_schema=False, glob=False)
    )
    values = []
    for name in columns:
        outer, _, inner = name.partition(".")
        nested = name not in bill.columns
        value = (pl.col(outer).struct.field(inner) if nested else pl.col(name)).cast(pl.String)
        values.append(pl.when(value != "").then(value))
    found = frame.select(pl.coalesce(values).alias("month").unique()).collect(engine="streaming")
    return found["month"].to_list()


def _json_texts(bill: BillFile, columns: Sequence[str]) -> list[str | None]:
    """The same of a JSON file."""
    found: dict[str | None, None] = {}
    for row in json_lines(bill.path, bill.form):
        values = (_field(row, name) for name in columns)
        found[next((str(v) for v in values if v not in (None, "")), None)] = None
    return list(found)


def _field(row: dict[str, Any], name: str) -> Any:
    if name in row:
        return row[name]
    outer, _, inner = name.partition(".")
    nested = row.get(outer)
    return nested.get(inner) if isinstance(nested, dict) else None
