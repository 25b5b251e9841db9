"""Reads the files of a bill in one scan and writes each month's FOCUS facts, with totals and issues beside them.

The statement belongs to `connectors/bills/stage.py`, the rules to `rules.py`, what native columns mean to the
formats.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import polars as pl

from connectors.base import ISSUES_SCHEMA, Engine, Loaded, Slice, SourceError
from connectors.bills.copies import repeated
from connectors.bills.direct import own_types, view
from connectors.bills.files import BillFile, shapes, verify
from connectors.bills.issues import REJECTED, effective_cost, noted, rejected, totals
from connectors.bills.rules import NOT_STATED
from connectors.bills.stage import Bill, Stage, native_sql, stage_sql
from connectors.sql import identifier, literals
from models import tables


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
    from duckdb import Error

    if not slices:
        return
    work.mkdir(parents=True, exist_ok=True)
    try:
        groups = tuple(shapes(files, engine))
        natives = tuple(bill.to_focus(shape) for shape in groups)
        parts = [
            own_types(bill, shape, native, engine) for shape, native in zip(groups, natives, strict=True)
        ]
        direct = [part for part in parts if part is not None]
        if len(direct) == len(groups):
            for item in slices:
                yield _loaded(item, view(bill, item.period, direct, engine), work, engine)
        else:
            path = work / f"stage-{slices[0].period}-{slices[-1].period}.parquet"
            try:
                staged = _stage(Stage("", bill, groups, natives), slices, files, path, engine)
                for item in slices:
                    yield _loaded(item, staged, work, engine)
            finally:
                path.unlink(missing_ok=True)
    except Error as error:
        raise SourceError(_explain(error, files)) from error


def _stage(
    stage: Stage, slices: Sequence[Slice], files: Sequence[BillFile], path: Path, engine: Engine
) -> Stage:
    """The stage as a file, since reading CSV and text again for each question would cost more."""
    months = ", ".join(f"DATE '{s.period}'" for s in slices)
    sql = stage_sql(
        [native_sql(s, n) for s, n in zip(stage.shapes, stage.natives, strict=True)],
        stage.present,
        stage.bill.source,
        stage.bill.tier,
        sure=stage.sure,
    )
    with ThreadPoolExecutor(1) as threads:
        intact = threads.submit(verify, files)
        try:
            engine.copy(f"SELECT * FROM ({sql}) WHERE __month IN ({months})", path)
        finally:
            intact.result()
    return replace(stage, rows=f"read_parquet({literals([path])}, hive_partitioning=false)")


def _explain(error: Exception, files: Sequence[BillFile]) -> str:
    names = ", ".join(f.uri for f in files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
    lines = str(error).split("Possible fixes")[0].splitlines()
    named = next(
        (x.partition("=")[2].strip() for x in str(error).splitlines() if x.strip().startswith("file =")), ""
    )
    found = next((f.uri for f in files if str(f.path) == named), names)
    reason = " ".join(line.strip()[:120] for line in lines if line.strip())
    return (
        f"{found} cannot be read as a bill: {reason}. Have it delivered again as CSV in UTF-8, or as Parquet"
    )


def _loaded(item: Slice, stage: Stage, work: Path, engine: Engine) -> Loaded:
    mine = f"__month = DATE '{item.period}'"
    kept = f"{mine} AND __reject IS NULL AND NOT __skip"
    found = noted(stage, kept, engine)
    columns = {c.name: identifier(c.name) for c in tables.FOCUS.columns}
    if any(i["rule"] == NOT_STATED for i in found):
        columns["EffectiveCost"] = f"CAST({effective_cost(stage, kept)} AS DECIMAL(38,12))"
    selected = ", ".join(f"{sql} AS {identifier(name)}" for name, sql in columns.items())
    facts = work / f"cost-and-usage-{item.period}.parquet"
    loaded = engine.copy(f"SELECT {selected} FROM {stage.rows} WHERE {kept}", facts)
    counts = engine.query(
        f"SELECT count(*) FILTER (NOT __is_part) AS read, count(*) FILTER (__skip) AS skipped, "
        f"count(*) FILTER ({REJECTED}) AS rejected FROM {stage.rows} WHERE {mine}"
    ).row(0, named=True)
    issues = [*rejected(stage, mine, engine)] if counts["rejected"] else []
    issues += found
    if "manifests" not in item.detail:  # a manifest names each file once
        issues += repeated(stage, kept, engine)
    if counts["skipped"]:
        issues.append(
            {
                "action": "flagged",
                "rule": next(n.skip_rule for n in stage.natives if n.skip != "FALSE"),
                "column_name": "BilledCost",
                "rows": counts["skipped"],
            }
        )
    ignored = sorted({c for n in stage.natives for c in n.ignored})
    notes = [item.detail.get("note", ""), f"columns not used: {', '.join(ignored)}" if ignored else ""]
    return Loaded(
        slice=item,
        facts={tables.FOCUS.name: facts},
        rows_read=counts["read"],
        rows_loaded=loaded,
        totals=totals(stage, mine, engine),
        issues=pl.DataFrame(issues, schema=ISSUES_SCHEMA, orient="row"),
        note="; ".join(n for n in notes if n),
    )
