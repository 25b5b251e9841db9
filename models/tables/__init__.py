"""Every published table: columns, types, units, keys, meaning. DDL, SQL comments, docs and gates derive from it.

A table is defined once, in the module of its layer, and named in `TABLES` here. How its rows are computed belongs
to the other modules of `models/`; how they are stored belongs to `pipelines/warehouse.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from models.tables.base import MONEY, TYPES, Column, Table
from models.tables.facts import EDGE_DAILY, FOCUS, GPU_HOURLY, INFERENCE_HOURLY, POWER_HOURLY
from models.tables.marts import (
    CHARGEBACK_DAILY,
    CHARGEBACK_MONTHLY,
    GPU_DAILY,
    PLACEMENT,
    PLACEMENT_OPTIONS,
    UNIT_COST_DAILY,
)
from models.tables.ops import INGESTS, PUBLICATIONS, QUALITY, QUARANTINE, RECONCILIATION, SOURCES

__all__ = [
    "CHARGEBACK_DAILY",
    "CHARGEBACK_MONTHLY",
    "EDGE_DAILY",
    "FACTS",
    "FOCUS",
    "GPU_DAILY",
    "GPU_HOURLY",
    "INFERENCE_HOURLY",
    "INGESTS",
    "MONEY",
    "PLACEMENT",
    "PLACEMENT_OPTIONS",
    "POWER_HOURLY",
    "PUBLICATIONS",
    "QUALITY",
    "QUARANTINE",
    "RECONCILIATION",
    "SOURCES",
    "TABLES",
    "TYPES",
    "UNIT_COST_DAILY",
    "Column",
    "Table",
]

TABLES: Mapping[str, Table] = {
    t.name: t
    for t in (
        FOCUS, GPU_HOURLY, POWER_HOURLY, INFERENCE_HOURLY, EDGE_DAILY,
        CHARGEBACK_DAILY, CHARGEBACK_MONTHLY, GPU_DAILY, UNIT_COST_DAILY, PLACEMENT, PLACEMENT_OPTIONS,
        RECONCILIATION, INGESTS, SOURCES, QUARANTINE, QUALITY, PUBLICATIONS,
    )
}  # fmt: skip
"""Every table by name, in publication order."""

FACTS = (FOCUS, GPU_HOURLY, POWER_HOURLY, INFERENCE_HOURLY, EDGE_DAILY)
"""Tables that are views over Parquet facts; all others are tables in the warehouse file."""
