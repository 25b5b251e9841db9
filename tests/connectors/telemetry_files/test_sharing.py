"""Several samples of a card at one moment: sharers, replicas, batch jobs; and a card that is cut anew."""

from __future__ import annotations

from math import isclose
from pathlib import Path

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
