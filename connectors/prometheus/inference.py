"""Hours of served models from the metrics of model servers (`servers.py`).

Finished requests are those that did not abort, fail or break off. Counters of engines, routes and reasons are summed.
What was counted between the last scrape and a restart, and before a new pod's first scrape, nobody knows. A count that
one of a pod's instances lacks is unknown for the pod.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

import polars as pl

from connectors.prometheus.counts import Counters, Metric, Named
from connectors.prometheus.holders import PODS, holders
from connectors.prometheus.once import prefilled_once, seen_once, without_transformers
from connectors.prometheus.pace import pace
from connectors.prometheus.question import (
    Question,
    blank,
    bound,
    expected_samples,
    first_of,
    observed,
    one_replica,
)
from connectors.prometheus.servers import FAILED, SERVERS, Server, spellings
from connectors.telemetry import local_day
from models.latency import merge

TOKENS = ("tokens_in", "tokens_cached", "tokens_out")
SUMS = ("inferences", "answered", "failed", *TOKENS)
COMMON = ("request_", "prompt_", "generation_", "e2e_", "prefix_", "gpu_prefix_")
"""Names that other programs use too: NIM's and KServe's."""

CHILD = (
    "engine", "version", "replica", "route", "reason", "err", "source", "cache_source", "gpu_uuid", "WorkerId",
    "ReplicaId",
)  # fmt: skip
"""Labels that tell apart counters of one server that are added up. Triton counts by card what runs on one, Ray by worker."""

BEHIND = "exported_instance"
"""The server's own instance where the scraped one is that of a Collector or gateway."""

THING = ["model", "served", "namespace", "pod", "instance", "through"]
"""`through` is the scraped instance of servers of no pod behind a Collector: each host's may call its server localhost:8000."""
BY = [*THING, "hour"]


@dataclass(frozen=True)
class Scraped:
    """How servers are scraped.

    Attributes:
        interval_s: Seconds between scrapes, None to find out.
        exporter_pods: Regular expression of pods that are no service's.
        bridge_h: Longer gaps are not bridged.
        zone: Of the site.
    """

    interval_s: float | None
    exporter_pods: str
    bridge_h: float
    zone: ZoneInfo


def inference_hours(question: Question, scrapes: Scraped, there: set[str]) -> pl.DataFrame:
    """Hours of models by pod.

    Args:
        question: The hours.
        scrapes: How servers are scraped.
        there: Names of metrics that the server has.

    Returns:
        hour, model, served (the workload as the server names it), namespace, pod, uid, inferences, answered, failed,
        tokens_in, tokens_cached, tokens_out (NULL where there is no such metric), latency_buckets (JSON), coverage.
    """
    found: list[pl.DataFrame] = []
    before = pl.DataFrame()
    for i, server in enumerate(SERVERS):
        hours = _server_hours(question, server, scrapes, there)
        if hours.height and server.front and before.height:
            behind = before.select("namespace", "hour", behind=pl.lit(value=True)).unique()
            hours = hours.join(behind, on=["namespace", "hour"], how="left", nulls_equal=True)
            passed = pl.col("behind") & pl.col("model").str.contains(server.front)
            hours = hours.filter(~passed.fill_null(value=False)).drop("behind")
        if hours.height:
            found.append(hours.with_columns(order=pl.lit(i - bool(server.front)), server=pl.lit(server.name)))
        before = hours
    if not found:
        return pl.DataFrame()
    hours = pl.concat(found, how="diagonal_relaxed")
    first = pl.col("order").min().over("namespace", "pod", "hour")
    hours = without_transformers(hours.filter(pl.col("order") == first))
    return prefilled_once(hours).drop("order", "server")


