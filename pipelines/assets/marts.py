"""Layers `costs`, `marts` and `publication`: what is computed from the facts, and how it becomes what people read."""

from collections.abc import Callable, Mapping, Sequence

import dagster as dg

from pipelines import publication, transform
from pipelines.api_usage import api_usage
from pipelines.resources import Tierwise
from pipelines.run import Run

Step = Callable[[Run], Mapping[str, int | float | str]]


def _asset(
    key: Sequence[str], step: Step, deps: Sequence[dg.AssetKey], group: str, description: str
) -> dg.AssetsDefinition:
    @dg.asset(
        key=dg.AssetKey(key),
        deps=deps,
        group_name=group,
        description=description,
        required_resource_keys={"tierwise"},
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        tierwise: Tierwise = context.resources.tierwise
        run = tierwise.run(context.run.run_id, dict(context.run.tags))
        if key not in (PLAN, PUBLISHED) and run.unchanged:
            return dg.MaterializeResult(metadata={"unchanged": True})
        return dg.MaterializeResult(metadata=dict(step(run)))

    return asset


PLAN = ["plan"]
PUBLISHED = ["publication", "published"]
STAGED = dg.AssetKey(["publication", "staged"])


def mart_assets(sources: Sequence[dg.AssetKey]) -> list[dg.AssetsDefinition]:
    """The assets downstream of the sources, in order."""
    plan = dg.AssetKey(PLAN)
    owned = dg.AssetKey(["costs", "owned_hardware"])
    chargeback = dg.AssetKey(["marts", "chargeback"])
    unit_cost = dg.AssetKey(["marts", "unit_cost"])
    economics = dg.AssetKey(["marts", "economics"])
    placement = dg.AssetKey(["marts", "placement"])
    accounts = dg.AssetKey(["marts", "api_reconciliation"])
    statements = dg.AssetKey(["publication", "statements"])
    return [
        _asset(PLAN, publication.plan, sources, "sources", "Whether anything differs from what is published."),
        _asset(
            ["costs", "owned_hardware"], transform.owned_hardware, [plan], "costs",
            "Owned GPUs and edge devices billed by the rate card, as FOCUS rows; GPU-hours and idle cost by day.",
        ),
        _asset(
            ["marts", "chargeback"], transform.chargeback, [owned], "marts",
            "Who owes what, by day and month, and the reconciliation of every source.",
        ),
        _asset(
            ["marts", "unit_cost"], transform.unit_cost, [chargeback], "marts",
            "Cost per million inferences and tokens, full and marginal.",
        ),
        _asset(
            ["marts", "economics"], transform.economics, [chargeback, unit_cost], "marts",
            "Training runs, models over their life, share of revenue, waste, targets.",
        ),
        _asset(
            ["marts", "placement"], transform.placement, [unit_cost], "marts",
            "Where each workload should run, and why.",
        ),
        _asset(
            ["marts", "api_reconciliation"], api_usage, [chargeback], "marts",
            "Gateway log, provider's usage and bill of model APIs against each other, by kind of token.",
        ),
        _asset(
            ["publication", "staged"], publication.stage, [placement, economics, chargeback, unit_cost, accounts], "publication",
            "The warehouse as it would be published, beside the published one.",
        ),
        _asset(
            ["publication", "statements"], publication.statements, [STAGED], "publication",
            "Statements per team and month, rendered from the staged warehouse.",
        ),
        _asset(
            PUBLISHED, publication.publish, [statements, STAGED], "publication",
            "The one atomic step that makes the staged warehouse and statements the published ones.",
        ),
    ]  # fmt: skip
