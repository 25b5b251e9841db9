"""Files: spellings, bad rows, bad files, which days change with which file; meters and model servers."""

from __future__ import annotations

import gzip
import json
import math
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from connectors.base import Context, SourceError, Window
from connectors.telemetry_files import reader as module
from connectors.telemetry_files.reader import Options, TelemetryFilesReader
from tests.connectors.telemetry_files.samples import (
    GPU,
    INFERENCE,
    POWER,
    card,
    load,
    minutes,
    reader,
    table,
    utc,
    write,
)

WINDOW = Window(date(2030, 1, 1), datetime(2030, 1, 1, tzinfo=UTC))


def test_names_of_dcgm_in_csv(tmp_path: Path) -> None:
    rows = [
        {
            "ts": ts, "UUID": "GPU-9", "Hostname": "n9", "modelName": "H100", "exported_pod": pod, "exported_namespace": "ml",
            "pod": "dcgm-exporter-1", "DCGM_FI_DEV_GPU_UTIL": "50", "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": n * 6_000_000,
        }
        for n, (ts, pod) in enumerate(zip(minutes("2026-09-01 10:00", 61), ["train"] * 30 + [""] * 31, strict=True))
    ]  # fmt: skip
    write(tmp_path, "gpu-2026-09-01.csv.gz", rows)
    day = table(load(tmp_path), GPU).sort("pod", nulls_last=True)
    assert day["pod"].to_list() == ["train", None]
    assert day["allocated"].to_list() == [True, False]
    assert day["used_hours"].to_list() == pytest.approx([0.25, 0.25])
    assert day["energy_kwh"].sum() == pytest.approx(0.1)
    assert day.select("node", "gpu", "gpu_model").unique().rows() == [("n9", "GPU-9", "H100")]


@pytest.mark.parametrize("first", ["whole", "parts"])
def test_parquet_files_of_one_column_may_have_numbers_of_several_types(first: str, tmp_path: Path) -> None:
    """An hour used wholly, written as integers, and one used to 3 parts in 10, as decimals; neither is cast to the other."""
    for name, used, power in (("whole", 1, 200), ("parts", 0.3, 100.4)):
        rows = [
            card(ts, None, gpu=name, node=name, utilisation=used, power_w=power)
            for ts in minutes("2026-09-01 10:00", 61)
        ]
        write(tmp_path, f"gpu/{0 if name == first else 1}-{name}.parquet", rows)
    day = table(load(tmp_path), GPU).sort("gpu")
    assert day["gpu"].to_list() == ["parts", "whole"]
    assert day["used_hours"].to_list() == pytest.approx([0.3, 1.0], rel=0.02)
    assert day["energy_kwh"].to_list() == pytest.approx([0.1004, 0.2], rel=0.02)


def test_bad_rows_and_values_are_counted(tmp_path: Path) -> None:
    rows = [
        {**card(ts, n * 6_000_000, power_w=100), "ts": ts.isoformat()}
        for n, ts in enumerate(minutes("2026-09-01 10:00", 61))
    ]
    rows[3]["ts"] = "2026-09-01T10:03:00"  # no zone
    rows[4]["ts"] = "yesterday"
    rows[5]["gpu"] = ""
    rows[16]["energy_mj"] = 9223372036854775794
    rows[27]["power_w"] = 0
    rows[28]["utilisation"] = "1.5"
    rows[29]["power_w"] = "n/a"
    rows[30]["node"] = ""
    rows.append(rows[20])
    write(tmp_path, "gpu.csv", rows)
    (item,) = load(tmp_path)
    found = {(r["action"], r["rule"], r["column_name"]): r["rows"] for r in item.issues.iter_rows(named=True)}
    assert found == {
        ("rejected", "ts_unreadable", "ts"): 2,
        ("rejected", "gpu_unnamed", "gpu"): 1,
        ("repaired", "value_dropped", "energy_kwh_total"): 1,
        ("repaired", "value_dropped", "power_w"): 2,
        ("repaired", "value_dropped", "utilisation"): 1,
        ("flagged", "node_unnamed", "node"): 1,
        ("flagged", "duplicate_sample", "ts"): 1,
    }
    assert all(r.endswith("gpu.csv") for r in item.issues["location"])
    assert item.rows_read == 62
    # three samples in a row are missing (10:03 to 10:05): a gap of four minutes, which the counter bridges
    hour = table([item], GPU)
    assert hour.filter("sampled")["observed_hours"].sum() == pytest.approx(57 / 60)
    assert hour["energy_estimated_kwh"].sum() == pytest.approx(0.1 * 4 / 60)
    assert hour["energy_kwh"].sum() == pytest.approx(0.1 * 56 / 60)


