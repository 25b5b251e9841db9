"""A self-contained copy of the published warehouse, to carry away: its views become tables.

The published warehouse itself belongs to `warehouse.py`.
"""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from connectors.sql import identifier, literal
from pipelines.engines.duckdb import DuckDBEngine
from pipelines.focus_export import ExportError
from pipelines.settings import Config
from pipelines.warehouse import Warehouse


def export_warehouse(config: Config, to: Path) -> Path:
    """Writes every table and view of the published warehouse, with its comments, into one DuckDB file.

    Args:
        config: The configuration.
        to: The file; replaced in one step if it exists.

    Returns:
        The file.

    Raises:
        ExportError: Nothing is published, or the file would lie in the data folder or is a folder.
    """
    published = Warehouse(config.data_dir).path
    if not published.is_file():
        msg = f"{published}: nothing is published yet; run `tierwise run` first"
        raise ExportError(msg)
    if to.is_dir() or to.absolute().parent.resolve().is_relative_to(config.data_dir.resolve()):
        msg = f"{to}: this is a folder or in the data folder {config.data_dir}; give a file elsewhere"
        raise ExportError(msg)
    to.parent.mkdir(parents=True, exist_ok=True)
    building = to.with_name(f".{to.name}-{uuid4().hex}")
    try:
        with DuckDBEngine(building) as engine:
            engine.execute(f"ATTACH {literal(published.resolve())} AS published (READ_ONLY)")
            for schema, name, comment in _relations(engine):
                _copy(engine, schema, name, comment)
            engine.execute("DETACH published")
            engine.execute("CHECKPOINT")
        building.replace(to)
    finally:
        building.unlink(missing_ok=True)
        building.with_name(f"{building.name}.wal").unlink(missing_ok=True)
    return to


def _relations(engine: DuckDBEngine) -> list[tuple[str, str, str | None]]:
    """Schema, name and comment of every table and view of the published warehouse."""
    parts = [
        f"SELECT schema_name, {kind}_name AS name, comment FROM duckdb_{kind}s() "
        "WHERE database_name = 'published' AND NOT internal"
        for kind in ("table", "view")
    ]
    return engine.query(f"{' UNION ALL '.join(parts)} ORDER BY schema_name, name").rows()


def _copy(engine: DuckDBEngine, schema: str, name: str, comment: str | None) -> None:
    relation = f"{identifier(schema)}.{identifier(name)}"
    engine.execute(f"CREATE SCHEMA IF NOT EXISTS {identifier(schema)}")
    engine.execute(f"CREATE TABLE {relation} AS SELECT * FROM published.{relation}")
    if comment is not None:
        engine.execute(f"COMMENT ON TABLE {relation} IS {literal(comment)}")
    columns = engine.query(
        "SELECT column_name, comment FROM duckdb_columns() WHERE database_name = 'published' AND comment IS NOT NULL "
        f"AND schema_name = {literal(schema)} AND table_name = {literal(name)}"
    )
    for column, text in columns.iter_rows():
        engine.execute(f"COMMENT ON COLUMN {relation}.{identifier(column)} IS {literal(text)}")
