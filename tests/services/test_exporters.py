"""Cards that several exporters see, at other moments and as often or not, without a configured interval: by hand.

Each card draws 600 W at half use all the time, so that an hour has 0.6 kWh. `pods` names those who hold a card, on the minute;
`host` knows no pods and comes 20 seconds later. Each site of the series is read by itself, with its label as a matcher.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
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

DAY = date(2026, 5, 4)
T0 = int(datetime(2026, 5, 4, tzinfo=UTC).timestamp())
H = 3600
END = 26 * H
NOBODY = ("",)

Turns = Sequence[tuple[float, tuple[str, ...]]]
"""From which hour who holds a card."""

HOLDERS: dict[str, Turns] = {
    "whole": [(0, ("a",))],
    "half": [(0, ("b",)), (6.5, NOBODY)],
    "turns": [(k / 3, ("g",) if k % 3 == 1 else ("f",)) for k in range(3 * 26)],
    "shared": [(0, ("d", "e"))],
    "odd": [(k, ("h",) if k % 2 else NOBODY) for k in range(26)],
    "free": [(0, NOBODY)],
}
HOURS = {
    ("whole", "a"): 24, ("half", "b"): 6.5, ("half", None): 17.5, ("turns", "f"): 16, ("turns", "g"): 8,
    ("shared", "d"): 12, ("shared", "e"): 12, ("odd", "h"): 12, ("odd", None): 12, ("free", None): 24,
}  # fmt: skip
"""Card and pod -> hours of the day."""


def _see(
    text: Text,
    site: str,
    card: str,
    exporter: str,
    times: Sequence[int],
    turns: Turns,
    job: str = "",
    **more: str,
) -> None:
    """Writes what an exporter shows of a card at some times: a series for each holder."""
    ends = [*(at for at, _ in turns), 1e9]
    names = {name for _, held in turns for name in held}
    for name in sorted(names):
        spans = [
            (a * H, b * H) for (a, b), (_, held) in zip(pairwise(ends), turns, strict=True) if name in held
        ]
        mine = [t for t in times if any(a <= t < b for a, b in spans)]
        labels = {"site": site, "UUID": card, "Hostname": "n1", "instance": exporter, "job": job or exporter}
        labels |= {"namespace": "ml", "pod": name} if name else {}
        labels |= more
        energy, at = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", [T0 + t for t in mine]
        if card != "cut-gauge":
            text.add(energy, labels, ((t, 1e12 + 600_000.0 * (t - T0)) for t in at))
        text.add("DCGM_FI_DEV_POWER_USAGE", labels, ((t, 600.0) for t in at))
        text.add("DCGM_FI_PROF_GR_ENGINE_ACTIVE", labels, ((t, 0.5) for t in at))


SITES = {
    # seconds between scrapes of `pods` and of `host`
    "alike": (60, 60), "host_often": (60, 15), "host_seldom": (15, 60),
}  # fmt: skip


def _write(path: Path) -> None:
    text = Text()
    nobody: Turns = [(0, NOBODY)]
    for card, turns in HOLDERS.items():
        for site, (step, host_step) in SITES.items():
            _see(text, site, card, "pods", range(0, END, step), turns)
            _see(text, site, card, "host", range(20 if host_step == 60 else 5, END, host_step), nobody)
        for replica, late in (("a", 0), ("b", 7)):  # of the pair, each scrapes both exporters
            for exporter, start in (("pods", 0), ("host", 20)):
                times = range(start + late, END, 60)
                seen = turns if exporter == "pods" else nobody
                _see(text, "pair", card, exporter, times, seen, prometheus_replica=replica)
        for job, start in (("one", 0), ("two", 20)):  # both scrape one exporter
            _see(text, "jobs", card, "pods", range(start, END, 60), turns, job)
    for card, views in MOVED.items():
        for exporter, spans, step in views:
            times = [t for a, b in spans for t in range(round(a * H), round(b * H)) if t % 60 in step]
            _see(text, "moved", card, exporter, times, nobody if exporter == "host" else [(0, ("a",))])
    for exporter, start in (("pods", 0), ("host", 20)):
        for pod, first, last, mig in CUT:
            times = range(first * 60 + start, last * 60, 60)
            turns = nobody if exporter == "host" else [(0, (pod,))]
            for card in ("cut", "cut-gauge"):
                _see(text, "moved", card, exporter, times, turns, **mig)
    text.write(path)


CUT: Sequence[tuple[str, int, int, dict[str, str]]] = [
    ("a", 0, 630, {}),
    ("m3", 630, END // 60, {"GPU_I_ID": "1", "GPU_I_PROFILE": "3g.40gb"}),
    ("m4", 630, END // 60, {"GPU_I_ID": "2", "GPU_I_PROFILE": "4g.40gb"}),
]
"""Pod, from which minute to which, and its slice of a card that is cut at 10:30."""

FULL, LATER, OFTEN = (0,), (20,), (5, 20, 35, 50)
MOVED = {
    "steady": [("pods", [(0, 26)], FULL)],
    "restart": [("pods", [(0, 10.5)], FULL), ("pods-2", [(10.5, 26)], LATER)],
    "overlap": [("pods", [(0, 10 + 2 / 3)], FULL), ("pods-2", [(10 + 1 / 3, 26)], LATER)],
    "stand-in": [("pods", [(0, 10 + 1 / 3), (10 + 2 / 3, 26)], FULL), ("pods-2", [(10.25, 10.75)], LATER)],
    "other-pace": [("pods", [(0, 10.5)], FULL), ("pods-2", [(10.5, 26)], OFTEN)],
    "outage": [("pods", [(0, 3 + 1 / 6), (5 + 2 / 3, 26)], FULL), ("host", [(0, 26)], LATER)],
    "gap": [("pods", [(0, 3 + 1 / 6), (5 + 2 / 3, 26)], FULL), ("pods-2", [(2, 3.5), (5.5, 26)], LATER)],
}  # fmt: skip
"""Card -> exporters that see it, with hours and seconds of the minute. Pod `a` holds each."""


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, pl.DataFrame]]:
    folder = tmp_path_factory.mktemp("exporters")
    _write(folder / "s.om")
    context = Context("dc1", folder, folder / "cache", {"dc1": Site(time_zone="UTC", tariff=Decimal("0.1"))})
    found = {}
    with prometheus(folder / "s.om", folder) as url, DuckDBEngine() as engine:
        for site in (*SITES, "pair", "pair unnamed", "jobs", "moved"):
            named = {} if "unnamed" in site else {"replica_label": "prometheus_replica"}
            settings = named | {
                "kind": "prometheus",
                "url": url,
                "site": "dc1",
                "start": DAY,
                "matchers": f'site="{site.split()[0]}"',
            }
            source = PrometheusReader(Options.model_validate(settings), context)
            slices = source.slices(Window(DAY, datetime(2027, 1, 1, tzinfo=UTC)))
            (loaded,) = source.load(slices, folder / site, engine)
            found[site] = pl.read_parquet(loaded.facts["telemetry.gpu_hourly"])
        yield found


def _days(cards: pl.DataFrame) -> dict[tuple[str, str | None], list[float]]:
    """Card and pod -> hours, hours used and kWh of what samples show."""
    sums = cards.filter("sampled").group_by("gpu", "pod").agg(
        pl.col("observed_hours", "used_hours", "energy_kwh").sum()
    )  # fmt: skip
    return {(gpu, pod): values for gpu, pod, *values in sums.iter_rows()}


@pytest.mark.parametrize("site", [*SITES, "pair", "pair unnamed", "jobs"])
def test_a_second_exporter_changes_no_hours(read: dict[str, pl.DataFrame], site: str) -> None:
    """Hours are by hand; half of them used, 0.6 kWh each. A turn begins within a second exporter's step: 1 %."""
    found = _days(read[site])
    assert found.keys() == HOURS.keys()
    for key, hours in HOURS.items():
        assert found[key] == pytest.approx([hours, hours / 2, hours * 0.6], rel=0.01), key
    assert read[site]["sampled"].all()
    hourly = read[site].group_by("gpu", "hour").agg(pl.col("observed_hours", "energy_kwh").sum())
    assert hourly.height == 24 * len(HOLDERS)
    assert hourly["observed_hours"].to_list() == pytest.approx([1.0] * hourly.height, rel=1e-6)
    assert hourly["energy_kwh"].to_list() == pytest.approx([0.6] * hourly.height, rel=1e-3)


