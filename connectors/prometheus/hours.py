"""The answers of a Prometheus for some days, as hours in our tables. The questions belong to the modules beside it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from connectors.meters import with_counts
from connectors.prometheus.gpu import day_energy_query, gap_hours, gpu_hours
from connectors.prometheus.inference import inference_hours
from connectors.prometheus.power import power_hours
from connectors.prometheus.question import Question, hours_between, pod_labels
from connectors.telemetry import first_hour, local_day
from models.tables import GPU_HOURLY, INFERENCE_HOURLY, POWER_HOURLY, Table


@dataclass(frozen=True)
class Hours:
    """Hours by table, with `day`, and findings by day. Tables without rows are absent."""

    frames: Mapping[Table, pl.DataFrame]
    findings: Mapping[date, list[Mapping[str, Any]]]

    def of(self, table: Table, source: str, site: str, tier: str) -> pl.DataFrame:
        """The hours of a table, with source, site and tier."""
        return self.frames[table].with_columns(source=pl.lit(source), site=pl.lit(site), tier=pl.lit(tier))


@dataclass(frozen=True)
class Scrapes:
    """What is known of the scraped series.

    Attributes:
        interval_s: Seconds between scrapes, None to find out.
        exporter_pods: Regular expression of the exporters' own pods.
        pod_labels: Dimension -> labels of pods that may hold it.
    """

    interval_s: float | None
    exporter_pods: str
    pod_labels: Mapping[str, Sequence[str]]


def read_hours(question: Question, days: Sequence[date], zone: ZoneInfo, scrapes: Scrapes) -> Hours:
    """Asks for everything.

    Args:
        question: The hours of the days.
        days: Local days that follow each other.
        zone: Time zone of the site.
        scrapes: What is known of the series.

    Raises:
        SourceError: There is no answer.
    """
    findings: dict[date, list[Mapping[str, Any]]] = defaultdict(list)
    owners = pod_labels(question, scrapes.pod_labels)
    frames: dict[Table, pl.DataFrame] = {}
    cards, expected, dropped = gpu_hours(question, scrapes.interval_s, scrapes.exporter_pods)
    for row in (
        _by_day(dropped, zone)
        .group_by("day", "column_name")
        .agg(pl.len(), pl.col("value").max())
        .sort("day", "column_name")
        .iter_rows()
    ):
        day, column, rows, value = row
        findings[day].append(
            {
                "action": "repaired",
                "rule": "value_dropped",
                "column_name": column,
                "value": str(value),
                "rows": rows,
            }
        )
    if cards.height:
        owned = cards.join(owners, on=["namespace", "pod", "hour"], how="left", maintain_order="left")
        owned = _by_day(owned, zone).with_columns(energy_estimated_kwh=pl.lit(0.0))
        gaps = []
        for day in days:
            found, wrong = _gaps(question, owned.filter(pl.col("day") == day), day, zone, expected)
            gaps.append(found)
            if wrong:
                column = "energy_estimated_kwh"
                findings[day].append(
                    {"action": "repaired", "rule": "value_dropped", "column_name": column, "rows": wrong}
                )
        frames[GPU_HOURLY] = pl.concat([owned, *gaps], how="diagonal")
    models = inference_hours(question, scrapes.interval_s, scrapes.exporter_pods)
    if models.height:
        owned = models.join(owners, on=["namespace", "pod", "hour"], how="left", maintain_order="left")
        frames[INFERENCE_HOURLY] = _by_day(owned, zone).with_columns(
            workload=pl.coalesce("workload", "model", "pod")
        )
    meters = power_hours(question, scrapes.interval_s)
    if meters.height:
        frames[POWER_HOURLY] = with_counts(_by_day(meters, zone).with_columns(method=pl.lit("ipmi_dcmi")))
    return Hours(frames, {d: f for d, f in findings.items() if f})


def _by_day(frame: pl.DataFrame, zone: ZoneInfo) -> pl.DataFrame:
    return frame.with_columns(local_day("hour", zone).alias("day"))


def _gaps(
    question: Question, cards: pl.DataFrame, day: date, zone: ZoneInfo, expected: float
) -> tuple[pl.DataFrame, int]:
    start, end = first_hour(day, zone), first_hour(day + timedelta(days=1), zone)
    query = day_energy_query(question, int((end - start).total_seconds()))
    daily = question.client.at(query, end, ["UUID"])
    hours = pl.Series("hour", hours_between(start, end - timedelta(hours=1)), dtype=pl.Datetime("us"))
    gaps, wrong = gap_hours(cards, daily, hours, expected)
    return gaps.with_columns(day=pl.lit(day)), wrong
