"""Files of a bill that one scan can read, and their columns as SQL text expressions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from connectors import sql
from connectors.base import Engine
from connectors.bills.files import JSON_FORMS, UNNAMED, BillFile
from connectors.sql import identifier, literal

NESTED = ("MAP(", "STRUCT(")
NUMERIC = ("DOUBLE", "DECIMAL", "BIGINT", "INTEGER", "SMALLINT", "TINYINT")
"""How DuckDB's types of nested columns and of numbers start."""

AROUND = '\ufeff \t"'
"""What may stand around a name in a header that is not the first line: a byte order mark, blanks, and quotes after it."""


@dataclass(frozen=True)
class Shape:
    """Files that one scan can read: the same form and columns.

    Attributes:
        files: The files.
        scan: SQL table expression; beside the native columns it has `__file`, the path.
        text: Native column -> SQL expression of its value as text.
        default_month: Month of rows that name none.
        months: Months that rows of these files may name.
        types: Native column of Parquet -> its DuckDB type; empty for CSV, where all is text.
        own: Numbers in `text` are of type DECIMAL, not text.
        dates: Order of their dates, as in `BillFile`.
        decimal: Likewise.
    """

    files: tuple[BillFile, ...]
    scan: str
    text: Mapping[str, str]
    default_month: date
    months: tuple[date, ...]
    types: Mapping[str, str] = field(default_factory=dict)
    own: bool = False
    dates: str = ""
    decimal: Literal["", ".", ","] = ""

    @property
    def is_header(self) -> str:
        """SQL condition: the row repeats the header, as where CSV files were appended to each other."""
        if self.files[0].form in (*JSON_FORMS, "parquet"):
            return "FALSE"
        return " AND ".join(f"{_bare(text)} = {literal(name)}" for name, text in self._named())

    def is_other_header(self, column: str) -> str:
        """SQL condition: the row is a header, of other columns than those of the file.

        Args:
            column: SQL text of a column that never holds the name of one.
        """
        if self.is_header == "FALSE":
            return "FALSE"
        names = ", ".join(literal(name) for name, _ in self._named())
        return f"{_bare(column)} IN ({names}) AND NOT ({self.is_header})"

    def _named(self) -> list[tuple[str, str]]:
        """The columns that have a name in the header, and their texts."""
        return [(c.strip(AROUND), t) for c, t in self.text.items() if not UNNAMED.fullmatch(c)]


def _bare(text: str) -> str:
    """SQL: what stands in a field of a header, without what may be around it."""
    around = " || ".join(f"chr({ord(sign)})" for sign in AROUND)
    return f"trim(COALESCE({text}, ''), {around})"


def shapes(files: Sequence[BillFile], engine: Engine) -> list[Shape]:
    """Groups files so that each group is read by one scan, in order of their first file."""
    groups: dict[tuple[object, ...], tuple[list[BillFile], dict[str, str]]] = {}
    for bill in files:
        types = engine.columns(f"SELECT * FROM {scan([bill])}") if bill.form == "parquet" else {}
        types.pop("__file", None)
        key = (
            bill.form,
            bill.strict,
            bill.separator,
            bill.dates,
            bill.decimal,
            bill.columns,
            bill.months,
            tuple(types.items()),
        )
        groups.setdefault(key, ([], types))[0].append(bill)
    return [_shape(tuple(group), types) for group, types in groups.values()]


def _shape(files: tuple[BillFile, ...], types: dict[str, str]) -> Shape:
    first = files[0]
    if types:
        text = {c: _as_text(identifier(c), types[c]) for c in first.columns}
    elif first.form in JSON_FORMS:
        text = {c: f"nullif(json_extract_string({identifier(c)}, '$'), '')" for c in first.columns}
    else:
        text = {column: f"c{i}" for i, column in enumerate(first.columns)}
    return Shape(
        files,
        scan(files),
        text,
        first.months[0],
        first.months,
        types,
        dates=first.dates,
        decimal=first.decimal,
    )


def scan(files: Sequence[BillFile]) -> str:
    """SQL table expression of files of one shape; CSV columns are named by position, since names may differ by case only."""
    paths = sql.files(f.path for f in files)
    if files[0].form == "parquet":
        return f"read_parquet({paths}, filename='__file', hive_partitioning=false, binary_as_string=true)"
    if files[0].form in JSON_FORMS:
        keys = ", ".join(f"{literal(c)}: 'JSON'" for c in files[0].columns)
        compression = literal("gzip" if files[0].form == "json.gz" else "none")
        return (
            f"read_json({paths}, format='newline_delimited', columns={{{keys}}}, compression={compression}, "
            "filename='__file', hive_partitioning=false)"
        )
    columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(files[0].columns)))
    compression = literal("gzip" if files[0].form == "gzip" else "none")
    return (
        f"read_csv({paths}, auto_detect=false, header=true, delim={literal(files[0].separator)}, quote='\"', escape='\"', nullstr='', "
        f"columns={{{columns}}}, compression={compression}, filename='__file', hive_partitioning=false, "
        f"strict_mode={str(files[0].strict).lower()})"
    )


def _as_text(column: str, type_: str) -> str:
    if type_ == "VARCHAR":
        return f"nullif({column}, '')"
    if type_.startswith(NESTED) or type_.endswith("[]"):
        return f"CAST(to_json({column}) AS VARCHAR)"
    return f"CAST({column} AS VARCHAR)"
