"""Layer `sources`: one asset a source for the daily job, and the same source by partition (month or day).

The daily asset looks at the whole source and reads what changed; it reports each slice it read as a
materialisation of the partitioned asset, so that the partitions show what is there. Materialising a partition
by hand reads that slice alone.
"""

import shutil
from datetime import date

import dagster as dg

from pipelines.facts import SliceFacts
from pipelines.ingest import ingest
from pipelines.partitions import GRAIN, partitions
from pipelines.resources import Tierwise
from pipelines.settings import Config, Source, asset_name


def source_key(name: str) -> dg.AssetKey:
    """The asset of a source in the daily job."""
    return dg.AssetKey(["sources", asset_name(name)])


def slices_key(source: Source) -> dg.AssetKey:
    """The partitioned asset of a source."""
    return dg.AssetKey(["telemetry" if GRAIN[source.kind] == "day" else "bills", asset_name(source.name)])


def _metadata(slices: list[SliceFacts]) -> dict[str, dg.MetadataValue]:
    read = [s for s in slices if s.status == "loaded"]
    totals: dict[str, float] = {}
    for facts in slices:
        for currency, total in facts.totals.items():
            totals[currency] = totals.get(currency, 0.0) + float(total)
    return {
        "slices": dg.MetadataValue.int(len(slices)),
        "slices_read": dg.MetadataValue.int(len(read)),
        "dagster/row_count": dg.MetadataValue.int(sum(s.rows["loaded"] for s in slices)),
        "rows_rejected": dg.MetadataValue.int(sum(s.rows["rejected"] for s in slices)),
        **{f"billed_cost_{c.lower()}": dg.MetadataValue.float(round(t, 2)) for c, t in totals.items()},
    }


def source_assets(config: Config, source: Source) -> list[dg.AssetsDefinition]:
    """The daily asset and the partitioned asset of one source."""
    parts = partitions(config, source)

    @dg.asset(
        key=source_key(source.name),
        group_name="sources",
        kinds={source.kind},
        description=f"{source.kind} source {source.name}: what changed since the last run.",
        required_resource_keys={"tierwise"},
    )
    def daily(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        tierwise: Tierwise = context.resources.tierwise
        slices = ingest(tierwise.run(context.run.run_id, dict(context.run.tags)), source)
        lasting = not context.instance.is_ephemeral  # else nobody would ever see the partitions
        known = context.instance.get_materialized_partitions(slices_key(source)) if lasting else set()
        for facts in slices if lasting else ():
            key = facts.period.isoformat()
            if (facts.status == "loaded" or key not in known) and parts.has_partition_key(key):
                context.log_event(
                    dg.AssetMaterialization(slices_key(source), partition=key, metadata=_metadata([facts]))
                )
        return dg.MaterializeResult(metadata=_metadata(slices))

    @dg.asset(
        key=slices_key(source),
        deps=[source_key(source.name)],
        group_name="telemetry" if GRAIN[source.kind] == "day" else "bills",
        partitions_def=parts,
        description=f"Facts of {source.name}, one partition a {GRAIN[source.kind]}. The daily job fills it; by hand it reads one.",
        required_resource_keys={"tierwise"},
    )
    def sliced(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        tierwise: Tierwise = context.resources.tierwise
        period = date.fromisoformat(context.partition_key)
        run = tierwise.run(context.run.run_id, dict(context.run.tags), (period, period))
        slices = ingest(run, source)
        shutil.rmtree(run.folder, ignore_errors=True)
        return dg.MaterializeResult(metadata=_metadata([s for s in slices if s.period == period]))

    return [daily, sliced]