def test_counter_that_jumps_is_not_believed(tmp_path: Path) -> None:
    rows = [card(ts, n * 6_000_000, power_w=100) for n, ts in enumerate(minutes("2026-09-01 10:00", 61))]
    for row in rows[30:]:
        row["energy_mj"] += 3e12  # 833 kWh in a minute
    write(tmp_path, "gpu.parquet", rows)
    (item,) = load(tmp_path)
    assert table([item], GPU)["energy_kwh"].sum() == pytest.approx(0.1)
    assert item.issues["rule"].to_list() == ["counter_implausible"]


def test_only_days_near_a_changed_file_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in range(1, 8):
        rows = [card(ts, n * 6e6) for n, ts in enumerate(minutes(f"2026-09-0{day} 00:00", 1440))]
        write(tmp_path, f"gpu/{day}.parquet", rows)
    before = {s.period: s.fingerprint for s in reader(tmp_path).slices(WINDOW)}
    write(
        tmp_path,
        "gpu/4.parquet",
        [card(ts, n * 6e6) for n, ts in enumerate(minutes("2026-09-04 00:00", 1000))],
    )
    scanned = []
    real = module.scan
    monkeypatch.setattr(
        module, "scan", lambda store, item, logs: (scanned.append(item.key), real(store, item, logs))[1]
    )
    after = {s.period: s.fingerprint for s in reader(tmp_path).slices(WINDOW)}
    assert [d.day for d in before if before[d] != after[d]] == [3, 4, 5]
    assert scanned == ["gpu/4.parquet"]
    assert reader(tmp_path, "Asia/Tokyo").slices(WINDOW)[3].fingerprint not in after.values()


def test_days_after_the_day_of_the_run_are_not_offered(tmp_path: Path) -> None:
    write(tmp_path, "gpu.parquet", [card(ts, 1.0) for ts in minutes("2026-09-01 00:00", 3 * 24, 3600)])
    slices = reader(tmp_path).slices(Window(date(2026, 9, 2), datetime(2026, 9, 3, tzinfo=UTC)))
    assert [s.period.day for s in slices] == [1, 2]
    assert reader(tmp_path).check() == "1 files of samples, 2026-09-01 to 2026-09-03 (UTC)"


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("gpu.csv", b"", "is empty"),
        ("gpu.parquet", b"PAR1 and no more", "is damaged"),
        (
            "gpu.csv.gz",
            gzip.compress(b"ts,node,gpu\n" + b"2026-09-01T00:00:00Z,n,g\n" * 5000, mtime=0)[:100],
            "is damaged",
        ),
        ("gpu.csv", b"ts,node,energy_mj\n2026-09-01T00:00:00Z,n,1\n", "column 'gpu' is missing"),
        ("gpu.csv", b"time,node,gpu\n2026-09-01T00:00:00Z,n,g\n", "column 'ts' is missing"),
        ("gpu.csv", b"ts,node,gpu\n2026-09-01 00:00:00,n,g\n", "none of 1 timestamps can be read"),
        ("cards.csv", b"ts,node,gpu\n", "does not say what it holds"),
        ("gpu/a.xlsx", b"x", "is no sample file"),
    ],
)
def test_bad_files_say_what_to_do(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    path = tmp_path / "in" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    with pytest.raises(SourceError, match=words) as error:
        reader(tmp_path).slices(WINDOW)
    assert name in str(error.value)


def test_samples_of_a_day_that_is_still_to_come_wait_for_it(tmp_path: Path) -> None:
    """Half an hour of samples of 600 W, delivered the day before: nothing then, 0.29 kWh between 30 samples later."""
    rows = [card(ts, 3.6e7 * n) for n, ts in enumerate(minutes("2026-09-02 10:00", 30))]
    write(tmp_path, "gpu/a.parquet", rows)
    before = Window(date(2026, 9, 1), datetime(2026, 9, 1, 12, tzinfo=UTC))
    assert reader(tmp_path).slices(before) == []
    assert table(load(tmp_path), GPU)["energy_kwh"].to_list() == pytest.approx([0.29])


def test_notes_and_header_only_files_are_no_days(tmp_path: Path) -> None:
    write(tmp_path, "gpu/a.parquet", [card(ts, 1.0) for ts in minutes("2026-09-01 10:00", 3)])
    (tmp_path / "in" / "gpu" / "empty.csv").write_text("ts,node,gpu\n")
    (tmp_path / "in" / "README.md").write_text("about")
    (tmp_path / "in" / "_SUCCESS").write_text("")
    assert [s.period for s in reader(tmp_path).slices(WINDOW)] == [date(2026, 9, 1)]
    assert len(load(tmp_path)) == 1


def test_unknown_site_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="site 'dc9' is not in `sites`"):
        TelemetryFilesReader(
            Options(kind="telemetry_files", location="x", site="dc9"), Context("s", tmp_path, tmp_path, {})
        )


