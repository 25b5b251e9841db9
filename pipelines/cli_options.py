"""What commands share: the console, the options and formats, and how a mistake in them is told.

The commands are in `pipelines/cli.py` and `cli_export.py`.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pipelines.problems import ConfigError
from pipelines.settings import Config, load_config
from pipelines.terminal import escape

console = Console()
errors = Console(stderr=True)

ConfigOption = Annotated[
    Path,
    typer.Option(
        "--config", "-c", help="The configuration file.", envvar="TIERWISE_CONFIG", show_envvar=True
    ),
]
DEFAULT_CONFIG = Path("tierwise.yaml")


class TableFormat(StrEnum):
    """How `tierwise sql` prints."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


class Format(StrEnum):
    """How `tierwise run`, `check` and `bench` print."""

    table = "table"
    json = "json"


class ReportFormat(StrEnum):
    """What `tierwise report` writes."""

    html = "html"
    pdf = "pdf"
    csv = "csv"
    xlsx = "xlsx"


class FocusVersion(StrEnum):
    """Versions of FOCUS that can be written."""

    v1_2 = "1.2"
    v1_4 = "1.4"


def failed(message: str, code: int) -> typer.Exit:
    """Prints the message; the exit with this code, to be raised."""
    errors.print(f"[bold red]error[/] {escape(message)}", highlight=False, soft_wrap=True)
    return typer.Exit(code)


def configured(file: Path) -> Config:
    """The configuration of a file.

    Raises:
        typer.Exit: Something is wrong with it; exit code 2.
    """
    try:
        return load_config(file)
    except ConfigError as error:
        raise failed(str(error), 2) from error


def month_of(text: str | None) -> str | None:
    """A month as it was written, YYYY-MM.

    Raises:
        typer.BadParameter: It is none.
    """
    if text is None:
        return None
    try:
        date.fromisoformat(f"{text}-01")
    except ValueError as error:
        msg = f"{text!r} is not a month; write YYYY-MM, such as 2026-10"
        raise typer.BadParameter(msg) from error
    return text


def day_of(text: str | None) -> date | None:
    """A day.

    Raises:
        typer.BadParameter: It is none.
    """
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        msg = f"{text!r} is not a day; write YYYY-MM-DD, such as 2026-10-31"
        raise typer.BadParameter(msg) from error
