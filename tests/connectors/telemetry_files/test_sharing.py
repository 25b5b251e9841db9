"""Several samples of a card at one moment: sharers, replicas, batch jobs; and a card that is cut anew."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import timedelta
from math import isclose
from pathlib import Path
from random import Random

import polars as pl
import pytest

from tests.connectors.telemetry_files.samples import GPU, card, load, minutes, table, write

HOUR = minutes("2026-09-01 10:00", 61)


def test_holders_at_one_moment_share_the_card_and_replicas_do_not(tmp_path: Path) -> None:
    """Time-slicing repeats the card for each pod, a pair of Prometheus repeats each pod; jobs share it likewise.

    An hour at 600 W, 0.6 kWh. Two pods, each twice (0.4 and 0.6 used): half an hour each, half used, 0.3 kWh. Of the
    second card one replica has lost the pod: the pod has the hour. Two jobs of the third: half an hour each.
    """
    rows = []
    for minute, ts in enumerate(HOUR):
        at = {"ts": ts, "energy_mj": 1e12 + minute * 3.6e7, "workload": None}
        for pod in ("p1", "p2"):
            rows += [card(**at, pod=pod, team=pod, utilisation=use) for use in (0.4, 0.6)]
        rows += [card(**at, gpu="GPU-2"), card(**at, gpu="GPU-2", pod=None, team=None)]
        rows += [card(**at, gpu="GPU-3", pod=None, team=None, hpc_job=job) for job in ("j1", "j2")]
    write(tmp_path, "gpu/a.parquet", rows)
    found = table(load(tmp_path), GPU).sort("gpu", "pod")
    columns = ("gpu", "pod", "observed_hours", "used_hours", "energy_kwh")
    got = [tuple(round(v, 9) if isinstance(v, float) else v for v in r) for r in found.select(columns).rows()]
    assert got == [
        ("GPU-1", "p1", 0.5, 0.25, 0.3),
        ("GPU-1", "p2", 0.5, 0.25, 0.3),
        ("GPU-2", "chat-0", 1.0, 0.5, 0.6),
        ("GPU-3", "j1", 0.5, 0.25, 0.3),
        ("GPU-3", "j2", 0.5, 0.25, 0.3),
    ]


def test_gauges_of_replicas_that_disagree_count_with_their_mean(tmp_path: Path) -> None:
    """400 and 600 W at the same moments are 500 W: 0.5 kWh in an hour."""
    rows = [card(ts, None, power_w=watts) for ts in HOUR for watts in (400.0, 600.0)]
    write(tmp_path, "gpu/a.parquet", rows)
    found = table(load(tmp_path), GPU)
    assert isclose(found["energy_kwh"].sum(), 0.5)


@pytest.mark.parametrize("seed", range(4))
def test_any_holders_at_any_moments_are_what_plain_counting_says(tmp_path: Path, seed: int) -> None:
    """Up to six samples a moment of two pods, a job, a team or nobody, whose labels differ; 0.01 kWh a minute."""
    random = Random(seed)
    held, used, kwh = Counter[str](), Counter[str](), Counter[str]()
    told: dict[str, set[str]] = defaultdict(set)
    seen: Counter[tuple[object, ...]] = Counter()
    rows = []
    for minute, ts in enumerate(HOUR):
        moment: dict[str, list[float]] = defaultdict(list)
        projects: dict[str, set[str]] = defaultdict(set)
        for _ in range(random.randint(1, 6)):
            pod, job, team = random.choice(
                [
                    ("p1", None, "t1"),
                    ("p2", None, "t2"),
                    (None, "j", None),
                    (None, None, "t3"),
                    (None, None, None),
                ]
            )
            project = random.choice(["a", "b", None])
            use = random.randrange(101) / 100
            rows.append(
                card(
                    ts,
                    1e12 + minute * 3.6e7,
                    pod=pod,
                    hpc_job=job,
                    team=team,
                    workload=None,
                    project=project,
                    utilisation=use,
                )
            )
            seen[pod, job, ts] += 1
            holder = pod or job or team or ""
            moment[holder].append(use)
            projects[holder] |= {project} if project else set()
        holders = {h: uses for h, uses in moment.items() if h} or moment
        if minute < 60:
            for holder, uses in holders.items():
                held[holder] += 1 / len(holders)
                used[holder] += sum(uses) / len(uses) / len(holders)
                kwh[holder] += 0.01 / len(holders)
                told[holder] |= projects[holder]
    random.shuffle(rows)
    write(tmp_path, "gpu/a.parquet", rows)
    (item,) = load(tmp_path)
    found = table([item], GPU).filter(pl.col("hour").dt.hour() == 10)
    got = {
        pod or team or "": rest
        for pod, team, *rest in found.select(
            "pod", "team", "observed_hours", "used_hours", "energy_kwh", "project"
        ).iter_rows()
    }
    assert got.keys() == held.keys()
    for holder, (hours, use, energy, project) in got.items():
        assert hours == pytest.approx(held[holder] / 60, abs=2e-9)
        assert use == pytest.approx(used[holder] / 60, abs=2e-9)
        assert energy == pytest.approx(kwh[holder], abs=2e-9)
        assert project == max(told[holder], default=None)
    repeated = item.issues.filter(pl.col("rule") == "duplicate_sample")["rows"].sum()
    assert repeated == sum(n - 1 for n in seen.values())


def test_a_card_that_is_cut_anew_is_observed_all_the_time(tmp_path: Path) -> None:
    """Seven slices until 00:20, then two: 20 and 40 minutes of each, none lost at the change."""
    rows = []
    for minute, ts in enumerate(HOUR):
        layout = [("1g.10gb", n) for n in range(7)] if minute < 20 else [("3g.40gb", n) for n in (8, 9)]
        rows += [card(ts, 1e12, mig_profile=profile, mig_id=str(number)) for profile, number in layout]
    write(tmp_path, "gpu/a.parquet", rows)
    found = table(load(tmp_path), GPU).sort("mig_id")
    assert found["mig_profile"].to_list() == ["1g.10gb"] * 7 + ["3g.40gb"] * 2
    assert all(isclose(h, 1 / 3) for h in found["observed_hours"][:7])
    assert all(isclose(h, 2 / 3) for h in found["observed_hours"][7:])


def test_old_and_new_names_of_a_pod_in_one_file(tmp_path: Path) -> None:
    """Half an hour by an old exporter, half by a new one; with and without `exported_`, beside the exporter's own pod."""
    names = {
        "GPU-1": ({"pod_name": "chat"}, {"exported_pod": "chat", "pod": "exporter"}),
        "GPU-2": ({"pod_name": None}, {"exported_pod": None, "pod": "exporter"}),
    }
    columns = {"pod": None, "pod_name": None, "exported_pod": None, "team": None, "workload": None}
    rows = [
        card(ts, 1e12, gpu=gpu, **(columns | half[minute >= 30]))
        for gpu, half in names.items()
        for minute, ts in enumerate(HOUR)
    ]
    write(tmp_path, "gpu/a.parquet", rows)
    found = table(load(tmp_path), GPU).sort("gpu")
    assert found.select("gpu", "pod", "observed_hours").rows() == [
        ("GPU-1", "chat", 1.0),
        ("GPU-2", None, 1.0),
    ]


