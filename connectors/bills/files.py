"""The files of a bill: CSV, JSON lines (plain or gzip) and Parquet, their form and their columns.

What reads several of them as text is in `shapes.py`; what the columns mean belongs to the formats (`connectors/focus`,
`connectors/aws`).
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from connectors.base import Object, SourceError
from connectors.bills.header import LONGEST_LINE, SAYS_SEPARATOR, SEPARATORS
from connectors.bills.texts import in_utf_8

if TYPE_CHECKING:
    import polars as pl

SUFFIXES = (".csv", ".csv.gz", ".parquet", ".zip")
"""Names of files that may be bills; others are left alone."""


GZIPPED = ("gzip", "json.gz")
JSON_FORMS = ("json", "json.gz")
PACKED_JSON = (".json.gz", ".jsonl.gz", ".ndjson.gz")
NAMED_JSON = (".json", ".jsonl", ".ndjson", *PACKED_JSON)
SMALL = 1 << 20
"""Bytes of a CSV up to which all of it is read at once."""

JSON_SAMPLE = 1000
"""Lines of a JSON file from which its columns are known where a format says which others there may be.

BigQuery leaves out a key whose value is null. Other formats look at every line.
"""

AFTER = ".after"
"""Ending of the JSON file beside a copy with the lines that stood after the rows."""

ZIP = b"PK\x03\x04"
"""How archives start, and workbooks of spreadsheets."""


OTHERS = {
    ZIP: "a ZIP archive", b"ORC": "an ORC file", b"Obj\x01": "an Avro file", b"\xd0\xcf\x11\xe0": "an old workbook of Excel",
    b"%PDF": "a PDF document", b"BZh": "a bzip2 archive", b"\x28\xb5\x2f\xfd": "packed with zstd", b"7z\xbc\xaf": "a 7z archive",
}  # fmt: skip
"""How files start that are no bill as they are."""


LONGEST_ROW = 16_000_000
"""Bytes of the last row of a CSV: a part of the 32 MB that DuckDB holds of one, and more than it lets any other row have."""

NAMELESS, UNNAMED = "(column {})", re.compile(r"\(column \d+\)")
"""Name of a column of a CSV without one."""


def is_bill(key: str, suffixes: tuple[str, ...] = SUFFIXES) -> bool:
    """The name is that of a bill file."""
    return key.lower().endswith(suffixes)


@dataclass(frozen=True)
class BillFile:
    """One local file of a bill.

    Attributes:
        key: Its name below the location.
        uri: Its name for a person.
        path: Where it can be read.
        form: csv, gzip (a CSV), json (one object a line), json.gz or parquet, from the content.
        columns: Names of the columns, in order; none where the file says that there are no records.
        months: Billing months of its rows; rows that name none or another are laid to the first.
        strict: A CSV whose lines all end alike; DuckDB reads others only when told not to be strict.
        separator: What stands between the columns of a CSV.
        dates: Order of its dates (mdy, dmy, epoch) where they are not ISO 8601 (`connectors/bills/dates.py`).
        decimal: The decimal sign of numbers that are not plain, as all of them prove it (`connectors/bills/numbers.py`).
        after: Lines that stood after its rows, and that `path` lacks (`connectors/bills/footer.py`).
    """

    key: str
    uri: str
    path: Path
    form: str
    columns: tuple[str, ...]
    months: tuple[date, ...] = ()
    strict: bool = True
    separator: str = ","
    dates: str = ""
    decimal: Literal["", ".", ","] = ""
    after: tuple[str, ...] = ()


def open_bill(
    source: Object,
    uri: str,
    path: Path,
    months: tuple[date, ...] = (),
    optional: Sequence[str] = (),
    *,
    private: bool = False,
) -> BillFile:
    """Looks at a file: its form and columns.

    Args:
        source: The file at its location.
        uri: Its name for a person.
        path: Where it can be read.
        months: Billing months of its rows.
        optional: Columns that a JSON file may have even if none of its first lines names them; none: all lines are looked at.
        private: No error quotes the first line, which may be no header but content that nobody should see.

    Raises:
        SourceError: It is empty, damaged, not UTF-8, has a column twice, or what separates its columns cannot be told.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        if not magic and source.size and is_bill(source.key, NAMED_JSON):
            return BillFile(source.key, uri, path, "json", (), months)  # an empty list: no records
        if not magic:
            msg = f"{uri} is empty (0 bytes); an export has at least a header: have it delivered again"
            raise SourceError(msg)
        other = next((words for start, words in OTHERS.items() if magic.startswith(start)), "")
        if other:
            msg = f"{uri} is {other}; deliver it as Parquet, or as CSV in UTF-8, plain or as gzip"
            raise SourceError(msg)
        form, separator = _form(path, magic), ","
        if form == "parquet":
            columns = _parquet_columns(path)
        elif form in JSON_FORMS:
            columns = _json_columns(path, form, optional)
        else:
            columns, separator = _csv_columns(path, private=private)
        if not any(columns) and is_bill(source.key, PACKED_JSON):
            return BillFile(source.key, uri, path, "json.gz", (), months)  # complete, and no record in it
        if not any(columns):
            msg = f"{uri} holds nothing once it is unpacked; an export has at least a header: have it delivered again"
            raise SourceError(msg)
        strict = form not in ("csv", "gzip") or _ends_alike(path, form)
    except (OSError, EOFError, zlib.error) as error:
        msg = f"{uri} is damaged or cannot be read ({error}); have it delivered again"
        raise SourceError(msg) from error
    except json.JSONDecodeError as error:
        msg = f"{uri} is not JSON lines, one object a line ({error}); export it as newline-delimited JSON"
        raise SourceError(msg) from error
    except (UnicodeError, csv.Error) as error:
        msg = f"{uri}: the header is not CSV in UTF-8 ({error}); export it as CSV in UTF-8, or as Parquet"
        raise SourceError(msg) from error
    twice = sorted({c for c in columns if columns.count(c) > 1})
    if twice:
        named = f"{len(twice)} names" if private else f"columns {twice}"
        msg = f"{uri}: {named} are in the header more than once; which one counts cannot be known"
        raise SourceError(msg)
    beside = path.with_suffix(AFTER)
    after = tuple(json.loads(beside.read_text())) if path.suffix == "" and beside.exists() else ()
    return BillFile(source.key, uri, path, form, tuple(columns), months, strict, separator, after=after)


