"""What a Prometheus does not know stays unknown: energy of cards, and counts and histograms of some instances."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from connectors.prometheus.client import Access, Client
from connectors.prometheus.counters import Grid, counter_hours
from connectors.prometheus.gpu import MJ_PER_KWH, gpu_hours
from connectors.prometheus.inference import BY, Scraped, _batches, inference_hours
from connectors.prometheus.question import Question, Span
from connectors.prometheus.requests import gap_rows
from connectors.prometheus.servers import SERVERS
from tests.connectors.prometheus.server import Answer, ok, serve

THERE = {m for server in SERVERS if server.name == "vllm" for m in server.metrics} - {
    "vllm:prompt_tokens_cached_total"
}
START = datetime(2026, 9, 1, 10, tzinfo=UTC)

SCRAPED = Scraped(60, "none", 24, ZoneInfo("UTC"))

Series = tuple[dict[str, str], float]


def ask(
    answers: dict[str, list[Series]], read: Callable[[Question], pl.DataFrame], first: datetime = START
) -> pl.DataFrame:
    """Reads the hours from `first` to START of a server that knows, by a part of the query, some series and their values.

    The values are those of each hour; counters (last_over_time) are 0 in the first of several.
    """

    def answer(path: str, params: dict[str, str]) -> Answer:
        query, start, end = (params.get(p, "") for p in ("query", "start", "end"))
        found = next((series for part, series in answers.items() if part in query), []) if start else []
        hours = range(int(start), int(end) + 1, 3600) if start else range(0)
        zero = int(start) if start != end and "last_over_time" in query else None
        return ok(
            [{"metric": m, "values": [[t, str(0 if t == zero else v)] for t in hours]} for m, v in found]
        )

    with serve(answer) as (url, _):
        client = Client(Access(url))
        try:
            return read(Question(client, [Span(first, START)]))
        finally:
            client.close()


def test_energy_is_counter_else_gauge_else_unknown() -> None:
    cards = [{"UUID": name, "Hostname": "n1"} for name in ("counter", "gauge", "neither")]
    got = ask(
        {
            "count_over_time": [(card, 60) for card in cards],
            "increase(DCGM_FI_DEV_TOTAL_ENERGY": [(cards[0], 0.3)],
            "max_over_time(DCGM_FI_DEV_TOTAL_ENERGY": [(cards[0], 5.3 * MJ_PER_KWH)],
            "min_over_time(DCGM_FI_DEV_TOTAL_ENERGY": [(cards[0], 5.0 * MJ_PER_KWH)],
            "avg_over_time(DCGM_FI_DEV_POWER_USAGE": [(cards[0], 0.9), (cards[1], 0.2)],
            "avg_over_time(DCGM_FI_PROF": [(card, 0.5) for card in cards],
        },
        lambda question: gpu_hours(question, 60, "none", 24).hours,
    )
    assert got.sort("gpu").select("gpu", "observed_hours", "energy_kwh").rows() == [
        ("counter", 1.0, pytest.approx(0.3)),
        ("gauge", 1.0, pytest.approx(0.2)),
        ("neither", 1.0, None),
    ]


@pytest.mark.parametrize("gauge", [False, True])
def test_slices_without_energy_have_that_of_their_card_by_sevenths(gauge: bool) -> None:
    """The card alone shows 0.3 kWh; slices of three and four sevenths, as in files: nothing is the empty card's."""
    card = {"UUID": "g", "Hostname": "n1"}
    pieces = [
        card | {"GPU_I_ID": str(n), "GPU_I_PROFILE": f"{n}g.40gb", "pod": f"p{n}", "namespace": "ml"}
        for n in (3, 4)
    ]
    counter = {
        "increase(DCGM_FI_DEV_TOTAL_ENERGY": [(card, 0.3)],
        "max_over_time(DCGM_FI_DEV_TOTAL_ENERGY": [(card, 0.3 * MJ_PER_KWH)],
        "min_over_time(DCGM_FI_DEV_TOTAL_ENERGY": [(card, 0.0)],
    }
    shown = {"avg_over_time(DCGM_FI_DEV_POWER_USAGE": [(card, 0.3)]} if gauge else counter
    got = ask(
        {"count_over_time": [(one, 60.0) for one in (card, *pieces)], **shown},
        lambda question: gpu_hours(question, 60, "none", 24).hours,
    )
    assert got.sort("mig_id").select("mig_id", "energy_kwh").rows() == [
        (None, 0.0),
        ("3", pytest.approx(0.3 * 3 / 7)),
        ("4", pytest.approx(0.3 * 4 / 7)),
    ]


