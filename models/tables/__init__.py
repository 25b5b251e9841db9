"""Every published table: columns, types, units, keys, meaning. DDL, SQL comments, docs and gates derive from it.

A table is defined once, in the module of its layer, and named in `TABLES` here. How its rows are computed belongs
to the other modules of `models/`; how they are stored belongs to `pipelines/warehouse.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from models.tables.base import MONEY, TYPES, Column, Table
from models.tables.facts import (
    API_USAGE,
    CONTRACT_COMMITMENT,
    EDGE_DAILY,
    FOCUS,
    GPU_HOURLY,
    INFERENCE_HOURLY,
    POWER_HOURLY,
    RUN_POWER_DAILY,
)
from models.tables.marts import (
    CHARGEBACK_DAILY,
    CHARGEBACK_MONTHLY,
    DEMAND_MONTHLY,
    GPU_DAILY,
    GPU_RATE_DAILY,
)
from models.tables.marts_advice import (
    ANOMALIES,
    GPU_SHARING,
    IDLE_POLICY,
    PLACEMENT,
    PLACEMENT_OPTIONS,
    TARGETS,
    WASTE,
    WASTE_HOURLY,
)
from models.tables.marts_units import (
    AI_COST_RATIO,
    MODEL_COST_MONTHLY,
    MODEL_INVENTORY,
    ROI_MONTHLY,
    RUN_ENERGY,
    TRAINING_RUNS,
    UNIT_COST_DAILY,
)
from models.tables.ops import (
    ADJUSTMENTS,
    API_RECONCILIATION,
    CLOSINGS,
    ENERGY_BALANCE,
    INGESTS,
    PUBLICATIONS,
    QUALITY,
    QUARANTINE,
    RECONCILIATION,
    SOURCES,
)

__all__ = [
    "ADJUSTMENTS",
    "AI_COST_RATIO",
    "ANOMALIES",
    "API_RECONCILIATION",
    "API_USAGE",
    "CHARGEBACK_DAILY",
    "CHARGEBACK_MONTHLY",
    "CLOSINGS",
    "CONTRACT_COMMITMENT",
    "DEMAND_MONTHLY",
    "EDGE_DAILY",
    "ENERGY_BALANCE",
    "FACTS",
    "FOCUS",
    "GPU_DAILY",
    "GPU_HOURLY",
    "GPU_RATE_DAILY",
    "GPU_SHARING",
    "IDLE_POLICY",
    "INFERENCE_HOURLY",
    "INGESTS",
    "MODEL_COST_MONTHLY",
    "MODEL_INVENTORY",
    "MONEY",
    "PLACEMENT",
    "PLACEMENT_OPTIONS",
    "POWER_HOURLY",
    "PUBLICATIONS",
    "QUALITY",
    "QUARANTINE",
    "RECONCILIATION",
    "ROI_MONTHLY",
    "RUN_ENERGY",
    "RUN_POWER_DAILY",
    "SOURCES",
    "TABLES",
    "TARGETS",
    "TRAINING_RUNS",
    "TYPES",
    "UNIT_COST_DAILY",
    "WASTE",
    "WASTE_HOURLY",
    "Column",
    "Table",
]

TABLES: Mapping[str, Table] = {
    t.name: t
    for t in (
        FOCUS, CONTRACT_COMMITMENT, GPU_HOURLY, POWER_HOURLY, RUN_POWER_DAILY, INFERENCE_HOURLY, EDGE_DAILY, API_USAGE,
        CHARGEBACK_DAILY, CHARGEBACK_MONTHLY, GPU_DAILY, GPU_RATE_DAILY, DEMAND_MONTHLY, UNIT_COST_DAILY, TRAINING_RUNS, RUN_ENERGY, MODEL_COST_MONTHLY, MODEL_INVENTORY, AI_COST_RATIO, ROI_MONTHLY,
        WASTE, WASTE_HOURLY, GPU_SHARING, IDLE_POLICY, ANOMALIES, TARGETS, PLACEMENT, PLACEMENT_OPTIONS,
        RECONCILIATION, API_RECONCILIATION, ENERGY_BALANCE, INGESTS, SOURCES, QUARANTINE, QUALITY, PUBLICATIONS, CLOSINGS, ADJUSTMENTS,
    )
}  # fmt: skip
"""Every table by name, in publication order."""

FACTS = (
    FOCUS,
    CONTRACT_COMMITMENT,
    GPU_HOURLY,
    POWER_HOURLY,
    RUN_POWER_DAILY,
    INFERENCE_HOURLY,
    EDGE_DAILY,
    API_USAGE,
)
"""Tables that are views over Parquet facts; all others are tables in the warehouse file."""
