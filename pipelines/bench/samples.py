"""The case `gpu`: minute samples of GPUs from Parquet to hours, beside DuckDB's bare scan of the same columns.

Samples are generated, the same for the same arguments: one file a day, in order of time, as a collector writes them;
no gaps, no MIG, a pod for eight cards of a node. Nothing is measured here.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from connectors.base import Context, Window
from connectors.sql import literal
from connectors.telemetry_files.reader import Options, TelemetryFilesReader
from models.config import Site
from models.tables import GPU_HOURLY
from pipelines.bench.generate import SEPTEMBER
from pipelines.bench.measure import Work
from pipelines.engines.duckdb import DuckDBEngine

DAYS = 30
CARD_ROWS = DAYS * 1440
"""Samples of one card."""

NUMBERS = ("utilisation", "power_w", "energy_mj")
LABELS = ("node", "gpu", "gpu_model", "namespace", "pod", "team", "workload")


def write_samples(folder: Path, cards: int) -> Work:
    """A sample a minute of each card for 30 days."""

    def work() -> dict[str, Any]:
        (folder / "gpu").mkdir(parents=True)
        with DuckDBEngine(temp=folder.with_suffix(".spill")) as engine:
            for day in range(DAYS):
                sql = f"""
                    SELECT TIMESTAMP '{SEPTEMBER}' + to_minutes(CAST(minute AS BIGINT)) AS ts,
                           'node-' || g // 8 AS node, 'GPU-' || g AS gpu, 'NVIDIA H100 80GB HBM3' AS gpu_model,
                           (g * 31 + minute * 7) % 1000 / 1000 AS utilisation, 300.0 + (g * 17 + minute) % 400 AS power_w,
                           1e12 + minute * 30e6 AS energy_mj, 'ml' AS namespace,
                           'job-' || g // 8 || '-' || (minute + g // 8 * 37) // 2000 AS pod,
                           'team-' || g // 8 % 9 AS team, 'work-' || g // 8 % 40 AS workload
                    FROM range({day * 1440}, {(day + 1) * 1440}) AS minutes(minute), range({cards}) AS cards(g)
                    ORDER BY minute, g"""
                target = literal(folder / "gpu" / f"{day + 1:02d}.parquet")
                engine.execute(f"COPY ({sql}) TO {target} (FORMAT parquet, COMPRESSION zstd)")
        return {}

    return work


def scan(folder: Path, columns: tuple[str, ...] = ()) -> Work:
    """DuckDB alone: sums of the numbers; of `columns`, the greatest, since text has no sum."""

    def work() -> dict[str, Any]:
        parts = ["COUNT(ts)", *(f"SUM({c})" for c in NUMBERS), *(f"MAX({c})" for c in columns)]
        with DuckDBEngine(temp=folder.with_suffix(".spill")) as engine:
            found = engine.query(
                f"SELECT {', '.join(parts)} FROM read_parquet({literal(folder / 'gpu' / '*.parquet')})"
            )
        return {"rows": found.row(0)[0]}

    return work


def to_hours(folder: Path, data: Path) -> Work:
    """Our own way, from listing the files to hourly facts of each day."""
    options = Options(kind="telemetry_files", location=str(folder), site="dc1")
    context = Context(
        "dc1", folder, data / "cache", {"dc1": Site.model_validate({"time_zone": "UTC", "tariff": "0.1"})}
    )

    def work() -> dict[str, Any]:
        reader = TelemetryFilesReader(options, context)
        slices = reader.slices(Window(date(2026, 10, 1), datetime(2026, 10, 2, tzinfo=UTC)))
        rows, files = 0, []
        with DuckDBEngine(temp=data / "spill") as engine:
            for loaded in reader.load(slices, data / "work", engine):
                rows += loaded.rows_read
                files.append(loaded.facts[GPU_HOURLY.name])
        hours = pl.scan_parquet(files).select(pl.col("observed_hours", "energy_kwh").sum()).collect()
        return {"rows": rows, **hours.row(0, named=True)}

    return work
