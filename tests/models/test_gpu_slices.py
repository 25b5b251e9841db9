"""Cards in MIG slices: shares of hours and cost, absent slices, profiles and layouts that cannot be."""

from __future__ import annotations

from decimal import Decimal

import polars as pl
import pytest

from tests.models.owned import (
    COSTS,
    by_state,
    compute,
    free,
    hour,
    issues,
    server,
)


def test_energy_of_a_profile_that_cannot_be_read_may_be_unknown() -> None:
    got = compute(*(hour(h, mig_id="1", mig_profile="big", energy_kwh=None) for h in range(24)))
    assert by_state(got, "energy_kwh") == {"unknown": (None,)}


def test_a_card_beside_its_slices_needs_no_energy_of_its_own() -> None:
    rows = [
        row
        for h in range(24)
        for row in (hour(h, mig_id="1", mig_profile="7g.80gb"), free(h, energy_kwh=None))
    ]
    assert by_state(compute(*rows), "energy_kwh") == {"allocated": (12,), "unallocated": (0,)}


def test_slices_count_by_sevenths_and_absent_slices_are_unallocated() -> None:
    rows = [
        row
        for h in range(24)
        for row in (
            hour(h, mig_id="1", mig_profile="3g.40gb", used_hours=1.0, energy_kwh=0.0),
            free(h, mig_id="2", mig_profile="2g.20gb", energy_kwh=0.0),
            free(h, energy_kwh=1.0),  # the whole card's own row carries the energy
        )
    ]
    got = compute(*rows)
    # 24 h: 3/7 held, 2/7 free, the other 2/7 do not exist
    hours = {(r["mig_profile"], r["state"]): r["gpu_hours_capacity"] for r in got.iter_rows(named=True)}
    assert hours == pytest.approx(
        {
            ("3g.40gb", "allocated"): 24 * 3 / 7,
            ("2g.20gb", "unallocated"): 24 * 2 / 7,
            (None, "unallocated"): 24 * 2 / 7,
        }
    )
    assert got["gpu_hours_capacity"].sum() == pytest.approx(24)
    # 100 + 24 kWh x 0.15
    assert got.select(pl.sum_horizontal(COSTS).sum()).item() == Decimal("103.60")
    assert not issues(*rows)


def test_a_slice_that_only_carries_energy_takes_no_hours() -> None:
    rows = [
        row
        for h in range(24)
        for row in (
            hour(h, mig_id="1", mig_profile="3g.40gb", used_hours=1.0),
            hour(h, mig_id="2", mig_profile="4g.40gb", observed_hours=0.0, used_hours=None),
        )
    ]
    got = compute(*rows)
    # 3/7 held; the other 4/7 are not observed as a slice: nobody's
    capacity = {(r["mig_profile"], r["state"]): r["gpu_hours_capacity"] for r in got.iter_rows(named=True)}
    assert capacity == pytest.approx(
        {
            ("3g.40gb", "allocated"): 24 * 3 / 7,
            ("4g.40gb", "allocated"): 0,
            (None, "unallocated"): 24 * 4 / 7,
        }
    )
    assert got["energy_kwh"].sum() == 24


@pytest.mark.parametrize(
    ("model", "profile", "share"),
    [
        ("NVIDIA A100-SXM4-80GB", "1g.10gb+me", 1 / 7),
        ("NVIDIA A30", "2g.12gb", 2 / 4),
        ("NVIDIA H100", "1c.4g.40gb", 4 / 7),
    ],
)
def test_share_of_a_slice(model: str, profile: str, share: float) -> None:
    got = compute(*(hour(h, gpu_model=model, mig_id="1", mig_profile=profile) for h in range(24)))
    assert by_state(got, "gpu_hours_allocated")["allocated"] == pytest.approx((24 * share,))


def test_a_profile_that_cannot_be_read_leaves_the_hours_unknown() -> None:
    rows = [hour(h, mig_id="1", mig_profile="big") for h in range(24)]
    got = compute(*rows)
    assert by_state(got, "gpu_hours_capacity", "energy_kwh") == {"unknown": (24, 12)}
    (found,) = issues(*rows)
    assert found[:4] == ("unknown MIG profile", "n1", "g1", 24)
    assert found[4].startswith(
        "big on NVIDIA H100: has profiles that the card has not; allowed are 1g.10gb, 1g.20gb, "
    )


