"""Rows that two files of one month both hold: the same bill exported twice, in another order, form or packing.

Files with the same bytes are refused before they are read (`connectors/bills/plain.py`). Here the rows are compared:
what is alike is flagged, with the money at stake, not left out, and what can be no chance stops the publication.
Equal rows are no proof on their own: two machines of one kind are one row twice in bills that name no resource. Such
a bill has equal rows within its files, too, and shows thereby how much chance can do.
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

LEAST_SHARE = 0.5
"""From this part of the smaller file's charges on, however few they are, they are no chance."""

CERTAIN = 20
"""Nor are so many charges, if they are more than what the files repeat within themselves: deliveries that overlap."""

SHOWN = 20
"""Pairs of files that are named."""

GROUP = ("ChargePeriodStart", "SubAccountId", "ServiceName", "BillingCurrency")
GROUPS = f"__file AS file, {', '.join(map(identifier, GROUP))}"
"""SQL: the group that a row belongs to, in its file."""
COUNTS = f"count(*) FILTER ({KEPT}) AS kept, SUM(BilledCost) FILTER ({KEPT}) AS billed, SUM(EffectiveCost) FILTER ({KEPT}) AS effective"
"""SQL: what a group holds."""


def repeated(stage: Stage, month: str, counted: str, engine: Engine) -> list[dict[str, Any]]:
    """Pairs of files of which one repeats rows of the other: one issue a pair and currency.

    Rows are compared in groups (start, account, service, currency). Only groups of two files with the same count and cost
    are looked at closely, so a month without copies costs one aggregate over six columns. Groups without money do
    not count, neither here nor in the size of a file: zeros are alike everywhere.

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
        f"SELECT {group}, CAST(SUM(kept) AS BIGINT) AS rows, CAST(SUM(billed) AS DECIMAL(38,12)) AS billed, "
        f"CAST(SUM(effective) AS DECIMAL(38,12)) AS effective FROM {parts} WHERE kept > 0 GROUP BY ALL "
        "HAVING SUM(billed) <> 0 OR SUM(effective) <> 0"
    )
    suspects = _shared(counts, ["rows", "billed", "effective"])
    if suspects.is_empty():
        return []
    files = sorted({*suspects["file"], *suspects["file_other"]})
    whole = ", ".join(identifier(c.name) for c in tables.FOCUS.columns)
    contents = engine.query(
        f"SELECT {GROUPS}, count(*) AS rows, count(DISTINCT __whole) AS single, SUM(BilledCost) AS billed, SUM(CAST(__whole AS HUGEINT)) AS content "
        f"FROM (SELECT *, hash({whole}) AS __whole FROM {stage.rows} WHERE {month} AND {KEPT} AND list_contains({literals(files)}, __file)) "
        "GROUP BY ALL HAVING SUM(BilledCost) <> 0 OR SUM(EffectiveCost) <> 0"
    )
    sizes = contents.group_by("file").agg(pl.col("rows", "single").sum())
    size = dict(sizes.select("file", "rows").iter_rows())
    twins = dict(sizes.select("file", 2 * (pl.col("rows") - pl.col("single"))).iter_rows())
    pairs = _shared(contents, ["rows", "billed", "content"])
    found = pairs.group_by("file", "file_other", "BillingCurrency").agg(pl.col("rows", "billed").sum())
    of_pair = found.with_columns(total=pl.col("rows").sum().over("file", "file_other"))
    issues = [
        {
            "action": "flagged",
            "rule": CERTAIN_RULE
            if total >= LEAST_SHARE * min(size[one], size[other])
            or total >= max(CERTAIN, twins[one] + twins[other] + 1)
            else RULE,
            "column_name": "BilledCost",
            "value": f"{uris[one]} and {uris[other]} hold the same rows",
            "rows": rows,
            "billed_cost": billed,
            "currency": currency,
        }
        for one, other, currency, rows, billed, total in of_pair.sort(
            "file", "file_other", "BillingCurrency"
        ).iter_rows()
    ]
    return sorted(issues, key=lambda i: (i["rule"] == RULE, -i["rows"]))[:SHOWN]


def _shared(groups: pl.DataFrame, same: list[str]) -> pl.DataFrame:
    """The groups that two files have alike, once a pair."""
    both = groups.join(groups, on=[*GROUP, *same], suffix="_other", nulls_equal=True)
    return both.filter(pl.col("file") < pl.col("file_other"))
