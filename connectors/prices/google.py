"""List prices of GPUs on Google Cloud, from the Cloud Billing Catalog, cached and dated.

A GPU's SKU is the price of the card; vCPUs, memory and disks of the machine are other SKUs, except where the
SKU is a slice of a whole machine. Which option of a workload takes a price belongs to `models/prices.py`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from connectors.base import SourceError
from connectors.objects import write_json
from models.prices import GPU_PRICES

if TYPE_CHECKING:
    from google.cloud.billing_v1 import CloudCatalogClient

COMPUTE_ENGINE = "services/6F81-5844-456A"
PAGE = 5000
PATIENCE_S = 30.0
NANO = Decimal("1e-9")
USAGE_TYPES = ("OnDemand", "Preemptible", "Commit1Yr", "Commit3Yr")

_NO_PRICE = re.compile(
    r"\b(DWS|Calendar Mode|Reserved|Virtual Workstation|vGPU|vWS|Sole Tenancy|Suspended)\b", re.I
)
"""Kinds of GPU SKU that are no hourly price of a card that anybody can rent."""
_SPOT = re.compile(r"\b(Spot )?Preemptible\b", re.I)
_SLICE = re.compile(r"\(1 gpu slice\)", re.I)
_PLACE = re.compile(r" (running in|attached to|in) .*", re.I)
_NOISE = re.compile(
    r"Commitment v1:|Spot Preemptible|Preemptible|Nvidia|Tesla|\bGPU\b|\bA\dX?\s(?=Nvidia)|\(1 gpu slice\)",
    re.I,
)
_MEMORY = re.compile(r"\b(\d+)\s?GB\b", re.I)


@dataclass(frozen=True)
class GpuPrices:
    """List prices and what to know about them.

    Attributes:
        frame: In `models.prices.GPU_PRICES`, one row per SKU and region, in order of model, region, usage type
            and SKU.
        notes: Remarks for a person: an old price list, SKUs that were left out.
    """

    frame: pl.DataFrame
    notes: tuple[str, ...] = ()


def catalog_client(endpoint_url: str | None = None, *, anonymous: bool = False) -> CloudCatalogClient:
    """A client of the Cloud Billing Catalog, over REST, with the credentials of the environment.

    Args:
        endpoint_url: Another endpoint than Google's.
        anonymous: Send no credentials.

    Raises:
        google.auth.exceptions.DefaultCredentialsError: There are no credentials.
    """
    from google.api_core.client_options import ClientOptions
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.billing_v1 import CloudCatalogClient

    return CloudCatalogClient(
        credentials=AnonymousCredentials() if anonymous else None,  # type: ignore[no-untyped-call]
        transport="rest",
        client_options=ClientOptions(api_endpoint=endpoint_url) if endpoint_url else None,
    )


def gpu_prices(
    connect: Callable[[], CloudCatalogClient],
    currency: str,
    regions: Sequence[str],
    cache: Path,
    *,
    today: date,
    patience_s: float = PATIENCE_S,
) -> GpuPrices:
    """GPU list prices of today, asked for once a day; the last ones that are known, with a note, if they fail.

    Args:
        connect: Gives a client (`catalog_client`); called only if today's list is not cached.
        currency: ISO 4217 code that prices are wanted in; the catalogue converts.
        regions: Regions wanted; none means all.
        cache: Folder of the dated lists.
        today: Day of the prices.
        patience_s: How long a page that fails is asked for again.

    Raises:
        SourceError: The catalogue cannot be read and no earlier list is cached, or a price is in another currency.
    """
    file = cache / f"google-gpu-{currency}-{today}.json"
    notes: list[str] = []
    skus = _cached(file)
    if skus is None:
        try:
            skus = _fetch(connect, currency, patience_s)
        except SourceError as error:
            known = ((day, _cached(path)) for day, path in reversed(_lists(cache, currency)) if day < today)
            day, skus = next(((d, s) for d, s in known if s is not None), (today, None))
            if skus is None:
                raise
            notes.append(f"Google GPU list prices are {(today - day).days} days old, of {day}: {error}")
            today = day
        else:
            write_json(file, {"skus": skus})
            for _, path in _lists(cache, currency):
                if path != file:
                    path.unlink(missing_ok=True)
    frame, left_out = parse(skus, currency, regions, today)
    if left_out:
        parts = ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items()))
        notes.append(f"Google GPU SKUs left out of the price list: {parts}")
    return GpuPrices(frame, tuple(notes))


def parse(
    skus: Sequence[Mapping[str, Any]], currency: str, regions: Sequence[str], day: date
) -> tuple[pl.DataFrame, Mapping[str, int]]:
    """The prices in SKUs of the catalogue, in its JSON form.

    Args:
        skus: Of resource group GPU.
        currency: That was asked for.
        regions: Regions wanted; none means all.
        day: Day of the list.

    Returns:
        A frame in `GPU_PRICES`, and reason -> number of SKUs left out for it.

    Raises:
        SourceError: A price is in another currency.
    """
    rows, left_out = [], Counter[str]()
    for sku in skus:
        where = [r for r in sku.get("serviceRegions", ()) if not regions or r in regions]
        price = _price(sku)
        if isinstance(price, str):
            left_out[price] += 1
            continue
        amount, given = price
        if given != currency:
            msg = (
                f"Cloud Billing Catalog, SKU {sku['skuId']} ({sku['description']}): price is in {given!r}, "
                f"{currency!r} was asked for; write a currency that Google sells in"
            )
            raise SourceError(msg)
        rows += [
            {
                "provider": "google",
                "sku_id": sku["skuId"],
                "description": sku["description"],
                "gpu_model": gpu_model(sku["description"]),
                "region": region,
                "usage_type": _usage(sku),
                "whole_machine": _SLICE.search(sku["description"]) is not None,
                "price_per_gpu_hour": amount,
                "currency": given,
                "price_date": day,
            }
            for region in where
        ]
    frame = pl.DataFrame(rows, schema=GPU_PRICES, orient="row")
    return frame.sort("gpu_model", "region", "usage_type", "sku_id"), left_out


def gpu_model(description: str) -> str:
    """The model in a SKU's description, as model-memory-variant in lower case.

    `Nvidia Tesla A100 80GB GPU running in Americas` is a100-80gb; the A100 without a size is the 40 GB one;
    `H100 80GB Plus` is the card of a3-megagpu, elsewhere `H100 80GB Mega`.
    """
    name = _NOISE.sub(" ", _PLACE.sub("", description))
    memory = _MEMORY.search(name)
    words = _MEMORY.sub(" ", name).lower().replace("plus", "mega").split()
    if words == ["a100"] and memory is None:
        return "a100-40gb"
    variant = words[-1:] if len(words) > 1 and words[-1] == "mega" else []
    base = words[: len(words) - len(variant)]
    return "-".join([*base, *([f"{memory[1]}gb"] if memory else []), *variant])


def _usage(sku: Mapping[str, Any]) -> str:
    """The usage type; some spot SKUs are filed under OnDemand, and only their description tells."""
    return "Preemptible" if _SPOT.search(sku["description"]) else str(sku["category"].get("usageType", ""))


def _price(sku: Mapping[str, Any]) -> tuple[Decimal, str] | str:
    """Price of an hour and its currency, or why the SKU has none."""
    if _NO_PRICE.search(sku["description"]) or _usage(sku) not in USAGE_TYPES:
        return "not on demand, spot or committed"
    if not sku.get("pricingInfo"):
        return "without a price"
    expression = sku["pricingInfo"][-1]["pricingExpression"]
    rates = expression.get("tieredRates", ())
    if expression.get("usageUnit") != "h" or len(rates) != 1:
        return "not priced flat by the hour"
    money = rates[0].get("unitPrice", {})
    amount = Decimal(money.get("units", "0")) + int(money.get("nanos", 0)) * NANO
    return (amount, money.get("currencyCode", "")) if amount > 0 else "without a price"


def _fetch(
    connect: Callable[[], CloudCatalogClient], currency: str, patience_s: float
) -> list[dict[str, Any]]:
    """GPU SKUs of Compute Engine, from all pages."""
    from google.api_core.exceptions import GoogleAPIError
    from google.api_core.retry import Retry
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.billing_v1 import ListSkusRequest, Sku
    from requests import RequestException

    request = ListSkusRequest(parent=COMPUTE_ENGINE, currency_code=currency, page_size=PAGE)
    try:
        found = [
            Sku.to_dict(sku, preserving_proto_field_name=False)
            for sku in connect().list_skus(request, retry=Retry(timeout=patience_s), timeout=60)
            if sku.category.resource_group == "GPU"
        ]
    except (GoogleAPIError, GoogleAuthError, RequestException, ValueError) as error:
        msg = (
            f"Cloud Billing Catalog cannot be read: {error}; check the network, that the Cloud Billing API is "
            "enabled in the project, and the credentials (GOOGLE_APPLICATION_CREDENTIALS)"
        )
        raise SourceError(msg) from error
    if not found:
        msg = f"Cloud Billing Catalog: {COMPUTE_ENGINE} has no GPU in its list; check the endpoint"
        raise SourceError(msg)
    return found


def _cached(path: Path) -> list[dict[str, Any]] | None:
    """The SKUs of a cached list; None if it is not there or damaged, since a cache may be lost."""
    try:
        skus = json.loads(path.read_text())["skus"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return skus if isinstance(skus, list) else None


def _lists(cache: Path, currency: str) -> list[tuple[date, Path]]:
    """Cached lists of a currency, oldest first."""
    prefix = f"google-gpu-{currency}-"
    return sorted(
        (date.fromisoformat(p.stem.removeprefix(prefix)), p) for p in cache.glob(f"{prefix}*-*-*.json")
    )
