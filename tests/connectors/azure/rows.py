"""Small Azure cost exports written by tests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.connectors.bills.helpers import csv_bytes, write

ROW = {
    "BillingAccountId": "0086",
    "BillingAccountName": "Acme",
    "BillingPeriodStartDate": "09/01/2026",
    "BillingPeriodEndDate": "09/30/2026",
    "SubscriptionId": "AAAA-BBBB",
    "SubscriptionName": "Vision",
    "Date": "09/04/2026",
    "Product": "Virtual Machines ND - H100",
    "PartNumber": "AAA-1",
    "ServiceFamily": "Compute",
    "MeterCategory": "Virtual Machines",
    "MeterSubCategory": "ND",
    "MeterName": "ND96 H100",
    "Quantity": "2",
    "EffectivePrice": "5.0",
    "Cost": "10",
    "UnitPrice": "5",
    "PayGPrice": "7",
    "BillingCurrency": "USD",
    "ResourceLocation": "EastUS2",
    "ResourceId": "/subscriptions/AAAA-BBBB/resourceGroups/GPU/providers/Microsoft.Compute/virtualMachines/Vm1",
    "ResourceName": "Vm1",
    "AdditionalInfo": '"UsageType":"ComputeHR"',
    "Tags": '"team": "vision","env": "prod"',
    "UnitOfMeasure": "1 Hour",
    "ReservationId": "",
    "ChargeType": "Usage",
    "Frequency": "UsageBased",
    "PublisherName": "",
    "PublisherType": "Azure",
    "PricingModel": "OnDemand",
    "benefitId": "",
    "benefitName": "",
}


def row(**changes: str) -> dict[str, str]:
    """A row of an EA export."""
    return ROW | changes


def renamed(native: Mapping[str, str], **names: str) -> dict[str, str]:
    """The row with other column names."""
    return {names.get(k, k): v for k, v in native.items()}


def with_bom(path: Path, rows: Sequence[Mapping[str, str]]) -> Path:
    """Writes rows as Azure does: with a byte order mark and CR LF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\xef\xbb\xbf" + csv_bytes(rows).replace(b"\n", b"\r\n"))
    return path


def run_export(
    root: Path,
    folder: str,
    files: Mapping[str, Sequence[Mapping[str, str]]],
    *,
    submitted: str = "",
    dataset: str = "",
    scope: str = "",
) -> Path:
    """Puts a run of a partitioned export into a container, with its manifest; returns the manifest."""
    for name, rows in files.items():
        write(root / folder / name, rows)
    manifest: dict[str, Any] = {
        "manifestVersion": "2024-04-01",
        "dataRowCount": None,
        "blobs": [
            {"blobName": f"container/{folder}/{n}", "byteCount": 1, "dataRowCount": None} for n in files
        ],
    }
    if dataset or scope:
        manifest["exportConfig"] = {
            "type": dataset,
            "resourceId": f"{scope}/providers/Microsoft.CostManagement/exports/x" if scope else "",
        }
    if submitted:
        manifest["runInfo"] = {"submittedTime": submitted}
    path = root / folder / "manifest.json"
    path.write_text(json.dumps(manifest))
    return path
