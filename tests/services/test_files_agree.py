"""One site's samples through Prometheus and through files: the same hours of each card, pod and day.

Two local days in Berlin of five cards that are scraped each minute, each at half use and 600 W. `lost` lacks a sample
an hour, `gap` 20 minutes within an hour, `night` the hours from 22:30 to 01:30, `turn` changes its pod within a gap of
40 minutes, `free` is held by nobody and lacks 22:30 to 01:30. `two` is seen by two exporters, of which
one knows no pods; of `nan` five samples show a use of NaN. There is no kube-state-metrics.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from connectors.base import Context, Reader, Window
from connectors.prometheus.reader import Options as PrometheusOptions
from connectors.prometheus.reader import PrometheusReader
from connectors.telemetry_files.reader import Options as FileOptions
from connectors.telemetry_files.reader import TelemetryFilesReader
from models.config import Site
from pipelines.engines.duckdb import DuckDBEngine
from tests.services.prometheus import prometheus
from tests.sites import Text

pytestmark = pytest.mark.service

FIRST, SECOND = date(2026, 5, 4), date(2026, 5, 5)
T0 = int(datetime(2026, 5, 4, tzinfo=ZoneInfo("Europe/Berlin")).timestamp())
END = 49 * 60
NIGHT = range(22 * 60 + 30, 25 * 60 + 30)
SILENT: dict[str, Sequence[int]] = {
    "lost": range(77, END, 60), "gap": range(620, 640), "night": NIGHT, "turn": range(730, 770), "free": NIGHT, "two": (), "nan": (),
}  # fmt: skip
CARD_HOURS = {
    # sampled and not: a sample stands for a minute, a lost one between two others is none
    ("lost", "pod-lost", True): (24, 24),
    ("gap", "pod-gap", True): (24 - 20 / 60, 24),
    ("gap", "pod-gap", False): (20 / 60, 0),
    ("night", "pod-night", True): (22.5, 22.5),
    ("night", "pod-night", False): (1.5, 1.5),
    ("turn", "a", True): (730 / 60, 0),
    ("turn", "b", True): (24 - 770 / 60, 24),
    ("free", None, True): (22.5, 22.5),
    ("two", "pod-two", True): (24, 24),
    ("nan", "pod-nan", True): (24, 24),
}


def _samples() -> Iterator[tuple[str, str, int]]:
    for gpu, silent in SILENT.items():
        dark = set(silent)
        for minute in range(END):
            if minute not in dark:
                pod = {"turn": "a" if minute < 750 else "b", "free": ""}.get(gpu, f"pod-{gpu}")
                yield gpu, pod, minute
                if gpu == "two":
                    yield gpu, "", minute


def _use(gpu: str, minute: int) -> float:
    return math.nan if gpu == "nan" and 700 <= minute < 705 else 0.5


def _as_series(path: Path) -> None:
    text = Text()
    by: dict[tuple[str, str], list[int]] = {}
    for gpu, pod, minute in _samples():
        by.setdefault((gpu, pod), []).append(minute)
    for (gpu, pod), minutes in by.items():
        labels = {"UUID": gpu, "Hostname": "n1", "instance": "n1:9400"}
        labels |= {"namespace": "ml", "pod": pod} if pod else {}
        times = [(T0 + 60 * m, m) for m in minutes]
        text.add("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", labels, ((t, 1e12 + 3.6e7 * m) for t, m in times))
        text.add("DCGM_FI_PROF_GR_ENGINE_ACTIVE", labels, ((t, _use(gpu, m)) for t, m in times))
    text.write(path)


def _as_files(folder: Path) -> None:
    rows = [
        {
            "ts": datetime.fromtimestamp(T0 + 60 * m, UTC), "node": "n1", "gpu": gpu, "namespace": "ml" if pod else None,
            "pod": pod or None, "utilisation": _use(gpu, m), "energy_mj": 1e12 + 3.6e7 * m,
        }
        for gpu, pod, m in _samples()
    ]  # fmt: skip
    folder.mkdir()
    pl.DataFrame(rows).write_parquet(folder / "gpu.parquet")


def _read(source: Reader, folder: Path) -> pl.DataFrame:
    slices = source.slices(Window(SECOND, datetime(2027, 1, 1, tzinfo=UTC)))
    with DuckDBEngine() as engine:
        loaded = source.load(slices, folder / "work", engine)
        return pl.concat(pl.read_parquet(item.facts["telemetry.gpu_hourly"]) for item in loaded)


@pytest.fixture(scope="module", params=["prometheus", "files"])
def hours(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    folder = tmp_path_factory.mktemp(request.param)
    sites = {"dc1": Site(time_zone="Europe/Berlin", tariff=Decimal("0.1"))}
    context = Context("dc1", folder, folder / "cache", sites)
    if request.param == "files":
        _as_files(folder / "in")
        options = FileOptions(kind="telemetry_files", location="in", site="dc1")
        return _read(TelemetryFilesReader(options, context), folder)
    _as_series(folder / "site.om")
    with prometheus(folder / "site.om", folder) as url:
        settings = {"kind": "prometheus", "url": url, "site": "dc1", "start": FIRST}
        return _read(PrometheusReader(PrometheusOptions.model_validate(settings), context), folder)


def test_hours_of_cards_and_pods(hours: pl.DataFrame) -> None:
    sums = hours.filter(pl.col("observed_hours") > 0).group_by("gpu", "pod", "sampled", "day")
    found = {(*key, day): value for *key, day, value in sums.agg(pl.col("observed_hours").sum()).iter_rows()}
    wanted = {
        (*key, day): value
        for key, of in CARD_HOURS.items()
        for day, value in zip((FIRST, SECOND), of, strict=True)
    }
    assert found == pytest.approx({key: value for key, value in wanted.items() if value}, abs=1e-6)


def test_use_of_cards(hours: pl.DataFrame) -> None:
    """Half of what samples show, also where some of an hour are NaN."""
    seen = hours.filter(pl.col("sampled") & (pl.col("observed_hours") > 0))
    assert (seen["used_hours"] / seen["observed_hours"]).to_list() == pytest.approx([0.5] * seen.height)


def test_energy_of_cards(hours: pl.DataFrame) -> None:
    """14.4 kWh a day of each card; what its gap used is its pod's, or nobody's."""
    energy = (pl.col("energy_kwh") + pl.col("energy_estimated_kwh")).sum()
    days = {(gpu, day): kwh for gpu, day, kwh in hours.group_by("gpu", "day").agg(energy).iter_rows()}
    assert days == pytest.approx(
        dict.fromkeys(((g, d) for g in SILENT for d in (FIRST, SECOND)), 14.4), rel=0.001
    )
    of_gap = hours.filter(pl.col("energy_estimated_kwh") > 0).group_by("gpu", "pod").agg(
        pl.col("energy_estimated_kwh").sum()
    )  # fmt: skip
    assert {(gpu, pod): kwh for gpu, pod, kwh in of_gap.iter_rows()} == pytest.approx(
        {("gap", "pod-gap"): 0.2, ("night", "pod-night"): 1.8, ("turn", None): 0.4, ("free", None): 1.8},
        rel=0.06,
    )
