"""Rows that two files of one month both hold: the same bill exported twice, in another order, form or packing.

Files with the same bytes are refused before they are read (`connectors/bills/plain.py`). Here the rows are compared:
what is alike is flagged, with the money at stake, not left out, and what can be no chance stops the publication.
Equal rows are no proof on their own: two machines of one kind are one row twice in bills that name no resource. Such
a bill has equal rows within its files, too, and shows thereby how much chance can do.
"""

from __future__ import annotations

from typing import Any

from connectors.base import Engine
from connectors.bills.issues import KEPT
from connectors.bills.stage import Stage
from connectors.sql import identifier, literals

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
    group = ", ".join(map(identifier, GROUP))
    suspects = engine.rows(
        f"SELECT DISTINCT file FROM (SELECT file, {group}, SUM(kept) AS rows, SUM(billed) AS billed, SUM(effective) AS effective "
        f"FROM {parts} WHERE kept > 0 GROUP BY ALL HAVING SUM(billed) <> 0 OR SUM(effective) <> 0) "
        f"QUALIFY count(*) OVER (PARTITION BY {group}, rows, billed, effective) > 1"
    )
    if not suspects:
        return []
    files = literals(sorted(row["file"] for row in suspects))
    whole = ", ".join(map(identifier, stage.written))
    alike = " AND ".join(
        f"a.{name} IS NOT DISTINCT FROM b.{name}"
        for name in (*map(identifier, GROUP), "rows", "billed", "content")
    )
    found = engine.rows(f"""
        WITH contents AS MATERIALIZED (
            SELECT {GROUPS}, count(*) AS rows, count(DISTINCT __whole) AS single, SUM(BilledCost) AS billed,
                   SUM(CAST(__whole AS HUGEINT)) AS content
            FROM (SELECT *, hash({whole}) AS __whole FROM {stage.rows} WHERE {month} AND {KEPT} AND list_contains({files}, __file))
            GROUP BY ALL HAVING SUM(BilledCost) <> 0 OR SUM(EffectiveCost) <> 0
        ), sizes AS (
            SELECT file, SUM(rows) AS size, 2 * SUM(rows - single) AS twins FROM contents GROUP BY file
        ), pairs AS (
            SELECT a.file AS one, b.file AS other, a."BillingCurrency" AS currency, CAST(SUM(a.rows) AS BIGINT) AS rows,
                   CAST(SUM(a.billed) AS DECIMAL(38,12)) AS billed
            FROM contents AS a JOIN contents AS b ON a.file < b.file AND {alike} GROUP BY ALL
        )
        SELECT pairs.*, SUM(rows) OVER (PARTITION BY one, other) AS shared, least(x.size, y.size) AS smaller, x.twins + y.twins AS twins
        FROM pairs JOIN sizes AS x ON x.file = one JOIN sizes AS y ON y.file = other ORDER BY one, other, currency""")
    issues = [
        {
            "action": "flagged",
            "rule": CERTAIN_RULE
            if row["shared"] >= LEAST_SHARE * float(row["smaller"])
            or row["shared"] >= max(CERTAIN, row["twins"] + 1)
            else RULE,
            "column_name": "BilledCost",
            "value": f"{uris[row['one']]} and {uris[row['other']]} hold the same rows",
            "rows": row["rows"],
            "billed_cost": row["billed"],
            "currency": row["currency"],
        }
        for row in found
    ]
    return sorted(issues, key=lambda i: (i["rule"] == RULE, -i["rows"]))[:SHOWN]
