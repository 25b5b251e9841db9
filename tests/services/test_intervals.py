"""Scrape intervals that differ or change, and cards that most pods share: their hours and energy, by hand.

Each card draws 600 W at half use all the time. `n1` is scraped every 15 s, `n2` every 60 s and not from 06:00 to 09:10 of
the second day; the cards of `n3` every 60 s until 10:20 of second day; the cards of `n3` every 60 s until 10:20 of the second day, then every 15 s. `n4` has four cards that two
pods share, scraped every 60 s. On the card of `n5` pods take turns: in each hour one has 20 minutes, the other those
before and after them. `n6` is scraped every 60 s and not from 04:20 to 04:30 of the first day, `n7` every 300 s. On the card of
`n8` one pod is joined by another from 09:07 to 15:21 of the first day. The exporter of `n9`, scraped every 60 s, has
another address every two hours.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest

from connectors.base import Context, Window
from connectors.prometheus.reader import Options, PrometheusReader
from models.config import Site
from pipelines.engines.duckdb import DuckDBEngine
from tests.services.prometheus import prometheus
from tests.sites import Text

pytestmark = pytest.mark.service

T0 = int(datetime(2026, 5, 4, tzinfo=UTC).timestamp())
H = 3600
END = 49 * H
FIRST, SECOND = date(2026, 5, 4), date(2026, 5, 5)


def _card(text: Text, node: str, gpu: str, times: list[int], *pods: str, address: str = "") -> None:
    for pod in pods:
        at = {"Hostname": node, "instance": f"{address or node}:9400"}
        labels = {"UUID": gpu, **at, "namespace": "ml", "pod": pod}
        for metric, watts in (
            ("DCGM_FI_DEV_POWER_USAGE", 0),
            ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", 600_000),
        ):
            values = ((T0 + t, 1e12 + watts * t if watts else 600.0) for t in times)
            text.add(metric, labels, values)
        text.add("DCGM_FI_PROF_GR_ENGINE_ACTIVE", labels, ((T0 + t, 0.5) for t in times))


def _meter(text: Text, node: str, step: int) -> None:
    times = range(0, END, step)
    labels = {"instance": f"bmc-{node}", "node": node}
    text.add("ipmi_dcmi_power_consumption_watts", labels, ((T0 + t, 2000.0) for t in times))


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, pl.DataFrame]]:
    folder = tmp_path_factory.mktemp("intervals")
    text = Text()
    for k in range(5):
        _card(text, "n1", f"a{k}", list(range(0, END, 15)), f"pod-a{k}")
    _card(text, "n2", "b", [*range(0, 30 * H, 60), *range(33 * H + 600, END, 60)], "pod-b")
    for k in range(2):
        changed = 34 * H + 1200
        _card(text, "n3", f"c{k}", [*range(0, changed, 60), *range(changed, END, 15)], f"pod-c{k}")
    for k in range(4):
        _card(text, "n4", f"d{k}", list(range(0, END, 60)), f"pod-d{k}", f"pod-e{k}")
    for k, start in enumerate(range(0, END, 1200)):
        pod = "pod-g" if k % 3 == 1 else "pod-f"
        _card(text, "n5", "f", list(range(start, min(END, start + 1200), 60)), pod)
    _card(text, "n6", "h", [*range(0, 15_600, 60), *range(16_200, END, 60)], "pod-h")
    _card(text, "n7", "s", list(range(0, END, 300)), "pod-s")
    _card(text, "n8", "i", list(range(0, END, 60)), "pod-i")
    _card(text, "n8", "i", list(range(9 * H + 420, 15 * H + 1260, 60)), "pod-j")
    for k in range(0, END, 2 * H):
        _card(text, "n9", "k", list(range(k, min(END, k + 2 * H), 60)), "pod-k", address=f"10.0.0.{k // H}")
    _meter(text, "n1", 30)
    _meter(text, "n2", 120)
    text.write(folder / "s.om")
    context = Context("dc1", folder, folder / "cache", {"dc1": Site(time_zone="UTC", tariff=Decimal("0.1"))})
    with prometheus(folder / "s.om", folder) as url, DuckDBEngine() as engine:
        settings = {"kind": "prometheus", "url": url, "site": "dc1", "start": FIRST, "scrape_interval_s": 15}
        source = PrometheusReader(Options.model_validate(settings), context)
        slices = source.slices(Window(SECOND, datetime(2027, 1, 1, tzinfo=UTC)))
        found: dict[str, list[pl.DataFrame]] = {}
        for loaded in source.load(slices, folder / "work", engine):
            for name, path in loaded.facts.items():
                found.setdefault(name, []).append(pl.read_parquet(path))
        yield {name: pl.concat(frames) for name, frames in found.items()}


def test_each_card_has_its_own_interval(read: dict[str, pl.DataFrame]) -> None:
    """24 hours and 14.4 kWh a day; of b 3 h 10 min are dark: 20.83 hours, 12.5 kWh, 1.9 kWh of the counter's estimated.

    No other pod is seen around these, so that they are its own.
    """
    cards = read["telemetry.gpu_hourly"]
    held = cards.filter("allocated", "sampled").group_by("pod", "day").agg(
        pl.col("observed_hours", "used_hours", "energy_kwh").sum()
    )  # fmt: skip
    found = {(pod, day): values for pod, day, *values in held.iter_rows()}
    for day in (FIRST, SECOND):
        for pod in (*(f"pod-a{k}" for k in range(5)), "pod-b", "pod-c0", "pod-c1", "pod-s", "pod-k"):
            dark = 19 / 6 if (pod, day) == ("pod-b", SECOND) else 0
            hours = 24 - dark
            assert found[pod, day] == pytest.approx([hours, hours / 2, hours * 0.6], rel=0.001)
        for pod in (f"pod-{of}{k}" for of in "de" for k in range(4)):
            assert found[pod, day] == pytest.approx([12, 6, 7.2], rel=1e-6)
        assert found["pod-f", day] == pytest.approx([16, 8, 9.6], rel=0.001)
        assert found["pod-g", day] == pytest.approx([8, 4, 4.8], rel=0.001)
    # of 374 minutes each of two has half
    assert found["pod-j", FIRST] == pytest.approx([187 / 60, 187 / 120, 1.87], rel=0.001)
    assert found["pod-i", FIRST] == pytest.approx([1253 / 60, 1253 / 120, 12.53], rel=0.001)
    # ten minutes without samples are a gap of this card, whatever the others' intervals
    assert found["pod-h", FIRST][:2] == pytest.approx([143 / 6, 143 / 12])
    blind = cards.filter((pl.col("pod") == "pod-h") & ~pl.col("sampled"))
    assert blind["observed_hours"].to_list() == pytest.approx([1 / 6])
    assert len(found) == 2 * 19 + 2 * 3 + 1
    estimated = cards.filter(pl.col("energy_estimated_kwh") > 0)
    assert estimated["gpu"].unique().to_list() == ["b"]
    assert estimated["pod"].unique().to_list() == ["pod-b"]
    assert estimated["observed_hours"].sum() == pytest.approx(19 / 6)
    assert estimated["energy_estimated_kwh"].sum() == pytest.approx(19 / 6 * 0.6, rel=0.01)


def test_each_meter_has_its_own_interval(read: dict[str, pl.DataFrame]) -> None:
    """48 kWh a day at 2 kW; of a quarter of an hour 30 and 7 or 8 samples show the power."""
    meters = read["telemetry.power_hourly"]
    days = meters.group_by("node", "day").agg(pl.col("energy_kwh").sum(), pl.col("coverage").min())
    assert sorted(days.rows()) == [(node, day, 48, 1) for node in ("n1", "n2") for day in (FIRST, SECOND)]
    quarters = meters.select("kw_q1", "kw_q2", "kw_q3", "kw_q4")
    assert quarters.min().row(0) == quarters.max().row(0) == (2, 2, 2, 2)
    assert quarters.null_count().row(0) == (0, 0, 0, 0)
