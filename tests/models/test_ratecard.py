from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.config import Site
from models.ratecard import SCHEMA, asset_days, currencies
from models.register import Asset, Staff


def asset(**changes: Any) -> Asset:
    return Asset.model_validate(
        {
            "asset": "a1",
            "site": "dc1",
            "node": "n1",
            "kind": "gpu_server",
            "units": 4,
            "capex": "3600",
            "currency": "EUR",
            "in_service": "2026-01-15",
            "life_months": 12,
        }
        | changes
    )


def days(first: date, last: date) -> dict[str, tuple[date, date]]:
    return {"dc1": (first, last)}


def test_a_service_month_carries_an_equal_part_by_its_own_days() -> None:
    # 3600 / 12 = 300 a service month; 15 Jan - 14 Feb has 31 days, 15 Feb - 14 Mar has 28
    got = asset_days([asset()], days(date(2026, 1, 14), date(2026, 3, 14)))
    assert got.schema == SCHEMA
    assert got["day"].to_list() == [date(2026, 1, 15) + timedelta(days=k) for k in range(59)]
    january, february = got["depreciation"][:31], got["depreciation"][31:]
    assert january.sum() == february.sum() == Decimal(300)
    assert february[0] == Decimal("10.714285714286")  # 300 / 28 = 10.7142857142857...
    assert all(abs(d - Decimal(300) / 31) < Decimal("1e-11") for d in january)


def test_nothing_is_depreciated_after_life_and_opex_goes_on() -> None:
    got = asset_days([asset(opex_month="30")], days(date(2027, 1, 13), date(2027, 1, 16)))
    assert [d > 0 for d in got["depreciation"]] == [True, True, False, False]
    assert all(abs(d - Decimal(30) / 31) < Decimal("1e-11") for d in got["opex"])


def test_no_rows_from_retired_on() -> None:
    got = asset_days([asset(retired="2026-02-01")], days(date(2026, 1, 30), date(2026, 2, 3)))
    assert got["day"].to_list() == [date(2026, 1, 30), date(2026, 1, 31)]


def test_a_calendar_month_of_opex_is_exact() -> None:
    got = asset_days(
        [asset(opex_month="100.01", in_service="2025-01-01")], days(date(2026, 2, 1), date(2026, 3, 31))
    )
    assert got["opex"][:28].sum() == got["opex"][28:].sum() == Decimal("100.01")
    assert got["opex"][0] == Decimal("3.571785714286")  # 100.01 / 28


def test_end_of_month_start_stays_on_the_month_end() -> None:
    # in service 31 Jan: months end on 27 Feb (28 days), 30 Mar (31 days)
    got = asset_days(
        [asset(in_service="2026-01-31", capex="600", life_months=2)],
        days(date(2026, 1, 1), date(2026, 4, 30)),
    )
    assert got["depreciation"][:28].sum() == got["depreciation"][28:59].sum() == Decimal(300)
    assert got["day"][28] == date(2026, 2, 28)


def test_days_asked_do_not_change_a_days_cost() -> None:
    whole = asset_days([asset()], days(date(2026, 1, 1), date(2026, 12, 31)))
    one = asset_days([asset()], days(date(2026, 6, 7), date(2026, 6, 7)))
    assert one["depreciation"][0] == whole.filter(whole["day"] == date(2026, 6, 7))["depreciation"][0]


def test_assets_of_other_sites_are_left_out() -> None:
    assert asset_days([asset()], {"dc2": (date(2026, 1, 1), date(2026, 3, 1))}).height == 0


def test_two_assets_of_one_node_on_one_day_are_refused() -> None:
    window = days(date(2026, 2, 1), date(2026, 2, 2))
    with pytest.raises(
        ValueError, match="'a1' and 'a2' are both gpu_server 'n1' of site 'dc1' on 2026-02-01"
    ):
        asset_days([asset(), asset(asset="a2")], window)
    replaced = [asset(retired="2026-02-02"), asset(asset="a2", in_service="2026-02-02")]
    assert asset_days(replaced, window)["asset"].to_list() == ["a1", "a2"]


