"""What a table is: named and typed columns with units and meaning, a key, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import polars as pl

MONEY = pl.Decimal(38, 12)
"""The type of every amount of money and every quantity of a bill: 26 digits before the point, 12 after."""

TYPES: Mapping[str, tuple[str, pl.DataType]] = {
    "text": ("VARCHAR", pl.String()),
    "json": ("JSON", pl.String()),
    "decimal": ("DECIMAL(38,12)", MONEY),
    "double": ("DOUBLE", pl.Float64()),
    "int": ("BIGINT", pl.Int64()),
    "bool": ("BOOLEAN", pl.Boolean()),
    "date": ("DATE", pl.Date()),
    "timestamp": ("TIMESTAMP", pl.Datetime("us")),
}
"""Our type names -> (DuckDB type, polars type). Timestamps are UTC without a zone."""


@dataclass(frozen=True)
class Column:
    """One column: its name, type name (a key of `TYPES`), meaning, unit, and whether NULL is allowed."""

    name: str
    type: str
    doc: str
    unit: str = ""
    nullable: bool = True


@dataclass(frozen=True)
class Table:
    """One table of the warehouse.

    Attributes:
        name: `layer.noun_grain`.
        doc: What one row is.
        key: The columns that together are unique; empty where rows may repeat.
        columns: In the order in which they are published.
    """

    name: str
    doc: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @cached_property
    def schema(self) -> pl.Schema:
        """The polars schema of a frame of this table."""
        return pl.Schema({c.name: TYPES[c.type][1] for c in self.columns})

    @cached_property
    def _nulls(self) -> dict[str, pl.Expr]:
        return {name: pl.lit(None, dtype=type_).alias(name) for name, type_ in self.schema.items()}

    def empty(self) -> pl.DataFrame:
        """A frame of this table without rows."""
        return pl.DataFrame(schema=self.schema)

    def conform(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with exactly this table's columns, order and types; absent nullable columns become NULL.

        Args:
            frame: Any frame that has at least the columns that may not be NULL.

        Returns:
            The frame, cast strictly: a value that does not fit raises `polars.exceptions.InvalidOperationError`.

        Raises:
            ValueError: A column that may not be NULL is missing.
        """
        there = frame.schema
        missing = [c.name for c in self.columns if not c.nullable and c.name not in there]
        if missing:
            msg = f"{self.name}: columns {missing} are missing; there are {frame.columns}"
            raise ValueError(msg)
        return frame.select(
            self._nulls[name]
            if name not in there
            else name
            if there[name] == type_
            else pl.col(name).cast(type_)
            for name, type_ in self.schema.items()
        )

    def ddl(self) -> str:
        """The DuckDB `CREATE TABLE` statement, without constraints."""
        columns = ", ".join(f'"{c.name}" {TYPES[c.type][0]}' for c in self.columns)
        return f"CREATE TABLE {self.name} ({columns})"


def c(name: str, type_: str, doc: str, unit: str = "") -> Column:
    """A column that may be NULL."""
    return Column(name, type_, doc, unit, nullable=True)


def n(name: str, type_: str, doc: str, unit: str = "") -> Column:
    """A column that may not be NULL."""
    return Column(name, type_, doc, unit, nullable=False)