def test_exporters_that_follow_each_other_complete_an_hour(read: dict[str, pl.DataFrame]) -> None:
    """Of `outage` 2.5 hours are seen by the host's exporter alone; of `gap`, 3:30 to 5:30 by none: the pod's, not sampled."""
    found = _days(read["moved"])
    for card in ("steady", "restart", "overlap", "stand-in", "other-pace"):
        assert found[card, "a"] == pytest.approx([24, 12, 14.4], rel=1e-3), card
    assert found["outage", "a"] == pytest.approx([21.5, 10.75, 12.9], rel=2e-3)
    assert found["outage", None] == pytest.approx([2.5, 1.25, 1.5], rel=0.02)
    assert found["gap", "a"] == pytest.approx([22, 11, 13.2], rel=2e-3)
    dark = read["moved"].filter(~pl.col("sampled")).group_by("gpu", "pod").agg(
        pl.col("observed_hours", "energy_estimated_kwh").sum()
    )  # fmt: skip
    assert dark.rows() == [("gap", "a", pytest.approx(2, rel=0.02), pytest.approx(1.2, rel=0.02))]
    # whole until 10:30, then 3 and 4 sevenths of what it draws, of which half of 10 to 11 o'clock
    for card in ("cut", "cut-gauge"):
        assert found[card, "a"] == pytest.approx([10.5, 5.25, 6.3], rel=0.01)
        for pod, sevenths in (("m3", 3), ("m4", 4)):
            assert found[card, pod] == pytest.approx([13.5, 6.75, 8.1 * sevenths / 7], rel=0.01)
        ten = read["moved"].filter(pl.col("hour").dt.hour() == 10, gpu=card)
        parts = dict(ten.select("pod", "energy_kwh").iter_rows())
        assert parts == pytest.approx({"a": 0.3, "m3": 0.3 * 3 / 7, "m4": 0.3 * 4 / 7}, rel=0.05)
    assert len(found) == len(MOVED) + 1 + 2 * 3