def test_one_currency_a_site() -> None:
    site = Site.model_validate({"time_zone": "UTC", "tariff": "0.1"})
    priced = site.model_copy(update={"currency": "USD"})
    assert currencies([asset()], {"dc1": site}) == {"dc1": "EUR"}
    for found, assets in ((priced, [asset()]), (site, [asset(), asset(asset="a2", currency="USD")])):
        with pytest.raises(ValueError, match="in one currency"):
            currencies(assets, {"dc1": found})
    with pytest.raises(ValueError, match=r"'dc1' is not one of `sites` \(dc2\)"):
        currencies([asset()], {"dc2": site})


@given(
    capex=st.decimals(min_value=0, max_value=10**7, places=12),
    salvage=st.floats(min_value=0, max_value=1),
    start=st.dates(min_value=date(2023, 1, 1), max_value=date(2028, 12, 31)),
    life=st.integers(min_value=1, max_value=24),
)
def test_the_whole_life_sums_to_capex_less_salvage(
    capex: Decimal, salvage: float, start: date, life: int
) -> None:
    left = round(capex * Decimal(salvage), 12)
    item = asset(capex=capex, salvage=min(left, capex), in_service=start, life_months=life)
    got = asset_days([item], days(start, start + timedelta(days=32 * life)))
    assert sum(got["depreciation"].to_list()) == capex - item.salvage
    assert min(got["depreciation"].to_list()) >= 0


def test_running_costs_come_from_their_drivers() -> None:
    item = asset(
        in_service="2025-01-01",
        opex_month=30,
        maintenance_month=10,
        maintenance_year_share=0.1,
        space_month=5,
        rated_kw="6.5",
        space_kw_month=150,
        rack_units=8,
        space_rack_unit_month="2.5",
        software_month=7,
        software_unit_month=100,
    )
    got = asset_days([item], days(date(2026, 2, 1), date(2026, 2, 28)))
    # 10 + 3600 x 0.1 / 12 = 40; 5 + 6.5 x 150 + 8 x 2.5 = 1000; 7 + 4 GPUs x 100 = 407
    names = ("other_opex", "maintenance", "space", "software", "staff", "opex")
    assert [got[n].sum() for n in names] == [30, 40, 1000, 407, 0, 1477]


def staff(**changes: Any) -> Staff:
    return Staff.model_validate(
        {"name": "engineers", "cost_month": 3000, "currency": "EUR", "per": 2} | changes
    )


def test_staff_are_hired_in_whole_steps_and_shared_by_nodes() -> None:
    servers = [asset(asset=f"a{n}", node=f"n{n}", in_service="2026-01-01") for n in range(3)]
    camera = asset(asset="c", node="c", kind="edge_device", units=1, in_service="2026-01-01")
    june = days(date(2026, 6, 1), date(2026, 6, 1))
    got = asset_days([*servers, camera], june, [staff()])
    # three nodes need 2 engineers: 6000 / 30 days = 200 a day, a third each; cameras need none
    assert [f"{c:.12f}" for c in got["staff"]] == [
        "66.666666666668", "66.666666666666", "66.666666666666", "0.000000000000"
    ]  # fmt: skip
    assert got["staff"].sum() == 200
    # two nodes need 1: 100 a day
    assert asset_days(servers[:2], june, [staff()])["staff"].to_list() == [50, 50]


def test_staff_may_be_counted_and_shared_by_gpus_over_sites() -> None:
    here = asset(units=4, in_service="2026-01-01")
    there = asset(asset="a2", site="dc2", units=12, in_service="2026-01-01")
    people = [staff(per=8, of="gpus")]
    # 16 GPUs need 2 engineers: 200 a day; a quarter is here, also where the other site is not asked for
    assert asset_days([here, there], days(date(2026, 6, 1), date(2026, 6, 1)), people)["staff"].to_list() == [
        50
    ]
    here_only = [staff(per=8, of="gpus", sites=["dc1"])]
    assert asset_days([here, there], days(date(2026, 6, 1), date(2026, 6, 1)), here_only)[
        "staff"
    ].to_list() == [100]


def test_staff_follow_what_is_in_service() -> None:
    first = asset(in_service="2026-01-01", retired="2026-06-02")
    second = asset(asset="a2", node="n2", in_service="2026-06-02")
    got = asset_days([first, second], days(date(2026, 6, 1), date(2026, 6, 2)), [staff(per=1)])
    assert got.select("asset", "staff").rows() == [("a1", 100), ("a2", 100)]
