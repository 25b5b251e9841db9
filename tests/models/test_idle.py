"""A policy that switches idle machines off, played over hours whose figures are worked out by hand."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import gpu
from models.config import IdlePolicy, Ownership, Site
from models.idle import simulate
from models.register import Asset
from models.tables import IDLE_POLICY
from tests.models.owned import DAY, DAYS, SITES, free, gap, gpu_hourly, hour, server

POLICY = IdlePolicy()
"""Off after 15 minutes, on again 10 minutes before the end, at least 30 minutes."""

RENTED = {"dc1": Site.model_validate({"time_zone": "UTC", "tariff": "0", "rented": True, "rented_gpu_hour": "2.40"})}  # fmt: skip


def played(
    *rows: dict[str, Any], assets: tuple[Asset, ...] = (server(),), sites: dict[str, Site] = SITES,
    policy: IdlePolicy = POLICY, days: dict[str, tuple[date, date]] = DAYS, as_of: date | None = None,
) -> pl.DataFrame:  # fmt: skip
    hourly = gpu_hourly(*rows)
    parts = gpu.daily_parts(hourly, assets, sites, days)
    got = simulate(
        hourly, parts, assets, sites, days, as_of=as_of or max(last for _, last in days.values()), ownership=Ownership(),
        policy=policy, currency="USD",
    )  # fmt: skip
    assert got.schema == IDLE_POLICY.schema
    return got


def day(idle: set[int], **changes: Any) -> list[dict[str, Any]]:
    """24 hours of a card: held and unused in those of `idle` (0.2 kWh), else half used."""
    return [hour(h, **({"used_hours": 0.0, "energy_kwh": 0.2} if h in idle else {}), **changes) for h in range(24)]  # fmt: skip


def test_a_run_of_idle_hours_less_wait_and_restart() -> None:
    """Hours 2 to 5 idle: 4 h - 15 min - 10 min = 3:35 off. Energy: 0.2 x 215/60 kWh = 0.716667, x 1.5 x 0.10.

    Cost of all hours: (4 x 0.2 + 20 x 0.5) x 1.5 x 0.10 = 1.62. Fixed: 100 / 24 x 215/60 h = 14.930556.
    """
    row = played(*day({2, 3, 4, 5})).row(0, named=True)
    assert (row["team"], row["workload"], row["state"], row["tier"]) == (
        "vision",
        "ocr",
        "allocated",
        "onprem",
    )
    assert (row["gpu_hours"], row["gpu_hours_unused"]) == (24, 4 + 20 * 0.5)
    assert row["gpu_hours_off"] == pytest.approx(215 / 60)
    assert row["energy_saved_kwh"] == pytest.approx(0.716666667)
    assert (row["stops"], row["cost"]) == (1, Decimal("1.62"))
    assert round(row["saving"], 6) == Decimal("0.107500")
    assert round(row["fixed_cost_off"], 6) == Decimal("14.930556")
    assert (row["coverage"], row["resolution_minutes"], row["after_minutes"]) == (1, 60, 15)


@pytest.mark.parametrize(
    ("idle", "policy", "minutes", "stops"),
    [
        ({3}, {}, 60 - 25, 1),
        ({3}, {"min_off_minutes": 35}, 35, 1),
        ({3}, {"min_off_minutes": 36}, 0, 0),
        ({3, 7, 8}, {}, (60 - 25) + (120 - 25), 2),
        ({3}, {"after_minutes": 60, "restart_minutes": 0, "min_off_minutes": 0}, 0, 0),
        ({3, 4, 5}, {"after_minutes": 90}, 180 - 100, 1),
        ({3, 4}, {"after_minutes": 0, "restart_minutes": 90}, 30, 1),
        (set(), {}, 0, 0),
    ],
)
def test_wait_restart_and_least_time(
    idle: set[int], policy: dict[str, Any], minutes: float, stops: int
) -> None:
    row = played(*day(idle), policy=IdlePolicy(**policy)).row(0, named=True)
    assert (row["gpu_hours_off"], row["stops"]) == (pytest.approx(minutes / 60), stops)


def test_a_machine_is_idle_when_all_its_cards_are() -> None:
    """g1 (held, idle 2-5) and g2 (nobody's all day, 0.1 kWh an hour): off 3:35 each; g2's energy is the platform's."""
    cards = [*day({2, 3, 4, 5}), *(free(h, gpu="g2", energy_kwh=0.1) for h in range(24))]
    got = {r["state"]: r for r in played(*cards, assets=(server(units=2),)).iter_rows(named=True)}
    assert [got[s]["team"] for s in ("allocated", "unallocated")] == ["vision", "platform"]
    assert got["unallocated"]["gpu_hours_off"] == pytest.approx(215 / 60)
    assert round(got["unallocated"]["saving"], 6) == round(Decimal("0.15") * Decimal("0.1") * 215 / 60, 6)
    assert round(got["unallocated"]["fixed_cost_off"], 6) == round(Decimal(50) / 24 * 215 / 60, 6)
    busy = [*day(set()), *cards[24:]]
    assert played(*busy, assets=(server(units=2),))["gpu_hours_off"].sum() == 0


def test_a_registered_card_without_telemetry_is_not_idle() -> None:
    got = played(*day({2, 3, 4, 5}), assets=(server(units=2),))
    assert (got["gpu_hours_off"].sum(), got["coverage"].to_list()) == (0, [0.5])


def test_days_without_telemetry_are_not_known() -> None:
    """24 hours of a card that is registered on both days: half of 48 are known. Of a rented one, no more is asked."""
    two = {"dc1": (DAY, DAY + timedelta(days=1))}
    assert played(*day({2, 3}), days=two)["coverage"].to_list() == [0.5]
    left = server(retired=DAY + timedelta(days=1))
    assert played(*day({2, 3}), assets=(left,), days=two)["coverage"].to_list() == [1]
    assert played(*day({2, 3}), assets=(), sites=RENTED, days=two)["coverage"].to_list() == [1]


def test_estimated_energy_is_saved_too() -> None:
    """Of 0.2 kWh in each of 4 idle hours, 0.15 are estimated: 0.2 x 215/60 are saved all the same; cost as above."""
    rows = [r | ({"energy_kwh": 0.05, "energy_estimated_kwh": 0.15} if r["used_hours"] == 0 else {}) for r in day({2, 3, 4, 5})]  # fmt: skip
    row = played(*rows).row(0, named=True)
    assert row["energy_saved_kwh"] == pytest.approx(0.2 * 215 / 60)
    assert (round(row["saving"], 6), row["cost"]) == (Decimal("0.107500"), Decimal("1.62"))


def test_gaps_and_unknown_use_end_a_run() -> None:
    """Idle 2, 3; a gap at 4; idle 5; use unknown at 6: 95 + 35 minutes. Known are 22 of 24 hours."""
    rows = [r for r in day({2, 3, 5}) if r["hour"].hour not in {4, 6}]
    row = played(*rows, gap(4), hour(6, used_hours=None)).row(0, named=True)
    assert (row["gpu_hours_off"], row["stops"]) == (pytest.approx(130 / 60), 2)
    assert row["coverage"] == pytest.approx(22 / 24)


def test_use_beside_the_scheduler_keeps_a_machine_on() -> None:
    rows = [free(h, used_hours=0.5 if h == 3 else 0.01) for h in range(6)]
    row = played(*rows).row(0, named=True)
    assert (row["state"], row["stops"]) == ("unallocated", 2)
    assert row["gpu_hours_off"] == pytest.approx((180 - 25 + 120 - 25) / 60)


def test_unknown_energy_is_no_saving_of_nothing() -> None:
    rows = day({2, 3})
    rows[3]["energy_kwh"] = None
    row = played(*rows).row(0, named=True)
    assert (row["gpu_hours_off"], row["energy_saved_kwh"], row["saving"], row["cost"]) == (
        pytest.approx(95 / 60), None, None, None,
    )  # fmt: skip
    rows = day({2, 3})
    rows[9]["energy_kwh"] = None  # of a busy hour: what is saved is known
    row = played(*rows).row(0, named=True)
    assert (round(row["saving"], 9), row["cost"]) == (round(Decimal("0.03") * 95 / 60, 9), None)


def test_rented_machines_save_their_price() -> None:
    """Two cards, idle 2 to 5: 2 x 215/60 h x 2.40 = 17.20 of 2 x 24 x 2.40 = 115.20; no fixed cost is known."""
    cards = [*day({2, 3, 4, 5}), *day({2, 3, 4, 5}, gpu="g2")]
    row = played(*cards, assets=(), sites=RENTED).row(0, named=True)
    assert (row["tier"], row["currency"], row["fixed_cost_off"]) == ("cloud", "USD", None)
    assert (round(row["saving"], 9), row["cost"]) == (Decimal("17.20"), Decimal("115.20"))
    # one that is in the register too is one machine: 215/60 h x 0.2 kWh, x 2.40
    row = played(*day({2, 3, 4, 5}), sites=RENTED).row(0, named=True)
    assert row["energy_saved_kwh"] == pytest.approx(0.2 * 215 / 60)
    assert (round(row["saving"], 9), row["coverage"]) == (Decimal("8.60"), 1)
    unpriced = {"dc1": RENTED["dc1"].model_copy(update={"rented_gpu_hour": None})}
    row = played(*cards, assets=(), sites=unpriced).row(0, named=True)
    assert (row["saving"], row["gpu_hours_off"]) == (None, pytest.approx(430 / 60))


def test_slices_and_what_is_not_cut() -> None:
    """3g held and idle in 2-5, 2g free, 2/7 not cut: all of the card is off for 215 minutes."""
    held = day({2, 3, 4, 5}, mig_profile="3g.40gb", mig_id="1")
    spare = [free(h, mig_profile="2g.20gb", mig_id="2") for h in range(24)]
    got = played(*held, *spare)
    assert got["gpu_hours_off"].sum() == pytest.approx(215 / 60)
    assert got.filter(pl.col("state") == "allocated")["gpu_hours_off"].item() == pytest.approx(
        3 / 7 * 215 / 60
    )
    alien = [free(h, mig_profile="5g.50gb", mig_id="2") for h in range(24)]
    assert played(*held, *alien)["gpu_hours_off"].sum() == 0


def test_runs_cross_midnight_and_the_window_ends_after_30_days() -> None:
    """Idle from 22:00 to 2:00 of the next day is one run of 4 h; a day 30 days back is outside."""
    next_day = DAY + timedelta(days=1)
    rows = [
        *day({22, 23}),
        *(r | {"hour": r["hour"] + timedelta(days=1), "day": next_day} for r in day({0, 1})),
    ]
    row = played(*rows, days={"dc1": (DAY, next_day)}).row(0, named=True)
    assert (row["stops"], row["gpu_hours_off"]) == (1, pytest.approx(215 / 60))
    assert played(*rows, days={"dc1": (DAY, DAY + timedelta(days=30))})["gpu_hours"].to_list() == [24]
    assert played().is_empty()
    # of a run for an earlier day: 22 and 23 h of that day alone; of one for a day long after: nothing
    row = played(*rows, days={"dc1": (DAY, next_day)}, as_of=DAY).row(0, named=True)
    assert (row["gpu_hours"], row["stops"], row["gpu_hours_off"]) == (24, 1, pytest.approx(95 / 60))
    late = DAY + timedelta(days=31)
    assert played(*rows, days={"dc1": (DAY, next_day)}, as_of=late).is_empty()
    assert played(*rows, days={"dc1": (DAY, next_day)}, as_of=late - timedelta(days=1))["gpu_hours"].to_list() == [24]  # fmt: skip


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.005, 0.5]), st.floats(0, 2)), min_size=24, max_size=24),
    st.floats(0, 200), st.floats(0, 100), st.floats(0, 100),
)  # fmt: skip
def test_no_policy_saves_more_than_what_is_unused_and_paid(
    pattern: list[tuple[bool, float, float]], after: float, restart: float, least: float
) -> None:
    rows = [(hour if held else free)(h, used_hours=u, energy_kwh=e) for h, (held, u, e) in enumerate(pattern)]
    policy = IdlePolicy(after_minutes=after, restart_minutes=restart, min_off_minutes=least)
    for sites, assets in ((SITES, (server(),)), (RENTED, ())):
        for row in played(*rows, policy=policy, sites=sites, assets=assets).iter_rows(named=True):
            assert 0 <= row["saving"] <= row["cost"]
            assert row["gpu_hours_off"] <= row["gpu_hours_unused"] + 0.01 * row["gpu_hours"] + 1e-9
            assert row["gpu_hours_off"] <= row["gpu_hours"]
