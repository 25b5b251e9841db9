"""Energy counters of power meters that jump: what no load explains is not energy. Figures by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.meters import jumps
from tests.connectors.telemetry_files.samples import POWER, load, minutes, table, utc, write


def counted(rises: Sequence[float], start: float = 100.0, **more: Any) -> list[dict[str, Any]]:
    """A sample each minute from 10:00 on, and what the counter rises by from each to the next."""
    total, rows = start, []
    for n, ts in enumerate(minutes("2026-09-01 10:00", len(rises) + 1)):
        rows.append({"ts": ts, "node": "n1", "energy_kwh_total": total} | more)
        total += rises[n] if n < len(rises) else 0
    return rows


@pytest.mark.parametrize("gauge", [False, True])
def test_a_counter_that_jumps_once(tmp_path: Path, gauge: bool) -> None:
    """Two hours of 3 kW, at 10:30 15 kWh more: 6 kWh by the gauge of that minute, without one 119 minutes of them."""
    rises = [0.05] * 120
    rises[30] += 15
    write(tmp_path, "power.parquet", counted(rises, **({"power_w": 3000.0} if gauge else {})))
    (item,) = load(tmp_path)
    hours = table([item], POWER).sort("hour")
    assert hours["energy_kwh"].to_list() == pytest.approx([3 if gauge else 59 * 0.05, 3])
    assert hours["coverage"].to_list() == pytest.approx([1 if gauge else 59 / 60, 1])
    assert item.issues.select("action", "rule", "column_name", "value", "rows").rows() == [
        ("flagged", "counter_implausible", "energy_kwh_total", "n1: 15.05 kWh in 60.0 s", 1)
    ]


def test_a_load_that_the_gauge_shows_is_no_jump(tmp_path: Path) -> None:
    """Read each quarter: 20 W, once 6 kW for a quarter. 1.5 kWh of it and 80 quarters of 0.005 are 1.9 kWh."""
    kw = [0.02] * 40 + [6.0] + [0.02] * 40
    rows = counted([k / 4 for k in kw])
    for n, (row, ts) in enumerate(zip(rows, minutes("2026-09-01 00:00", len(rows), 900), strict=True)):
        row.update(ts=ts, power_w=1000 * kw[min(n, 80)])
    write(tmp_path, "power.parquet", rows)
    (item,) = load(tmp_path, sample_interval_s=900)
    assert table([item], POWER)["energy_kwh"].sum() == pytest.approx(1.9)
    assert item.issues.is_empty()


@pytest.mark.parametrize("gauge", [False, True])
def test_jumps_side_by_side(tmp_path: Path, gauge: bool) -> None:
    """Two hours of 3 kW, and at 10:30, 10:33 and 10:35 8 kWh more: 6 kWh by the gauge, without one 117 minutes, not 30 kWh."""
    rises = [8.05 if n in (30, 33, 35) else 0.05 for n in range(120)]
    write(tmp_path, "power.parquet", counted(rises, **({"power_w": 3000.0} if gauge else {})))
    (item,) = load(tmp_path)
    hours = table([item], POWER).sort("hour")
    assert hours["energy_kwh"].to_list() == pytest.approx([3 if gauge else 2.85, 3])
    assert hours["coverage"].to_list() == pytest.approx([1 if gauge else 57 / 60, 1])
    assert item.issues.select("rule", "rows").rows() == [("counter_implausible", 3)]


@pytest.mark.parametrize("gauge", [False, True])
def test_a_counter_that_shows_0_to_the_end(tmp_path: Path, gauge: bool) -> None:
    """3 kW from 10:00 on, from 11:00 the counter shows 0: 9 kWh by the gauge, without one the 59 minutes that it told of."""
    rows = counted([0.05] * 180, **({"power_w": 3000.0} if gauge else {}))
    write(
        tmp_path,
        "power.parquet",
        [r | ({"energy_kwh_total": 0.0} if n >= 60 else {}) for n, r in enumerate(rows)],
    )
    (item,) = load(tmp_path)
    hours = table([item], POWER).sort("hour")
    assert hours["energy_kwh"].sum() == pytest.approx(9 if gauge else 2.95)
    assert hours["coverage"].sum() == pytest.approx(3 if gauge else 59 / 60)
    assert item.issues.select("rule", "rows").rows() == [("value_dropped", 121)]


def test_jumps_one_after_the_other_of_what_is_read_every_five_minutes(tmp_path: Path) -> None:
    """Four hours of 3 kW, and in two steps 8 kWh more: 46 steps of 0.25 kWh are known, not 28 kWh."""
    rows = counted([8.25 if n in (20, 21) else 0.25 for n in range(48)])
    for row, ts in zip(rows, minutes("2026-09-01 10:00", 49, 300), strict=True):
        row["ts"] = ts
    write(tmp_path, "power.parquet", rows)
    (item,) = load(tmp_path, sample_interval_s=300)
    assert table([item], POWER)["energy_kwh"].sum() == pytest.approx(11.5)
    assert item.issues.select("rule", "rows").rows() == [("counter_implausible", 2)]


def test_what_a_counter_regains_after_days_is_an_estimate_of_the_last(tmp_path: Path) -> None:
    """6 kW; it stands for 30 hours, and shows 180.1 kWh at once: 7.5 kWh in each of 24 hours and a minute."""
    rises = [*[0.1] * 120, *[0.0] * 1800, 180.1, *[0.1] * 119]
    write(tmp_path, "power.parquet", counted(rises))
    hours = table(load(tmp_path), POWER)
    assert hours["energy_kwh"].sum() == pytest.approx(12 + 11.9)
    assert hours["energy_estimated_kwh"].sum() == pytest.approx(180.1)
    assert hours["energy_estimated_kwh"].max() == pytest.approx(180.1 / 24, rel=0.001)


def test_zeros_and_nothing_mixed(tmp_path: Path) -> None:
    """Three hours of 3 kW from 10 kWh on; from 11:00 to 11:30 each second reading is 0, the others are absent."""
    rows = counted([0.05] * 180, start=10.0)
    for n, row in enumerate(rows):
        if 60 <= n < 90:
            row["energy_kwh_total"] = None if n % 2 else 0.0
    write(tmp_path, "power.parquet", rows)
    hours = table(load(tmp_path), POWER)
    told = hours["energy_kwh"].sum() + hours["energy_estimated_kwh"].sum()
    assert told == pytest.approx(9, abs=0.06)


def test_a_gauge_that_is_read_each_quarter_denies_no_load(tmp_path: Path) -> None:
    """20 W, and for ten minutes of every second hour, between two readings, 9 kW more: 24 hours are 0.48 and 18 kWh."""
    rises = [0.005 + (1.5 if n % 8 == 4 else 0) for n in range(96)]
    rows = counted(rises, power_w=20.0)
    for row, ts in zip(rows, minutes("2026-09-01 00:00", len(rows), 900), strict=True):
        row["ts"] = ts
    write(tmp_path, "power.parquet", rows)
    item, *_ = load(tmp_path, sample_interval_s=900)
    assert table([item], POWER)["energy_kwh"].sum() == pytest.approx(18.48)
    assert item.issues.is_empty()


def test_a_small_counter_that_shows_0_for_a_while_did_not_begin_anew(tmp_path: Path) -> None:
    """23 hours of 3 kW from 150 kWh on, read each quarter; from 10:00 to 11:45 it shows 0: the 2.25 hours around are estimated.

    Back to 183 kWh in a quarter is less than a meter may count.
    """
    rows = counted([0.75] * 92, start=150.0)
    for n, (row, ts) in enumerate(zip(rows, minutes("2026-09-01 00:00", len(rows), 900), strict=True)):
        row.update({"ts": ts} | ({"energy_kwh_total": 0.0} if 40 <= n < 48 else {}))
    write(tmp_path, "power.parquet", rows)
    (item,) = load(tmp_path, sample_interval_s=900)
    hours = table([item], POWER)
    assert hours["energy_kwh"].sum() == pytest.approx(69 - 6.75)
    assert hours["energy_estimated_kwh"].sum() == pytest.approx(6.75)
    assert item.issues.select("rule", "rows").rows() == [("value_dropped", 8)]


@pytest.mark.parametrize("nights", [1, 3])
def test_a_job_of_one_step_a_night_is_a_load(tmp_path: Path, nights: int) -> None:
    """Read each quarter: 0.3 kW for three days, and at 02:00 10 kW for a quarter. Only where that is once it may be a jump."""
    rises = [2.5 if n % 96 == 8 and n < 96 * nights else 0.075 for n in range(288)]
    rows = counted(rises)
    for row, ts in zip(rows, minutes("2026-09-01 00:00", len(rows), 900), strict=True):
        row["ts"] = ts
    write(tmp_path, "power.parquet", rows)
    hours = table(load(tmp_path, sample_interval_s=900), POWER)
    assert hours["energy_kwh"].sum() == pytest.approx(285 * 0.075 + 3 * 2.5 if nights == 3 else 287 * 0.075)


def test_another_meter_after_a_gap(tmp_path: Path) -> None:
    """3 kW to 11:00 and from 17:00 on, when a meter of 500 kWh takes its place: of the gap nothing is known, not 400 kWh."""
    rows = counted([0.05] * 480)
    later = [
        r | {"energy_kwh_total": r["energy_kwh_total"] + 400}
        for r in rows
        if r["ts"] >= utc("2026-09-01 17:00")
    ]
    write(tmp_path, "power.parquet", [*(r for r in rows if r["ts"] <= utc("2026-09-01 11:00")), *later])
    (item,) = load(tmp_path)
    hours = table([item], POWER).sort("hour")
    assert hours["energy_kwh"].sum() == pytest.approx(6)
    assert hours["energy_estimated_kwh"].sum() == 0
    assert item.issues["rule"].to_list() == ["counter_implausible"]


@pytest.mark.parametrize(
    "rises",
    [
        [1.0 if n % 60 == 30 else 0 for n in range(480)],  # whole kWh, 1 kW
        [*[0.005] * 240, *[0.2] * 240],  # 0.3 kW, then 12
        [1.0 if n % 60 == 30 else 0 for n in range(240)] + [1.0 if n % 4 == 0 else 0 for n in range(240)],
    ],
    ids=["whole kWh", "load", "whole kWh and load"],
)
def test_what_a_load_explains_is_believed(tmp_path: Path, rises: list[float]) -> None:
    write(tmp_path, "power.parquet", counted(rises))
    (item,) = load(tmp_path)
    hours = table([item], POWER)
    assert hours["energy_kwh"].sum() == pytest.approx(sum(rises))
    assert item.issues.is_empty()


@pytest.mark.parametrize("kw", [6.0, 18.0])
def test_what_a_counter_regains_is_an_estimate_of_the_time_in_which_it_stood(
    tmp_path: Path, kw: float
) -> None:
    """Without a gauge, from 12:00 to 14:00; 36 kWh in a minute are more than any meter can show in one."""
    rises = [*[kw / 60] * 120, *[0.0] * 120, kw / 60 * 121, *[kw / 60] * 239]
    write(tmp_path, "power.parquet", counted(rises))
    (item,) = load(tmp_path)
    hours = table([item], POWER).sort("hour")
    told = hours["energy_kwh"] + hours["energy_estimated_kwh"]
    assert told.to_list() == pytest.approx([kw] * 8)
    assert hours["energy_estimated_kwh"].to_list() == pytest.approx([0, 0, kw, kw, kw / 60, 0, 0, 0])
    assert hours["coverage"].to_list() == pytest.approx([1, 1, 0, 0, 59 / 60, 1, 1, 1])
    assert hours["kw_q1"].to_list() == [pytest.approx(kw)] * 2 + [None] * 3 + [pytest.approx(kw)] * 3
    assert item.issues.is_empty()


def test_hours_of_a_counter() -> None:
    """3 kWh an hour, and 45 in one are a jump; whole tens of kWh each tenth hour are none; 36 after 11 hours of nothing were regained.

    After 11 hours of silence 36 kWh are none, 130 are more than three times as much as the meter counts in any hour.
    """
    start = utc("2026-09-01 00:00").replace(tzinfo=None)

    def hours(meter: str, kwh: dict[int, float], silent_h: int = 0) -> pl.DataFrame:
        about = {"meter": meter, "step_h": 1.0, "silent": False}
        rows = [about | {"until": start + timedelta(hours=h), "counted": v} for h, v in kwh.items()]
        silence = {"step_h": float(silent_h), "silent": True}
        return pl.DataFrame([r | (silence if silent_h and r["until"].hour == 18 else {}) for r in rows])

    later = {h: 3.0 for h in range(24) if not 6 < h < 18}
    frames = [
        hours("a", dict.fromkeys(range(24), 3.0) | {12: 45.0}),
        hours("b", dict.fromkeys(range(0, 100, 10), 10.0)),
        hours("c", later | {18: 36.0}),
        hours("d", later | {18: 36.0}, 12),
        hours("e", later | {18: 130.0}, 12),
    ]
    found = jumps(pl.concat(frames), ["meter"], timedelta(hours=24))
    assert found.select("meter", "counted", "regained").rows() == [
        ("a", 45.0, False),
        ("c", 36.0, True),
        ("e", 130.0, False),
    ]


@pytest.mark.parametrize("unit", [0.0, 1e-3], ids=["stands", "MWh"])
def test_a_counter_that_stands_or_counts_mwh_gives_way_to_the_gauge(tmp_path: Path, unit: float) -> None:
    """Three hours of 3 kW."""
    write(tmp_path, "power.parquet", counted([0.05 * unit] * 180, power_w=3000.0))
    (item,) = load(tmp_path)
    hours = table([item], POWER).sort("hour")
    assert hours["energy_kwh"].to_list() == pytest.approx([3, 3, 3])
    assert hours["coverage"].to_list() == [1, 1, 1]
    assert item.issues.select("rule", "column_name", "rows").rows() == [
        ("counter_implausible", "energy_kwh_total", 180)
    ]


def test_what_a_counter_that_stood_still_regains_is_told_once(tmp_path: Path) -> None:
    """Six hours of 3 kW: from 11:00 to 13:00 it stands, at 13:00 it shows all of it."""
    rises = [*[0.05] * 60, *[0.0] * 120, 6.05, *[0.05] * 179]
    write(tmp_path, "power.parquet", counted(rises, power_w=3000.0))
    hours = table(load(tmp_path), POWER).sort("hour")
    assert hours["energy_kwh"].to_list() == pytest.approx([3] * 6)


@pytest.mark.parametrize(("kwh", "watts"), [(1, 500.0), (1, 3000.0), (10, 3000.0)])
def test_a_coarse_counter_beside_a_gauge_is_believed(tmp_path: Path, kwh: int, watts: float) -> None:
    """24 hours by whole units of the counter, whose first and last part of one nobody knows."""
    each = round(kwh / watts * 60_000)
    rises = [float(kwh) if n % each == each // 2 else 0.0 for n in range(1440)]
    write(tmp_path, "power.parquet", counted(rises, power_w=watts))
    (item, *_) = load(tmp_path)
    assert table([item], POWER)["energy_kwh"].sum() == pytest.approx(sum(rises[:840]))
    assert item.issues.is_empty()


@pytest.mark.parametrize("unit", [0.0, 1e-3], ids=["stands", "MWh"])
@pytest.mark.parametrize("days", [1, 4])
def test_a_counter_that_stands_beside_a_small_load(tmp_path: Path, days: int, unit: float) -> None:
    """200 W, of which no hour lacks 1.5 kWh: 4.8 kWh of a whole day by the gauge, however many days there are."""
    rows = counted([0.2 / 60 * unit] * 1440 * days, power_w=200.0)
    for row, ts in zip(rows, minutes("2026-09-01 00:00", len(rows)), strict=True):
        row["ts"] = ts
    write(tmp_path, "power.parquet", rows)
    for item in load(tmp_path)[:days]:
        assert table([item], POWER)["energy_kwh"].sum() == pytest.approx(4.8)
        assert item.issues.select("rule", "rows").rows() == [("counter_implausible", 1440)]


@pytest.mark.parametrize("kw", [3.0, 0.2])
def test_a_day_is_the_same_whatever_is_read_with_it(tmp_path: Path, kw: float) -> None:
    """Read each five minutes; it stands from noon of the second day to 06:00 of the fourth, and then shows all of it.

    On the fifth four steps of 5 kWh between two readings of the gauge are a load: it does not stand there.
    """
    rises = [0.0 if 36 * 12 <= n < 78 * 12 else kw / 12 for n in range(5 * 288 + 48)]
    rises[78 * 12] += 42 * kw
    rises[108 * 12 : 108 * 12 + 4] = [5.0] * 4
    rows = counted(rises, power_w=1000 * kw)
    for row, ts in zip(rows, minutes("2026-09-01 00:00", len(rows), 300), strict=True):
        row["ts"] = ts
    for day in range(6):
        write(tmp_path, f"power-{day}.parquet", rows[288 * day : 288 * (day + 1)])
    together = [table([item], POWER) for item in load(tmp_path, sample_interval_s=300)][:5]
    busy = 24 * kw + 20 - kw / 3
    assert [day["energy_kwh"].sum() for day in together] == pytest.approx([24 * kw] * 4 + [busy])
    for day in (together[1], together[3], together[4]):
        (alone,) = load(tmp_path, sample_interval_s=300, days=day["day"].unique())
        assert table([alone], POWER).equals(day)


def test_a_gap_over_midnight_is_judged_by_all_that_is_near_its_end(tmp_path: Path) -> None:
    """0.5 kW; in a gap from 15:55 to 14:00 of the next day 2 kW: less than three times an hour of 1 kW, at noon of the third.

    16.2 kWh of it are of the first day, also where that is read alone.
    """
    rises = [44.2 if n == 191 else 1 / 12 if 456 <= n < 468 else 0.5 / 12 for n in range(863)]
    rows = counted(rises)
    times = minutes("2026-09-01 00:00", 1128, 300)
    for row, ts in zip(rows, [*times[:192], *times[456:]], strict=True):
        row["ts"] = ts
    for day in (1, 2, 3, 4):
        write(tmp_path, f"power-{day}.parquet", [r for r in rows if r["ts"].day == day])
    (alone,) = load(tmp_path, sample_interval_s=300, days=[utc("2026-09-01 00:00").date()])
    assert table([alone], POWER)["energy_estimated_kwh"].sum() == pytest.approx(16.2, abs=0.1)
