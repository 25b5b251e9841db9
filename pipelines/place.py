"""Where workloads should run, by the configuration as it is now and what is published: the command `place`.

The rules belong to `models/placement/`; what the daily run publishes of them is `marts.placement`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from dashboards.format import amount
from models import tables
from models.placement.measured import SCHEMA, measure
from models.placement.recommend import recommend
from models.placement.settings import Workload
from pipelines.list_prices import priced_now
from pipelines.settings import Config
from pipelines.terminal import escape
from pipelines.warehouse import Warehouse


class PlaceError(Exception):
    """The question cannot be answered; the message says why and what to do."""


@dataclass(frozen=True)
class Placed:
    """The answer for one workload at a multiple of its volumes.

    Attributes:
        scale: The multiple.
        answer: A row of `marts.placement`.
        options: Its rows of `marts.placement_options`.
    """

    scale: Decimal
    answer: Mapping[str, Any]
    options: Sequence[Mapping[str, Any]]

    def month(self, option: str | None) -> Decimal | None:
        """What an option costs a month; None where that is not known."""
        return next((o["monthly_cost"] for o in self.options if o["option"] == option), None)


def scales(text: str) -> list[Decimal]:
    """Multiples as they were written, such as `1,10,100`.

    Raises:
        ValueError: One of them is no number above 0.
    """
    found = []
    for part in text.split(","):
        try:
            value = Decimal("nan" if "_" in part else part.strip())
        except ArithmeticError:
            value = Decimal(0)
        if not (value.is_finite() and 0 < value <= 1_000_000):
            msg = (
                f"{part!r} is no multiple of a volume; write numbers above 0, up to 1000000, such as 1,10,100"
            )
            raise ValueError(msg)
        found.append(value)
    return list(dict.fromkeys(found))


def place(config: Config, only: str | None, factors: Iterable[Decimal]) -> list[Placed]:
    """Where each workload should run.

    Args:
        config: The configuration; its options and prices are taken as they are now.
        only: One workload, or None for all.
        factors: Multiples of the volumes.

    Raises:
        PlaceError: There are no workloads, or not that one.
    """
    known = config.settings.workloads
    if not known:
        msg = f"{config.file}: no workloads are declared; add `workloads:` with their options (docs/placement.md)"
        raise PlaceError(msg)
    if only is not None and only not in known:
        msg = f"{only!r} is no workload of {config.file}; there are {', '.join(sorted(known))}"
        raise PlaceError(msg)
    workloads = {name: w for name, w in priced_now(config).items() if only in (None, name)}
    measured = _measured(config)
    return sorted(
        (placed for factor in factors for placed in _at(factor, workloads, measured, config)),
        key=lambda placed: placed.answer["workload"],
    )


def _at(
    factor: Decimal, workloads: Mapping[str, Workload], measured: pl.DataFrame, config: Config
) -> Iterator[Placed]:
    answers, options = recommend(workloads, measured, config.settings.currency, factor)
    for answer in answers.iter_rows(named=True):
        own = options.filter(pl.col("workload") == answer["workload"])
        yield Placed(factor, answer, own.to_dicts())


def _measured(config: Config) -> pl.DataFrame:
    """What is published of workloads' months; no rows before the first publication."""
    warehouse = Warehouse(config.data_dir)
    publication = warehouse.publication
    if publication is None:
        return SCHEMA.to_frame()
    charges, units, cards = (
        warehouse.carried(t) for t in (tables.CHARGEBACK_DAILY, tables.UNIT_COST_DAILY, tables.GPU_DAILY)
    )
    as_of = date.fromisoformat(publication["as_of"])
    return measure(charges, units, cards, as_of, currency=config.settings.currency)


def as_json(found: Iterable[Placed]) -> str:
    """Answers with their options; amounts as texts with all their digits."""
    told = [{"scale": p.scale, **p.answer, "options": p.options} for p in found]
    return json.dumps(
        told, indent=1, default=lambda v: f"{v:f}" if isinstance(v, Decimal) else str(v), ensure_ascii=False
    )


def print_placed(found: Sequence[Placed], console: Console, *, options: bool) -> None:
    """Prints answers for a person.

    Args:
        found: The answers.
        console: Where.
        options: With the costs of every option and why it is out.
    """
    currency = found[0].answer["currency"]
    table = _table(
        ("workload", "volume", "today", "a month", "advised", "a month", "status", f"saves, {currency}", "pays back", "confidence"),
        numbers=(1, 3, 5, 7, 8),
    )  # fmt: skip
    for placed in found:
        a = placed.answer
        paid = a["breakeven_month"]
        table.add_row(
            escape(a["workload"]), f"x {placed.scale:f}", escape(a["current_option"] or "–"),
            amount(placed.month(a["current_option"]), currency), escape(a["recommended_option"] or "–"),
            amount(placed.month(a["recommended_option"]), currency), a["status"], amount(a["saving_36m"], currency),
            "–" if paid is None else f"month {paid}", a["confidence"] or "–",
        )  # fmt: skip
    console.print(table)
    for placed in found:
        a = placed.answer
        console.print()
        head = f"[bold]{escape(a['workload'])}[/] x {placed.scale:f}: {a['status']}"
        console.print(head, highlight=False)
        console.print(Padding(escape(a["reason"]), (0, 0, 0, 2)), highlight=False)
        if options:
            console.print(_options(placed, currency))


def _options(placed: Placed, currency: str) -> Table:
    table = _table(
        ("option", "tier", "feasible", f"all months, {currency}", "a month", "why"), numbers=(3, 4)
    )
    for o in placed.options:
        table.add_row(
            escape(o["option"]), o["tier"], "yes" if o["feasible"] else "no", amount(o["cost_36m"], currency),
            amount(o["monthly_cost"], currency), escape(o["reason"]),
        )  # fmt: skip
    return table


def _table(names: Sequence[str], numbers: Sequence[int]) -> Table:
    table = Table(show_edge=False, header_style="bold", pad_edge=False)
    for place_, name in enumerate(names):
        table.add_column(name, justify="right" if place_ in numbers else "left", overflow="fold")
    return table
