"""A Cloud Billing Catalog on the loopback. Shapes and names are those of the public one; prices are made up."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from connectors.prices.google import catalog_client


def sku(
    number: int,
    description: str,
    usage: str = "OnDemand",
    units: int = 0,
    nanos: int = 0,
    *,
    regions: tuple[str, ...] = ("europe-west4",),
    group: str = "GPU",
    **expression: Any,
) -> dict[str, Any]:
    price = {"currencyCode": "USD", "units": str(units), "nanos": nanos}
    return {
        "name": f"services/6F81-5844-456A/skus/{number:04}",
        "skuId": f"{number:04}",
        "description": description,
        "category": {
            "serviceDisplayName": "Compute Engine",
            "resourceFamily": "Compute",
            "resourceGroup": group,
            "usageType": usage,
        },
        "serviceRegions": list(regions),
        "pricingInfo": [
            {
                "summary": "",
                "pricingExpression": {
                    "usageUnit": "h",
                    "displayQuantity": 1,
                    "tieredRates": [{"startUsageAmount": 0, "unitPrice": price}],
                    "usageUnitDescription": "hour",
                    "baseUnit": "s",
                    "baseUnitDescription": "second",
                    "baseUnitConversionFactor": 3600,
                    **expression,
                },
                "currencyConversionRate": 1,
                "effectiveTime": "2026-09-01T10:52:50.681Z",
            }
        ],
        "serviceProviderName": "Google",
        "geoTaxonomy": {"type": "REGIONAL", "regions": list(regions)},
    }


CATALOGUE = [
    sku(1, "Nvidia H100 80GB GPU running in Netherlands", units=9, nanos=796_550_569),
    sku(2, "Nvidia H100 80GB GPU attached to Spot Preemptible VMs running in Netherlands", "Preemptible", 2),
    sku(3, "Commitment v1: Nvidia H100 80GB GPU running in Netherlands for 1 Year", "Commit1Yr", 6),
    sku(4, "Commitment v1: Nvidia H100 80GB GPU running in Netherlands for 3 Years", "Commit3Yr", 4),
    sku(5, "Nvidia H100 80GB Plus GPU running in Netherlands", units=10, nanos=1),
    sku(6, "Spot Preemptible A4 Nvidia B200 (1 gpu slice) running in Netherlands", units=5),
    sku(7, "A4 Nvidia B200 (1 gpu slice) running in Netherlands", units=16),
    sku(8, "Nvidia Tesla A100 GPU running in Americas", units=2, regions=("us-central1", "us-east1")),
    sku(9, "Nvidia Tesla A100 80GB GPU running in Americas", units=3, regions=("us-central1",)),
    sku(20, "Nvidia H100 80GB GPU attached to DWS Defined Duration VMs running in Netherlands", units=4),
    sku(21, "Reserved Nvidia H100 80GB GPU in Netherlands"),
    sku(22, "Reserved Nvidia H100 80GB Mega GPU in Netherlands in Calendar Mode", units=4),
    sku(23, "Nvidia Tesla T4 Virtual Workstation GPU running in Netherlands", units=1),
    sku(24, "Commitment v1: Nvidia L4 GPU in Netherlands for 1 Month", "Commit1Mo", units=1),
    sku(25, "Nvidia L4 GPU running in Netherlands"),
    sku(26, "Nvidia T4 GPU running in Netherlands", units=1, usageUnit="mo"),
    sku(27, "Nvidia T4 GPU running in Belgium", units=1, tieredRates=[]),
    {**sku(28, "Nvidia P4 GPU running in Belgium"), "pricingInfo": []},
    sku(30, "A3 Instance Core running in Netherlands", nanos=30_000_000, group="CPU"),
]


class Catalogue:
    """What the server answers, and what it was asked."""

    def __init__(self) -> None:
        self.skus = CATALOGUE
        self.page = 7
        self.failures: list[int] = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.url = ""

    def client(self) -> Any:
        return catalog_client(self.url, anonymous=True)


class Handler(BaseHTTPRequestHandler):
    catalogue: Catalogue

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {k: v[0] for k, v in parse_qs(parts.query).items()}
        self.catalogue.asked.append((parts.path, query))
        if self.catalogue.failures:
            status = self.catalogue.failures.pop(0)
            body: dict[str, Any] = {"error": {"code": status, "message": "Cloud Billing API is disabled"}}
        else:
            status, start = 200, int(query.get("pageToken") or 0)
            body = {"skus": self.catalogue.skus[start : start + self.catalogue.page], "nextPageToken": ""}
            if start + self.catalogue.page < len(self.catalogue.skus):
                body["nextPageToken"] = str(start + self.catalogue.page)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


@contextmanager
def serve() -> Iterator[Catalogue]:
    """A running catalogue."""
    found = Catalogue()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"catalogue": found}))
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
