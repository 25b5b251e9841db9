from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.capital import annual_cost, recoverable, unrecovered
from models.ratecard import asset_days, write_offs
from models.register import Asset
from tests.models.test_ratecard import asset, days


def recovering(**changes: Any) -> Asset:
    """199,000 over three years at 10%, salvage 39,800 (case E2 of the placement maths)."""
    return asset(
        **(
            {"capex": 199_000, "salvage": 39_800, "life_months": 36, "depreciation": "capital_recovery"}
            | {"discount_rate": "0.1"}
            | changes
        )
    )


def test_annual_cost_by_hand() -> None:
    # CRF = 0.1 x 1.331 / 0.331 = 0.402114803625; EAC = 199000 x CRF - 39800 x (CRF - 0.1) = 67,996.676737
    got = annual_cost(Decimal(199_000), Decimal(39_800), Decimal("0.1"), Decimal(3))
    assert round(got, 6) == Decimal("67996.676737")
    # three payments discounted back are the price less the discounted salvage
    worth = sum(got / Decimal("1.1") ** year for year in (1, 2, 3)) + Decimal(39_800) / Decimal("1.331")
    assert abs(worth - 199_000) < Decimal("1e-18")


def test_months_of_a_life_sum_to_the_annual_costs() -> None:
    got = asset_days([recovering()], days(date(2026, 1, 1), date(2030, 1, 1)))
    assert got["depreciation"].sum() == Decimal("203990.030211480363")  # 3 x 67,996.676737160...
    # the first service month, 15 January to 14 February: 67,996.676737 / 12
    assert abs(got["depreciation"][:31].sum() - Decimal("5666.389728")) < Decimal("1e-6")


def test_parts_of_the_capex_are_recovered_apart_and_together() -> None:
    parts = {"capex_network": 240, "capex_cooling": 120, "capex_build_out": 60, "capex_installation": 12}
    got = asset_days([asset(salvage=600, **parts)], days(date(2026, 1, 15), date(2026, 2, 14)))
    # a twelfth of 3600 - 600, 240, 120, 60, 12
    names = ("hardware", "network", "cooling", "build_out", "installation", "depreciation")
    assert [got[n].sum() for n in names] == [250, 20, 10, 5, 1, 286]


def test_what_early_retirement_leaves_is_a_cost_of_its_day() -> None:
    # 3600 over 12 months, 7 of them (15 January to 14 August) are over: 5/12 = 1500 is left
    early = asset(retired="2026-08-15")
    window = days(date(2026, 1, 1), date(2027, 12, 31))
    got = write_offs([early], window)
    assert got.select("asset", "day", "cost", "currency").rows() == [
        ("a1", date(2026, 8, 15), Decimal(1500), "EUR")
    ]
    assert asset_days([early], window)["depreciation"].sum() == 2100
    assert write_offs([early], days(date(2026, 8, 16), date(2027, 1, 1))).height == 0
    assert write_offs([asset(retired="2027-01-15"), asset()], window).height == 0
    # retired on its first day: all of it, but for what salvage brings
    assert write_offs([asset(retired="2026-01-15", salvage=600)], window)["cost"].to_list() == [3000]


def test_what_capital_recovery_leaves_is_the_balance_of_the_loan() -> None:
    # after one year 199,000 x 1.1 - 67,996.676737 = 150,903.323263; without the salvage 111,103.323263
    left = unrecovered(recovering(), 1, 3)
    assert round(left, 6) == Decimal("111103.323263")
    assert unrecovered(recovering(), 0, 1) == 199_000 - 39_800
    assert unrecovered(recovering(), 1, 1) == 0


def test_capital_recovery_without_interest_is_the_straight_line() -> None:
    # (199,000 - 39,800) / 36 a month; a year's end leaves two thirds of 159,200
    item = recovering(discount_rate=0)
    assert recoverable(item)["hardware"] == 159_200
    assert unrecovered(item, 1, 3) == Decimal("106133.333333333333")
    first = asset_days([item], days(date(2026, 1, 15), date(2026, 2, 14)))["depreciation"].sum()
    assert first == Decimal("4422.222222222222")


@pytest.mark.parametrize(
    "wrong", [{"discount_rate": "0.1"}, {"depreciation": "capital_recovery"}, {"space_kw_month": 5}]
)
def test_half_given_terms_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"give both or none|give rated_kw too"):
        asset(**wrong)


@given(
    price=st.integers(0, 10**6),
    salvage=st.floats(0, 1),
    life=st.integers(1, 120),
    rate=st.sampled_from([None, "0.03", "0.25"]),
    done=st.integers(0, 120),
)
def test_nothing_is_negative_and_straight_line_loses_nothing(
    price: int, salvage: float, life: int, rate: str | None, done: int
) -> None:
    item = asset(
        capex=price,
        salvage=round(Decimal(price) * Decimal(salvage), 6),
        life_months=life,
        **({"depreciation": "capital_recovery", "discount_rate": rate} if rate else {}),
    )
    done = min(done, life)
    left = unrecovered(item, done, life)
    assert left >= 0
    assert all(amount >= 0 for amount in recoverable(item).values())
    if rate is None:
        assert left <= item.capex - item.salvage
