"""Hours in which the supplier pays: what they earn goes to who drew the energy, and the parts are the whole."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from models import edge, gpu, owned_focus
from models.config import Site
from models.energy import paid_days
from models.tariffs.settings import Tariff
from tests.models.owned import DAYS, edge_daily, free, gpu_hourly, hour, server
from tests.models.tariffs.whole import energy_cost

NOON = {"energy": [{"price": "-0.04", "start": "12:00", "end": "14:00"}, {"price": "0.10"}]}


def test_a_bill_adds_what_is_paid_back() -> None:
    """10 kW from 11:30 to 14:30: 10 kWh at 0.10 less 20 kWh at 0.04 = 0.20."""
    start = datetime.fromisoformat("2026-09-01T11:30")
    load = [(start + timedelta(minutes=15 * n), Decimal(10)) for n in range(12)]
    assert energy_cost(load, Decimal("0.25"), Tariff.model_validate(NOON), ZoneInfo("UTC")) == Decimal("0.20")


def test_teams_and_platform_share_what_is_paid_back() -> None:
    """Half a kWh an hour, PUE 1.5: vision's 11:00 costs 0.075, its 12:00 earns 0.03, and so does nobody's 13:00."""
    sites = {"dc1": Site.model_validate({"time_zone": "UTC", "pue": 1.5, "tariff": NOON})}
    hours = gpu_hourly(hour(11), hour(12), free(13))
    parts = gpu.daily_parts(hours, [server(capex=0)], sites, DAYS)
    rows = owned_focus.rows(parts, edge.COSTS.to_frame(), sites)
    by_kind = {kind: part["BilledCost"].sum() for (kind,), part in rows.group_by("x_cost_kind")}
    assert by_kind["unallocated"] == Decimal("-0.03")
    assert sum(cost for kind, cost in by_kind.items() if kind != "unallocated") == Decimal("0.045")
    total = owned_focus.totals(hours, edge_daily(), [server(capex=0)], sites, DAYS)
    assert total["total"].sum() == Decimal("0.015")


def test_days_with_a_price_below_0_are_those_of_hours_that_cards_have() -> None:
    """Sundays are paid for from 12:00 to 14:00 in Denver, 19:00 to 21:00 UTC: not the Sunday whose only hour is before,
    nor Monday. In Kolkata 12:00 begins at 06:30 UTC: the second half of that hour counts."""
    sunday = {"energy": [{**NOON["energy"][0], "weekdays": [6]}, NOON["energy"][1]]}
    sites = {
        name: Site.model_validate({"time_zone": zone, "tariff": tariff})
        for name, zone, tariff in (
            ("den", "America/Denver", sunday), ("kol", "Asia/Kolkata", sunday), ("flat", "UTC", "0.10")
        )
    }  # fmt: skip
    at = datetime.fromisoformat
    rows = [
        ("den", at("2026-11-08T20:00")), ("den", at("2026-11-15T18:00")), ("den", at("2026-11-09T20:00")),
        ("kol", at("2026-11-08T06:00")), ("kol", at("2026-11-15T08:30")), ("flat", at("2026-11-08T12:00")),
    ]  # fmt: skip
    hours = pl.DataFrame(
        [(site, hour.date(), hour) for site, hour in rows], schema=["site", "day", "hour"], orient="row"
    )
    assert paid_days(hours, sites) == [("den", date(2026, 11, 8)), ("kol", date(2026, 11, 8))]


def test_prices_that_are_all_below_0_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="has no price of 0 or more"):
        Tariff.model_validate("-0.1")
