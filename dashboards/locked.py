"""One warehouse file, opened read-only and locked: queries, what they gave, and whether they would give the same again.

Which tables there are and who may see what of them belongs to `store.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl


class LockedWarehouse:
    """A connection that cannot write, reads no file but the warehouse and its facts, and whose settings are locked.

    The warehouse does not change under it, so the result of a query is kept and given again.
    The file is attached to a DuckDB of its own: connections of one process that open a file directly share its
    settings, and the first to lock them would refuse the next.

    Args:
        path: The warehouse file.
        facts: Folder of the Parquet facts that its views read; None where only tables are needed.

    Attributes:
        tables: Names of its tables, views apart: a version before this one published fewer.

    Raises:
        ValueError: There is no warehouse at that path.
    """

    def __init__(self, path: Path, facts: Path | None = None) -> None:
        if not path.is_file():
            msg = f"there is no warehouse at {path}; publish one with `tierwise run`"
            raise ValueError(msg)
        self.has_facts = facts is not None
        self._results: dict[tuple[object, ...], pl.DataFrame] = {}
        self._asked: set[tuple[str, tuple[object, ...]]] = set()
        self._fingerprints: dict[tuple[object, ...], str] = {}
        self._connection = duckdb.connect(":memory:")
        quoted = str(path.resolve()).replace("'", "''")
        self._connection.execute(f"ATTACH '{quoted}' AS warehouse (READ_ONLY)")
        if facts is not None:
            self._connection.execute("SET allowed_directories = [?]", [f"{facts.resolve()}/"])
        for statement in (
            "USE warehouse",
            "SET TimeZone = 'UTC'",
            "SET enable_external_access = false",
            "SET lock_configuration = true",
        ):
            self._connection.execute(statement)
        names = self._connection.sql(
            "SELECT schema_name || '.' || table_name FROM duckdb_tables()"
        ).fetchall()
        self.tables = frozenset(str(name) for (name,) in names)

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def query(self, sql: str, parameters: Sequence[object] = (), *, of_the_run: bool = False) -> pl.DataFrame:
        """The result of a query as a frame.

        Args:
            sql: The query.
            parameters: Its values.
            of_the_run: It asks what a run says of itself (number, time, gates): it is not noted.
        """
        key = (sql, *parameters)
        if not of_the_run:
            self._asked.add((sql, tuple(parameters)))
        if key not in self._results:
            self._results[key] = self._connection.sql(sql, params=[*parameters]).pl()
        return self._results[key]

    @contextmanager
    def noting(self) -> Iterator[set[tuple[str, tuple[object, ...]]]]:
        """Notes the queries (SQL and values) of what is read within the context."""
        self._asked.clear()
        yield self._asked

    def fingerprint(self, queries: Iterable[tuple[str, Sequence[object]]]) -> str:
        """A text that is another one where a query gives other rows, whatever their order."""
        return " ".join(self._fingerprint(sql, values) for sql, values in queries)

    def _fingerprint(self, sql: str, values: Sequence[object]) -> str:
        key = (sql, *values)
        if key not in self._fingerprints:
            counted = f"SELECT count(*), sum(hash(t)) FROM ({sql}) AS t"
            [(rows, hashes)] = self._connection.execute(counted, [*values]).fetchall()
            self._fingerprints[key] = f"{rows}:{hashes}"
        return self._fingerprints[key]
