"""The commands `tierwise export ...`: what is published, written for use elsewhere. The others are in `pipelines/cli.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli_options import (
    DEFAULT_CONFIG,
    ConfigOption,
    FocusVersion,
    configured,
    console,
    errors,
    failed,
)
from pipelines.terminal import escape

export = typer.Typer(help="Writes what is published for use elsewhere.", no_args_is_help=True)


@export.command("focus", epilog="Example: `tierwise export focus --version 1.4 --to ./focus`")
def export_focus_command(
    to: Annotated[
        Path, typer.Option("--to", help="Folder to write; one CSV and Parquet file a source and month.")
    ],
    config: ConfigOption = DEFAULT_CONFIG,
    version: Annotated[FocusVersion, typer.Option("--version", help="Version of FOCUS.")] = FocusVersion.v1_4,
) -> None:
    """Writes the ledger, owned hardware included, as FOCUS files."""
    from pipelines.focus_export import ExportError, export_focus

    settings = configured(config)
    try:
        for written in export_focus(settings, version.value, to):
            for file in written.files:
                console.print(escape(str(file)), highlight=False, soft_wrap=True)
            for found in written.findings:
                errors.print(
                    f"[yellow]warning[/] {escape(written.source)} {found.month:%Y-%m}: {found.rows} of {written.rows} rows: {escape(found.meaning)}",
                    highlight=False,
                    soft_wrap=True,
                )
    except ExportError as error:
        raise failed(str(error), 1) from error


@export.command("warehouse", epilog="Example: `tierwise export warehouse --to ./tierwise-2026-10.duckdb`")
def export_warehouse_command(
    to: Annotated[Path, typer.Option("--to", help="File to write; replaced if it exists.")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Writes the published warehouse as one file that needs nothing beside it."""
    from pipelines.focus_export import ExportError
    from pipelines.warehouse_export import export_warehouse

    settings = configured(config)
    try:
        console.print(escape(str(export_warehouse(settings, to))), highlight=False, soft_wrap=True)
    except ExportError as error:
        raise failed(str(error), 1) from error
