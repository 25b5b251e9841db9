"""Rates of OpenEI, typed by hand: prices of every hour, bills worked out by hand, and what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from models.tariffs import urdb
from models.tariffs.bill import Load, demand
from models.tariffs.schedule import local_time, steps
from models.tariffs.settings import Tariff
from models.tariffs.urdb_fields import UnsupportedRateError, without
from tests.models.tariffs.whole import energy_cost, month_cost

DENVER = ZoneInfo("America/Denver")
HOUR = Decimal(1)

NIGHT, DAY, PEAK = 0, 1, 2
WINTER_DAY = [NIGHT] * 7 + [DAY] * 15 + [NIGHT] * 2
SUMMER_DAY = [NIGHT] * 7 + [DAY] * 7 + [PEAK] * 5 + [DAY] * 3 + [NIGHT] * 2

TIME_OF_USE: dict[str, Any] = {
    "label": "typed-by-hand",
    "utility": "Example Power",
    "name": "Large general service",
    "country": "USA",
    "servicetype": "Bundled",
    "startdate": 1767250800,  # 2026-01-01T07:00Z
    "energyratestructure": [
        [{"rate": Decimal("0.03"), "adj": Decimal("0.005"), "unit": "kWh"}],
        [{"rate": Decimal("0.08")}],
        [{"rate": Decimal("0.20"), "adj": Decimal("0.01")}],
    ],
    "energyweekdayschedule": [WINTER_DAY] * 5 + [SUMMER_DAY] * 4 + [WINTER_DAY] * 3,
    "energyweekendschedule": [[NIGHT] * 24] * 12,
    "fueladjustmentsmonthly": [0, 0, 0, 0, 0, Decimal("0.002"), Decimal("0.002"), 0, 0, 0, 0, 0],
    "demandrateunit": "kW",
    "demandratestructure": [[{"rate": 0}], [{"rate": 9, "adj": 1}]],
    "demandweekdayschedule": [[0] * 24] * 5 + [[0] * 14 + [1] * 5 + [0] * 5] * 4 + [[0] * 24] * 3,
    "demandweekendschedule": [[0] * 24] * 12,
    "flatdemandunit": "kW",
    "flatdemandstructure": [[{"rate": 4}], [{"rate": 6}]],
    "flatdemandmonths": [0] * 5 + [1] * 4 + [0] * 3,
    "demandwindow": 15,
    "fixedchargefirstmeter": Decimal("55.50"),
    "fixedchargeunits": "$/month",
    "mincharge": 0,
    "demandratchetpercentage": [0] * 12,
}

ONE_CHARGE: dict[str, Any] = {
    "demandratestructure": [],
    "flatdemandstructure": [[{"rate": 5}]],
    "flatdemandmonths": [0] * 12,
}
SUMMER_ONLY: dict[str, Any] = {
    "flatdemandstructure": [[{"rate": 0}], [{"rate": 5}]],
    "flatdemandmonths": [0] * 5 + [1] * 4 + [0] * 3,
}


def tariff(rate: Mapping[str, Any]) -> Tariff:
    return Tariff.model_validate(urdb.tariff(rate))


def reasons(**changes: Any) -> str:
    with pytest.raises(UnsupportedRateError) as refused:
        urdb.tariff(TIME_OF_USE | changes)
    return "\n".join(refused.value.problems)


def test_the_price_of_every_hour_of_a_year() -> None:
    """Looked up in the rate's own schedule: rate + adj + the month's fuel, by wall time, over both changes of clocks."""
    ours, at = tariff(TIME_OF_USE), datetime.fromisoformat("2026-01-01T07:00")
    for _ in range(8760):
        wall = local_time(at, DENVER)
        kind = "energyweekendschedule" if wall.weekday() >= 5 else "energyweekdayschedule"
        tier = TIME_OF_USE["energyratestructure"][TIME_OF_USE[kind][wall.month - 1][wall.hour]][0]
        price = tier["rate"] + tier.get("adj", 0) + TIME_OF_USE["fueladjustmentsmonthly"][wall.month - 1]
        assert steps(at, ours, DENVER) == ((0, price),), wall
        at += timedelta(hours=1)


def test_bills_of_a_summer_and_a_winter_month() -> None:
    """100 kW all of July 2026 (23 workdays, 8 of weekends), but 130 kW in one peak hour and 150 in one at night.

    Energy in kWh: peak 23 x 5 x 100 + 30 = 11,530; day 23 x 10 x 100 = 23,000; night 23 x 9 x 100 + 8 x 24 x 100 + 50 =
    39,950. At 0.212, 0.082 and 0.037: 2,444.36 + 1,886.00 + 1,478.15. Demand 130 x 10 + 150 x 6; fixed 55.50.
    """
    start = datetime.fromisoformat("2026-07-01T06:00")
    july: Load = [(start + timedelta(hours=n), Decimal(100)) for n in range(31 * 24)]
    july[15] = (july[15][0], Decimal(130))  # Wednesday 15:00
    july[3] = (july[3][0], Decimal(150))  # 03:00
    ours = tariff(TIME_OF_USE)
    assert month_cost(july, HOUR, ours, DENVER) == Decimal("8064.01")
    assert [(c.name, c.price, demand(july, c, ours, DENVER).billed_kw) for c in ours.demand] == [
        ("time-of-use demand 1", 10, 130),
        ("monthly demand 0", 4, None),
        ("monthly demand 1", 6, 150),
    ]
    # February 2026, 10 kW: 20 workdays x 15 h by day; 372 h by night; 10 kW x 4
    start = datetime.fromisoformat("2026-02-01T07:00")
    february = [(start + timedelta(hours=n), Decimal(10)) for n in range(28 * 24)]
    assert month_cost(february, HOUR, ours, DENVER) == Decimal("240.00") + Decimal("130.20") + 40 + Decimal(
        "55.50"
    )


def test_tiers_of_seasons() -> None:
    """Winter 0.10, above 500 kWh 0.08; summer 0.12, above 300 kWh 0.15, above 1,000 kWh 0.20."""
    seasons = {
        "energyratestructure": [
            [{"max": 500, "rate": Decimal("0.10")}, {"rate": Decimal("0.08")}],
            [
                {"max": 300, "rate": Decimal("0.12")},
                {"max": 1000, "rate": Decimal("0.15")},
                {"rate": Decimal("0.20")},
            ],
        ],
        "energyweekdayschedule": [[0] * 24] * 5 + [[1] * 24] * 4 + [[0] * 24] * 3,
        "energyweekendschedule": [[0] * 24] * 5 + [[1] * 24] * 4 + [[0] * 24] * 3,
    }
    ours = tariff(seasons)
    assert ours.tiers == (0, 300, 500, 1000)
    for month, cost in (("2026-02-10", "106.00"), ("2026-07-10", "181.00")):
        # 1,200 kWh: 500 x 0.10 + 700 x 0.08; 300 x 0.12 + 700 x 0.15 + 200 x 0.20
        load = [(datetime.fromisoformat(f"{month}T12:00"), Decimal(1200))]
        assert month_cost(load, HOUR, ours, DENVER) == Decimal(cost)


def test_it_holds_from_startdate_to_enddate() -> None:
    ours = tariff(TIME_OF_USE | {"enddate": 1798700400})  # 2026-12-31T07:00Z
    assert (ours.valid_from, ours.valid_to) == (date(2026, 1, 1), date(2026, 12, 31))
    assert steps(datetime.fromisoformat("2027-01-01T06:59"), ours, DENVER)
    for outside in ("2026-01-01T06:59", "2027-01-01T07:00"):
        with pytest.raises(ValueError, match="it holds from 2026-01-01 to 2026-12-31, not on 202"):
            steps(datetime.fromisoformat(outside), ours, DENVER)


@pytest.mark.parametrize(
    "ratchet",
    [
        {"demandratchetpercentage": [Decimal("0.8")] * 12},
        {"lookbackPercent": Decimal("0.8"), "lookbackRange": 11},
        {
            "lookbackPercent": Decimal("0.8"),
            "lookbackMonths": [True] * 12,
            "demandratchetpercentage": [Decimal("0.8")] * 12,
        },
    ],
)
def test_a_ratchet_on_the_eleven_months_before(ratchet: dict[str, Any]) -> None:
    """10 kW all February after a peak of 100 kW: 80 kW are billed, at 5; after one of 12 kW, 10 kW. Else as above."""
    ours = tariff(TIME_OF_USE | ONE_CHARGE | ratchet)
    start = datetime.fromisoformat("2026-02-01T07:00")
    february = [(start + timedelta(hours=n), Decimal(10)) for n in range(28 * 24)]
    rest = Decimal("240.00") + Decimal("130.20") + Decimal("55.50")
    for before, kw in (([100, 30], 80), ([100, *[30] * 11], 24), ([12], 10), ([], 10)):
        peaks = {"monthly demand 0": [Decimal(p) for p in before]}
        assert month_cost(february, HOUR, ours, DENVER, peaks) == rest + 5 * kw


@pytest.mark.parametrize(
    "least",
    [
        {"mincharge": Decimal("55.50")},
        {"mincharge": Decimal("1.79"), "minchargeunits": "$/day"},  # x 31 = 55.49
        {"mincharge": 666, "minchargeunits": "$/year"},  # 12 x 55.50
        {"annualmincharge": 666},
        {"minmonthlycharge": 50, "minchargeunits": "$/month"},
    ],
)
def test_a_minimum_bill_that_the_fixed_charge_reaches_changes_nothing(least: dict[str, Any]) -> None:
    assert tariff(TIME_OF_USE | least) == tariff(TIME_OF_USE)


def test_a_minimum_bill_of_a_month_is_what_the_month_costs_at_least() -> None:
    """February as above costs 240 + 130.20 + 40 + 55.50 = 465.70: of two minimum bills the greater one holds."""
    start = datetime.fromisoformat("2026-02-01T07:00")
    february = [(start + timedelta(hours=n), Decimal(10)) for n in range(28 * 24)]
    for least, bill in (
        ({"mincharge": Decimal("55.51")}, "465.70"),
        ({"minmonthlycharge": Decimal("465.71")}, "465.71"),
        ({"minmonthlycharge": 500, "mincharge": 600, "minchargeunits": "$/month"}, "600"),
    ):
        assert month_cost(february, HOUR, tariff(TIME_OF_USE | least), DENVER) == Decimal(bill)
    assert tariff(TIME_OF_USE | {"mincharge": Decimal("55.51")}).minimum_month == Decimal("55.51")


def test_a_fuel_adjustment_may_take_the_price_below_0_and_a_minimum_bill_then_holds() -> None:
    """0.035 - 0.05 at night in March; the fixed charge of 55.50 reaches 50 no more, as energy may lower the bill."""
    paid = TIME_OF_USE | {"fueladjustmentsmonthly": [0, 0, Decimal("-0.05"), *[0] * 9]}
    start = datetime.fromisoformat("2026-03-02T07:00")
    load = [(start + timedelta(hours=n), Decimal(100)) for n in range(7)]
    assert energy_cost(load, HOUR, tariff(paid), DENVER) == Decimal("-10.50")
    assert tariff(paid | {"minmonthlycharge": 50}).minimum_month == 50
    assert "annualmincharge (666 $/year)" in reasons(**paid, annualmincharge=666)


def test_demand_by_kva_needs_the_power_factor() -> None:
    """90 kW at 0.9 are 100 kVA, x 5; the unit may stand in either field."""
    load = [(datetime.fromisoformat("2026-02-01T07:00"), Decimal(90))]
    for unit in ({"flatdemandunit": "kVA"}, {"demandunits": "kVA", "flatdemandunit": ""}):
        read = urdb.tariff(TIME_OF_USE | ONE_CHARGE | unit)
        with pytest.raises(ValueError, match=r"by kVA \(monthly demand 0\) need `power_factor`"):
            Tariff.model_validate(read)
        ours = Tariff.model_validate(read | {"power_factor": "0.9"})
        assert demand(load, ours.demand[0], ours, DENVER).cost == 500


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"mincharge": 2, "minchargeunits": "$/day"},  # 62 in July
            "mincharge (2 $/day): above the fixed charge of 55.500000000000 a month only a minimum bill of a month",
        ),
        ({"mincharge": 667, "minchargeunits": "$/year"}, "mincharge (667 $/year)"),  # 55.58 a month
        ({"annualmincharge": 700}, "annualmincharge (700 $/year)"),
        ({"mincharge": 1, "minchargeunits": "$/kW"}, "minchargeunits ($/kW): allowed are $/month"),
        ({"fixedchargeunits": "$/day"}, "fixedchargeunits ($/day): only $/month"),
        ({"fixedchargeeaaddl": 5}, "fixedchargeeaaddl (5)"),
        (
            {"demandratchetpercentage": [Decimal("0.5")] * 12},
            "which of 3 demand charges it is of is not said",
        ),
        (ONE_CHARGE | {"demandratchetpercentage": [Decimal("0.5")] * 11 + [1]}, "only one share from 0 to 1"),
        (ONE_CHARGE | {"demandratchetpercentage": [80] * 12}, "only one share from 0 to 1"),
        (ONE_CHARGE | {"demandratchetpercentage": [Decimal("0.5")] * 3}, "only one share from 0 to 1"),
        (
            ONE_CHARGE
            | {"demandratchetpercentage": [Decimal("0.5")] * 12, "lookbackPercent": Decimal("0.6")},
            "only one share",
        ),
        (
            ONE_CHARGE | {"lookbackPercent": Decimal("0.8")},
            "lookbackpercent (0.8): only a look-back on the eleven",
        ),
        (
            ONE_CHARGE | {"lookbackPercent": Decimal("0.8"), "lookbackRange": 6},
            "lookbackrange (6): only a look-back",
        ),
        (
            ONE_CHARGE | {"lookbackPercent": Decimal("0.8"), "lookbackMonths": [0] * 6 + [1] * 6},
            "only a look-back on the",
        ),
        (
            ONE_CHARGE | {"lookbackPercent": Decimal("0.8"), "lookbackMonths": [1] * 12, "lookbackRange": 6},
            "only a look-back on the",
        ),
        (ONE_CHARGE | {"lookbackRange": 11}, "they have no lookbackPercent"),
        (
            ONE_CHARGE | SUMMER_ONLY | {"lookbackPercent": Decimal("0.8"), "lookbackRange": 11},
            "that holds in all months",
        ),
        ({"demandreactivepowercharge": Decimal("0.3")}, "reactive power"),
        ({"coincidentratestructure": [[{"rate": 5}]]}, "coincidentratestructure"),
        ({"demandwindow": 5}, "demandwindow (5): demand can be billed by 15, 30, 60 minutes"),
        (
            {"demandrateunit": "kVA", "demandunits": "kW"},
            "demandrateunit (kVA), demandunits (kW): only kW or kVA",
        ),
        ({"demandunits": "hp"}, "flatdemandunit (kW), demandunits (hp)"),
        ({"flatdemandunit": "kW daily"}, "flatdemandunit (kW daily)"),
        ({"servicetype": "Delivery"}, "servicetype (Delivery): the rate is a part of the bill"),
        ({"country": "CAN"}, "country (CAN)"),
        ({"usenetmetering": True}, "usenetmetering (True): energy that is fed in"),
        ({"energyattrs": [{"Rider": "$0.01"}]}, "energyattrs"),
        ({"realtimepricing": [1, 2]}, "realtimepricing ([1, 2]): this field is not known"),
        ({"demandratestructure": [[{"max": 5, "rate": 1}, {"rate": 2}], [{"rate": 3}]]}, "tiers of demand"),
        ({"flatdemandmonths": [0] * 11}, "flatdemandmonths"),
        ({"flatdemandmonths": [2] * 12}, "must name one of 2 periods"),
        ({"energyratestructure": []}, "energyratestructure: it is missing"),
        ({"energyratestructure": [[{"rate": 1}]]}, "energyweekdayschedule: must name one of 1 periods"),
        ({"energyweekendschedule": [[0] * 23] * 12}, "energyweekendschedule: must name one of 3 periods"),
        ({"fueladjustmentsmonthly": [1]}, "fueladjustmentsmonthly: it has 1 months"),
        ({"energyratestructure": [[{"rate": "dear"}], *[[{"rate": 1}]] * 2]}, "do not fit together"),
        ({"demandratestructure": [7, 8]}, "do not fit together"),
    ],
)
def test_what_cannot_be_said_is_refused(changes: dict[str, Any], words: str) -> None:
    assert words in reasons(**changes)


@pytest.mark.parametrize(
    ("tiers", "words"),
    [
        ([{"max": 5, "rate": 1, "unit": "kWh daily"}, {"rate": 2}], "unit (kWh daily)"),
        ([{"rate": 1, "sell": 1}], "sell (1)"),
        ([{"rate": 1, "rider": 1}], "rider is not known"),
        ([{"rate": 1, "max": 100}], "the last must not"),
        ([{"rate": 1}, {"rate": 2}], "must have `max`"),
        ([{"rate": 1, "max": 9}, {"rate": 1, "max": 9}, {"rate": 2}], "tiers must ascend"),
        (
            [{"rate": 1, "max": 9}, {"rate": 2}],
            "tiers beside other periods in months [1, 2, 3, 4, 5, 6, 7, 8, 9",
        ),
    ],
)
def test_tiers_that_cannot_be_said_are_refused(tiers: list[dict[str, Any]], words: str) -> None:
    assert words in reasons(energyratestructure=[tiers, *TIME_OF_USE["energyratestructure"][1:]])


def test_all_reasons_at_once() -> None:
    found = reasons(annualmincharge=1000, demandwindow=10, servicetype="Energy")
    assert all(name in found for name in ("annualmincharge", "demandwindow", "servicetype"))


def test_demand_by_half_hours() -> None:
    charges = tariff(TIME_OF_USE | {"demandwindow": 30}).demand
    assert len(charges) > 1
    assert {charge.interval_minutes for charge in charges} == {30}


def test_what_somebody_says_does_not_matter() -> None:
    fed_in = [[tier | {"sell": 1} for tier in period] for period in TIME_OF_USE["energyratestructure"]]
    rate = TIME_OF_USE | {"usenetmetering": True, "energyratestructure": fed_in}
    assert tariff(without(rate, ["usenetmetering", "sell"])) == tariff(TIME_OF_USE)
    assert tariff(without(TIME_OF_USE | {"mincharge": 99}, ["mincharge"])) == tariff(TIME_OF_USE)
    for wrong in ("energyratestructure", "mincharg"):
        with pytest.raises(UnsupportedRateError, match=f"names {wrong}"):
            without(rate, [wrong])


def test_one_rate_must_be_meant() -> None:
    two = {"items": [{"label": "a"}, {"label": "b"}]}
    assert urdb.pick(two, "b") == {"label": "b"}
    assert urdb.pick({"label": "c", "name": "alone"})["name"] == "alone"
    with pytest.raises(UnsupportedRateError, match=r"2 rates match label None; .* there are: a, b"):
        urdb.pick(two)
    with pytest.raises(UnsupportedRateError, match="there are: none"):
        urdb.pick("error")


REAL = os.environ.get("TIERWISE_REAL_DATA")


@pytest.mark.skipif(not REAL, reason="TIERWISE_REAL_DATA does not name a folder with real tariffs")
@pytest.mark.parametrize(
    ("name", "month", "zone", "bill"),
    [
        # 720 h of 1 kW at 0.1056 + 0.029681 + 1.95
        ("ann_arbor", "2014-09-01T04:00", "America/Detroit", Decimal("99.35232")),
        # 30 days of 4 h at 0.04934, 4 h at 0.08199, 16 h at 0.17539, + 2.90
        ("virginia", "2015-09-01T04:00", "America/New_York", Decimal("102.8468")),
    ],
)
def test_real_rates(name: str, month: str, zone: str, bill: Decimal) -> None:
    text = (Path(str(REAL)) / "telemetry" / "tariffs" / f"openei_urdb_{name}.json").read_text()
    ours = tariff(urdb.pick(json.loads(text, parse_float=Decimal)))
    start = datetime.fromisoformat(month)
    load = [(start + timedelta(hours=n), Decimal(1)) for n in range(720)]
    assert month_cost(load, HOUR, ours, ZoneInfo(zone)) == bill
