"""The only writer of what people read: builds a warehouse beside the published one, then replaces it in one step.

Layout of the data folder:

    warehouse.duckdb -> current/warehouse.duckdb      stable names for readers (symbolic links)
    statements       -> current/statements
    current          -> publications/<run id>         replaced atomically: this is the moment of publication
    publications/<run id>/                            warehouse.duckdb, statements/, slices.json, publication.json
    facts/                                            immutable Parquet, see facts.py
    runs/<run id>/                                    what a run builds; nothing there is published
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from connectors.parts import current_rows
from connectors.sql import identifier, literal, literals
from models import tables
from pipelines.engines.duckdb import DuckDBEngine
from pipelines.facts import SliceFacts

STATEMENTS = "statements"
WAREHOUSE = "warehouse.duckdb"


class Warehouse:
    """The published warehouse below a data folder."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.current = data_dir / "current"
        self.path = data_dir / WAREHOUSE
        self.statements = data_dir / STATEMENTS

    @property
    def publication(self) -> Mapping[str, Any] | None:
        """What is published (run_id, as_of, input_hash, ...), None before the first publication."""
        file = self.current / "publication.json"
        found: Mapping[str, Any] | None = json.loads(file.read_text()) if file.is_file() else None
        return found

    def current_slices(self, source: str | None = None) -> list[SliceFacts]:
        """The slices that the published tables hold, of one source or of all."""
        file = self.current / "slices.json"
        if not file.is_file():
            return []
        return [s for s in self._slices(file) if source is None or s.source == source]

    def _slices(self, file: Path) -> list[SliceFacts]:
        return [SliceFacts.from_json(d, self.data_dir / "facts") for d in json.loads(file.read_text())]

    def read(self, sql: str) -> pl.DataFrame | None:
        """The result of a query on the published warehouse, None before the first publication."""
        if not self.path.is_file():
            return None
        connection = read_only(self.path, self.data_dir)
        try:
            frame: pl.DataFrame = connection.sql(sql).pl()
        finally:
            connection.close()
        return frame

    def carried(self, table: tables.Table) -> pl.DataFrame:
        """The published rows of a table; none where nothing is published, or by a version that did not know the table."""
        known = self.read("SELECT schema_name || '.' || table_name AS name FROM duckdb_tables()")
        if known is None or table.name not in known["name"].to_list():
            return table.empty()
        found = self.read(f"SELECT * FROM {table.name}")
        return table.empty() if found is None else table.conform(found)

    def publish(self, run_id: str, built: Path, keep: int) -> Path:
        """Makes what a run built the published state, in one atomic step.

        Args:
            run_id: The run.
            built: Folder with warehouse.duckdb, statements/, slices.json and publication.json; it is moved.
            keep: Publications to keep, this one included.

        Returns:
            The folder of the publication.
        """
        final = self.data_dir / "publications" / run_id
        final.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(final, ignore_errors=True)
        built.rename(final)
        for name in (WAREHOUSE, STATEMENTS):
            link = self.data_dir / name
            if not link.is_symlink():
                link.symlink_to(Path("current") / name)
        swap(self.current, Path("publications") / run_id)
        self._prune(keep)
        return final

    def _prune(self, keep: int) -> None:
        """Removes publications beyond the last `keep`; the current one always stays."""
        live = self.current.resolve()
        folders = sorted(
            (f for f in (self.data_dir / "publications").iterdir() if f.is_dir()),
            key=lambda f: f.stat().st_mtime,
        )
        for folder in folders[:-keep]:
            if folder.resolve() != live:
                shutil.rmtree(folder, ignore_errors=True)

    def kept(self) -> dict[str, Path]:
        """Run id -> warehouse file of the publications that are kept, oldest first."""
        files = (self.data_dir / "publications").glob(f"*/{WAREHOUSE}")
        return {f.parent.name: f for f in sorted(files, key=lambda f: f.parent.stat().st_mtime)}

    def referenced(self) -> set[Path]:
        """Fact folders that a kept publication refers to."""
        found: set[Path] = set()
        for file in (self.data_dir / "publications").glob("*/slices.json"):
            found |= {s.folder for s in self._slices(file)}
        return found


def swap(link: Path, target: Path) -> None:
    """Points a symbolic link at another target in one atomic step."""
    building = link.with_name(f".{link.name}-{target.name}")
    building.unlink(missing_ok=True)
    building.symlink_to(target)
    building.replace(link)


def build(file: Path, frames: Mapping[str, pl.DataFrame], slices: Sequence[SliceFacts]) -> None:
    """Writes a warehouse file: marts and ops as tables, facts as views over their Parquet files.

    Args:
        file: Where; replaced if it exists.
        frames: Table name -> its rows; tables of `models.tables` that are absent are made empty.
        slices: The facts behind the views.
    """
    file.unlink(missing_ok=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    with DuckDBEngine(file) as engine:
        engine.execute("BEGIN")  # one transaction: each of the 600 statements alone would wait for the disk
        for schema in sorted({name.split(".")[0] for name in tables.TABLES}):
            engine.execute(f"CREATE SCHEMA {schema}")
        for name, table in tables.TABLES.items():
            if table in tables.FACTS:
                engine.execute(f"CREATE VIEW {name} AS {facts_query(table, slices)}")
            else:
                engine.execute(table.ddl())
                if name in frames:
                    engine.insert(name, table.conform(frames[name]))
            _comment(engine, table)
        engine.execute("COMMIT")
        engine.execute("CHECKPOINT")


def facts_query(table: tables.Table, slices: Iterable[SliceFacts]) -> str:
    """The SELECT over the current rows of a fact table, by absolute path; no rows where there is no file."""
    parts = [part for s in slices for part in s.parts(table.name)]
    columns = ", ".join(
        f"CAST({identifier(c.name)} AS {tables.TYPES[c.type][0]}) AS {identifier(c.name)}"
        for c in table.columns
    )
    return f"SELECT {columns} FROM {current_rows(table, parts)}"


def _comment(engine: DuckDBEngine, table: tables.Table) -> None:
    kind = "VIEW" if table in tables.FACTS else "TABLE"
    engine.execute(f"COMMENT ON {kind} {table.name} IS {literal(table.doc)}")
    for column in table.columns:
        unit = f" [{column.unit}]" if column.unit else ""
        engine.execute(
            f"COMMENT ON COLUMN {table.name}.{identifier(column.name)} IS {literal(column.doc + unit)}"
        )


def read_only(file: Path, data_dir: Path) -> Any:
    """A DuckDB connection that reads a warehouse and its facts, and can reach and change nothing else.

    The file is attached to a database in memory, because connections to one file in one process share settings.

    Args:
        file: The warehouse file.
        data_dir: The data folder.

    Returns:
        The connection; whoever opens it closes it.
    """
    import duckdb

    connection = duckdb.connect(":memory:")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"ATTACH {literal(file.resolve())} AS warehouse (READ_ONLY)")
    connection.execute("USE warehouse")
    connection.execute(f"SET allowed_directories = {literals([data_dir / 'facts'])}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection
