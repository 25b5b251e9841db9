"""Blanks of DCGM among the samples of time-sliced, cut and whole cards, through a real Prometheus: dropped and counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from connectors.base import Context, Loaded, Window
from connectors.prometheus.reader import Options, PrometheusReader
from models.config import Site
from pipelines.engines.duckdb import DuckDBEngine
from tests.services.prometheus import prometheus
from tests.sites import Text

pytestmark = pytest.mark.service

DAY = date(2026, 9, 1)
START = int(datetime(2026, 9, 1, tzinfo=UTC).timestamp())
HOURS = 6
BLANKS = (0x7FFFFFF0, 0x7FFFFFF2, 140737488355328, 140737488355330, 2**63 - 16, 2**63 - 14)
"""Of 32 bits, of doubles and of 64 bits."""

AT = (45, 119, 120, 121, 200, 301)
"""Minutes with a blank each: within hours, and around the end of one."""

CARDS = {
    # 600 W; who holds it
    "whole": [{"namespace": "ml", "pod": "train"}],
    "shared": [{"namespace": "ml", "pod": f"web-{n}", "vgpu": str(n)} for n in range(4)],
    "cut": [
        {"namespace": "ml", "pod": f"mig-{p}", "GPU_I_ID": i, "GPU_I_PROFILE": p}
        for i, p in (("1", "4g.40gb"), ("5", "2g.20gb"), ("7", "1g.10gb"))
    ],
    "fresh": [{"namespace": "ml", "pod": "new"}],
}
"""Each repeats what the card shows in the series of all its holders."""

ODD: dict[str, Callable[[int], float]] = {
    # what the counter shows of 36 MJ a minute
    "zero": lambda m: 0.0 if m in (90, 120, 121) else 3e12 + 36e6 * m,
    "high": lambda m: (3e12 + 36e6 * m) * (3 if m == 90 else 1),
    "micro": lambda m: 3e15 + 36e9 * m,
    "still": lambda m: 3e12,
    "alone": lambda m: 3e15 + 36e9 * m,
    "alone still": lambda m: 3e12,
}
"""Cards of 600 W whose counter shows what no card can do; those that are `alone` have no gauge."""


def _write(path: Path) -> None:
    text = Text()

    def with_blanks(good: float, blank: float, minute: int) -> float:
        return blank if minute in AT else good

    for card, holders in CARDS.items():
        start = 0.0 if card == "fresh" else 3e12
        for holder in holders:
            labels = {
                "UUID": card,
                "Hostname": "n1",
                "instance": "n1:9400",
                "modelName": "NVIDIA H100 80GB HBM3",
            } | holder
            for metric, good, ends in (
                ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", lambda m, start=start: start + 36e6 * m, BLANKS),
                ("DCGM_FI_DEV_POWER_USAGE", lambda m: 600.0, BLANKS),
                ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", lambda m: 0.5, BLANKS),
            ):
                samples = (
                    (START + 60 * m, with_blanks(good(m), float(ends[AT.index(m)] if m in AT else 0), m))
                    for m in range(60 * HOURS + 1)
                )
                text.add(metric, labels, samples)
    for card, counter in ODD.items():
        labels = {
            "UUID": card,
            "Hostname": "n2",
            "instance": "n2:9400",
            "namespace": "ml",
            "pod": f"p-{card}",
        }
        times = [(START + 60 * m, m) for m in range(60 * HOURS + 1)]
        text.add("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", labels, ((t, counter(m)) for t, m in times))
        if not card.startswith("alone"):
            text.add("DCGM_FI_DEV_POWER_USAGE", labels, ((t, 600.0) for t, _ in times))
    labels = {"node": "n1", "label_nvidia_com_gpu_replicas": "4"}
    text.add("kube_node_labels", labels, ((START + 60 * m, 1.0) for m in range(60 * HOURS + 1)))
    text.write(path)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    folder = tmp_path_factory.mktemp("blanks")
    _write(folder / "site.om")
    with prometheus(folder / "site.om", folder) as url:
        context = Context("dc1", folder, folder / "cache", {"dc1": Site(time_zone="UTC", tariff="0.1")})
        settings = {"kind": "prometheus", "url": url, "site": "dc1", "start": DAY}
        source = PrometheusReader(Options.model_validate(settings), context)
        with DuckDBEngine() as engine:
            slices = source.slices(Window(DAY, datetime(2026, 9, 3, tzinfo=UTC)))
            (found,) = source.load(slices, folder / "work", engine)
            yield found


def rows(loaded: Loaded, *, odd: bool = False) -> pl.DataFrame:
    found = pl.read_parquet(loaded.facts["telemetry.gpu_hourly"])
    return found.filter(pl.col("gpu").is_in(list(ODD)) == odd)


def test_a_counter_that_no_card_can_have_is_not_believed(loaded: Loaded) -> None:
    """3.6 kWh by the other readings and the gauge, each hour 0.6; nothing is known without a gauge."""
    found = rows(loaded, odd=True).filter(pl.col("hour").dt.hour() < HOURS)
    energy = dict(found.group_by("gpu").agg(pl.col("energy_kwh").sort()).iter_rows())
    assert [energy.pop("alone"), energy.pop("alone still")] == [[None] * HOURS] * 2
    assert energy == {gpu: pytest.approx([0.6] * HOURS, rel=0.001) for gpu in energy}
    assert found["energy_estimated_kwh"].sum() == 0


def test_energy_is_that_of_the_other_samples(loaded: Loaded) -> None:
    """600 W for six hours are 3.6 kWh a card, whoever shares it, however often it is told."""
    total = pl.col("energy_kwh").sum() + pl.col("energy_estimated_kwh").sum()
    found = dict(rows(loaded).group_by("gpu").agg(total).iter_rows())
    assert found == pytest.approx(dict.fromkeys(CARDS, 3.6), rel=0.003)
    by_hour = rows(loaded).filter(pl.col("hour").dt.hour() < HOURS).group_by("gpu", "hour").agg(total)
    assert by_hour["energy_kwh"].to_list() == pytest.approx([0.6] * 4 * HOURS, rel=0.04)


def test_use_is_that_of_the_other_samples(loaded: Loaded) -> None:
    """Half of what is held: a whole card, four quarters of one, and three slices that are counted whole."""
    found = dict(
        rows(loaded)
        .filter((pl.col("hour").dt.hour() < HOURS) & pl.col("allocated"))
        .group_by("gpu")
        .agg(pl.col("used_hours").sum() / pl.col("observed_hours").sum())
        .iter_rows()
    )
    assert found == pytest.approx(dict.fromkeys(CARDS, 0.5), rel=0.001)


def test_each_blank_is_counted(loaded: Loaded) -> None:
    found = loaded.issues.filter(pl.col("rule") == "value_dropped").sort("column_name")
    assert found.select("action", "column_name").rows() == [
        ("repaired", name) for name in ("energy_kwh", "power_kw", "utilisation")
    ]
    # six blanks in the samples of each of four cards; readings of counters that no card can have: three of zero, to and from
    # one that is high, and all of six hours of four cards
    assert found["rows"].to_list() == [24 + 3 + 2 + 4 * 360, 24, 24]
