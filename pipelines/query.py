"""Reading what is published, for the commands `sql` and `report`."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Literal

import duckdb
import polars as pl
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.settings import Config
from pipelines.terminal import visible
from pipelines.warehouse import Warehouse, read_only

Format = Literal["csv", "xlsx", "html", "pdf"]


class QueryError(Exception):
    """A query or a report cannot be answered; the message says why and what to do."""


def _published(config: Config, run_id: str | None = None) -> Path:
    warehouse = Warehouse(config.data_dir)
    if not warehouse.path.is_file():
        msg = f"{warehouse.path}: nothing is published yet; run `tierwise run` first"
        raise QueryError(msg)
    kept = warehouse.kept()
    if run_id is not None and run_id not in kept:
        msg = f"publication {run_id!r} is not kept; there are {', '.join(kept)} (publish.keep says how many stay)"
        raise QueryError(msg)
    return warehouse.path if run_id is None else kept[run_id]


def _outside(config: Config, error: duckdb.PermissionException) -> QueryError:
    """A file elsewhere was to be read."""
    return QueryError(
        f"{error}. Only what is published below {config.data_dir} is read; if that folder has been moved, `tierwise run` "
        "publishes it anew from where it is now"
    )


def run_query(config: Config, query: str, run_id: str | None = None) -> pl.DataFrame:
    """The result of a query on the published warehouse, or on an earlier publication that is kept.

    Raises:
        QueryError: Nothing is published, that publication is not kept, or the query is wrong or not one SELECT: the facts' folder can be
            read, so a COPY could write to it.
    """
    connection = read_only(_published(config, run_id), config.data_dir)
    try:
        statements = connection.extract_statements(query)
        if [s.type for s in statements] != [duckdb.StatementType.SELECT]:
            msg = "only one query that reads is allowed: write one SELECT, without COPY, CREATE, SET and the like"
            raise QueryError(msg)
        frame: pl.DataFrame = connection.sql(query).pl()
        return frame
    except duckdb.PermissionException as error:
        raise _outside(config, error) from error
    except duckdb.Error as error:
        raise QueryError(str(error)) from error
    except pl.exceptions.PolarsError as error:
        msg = f"the result has a type that cannot be shown ({error}); cast the column to VARCHAR"
        raise QueryError(msg) from error
    finally:
        connection.close()


def write_result(frame: pl.DataFrame, format_: str, output: Path | None, console: Console) -> None:
    """Prints or writes a result as table, csv, json or parquet.

    Raises:
        QueryError: The file cannot be written, or the format cannot hold the result.
    """
    try:
        _write(frame, format_, output, console)
    except (OSError, pl.exceptions.PolarsError) as error:
        msg = f"the result cannot be written as {format_}: {error}"
        raise QueryError(msg) from error


def _write(frame: pl.DataFrame, format_: str, output: Path | None, console: Console) -> None:
    if format_ == "parquet" and output is not None:
        frame.write_parquet(output)
        return
    if format_ == "table":
        text = _table(frame)
        if output is None:
            wide = console if console.is_terminal else Console(file=console.file, width=500)
            wide.print(text)
        else:
            with output.open("w", encoding="utf-8") as file:
                Console(file=file, width=200).print(text)
        return
    rendered = frame.write_csv() if format_ == "csv" else frame.write_json() + "\n"
    if output is None:
        console.file.write(rendered)
    else:
        output.write_text(rendered, encoding="utf-8")


def _table(frame: pl.DataFrame) -> Table:
    table = Table(show_edge=False, header_style="bold")
    for name, dtype in frame.schema.items():
        table.add_column(Text(visible(name)), justify="right" if dtype.is_numeric() else "left")
    for row in frame.head(1000).iter_rows():
        table.add_row(*(Text(visible(_cell(v))) for v in row))
    if frame.height > 1000:
        table.caption = f"first 1,000 of {frame.height:,} rows; --format csv gives all"
    return table


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def write_report(
    config: Config, team: str | None, month: str | None, format_: Format, to: Path
) -> list[Path]:
    """Writes statements of the published warehouse into a folder.

    Raises:
        QueryError: Nothing is published, the team or month is not in it, or a program that is needed is missing.
    """
    from dashboards.export import export
    from dashboards.store import Store

    with Store(_published(config), facts=config.data_dir / "facts") as store:
        try:
            first = date.fromisoformat(f"{month}-01") if month else None
            return export(store, team, first, format_, to)
        except duckdb.PermissionException as error:
            raise _outside(config, error) from error
        except (ValueError, RuntimeError, OSError) as error:
            raise QueryError(str(error)) from error
