"""The ways that are compared: our own run over a bill, and DuckDB's bare copy; `pandas_script.py` has another.

What is compared with what, and what is good enough, belongs to `cases.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from math import isclose
from pathlib import Path
from typing import Any

from connectors.aws.cur2 import Cur2Reader
from connectors.aws.mapping import to_focus
from connectors.base import Context, Object, Window
from connectors.bills.files import open_bill
from connectors.bills.shapes import shapes
from connectors.sql import files as sql_files
from connectors.sql import identifier
from pipelines.bench.generate import SEPTEMBER, deliver
from pipelines.bench.measure import Work
from pipelines.engines.duckdb import DuckDBEngine
from pipelines.facts import FactStore, SliceFacts
from pipelines.reduce import daily_costs

KIND = "aws_cur2"
DONE = datetime(2026, 10, 1, tzinfo=UTC)


def generate(root: Path, rows: int, months: Sequence[date], more: dict[str, Any]) -> Work:
    """Writes deliveries; `more` are further arguments of `deliver`."""

    def work() -> dict[str, Any]:
        for month in months:
            deliver(root, rows, month, **more)
        return {}

    return work


def update(root: Path, data: Path, *, reduce: bool = True, listed: bool = True) -> Work:
    """What a daily run does with a bill: list, read what changed, commit it, and reduce it to daily costs.

    Args:
        root: The location.
        data: Folder of facts, kept between runs.
        reduce: Go as far as daily costs.
        listed: The files have been listed (and so hashed) before.
    """
    context = Context("bench", root, data / "cache", {})
    window = Window(DONE.date(), DONE)
    store, reduced, work_folder = FactStore(data / "facts"), data / "reduced", data / "work"
    reduced.mkdir(parents=True, exist_ok=True)
    current = data / "current.json"
    options = Cur2Reader.Options.model_validate({"kind": KIND, "location": str(root)})
    if listed:
        Cur2Reader(options, context).slices(window)

    def work() -> dict[str, Any]:
        reader = Cur2Reader(options, context)
        offered = reader.slices(window)
        found = {s.period: store.find("bench", s.period, s.fingerprint) for s in offered}
        known = (
            {
                f.period: f
                for f in (SliceFacts.from_json(d, store.root) for d in json.loads(current.read_text()))
            }
            if current.is_file()
            else {}
        )
        changed = [
            replace(s, earlier=known[s.period].earlier if s.period in known else None)
            for s in offered
            if found[s.period] is None
        ]
        if changed:
            with DuckDBEngine(temp=work_folder / "spill") as engine:
                for loaded in reader.load(changed, work_folder, engine):
                    found[loaded.slice.period] = store.commit(
                        "bench", KIND, loaded, DONE.replace(tzinfo=None)
                    )
        facts = [f for f in found.values() if f is not None]
        current.write_text(json.dumps([f.to_json() for f in facts]))
        costs = daily_costs(facts, {}, reduced) if reduce else None
        return {
            "read": len(changed),
            "slices": len(facts),
            "rows": sum(f.rows["loaded"] for f in facts),
            "billed": sum((f.totals["USD"] for f in facts), Decimal(0)),
            "reduced": None if costs is None else costs["billed_cost"].sum(),
        }

    return work


def copy(source: Sequence[Path], columns: Sequence[str], to: Path) -> Work:
    """DuckDB's Parquet-to-Parquet copy of native columns, compressed as our facts are."""
    with DuckDBEngine(temp=to.with_suffix(".spill")) as engine:
        engine.query("SELECT 1")

    def work() -> dict[str, Any]:
        names = ", ".join(map(identifier, columns))
        with DuckDBEngine(temp=to.with_suffix(".spill")) as engine:
            return {"rows": engine.copy(f"SELECT {names} FROM {_scan(source)}", to)}

    return work


def look(source: Sequence[Path]) -> Work:
    """The columns of a delivery, those that the mapping to FOCUS uses, and the sum of the native costs."""

    def work() -> dict[str, Any]:
        with DuckDBEngine() as engine:
            bill = open_bill(Object(source[0].name, 0, ""), source[0].name, source[0], (SEPTEMBER,))
            shape = shapes([bill], engine)[0]
            native = to_focus(shape)
            sql = " ".join(
                [*native.focus.values(), native.cost, native.currency, native.skip, native.cost_kind]
            )
            cost = "SUM(CAST(CAST(line_item_unblended_cost AS VARCHAR) AS DECIMAL(38,12)))"
            found = engine.query(
                f"SELECT COUNT(*) AS rows, CAST({cost} AS DECIMAL(38,12)) AS billed FROM {_scan(source)}"
            )
            used = [c for c in shape.text if identifier(c) in sql]
            return {"columns": list(shape.text), "used": used, **found.row(0, named=True)}

    return work


def compare(data: Path, rows: Path, daily: Path) -> Work:
    """What a script made of the bill, beside our facts and daily costs.

    Amounts may differ as doubles do; of texts and times each column has to hold the same values as often.

    Args:
        data: The folder of `update`.
        rows: The script's FOCUS rows.
        daily: Its daily costs.
    """

    def work() -> dict[str, Any]:
        keys = ("day", "sub_account", "service_name", "tags")
        names = ", ".join(keys)
        sums = "SUM(billed_cost) AS billed, SUM(effective_cost) AS effective"
        ours = (
            f"SELECT {names}, {sums} FROM {_scan(sorted((data / 'reduced').glob('*.parquet')))} GROUP BY ALL"
        )
        other = f"SELECT {names}, {sums} FROM {_scan([daily])} GROUP BY ALL"
        gaps = [f"abs(CAST(a.{c} AS DOUBLE) - CAST(b.{c} AS DOUBLE))" for c in ("billed", "effective")]
        with DuckDBEngine() as engine:
            found = engine.query(
                f"SELECT COUNT(*) AS groups, MAX(greatest({', '.join(gaps)})) AS greatest, "
                "COUNT(*) FILTER (a.billed IS NULL OR b.billed IS NULL) AS alone "
                f"FROM ({ours}) AS a FULL JOIN ({other}) AS b USING ({names})"
            ).row(0, named=True)
            facts = _scan(sorted((data / "facts").rglob("focus.*.parquet")))
            types = engine.columns(f"SELECT * FROM {facts}")
            shared = [c for c in engine.columns(f"SELECT * FROM {_scan([rows])}") if c in types]
            one, two = (
                engine.query(f"SELECT {', '.join(_told(c, types[c]) for c in shared)} FROM {of}").row(0)
                for of in (facts, _scan([rows]))
            )
        unlike = [
            c
            for c, a, b in zip(shared, one, two, strict=True)
            if a[0] != b[0] or not isclose(a[1], b[1], rel_tol=0, abs_tol=0.005)
        ]
        return {**found, "columns": len(shared), "unlike": unlike}

    return work


def _told(column: str, type_: str) -> str:
    """SQL: how many values a column has, and their sum, or that of their hashes."""
    name = identifier(column)
    if type_.startswith("DECIMAL"):
        return f"[count({name}), COALESCE(SUM(CAST({name} AS DOUBLE)), 0)]"
    return f"[count({name}), COALESCE(SUM(CAST(hash(CAST({name} AS {type_})) % 1000003 AS HUGEINT)), 0)]"


def _scan(source: Sequence[Path]) -> str:
    return f"read_parquet({sql_files(source)}, hive_partitioning=false)"
