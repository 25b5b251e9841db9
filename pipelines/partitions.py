"""Partitions of the sources: billing months for bills, local days for telemetry."""

from __future__ import annotations

from typing import Literal

import dagster as dg

from pipelines.settings import Config, Source

START = "2015-01-01"

GRAIN: dict[str, Literal["month", "day"]] = {
    "aws_cur": "month",
    "aws_cur2": "month",
    "gcp_billing_export": "month",
    "azure_export": "month",
    "oci_cost_report": "month",
    "focus": "month",
    "prometheus": "day",
    "telemetry_files": "day",
    "edge_files": "day",
    "edge_prometheus": "day",
    "cloudwatch": "day",
    "litellm": "day",
    "anthropic": "day",
    "openai": "day",
}


def partitions(config: Config, source: Source) -> dg.TimeWindowPartitionsDefinition:
    """The partitions of a source, in its site's time zone."""
    if GRAIN[source.kind] == "month":
        return dg.MonthlyPartitionsDefinition(START, end_offset=2)
    zone = config.settings.sites[source.site].time_zone if source.site else config.settings.time_zone
    return dg.DailyPartitionsDefinition(START, timezone=zone)
