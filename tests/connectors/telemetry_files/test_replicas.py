"""A pair of Prometheus servers in one file: two clocks, one counter."""

from __future__ import annotations

from datetime import timedelta
from math import isclose
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.connectors.telemetry_files.samples import GPU, INFERENCE, POWER, card, load, minutes, table, write

HOURS = minutes("2026-09-01 10:00", 121)
SKEW = timedelta(seconds=2)
"""Replica b scrapes three seconds after a, and its clock is five behind: its samples seem to come before a's."""


def both(counter: str, start: float, second: float, **more: Any) -> list[dict[str, Any]]:
    """Two hours of a counter that rises by `second` each second, as a and b show it; a falls silent for 11:10 to 11:40."""
    rows = []
    for n, ts in enumerate(HOURS):
        rows.append(
            {"ts": ts - SKEW, counter: start + second * (60 * n + 3), "prometheus_replica": "b"} | more
        )
        if not 70 <= n < 100:
            rows.append({"ts": ts, counter: start + second * 60 * n, "prometheus_replica": "a"} | more)
    return rows


def test_a_counter_that_two_clocks_show_rises_once(tmp_path: Path) -> None:
    """A card and a meter at 600 W: 0.6 kWh an hour. 2 requests a second: 7,200 an hour."""
    cards = [
        card(r["ts"], r["energy_mj"], prometheus_replica=r["prometheus_replica"])
        for r in both("energy_mj", 1e12, 6e5)
    ]
    write(tmp_path, "gpu/a.parquet", cards)
    write(tmp_path, "power/a.csv", both("energy_kwh_total", 50.0, 0.6 / 3600, node="n1"))
    write(tmp_path, "inference/a.csv", both("requests_total", 1000.0, 2.0, workload="chat"))
    loaded = load(tmp_path)
    hourly = {
        name: table(loaded, name).filter(pl.col("hour").dt.hour() >= 10).sort("hour")
        for name in (GPU, POWER, INFERENCE)
    }
    # a is read from 10:00 to 11:00, b to 11:45, then a again: b is five seconds ahead by its clock
    assert all(isclose(k, 0.6, rel_tol=2e-3) for k in hourly[GPU]["energy_kwh"][:2])
    assert all(isclose(k, 0.6, rel_tol=2e-3) for k in hourly[POWER]["energy_kwh"][:2])
    assert isclose(hourly[GPU]["observed_hours"].sum(), 2, abs_tol=0.05)
    # the first sample is b's, at 09:59:58 for 10:00:03, the last of the hour a's at 10:59: 59 minutes less 3 s; a request
    # counts in the hour of the later sample
    assert isclose(hourly[INFERENCE]["inferences"].sum(), 2 * 7200, rel_tol=1e-3)
    assert hourly[INFERENCE]["inferences"][0] == 7200 - 120 - 6
    found = pl.concat([item.issues for item in loaded])
    assert set(found["rule"]) == {"other_replica"}
    assert sum(item.rows_read for item in loaded) == 3 * (121 + 91)


@pytest.mark.parametrize(("late_s", "flagged"), [(45, False), (75, True), (130, True)])
def test_clocks_that_nothing_tells_apart_count_a_card_once(
    late_s: int, flagged: bool, tmp_path: Path
) -> None:
    """200 W for two hours are 0.2 kWh an hour; the second clock shows each reading `late_s` later."""
    rows = [
        card(ts + timedelta(seconds=late), 5e10 + 12e6 * n)
        for n, ts in enumerate(HOURS)
        for late in (0, late_s)
    ]
    write(tmp_path, "gpu.csv", sorted(rows, key=lambda row: row["ts"]))
    loaded = load(tmp_path)
    hours = table(loaded, GPU).group_by("hour").agg(pl.col("energy_kwh").sum()).sort("hour")
    assert hours["energy_kwh"].to_list()[:2] == pytest.approx([0.2, 0.2], abs=0.2 / 60)
    assert set(loaded[0].issues["rule"]) == ({"counter_implausible"} if flagged else set())


def test_two_counters_under_one_name_are_not_each_others_resets(tmp_path: Path) -> None:
    """Two cards with one UUID in the file: 13,889 and 8,333 kWh take turns; the one that came first counts, 100 W."""
    rows = [card(ts, (5e10 if n % 2 == 0 else 3e10) + 6e6 * n) for n, ts in enumerate(HOURS)]
    write(tmp_path, "gpu.csv", rows)
    hours = table(load(tmp_path), GPU).sort("hour")
    assert hours["energy_kwh"].to_list()[:2] == pytest.approx([0.1, 0.1], rel=1e-9)


def test_clocks_that_nothing_tells_apart_count_a_meter_once(tmp_path: Path) -> None:
    """A meter that counts 6 kWh an hour, a tenth a minute."""
    rows = [
        {"ts": ts + timedelta(seconds=late_s), "meter": "pdu", "energy_kwh_total": 9000 + n / 10}
        for n, ts in enumerate(HOURS)
        for late_s in (0, 75)
    ]
    write(tmp_path, "power.csv", sorted(rows, key=lambda row: row["ts"]))
    hours = table(load(tmp_path), POWER).sort("hour")
    assert hours["energy_kwh"].to_list()[:2] == pytest.approx([6, 6], rel=1e-9)


def test_counts_of_two_pods_under_one_name_are_unknown(tmp_path: Path) -> None:
    """Two pods without a column pod take turns: 1,200 requests, which were 57 million when each fall was a restart.
    One pod that restarts counts in full: 10 to 590, then 10 to 620."""
    rows = [
        {"ts": ts, "workload": "chat", "requests_total": (1_000_000, 900_000)[n % 2] + 10 * n, "prompt_tokens_total": 100 * n}
        for n, ts in enumerate(HOURS)
    ]  # fmt: skip
    restarts = [
        {
            "ts": ts,
            "workload": "once",
            "requests_total": 10 * (n if n < 60 else n - 59),
            "prompt_tokens_total": 0,
        }
        for n, ts in enumerate(HOURS)
    ]
    write(tmp_path, "inference.csv", rows + restarts)
    loaded = load(tmp_path)
    hours = table(loaded, INFERENCE).filter(pl.col("hour").dt.hour() >= 10).sort("workload", "hour")
    chat, once = (hours.filter(pl.col("workload") == w) for w in ("chat", "once"))
    assert chat.select("inferences", "tokens_in", "coverage").rows() == [(None, None, 1.0)] * 2
    # a sample on the hour closes the hour before it: 10 requests after the restart at 11:00
    assert once["inferences"].to_list() == [590 + 10, 600]
    found = pl.concat([item.issues for item in loaded])
    assert found.select("action", "rule", "rows").rows() == [("flagged", "counter_alternates", 119)]
    assert found["value"][0].startswith("chat: 1000")
    assert "prometheus_replica" in found["value"][0]


def test_pods_that_a_column_tells_apart_are_added(tmp_path: Path) -> None:
    """10 and 3 a minute for an hour."""
    rows = [
        {"ts": ts, "workload": "chat", "pod": pod, "requests_total": start + rate * n}
        for n, ts in enumerate(HOURS)
        for pod, start, rate in (("a", 1_000_000, 10), ("b", 900_000, 3))
    ]
    write(tmp_path, "inference.csv", rows)
    loaded = load(tmp_path)
    by_hour = table(loaded, INFERENCE).group_by("hour").agg(pl.col("inferences").sum()).sort("hour")
    assert by_hour["inferences"].to_list()[-2:] == [780, 780]
    assert not pl.concat([item.issues for item in loaded]).height
