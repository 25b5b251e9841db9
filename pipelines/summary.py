"""What a run tells a person at its end: money in, money out, difference, untagged share, gates, paths."""

from __future__ import annotations

from decimal import Decimal

import polars as pl
from rich.console import Console
from rich.table import Table

from dashboards.format import amount, money
from pipelines.checks.gates import data_docs
from pipelines.daily import Outcome
from pipelines.settings import Config
from pipelines.terminal import escape
from pipelines.warehouse import Warehouse, read_only

_MONEY = """
    SELECT currency, sum(source_total) AS money_in, sum(allocated_total + quarantined_total) AS money_out,
           sum(quarantined_total) AS quarantined, sum(difference) AS difference
    FROM ops.reconciliation GROUP BY currency ORDER BY currency"""
_SHARES = """
    SELECT currency, CAST(coalesce(sum(abs(effective_cost)) FILTER (team = 'untagged'), 0) AS DOUBLE) / nullif(CAST(sum(abs(effective_cost)) AS DOUBLE), 0) AS untagged
    FROM marts.chargeback_daily GROUP BY currency"""
_TEAMS = """
    SELECT team, month, currency, sum(effective_cost) AS cost, sum(effective_cost) FILTER (cost_kind = 'idle') AS idle
    FROM marts.chargeback_monthly
    WHERE month = (SELECT max(month) FROM marts.chargeback_monthly)
    GROUP BY team, month, currency
    QUALIFY row_number() OVER (PARTITION BY currency ORDER BY cost DESC, team) <= 12
    ORDER BY currency <> ?, currency, cost DESC, team"""
_GATES = """
    SELECT gate, passed, severity, detail FROM ops.quality
    WHERE run_id = (SELECT max_by(run_id, published_at) FROM ops.publications)"""


def print_summary(console: Console, config: Config, outcome: Outcome) -> None:
    """Prints the summary of what is published now."""
    warehouse = Warehouse(config.data_dir)
    connection = read_only(warehouse.path, config.data_dir)
    try:
        totals = connection.sql(_MONEY).pl()
        shares = dict(connection.sql(_SHARES).pl().iter_rows())
        gates = connection.sql(_GATES).pl()
        currency = config.settings.currency
        teams = connection.sql(_TEAMS, params=[currency]).pl()
        month = "" if not teams.height else f"{teams['month'][0]:%Y-%m}"
    finally:
        connection.close()
    if outcome.unchanged:
        console.print("Nothing changed since the last publication; no bill was read again.", highlight=False)
    else:
        console.print(f"Published; {outcome.slices_read} slices were new or had changed.", highlight=False)
    console.print(_money_table(totals, shares))
    if teams.height:
        console.print(_team_table(teams, month))
    failed = gates.filter(~pl.col("passed"))
    console.print(
        f"[bold]gates[/]       {gates.height - failed.height} of {gates.height} passed", highlight=False
    )
    for gate in failed.iter_rows(named=True):
        console.print(
            f"            [yellow]{gate['severity']}[/] {escape(gate['detail'])}",
            highlight=False,
            soft_wrap=True,
        )
    for text in outcome.warnings:
        console.print(f"[bold]warning[/]     [yellow]{escape(text)}[/]", highlight=False, soft_wrap=True)
    for name, path in (
        ("statements", warehouse.statements / "index.html"),
        ("warehouse", warehouse.path),
        ("data docs", data_docs(config.data_dir / "gx")),
    ):
        console.print(f"[bold]{name:<11}[/] {escape(str(path))}", highlight=False, soft_wrap=True)


def _money_table(totals: pl.DataFrame, shares: dict[str, float | None]) -> Table:
    table = Table(show_edge=False, header_style="bold", pad_edge=False)
    for name in ("currency", "money in", "money out", "difference", "in quarantine", "untagged"):
        table.add_column(name, justify="left" if name == "currency" else "right")
    for row in totals.iter_rows(named=True):
        share = shares.get(row["currency"])
        table.add_row(
            row["currency"], amount(row["money_in"], row["currency"]), amount(row["money_out"], row["currency"]), f"{row['difference']:f}".rstrip("0").rstrip(".") or "0",
            amount(row["quarantined"], row["currency"]), "unknown" if share is None else f"{share:.1%}",
        )  # fmt: skip
    return table


def _team_table(teams: pl.DataFrame, month: str) -> Table:
    table = Table(
        show_edge=False, header_style="bold", pad_edge=False, title=f"{month} by team", title_justify="left"
    )
    for name in ("team", "effective cost", "of which idle"):
        table.add_column(name, justify="left" if name == "team" else "right")
    for row in teams.iter_rows(named=True):
        table.add_row(
            escape(row["team"]),
            money(row["cost"], row["currency"]),
            money(row["idle"] or Decimal(0), row["currency"]),
        )
    return table
