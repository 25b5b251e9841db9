"""Counters of the model servers: a sample of each pod every five minutes, as a Prometheus client would count.

A file `inference/<local day>.parquet` a day. `requests_total` counts every request finished, failed ones
included; the latency histogram counts those with an answer. The cards they run on belong to `gpu_site.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from examples.company import DC1_ZONE, DOC_EXTRACT, FRAUD_SCORING, SUPPORT_CHAT, Owner
from examples.faults import LLM_RESET_POD, Moments
from examples.gpu_site import OFFICE
from examples.noise import noise
from examples.truth import Inference

STEP_S = 300
UTC_ZONE = ZoneInfo("UTC")


@dataclass(frozen=True)
class Service:
    """One served model and how it is used.

    Attributes:
        owner: Owner.
        model: Served model.
        namespace: Kubernetes namespace.
        pods: Replicas, each of which gets this load.
        base: Requests of five minutes at any hour.
        peak: Further requests at the busiest hour.
        prompt: Mean prompt tokens of a request; None where the model has no tokens.
        generated: Mean generated tokens of an answer.
        cached_percent: Of the prompt tokens.
        failed_permille: Of the requests.
        latency: Upper bound in seconds -> permille of answers within it, when calm and when busy.
    """

    owner: Owner
    model: str
    namespace: str
    pods: tuple[str, ...]
    base: int
    peak: int
    prompt: int | None
    generated: int | None
    cached_percent: int
    failed_permille: int
    latency: Mapping[str, tuple[int, int]]


_CHAT = {
    "0.3": (12, 3), "0.5": (70, 25), "0.8": (210, 110), "1": (330, 190), "1.5": (560, 380), "2": (720, 540),
    "2.5": (820, 660), "5": (965, 890), "10": (994, 972), "15": (998, 990), "20": (1000, 996),
    "30": (1000, 999), "+Inf": (1000, 1000),
}  # fmt: skip
_SCORE = {
    "0.005": (310, 200), "0.01": (700, 560), "0.025": (940, 880), "0.05": (985, 962), "0.1": (997, 990),
    "0.25": (999, 998), "+Inf": (1000, 1000),
}  # fmt: skip
_PAGES = {
    "1": (40, 20), "2.5": (260, 180), "5": (620, 500), "10": (900, 810), "20": (985, 950), "40": (999, 992),
    "+Inf": (1000, 1000),
}  # fmt: skip

AT_DC1 = (
    Service(
        SUPPORT_CHAT,
        "llama-3.3-70b-instruct",
        "assist",
        ("support-chat-0", "support-chat-1"),
        20,
        340,
        860,
        215,
        32,
        6,
        _CHAT,
    ),
    Service(
        FRAUD_SCORING,
        "fraud-net-4",
        "risk",
        ("fraud-scoring-0", "fraud-scoring-1"),
        9_000,
        31_000,
        None,
        None,
        0,
        1,
        _SCORE,
    ),
)
IN_CLOUD = (
    Service(
        DOC_EXTRACT,
        "qwen2.5-vl-7b",
        "documents",
        ("doc-extract-0", "doc-extract-1"),
        240,
        160,
        1_900,
        340,
        4,
        9,
        _PAGES,
    ),
)


def _clock(start: date, end: date, zone: ZoneInfo) -> pl.DataFrame:
    first = datetime.combine(start, time(0), tzinfo=zone)
    last = datetime.combine(end + timedelta(days=1), time(0), tzinfo=zone)
    epoch = pl.int_range(int(first.timestamp()), int(last.timestamp()), STEP_S, eager=True).alias("epoch")
    ts = pl.from_epoch("epoch", time_unit="s").dt.replace_time_zone("UTC")
    local = ts.dt.convert_time_zone(str(zone))
    return epoch.to_frame().select(
        "epoch",
        ts=ts.dt.cast_time_unit("us"),
        day=local.dt.date(),
        curve=local.dt.hour().replace_strict(dict(enumerate(OFFICE)), return_dtype=pl.Int64),
    )


def _work(clock: pl.DataFrame, service: Service, pod: str, seed: int) -> pl.DataFrame:
    """What one pod did in the five minutes up to each sample."""
    stream = f"llm/{pod}"
    key = pl.col("epoch")
    requests = (
        (service.base + service.peak * pl.col("curve") // 20) * (85 + noise(key, stream, seed, 31)) // 100
    )
    failed = (requests * service.failed_permille + noise(key, f"{stream}/failed", seed, 1000)) // 1000
    answered = pl.col("requests") - pl.col("failed")
    busy = pl.col("curve") > 15
    spread = 92 + noise(key, f"{stream}/tokens", seed, 17)
    prompt = pl.col("requests") * (service.prompt or 0) * spread // 100
    return (
        clock.with_columns(requests=requests, failed=failed)
        .with_columns(
            prompt=prompt,
            cached=prompt * service.cached_percent // 100,
            generated=answered * (service.generated or 0) * spread // 100,
            **{
                f"le/{bound}": answered * pl.when(busy).then(busy_share).otherwise(calm_share) // 1000
                for bound, (calm_share, busy_share) in service.latency.items()
            },
        )
        .drop("curve", "epoch")
    )


def _samples(work: pl.DataFrame, service: Service, pod: str, broken: Moments) -> pl.DataFrame:
    """The counters at each sample: what was counted since the server started."""
    restarted = pl.col("ts") >= broken.llm_reset_at if pod == LLM_RESET_POD else pl.lit(value=False)
    counted = [c for c in work.columns if c not in ("ts", "day")]
    total = work.with_columns(boot=restarted).with_columns(pl.col(counted).cum_sum().over("boot"))
    pieces: list[pl.Expr] = []
    for number, bound in enumerate(service.latency):
        pieces += [pl.lit(f'{"," if number else "{"}"{bound}":'), pl.col(f"le/{bound}").cast(pl.String)]
    tokens = {
        "prompt_tokens_total": "prompt",
        "cached_tokens_total": "cached",
        "generation_tokens_total": "generated",
    }
    unknown = pl.lit(None, dtype=pl.Int64)
    return total.select(
        "ts",
        "day",
        workload=pl.lit(service.owner.workload),
        model=pl.lit(service.model),
        team=pl.lit(service.owner.team),
        namespace=pl.lit(service.namespace),
        pod=pl.lit(pod),
        requests_total="requests",
        requests_failed_total="failed",
        **{name: pl.col(column) if service.prompt else unknown for name, column in tokens.items()},
        latency_seconds_buckets=pl.concat_str(*pieces, pl.lit("}")),
    )


def write(
    root: Path, services: Sequence[Service], start: date, end: date, *, seed: int, broken: Moments
) -> Mapping[tuple[str, date], Inference]:
    """Writes `root/inference/<day>.parquet`; days are those of dc1, or UTC for `IN_CLOUD`.

    Args:
        root: Folder of the source.
        services: What is served there.
        start: First day.
        end: Last day.
        seed: Seed of the demo.
        broken: When counters restart.

    Returns:
        (workload, day) -> counts, as the truth defines them.
    """
    clock = _clock(start, end, UTC_ZONE if services is IN_CLOUD else DC1_ZONE)
    samples, done = [], []
    for service in services:
        for pod in service.pods:
            work = _work(clock, service, pod, seed)
            samples.append(_samples(work, service, pod, broken))
            done.append(
                work.select("day", "requests", "failed", "prompt", "cached", "generated").with_columns(
                    workload=pl.lit(service.owner.workload), begun=pl.col("day").shift(1)
                )
            )
    folder = root / "inference"
    folder.mkdir(parents=True, exist_ok=True)
    for (day,), part in pl.concat(samples).partition_by("day", as_dict=True).items():
        part.drop("day").write_parquet(folder / f"{day}.parquet")
    daily = (
        pl.concat(done)
        .drop_nulls("begun")
        .group_by("workload", "begun")
        .agg(pl.sum("requests", "failed", "prompt", "cached", "generated"))
        .sort("workload", "begun")
    )
    return {(workload, day): Inference(*counts) for workload, day, *counts in daily.iter_rows()}
