"""Write and publish: what is staged, and when it becomes what people read. How it is judged: `audit.py`."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from models import tables
from models.restatement import changes
from pipelines import metrics_file
from pipelines.closing import closed_months
from pipelines.facts import SliceFacts
from pipelines.list_prices import look_up
from pipelines.reduce import daily_costs
from pipelines.run import Run
from pipelines.warehouse import STATEMENTS, WAREHOUSE, build

KEPT_RUNS = 4
KEPT = ("kept", "stale", "not_ready")
"""States of slices whose earlier figures stand although their source did not offer them to this run."""
Metadata = Mapping[str, int | float | str]


class GateError(Exception):
    """Publication was asked for and the gates' stored result does not allow it."""


@cache
def code_hash() -> str:
    """Changes when any of our code does: what is published follows from it."""
    digest = hashlib.sha256()
    root = Path(__file__).resolve().parent.parent
    for package in ("models", "connectors", "dashboards", "pipelines"):
        for file in sorted((root / package).rglob("*")):
            if file.is_file() and file.suffix != ".pyc":
                digest.update(str(file.relative_to(root)).encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()


def plan(run: Run) -> Metadata:
    """Compares the inputs of this run with those of the publication; later steps pass when nothing differs."""
    slices = run.slices()
    states = source_states(run)
    inputs = {
        "slices": [(s.source, s.period.isoformat(), s.fingerprint, s.folder.name) for s in slices],
        "sources": [(s["source"], s["error"]) for s in states],
        "kept": [
            (s.source, s.period.isoformat()) for s in slices if s.grain == "month" and s.status == "kept"
        ],
        "config": run.config.hash,
        "data_dir": str(run.config.data_dir),  # the published views name files
        "list_prices": look_up(run),
        "closed": closed_months(run.config.data_dir),
        "code": code_hash(),
        "day": run.as_of.isoformat(),
    }
    digest = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
    published = run.warehouse.publication
    unchanged = published is not None and published["input_hash"] == digest
    run.write_json("plan", {"input_hash": digest, "unchanged": unchanged})
    _prune_runs(run)
    return {
        "slices": len(slices),
        "slices_read": sum(s.status == "loaded" for s in slices),
        "unchanged": int(unchanged),
    }


def _prune_runs(run: Run) -> None:
    """Removes what failed runs left, but for the last few, which a person may want to look at."""
    folders = sorted(run.folder.parent.iterdir(), key=lambda f: f.stat().st_mtime)
    for folder in folders[:-KEPT_RUNS]:
        if folder != run.folder:
            shutil.rmtree(folder, ignore_errors=True)


def source_states(run: Run) -> list[dict[str, Any]]:
    """One row of `ops.sources` for each source."""
    states = []
    for source in run.config.sources.values():
        kept = run.read_json(f"slices/{source.name}")
        slices = kept["slices"]
        read_at = [
            datetime.fromisoformat(s["read_at"]) for s in slices if s["status"] in ("stale", "not_ready")
        ]
        status = "stale" if kept["error"] else "ok" if slices else "empty"
        states.append(
            {
                "source": source.name, "kind": source.kind, "required": source.required, "status": status,
                "stale_since": max(read_at, default=None) if status == "stale" else None,
                "last_day": kept.get("last_day"), "error": kept["error"], "months_not_ready": kept["not_ready"],
            }
        )  # fmt: skip
    return states


def stage(run: Run) -> Metadata:
    """Builds the warehouse, statements apart, in the run's folder."""
    run.report("building the warehouse")
    slices = run.slices()
    frames = {
        name: run.read_frame(name)
        for name in tables.TABLES
        if (run.folder / "frames" / f"{name}.parquet").is_file()
    }
    issues = [
        found.with_columns(source=pl.lit(s.source), period=pl.lit(s.period))
        for s in slices
        if (found := run.facts.issues(s)) is not None
    ]
    if (contradictions := run.read_frame("contradictions")).height:
        issues.append(contradictions)
    if issues:
        frames[tables.QUARANTINE.name] = pl.concat([tables.QUARANTINE.conform(i) for i in issues])
    frames[tables.INGESTS.name] = _ingests(run)
    frames[tables.SOURCES.name] = _source_frame(run)
    frames[tables.PUBLICATIONS.name] = _publications(run, frames)
    folder = run.stage
    build(folder / WAREHOUSE, frames, slices)
    (folder / "slices.json").write_text(json.dumps([s.to_json() for s in slices], indent=1))
    return {
        "rows_quarantined": frames.get(tables.QUARANTINE.name, pl.DataFrame()).height,
        "slices": len(slices),
    }


def _source_frame(run: Run) -> pl.DataFrame:
    """`ops.sources`, the last day with data taken from the facts' periods and from daily costs."""
    costs = run.read_frame("daily_costs").group_by("source").agg(pl.col("day").max().alias("last_cost_day"))
    last_cost = dict(costs.iter_rows())
    rows = []
    for state in source_states(run):
        days = [s.period for s in run.slices() if s.source == state["source"] and s.grain == "day"]
        found = [*days, *([last_cost[state["source"]]] if state["source"] in last_cost else [])]
        rows.append({**state, "last_day": max(found, default=None)})
    schema = {c.name: tables.TYPES[c.type][1] for c in tables.SOURCES.columns}
    return pl.DataFrame(rows, schema=schema)


def _ingests(run: Run) -> pl.DataFrame:
    """The log of slices: what earlier publications logged, and what this run read, kept or found stale.

    A version that counts again after another one has a row anew: it changed what was published, too.
    """
    earlier = run.warehouse.read(f"SELECT * FROM {tables.INGESTS.name}")
    slices = run.slices()
    key = ["source", "period", "fingerprint"]
    live = set(earlier.filter("current").select(key).iter_rows()) if earlier is not None else set()
    rows = [
        {
            "run_id": run.id, "source": s.source, "kind": s.kind, "period": s.period, "grain": s.grain,
            "status": "loaded" if s.status == "unchanged" else s.status, "current": True, "fingerprint": s.fingerprint,
            "rows_read": s.rows["read"], "rows_loaded": s.rows["loaded"], "rows_rejected": s.rows["rejected"],
            "rows_repaired": s.rows["repaired"], "objects": json.dumps(s.objects),
            "facts": json.dumps({t: [str(p.file) for p in s.parts(t)] for t in s.tables}), "read_at": s.read_at.replace(tzinfo=None), "note": s.note,
            "changes": _changes(run, s),
        }
        for s in slices
        if (s.source, s.period, s.fingerprint) not in live
    ]  # fmt: skip
    new = (
        tables.INGESTS.conform(pl.DataFrame(rows, infer_schema_length=None))
        if rows
        else tables.INGESTS.empty()
    )
    if earlier is None:
        return new
    now_live = pl.DataFrame(
        [(s.source, s.period, s.fingerprint, s.status if s.status in KEPT else "loaded") for s in slices],
        schema={"source": pl.String, "period": pl.Date, "fingerprint": pl.String, "now": pl.String},
        orient="row",
    )
    kept = tables.INGESTS.conform(
        earlier.join(now_live, on=key, how="left").with_columns(
            current=pl.col("current") & pl.col("now").is_not_null(),
            status=pl.when("current").then(pl.coalesce("now", "status")).otherwise("status"),
        )
    )
    return pl.concat([kept, new])


def _changes(run: Run, facts: SliceFacts) -> str | None:
    """What a version of a slice of charges changed in the published version it replaces; NULL if it is the first."""
    replaced = [s for s in run.warehouse.current_slices(facts.source) if s.period == facts.period]
    if not replaced or tables.FOCUS.name not in {*facts.tables, *replaced[0].tables}:
        return None
    cache = run.config.data_dir / "cache" / "daily_costs"
    before, after = (daily_costs([s], {}, cache) for s in (replaced[0], facts))
    return json.dumps(changes(before, after))


def _publications(run: Run, frames: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    reconciliation = frames[tables.RECONCILIATION.name]
    money_in = _by_currency(reconciliation, pl.col("source_total"))
    money_out = _by_currency(reconciliation, pl.col("allocated_total") + pl.col("quarantined_total"))
    row = {
        "run_id": run.id, "published_at": datetime.now(UTC).replace(tzinfo=None), "as_of": run.as_of,
        "version": importlib.metadata.version("tierwise"), "currency": run.config.settings.currency,
        "config_hash": run.config.hash, "input_hash": run.read_json("plan")["input_hash"],
        "money_in": json.dumps(money_in), "money_out": json.dumps(money_out),
    }  # fmt: skip
    new = tables.PUBLICATIONS.conform(pl.DataFrame([row]))
    earlier = run.warehouse.read(f"SELECT * FROM {tables.PUBLICATIONS.name}")
    return new if earlier is None else pl.concat([tables.PUBLICATIONS.conform(earlier), new])


def _by_currency(reconciliation: pl.DataFrame, amount: pl.Expr) -> dict[str, str]:
    sums = reconciliation.group_by("currency").agg(amount.sum().alias("amount")).sort("currency")
    return {c: str(a) for c, a in sums.iter_rows()}


def statements(run: Run) -> Metadata:
    """Renders the statements of the staged warehouse."""
    from dashboards.statements import render_all
    from dashboards.store import Store

    run.report("writing statements")
    with Store(run.stage / WAREHOUSE, facts=run.config.data_dir / "facts") as store:
        charts = run.config.data_dir / "cache" / "charts"
        files = render_all(store, run.stage / STATEMENTS, charts, run.warehouse.statements)
    return {"files": len(files)}


def publish(run: Run) -> Metadata:
    """Replaces the published warehouse and statements, if the gates' stored result allows it.

    A run that differs in nothing from what is published only tidies up after itself.

    Raises:
        GateError: The gates were not run on what is staged, or one of them failed.
    """
    if run.unchanged:
        remarks = _write_metrics(run)
        shutil.rmtree(run.folder, ignore_errors=True)
        return {
            "as_of": run.as_of.isoformat(),
            "warehouse": str(run.warehouse.path),
            "unchanged": 1,
            **remarks,
        }
    result = run.folder / "quality.json"
    stored = json.loads(result.read_text()) if result.is_file() else None
    if stored is None or stored["run_id"] != run.id:
        msg = f"run {run.id}: the gates were not run on what is staged; nothing was published"
        raise GateError(msg)
    if not stored["passed"]:
        msg = f"run {run.id}: nothing was published; " + "; ".join(stored["failed"])
        raise GateError(msg)
    run.report("publishing")
    staged = run.stage
    information = {
        "run_id": run.id,
        "as_of": run.as_of.isoformat(),
        **run.read_json("plan"),
        "config_file": str(run.config.file),
    }
    (staged / "publication.json").write_text(json.dumps(information, indent=1))
    run.warehouse.publish(run.id, staged, run.config.settings.publish.keep)
    run.facts.prune(run.warehouse.referenced())
    remarks = _write_metrics(run)
    shutil.rmtree(run.folder, ignore_errors=True)
    return {"as_of": information["as_of"], "warehouse": str(run.warehouse.path), **remarks}


def _write_metrics(run: Run) -> dict[str, str]:
    """Writes the metrics file, if one is configured; what is published stands even if it cannot be written.

    Returns:
        `warning`: Why it could not be written; nothing where it was.
    """
    name = run.config.settings.publish.metrics_file
    if name is None:
        return {}
    file = run.config.file.parent / name
    try:
        metrics_file.write(run.warehouse, file)
    except OSError as error:
        return {
            "warning": f"publish.metrics_file: {file} cannot be written: {error.strerror}; published all the same"
        }
    return {}
