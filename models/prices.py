"""List prices of rented GPUs: their columns, and the one that an option of a workload names.

Where they come from belongs to `connectors/prices/`; what an option costs, to `models/placement/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal

import polars as pl

from models.placement.settings import Option, Workload
from models.tables import MONEY

GPU_PRICES = pl.Schema(
    {
        "provider": pl.String(),
        "sku_id": pl.String(),
        "description": pl.String(),
        "gpu_model": pl.String(),
        "region": pl.String(),
        "usage_type": pl.String(),
        "whole_machine": pl.Boolean(),
        "price_per_gpu_hour": MONEY,
        "currency": pl.String(),
        "price_date": pl.Date(),
    }
)
"""Columns of a price list. usage_type: OnDemand, Preemptible, Commit1Yr, Commit3Yr. whole_machine: the price has
the card's share of vCPUs and memory in it; else they are charged beside it."""


@dataclass(frozen=True)
class ListPrice:
    """One list price, for the keys `price_per_gpu_hour`, `price_date` and `price_source` of an option."""

    price_per_gpu_hour: Decimal
    currency: str
    price_date: date
    price_source: str


def list_price(prices: pl.DataFrame, provider: str, gpu: str, region: str, usage: str) -> ListPrice:
    """The price of one card-hour.

    Args:
        prices: In `GPU_PRICES`.
        provider: google.
        gpu: Model, as h100-80gb; without the size where there is only one (h100); or a SKU id.
        region: Region of the provider.
        usage: OnDemand, Preemptible, Commit1Yr or Commit3Yr.

    Raises:
        ValueError: The list has no such price, or several; it names what there is.
    """
    there = prices.filter(
        (pl.col("provider") == provider) & (pl.col("region") == region) & (pl.col("usage_type") == usage)
    )
    exact = there.filter((pl.col("gpu_model") == gpu) | (pl.col("sku_id") == gpu))
    found = exact if exact.height else there.filter(pl.col("gpu_model").str.replace(r"-\d+gb$", "") == gpu)
    if found.height != 1:
        what = "has no price" if found.is_empty() else f"has {found.height} prices"
        offered = (there if found.is_empty() else found).select("gpu_model", "sku_id").unique().sort(pl.all())
        choice = ", ".join(f"{m} (SKU {s})" for m, s in offered.rows()) or "nothing"
        msg = (
            f"the list of {provider} {what} for gpu {gpu!r}, region {region!r}, usage {usage!r}; there is: "
            f"{choice}. Name one of them, or write price_per_gpu_hour"
        )
        raise ValueError(msg)
    row = found.row(0, named=True)
    scope = (
        "share of vCPUs and memory included"
        if row["whole_machine"]
        else "card only, without vCPUs and memory"
    )
    source = f"{provider} list price, SKU {row['sku_id']}, {usage} in {region}, {scope}"
    return ListPrice(row["price_per_gpu_hour"], row["currency"], row["price_date"], source)


def with_list_prices(
    workloads: Mapping[str, Workload], prices: pl.DataFrame, currency: str, failed: str = ""
) -> dict[str, Workload]:
    """The workloads with a price, its day and its source in every option that takes a list price.

    An option whose price is not known has none, and `price_source` says why: it is never guessed.

    Args:
        workloads: As declared.
        prices: In `GPU_PRICES`.
        currency: The organisation's currency, that of all prices of options.
        failed: Why there is no list at all.
    """

    def priced(option: Option) -> Option:
        key = option.list_price
        if key is None:
            return option
        if failed:
            return option.model_copy(update={"price_source": failed})
        try:
            found = list_price(prices, key.provider, key.gpu, key.region or option.region or "", key.usage)
        except ValueError as error:
            return option.model_copy(update={"price_source": str(error)})
        if found.currency != currency:
            return option.model_copy(update={"price_source": f"it is in {found.currency}, not {currency}"})
        return option.model_copy(update=asdict(found))

    return {
        name: w.model_copy(update={"options": {n: priced(o) for n, o in w.options.items()}})
        for name, w in workloads.items()
    }
