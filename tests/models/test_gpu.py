from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.config import Site
from models.gpu import PARTS, daily, daily_parts
from models.ratecard import asset_days
from models.tables import GPU_DAILY
from tests.models.owned import (
    COSTS,
    DAY,
    DAYS,
    RULES,
    SITE,
    SITES,
    by_state,
    compute,
    free,
    gap,
    gpu_hourly,
    hour,
    issues,
    local_hours,
    server,
)


def test_hours_held_in_a_gap_are_the_holders_and_their_use_is_unknown() -> None:
    blind = {"sampled": False, "used_hours": None, "energy_kwh": 0.0, "energy_estimated_kwh": 0.2}
    got = compute(*(hour(h) for h in range(18)), *(hour(h, **blind) for h in range(18, 24)))
    # 18 h sampled at half use: 9 of 18 h used; 6 h of the gap are held, and the scheduler alone says so: 18 / 24
    columns = ("gpu_hours_capacity", "gpu_hours_allocated", "gpu_hours_used", "utilisation", "coverage")
    assert by_state(got, *columns) == {"allocated": (24, 24, 9, 0.5, 0.75)}
    # 100 a day: 9 h used and 6 h of unknown use = 62.50, 9 h idle = 37.50; energy (18 x 0.5 + 6 x 0.2) x 0.15 = 1.53
    assert by_state(got, *COSTS) == {"allocated": (Decimal("64.03"), Decimal("37.50"), 0)}


def test_a_day_of_one_card() -> None:
    got = compute(
        *(hour(h) for h in range(12)),
        *(free(h, energy_kwh=0.1) for h in range(12, 18)),
        *(gap(h, energy_estimated_kwh=0.2) for h in range(18, 24)),
    )
    # 100 a day over 24 h: 12 h held = 50, half of it used; 6 h free = 25; 6 h unknown = 25
    # energy at 1.5 x 0.10 = 0.15 a kWh: 12 x 0.5 x 0.15 = 0.90; 6 x 0.1 x 0.15 = 0.09; 6 x 0.2 x 0.15 = 0.18
    assert got.schema == GPU_DAILY.schema
    hours = by_state(
        got, "gpu_hours_capacity", "gpu_hours_allocated", "gpu_hours_used", "utilisation", "coverage"
    )
    assert hours == {
        "allocated": (12, 12, 6, 0.5, 1),
        "unallocated": (6, 0, 0, None, 1),
        "unknown": (6, 0, None, None, 0),
    }
    assert by_state(got, *COSTS) == {
        "allocated": (Decimal("25.90"), Decimal(25), 0),
        "unallocated": (0, 0, Decimal("25.09")),
        "unknown": (0, 0, Decimal("25.18")),
    }
    assert by_state(got, "team", "workload") == {
        "allocated": ("vision", "ocr"),
        "unallocated": ("platform", "untagged"),
        "unknown": ("platform", "untagged"),
    }
    energy = by_state(got, "energy_kwh", "energy_estimated_kwh")
    assert energy["allocated"] == (6, 0)
    assert energy["unallocated"] == pytest.approx((0.6, 0))
    assert energy["unknown"] == pytest.approx((0, 1.2))


def test_energy_that_is_not_measured_is_unknown_and_costs_nothing() -> None:
    got = compute(
        *(hour(h, energy_kwh=None if h == 0 else 0.5) for h in range(12)),
        *(free(h, energy_kwh=0.1) for h in range(12, 18)),
        *(gap(h) for h in range(18, 24)),
    )
    energy = by_state(got, "energy_kwh", "energy_estimated_kwh")
    assert energy == {
        "allocated": (None, 0),
        "unallocated": (pytest.approx(0.6), 0),
        "unknown": (0, 0),
    }
    # held: 25 + 11 x 0.5 x 0.15 = 25.825
    assert by_state(got, "cost_used", "cost_idle")["allocated"] == (Decimal("25.825"), Decimal(25))


