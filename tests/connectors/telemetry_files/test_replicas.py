"""A pair of Prometheus servers in one file: two clocks, one counter."""

from __future__ import annotations

from datetime import timedelta
from math import isclose
from pathlib import Path
from typing import Any

import polars as pl

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
