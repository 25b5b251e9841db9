"""A month of a legacy CUR that is delivered again and again, and the facts read from it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
from polars import selectors as cs

from connectors.base import Loaded
from connectors.parts import current_rows
from models import tables
from pipelines.facts import FactStore, SliceFacts
from pipelines.reduce import daily_costs
from tests.connectors.bills.helpers import CUR_ROW, WINDOW, cur, deliver, reader
from tests.engine import Session

SEPTEMBER = date(2026, 9, 1)
FOCUS = "focus.cost_and_usage"
Rows = Sequence[Mapping[str, str]]
NUMBERS = ("lineItem/UnblendedCost", "lineItem/UsageAmount", "pricing/publicOnDemandCost")
COLUMNS = (*CUR_ROW, "splitLineItem/ParentResourceId", "lineItem/AvailabilityZone")


def row(day: int, **changes: str) -> dict[str, str]:
    start, end = f"2026-09-{day:02}T00:00:00Z", f"2026-09-{day:02}T01:00:00Z"
    return cur(lineItem__UsageStartDate=start, lineItem__UsageEndDate=end, **changes)


def write_parquet(root: Path, rows: Rows) -> None:
    """Replaces what is there by one Parquet file, costs as doubles, moments as timestamps."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    frame = pl.DataFrame(
        [{c: r.get(c, "") or None for c in COLUMNS} for r in rows], schema=dict.fromkeys(COLUMNS, pl.String)
    )
    moments = [c for c in COLUMNS if c.endswith("Date")]
    frame.with_columns(
        pl.col(NUMBERS).cast(pl.Float64, strict=False),
        pl.col(moments).str.to_datetime("%Y-%m-%dT%H:%M:%SZ", strict=False),
    ).write_parquet(root / "a.parquet")


class Site:
    """A location and the facts read from it."""

    def __init__(self, root: Path, kind: str = "aws_cur") -> None:
        self.root = root
        self.kind = kind
        self.bill = root / "bill"
        self.store = FactStore(root / "facts")
        self.current: SliceFacts | None = None
        self.last: Loaded | None = None
        (root / "reduced").mkdir()

    def deliver(self, rows: Rows, form: str, number: int) -> None:
        if form == "parquet":
            write_parquet(self.bill, rows)
        else:
            shutil.rmtree(self.bill, ignore_errors=True)
            half = len(rows) // 2
            halves = {"a.csv.gz": rows[:half], "b.csv.gz": rows[half:]} if half else {"a.csv.gz": rows}
            filled = {name: [{c: r.get(c, "") for c in COLUMNS} for r in of] for name, of in halves.items()}
            deliver(self.bill, f"assembly-{number}", filled)

    def load(self, *, afresh: bool = False) -> SliceFacts:
        """Reads the month as `pipelines.ingest` does."""
        shutil.rmtree(self.root / "cache", ignore_errors=True)
        source = reader(self.kind, self.bill, self.root)
        (item,) = source.slices(WINDOW)
        store = FactStore(self.root / "afresh") if afresh else self.store
        if afresh:
            shutil.rmtree(store.root, ignore_errors=True)
        found = store.find("bills", item.period, item.fingerprint)
        if found is None:
            if self.current and not afresh:
                object.__setattr__(item, "earlier", self.current.earlier)
            with Session() as engine:
                (loaded,) = source.load([item], self.root / "work", engine)
            self.last = self.last if afresh else loaded
            found = store.commit(
                "bills", self.kind, loaded, datetime(2026, 10, 1, tzinfo=UTC).replace(tzinfo=None)
            )
        if not afresh:
            self.current = found
        return found  # fmt: skip

    def picture(self, facts: SliceFacts, *, full: bool = True) -> dict[str, Any]:
        """Everything that is known of a month, rows in a fixed order."""
        with Session() as engine:
            rows = engine.query(f"SELECT * FROM {current_rows(tables.FOCUS, facts.parts(FOCUS))}").select(
                ~cs.starts_with("__")
            )
        issues = self.store.issues(facts)
        costs = daily_costs([facts], {}, self.root / "reduced")
        return {
            "rows": rows.sort(rows.columns).rows(),
            "totals": facts.totals,
            "counts": facts.rows,
            "note": facts.note,
            "issues": [] if issues is None or not full else sorted(map(repr, issues.rows())),
            "daily": costs.sort(costs.columns).rows(),
        }  # fmt: skip


def month(**changes: dict[str, str]) -> list[dict[str, str]]:
    """Ten days of two charges; `d3={...}` changes those of day 3."""
    return [
        row(day, lineItem__UnblendedCost=f"{cost}") | changes.get(f"d{day}", {})
        for day in range(1, 11)
        for cost in (day, day + 0.5)
    ]
