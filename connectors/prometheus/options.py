"""Options of the kind `prometheus`: what the series mean. Where the server is belongs to `server_options.py`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import Field, field_validator

from connectors.meters import METHODS
from connectors.prometheus.server_options import ServerOptions
from models.fields import Day

Dimension = Literal["team", "project", "environment", "workload", "workload_type"]

POD_LABELS: Mapping[Dimension, tuple[str, ...]] = {
    "team": ("label_team",),
    "project": ("label_project",),
    "environment": ("label_environment", "label_env"),
    "workload": ("label_workload", "label_app_kubernetes_io_name", "label_app"),
    "workload_type": ("label_workload_type",),
}


class Options(ServerOptions):
    """Options of the kind.

    Attributes:
        site: A key of `sites`.
        replica_label: Label that tells apart highly available replicas; of each card and hour one replica counts.
        start: First local day to read; 35 days before the day of the run where absent.
        lateness_hours: A day is complete this long after its end.
        bridge_hours: Longer gaps are not bridged by counters. A day is read again this long after its end, when a
            gap over midnight has ended, and once more after twice as long, when it is known what power meters count after it.
        tier: Tier of the inference found here.
        scrape_interval_s: Seconds between scrapes; where absent, found from the samples.
        pod_labels: Dimension -> labels that may hold it, best first; `annotation_` for annotations. Looked for on the
            pod, then its Job, its namespace, its node.
        hpc_job_pattern: Regular expression that finds dimensions in the names of batch jobs (label hpc_job) as named
            groups, such as `^(?P<team>[a-z]+)-(?P<workload>.+)-[0-9]+$`; a job's workload is else its name.
        exporter_pods: Regular expression of the pods of exporters, which hold no card.
        power_order: Ways to measure a node's power, best first; those left out are not read. Where it is absent, all
            are: at the wall before components, and of these counters of energy before gauges of power.
        meter_nodes: Meter or device -> node behind it, where no label of the series says.
        rapl_wrap_joules: Value after which RAPL counters start again (max_energy_range_uj / 1e6), of all or by zone
            (`package`, `dram`), which often differ. What wraps lose is estimated where it is absent.
    """

    site: str
    replica_label: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    start: Day | None = None
    lateness_hours: float = Field(default=1, ge=0, le=720)
    bridge_hours: int = Field(default=24, ge=1, le=168)
    tier: Literal["cloud", "api", "onprem", "edge"] = "onprem"
    scrape_interval_s: float | None = Field(default=None, gt=0, le=1800)
    pod_labels: dict[Dimension, tuple[str, ...]] = Field(default_factory=lambda: dict(POD_LABELS))
    hpc_job_pattern: str | None = None
    exporter_pods: str = ".*dcgm-exporter.*"
    power_order: tuple[str, ...] | None = None
    meter_nodes: dict[str, str] = Field(default_factory=dict)
    rapl_wrap_joules: dict[Literal["package", "dram"], Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict
    )

    @field_validator("rapl_wrap_joules", mode="before")
    @classmethod
    def _of_all_zones(cls, value: Any) -> Any:
        return (
            value
            if isinstance(value, dict)
            else {}
            if value is None
            else dict.fromkeys(("package", "dram"), value)
        )

    @field_validator("power_order")
    @classmethod
    def _known(cls, order: tuple[str, ...] | None) -> tuple[str, ...] | None:
        unknown = [m for m in order or () if m not in METHODS]
        if unknown:
            msg = f"{unknown} are no ways to measure power; allowed are {', '.join(METHODS)}"
            raise ValueError(msg)
        return order

    @field_validator("hpc_job_pattern")
    @classmethod
    def _named_groups(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            groups = re.compile(value).groupindex
            pl.Series([""]).str.extract_groups(value)
        except (re.error, pl.exceptions.PolarsError) as error:
            msg = f"{value!r} is no regular expression: {error}"
            raise ValueError(msg) from error
        if not groups or (wrong := sorted(set(groups) - set(POD_LABELS))):
            msg = f"{value!r} names {', '.join(wrong) if groups else 'no group'}; allowed are {', '.join(POD_LABELS)}"
            raise ValueError(msg)
        return value
