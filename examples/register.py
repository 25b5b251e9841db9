"""The register of owned hardware, as CSV: GPU servers of dc1, cameras of plant2, a server already retired."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from pathlib import Path

from examples.company import CARDS_PER_NODE, DEVICE_MODEL, DEVICES, NODES

HEADER = (
    "asset", "site", "node", "kind", "units", "model", "capex", "currency", "in_service", "retired",
    "life_months", "salvage", "opex_month",
)  # fmt: skip
SERVER = ("HGX H100 4-GPU", "164000.00", "USD")
OLD_SERVER = ("DGX Station A100", "99000.00", "USD")
CAMERA = (DEVICE_MODEL, "1890.00", "USD")


def _rows(start: date) -> list[tuple[object, ...]]:
    retired = start - timedelta(days=40)
    old = (
        "SRV-000",
        "dc1",
        "dc1-gpu-00",
        "gpu_server",
        4,
        *OLD_SERVER,
        retired - timedelta(days=1400),
        retired,
    )
    rows: list[tuple[object, ...]] = [(*old, 48, "4000.00", "820.00")]
    for n, node in enumerate(NODES):
        since = start - timedelta(days=430 - 90 * n)
        server = (f"SRV-{101 + n}", "dc1", node, "gpu_server", CARDS_PER_NODE, *SERVER, since, "")
        rows.append((*server, 48, "16400.00", "1480.00"))
    for n, device in enumerate(DEVICES):
        since = start - timedelta(days=300 - 5 * n)
        rows.append(
            (f"CAM-{1001 + n}", "plant2", device, "edge_device", 1, *CAMERA, since, "", 60, "90.00", "6.50")
        )
    return rows


def write(path: Path, start: date) -> None:
    """Writes the register; what is not retired is in service from the first day of the inputs."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(_rows(start))
