"""Whole runs over reports of which a file is damaged: others are published, the gates say so, and it is read when it comes whole."""

from __future__ import annotations

import gzip
from datetime import date
from pathlib import Path

import duckdb
import pytest

from tests.connectors.edge.test_reader import report, write
from tests.connectors.telemetry_files import samples
from tests.pipelines import small

pytestmark = pytest.mark.long

CONFIG = """
sources:
  cams: {kind: edge_files, location: ./in, site: plant, bridge_days: 1}
sites:
  plant: {time_zone: UTC, tariff: 0.20}
assets: ./assets.csv
"""


def test_a_damaged_file_holds_back_itself_or_the_days_that_it_gave(tmp_path: Path) -> None:
    """Two cameras, a file each and day: 10 inferences a report, 96 reports a day, of which the very first is the base."""
    register = [f"a{c},plant,cam-{c},edge_device,Orin,600,USD,2026-09-01,36" for c in (1, 2)]
    (tmp_path / "assets.csv").write_text(
        "\n".join(["asset,site,node,kind,model,capex,currency,in_service,life_months", *register]) + "\n"
    )
    (tmp_path / "tierwise.yaml").write_text(CONFIG)
    for day in (1, 2):
        for cam in (1, 2):
            reports = [report(n, device_id=f"cam-{cam}") for n in range(96 * (day - 1), 96 * day)]
            write(tmp_path, f"cam-{cam}-2026-09-0{day}.jsonl.gz", reports)
    late, early = (tmp_path / "in" / f"cam-{c}-2026-09-0{d}.jsonl.gz" for c, d in ((2, 2), (1, 1)))
    whole = late.read_bytes()
    late.write_bytes(whole[:-4])

    first = run(tmp_path)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "damaged_files is 1" in first.stdout + first.stderr
    assert published(tmp_path) == [(date(2026, 9, 1), 1900), (date(2026, 9, 2), 960)]
    asked = "SELECT action, period, rows, location, raw FROM ops.quarantine WHERE rule = 'file_damaged'"
    ((action, period, rows, where, raw),) = query(tmp_path, asked)
    assert (action, period, rows) == ("rejected", date(2026, 9, 2), 0)
    assert str(where).endswith(late.name)
    assert "Compressed file ended" in str(raw)

    late.write_bytes(whole)
    kept = early.read_bytes()
    early.write_bytes(b"PK" + kept)
    second = run(
        tmp_path
    )  # both days follow from the earlier version of that file, and the source is required
    assert second.returncode == 1
    assert "not_ready_months is 1" in second.stdout + second.stderr
    assert "2026-09-01 to 2026-09-02: " in second.stdout + second.stderr
    assert published(tmp_path) == [(date(2026, 9, 1), 1900), (date(2026, 9, 2), 960)]

    early.write_bytes(gzip.compress(gzip.decompress(kept), 1, mtime=0))
    third = run(tmp_path)
    assert third.returncode == 0, third.stdout + third.stderr
    assert "damaged_files" not in third.stdout + third.stderr
    assert published(tmp_path) == [(date(2026, 9, 1), 1900), (date(2026, 9, 2), 1920)]
    assert query(tmp_path, asked) == []


def test_parquet_damaged_within_its_values_holds_back_its_day_in_the_same_run(tmp_path: Path) -> None:
    """A card at 300 W, ten hours a day: 3 kWh a day. The file of the second day has pages that cannot be read."""
    (tmp_path / "tierwise.yaml").write_text(
        CONFIG.replace("edge_files", "telemetry_files").replace(
            "bridge_days: 1", "bridge_hours: 1, required: false"
        )
    )
    (tmp_path / "assets.csv").write_text(
        "asset,site,node,kind,units,model,capex,currency,in_service,life_months\na,plant,n1,gpu_server,1,H100,30000,USD,2026-09-01,36\n"
    )
    for day in (1, 2, 3):
        moments = samples.minutes(f"2026-09-0{day} 08:00", 601)
        path = samples.write(
            tmp_path, f"gpu/{day}.parquet", [samples.card(ts, 1e9 + 18e6 * n) for n, ts in enumerate(moments)]
        )
        if day == 2:
            data = bytearray(path.read_bytes())
            asked = "SELECT data_page_offset FROM parquet_metadata(?) WHERE path_in_schema = 'energy_mj'"
            with duckdb.connect() as con:
                ((start,),) = con.execute(asked, [str(path)]).fetchall()
            data[start : start + 300] = b"\xff" * 300
            path.write_bytes(data)
    done = small.tierwise("run", "--config", tmp_path / "tierwise.yaml", "--date", "2026-09-03")
    assert done.returncode == 0, done.stdout + done.stderr
    sql = "SELECT day, ROUND(SUM(energy_kwh), 6) FROM telemetry.gpu_hourly GROUP BY day ORDER BY day"
    assert query(tmp_path, sql) == [(date(2026, 9, 1), 3.0), (date(2026, 9, 3), 3.0)]
    ((status, error),) = query(tmp_path, "SELECT status, error FROM ops.sources")
    assert (status, str(error)[:12], "2.parquet is damaged" in str(error)) == ("stale", "2026-09-02: ", True)


def run(folder: Path) -> small.Done:
    return small.tierwise("run", "--config", folder / "tierwise.yaml", "--date", "2026-09-02")


def published(folder: Path) -> list[tuple[object, ...]]:
    return query(
        folder, "SELECT day, SUM(inferences)::BIGINT FROM telemetry.edge_daily GROUP BY day ORDER BY day"
    )


def query(folder: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(folder / "data" / "warehouse.duckdb"), read_only=True) as con:
        return con.execute(sql).fetchall()
