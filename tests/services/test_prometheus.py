"""The `prometheus` source against a real Prometheus that holds a site whose truth is known (`tests.sites`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from connectors.base import Context, Loaded, Window
from connectors.prometheus.reader import Options, PrometheusReader
from models.config import Site
from pipelines.engines.duckdb import DuckDBEngine
from tests.sites import CARDS, DAYS, Truth

pytestmark = pytest.mark.service

GPU, INFERENCE, POWER = "telemetry.gpu_hourly", "telemetry.inference_hourly", "telemetry.power_hourly"


def reader(url: str, folder: Path, **options: object) -> PrometheusReader:
    context = Context("dc1", folder, folder / "cache", {"dc1": Site(time_zone="Europe/Madrid", tariff="0.1")})
    settings = {
        "kind": "prometheus",
        "url": url,
        "site": "dc1",
        "replica_label": "prometheus_replica",
        "start": DAYS[0],
    }
    return PrometheusReader(Options.model_validate(settings | options), context)


@pytest.fixture(scope="module")
def loaded(site: tuple[str, Truth], tmp_path_factory: pytest.TempPathFactory) -> list[Loaded]:
    folder = tmp_path_factory.mktemp("dc1")
    source = reader(site[0], folder)
    slices = source.slices(Window(DAYS[-1], datetime(2026, 1, 1, tzinfo=UTC)))
    with DuckDBEngine() as engine:
        return list(source.load(slices, folder / "work", engine))


def table(loaded: Sequence[Loaded], name: str) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(item.facts[name]) for item in loaded])


def by_day(frame: pl.DataFrame, key: str, value: pl.Expr) -> dict[tuple[str, object], float]:
    return {(k, day): v for k, day, v in frame.group_by(key, "day").agg(value).iter_rows()}


def test_energy_of_every_card_and_local_day(loaded: list[Loaded], site: tuple[str, Truth]) -> None:
    found = by_day(table(loaded, GPU), "gpu", (pl.col("energy_kwh") + pl.col("energy_estimated_kwh")).sum())
    wanted = {key: kwh for key, kwh in site[1].kwh.items() if key[0].startswith("GPU") and key[1] in DAYS}
    assert len(wanted) == len(CARDS) * 4
    assert found == pytest.approx(wanted, rel=0.003)
    assert sum(found.values()) == pytest.approx(sum(wanted.values()), rel=0.001)


def test_gap_is_estimated_and_not_covered(loaded: list[Loaded], site: tuple[str, Truth]) -> None:
    hours = table(loaded, GPU)
    gap = hours.filter(pl.col("energy_estimated_kwh") > 0)
    assert gap.group_by("gpu").agg(pl.col("energy_estimated_kwh").sum()).sort("gpu").rows() == [
        ("GPU-c0", pytest.approx(site[1].gap_kwh["GPU-c0"], rel=0.02)),
        ("GPU-c1", pytest.approx(site[1].gap_kwh["GPU-c1"], rel=0.02)),
    ]
    held = dict(
        gap.group_by("gpu", "pod")
        .agg(pl.col("observed_hours").sum())
        .select("pod", "observed_hours")
        .iter_rows()
    )
    assert held == pytest.approx({"chat-1": 3, "batch-x": 3})  # who was running says kube-state-metrics
    assert not gap["sampled"].any()
    assert gap["used_hours"].null_count() == gap.height
    sampled = pl.col("observed_hours").filter("sampled").sum()
    covered = by_day(hours.filter(pl.col("mig_id").is_null()), "gpu", sampled)
    assert covered["GPU-c0", DAYS[2]] == pytest.approx(22)
    assert covered["GPU-a0", DAYS[2]] == pytest.approx(25)
    assert covered["GPU-c0", DAYS[0]] == pytest.approx(24)


def test_hours_by_team_and_what_is_free(loaded: list[Loaded], site: tuple[str, Truth]) -> None:
    hours = table(loaded, GPU)
    found = by_day(hours.filter("allocated"), "team", pl.col("observed_hours").sum())
    wanted = {key: value for key, value in site[1].team_hours.items() if key[1] in DAYS}
    # in the gap kube-state-metrics still says who held the cards
    assert found == pytest.approx(wanted, abs=1e-6)
    free = hours.filter(pl.col("allocated").not_())
    assert free["gpu"].unique().to_list() == ["GPU-a2"]
    assert free["observed_hours"].sum() == pytest.approx(97)
    train = (
        hours.filter(pl.col("pod") == "train-a").select("namespace", "project", "workload", "node").unique()
    )
    assert train.rows() == [("ml", "vision-project", "train", "beta")]


def test_used_hours(loaded: list[Loaded], site: tuple[str, Truth]) -> None:
    whole = table(loaded, GPU).filter(pl.col("mig_id").is_null() & ~pl.col("gpu").str.starts_with("GPU-c"))
    found = by_day(whole, "gpu", pl.col("used_hours").sum())
    assert found == pytest.approx({key: site[1].used_hours[key] for key in found}, rel=0.005, abs=1e-9)
    assert len(found) == 5 * 4


def test_mig_instances_share_their_card(loaded: list[Loaded]) -> None:
    card = table(loaded, GPU).filter(pl.col("gpu") == "GPU-d0")
    parts = dict(card.group_by("mig_profile").agg(pl.col("energy_kwh").sum()).iter_rows())
    total = sum(parts.values())
    assert parts == pytest.approx(
        {"1g.10gb": total / 7, "2g.20gb": total * 2 / 7, "4g.40gb": total * 4 / 7}, rel=1e-6
    )


def test_requests_and_tokens(loaded: list[Loaded], site: tuple[str, Truth]) -> None:
    hours, truth = table(loaded, INFERENCE), site[1]
    for column, wanted in (
        ("inferences", truth.requests),
        ("failed", truth.failed),
        ("tokens_out", truth.tokens_out),
    ):
        found = by_day(hours, "pod", pl.col(column).sum())
        assert len(found) == 8
        assert found == pytest.approx({key: wanted[key] for key in found}, abs=1e-6)
    assert hours["tokens_cached"].null_count() == hours.height
    assert set(hours["workload"]) == {"chat"}
    assert hours["coverage"].min() == pytest.approx(1.0)
    for row in hours.iter_rows(named=True):
        buckets = json.loads(row["latency_buckets"])
        assert list(buckets) == ["0.3", "0.8", "1.5", "5", "15", "+Inf"]
        assert list(buckets.values()) == sorted(buckets.values())
        assert buckets["+Inf"] == pytest.approx(row["inferences"] + row["failed"])


def test_node_power(loaded: list[Loaded], site: tuple[str, Truth]) -> None:
    found = by_day(table(loaded, POWER), "meter", pl.col("energy_kwh").sum())
    assert len(found) == 16
    assert found == pytest.approx({key: site[1].kwh[key] for key in found}, rel=0.005)


def test_a_day_read_alone_is_the_same(loaded: list[Loaded], site: tuple[str, Truth], tmp_path: Path) -> None:
    source = reader(site[0], tmp_path)
    third = source.slices(Window(DAYS[-1], datetime(2026, 1, 1, tzinfo=UTC)))[2]
    with DuckDBEngine() as engine:
        (alone,) = source.load([third], tmp_path / "work", engine)
    for name, path in alone.facts.items():
        assert_frame_equal(pl.read_parquet(path), pl.read_parquet(loaded[2].facts[name]))


def test_a_day_without_samples_is_an_answer(site: tuple[str, Truth], tmp_path: Path) -> None:
    source = reader(site[0], tmp_path, start="2025-09-01")
    first = source.slices(Window(DAYS[0], datetime(2026, 1, 1, tzinfo=UTC)))[0]
    with DuckDBEngine() as engine:
        (empty,) = source.load([first], tmp_path / "work", engine)
    assert (empty.facts, empty.rows_loaded, empty.note) == ({}, 0, "no samples that day")
    assert source.check().startswith(f"Prometheus {site[0]} answers")
