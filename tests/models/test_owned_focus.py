from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import contracts, edge, focus, gpu, owned_focus
from models.config import Ownership, Site
from models.owned_lines import lines
from models.ratecard import write_offs
from models.tables import FOCUS, GPU_DAILY
from tests.models.owned import (
    DAYS,
    SITES,
    device,
    edge_daily,
    free,
    gap,
    gpu_hourly,
    hour,
    local_hours,
    report,
    server,
)

ASSETS = (server(units=2), device())
COSTS = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")


def ledger(gpus: list[dict[str, Any]], devices: list[dict[str, Any]]) -> pl.DataFrame:
    parts = gpu.daily_parts(gpu_hourly(*gpus), ASSETS, SITES, DAYS)
    costs = edge.daily_costs(edge_daily(*devices), ASSETS, SITES, Ownership(), DAYS)
    return owned_focus.rows(parts, costs, SITES)


DAY_OF_ONE_CARD = [
    *(hour(h, project="ocr-v2") for h in range(12)),
    *(free(h, energy_kwh=0.1) for h in range(12, 18)),
    *(gap(h) for h in range(18, 24)),
]


def test_rows_of_a_card() -> None:
    got = ledger(DAY_OF_ONE_CARD, []).filter(pl.col("ResourceId") == "g1")
    # a card is 50 a day: 6 h used, 6 h idle, 6 h free, 6 h unknown = 12.50 each
    columns = (
        "SkuId",
        "x_cost_kind",
        "BilledCost",
        "ConsumedQuantity",
        "ConsumedUnit",
        "CapacityReservationStatus",
    )
    assert got.select(columns).rows() == [
        ("energy", "direct", Decimal("0.90"), Decimal(6), "kWh", None),
        ("energy", "unallocated", Decimal("0.09"), Decimal("0.6"), "kWh", None),
        ("gpu-hour", "direct", Decimal("12.50"), Decimal(6), "Hours", "Used"),
        ("gpu-hour", "idle", Decimal("12.50"), Decimal(6), "Hours", "Unused"),
        ("gpu-hour", "unallocated", Decimal("12.50"), Decimal(6), "Hours", None),
        ("gpu-hour", "unallocated", Decimal("12.50"), Decimal(6), "Hours", None),
    ]
    tags = [json.loads(t) if t else None for t in got["AllocatedTags"]]
    owner = {"team": "vision", "project": "ocr-v2", "workload": "ocr"}
    assert tags == [owner, None, owner, owner, None, None]
    assert got["Tags"].null_count() == got.height
    # 12.5 / 6 = 2.0833... does not give 12.5 back; 0.90 / 6 = 0.15 does
    assert got["ListUnitPrice"].to_list() == [Decimal("0.15"), Decimal("0.15"), None, None, None, None]
    assert got["SkuPriceId"].to_list() == ["energy/srv-1"] * 2 + [None] * 4
    first = got.row(0, named=True)
    assert (first["x_source"], first["x_tier"], first["x_billing_month"]) == (
        "site:dc1",
        "onprem",
        date(2026, 9, 1),
    )
    assert (first["HostProviderName"], first["RegionId"], first["SubAccountId"]) == ("dc1", "dc1", "dc1")
    assert (first["ChargePeriodStart"], first["ChargePeriodEnd"]) == (
        datetime.fromisoformat("2026-09-01"),
        datetime.fromisoformat("2026-09-02"),
    )
    assert (first["ServiceProviderName"], first["RegionName"]) == ("Owned hardware", "dc1")
    assert (first["ServiceCategory"], first["AvailabilityZone"]) == ("AI and Machine Learning", None)
    assert first["BillingPeriodEnd"] == datetime.fromisoformat("2026-10-01")


