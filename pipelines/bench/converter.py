"""The FinOps Foundation's `focus-converter` 1.0.0 and our own statement for the columns that it makes of an AWS bill.

It is fetched from the package index into an environment of its own, and run as a tool. It reads flat columns, so the
bill's maps are taken apart for it beforehand, which is not measured.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from connectors.aws.columns import is_moment, is_number
from connectors.aws.mapping import to_focus
from connectors.base import Object
from connectors.bills.direct import own_types, view
from connectors.bills.files import open_bill
from connectors.bills.issues import KEPT
from connectors.bills.shapes import shapes
from connectors.bills.stage import Bill
from connectors.sql import files, identifier, literal
from pipelines.bench.generate import SEPTEMBER
from pipelines.bench.measure import Work
from pipelines.engines.duckdb import DuckDBEngine

PACKAGES = ("focus-converter==1.0.0", "click<8.2", "multimethod<1.11")
"""With later ones of the other two it does not start."""

TRIES, TRY_S = 3, 600
"""It forks while threads of polars run, and may then wait for ever: it is stopped and started again."""

NATIVE = r"\b(?:line_item|pricing|product|reservation|savings_plan|bill)_[a-z_]+\b"
ELSEWHERE = {
    "product_region": "product_region_code",
    "product_product_name": "product['product_name']",
    "line_item_net_unblended_cost": "line_item_unblended_cost",
}
"""Column that it asks for -> where CUR 2.0 has it. The net cost is absent in a bill without discounts."""

NAMES = {"Provider": "ProviderName", "Publisher": "ServiceProviderName", "InvoiceIssuer": "InvoiceIssuerName"}
"""Its names of columns -> ours, where they differ."""


class ToolError(Exception):
    """The tool cannot be had, or does not do its work."""


def install(folder: Path) -> Path:
    """The environment with the tool; made on first use.

    Raises:
        ToolError: It cannot be made; the message has what pip said.
    """
    environment = folder / "focus-converter"
    if (environment / ".ready").exists():
        return environment
    pip: list[str | Path] = [
        environment / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    commands: tuple[list[str | Path], ...] = (
        [sys.executable, "-m", "venv", "--clear", environment],
        [*pip, *PACKAGES],
    )
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            msg = f"focus-converter cannot be had: {done.stderr.strip()[-400:]}. It needs Python 3.11 or 3.12 and a package index"
            raise ToolError(msg)
    (environment / ".ready").touch()
    return environment


def flatten(source: Sequence[Path], environment: Path, to: Path) -> Work:
    """The bill with the columns that the tool asks for, in one Parquet file."""

    def work() -> dict[str, Any]:
        plans = environment.glob("lib/*/site-packages/focus_converter/conversion_configs/aws/*.yaml")
        asked = {name for plan in plans for name in re.findall(NATIVE, plan.read_text(encoding="utf-8"))}
        with DuckDBEngine() as engine:
            scan = f"read_parquet({files(source)}, hive_partitioning=false)"
            there = engine.columns(f"SELECT * FROM {scan}")
            columns = [identifier(c) for c, type_ in there.items() if not type_.startswith("MAP(")]
            for name in sorted(asked - set(there)):
                nothing = f"CAST(NULL AS {'DOUBLE' if 'units' in name else 'VARCHAR'})"
                columns.append(f"{ELSEWHERE.get(name, nothing)} AS {identifier(name)}")
            return {"rows": engine.copy(f"SELECT {', '.join(columns)} FROM {scan}", to)}

    return work


def start(environment: Path) -> Work:
    """The tool does nothing but start."""
    return lambda: _run(environment, "--help")


def convert(environment: Path, flat: Path, to: Path) -> Work:
    """The tool converts the flat bill."""

    def work() -> dict[str, Any]:
        _run(
            environment, "convert", "--provider", "aws", "--data-format", "parquet", "--data-path", flat,
            "--parquet-data-format", "file", "--export-path", to, "--no-export-include-source-columns",
        )  # fmt: skip
        return {}

    return work


def _run(environment: Path, *arguments: str | Path) -> dict[str, Any]:
    command = [environment / "bin" / "focus-converter", *arguments]
    for _ in range(TRIES):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TRY_S)  # noqa: S603
        except subprocess.TimeoutExpired:
            continue
        if done.returncode:
            msg = f"focus-converter failed: {done.stderr.strip()[-400:]}"
            raise ToolError(msg)
        return {}
    msg = f"focus-converter did not end within {TRY_S} s, {TRIES} times"
    raise ToolError(msg)


def converted(folder: Path) -> Work:
    """What the tool wrote: columns by our names, rows and billed cost."""

    def work() -> dict[str, Any]:
        with DuckDBEngine() as engine:
            scan = f"read_parquet({files(sorted(folder.glob('*.parquet')))})"
            found = engine.query(f'SELECT COUNT(*) AS rows, SUM("BilledCost") AS billed FROM {scan}')
            names = [NAMES.get(c, c) for c in engine.columns(f"SELECT * FROM {scan}")]
            return {"columns": names, **found.row(0, named=True)}

    return work


def ours(source: Sequence[Path], columns: Sequence[str], to: Path) -> Work:
    """Our own statement with all its rules, for some FOCUS columns; amounts are exact."""

    def work() -> dict[str, Any]:
        bill = Bill("bench", "cloud", to_focus, is_number, is_moment)
        opened = [open_bill(Object(f.name, 0, ""), f.name, f, (SEPTEMBER,)) for f in source]
        with DuckDBEngine(temp=to.with_suffix(".spill")) as engine:
            parts = [own_types(bill, shape, to_focus(shape), engine) for shape in shapes(opened, engine)]
            stage = view(bill, SEPTEMBER, [part for part in parts if part is not None], engine)
            filled = {*stage.written}
            selected = ", ".join(
                identifier(c) if c in filled else f"CAST(NULL AS VARCHAR) AS {identifier(c)}" for c in columns
            )
            rows = engine.copy(f"SELECT {selected} FROM {stage.rows} WHERE {KEPT}", to, ordered=False)
        return {"rows": rows}

    return work


def billed(path: Path) -> Work:
    """The billed cost of FOCUS rows."""

    def work() -> dict[str, Any]:
        with DuckDBEngine() as engine:
            scan = f"read_parquet({literal(path)})"
            return engine.query(f'SELECT SUM("BilledCost") AS billed FROM {scan}').row(0, named=True)

    return work