def _form(path: Path, magic: bytes) -> str:
    if magic == b"PAR1":
        return "parquet"
    packed = magic[:2] == b"\x1f\x8b"
    with gzip.open(path) if packed else path.open("rb") as file:
        start = file.read(64).lstrip()[:1]
    if start in (b"{", b"["):
        return "json.gz" if packed else "json"
    return "gzip" if packed else "csv"


def json_lines(path: Path, form: str) -> Iterator[dict[str, Any]]:
    """The objects of a JSON lines file.

    Raises:
        json.JSONDecodeError: A line is not a JSON object.
    """
    with (
        gzip.open(path, "rt", encoding="utf-8") if form == "json.gz" else path.open(encoding="utf-8") as file
    ):
        for line in file:
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except RecursionError as error:
                msg = "a line is nested too deeply"
                raise json.JSONDecodeError(msg, line[:100], 0) from error
            if not isinstance(row, dict):
                msg = "a line is not an object"
                raise json.JSONDecodeError(msg, line[:100], 0)
            yield row


def _json_columns(path: Path, form: str, optional: Sequence[str]) -> list[str]:
    rows = islice(json_lines(path, form), JSON_SAMPLE if optional else None)
    return list(dict.fromkeys([*(key for row in rows for key in row), *optional]))


def _parquet_columns(path: Path) -> list[str]:
    import polars as pl

    try:
        return list(pl.read_parquet_schema(path))
    except pl.exceptions.PolarsError as error:
        raise OSError(str(error)) from error