def test_rows_of_a_card_say_how_it_was_split() -> None:
    got = ledger(DAY_OF_ONE_CARD, []).filter(pl.col("ResourceId") == "g1")
    # energy 0.90 of 0.99: 0.909090...; 0.09 of 0.99: 0.0909...; hours 6 of 24 each: 0.25
    assert [elements(t) for t in got["AllocatedMethodDetails"]] == [
        [{"AllocatedRatio": Decimal("0.909090909091"), "UsageUnit": "kWh", "UsageQuantity": 6}],
        [{"AllocatedRatio": Decimal("0.090909090909"), "UsageUnit": "kWh", "UsageQuantity": Decimal("0.6")}],
        *[[{"AllocatedRatio": Decimal("0.25"), "UsageUnit": "Hours", "UsageQuantity": 6}]] * 4,
    ]
    assert got["AllocatedMethodId"].to_list() == ["energy-cost"] * 2 + ["gpu-hours"] * 4
    receiver = "team=vision/project=ocr-v2/workload=ocr"
    assert got["AllocatedResourceId"].to_list() == [receiver, None, receiver, receiver, None, None]
    assert got["AllocatedResourceName"].to_list() == ["ocr", None, "ocr", "ocr", None, None]


def test_what_a_card_costs_and_draws_sums_to_the_card() -> None:
    """By hand: a card is 50 a day and drew 12 x 0.5 + 6 x 0.1 = 6.6 kWh at 0.15; 24 hours."""
    got = ledger(DAY_OF_ONE_CARD, []).filter(pl.col("ResourceId") == "g1")
    sums = (
        got.group_by("SkuId").agg(pl.col(*COSTS, "ConsumedQuantity", "PricingQuantity").sum()).sort("SkuId")
    )
    assert sums.rows() == [
        ("energy", *[Decimal("0.99")] * 4, Decimal("6.6"), Decimal("6.6")),
        ("gpu-hour", *[Decimal(50)] * 4, Decimal(24), Decimal(24)),
    ]


def test_what_nobody_holds_is_not_allocated() -> None:
    allocation = [c.name for c in focus.COLUMNS if c.name.startswith("Allocated")]
    for got in (ledger([free(h) for h in range(24)], []), ledger([gap(h) for h in range(12)], [])):
        cards = got.filter(pl.col("x_tier") == "onprem")
        assert cards.height and cards.select(pl.all_horizontal(pl.col(allocation).is_null()).all()).item()


def test_a_holder_without_labels_is_a_receiver_without_tags() -> None:
    rows = [hour(h, team=None, workload=None, mig_id="1", mig_profile="3g.40gb") for h in range(24)]
    got = ledger(rows, []).filter(pl.col("x_cost_kind") == "direct", pl.col("SkuId") == "gpu-hour")
    assert got.select("AllocatedResourceId", "AllocatedResourceName", "AllocatedTags").rows() == [
        ("untagged/mig=3g.40gb", "untagged", None)
    ]


def test_a_free_tariff_is_split_by_kwh() -> None:
    site = Site.model_validate({"time_zone": "UTC", "tariff": 0})
    rows = [hour(h, team=t, energy_kwh=k) for h, t, k in ((0, "vision", 1.0), (1, "search", 3.0))]
    parts = gpu.daily_parts(gpu_hourly(*rows), ASSETS, {"dc1": site}, DAYS)
    got = owned_focus.rows(parts, edge.COSTS.to_frame(), {"dc1": site}).filter(pl.col("SkuId") == "energy")
    ratios = {
        r: elements(t)[0]["AllocatedRatio"]
        for r, t in got.select("AllocatedTags", "AllocatedMethodDetails").iter_rows()
    }
    assert {json.loads(t)["team"]: r for t, r in ratios.items()} == {
        "vision": Decimal("0.25"),
        "search": Decimal("0.75"),
    }


