"""Reads the files of a bill and writes each month's FOCUS facts, with totals and issues beside them.

Where the pipeline knows an earlier version of a month, only the days that differ are read (`days.py`). The statement
belongs to `connectors/bills/stage.py`, the rules to `rules.py`, what native columns mean to the formats.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from connectors.base import ISSUES_SCHEMA, Engine, Loaded, Slice, SourceError
from connectors.bills import dates, numbers, so_far
from connectors.bills.copies import COUNTS, GROUPS, repeated
from connectors.bills.counts import counted, noted
from connectors.bills.days import EVERYTHING, SURVEY, SURVEYS, Plan, Survey, mapping_key, memory, plan, survey
from connectors.bills.direct import Part, own_types, view
from connectors.bills.files import BillFile, verify
from connectors.bills.issues import (
    KEPT,
    effective_cost,
    footers,
    gathered,
    headers,
    like_keys,
    orphans,
    rejected,
)
from connectors.bills.native import coded_name, native_sql, row_hash
from connectors.bills.rules import TAGS
from connectors.bills.shapes import shapes
from connectors.bills.stage import Bill, Stage, stage_sql
from connectors.bills.totals import contradictions
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
        text = Stage("", bill, groups, tuple(bill.to_focus(shape) for shape in groups))
        text = replace(text, rows=f"({_statement(text)})")
        direct = _direct(text, engine)
        key = mapping_key(text, engine)
        with TemporaryDirectory(dir=work) as scratch, ThreadPoolExecutor(1) as threads:
            intact = threads.submit(verify, files)
            months = [
                _month(
                    s,
                    view(bill, s.period, direct, engine) if direct else text,
                    key,
                    _groups(s, files, Path(scratch)),
                    engine,
                )
                for s in slices
            ]
            stages = _stages(months, text, direct, Path(scratch), engine)
            intact.result()
            for read, stage in zip(months, stages, strict=True):
                left, doubts = _superseded(read, stage, files, engine)
                month = replace(read, copies=[*_copies(read, stage, engine), *doubts])
                if left:
                    others = [f for f in files if month.item.period in f.months and f not in left]
                    for newest in load_bill(bill, [month.item], others, work / "newest", engine):
                        yield so_far.noted(newest, left, month.all_of(stage), month.whole, engine)
                    continue
                loaded = _loaded(month, stage, key, work, engine)
                if loaded is None:
                    afresh = [replace(month.item, earlier=None)]
                    yield from load_bill(bill, afresh, files, work / "afresh", engine)
                else:
                    yield loaded
    except Error as error:
        raise SourceError(_explain(error, files)) from error


def _direct(text: Stage, engine: Engine) -> list[Part]:
    """How to read each shape in its own types; empty if one has to be read as text."""
    parts = [
        own_types(text.bill, shape, native, engine)
        for shape, native in zip(text.shapes, text.natives, strict=True)
    ]
    found = [part for part in parts if part is not None]
    return found if len(found) == len(parts) else []


def _stages(
    months: Sequence[_Month], text: Stage, direct: Sequence[Part], scratch: Path, engine: Engine
) -> list[Stage]:
    """What the rows to read of each month are taken from."""
    if direct:
        return [
            view(text.bill, m.item.period, direct, engine, m.plan.days) if m.plan.days else m.everything
            for m in months
        ]
    # a file, since reading CSV and text again for each question would cost more
    path = scratch / "stage.parquet"
    days = months[0].plan.days if len(months) == 1 else ()
    wanted = " OR ".join(m.where for m in months)
    engine.copy(f"SELECT * FROM ({_statement(text, days)}) WHERE {wanted}", path, ordered=False)
    return [replace(text, rows=_parquet(path))] * len(months)


def _statement(stage: Stage, days: Sequence[str] = ()) -> str:
    """The statement over all files as text, for all rows or only those of some days."""
    natives = [
        native_sql(shape, native, hashed=row_hash(shape, native), days=days)
        for shape, native in zip(stage.shapes, stage.natives, strict=True)
    ]
    return stage_sql(natives, stage.present, stage.bill.source, stage.bill.tier, sure=stage.sure)


def _explain(error: Exception, files: Sequence[BillFile]) -> str:
    names = ", ".join(f.uri for f in files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
    lines = str(error).split("Possible fixes")[0].splitlines()
    named = next(
        (x.partition("=")[2].strip() for x in str(error).splitlines() if x.strip().startswith("file =")), ""
    )
    found = next((f.uri for f in files if str(f.path) == named), names)
    reason = " ".join(line.strip()[:120] for line in lines if line.strip())
    if "Overflow in SUM" in reason:
        return f"{found}: the amounts of the month add up to 10^26 or more, so one of them is damaged; have it delivered again"
    return (
        f"{found} cannot be read as a bill: {reason}. Have it delivered again as CSV in UTF-8, or as Parquet"
    )


@dataclass(frozen=True)
class _Month:
    """One slice to be read: how much of it, and what the delivery holds where that has been looked at.

    Attributes:
        item: The slice.
        everything: All its rows, those that need not be read included.
        plan: What is to be read.
        found: What it holds.
        groups: Parquet file of what `repeated` starts from.
        copies: Issues of files that repeat each other.
    """

    item: Slice
    everything: Stage
    plan: Plan = EVERYTHING
    found: Survey | None = None
    groups: Path | None = None
    copies: Sequence[dict[str, Any]] = ()

    @property
    def whole(self) -> str:
        """SQL condition of all rows of the slice."""
        return f"(__month = DATE '{self.item.period}')"

    @property
    def where(self) -> str:
        """SQL condition of the rows to read."""
        return f"({self.whole} AND {self.plan.condition})"

    def all_of(self, stage: Stage) -> Stage:
        """All its rows, those that need not be read included, where these are the rows to read."""
        return stage if self.plan is EVERYTHING else self.everything


def _month(item: Slice, stage: Stage, key: str, groups: Path | None, engine: Engine) -> _Month:
    """How to read a slice. Where files may repeat each other, the scan that says so counts what that is judged by, too."""
    month, earlier = _Month(item, stage), item.earlier
    if earlier is None or earlier.memory.get("key") != key:
        return month
    rows = f"FROM {stage.rows} WHERE {month.whole}"
    if groups:
        engine.copy(f"SELECT {SURVEY}, {GROUPS}, {COUNTS} {rows} GROUP BY ALL", groups, ordered=False)
        found = survey(engine.rows(f"SELECT {SURVEYS} FROM {_parquet(groups)} GROUP BY day, currency"))
    else:
        found = survey(engine.rows(f"SELECT {SURVEY} {rows} GROUP BY __day, currency"))
    return replace(month, plan=plan(earlier, found), found=found, groups=groups)


def _groups(item: Slice, files: Sequence[BillFile], work: Path) -> Path | None:
    """Where to count what two files may repeat; None if none can: a manifest names each once, or there is one only."""
    if "manifests" in item.detail or sum(item.period in f.months for f in files) == 1:
        return None
    return work / f"groups-{item.period}.parquet"


def _parquet(path: Path) -> str:
    return f"read_parquet({literals([path])}, hive_partitioning=false)"


def _copies(month: _Month, stage: Stage, engine: Engine) -> list[dict[str, Any]]:
    """Issues of files that repeat each other, unless a manifest says that they do not."""
    if "manifests" in month.item.detail:
        return []
    groups = _parquet(month.groups) if month.groups else ""
    return repeated(month.all_of(stage), month.whole, groups, engine)


def _superseded(
    month: _Month,
    stage: Stage,
    files: Sequence[BillFile],
    engine: Engine,
) -> tuple[Mapping[BillFile, BillFile], Sequence[dict[str, Any]]]:
    """Files that a later one holds, too, and those that it may; none where a manifest or the option says that each counts."""
    told = month.item.detail.get(so_far.MONTH_SO_FAR)
    if "manifests" in month.item.detail or told == "no":
        return {}, ()
    mine = [f for f in files if month.item.period in f.months]
    return so_far.superseded(month.all_of(stage), month.whole, mine, engine, told=told == "yes")


def _loaded(month: _Month, stage: Stage, key: str, work: Path, engine: Engine) -> Loaded | None:
    """A slice; None where it turns out that all its rows must be read: what a commitment cost may depend on them."""
    item, chosen = month.item, month.plan
    looked, read, stated = (Survey(), {}, True) if chosen.fresh == () else counted(stage, month.where, engine)
    if chosen.kept and not stated:
        return None
    set_aside = [*rejected(stage, month.where, engine)] if any(d["rejected"] for d in read.values()) else []
    facts = _facts(month, stage, work, engine, stated=stated)
    for path in facts.values():
        for day, found_there in noted(stage, _parquet(path), month.where, engine).items():
            read[day]["noted"] = found_there
    found = month.found or looked
    remembered = memory(key, found, chosen, read)
    days = remembered["days"].values()
    issues = [*set_aside, *_issues(month, stage, found, days, engine), *month.copies]
    ignored = sorted({c for n in stage.natives for c in n.ignored})
    files = [f for s in stage.shapes for f in s.files if item.period in f.months]
    notes = [item.detail.get("note", ""), f"columns not used: {', '.join(ignored)}" if ignored else ""]
    notes += [*dates.remark(files), *numbers.remark(files)]
    loaded = Loaded(
        slice=item,
        facts=facts,
        rows_read=sum(d.read for d in found.days.values()),
        rows_loaded=sum(d["loaded"] for d in days),
        totals=found.totals,
        note="; ".join(n for n in notes if n),
        kept=chosen.parts,
        memory=remembered if stated and stage.bill.by_row else {},
    )
    issues += like_keys(loaded.rows_of(*TAGS), stage.written, engine)
    return replace(loaded, issues=pl.DataFrame(issues, schema=ISSUES_SCHEMA, orient="row"))


def _issues(
    month: _Month, stage: Stage, found: Survey, days: Collection[Mapping[str, Any]], engine: Engine
) -> list[dict[str, Any]]:
    """What was repaired or flagged in rows, read now or kept, and what is wrong with the files together."""
    item, everything = month.item, month.all_of(stage)
    issues = gathered(days)
    issues += footers(month.everything, item.period)
    issues += contradictions(month.everything, item.period, engine)
    if any(d.headers for d in found.days.values()):
        issues += headers(everything, month.whole, engine)
    skipped = sum(d.skipped for d in found.days.values())
    if skipped:
        rule = next(n.skip_rule for n in stage.natives if n.skip != "FALSE")
        issues.append({"action": "flagged", "rule": rule, "column_name": "BilledCost", "rows": skipped})
        issues += orphans(everything, month.whole, engine)
    return issues


def _facts(month: _Month, stage: Stage, work: Path, engine: Engine, *, stated: bool) -> dict[str, Path]:
    """Table -> file with the rows to read and the masks of their notes; none where all days are kept.

    `stated`: the bill says all effective costs.
    """
    if month.plan.fresh == ():
        return {}
    where = f"{month.where} AND {KEPT}"
    columns = {
        name: coded_name(name) if name in stage.looked_up else identifier(name) for name in stage.written
    }
    if not stated:
        columns["EffectiveCost"] = f"CAST({effective_cost(stage, where)} AS DECIMAL(38,12))"
    selected = ", ".join([*(f"{sql} AS {identifier(name)}" for name, sql in columns.items()), *stage.masks])
    path = work / f"cost-and-usage-{month.item.period}.parquet"
    engine.copy(f"SELECT {selected} FROM {stage.rows} WHERE {where}", path, ordered=False)
    return {tables.FOCUS.name: path}