def test_a_pod_column_that_is_new_and_one_that_is_old(tmp_path: Path) -> None:
    """`pod_name` until 10:30, then `pod`, which is also the exporter's own where nobody holds the card."""
    rows = [
        card(
            ts,
            1e12,
            gpu=gpu,
            team=None,
            workload=None,
            pod_name=old if n < 30 else None,
            pod=None if n < 30 else new,
        )
        for gpu, old, new in (("GPU-1", "chat", "chat"), ("GPU-2", None, "nvidia-dcgm-exporter-x1"))
        for n, ts in enumerate(HOUR)
    ]
    write(tmp_path, "gpu/a.csv", rows)
    found = table(load(tmp_path), GPU).sort("gpu")
    assert found.select("gpu", "pod", "observed_hours").rows() == [
        ("GPU-1", "chat", 1.0),
        ("GPU-2", None, 1.0),
    ]


def test_the_exporter_holds_no_card(tmp_path: Path) -> None:
    rows = [card(ts, 1e12, team=None, workload=None, pod="nvidia-dcgm-exporter-x1") for ts in HOUR]
    write(tmp_path, "gpu/a.parquet", rows)
    found = table(load(tmp_path), GPU)
    assert found.select("pod", "allocated", "observed_hours").rows() == [(None, False, 1.0)]


@pytest.mark.parametrize("late", [0, 20, 59])
def test_an_exporter_that_knows_no_pods_takes_nothing_from_one_that_does(tmp_path: Path, late: int) -> None:
    """A pod from 10:00 to 10:30 and nobody until 11:00 by one exporter; nobody at all by the other, some seconds later."""
    rows = [card(ts, 1e12 + n * 6e6) for n, ts in enumerate(minutes("2026-09-01 10:00", 61))]
    nobody = {"pod": None, "team": None, "workload": None}
    rows[30:] = [r | nobody for r in rows[30:]]
    other = [
        r | nobody | {"ts": r["ts"] + timedelta(seconds=late), "energy_mj": r["energy_mj"] + 1e5 * late}
        for r in rows
    ]
    write(tmp_path, "gpu.parquet", [*rows, *other])
    hours = table(load(tmp_path), GPU).group_by("pod").agg(pl.col("observed_hours").sum())
    found = dict(hours.iter_rows())
    # the pod's last sample stands until the first one of the other exporter that none of the pod follows
    assert found["chat-0"] == pytest.approx(0.5 if late == 0 else (29 * 60 + late) / 3600)
    assert sum(found.values()) == pytest.approx((3600 + late) / 3600)


@pytest.mark.parametrize("every", [True, False])
def test_a_whole_card_that_nobody_holds_draws_nothing_beside_its_slices(tmp_path: Path, every: bool) -> None:
    """0.7 kWh an hour: 3/7 and 4/7 of it under the slices' pods; from 11:00 to 12:00 the card is whole, and nobody's.

    Whether the slices repeat the card's counter or the card alone shows it.
    """
    rows = []
    for n, ts in enumerate(minutes("2026-09-01 10:00", 121)):
        total = 1e12 + n * 0.7 / 60 * 3.6e9
        rows.append(card(ts, total, pod=None, team=None, workload=None, mig_profile=None, mig_id=None))
        for profile, mig, pod in (("3g.40gb", "1", "a"), ("4g.40gb", "2", "b")):
            if n < 60:
                shown = total if every else None
                rows.append(card(ts, shown, pod=pod, mig_profile=profile, mig_id=mig))
    write(tmp_path, "gpu.parquet", rows)
    energy = table(load(tmp_path), GPU).group_by("mig_id").agg(pl.col("energy_kwh").sum())
    assert dict(energy.iter_rows()) == pytest.approx({"1": 0.3, "2": 0.4, None: 0.7})
