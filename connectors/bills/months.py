"""Which billing months a file holds, remembered by the file's version so that it is looked into only once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from connectors.base import Object, SourceError
from connectors.bills.files import BillFile, open_bill
from connectors.objects import Store, read_json, write_json

Column = Callable[[BillFile], str]
"""The native column with the start of the billing period; raises SourceError if there is none."""


def parse_month(text: str | None) -> date | None:
    """First day of the UTC month of an ISO 8601 date or time; None if it is none or outside 2000-2099."""
    try:
        moment = datetime.fromisoformat((text or "").strip().removesuffix(" UTC"))
    except ValueError:
        return None
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    return date(moment.year, moment.month, 1) if 2000 <= moment.year < 2100 else None


class MonthIndex:
    """Months by file, kept in a JSON file below the cache.

    Args:
        store: Where the files are.
        cache: The JSON file.
        version: Version of the way of looking; an index of another one is not used.
    """

    def __init__(self, store: Store, cache: Path, version: str) -> None:
        self._store = store
        self._cache = cache
        self._version = version

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
            bill = open_bill(item, self._store.uri(item.key), path)
            entries[name] = [m.isoformat() for m in _scan(bill, column(bill))]
        if entries != known:
            write_json(self._cache, entries)
        return {item.key: tuple(map(date.fromisoformat, entries[self._name(item)])) for item in objects}

    def _name(self, item: Object) -> str:
        return f"{self._version}:{item.key}:{item.version}"


def _scan(bill: BillFile, column: str) -> list[date]:
    try:
        frame = (
            pl.scan_parquet(bill.path, glob=False, hive_partitioning=False)
            if bill.form == "parquet"
            else pl.scan_csv(bill.path, infer_schema=False, glob=False)
        )
        values = frame.select(pl.col(column).cast(pl.String).unique()).collect(engine="streaming")
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).strip().split("\n", maxsplit=1)[0]
        msg = (
            f"{bill.uri} is damaged or not a complete CSV or Parquet file ({reason}); have it delivered again"
        )
        raise SourceError(msg) from error
    texts = values[column].to_list()
    months = sorted({month for month in map(parse_month, texts) if month})
    if texts and not months:
        msg = (
            f"{bill.uri}: column {column!r} holds no date such as 2026-09-01T00:00:00Z in any row "
            f"(found {texts[:3]}); correct the export"
        )
        raise SourceError(msg)
    return months
