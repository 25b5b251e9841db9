"""A placement recommendation for every declared workload: judge, price, decide, explain.

The rules are in the modules it calls; here they are only put together and made into two tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, localcontext
from typing import Any

import polars as pl

from models.placement.constraints import breaches, conflicts, constraints
from models.placement.decision import Confidence, Verdict, decide
from models.placement.explain import option_reason, reason
from models.placement.options import Missing, Volumes, price, volumes
from models.placement.settings import Workload
from models.placement.tco import Cost, exact
from models.tables import PLACEMENT, PLACEMENT_OPTIONS

_HIGH = (28, 0.95)
_MEDIUM = (14, 0.8)
"""Least days observed and least GPU coverage for each degree of confidence."""

_UNKNOWN = "it is not known who held its GPUs"


def recommend(
    workloads: Mapping[str, Workload], measured: pl.DataFrame, currency: str, factor: Decimal = Decimal(1)
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Where each workload should run, and what every option costs or why it is impossible.

    Args:
        workloads: Name -> declaration.
        measured: Rows of `measured.SCHEMA`; workloads without a row are priced from their declaration.
        currency: The organisation's currency; all declared prices are in it.
        factor: What if the volumes were so many times what they are? What the current option costs was measured at its
            own volume: at another one it has its prices, like any other option, and confidence is low.

    Returns:
        `marts.placement` sorted by workload, and `marts.placement_options` sorted by workload and option.

    Raises:
        ValueError: A measured cost is in another currency.
    """
    wrong = measured.filter(pl.col("currency") != currency)
    if wrong.height:
        found = sorted(set(wrong["currency"]))
        msg = f"measured costs are in {found} and prices in {currency}; measure in {currency}"
        raise ValueError(msg)
    rows = {row["workload"]: row for row in measured.iter_rows(named=True)}
    placements, options = [], []
    with localcontext(prec=60):
        for name, workload in sorted(workloads.items()):
            placement, its_options = _one(name, workload, rows.get(name), currency, factor)
            placements.append(placement)
            options += its_options
    return (
        pl.DataFrame(placements, schema=PLACEMENT.schema, orient="row"),
        pl.DataFrame(options, schema=PLACEMENT_OPTIONS.schema, orient="row"),
    )


def _one(
    name: str, workload: Workload, row: Mapping[str, Any] | None, currency: str, factor: Decimal
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    volume = volumes(workload, row)
    if factor != 1:
        volume = volume.times(factor)
        declared = {"current_cost_month": None, "gpu_hours_month": volume.gpu_hours_month}
        workload = workload.model_copy(update=declared)
        row = None if row is None else {**row, "effective_cost_month": None, "days_left_out": 0}
    rules = constraints(workload, volume.gpu_hours_month, None if row is None else row["p95_ms"])
    verdicts = []
    for option_name, option in sorted(workload.options.items()):
        broken = breaches(option_name, option, rules)
        verdict = Verdict(option_name, option, broken)
        if not broken:
            verdict = _price(verdict, workload, volume, row)
        verdicts.append(verdict)
    confidence = _confidence(row)
    decision = decide(workload, verdicts, confidence)
    clashes = conflicts(workload.options, rules) if decision.status == "infeasible" else ()
    placement = {
        "workload": name,
        "team": workload.team or (None if row is None else row["team"]),
        "current_option": workload.current,
        "recommended_option": None if decision.pick is None else decision.pick.name,
        "status": decision.status,
        "saving_36m": decision.saving,
        "npv_36m": decision.npv,
        "breakeven_month": decision.breakeven_month,
        "confidence": confidence,
        "reason": reason(workload, verdicts, decision, clashes, currency),
        "currency": currency,
    }
    return placement, [_option_row(name, verdict, currency) for verdict in verdicts]


def _price(verdict: Verdict, workload: Workload, volume: Volumes, row: Mapping[str, Any] | None) -> Verdict:
    """The verdict with its cost; of the current option the declared one, else measured, else from prices."""
    current = verdict.name == workload.current
    name, option, horizon = verdict.name, verdict.option, workload.horizon_months
    if current and workload.current_cost_month is not None:
        cost = _whole(workload.current_cost_month, horizon)
        return Verdict(name, option, cost=cost, basis="as declared in current_cost_month")
    measured = None if row is None else row["effective_cost_month"]
    if current and row is not None and measured is not None and not volume.differ:
        basis = f"measured over {row['days_observed']} days"
        if row["days_left_out"]:
            basis += f", {row['days_left_out']} on which {_UNKNOWN} counted as a mean one"
        if row["other_currencies"]:
            basis += f", without what is billed in {row['other_currencies']}"
        return Verdict(name, option, cost=_whole(measured, horizon), basis=basis)
    found = price(option, volume, current=current, horizon=horizon)
    if isinstance(found, Missing):
        return Verdict(name, option, missing=found.keys)
    dated = f" of {option.price_date}" if option.price_date else ""
    basis = f"from its prices{dated}" + (f", {option.price_source}" if option.price_source else "")
    if current and measured is not None:
        basis += f", because the declared {', '.join(volume.differ)} is not what was measured"
    if current and row is not None and measured is None and row["days_left_out"]:
        basis += f", because {_UNKNOWN} on {row['days_left_out']} days, all that it ran"
    if found.egress_month is None:
        basis += ", egress not counted"
    return Verdict(name, option, cost=found, basis=basis)


def _whole(month: Any, horizon: int) -> Cost:
    return Cost(horizon, usage_month=exact(month), energy_month=None, opex_month=None, egress_month=None)


def _confidence(row: Mapping[str, Any] | None) -> Confidence:
    if row is None or row["effective_cost_month"] is None or row["other_currencies"]:
        return "low"
    coverage = 1.0 if row["coverage"] is None else row["coverage"]
    if row["days_observed"] >= _HIGH[0] and coverage >= _HIGH[1]:
        return "high"
    return "medium" if row["days_observed"] >= _MEDIUM[0] and coverage >= _MEDIUM[1] else "low"


def _option_row(workload: str, verdict: Verdict, currency: str) -> dict[str, Any]:
    cost = verdict.cost
    return {
        "workload": workload,
        "option": verdict.name,
        "tier": verdict.option.tier,
        "feasible": verdict.feasible,
        "reason": option_reason(verdict),
        "cost_36m": None if cost is None else cost.total,
        **(
            dict.fromkeys(("capex", "usage", "energy", "opex", "egress", "migration"))
            if cost is None
            else cost.parts()
        ),
        "monthly_cost": None if cost is None else cost.month,
        "currency": currency,
    }
