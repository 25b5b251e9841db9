from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from models import edge, gpu, gpu_rate, owned_focus
from models.config import Ownership
from models.contracts import unused
from models.owned_lines import lines
from models.ratecard import write_offs
from models.register import Contract
from models.tables import GPU_RATE_DAILY
from tests.models.owned import DAY, DAYS, SITES, edge_daily, free, gpu_hourly, hour, server

PAID = server(capex=0, contract="lease")
MONTH = {"dc1": (DAY, date(2026, 9, 30))}


def terms(**changes: Any) -> dict[str, Contract]:
    return {"lease": Contract.model_validate({"rate": "2.5", "currency": "USD"} | changes)}


def ledger(rows: list[dict[str, Any]], contracts: dict[str, Contract], days: Any = MONTH) -> pl.DataFrame:
    parts = gpu.daily_parts(gpu_hourly(*rows), [PAID], SITES, days, contracts=contracts)
    more = lines(write_offs([PAID], days), unused(parts, [PAID], contracts, days))
    got = owned_focus.rows(parts, edge.COSTS.to_frame(), SITES, more)
    total = owned_focus.totals(
        gpu_hourly(*rows), edge_daily(), [PAID], SITES, days, contracts=contracts, gpu_parts=parts
    )
    assert got["BilledCost"].sum() == total["total"].sum()
    return got


def by_sku(got: pl.DataFrame) -> dict[str, tuple[Decimal, Decimal]]:
    return {
        sku: (cost, quantity)
        for sku, cost, quantity in got.group_by("SkuId")
        .agg(pl.col("BilledCost").sum(), pl.col("ConsumedQuantity").sum())
        .iter_rows()
    }


def test_less_than_the_commitment() -> None:
    # 10 h held at half use: 5 used hours x 2.50 = 12.50; committed 50: 45 x 2.50 = 112.50 not used
    got = ledger([hour(h, energy_kwh=0.0) for h in range(10)], terms(commitment_gpu_hours=50))
    assert by_sku(got)["contract-gpu-hour"] == (Decimal("12.50"), 5)
    assert by_sku(got)["unused-commitment"] == (Decimal("112.50"), 45)
    line = got.filter(pl.col("SkuId") == "unused-commitment")
    assert line.height == 30
    assert set(line["BilledCost"]) == {Decimal("3.75")}
    assert set(
        line.select("x_cost_kind", "CapacityReservationStatus", "ResourceId", "ServiceName").rows()
    ) == {("unallocated", "Unused", "lease", "Unused GPU commitment")}


def test_more_than_the_commitment() -> None:
    got = ledger([hour(h) for h in range(10)], terms(commitment_gpu_hours=4))
    assert by_sku(got)["contract-gpu-hour"] == (Decimal("12.50"), 5)
    assert "unused-commitment" not in by_sku(got)


def test_allocated_hours_may_be_what_counts() -> None:
    got = ledger([hour(h) for h in range(10)], terms(of="allocated"))
    assert by_sku(got)["contract-gpu-hour"] == (25, 10)
    paid = got.filter(pl.col("SkuId") == "contract-gpu-hour")
    assert paid.select("x_cost_kind", "BilledCost").rows() == [("direct", 12.5), ("idle", 12.5)]


def test_a_part_of_a_month_has_that_part_of_the_commitment() -> None:
    # 3 of 30 days: 5 of 50 hours are committed
    got = ledger([free(0)], terms(commitment_gpu_hours=50), {"dc1": (DAY, DAY + timedelta(days=2))})
    assert by_sku(got)["unused-commitment"] == (Decimal("12.50"), 5)


@given(
    used=st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=20),
    rate=st.decimals(0, 100, places=6),
    committed=st.decimals(0, 1000, places=6),
    of=st.sampled_from(["used", "allocated"]),
)
def test_what_is_charged_is_the_whole_charge(
    used: list[float | None], rate: Decimal, committed: Decimal, of: str
) -> None:
    rows = [hour(h, used_hours=u, team=f"t{h % 3}") for h, u in enumerate(used)]
    contracts = terms(rate=rate, commitment_gpu_hours=committed, of=of)
    got = ledger(rows, contracts)
    assert min(got["BilledCost"].to_list()) >= 0
    parts = gpu.daily_parts(gpu_hourly(*rows), [PAID], SITES, MONTH, contracts=contracts)
    mart = gpu.from_parts(parts, Ownership())
    costs = mart.select(pl.sum_horizontal("cost_used", "cost_idle", "cost_unallocated").sum()).item()
    assert costs == got.filter(pl.col("SkuId") != "unused-commitment")["BilledCost"].sum()


def test_rate_of_an_available_hour() -> None:
    # 100 a day of hardware; 24 h x 2 GPUs x 0.8 = 38.4 h available; 48 kWh x 0.15 = 7.20
    item = server(units=2, planned_availability="0.8")
    rows = [hour(h, gpu=g, energy_kwh=1.0) for h in range(24) for g in ("g1", "g2")]
    parts = gpu.daily_parts(gpu_hourly(*rows), [item], SITES, DAYS)
    got = gpu_rate.daily(parts, [item], SITES, DAYS)
    assert got.schema == GPU_RATE_DAILY.schema
    columns = (
        "gpu_hours_capacity",
        "gpu_hours_available",
        "coverage",
        "hardware",
        "fixed_cost",
        "variable_cost",
    )
    assert got.select(columns).row(0) == (48, 38.400000000000006, 1, 100, 100, Decimal("7.20"))
    # 100 / 38.4 = 2.604166666667; 7.2 / 38.4 = 0.1875
    rates = got.select("fixed_rate", "variable_rate", "total_rate").row(0)
    assert rates == (Decimal("2.604166666667"), Decimal("0.1875"), Decimal("2.791666666667"))


def test_variable_rate_is_unknown_where_energy_is() -> None:
    rows = [hour(h, energy_kwh=None if h == 3 else 1.0) for h in range(12)]
    parts = gpu.daily_parts(gpu_hourly(*rows), [server()], SITES, DAYS)
    got = gpu_rate.daily(parts, [server()], SITES, DAYS)
    assert got.select("coverage", "fixed_cost", "variable_cost", "variable_rate", "total_rate").row(0) == (
        0.5, 100, None, None, None
    )  # fmt: skip
