"""Edge devices in a real Prometheus: counts exact against the truth, late samples reopen closed days."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.base import Context, Slice, Window
from connectors.edge.series_reader import EdgePrometheusReader, Options
from models.config import Site
from pipelines.engines.duckdb import DuckDBEngine
from tests.services.prometheus import prometheus
from tests.sites import Text

pytestmark = pytest.mark.service

FIRST, DAYS, STEP_S = date(2026, 9, 1), 4, 300
T0 = int(datetime(2026, 8, 31, 18, 30, tzinfo=UTC).timestamp())
"""Midnight of the first day in Kolkata."""

SLOTS = DAYS * 86400 // STEP_S
LATE = range(400, 460)
"""Slots of cam-1 that are delivered late: the second day, 09:20 to 14:20."""

UPGRADE = T0 + 36 * 3600

Key = tuple[str, date]


@dataclass
class Truth:
    """By device and local day: inferences, failed ones, kWh; of the histogram, inferences within 50 ms."""

    inferences: dict[Key, int] = field(default_factory=lambda: defaultdict(int))
    failed: dict[Key, int] = field(default_factory=lambda: defaultdict(int))
    kwh: dict[Key, float] = field(default_factory=lambda: defaultdict(float))
    fast: dict[Key, int] = field(default_factory=lambda: defaultdict(int))


def day_of(slot: int) -> date:
    return FIRST + timedelta(days=slot * STEP_S // 86400)


def write(path: Path, *, late: bool) -> Truth:
    """Four devices for four days, a sample each five minutes.

    cam-1 is offline for five hours, and delivers them where `late`; cam-2 restarts twice, once in a silence of a day and
    a half, after which it has counted more than before; cam-3 has a gauge of power only; cam-4 serves two models. Of a
    device of another site nothing may be read.
    """
    rng, text, truth = random.Random(5), Text(), Truth()
    for number in range(1, 5):
        device = f"cam-{number}"
        base = {
            "device": device,
            "site": "plant",
            "team": "vision",
            "workload": "weld",
            "instance": "localhost:9100",
        }
        models = ("m1", "m2") if number == 4 else ("m1",)
        boots = (0, 150, 300) if number == 2 else (0,)
        silent = range(280, 712) if number == 2 else LATE if number == 1 and not late else range(0)
        samples: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
        counts: dict[tuple[str, str], float] = defaultdict(float)
        told: dict[tuple[str, str], float] = {}
        born = T0 - 5000
        for slot in range(SLOTS):
            ts = T0 + slot * STEP_S + number
            if slot in boots[1:]:
                for key in counts:
                    if key[0] != "energy":
                        counts[key], told[key] = 0, 0
                born = ts - 20
            for model in models:
                work = rng.randrange(20, 60) if slot < 300 or number != 2 else 400
                counts["inferences", model] += work
                counts["failed", model] += work // 25
                counts["fast", model] += work // 2
            watts = rng.randrange(5, 15)
            counts["energy", ""] += watts * STEP_S
            if slot in silent:
                continue
            for key, value in counts.items():
                samples[key].append((ts, value))
                rise = value - told.get(key, value)
                told[key] = value
                if slot and key[0] != "energy":
                    {"inferences": truth.inferences, "failed": truth.failed, "fast": truth.fast}[key[0]][device, day_of(slot)] += int(rise)  # fmt: skip
                elif slot and number != 3:
                    truth.kwh[device, day_of(slot)] += rise / 3.6e6
            samples["uptime", ""].append((ts, ts - born))
            if number == 3:
                samples["power", ""].append((ts, 10))
        for (kind, model), values in samples.items():
            labels = base | ({"model": model} if model else {})
            if kind == "fast":
                name = "edge_inference_duration_seconds_bucket"
                text.add(name, labels | {"le": "0.05"}, iter(values))
                text.add(name, labels | {"le": "+Inf"}, iter(samples["inferences", model]))
                for bound in (
                    "1",
                    "1.0",
                ):  # as Prometheus 2 writes it, and from the second day's noon on Prometheus 3
                    told_so = [
                        (ts, v) for ts, v in samples["inferences", model] if (ts < UPGRADE) == (bound == "1")
                    ]
                    text.add(name, labels | {"le": bound}, iter(told_so))
            elif kind != "energy" or number != 3:
                text.add(NAMES[kind], labels, iter(values))
    other = {"device": "cam-9", "site": "elsewhere"}
    text.add("edge_inferences_total", other, ((T0 + n * STEP_S, n) for n in range(SLOTS)))
    for slot in range(1, SLOTS):
        # 10 W from sample to sample, 3 s past each five minutes; at midnight the last 297 s belong to the day before
        midnight = slot % 288 == 0
        truth.kwh["cam-3", day_of(slot)] += 10 * (3 if midnight else STEP_S) / 3.6e6
        if midnight:
            truth.kwh["cam-3", day_of(slot - 1)] += 10 * 297 / 3.6e6
    text.write(path)
    return truth


NAMES = {
    "inferences": "edge_inferences_total",
    "failed": "edge_inferences_failed_total",
    "energy": "edge_energy_joules_total",
    "power": "edge_power_watts",
    "uptime": "edge_uptime_seconds",
}


def reader(url: str, folder: Path, **more: Any) -> EdgePrometheusReader:
    settings = {
        "kind": "edge_prometheus",
        "url": url,
        "site": "plant",
        "start": FIRST,
        "report_interval_s": STEP_S,
    }
    sites = {"plant": Site(time_zone="Asia/Kolkata", tariff=Decimal("0.1"))}
    return EdgePrometheusReader(
        Options.model_validate(settings | more), Context("cams", folder, folder / "cache", sites)
    )


WINDOW = Window(FIRST + timedelta(days=DAYS - 1), datetime(2026, 9, 5, tzinfo=UTC))


def read(source: EdgePrometheusReader, folder: Path, slices: list[Slice]) -> pl.DataFrame:
    (folder / "work").mkdir(parents=True, exist_ok=True)
    with DuckDBEngine() as engine:
        loaded = list(source.load(slices, folder / "work", engine))
    assert all(item.rows_read for item in loaded)
    return pl.concat([pl.read_parquet(path) for item in loaded for path in item.facts.values()])


def by_day(frame: pl.DataFrame, value: pl.Expr) -> dict[Key, float]:
    return {(d, day): v for d, day, v in frame.group_by("device", "day").agg(value).iter_rows()}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Truth]]:
    folder = tmp_path_factory.mktemp("edge")
    truth = write(folder / "edge.om", late=True)
    with prometheus(folder / "edge.om", folder) as url:
        yield url, truth


def test_counts_and_energy_are_the_truth(served: tuple[str, Truth], tmp_path: Path) -> None:
    url, truth = served
    source = reader(url, tmp_path)
    slices = list(source.slices(WINDOW))
    assert [s.period for s in slices] == [FIRST + timedelta(days=n) for n in range(DAYS)]
    found = read(source, tmp_path, slices)
    assert set(found["device"]) == {"cam-1", "cam-2", "cam-3", "cam-4"}
    assert by_day(found, pl.col("inferences").sum()) == truth.inferences
    assert by_day(found, pl.col("failed").sum()) == truth.failed
    energy = by_day(found, (pl.col("energy_kwh") + pl.col("energy_estimated_kwh")).sum())
    assert energy == pytest.approx(truth.kwh, rel=1e-6)
    fast: dict[Key, float] = defaultdict(float)
    slow: dict[Key, float] = defaultdict(float)
    for device, day, text in found.select("device", "day", "latency_buckets").iter_rows():
        fast[device, day] += json.loads(text)["0.05"]
        slow[device, day] += json.loads(text)["1"]
    assert (fast, slow) == (truth.fast, truth.inferences)
    assert found["late_messages"].null_count() == found.height


def test_hours_and_what_a_silent_day_is(served: tuple[str, Truth], tmp_path: Path) -> None:
    """cam-2 is silent from 23:20 of the first day to 11:20 of the third; five minutes lie between samples."""
    url, _ = served
    source = reader(url, tmp_path)
    found = read(source, tmp_path, list(source.slices(WINDOW)))
    hours = by_day(found.filter(pl.col("device") == "cam-2"), pl.col("online_hours").sum())
    assert [day.day for _, day in sorted(hours)] == [1, 3, 4]
    # slots 0 to 279; then 712 to 863 and the 12.5 minutes that the first of them covers; cut by 2 s past each five minutes
    assert hours["cam-2", FIRST] == pytest.approx(279 * 5 / 60, abs=0.01)
    assert hours["cam-2", date(2026, 9, 3)] == pytest.approx((12.5 + 152 * 5) / 60, abs=0.01)
    two = found.filter((pl.col("device") == "cam-4") & (pl.col("day") == date(2026, 9, 2))).sort("model")
    assert two["model"].to_list() == ["m1", "m2"]
    assert two["online_hours"].sum() == pytest.approx(24)
    gap = found.filter((pl.col("device") == "cam-2") & (pl.col("day") == date(2026, 9, 3)))
    assert gap["energy_estimated_kwh"][0] > 0


def test_late_samples_reopen_their_day_and_those_after_it(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The same site before cam-1 has delivered the second day's five hours, and after."""
    marks, found, truths = [], [], []
    for late in (False, True):
        folder = tmp_path_factory.mktemp("late")
        truths.append(write(folder / "edge.om", late=late))
        with prometheus(folder / "edge.om", folder) as url:
            source = reader(url, tmp_path, bridge_days=1)
            slices = list(source.slices(WINDOW))
            marks.append({s.period: s.fingerprint for s in slices})
            known = marks[0] if late else {}
            changed = [s for s in slices if known.get(s.period) != s.fingerprint]
            found.append(read(source, tmp_path / str(late), changed))
            old = Window(WINDOW.day, datetime(2026, 12, 1, tzinfo=UTC))
            assert {s.period: s.fingerprint for s in source.slices(old)} == marks[-1]
    assert [day.day for day in marks[0] if marks[0][day] != marks[1][day]] == [2, 3]
    assert set(found[1]["day"].dt.day()) == {2, 3}
    second = date(2026, 9, 2)
    for frame, truth in zip(found, truths, strict=True):
        one = frame.filter((pl.col("device") == "cam-1") & (pl.col("day") == second))
        assert one["inferences"].to_list() == [truth.inferences["cam-1", second]]
    # five hours and a step, of which 12.5 minutes were covered
    before, after = (f.filter((pl.col("device") == "cam-1") & (pl.col("day") == second)) for f in found)
    assert after["online_hours"][0] - before["online_hours"][0] == pytest.approx((61 * 5 - 12.5) / 60)
    assert before["energy_estimated_kwh"][0] > after["energy_estimated_kwh"][0] == 0
