"""Bills that generators of others write: `focus-toolkit generate` and koku-nise. Bills typed by hand are in `every_kind.py`."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.services import nise

GENERATED = (
    ("aws", "1.2"),
    ("azure", "1.2"),
    ("gcp", "1.2"),
    ("aws", "1.3"),
    ("azure", "1.3"),
    ("gcp", "1.3"),
)
"""Provider and version of FOCUS of what `focus-toolkit generate` writes."""


def of_toolkit(folder: Path, environment: Path, rows: int = 40) -> list[str]:
    """Writes what `focus-toolkit generate` gives for every provider and version; lines for `sources:`."""
    lines = []
    for provider, version in GENERATED:
        name = f"toolkit_{provider}_{version.replace('.', '_')}"
        done = subprocess.run(
            [
                environment / "bin" / "focus-toolkit", "generate", "--provider", provider, "--focus-version", version,
                "--rows", str(rows), "--seed", "7", "--out", folder / name,
            ],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        lines.append(f"  {name}: {{kind: focus, location: {folder / name}}}")
    return lines


def of_nise(folder: Path, seed: int) -> list[str]:
    """Writes random bills of koku-nise; lines for `sources:`.

    Its Azure bill is of machines alone: the others lack the unit of measure, which real exports always have.
    """
    lines = []
    for kind, write_bill in nise.BILLS.items():
        write_bill(seed, folder / "nise" / kind) if kind != "azure_export" else _azure_machines(
            folder / "nise" / kind
        )
        lines.append(f"  nise_{kind}: {{kind: {kind}, location: {folder / 'nise' / kind / 'bucket'}}}")
    return lines


def _azure_machines(folder: Path) -> None:
    (folder / "bucket").mkdir(parents=True)
    days = {"start_date": "2026-09-01", "end_date": "2026-09-02"}
    spec = {
        "generators": [
            {"VMGenerator": days | {"usage_quantity": q, "resource_rate": 0.25}} for q in (3, 7.5)
        ],
        "accounts": {"payer": "0AB1-sub", "user": ["x"], "currency_code": "EUR"},
    }
    place = ["--azure-container-name", folder / "bucket", "--azure-report-name", "cost"]
    nise.report("azure", "1", folder / "work", spec, *place)
