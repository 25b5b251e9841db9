"""What a run tells at its end, a person or a program: money in, money out, difference, untagged share, gates, paths."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table

from dashboards.format import amount, money
from pipelines.checks.judge import data_docs
from pipelines.daily import Outcome
from pipelines.settings import Config
from pipelines.terminal import escape
from pipelines.warehouse import Warehouse, read_only

_MONEY = """
    SELECT r.*, c.untagged FROM (
        SELECT currency, sum(source_total) AS money_in, sum(allocated_total + quarantined_total) AS money_out,
               sum(quarantined_total) AS quarantined, sum(difference) AS difference
        FROM ops.reconciliation GROUP BY currency
    ) AS r LEFT JOIN (
        SELECT currency, CAST(coalesce(sum(abs(effective_cost)) FILTER (team = 'untagged'), 0) AS DOUBLE)
               / nullif(CAST(sum(abs(effective_cost)) AS DOUBLE), 0) AS untagged
        FROM marts.chargeback_daily GROUP BY currency
    ) AS c USING (currency) ORDER BY currency"""
_TEAMS = """
    SELECT team, month, currency, sum(effective_cost) AS cost, coalesce(sum(effective_cost) FILTER (cost_kind = 'idle'), 0) AS idle
    FROM marts.chargeback_monthly
    WHERE month = (SELECT max(month) FROM marts.chargeback_monthly)
    GROUP BY team, month, currency
    ORDER BY currency <> ?, currency, cost DESC, team"""
_GATES = """
    SELECT gate, passed, severity, detail FROM ops.quality
    WHERE run_id = (SELECT max_by(run_id, published_at) FROM ops.publications) ORDER BY gate"""


_PUBLICATION = """
    SELECT run_id, published_at, as_of FROM ops.publications ORDER BY published_at DESC, run_id DESC LIMIT 1"""

TEAMS_SHOWN = 12
"""Rows of teams that are printed for a person, of each currency."""


@dataclass(frozen=True)
class Summary:
    """What is published now.

    Attributes:
        publication: run_id, published_at (UTC), as_of.
        money: Of each currency money in and out, quarantined, difference, and untagged, a share (0-1) of the cost.
        teams: Of the latest month team, month, currency, cost, idle; the greatest first.
        gates: gate, passed, severity, detail.
        paths: What it is -> where.
    """

    publication: pl.DataFrame
    money: pl.DataFrame
    teams: pl.DataFrame
    gates: pl.DataFrame
    paths: dict[str, Path]


def summary(config: Config) -> Summary:
    """Reads it from the published warehouse."""
    warehouse = Warehouse(config.data_dir)
    connection = read_only(warehouse.path, config.data_dir)
    paths = {
        "statements": warehouse.statements / "index.html",
        "warehouse": warehouse.path,
        "data docs": data_docs(config.data_dir / "gx"),
    }
    try:
        return Summary(
            publication=connection.sql(_PUBLICATION).pl(),
            money=connection.sql(_MONEY).pl(),
            teams=connection.sql(_TEAMS, params=[config.settings.currency]).pl(),
            gates=connection.sql(_GATES).pl(),
            paths=paths,
        )
    finally:
        connection.close()


def as_json(outcome: Outcome, published: Summary | None) -> str:
    """How a run ended as JSON, amounts as texts with all their digits.

    Args:
        outcome: How it ended.
        published: What is published now; None where the run failed.
    """
    told = {
        "status": "failed" if not outcome.success else "unchanged" if outcome.unchanged else "published",
        "slices_read": outcome.slices_read if outcome.success else None,
        "failures": outcome.failures,
        "warnings": outcome.warnings,
        "staged": outcome.staged,
    }
    if published is not None:
        told |= published.publication.row(0, named=True)
        told |= {name: getattr(published, name).to_dicts() for name in ("money", "teams", "gates")}
        told |= {name.replace(" ", "_"): path for name, path in published.paths.items()}
    return json.dumps(told, indent=1, default=_text, ensure_ascii=False)


def _text(value: object) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def print_summary(console: Console, published: Summary, outcome: Outcome) -> None:
    """Prints it for a person."""
    if outcome.unchanged:
        console.print("Nothing changed since the last publication; no bill was read again.", highlight=False)
    else:
        console.print(f"Published; {outcome.slices_read} slices were new or had changed.", highlight=False)
    gates, shown = (
        published.gates,
        published.teams.group_by("currency", maintain_order=True).head(TEAMS_SHOWN),
    )
    console.print(_money_table(published.money))
    if shown.height:
        console.print(_team_table(shown, f"{shown['month'][0]:%Y-%m}"))
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
    for name, path in published.paths.items():
        console.print(f"[bold]{name:<11}[/] {escape(str(path))}", highlight=False, soft_wrap=True)


def _money_table(totals: pl.DataFrame) -> Table:
    table = Table(show_edge=False, header_style="bold", pad_edge=False)
    for name in ("currency", "money in", "money out", "difference", "in quarantine", "untagged"):
        table.add_column(name, justify="left" if name == "currency" else "right")
    for row in totals.iter_rows(named=True):
        table.add_row(
            row["currency"], amount(row["money_in"], row["currency"]), amount(row["money_out"], row["currency"]), f"{row['difference']:f}".rstrip("0").rstrip(".") or "0",
            amount(row["quarantined"], row["currency"]), "unknown" if row["untagged"] is None else f"{row['untagged']:.1%}",
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
            money(row["idle"], row["currency"]),
        )
    return table
