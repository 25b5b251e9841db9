"""64 cards and 30 days from a real Prometheus are read in less than 300 MB."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tests.services.prometheus import prometheus

pytestmark = pytest.mark.service

CARDS, DAYS = 64, 30
FIRST = date(2026, 9, 1)
STEP_S = 600
"""Seconds between samples. The server reduces them to hours, so that fewer of them change nothing here: with one a
minute the reader needs the same (docs/performance.md)."""

READ = """
import sys
from datetime import UTC, date, datetime
from pathlib import Path
import polars as pl
from connectors.base import Context, Window
from connectors.prometheus.reader import Options, PrometheusReader
from models.config import Site

url, folder, first, last = sys.argv[1], Path(sys.argv[2]), *map(date.fromisoformat, sys.argv[3:])
context = Context("dc1", folder, folder / "cache", {"dc1": Site(time_zone="Europe/Athens", tariff="0.1")})
source = PrometheusReader(Options(kind="prometheus", url=url, site="dc1", start=first), context)
energy = 0.0
for loaded in source.load(source.slices(Window(last, datetime(2027, 1, 1, tzinfo=UTC))), folder / "work", None):
    energy += pl.read_parquet(loaded.facts["telemetry.gpu_hourly"], columns=["energy_kwh"])["energy_kwh"].sum()
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(int(peak.split()[1]) * 1024 / 1e6, energy)
"""


def write(path: Path, step_s: int = STEP_S) -> float:
    """Writes the cards, each held by a pod with a team, and their nodes' meters; returns the kWh of the cards."""
    start = int(datetime(2026, 8, 31, 21, tzinfo=UTC).timestamp())  # midnight in Athens
    times = range(start, start + DAYS * 86400 + step_s, step_s)
    names = (
        ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", lambda t, w: f"{10**12 + w * 1000 * (t - start)}"),
        ("DCGM_FI_DEV_POWER_USAGE", lambda t, w: f"{w}"),
        ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", lambda t, w: f"{t % 7 / 7:.3f}"),
    )
    with path.open("w") as file:
        for metric, value in names:
            file.write(f"# TYPE {metric} unknown\n")
            for card in range(CARDS):
                where = (
                    f'UUID="GPU-{card}",Hostname="n{card // 8}",modelName="H100",instance="n{card // 8}:9400"'
                )
                labels = f'{metric}{{{where},namespace="ml",pod="train-{card}"}}'
                file.writelines(f"{labels} {value(t, 300 + card)} {t}\n" for t in times)
        file.write("# TYPE kube_pod_labels unknown\n")
        for card in range(CARDS):
            labels = (
                f'kube_pod_labels{{namespace="ml",pod="train-{card}",uid="u{card}",label_team="t{card % 5}"}}'
            )
            file.writelines(f"{labels} 1 {t}\n" for t in times)
        file.write("# TYPE ipmi_dcmi_power_consumption_watts unknown\n")
        for node in range(CARDS // 8):
            labels = f'ipmi_dcmi_power_consumption_watts{{instance="bmc-n{node}",node="n{node}"}}'
            file.writelines(f"{labels} 6000 {t}\n" for t in times)
        file.write("# EOF\n")
    return sum(300 + card for card in range(CARDS)) * 24 * DAYS / 1000


def test_memory_of_64_cards_and_30_days(tmp_path: Path) -> None:
    kwh = write(tmp_path / "site.om")
    last = FIRST + timedelta(days=DAYS - 1)
    with prometheus(tmp_path / "site.om", tmp_path) as url:
        arguments = [sys.executable, "-c", READ, url, str(tmp_path), FIRST.isoformat(), last.isoformat()]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    peak_mb, found = map(float, done.stdout.split())
    assert found == pytest.approx(kwh, rel=0.001)
    assert peak_mb < 300
