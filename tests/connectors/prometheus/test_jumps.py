"""Hours of 3 kW of a meter whose energy counter cannot be believed: what of them is still known. Figures by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest

from connectors.prometheus.jumps import Doubts
from connectors.prometheus.power_hours import QUARTERS, THING

START = datetime.fromisoformat("2026-09-01")
METER = {"device": "d", "meter": "m"}
SILENT: dict[str, Any] = {"energy_kwh": 0.0, "coverage": 0.0} | dict.fromkeys(QUARTERS)
GAUGE = {f"gauge_{name}": 3.0 for name in ("energy_kwh", *QUARTERS)} | {"gauge_coverage": 1.0}


def judged(
    odd: Mapping[int, Mapping[str, Any]],
    jumps: Mapping[int, float] | None = None,
    hours: int = 24,
    **more: Any,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Hours of a meter, of which some differ, and whose samples of each minute jump by so many kWh in a minute."""

    def samples(asked: pl.DataFrame) -> pl.DataFrame:
        shown, minutes = [0.0], []
        for minute in range(60 * hours):
            shown.append(shown[-1] + 0.05 + (jumps or {}).get(minute, 0.0))
        for hour in asked["hour"]:
            first = round((hour - START) / timedelta(minutes=1))
            window = range(max(0, first - 60), min(60 * hours, first + 120))
            minutes += [
                METER | {"hour": hour, "at": START + timedelta(minutes=m), "value": shown[m]} for m in window
            ]
        return pl.DataFrame(minutes)

    usual = METER | {
        "energy_kwh": 3.0,
        "energy_estimated_kwh": 0.0,
        "coverage": 1.0,
        "step": 0.05,
        "nought": False,
    }
    usual |= dict.fromkeys(QUARTERS, 3.0) | dict.fromkeys(GAUGE) | more
    rows = [usual | {"hour": START + timedelta(hours=h)} | dict(odd.get(h, {})) for h in range(hours)]
    doubts = Doubts(THING, QUARTERS, timedelta(hours=24), samples)
    schema = dict.fromkeys((*QUARTERS, *GAUGE), pl.Float64)
    return doubts.believed(pl.DataFrame(rows, infer_schema_length=None, schema_overrides=schema))


@pytest.mark.parametrize("gauge", [{}, GAUGE])
def test_an_hour_loses_the_minute_that_jumps(gauge: Mapping[str, float]) -> None:
    """5 kWh more from 12:39 to 12:40: without a gauge 59 minutes of 0.05 kWh are known."""
    rows, wrong = judged({12: {"energy_kwh": 8.0, "kw_q3": 23.0, "step": 5.05}}, {759: 5.0}, **gauge)
    (hour,) = rows.filter(hour=START + timedelta(hours=12)).iter_rows(named=True)
    known = (3.0, 1.0) if gauge else (2.95, 59 / 60)
    assert (hour["energy_kwh"], hour["coverage"]) == pytest.approx(known)
    assert [hour[q] for q in QUARTERS] == [3.0, 3.0, 3.0 if gauge else None, 3.0]
    assert rows["energy_kwh"].sum() == pytest.approx(23 * 3 + known[0])
    assert wrong["kwh"].to_list() == pytest.approx([5.05])


def test_a_peak_that_the_gauge_shows_is_no_jump() -> None:
    """1.2 kWh in a minute, of which the gauge knows: 4.15 kWh in that hour."""
    rows, wrong = judged(
        {12: GAUGE | {"energy_kwh": 4.15, "gauge_energy_kwh": 4.15, "step": 1.2}}, {730: 1.15}
    )
    assert (rows["energy_kwh"].sum(), wrong.height) == (pytest.approx(73.15), 0)


@pytest.mark.parametrize(("kwh", "estimated"), [(70.0, 0.0), (3.0, 9.0)])
def test_hours_of_a_gap_are_judged_together(kwh: float, estimated: float) -> None:
    """Silent from 10:00 to 13:00: another meter shows 210 kWh more, or the same meter 9, which the load explains."""
    rows, wrong = judged(dict.fromkeys((10, 11, 12), SILENT | {"energy_estimated_kwh": kwh}))
    assert rows["energy_kwh"].sum() == pytest.approx(63)
    assert rows["energy_estimated_kwh"].sum() == estimated
    assert wrong["kwh"].to_list() == ([] if estimated else [210.0])