def test_unknown_use_is_charged_whole_and_shown_as_unknown() -> None:
    got = compute(*(hour(h, used_hours=None if h < 12 else 0.25) for h in range(24)))
    # 12 h unknown: 50 used; 12 h at a quarter: 12.5 used, 37.5 idle; energy 24 x 0.5 x 0.15 = 1.80
    assert got.select("gpu_hours_used", "utilisation", *COSTS).row(0) == (
        None,
        None,
        Decimal("64.30"),
        Decimal("37.50"),
        0,
    )


def test_holder_without_labels_is_untagged_and_its_own_row() -> None:
    got = compute(*(hour(h, team=None, workload=None) for h in range(12)), *(free(h) for h in range(12, 24)))
    assert sorted(got.select("team", "state").rows()) == [
        ("platform", "unallocated"),
        ("untagged", "allocated"),
    ]


def test_silent_cards_cost_too() -> None:
    got = compute(*(hour(h) for h in range(24)), assets=(server(units=4),))
    # 100 / 4 cards = 25 each
    assert got["gpu"].to_list() == ["g1", "n1/unseen-1", "n1/unseen-2", "n1/unseen-3"]
    silent = got.filter(pl.col("gpu") != "g1")
    assert set(silent.select("state", "gpu_hours_capacity", "coverage", *COSTS).rows()) == {
        ("unknown", 24.0, 0.0, 0, 0, Decimal(25))
    }


def test_more_cards_than_registered_share_the_node_and_are_reported() -> None:
    rows = [hour(h, gpu=g) for h in range(24) for g in ("g1", "g2")]
    got = compute(*rows)
    assert got["gpu_hours_capacity"].to_list() == [24, 24]
    # 50 + 12 kWh x 0.15
    assert got.select(pl.sum_horizontal(COSTS))["cost_used"].to_list() == [Decimal("51.80")] * 2
    assert issues(*rows) == [
        ("more cards than units", "n1", g, 1, "2 cards seen, 1 registered") for g in ("g1", "g2")
    ]


def test_a_card_replaced_at_noon_shares_the_day_of_its_place() -> None:
    rows = [*(hour(h) for h in range(12)), *(hour(h, gpu="g9", team="search") for h in range(12, 24))]
    got = compute(*rows)
    # One place of 100 a day: 12 h each, 50 a card, half of it used; energy 6 x 0.15 = 0.90. Nothing is unknown.
    assert got.select("gpu", "team", "gpu_hours_capacity", "gpu_hours_used", "cost_used", "cost_idle").rows() == [
        ("g1", "vision", 12, 6, Decimal("25.90"), 25),
        ("g9", "search", 12, 6, Decimal("25.90"), 25),
    ]  # fmt: skip
    assert not issues(*rows)


def test_cards_exchanged_between_nodes_within_an_hour_keep_their_days() -> None:
    assets = (server(), server(asset="srv-2", node="n2", capex=6000))
    half = {"observed_hours": 0.5, "used_hours": 0.25, "energy_kwh": 0.25}
    swap = [("g1", "n1", "n2"), ("g2", "n2", "n1")]
    rows = [
        row
        for gpu, before, after in swap
        for row in (
            *(hour(h, gpu=gpu, node=before) for h in range(6)),
            hour(6, gpu=gpu, node=before, **half),
            hour(6, gpu=gpu, node=after, **half),
            *(hour(h, gpu=gpu, node=after) for h in range(7, 24)),
        )
    ]
    got = compute(*rows, assets=assets)
    # n1 costs 100 a day, n2 200: 6.5 h and 17.5 h of 24; half of them idle.
    assert got.select("node", "gpu", "gpu_hours_capacity", pl.col("cost_idle").round(6)).rows() == [
        ("n1", "g1", 6.5, Decimal("13.541667")),
        ("n1", "g2", 17.5, Decimal("36.458333")),
        ("n2", "g1", 17.5, Decimal("72.916667")),
        ("n2", "g2", 6.5, Decimal("27.083333")),
    ]
    assert got.select(pl.sum_horizontal(COSTS).sum()).item() == Decimal("303.60")  # and 24 kWh x 0.15
    assert not issues(*rows, assets=assets)


