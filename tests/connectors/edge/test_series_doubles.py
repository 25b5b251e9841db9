"""Series of edge devices that show one counter twice, clocks set back, histograms that change: exact, or unknown and said so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.edge.passes import unknown_counts
from tests.connectors.edge.test_series import CAM, Points, found

INFERENCES, JOULES, LATENCY = (
    "edge_inferences_total",
    "edge_energy_joules_total",
    "edge_inference_duration_seconds_bucket",
)
DAY = range(0, 1440, 10)
"""Minutes of the samples of the first day: 144, of which the first sets the base."""


def series(name: str, points: Points, **labels: str) -> tuple[str, dict[str, str], Points]:
    return (name, CAM | {"instance": "localhost:9100"} | labels, points)


def rising(rate: float, start: float = 0, shift: float = 0) -> list[tuple[float, float]]:
    """A counter that rises by so much a minute, with times that are `shift` minutes off."""
    return [(m + shift, start + rate * m) for m in DAY]


def flags(frame: pl.DataFrame) -> list[tuple[str, str, str]]:
    return [(f["rule"], f["column_name"], f["value"]) for _, f in unknown_counts(frame)]


@pytest.mark.parametrize("shift", [0, 3])
def test_two_jobs_that_scrape_one_endpoint_count_it_once(tmp_path: Path, shift: float) -> None:
    """10 a minute and 60 J a minute for 143 steps of ten minutes, as `node` and as `edge` show it."""
    rows = [
        series(name, [(m + late, rate * (m + late)) for m in DAY], job=job)
        for name, rate in ((INFERENCES, 10), (JOULES, 60))
        for job, late in (("edge", 0), ("node", shift))
    ]
    got = found(tmp_path, *rows)
    assert got["inferences"].to_list() == [14_300 + 10 * shift]
    assert got["energy_kwh"].to_list() == pytest.approx([(85_800 + 60 * shift) / 3.6e6])
    assert flags(got) == []


def test_one_counter_under_a_label_that_no_one_ignores_counts_twice_and_is_said(tmp_path: Path) -> None:
    """Two agents with a label `agent`: 14,300 and 14,300. Two models that work in step are two counters."""
    pair = [series(INFERENCES, rising(10, 1000, late), agent=name) for name, late in (("a", 0), ("b", 3))]
    got = found(tmp_path, *pair)
    assert got["inferences"].to_list() == [28_600]
    assert flags(got) == [("series_alike", "inferences", "cam-1")]
    models = [series(INFERENCES, rising(10, 1000), model=name) for name in ("detect", "read")]
    assert flags(found(tmp_path, *models)) == []
    others = [series(INFERENCES, rising(10, start), agent=name) for name, start in (("a", 1000), ("b", 1005))]
    assert flags(found(tmp_path, *others)) == [("series_alike", "inferences", "cam-1")]
    apart = [series(INFERENCES, rising(10, start), agent=name) for name, start in (("a", 1000), ("b", 1200))]
    assert flags(found(tmp_path, *apart)) == []


@pytest.mark.parametrize("behind", [0.5, 9, 14])
def test_replicas_whose_clocks_differ_count_once(tmp_path: Path, behind: float) -> None:
    """b shows what a had shown `behind` minutes before, a minute after each of a's samples: never is it b's turn."""
    b = [(m + 1, v - 10 * behind) for m, v in rising(10, 1000)]
    got = found(
        tmp_path, series(INFERENCES, rising(10, 1000), replica="a"), series(INFERENCES, b, replica="b")
    )
    # a counts from 1,000 to 15,300; b's first sample, at 00:01, is behind a's
    assert got["inferences"].to_list() == [14_300]
    assert flags(got) == []


@pytest.mark.parametrize(("behind", "counted"), [(0.5, 7105 + 7155), (9, 7100 + 7150), (14, 7100 + 7150)])
def test_a_restart_that_one_replica_shows_after_the_other(
    tmp_path: Path, behind: float, counted: int
) -> None:
    """At 11:55 the device restarts; where b is behind, its old counter comes after the new one, and counts nothing."""
    counter = lambda m: 1000 + 10 * m if m < 715 else 10 * (m - 715)  # noqa: E731
    a = [(m, counter(m)) for m in DAY]
    b = [(m + 1, counter(m + 1 - behind)) for m in DAY]
    got = found(tmp_path, series(INFERENCES, a, replica="a"), series(INFERENCES, b, replica="b"))
    # a: from 1,000 to 8,100, and from 0 to 7,150. Half a minute behind, b shows 8,105 at 11:51, and 7,155 at last.
    assert got["inferences"].to_list() == [counted]
    assert flags(got) == []


@pytest.mark.parametrize("shift", [0, 3])
def test_processes_that_only_their_job_tells_apart_are_unknown(tmp_path: Path, shift: float) -> None:
    """A detector and a classifier whose ports were relabelled away: 10 and 4 a minute. Nobody may call it 10, 14 or more."""
    both = [
        series(INFERENCES, rising(10, 5000), job="detector"),
        series(INFERENCES, rising(4, 300, shift), job="classifier"),
    ]
    got = found(tmp_path, *both)
    assert got["inferences"].to_list() == [None]
    assert flags(got) == [("counter_alternates", "inferences", "cam-1")]
    apart = [(name, labels | {"instance": labels["job"]}, points) for name, labels, points in both]
    # 1,430 minutes of 10 and of 4
    assert found(tmp_path, *apart)["inferences"].to_list() == [14_300 + 5720]


@pytest.mark.parametrize("uptime", [False, True])
def test_a_clock_that_was_set_back_makes_its_day_unknown(tmp_path: Path, uptime: bool) -> None:
    """At noon the clock goes back by two hours and five minutes, and the server takes what is written then: the day's
    counts and energy are unknown, those of the day before and after are not."""
    true_minutes = range(-720, 2880, 10)
    shown = [(m - 125 if 720 <= m < 1440 else m, m) for m in true_minutes]
    rows = [
        series(INFERENCES, sorted((at, 50_000 + 10 * m) for at, m in shown)),
        series(JOULES, sorted((at, 9e6 + 600.0 * m) for at, m in shown)),
    ]
    if uptime:
        rows.append(series("edge_uptime_seconds", sorted((at, 6e5 + 60 * m) for at, m in shown)))
    got = found(tmp_path, *rows, first_day=-1)
    days = got.select(pl.col("day").dt.day(), "inferences", "energy_kwh").rows()
    assert days[0] == (31, 7100, pytest.approx(710 * 600 / 3.6e6))
    assert days[1] == (1, None, None)
    # the last sample of the first day is that of 23:50, written at 21:45
    assert days[2] == (2, 14_400, pytest.approx(1440 * 600 / 3.6e6 - got["energy_estimated_kwh"][2]))
    assert flags(got) == [("counter_alternates", "energy, inferences", "cam-1")]


def test_a_meter_that_goes_on_where_it_had_been_saved_is_unknown_and_its_gauge_counts(tmp_path: Path) -> None:
    """After a power failure the counter of 1,000 kWh is half a kWh behind: it did not use 999.5 kWh at once."""
    joules = [(m, 3.6e9 + 600.0 * m - (1.8e6 if m >= 720 else 0)) for m in DAY]
    power = [(m, 10) for m in DAY]
    counts = series(INFERENCES, rising(10))
    got = found(tmp_path, counts, series(JOULES, joules))
    assert got.select("inferences", "energy_kwh", "energy_estimated_kwh").rows() == [(14_300, None, 0)]
    got = found(tmp_path, counts, series(JOULES, joules), series("edge_power_watts", power))
    # 10 W for 1,430 minutes
    assert got["energy_kwh"].to_list() == pytest.approx([10 * 1430 / 60 / 1000])
    assert flags(got) == [("counter_alternates", "energy", "cam-1")]


def test_models_of_a_device_share_its_hours_evenly_where_work_is_unknown(tmp_path: Path) -> None:
    turns = [(m, 5000 + m if m % 20 else 90_000 + m) for m in DAY]
    got = found(
        tmp_path,
        series(INFERENCES, turns, model="m1"),
        series(INFERENCES, rising(10), model="m2"),
        series(JOULES, rising(3.6e6)),
    )
    assert got["inferences"].to_list() == [None, 14_300]
    assert got["energy_kwh"].to_list() == [715, 715]


def histogram(bounds: dict[str, float], minutes: range, **labels: str) -> list[Any]:
    """Cumulative counts of 10 inferences a minute, a part of them within each bound."""
    first = minutes[0]
    return [
        series(LATENCY, [(m, part * 10 * (m - first)) for m in minutes], le=le, **labels)
        for le, part in bounds.items()
    ]


def test_bounds_of_a_histogram_that_change_within_a_day(tmp_path: Path) -> None:
    """New firmware at noon: 0.1 and 0.5 become 0.2 and 0.5. Each half of the day has 71 steps of ten minutes: 7,100."""
    before = histogram({"0.1": 0.5, "0.5": 0.8, "+Inf": 1}, range(0, 720, 10))
    after = histogram({"0.2": 0.4, "0.5": 0.9, "+Inf": 1}, range(720, 1440, 10))
    merged: dict[str, Any] = {}
    for name, labels, points in (*before, *after):
        known = merged.setdefault(labels["le"], (name, labels, []))
        known[2].extend(points)
    got = found(tmp_path, series(INFERENCES, rising(10)), *merged.values())
    # after the restart 0.5 and +Inf go on from 0: 7,100 more, without a base of their own
    assert json.loads(got["latency_buckets"][0]) == {"0.5": 0.8 * 7100 + 0.9 * 7100, "+Inf": 14_200}
    assert flags(got) == [("histogram_bounds_differ", "latency_buckets", "cam-1")]
    del merged["0.5"]
    got = found(tmp_path, series(INFERENCES, rising(10)), *merged.values())
    assert got.select("latency_buckets", "inferences").rows() == [(None, 14_300)]
    assert flags(got) == [("histogram_bounds_differ", "latency_buckets", "cam-1")]


def test_bounds_that_differ_between_two_processes_of_a_device(tmp_path: Path) -> None:
    whole = range(0, 1440, 10)
    one = histogram({"0.1": 0.5, "1": 0.9, "+Inf": 1}, whole, instance="a")
    two = histogram({"0.2": 0.5, "1.0": 0.8, "+Inf": 1}, whole, instance="b")
    got = found(tmp_path, *(series(INFERENCES, rising(10), instance=i) for i in "ab"), *one, *two)
    # 14,300 of each; 1 and 1.0 are one bound
    assert json.loads(got["latency_buckets"][0]) == {"1": pytest.approx(1.7 * 14_300), "+Inf": 28_600}


def test_histograms_of_two_jobs_and_of_replicas_count_once(tmp_path: Path) -> None:
    parts = {"0.1": 0.5, "0.5": 0.8, "+Inf": 1}
    whole = range(0, 1440, 10)
    rows = [
        *histogram(parts, whole, job="edge"),
        *histogram(parts, whole, job="node"),
        *((n, la | {"replica": "b"}, [(m + 1, max(v - 5, 0)) for m, v in p]) for n, la, p in histogram(parts, whole)),
    ]  # fmt: skip
    got = found(tmp_path, series(INFERENCES, rising(10)), *rows)
    assert json.loads(got["latency_buckets"][0]) == {"0.1": 7150, "0.5": 11_440, "+Inf": 14_300}
    assert flags(got) == []


@pytest.mark.parametrize("watts", [-10, 1e12])
def test_power_that_no_device_draws_is_dropped_and_counted(tmp_path: Path, watts: float) -> None:
    """10 W for a day but for the reading of 11:40: the step over it is 20 minutes, no gap. 1,430 minutes in all."""
    power = [(m, watts if m == 700 else 10) for m in DAY]
    got = found(tmp_path, series(INFERENCES, rising(1)), series("edge_power_watts", power))
    assert got["energy_kwh"].to_list() == pytest.approx([1430 * 10 / 60 / 1000])
    assert flags(got) == [("value_dropped", "power", "cam-1")]


@pytest.mark.parametrize("uptime", [-5, 1e18])
def test_uptime_that_is_none_restarts_nothing(tmp_path: Path, uptime: float) -> None:
    shown = [(m, uptime) for m in DAY]
    got = found(tmp_path, series(INFERENCES, rising(10)), series("edge_uptime_seconds", shown))
    assert got["inferences"].to_list() == [14_300]
