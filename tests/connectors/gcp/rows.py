"""Small BigQuery billing exports written by tests."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROW: dict[str, Any] = {
    "billing_account_id": "01AB-02CD",
    "service": {"id": "6F81", "description": "Compute Engine"},
    "sku": {"id": "A1", "description": "A3 GPU hour"},
    "usage_start_time": "2026-09-01 00:00:00 UTC",
    "usage_end_time": "2026-09-01 01:00:00 UTC",
    "project": {"id": "p-1", "name": "Vision", "labels": [{"key": "env", "value": "prod"}]},
    "labels": [{"key": "team", "value": "vision"}, {"key": "spot", "value": ""}],
    "system_labels": [{"key": "compute.googleapis.com/cores", "value": "8"}],
    "location": {
        "location": "us-central1",
        "country": "US",
        "region": "us-central1",
        "zone": "us-central1-a",
    },
    "export_time": "2026-09-01 05:00:00 UTC",
    "cost": 10.5,
    "currency": "USD",
    "usage": {"amount": 3600, "unit": "seconds", "amount_in_pricing_units": 1, "pricing_unit": "hour"},
    "credits": [],
    "invoice": {"month": "202609"},
    "cost_type": "regular",
}


def row(**changes: Any) -> dict[str, Any]:
    """A row; `sku__description` stands for the field description of sku, None takes a column away."""
    result = copy.deepcopy(ROW)
    for name, value in changes.items():
        outer, _, inner = name.partition("__")
        if inner:
            result[outer][inner] = value
        elif value is None:
            del result[outer]
        else:
            result[outer] = value
    return result


def flat(native: dict[str, Any]) -> dict[str, str]:
    """The same row as a flattened CSV has it."""
    result: dict[str, str] = {}
    for name, value in native.items():
        for key, inner in value.items() if isinstance(value, dict) and name != "credits" else [("", value)]:
            text = json.dumps(inner) if isinstance(inner, list | dict) else str(inner)
            result[f"{name}.{key}" if key else name] = text
    return result


def write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Writes JSON lines, gzip if the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(json.dumps(r) + "\n" for r in rows).encode()
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    return path
