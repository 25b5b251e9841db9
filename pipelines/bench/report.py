"""How the figures of `tierwise bench` are shown: tables for a person, JSON for a program."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from pipelines.bench.cases import Bench, Figure

DIGITS = {"MB": 0, "x": 2, "s": 3}
VERDICT = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}


def tables(bench: Bench, figures: Sequence[Figure], console: Console) -> None:
    """Prints what was measured, and the figures with their goals."""
    costs = Table(title=f"{bench.rows:,} rows a month, {os.cpu_count()} cores, {platform.machine()}")
    for name in ("case", "way"):
        costs.add_column(name)
    for name in ("CPU s", "wall s", "peak MB"):
        costs.add_column(name, justify="right")
    for (case, way), m in bench.measurements.items():
        costs.add_row(case, way, f"{m.cpu_s:.2f}", f"{m.wall_s:.2f}", f"{m.peak_mb:,.0f}")
    goals = Table(title="figures")
    for name in ("case", "figure", "measured", "goal", ""):
        goals.add_column(name, justify="right" if name in ("measured", "goal") else "left")
    for f in figures:
        bound = "" if f.goal is None else f"{'>=' if f.at_least else '<='} {_number(f.goal, f.unit)}"
        goals.add_row(f.case, f.what, _number(f.value, f.unit), bound, VERDICT[f.met])
    console.print(costs)
    console.print(goals)


def _number(value: float, unit: str) -> str:
    return f"{value:,.{DIGITS[unit]}f} {unit}"


def as_json(bench: Bench, figures: Sequence[Figure]) -> str:
    """The same as JSON."""
    costs = [
        {"case": case, "way": way, "cpu_s": m.cpu_s, "wall_s": m.wall_s, "peak_mb": m.peak_mb}
        for (case, way), m in bench.measurements.items()
    ]
    shown = [{**asdict(f), "met": f.met} for f in figures]
    return json.dumps(
        {"rows": bench.rows, "cores": os.cpu_count(), "measurements": costs, "figures": shown}, indent=1
    )
