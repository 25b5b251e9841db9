from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from models.config import Site
from models.energy import cost, cost_by_site, day_prices, hour_prices, tier_prices, with_tiers
from models.local_days import day_hours, local_day

NIGHT = {"price": "0.08", "start": "23:00", "end": "07:00"}
DAY = {"price": "0.20"}


def site(tariff: Any, zone: str = "Europe/Athens", **other: Any) -> Site:
    return Site.model_validate({"time_zone": zone, "tariff": tariff} | other)


def at(utc: str) -> datetime:
    return datetime.fromisoformat(utc)


def price(tariff: Any, hour: datetime, zone: str = "Europe/Athens") -> Decimal:
    return hour_prices([hour], site(tariff, zone))["price"][0]


@pytest.mark.parametrize(
    ("hour", "expected"),
    [
        (at("2026-09-01T19"), "0.20"),  # 22:00 in Athens (UTC+3)
        (at("2026-09-01T20"), "0.08"),  # 23:00
        (at("2026-09-02T03"), "0.08"),  # 06:00
        (at("2026-09-02T04"), "0.20"),  # 07:00
        (at("2026-12-01T20"), "0.20"),  # 22:00 in winter (UTC+2)
        (at("2026-12-01T21"), "0.08"),  # 23:00
    ],
)
def test_night_period_crosses_midnight_in_local_time(hour: datetime, expected: str) -> None:
    assert price([NIGHT, DAY], hour) == Decimal(expected)


def test_first_match_wins_and_weekday_is_that_of_the_local_hour() -> None:
    weekend = {"price": "0.05", "weekdays": [5, 6]}
    # Saturday 2026-09-05 01:00 in Athens is Friday 22:00 UTC
    assert price([weekend, NIGHT, DAY], at("2026-09-04T22")) == Decimal("0.05")
    assert price([NIGHT, weekend, DAY], at("2026-09-04T22")) == Decimal("0.08")
    friday_night = {"price": "0.01", "start": "23:00", "end": "07:00", "weekdays": [4]}
    assert price([friday_night, DAY], at("2026-09-04T22")) == Decimal("0.20")


def test_months() -> None:
    summer = {"price": "0.30", "months": [6, 7, 8]}
    # 2026-08-31 21:00 UTC is already 1 September in Athens
    assert price([summer, DAY], at("2026-08-31T20")) == Decimal("0.30")
    assert price([summer, DAY], at("2026-08-31T21")) == Decimal("0.20")


def test_a_zone_off_by_half_an_hour_gets_the_mean() -> None:
    # 17:00 UTC is 22:30-23:30 in Kolkata: half at 0.20, half at 0.08 -> 0.14
    assert price([NIGHT, DAY], at("2026-09-01T17"), "Asia/Kolkata") == Decimal("0.14")


def test_half_an_hour_that_ends_a_day_has_its_own_price() -> None:
    # on 5 April 2026 Lord Howe goes back by half an hour: the day's 25th hour is 23:30 to 24:00, 13:00 to 13:30 UTC
    night = {"price": "0.08", "start": "00:00", "end": "06:00"}
    assert price([night, DAY], at("2026-04-05T13"), "Australia/Lord_Howe") == Decimal("0.20")
    assert price([night, DAY], at("2026-04-05T13:30"), "Australia/Lord_Howe") == Decimal("0.08")


def test_no_period_names_the_hour() -> None:
    with pytest.raises(
        ValueError, match=r"none of its 1 periods matches Tuesday 2026-09-01 10:00 \(Europe/Athens\)"
    ):
        hour_prices([at("2026-09-01T07")], site([NIGHT]))


def test_days_at_daylight_saving() -> None:
    athens = site("0.1")
    # clocks go forward on 2026-03-29 at 03:00 and back on 2026-10-25 at 04:00
    assert [day_hours(date(2026, m, d), athens) for m, d in ((3, 28), (3, 29), (10, 25))] == [24, 23, 25]
    assert local_day(date(2026, 3, 29), athens) == (at("2026-03-28T22"), at("2026-03-29T21"))


def test_day_price_is_the_mean_over_the_local_hours() -> None:
    # 8 night hours of 24: (8 x 0.08 + 16 x 0.20) / 24 = 0.16
    # 29 March has 23: 00-03, 04-07 and 23-24 are 7 night hours: (7 x 0.08 + 16 x 0.20) / 23 = 0.16347826...
    got = day_prices([date(2026, 3, 29), date(2026, 3, 28)], site([NIGHT, DAY]))
    assert got["price"].to_list() == [Decimal("0.16"), Decimal("0.163478260870")]


