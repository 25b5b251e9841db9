"""Which metrics each model server has for requests, tokens, failures and latency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

FAILED = r"abort.*|error.*|cancel.*|timeout|fail.*"
"""Regular expression of reasons for which a request ended without its answer."""


@dataclass(frozen=True)
class Server:
    """One kind of model server. Of alternative names of a metric the first that is there counts.

    Attributes:
        name: What it is called.
        finished: Counters of requests answered.
        elements: Counters of inferences, of a batch each element, where a request may hold several; without `hits`.
        hits: Counters of requests that a cache of answers has answered, which are in `finished`.
        reason: Label of `finished` that says why a request ended; those that match `FAILED` failed.
        failures: Counters of requests that failed and are not in `finished`.
        lazy: The counter of failures appears with the first one: a server without it has had none.
        tokens: Column -> counters of tokens.
        buckets: Histograms of the time to the whole answer.
        per_second: Units of the histogram in a second.
        model: Labels that name the model, best first.
        workload: Labels that name the workload, best first.
        front: Regular expression of its models that pass requests on to the server that is listed before it and do not
            count where that one does; its other models count beside that one's, also of one pod.
    """

    name: str
    finished: tuple[str, ...]
    elements: tuple[str, ...] = ()
    hits: tuple[str, ...] = ()
    reason: str = ""
    failures: tuple[str, ...] = ()
    lazy: bool = False
    tokens: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    buckets: tuple[str, ...] = ()
    per_second: float = 1.0
    model: tuple[str, ...] = ("model_name",)
    workload: tuple[str, ...] = ()
    front: str = ""

    @property
    def metrics(self) -> set[str]:
        """Names of all its metrics in all spellings, selectors cut off."""
        lists = (self.finished, self.elements, self.hits, self.failures, self.buckets, *self.tokens.values())
        return {s for names in lists for m in names for s in spellings(m.split("{")[0])}


def spellings(metric: str) -> tuple[str, ...]:
    """The name of a metric, and those that an OpenTelemetry Collector gives it: `_total`, units, no colons."""
    base, _, part = metric.rpartition("_")
    if part == "bucket":
        unit = "_milliseconds" if base.endswith("_ms") else "_seconds"
        names = [metric, *([] if base.endswith(unit) else [f"{base}{unit}_bucket"])]
    else:
        names = [
            metric,
            *(
                []
                if part in {"total", "sum", "count"} and metric != "nv_inference_count"
                else [f"{metric}_total"]
            ),
        ]
    return tuple(dict.fromkeys((*names, *(name.replace(":", "_") for name in names))))


VLLM = Server(
    "vllm",
    ("vllm:request_success_total",),
    reason="finished_reason",
    tokens={
        "tokens_in": ("vllm:prompt_tokens_total",),
        "tokens_cached": (
            "vllm:prompt_tokens_cached_total",
            'vllm:prompt_tokens_by_source_total{source=~"local_cache_hit|external_kv_transfer"}',
            "vllm:prefix_cache_hits_total",
            "vllm:gpu_prefix_cache_hits_total",
        ),
        "tokens_out": ("vllm:generation_tokens_total",),
    },
    buckets=("vllm:e2e_request_latency_seconds_bucket",),
)


def _in_ray(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.replace("vllm:", "ray_vllm_") for name in names)


SERVERS = (
    VLLM,
    Server(
        "sglang",
        ("sglang:num_requests_total",),
        tokens={
            "tokens_in": ("sglang:prompt_tokens_total",),
            "tokens_cached": ("sglang:cached_tokens_total",),
            "tokens_out": ("sglang:generation_tokens_total",),
        },
        buckets=("sglang:e2e_request_latency_seconds_bucket",),
    ),
    Server(
        "nim",
        ("request_success_total", "request_finish_total"),
        reason="finished_reason",
        failures=("request_failure_total",),
        tokens={
            "tokens_in": ("prompt_tokens_total",),
            "tokens_cached": ("prompt_tokens_cached_total", "prefix_cache_hits_total", "gpu_prefix_cache_hits_total"),
            "tokens_out": ("generation_tokens_total",),
        },
        buckets=("e2e_request_latency_seconds_bucket",),
    ),
    Server(
        "triton",
        ("nv_inference_request_success",),
        elements=("nv_inference_count",),
        hits=("nv_cache_num_hits_per_model",),
        failures=("nv_inference_request_failure",),
        tokens={  # of its backends TensorRT-LLM and vLLM
            "tokens_in": ("nv_llm_input_token_len_sum", "vllm:prompt_tokens_total"),
            "tokens_out": ("nv_llm_output_token_len_sum", "vllm:generation_tokens_total"),
        },
        buckets=("vllm:e2e_request_latency_seconds_bucket",),
        model=("model",),
    ),
    Server(
        "tgi",
        ("tgi_request_success",),
        failures=("tgi_request_failure",),
        lazy=True,
        tokens={
            "tokens_in": ("tgi_request_input_length_sum",),
            "tokens_out": ("tgi_request_generated_tokens_sum",),
        },
        buckets=("tgi_request_duration_bucket",),
        model=("model_name", "model_id", "model"),
    ),
    Server(
        "kserve",
        ("request_predict_seconds_count",),
        buckets=("request_predict_seconds_bucket",),
        workload=("inferenceservice", "label_serving_kserve_io_inferenceservice"),
    ),
    replace(
        VLLM,
        name="ray_vllm",
        finished=_in_ray(VLLM.finished),
        tokens={column: _in_ray(names) for column, names in VLLM.tokens.items()},
        buckets=_in_ray(VLLM.buckets),
    ),
    Server(
        "ray_serve",
        ("ray_serve_deployment_request_counter_total", "ray_serve_deployment_request_counter"),
        failures=("ray_serve_deployment_error_counter_total", "ray_serve_deployment_error_counter"),
        lazy=True,
        buckets=("ray_serve_deployment_processing_latency_ms_bucket",),
        per_second=1000.0,
        model=("deployment",),
        workload=("application",),
        front="^(?:V?LLM|OpenAiIngress)",
    ),
)  # fmt: skip
"""In order of preference: where one pod shows the metrics of two, the first counts (KServe in front of vLLM)."""

ANY = "|".join(sorted(set().union(*(s.metrics for s in SERVERS))))
"""Regular expression of all metrics."""
