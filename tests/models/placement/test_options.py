"""What an option costs at a volume. Case numbers name the golden cases from which the facts were typed in."""

from decimal import Decimal

import pytest

from models.placement.options import Missing, Volumes, price, volumes
from models.placement.settings import Option, Workload

D = Decimal


def cost(option, volume=None, *, current=True, horizon=36):
    return price(Option(**option), volume or Volumes(), current=current, horizon=horizon)


def test_api_tokens():
    """G000-01: 50 M tokens a day at 2.50 per million are 3,750 in 30 days, not 125,000."""
    volume = Volumes(tokens_in_month=D(1_500_000_000), tokens_out_month=D(0))
    prices = {"tier": "api", "price_per_1m_tokens_in": D("2.50"), "price_per_1m_tokens_out": D(10)}
    assert cost(prices, volume).usage_month == 3750


def test_rented_gpu_hours():
    """G001-09: 500 GPU-hours at 4.09625 are 2,048.125."""
    assert cost(
        {"tier": "cloud", "price_per_gpu_hour": D("4.09625")}, Volumes(gpu_hours_month=D(500))
    ).usage_month == D("2048.125")


def test_always_on_cards_are_paid_for_730_hours_whatever_the_volume():
    option = {"tier": "cloud", "price_per_gpu_hour": D(2), "gpus": 3}
    assert cost(option, Volumes(gpu_hours_month=D(1))).usage_month == 4380  # 3 x 730 x 2


def test_power():
    """G001-29: 52 kW x 1.3 at 0.12 is 71,061.12 a year."""
    owned = {
        "tier": "onprem",
        "capex": 0,
        "opex_month": 0,
        "power_kw": 52,
        "pue": D("1.3"),
        "tariff_kwh": D("0.12"),
    }
    assert cost(owned).energy_month * 12 == D("71061.12")


def test_egress():
    """G001-14: 5 TB a month at 0.09 per GB are 450."""
    option = {"tier": "cloud", "monthly_fee": 0, "egress_per_gb": D("0.09")}
    assert cost(option, Volumes(egress_gb_month=D(5000))).egress_month == 450


def test_requests_and_fee_add_up():
    option = {"tier": "cloud", "price_per_1m_inferences": D(28), "monthly_fee": D(100)}
    assert cost(option, Volumes(inferences_month=D(2_500_000))).usage_month == 170  # 2.5 x 28 + 100


def test_migration_is_charged_to_a_move_only():
    option = {"tier": "cloud", "monthly_fee": D(1), "migration_cost": D(500)}
    assert cost(option, current=False).migration == 500
    assert cost(option, current=True).migration == 0


@pytest.mark.parametrize(
    ("option", "volume", "missing"),
    [
        (
            {"tier": "cloud", "price_per_gpu_hour": 1},
            Volumes(),
            ("gpu_hours_month or gpus", "migration_cost"),
        ),
        (
            {"tier": "api", "price_per_1m_tokens_in": 1, "price_per_1m_tokens_out": 1, "migration_cost": 0},
            Volumes(tokens_in_month=D(1)),
            ("tokens_out_month",),
        ),
        (
            {"tier": "api", "price_per_1m_inferences": 1, "migration_cost": 0},
            Volumes(),
            ("inferences_month",),
        ),
        ({"tier": "onprem", "capex": 5, "migration_cost": 0}, Volumes(), ("opex_month", "power_kw")),
        ({"tier": "edge"}, Volumes(), ("capex", "opex_month", "power_kw", "migration_cost")),
        (
            {"tier": "cloud", "monthly_fee": 1, "egress_per_gb": 1, "migration_cost": 0},
            Volumes(),
            ("egress_gb_month",),
        ),
        (
            {"tier": "cloud", "monthly_fee": 1, "migration_cost": 0},
            Volumes(egress_gb_month=D(1)),
            ("egress_per_gb",),
        ),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_guessed(option, volume, missing):
    assert cost(option, volume, current=False) == Missing(missing)


def test_a_rented_option_without_any_price_is_not_free():
    found = cost({"tier": "cloud"})
    assert isinstance(found, Missing)
    assert "price_per_gpu_hour" in found.keys[0]


def test_egress_without_a_volume_is_unknown_and_not_zero():
    assert cost({"tier": "cloud", "monthly_fee": 1}).egress_month is None


MEASURED = {
    "inferences_month": 100.0,
    "tokens_in_month": None,
    "tokens_out_month": 7.0,
    "gpu_hours_allocated_month": 2920.0000000004,
}


def workload(**declared):
    return Workload(options={"a": {"tier": "edge"}}, **declared)


def test_declared_volumes_come_before_measured_ones():
    found = volumes(workload(inferences_month=105, tokens_in_month=9, egress_gb_month=3), MEASURED)
    assert found == Volumes(D(105), D(9), D(7), D(2920), D(3))


def test_a_declared_volume_far_from_the_measured_one_is_remarked():
    assert volumes(workload(inferences_month=110), MEASURED).differ == ()
    assert volumes(workload(inferences_month=111), MEASURED).differ == ("inferences_month",)
    assert volumes(workload(inferences_month=111), None).differ == ()