def elements(details: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(details, parse_float=Decimal)["Elements"]
    return found


def test_rows_of_a_device() -> None:
    got = ledger([], [report()]).filter(pl.col("x_tier") == "edge")
    columns = ("SkuId", "x_cost_kind", "BilledCost", "ConsumedQuantity", "ServiceName", "ResourceId")
    assert got.select(columns).rows() == [
        ("device-hour", "direct", Decimal(1), Decimal(24), "Edge fleet", "cam-1"),
        ("energy", "direct", Decimal("0.03"), Decimal("0.2"), "Edge fleet", "cam-1"),
    ]
    silent = ledger([], []).filter(pl.col("x_tier") == "edge")
    assert silent.select("SkuId", "x_cost_kind", "BilledCost").rows() == [
        ("device-hour", "unallocated", Decimal(1))
    ]


def test_rows_are_focus() -> None:
    got = ledger(DAY_OF_ONE_CARD, [report()])
    assert got.schema == FOCUS.schema
    for column in FOCUS.columns:
        if not column.nullable:
            assert got[column.name].null_count() == 0, column.name
    for column in focus.COLUMNS:
        if column.allowed:
            assert set(got[column.name].drop_nulls()) <= set(column.allowed), column.name
    reserved = got["CapacityReservationStatus"].is_not_null()
    assert got["CapacityReservationId"].is_not_null().equals(reserved)


def test_charge_period_is_the_local_day_and_month_its_month() -> None:
    day = date(2026, 3, 29)
    athens = Site.model_validate({"time_zone": "Europe/Athens", "tariff": "0.1", "region": "gr"})
    item = server(in_service=date(2026, 3, 1))
    rows = [hour(at, day=day) for at in local_hours(day, athens)]
    parts = gpu.daily_parts(gpu_hourly(*rows), [item], {"dc1": athens}, {"dc1": (day, day)})
    got = owned_focus.rows(parts, edge.COSTS.to_frame(), {"dc1": athens}).row(0, named=True)
    assert got["ChargePeriodStart"] == datetime.fromisoformat("2026-03-28T22:00")
    assert got["ChargePeriodEnd"] == datetime.fromisoformat("2026-03-29T21:00")
    assert (got["x_billing_month"], got["RegionId"]) == (date(2026, 3, 1), "gr")


def test_totals_come_from_assets_and_energy_alone() -> None:
    stray = hour(0, node="n9", energy_kwh=99.0)
    got = owned_focus.totals(
        gpu_hourly(*DAY_OF_ONE_CARD, stray), edge_daily(report(), report(device="x")), ASSETS, SITES, DAYS
    )
    # server 100 + device 1 + energy (12 x 0.5 + 6 x 0.1 + 0.2) x 0.15 = 6.8 x 0.15 = 1.02
    assert got.rows() == [("site:dc1", date(2026, 9, 1), "USD", Decimal("102.02"))]


def test_energy_that_is_not_measured_is_not_in_the_ledger() -> None:
    some = [hour(h, energy_kwh=None if h < 4 else 0.5) for h in range(12)]
    none = [hour(h, gpu="g2", energy_kwh=None) for h in range(24)]
    energy = ledger([*some, *none], []).filter(pl.col("SkuId") == "energy")
    # 8 x 0.5 = 4 kWh x 0.15 = 0.60
    assert energy.select("ResourceId", "ConsumedQuantity", "BilledCost").rows() == [
        ("g1", Decimal(4), Decimal("0.60"))
    ]
    got = owned_focus.totals(gpu_hourly(*some, *none), edge_daily(), ASSETS, SITES, DAYS)
    assert got["total"].to_list() == [Decimal("101.60")]


def test_a_write_off_is_a_charge_of_its_day() -> None:
    # 3000 over September, retired on the 11th: 10 days are recovered, 2000 are left
    window = {"dc1": (date(2026, 9, 11), date(2026, 9, 11))}
    left = write_offs([server(retired="2026-09-11")], window)
    got = owned_focus.rows(
        gpu.PARTS.to_frame(), edge.COSTS.to_frame(), SITES, lines(left, contracts.UNUSED.to_frame())
    )
    assert got.select(
        "SkuId", "ChargeCategory", "ChargeFrequency", "x_cost_kind", "ConsumedQuantity"
    ).rows() == [("write-off", "Adjustment", "One-Time", "unallocated", None)]
    assert got.select(COSTS).row(0) == (2000, 2000, 2000, 2000)
    total = owned_focus.totals(gpu_hourly(), edge_daily(), [server(retired="2026-09-11")], SITES, window)
    assert total["total"].to_list() == [2000]


def test_nothing_owned() -> None:
    empty = owned_focus.rows(gpu.PARTS.to_frame(), edge.COSTS.to_frame(), {})
    assert empty.schema == FOCUS.schema
    assert owned_focus.totals(gpu_hourly(), edge_daily(), [], {}, {}).height == 0


GPU_ROWS = st.builds(
    lambda make, start, **changes: make(start, **changes),
    st.sampled_from([hour, free, gap]),
    st.integers(min_value=0, max_value=23),
    gpu=st.sampled_from(["g1", "g2", "g3"]),
    team=st.sampled_from(["vision", "search", None]),
    observed_hours=st.floats(min_value=0, max_value=1),
    used_hours=st.one_of(st.none(), st.floats(min_value=0, max_value=1)),
    energy_kwh=st.one_of(st.none(), st.floats(min_value=0, max_value=10)),
    energy_estimated_kwh=st.floats(min_value=0, max_value=10),
)
EDGE_ROWS = st.builds(
    report,
    device=st.sampled_from(["cam-1", "cam-2"]),
    team=st.sampled_from(["vision", None]),
    energy_kwh=st.one_of(st.none(), st.floats(min_value=0, max_value=1)),
)


@given(gpus=st.lists(GPU_ROWS, max_size=12), devices=st.lists(EDGE_ROWS, max_size=4))
def test_ledger_equals_gpu_daily_and_the_total_without_splits(
    gpus: list[dict[str, Any]], devices: list[dict[str, Any]]
) -> None:
    rows = ledger(gpus, devices)
    total = owned_focus.totals(gpu_hourly(*gpus), edge_daily(*devices), ASSETS, SITES, DAYS)
    for name in COSTS:
        assert rows[name].sum() == total["total"].sum()
    assert min(rows["BilledCost"].to_list()) >= 0
    for origin in rows.partition_by("ResourceId", "ResourceName", "ChargePeriodStart", "SkuId"):
        shown = origin["AllocatedMethodDetails"]
        assert shown.null_count() in (0, origin.height)
        if not shown.null_count():
            assert sum(elements(t)[0]["AllocatedRatio"] for t in shown) == 1
            whole = sum(origin["BilledCost"].to_list())
            for text, cost, quantity in zip(
                shown, origin["BilledCost"], origin["ConsumedQuantity"], strict=True
            ):
                (part,) = elements(text)
                assert abs(part["AllocatedRatio"] * whole - cost) < Decimal("1e-9")
                assert part["UsageQuantity"] == quantity
    receivers = rows.filter(pl.col("AllocatedResourceId").is_not_null())
    assert receivers.filter(pl.col("x_cost_kind") == "unallocated").height == 0
    daily = gpu.daily(gpu_hourly(*gpus), ASSETS, SITES, Ownership(), DAYS)
    assert daily.schema == GPU_DAILY.schema
    onprem = rows.filter(pl.col("x_tier") == "onprem")
    for kind, column in (("direct", "cost_used"), ("idle", "cost_idle"), ("unallocated", "cost_unallocated")):
        assert onprem.filter(pl.col("x_cost_kind") == kind)["BilledCost"].sum() == daily[column].sum()
    priced = rows.filter(pl.col("ListUnitPrice").is_not_null())
    for price, quantity, cost in priced.select("ListUnitPrice", "PricingQuantity", "ListCost").iter_rows():
        assert round(price * quantity, 12) == cost


@pytest.mark.parametrize("kind", ["direct", "idle", "unallocated"])
def test_every_cost_kind_has_rows(kind: str) -> None:
    assert kind in ledger(DAY_OF_ONE_CARD, [])["x_cost_kind"].to_list()
