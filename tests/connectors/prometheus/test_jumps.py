"""Energy counters of meters that jump, in hours of 3 kW: what of them is still known. Figures by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest

from connectors.prometheus.jumps import without_jumps
from connectors.prometheus.power import QUARTERS, THING

START = datetime.fromisoformat("2026-09-01")
NO_QUARTER = dict.fromkeys(QUARTERS)
SILENT: dict[str, Any] = {"energy_kwh": 0.0, "coverage": 0.0} | NO_QUARTER


def judged(odd: Mapping[int, Mapping[str, Any]], kw: float = 3.0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A day of a meter whose odd hours differ."""
    usual = {"device": "d", "meter": "m", "energy_kwh": kw, "energy_estimated_kwh": 0.0, "coverage": 1.0}
    rows = [
        usual | dict.fromkeys(QUARTERS, kw) | {"hour": START + timedelta(hours=h)} | dict(odd.get(h, {}))
        for h in range(24)
    ]
    return without_jumps(pl.DataFrame(rows, infer_schema_length=None), THING, QUARTERS)


def test_an_hour_keeps_the_quarters_that_do_not_jump() -> None:
    """15 kWh more at 12:40: of that hour three quarters of 0.75 kWh are known."""
    rows, wrong = judged({12: {"energy_kwh": 18.0, "kw_q3": 63.0}})
    (hour,) = rows.filter(pl.col("coverage") < 1).iter_rows(named=True)
    assert hour["hour"] == START + timedelta(hours=12)
    assert (hour["energy_kwh"], hour["coverage"]) == pytest.approx((2.25, 0.75))
    assert [hour[q] for q in QUARTERS] == [3.0, 3.0, None, 3.0]
    assert rows["energy_kwh"].sum() == pytest.approx(23 * 3 + 2.25)
    assert wrong["kwh"].to_list() == [15.75]


def test_an_hour_without_quarters_is_left_out() -> None:
    rows, wrong = judged(dict.fromkeys(range(24), NO_QUARTER) | {5: NO_QUARTER | {"energy_kwh": 45.0}})
    assert (rows.height, rows["energy_kwh"].sum()) == (23, 69.0)
    assert wrong["kwh"].to_list() == [45.0]


@pytest.mark.parametrize(("kwh", "estimated"), [(70.0, 0.0), (3.0, 9.0)])
def test_hours_of_a_gap_are_judged_together(kwh: float, estimated: float) -> None:
    """Silent from 10:00 to 13:00: another meter shows 210 kWh more, or the same meter 9, which the load explains."""
    rows, wrong = judged(dict.fromkeys((10, 11, 12), SILENT | {"energy_estimated_kwh": kwh}))
    assert rows["energy_kwh"].sum() == pytest.approx(63)
    assert rows["energy_estimated_kwh"].sum() == estimated
    assert wrong["kwh"].to_list() == ([] if estimated else [210.0])


def test_a_load_and_a_coarse_counter_are_no_jumps() -> None:
    """From 3 to 30 kW at noon; and a counter of 10 kWh, which rises each five hours."""
    busy = dict.fromkeys(QUARTERS, 30.0) | {"energy_kwh": 30.0}
    rows, wrong = judged(dict.fromkeys(range(12, 24), busy))
    assert (rows["energy_kwh"].sum(), wrong.height) == (36 + 360, 0)
    idle = dict.fromkeys(QUARTERS, 0.0) | {"energy_kwh": 0.0}
    tick = {h: idle | ({"energy_kwh": 10.0, "kw_q2": 40.0} if h % 5 == 2 else {}) for h in range(24)}
    rows, wrong = judged(tick)
    assert (rows["energy_kwh"].sum(), wrong.height) == (50, 0)
