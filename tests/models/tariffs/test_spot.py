"""Prices of a market by the hour or its quarters, on top of what the grid asks for."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from models.config import Site
from models.energy import cost, day_prices, hour_prices
from models.tariffs.settings import Tariff
from tests.models.tariffs.whole import energy_cost

BERLIN = ZoneInfo("Europe/Berlin")


def spot(*prices: tuple[str, str]) -> list[dict[str, str]]:
    return [{"start": start, "price_mwh": price} for start, price in prices]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_hours_and_quarters_are_paid_on_top_of_the_grid() -> None:
    """10 kW from 10:00 to 12:00 UTC, grid 0.05: 2.5 kWh a quarter.

    The first hour is 80 a MWh: 10 x (0.05 + 0.08) = 1.30. The second is in quarters of 100, -60, -60 and 20:
    2.5 x (0.15 - 0.01 - 0.01 + 0.07) = 0.50.
    """
    prices = spot(
        ("2026-10-01T12:00+02:00", "80"),
        ("2026-10-01T11:00Z", "100"),
        ("2026-10-01T11:15Z", "-60"),
        ("2026-10-01T11:30Z", "-60"),
        ("2026-10-01T11:45Z", "20"),
    )
    tariff = Tariff.model_validate({"energy": "0.05", "spot": prices})
    load = [(at("2026-10-01T10:00") + timedelta(minutes=15 * n), Decimal(10)) for n in range(8)]
    assert energy_cost(load, Decimal("0.25"), tariff, BERLIN) == Decimal("1.80")
    site = Site.model_validate({"time_zone": "Europe/Berlin", "pue": 1.2, "tariff": tariff})
    hours = hour_prices([at("2026-10-01T10:00"), at("2026-10-01T11:00")], site)
    assert hours["price"].to_list() == [Decimal("0.13"), Decimal("0.05")]
    drawn = pl.DataFrame(
        {"hour": [at("2026-10-01T11:00")], "energy_kwh": [10.0], "energy_estimated_kwh": [0.0]},
        schema_overrides={"hour": pl.Datetime("us")},
    )
    assert cost(drawn, site)["energy_cost"].to_list() == [Decimal("0.60")]  # 10 kWh x PUE 1.2 x 0.05


def test_a_day_that_is_longer_is_the_mean_of_its_25_hours() -> None:
    """25 October 2026 in Berlin runs from 22:00 UTC to 23:00 UTC: 24 hours of 10 and one of 260 a MWh are 20 on average."""
    start = at("2026-10-24T22:00")
    prices = [(f"{start + timedelta(hours=n)}Z", "260" if n == 3 else "10") for n in range(25)]
    site = Site.model_validate({"time_zone": "Europe/Berlin", "tariff": {"spot": spot(*prices)}})
    assert day_prices([at("2026-10-25").date()], site)["price"].to_list() == [Decimal("0.02")]


def test_tiers_of_the_grid_stay_apart() -> None:
    """15 kWh in the hour: 10 at 0.03 + 0.02 and 5 at 0.01 + 0.02."""
    energy = [{"price": "0.03"}, {"price": "0.01", "above_kwh": 10}]
    prices = [{"start": "2026-10-01T10:00Z", "price_kwh": "0.02"}]
    tariff = Tariff.model_validate({"energy": energy, "spot": prices})
    assert energy_cost([(at("2026-10-01T10:00"), Decimal(15))], Decimal(1), tariff, BERLIN) == Decimal("0.65")


@pytest.mark.parametrize("missing", ["2026-10-01T09:45", "2026-10-01T11:00"])
def test_a_time_without_a_price_is_named(missing: str) -> None:
    tariff = Tariff.model_validate({"spot": spot(("2026-10-01T10:00Z", "80"))})
    assert tariff.spot_price(at("2026-10-01T10:45")) == Decimal("0.08")
    with pytest.raises(ValueError, match=f"no price for {at(missing)} UTC.*add those that lack"):
        tariff.spot_price(at(missing))


@pytest.mark.parametrize(
    ("prices", "says"),
    [
        (spot(("2026-10-01T10:00", "80")), "timezone"),
        (spot(("2026-10-01T10:05Z", "80")), "quarter of an hour"),
        (spot(("2026-10-01T10:00Z", "80"), ("2026-10-01T12:00+02:00", "90")), "two prices"),
        ([{"start": "2026-10-01T10:00Z"}], "either price_kwh or price_mwh"),
        ([{"start": "2026-10-01T10:00Z", "price_kwh": 1, "price_mwh": 1}], "either price_kwh or price_mwh"),
        (spot(("2026-10-01T10:00Z", "nan")), "finite"),
        (spot(("9999-12-31T23:45-05:00", "80")), "no time of a price"),
        (spot(("0001-01-01T00:00+02:00", "80")), "no time of a price"),
        ([], "spot has no price"),
        (None, "spot has no price"),
    ],
)
def test_prices_that_have_no_meaning_are_refused(prices: list[dict[str, str]], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Tariff.model_validate({"spot": prices})
