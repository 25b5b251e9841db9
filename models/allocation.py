"""Shows how a charge was split, in the allocation columns that FOCUS has since 1.3.

Which parts a charge has belongs to `models/gpu.py` and `models/edge.py`; the other columns, to `models/owned_focus.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import polars as pl

from models.config import DIMENSIONS
from models.money import split
from models.tables import MONEY

METHODS = {
    "gpu-hour": "gpu-hours",
    "contract-gpu-hour": "gpu-hours",
    "device-hour": "online-hours",
    "energy": "energy-cost",
    "demand": "peak-hour-energy",
    "demand-by-energy": "month-energy",
    "site-month": "day-energy",
}
"""SKU -> AllocatedMethodId; `docs/metrics.md` says what each method is."""


def with_allocation(charges: pl.DataFrame, origin: Sequence[str]) -> pl.DataFrame:
    """Adds the allocation columns to the parts that replace charges.

    An origin is allocated where somebody holds a part of it. All its parts then name the method and their ratio; those
    that nobody holds name no receiver, as FOCUS demands. The ratio is the part of the origin's cost (of its
    quantity, where it costs nothing or parts of it earn), cut to 12 decimals; what that leaves over goes to the largest, so that the
    ratios as they are written sum to 1. What nobody holds at all is not allocated: all columns are NULL.

    Args:
        charges: Parts in a stable order: the columns of `origin`, sku, cost (MONEY), quantity (MONEY), unit,
            held (Boolean), slice (a part of the resource that is held apart, or NULL) and the owner's columns.
        origin: Columns that together name the charge that the parts replace.

    Returns:
        The rows in their order, with AllocatedMethodId, AllocatedMethodDetails (JSON), AllocatedResourceId,
        AllocatedResourceName, AllocatedTags (JSON) added.
    """
    costs = (pl.col("cost").sum().over(origin) > 0) & (pl.col("cost").min().over(origin) >= 0)
    weighted = charges.with_columns(
        pl.lit(1).cast(MONEY).alias("__whole"),
        pl.when(costs).then("cost").otherwise("quantity").cast(pl.Float64).alias("__weight"),
    )
    shown = pl.col("held").any().over(origin)
    receives = shown & pl.col("held")
    owner = [
        pl.when(pl.col(name).is_not_null()).then(pl.format("{}={}", pl.lit(name), name))
        for name in DIMENSIONS
    ]
    named = pl.concat_str(*owner, separator="/", ignore_nulls=True).replace("", "untagged")
    receiver = pl.concat_str(named, pl.format("mig={}", "slice"), separator="/", ignore_nulls=True)
    details = pl.format(
        '{{"Elements":[{{"AllocatedRatio":{},"UsageUnit":"{}","UsageQuantity":{}}}],"x_OriginChargeId":{}}}',
        _number("__ratio"),
        "unit",
        _number("quantity"),
        pl.concat_str(*(pl.col(name).cast(pl.String) for name in origin), separator="/").map_elements(
            lambda text: json.dumps(text, ensure_ascii=False), return_dtype=pl.String
        ),
    )
    return (
        split(weighted, origin, "__whole", "__weight", "__ratio")
        .join(_tags(charges), on=list(DIMENSIONS), how="left", nulls_equal=True, maintain_order="left")
        .with_columns(
            AllocatedMethodId=pl.when(shown).then(pl.col("sku").replace_strict(METHODS, default=None)),
            AllocatedMethodDetails=pl.when(shown).then(details),
            AllocatedResourceId=pl.when(receives).then(receiver),
            AllocatedResourceName=pl.when(receives).then(
                pl.coalesce("workload", "project", "team", pl.lit("untagged"))
            ),
            AllocatedTags=pl.when(receives).then("__tags"),
        )
        .drop("__whole", "__weight", "__ratio", "__tags")
    )


def _number(column: str) -> pl.Expr:
    """A decimal as JSON writes it: without zeros behind the last digit."""
    return pl.col(column).cast(MONEY).cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")


def _tags(charges: pl.DataFrame) -> pl.DataFrame:
    """Owner columns -> flat JSON of those that are known; NULL where none is."""
    owners = charges.select(DIMENSIONS).unique()
    known = [{k: v for k, v in owner.items() if v is not None} for owner in owners.iter_rows(named=True)]
    texts = [json.dumps(owner, ensure_ascii=False, sort_keys=True) if owner else None for owner in known]
    return owners.with_columns(pl.Series("__tags", texts, dtype=pl.String))