def _server_hours(question: Question, server: Server, scrapes: Scraped, there: set[str]) -> pl.DataFrame:
    labels = [*dict.fromkeys((*server.model, *server.workload)), "instance", BEHIND, *CHILD, *PODS]

    def named(frame: pl.DataFrame) -> pl.DataFrame:
        frame = frame.with_columns(
            model=first_of(server.model),
            served=first_of(server.workload) if server.workload else pl.lit(None, dtype=pl.String),
        )
        if "le" in frame.columns:
            bounds = [bound(le) for le in frame["le"]]
            frame = frame.with_columns(le=pl.Series(bounds, dtype=pl.Float64)).drop_nulls("le")
        frame = holders(frame.with_columns(through="instance"), scrapes.exporter_pods)
        behind = pl.col("pod").is_null() & (pl.col(BEHIND) != "")
        return frame.with_columns(
            instance=first_of((BEHIND, "instance")).fill_null(""),
            through=pl.when(behind).then("through").otherwise(pl.lit("")),
        )

    own = (*server.finished, *server.elements)
    finished = _metrics(own, there)
    if not finished:
        return pl.DataFrame()
    kept, counted_in = (
        _kept(
            question.ask,
            [(form(m, *more), m in own) for m, more in finished],
            named,
            labels,
            scrapes.interval_s,
        )
        for form in (question.gauge, question.values)
    )
    if counted_in.is_empty():
        return pl.DataFrame()
    paced = pace(counted_in, THING, scrapes.interval_s)
    counters = Counters(question, THING, CHILD, named, counted_in, paced, scrapes.bridge_h)

    def counted(names: Sequence[str], *more: str, late: bool = False) -> pl.DataFrame | None:
        metrics = _metrics(names, there)
        return counters.hours(metrics, labels, more, late=late) if metrics else None

    if server.elements:
        nothing = pl.DataFrame(schema={**counted_in.select(BY).schema, "value": pl.Float64()})
        each = {
            "elements": server.elements,
            "answered": server.finished,
            "hits": server.hits,
            "failed": server.failures,
        }
        told = {name: counted(names, late=name == "failed") for name, names in each.items()}
        requests = _batches({n: nothing if part is None else part for n, part in told.items()}, scrapes.zone)
    else:
        reasons = (server.reason,) if server.reason else ()
        requests = _requests(
            server, counters.hours(finished, labels, reasons), counted(server.failures, late=True)
        )

    seen = (
        paced.even(kept, "count")
        .join(question.hours().drop("index"), on="hour")
        .with_columns(coverage=observed(paced.expected, THING, pl.col("length")) / pl.col("length"))
    )
    hours = seen.select(*BY, "uid", "coverage")
    parts = {column: counted(server.tokens.get(column, ())) for column in TOKENS}
    found = [
        requests.with_columns(told=pl.lit(value=True)),
        *(part.rename({"value": column}) for column, part in parts.items() if part is not None),
        _histograms(counted(server.buckets, "le"), server.per_second),
    ]
    for part in found:
        hours = hours.join(part, on=BY, how="full", coalesce=True, nulls_equal=True)
    absent = (pl.lit(None, dtype=pl.Float64).alias(c) for c in TOKENS if parts[c] is None)
    hours = hours.with_columns(*absent, pl.col("coverage").fill_null(0.0))
    return _by_pod(hours.filter(pl.any_horizontal(pl.col("told", *TOKENS, "histogram").is_not_null())))


def _kept(
    ask: Callable[..., pl.DataFrame],
    ranges: Sequence[tuple[str, bool]],
    named: Named,
    labels: Sequence[str],
    interval_s: float | None,
) -> pl.DataFrame:
    """THING, hour, ha, uid, count and behind: the samples of the replica that counts.

    Args:
        ask: Asks for the maximum of an expression by labels and hour.
        ranges: Samples of an hour under each name, and whether it is the server's own.
        named: Adds the columns of a thing.
        labels: Labels that the thing is named by.
        interval_s: Seconds between scrapes, None to find out.
    """
    frames = [
        named(ask(f"count_over_time({ranged})", labels)).with_columns(order=pl.lit(i), plain=pl.lit(plain))
        for i, (ranged, plain) in enumerate(ranges)
    ]
    by = [*THING, "ha", "hour"]
    series = (
        pl.concat(frames)
        .group_by(*by, *CHILD, "order", "plain")
        .agg(pl.col("value").sum(), pl.col("uid", BEHIND).max())
    )
    seen = series.group_by(*by, "order").agg(
        count=pl.col("value").max(),
        uid=pl.col("uid").max(),
        behind=pl.col(BEHIND).max() != "",
        plain=pl.col("plain").any(),
    )
    if seen.is_empty():
        return seen
    # a metric that was renamed within the hour has samples under both names, one after the other
    full = expected_samples(seen, [*THING, "ha", "order"], interval_s)
    both = pl.min_horizontal(pl.col("count").sum(), pl.max_horizontal(pl.col("count").max(), full))
    each = seen.group_by(by).agg(
        count=both, uid=pl.col("uid").max(), behind=pl.col("behind").any(), plain=pl.col("plain").any()
    )
    return one_replica(seen_once(each), THING)


def _metrics(names: Sequence[str], there: set[str]) -> list[Metric]:
    """Those of the metrics that are there, with their matchers; common names only where they name a model."""
    found: list[Metric] = []
    for name in names:
        metric, _, inside = name.partition("{")
        generic = ('model_name!=""',) if metric.startswith(COMMON) else ()
        matchers = (*((inside.removesuffix("}"),) if inside else ()), *generic)
        found += [(spelled, matchers) for spelled in spellings(metric) if spelled in there]
    return [*dict.fromkeys(found)]


