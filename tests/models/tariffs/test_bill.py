"""Bills worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from models.tariffs.bill import Load, demand, in_intervals
from models.tariffs.schedule import steps
from models.tariffs.settings import Tariff
from tests.models.tariffs.whole import energy_cost, month_cost

GMT = ZoneInfo("UTC")
QUARTER = Decimal("0.25")


def tariff(value: Any) -> Tariff:
    return Tariff.model_validate(value)


def load(start: str, *kw: int | str) -> Load:
    at = datetime.fromisoformat(start)
    return [(at + i * timedelta(minutes=15), Decimal(value)) for i, value in enumerate(kw)]


@pytest.mark.parametrize("short", ["0.12", 0.12, [{"price": "0.12"}], {"energy": "0.12"}])
def test_short_forms_are_a_flat_price(short: Any) -> None:
    assert energy_cost(load("2026-09-01", 4, 8), QUARTER, tariff(short), GMT) == Decimal("0.36")  # 3 kWh


def test_tiers_split_the_interval_that_crosses_them() -> None:
    # 1 kWh, then 3 kWh: 1 + 1 in the first tier, 2 above 2 kWh.
    tiered = tariff([{"price": "0.10"}, {"price": "0.04", "above_kwh": 2}])
    assert energy_cost(load("2026-09-01", 4, 12), QUARTER, tiered, GMT) == Decimal("0.28")


def test_an_interval_wider_than_a_tier() -> None:
    # 5 kWh at once: 1 x 0.10 + 1 x 0.20 + 3 x 0.30.
    tiered = tariff([{"price": "0.10"}, {"price": "0.20", "above_kwh": 1}, {"price": "0.30", "above_kwh": 2}])
    assert energy_cost(load("2026-09-01", 20), QUARTER, tiered, GMT) == Decimal("1.20")


def test_a_holiday_is_a_sunday_unless_a_window_says_otherwise() -> None:
    # Friday 25 December 2026.
    noon = datetime.fromisoformat("2026-12-25T12:00")
    weekend = [{"price": "0.05", "weekdays": [5, 6]}, {"price": "0.20"}]
    assert steps(noon, tariff({"energy": weekend}), GMT)[0][1] == Decimal("0.20")
    assert steps(noon, tariff({"energy": weekend, "holidays": ["2026-12-25"]}), GMT)[0][1] == Decimal("0.05")
    own = [
        {"price": "0.01", "holidays": True},
        {"price": "0.07", "weekdays": [6], "holidays": False},
        {"price": "0.20"},
    ]
    known = tariff({"energy": own, "holidays": ["2026-12-25"]})
    assert steps(noon, known, GMT)[0][1] == Decimal("0.01")
    assert steps(noon + timedelta(days=2), known, GMT)[0][1] == Decimal("0.07")  # Sunday the 27th


def test_half_hour_zone_and_half_hour_window() -> None:
    # India is UTC+5:30: 12:45 UTC is 18:15 there, 13:00 is 18:30.
    evening = tariff([{"price": "0.30", "start": "18:30", "end": "22:00"}, {"price": "0.10"}])
    prices = [
        steps(datetime.fromisoformat(f"2026-09-01T{t}"), evening, ZoneInfo("Asia/Kolkata"))[0][1]
        for t in ("12:45", "13:00")
    ]
    assert prices == [Decimal("0.10"), Decimal("0.30")]


@pytest.mark.parametrize(("day", "night_hours"), [("2026-03-29", 1), ("2026-10-25", 3), ("2026-10-26", 2)])
def test_the_hour_that_daylight_saving_takes_or_repeats(day: str, night_hours: int) -> None:
    # 02:00 to 04:00 in Athens is 1 hour long on 29 March (03:00 does not exist), 3 on 25 October (03:00 twice).
    zone = ZoneInfo("Europe/Athens")
    night = tariff([{"price": 1, "start": "02:00", "end": "04:00"}, {"price": 0}])
    start = datetime.fromisoformat(day).replace(tzinfo=zone).astimezone(UTC).replace(tzinfo=None)
    one_kw = [(start + i * timedelta(minutes=15), Decimal(1)) for i in range(23 * 4)]
    assert energy_cost(one_kw, QUARTER, night, zone) == night_hours


PEAK = {
    "name": "peak",
    "price": 10,
    "when": [{"start": "12:00", "end": "13:00"}, {"start": "18:00", "end": "19:00"}],
}


def test_demand_is_the_greatest_quarter_of_any_window() -> None:
    day = [5] * 96
    day[12 * 4 + 1], day[18 * 4 + 3], day[3] = 20, 30, 99  # 12:15, 18:45; 00:45 is in no window
    billed = tariff({"energy": 0, "demand": [PEAK]})
    line = demand(load("2026-09-01", *day), billed.demand[0], billed, GMT)
    assert (line.peak_kw, line.peak_at) == (30, datetime.fromisoformat("2026-09-01T18:45"))
    assert line.cost == 300


@pytest.mark.parametrize(
    ("minutes", "peak", "at"), [(15, 90, "06:45"), (30, "60.5", "07:15"), (60, "50.25", "07:15")]
)
def test_demand_of_longer_intervals_of_the_local_clock(minutes: int, peak: int | str, at: str) -> None:
    # Nepal is UTC+5:45, so its full hours are at quarter past: 06:15 to 07:15 holds 10, 20, 90, lacks one at 07:00;
    # 07:15 to 08:15 holds 70, 51 | 40, 40: 60.5 and 40, 50.25.
    early, late = load("2026-09-01T06:15", 10, 20, 90), load("2026-09-01T07:15", 70, 51, 40, 40)
    billed = tariff({"energy": 0, "demand": [{"name": "any", "price": 1, "interval_minutes": minutes}]})
    zone, charge = ZoneInfo("Asia/Kathmandu"), billed.demand[0]
    line = demand(in_intervals([*early, *late], charge.interval_minutes, zone), charge, billed, zone)
    assert (line.peak_kw, line.peak_at) == (Decimal(peak), datetime.fromisoformat(f"2026-09-01T{at}"))


def test_ratchet_holds_the_last_eleven_months() -> None:
    billed = tariff({"energy": 0, "demand": [{"name": "any", "price": 10, "ratchet": 0.8}]})
    month, charge = load("2026-09-01", 50, 40), billed.demand[0]
    # 0.8 x 100 = 80 > 50; with the 100 twelve months back, 0.8 x 60 = 48 < 50.
    assert demand(month, charge, billed, GMT, [Decimal(100)] + [Decimal(60)] * 10).cost == 800
    assert demand(month, charge, billed, GMT, [Decimal(100)] + [Decimal(60)] * 11).cost == 500


def test_demand_by_day_adds_the_days() -> None:
    billed = tariff({"energy": 0, "demand": [{"name": "any", "price": 2, "assessed": "day"}]})
    line = demand([*load("2026-09-01", 10, 20), *load("2026-09-02", 7)], billed.demand[0], billed, GMT)
    assert (line.billed_kw, line.cost) == (27, 54)


def test_demand_of_windows_without_a_known_interval_is_unknown() -> None:
    billed = tariff({"energy": 0, "demand": [PEAK]})
    line = demand(load("2026-09-01", 10), billed.demand[0], billed, GMT)
    assert (line.peak_kw, line.billed_kw, line.cost) == (None, None, None)


def test_the_whole_bill() -> None:
    # 2 quarters: (8 + 16) / 4 = 6 kWh x 0.10 + 16 kW x 3 + 25.
    billed = tariff({"energy": "0.10", "demand": [{"name": "any", "price": 3}], "customer_month": 25})
    assert month_cost(load("2026-09-01", 8, 16), QUARTER, billed, GMT) == Decimal("73.6")


def test_demand_by_kva_is_that_by_kw_over_the_power_factor() -> None:
    # 18 kW at 0.9 are 20 kVA, x 3 = 60; the ratchet holds kW: 0.5 x 45 = 22.5 kW, 25 kVA, 75.
    by_kva = {"name": "any", "price": 3, "unit": "kVA", "ratchet": 0.5}
    billed = tariff({"energy": 0, "demand": [by_kva, {"name": "kW", "price": 3}], "power_factor": "0.9"})
    september = load("2026-09-01", 18, 9)
    assert demand(september, billed.demand[0], billed, GMT).cost == 60
    assert demand(september, billed.demand[0], billed, GMT, [Decimal(45)]).cost == 75
    assert demand(september, billed.demand[1], billed, GMT).cost == 54


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"energy": 1, "demand": [PEAK, PEAK]}, "peak are there twice"),
        ({"energy": 1, "demand": [PEAK | {"assessed": "day", "ratchet": 0.5}]}, "a ratchet compares months"),
        (
            {"energy": 1, "demand": [PEAK | {"unit": "kVA"}]},
            r"demand charges by kVA \(peak\) need `power_factor`",
        ),
        ({"energy": 1, "power_factor": 95}, "less than or equal to 1"),
        ({"energy": 1, "power_factor": 0}, "greater than 0"),
        ({"energy": 1, "minimum_month": -1}, "greater than or equal to 0"),
        ({"energy": []}, "must have a price of a kWh"),
        (
            {"energy": [{"price": 1}, {"price": 2, "start": "23:00", "end": "07:00"}]},
            r"place 2 \(price 2\) is never reached",
        ),
        (
            {
                "energy": [
                    {"price": 1, "weekdays": [5, 6]},
                    {"price": 2, "weekdays": [6], "start": "23:00"},
                    {"price": 3},
                ]
            },
            "place 2",
        ),
        ({"energy": [{"price": 1}, {"price": 2, "weekdays": []}]}, "is empty, so that it would never hold"),
        ({"energy": 1, "demand": [PEAK | {"when": []}]}, "is empty, so that it would never hold"),
        (
            {"energy": 1, "demand": [PEAK | {"when": [{"months": []}]}]},
            "is empty, so that it would never hold",
        ),
        ({"energy": [{"price": 1, "end": "23:59"}, {"price": 2}]}, 'the end of a day is "00:00"'),
        ({"energy": 1, "demand": [PEAK | {"when": [{"start": "07:00:01"}]}]}, "must be a quarter of an hour"),
        ({"energy": 1, "fee": 3}, "Extra inputs"),
    ],
)
def test_wrong_tariffs_are_refused(wrong: Any, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        tariff(wrong)


def test_periods_that_share_times_are_reached() -> None:
    """None holds at all times of a later one: another tier, other months, working days, holidays, hours that only touch."""
    prices = [
        {"price": 5, "above_kwh": 10},
        {"price": 4, "holidays": True},
        {"price": 3, "months": [7], "start": "12:00", "end": "18:00"},
        {"price": 2, "weekdays": [0, 1, 2, 3, 4], "start": "12:00", "end": "18:00"},
        {"price": 1, "start": "12:00", "end": "19:00"},
        {"price": 0},
    ]
    assert [period.price for period in tariff({"energy": prices}).energy] == [5, 4, 3, 2, 1, 0]
