"""The answers of a Prometheus for some days, as hours in our tables. The questions belong to the modules beside it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from connectors.meters import METHODS, with_counts
from connectors.prometheus import inference, kube, nodes, power, power_metrics, servers
from connectors.prometheus.gpu import gpu_hours
from connectors.prometheus.holders import with_jobs
from connectors.prometheus.owners import AMOUNTS, with_owners
from connectors.prometheus.question import Question
from connectors.prometheus.requests import gap_rows
from connectors.telemetry import local_day
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
        bridge_h: Longer gaps are not bridged.
        methods: Ways to measure power, best first; None for all, in the order of `connectors/meters.py`.
        meter_nodes: Meter -> node.
        wrap_joules: Zone of RAPL -> range of its counters.
        job_pattern: Regular expression whose named groups are dimensions in the names of batch jobs, None without.
    """

    interval_s: float | None
    exporter_pods: str
    pod_labels: Mapping[str, Sequence[str]]
    bridge_h: float
    methods: Sequence[str] | None
    meter_nodes: Mapping[str, str]
    wrap_joules: Mapping[str, float]
    job_pattern: str | None = None


def read_hours(question: Question, far: Question, zone: ZoneInfo, scrapes: Scrapes) -> Hours:
    """Asks for everything.

    Args:
        question: The hours of the days wanted, and of those around them in which a gap may end.
        far: Those, and the hours by which what ends such a gap of a power meter is judged.
        zone: Time zone of the site.
        scrapes: What is known of the series.

    Raises:
        SourceError: There is no answer.
    """
    there = question.client.metrics(
        "|".join((kube.METRICS, power_metrics.ANY, servers.ANY)),
        question.matchers,
        question.first,
        question.end,
    )
    owners = kube.pod_labels(question, scrapes.pod_labels, there)
    places = dict(kube.nodes(question, there).iter_rows())
    dimensions = list(scrapes.pod_labels)
    frames: dict[Table, pl.DataFrame] = {}
    cards = gpu_hours(question, scrapes.interval_s, scrapes.exporter_pods, scrapes.bridge_h)
    dropped = [cards.dropped]
    if cards.hours.height:
        labels = nodes.node_labels(question, scrapes.pod_labels, there)
        rows = nodes.with_replicas(_placed(cards.hours, places), labels)
        pods = kube.requests(question, there)
        gaps = gap_rows(rows, cards.gaps, pods, question.hours())
        both = pl.concat(
            [rows.with_columns(energy_estimated_kwh=pl.lit(0.0), sampled=pl.lit(value=True)), gaps],
            how="diagonal",
        )
        owned = with_jobs(with_owners(both, owners, dimensions, AMOUNTS), scrapes.job_pattern, dimensions)
        frames[GPU_HOURLY] = _by_day(nodes.with_node_owners(owned, labels, dimensions), zone)
    models = inference.inference_hours(
        question, inference.Scraped(scrapes.interval_s, scrapes.exporter_pods, scrapes.bridge_h, zone), there
    )
    if models.height:
        owned = with_owners(models, owners, dimensions)
        frames[INFERENCE_HOURLY] = _by_day(_covered(owned, question), zone).with_columns(
            workload=pl.coalesce("served", "workload", "model", "pod")
        )
    hosts = places | _hosts(frames.get(GPU_HOURLY))
    wiring = power.Wiring(
        scrapes.methods or METHODS,
        scrapes.meter_nodes,
        hosts,
        scrapes.interval_s,
        scrapes.bridge_h,
        scrapes.wrap_joules,
    )
    meters, wrong = power.power_hours(far, wiring, there)
    dropped.append(wrong)
    if meters.height:
        frames[POWER_HOURLY] = with_counts(_by_day(_covered(meters, far), zone), scrapes.methods)
    return Hours(frames, _findings(dropped, zone))


def _by_day(frame: pl.DataFrame, zone: ZoneInfo) -> pl.DataFrame:
    return frame.with_columns(local_day("hour", zone).alias("day"))


def _covered(rows: pl.DataFrame, question: Question) -> pl.DataFrame:
    """Coverage of an hour, where it was that of what the local day has of it: half an hour that ends a day is 0.5."""
    return rows.join(question.hours().drop("index"), on="hour", how="left").with_columns(
        pl.col("coverage") * pl.col("length")
    )


def _placed(rows: pl.DataFrame, places: Mapping[str, str]) -> pl.DataFrame:
    """Fills the node of cards whose exporter does not know it, from where its pod or address is."""
    address = pl.col("instance").str.replace(r":\d+$", "")
    found = [
        c.replace_strict(places, default=None, return_dtype=pl.String)
        for c in (pl.col("exporter_pod"), address)
    ]
    return rows.with_columns(node=pl.coalesce("node", *found))


def _hosts(cards: pl.DataFrame | None) -> dict[str, str]:
    """Address -> node of the exporters of cards, for other exporters on the same hosts."""
    if cards is None:
        return {}
    known = cards.select("node", host=pl.col("instance").str.replace(r":\d+$", "")).drop_nulls().unique()
    alone = known.filter(pl.col("node").n_unique().over("host") == 1)
    return {host: node for node, host in alone.iter_rows()}


def _findings(dropped: Sequence[pl.DataFrame], zone: ZoneInfo) -> Mapping[date, list[Mapping[str, Any]]]:
    findings: dict[date, list[Mapping[str, Any]]] = defaultdict(list)
    for frame in dropped:
        if frame.is_empty():
            continue
        sums = (
            _by_day(frame, zone)
            .group_by("day", "column_name")
            .agg(pl.col("rows").sum(), pl.col("value").max())
            .sort("day", "column_name")
        )
        for day, column, rows, value in sums.iter_rows():
            findings[day].append(
                {
                    "action": "repaired",
                    "rule": "value_dropped",
                    "column_name": column,
                    "value": value,
                    "rows": round(rows),
                }
            )
    return findings