def _csv_columns(path: Path, *, private: bool) -> tuple[list[str], str]:
    """Names of the columns without blanks around them, and what separates them: the sign that makes most columns."""
    errors = "surrogateescape" if private else "strict"
    with io.TextIOWrapper(in_utf_8(path), "utf-8-sig", errors, newline="") as file:
        first = file.readline(LONGEST_LINE).lstrip("\ufeff")  # some tools put a second mark before the first
        if SAYS_SEPARATOR.fullmatch(first):
            first = file.readline(LONGEST_LINE)
        if len(first) == LONGEST_LINE:
            msg = f"its first line is longer than {LONGEST_LINE} characters"
            raise csv.Error(msg)
        if first.endswith("\r"):
            msg = "its lines end with CR alone; LF or CR LF is needed"
            raise csv.Error(msg)
        if "\0" in first:
            msg = "it has NUL characters, as UTF-16 without a byte order mark has"
            raise csv.Error(msg)
        counts = {s: len(next(csv.reader([first], delimiter=s), [])) for s in SEPARATORS}
        most = max(counts.values())
        found = [s for s, n in counts.items() if n == most]
        if most > 1 and len(found) > 1:
            msg = f"its columns may be separated by {' or '.join(map(repr, found))}"
            raise csv.Error(msg)
        columns = next(csv.reader(chain([first], file), delimiter=found[0]), [])
        "".join(columns).encode()  # not those of a file in another encoding
        names = [c.strip() or NAMELESS.format(n) for n, c in enumerate(columns, 1)]
        return names, found[0]


def _ends_alike(path: Path, form: str) -> bool:
    """The header ends like the line after it and, unless packed, the last one: some exports mix CR LF and LF."""
    with gzip.open(path) if form == "gzip" else path.open("rb") as file:
        ends = [file.readline(LONGEST_LINE)[-2:], file.readline(LONGEST_LINE)[-2:]]
        if form == "csv":
            file.seek(-2, os.SEEK_END)
            ends.append(file.read())
    return len({end == b"\r\n" for end in ends if end.endswith(b"\n")}) < 2


def lazy(bill: BillFile) -> pl.LazyFrame:
    """The rows of a CSV or Parquet file; of CSV, all is text."""
    import polars as pl

    if bill.form == "parquet":
        return pl.scan_parquet(bill.path, glob=False, hive_partitioning=False)
    if bill.form == "csv" and (size := bill.path.stat().st_size) <= SMALL:
        return _small(bill.path, (size, bill.path.stat().st_mtime_ns), bill.separator, bill.columns).lazy()
    return _scan_csv(bill.path, bill.separator, bill.columns)


def _scan_csv(path: Path, separator: str, columns: Sequence[str]) -> pl.LazyFrame:
    import polars as pl

    return pl.scan_csv(
        path,
        separator=separator,
        infer_schema=False,
        glob=False,
        with_column_names=lambda _: list(columns),
    )


@lru_cache(maxsize=1)
def _small(path: Path, _written: tuple[int, int], separator: str, columns: Sequence[str]) -> pl.DataFrame:
    """The rows of a file that is asked several questions one after the other, each of which costs more than its rows."""
    return _scan_csv(path, separator, columns).collect()


def verify(files: Iterable[BillFile], longest: int = LONGEST_ROW) -> None:
    """Checks length and checksum of every gzip member: DuckDB itself notices a short stream, not a wrong sum.

    Nor does it notice the last row of a CSV if it is longer than its buffer, which it leaves out without a word.

    Args:
        files: The files.
        longest: Bytes that the last row may have.

    Raises:
        SourceError: A file is damaged, or its last row too long.
    """
    for bill in files:
        if bill.form not in ("csv", *GZIPPED):
            continue
        try:
            with gzip.open(bill.path) if bill.form in GZIPPED else bill.path.open("rb") as file:
                if bill.form == "csv":
                    file.seek(-min(bill.path.stat().st_size, longest + 2), os.SEEK_END)
                row = 0
                while part := file.read(1 << 20):
                    end = part.rstrip(b"\r\n").rfind(b"\n") + 1
                    row = len(part) - end if end else row + len(part)
                if bill.form != "json.gz" and row > longest:
                    msg = f"{bill.uri}: its last row is longer than {longest} bytes, which none is: have it delivered again"
                    raise SourceError(msg)
        except (OSError, EOFError, zlib.error) as error:
            msg = f"{bill.uri} is a damaged gzip ({error}); the delivery is not complete: have it delivered again"
            raise SourceError(msg) from error
