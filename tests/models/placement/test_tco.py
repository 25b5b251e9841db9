"""Total cost, breakeven and present value. Case numbers name golden cases; E1, E4 are worked examples."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.placement.tco import Cost, breakeven_month, npv, saving

D = Decimal


def rent(month, horizon=36):
    return Cost(horizon, usage_month=D(month))


def own(capex, opex, horizon=36, **more):
    return Cost(horizon, capex=D(capex), opex_month=D(opex), **more)


def test_three_years_of_a_server():
    """G001-06: 199,000 and 2,500 a month are 289,000 in three years."""
    assert own(199_000, 2_500).total == 289_000


@pytest.mark.parametrize(
    ("case", "stay", "capex", "opex", "month"),
    [
        ("G001-24, E1: 800,000 / 85,000 = 9.41", 100_000, 800_000, 15_000, 10),
        ("G001-25: running costs exceed the cloud", 10_000, 800_000, 15_000, None),
        ("G001-26: nothing to buy", 100_000, 0, 27_500, 0),
        ("G001-28: at 60% use, 18.86", "57413.04", 800_000, 15_000, 19),
        ("G001-32 low: 11.38", 100_000, 966_900, 15_000, 12),
        ("G001-32 high: 18.44", 100_000, "1567600", 15_000, 19),
        ("G001-08: four runs a year of 40,962.50, 17.84", "13654.166666666667", 199_000, 2_500, 18),
        ("GX-01: 98.32 against 0.87 an hour, 11.72", "71773.6", 833_806, "635.1", 12),
        ("GX-02: 98.32 against 6.37 an hour, 3.73", "71773.6", "250141.8", "4650.1", 4),
        ("exactly on a month: 800 / 100", 115, 800, 15, 8),
        ("in the last month of the horizon", 115, 3600, 15, 36),
        ("one cent too late", 115, "3600.01", 15, None),
        ("equal running costs", 15, 800, 15, None),
        ("nothing to buy and nothing saved", 15, 0, 15, None),
    ],
)
def test_breakeven(case, stay, capex, opex, month):
    assert breakeven_month(rent(stay), own(capex, opex)) == month, case


@pytest.mark.parametrize("spend", [10_000, 50_000, 100_000])
def test_breakeven_does_not_depend_on_scale(spend):
    """Capex 8 x and opex 0.15 x the monthly spend break even in month 10 at any size (G001-27)."""
    assert breakeven_month(rent(spend), own(8 * spend, D("0.15") * spend)) == 10


def test_migration_counts_and_salvage_does_not():
    assert breakeven_month(rent(110), own(100, 10, migration=D(1))) == 2
    assert breakeven_month(rent(110), own(100, 10, salvage=D(100))) == 1


def test_saving_of_the_worked_example():
    """G001-24: 3,600,000 against 1,340,000."""
    stay, move = rent(100_000), own(800_000, 15_000)
    assert (stay.total, move.total, saving(stay, move)) == (3_600_000, 1_340_000, 2_260_000)


def test_present_value_of_the_worked_example():
    """E4: -800,000 + 85,000 x 31.186 (36 months at (1.10)^(1/12) - 1 = 0.7974%) = 1,850,849."""
    assert round(npv(rent(100_000), own(800_000, 15_000), D("0.10"))) == 1_850_849


def test_present_value_of_salvage_is_discounted_to_the_end():
    """A year at 21%: 121 in month 12 is worth 100 today."""
    stay, move = rent(0, 12), own(0, 0, 12, salvage=D(121))
    assert npv(stay, move, D("0.21")) == 100


def test_without_discount_the_present_value_is_the_saving_to_the_last_decimal():
    stay, move = rent("0.333333333333"), own("0.1", "0.2")
    assert npv(stay, move, D(0)) == saving(stay, move) == D("0.333333333333") * 36 - D("7.3")


amounts = st.decimals(0, 10**9, places=4)
costs = st.builds(
    Cost,
    horizon=st.just(24),
    usage_month=amounts,
    energy_month=amounts | st.none(),
    opex_month=amounts | st.none(),
    egress_month=amounts | st.none(),
    capex=amounts,
    salvage=amounts,
    migration=amounts,
)


@given(costs)
def test_the_parts_sum_to_the_total_exactly(cost):
    assert sum(part for part in cost.parts().values() if part is not None) == cost.total
    assert cost.month * 24 + cost.upfront - cost.salvage == cost.total


@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 9000))
def test_breakeven_is_the_first_month_found_by_counting(stay, opex, capex):
    """Month by month: the first m >= 0 with capex + m x opex <= m x stay, if anything is ever saved."""
    months = [m for m in range(37) if capex + m * opex <= m * stay]
    expected = months[0] if months and stay > opex else None
    assert breakeven_month(rent(stay), own(capex, opex)) == expected
