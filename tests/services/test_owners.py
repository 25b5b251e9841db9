"""Whose a card is, by each label that may say so, and time-sliced cards: against a real Prometheus, by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from connectors.base import Context, Window
from connectors.prometheus.reader import Options, PrometheusReader
from models.config import Site
from pipelines.engines.duckdb import DuckDBEngine
from tests.services.prometheus import prometheus
from tests.sites import Text

pytestmark = pytest.mark.service

DAY = date(2026, 9, 1)
START = int(datetime(2026, 9, 1, tzinfo=UTC).timestamp())
MINUTES = range(181)


def _site(path: Path) -> None:
    """Three hours; every card draws 600 W: 36 kJ a minute, 0.6 kWh an hour, and works at half."""
    text = Text()

    def series(metric: str, labels: dict[str, str], value: float, minutes: range = MINUTES) -> None:
        text.add(metric, labels, ((START + 60 * m, value) for m in minutes))

    def card(gpu: str, node: str, holder: dict[str, str], minutes: range = MINUTES) -> None:
        labels = {
            "UUID": gpu,
            "Hostname": node,
            "modelName": "NVIDIA H100 80GB HBM3",
            "instance": f"{node}:9400",
        }
        energy = ((START + 60 * m, 1e12 + 36_000_000.0 * m) for m in minutes)
        text.add("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", labels | holder, energy)
        series("DCGM_FI_PROF_GR_ENGINE_ACTIVE", labels | holder, 0.5, minutes)

    def pod(name: str, namespace: str = "ml") -> dict[str, str]:
        return {"namespace": namespace, "pod": name}

    # n1 is labelled infra, the namespace shop is labelled retail, the Job nightly is labelled search.
    series("kube_node_labels", {"node": "n1", "label_team": "infra", "label_nvidia_com_gpu_replicas": "1"}, 1)
    series("kube_node_labels", {"node": "n2", "label_nvidia_com_gpu_replicas": "4"}, 1)
    series("kube_namespace_labels", {"namespace": "shop", "label_team": "retail"}, 1)
    series("kube_job_labels", {"namespace": "shop", "job_name": "nightly", "label_team": "search"}, 1)
    card("g-pod", "n1", pod("own", "shop"))
    series("kube_pod_labels", pod("own", "shop") | {"uid": "u-own", "label_team": "vision"}, 1)
    series("kube_pod_labels", pod("own", "shop") | {"uid": "u-own", "job": "ksm-without-labels"}, 1)
    # g-anew: its pod is labelled anew at 01:07; g-again: another pod has the name of the first from then on.
    for name, uids in (("anew", ("u-anew", "u-anew")), ("again", ("u-old", "u-new"))):
        card(f"g-{name}", "n1", pod(name))
        for uid, team, minutes in zip(uids, ("vision", "speech"), (range(67), range(67, 181)), strict=True):
            series("kube_pod_labels", pod(name) | {"uid": uid, "label_team": team}, 1, minutes)
    card("g-job", "n1", pod("nightly-x1", "shop"))
    series("kube_pod_labels", pod("nightly-x1", "shop") | {"uid": "u-job"}, 1)
    series(
        "kube_pod_owner",
        pod("nightly-x1", "shop") | {"uid": "u-job", "owner_kind": "Job", "owner_name": "nightly"},
        1,
    )
    card("g-space", "n1", pod("web", "shop"))
    series("kube_pod_labels", pod("web", "shop") | {"uid": "u-web"}, 1)
    card("g-unlisted", "n1", pod("ghost", "shop"))
    card("g-node", "n1", pod("bare"))
    card("g-free", "n1", {})
    card("g-slurm", "n1", {"hpc_job": "speech-asr-4711"})
    card("g-slurm2", "n1", {"hpc_job": "4712"})
    # g-cut: seven 1g, of which one is held, until 01:37; then two 3g, of which one is held, until 02:20; then whole.
    for n in range(7):
        card(
            "g-cut",
            "n1",
            {"GPU_I_PROFILE": "1g.10gb", "GPU_I_ID": str(n)} | (pod("small") if n == 0 else {}),
            range(97),
        )
    for n in (8, 9):
        card(
            "g-cut",
            "n1",
            {"GPU_I_PROFILE": "3g.40gb", "GPU_I_ID": str(n)} | (pod("half") if n == 8 else {}),
            range(97, 140),
        )
    card("g-cut", "n1", pod("big"), range(140, 181))
    late = [({}, range(90))]
    late += [({"GPU_I_PROFILE": "3g.40gb", "GPU_I_ID": "1"} | pod("late"), range(90, 181))]
    late += [({"GPU_I_PROFILE": "2g.20gb", "GPU_I_ID": n}, range(90, 181)) for n in ("3", "5")]
    for holder, minutes in late:
        labels = {"Hostname": "n1", "modelName": "NVIDIA H100 80GB HBM3", "instance": "n1:9400"} | holder
        rises = ((START + 60 * m, 1e12 + 6e4 * (300 * m + 600 * max(m - 90, 0))) for m in minutes)
        text.add("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", labels | {"UUID": "g-late"}, rises)
        series("DCGM_FI_DEV_POWER_USAGE", labels | {"UUID": "g-gauge"}, 300 if 0 in minutes else 900, minutes)
    card("g-torn", "n1", {"GPU_I_PROFILE": "4g.40gb", "GPU_I_ID": "1"} | pod("stays"))
    card("g-torn", "n1", {"GPU_I_PROFILE": "3g.40gb", "GPU_I_ID": "2"}, range(15))
    for n in range(7, 10):
        small = {"GPU_I_PROFILE": "1g.10gb", "GPU_I_ID": str(n)} | (pod("small") if n == 7 else {})
        card("g-torn", "n1", small, range(15, 181))
    old = {"UUID": "g-old", "Hostname": "n1", "modelName": "NVIDIA A100-SXM4-80GB"} | pod("old")
    series("DCGM_FI_DEV_GPU_UTIL", old | {"GPU_I_PROFILE": "7g.80gb", "GPU_I_ID": "0"}, 0)
    series("DCGM_FI_DEV_GPU_UTIL", old | {"UUID": "g-whole"}, 25)
    # n2 offers each card four times. g-two: two pods for two hours, one for the third. g-five: five pods.
    for name, minutes in (("a", MINUTES), ("b", range(120))):
        card("g-two", "n2", pod(name) | {"vgpu": name}, minutes)
        series("kube_pod_labels", pod(name) | {"uid": f"u-{name}", "label_team": f"team-{name}"}, 1)
    for n in range(5):
        card("g-five", "n2", pod(f"p{n}") | {"vgpu": str(n)})
    text.write(path)


@pytest.fixture(scope="module")
def hours(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    folder = tmp_path_factory.mktemp("owners")
    _site(folder / "site.om")
    with prometheus(folder / "site.om", folder) as url:
        context = Context("dc1", folder, folder / "cache", {"dc1": Site(time_zone="UTC", tariff="0.1")})
        pattern = "^(?P<team>[a-z]+)-(?P<workload>.+)-[0-9]+$"
        settings = {"kind": "prometheus", "url": url, "site": "dc1", "start": DAY, "hpc_job_pattern": pattern}
        source = PrometheusReader(Options.model_validate(settings), context)
        slices = source.slices(Window(DAY, datetime(2026, 9, 3, tzinfo=UTC)))
        with DuckDBEngine() as engine:
            (loaded,) = source.load(slices, folder / "work", engine)
    return pl.read_parquet(loaded.facts["telemetry.gpu_hourly"])


@pytest.mark.parametrize(
    ("gpu", "team", "workload", "allocated"),
    [
        ("g-pod", "vision", None, True),
        ("g-job", "search", "nightly", True),
        ("g-space", "retail", None, True),
        ("g-unlisted", "retail", None, True),
        ("g-node", "infra", None, True),
        ("g-free", None, None, False),
        ("g-slurm", "speech", "asr", True),
        ("g-slurm2", "infra", "4712", True),
    ],
)
def test_owner(
    hours: pl.DataFrame, gpu: str, team: str | None, workload: str | None, allocated: bool
) -> None:
    found = hours.filter(pl.col("gpu") == gpu)
    assert found.select("team", "workload", "allocated").unique().rows() == [(team, workload, allocated)]
    assert found["observed_hours"].sum() == pytest.approx(3, abs=0.02)


@pytest.mark.parametrize("gpu", ["g-anew", "g-again"])
def test_an_hour_of_two_owners_is_shared_by_time(hours: pl.DataFrame, gpu: str) -> None:
    """67 minutes, of which seven are in the second hour, at 0.01 kWh and half use a minute."""
    found = hours.filter((pl.col("gpu") == gpu) & (pl.col("hour") < pl.datetime(2026, 9, 1, 3)))
    sums = found.group_by("team").agg(pl.col("observed_hours", "used_hours", "energy_kwh").sum())
    assert {team: [round(v, 6) for v in values] for team, *values in sums.iter_rows()} == {
        "vision": [round(67 / 60, 6), round(67 / 120, 6), 0.67],
        "speech": [round(113 / 60, 6), round(113 / 120, 6), 1.13],
    }


def test_each_replica_of_a_time_sliced_card_has_its_part(hours: pl.DataFrame) -> None:
    found = hours.filter((pl.col("gpu") == "g-two") & (pl.col("hour") < pl.datetime(2026, 9, 1, 3)))
    rows = found.select("hour", "team", pl.col("observed_hours", "used_hours").round(6)).sort(
        "hour", "team", nulls_last=True
    )
    # A quarter to each pod, at half use; the replicas that nobody holds are free.
    assert [(at.hour, *rest) for at, *rest in rows.rows()] == [
        (0, "team-a", 0.25, 0.125), (0, "team-b", 0.25, 0.125), (0, None, 0.5, 0.0),
        (1, "team-a", 0.25, 0.125), (1, "team-b", 0.25, 0.125), (1, None, 0.5, 0.0),
        (2, "team-a", 0.25, 0.125), (2, None, 0.75, 0.0),
    ]  # fmt: skip
    # The card's counter is not added up: 0.6 kWh an hour, to those who work.
    energy = found.group_by(pl.col("hour").dt.hour(), "team").agg(pl.col("energy_kwh").sum())
    assert {(h, t): round(k, 3) for h, t, k in energy.iter_rows()} == {
        (0, "team-a"): 0.3, (0, "team-b"): 0.3, (0, None): 0.0,
        (1, "team-a"): 0.3, (1, "team-b"): 0.3, (1, None): 0.0,
        (2, "team-a"): 0.6, (2, None): 0.0,
    }  # fmt: skip


def test_more_pods_than_replicas_share_evenly(hours: pl.DataFrame) -> None:
    found = hours.filter((pl.col("gpu") == "g-five") & (pl.col("hour") == pl.datetime(2026, 9, 1, 1)))
    assert found["observed_hours"].round(6).to_list() == [0.2] * 5
    assert found["energy_kwh"].sum() == pytest.approx(0.6, abs=0.001)
    # 181 samples, each for a minute: pods that share the last hour's only one do not make it five
    total = hours.filter(pl.col("gpu") == "g-five")["observed_hours"].sum()
    assert total == pytest.approx(181 / 60, abs=1e-6)


def test_a_card_that_is_cut_anew_has_no_gap(hours: pl.DataFrame) -> None:
    """600 W without a pause: 0.6 kWh in each of the first two hours, all of it measured, none of it from a gap."""
    found = hours.filter((pl.col("gpu") == "g-cut") & (pl.col("hour") < pl.datetime(2026, 9, 1, 3)))
    by_hour = found.group_by(pl.col("hour").dt.hour()).agg(pl.col("energy_kwh", "energy_estimated_kwh").sum())
    assert {h: (round(k, 3), round(e, 6)) for h, k, e in by_hour.iter_rows()} == dict.fromkeys(
        range(3), (0.6, 0)
    )
    held = found.filter("allocated").group_by("pod").agg(pl.col("observed_hours").sum())
    # each sample stands for the minute to the next
    assert {p: round(h, 6) for p, h in held.iter_rows()} == {
        "small": round(97 / 60, 6), "half": round(43 / 60, 6), "big": round(40 / 60, 6),
    }  # fmt: skip


def test_energy_by_holder_is_split_where_the_card_is_cut(hours: pl.DataFrame) -> None:
    """0.01 kWh a minute: a seventh of 97 minutes to small, half of 43 to half, all of 40 to big.

    g-late is whole and nobody's until 01:30, then 3g (held), 2g and 2g; its power rises from 300 to 900 W there. g-gauge
    does the same without a counter. g-torn is cut while a 4g stays: 3g until 00:15, then three 1g, of which one is held.
    """

    def energy(gpu: str, first: int, hours_: int) -> dict[tuple[str | None, str | None], float]:
        start = pl.datetime(2026, 9, 1, first)
        found = hours.filter(
            (pl.col("gpu") == gpu) & pl.col("hour").is_between(start, start + pl.duration(hours=hours_ - 1))
        )
        rows = found.group_by("mig_profile", "pod").agg(pl.col("energy_kwh").sum())
        return {(profile, pod): kwh for profile, pod, kwh in rows.iter_rows() if kwh > 1e-9}

    assert energy("g-cut", 0, 3) == pytest.approx(
        {
            ("1g.10gb", "small"): 0.97 / 7, ("1g.10gb", None): 0.97 * 6 / 7,
            ("3g.40gb", "half"): 0.215, ("3g.40gb", None): 0.215,
            (None, "big"): 0.4,
        }, rel=1e-6,
    )  # fmt: skip
    # 30 minutes at 300 W are 0.15 kWh, 30 at 900 W 0.45: three, two and two sevenths of it
    late = {(None, None): 0.15, ("3g.40gb", "late"): 0.45 * 3 / 7, ("2g.20gb", None): 0.45 * 4 / 7}
    assert energy("g-late", 1, 1) == pytest.approx(late, rel=1e-6)
    # between 300 and 900 W the trapezoid has 300 W more than the step for a minute, which is the old holder's
    gauge = late | {(None, None): 0.15 + 300 / 1000 / 60}
    assert energy("g-gauge", 1, 1) == pytest.approx(gauge, rel=1e-6)
    # 600 W: 4/7 all the time, 3/7 of 15 minutes, 1/7 of 45 to the pod and 2/7 to nobody
    assert energy("g-torn", 0, 1) == pytest.approx(
        {
            ("4g.40gb", "stays"): 0.6 * 4 / 7, ("3g.40gb", None): 0.15 * 3 / 7,
            ("1g.10gb", "small"): 0.45 / 7, ("1g.10gb", None): 0.45 * 2 / 7,
        }, rel=1e-6,
    )  # fmt: skip


def test_utilisation_that_means_nothing_of_a_slice_is_unknown(hours: pl.DataFrame) -> None:
    used = {g: hours.filter(pl.col("gpu") == g)["used_hours"].head(3).to_list() for g in ("g-old", "g-whole")}
    assert used == {"g-old": [None] * 3, "g-whole": [pytest.approx(0.25)] * 3}
