"""What the rows of a month hold, day by day: how many, their money, and what was found about them. One scan says it all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from connectors.base import Engine
from connectors.bills.days import SURVEY, SURVEYS, Survey, survey
from connectors.bills.issues import KEPT, REJECTED, examples
from connectors.bills.stage import MASK_BITS, Stage, mask_name


def counted(stage: Stage, where: str, engine: Engine) -> tuple[Survey, Mapping[str, Mapping[str, Any]]]:
    """What rows hold, and day -> loaded, rejected, noted.

    Args:
        stage: The rows.
        where: SQL condition of those that are asked for.
        engine: Runs the SQL.
    """
    notes = stage.notes
    # one group for each set of notes that rows have: a filter for each note takes a sixth longer
    masks = {f"notes{n}": mask_name(n) for n in range(-(-len(notes) // MASK_BITS))}
    grouped = "".join(f", CASE WHEN {KEPT} THEN {mask} ELSE 0 END AS {name}" for name, mask in masks.items())
    rows = engine.rows(
        f"SELECT {SURVEYS}, CAST(sum(loaded) AS BIGINT) AS loaded, CAST(sum(rejected) AS BIGINT) AS rejected, "
        f"list([{', '.join(['loaded', *masks])}]) AS noted "
        f"FROM (SELECT {SURVEY}, count(*) FILTER ({KEPT}) AS loaded, count(*) FILTER ({REJECTED}) AS rejected{grouped} "
        f"FROM {stage.rows} WHERE {where} GROUP BY {', '.join(['day', 'currency', *masks])}) GROUP BY day, currency"
    )
    noted = [_by_note(row["noted"]) for row in rows]
    there = {note for i, note in enumerate(notes) if any(of[i] for of in noted)}
    shown = examples(stage, f"{where} AND {KEPT}", there, engine)
    result: dict[str, dict[str, Any]] = {}
    for row, noting in zip(rows, noted, strict=True):
        of = result.setdefault(row["day"], {"loaded": 0, "rejected": 0, "noted": []})
        of["loaded"] += row["loaded"]
        of["rejected"] += row["rejected"]
        of["noted"] += [
            [*note, noting[i], shown.get((row["day"], note))] for i, note in enumerate(notes) if noting[i]
        ]
    return survey(rows), result


def _by_note(groups: Sequence[Sequence[int]]) -> Counter[int]:
    """Number of a note -> rows that have it, from the rows of each set of notes: their count, and the set as masks."""
    found: Counter[int] = Counter()
    for loaded, *masks in groups:
        for n, mask in enumerate(masks):
            for bit in range(mask.bit_length()):
                if mask >> bit & 1:
                    found[n * MASK_BITS + bit] += loaded
    return found
