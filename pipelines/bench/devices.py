"""The case `edge`: a fleet's reports from JSON lines to days, then the late ones; counts must be the fleet's truth.

The fleet is `fleet.py`; nothing is measured here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from connectors.base import Context, Window
from connectors.edge.reader import EdgeFilesReader, Options
from models.config import Site
from models.tables import EDGE_DAILY
from pipelines.bench.fleet import TRUTH, Fleet, Plan
from pipelines.bench.measure import Work
from pipelines.engines.duckdb import DuckDBEngine

DAYS = 30
DEVICE_LINES = 2700
"""Lines of one device in 30 days, about."""

BRIDGE_DAYS = 7
TOLD = {"kwh": pl.col("energy_kwh") + pl.col("energy_estimated_kwh")}
"""Figures of the truth that have another form in `telemetry.edge_daily`."""


def plan(devices: int) -> Plan:
    """30 days of so many devices."""
    return Plan(devices, DAYS, clock_sides=20_000)


def write_fleet(root: Path, devices: int) -> Work:
    """Files in `root/all`, those that came by the last day in `root/first` too; the truth of both beside them."""

    def work() -> dict[str, Any]:
        one = plan(devices)
        with DuckDBEngine(temp=root.with_suffix(".spill")) as engine:
            fleet = Fleet(one, engine)
            (root / "first").mkdir(parents=True)
            for file in fleet.write(root / "all"):
                if file.name[:10] <= one.last.isoformat():
                    os.link(file, root / "first" / file.name)
            for name, arrived in (("first", one.last), ("all", None)):
                fleet.truth(BRIDGE_DAYS, arrived).write_parquet(root / f"{name}.parquet")
            return {"rows": fleet.lines()}

    return work


def to_days(root: Path, name: str, devices: int, data: Path, known: Mapping[date, str]) -> Work:
    """Our own way, from listing the files to the facts of each day that is not known by its fingerprint already."""
    location = data / "edge"
    location.mkdir(exist_ok=True)
    for file in (root / name).iterdir():
        if not (location / file.name).exists():
            os.link(file, location / file.name)
    options = Options(kind="edge_files", location=str(location), site="plant", bridge_days=BRIDGE_DAYS)
    one = plan(devices)
    site = Site.model_validate({"time_zone": one.zone, "tariff": "0.1"})
    context = Context("cams", root, data / "cache", {"plant": site})

    def work() -> dict[str, Any]:
        reader = EdgeFilesReader(options, context)
        slices = reader.slices(Window(one.last, datetime(2027, 1, 1, tzinfo=UTC)))
        changed = [s for s in slices if known.get(s.period) != s.fingerprint]
        lines, files = 0, []
        (data / name).mkdir()
        with DuckDBEngine(temp=data / "spill") as engine:
            for loaded in reader.load(changed, data / name, engine):
                lines += loaded.rows_read
                files.append(loaded.facts[EDGE_DAILY.name])
        days = [s.period for s in changed]
        truth = pl.read_parquet(root / f"{name}.parquet").filter(pl.col("day").is_in(days))
        return {
            "rows": lines,
            "days": len(days),
            "fingerprints": {s.period: s.fingerprint for s in slices},
            "device_days": truth.height,
            "differences": _differences(pl.read_parquet(files), truth),
        }

    return work


def _differences(found: pl.DataFrame, truth: pl.DataFrame) -> int:
    """Device days of which any figure differs."""
    told = found.select("device", "day", *(TOLD.get(name, pl.col(name)).alias(name) for name in TRUTH))
    both = truth.join(told, on=["device", "day"], how="full", coalesce=True, suffix="_told")
    same = [
        pl.col(n).cast(pl.Float64).round(6).eq_missing(pl.col(f"{n}_told").cast(pl.Float64).round(6))
        for n in TRUTH
    ]
    return both.filter(~pl.all_horizontal(same)).height
