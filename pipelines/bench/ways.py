"""The ways that are compared: our own run over a bill, DuckDB's bare copy, and a plain pandas script.

What is compared with what, and what is good enough, belongs to `cases.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from connectors.aws.columns import is_number
from connectors.aws.cur2 import Cur2Reader
from connectors.aws.mapping import to_focus
from connectors.base import Context, Object, Window
from connectors.bills.files import open_bill
from connectors.bills.shapes import shapes
from connectors.sql import files as sql_files
from connectors.sql import identifier, literal
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


def pandas_script(source: Sequence[Path], to: Path, used: Sequence[str] = (), *, exact: bool = False) -> Work:
    """Daily billed and effective cost by account, service and tags, as an analyst would write it.

    Args:
        source: The files.
        to: Parquet file of the daily costs.
        used: Columns to keep for each row, written beside them with the effective cost; none for totals only.
        exact: Count in decimals, as they are written, so that sums are right to the last digit; else in doubles.
    """
    import pandas

    def work() -> dict[str, Any]:
        columns = [*used] or [
            "line_item_line_item_type", "line_item_unblended_cost", "line_item_usage_start_date",
            "line_item_usage_account_id", "product", "resource_tags", "reservation_effective_cost",
            "reservation_unused_amortized_upfront_fee_for_billing_period", "reservation_unused_recurring_fee",
            "savings_plan_savings_plan_effective_cost", "savings_plan_total_commitment_to_date",
            "savings_plan_used_commitment",
        ]  # fmt: skip
        bill = pandas.concat([pandas.read_parquet(f, columns=columns) for f in source], ignore_index=True)
        if exact:
            for column in filter(is_number, columns):
                bill[column] = bill[column].map(lambda amount: Decimal(repr(amount)))
        zero = Decimal(0) if exact else 0.0
        kind, cost = bill["line_item_line_item_type"], bill["line_item_unblended_cost"]
        unused_plan = bill["savings_plan_total_commitment_to_date"] - bill["savings_plan_used_commitment"]
        unused_reservation = (
            bill["reservation_unused_amortized_upfront_fee_for_billing_period"]
            + bill["reservation_unused_recurring_fee"]
        )
        bill["effective_cost"] = cost.case_when(
            [
                (kind.eq("SavingsPlanCoveredUsage"), bill["savings_plan_savings_plan_effective_cost"]),
                (kind.eq("DiscountedUsage"), bill["reservation_effective_cost"]),
                (kind.eq("SavingsPlanNegation"), zero),
                (kind.eq("SavingsPlanRecurringFee"), unused_plan),
                (kind.eq("RIFee"), unused_reservation),
            ]
        )
        bill["day"] = bill["line_item_usage_start_date"].dt.date
        bill["service_name"] = bill["product"].map(lambda pairs: dict(pairs)["product_name"])
        bill["tags"] = bill["resource_tags"].map(_tags)
        if used:
            rows = bill.drop(columns=["product", "resource_tags"])
            rows.to_parquet(to.with_suffix(".rows.parquet"), compression="zstd")
        keys = ["day", "line_item_usage_account_id", "service_name", "tags"]
        daily = bill.groupby(keys)[["line_item_unblended_cost", "effective_cost"]].sum().reset_index()
        daily.columns = ["day", "sub_account", "service_name", "tags", "billed_cost", "effective_cost"]
        daily.to_parquet(to)
        return {"rows": len(bill)}

    return work


def _tags(pairs: Sequence[tuple[str, str]]) -> str:
    names = {k.removeprefix("user_").replace("aws_", "aws:"): v for k, v in pairs}
    return json.dumps(names, separators=(",", ":"))


def compare(data: Path, theirs: Path) -> Work:
    """The greatest difference of any daily cost, in currency units, and days that only one side has."""

    def work() -> dict[str, Any]:
        keys = ("day", "sub_account", "service_name", "tags")
        names = ", ".join(keys)
        sums = "SUM(billed_cost) AS billed, SUM(effective_cost) AS effective"
        ours = (
            f"SELECT {names}, {sums} FROM {_scan(sorted((data / 'reduced').glob('*.parquet')))} GROUP BY ALL"
        )
        other = f"SELECT {names}, {sums} FROM read_parquet({literal(theirs)}) GROUP BY ALL"
        gaps = [f"abs(CAST(a.{c} AS DOUBLE) - CAST(b.{c} AS DOUBLE))" for c in ("billed", "effective")]
        with DuckDBEngine() as engine:
            found = engine.query(
                f"SELECT COUNT(*) AS groups, MAX(greatest({', '.join(gaps)})) AS greatest, "
                "COUNT(*) FILTER (a.billed IS NULL OR b.billed IS NULL) AS alone "
                f"FROM ({ours}) AS a FULL JOIN ({other}) AS b USING ({names})"
            )
        return found.row(0, named=True)

    return work


def _scan(source: Sequence[Path]) -> str:
    return f"read_parquet({sql_files(source)}, hive_partitioning=false)"
