"""The one daily job and its schedule."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from zoneinfo import ZoneInfo

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from pipelines.assets.sources import source_key
from pipelines.problems import ConfigError, Problem
from pipelines.resources import DAY_TAG
from pipelines.settings import Config

DAILY = "daily"


def daily_job(
    config: Config, marts: Sequence[dg.AssetsDefinition], gates: dg.AssetChecksDefinition
) -> UnresolvedAssetJobDefinition:
    """Every source, then everything that follows from them, gates included."""
    selection = dg.AssetSelection.assets(*(source_key(n) for n in config.sources), *(a.key for a in marts))
    return dg.define_asset_job(
        DAILY,
        selection=selection | dg.AssetSelection.checks(gates),
        executor_def=dg.in_process_executor,
        description="The daily run: read what changed, compute, audit, publish.",
    )


def daily_schedule(config: Config, job: UnresolvedAssetJobDefinition) -> dg.ScheduleDefinition:
    """The schedule of the configuration; each run is for the day before it. It is on where the file has `schedule`.

    Raises:
        ConfigError: `schedule.cron` is not cron.
    """
    schedule = config.settings.schedule
    zone = schedule.time_zone or config.settings.time_zone
    asked = "schedule" in config.settings.model_fields_set

    def tags(context: dg.ScheduleEvaluationContext) -> dict[str, str]:
        day = context.scheduled_execution_time.astimezone(ZoneInfo(zone)).date() - timedelta(days=1)
        return {DAY_TAG: day.isoformat()}

    try:
        return dg.ScheduleDefinition(
            name="daily_schedule",
            job=job,
            cron_schedule=schedule.cron,
            execution_timezone=zone,
            tags_fn=tags,
            default_status=dg.DefaultScheduleStatus.RUNNING if asked else dg.DefaultScheduleStatus.STOPPED,
        )
    except dg.DagsterInvalidDefinitionError as error:
        problem = Problem(
            "schedule.cron", repr(schedule.cron), "must be five fields of cron, such as 0 6 * * *"
        )
        raise ConfigError(config.file, [problem]) from error
