"""Demand and fixed charges, by hand and for any site."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import edge, gpu, owned_focus
from models.attribution import attribute
from models.config import Site
from models.site_charges import SiteCharges, site_charges
from tests.models.owned import DAY, DAYS, free, gpu_hourly, hour, server
from tests.models.test_attribution import meter, power

PEAK = {"name": "any time", "price": 10}


def site(**tariff: Any) -> dict[str, Site]:
    return {
        "dc1": Site.model_validate({"time_zone": "UTC", "pue": 1.5, "tariff": {"energy": "0.10"} | tariff})
    }


def quarters(start: int, *kw: float | None, **changes: Any) -> dict[str, Any]:
    """An hour of the meter with its four quarters."""
    known = [v for v in kw if v is not None]
    return meter(
        start, sum(known) / 4, **dict(zip(("kw_q1", "kw_q2", "kw_q3", "kw_q4"), kw, strict=True)), **changes
    )


def charged(
    hourly: pl.DataFrame, meters: pl.DataFrame, sites: dict[str, Site], *assets: Any, days: Any = DAYS
) -> SiteCharges:
    assets = assets or (server(units=2),)
    rows = attribute(hourly, meters, assets, sites, days).hourly
    parts = gpu.daily_parts(rows, assets, sites, days)
    return site_charges(rows, edge.COSTS.to_frame(), meters, assets, sites, days=days, gpu_parts=parts)


def shares(found: SiteCharges) -> dict[str | None, float]:
    return {
        team: float(cost) for team, cost in found.parts.group_by("team").agg(pl.col("cost").sum()).iter_rows()
    }


TWO_HOURS = [
    *(hour(h, gpu="g1", energy_kwh=0.6) for h in (0, 1)),
    hour(0, gpu="g2", team="search", energy_kwh=0.6),
    hour(1, gpu="g2", team="search", energy_kwh=0.2),
]


def test_the_peak_hour_carries_the_month() -> None:
    # Peak 2 kW at 01:15, x 1.5 PUE = 3 kW x 10 = 30. Energy of that hour 0.6 : 0.2 -> 22.50 and 7.50.
    meters = power(quarters(0, 1, 1, 1, 1.8), quarters(1, 1, 2, 1, 1))
    found = charged(gpu_hourly(*TWO_HOURS), meters, site(demand=[PEAK]))
    assert shares(found) == {"vision": 22.5, "search": 7.5}
    line = found.demand.row(0, named=True)
    assert (line["peak_kw"], line["peak_at"]) == (3, datetime.fromisoformat("2026-09-01T01:15"))
    assert (line["billed_kw"], line["cost"], line["provisional"]) == (3, 30, True)
    assert line["coverage"] == pytest.approx(8 / 96)
    assert found.parts["day"].unique().to_list() == [DAY]
    assert found.parts["quantity"].sum() == 3


@pytest.mark.parametrize(("zone", "minutes"), [("Asia/Kolkata", 30), ("Asia/Kathmandu", 15)])
def test_the_hour_of_the_peak_is_that_of_the_sites_clock(zone: str, minutes: int) -> None:
    """In India hours start at half past, in Nepal at quarter past: what was drawn in the peak's carries it, 0.6 : 0.2."""
    sites = {
        "dc1": Site.model_validate(
            {"time_zone": zone, "pue": 1.5, "tariff": {"energy": "0.10", "demand": [PEAK]}}
        )
    }

    def later(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [row | {"hour": row["hour"] + timedelta(minutes=minutes)} for row in rows]

    meters = power(*later([quarters(0, 1, 1, 1, 1.8), quarters(1, 1, 2, 1, 1)]))
    found = charged(gpu_hourly(*later(TWO_HOURS)), meters, sites)
    assert shares(found) == {"vision": 22.5, "search": 7.5}


def test_demand_by_half_hours_has_its_own_peak() -> None:
    # By quarters it is 2 kW at 01:15; by halves 1.6 at 00:30 (1.4 and 1.8) before 1.5, x 1.5 PUE = 2.4 kW x 10 = 24,
    # by the hour of the peak 0.6 : 0.6.
    meters = power(quarters(0, 1, 1, 1.4, 1.8), quarters(1, 1, 2, 1, 1))
    found = charged(gpu_hourly(*TWO_HOURS), meters, site(demand=[PEAK | {"interval_minutes": 30}]))
    assert shares(found) == {"vision": 12, "search": 12}
    line = found.demand.row(0, named=True)
    assert (line["peak_kw"], line["peak_at"]) == (2.4, datetime.fromisoformat("2026-09-01T00:30"))


def test_demand_by_energy_of_the_month() -> None:
    # Wall 1.2 + 1.25 kWh. 00:00 by 0.6 : 0.6, 01:00 by 0.6 : 0.2 -> vision 0.6 + 0.9375 = 1.5375 of 2.45.
    meters = power(quarters(0, 1, 1, 1, 1.8), quarters(1, 1, 2, 1, 1))
    found = charged(gpu_hourly(*TWO_HOURS), meters, site(demand=[PEAK], demand_by="energy"))
    assert shares(found)["vision"] == pytest.approx(30 * 1.5375 / 2.45)
    assert found.parts["cost"].sum() == 30


def test_nobodys_energy_is_nobodys_demand() -> None:
    rows = gpu_hourly(hour(0, gpu="g1", energy_kwh=0.3), free(0, gpu="g2", energy_kwh=0.1))
    found = charged(rows, power(quarters(0, 1, 1, 1, 1)), site(demand=[PEAK]))
    assert shares(found) == {"vision": 11.25, None: 3.75}
    assert found.parts.filter(~pl.col("held"))["cost"].to_list() == [Decimal("3.75")]


def test_power_of_the_hour_alone_tells_no_demand() -> None:
    found = charged(gpu_hourly(hour(0)), power(meter(0, 1.0)), site(demand=[PEAK]))
    line = found.demand.row(0, named=True)
    assert (line["peak_kw"], line["billed_kw"], line["cost"], line["coverage"]) == (None, None, None, 0)
    assert found.parts.is_empty()


def test_a_quarter_counts_where_every_node_is_known() -> None:
    # n2 does not know the second quarter: 9 kW of n1 there tell nothing. Coincident: (1 + 2) x 1.5.
    assets = (server(), server(asset="srv-2", node="n2"))
    n1 = quarters(0, 1, 9, 1, 1)
    n2 = quarters(0, 2, None, 1, 1, node="n2", meter="n2/psu")
    assert charged(gpu_hourly(), power(n1, n2), site(demand=[PEAK]), *assets).demand["peak_kw"].to_list() == [
        4.5
    ]
    assert charged(gpu_hourly(), power(n1), site(demand=[PEAK]), *assets).demand["peak_kw"].to_list() == [
        None
    ]


def test_the_suppliers_meter_is_billed_as_it_is() -> None:
    main = quarters(0, 8, 7, 7, 7, node=None, meter="main", method="pdu", scope="rack", counts=None)
    meters = power(main, quarters(0, 1, 1, 1, 1))
    assert charged(gpu_hourly(), meters, site(demand=[PEAK], meter="main")).demand["peak_kw"].to_list() == [8]


def test_the_suppliers_meter_is_read_by_the_source_that_covers_the_hour() -> None:
    """Of two sources of one meter the first misses the second quarter, in which the other one saw 50 kW: 500, not 80."""
    main = {"node": None, "meter": "main", "method": "pdu", "scope": "rack", "counts": None}
    gap = quarters(0, 8, None, 7, 7, source="a", coverage=0.75, **main)
    whole = quarters(0, 8, 50, 7, 7, source="b", coverage=1.0, **main)
    found = charged(gpu_hourly(), power(gap, whole), site(demand=[PEAK], meter="main")).demand
    assert found.select("peak_kw", "cost").rows() == [(50, 500)]


def test_ratchet_over_a_month_end() -> None:
    # September peaks at 4 kW x 1.5 = 6, October at 1.5; 0.8 x 6 = 4.8 binds October.
    days = {"dc1": (date(2026, 9, 30), date(2026, 10, 1))}
    rows = [
        quarters(0, 4, 1, 1, 1, hour=datetime.fromisoformat("2026-09-30T10:00"), day=date(2026, 9, 30)),
        quarters(0, 1, 1, 1, 1, hour=datetime.fromisoformat("2026-10-01T10:00"), day=date(2026, 10, 1)),
    ]
    asset = server(life_months=2)
    found = charged(gpu_hourly(), power(*rows), site(demand=[PEAK | {"ratchet": 0.8}]), asset, days=days)
    columns = ("peak_kw", "ratchet_kw", "billed_kw", "cost", "provisional")
    assert found.demand.select(columns).rows() == [
        (6, 0, 6, 60, False),
        (1.5, pytest.approx(4.8), pytest.approx(4.8), 48, True),
    ]
    assert found.parts.select("month", "day", "cost", "held").rows() == [
        (date(2026, 9, 1), date(2026, 9, 30), 60, False),
        (date(2026, 10, 1), date(2026, 10, 1), 48, False),
    ]


def test_a_charge_of_another_season_is_no_line_but_its_ratchet_is() -> None:
    """September's peak is 6 kW; October has no window: nothing without a ratchet, 0.5 x 6 x 10 with one."""
    days = {"dc1": (date(2026, 9, 30), date(2026, 10, 1))}
    meters = power(
        quarters(0, 4, 1, 1, 1, hour=datetime.fromisoformat("2026-09-30T10:00"), day=date(2026, 9, 30))
    )
    for ratchet, costs in ((0, [60]), (0.5, [60, 30])):
        summer = PEAK | {"when": [{"months": [6, 7, 8, 9]}], "ratchet": ratchet}
        found = charged(gpu_hourly(), meters, site(demand=[summer]), server(life_months=2), days=days)
        assert found.demand["cost"].to_list() == costs


@pytest.mark.parametrize("tariff", [{"customer_month": "100"}, {"demand": [PEAK]}])
def test_a_tariff_that_no_longer_holds_bills_nothing(tariff: dict[str, Any]) -> None:
    days = {"dc1": (DAY, date(2026, 9, 30))}
    with pytest.raises(ValueError, match="it holds from ever to 2026-09-29, not on 2026-09-30"):
        charged(gpu_hourly(), power(), site(**tariff, valid_to="2026-09-29"), server(), days=days)


def test_fixed_charge_of_a_month_is_spread_over_its_days() -> None:
    days = {"dc1": (DAY, date(2026, 9, 30))}
    found = charged(gpu_hourly(hour(0)), power(), site(customer_month="100"), server(), days=days)
    by_day = found.parts.group_by("day").agg(pl.col("cost").sum()).sort("day")["cost"]
    assert (by_day[0], by_day.sum(), found.parts["quantity"].sum()) == (Decimal("3.333333333333"), 100, 1)
    assert found.parts.filter(pl.col("team") == "vision")["day"].to_list() == [DAY]


def test_what_a_month_lacks_of_its_minimum_goes_the_way_of_the_fixed_charge() -> None:
    """Energy 0.6 kWh x 1.5 x 0.10 = 0.09 on 1 September; 30 fixed, 300 at least.

    All of September: 300 - 30 - 0.09 = 269.91, 8.997 a day; after its first day: 10 - 1 - 0.09, provisional.
    """
    sites = site(customer_month="30", minimum_month="300")
    september = {"dc1": (DAY, date(2026, 9, 30))}
    for days, top_up, a_day, provisional in (
        (september, "269.91", "8.997", False),
        (DAYS, "8.91", "8.91", True),
    ):
        found = charged(gpu_hourly(hour(0, energy_kwh=0.6)), power(), sites, server(), days=days)
        parts = found.parts.filter(pl.col("charge") == "top-up to the minimum")
        assert parts["cost"].sum() == Decimal(top_up)
        assert parts["cost"].unique().to_list() == [Decimal(a_day)]
        assert parts["provisional"].unique().to_list() == [provisional]
        assert parts.filter(pl.col("team") == "vision")["day"].to_list() == [DAY]
        assert parts["quantity"].sum() == round(Decimal(parts.height) / 30, 12)
    reached = charged(gpu_hourly(hour(0, energy_kwh=0.6)), power(), site(minimum_month="2.70"), days=DAYS)
    assert reached.bills.is_empty()


def test_a_minimum_of_a_month_that_is_billed_from_its_middle() -> None:
    """Demand 2 kW x 1.5 x 10 = 30 and no energy; 16 to 30 September of 300 are 150: 120 lack, 8 a day."""
    days = {"dc1": (date(2026, 9, 16), date(2026, 9, 30))}
    at = quarters(0, 2, 2, 2, 2, hour=datetime.fromisoformat("2026-09-20T10:00"), day=date(2026, 9, 20))
    sites = site(energy="0", minimum_month="300", demand=[PEAK])
    found = charged(gpu_hourly(), power(at), sites, server(), days=days)
    assert found.bills.filter(pl.col("unit") == "Months")["cost"].to_list() == [8] * 15
    assert found.bills["cost"].sum() == 150


watts = st.floats(0, 5).map(lambda v: round(v, 3))
kwh = st.floats(0, 2).map(lambda v: round(v, 4))


@given(
    st.lists(st.tuples(watts, watts, watts, watts, kwh, kwh, st.booleans()), min_size=1, max_size=4),
    st.sampled_from(["coincident_peak", "energy"]),
    st.sampled_from(["month", "day"]),
    st.sampled_from(["0", "1000.01"]),
)
def test_the_ledger_holds_every_charge_to_the_last_decimal(
    hours: list[tuple[Any, ...]], demand_by: str, assessed: str, minimum: str
) -> None:
    sites = site(
        energy=[{"price": "0.10"}, {"price": "0.3", "above_kwh": 1}],
        demand=[PEAK | {"assessed": assessed}],
        customer_month="12.34",
        minimum_month=minimum,
        demand_by=demand_by,
    )
    meters = power(*(quarters(h, *row[:4]) for h, row in enumerate(hours)))
    hourly = gpu_hourly(
        *(hour(h, gpu="g1", energy_kwh=row[4]) for h, row in enumerate(hours)),
        *((hour if row[6] else free)(h, gpu="g2", energy_kwh=row[5]) for h, row in enumerate(hours)),
    )
    assets = (server(units=2),)
    rows = attribute(hourly, meters, assets, sites, DAYS).hourly
    parts = gpu.daily_parts(rows, assets, sites, DAYS)
    found = site_charges(rows, edge.COSTS.to_frame(), meters, assets, sites, days=DAYS, gpu_parts=parts)
    # By hand: a thirtieth of the fixed charge, and the greatest quarter of the day x PUE x price.
    peak = max(Decimal(str(kw)) for row in hours for kw in row[:4])
    due = round(Decimal("12.34") / 30, 12) + peak * Decimal("1.5") * 10
    topped_up = found.bills["charge"] == "top-up to the minimum"
    assert abs(found.bills.filter(~topped_up)["cost"].sum() - due) < Decimal("1e-6")
    ledger = owned_focus.rows(parts, edge.COSTS.to_frame(), sites, site_parts=found.parts)
    charges = ledger.filter(pl.col("ServiceName") == "Site electricity")
    assert charges["BilledCost"].sum() == found.bills["cost"].sum()
    assert (ledger["BilledCost"] >= 0).all()
    electricity = ledger.filter((pl.col("ServiceName") == "Site electricity") | (pl.col("SkuId") == "energy"))
    least = round(Decimal(minimum) / 30, 12)
    assert electricity["BilledCost"].sum() >= least
    assert not topped_up.any() or electricity["BilledCost"].sum() == least
    total = owned_focus.totals(
        rows, pl.DataFrame(schema=edge.COSTS).clear(), assets, sites, DAYS, site_bills=found.bills
    )
    assert total["total"].sum() == ledger["BilledCost"].sum()