def _requests(server: Server, known: pl.DataFrame, failures: pl.DataFrame | None) -> pl.DataFrame:
    """Requests finished with an answer, and failed ones (NULL where the server does not count them)."""
    if server.reason:
        failed = pl.col(server.reason).str.contains(f"^(?i:{FAILED})$")
        known = known.group_by(BY).agg(
            inferences=pl.col("value").filter(~failed).sum(),
            failed=pl.col("value").filter(failed).sum(),
        )  # fmt: skip
    else:
        known = known.rename({"value": "inferences"})
        known = known.with_columns(failed=pl.lit(0.0 if server.lazy else None, dtype=pl.Float64))
    known = known.with_columns(answered=pl.lit(None, dtype=pl.Float64))
    if failures is None:
        return known
    more = failures.rename({"value": "more"})
    return known.join(more, on=BY, how="left", nulls_equal=True).with_columns(
        failed=pl.coalesce("failed", 0.0) + pl.coalesce("more", 0.0)
    ).drop("more")  # fmt: skip


def _batches(parts: Mapping[str, pl.DataFrame], zone: ZoneInfo) -> pl.DataFrame:
    """Inferences, requests answered, and failed, where requests hold several inferences; without the former they are as many.

    A request that a cache answered holds as many as those that were executed on that day do on average: its own number
    is not counted. Without the number of requests inferences are unknown in hours with hits, and so are failures,
    which are requests.
    """
    found = parts["elements"].rename({"value": "elements"})
    for name in ("answered", "hits", "failed"):
        how: Literal["full", "left"] = "full" if name == "answered" else "left"
        part = parts[name].rename({"value": name})
        found = found.join(part, on=BY, how=how, coalesce=True, nulls_equal=True)
    day = [*THING, local_day("hour", zone)]
    hit, executed = pl.col("hits").fill_null(0.0), pl.col("answered") - pl.col("hits").fill_null(0.0)
    known = pl.col("elements").is_not_null() & executed.is_not_null()
    run = executed.filter(known).sum().over(day)
    held = pl.when(run > 0).then(pl.col("elements").filter(known).sum().over(day) / run)
    hidden = pl.when(hit > 0).then(pl.when(pl.col("answered").is_not_null()).then(hit * held)).otherwise(0.0)
    return found.with_columns(
        inferences=pl.when(pl.col("elements").is_null())
        .then("answered")
        .otherwise(pl.col("elements") + hidden),
        failed=pl.when(pl.col("answered").is_not_null() & bool(parts["failed"].height)).then(
            pl.col("failed").fill_null(0.0)
        ),
    ).drop("elements", "hits")


def _histograms(buckets: pl.DataFrame | None, per_second: float) -> pl.DataFrame:
    if buckets is None or buckets.is_empty():
        nothing = dict.fromkeys((*THING, "histogram"), pl.String())
        return pl.DataFrame(schema=pl.Schema({**nothing, "hour": pl.Datetime("us")}))
    found = (
        buckets.with_columns(bound=pl.col("le") / per_second)
        .sort("bound")
        .group_by(BY, maintain_order=True)
        .agg("bound", "value")
    )
    texts = [
        json.dumps({_bound(b): value for b, value in zip(bounds, values, strict=True)})
        for bounds, values in found.select("bound", "value").iter_rows()
    ]
    return found.select(*BY, histogram=pl.Series(texts, dtype=pl.String))


def _by_pod(hours: pl.DataFrame) -> pl.DataFrame:
    """Adds up the instances of a pod: services without a pod label keep their instance as the pod."""
    merged = (
        hours.with_columns(pod=pl.coalesce("pod", blank("instance")))
        .sort("instance", "through")
        .group_by("hour", "model", "served", "namespace", "pod", maintain_order=True)
        .agg(
            *(pl.when(pl.col(c).is_not_null().all()).then(pl.col(c).sum()).alias(c) for c in SUMS),
            "histogram",
            uid=pl.col("uid").drop_nulls().max(),
            coverage=pl.col("coverage").max(),
        )
    )
    totals = [merge(histograms) for histograms in merged["histogram"]]
    texts = [None if total is None else json.dumps(total) for total in totals]
    return merged.drop("histogram").with_columns(latency_buckets=pl.Series(texts, dtype=pl.String))


def _bound(bound: float) -> str:
    """The bound as other sources write it: 1.0 -> 1."""
    return "+Inf" if bound == float("inf") else f"{bound:g}"
