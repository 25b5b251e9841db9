"""Slices for whole cards, and the fewest cards for slices: by hand, and against trying every way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import gpu
from models.config import Ownership, Sharing
from models.mig import cards, misfit
from models.mig_packing import candidates, fewest, packing
from models.tables import MIG_CARDS, MIG_PACKING
from tests.models.owned import DAY, DAYS, SITES, free, gap, gpu_hourly, hour, server

H100 = "NVIDIA H100 80GB HBM3"
RULES = Sharing(memory_gb={"OCR": 9.0, "big": 60.0})


def held(gpu_: str, peak: float | None, **changes: Any) -> list[dict[str, Any]]:
    """24 hours of a card under a pod of its own: idle but for one hour."""
    own = {
        "gpu": gpu_,
        "pod": f"pod-{gpu_}",
        "namespace": "x",
        "gpu_model": H100,
        "energy_kwh": 0.0,
    } | changes
    return [hour(h, used_hours=peak if h == 7 else 0.0, **own) for h in range(24)]


def judged(*rows: dict[str, Any], rules: Sharing = RULES) -> pl.DataFrame:
    got = candidates(gpu_hourly(*rows), DAY, rules)
    assert got.schema == MIG_CARDS.schema
    return got


@pytest.mark.parametrize(
    ("peak", "memory", "profile"),
    [
        (0.0, 9.0, "1g.10gb"),  # 0.9 x 10
        (0.1214, 9.0, "1g.10gb"),  # 0.85 / 7 = 0.12143
        (0.1214, 9.1, "1g.20gb"),
        (0.1215, 9.0, "2g.20gb"),
        (0.2428, 18.0, "2g.20gb"),
        (0.2429, 18.0, "3g.40gb"),
        (0.1, 36.0, "3g.40gb"),
        (0.3643, 9.0, "4g.40gb"),
        (0.4857, 9.0, "4g.40gb"),
        (0.4858, 9.0, None),
        (0.1, 36.1, None),
    ],
)
def test_the_smallest_slice_that_holds_hour_and_memory(
    peak: float, memory: float, profile: str | None
) -> None:
    row = judged(*held("a", peak), rules=Sharing(memory_gb={"ocr": memory})).row(0, named=True)
    assert (row["mig_profile"], row["status"]) == (profile, "fits" if profile else "whole")
    assert (row["utilisation_peak"], row["memory_gb"], row["gpu_hours_allocated"], row["coverage"]) == (
        pytest.approx(peak), memory, 24, 1,
    )  # fmt: skip


def test_the_busiest_hour_counts_by_its_held_part() -> None:
    """Held for a quarter of an hour and used for 0.03 h of it: 12 % of the card, though 3 % of the hour."""
    row = judged(*held("a", 0.1), hour(25, gpu="a", gpu_model=H100, observed_hours=0.25, used_hours=0.03, day=DAY)).row(0, named=True)  # fmt: skip
    assert (row["utilisation_peak"], row["mig_profile"]) == (pytest.approx(0.12), "1g.10gb")


def test_of_two_spellings_of_a_workload_the_most_memory_counts() -> None:
    for spelled in ({"OCR": 20.0, "ocr": 9.0}, {"ocr": 9.0, "OCR": 20.0}):
        assert judged(*held("a", 0.1), rules=Sharing(memory_gb=spelled))["memory_gb"].to_list() == [20]


def test_what_is_not_known_gets_no_slice() -> None:
    rows = [
        *held("other", 0.1, workload="chat"),
        *held("none", 0.1, workload=None),
        *held("short", 0.1)[:22], *(hour(h, gpu="short", gpu_model=H100, used_hours=None) for h in (22, 23)),
        *held("two-sizes", 0.1, gpu_model="NVIDIA A100"),
        *held("old", 0.1, gpu_model="Tesla V100"),
        *held("cut", 0.1), hour(24, gpu="cut", mig_profile="1g.10gb", mig_id="1", day=DAY),
        *(free(h, gpu="spare", gpu_model=H100) for h in range(24)), gap(3, gpu="dark"),
    ]  # fmt: skip
    got = {r["gpu"]: r["reason"] for r in judged(*rows).iter_rows(named=True)}
    assert got == {
        "other": "sharing.memory_gb does not have chat",
        "none": "sharing.memory_gb does not have untagged",
        "short": "use is known for 91.7% of its hours",
        "two-sizes": "NVIDIA A100 does not tell its memory",
        "old": "Tesla V100 has no known MIG profiles",
    }
    assert set(judged(*rows)["status"]) == {"unknown"}


def test_several_workloads_need_their_memory_together_and_several_cards_stay_whole() -> None:
    late = [r | {"workload": "big", "pod": "q", "team": "risk"} for r in held("a", 0.1)[12:]]
    row = judged(*held("a", 0.1)[:12], *late).row(0, named=True)
    assert (row["workload"], row["team"], row["memory_gb"], row["status"]) == ("big + ocr", "risk + vision", 69, "whole")  # fmt: skip
    pair = judged(*held("a", 0.1, pod="p"), *held("b", 0.1, pod="p"), *held("c", 0.1))
    assert pair["status"].to_list() == ["whole", "whole", "fits"]


def test_the_window_is_30_days() -> None:
    assert candidates(gpu_hourly(*held("a", 0.1)), DAY + timedelta(days=29), RULES).height == 1
    assert candidates(gpu_hourly(*held("a", 0.1)), DAY + timedelta(days=30), RULES).is_empty()


@pytest.mark.parametrize(
    ("model", "slices", "needed"),
    [
        (H100, {"1g.10gb": 7}, 1),
        (H100, {"1g.10gb": 8}, 2),
        (H100, {"1g.20gb": 5}, 2),  # 2 of 8 memory slices each
        (H100, {"3g.40gb": 3}, 2),
        (H100, {"4g.40gb": 2}, 2),  # it can start at 0 only
        (H100, {"4g.40gb": 1, "2g.20gb": 1, "1g.10gb": 1}, 1),
        (H100, {"3g.40gb": 1, "2g.20gb": 2, "1g.10gb": 3}, 2),  # H-02: ten slices of seven
        (H100, {"3g.40gb": 2, "1g.10gb": 1}, 2),  # 7 of 7 compute slices, but no memory slice is left
        # 442 memory slices are 55.25 cards
        (H100, {"4g.40gb": 40, "3g.40gb": 60, "2g.20gb": 21}, 56),
        ("NVIDIA A30", {"1g.6gb": 5, "2g.12gb": 1}, 2),
    ],
)
def test_fewest_cards(model: str, slices: dict[str, int], needed: int) -> None:
    layout = fewest(cards(model)[0], slices)
    assert sum(layout.values()) == needed
    for name, count in slices.items():
        assert sum(n * cut.count(name) for cut, n in layout.items()) == count
    assert all(misfit(model, cut) is None for cut in layout)


def test_a_slice_of_another_card_finds_no_place() -> None:
    with pytest.raises(ValueError, match="find no place"):
        fewest(cards(H100)[0], {"1g.5gb": 1})


def ways(slices: list[str], bins: tuple[tuple[str, ...], ...] = ()) -> Iterator[int]:
    """Cards of every way to put slices on cards, one after the other."""
    if not slices:
        yield len(bins)
        return
    first, *rest = slices
    for at in range(len(bins) + 1):
        cut = (*(bins[at] if at < len(bins) else ()), first)
        if misfit(H100, cut) is None:
            yield from ways(rest, (*bins[:at], cut, *bins[at + 1 :]))


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.sampled_from(["1g.10gb", "1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb"]), min_size=1, max_size=6)
)
def test_no_way_needs_fewer_cards(slices: list[str]) -> None:
    assert sum(fewest(cards(H100)[0], {n: slices.count(n) for n in slices}).values()) == min(ways(slices))


def packed(*rows: dict[str, Any], units: int, rules: Sharing = RULES) -> dict[str, Any]:
    hourly = gpu_hourly(*rows)
    day = gpu.daily(hourly, [server(units=units)], SITES, Ownership(), DAYS)
    got = packing(candidates(hourly, DAY, rules), hourly, day, DAY)
    assert got.schema == MIG_PACKING.schema
    return got.row(0, named=True) if got.height else {}


def test_cards_freed_and_their_cost() -> None:
    """A node of 100 a day with 5 cards: 20 each. Three need 3g: two cards; one is unknown, one whole. 60 x 1/3 saved."""
    row = packed(
        *held("a", 0.3), *held("b", 0.3), *held("c", 0.25), *held("d", 0.3, workload="new"), *held("e", 0.9), units=5
    )  # fmt: skip
    assert (row["cards_held"], row["cards_fit"], row["cards_whole"], row["cards_unknown"]) == (5, 3, 1, 1)
    assert (row["cards_needed"], row["cards_freed"], row["coverage"]) == (2, 1, 0.8)
    assert row["layout"] == "1 x (3g.40gb); 1 x (3g.40gb + 3g.40gb)"
    assert (row["cost"], row["saving"], row["currency"]) == (60, 20, "USD")


def test_nothing_fits_and_rented_cards() -> None:
    row = packed(*held("e", 0.9), units=1)
    assert (row["cards_fit"], row["cards_needed"], row["layout"], row["cost"], row["saving"]) == (
        0,
        0,
        None,
        0,
        0,
    )
    rows = [*held("a", 0.1), *held("b", 0.1)]
    nothing = gpu.daily(gpu_hourly(), [], SITES, Ownership(), DAYS)
    got = packing(judged(*rows), gpu_hourly(*rows), nothing, DAY)
    assert got.select("cards_freed", "cost", "saving", "currency").rows() == [(1, None, None, None)]
    assert packing(judged(), gpu_hourly(), nothing, DAY).is_empty()


def test_cards_that_follow_each_other_are_not_freed() -> None:
    """A pod on one of eight cards after the other, 3 h each: one at once, so that nothing is saved of its 24 h.

    Three cards (one slice each, together on one card) of which one is held at night alone: 8 x 1 + 16 x 2 = 40 held
    hours, of which 16 are beyond the one card needed. Cost: 100 / 3 for each full day, so 40/24 x 100/3 = 55.5556, of
    which 16/40 = 22.2222. In the last hour of three the pod is half an hour on each of two cards.
    """
    row = packed(*(r for k in range(8) for r in held(f"g{k}", 0.05)[3 * k : 3 * k + 3]), units=8)
    assert [row[c] for c in ("cards_fit", "cards_at_once", "cards_needed", "cards_freed", "saving")] == [8, 1, 2, 0, 0]  # fmt: skip
    row = packed(*held("a", 0.05)[:8], *held("b", 0.05)[8:], *held("c", 0.05)[8:], units=3)
    assert [row[c] for c in ("cards_fit", "cards_at_once", "cards_needed", "cards_freed")] == [3, 2, 1, 1]
    assert [round(row[c], 4) for c in ("cost", "saving")] == [Decimal("55.5556"), Decimal("22.2222")]
    half = {"observed_hours": 0.5, "used_hours": 0.0, "gpu_model": H100}
    row = packed(
        *held("a", 0.05)[:8], *held("b", 0.05)[9:],
        *(hour(8, gpu=g, pod=f"pod-{g}", namespace="x", **half) for g in "ab"), units=2,
    )  # fmt: skip
    assert [row[c] for c in ("cards_fit", "cards_at_once", "cards_needed", "cards_freed")] == [2, 1, 1, 0]


def test_a_card_of_several_holders_has_its_hours_once() -> None:
    row = judged(*held("a", 0.1), *held("a", 0.1, team="risk", pod="z")).row(0, named=True)
    assert (row["gpu_hours_allocated"], row["utilisation_peak"], row["team"], row["coverage"]) == (24, 0.1, "risk + vision", 1)  # fmt: skip


def test_gaps_are_not_known() -> None:
    """22 hours held; a gap of an hour and one of half an hour: 22.5 of 24 hours are known."""
    half = hour(22, gpu="a", pod="pod-a", namespace="x", gpu_model=H100, observed_hours=0.5, used_hours=0.0)
    row = judged(*held("a", 0.1)[:22], half, gap(22, gpu="a"), gap(23, gpu="a")).row(0, named=True)
    assert (row["coverage"], row["status"]) == (22.5 / 24, "unknown")
    assert row["reason"] == "use is known for 93.8% of its hours"


def test_holders_without_pod_are_not_told_apart() -> None:
    rows = [*held("a", 0.1, pod=None), *held("b", 0.1, pod=None), *held("c", 0.1, pod=None, team="risk")]
    got = judged(*rows)
    assert got["status"].to_list() == ["unknown", "unknown", "fits"]
    assert got["reason"][0] == "several cards have this holder at once, not told apart by pod"


@pytest.mark.parametrize(("memory", "profile"), [(20.0, "1g.24gb"), (40.0, "1g.48gb"), (44.0, None)])
def test_the_smallest_slice_is_that_of_least_memory(memory: float, profile: str | None) -> None:
    model = "NVIDIA RTX PRO 6000 Blackwell Server Edition 96GB"
    rows = held("a", 0.2, gpu_model=model)
    assert judged(*rows, rules=Sharing(memory_gb={"ocr": memory}))["mig_profile"].to_list() == [profile]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_saving_is_never_more_than_cost(peaks: list[float]) -> None:
    row = packed(*(r for n, peak in enumerate(peaks) for r in held(f"g{n}", peak)), units=len(peaks))
    assert Decimal(0) <= row["saving"] <= row["cost"] <= Decimal(100)
    assert 0 <= row["cards_freed"] <= row["cards_fit"] <= row["cards_held"] == len(peaks)