def test_a_counter_that_stands_and_regains() -> None:
    """From 10:20 to 13:40 it stands: the hours from 10 to 13 are the gauge's, which lacks 0.1 kWh in each."""
    nothing = {"energy_kwh": 0.0} | dict.fromkeys(QUARTERS, 0.0)
    odd = {10: {"energy_kwh": 1.0}, 11: nothing, 12: nothing, 13: {"energy_kwh": 11.0, "step": 10.0}}
    rows, wrong = judged(odd, **GAUGE | {"gauge_energy_kwh": 2.9})
    assert rows["energy_kwh"].sum() == pytest.approx(20 * 3 + 4 * 2.9)
    assert rows.filter(hour=START + timedelta(hours=12)).select(QUARTERS).row(0) == (3.0, 3.0, 3.0, 3.0)
    assert sorted(wrong["kwh"]) == [0.0, 0.0, 1.0, 11.0]


def test_what_a_counter_regains_without_a_gauge_is_an_estimate() -> None:
    """From 11:00 to 13:30 it stands, then shows 7.5 kWh more: what is 3 kWh of each of two hours and a half."""
    nothing = {"energy_kwh": 0.0} | dict.fromkeys(QUARTERS, 0.0)
    odd = {11: nothing, 12: nothing, 13: {"energy_kwh": 9.0, "step": 7.55, "kw_q3": 33.0}}
    stood = dict.fromkeys(range(660, 810), -0.05) | {810: 7.5}
    rows, wrong = judged(odd, stood)
    hours = rows.filter(pl.col("hour").dt.hour().is_between(10, 14))
    assert (hours["energy_kwh"] + hours["energy_estimated_kwh"]).to_list() == pytest.approx([3] * 5, abs=0.05)
    assert hours["energy_estimated_kwh"].to_list() == pytest.approx([0, 3, 3, 1.55, 0], abs=0.05)
    assert hours["coverage"].to_list() == pytest.approx([1, 0, 0, 29 / 60, 1], abs=0.01)
    assert hours["kw_q3"].to_list() == [3, None, None, None, 3]
    assert rows["energy_kwh"].sum() + rows["energy_estimated_kwh"].sum() == pytest.approx(72)
    assert wrong.is_empty()


def test_a_small_load_beside_a_counter_that_stands() -> None:
    """0.2 kW: no hour lacks 1.5 kWh, the 49 hours around each of the day 9.8. 0.06 kW are less than a counter may show.

    So it is with one that counts MWh.
    """
    for kw, shown, kwh in ((0.2, 0.0, 4.8), (0.2, 2e-4, 4.8), (0.06, 0.0, 0.0)):
        gauge = dict.fromkeys(GAUGE, kw) | {"gauge_coverage": 1.0}
        rows, _ = judged({}, hours=72, **gauge, energy_kwh=shown)
        day = rows.filter(pl.col("hour").dt.date() == START.date() + timedelta(days=1))
        assert day["energy_kwh"].sum() == pytest.approx(kwh)


def test_the_gauge_tells_of_hours_that_the_counter_does_not() -> None:
    """From 12:00 to 15:00 there is no counter: the gauge's 2.9 kWh an hour, and no estimate of the gap."""
    dark = SILENT | {"energy_estimated_kwh": 3.0}
    rows, wrong = judged(dict.fromkeys((12, 13, 14), dark), **GAUGE | {"gauge_energy_kwh": 2.9})
    assert rows["energy_kwh"].sum() == pytest.approx(21 * 3 + 3 * 2.9)
    assert (rows["energy_estimated_kwh"].sum(), wrong.height) == (0, 0)


def test_what_a_counter_tells_of_a_gap_stands_beside_a_gauge_of_a_part_of_it() -> None:
    """The counter is silent from 10:30 to 13:00 and tells 7.5 kWh of that; the gauge sees 0.7 h of each of those hours."""
    gap = GAUGE | SILENT | {"energy_estimated_kwh": 3.0, "gauge_energy_kwh": 2.1, "gauge_coverage": 0.7}
    half = gap | {"energy_kwh": 1.5, "energy_estimated_kwh": 1.5, "coverage": 0.5}
    rows, _ = judged({10: half, 11: gap, 12: gap})
    found = rows.filter(pl.col("hour").dt.hour().is_between(10, 12))
    assert found["energy_kwh"].to_list() == pytest.approx([2.1] * 3)
    assert found["energy_estimated_kwh"].to_list() == pytest.approx([0.9] * 3)
    assert found["coverage"].to_list() == pytest.approx([0.7] * 3)


def test_a_load_and_a_coarse_counter_are_no_jumps() -> None:
    """From 3 to 30 kW at noon; and a counter of 10 kWh, which rises each five hours."""
    rows, wrong = judged({h: {"energy_kwh": 30.0, "step": 0.5} for h in range(12, 24)})
    assert (rows["energy_kwh"].sum(), wrong.height) == (36 + 360, 0)
    tick = {h: {"energy_kwh": 10.0, "energy_estimated_kwh": 0.0} for h in range(2, 24, 5)}
    rows, wrong = judged(tick, energy_kwh=0.0)
    assert (rows["energy_kwh"].sum(), wrong.height) == (50, 0)
