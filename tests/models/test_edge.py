from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.config import Ownership
from models.edge import COSTS, daily_costs, unregistered
from models.register import Asset
from tests.models.owned import DAY, DAYS, SITES, device, edge_daily, report

RULES = Ownership()


def compute(
    *rows: dict[str, Any], assets: tuple[Asset, ...] = (device(),), rules: Ownership = RULES
) -> pl.DataFrame:
    return daily_costs(edge_daily(*rows), assets, SITES, rules, DAYS)


def test_a_device_day() -> None:
    got = compute(report(energy_estimated_kwh=0.1, device_model="Jetson"))
    # 30 / 30 days = 1; 0.2 kWh x 1.5 x 0.10 = 0.03; 0.1 kWh -> 0.015
    assert got.schema == COSTS
    assert got.select("team", "workload", "cost_kind", "device_model", "device_hours", "energy_kwh").row(
        0
    ) == (
        "vision",
        "defects",
        "direct",
        "Jetson",
        24.0,
        0.2,
    )
    costs = got.select("fixed_cost", "energy_cost", "energy_estimated_cost").row(0)
    assert costs == (Decimal(1), Decimal("0.03"), Decimal("0.015"))


def test_two_workloads_share_a_device_by_hours_online() -> None:
    got = compute(report(workload="a", online_hours=6.0), report(workload="b", online_hours=2.0))
    assert got.select("workload", "device_hours", "fixed_cost").rows() == [
        ("a", 18.0, Decimal("0.75")),
        ("b", 6.0, Decimal("0.25")),
    ]


def test_energy_that_is_not_reported_stays_unknown() -> None:
    got = compute(report(energy_kwh=None))
    assert got.select("energy_kwh", "energy_cost", "energy_estimated_cost", "fixed_cost").row(0) == (
        None,
        None,
        Decimal(0),
        Decimal(1),
    )


def test_a_silent_device_is_idle_cost_of_its_last_owner() -> None:
    before, later = DAY - timedelta(days=2), DAY + timedelta(days=1)
    got = compute(
        report(day=before, team="vision", workload="old", online_hours=1.0),
        report(day=before, team="audio", workload="main", online_hours=9.0),
        report(day=DAY - timedelta(days=1), team=None, workload=None),
        report(day=later, team="search"),
    )
    assert got.select(
        "day", "team", "workload", "cost_kind", "reported", "online_hours", "fixed_cost"
    ).rows() == [(DAY, "audio", "main", "idle", False, 0.0, Decimal(1))]
    assert got.select("energy_kwh", "energy_cost").row(0) == (None, None)


@pytest.mark.parametrize(
    ("rules", "team", "kind"),
    [(Ownership(accounts={"dc1": {"team": "Factory"}}), "Factory", "idle"), (RULES, None, "unallocated")],
)
def test_a_device_that_never_reported(rules: Ownership, team: str | None, kind: str) -> None:
    got = compute(report(device="cam-2"), rules=rules, assets=(device(), device(asset="cam-2", node="cam-2")))
    assert got.select("device", "team", "cost_kind").rows() == [
        ("cam-1", team, kind),
        ("cam-2", "vision", "direct"),
    ]


def test_devices_without_an_asset_are_named() -> None:
    stray = edge_daily(report(), report(device="cam-9"), report(device="cam-9", day=date(2026, 8, 1)))
    assert unregistered(stray, [device()], DAYS).rows() == [("dc1", "cam-9", DAY, DAY, 1)]
    assert compute(report(device="cam-9"))["device"].to_list() == ["cam-1"]


def test_no_devices() -> None:
    assert compute(assets=()).schema == COSTS


@given(
    rows=st.lists(
        st.builds(
            report,
            device=st.sampled_from(["cam-1", "cam-2"]),
            workload=st.sampled_from(["a", "b", None]),
            team=st.sampled_from(["vision", None]),
            day=st.sampled_from([DAY, DAY - timedelta(days=1)]),
            online_hours=st.floats(min_value=0, max_value=24),
        ),
        max_size=8,
    ),
    capex=st.decimals(min_value=0, max_value=10**5, places=12),
)
def test_fixed_cost_is_split_exactly(rows: list[dict[str, Any]], capex: Decimal) -> None:
    # one service month of 30 days; the first day is capex / 30, half up at 12 decimals
    got = compute(*rows, assets=(device(capex=capex), device(asset="cam-2", node="cam-2", capex=0)))
    assert got["fixed_cost"].sum() == round(capex / 30 + Decimal("1e-20"), 12)
    hours = got.group_by("device").agg(pl.col("device_hours").sum())["device_hours"].to_list()
    assert hours == pytest.approx([24.0, 24.0])
