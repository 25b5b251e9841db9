"""What a page says of waste, training runs, models, revenue and targets: records and charts for its templates.

The figures themselves are the marts'; what they look like is in `templates/economics.html.j2`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
from markupsafe import Markup

from dashboards import charts
from dashboards.figures import Period
from dashboards.store import Store
from models import tables

TOP = 15
UUID = r"\b(?:GPU|MIG)-[0-9a-fA-F-]+([0-9a-fA-F]{8})\b"
"""A card's UUID, of which a page shows the last eight characters."""

KINDS = {
    "gpu_idle": "GPU held, unused",
    "gpu_unallocated": "GPU nobody asks for",
    "gpu_unknown": "GPU without telemetry",
    "reserved_unused": "Commitment unused",
    "device_silent": "Device silent",
}


@dataclass(frozen=True)
class Economics:
    """One page's part of it.

    Attributes:
        waste: The costliest rows of `marts.waste`; none on pages of earlier months, since they are of the last 30 days.
        waste_more: Rows of it that are not shown.
        idle: The rows of `marts.idle_policy` that save most; on pages of the latest month alone, as the next two.
        idle_more: Rows of it with hours off that are not shown.
        sharing: `marts.gpu_sharing`, what saves most first.
        inventory: `marts.model_inventory`, the costliest first; inventory_more rows are not shown.
        unusual: The greatest of `marts.anomalies` of the month in each currency, the latest day first.
        unusual_more: Days of it that are not shown.
        week: Currency -> chart of waste by hour of the week.
        runs: `marts.training_runs` that ended in the month.
        energy: `marts.run_energy` of runs that ended in the month, a row a meter that read.
        models: `marts.model_cost_monthly` of the month.
        ratio: The row of `marts.ai_cost_ratio` of the month, if revenue is known.
        roi: `marts.roi_monthly` of the month.
        targets: `marts.targets` of the month, what is missed first.
    """

    waste: list[dict[str, Any]]
    waste_more: int
    idle: list[dict[str, Any]]
    idle_more: int
    sharing: list[dict[str, Any]]
    inventory: list[dict[str, Any]]
    inventory_more: int
    unusual: list[dict[str, Any]]
    unusual_more: int
    week: Mapping[str, Markup]
    runs: list[dict[str, Any]]
    energy: list[dict[str, Any]]
    models: list[dict[str, Any]]
    ratio: dict[str, Any] | None
    roi: list[dict[str, Any]]
    targets: list[dict[str, Any]]


def economics(store: Store, at: Period) -> Economics:
    """Reads it, for all teams or for the store's team, which sees its own waste and runs only."""
    waste = store.waste() if at.latest else tables.WASTE.empty()
    idle = (
        store.idle_policy().filter(pl.col("gpu_hours_off") > 0) if at.latest else tables.IDLE_POLICY.empty()
    )
    inventory = store.model_inventory() if at.latest else tables.MODEL_INVENTORY.empty()
    unusual = store.anomalies(at.month)
    greatest = (
        unusual.sort(pl.col("impact").abs(), "day", "service_name", descending=[True, True, False])
        .group_by("currency", maintain_order=True)
        .head(TOP)
    )
    runs, energy = store.training_runs(at.month), store.run_energy(at.month)
    shared = store.team is None
    ratio = store.ai_cost_ratio(at.month) if shared else None
    order = pl.col("status").replace_strict({"missed": 0, "unknown": 1, "met": 2}, return_dtype=pl.Int64)
    return Economics(
        waste=waste.with_columns(pl.col("subject").str.replace(UUID, "$1"))
        .sort("currency", "rank")
        .group_by("currency", maintain_order=True)
        .head(TOP)
        .to_dicts(),
        waste_more=max(0, waste.height - waste.group_by("currency").head(TOP).height),
        idle=_greatest(idle, "saving").to_dicts(),
        idle_more=idle.height - _greatest(idle, "saving").height,
        sharing=_greatest(store.gpu_sharing(), "saving").to_dicts() if shared and at.latest else [],
        inventory=_greatest(inventory, "cost").to_dicts(),
        inventory_more=inventory.height - _greatest(inventory, "cost").height,
        unusual=greatest.sort("day", "impact", "service_name", descending=[True, True, False]).to_dicts(),
        unusual_more=unusual.height - greatest.height,
        week=_weeks(store.waste_hourly()) if shared and at.latest else {},
        runs=runs.sort("ended_at", "run_id", "tier", "team").to_dicts(),
        energy=energy.sort("ended_at", "run_id", "source", "meter").to_dicts(),
        models=_models(store, at) if shared else [],
        ratio=ratio.row(0, named=True) if ratio is not None and ratio["revenue"].count() else None,
        roi=store.roi(at.month).sort("project").to_dicts() if shared else [],
        targets=store.targets(at.month).sort(order, "metric", "subject").to_dicts() if shared else [],
    )


def _greatest(frame: pl.DataFrame, amount: str) -> pl.DataFrame:
    """The rows with the greatest amounts of each currency; NULL is least, equals stay in their order."""
    rows = frame.sort(amount, descending=True, nulls_last=True, maintain_order=True)
    return rows.sort("currency", maintain_order=True).group_by("currency", maintain_order=True).head(TOP)


def _models(store: Store, at: Period) -> list[dict[str, Any]]:
    """One record a model and currency with its phases; none where no model is declared."""
    frame = store.model_cost(at.month)
    if frame.filter(pl.col("model") != "unassigned").is_empty():
        return []
    phases = ("development", "training", "serving", "other")
    return (
        frame.group_by("currency", "model")
        .agg(
            *(pl.col("cost").filter(pl.col("phase") == p).sum().alias(p) for p in phases),
            pl.col("cost").sum(),
            pl.col("cost_to_date").sum(),
        )
        .sort("currency", pl.col("model") == "unassigned", "model")
        .to_dicts()
    )


def _weeks(frame: pl.DataFrame) -> dict[str, Markup]:
    waste = (pl.col("cost_idle") + pl.col("cost_unallocated")).sum().alias("value")
    found = {}
    for (currency,), own in frame.group_by("currency", maintain_order=True):
        cells = own.group_by("weekday", "hour").agg(waste).sort("weekday", "hour")
        if cells["value"].cast(pl.Float64).sum() > 0:
            found[str(currency)] = Markup(charts.week(cells, f"w-{str(currency).lower()}"))  # noqa: S704 - SVG of vl-convert
    return found
