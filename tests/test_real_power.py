"""The whole run on measured power of MLPerf machines, against the energy that their own results state."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.pipelines import small

DATA = os.environ.get("TIERWISE_REAL_DATA")
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not DATA, reason="TIERWISE_REAL_DATA does not name a folder with real telemetry"),
]
MACHINES = {"edge": 40, "h200x8": 14}
"""Machine -> runs in its results, those that repeat another run included."""

TOLERANCE = 0.001


def results(machine: str) -> list[dict[str, str]]:
    with (Path(str(DATA)) / "telemetry" / f"mlperf_power_{machine}" / "runs.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def tokens(row: dict[str, str]) -> str:
    return str(float(row["tokens_per_s"]) * float(row["duration_s"])) if row["tokens_per_s"] else ""


def write_runs(file: Path, rows: Sequence[dict[str, str]]) -> None:
    """The list of runs as a user writes it; `same_run_as` names the run whose power log counts."""
    with file.open("w", newline="") as lines:
        out = csv.writer(lines)
        out.writerow(["run_id", "workload", "model", "started_at", "ended_at", "meter", "tokens"])
        for r in rows:
            out.writerow(
                [
                    r["run_id"],
                    r["system"],
                    r["model"],
                    r["power_begin"],
                    r["power_end"],
                    r["same_run_as"],
                    tokens(r),
                ]
            )


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mlperf")
    sources = []
    for machine in MACHINES:
        (folder / machine / "power").mkdir(parents=True)
        shutil.copy(
            Path(str(DATA)) / "telemetry" / f"mlperf_power_{machine}" / "power_1s.parquet",
            folder / machine / "power",
        )
        sources.append(
            f"  {machine}: {{kind: telemetry_files, location: ./{machine}, site: lab, sample_interval_s: 1}}\n"
        )
    write_runs(folder / "runs.csv", [row for machine in MACHINES for row in results(machine)])
    (folder / "tierwise.yaml").write_text(
        f"sources:\n{''.join(sources)}sites:\n  lab: {{time_zone: America/Los_Angeles, tariff: 0.1}}\ntraining_runs: runs.csv\n"
    )
    done = small.tierwise("run", "--config", folder / "tierwise.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.parametrize("machine", MACHINES)
def test_energy_of_every_run(published: Path, machine: str) -> None:
    found = {
        str(run_id): (kwh, readings, length)
        for run_id, kwh, readings, length in small.query(
            published,
            f"SELECT run_id, energy_kwh, readings, duration_s FROM marts.run_energy WHERE source = '{machine}'",
        )
    }
    listed = results(machine)
    assert len(listed) == len(found) == MACHINES[machine]
    off = {}
    for row in listed:
        kwh, readings, length = found[row["run_id"]]
        assert (readings, length) == (int(row["n_samples"]), pytest.approx(float(row["duration_s"])))
        off[row["run_id"]] = abs(kwh / float(row["energy_kwh"]) - 1)
    assert max(off.values()) <= TOLERANCE


def test_energy_of_a_million_tokens(published: Path) -> None:
    """6,152.8 W at 25,262.1 tokens a second; / 3.6 is kWh a million."""
    ((kwh,),) = small.query(
        published,
        "SELECT kwh_per_1m_tokens FROM marts.run_energy WHERE run_id LIKE '%:llama2-70b-99.9:Offline'",
    )
    assert round(kwh, 4) == 0.0677


def test_sentinels_are_dropped_and_counted(published: Path) -> None:
    """-2 W in the logs: 4 of Orin and 5 + 1 of Xavier inside runs, 6 of Xavier outside; none of the H200."""
    runs = small.query(
        published,
        "SELECT source, sum(readings_dropped) FROM (SELECT DISTINCT source, meter, readings_dropped FROM marts.run_energy) GROUP BY ALL",
    )
    assert dict(runs) == {"edge": 10, "h200x8": 0}
    quarantined = small.query(
        published, "SELECT source, rule, column_name, sum(rows) FROM ops.quarantine GROUP BY ALL"
    )
    # at three moments the log holds two rows: twice a reading and -2 W, once -2 W twice
    assert sorted(quarantined) == [
        ("edge", "duplicate_sample", "ts", 3),
        ("edge", "value_dropped", "power_w", 16),
    ]