def test_a_card_that_leaves_a_node_of_two_leaves_a_place_of_which_nothing_is_known() -> None:
    rows = [*(hour(h, gpu="g1") for h in range(24)), *(hour(h, gpu="g2") for h in range(6))]
    got = compute(*rows, assets=(server(units=2),))
    # 50 a card; g2: 6 of 24 h held = 12.50, half used; 18 h = 37.50 unknown
    assert got.filter(pl.col("gpu") == "g2").sort("state").select("state", "gpu_hours_capacity", "cost_idle", "cost_unallocated").rows() == [
        ("allocated", 6, Decimal("6.25"), 0),
        ("unknown", 18, 0, Decimal("37.50")),
    ]  # fmt: skip


def test_a_pod_that_restarts_within_the_hour_keeps_its_hour() -> None:
    half = {"observed_hours": 0.5, "used_hours": 0.25, "energy_kwh": 0.25}
    rows = [
        hour(0, pod="p-1", **half),
        hour(0, pod="p-2", **half),
        *(hour(h, pod="p-2") for h in range(1, 24)),
    ]
    assert compute(*rows).select("gpu_hours_allocated", "gpu_hours_used", "energy_kwh").rows() == [
        (24, 12, 12)
    ]
    assert not issues(*rows)


def test_a_pod_on_two_cards_holds_both() -> None:
    rows = [hour(h, gpu=g, pod="pair") for h in range(24) for g in ("g1", "g2")]
    got = compute(*rows, assets=(server(units=2),))
    # 100 a day, half of it idle; energy 24 kWh x 0.15
    assert got.select(pl.col("gpu_hours_allocated", "cost_used", "cost_idle").sum()).rows() == [
        (48, Decimal("53.60"), 50)
    ]


def test_nodes_without_an_asset_have_no_cost_and_are_reported() -> None:
    rows = [hour(0, node="n9", gpu="g9"), hour(1, node=None, gpu="g8"), hour(0)]
    assert compute(*rows)["node"].unique().to_list() == ["n1"]
    assert issues(*rows) == [
        ("no asset", None, "g8", 1, "0.5 kWh without a price"),
        ("no asset", "n9", "g9", 1, "0.5 kWh without a price"),
    ]


def test_days_out_of_service_are_reported_and_others_passed_over() -> None:
    retired = server(retired=DAY)
    assert compute(hour(0), assets=(retired,)).height == 0
    assert issues(hour(0), assets=(retired,))[0][0] == "no asset"
    assert issues(hour(0, energy_kwh=None), assets=(retired,))[0][-1] == "energy not measured"
    assert not issues(hour(-24), assets=(retired,))  # a day that was not asked for


def test_overlapping_holders_are_scaled_to_capacity_and_reported() -> None:
    rows = [hour(h, pod=p, team=p) for h in range(24) for p in ("a", "b")]
    got = compute(*rows)
    assert got.select("team", "gpu_hours_allocated", "gpu_hours_used").rows() == [("a", 12, 6), ("b", 12, 6)]
    assert got["cost_idle"].to_list() == [Decimal(25), Decimal(25)]
    assert issues(*rows) == [("overlapping holders", "n1", "g1", 1, "up to 24.0 h a day above capacity")]


def test_more_use_than_time_is_unknown_use_and_reported() -> None:
    rows = [hour(h, used_hours=1.5 if h == 0 else 1.0) for h in range(24)]
    got = compute(*rows)
    assert got.select("gpu_hours_used", "cost_idle").row(0) == (None, 0)
    assert issues(*rows) == [("impossible use", "n1", "g1", 1, "up to 1.5 used in 1.0 observed hours")]


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25)])
def test_daylight_saving_days(day: date, hours: int) -> None:
    night = {"price": "1", "start": "00:00", "end": "04:00"}
    athens = Site.model_validate({"time_zone": "Europe/Athens", "tariff": [night, {"price": "2"}]})
    item = server(in_service=day.replace(day=1), capex=0)
    rows = [hour(at, day=day, energy_kwh=1.0) for at in local_hours(day, athens)]
    got = compute(*rows, assets=(item,), sites={"dc1": athens}, day=day)
    assert got.select("gpu_hours_capacity", "gpu_hours_allocated").rows() == [(hours, hours)]
    # forward: 00-03 are 3 night hours, 04-24 are 20 at 2 = 43; back: 03-04 comes twice: 5 + 40 = 45
    assert got["cost_used"].to_list() == [Decimal(43 if hours == 23 else 45)]


