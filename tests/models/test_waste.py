from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from math import isclose
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from models import gpu
from models.config import Ownership, Site
from models.tables import CHARGEBACK_DAILY, WASTE, WASTE_HOURLY
from models.waste import by_hour_of_week, ranked
from tests.models.owned import DAY, DAYS, SITES, free, gpu_hourly, hour, server
from tests.models.test_unit_cost import charge


def charges(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=CHARGEBACK_DAILY.schema)


def cards(*rows: dict[str, Any], **asset: Any) -> pl.DataFrame:
    return gpu.daily(gpu_hourly(*rows), [server(**asset)], SITES, Ownership(), DAYS)


def test_cards_and_unused_commitments_by_money() -> None:
    """A node of 100 a day: g1 held 24 h at half use, g2 free: 50 each; 25 of g1 idle. A commitment of 30 unused."""
    day = cards(
        *(hour(h, energy_kwh=0.0) for h in range(24)),
        *(free(h, gpu="g2", energy_kwh=0.0) for h in range(24)),
        units=2,
    )
    unused = [charge("30", cost_kind="idle", service_name="EC2", sub_account="42"), charge("70")]
    got = ranked(day, charges(*unused, charge("25", tier="onprem", cost_kind="idle")), DAY)
    assert got.schema == WASTE.schema
    assert got.select("rank", "kind", "subject", "team", "hours", "share", "cost").rows() == [
        (1, "gpu_unallocated", "n1 · g2", "platform", 24.0, 1.0, Decimal(50)),
        (2, "reserved_unused", "EC2 · 42", "vision", None, None, Decimal(30)),
        (3, "gpu_idle", "n1 · g1", "vision", 12.0, 0.5, Decimal(25)),
    ]
    # the window has one day with charges: 30 days at this pace
    assert got["cost_month"].to_list() == [Decimal(1500), Decimal(900), Decimal(750)]
    assert all(got["advice"])


def test_window_and_currencies() -> None:
    rows = [
        charge("1", cost_kind="idle", day=DAY - timedelta(days=30)),
        charge("2", cost_kind="idle", day=DAY - timedelta(days=29)),
        charge("3", cost_kind="idle", currency="EUR"),
        charge("4", cost_kind="idle", day=DAY + timedelta(days=1)),
    ]
    got = ranked(cards().clear(), charges(*rows), DAY)
    assert got.select("currency", "rank", "cost").rows() == [("EUR", 1, Decimal(3)), ("USD", 1, Decimal(2))]
    assert ranked(cards().clear(), charges(), DAY).is_empty()


def test_hour_of_the_local_week() -> None:
    """1 September 2026 is a Tuesday. 20:00 UTC is 1:30 on Wednesday in Kolkata.

    g1 is held 2 h, half used, and free 22 h: 100 / 24 an hour. Idle: 1 h = 4.1667, spread over the two held hours;
    unallocated 22 h.
    """
    site = {"dc1": Site.model_validate({"time_zone": "Asia/Kolkata", "tariff": "0"})}
    hours = [hour(h, energy_kwh=0.0) if h in {10, 20} else free(h, energy_kwh=0.0) for h in range(24)]
    day = gpu.daily(gpu_hourly(*hours), [server()], SITES, Ownership(), DAYS)
    got = by_hour_of_week(gpu_hourly(*hours), day, site, DAY)
    assert got.schema == WASTE_HOURLY.schema
    held = got.filter(pl.col("gpu_hours_allocated") > 0)
    assert held.select("weekday", "hour", "gpu_hours_used").rows() == [(2, 15, 0.5), (3, 1, 0.5)]
    assert sum(held["cost_idle"].to_list()) == day["cost_idle"].sum()
    assert round(day["cost_idle"].sum(), 6) == Decimal("4.166667")
    assert got["cost_unallocated"].sum() == day["cost_unallocated"].sum()
    assert got.height == 24


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=24, max_size=24))
def test_hours_of_the_week_lose_no_cost(pattern: list[tuple[bool, float]]) -> None:
    hours = [hour(h, used_hours=u) if held else free(h) for h, (held, u) in enumerate(pattern)]
    day = gpu.daily(gpu_hourly(*hours), [server()], SITES, Ownership(), DAYS)
    got = by_hour_of_week(gpu_hourly(*hours), day, SITES, date(2026, 9, 7))
    for column in ("cost_idle", "cost_unallocated"):
        assert got[column].sum() == day[column].sum()
        assert got.filter(pl.col(column) < 0).is_empty()


def test_slices_count_by_their_part_of_the_card() -> None:
    """A card of 100 a day: 3g held at half use, 2g free, 2 of 7 slices that do not exist, all day.

    Each hour 1 GPU-hour: 3/7 held, 3/14 used. Idle: 100 x 3/14 = 21.43 a day; nobody's 100 x 4/7, evenly over 24 hours.
    """
    held = {"mig_profile": "3g.40gb", "mig_id": "1", "energy_kwh": 0.0}
    spare = {"mig_profile": "2g.20gb", "mig_id": "2", "energy_kwh": 0.0}
    hours = [*(hour(h, **held) for h in range(24)), *(free(h, **spare) for h in range(24))]
    day = gpu.daily(gpu_hourly(*hours), [server()], SITES, Ownership(), DAYS)
    got = by_hour_of_week(gpu_hourly(*hours), day, SITES, DAY)
    assert got.height == 24
    for row in got.iter_rows(named=True):
        assert isclose(row["gpu_hours_observed"], 1)
        assert isclose(row["gpu_hours_allocated"], 3 / 7)
        assert isclose(row["gpu_hours_used"], 3 / 14)
        assert round(row["cost_idle"], 6) == round(Decimal(100) * 3 / 14 / 24, 6)
        assert round(row["cost_unallocated"], 6) == round(Decimal(100) * 4 / 7 / 24, 6)


def test_what_a_contract_leaves_unused_is_reserved_and_unused() -> None:
    left = {"tier": "onprem", "cost_kind": "unallocated", "sub_account": "dc1"}
    rows = [
        charge("7", **left, service_name="Unused GPU commitment"),
        charge("9", **left, service_name="Owned GPU"),
    ]
    got = ranked(cards().clear(), charges(*rows), DAY)
    assert got.select("kind", "site", "subject", "cost").rows() == [
        ("reserved_unused", "dc1", "Unused GPU commitment · dc1", Decimal(7))
    ]
