"""Requests, tokens and latency buckets of every kind of model server through a real Prometheus: equal to the truth."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from connectors.base import Context, Window
from connectors.prometheus.reader import Options, PrometheusReader
from models.config import Site
from pipelines.engines.duckdb import DuckDBEngine
from tests.services.prometheus import prometheus, victoria_metrics
from tests.services.served_site import (
    COUNT_NO_FAILURES,
    DAYS,
    FIELDS,
    PLAN,
    PODS,
    SILENT,
    TOKENS,
    Served,
    write_servers,
)

pytestmark = pytest.mark.service

Key = tuple[str, date]


def load(url: str, folder: Path) -> pl.DataFrame:
    context = Context("dc1", folder, folder / "cache", {"dc1": Site(time_zone=PLAN.zone, tariff="0.1")})
    settings = {"kind": "prometheus", "url": url, "site": "dc1", "start": DAYS[0]}
    source = PrometheusReader(Options.model_validate(settings), context)
    slices = source.slices(Window(DAYS[-1], datetime(2026, 12, 1, tzinfo=UTC)))
    with DuckDBEngine() as engine:
        loaded = list(source.load(slices, folder / "work", engine))
    return pl.concat([pl.read_parquet(item.facts["telemetry.inference_hourly"]) for item in loaded])


@pytest.fixture(scope="module", params=[prometheus, victoria_metrics])
def there(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Served, pl.DataFrame]:
    start: Callable[..., object] = request.param
    folder = tmp_path_factory.mktemp("servers")
    truth = write_servers(folder / "site.om")
    with start(folder / "site.om", folder) as url:  # type: ignore[attr-defined]
        return truth, load(url, folder)


def by_day(rows: pl.DataFrame, column: str) -> dict[Key, float]:
    found = rows.group_by("pod", "day").agg(pl.col(column).sum())
    return {(pod, day): value for pod, day, value in found.iter_rows()}


def silent(key: Key) -> bool:
    """Days on both sides of the midnight over which triton was not scraped."""
    return key[0] == "triton-0" and key[1] in DAYS[:2]


def assert_same(found: dict[Key, float], wanted: dict[Key, float]) -> None:
    """Equal; over the silence of two days in sum, and each day as near as even requests make it."""
    assert {k: v for k, v in found.items() if not silent(k)} == pytest.approx(
        {k: v for k, v in wanted.items() if not silent(k)}, abs=1e-6
    )
    dark = [k for k in wanted if silent(k)]
    assert sum(found[k] for k in dark) == pytest.approx(sum(wanted[k] for k in dark), abs=1e-6)
    assert {k: found[k] for k in dark} == pytest.approx({k: wanted[k] for k in dark}, rel=0.02)


def test_requests_and_failures(there: tuple[Served, pl.DataFrame]) -> None:
    truth, rows = there
    for column in ("inferences", "failed"):
        pods = [p for p in PODS if column == "inferences" or not p.startswith(COUNT_NO_FAILURES)]
        wanted = {key: counts[column] for key, counts in truth.seen.items() if key[0] in pods}
        found = by_day(rows.filter(pl.col("pod").is_in(pods)), column)
        assert_same(found, wanted)
    for pod in ("kserve-0", "sglang-0"):  # they do not count them, or not apart
        assert rows.filter(pl.col("pod") == pod)["failed"].drop_nulls().is_empty()
    assert sum(truth.lost.values()) < 0.001 * sum(counts["inferences"] for counts in truth.seen.values())


def test_tokens_by_kind(there: tuple[Served, pl.DataFrame]) -> None:
    truth, rows = there
    for column in FIELDS[2:]:
        pods = [p for p in PODS if column in TOKENS.get(p.split("-")[0], ())]
        wanted = {key: counts[column] for key, counts in truth.seen.items() if key[0] in pods}
        assert_same(by_day(rows.filter(pl.col("pod").is_in(pods)), column), wanted)
        assert rows.filter(~pl.col("pod").is_in(pods))[column].drop_nulls().is_empty()


def test_latency_buckets(there: tuple[Served, pl.DataFrame]) -> None:
    truth, rows = there
    found: dict[str, dict[Key, float]] = defaultdict(lambda: defaultdict(float))
    for pod, day, text in rows.select("pod", "day", "latency_buckets").drop_nulls().iter_rows():
        for bound, count in json.loads(text).items():
            found[bound.replace("+Inf", "inf")][pod, day] += count
    assert set(found) == {"0.25", "1", "4", "inf"}
    for bound, counts in found.items():
        assert_same(counts, {key: seen[f"le:{bound}"] for key, seen in truth.seen.items()})


def test_models_and_workloads(there: tuple[Served, pl.DataFrame]) -> None:
    named = there[1].select("pod", "model", "workload").unique().sort("pod").rows()
    assert named == [
        ("kserve-0", "bert", "search-bert"),
        ("nim-0", "meta/llama-3.1-8b", "meta/llama-3.1-8b"),
        ("ray-0", "Ranker", "shop"),
        ("sglang-0", "qwen3-32b", "qwen3-32b"),
        ("tgi-0", None, "tgi-0"),
        ("triton-0", "resnet50", "resnet50"),
        ("vllm-0", "llama-3.3-70b", "llama-3.3-70b"),
        ("vllm-1", "llama-3.3-70b", "llama-3.3-70b"),
        ("vllm-2", "llama-3.3-70b", "llama-3.3-70b"),
    ]


def test_hours_of_silence_are_not_covered(there: tuple[Served, pl.DataFrame]) -> None:
    hours = there[1].filter((pl.col("pod") == "triton-0") & (pl.col("coverage") < 0.5)).sort("hour")
    start = datetime.fromtimestamp(PLAN.at(SILENT[0]), UTC).replace(tzinfo=None)
    assert [(h - start).total_seconds() / 3600 for h in hours["hour"]] == [0, 1]
    assert hours["coverage"].max() == pytest.approx(0, abs=0.02)
