"""Options of the kind `edge_prometheus`: what series and labels of edge devices are called."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from connectors.prometheus.server_options import ServerOptions
from models.fields import Day, Frozen

Metric = Annotated[str, Field(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")]
Label = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]

KWH = {"joules": 3.6e6, "millijoules": 3.6e9, "watt_hours": 1e3, "kilowatt_hours": 1.0}
"""Unit -> how many of it are a kWh."""

WATTS = {"watts": 1.0, "milliwatts": 1e3}
"""Unit -> how many of it are a watt."""


class Metrics(Frozen):
    """Names of metrics; null for those that are not to be read.

    Attributes:
        inferences: Counter of inferences finished.
        failed: Counter of those in error.
        energy: Counter of energy.
        power: Gauge of power, for days on which a device has no counter of energy.
        uptime: Seconds since the device started, when counters of inferences began at 0; null where they outlive that.
        latency: Histogram of seconds.
    """

    inferences: Metric = "edge_inferences_total"
    failed: Metric | None = "edge_inferences_failed_total"
    energy: Metric | None = "edge_energy_joules_total"
    power: Metric | None = "edge_power_watts"
    uptime: Metric | None = "edge_uptime_seconds"
    latency: Metric | None = "edge_inference_duration_seconds_bucket"

    def named(self) -> dict[str, str]:
        """What is read -> name of the metric."""
        return {kind: name for kind, name in self.model_dump().items() if name}


class Labels(Frozen):
    """Names of labels.

    Attributes:
        device: The device: the `node` of its asset.
        site: The site; only series in which it is the source's `site` are read. null where there is no such label.
        ignored: Labels that do not tell series apart: jobs and replicas that scrape the same endpoint of a device.
    """

    device: Label = "device"
    site: Label | None = "site"
    device_model: Label = "device_model"
    model: Label = "model"
    team: Label = "team"
    project: Label = "project"
    environment: Label = "environment"
    workload: Label = "workload"
    workload_type: Label = "workload_type"
    ignored: tuple[Label, ...] = (
        "job", "replica", "__replica__", "prometheus", "prometheus_replica", "receive_replica",
    )  # fmt: skip


class Options(ServerOptions):
    """Options of the kind.

    Attributes:
        site: A key of `sites`.
        start: First local day to read; 35 days before the day of the run where absent.
        lateness_hours: A day is complete this long after its end.
        late_days: Days back in which late samples reopen a day; the server's `out_of_order_time_window`.
        report_interval_s: Seconds between a device's samples; one covers at most 2.5 times that.
        bridge_days: A device silent for longer starts anew: what it counted meanwhile is not known by day.
        metrics: Names of metrics.
        labels: Names of labels.
        energy_unit: Unit of the counter of energy.
        power_unit: Unit of the gauge of power.
    """

    site: str
    start: Day | None = None
    lateness_hours: float = Field(default=1, ge=0, le=720)
    late_days: int = Field(default=7, ge=0, le=60)
    report_interval_s: float = Field(default=60, ge=1, le=86400)
    bridge_days: int = Field(default=7, ge=1, le=60)
    metrics: Metrics = Metrics()
    labels: Labels = Labels()
    energy_unit: Literal["joules", "millijoules", "watt_hours", "kilowatt_hours"] = "joules"
    power_unit: Literal["watts", "milliwatts"] = "watts"
