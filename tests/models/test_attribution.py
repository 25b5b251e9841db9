"""Wall meters to holders, by hand and for any site."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import gpu
from models.attribution import Attribution, attribute
from models.config import Site
from models.tables import POWER_HOURLY
from tests.models.owned import DAY, DAYS, SITES, free, gap, gpu_hourly, hour, server

MIDNIGHT = datetime.combine(DAY, datetime.min.time())


def meter(start: int, kwh: float, **changes: Any) -> dict[str, Any]:
    """One hour of the wall meter of node n1."""
    return {
        "hour": MIDNIGHT + timedelta(hours=start), "day": DAY, "source": "ipmi", "site": "dc1", "node": "n1",
        "meter": "n1/psu", "method": "ipmi_dcmi", "scope": "wall", "counts": True, "energy_kwh": kwh,
        "energy_estimated_kwh": 0.0, "coverage": 1.0,
    } | changes  # fmt: skip


def power(*rows: dict[str, Any]) -> pl.DataFrame:
    return (
        POWER_HOURLY.conform(pl.DataFrame(list(rows), infer_schema_length=None))
        if rows
        else POWER_HOURLY.empty()
    )


def attributed(hourly: pl.DataFrame, meters: pl.DataFrame, *assets: Any, sites: Any = SITES) -> Attribution:
    return attribute(hourly, meters, assets or (server(units=2),), sites, DAYS)


def energy(found: Attribution) -> dict[tuple[str, str | None], float]:
    """(card, team) -> kWh, rounded to a milliwatt-hour."""
    return {
        (str(card), team): round(kwh, 6)
        for card, team, kwh in found.hourly.group_by("gpu", "team")
        .agg(pl.col("energy_kwh").sum())
        .iter_rows()
    }


def test_residual_goes_by_energy_of_the_cards() -> None:
    # Wall 1.2; cards 0.6 and 0.2. Beyond them 0.4, by energy 3 : 1 -> 0.9 and 0.3.
    rows = gpu_hourly(hour(0, gpu="g1", energy_kwh=0.6), hour(0, gpu="g2", team="search", energy_kwh=0.2))
    found = attributed(rows, power(meter(0, 1.2)))
    assert energy(found) == {("g1", "vision"): 0.9, ("g2", "search"): 0.3}
    day = found.balance.row(0, named=True)
    assert (day["metered_kwh"], day["attributed_kwh"], day["cards_kwh"]) == (1.2, 1.2, pytest.approx(0.8))
    assert (day["difference_kwh"], day["contradicting_hours"], found.anomalies.height) == (0, 0, 0)


@pytest.mark.parametrize("first", [0.75, 0.5])
def test_layouts_that_follow_each_other_share_the_energy_of_their_own_time(first: float) -> None:
    """First a busy 4g and an idle 3g, 0.6 kWh; then a busy 7g, 0.4 kWh.

    U = 4/7: the 4g has 4/7 + 3/7 x 4/7 = 40/49 of the 0.6, the 3g 3/7 x 3/7 = 9/49; the 7g has all of the 0.4.
    """
    before, after = {"observed_hours": first}, {"observed_hours": 1 - first, "used_hours": 1 - first}
    rows = gpu_hourly(
        hour(0, mig_profile="4g.40gb", mig_id="1", energy_kwh=0.6 * 4 / 7, used_hours=first, **before),
        hour(
            0, mig_profile="3g.40gb", mig_id="2", team="ads", energy_kwh=0.6 * 3 / 7, used_hours=0.0, **before
        ),
        hour(0, mig_profile="7g.80gb", mig_id="0", team="search", energy_kwh=0.4, **after),
    )
    assert energy(attributed(rows, power(), server())) == {
        ("g1", "vision"): round(0.6 * 40 / 49, 6),
        ("g1", "ads"): round(0.6 * 9 / 49, 6),
        ("g1", "search"): 0.4,
    }


def test_half_an_hour_that_ends_a_day_is_all_of_its_hour() -> None:
    """On 5 April 2026 Lord Howe has 24.5 hours. Its last half: wall 0.6, cards 0.3 and 0.1; beyond them 0.2, by 3 : 1."""
    sites = {"dc1": Site.model_validate({"time_zone": "Australia/Lord_Howe", "tariff": "0.10"})}
    day = date(2026, 4, 5)
    last = {"hour": datetime.fromisoformat("2026-04-05T13:00"), "day": day}
    half = last | {"observed_hours": 0.5, "used_hours": 0.25}
    rows = gpu_hourly(
        hour(0, gpu="g1", energy_kwh=0.3, **half), hour(0, gpu="g2", team="search", energy_kwh=0.1, **half)
    )
    asset = server(units=2, in_service=date(2026, 4, 1))
    found = attribute(rows, power(meter(0, 0.6, coverage=0.5, **last)), [asset], sites, {"dc1": (day, day)})
    assert energy(found) == {("g1", "vision"): 0.45, ("g2", "search"): 0.15}
    assert found.hourly["energy_kwh"].sum() == pytest.approx(found.balance["metered_kwh"][0])
    assert found.balance["covered_hours"].to_list() == [0.5]


def test_idle_node_that_nobody_asked_for_is_nobodys() -> None:
    rows = gpu_hourly(free(0, gpu="g1", energy_kwh=0.1), free(0, gpu="g2", energy_kwh=0.1))
    assert energy(attributed(rows, power(meter(0, 0.5)))) == {("g1", None): 0.25, ("g2", None): 0.25}


def test_a_node_without_telemetry_of_cards_is_nobodys() -> None:
    found = attributed(gpu_hourly(), power(meter(0, 0.8)))
    assert energy(found) == {("n1/unseen-1", None): 0.4, ("n1/unseen-2", None): 0.4}
    parts = gpu.daily_parts(found.hourly, [server(units=2)], SITES, DAYS)
    assert sorted(set(parts["gpu"])) == ["n1/unseen-1", "n1/unseen-2"]
    assert parts["gpu_hours"].sum() == 48
    assert parts["energy_cost"].sum() * 100 == 12  # 0.8 kWh x 1.5 x 0.10
    assert parts["fixed_cost"].sum() == 100


def test_a_card_without_energy_takes_its_hours_of_what_is_beyond() -> None:
    # Wall 1.0, g1 0.4, g2 unknown. Beyond 0.6: half of it for the unknown half of the hours.
    rows = gpu_hourly(hour(0, gpu="g1", energy_kwh=0.4), hour(0, gpu="g2", team="search", energy_kwh=None))
    assert energy(attributed(rows, power(meter(0, 1.0)))) == {("g1", "vision"): 0.7, ("g2", "search"): 0.3}


def test_a_card_held_in_a_gap_of_its_samples_takes_its_hours() -> None:
    # g2 is held as its pod requested it, without a sample: the 0 kWh of its row is not measured.
    rows = gpu_hourly(
        hour(0, gpu="g1", energy_kwh=0.4),
        hour(0, gpu="g2", team="search", energy_kwh=0.0, used_hours=None, sampled=False),
    )
    assert energy(attributed(rows, power(meter(0, 1.0)))) == {("g1", "vision"): 0.7, ("g2", "search"): 0.3}


def test_cards_above_the_meter_are_billed_the_meter_and_reported() -> None:
    rows = gpu_hourly(hour(0, gpu="g1", energy_kwh=0.9), hour(0, gpu="g2", team="search", energy_kwh=0.3))
    found = attributed(rows, power(meter(0, 1.0)))
    assert energy(found) == {("g1", "vision"): 0.75, ("g2", "search"): 0.25}
    assert found.balance["contradicting_hours"].to_list() == [1]
    assert found.anomalies.select("issue", "node", "rows").rows() == [
        ("cards above their wall meter", "n1", 1)
    ]


def test_hours_without_meter_keep_the_energy_of_the_cards() -> None:
    rows = gpu_hourly(hour(0, energy_kwh=0.5), hour(1, energy_kwh=0.5))
    found = attributed(rows, power(meter(0, 0.8)), server())
    assert found.hourly.sort("hour")["energy_kwh"].to_list() == [0.8, 0.5]


def test_half_an_hour_of_meter_is_billed_and_half_by_the_card() -> None:
    # The meter saw 0.4 kWh in half an hour; of the other half the card's own 0.25 is known.
    found = attributed(gpu_hourly(hour(0, energy_kwh=0.5)), power(meter(0, 0.4, coverage=0.5)), server())
    assert energy(found) == {("g1", "vision"): 0.65}
    assert found.balance["attributed_kwh"].to_list() == [pytest.approx(0.4)]


def test_bridged_energy_of_the_meter_stays_estimated() -> None:
    meters = power(meter(0, 0.3, energy_estimated_kwh=0.5, coverage=0.4))
    found = attributed(gpu_hourly(hour(0, energy_kwh=0.5)), meters, server())
    assert found.hourly.select("energy_kwh", "energy_estimated_kwh").rows() == [(0.3, 0.5)]


def test_slices_by_activity_and_by_slices() -> None:
    # 0.7 kWh. 3g at a = 0.5: u = 3/14; 2g idle; 2 of 7 slices do not exist. U = 3/14, idle part 11/14.
    # 3g: 3/14 + 11/14 x 3/7 = 54/98; 2g: 11/14 x 2/7 = 22/98; nobody: 22/98.
    rows = gpu_hourly(
        hour(0, gpu_model="NVIDIA H100", mig_id="1", mig_profile="3g.40gb", used_hours=0.5, energy_kwh=0.42),
        hour(0, mig_id="2", mig_profile="2g.20gb", team="search", used_hours=0.0, energy_kwh=0.28),
    )
    expected = {("g1", "vision"): 0.385714, ("g1", "search"): 0.157143, ("g1", None): 0.157143}
    assert energy(attributed(rows, power(), server())) == expected
    # A wall meter doubles it.
    doubled = {k: round(2 * v, 5) for k, v in expected.items()}
    assert {
        k: round(v, 5) for k, v in energy(attributed(rows, power(meter(0, 1.4)), server())).items()
    } == doubled


def test_slices_of_unknown_activity_by_slices_alone() -> None:
    rows = gpu_hourly(
        hour(0, mig_id="1", mig_profile="4g.40gb", used_hours=None, energy_kwh=0.1),
        hour(0, mig_id="2", mig_profile="3g.40gb", team="search", used_hours=0.9, energy_kwh=0.6),
    )
    assert energy(attributed(rows, power(), server())) == {("g1", "vision"): 0.4, ("g1", "search"): 0.3}


def test_energy_on_the_whole_card_beside_its_slices_goes_to_them() -> None:
    rows = gpu_hourly(
        free(0, energy_kwh=0.7, used_hours=None),
        hour(0, mig_id="1", mig_profile="4g.40gb", used_hours=0.0, energy_kwh=None),
    )
    found = attributed(rows, power(), server())
    assert energy(found) == {("g1", None): 0.3, ("g1", "vision"): 0.4}
    parts = gpu.daily_parts(found.hourly, [server()], SITES, DAYS)
    held = parts.filter(pl.col("state") == "allocated")
    assert (held["gpu_hours"].sum(), parts["gpu_hours"].sum()) == (pytest.approx(4 / 7), pytest.approx(24))


def test_a_card_that_is_whole_after_its_slices_keeps_the_energy_of_that_time() -> None:
    # Until 00:20 two 3g: one held at half use, 0.2 kWh in all. U = 3/14: held 3/14 + 11/14 x 3/7 = 27/49, free 33/98,
    # nobody's 11/98. Then 0.4 kWh of the whole card.
    third = {"observed_hours": 1 / 3, "energy_kwh": 0.1, "mig_profile": "3g.40gb"}
    rows = gpu_hourly(
        hour(0, mig_id="1", used_hours=1 / 6, **third),
        free(0, mig_id="2", **third),
        hour(0, team="speech", observed_hours=2 / 3, used_hours=1 / 3, energy_kwh=0.4),
    )
    found = energy(attributed(rows, power(), server()))
    assert found == {
        ("g1", "vision"): pytest.approx(0.2 * 27 / 49, abs=1e-6),
        ("g1", None): pytest.approx(0.2 * 22 / 49, abs=1e-6),
        ("g1", "speech"): pytest.approx(0.4),
    }


def test_a_slice_that_changes_hands_is_there_for_the_sum_of_both() -> None:
    # 3g at full use all hour, half of it each: 3/7 + 4/7 x 3/7 = 33/49 of 0.7 kWh together, 16/49 nobody's
    half = {
        "mig_id": "1",
        "mig_profile": "3g.40gb",
        "observed_hours": 0.5,
        "used_hours": 0.5,
        "energy_kwh": 0.35,
    }
    rows = gpu_hourly(hour(0, **half), hour(0, team="search", **half))
    found = energy(attributed(rows, power(), server()))
    assert found == {
        ("g1", "vision"): pytest.approx(0.7 * 33 / 98, abs=1e-6),
        ("g1", "search"): pytest.approx(0.7 * 33 / 98, abs=1e-6),
        ("g1", None): pytest.approx(0.7 * 16 / 49, abs=1e-6),
    }


def test_a_rack_meter_bills_the_nodes_that_name_it() -> None:
    # Rack 2.0; n1 draws 0.6, n2 0.4: 1.2 and 0.8. The meter of n1 alone does not count.
    assets = (server(meter="rack1"), server(asset="srv-2", node="n2", meter="rack1"))
    rows = gpu_hourly(hour(0, energy_kwh=0.6), hour(0, node="n2", gpu="g2", team="search", energy_kwh=0.4))
    meters = power(
        meter(0, 2.0, meter="rack1", node=None, method="pdu", scope="rack", counts=None), meter(0, 0.9)
    )
    found = attributed(rows, meters, *assets)
    assert energy(found) == {("g1", "vision"): 1.2, ("g2", "search"): 0.8}
    assert found.balance["meter"].to_list() == ["rack1"]


def test_two_supplies_of_a_node_add_up_and_a_second_source_does_not() -> None:
    rows = gpu_hourly(hour(0, energy_kwh=0.5))
    both = power(
        meter(0, 0.5, meter="a"),
        meter(0, 0.3, meter="b"),
        meter(0, 0.7, source="other", meter="c", coverage=0.9),
    )
    assert energy(attributed(rows, both, server())) == {("g1", "vision"): 0.8}


def test_a_facility_meter_takes_no_pue() -> None:
    sites = {
        "dc1": Site.model_validate(
            {"time_zone": "UTC", "tariff": "0.10", "pue": 1.5, "facility_meters": ["n1/psu"]}
        )
    }
    found = attributed(gpu_hourly(hour(0, energy_kwh=0.5)), power(meter(0, 1.0)), server(), sites=sites)
    parts = gpu.daily_parts(found.hourly, [server()], sites, DAYS)
    assert parts["energy_cost"].sum() * 10 == 1  # 1 kWh x 0.10


def test_a_card_replaced_under_its_wall_meter_leaves_nothing_to_nobody() -> None:
    # g1 until noon, g9 after it: each hour one card has 0.5 and the meter shows 0.8.
    rows = gpu_hourly(
        *(hour(h) for h in range(12)), *(hour(h, gpu="g9", team="search") for h in range(12, 24))
    )
    found = attributed(rows, power(*(meter(h, 0.8) for h in range(24))), server())
    assert energy(found) == {("g1", "vision"): 9.6, ("g9", "search"): 9.6}


def test_nodes_that_exchange_a_card_are_billed_by_their_own_meters() -> None:
    # g1 leaves n1 for n2 at 01:00. n1 shows 0.8 and then 0.3 of an empty chassis, n2 0.3 and then 0.9.
    assets = (server(), server(asset="srv-2", node="n2"))
    rows = gpu_hourly(hour(0), hour(1, node="n2"))
    other = {"meter": "n2/psu", "node": "n2"}
    meters = power(meter(0, 0.8), meter(1, 0.3), meter(0, 0.3, **other), meter(1, 0.9, **other))
    assert energy(attributed(rows, meters, *assets)) == {("g1", "vision"): 1.7, ("g1", None): 0.6}


def test_negative_energy_of_a_meter_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"energy_kwh is -1.0 in 1 rows, first: source 'ipmi', meter 'n1/psu'"
    ):
        attributed(gpu_hourly(), power(meter(0, -1.0)))


kwh = st.floats(0, 3).map(lambda v: round(v, 4))
share = st.floats(0, 1).map(lambda v: round(v, 3))


@st.composite
def rows_of_a_card(draw: st.DrawFn, card: str) -> list[dict[str, Any]]:
    """Some hours of one card: held, free, dark, in slices, without energy."""
    rows: list[dict[str, Any]] = []
    for start in range(3):
        kind = draw(st.sampled_from(["held", "free", "dark", "absent", "slices", "unknown"]))
        common = {"gpu": card, "energy_kwh": draw(kwh), "observed_hours": draw(share)}
        used = draw(share) * common["observed_hours"]
        if kind == "held":
            rows.append(hour(start, **common, used_hours=used, team=draw(st.sampled_from(["a", "b"]))))
        elif kind == "unknown":
            rows.append(hour(start, **(common | {"energy_kwh": None}), used_hours=None))
        elif kind == "free":
            rows.append(free(start, **common))
        elif kind == "dark":
            rows.append(gap(start, gpu=card, energy_estimated_kwh=draw(kwh)))
        elif kind == "slices":
            profiles = draw(st.sampled_from([["3g.40gb", "2g.20gb"], ["4g.40gb", "3g.40gb"], ["1g.10gb"]]))
            rows.extend(
                hour(
                    start,
                    **common,
                    used_hours=draw(st.none() | st.just(used)),
                    mig_id=str(i),
                    mig_profile=profile,
                )
                for i, profile in enumerate(profiles)
            )
    return rows


@given(
    rows_of_a_card("g1"),
    rows_of_a_card("g2"),
    st.lists(st.tuples(kwh, kwh, st.floats(0.01, 1)), min_size=3, max_size=3),
    st.booleans(),
)
def test_watt_hours_and_money_are_conserved_and_never_negative(
    first: list[dict[str, Any]],
    second: list[dict[str, Any]],
    walls: list[tuple[float, float, float]],
    rack: bool,
) -> None:
    assets = (server(units=2, meter="n1/psu" if rack else None),)
    rows = gpu_hourly(*first, *second)
    meters = power(*(meter(h, w, energy_estimated_kwh=e, coverage=c) for h, (w, e, c) in enumerate(walls)))
    found = attributed(rows, meters, *assets)
    assert found.balance["difference_kwh"].max() < 1e-9
    assert found.balance["attributed_kwh"].sum() == pytest.approx(sum(w + e for w, e, _ in walls), abs=1e-9)
    for column in ("energy_kwh", "energy_estimated_kwh"):
        assert (found.hourly[column].drop_nulls() >= 0).all()
    # Whole hours of the meter: nothing but the meter is billed.
    full = [h for h, (_, e, c) in enumerate(walls) if c == 1 or e > 0]
    billed = found.hourly.filter(pl.col("hour").dt.hour().is_in(full))
    given_out = billed.select(pl.col("energy_kwh") + pl.col("energy_estimated_kwh")).to_series().sum()
    assert given_out == pytest.approx(sum(sum(walls[h][:2]) for h in full), abs=1e-9)
    parts = gpu.daily_parts(found.hourly, assets, SITES, DAYS)
    money = parts.select(pl.col("fixed_cost", "energy_cost", "energy_estimated_cost").sum()).row(0)
    assert money[0] == 100
    total = found.hourly.select(pl.col("energy_kwh").fill_null(0).sum()).item()
    assert float(money[1]) == pytest.approx(total * 0.15, abs=1e-9)
    assert parts.filter(
        pl.any_horizontal(pl.col("fixed_cost", "energy_cost", "energy_estimated_cost") < 0)
    ).is_empty()
    assert parts["gpu_hours"].sum() == pytest.approx(48)
