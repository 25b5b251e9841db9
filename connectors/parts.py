"""Rows of a fact table that lie in several Parquet files, some of which hold days that were delivered again since.

This is the one place that says which rows count; whoever reads facts asks `current_rows`. A file has the columns that
have a value in it: what none of a bill's files fills is not written.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from connectors.sql import files, identifier
from models import tables

DAY = 'CAST("ChargePeriodStart" AS DATE)'
"""SQL: the day (UTC) that decides whether a row of a part still counts."""


_OWN = "COLUMNS(lambda name: NOT starts_with(name, '__'))"
"""SQL: the columns of the table; beside them a file may hold what its reader found about the rows."""


@dataclass(frozen=True)
class Part:
    """A Parquet file with rows of a table.

    Attributes:
        file: The file.
        without: Days (UTC) whose rows in this file no longer count: they are in a later part, or gone.
    """

    file: Path
    without: tuple[date, ...] = ()


@dataclass(frozen=True)
class Earlier:
    """What the version of a month that was read last left, for a reader to build on.

    Attributes:
        parts: Its files of FOCUS rows.
        memory: What the reader wanted to know again.
    """

    parts: tuple[Part, ...] = ()
    memory: Mapping[str, Any] = field(default_factory=dict)


def current_rows(table: tables.Table, parts: Sequence[Part], only: Collection[str] = ()) -> str:
    """SQL table expression of the rows of all parts that count, with every column of the table.

    Args:
        table: What they are rows of.
        parts: Its files; there may be none.
        only: Columns that are asked of, empty for all: others are there only if the files have them.
    """
    wanted = [c for c in table.columns if not only or c.name in only]
    columns = ", ".join(f"CAST(NULL AS {in_parquet(c)}) AS {identifier(c.name)}" for c in wanted)
    selects = [f"SELECT {columns} WHERE FALSE"]
    whole = [p.file for p in parts if not p.without]
    if whole:
        selects.append(f"SELECT {_OWN} FROM {_scan(whole)}")
    for part in parts:
        if part.without:
            days = ", ".join(f"DATE '{day}'" for day in part.without)
            selects.append(f"SELECT {_OWN} FROM {_scan([part.file])} WHERE {DAY} NOT IN ({days})")
    return f"({' UNION ALL BY NAME '.join(selects)})"


def in_parquet(column: tables.Column) -> str:
    """DuckDB type of a column in Parquet: JSON stays text, which every reader understands."""
    return "VARCHAR" if column.type == "json" else tables.TYPES[column.type][0]


def _scan(paths: Sequence[Path]) -> str:
    return f"read_parquet({files(paths)}, union_by_name=true, hive_partitioning=false)"
