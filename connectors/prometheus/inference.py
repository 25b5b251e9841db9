"""Hours of served models from the metrics of model servers (`servers.py`).

Finished requests are those that did not abort, fail or break off. Counters of engines are summed; counters of a
restarted pod start again and increase() sees to it. An hour in which an instance has a single sample has no increase and
is left out; a count that one of a pod's instances lacks is unknown for the pod.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import polars as pl

from connectors.prometheus.holders import PODS, holders
from connectors.prometheus.question import Question, blank, expected_samples, first_of, observed, one_replica
from connectors.prometheus.servers import FAILED, SERVERS, Server
from models.latency import merge

TOKENS = ("tokens_in", "tokens_cached", "tokens_out")
SUMS = ("inferences", "failed", *TOKENS)
THING = ["model", "served", "namespace", "pod", "instance"]
BY = [*THING, "hour"]


def inference_hours(
    question: Question, interval_s: float | None, exporter_pods: str, there: set[str]
) -> pl.DataFrame:
    """Hours of models by pod.

    Args:
        question: The hours.
        interval_s: Seconds between scrapes, None to find out.
        exporter_pods: Regular expression of pods that are no service's.
        there: Names of metrics that the server has.

    Returns:
        hour, model, served (the workload as the server names it), namespace, pod, uid, inferences, failed, tokens_in,
        tokens_cached, tokens_out (NULL where there is no such metric), latency_buckets (JSON), coverage.
    """
    found = [
        hours.with_columns(order=pl.lit(i))
        for i, server in enumerate(SERVERS)
        if (hours := _server_hours(question, server, interval_s, exporter_pods, there)).height
    ]
    if not found:
        return pl.DataFrame()
    hours = pl.concat(found, how="diagonal_relaxed")
    first = pl.col("order").min().over("namespace", "pod", "hour")
    return hours.filter(pl.col("order") == first).drop("order")


def _server_hours(
    question: Question, server: Server, interval_s: float | None, exporter_pods: str, there: set[str]
) -> pl.DataFrame:
    labels = [
        *dict.fromkeys((*server.model, *server.workload)),
        "instance",
        "engine",
        "version",
        "replica",
        *PODS,
    ]

    def named(frame: pl.DataFrame) -> pl.DataFrame:
        frame = frame.with_columns(
            model=first_of(server.model),
            served=first_of(server.workload) if server.workload else pl.lit(None, dtype=pl.String),
        )
        return holders(frame, exporter_pods)

    finished = _first_there(server.finished, there)
    if finished is None:
        return pl.DataFrame()
    generic = () if ":" in finished or not finished.startswith("request_") else ('model_name!=""',)
    counts = named(question.ask(f"count_over_time({question.gauge(finished, *generic)})", labels))
    if counts.is_empty():
        return pl.DataFrame()
    seen = counts.rename({"value": "count"}).group_by(*THING, "uid", "ha", "hour").agg(pl.col("count").max())
    kept = one_replica(seen, THING)
    expected = expected_samples(kept, THING, interval_s)
    hours = kept.join(question.hours().drop("index"), on="hour").with_columns(
        coverage=observed(expected, THING, pl.col("length")) / pl.col("length")
    )

    def counted(metric: str, *more: str) -> pl.DataFrame:
        name, _, rest = metric.partition("{")
        inside = [rest.removesuffix("}")] if rest else []
        asked = question.ask(f"increase({question.counter(name, *inside, *generic)})", [*labels, *more])
        chosen = named(asked).join(kept, on=[*BY, "ha"], how="semi", nulls_equal=True)
        return chosen.group_by(*BY, *more).agg(pl.col("value").sum())

    hours = hours.join(_requests(server, finished, counted, there), on=BY, how="left", nulls_equal=True)
    for column in TOKENS:
        metric = _first_there(server.tokens.get(column, ()), there)
        hours = (
            hours.join(counted(metric).rename({"value": column}), on=BY, how="left", nulls_equal=True)
            if metric
            else hours.with_columns(pl.lit(None, dtype=pl.Float64).alias(column))
        )
    buckets = _first_there(server.buckets, there)
    histograms = counted(buckets, "le") if buckets else pl.DataFrame()
    hours = hours.join(_histograms(histograms, server.per_second, hours), on=BY, how="left", nulls_equal=True)
    increased = pl.any_horizontal(pl.col("inferences", *TOKENS, "histogram").is_not_null())
    return _by_pod(hours.filter((pl.col("count") > 1) | increased))


def _first_there(metrics: Sequence[str], there: set[str]) -> str | None:
    return next((m for m in metrics if m.split("{")[0] in there), None)


def _requests(
    server: Server, finished: str, counted: Callable[..., pl.DataFrame], there: set[str]
) -> pl.DataFrame:
    """Requests finished with an answer, and failed ones (NULL where the server does not count them)."""
    failures = _first_there(server.failures, there)
    if server.reason:
        failed = pl.col(server.reason).str.contains(f"^(?i:{FAILED})$")
        known = counted(finished, server.reason).group_by(BY).agg(
            inferences=pl.col("value").filter(~failed).sum(),
            failed=pl.col("value").filter(failed).sum(),
        )  # fmt: skip
    else:
        known = counted(finished).rename({"value": "inferences"})
        known = known.with_columns(failed=pl.lit(None, dtype=pl.Float64))
    if failures is None:
        return known
    more = counted(failures).rename({"value": "more"})
    return known.join(more, on=BY, how="left", nulls_equal=True).with_columns(
        failed=pl.coalesce("failed", 0.0) + pl.coalesce("more", 0.0)
    ).drop("more")  # fmt: skip


def _histograms(buckets: pl.DataFrame, per_second: float, hours: pl.DataFrame) -> pl.DataFrame:
    if buckets.is_empty():
        return hours.select(BY).clear().with_columns(histogram=pl.lit(None, dtype=pl.String))
    found = (
        buckets.with_columns(bound=pl.col("le").str.replace("Inf", "inf").cast(pl.Float64) / per_second)
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
        .sort("instance")
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
