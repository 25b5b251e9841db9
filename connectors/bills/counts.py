"""What the rows of a month hold, day by day: how many, their money, and what was found about them."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from connectors.base import Engine
from connectors.bills.days import SURVEY, Survey, survey
from connectors.bills.issues import KEPT, REJECTED, examples
from connectors.bills.stage import Note, Stage
from connectors.parts import DAY


def counted(stage: Stage, where: str, engine: Engine) -> tuple[Survey, dict[str, dict[str, Any]], bool]:
    """What rows hold, day -> loaded, rejected and no notes yet, and whether the bill says the effective cost of all loaded.

    Args:
        stage: The rows.
        where: SQL condition of those that are asked for.
        engine: Runs the SQL.
    """
    rows = engine.rows(
        f"SELECT {SURVEY}, count(*) FILTER ({KEPT}) AS loaded, count(*) FILTER ({REJECTED}) AS rejected, "
        f"count(*) FILTER ({KEPT} AND __not_stated) AS not_stated FROM {stage.rows} WHERE {where} GROUP BY __day, currency"
    )
    days: dict[str, dict[str, Any]] = {}
    for row in rows:
        of = days.setdefault(row["day"], {"loaded": 0, "rejected": 0, "noted": []})
        of["loaded"] += row["loaded"]
        of["rejected"] += row["rejected"]
    return survey(rows), days, not any(row["not_stated"] for row in rows)


def noted(stage: Stage, facts: str, where: str, engine: Engine) -> dict[str, list[list[Any]]]:
    """Day -> what was found about its rows that are loaded: action, rule, column, rows and an example of each.

    It is counted in the facts, which hold it: to judge every native row twice would take a tenth of a load.

    Args:
        stage: The rows.
        facts: SQL table expression of the facts written of them.
        where: SQL condition of those that were asked for.
        engine: Runs the SQL.
    """
    counts: dict[str, Counter[Note]] = defaultdict(Counter)
    masks = ", ".join(stage.masks)
    for row in engine.rows(
        f"SELECT CAST({DAY} AS VARCHAR) AS day, [{masks}] AS masks, count(*) AS n FROM {facts} GROUP BY ALL"
    ):
        for note in stage.noted(row["masks"]):
            counts[row["day"]][note] += row["n"]
    shown = examples(stage, f"{where} AND {KEPT}", set().union(*counts.values()), engine)
    return {
        day: [[*note, found[note], shown.get((day, note))] for note in stage.notes if note in found]
        for day, found in counts.items()
    }
