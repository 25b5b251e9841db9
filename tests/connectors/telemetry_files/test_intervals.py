"""Cards and meters that are read more seldom than `sample_interval_s` says, which is 60: hours and energy by hand."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.connectors.telemetry_files.samples import GPU, POWER, load, minutes, table, utc, write


def cards(times: list[Any], **more: Any) -> list[dict[str, Any]]:
    """300 W at half use under one holder."""
    base = {"node": "n1", "gpu": "g1", "team": "vision", "utilisation": 0.5, "power_w": 300.0}
    return [base | {"ts": ts} | more for ts in times]


@pytest.mark.parametrize("counter", [False, True])
def test_a_card_that_is_read_every_five_minutes(tmp_path: Path, counter: bool) -> None:
    """10:00 to 12:00 without the sample of 11:00: 115 minutes, that of 10:55 stands for five; 110 minutes of 0.55 kWh.

    Of ten minutes the counter tells 0.05 kWh, half in each hour.
    """
    times = [ts for ts in minutes("2026-09-01 10:00", 25, 300) if ts != utc("2026-09-01 11:00")]
    rows = cards(times)
    if counter:
        since = utc("2026-09-01 10:00")
        rows = [row | {"energy_mj": 1e12 + 300_000 * (row["ts"] - since).total_seconds()} for row in rows]
    write(tmp_path, "gpu.parquet", rows)
    hours = table(load(tmp_path), GPU)
    held = hours.filter("allocated").sort("hour")
    assert held["observed_hours"].to_list() == pytest.approx([1, 55 / 60])
    assert held["used_hours"].to_list() == pytest.approx([0.5, 55 / 120])
    assert held["energy_kwh"].to_list() == pytest.approx([0.275, 0.275])
    assert hours["energy_estimated_kwh"].sum() == pytest.approx(0.05 if counter else 0)


def test_a_card_whose_interval_changes_and_cards_that_differ(tmp_path: Path) -> None:
    """g1: every minute until 11:00, then every ten; g2 every minute: two hours each."""
    times = [*minutes("2026-09-01 10:00", 60), *minutes("2026-09-01 11:00", 7, 600)]
    rows = [*cards(times), *cards(minutes("2026-09-01 10:00", 121), gpu="g2")]
    write(tmp_path, "gpu.csv", rows)
    numbers = pl.col("observed_hours", "energy_kwh").sum()
    hours = table(load(tmp_path), GPU).group_by("gpu").agg(numbers).sort("gpu")
    assert hours["observed_hours"].to_list() == pytest.approx([2, 2])
    assert hours["energy_kwh"].to_list() == pytest.approx([0.6, 0.6])


@pytest.mark.parametrize(
    "steps", [[200, 400, 200, 400, 200, 400], [300, 300], [3600] * 6, [60, 60, 60, 400, 60, 60]]
)
def test_gaps_are_no_interval(tmp_path: Path, steps: list[int]) -> None:
    """Steps that are uneven, not three in a row, over half an hour, or alone: of each a minute is seen, the sample's before it."""
    times = [utc("2026-09-01 10:00")]
    for step in steps:
        times.append(times[-1] + timedelta(seconds=step))
    write(tmp_path, "gpu.csv", cards(times))
    facts = [pl.read_parquet(path) for item in load(tmp_path) for path in item.facts.values()]
    seen = sum(frame["observed_hours"].sum() for frame in facts)
    assert seen == pytest.approx(len(steps) * 60 / 3600)