def engine(pod: str, instance: str) -> dict[str, str]:
    return {"model_name": "m", "pod": pod, "namespace": "ml", "instance": instance, "engine": "0"}


def test_a_count_that_one_instance_of_a_pod_lacks_is_unknown() -> None:
    both, first = [engine("a", "a:1"), engine("a", "a:2")], engine("a", "a:1")
    got = ask(
        {
            "count_over_time": [(e, 60) for e in both],
            "last_over_time(vllm:request_success_total": [
                (e | {"finished_reason": "stop"}, 10) for e in both
            ],
            "last_over_time(vllm:prompt_tokens_total": [(e, 100) for e in both],
            "last_over_time(vllm:generation_tokens_total": [(first, 50)],
            "last_over_time(vllm:e2e": [(first | {"le": le}, 10) for le in ("1.0", "+Inf")],
        },
        lambda question: inference_hours(question, SCRAPED, THERE),
        START - timedelta(hours=1),
    ).filter(pl.col("hour") == START.replace(tzinfo=None))
    columns = ("pod", "inferences", "tokens_in", "tokens_out", "tokens_cached", "latency_buckets")
    assert got.select(columns).rows() == [("a", 20.0, 200.0, None, None, None)]


def test_histograms_of_instances_are_added() -> None:
    both = [engine("a", "a:1"), engine("a", "a:2")]
    got = ask(
        {
            "count_over_time": [(e, 60) for e in both],
            "last_over_time(vllm:e2e": [
                (e | {"le": le}, n) for e in both for le, n in (("+Inf", 10), ("1.0", 7))
            ],
        },
        lambda question: inference_hours(question, SCRAPED, THERE),
        START - timedelta(hours=1),
    ).filter(pl.col("hour") == START.replace(tzinfo=None))
    assert json.loads(got["latency_buckets"][0]) == {"1": 14.0, "+Inf": 20.0}


def test_an_hour_with_a_single_sample_counts_nothing_and_is_left_out() -> None:
    got = ask(
        {
            "count_over_time": [(engine("new", "b:1"), 1), (engine("a", "a:1"), 60)],
            "last_over_time(vllm:request_success_total": [
                (engine("a", "a:1") | {"finished_reason": "stop"}, 10)
            ],
        },
        lambda question: inference_hours(question, SCRAPED, THERE),
        START - timedelta(hours=1),
    ).filter(pl.col("hour") == START.replace(tzinfo=None))
    assert got.select("pod", "inferences").rows() == [("a", 10.0)]


@pytest.mark.parametrize(("bridge_h", "estimated"), [(24, 0.0), (26, 250.0)])
def test_a_gap_is_as_long_as_nothing_is_seen(bridge_h: float, estimated: float) -> None:
    """Silent from 00:20 of one day to 01:40 of the next: 25 1/3 hours, of which 24 are whole ones."""
    first = datetime(2026, 9, 1, tzinfo=UTC).replace(tzinfo=None)
    hours = pl.DataFrame(
        {"index": range(26), "hour": [first + timedelta(hours=h) for h in range(26)], "length": [1.0] * 26},
        schema_overrides={"index": pl.UInt32},
    )
    ends = pl.DataFrame(
        {"gpu": "a", "hour": hours["hour"].gather([0, 25]), "lo": [0.0, 253.0], "hi": [3.0, 256.0], "count": 20.0, "missing": 2 / 3}
    )  # fmt: skip
    found = counter_hours(ends, ["gpu"], Grid(hours, 60, bridge_h), lambda _, __: ends)
    assert found["measured"].sum() == pytest.approx(6)
    assert found["estimated"].sum() == pytest.approx(estimated)


