"""Model servers of seven kinds whose requests are known to the last, as OpenMetrics text.

Three local days in Adelaide, the third of 23 hours. Requests come at half past each minute, but for the last minute of
a day; scrapes at 17 seconds past. What happens to them, on purpose:
- vllm-0: its container is replaced by a newer version in place: counters restart, cached tokens and engine have new names
- vllm-1: is replaced by vllm-2, a new pod
- triton: two versions of a model, failures for several reasons, no scrapes for two hours over the first midnight
- tgi: shows a counter only once it has counted; restarts
- nim: request_success_total becomes request_finish_total in place
- kserve: a transformer in front, an InferenceService's label
- ray: two replicas and two routes; the newer version shows each counter under both names
- sglang: a newer version tells where cached tokens came from
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from tests.sites import Labels, Plan, Text

PLAN = Plan("Australia/Adelaide", date(2026, 10, 2), 12)
DAYS = PLAN.days[:3]
MINUTES = sum(int(PLAN.hours[day] * 60) for day in DAYS)
SILENT = (23.0, 25.0)
"""Hours after the first midnight without scrapes of triton."""

BOUNDS = (0.25, 1.0, 4.0)
FIELDS = ("inferences", "failed", "tokens_in", "tokens_cached", "tokens_out")


@dataclass(frozen=True)
class Request:
    """One request; `failure` says why it failed, "" for those that did not."""

    seconds: float
    prompt: int
    cached: int
    generated: int
    failure: str
    route: str


@dataclass
class Served:
    """What was answered: (server, day) -> field -> count, buckets as `le:BOUND`. Kept apart is what no scrape saw."""

    seen: dict[tuple[str, date], dict[str, float]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(float))
    )
    lost: dict[str, float] = field(default_factory=lambda: defaultdict(float))


@dataclass
class Process:
    """A server's process as its exporter shows it."""

    text: Text
    at: Labels
    counters: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(default_factory=dict)
    samples: dict[tuple[str, tuple[tuple[str, str], ...]], list[tuple[float, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def add(self, metric: str, by: float = 1.0, **labels: str) -> None:
        key = (metric, tuple(labels.items()))
        self.counters[key] = self.counters.get(key, 0.0) + by

    def observe(self, metric: str, seconds: float, units: float = 1.0, **labels: str) -> None:
        """One value of a histogram; bounds in units of it."""
        for bound in (*BOUNDS, float("inf")):
            name = "+Inf" if bound == float("inf") else str(bound * units)
            self.add(f"{metric}_bucket", float(seconds <= bound), **labels, le=name)
        self.add(f"{metric}_count", **labels)
        self.add(f"{metric}_sum", seconds * units, **labels)

    def scrape(self, ts: int) -> None:
        for key, value in self.counters.items():
            self.samples[key].append((ts, value))

    def write(self) -> None:
        for (metric, labels), samples in self.samples.items():
            self.text.add(metric, {**self.at, **dict(labels)}, iter(samples))


def _vllm(p: Process, r: Request, *, new: bool) -> None:
    own = {"model_name": "llama-3.3-70b", **({"engine": "0"} if new else {})}
    p.add("vllm:request_success_total", **own, finished_reason=r.failure or "stop")
    for reason in ("stop", "length", "abort"):
        p.add("vllm:request_success_total", 0, **own, finished_reason=reason)
    p.add("vllm:prompt_tokens_total", r.prompt, **own)
    p.add("vllm:generation_tokens_total", r.generated, **own)
    if new:
        p.add("vllm:prompt_tokens_cached_total", r.cached, **own)
        p.add(
            "vllm:prefix_cache_hits_total", r.cached + 16, **own
        )  # counts blocks too: the former is preferred
    else:
        p.add("vllm:gpu_prefix_cache_hits_total", r.cached, **own)
    p.observe("vllm:e2e_request_latency_seconds", r.seconds, **own)


def _triton(p: Process, r: Request, *, new: bool) -> None:
    model = {"model": "resnet50", "version": "2" if r.route == "/b" else "1"}
    reason = "REJECTED" if r.generated % 2 else "BACKEND"
    p.add("nv_inference_count", 0.0 if r.failure else 4.0, **model)  # batches of four
    p.add("nv_inference_request_success", float(not r.failure), **model)
    for name in ("REJECTED", "CANCELED", "BACKEND", "OTHER"):
        p.add("nv_inference_request_failure", float(bool(r.failure) and name == reason), **model, reason=name)
    p.observe("nv_inference_first_response_histogram_ms", r.seconds / 8, 1000.0, **model)
    p.observe("vllm:e2e_request_latency_seconds", r.seconds, **model)


def _tgi(p: Process, r: Request, *, new: bool) -> None:
    del new
    if r.failure:
        p.add("tgi_request_failure", err="validation" if r.generated % 2 else "overloaded")
        return
    p.add("tgi_request_success")
    p.add("tgi_request_input_length_sum", r.prompt)
    p.add("tgi_request_generated_tokens_sum", r.generated)
    p.observe("tgi_request_duration", r.seconds)


def _nim(p: Process, r: Request, *, new: bool) -> None:
    own = {"model_name": "meta/llama-3.1-8b"}
    p.add(f"request_{'finish' if new else 'success'}_total", **own, finished_reason=r.failure or "stop")
    p.add("prompt_tokens_total", r.prompt, **own)
    p.add("generation_tokens_total", r.generated, **own)
    p.observe("e2e_request_latency_seconds", r.seconds, **own)
    p.add("request_success_total", path="/healthz")  # another program's, without a model


def _kserve(p: Process, r: Request, *, new: bool) -> None:
    del new
    p.observe("request_predict_seconds", r.seconds, model_name="bert")
    p.observe("request_preprocess_seconds", r.seconds / 10, model_name="bert")


def _ray(p: Process, r: Request, *, new: bool) -> None:
    own = {"deployment": "Ranker", "application": "shop", "replica": f"r{r.prompt % 2}", "route": r.route}
    name = f"ray_serve_deployment_{'error' if r.failure else 'request'}_counter"
    for metric in (name, f"{name}_total") if new else (name,):
        p.add(metric, **own)
    p.observe("ray_serve_deployment_processing_latency_ms", r.seconds, 1000.0, **own)


def _sglang(p: Process, r: Request, *, new: bool) -> None:
    own = {"model_name": "qwen3-32b", "engine_type": "unified", "tp_rank": "0"}
    p.add("sglang:num_requests_total", **own)
    p.add("sglang:prompt_tokens_total", r.prompt, **own)
    p.add("sglang:generation_tokens_total", r.generated, **own)
    for part, source in ((r.cached // 2, "device"), (r.cached - r.cached // 2, "host")):
        p.add("sglang:cached_tokens_total", part, **own, **({"cache_source": source} if new else {}))
    p.observe("sglang:e2e_request_latency_seconds", r.seconds, **own)


COUNT_NO_FAILURES = ("kserve", "sglang")
KINDS = {
    "vllm": _vllm, "triton": _triton, "tgi": _tgi, "nim": _nim, "kserve": _kserve, "ray": _ray,
    "sglang": _sglang,
}  # fmt: skip
TOKENS = {
    "vllm": ("tokens_in", "tokens_cached", "tokens_out"), "sglang": ("tokens_in", "tokens_cached", "tokens_out"), "tgi": ("tokens_in", "tokens_out"),
    "nim": ("tokens_in", "tokens_out"),
}  # fmt: skip
RESTARTS = {"vllm-0": 30.4, "tgi-0": 41.7, "nim-0": 52.9, "ray-0": 20.2, "triton-0": 60.6, "sglang-0": 25.5}
"""Pod -> hours after the first midnight at which its process is replaced, by a newer version."""

LIVES = {"vllm-1": (0.0, 33.3), "vllm-2": (33.3, 99.0)}
"""Pods that do not live all the time."""


def _count(kind: str, r: Request, into: dict[str, float]) -> None:
    """What the truth has of a request."""
    into["failed"] += bool(r.failure)
    into["inferences"] += (0 if r.failure else 4) if kind == "triton" else not r.failure
    if kind != "tgi" or not r.failure:
        for name, count in zip(
            ("tokens_in", "tokens_cached", "tokens_out"), (r.prompt, r.cached, r.generated), strict=True
        ):
            into[name] += count if name in TOKENS.get(kind, ()) else 0
        for bound in (*BOUNDS, float("inf")):
            into[f"le:{bound:g}"] += r.seconds <= bound


def _pod(text: Text, name: str, rng: random.Random, truth: Served) -> None:
    kind = name.split("-", 1)[0]
    where: Labels = {"namespace": "ml", "pod": name, "instance": f"{name}:8000", "job": kind}
    if kind == "kserve":
        where["inferenceservice"] = "search-bert"
    process, new = Process(text, where), False
    begin, end = (PLAN.at(h) for h in LIVES.get(name, (0.0, 99.0)))
    restart = PLAN.at(RESTARTS[name]) if name in RESTARTS else 0
    silent = [PLAN.at(h) for h in SILENT] if kind == "triton" else [0, 0]
    waiting: list[tuple[date, Request]] = []
    dark = scraped = False
    for minute in range(MINUTES):
        ts = PLAN.t0 + 60 * minute
        if not begin <= ts < end:
            continue
        day, scrape = PLAN.day_of(ts), ts + 77
        last = PLAN.day_of(scrape) != day
        for _ in range(0 if last else rng.randrange(0, 5)):
            failure = "abort" if rng.random() < 0.1 and kind not in COUNT_NO_FAILURES else ""
            request = Request(
                rng.lognormvariate(-0.5, 1.2), rng.randrange(1, 3000), rng.randrange(0, 500), rng.randrange(1, 600),
                failure, rng.choice(("/a", "/b")),
            )  # fmt: skip
            KINDS[kind](process, request, new=new)
            waiting.append((day, request))
        if restart and ts <= restart < ts + 60:  # 45 seconds past the minute, after its requests
            process.counters, new, dark = {}, True, True
            for _, request in waiting:
                truth.lost[name] += not request.failure
            waiting = []
        if dark and ts >= restart + 180:
            dark = False
        if silent[0] <= scrape < silent[1] or dark:
            if dark:  # nothing is answered before it is up again
                process.counters = {}
                waiting = []
            continue
        process.scrape(scrape)
        if not scraped and process.counters:
            scraped = True  # a first sample shows what nobody saw rise
            for _, request in waiting:
                truth.lost[name] += not request.failure
            waiting = []
        for on, request in waiting:
            _count(kind, request, truth.seen[name, on])
        waiting = []
    process.write()


PODS = ("vllm-0", "vllm-1", "vllm-2", "triton-0", "tgi-0", "nim-0", "kserve-0", "ray-0", "sglang-0")


def write_servers(path: Path) -> Served:
    """Writes the series and returns the truth."""
    rng, text, truth = random.Random(PLAN.seed), Text(), Served()
    for name in PODS:
        _pod(text, name, rng, truth)
    text.write(path)
    return truth