@pytest.mark.parametrize("step", [60, 300, 900])
def test_a_meter_beside_cards_that_are_read_more_often(tmp_path: Path, step: int) -> None:
    """An hour of 2 kW, but 4 from 10:15 to 10:30, as a counter of kWh: 2.5 kWh; quarters 2, 4, 2, 2."""
    rows = []
    for ts in minutes("2026-09-01 10:00", 3600 // step + 1, step):
        passed = (ts - utc("2026-09-01 10:00")).total_seconds() / 3600
        total = 100 + 2 * passed + 2 * min(max(passed - 0.25, 0), 0.25)
        rows.append({"ts": ts, "node": "n1", "energy_kwh_total": total})
    write(tmp_path, "power.parquet", rows)
    write(tmp_path, "gpu.parquet", cards(minutes("2026-09-01 10:00", 241, 15)))
    found = table(load(tmp_path, sample_interval_s=15), POWER)
    assert found.select("energy_kwh", "energy_estimated_kwh", "coverage").rows() == [
        (pytest.approx(2.5), pytest.approx(0), pytest.approx(1))
    ]
    assert found.select("kw_q1", "kw_q2", "kw_q3", "kw_q4").row(0) == pytest.approx((2, 4, 2, 2))


@pytest.mark.parametrize("off", [7, 150, 293])
def test_replicas_that_are_read_more_seldom_than_is_said(tmp_path: Path, off: int) -> None:
    """10:00 to 16:00 each five minutes, the second replica `off` seconds later: six hours, by the first alone."""
    rows = [
        row | {"prometheus_replica": replica}
        for replica, late in (("a", 0), ("b", off))
        for row in cards([ts + timedelta(seconds=late) for ts in minutes("2026-09-01 10:00", 73, 300)])
    ]
    write(tmp_path, "gpu.parquet", rows)
    found = load(tmp_path, sample_interval_s=15)
    assert table(found, GPU)["observed_hours"].sum() == pytest.approx(6)
    assert table(found, GPU)["energy_kwh"].sum() == pytest.approx(1.8)
    assert [i.issues.select("rule", "rows").rows() for i in found] == [[("other_replica", 73)]]


def test_hours_that_uneven_intervals_lose_are_flagged(tmp_path: Path) -> None:
    """Steps of 200 and 400 s, where 60 is said, of one card: of each of 20 a minute is seen. The other one is whole."""
    times = [utc("2026-09-01 10:00")]
    for n in range(20):
        times.append(times[-1] + timedelta(seconds=200 + 200 * (n % 2)))
    write(tmp_path, "gpu.csv", [*cards(times), *cards(minutes("2026-09-01 10:00", 61), gpu="g2")])
    (item,) = load(tmp_path)
    hours = table([item], GPU).group_by("gpu").agg(pl.col("observed_hours").sum()).sort("gpu")
    assert hours["observed_hours"].to_list() == pytest.approx([20 / 60, 1])
    assert item.issues.select("action", "rule", "value", "rows").rows() == [
        ("flagged", "interval_longer", "g1: 300 s between samples", 1)
    ]
    (item,) = load(tmp_path, sample_interval_s=300)
    assert table([item], GPU).filter(gpu="g1")["observed_hours"].sum() == pytest.approx(100 / 60)
    assert item.issues.is_empty()


@pytest.mark.parametrize("step", [60, 15])
def test_a_card_that_is_read_more_often_than_another_has_its_own_gaps(tmp_path: Path, step: int) -> None:
    """g1 each 300 s, as is said; g2 more often, without samples after 11:20 and before 11:27: its sample of 11:20 stands for a step."""
    silent = (utc("2026-09-01 11:20"), utc("2026-09-01 11:27"))
    fast = [
        ts for ts in minutes("2026-09-01 10:00", 10800 // step + 1, step) if not silent[0] < ts < silent[1]
    ]
    write(tmp_path, "gpu.parquet", [*cards(minutes("2026-09-01 10:00", 37, 300)), *cards(fast, gpu="g2")])
    hours = table(load(tmp_path, sample_interval_s=300), GPU).filter("allocated").sort("gpu", "hour")
    seen = 3600 - 420 + step
    assert hours["observed_hours"].to_list() == pytest.approx([1, 1, 1, 1, seen / 3600, 1])
    # a gauge tells nothing of the gap: 0.3 kW x 53 minutes
    assert hours["energy_kwh"].to_list() == pytest.approx([0.3, 0.3, 0.3, 0.3, 0.3 * 53 / 60, 0.3])


def test_samples_that_alternate_have_no_shorter_interval(tmp_path: Path) -> None:
    """Two collectors at :00 and :07 of each minute, 60 is said; one that lacks a minute leaves none unseen."""
    first, second = (
        minutes("2026-09-01 10:00", 61),
        [ts + timedelta(seconds=7) for ts in minutes("2026-09-01 10:00", 60)],
    )
    write(tmp_path, "gpu.parquet", cards(sorted([*first[:20], *first[21:], *second[:19], *second[21:]])))
    assert table(load(tmp_path), GPU)["observed_hours"].sum() == pytest.approx(1)


@pytest.mark.parametrize("counter", [False, True])
def test_pauses_of_a_log_of_each_second(tmp_path: Path, counter: bool) -> None:
    """An hour of 300 W, a line a second that stalls for five each minute, once for two minutes: 58 minutes of 0.005 kWh by the gauge."""
    start = utc("2026-09-01 10:00")
    rows = [
        row | ({"energy_mj": 1e12 + 300_000 * n} if counter else {})
        for n, row in enumerate(cards(minutes("2026-09-01 10:00", 3601, 1)))
        if n % 60 not in (1, 2, 3, 4) and not 1200 < n < 1320
    ]
    assert rows[-1]["ts"] == start + timedelta(hours=1)
    write(tmp_path, "gpu.parquet", rows)
    hours = table(load(tmp_path), GPU)
    assert hours["energy_kwh"].sum() == pytest.approx(0.29)
    assert hours["energy_estimated_kwh"].sum() == pytest.approx(0.01 if counter else 0)
