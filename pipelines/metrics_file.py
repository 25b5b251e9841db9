"""The published figures as Prometheus metrics, in a file for node_exporter's textfile collector, for alerting.

What the figures are belongs to the tables they are read from; nothing is computed here but sums.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl
from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from pipelines.warehouse import Warehouse

_AS_OF = "(SELECT max_by(as_of, published_at) FROM ops.publications)"
_LATEST = f"month = (SELECT max(month) FROM marts.targets WHERE month <= {_AS_OF})"
"""SQL: the latest month of targets that has begun; revenue may be planned for later ones."""

METRICS: Mapping[str, tuple[str, str]] = {
    "tierwise_publication_timestamp_seconds": (
        "When the published warehouse was published",
        "SELECT epoch(max(published_at)) AS value FROM ops.publications",
    ),
    "tierwise_data_as_of_timestamp_seconds": (
        "Start of the day that the published warehouse is for",
        f"SELECT epoch({_AS_OF}) AS value",
    ),
    "tierwise_source_stale": (
        "1 where a source failed and its earlier figures stand",
        "SELECT source, CAST(status = 'stale' AS INT) AS value FROM ops.sources",
    ),
    "tierwise_gate_passed": (
        "1 where a gate of the published run passed",
        "SELECT gate, severity, CAST(passed AS INT) AS value FROM ops.quality "
        "WHERE run_id = (SELECT max_by(run_id, published_at) FROM ops.publications)",
    ),
    "tierwise_reconciliation_difference": (
        "Money in less money out, largest of the months of a source",
        "SELECT source, currency, max(difference) AS value FROM ops.reconciliation GROUP BY ALL",
    ),
    "tierwise_effective_cost_month_to_date": (
        "Effective cost of the latest billing month that has begun",
        "SELECT team, tier, cost_kind, currency, sum(effective_cost) AS value FROM marts.chargeback_monthly "
        f"WHERE month = (SELECT max(month) FROM marts.chargeback_monthly WHERE month <= {_AS_OF}) GROUP BY ALL",
    ),
    "tierwise_waste_cost_30d": (
        "Cost of what nobody used in the last 30 days",
        "SELECT kind, tier, team, currency, sum(cost) AS value FROM marts.waste GROUP BY ALL",
    ),
    "tierwise_cost_anomaly": (
        "Cost less what is usual, on unusual days of the last 7: sum by service",
        "SELECT team, service_provider, service_name, direction, currency, sum(impact) AS value FROM marts.anomalies "
        f"WHERE day > {_AS_OF} - 7 GROUP BY ALL",
    ),
    "tierwise_gpu_seconds": (
        "GPU-seconds of owned cards on the latest day of their site, by kind; used only where all of it is known",
        "WITH d AS (SELECT * FROM marts.gpu_daily QUALIFY day = max(day) OVER (PARTITION BY site)) "
        "SELECT site, 'capacity' AS kind, 3600 * sum(gpu_hours_capacity) AS value FROM d GROUP BY ALL UNION ALL "
        "SELECT site, 'observed', 3600 * sum(gpu_hours_capacity * coverage) FROM d GROUP BY ALL UNION ALL "
        "SELECT site, 'allocated', 3600 * sum(gpu_hours_allocated) FROM d GROUP BY ALL UNION ALL "
        "SELECT site, 'used', 3600 * sum(gpu_hours_used) FROM d WHERE state <> 'unknown' GROUP BY ALL "
        "HAVING count(*) = count(gpu_hours_used)",
    ),
    "tierwise_cost_per_1m_inferences": (
        "Cost per million inferences on the workload's latest day",
        "SELECT workload, team, tier, basis, currency, cost_per_1m_inferences AS value FROM marts.unit_cost_daily "
        "WHERE cost_per_1m_inferences IS NOT NULL "
        "QUALIFY row_number() OVER (PARTITION BY workload, team, tier, basis, currency ORDER BY day DESC, model) = 1",
    ),
    "tierwise_cost_per_1m_tokens": (
        "Cost per million tokens on the workload's latest day",
        "SELECT workload, team, tier, basis, currency, cost_per_1m_tokens AS value FROM marts.unit_cost_daily "
        "WHERE cost_per_1m_tokens IS NOT NULL "
        "QUALIFY row_number() OVER (PARTITION BY workload, team, tier, basis, currency ORDER BY day DESC, model) = 1",
    ),
    "tierwise_target_ratio": (
        "A figure of the latest month that has a target",
        f"SELECT metric, subject, value FROM marts.targets WHERE {_LATEST}",
    ),
    "tierwise_target_missed": (
        "1 where that figure misses its target",
        "SELECT metric, subject, CAST(status = 'missed' AS INT) AS value FROM marts.targets "
        f"WHERE {_LATEST} AND status <> 'unknown'",
    ),
}
"""Name -> what it is, and the query: columns other than `value` are labels. A value that is NULL gives no sample."""


def write(warehouse: Warehouse, file: Path) -> int:
    """Writes the metrics of what is published, in one atomic step.

    Args:
        warehouse: The published warehouse.
        file: The file; its folder is made if it is missing.

    Returns:
        Number of samples.

    Raises:
        OSError: The file cannot be written.
    """
    registry = CollectorRegistry()
    samples = 0
    for name, (doc, sql) in METRICS.items():
        frame = warehouse.read(f"SELECT * FROM ({sql}) WHERE value IS NOT NULL ORDER BY ALL")
        if frame is None:
            return 0
        labels = [c for c in frame.columns if c != "value"]
        gauge = Gauge(name, doc, labels, registry=registry)
        for row in frame.with_columns(pl.col("value").cast(pl.Float64)).iter_rows(named=True):
            child = gauge.labels(*(str(row[c]) for c in labels)) if labels else gauge
            child.set(row["value"])
            samples += 1
    file.parent.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(file), registry)
    return samples
