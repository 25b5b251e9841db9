"""Judges what a run staged, before it is published: what the gates look at, and their verdicts."""

from __future__ import annotations

import polars as pl

from models import tables
from models.restatement import billed_twice, moved
from pipelines.checks.gate import Gate, Known, Verdict, metrics_sql
from pipelines.checks.gates import gates
from pipelines.engines.duckdb import DuckDBEngine
from pipelines.focus_checks import gate_counts
from pipelines.reduce import SITE, focus_counts
from pipelines.run import Run
from pipelines.warehouse import WAREHOUSE, read_only


def check(run: Run) -> list[Verdict]:
    """Judges the staged warehouse and stores the verdicts in it and in the run's folder."""
    known = gates(run.config.settings.gates)
    if run.unchanged:
        return _stored(run, known)
    from pipelines.checks.judge import judge, quality

    run.report("checking the gates")
    owned = run.read_json("owned")
    file = run.stage / WAREHOUSE
    connection = read_only(file, run.config.data_dir)
    try:
        row = (
            connection.sql(
                metrics_sql(
                    known,
                    Known(
                        **owned,
                        moved=_moved(run),
                        billed_twice=_billed_twice(run),
                        removed=_removed(run),
                        broken=gate_counts(
                            focus_counts(run.slices(), run.config.data_dir / "cache" / "focus_checks")
                        ),
                    ),
                )
            )
            .pl()
            .row(0, named=True)
        )
    finally:
        connection.close()
    found = judge(known, row, run.config.data_dir / "gx", run.id)
    with DuckDBEngine(file) as engine:
        earlier = run.warehouse.read(f"SELECT * FROM {tables.QUALITY.name}")
        if earlier is not None:
            engine.insert(tables.QUALITY.name, tables.QUALITY.conform(earlier))
        engine.insert(tables.QUALITY.name, quality(found, run.id))
        engine.execute("CHECKPOINT")
    run.write_json(
        "quality",
        {
            "run_id": run.id,
            "passed": not any(v.blocks for v in found),
            "failed": [v.sentence() for v in found if v.blocks],
        },
    )
    return found


def _moved(run: Run) -> str:
    """Charges of kept months that are billed in another month of their source now, in words."""
    months = [(s.source, s.period) for s in run.slices() if s.status == "kept" and s.grain == "month"]
    if not months:
        return ""
    kept = pl.DataFrame(months, schema={"source": pl.String, "billing_month": pl.Date}, orient="row")
    return "; ".join(
        f"of {source} {month:%Y-%m}, {currency} {billed:.2f} is billed in another month, too"
        for source, month, currency, billed in moved(run.read_frame("daily_costs"), kept).iter_rows()
    )


def _billed_twice(run: Run) -> list[str]:
    """Accounts that a legacy CUR and a CUR 2.0 both bill for a month, in words."""
    legacy, current = (
        [s.name for s in run.config.sources.values() if s.kind == kind] for kind in ("aws_cur", "aws_cur2")
    )
    if not (legacy and current):
        return []
    found = billed_twice(run.read_frame("daily_costs"), legacy, current)
    return [
        f"account {account} in {month:%Y-%m} by {one} and {other}, {currency} {billed:.2f} in {one}"
        for month, account, currency, one, billed, other in found.iter_rows()
    ]


def _removed(run: Run) -> list[str]:
    """Sources that are published and no longer configured, and months in which a site has no charges any more, in words."""
    now = {(s.source, s.period) for s in run.slices()}
    configured = {source for source, _ in now}
    gone = {s.source for s in run.warehouse.current_slices()} - configured
    charged = run.warehouse.read(
        f"SELECT source, month, currency, CAST(sum(allocated_total) AS DECIMAL(38,2)) AS total FROM {tables.RECONCILIATION.name} "
        "GROUP BY GROUPING SETS ((source, currency), (source, month, currency)) ORDER BY ALL"
    )
    amounts: dict[str, list[str]] = {name: [] for name in sorted(gone)}
    for source, month, currency, total in charged.iter_rows() if charged is not None else ():
        if month is None and source in gone:
            amounts[source].append(f"{currency} {total}")
        elif (
            month is not None
            and source in configured
            and source.startswith(SITE)
            and (source, month) not in now
        ):
            amounts.setdefault(f"{source} {month:%Y-%m}", []).append(f"{currency} {total}")
    return [f"{name}: {', '.join(charges) or 'no charges'}" for name, charges in amounts.items()]


def _stored(run: Run, known: tuple[Gate, ...]) -> list[Verdict]:
    """The verdicts of the publication, which follow from the same inputs."""
    published = run.warehouse.publication or {}
    stored = run.warehouse.read(
        f"SELECT gate, passed, value, detail FROM {tables.QUALITY.name} WHERE run_id = '{published.get('run_id')}'"
    )
    by_name = {r["gate"]: r for r in stored.iter_rows(named=True)} if stored is not None else {}
    return [
        Verdict(g, by_name[g.name]["value"], by_name[g.name]["passed"], "as published")
        for g in known
        if g.name in by_name
    ]