def test_cost_keeps_measured_and_estimated_apart() -> None:
    hours = [at("2026-09-01T19"), at("2026-09-01T20")]
    frame = pl.DataFrame({"hour": hours, "energy_kwh": [10.0, 2.0], "energy_estimated_kwh": [0.0, 1.0]})
    got = cost(frame, site([NIGHT, DAY], pue=1.25))
    # 10 x 1.25 x 0.20 = 2.5; 2 x 1.25 x 0.08 = 0.2; 1 x 1.25 x 0.08 = 0.1
    assert got["energy_cost"].to_list() == [Decimal("2.5"), Decimal("0.2")]
    assert got["energy_estimated_cost"].to_list() == [Decimal(0), Decimal("0.1")]
    assert got.columns == [*frame.columns, "energy_cost", "energy_estimated_cost"]


def test_unknown_energy_costs_unknown() -> None:
    frame = pl.DataFrame(
        {"day": [date(2026, 9, 1)], "energy_kwh": [None], "energy_estimated_kwh": [0.5]},
        schema_overrides={"energy_kwh": pl.Float64},
    )
    got = cost(frame, site("0.1"))
    assert got.select("energy_cost", "energy_estimated_cost").row(0) == (None, Decimal("0.05"))


def test_pue_of_the_local_month() -> None:
    # 21:30 UTC on 30 September is 1 October in Athens.
    athens = site("0.10", pue={"2026-09": 1.5, "2026-10": 1.2})
    hours = pl.DataFrame(
        {
            "hour": [at("2026-09-30T20"), at("2026-09-30T21"), at("2026-12-01T00")],
            "energy_kwh": [10.0] * 3,
            "energy_estimated_kwh": [0.0] * 3,
        }
    )
    assert cost(hours, athens)["energy_cost"].to_list() == [Decimal("1.5"), Decimal("1.2"), Decimal("1.2")]
    with pytest.raises(ValueError, match="no value for 2026-08, the first is for 2026-09"):
        athens.pue_of(date(2026, 8, 31))


def test_energy_of_a_facility_meter_takes_no_pue() -> None:
    hours = pl.DataFrame(
        {
            "hour": [at("2026-09-01T00")] * 2,
            "energy_kwh": [10.0] * 2,
            "energy_estimated_kwh": [0.0] * 2,
            "pue": [1.0, None],
        }
    )
    assert cost(hours, site("0.10", pue=1.5))["energy_cost"].to_list() == [1, Decimal("1.5")]


def test_price_of_an_hour_that_crosses_a_tier() -> None:
    # 6 kWh at 0.10, then 8 kWh: 4 at 0.10 and 4 at 0.20 = 1.20 / 8 = 0.15. October starts anew.
    tiered = site([{"price": "0.10"}, {"price": "0.20", "above_kwh": 10}], zone="UTC")
    used = pl.DataFrame(
        {
            "hour": [at(t) for t in ("2026-09-01T00", "2026-09-01T01", "2026-09-01T02", "2026-10-01T00")],
            "kwh": [6.0, 8.0, 0.0, 1.0],
        }
    )
    prices = tier_prices(used, tiered)
    assert prices["price"].to_list() == [Decimal("0.10"), Decimal("0.15"), Decimal("0.20"), Decimal("0.10")]
    measured = used.select("hour", energy_kwh="kwh", energy_estimated_kwh=pl.lit(0.0))
    assert cost(measured, tiered, prices)["energy_cost"].to_list()[:2] == [Decimal("0.6"), Decimal("1.2")]


@pytest.mark.parametrize("zone", ["Europe/Athens", "Asia/Kolkata", "Asia/Kathmandu"])
def test_hours_and_whole_days_share_the_tiers(zone: str) -> None:
    """A card draws 10 kWh an hour and a device 24 kWh a day: 264 kWh, 100 at 0.10 and 164 at 0.20 = 42.80."""
    tiered = site([{"price": "0.10"}, {"price": "0.20", "above_kwh": 100}], zone)
    day = date(2026, 9, 1)
    start, _ = local_day(day, tiered)
    hours = pl.DataFrame({"hour": [start + timedelta(hours=k) for k in range(24)]}).select(
        pl.lit("a").alias("site"), "hour", day=day, energy_kwh=10.0, energy_estimated_kwh=0.0
    )
    whole = pl.DataFrame({"site": ["a"], "day": [day], "energy_kwh": [24.0], "energy_estimated_kwh": [0.0]})
    card, device = with_tiers([hours, whole], {"a": tiered}, pl.lit(value=True))
    # Each hour 11 kWh: nine of them cost 0.10, the tenth 1 x 0.10 + 10 x 0.20; the device has 1 of 11.
    assert round(card["energy_cost"].sum(), 9) == Decimal("38.909090909")
    assert round(device["energy_cost"].sum(), 9) == Decimal("3.890909091")


def test_what_a_site_lacks_names_the_site() -> None:
    frame = pl.DataFrame(
        {"site": ["b"], "hour": [at("2026-09-01T07")], "energy_kwh": [1.0], "energy_estimated_kwh": [0.0]}
    )
    sites = {"a": site("0.1"), "b": site("0.1", pue={"2026-10": 1.2})}
    with pytest.raises(ValueError, match=r"^site 'b': pue: no value for 2026-09, the first is for 2026-10"):
        cost_by_site(frame, sites)
