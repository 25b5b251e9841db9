"""The command `tierwise`. Exit codes: 0 done, 1 the run or a gate failed, 2 wrong usage or configuration."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli_export import export
from pipelines.cli_options import (
    DEFAULT_CONFIG,
    ConfigOption,
    Format,
    ReportFormat,
    TableFormat,
    configured,
    console,
    day_of,
    errors,
    failed,
    month_of,
)
from pipelines.problems import ConfigError
from pipelines.settings import Config
from pipelines.terminal import escape

app = typer.Typer(
    name="tierwise",
    help="One cost ledger for AI on cloud, owned GPUs, managed APIs and edge devices.",
    epilog="Exit codes: 0 done, 1 the run, a gate or a source failed, 2 wrong usage or configuration. "
    "`tierwise COMMAND --help` has an example.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


@app.command(epilog="Example: `tierwise demo` and then open the page it names.")
def demo(
    to: Annotated[Path, typer.Option("--to", help="Folder to write; made if absent.")] = Path("demo"),
    days: Annotated[int, typer.Option(min=2, max=400, help="Days of history to make.")] = 60,
    seed: Annotated[int, typer.Option(help="Another seed makes another company's figures.")] = 7,
) -> None:
    """Writes the inputs and configuration of a made-up company, runs the day, and prints what it cost."""
    from pipelines.demo import prepare

    with console.status("writing the inputs of the made-up company"):
        file, day = prepare(to, days, seed)
    console.print(f"[bold]inputs and configuration[/]  {escape(str(file.parent))}", highlight=False)
    _run(configured(file), {"tierwise/date": day.isoformat()})


@app.command(epilog="Example: `tierwise run --config tierwise.yaml --date 2026-10-31`")
def run(
    config: ConfigOption = DEFAULT_CONFIG,
    day: Annotated[
        str | None,
        typer.Option("--date", metavar="YYYY-MM-DD", help="The day to run for; yesterday if absent."),
    ] = None,
    month: Annotated[
        str | None,
        typer.Option(
            "--month", metavar="YYYY-MM", help="Read this month again where it changed, nothing else."
        ),
    ] = None,
    format_: Annotated[
        Format, typer.Option("--format", "-f", help="How to print what came of it; progress goes to stderr.")
    ] = Format.table,
) -> None:
    """Runs the daily job: reads what changed, computes, audits, publishes."""
    named, only = day_of(day), month_of(month)
    if named and only:
        msg = "give --date or --month, not both"
        raise typer.BadParameter(msg)
    tags = {"tierwise/date": named.isoformat()} if named else {"tierwise/month": only} if only else {}
    _run(configured(config), tags, format_)


def _run(config: Config, tags: dict[str, str], format_: Format = Format.table) -> None:
    from pipelines.daily import run_daily
    from pipelines.summary import as_json, print_summary, summary

    try:
        outcome = run_daily(config, tags, errors)
    except ConfigError as error:
        raise failed(str(error), 2) from error
    if format_ is Format.json:
        typer.echo(as_json(outcome, summary(config) if outcome.success else None))
    if not outcome.success:
        for failure in outcome.failures:
            errors.print(f"[bold red]failed[/] {escape(failure)}", highlight=False, soft_wrap=True)
        state = (
            "the last published warehouse and statements stand unchanged"
            if outcome.published_before
            else "nothing is published yet"
        )
        errors.print(f"Nothing was published; {state}.", highlight=False)
        if outcome.staged:
            staged = escape(str(outcome.staged))
            errors.print(
                f"To look at what was refused, open {staged} read-only.", highlight=False, soft_wrap=True
            )
        raise typer.Exit(1)
    if format_ is Format.table:
        print_summary(console, summary(config), outcome)


@app.command(epilog="Example: `tierwise check --config tierwise.yaml --format json`")
def check(
    config: ConfigOption = DEFAULT_CONFIG,
    format_: Annotated[Format, typer.Option("--format", "-f", help="How to print.")] = Format.table,
) -> None:
    """Validates the configuration and reaches every source and price list: one line each, ok or what to do."""
    from connectors.base import SourceError
    from pipelines.definitions import build_defs
    from pipelines.list_prices import reach

    settings = configured(config)
    try:
        build_defs(settings)  # the schedule is understood by Dagster alone
    except ConfigError as error:
        raise failed(str(error), 2) from error
    found: list[dict[str, str | bool]] = []

    def tell(name: str, message: str, *, ok: bool) -> None:
        found.append({"name": name, "ok": ok, "message": message})
        if format_ is Format.table:
            mark = "[green]ok[/]   " if ok else "[red]fails[/]"
            console.print(f"{mark} {escape(name)}: {escape(message)}", highlight=False, soft_wrap=True)

    tell(str(settings.file), f"{len(settings.sources)} sources, {len(settings.assets)} assets", ok=True)
    asked: list[tuple[str, Callable[[], str | None]]] = [
        (f"{source.name} ({source.kind})", source.reader.check) for source in settings.sources.values()
    ]
    for name, ask in [*asked, ("list_prices (google)", lambda: reach(settings))]:
        try:
            with errors.status(f"reaching {name}"):
                message = ask()
            if message is not None:
                tell(name, settings.hide(message), ok=True)
        except SourceError as error:
            tell(name, settings.hide(str(error)), ok=False)
    if format_ is Format.json:
        typer.echo(json.dumps(found, indent=1, ensure_ascii=False))
    if not all(line["ok"] for line in found):
        raise typer.Exit(1)


@app.command(
    epilog='Example: `tierwise sql "SELECT team, sum(effective_cost) FROM marts.chargeback_daily GROUP BY ALL"`'
)
def sql(
    query: Annotated[str, typer.Argument(help="A query; the warehouse is opened read-only.")],
    config: ConfigOption = DEFAULT_CONFIG,
    format_: Annotated[TableFormat, typer.Option("--format", "-f", help="How to print.")] = TableFormat.table,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; needed for parquet.")
    ] = None,
    publication: Annotated[
        str | None,
        typer.Option(
            help="An earlier publication that is kept: a run_id of ops.publications; the latest if absent."
        ),
    ] = None,
) -> None:
    """Runs a query on the published warehouse, or on an earlier one."""
    from pipelines.query import QueryError, run_query, write_result

    if format_ is TableFormat.parquet and output is None:
        msg = "--format parquet needs --output FILE"
        raise typer.BadParameter(msg)
    settings = configured(config)
    try:
        write_result(run_query(settings, query, publication), format_.value, output, console)
    except QueryError as error:
        raise failed(str(error), 1) from error


@app.command(epilog="Example: `tierwise report --team vision --month 2026-10 --format pdf`")
def report(
    config: ConfigOption = DEFAULT_CONFIG,
    team: Annotated[
        str | None, typer.Option(help="One team; all of them and the overview if absent.")
    ] = None,
    month: Annotated[
        str | None, typer.Option(metavar="YYYY-MM", help="Billing month; the latest if absent.")
    ] = None,
    format_: Annotated[
        ReportFormat, typer.Option("--format", "-f", help="What to write.")
    ] = ReportFormat.html,
    to: Annotated[Path, typer.Option("--to", help="Folder to write.")] = Path("reports"),
) -> None:
    """Writes statements of the published warehouse."""
    from pipelines.query import QueryError, write_report

    settings = configured(config)
    try:
        for file in write_report(settings, team, month_of(month), format_.value, to):
            console.print(escape(str(file)), highlight=False, soft_wrap=True)
    except QueryError as error:
        raise failed(str(error), 1) from error


@app.command(epilog="Example: `tierwise close 2026-10`")
def close(
    month: Annotated[str, typer.Argument(metavar="YYYY-MM", help="Billing month; it must be over.")],
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    reopen: Annotated[bool, typer.Option("--reopen", help="Open a month that is closed.")] = False,
) -> None:
    """Closes a month at what is published: whatever changes in it later is shown as an adjustment."""
    from pipelines.closing import ClosingError, doubts
    from pipelines.closing import close as close_month
    from pipelines.closing import reopen as reopen_month
    from pipelines.resources import InUseError, alone

    settings, name = configured(config), month_of(month)
    first = date.fromisoformat(f"{name}-01")
    try:
        with alone(settings.data_dir):
            if reopen:
                kept = reopen_month(settings, first)
                told = f"{name} is open again; what it was closed at is kept in {kept}"
            else:
                amounts = ", ".join(f"{c} {a:,.2f}" for c, a in close_month(settings, first).items())
                told = f"{name} is closed at {amounts}"
                for doubt in doubts(settings, first):
                    errors.print(
                        f"[yellow]warning[/] {escape(settings.hide(doubt))}", highlight=False, soft_wrap=True
                    )
    except (ClosingError, InUseError) as error:
        raise failed(str(error), 1) from error
    console.print(escape(told), highlight=False, soft_wrap=True)
    console.print("`tierwise run` publishes statements that say so.", highlight=False)


@app.command(epilog="Example: `tierwise place --workload support-chat --scale 1,10,100`")
def place(
    config: ConfigOption = DEFAULT_CONFIG,
    workload: Annotated[
        str | None, typer.Option(help="One workload, with all its options; all workloads if absent.")
    ] = None,
    scale: Annotated[
        str, typer.Option(metavar="N,N,...", help="Multiples of the volumes that are declared or measured.")
    ] = "1",
    format_: Annotated[Format, typer.Option("--format", "-f", help="How to print.")] = Format.table,
) -> None:
    """Where workloads should run: by the options and prices in the configuration now, and by what is published."""
    from pipelines import place as placing

    settings = configured(config)
    try:
        factors = placing.scales(scale)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--scale") from error
    try:
        with errors.status("comparing options"):
            found = placing.place(settings, workload, factors)
    except placing.PlaceError as error:
        raise failed(str(error), 2) from error
    if format_ is Format.json:
        typer.echo(placing.as_json(found))
    else:
        placing.print_placed(found, console, options=workload is not None)


@app.command(epilog="Example: `tierwise dashboard --port 8600`")
def dashboard(
    config: ConfigOption = DEFAULT_CONFIG,
    host: Annotated[
        str,
        typer.Option(help="Address to listen at; another than this machine's own shows all costs to others."),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes a free one.")
    ] = 8600,
) -> None:
    """Shows the published statements of all teams in a browser, until it is interrupted."""
    from dashboards.server import is_loopback, server
    from pipelines.warehouse import Warehouse

    if not host.strip():
        msg = "no address; give one, such as 127.0.0.1, or 0.0.0.0 for all of this machine"
        raise typer.BadParameter(msg, param_hint="--host")
    folder = Warehouse(configured(config).data_dir).statements
    if not (folder / "index.html").is_file():
        raise failed(f"{folder}: nothing is published yet; run `tierwise run` first", 1)
    try:
        listening = server(folder, host, port)
    except OSError as error:
        msg = f"{host} port {port} cannot be listened at: {error.strerror}; give another --port or --host"
        raise failed(msg, 1) from error
    with listening:
        if not is_loopback(host):
            warning = f"[yellow]warning[/] whoever reaches {escape(host)} sees the costs of all teams"
            errors.print(warning, highlight=False)
        shown = f"[{host}]" if ":" in host else host
        console.print(
            f"http://{escape(shown)}:{listening.server_port}/  (Ctrl-C ends it)",
            highlight=False,
            soft_wrap=True,
        )
        try:
            listening.serve_forever()
        except KeyboardInterrupt:
            console.print("ended")


app.add_typer(export, name="export")


@app.command(epilog="Example: `tierwise bench --rows 500000 --case load --case memory`")
def bench(
    rows: Annotated[int, typer.Option(min=1000, help="Line items of the generated month.")] = 2_000_000,
    case: Annotated[
        list[str] | None,
        typer.Option(
            help="load, reduce, pandas, unchanged, redelivery, memory, gpu or edge; may be repeated; all of these if "
            "absent. Also converter, which fetches focus-converter from the package index."
        ),
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, help="Times each is measured; the least counts.")] = 1,
    keep: Annotated[
        Path | None, typer.Option(help="Folder for the generated bills, which stay; else removed.")
    ] = None,
    format_: Annotated[Format, typer.Option("--format", "-f", help="How to print.")] = Format.table,
) -> None:
    """Measures speed and memory on a generated AWS bill, as ratios within this run."""
    from pipelines.bench.cases import CASES, FETCHED, BenchError, bench_in
    from pipelines.bench.report import as_json, tables

    names = list(dict.fromkeys(case or [name for name in CASES if name not in FETCHED]))
    if unknown := set(names) - set(CASES):
        msg = f"{', '.join(sorted(unknown))} is no case; there are {', '.join(CASES)}"
        raise typer.BadParameter(msg)
    try:
        with errors.status("starting") as status, bench_in(keep, rows, repeat, status.update) as running:
            figures = [figure for name in names for figure in running.run(name)]
    except BenchError as error:
        raise failed(str(error), 1) from error
    if format_ is Format.json:
        typer.echo(as_json(running, figures))
    else:
        tables(running, figures, console)


def main() -> None:
    """Entry point."""
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "yes")
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    try:
        app()
    except KeyboardInterrupt:
        errors.print("interrupted; nothing was published")
        sys.exit(1)
    except OSError as error:
        if error.filename is None:
            raise
        found = f"{os.fsdecode(error.filename)}: {error.strerror}; it must be there to be read, or its folder open to be written"
        errors.print(f"[bold red]error[/] {escape(found)}", highlight=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
