"""What Dagster loads: `dagster dev -w workspace.yaml`. `build_defs(overrides=...)` is the seam for tests.

Layers, and what belongs in each: `sources` (what changed), `bills` and `telemetry` (the same by partition),
`costs` (owned hardware becomes FOCUS rows), `marts` (what people ask for), `publication` (gates, statements,
the atomic replace). Formulas belong to `models/`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from pipelines.assets.gates import gate_checks
from pipelines.assets.marts import mart_assets
from pipelines.assets.sources import source_assets, source_key
from pipelines.jobs import daily_job, daily_schedule
from pipelines.resources import held
from pipelines.settings import Config, load_config

CONFIG_VARIABLE = "TIERWISE_CONFIG"
EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "tierwise.yaml"


def find_config() -> Path:
    """The configuration file: $TIERWISE_CONFIG, else ./tierwise.yaml, else ./demo/tierwise.yaml, else the example.

    The example lets Dagster show the assets in a fresh clone; running them asks for `tierwise demo` first.
    """
    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        return Path(named)
    return next((f for f in (Path("tierwise.yaml"), Path("demo/tierwise.yaml")) if f.is_file()), EXAMPLE)


def build_defs(config: Config | None = None, overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """The definitions of a configuration.

    Args:
        config: The configuration; found by `find_config` where absent.
        overrides: Resource name -> replacement, `tierwise` above all.

    Returns:
        Assets by layer, gates, the daily job and its schedule.
    """
    config = config or load_config(find_config())
    sources = [asset for source in config.sources.values() for asset in source_assets(config, source)]
    marts = mart_assets([source_key(name) for name in config.sources])
    gates = gate_checks(config)
    job = daily_job(config, marts, gates)
    return dg.Definitions(
        assets=[*sources, *marts],
        asset_checks=[gates],
        jobs=[job],
        schedules=[daily_schedule(config, job)],
        resources={"tierwise": held(config), **(overrides or {})},
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions of the configuration that `find_config` finds; made when Dagster asks for them."""
    return build_defs()
