"""The files of a bill: CSV (plain or gzip) and Parquet, their columns, and the SQL that reads them as text.

What the columns mean belongs to the formats (`connectors/focus`, `connectors/aws`).
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from connectors.base import Engine, Object, SourceError
from connectors.sql import identifier, literal, literals

SUFFIXES = (".csv", ".csv.gz", ".parquet")
"""Names of files that may be bills; others are left alone."""

NESTED = ("MAP(", "STRUCT(")


def is_bill(key: str) -> bool:
    """The name is that of a bill file."""
    return key.lower().endswith(SUFFIXES)


@dataclass(frozen=True)
class BillFile:
    """One local file of a bill.

    Attributes:
        key: Its name below the location.
        uri: Its name for a person.
        path: Where it can be read.
        form: csv, gzip (a CSV) or parquet, from the content.
        columns: Names of the columns, in order.
        months: Billing months of its rows; rows that name none or another are laid to the first.
    """

    key: str
    uri: str
    path: Path
    form: str
    columns: tuple[str, ...]
    months: tuple[date, ...] = ()


def open_bill(source: Object, uri: str, path: Path, months: tuple[date, ...] = ()) -> BillFile:
    """Looks at a file: its form and columns.

    Raises:
        SourceError: It is empty, damaged, not UTF-8 or has a column twice.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        if not magic:
            msg = f"{uri} is empty (0 bytes); an export has at least a header: have it delivered again"
            raise SourceError(msg)
        form = "parquet" if magic == b"PAR1" else "gzip" if magic[:2] == b"\x1f\x8b" else "csv"
        columns = _parquet_columns(path) if form == "parquet" else _csv_columns(path, form)
    except (OSError, EOFError, zlib.error) as error:
        msg = f"{uri} is damaged or cannot be read ({error}); have it delivered again"
        raise SourceError(msg) from error
    except (UnicodeDecodeError, csv.Error) as error:
        msg = f"{uri}: the header is not CSV in UTF-8 ({error}); export it as CSV in UTF-8, or as Parquet"
        raise SourceError(msg) from error
    twice = sorted({c for c in columns if columns.count(c) > 1})
    if twice:
        msg = f"{uri}: columns {twice} are in the header more than once; which one counts cannot be known"
        raise SourceError(msg)
    return BillFile(source.key, uri, path, form, tuple(columns), months)


def _parquet_columns(path: Path) -> list[str]:
    import polars as pl

    try:
        return list(pl.read_parquet_schema(path))
    except pl.exceptions.PolarsError as error:
        raise OSError(str(error)) from error


def _csv_columns(path: Path, form: str) -> list[str]:
    opener = gzip.open if form == "gzip" else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
        return next(csv.reader(file), [])


def verify(files: Iterable[BillFile]) -> None:
    """Checks length and checksum of every gzip member: DuckDB itself notices a short stream, not a wrong sum.

    Raises:
        SourceError: A file is damaged.
    """
    for bill in files:
        if bill.form != "gzip":
            continue
        try:
            with gzip.open(bill.path) as file:
                while file.read(1 << 20):
                    pass
        except (OSError, EOFError, zlib.error) as error:
            msg = f"{bill.uri} is a damaged gzip ({error}); the delivery is not complete: have it delivered again"
            raise SourceError(msg) from error


@dataclass(frozen=True)
class Shape:
    """Files that one scan can read: the same form and columns.

    Attributes:
        files: The files.
        scan: SQL table expression; beside the native columns it has `__file`, the path.
        text: Native column -> SQL expression of its value as text.
        default_month: Month of rows that name none.
        months: Months that rows of these files may name.
    """

    files: tuple[BillFile, ...]
    scan: str
    text: Mapping[str, str]
    default_month: date
    months: tuple[date, ...]


def shapes(files: Sequence[BillFile], engine: Engine) -> list[Shape]:
    """Groups files so that each group is read by one scan, in order of their first file."""
    groups: dict[tuple[object, ...], list[BillFile]] = {}
    for bill in files:
        single = bill.path if bill.form == "parquet" else None
        groups.setdefault((bill.form, bill.columns, bill.months, single), []).append(bill)
    return [_shape(tuple(group), engine) for group in groups.values()]


def _shape(files: tuple[BillFile, ...], engine: Engine) -> Shape:
    first = files[0]
    if first.form == "parquet":
        types = engine.columns(f"SELECT * FROM {scan(files)}")
        text = {c: _as_text(identifier(c), types[c]) for c in first.columns}
    else:
        text = {column: f"c{i}" for i, column in enumerate(first.columns)}
    return Shape(files, scan(files), text, first.months[0], first.months)


def scan(files: Sequence[BillFile]) -> str:
    """SQL table expression of files of one shape; CSV columns are named by position, since names may differ by case only."""
    paths = literals(f.path for f in files)
    if files[0].form == "parquet":
        return f"read_parquet({paths}, filename='__file', hive_partitioning=false, binary_as_string=true)"
    columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(files[0].columns)))
    compression = literal("gzip" if files[0].form == "gzip" else "none")
    return (
        f"read_csv({paths}, auto_detect=false, header=true, delim=',', quote='\"', escape='\"', nullstr='', "
        f"columns={{{columns}}}, compression={compression}, filename='__file', hive_partitioning=false, strict_mode=true)"
    )


def _as_text(column: str, type_: str) -> str:
    if type_ == "VARCHAR":
        return f"nullif({column}, '')"
    if type_.startswith(NESTED) or type_.endswith("[]"):
        return f"CAST(to_json({column}) AS VARCHAR)"
    return f"CAST({column} AS VARCHAR)"