def test_model_server_that_restarts(tmp_path: Path) -> None:
    def at(total: int) -> dict[str, object]:
        buckets = json.dumps({"0.5": total // 2, "+Inf": total - total // 10})
        return {
            "requests_total": total,
            "requests_failed_total": total // 10,
            "prompt_tokens_total": total * 7,
            "latency_seconds_buckets": buckets,
        }

    totals = [1000, 1100, 1200, 100, 300]  # +100 +100, a restart that shows 100, +200
    rows = [
        {"ts": ts, "workload": "chat", "model": "m", "team": "assist", "pod": "p", **at(total)}
        for ts, total in zip(minutes("2026-09-01 10:00", 5, 1200), totals, strict=True)
    ]
    write(tmp_path, "inference.parquet", rows)
    (item,) = load(tmp_path, sample_interval_s=1200)
    hours = table([item], INFERENCE).sort("hour")
    # samples at 10:00 10:20 10:40 11:00 11:20; the one at 11:00 closes the hour from 10
    assert hours["hour"].dt.hour().to_list() == [10, 11]
    assert hours["failed"].to_list() == [10 + 10 + 10, 20]
    assert hours["inferences"].to_list() == [90 + 90 + 90, 180]
    assert hours["tokens_in"].to_list() == [2100, 1400]
    assert hours["tokens_out"].to_list() == [None, None]
    assert hours["coverage"].to_list() == pytest.approx([1, 1 / 3])
    assert [json.loads(b) for b in hours["latency_buckets"]] == [
        {"0.5": 150, "+Inf": 270},
        {"0.5": 100, "+Inf": 180},
    ]


def test_power_meters(tmp_path: Path) -> None:
    rows = [
        {"ts": ts, "node": "n1", "meter": meter, "power_w": 3000, "energy_kwh_total": total}
        for n, ts in enumerate(minutes("2026-09-01 10:00", 61))
        for meter, total in (("psu", 50 + n * 0.06), (None, None))
    ]
    write(tmp_path, "power/x.parquet", rows)
    (item,) = load(tmp_path)
    hours = table([item], POWER).sort("meter")
    assert hours["meter"].to_list() == ["n1", "psu"]
    assert hours["energy_kwh"].to_list() == pytest.approx([3.0, 3.6])  # gauge, counter
    assert hours["coverage"].to_list() == [1.0, 1.0]


def test_quarters_of_a_meter_are_known_where_all_of_them_is_measured(tmp_path: Path) -> None:
    # Kathmandu is 5:45 ahead: its hours start at quarter past of UTC. A minute of 0.06 kWh is 3.6 kW, of 0.12 7.2 kW.
    # The third quarter lacks five minutes, which the counter bridges; the fourth has no sample at its end.
    total, rows = 50.0, []
    for n, ts in enumerate(minutes("2026-09-01 10:15", 58)):
        if not 32 <= n < 37:
            rows.append({"ts": ts, "node": "n1", "meter": "psu", "energy_kwh_total": total})
        total += 0.12 if 15 <= n < 30 else 0.06
    write(tmp_path, "power/x.parquet", rows)
    hours = table(load(tmp_path, "Asia/Kathmandu"), POWER)
    assert hours["hour"].to_list() == [utc("2026-09-01 10:15").replace(tzinfo=None)]
    (found,) = hours.select("kw_q1", "kw_q2", "kw_q3", "kw_q4").rows()
    assert found == (pytest.approx(3.6), pytest.approx(7.2), None, None)


def test_covered_hour_without_a_sample_counts_nothing(tmp_path: Path) -> None:
    row = {"workload": "chat", "model": "m", "team": "assist", "pod": "p"}
    rows = [
        row | {"ts": utc(f"2026-09-01 {at}"), "requests_total": total, "prompt_tokens_total": None}
        for at, total in (("10:50", 1000), ("12:02", 1100))
    ]
    write(tmp_path, "inference.csv", rows)
    hours = table(load(tmp_path, sample_interval_s=1800), INFERENCE).sort("hour")
    # the step of 72 minutes covers the hour from 11; what it counted belongs to the sample at 12:02
    assert hours.select(pl.col("hour").dt.hour(), "inferences", "tokens_in", "team").rows() == [
        (10, 0.0, None, "assist"),
        (11, 0.0, None, "assist"),
        (12, 100.0, None, "assist"),
    ]
    assert hours["coverage"].to_list() == pytest.approx([10 / 60, 1.0, 2 / 60])


def test_blanks_of_dcgm_are_no_counter(tmp_path: Path) -> None:
    """An hour at 600 W, 0.6 kWh; one sample is a blank: the step over it has the energy of both minutes."""
    blanks = [2**31 - 16, 2**31 - 13, 2**47, 2**47 + 1, 2**63 - 16]
    for blank in blanks:
        moments = minutes("2026-09-01 10:00", 61)
        rows = [card(ts, 1e12 + n * 3.6e7, gpu=f"GPU-{blank}") for n, ts in enumerate(moments)]
        rows[20]["energy_mj"] = float(blank)
        write(tmp_path, f"gpu/{blank}.csv", rows)
    loaded = load(tmp_path)
    energy = dict(table(loaded, GPU).group_by("gpu").agg(pl.col("energy_kwh").sum()).iter_rows())
    assert energy == {f"GPU-{blank}": pytest.approx(0.6, rel=1e-12) for blank in blanks}
    issues = pl.concat([item.issues for item in loaded])
    found = issues.select("location", "rule", "column_name", "rows").rows()
    assert sorted(found) == sorted(
        (str(tmp_path / "in" / "gpu" / f"{blank}.csv"), "value_dropped", "energy_kwh_total", 1)
        for blank in blanks
    )


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_utilisation_that_means_nothing_of_a_slice_is_unknown(tmp_path: Path, suffix: str) -> None:
    """GPU_UTIL of a slice is 0 in old exporters: not known, and nothing wrong; of the card beside it, it counts."""
    rows = []
    for n, ts in enumerate(minutes("2026-09-01 10:00", 61)):
        common = {"utilisation": None, "DCGM_FI_DEV_GPU_UTIL": 0 if n < 30 else None}
        rows.append(card(ts, 1e12 + n * 3.6e7, mig_id="1", mig_profile="7g.80gb", **common))
        whole = {"mig_id": None, "mig_profile": None, "utilisation": None, "DCGM_FI_DEV_GPU_UTIL": 25}
        rows.append(card(ts, 1e12 + n * 3.6e7, gpu="GPU-2", **whole))
    write(tmp_path, f"gpu/a.{suffix}", rows)
    loaded = load(tmp_path)
    hours = table(loaded, GPU).filter(pl.col("hour").dt.hour() == 10).sort("gpu")
    assert hours["used_hours"].to_list() == [None, pytest.approx(0.25)]
    assert all(item.issues.is_empty() for item in loaded)


@pytest.mark.parametrize("column", ["utilisation", "power_w", "energy_mj"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_in_parquet_is_dropped(tmp_path: Path, column: str, value: float) -> None:
    """Five of 61 samples at half use and 100 W; statistics of Parquet say nothing of NaN."""
    rows = [
        card(ts, 1e12 + n * 6_000_000, power_w=100.0) for n, ts in enumerate(minutes("2026-09-01 10:00", 61))
    ]
    for row in rows[20:25]:
        row[column] = value
    write(tmp_path, "gpu.parquet", rows)
    (item,) = load(tmp_path)
    hour = table([item], GPU)
    assert hour["used_hours"].sum() == pytest.approx(0.5)
    assert (hour["energy_kwh"] + hour["energy_estimated_kwh"]).sum() == pytest.approx(0.1)
    assert item.issues.select("action", "rule", "rows").rows() == [("repaired", "value_dropped", 5)]
