"""Files of a bill that one scan can read, and their columns as SQL text expressions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from connectors import sql
from connectors.base import Engine
from connectors.bills.files import JSON_FORMS, UNNAMED, BillFile
from connectors.sql import identifier, literal, literals

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
        priced: So are prices, which the files have as text.
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
    priced: bool = False
    dates: str = ""
    decimal: Literal["", ".", ","] = ""

    @property
    def is_header(self) -> str:
        """SQL condition: the row repeats the header, as where CSV files were appended to each other.

        Only rows that have the name of the first column in it are looked at further: to trim every text would cost more
        than all else that is done with a row.
        """
        if not self._named:
            return "FALSE"
        (first, text), *others = self._named
        there = f"[{', '.join(text for _, text in others)}]"
        same = f"list_transform({there}, lambda x: {_bare('x')}) = {literals(name for name, _ in others)}"
        return f"CASE WHEN {_bare(text)} = {literal(first)} THEN {same if others else 'TRUE'} ELSE FALSE END"

    def is_name(self, column: str) -> str:
        """SQL condition: the row has the name of a column in this one, which never holds such a text but in a header.

        Args:
            column: SQL text of the column.
        """
        names = [name for name, _ in self._named if name]
        lines = "\n".join(["", *names, ""])
        return f"contains({literal(lines)}, chr(10) || {_bare(column)} || chr(10))" if names else "FALSE"

    @property
    def _named(self) -> list[tuple[str, str]]:
        """The columns of a CSV that have a name in the header, and their texts."""
        if self.files[0].form in (*JSON_FORMS, "parquet"):
            return []
        return [(c.strip(AROUND), t) for c, t in self.text.items() if not UNNAMED.fullmatch(c)]


def _bare(text: str) -> str:
    """SQL: what stands in a field of a header, without what may be around it."""
    return f"trim(COALESCE({text}, ''), {literal(AROUND)})"


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
        text = {c: f"__text{i}" for i, c in enumerate(first.columns)}
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
    """SQL table expression of files of one shape; CSV columns are named by position, since names may differ by case only.

    Beside the columns of JSON stand their texts, by position too.
    """
    paths = sql.files(f.path for f in files)
    if files[0].form == "parquet":
        return f"read_parquet({paths}, filename='__file', hive_partitioning=false, binary_as_string=true)"
    if files[0].form in JSON_FORMS:
        keys = ", ".join(f"{literal(c)}: 'JSON'" for c in files[0].columns)
        compression = literal("gzip" if files[0].form == "json.gz" else "none")
        texts = ", ".join(
            f"nullif(json_extract_string({identifier(c)}, '$'), '') AS __text{i}"
            for i, c in enumerate(files[0].columns)
        )
        return (
            f"(SELECT *, {texts} FROM read_json({paths}, format='newline_delimited', columns={{{keys}}}, compression={compression}, "
            "filename='__file', hive_partitioning=false))"
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
