"""Latency histograms in sample files whose bounds change: only what all of an hour has can be added."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from tests.connectors.telemetry_files.samples import INFERENCE, load, minutes, table, write


@pytest.mark.parametrize(("shared", "kept"), [("0.5", {"0.5": 8 * 59, "+Inf": 10 * 59}), ("", None)])
def test_bounds_that_change_at_a_restart(tmp_path: Path, shared: str, kept: dict[str, int] | None) -> None:
    """A release at 10:30: 0.1 and 0.5 become 0.2 and 0.5. Ten requests a minute: 29 steps, then 30 since the restart."""
    rows = []
    for n, ts in enumerate(minutes("2026-09-01 10:01", 120)):
        since = n + 1 if n < 30 else n - 29
        buckets = {"0.1" if n < 30 else "0.2": 4 * since, "+Inf": 10 * since} | (
            {shared: 8 * since} if shared else {}
        )
        rows.append({"ts": ts, "workload": "chat", "requests_total": 10 * since, "latency_seconds_buckets": json.dumps(buckets)})  # fmt: skip
    write(tmp_path, "inference/a.parquet", rows)
    loaded = load(tmp_path)
    first, second = table(loaded, INFERENCE).sort("hour").iter_rows(named=True)
    assert first["inferences"] == 10 * 59
    assert (first["latency_buckets"] and json.loads(first["latency_buckets"])) == kept
    whole = {"0.2": 4 * 60, "+Inf": 10 * 60} | ({"0.5": 8 * 60} if shared else {})
    assert json.loads(second["latency_buckets"]) == whole
    found = pl.concat([item.issues for item in loaded])
    assert found.select("action", "rule", "value", "rows").rows() == [
        ("flagged", "histogram_bounds_differ", "chat", 1)
    ]
