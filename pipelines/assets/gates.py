"""The gates as asset checks on the staged warehouse; a failed one stops everything downstream of it."""

from collections.abc import Iterator

import dagster as dg

from pipelines import audit
from pipelines.assets.marts import STAGED
from pipelines.checks.gate import Gate
from pipelines.checks.gates import gates
from pipelines.resources import Tierwise
from pipelines.settings import Config


def gate_checks(config: Config) -> dg.AssetChecksDefinition:
    """One asset check a gate, judged together."""
    known: tuple[Gate, ...] = gates(config.settings.gates)

    @dg.multi_asset_check(
        name="gates",
        specs=[
            dg.AssetCheckSpec(g.name, asset=STAGED, blocking=g.blocking, description=g.doc) for g in known
        ],
        required_resource_keys={"tierwise"},
    )
    def check(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        tierwise: Tierwise = context.resources.tierwise
        for verdict in audit.check(tierwise.run(context.run.run_id, dict(context.run.tags))):
            yield dg.AssetCheckResult(
                check_name=verdict.gate.name,
                asset_key=STAGED,
                passed=verdict.passed,
                severity=dg.AssetCheckSeverity.ERROR if verdict.gate.blocking else dg.AssetCheckSeverity.WARN,
                description=verdict.sentence(),
                metadata={
                    name: number
                    for name, number in (
                        ("value", verdict.value), ("minimum", verdict.gate.minimum), ("maximum", verdict.gate.maximum)
                    )
                    if number is not None
                },
            )  # fmt: skip

    return check
