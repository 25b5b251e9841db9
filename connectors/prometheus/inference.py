"""Hours of served models from the metrics of vLLM.

Finished requests are those whose `finished_reason` is neither abort nor error. Counters of engines are summed;
counters of a restarted pod start again and increase() sees to it. An hour in which an instance has a single sample
has no increase and is left out; a count that one of a pod's instances lacks is unknown for the pod.
"""

from __future__ import annotations

import json

import polars as pl

from connectors.prometheus.question import (
    HALF_OPEN,
    PODS,
    Question,
    expected_samples,
    holders,
    observed,
    one_replica,
)
from models.latency import merge

FINISHED = "vllm:request_success_total"
TOKENS = {
    "tokens_in": "vllm:prompt_tokens_total",
    "tokens_cached": "vllm:prompt_tokens_cached_total",
    "tokens_out": "vllm:generation_tokens_total",
}
BUCKETS = "vllm:e2e_request_latency_seconds_bucket"
FAILED = ("abort", "error")
SERVICE = ("model_name", "instance", *PODS)
THING = ["model_name", "namespace", "pod", "instance"]


def inference_hours(question: Question, interval_s: float | None, exporter_pods: str) -> pl.DataFrame:
    """Hours of models by pod.

    Args:
        question: The hours.
        interval_s: Seconds between scrapes, None to find out.
        exporter_pods: Regular expression of pods that are no service's.

    Returns:
        hour, model, namespace, pod, inferences, failed, tokens_in, tokens_cached, tokens_out (NULL where there is no
        such metric), latency_buckets (JSON), coverage.
    """
    labels = (*SERVICE, "engine")
    finished = question.select(FINISHED)
    counts = question.ask(f"count_over_time({finished}[{HALF_OPEN}])", labels).rename({"value": "count"})
    if counts.is_empty():
        return pl.DataFrame()
    seen = holders(counts, exporter_pods).group_by(*THING, "replica", "hour").agg(pl.col("count").max())
    kept = one_replica(seen, THING)
    expected = expected_samples(kept, THING, interval_s)
    by = [*THING, "hour"]
    hours = kept.with_columns(coverage=observed(expected, THING))

    def counted(metric: str, *more: str) -> pl.DataFrame:
        found = question.ask(f"increase({question.select(metric)}[1h])", [*labels, *more])
        chosen = holders(found, exporter_pods).join(kept, on=[*by, "replica"], how="semi", nulls_equal=True)
        return chosen.group_by(*by, *more).agg(pl.col("value").sum())

    requests = counted(FINISHED, "finished_reason")
    failed = pl.col("finished_reason").is_in(FAILED)
    hours = hours.join(
        requests.group_by(by).agg(
            inferences=pl.col("value").filter(~failed).sum(), failed=pl.col("value").filter(failed).sum()
        ),
        on=by, how="left", nulls_equal=True,
    )  # fmt: skip
    for name, metric in TOKENS.items():
        hours = hours.join(counted(metric).rename({"value": name}), on=by, how="left", nulls_equal=True)
    hours = hours.join(_histograms(counted(BUCKETS, "le"), by), on=by, how="left", nulls_equal=True)
    increased = pl.any_horizontal(pl.col("inferences", *TOKENS, "histogram").is_not_null())
    return _by_pod(hours.filter((pl.col("count") > 1) | increased))


def _histograms(buckets: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    found = (
        buckets.with_columns(bound=pl.col("le").str.replace("Inf", "inf").cast(pl.Float64))
        .sort("bound")
        .group_by(by, maintain_order=True)
        .agg("le", "value")
    )
    texts = [
        json.dumps({_bound(le): value for le, value in zip(bounds, values, strict=True)})
        for bounds, values in found.select("le", "value").iter_rows()
    ]
    return found.select(*by, histogram=pl.Series(texts, dtype=pl.String))


def _by_pod(hours: pl.DataFrame) -> pl.DataFrame:
    """Adds up the instances of a pod: services without a pod label keep their instance as the pod."""
    sums = ("inferences", "failed", *TOKENS)
    merged = (
        hours.with_columns(pod=pl.coalesce("pod", "instance"))
        .sort("instance")
        .group_by("hour", "model_name", "namespace", "pod", maintain_order=True)
        .agg(
            *(pl.when(pl.col(c).is_not_null().all()).then(pl.col(c).sum()).alias(c) for c in sums),
            "histogram",
            coverage=pl.col("coverage").max(),
        )
    )
    totals = [merge(histograms) for histograms in merged["histogram"]]
    texts = [None if total is None else json.dumps(total) for total in totals]
    return (
        merged.drop("histogram")
        .rename({"model_name": "model"})
        .with_columns(pl.col("model").replace("", None), latency_buckets=pl.Series(texts, dtype=pl.String))
    )


def _bound(le: str) -> str:
    """The bound as other sources write it: 1.0 -> 1."""
    return le if le == "+Inf" else f"{float(le):g}"
