"""Model servers whose labels and names mislead, through a real Prometheus; figures worked out by hand.

Three hours, a scrape a minute: a counter that rises by r a minute shows r at first and 180 r at last, so that 179 r is
seen to be counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from connectors.base import Context, Window
from connectors.prometheus.reader import Options, PrometheusReader
from models import edge, gpu, unit_cost
from models.config import Site
from models.tables import CHARGEBACK_DAILY, EDGE_DAILY, INFERENCE_HOURLY
from pipelines.engines.duckdb import DuckDBEngine
from tests.services.prometheus import prometheus
from tests.sites import Text

pytestmark = pytest.mark.service

DAY = date(2026, 9, 1)
START = int(datetime(2026, 9, 1, tzinfo=UTC).timestamp())
MINUTES, SEEN = 180, 179


def rising(rate: float, first: int = 0, last: int = MINUTES) -> Iterator[tuple[float, float]]:
    """Samples from one minute to before another."""
    return ((START + 60 * m + 30, rate * (m + 1)) for m in range(first, last))


class Pod:
    """A pod whose exporter shows counters."""

    def __init__(self, text: Text, name: str, **more: str) -> None:
        self.text, self.at = text, {"namespace": "ml", "pod": name, "instance": f"{name}:8000", **more}

    def counts(self, metric: str, rate: float, first: int = 0, last: int = MINUTES, **labels: str) -> None:
        """A counter that rises by so much a minute."""
        self.text.add(metric, {**self.at, **labels}, rising(rate, first, last))


def _write(path: Path) -> None:
    text = Text()
    cards = Pod(text, "cards")  # a model with an instance on each of two cards
    for card, rate in (("GPU-a", 5), ("GPU-b", 2)):
        for metric in ("nv_inference_count", "nv_inference_request_success"):
            cards.counts(metric, rate, gpu_uuid=card, model="resnet", version="1")
    cards.counts("nv_inference_request_failure", 1, gpu_uuid="GPU-b", model="resnet", version="1")
    batches = Pod(text, "batches")
    for model, answered, inferences, failed, hits in (
        ("fours", 9, 36, 1, 0), ("singles", 10, 6, 0, 4), ("cached-fours", 10, 20, 0, 5),
    ):  # fmt: skip
        own = {"model": model, "version": "1"}
        batches.counts("nv_inference_request_success", answered, **own)
        batches.counts("nv_inference_count", inferences, **own)
        batches.counts("nv_inference_request_failure", failed, **own, reason="BACKEND")
        batches.counts("nv_cache_num_hits_per_model", hits, **own)
    hidden = Pod(text, "hidden")  # its successes are not scraped
    for metric, rate in (
        ("nv_inference_count", 6),
        ("nv_inference_request_failure", 1),
        ("nv_cache_num_hits_per_model", 4),
    ):
        hidden.counts(metric, rate, model="singles", version="1")
    for name, collected in (
        ("otel", True),
        ("both", True),
        ("both", False),
    ):  # through a Collector, or both ways
        pod = Pod(
            text,
            name,
            **({"instance": "collector:8889", "exported_instance": f"{name}:8000"} if collected else {}),
        )
        if name == "both" and collected:
            pod.at["exported_instance"] = "10.0.0.7:8000"
        total_ = "_total" if collected else ""
        for metric, rate in (
            ("nv_inference_request_success", 3),
            ("nv_inference_count", 12),
            ("nv_inference_request_failure", 1),
        ):
            pod.counts(metric + total_, rate, model="fours", version="1")
    for name, rate in (
        ("a", 3),
        ("b", 5),
    ):  # of no pod, behind one Collector that spells names without colons
        served = Pod(
            text, "", pod="", namespace="", instance="collector:9464", exported_instance=f"{name}:8000"
        )
        served.counts("vllm_request_success_total", rate, model_name="mistral", finished_reason="stop")
        served.counts("vllm_generation_tokens_total", 10 * rate, model_name="mistral")
        for bound in ("1", "+Inf"):
            served.counts("vllm_e2e_request_latency_seconds_bucket", rate, model_name="mistral", le=bound)
    for host, rate in (("h1", 3), ("h2", 5)):  # a Collector on each host calls the server there the same
        agent = Pod(text, "", pod="", namespace="", instance=f"{host}:9464", exported_instance="vllm:8000")
        agent.counts("vllm_request_success_total", rate, model_name="hosts", finished_reason="stop")
    for name, collected in (
        ("vllm_request_success_total", "collector:9464"),
        ("vllm:request_success_total", ""),
    ):
        twice = Pod(text, "", pod="", namespace="", instance=collected or "h3:8000")
        twice.at |= {"exported_instance": "h3:8000"} if collected else {}
        twice.counts(name, 2, model_name="twice", finished_reason="stop")
    for name, rate, failed, cached in (
        ("pd-prefill-0", 9, 1, 200),
        ("pd-decode-0", 8, 1, 900),
        ("solo-prefill-0", 2, 0, 0),
    ):
        pod = Pod(text, name)
        for reason, count in (("length", rate), ("abort", failed)):
            pod.counts("vllm:request_success_total", count, model_name="pd", finished_reason=reason)
        pod.counts("vllm:prompt_tokens_total", 100 * rate, model_name="pd")
        pod.counts("vllm:prompt_tokens_cached_total", cached, model_name="pd")
        pod.counts(
            "vllm:generation_tokens_total", 9 if name == "pd-prefill-0" else 50 * rate, model_name="pd"
        )
        for bound in ("1", "+Inf"):
            pod.counts("vllm:e2e_request_latency_seconds_bucket", rate, model_name="pd", le=bound)
    ensemble = Pod(text, "ensemble")  # parts count what the whole does; no label says which is which
    for model in ("pipeline", "pre", "net"):
        for metric in ("nv_inference_count", "nv_inference_request_success"):
            ensemble.counts(metric, 6, model=model, version="1")
    first = {"model": "chat", "version": "1"}
    for name in (
        "streams",
        "trt",
    ):  # models that answer piece by piece; of vLLM's 2 a minute 1 within a second
        Pod(text, name).counts("nv_inference_count", 2, **first)
        for bound in ("100", "+Inf"):
            Pod(text, name).counts("nv_inference_first_response_histogram_ms_bucket", 2, **first, le=bound)
    streams, trt = Pod(text, "streams"), Pod(text, "trt")
    streams.counts("vllm:prompt_tokens_total", 30, **first)
    streams.counts("vllm:generation_tokens_total", 50, **first)
    for bound, rate in (("1", 1), ("2.5", 2), ("+Inf", 2)):
        streams.counts("vllm:e2e_request_latency_seconds_bucket", rate, **first, le=bound)
    trt.counts("nv_llm_input_token_len_sum", 70, **first, response_metric_type="total_input_tokens")
    trt.counts("nv_llm_output_token_len_sum", 20, **first, response_metric_type="total_output_tokens")
    worker, head = Pod(text, "ray-worker"), Pod(text, "ray-head")
    for replica, rate, prompt in (("w1", 3, 100), ("w2", 2, 10)):  # two replicas of an LLM in a pod
        own = {"model_name": "qwen", "engine": "0", "WorkerId": replica, "ReplicaId": replica}
        for name in ("ray_vllm_request_success", "ray_vllm_request_success_total"):
            worker.counts(name, rate, **own, finished_reason="stop")
        worker.counts("ray_vllm_request_success_total", 1, **own, finished_reason="abort")
        worker.counts("ray_vllm_prompt_tokens_total", prompt, **own)
        worker.counts("ray_vllm_prefix_cache_hits_total", prompt / 10, **own)
        worker.counts("ray_vllm_generation_tokens_total", 40, **own)
        for bound, count in (("1.0", 1), ("+Inf", rate)):
            worker.counts("ray_vllm_e2e_request_latency_seconds_bucket", count, **own, le=bound)
        worker.counts(
            "ray_serve_deployment_request_counter_total",
            rate,
            deployment="LLMServer:qwen",
            application="llm",
            replica=replica,
            WorkerId=replica,
        )
    head.counts(
        "ray_serve_deployment_request_counter_total",
        5,
        deployment="OpenAiIngress",
        application="llm",
        replica="i",
        WorkerId="i",
    )
    worker.counts(
        "ray_serve_deployment_request_counter_total",
        7,
        deployment="Resize",
        application="images",
        replica="x",
        WorkerId="x",
    )
    tgi = Pod(text, "tgi")
    tgi.counts("tgi_request_success", 4)
    for bound, rate, first, last in (
        ("1", 3, 0, 90),
        ("1.0", 3, 90, MINUTES),
        ("2.5", 4, 0, MINUTES),
        ("+Inf", 4, 0, MINUTES),
    ):
        tgi.counts("tgi_request_duration_bucket", rate, first, last, le=bound)
    for name, rate in (
        ("bert-transformer-00001-a", 6), ("bert-predictor-00001-b", 4), ("bert-predictor-00001-c", 2),
        ("alone-transformer-00001-d", 3),
    ):  # fmt: skip
        pod = Pod(text, name, inferenceservice=name.split("-")[0])
        pod.counts("request_predict_seconds_count", rate, model_name="m")
    text.write(path)


def read(url: str, folder: Path, **more: str) -> pl.DataFrame:
    context = Context("dc1", folder, folder / "cache", {"dc1": Site(time_zone="UTC", tariff="0.1")})
    settings = {"kind": "prometheus", "url": url, "site": "dc1", "start": DAY, **more}
    source = PrometheusReader(Options.model_validate(settings), context)
    with DuckDBEngine() as engine:
        slices = source.slices(Window(DAY, datetime(2026, 9, 4, tzinfo=UTC)))
        loaded = list(source.load(slices, folder / "work", engine))
        files = [item.facts["telemetry.inference_hourly"] for item in loaded if item.facts]
        return pl.concat([pl.read_parquet(file) for file in files])


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[pl.DataFrame, pl.DataFrame]:
    """All hours, and those without the parts of an ensemble."""
    folder = tmp_path_factory.mktemp("labels")
    _write(folder / "site.om")
    with prometheus(folder / "site.om", folder) as url:
        return read(url, folder), read(url, folder, matchers='model!~"pre|net"')


@pytest.fixture(scope="module")
def rows(both: tuple[pl.DataFrame, pl.DataFrame]) -> pl.DataFrame:
    return both[0]


def total(rows: pl.DataFrame, pod: str, column: str, model: str = "") -> float | None:
    """Of a pod, or one of its models; None where an hour does not know it."""
    found = rows.filter(pl.col("pod") == pod)
    if model:
        found = found.filter(pl.col("model") == model)
    assert found.height
    return None if found[column].null_count() else float(found[column].sum())


def buckets(rows: pl.DataFrame, pod: str) -> dict[str, float]:
    """Requests of a pod at or below each bound."""
    found: dict[str, float] = {}
    for text in rows.filter(pl.col("pod") == pod)["latency_buckets"]:
        for bound, count in json.loads(text).items():
            found[bound] = found.get(bound, 0.0) + count
    return found


def test_triton_counts_by_card_are_added_up(rows: pl.DataFrame) -> None:
    assert total(rows, "cards", "inferences") == (5 + 2) * SEEN
    assert total(rows, "cards", "failed") == 1 * SEEN


def test_triton_requests_hold_batches(rows: pl.DataFrame) -> None:
    """9 of 10 requests with four inferences each succeed: 90 %, not the 97.3 % of 36 inferences and a request."""
    columns = ("inferences", "answered", "failed")
    assert [total(rows, "batches", c, "fours") for c in columns] == [36 * SEEN, 9 * SEEN, 1 * SEEN]


def test_triton_answers_from_its_cache_are_inferences(rows: pl.DataFrame) -> None:
    """A hit is a request answered, and none of the inferences performed: 6 + 4 of one, 20 + 5 x 4 of four each."""
    columns = ("inferences", "answered")
    assert [total(rows, "batches", c, "singles") for c in columns] == [10 * SEEN, 10 * SEEN]
    assert [total(rows, "batches", c, "cached-fours") for c in columns] == [40 * SEEN, 10 * SEEN]
    assert [total(rows, "hidden", c) for c in (*columns, "failed")] == [None, None, None]


def test_what_a_collector_has_named_anew_counts_once(rows: pl.DataFrame) -> None:
    """Counters with `_total`, and vLLM's without colons: alone they count, beside the server's own names they do not."""
    for pod in ("otel", "both"):
        assert [total(rows, pod, c) for c in ("inferences", "answered", "failed")] == [
            12 * SEEN,
            3 * SEEN,
            SEEN,
        ]
    mistral = rows.filter(pl.col("model") == "mistral")
    counts = mistral.group_by("pod").agg(pl.col("inferences", "tokens_out").sum()).sort("pod").rows()
    assert counts == [("a:8000", 3 * SEEN, 30 * SEEN), ("b:8000", 5 * SEEN, 50 * SEEN)]
    assert buckets(rows, "b:8000") == {"1": 5 * SEEN, "+Inf": 5 * SEEN}


def test_servers_of_no_pod_that_collectors_call_the_same_are_added_up(rows: pl.DataFrame) -> None:
    """3 + 5 requests a minute on two hosts, whose Collectors both say `vllm:8000`; one told of twice has its 2."""
    counts = (
        rows.group_by("model")
        .agg(pl.col("inferences").sum())
        .filter(pl.col("model").is_in(["hosts", "twice"]))
    )
    assert dict(counts.iter_rows()) == {"hosts": (3 + 5) * SEEN, "twice": 2 * SEEN}


def test_bounds_that_prometheus_3_writes_in_another_way_are_the_same(rows: pl.DataFrame) -> None:
    """Prometheus 3 scrapes `le="1"` as `le="1.0"`: the server did not begin anew when Prometheus did."""
    assert buckets(rows, "tgi") == {"1": 3 * SEEN, "2.5": 4 * SEEN, "+Inf": 4 * SEEN}


def test_triton_has_tokens_and_latency_of_its_backends(rows: pl.DataFrame) -> None:
    """Its own histogram is of the time to the first piece of a stream, never of the whole answer."""
    assert [total(rows, "streams", c) for c in ("inferences", "tokens_in", "tokens_out")] == [
        2 * SEEN,
        30 * SEEN,
        50 * SEEN,
    ]
    assert buckets(rows, "streams") == {"1": SEEN, "2.5": 2 * SEEN, "+Inf": 2 * SEEN}
    assert [total(rows, "trt", c) for c in ("inferences", "tokens_in", "tokens_out")] == [
        2 * SEEN,
        70 * SEEN,
        20 * SEEN,
    ]
    assert rows.filter(pl.col("pod").is_in(["trt", "cards"]))["latency_buckets"].null_count() == 6
    assert total(rows, "streams", "tokens_cached") is None


def test_llms_on_ray_serve_count_by_their_engines(rows: pl.DataFrame) -> None:
    """Replicas are added up, what stands before them passes requests on, and other deployments count beside."""
    columns = ("inferences", "failed", "tokens_in", "tokens_cached", "tokens_out")
    counts = [total(rows, "ray-worker", column, "qwen") for column in columns]
    assert counts == [5 * SEEN, 2 * SEEN, 110 * SEEN, 11 * SEEN, 80 * SEEN]
    assert total(rows, "ray-worker", "inferences", "Resize") == 7 * SEEN
    of_ray = (
        rows.filter(pl.col("pod").str.starts_with("ray-"))
        .select("pod", "model", "workload")
        .unique()
        .sort("model")
    )
    assert of_ray.rows() == [("ray-worker", "Resize", "images"), ("ray-worker", "qwen", "qwen")]
    seconds = json.loads(rows.filter(pl.col("model") == "qwen").sort("hour")["latency_buckets"][1])
    assert seconds == {"1": 2 * 60, "+Inf": 5 * 60}


def test_requests_that_one_pod_fills_in_and_another_decodes_count_once(rows: pl.DataFrame) -> None:
    """Of ten a minute one fails in each: 8 + 1 + 1. The 200 that the first found in its cache were cached."""
    columns = ("inferences", "failed", "tokens_in", "tokens_cached", "tokens_out")
    assert [total(rows, "pd-prefill-0", c) for c in columns] == [0, SEEN, 0, 200 * SEEN, 0]
    assert [total(rows, "pd-decode-0", c) for c in columns] == [8 * SEEN, SEEN, 800 * SEEN, 0, 400 * SEEN]
    assert rows.filter(pl.col("pod").str.starts_with("pd-"))["latency_buckets"].null_count() == 6
    assert total(rows, "solo-prefill-0", "inferences") == 2 * SEEN


def test_parts_of_an_ensemble_can_be_left_out(both: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    """6 requests a minute count three times, and with `matchers` once; all others stay."""
    whole, outer = both
    assert [total(rows, "ensemble", "inferences") for rows in both] == [3 * 6 * SEEN, 6 * SEEN]
    assert whole.height - outer.height == 2 * 3  # two models in three hours


def test_a_server_that_never_failed(rows: pl.DataFrame) -> None:
    """TGI and Ray Serve show failures with the first one; Triton always does, so that without them they are not scraped."""
    assert [total(rows, "tgi", "failed"), total(rows, "ray-worker", "failed", "Resize")] == [0, 0]
    assert [total(rows, pod, "failed") for pod in ("trt", "alone-transformer-00001-d")] == [None, None]


def test_transformers_of_kserve_pass_requests_on(rows: pl.DataFrame) -> None:
    """A transformer calls its predictor within its own predict: the request is in both their histograms."""
    found = rows.group_by("workload").agg(pl.col("inferences").sum())
    counts = dict(found.filter(pl.col("workload").is_in(["bert", "alone"])).iter_rows())
    assert counts == {"bert": (4 + 2) * SEEN, "alone": 3 * SEEN}


def test_what_their_work_costs(rows: pl.DataFrame) -> None:
    """A charge each; by 1M inferences and tokens, and requests answered. Counts are so many times 179.

    fours: inferences 36 + 12 + 12, answered 9 + 3 + 3 of 18. qwen: 5 of 7, tokens 110 + 80. pd: 8 + 2 of 12, tokens 800 + 400 + 200 + 100.
    chat: 2 + 2, tokens 30 + 50 + 70 + 20, of requests nobody knows. bert: 4 + 2, no tokens. tgi: 4. images: 7.
    singles: one pod does not know its inferences, so that nobody knows their cost.
    """
    charges = {
        "fours": "10.74", "qwen": "3.401", "pd": "2.148", "chat": "0.716", "bert": "1.074", "tgi": "0.716",
        "images": "1.253", "singles": "1",
    }  # fmt: skip
    line = dict.fromkeys(("project", "environment", "workload_type", "source", "method"), "x")
    line |= {"day": DAY, "billing_month": DAY, "team": "ml", "tier": rows["tier"][0], "currency": "USD"}
    line |= {"billed_cost": Decimal(0), "cost_kind": "direct"}
    charged = [line | {"workload": w, "effective_cost": Decimal(cost)} for w, cost in charges.items()]
    found = unit_cost.daily(
        CHARGEBACK_DAILY.conform(pl.DataFrame(charged)), INFERENCE_HOURLY.conform(rows), EDGE_DAILY.empty(),
        gpu.PARTS.to_frame(), edge.COSTS.to_frame(),
    ).filter(pl.col("workload").is_in(charges) & (pl.col("basis") == "full"))  # fmt: skip
    columns = ("workload", "cost_per_1m_inferences", "cost_per_1m_tokens", "request_success")
    costs = {
        w: (None if i is None else round(float(i), 6), None if t is None else round(float(t), 6), s)
        for w, i, t, s in found.select(columns).iter_rows()
    }
    assert costs == {
        "fours": (1000, None, pytest.approx(15 / 18)),
        "qwen": (3800, 100, pytest.approx(5 / 7)),
        "pd": (1200, 8, pytest.approx(10 / 12)),
        "chat": (1000, round(716 / 30.43, 6), None),
        "bert": (1000, None, None),
        "tgi": (1000, None, 1),
        "images": (1000, None, 1),
        "singles": (None, None, None),
    }
