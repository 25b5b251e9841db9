"""Charges of owned hardware that belong to no card, device or hour: what early retirement leaves, commitments not used.

How they become rows of the ledger belongs to `models/owned_focus.py`.
"""

from __future__ import annotations

import polars as pl

from models.config import DIMENSIONS
from models.tables import MONEY

WRITE_OFF = "write-off"
UNUSED_COMMITMENT = "unused-commitment"
ELECTRICITY_SERVICE = "Site electricity"
"""Service of what a site's electricity costs beside its kWh."""

UNUSED_SERVICE = "Unused GPU commitment"
"""Service of its charges: what a contract leaves unused shows apart from the cards, also where there are no SKUs."""


def lines(write_offs: pl.DataFrame, unused: pl.DataFrame) -> list[pl.DataFrame]:
    """The charges, in the columns from which `owned_focus.rows` makes rows; nobody holds them.

    Args:
        write_offs: `ratecard.write_offs`.
        unused: `contracts.unused`.
    """
    server = pl.col("kind") == "gpu_server"
    left = write_offs.select(
        "day",
        "site",
        "node",
        "currency",
        "asset",
        "cost",
        *_nobodys(),
        tier=pl.when(server).then(pl.lit("onprem")).otherwise(pl.lit("edge")),
        resource="asset",
        resource_type=pl.when(server).then(pl.lit("GPU server")).otherwise(pl.lit("Edge device")),
        category=pl.when(server).then(pl.lit("AI and Machine Learning")).otherwise(pl.lit("Compute")),
        service=pl.when(server).then(pl.lit("Owned GPU")).otherwise(pl.lit("Edge fleet")),
        quantity=pl.lit(None, dtype=MONEY),
        unit=pl.lit(None, dtype=pl.String),
        sku=pl.lit(WRITE_OFF),
        meter=pl.lit("Write-off"),
        detail=pl.format("Not yet recovered at retirement: {}", pl.col("model").replace("", "asset")),
    )
    committed = unused.select(
        "day",
        "site",
        "currency",
        "cost",
        *_nobodys(),
        node="contract",
        asset="contract",
        tier=pl.lit("onprem"),
        resource="contract",
        resource_type=pl.lit("Contract"),
        category=pl.lit("AI and Machine Learning"),
        service=pl.lit(UNUSED_SERVICE),
        quantity="gpu_hours",
        unit=pl.lit("Hours"),
        sku=pl.lit(UNUSED_COMMITMENT),
        meter=pl.lit("GPU-hours"),
        detail=pl.format("Commitment not used: {}", "contract"),
    )
    return [left, committed]


def _nobodys() -> list[pl.Expr]:
    return [
        pl.lit("unallocated").alias("cost_kind"),
        pl.lit(value=False).alias("held"),
        *(pl.lit(None, dtype=pl.String).alias(name) for name in ("slice", *DIMENSIONS)),
    ]