def test_energy_of_a_gap_follows_the_power_beside_it() -> None:
    """Power falls from 10 kW by 1 kW an hour; no samples from 02:20 to 03:40: 4.9 kWh before 03:00 and 4.4 after it."""

    def kwh(minute: float) -> float:
        return 10 * minute / 60 - (minute / 60) ** 2 / 2

    first = datetime(2026, 9, 1, tzinfo=UTC).replace(tzinfo=None)
    hours = pl.DataFrame(
        {"index": range(6), "hour": [first + timedelta(hours=h) for h in range(6)], "length": [1.0] * 6},
        schema_overrides={"index": pl.UInt32},
    )
    minutes = {h: [m for m in range(60 * h + 1, 60 * h + 61) if not 140 <= m < 220] for h in range(6)}
    values = pl.DataFrame(
        [
            ("a", hours["hour"][h], kwh(seen[0]), kwh(seen[-1]), float(len(seen)), 2 / 3 if h in (2, 3) else 0.0)
            for h, seen in minutes.items()
        ],
        schema=["gpu", "hour", "lo", "hi", "count", "missing"], orient="row",
    )  # fmt: skip
    found = counter_hours(values, ["gpu"], Grid(hours, 60, 24), lambda _, __: values).sort("hour")
    # the last sample before the gap was at 02:19
    assert found["estimated"][2] == pytest.approx(kwh(180) - kwh(139), rel=0.005)
    assert found["estimated"][3] == pytest.approx(kwh(220) - kwh(180), rel=0.005)


def test_two_samples_that_an_hour_lacks_are_its_pods() -> None:
    """A pod runs for three hours; its card has 58 of 60 samples of the second."""
    first = datetime(2026, 9, 1)  # noqa: DTZ001 - UTC without a zone, as in answers
    times = [first + timedelta(hours=h) for h in range(3)]
    hours = pl.DataFrame(
        {"index": range(3), "hour": times, "length": 1.0}, schema_overrides={"index": pl.UInt32}
    )
    pod = {"namespace": "ml", "pod": "p", "uid": None, "node": "n1"}
    card = {
        "gpu": "a",
        "mig_id": None,
        "gpu_model": "H100",
        "mig_profile": None,
        "slices": 7.0,
        "allocated": True,
    }
    texts = dict.fromkeys(("uid", "mig_id", "mig_profile"), pl.String)
    rows = pl.DataFrame(
        [{"hour": at, **pod, **card, "observed_hours": seen / 60, "full": 60.0} for at, seen in zip(times, (60, 58, 60), strict=True)],
        schema_overrides=texts,
    )  # fmt: skip
    pods = pl.DataFrame(
        [{"hour": at, **pod, "gpus": 1.0, "running_hours": 1.0} for at in times], schema_overrides=texts
    )
    gaps = pl.DataFrame(schema={"hour": pl.Datetime("us"), "gpu": pl.String, "estimated": pl.Float64})
    found = gap_rows(rows, gaps, pods, hours).select("hour", "pod", "sampled", "observed_hours")
    assert found.rows() == [(times[1], "p", False, pytest.approx(2 / 60))]


def test_hits_of_a_cache_hold_what_requests_of_known_number_do() -> None:
    """8 and 4 inferences of 2 + 1 requests that were executed: 4 each, so that a hit is 4. An hour without requests tells nothing."""
    hours = [(START + timedelta(hours=h)).replace(tzinfo=None) for h in range(3)]

    def counts(values: dict[int, float]) -> pl.DataFrame:
        rows = [dict.fromkeys(BY, "a") | {"hour": hours[h], "value": v} for h, v in values.items()]
        return pl.DataFrame(rows, schema_overrides={"hour": pl.Datetime("us")})

    parts = {"elements": counts({0: 8.0, 1: 40.0, 2: 4.0}), "answered": counts({0: 2.0, 2: 2.0})}
    parts |= {"hits": counts({0: 0.0, 1: 0.0, 2: 1.0}), "failed": counts({0: 0.0, 1: 0.0, 2: 0.0})}
    found = _batches(parts, ZoneInfo("UTC")).sort("hour")
    assert found["inferences"].to_list() == [8, 40, 8]
    assert found["answered"].to_list() == [2, None, 2]
    assert found["failed"].to_list() == [0, None, 0]
