"""Runs the SQL of connectors and reductions in DuckDB, in memory or on a database file, in UTC."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import polars as pl

from connectors.sql import identifier, literal

MEMORY_LIMIT = "1.5GB"
"""Of a session that reads bills: without a bound its peak grew with the rows (docs/performance.md)."""

LONG = 1500
"""Characters of a query that takes longer to plan than a table takes to create."""


class DuckDBEngine:
    """A DuckDB session; a context manager.

    Args:
        database: Database file, created if absent; in memory where None.
        temp: Folder for what does not fit in memory; with it, memory is limited to `MEMORY_LIMIT`.
    """

    def __init__(self, database: Path | None = None, temp: Path | None = None) -> None:
        config: dict[str, str | bool | int | float | list[str]] = {"threads": os.cpu_count() or 1}
        if temp is not None:
            config["temp_directory"] = str(temp)
            config["memory_limit"] = MEMORY_LIMIT
        self.connection = duckdb.connect(str(database) if database else ":memory:", config=config)
        self.prepare()

    def prepare(self) -> None:
        """Sets what every session has."""
        self.connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")

    def __enter__(self) -> DuckDBEngine:
        """The open session."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the session."""
        self.connection.close()

    def query(self, sql: str) -> pl.DataFrame:
        """The result of a query as a frame. DuckDB plans what it is asked for a frame twice: a long query goes through a table."""
        if len(sql) <= LONG:
            frame: pl.DataFrame = self.connection.sql(sql).pl()
            return frame
        self.connection.execute(f"CREATE OR REPLACE TEMP TABLE tierwise_result AS {sql}")
        try:
            return self.query("FROM tierwise_result")
        finally:
            self.connection.execute("DROP TABLE tierwise_result")

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """The few rows of a query, each by column name."""
        result = self.connection.execute(sql)
        names = [column[0] for column in result.description or ()]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def execute(self, sql: str) -> None:
        """Runs a statement for its effect."""
        self.connection.execute(sql)

    def copy(self, sql: str, path: Path, *, ordered: bool = True) -> int:
        """Writes the result of a query as Parquet (zstd) to the path and returns its number of rows.

        Level 1 gives files as small as level 3, for a seventh less CPU in writing.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self.connection.execute(f"SET preserve_insertion_order = {ordered}")
        try:
            row = self.connection.execute(
                f"COPY ({sql}) TO {literal(path)} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
            ).fetchone()
        finally:
            self.connection.execute("RESET preserve_insertion_order")
        return int(row[0]) if row else 0

    def columns(self, sql: str) -> dict[str, str]:
        """Column name -> DuckDB type of a query, without running it."""
        return {str(r[0]): str(r[1]) for r in self.connection.execute(f"DESCRIBE {sql}").fetchall()}

    def insert(self, table: str, frame: pl.DataFrame) -> None:
        """Appends a frame to a table whose columns are the frame's, by name."""
        if frame.is_empty():
            return
        self.connection.register("tierwise_frame", frame)
        names = ", ".join(identifier(c) for c in frame.columns)
        self.connection.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM tierwise_frame")
        self.connection.unregister("tierwise_frame")
