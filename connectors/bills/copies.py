"""Rows that two files of one month both hold: the same bill exported twice, in another order, form or packing.

Files with the same bytes are refused before they are read (`connectors/bills/plain.py`). Here the rows are compared,
so it may be chance: it is flagged, with the money at stake, not left out. From `CERTAIN` rows on a gate stops the publication.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from connectors.base import Engine
from connectors.bills.issues import KEPT
from connectors.bills.stage import Stage
from connectors.sql import identifier, literals
from models import tables

RULE, CERTAIN_RULE = "repeated_rows", "repeated_bill"

CERTAIN = 20
"""So many charges that agree in every column and make up half of a file are no chance."""

LEAST_SHARE = 0.5
"""Part of the smaller file's rows that must be in the other one, too: single rows may be alike by chance."""

SHOWN = 20
"""Pairs of files that are named."""

GROUP = ("ChargePeriodStart", "ServiceName", "BillingCurrency")
GROUPS = f"__file AS file, {', '.join(map(identifier, GROUP))}"
"""SQL: the group that a row belongs to, in its file."""
COUNTS = f"count(*) FILTER ({KEPT}) AS kept, SUM(BilledCost) FILTER ({KEPT}) AS billed"
"""SQL: what a group holds."""


def repeated(stage: Stage, month: str, counted: str, engine: Engine) -> list[dict[str, Any]]:
    """Pairs of files of which one repeats rows of the other: one issue a pair and currency.

    Rows are compared in groups (start, service, currency). Only groups of two files with the same count and cost
    are looked at closely, so a month without copies costs one aggregate over three columns.

    Args:
        stage: The rows.
        month: SQL condition of the rows of the slice.
        counted: SQL table expression of `COUNTS` of them, once or in several parts for each of `GROUPS`; empty: not counted yet.
        engine: Runs the SQL.
    """
    uris = {str(f.path): f.uri for shape in stage.shapes for f in shape.files}
    if len(uris) < 2:
        return []
    parts = counted or f"(SELECT {GROUPS}, {COUNTS} FROM {stage.rows} WHERE {month} GROUP BY ALL)"
    group = ", ".join(map(identifier, ("file", *GROUP)))
    counts = engine.query(
        f"SELECT {group}, CAST(SUM(kept) AS BIGINT) AS rows, CAST(SUM(billed) AS DECIMAL(38,12)) AS billed "
        f"FROM {parts} WHERE kept > 0 GROUP BY ALL"
    )
    suspects = _shared(counts.filter(pl.col("billed") != 0), ["rows", "billed"])
    if suspects.is_empty():
        return []
    files = sorted({*suspects["file"], *suspects["file_other"]})
    whole = ", ".join(identifier(c.name) for c in tables.FOCUS.columns)
    contents = engine.query(
        f"SELECT {GROUPS}, count(*) AS rows, SUM(BilledCost) AS billed, SUM(CAST(hash({whole}) AS HUGEINT)) AS content "
        f"FROM {stage.rows} WHERE {month} AND {KEPT} AND list_contains({literals(files)}, __file) "
        "GROUP BY ALL HAVING SUM(BilledCost) <> 0"
    )
    size = dict(counts.group_by("file").agg(pl.col("rows").sum()).iter_rows())
    pairs = _shared(contents, ["rows", "billed", "content"])
    found = pairs.group_by("file", "file_other", "BillingCurrency").agg(pl.col("rows", "billed").sum())
    return [
        {
            "action": "flagged",
            "rule": CERTAIN_RULE if rows >= CERTAIN else RULE,
            "column_name": "BilledCost",
            "value": f"{uris[one]} and {uris[other]} hold the same rows",
            "rows": rows,
            "billed_cost": billed,
            "currency": currency,
        }
        for one, other, currency, rows, billed in found.sort(
            "file", "file_other", "BillingCurrency"
        ).iter_rows()
        if rows >= LEAST_SHARE * min(size[one], size[other])
    ][:SHOWN]


def _shared(groups: pl.DataFrame, same: list[str]) -> pl.DataFrame:
    """The groups that two files have alike, once a pair."""
    both = groups.join(groups, on=[*GROUP, *same], suffix="_other", nulls_equal=True)
    return both.filter(pl.col("file") < pl.col("file_other"))
