"""What was found about the rows of a stage: rejected rows, and values repaired or flagged.

The rules belong to `connectors/bills/rules.py`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from functools import reduce
from typing import Any

from connectors.base import Engine, SourceError
from connectors.bills.amounts import EXACT
from connectors.bills.files import BillFile
from connectors.bills.native import Native, native_sql
from connectors.bills.rules import (
    CHECKS,
    TAGS,
    has_value,
    is_null_text,
    raw_name,
)
from connectors.bills.shapes import Shape, scan
from connectors.bills.stage import Note, Stage, stage_sql
from connectors.bills.tags import REPEATED, has_like_keys
from connectors.bills.wrapped import MORE
from connectors.sql import identifier

DETAILED_ROWS = 1000
"""Rejected rows of one slice that are shown one by one; further ones are counted by rule."""

RAW_LENGTH = 500

NO_CURRENCY = "XXX"
"""ISO 4217's code for `no currency`: the currency under which money of rows that name none is counted."""

CURRENCY = (
    f"CASE WHEN COALESCE(trim(__currency), '') = '' OR {is_null_text('__currency')} "
    f"THEN '{NO_CURRENCY}' ELSE upper(trim(__currency)) END"
)
REJECTED = "__reject IS NOT NULL AND NOT __skip"
KEPT = "__reject IS NULL AND NOT __skip"

ORDER: Mapping[Note, int] = {(c.action, c.rule, c.column): i for i, c in enumerate(CHECKS)}


def effective_cost(stage: Stage, kept: str) -> str:
    """SQL: EffectiveCost where some rows have their billed cost in its place, because the bill does not state it.

    A fee is then counted as it was billed, unless every line that its commitment covers states its effective cost:
    these lines carry the fee already, so it is 0 (and what stayed unused is not known).
    """
    covered = (
        f'SELECT "CommitmentDiscountId" FROM {stage.rows} WHERE {kept} AND "ChargeCategory" = \'Usage\' '
        'AND "BilledCost" >= 0 AND "CommitmentDiscountId" IS NOT NULL '
        f"GROUP BY 1 HAVING NOT bool_or(__not_stated)"
    )
    return (
        f"CASE WHEN __not_stated AND \"ChargeCategory\" = 'Purchase' "
        f'AND "CommitmentDiscountId" IN ({covered}) THEN 0 ELSE "EffectiveCost" END'
    )


def examples(
    stage: Stage, where: str, notes: Collection[Note], engine: Engine
) -> dict[tuple[str, Note], str]:
    """Day and what was found -> the least of the texts that it was found in, where there is one."""
    shown = {
        note: f"v{i}"
        for i, c in enumerate(CHECKS)
        if (note := (c.action, c.rule, c.column)) in notes and has_value(c, stage.present)
    }
    if not shown:
        return {}
    values = ", ".join(
        f"MIN({raw_name(note[2])}) FILTER ({stage.has(note)}) AS {value}" for note, value in shown.items()
    )
    found = engine.rows(
        f"SELECT CAST(__day AS VARCHAR) AS day, {values} FROM {stage.rows} WHERE {where} GROUP BY ALL"
    )
    return {(row["day"], note): row[value] for row in found for note, value in shown.items()}


