"""Rows that two files of one month both hold: the same bill exported twice, in another order, form or packing.

Files with the same bytes are refused before they are read (`connectors/bills/plain.py`). Here the rows are compared:
what is alike is flagged, with the money at stake, not left out, and what can be no chance stops the publication.
Equal rows are no proof on their own: two machines of one kind are one row twice in bills that name no resource. Such
a bill has equal rows within its files, too, and shows thereby how much chance can do.

Files of which each holds the month so far, one row a thing from the first day on, have no equal rows: in the later file a
row ends later and costs more. They are told by the rest of the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from connectors.base import Engine
from connectors.bills.issues import KEPT
from connectors.bills.stage import Stage
from connectors.sql import identifier, literals
from models import focus

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

SAME = frozenset(c.name for c in focus.COLUMNS if c.type in ("text", "json"))
"""What a charge is for: the columns that are neither amounts nor times."""
MONEY = "SUM(BilledCost) <> 0 OR SUM(EffectiveCost) <> 0"
"""SQL condition: a group has money. Others do not count, nor in the size of a file: zeros are alike everywhere."""


def repeated(stage: Stage, month: str, counted: str, engine: Engine) -> list[dict[str, Any]]:
    """Pairs of files of which one repeats rows of the other, or holds them in a later state: one issue a pair and currency.

    Rows are compared in groups (start, account, service, currency). Only groups of two files with the same count and cost,
    and files most of whose rows start at one moment, are looked at closely, so a month without copies costs one aggregate
    over six columns.

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
    suspects = engine.rows(f"""
        WITH groups AS MATERIALIZED (
            SELECT file, {group}, SUM(kept) AS rows, SUM(billed) AS billed, SUM(effective) AS effective
            FROM {parts} WHERE kept > 0 GROUP BY ALL HAVING SUM(billed) <> 0 OR SUM(effective) <> 0
        ), starts AS (
            SELECT file, "ChargePeriodStart", 2 * SUM(rows) > SUM(SUM(rows)) OVER (PARTITION BY file) AS most
            FROM groups GROUP BY file, "ChargePeriodStart"
        ), found AS (
            SELECT file, count(*) OVER (PARTITION BY {group}, rows, billed, effective) > 1 AS alike,
                   most AND count(*) FILTER (most) OVER (PARTITION BY {group}) > 1 AS grown
            FROM groups JOIN starts USING (file, "ChargePeriodStart")
        )
        SELECT file, bool_or(alike) AS alike, bool_or(grown) AS grown FROM found WHERE alike OR grown GROUP BY file ORDER BY file""")
    issues = []
    for kind, look in (("alike", _alike), ("grown", _grown)):
        files = [row["file"] for row in suspects if row[kind]]
        mine = f"{month} AND {KEPT} AND list_contains({literals(files)}, __file)"
        issues += [
            {
                "action": "flagged",
                "rule": row["rule"],
                "column_name": "BilledCost",
                "value": f"{uris[row['one']]} and {uris[row['other']]} hold {row['words']}",
                "rows": row["rows"],
                "billed_cost": row["billed"],
                "currency": row["currency"],
            }
            for row in (look(f"{stage.rows} WHERE {mine}", stage.written, engine) if files else [])
        ]
    return sorted(issues, key=lambda i: (i["rule"] == RULE, -i["rows"]))[:SHOWN]


def _alike(rows: str, columns: Sequence[str], engine: Engine) -> list[dict[str, Any]]:
    """Pairs of files that hold the same rows."""
    whole = ", ".join(map(identifier, columns))
    alike = " AND ".join(
        f"a.{name} IS NOT DISTINCT FROM b.{name}"
        for name in (*map(identifier, GROUP), "rows", "billed", "content")
    )
    found = engine.rows(f"""
        WITH contents AS MATERIALIZED (
            SELECT {GROUPS}, count(*) AS rows, count(DISTINCT __whole) AS single, SUM(BilledCost) AS billed,
                   SUM(CAST(__whole AS HUGEINT)) AS content
            FROM (SELECT *, hash({whole}) AS __whole FROM {rows}) GROUP BY ALL HAVING {MONEY}
        ), sizes AS (
            SELECT file, SUM(rows) AS size, 2 * SUM(rows - single) AS twins FROM contents GROUP BY file
        ), pairs AS (
            SELECT a.file AS one, b.file AS other, a."BillingCurrency" AS currency, CAST(SUM(a.rows) AS BIGINT) AS rows,
                   CAST(SUM(a.billed) AS DECIMAL(38,12)) AS billed
            FROM contents AS a JOIN contents AS b ON a.file < b.file AND {alike} GROUP BY ALL
        )
        SELECT pairs.*, SUM(rows) OVER (PARTITION BY one, other) AS shared, least(x.size, y.size) AS smaller, x.twins + y.twins AS twins
        FROM pairs JOIN sizes AS x ON x.file = one JOIN sizes AS y ON y.file = other ORDER BY one, other, currency""")
    for row in found:
        certain = row["shared"] >= LEAST_SHARE * float(row["smaller"]) or row["shared"] >= max(
            CERTAIN, row["twins"] + 1
        )
        row |= {"rule": CERTAIN_RULE if certain else RULE, "words": "the same rows"}
    return found


def _grown(rows: str, columns: Sequence[str], engine: Engine) -> list[dict[str, Any]]:
    """Pairs of files of which the second holds half of the first one's charges, or more, to a later end.

    With the same end and more money in all of them it is a warning: a supplement of a bill may look like this.
    """
    same = ", ".join(identifier(c) for c in columns if c in SAME)
    found = engine.rows(f"""
        WITH charges AS MATERIALIZED (
            SELECT __file AS file, "BillingCurrency" AS currency, hash("ChargePeriodStart", {same}) AS same, count(*) AS rows, MAX("ChargePeriodEnd") AS until,
                   SUM(BilledCost) AS billed, SUM(EffectiveCost) AS effective
            FROM {rows} GROUP BY ALL HAVING {MONEY}
        ), sizes AS (
            SELECT file, count(*) AS size FROM charges GROUP BY file
        ), states AS (
            SELECT lag(file) OVER state AS one, file AS other, currency, lag(rows) OVER state AS rows, lag(billed) OVER state AS billed,
                   until > lag(until) OVER state AS later,
                   NOT later AND sign(billed) = sign(lag(billed) OVER state)
                   AND (billed, effective) <> (lag(billed) OVER state, lag(effective) OVER state) AS more
            FROM charges WINDOW state AS (PARTITION BY currency, same ORDER BY until, abs(billed), abs(effective), file)
        ), pairs AS (
            SELECT one, other, currency, later, count(*) AS charges, CAST(SUM(rows) AS BIGINT) AS rows,
                   CAST(SUM(billed) AS DECIMAL(38,12)) AS billed
            FROM states WHERE later OR more GROUP BY ALL
        )
        SELECT pairs.*, least(x.size, y.size) AS smaller
        FROM pairs JOIN sizes AS x ON x.file = one JOIN sizes AS y ON y.file = other ORDER BY one, other, currency, later""")
    for row in found:
        later = "to a later end" if row["later"] else "of more money"
        row |= {
            "rule": CERTAIN_RULE if row["later"] else RULE,
            "words": f"the same charges from the same start, in the second {later}, as files do that each hold the month so far",
        }
    least = {True: 1, False: CERTAIN}
    return [r for r in found if r["charges"] >= max(least[r["later"]], LEAST_SHARE * r["smaller"])]