@pytest.mark.parametrize("bad", [{"energy_kwh": -1.0}, {"observed_hours": float("nan")}])
def test_impossible_measurements_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(
        ValueError, match=r"in 1 rows, first: source 'tele', gpu 'g1', hour 2026-09-01 00:00:00"
    ):
        compute(hour(0, **bad))


def test_another_currency_at_the_site_is_refused() -> None:
    with pytest.raises(ValueError, match="in one currency"):
        compute(hour(0), sites={"dc1": SITE.model_copy(update={"currency": "EUR"})})


def test_no_telemetry_and_no_assets() -> None:
    assert compute()["gpu"].to_list() == ["n1/unseen-1"]
    assert compute(hour(0), assets=()).height == 0
    assert daily(gpu_hourly(), [], {}, RULES, {}).schema == GPU_DAILY.schema


ROWS = st.builds(
    lambda make, start, **changes: make(start, **changes),
    st.sampled_from([hour, free, gap]),
    st.integers(min_value=0, max_value=23),
    gpu=st.sampled_from(["g1", "g2", "g3"]),
    team=st.sampled_from(["vision", "search", None]),
    observed_hours=st.floats(min_value=0, max_value=1),
    used_hours=st.one_of(st.none(), st.floats(min_value=0, max_value=1.2)),
    energy_kwh=st.one_of(st.none(), st.floats(min_value=0, max_value=10)),
    energy_estimated_kwh=st.floats(min_value=0, max_value=10),
)
SLICED = st.builds(
    lambda row, slice_: row | {"mig_id": slice_[0], "mig_profile": slice_[1]},
    ROWS,
    st.sampled_from([(None, None), ("1", "1g.10gb"), ("2", "3g.40gb"), ("3", "?")]),
)


@given(
    rows=st.lists(SLICED, max_size=20),
    units=st.integers(min_value=1, max_value=4),
    capex=st.decimals(min_value=0, max_value=10**6, places=12),
    opex=st.decimals(min_value=0, max_value=10**4, places=12),
)
def test_cards_sum_to_the_site_and_nothing_is_negative(
    rows: list[dict[str, Any]], units: int, capex: Decimal, opex: Decimal
) -> None:
    item = server(units=units, capex=capex, opex_month=opex)
    parts = daily_parts(gpu_hourly(*rows), [item], SITES, DAYS)
    got = compute(*rows, assets=(item,))
    assert parts.schema == PARTS
    fixed = asset_days([item], DAYS).select(pl.col("depreciation") + pl.col("opex")).item()
    assert parts["fixed_cost"].sum() == fixed
    # the energy of every row at 1.5 x 0.10, each rounded to 12 decimals
    energy = sum(
        round(Decimal((r[k] or 0.0) * (0.1 * 1.5)), 12)
        for r in rows
        for k in ("energy_kwh", "energy_estimated_kwh")
    )
    assert abs(got.select(pl.sum_horizontal(COSTS).sum()).item() - fixed - energy) < Decimal("1e-9")
    assert parts.select(
        pl.sum_horizontal("fixed_cost", "energy_cost", "energy_estimated_cost").sum()
    ).item() == (got.select(pl.sum_horizontal(COSTS).sum()).item())
    for name in (*COSTS, "gpu_hours_capacity", "gpu_hours_allocated", "gpu_hours_used", "energy_kwh"):
        assert got.filter(pl.col(name) < 0).height == 0, name
    assert got.filter(pl.col("gpu_hours_allocated") > pl.col("gpu_hours_capacity")).height == 0
    assert got.filter(pl.col("gpu_hours_used") > pl.col("gpu_hours_allocated") + 1e-9).height == 0
    # Cards that are never there at once share a day; otherwise each place and each card has its own.
    per_card = got.group_by("gpu").agg(pl.col("gpu_hours_capacity").sum())
    assert per_card["gpu_hours_capacity"].max() <= 24 + 1e-5
    assert units * 24 - 1e-5 <= per_card["gpu_hours_capacity"].sum() <= per_card.height * 24 + 1e-5
    assert got.select(pl.struct(GPU_DAILY.key).is_unique().all()).item()