def gathered(days: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Values repaired or flagged in the rows of all days: one entry for each rule and column.

    Args:
        days: Of each, `noted`: [action, rule, column, rows, example or None] a list.
    """
    found: dict[Note, tuple[int, list[str]]] = {}
    for day in days:
        for action, rule, column, rows, example in day["noted"]:
            n, texts = found.get((action, rule, column), (0, []))
            found[action, rule, column] = n + rows, [*texts, *([] if example is None else [example])]
    return [
        {
            "action": note[0],
            "rule": note[1],
            "column_name": note[2],
            "value": min(texts, default=None),
            "rows": rows,
        }
        for note, (rows, texts) in sorted(
            found.items(), key=lambda item: (ORDER.get(item[0], len(CHECKS)), item[0])
        )
    ]


def orphans(stage: Stage, month: str, engine: Engine) -> Iterator[dict[str, Any]]:
    """Rows left out as parts of one that the month does not hold, by currency: their money is in no figure.

    Not known where no row names its resource.
    """
    parents = (
        f'SELECT "ResourceId" FROM {stage.rows} WHERE {month} AND NOT __skip AND "ResourceId" IS NOT NULL'
    )
    for row in engine.rows(
        f"SELECT {CURRENCY} AS currency, count(*) AS rows, CAST(sum(__cost) AS DECIMAL(38,12)) AS cost, "
        f"min(__parent) AS parent FROM {stage.rows} WHERE {month} AND __skip AND __cost <> 0 AND __parent NOT IN ({parents}) "
        f"AND EXISTS ({parents}) GROUP BY 1 ORDER BY 1"
    ):
        yield {
            "action": "flagged",
            "rule": "parent_missing",
            "column_name": "BilledCost",
            "value": row["parent"],
            "rows": row["rows"],
            "currency": row["currency"],
            "billed_cost": row["cost"],
        }


def footers(stage: Stage, month: date) -> Iterator[dict[str, Any]]:
    """The lines after the rows of the files, each with the first month of its file. They count as nothing.

    What says that another page follows is told apart: rows are missing unless that page is there.
    """
    for bill in (f for s in stage.shapes for f in s.files if f.after and f.months[0] == month):
        for rule, more in (("footer", False), ("page_missing", True)):
            lines = [line.strip(" ,;\t|") for line in bill.after if line.endswith(MORE) == more]
            if lines:
                yield {
                    "action": "flagged",
                    "rule": rule,
                    "value": "; ".join(lines)[:RAW_LENGTH],
                    "rows": len(lines),
                    "location": bill.uri,
                }


def like_keys(rows: str, columns: Collection[str], engine: Engine) -> Iterator[dict[str, Any]]:
    """Charges with two tags whose keys are the same to whoever looks for an owner (`models/tags.py`).

    Args:
        rows: SQL table expression of the FOCUS rows of a month.
        columns: FOCUS columns that they have.
        engine: Runs the SQL.
    """
    for name in (c for c in TAGS if c in columns):
        tags = identifier(name)
        [found] = engine.rows(
            f"SELECT CAST(sum(n) AS BIGINT) AS rows, left(min(tags), {RAW_LENGTH}) AS tags FROM (SELECT {tags} AS tags, "
            f"count(*) AS n FROM {rows} WHERE {tags} IS NOT NULL GROUP BY 1) WHERE {has_like_keys('tags')}"
        )
        if found["rows"]:
            yield {
                "action": "flagged",
                "rule": REPEATED,
                "column_name": name,
                "value": found["tags"],
                "rows": found["rows"],
            }


def headers(stage: Stage, month: str, engine: Engine) -> Iterator[dict[str, Any]]:
    """The files with rows that repeat the header, as where files were appended to each other. They count as nothing."""
    uris = {str(f.path): f.uri for s in stage.shapes for f in s.files}
    for row in engine.rows(
        f"SELECT __file AS file, count(*) AS rows FROM {stage.rows} "
        f"WHERE {month} AND __header AND NOT __is_part GROUP BY 1 ORDER BY 1"
    ):
        yield {
            "action": "flagged",
            "rule": "repeated_header",
            "rows": row["rows"],
            "location": uris[row["file"]],
        }


def rejected(stage: Stage, mine: str, engine: Engine) -> Iterator[dict[str, Any]]:
    """The rejected rows: the first ones each, the others by rule and currency.

    Raises:
        SourceError: One is the header of another file.
    """
    rows: list[dict[str, Any]] = []
    of_file = engine.rows(
        f"SELECT __file AS file, count(*) AS n, bool_or(__other_header) AS mixed FROM {stage.rows} "
        f"WHERE {mine} AND {REJECTED} GROUP BY 1 ORDER BY 1"
    )
    by_path = {
        str(f.path): (f, s, n) for s, n in zip(stage.shapes, stage.natives, strict=True) for f in s.files
    }
    mixed = [by_path[row["file"]][0].uri for row in of_file if row["mixed"]]
    if mixed:
        msg = (
            f"{mixed[0]}: between its rows stands the header of another file with other columns, so what follows would be "
            "read under wrong names; deliver the files one by one"
        )
        raise SourceError(msg)
    for path in (row["file"] for row in of_file):
        limit = DETAILED_ROWS - len(rows)
        if limit:
            rows += _detailed(
                stage, *by_path[path], where=f"{mine} AND {REJECTED}", limit=limit, engine=engine
            )
    yield from rows
    if sum(row["n"] for row in of_file) <= DETAILED_ROWS:
        return
    total = engine.rows(
        f"SELECT __reject AS check_, {CURRENCY} AS currency, count(*) AS rows, "
        f"CAST(SUM(__cost) AS DECIMAL(38,12)) AS billed_cost FROM {stage.rows} "
        f"WHERE {mine} AND {REJECTED} GROUP BY ALL ORDER BY ALL"
    )
    for group in total:
        check = CHECKS[group["check_"]]
        shown = [
            r
            for r in rows
            if (r["rule"], r["column_name"], r["currency"]) == (check.rule, check.column, group["currency"])
        ]
        if len(shown) < group["rows"]:
            costs = [r["billed_cost"] for r in shown if r["billed_cost"] is not None]
            yield {
                "action": "rejected",
                "rule": check.rule,
                "column_name": check.column,
                "rows": group["rows"] - len(shown),
                "billed_cost": None
                if group["billed_cost"] is None
                else reduce(EXACT.subtract, costs, group["billed_cost"]),
                "currency": group["currency"],
                "location": f"beyond the first {DETAILED_ROWS} rejected rows",
            }


def _detailed(
    stage: Stage, bill: BillFile, shape: Shape, native: Native, *, where: str, limit: int, engine: Engine
) -> Iterator[dict[str, Any]]:
    """Rejected rows of one file, read again with their numbers and native values."""
    one = replace(shape, files=(bill,), scan=scan([bill]))
    sql = stage_sql(
        [native_sql(one, native, numbered=True)],
        stage.present,
        stage.bill.source,
        stage.bill.tier,
        sure=stage.sure,
    )
    values = " ".join(
        f"WHEN {i} THEN {raw_name(c.column)}"
        for i, c in enumerate(CHECKS)
        if c.action == "rejected" and has_value(c, stage.present)
    )
    found = engine.rows(
        f"SELECT __row AS row, __reject AS check_, CASE __reject {values} END AS value, "
        f"__cost AS billed_cost, {CURRENCY} AS currency FROM ({sql}) "
        f"WHERE {where} ORDER BY __row LIMIT {limit}"
    )
    numbers = ", ".join(str(issue["row"]) for issue in found)
    texts = ", ".join(f"{text} AS {identifier(f'v{i}')}" for i, text in enumerate(one.text.values()))
    raw = engine.rows(
        f"SELECT __row, {texts} FROM (SELECT *, row_number() OVER () AS __row FROM {one.scan}) "
        f"WHERE __row IN ({numbers}) ORDER BY __row"
    )
    native_rows = {number: values for number, *values in (row.values() for row in raw)}
    first = 1 if bill.form in ("csv", "gzip") else 0
    for issue in found:
        native_row = native_rows[issue["row"]]
        check = CHECKS[issue["check_"]]
        written = {c: v for c, v in zip(one.text, native_row, strict=True) if v is not None}
        yield {
            "action": "rejected",
            "rule": check.rule,
            "column_name": check.column,
            "value": issue["value"],
            "rows": 1,
            "billed_cost": issue["billed_cost"],
            "currency": issue["currency"],
            "location": f"{bill.uri}:{issue['row'] + first}",
            "raw": json.dumps(written, ensure_ascii=False)[:RAW_LENGTH],
        }
