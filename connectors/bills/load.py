"""Reads the files of a bill in one scan and writes each month's FOCUS facts, with totals and issues beside them.

The rules (what is rejected, repaired, flagged) belong to `connectors/bills/conform.py`; what native columns
mean, to the formats.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from connectors.base import ISSUES_SCHEMA, Engine, Loaded, Slice, SourceError
from connectors.bills.conform import (
    CHECKS,
    NAMES,
    NO_CURRENCY,
    NULL_MARK,
    NULL_TEXTS,
    Format,
    Native,
    has_value,
    native_sql,
    stage_sql,
    value_name,
)
from connectors.bills.files import BillFile, Shape, scan, shapes, verify
from connectors.sql import identifier, literal, literals
from models import tables

DETAILED_ROWS = 1000
"""Rejected rows of one slice that are shown one by one; further ones are counted by rule."""

RAW_LENGTH = 500


@dataclass(frozen=True)
class Bill:
    """What is to be read.

    Attributes:
        source: Name of the source.
        tier: Tier of charges that are not for a managed model API.
        to_focus: The format.
    """

    source: str
    tier: str
    to_focus: Format


@dataclass(frozen=True)
class _Stage:
    """The staged rows of some files: one Parquet file with everything the slices need."""

    path: Path
    bill: Bill
    shapes: tuple[Shape, ...]
    natives: tuple[Native, ...]

    @property
    def present(self) -> list[str]:
        return [c for c in NAMES if any(c in n.focus for n in self.natives)]

    @property
    def rows(self) -> str:
        return f"read_parquet({literals([self.path])}, hive_partitioning=false)"


def load_bill(
    bill: Bill, slices: Sequence[Slice], files: Sequence[BillFile], work: Path, engine: Engine
) -> Iterator[Loaded]:
    """Reads the files once and yields each slice.

    Args:
        bill: What they are.
        slices: Billing months; rows of other months are left alone.
        files: All files that hold rows of these months.
        work: Folder for the results.
        engine: Runs the SQL.

    Raises:
        SourceError: A file cannot be read or is damaged; nothing may be used then.
    """
    if not slices:
        return
    work.mkdir(parents=True, exist_ok=True)
    path = work / f"stage-{slices[0].period}-{slices[-1].period}.parquet"
    try:
        stage = _stage(bill, slices, files, path, engine)
        for item in slices:
            yield _loaded(item, stage, work, engine)
    finally:
        path.unlink(missing_ok=True)


def _stage(
    bill: Bill, slices: Sequence[Slice], files: Sequence[BillFile], path: Path, engine: Engine
) -> _Stage:
    from duckdb import Error

    months = ", ".join(f"DATE '{s.period}'" for s in slices)
    try:
        groups = tuple(shapes(files, engine))
        natives = tuple(bill.to_focus(shape) for shape in groups)
        stage = _Stage(path, bill, groups, natives)
        sql = stage_sql(
            [native_sql(s, n) for s, n in zip(groups, natives, strict=True)], stage.present, bill.source, bill.tier
        )
        with ThreadPoolExecutor(1) as threads:
            intact = threads.submit(verify, files)
            try:
                engine.copy(f"SELECT * FROM ({sql}) WHERE __month IN ({months})", path)
            finally:
                intact.result()
    except Error as error:
        names = ", ".join(f.uri for f in files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
        reason = " ".join(str(error).split("Possible fixes")[0].split())[:400]
        msg = f"{names} cannot be read as a bill: {reason}. Have it delivered again as CSV in UTF-8, or as Parquet"
        raise SourceError(msg) from error
    return stage


def _loaded(item: Slice, stage: _Stage, work: Path, engine: Engine) -> Loaded:
    mine = f"__month = DATE '{item.period}'"
    kept = f"{mine} AND __reject IS NULL AND NOT __skip"
    columns = ", ".join(identifier(c.name) for c in tables.FOCUS.columns)
    facts = work / f"cost-and-usage-{item.period}.parquet"
    loaded = engine.copy(f"SELECT {columns} FROM {stage.rows} WHERE {kept}", facts)
    counts = engine.query(
        f"SELECT count(*) AS read, count(*) FILTER (__skip) AS skipped, "
        f"count(*) FILTER (__reject IS NOT NULL AND NOT __skip) AS rejected FROM {stage.rows} WHERE {mine}"
    ).row(0, named=True)
    issues = [*_rejected(stage, mine, engine)] if counts["rejected"] else []
    issues += _noted(stage, kept, engine)
    if counts["skipped"]:
        issues.append({"action": "flagged", "rule": "repeats_parent_cost", "column_name": "BilledCost", "rows": counts["skipped"]})
    ignored = sorted({c for n in stage.natives for c in n.ignored})
    notes = [item.detail.get("note", ""), f"columns not used: {', '.join(ignored)}" if ignored else ""]
    return Loaded(
        slice=replace(item, rows_hint=counts["read"]),
        facts={tables.FOCUS.name: facts},
        rows_read=counts["read"],
        rows_loaded=loaded,
        totals=_totals(stage, mine, engine),
        issues=pl.DataFrame(issues, schema=ISSUES_SCHEMA, orient="row"),
        note="; ".join(n for n in notes if n),
    )


def _currency() -> str:
    nulls = ", ".join(literal(t) for t in NULL_TEXTS)
    return f"CASE WHEN __currency IS NULL OR trim(__currency) IN ({nulls}) THEN '{NO_CURRENCY}' ELSE __currency END"


COST = "TRY_CAST(__cost AS DECIMAL(38,12))"


def _totals(stage: _Stage, mine: str, engine: Engine) -> dict[str, Any]:
    """Currency -> sum of the native amounts as they were written, apart from the mapping to FOCUS."""
    frame = engine.query(
        f"SELECT {_currency()} AS currency, CAST(SUM({COST}) AS DECIMAL(38,12)) AS total "
        f"FROM {stage.rows} WHERE {mine} AND NOT __skip AND {COST} IS NOT NULL GROUP BY 1 ORDER BY 1"
    )
    return dict(frame.iter_rows())


def _noted(stage: _Stage, kept: str, engine: Engine) -> list[dict[str, Any]]:
    """Values repaired or flagged in the rows that were kept: one entry for each rule and column."""
    marks = engine.query(
        f"SELECT __marks AS marks, count(*) AS n FROM {stage.rows} WHERE {kept} AND __marks <> '' GROUP BY 1 ORDER BY 1"
    )
    counts: dict[str, int] = {}
    for text, n in marks.iter_rows():
        for mark in text.split(","):
            counts[mark] = counts.get(mark, 0) + n
    shown = [
        i for i, c in enumerate(CHECKS) if str(i) in counts and has_value(c, stage.present)
    ]
    examples: dict[str, Any] = {}
    if shown:
        values = ", ".join(f"MIN({value_name(i)}) AS {value_name(i)}" for i in shown)
        examples = engine.query(f"SELECT {values} FROM {stage.rows} WHERE {kept}").row(0, named=True)
    result = [
        {"action": c.action, "rule": c.rule, "column_name": c.column, "value": examples.get(value_name(i)), "rows": counts[str(i)]}
        for i, c in enumerate(CHECKS)
        if str(i) in counts
    ]
    return result + [
        {"action": "repaired", "rule": "null_text", "column_name": mark.removeprefix(NULL_MARK), "rows": n}
        for mark, n in sorted(counts.items())
        if mark.startswith(NULL_MARK)
    ]


def _rejected(stage: _Stage, mine: str, engine: Engine) -> Iterator[dict[str, Any]]:
    """The rejected rows: the first ones each, the others by rule and currency."""
    rows: list[dict[str, Any]] = []
    of_file = engine.query(
        f"SELECT __file AS file, count(*) AS n FROM {stage.rows} "
        f"WHERE {mine} AND __reject IS NOT NULL AND NOT __skip GROUP BY 1 ORDER BY 1"
    )
    by_path = {str(f.path): (f, s, n) for s, n in zip(stage.shapes, stage.natives, strict=True) for f in s.files}
    for path in of_file["file"]:
        if len(rows) >= DETAILED_ROWS:
            break
        bill, shape, native = by_path[path]
        rows += _detailed(stage, bill, shape, native, mine, DETAILED_ROWS - len(rows), engine)
    yield from rows
    if of_file["n"].sum() <= DETAILED_ROWS:
        return
    total = engine.query(
        f"SELECT __reject AS check_, {_currency()} AS currency, count(*) AS rows, "
        f"CAST(SUM({COST}) AS DECIMAL(38,12)) AS billed_cost FROM {stage.rows} "
        f"WHERE {mine} AND __reject IS NOT NULL AND NOT __skip GROUP BY ALL ORDER BY ALL"
    )
    for group in total.iter_rows(named=True):
        check = CHECKS[group["check_"]]
        shown = [r for r in rows if (r["rule"], r["column_name"], r["currency"]) == (check.rule, check.column, group["currency"])]
        if len(shown) < group["rows"]:
            costs = [r["billed_cost"] for r in shown if r["billed_cost"] is not None]
            yield {
                "action": "rejected",
                "rule": check.rule,
                "column_name": check.column,
                "rows": group["rows"] - len(shown),
                "billed_cost": None if group["billed_cost"] is None else group["billed_cost"] - sum(costs),
                "currency": group["currency"],
                "location": f"beyond the first {DETAILED_ROWS} rejected rows",
            }


def _detailed(
    stage: _Stage, bill: BillFile, shape: Shape, native: Native, mine: str, limit: int, engine: Engine
) -> Iterator[dict[str, Any]]:
    """Rejected rows of one file, read again with their numbers and native values."""
    one = Shape((bill,), scan([bill]), shape.text, shape.default_month, shape.months)
    sql = stage_sql([native_sql(one, native, numbered=True)], stage.present, stage.bill.source, stage.bill.tier)
    values = " ".join(
        f"WHEN {i} THEN {value_name(i)}" for i, c in enumerate(CHECKS) if c.action == "rejected" and has_value(c, stage.present)
    )
    found = engine.query(
        f"SELECT __row AS row, __reject AS check_, CASE __reject {values} END AS value, "
        f"{COST} AS billed_cost, {_currency()} AS currency FROM ({sql}) "
        f"WHERE {mine} AND __reject IS NOT NULL AND NOT __skip ORDER BY __row LIMIT {limit}"
    )
    numbers = ", ".join(str(n) for n in found["row"])
    texts = ", ".join(f"{text} AS {identifier(f'v{i}')}" for i, text in enumerate(one.text.values()))
    raw = engine.query(
        f"SELECT {texts} FROM (SELECT *, row_number() OVER () AS __row FROM {one.scan}) "
        f"WHERE __row IN ({numbers}) ORDER BY __row"
    )
    first = 0 if bill.form == "parquet" else 1
    for issue, native_row in zip(found.iter_rows(named=True), raw.iter_rows(), strict=True):
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