def test_a_layout_that_does_not_fit_its_card_leaves_its_hours_unknown() -> None:
    model = "NVIDIA H100 80GB HBM3"
    rows = [
        hour(h, gpu_model=model, mig_id=i, mig_profile=p, energy_kwh=0.1)
        for h in range(24)
        for i, p in (("1", "3g.40gb"), ("2", "3g.40gb"), ("3", "1g.10gb" if h < 6 else "?"))
    ]
    got = compute(*rows)
    # Six hours of 3g + 3g + 1g: 7 compute slices, but 9 of 8 memory slices. After them 2 x 3/7 held, 1/7 unknown.
    hours = by_state(got.group_by("state").agg(pl.col("gpu_hours_capacity").sum()), "gpu_hours_capacity")
    assert hours == {"allocated": (pytest.approx(18 * 6 / 7),), "unknown": (pytest.approx(6 + 18 / 7),)}
    assert got["energy_kwh"].sum() == pytest.approx(7.2)
    assert got.select(pl.sum_horizontal(COSTS).sum()).item() == Decimal("101.08")  # 100 + 7.2 kWh x 0.15
    found, alien = issues(*rows)
    assert alien[:4] == ("unknown MIG profile", "n1", "g1", 18)
    assert found[:4] == ("MIG layout does not fit", "n1", "g1", 18)
    assert found[4].startswith(
        f"1g.10gb + 3g.40gb + 3g.40gb on {model}: needs 7 compute and 9 memory slices; allowed"
    )


def test_slices_before_and_after_a_card_is_cut_anew_are_no_layout() -> None:
    half = {"observed_hours": 0.5, "used_hours": 0.25, "energy_kwh": 0.1}
    rows = [
        hour(0, mig_id=str(i), mig_profile=p, **half) for i, p in enumerate(["4g.40gb", "3g.40gb", "7g.80gb"])
    ]
    assert not issues(*rows)


def test_dedicated_and_sliced_cards_of_a_node() -> None:
    rows = [
        row
        for h in range(24)
        for row in (
            hour(h, gpu="g1"),
            hour(h, gpu="g2", mig_id="1", mig_profile="4g.40gb", team="search", energy_kwh=0.25),
            hour(h, gpu="g2", mig_id="2", mig_profile="3g.40gb", team="speech", energy_kwh=0.25),
        )
    ]
    got = compute(*rows, assets=(server(units=2),))
    # 50 a card, half idle: 25; of the sliced card 4/7 and 3/7 of it.
    idle = {team: round(float(cost), 6) for team, cost in got.select("team", "cost_idle").rows()}
    assert idle == {"vision": 25, "search": 14.285714, "speech": 10.714286}
    assert got.select(pl.sum_horizontal(COSTS).sum()).item() == Decimal("103.60")  # 24 kWh x 0.15


def test_a_card_that_is_cut_anew_within_an_hour_is_known_all_the_time() -> None:
    """00:00-00:20 seven 1g, 00:20-01:00 two 3g (1/7 does not exist); 01:00-01:20 whole and free, 01:20-02:00 two 3g."""
    third, rest = {"observed_hours": 1 / 3}, {"observed_hours": 2 / 3}
    rows = [
        *(hour(0, mig_id=str(n), mig_profile="1g.10gb", used_hours=1 / 6, **third) for n in range(7)),
        free(1, **third),
        *(
            hour(h, mig_id=str(n), mig_profile="3g.40gb", used_hours=1 / 3, **rest)
            for h in (0, 1)
            for n in (8, 9)
        ),
        *(hour(h) for h in range(2, 24)),
    ]
    got = compute(*rows)
    hours = {
        (r["mig_profile"], r["state"]): round(r["gpu_hours_capacity"], 9) for r in got.iter_rows(named=True)
    }
    assert hours == {
        ("1g.10gb", "allocated"): round(1 / 3, 9),
        ("3g.40gb", "allocated"): round(2 * 2 / 3 * 6 / 7, 9),
        (None, "allocated"): 22,
        (None, "unallocated"): round(2 * 2 / 3 / 7 + 1 / 3, 9),
    }


def test_a_card_that_is_cut_anew_at_half_past_is_known_all_the_time() -> None:
    """Two 3g until 00:30, two others after: equally long, and too many to be there at once. 1/7 does not exist."""
    half = {"observed_hours": 0.5, "used_hours": 0.25}
    rows = [
        *(hour(0, mig_id=str(n), mig_profile="3g.40gb", **half) for n in (8, 9, 10, 11)),
        *(hour(h) for h in range(1, 24)),
    ]
    got = compute(*rows).group_by("state").agg(pl.col("gpu_hours_capacity").sum())
    assert {state: round(h, 9) for state, h in got.iter_rows()} == {
        "allocated": round(23 + 6 / 7, 9),
        "unallocated": round(1 / 7, 9),
    }
