"""Energy counters of cards that stand still or count in another unit, judged by the gauge. Figures by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.connectors.telemetry_files.samples import GPU, card, load, minutes, table, write


def drawing(count: int, mj_a_minute: list[float], **more: Any) -> list[dict[str, Any]]:
    """From 10:00 on at 600 W (36,000,000 mJ, 0.01 kWh a minute); the counter rises as it is told, then as last."""
    total, rows = 1e12, []
    for n, ts in enumerate(minutes("2026-09-01 10:00", count)):
        rows.append(card(ts, total, power_w=600.0, **more))
        total += mj_a_minute[min(n, len(mj_a_minute) - 1)]
    return rows


@pytest.mark.parametrize("mj", [0, 36_000])
@pytest.mark.parametrize("name", ["gpu.parquet", "gpu.csv"])
def test_a_counter_that_stands_or_counts_joules_gives_way_to_the_gauge(
    tmp_path: Path, mj: float, name: str
) -> None:
    """Two hours of 0.6 kWh of g1; g2 beside it counts mJ. 120 steps are not believed."""
    write(tmp_path, name, [*drawing(121, [mj]), *drawing(121, [36e6], gpu="g2")])
    (item,) = load(tmp_path)
    hours = table([item], GPU).filter(pl.col("observed_hours") > 0).sort("gpu", "hour")
    assert hours["energy_kwh"].to_list() == pytest.approx([0.6] * 4, rel=1e-9)
    assert hours["energy_estimated_kwh"].sum() == 0
    shown = "GPU-1: 0.0 kWh in 60.0 s, by its gauge 0.01"
    assert item.issues.select("action", "rule", "column_name", "value", "rows").rows() == [
        ("flagged", "counter_implausible", "energy_mj", shown, 120)
    ]


def test_only_hours_that_show_less_than_a_tenth_are_doubted(tmp_path: Path) -> None:
    """It counts until 10:30, stands until 12:00, counts again: 0.3 kWh (half is no tenth), 0.6 by the gauge, 0.6."""
    write(tmp_path, "gpu.parquet", drawing(181, [*[36e6] * 30, *[0.0] * 90, 36e6]))
    (item,) = load(tmp_path)
    hours = table([item], GPU).filter(pl.col("observed_hours") > 0).sort("hour")
    assert hours["energy_kwh"].to_list() == pytest.approx([0.3, 0.6, 0.6])
    assert item.issues["rows"].to_list() == [60]


def test_what_a_standing_counter_tells_of_a_gap_is_not_known(tmp_path: Path) -> None:
    """Silent from 11:01 to 12:00: 61 minutes and an hour by the gauge, nothing of the gap, not a 0 of it."""
    rows = drawing(181, [0.0])
    write(tmp_path, "gpu.parquet", [r for n, r in enumerate(rows) if not 61 <= n < 120])
    hours = table(load(tmp_path), GPU)
    assert hours["energy_kwh"].sum() == pytest.approx(1.2)
    assert hours["energy_estimated_kwh"].sum() == 0


def test_a_counter_that_stands_without_a_gauge_is_unknown_and_a_card_that_draws_in_bursts_is_believed(
    tmp_path: Path,
) -> None:
    """g1 stands and shows no gauge: nobody knows. g2: of 60 minutes one of 600 W that both samples of an hour's end show, 59 of 12 W."""
    bursts = drawing(61, [*[720_000.0] * 59, 36e6], gpu="g2")
    calm = [r | {"power_w": 600.0 if n in (0, 59, 60) else 12.0} for n, r in enumerate(bursts)]
    alone = [r | {"power_w": None} for r in drawing(61, [0.0])]
    write(tmp_path, "gpu.parquet", [*alone, *calm])
    (item,) = load(tmp_path)
    hours = table([item], GPU).filter(pl.col("observed_hours") > 0).sort("gpu", "hour")
    assert hours["energy_kwh"].to_list() == [None, pytest.approx(59 * 0.0002 + 0.01)]
    assert item.issues.select("rule", "rows").rows() == [("counter_implausible", 60)]


@pytest.mark.parametrize(("zero", "estimated"), [([30], 0.0), ([60, 61], 0.03), (list(range(20, 50)), 0.31)])
def test_a_counter_that_shows_0_for_a_while_did_not_begin_anew(
    tmp_path: Path, zero: list[int], estimated: float
) -> None:
    """Two hours of 0.6 kWh; of what lies between the readings around the zeros the sum is known, by minute it is estimated."""
    rows = [r | ({"energy_mj": 0.0} if n in zero else {}) for n, r in enumerate(drawing(121, [36e6]))]
    write(tmp_path, "gpu.parquet", rows)
    (item,) = load(tmp_path)
    hours = table([item], GPU)
    assert hours["energy_kwh"].sum() == pytest.approx(1.2 - estimated)
    assert hours["energy_estimated_kwh"].sum() == pytest.approx(estimated)
    assert hours["observed_hours"].sum() == pytest.approx(2)
    assert item.issues.select("rule", "rows").rows() == [("counter_implausible", len(zero))]


def test_a_counter_that_began_anew_and_grows_past_where_it_was(tmp_path: Path) -> None:
    """It shows 0.1 kWh, begins anew at 10:15 and passes that: 14 minutes of 0.01, nothing seen of one, 45 minutes."""
    rows = drawing(61, [36e6])
    for n, row in enumerate(rows):
        row["energy_mj"] = 360e6 + 36e6 * n if n < 15 else 36e6 * (n - 15)
    write(tmp_path, "gpu.parquet", rows)
    (item,) = load(tmp_path)
    assert table([item], GPU)["energy_kwh"].sum() == pytest.approx(0.14 + 0.45)
    assert item.issues.is_empty()


@pytest.mark.parametrize("step", [1, 15])
def test_a_counter_of_32_bits_runs_over(tmp_path: Path, step: int) -> None:
    """Six hours of 0.6 kWh; 2^32 mJ are 1.19 kWh, so it runs over three times, 28 minutes after 10:00 first."""
    rows = drawing(361, [36e6])
    for n, row in enumerate(rows):
        row["energy_mj"] = float((2**32 - 10**9 + 36_000_000 * n) % 2**32)
    write(tmp_path, "gpu.parquet", rows[::step])
    (item,) = load(tmp_path)
    assert table([item], GPU)["energy_kwh"].to_list() == pytest.approx([0.6] * 6)
    assert item.issues.is_empty()
