"""Logs of nvidia-smi and dcgmi, as these commands print them, to hours of cards."""

from __future__ import annotations

import gzip
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from connectors.base import SourceError
from tests.connectors.telemetry_files.samples import GPU, load, reader, table

HEAD = "timestamp, name, uuid, index, power.draw [W], utilization.gpu [%], mig.mode.current\n"


def put(folder: Path, name: str, text: str) -> None:
    path = folder / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)


def local(start: str, count: int, step_s: int = 60) -> list[datetime]:
    return [datetime.fromisoformat(start) + timedelta(seconds=step_s * n) for n in range(count)]


def test_query_gpu_in_local_time(tmp_path: Path) -> None:
    """61 samples of 300 W at 50 %: an hour of 0.3 kWh that starts at 10:00 in Athens, 07:00 UTC."""
    lines = [
        f"{at:%Y/%m/%d %H:%M:%S}.000, NVIDIA H100 80GB HBM3, GPU-1, 0, 300.00 W, 50 %, Disabled\n"
        for at in local("2026-09-01T10:00", 61)
    ]
    lines[20] = lines[20].replace("300.00 W", "[N/A]").replace("50 %", "[Not Supported]")
    lines[30] = "Unable to determine the device handle for GPU0000:05:00.0: Unknown Error\n"
    lines[40] = lines[40].replace("300.00 W", "[Unknown Error]")
    put(tmp_path, "gpu/n1.csv", HEAD + "".join(lines[:30]) + HEAD + "".join(lines[30:]))
    loaded = load(tmp_path, "Europe/Athens")
    hours = table(loaded, GPU)
    assert hours["hour"].to_list() == [datetime(2026, 9, 1, 7)]  # noqa: DTZ001 - UTC without a zone
    row = hours.row(0, named=True)
    assert (row["node"], row["gpu"], row["gpu_model"]) == ("n1", "GPU-1", "NVIDIA H100 80GB HBM3")
    assert row["observed_hours"] == pytest.approx(1)
    assert row["used_hours"] == pytest.approx(0.5)
    assert row["energy_kwh"] == pytest.approx(0.3)
    rejected = loaded[0].issues.filter(pl.col("action") == "rejected")
    assert rejected.select("rule", "rows").rows() == [("ts_unreadable", 1)]
    assert "Unable to determine" in rejected["value"][0]


def test_a_quote_that_is_left_open_ends_with_its_line(tmp_path: Path) -> None:
    """Of 61 samples of 300 W one is cut within a quote; the two minutes around it are one step."""
    lines = [
        f'{at:%Y/%m/%d %H:%M:%S}.000, "NVIDIA H100", GPU-1, 0, 300.00 W, 50 %, Disabled\n'
        for at in local("2026-09-01T10:00", 61)
    ]
    lines[20] = lines[20][:30] + "\n"
    put(tmp_path, "gpu/n1.csv", HEAD + "".join(lines))
    (loaded,) = load(tmp_path)
    row = table([loaded], GPU).row(0, named=True)
    assert (row["gpu_model"], row["energy_kwh"]) == ("NVIDIA H100", pytest.approx(0.3))
    rejected = loaded.issues.filter(pl.col("action") == "rejected")
    assert rejected.select("rule", "rows").rows() == [("ts_unreadable", 1)]


def test_the_hour_that_comes_twice(tmp_path: Path) -> None:
    """From 00:00 UTC on 25 October, 03:00 in Athens, comes again at 01:00 UTC: two hours of 0.1 kWh."""
    instants = [datetime(2026, 10, 25, tzinfo=UTC) + timedelta(minutes=n) for n in range(121)]
    walls = [
        (at + timedelta(hours=3 if at < datetime(2026, 10, 25, 1, tzinfo=UTC) else 2)) for at in instants
    ]
    lines = [f"{at:%Y/%m/%d %H:%M:%S}.000, H100, GPU-1, 0, 100.00, 10, N/A\n" for at in walls]
    put(tmp_path, "gpu/n1.log.gz", HEAD + "".join(lines))
    hours = table(load(tmp_path, "UTC", log_time_zone="Europe/Athens"), GPU).sort("hour")
    assert hours["hour"].dt.hour().to_list() == [0, 1]
    assert hours["energy_kwh"].to_list() == pytest.approx([0.1, 0.1])


def test_dmon_with_dates(tmp_path: Path) -> None:
    head = "#Date       Time        gpu    pwr  gtemp  mtemp     sm    mem\n#YYYYMMDD   HH:MM:SS    Idx      W      C      C      %      %\n"
    lines = [
        f" {at:%Y%m%d}   {at:%H:%M:%S}      {card}    {watts}     40      -     {use}      0\n"
        for at in local("2026-09-01T10:00", 61)
        for card, watts, use in ((0, 200, 80), (1, 70, 0))
    ]
    put(tmp_path, "gpu/n7/smi.log", head + "".join(lines[:60]) + head + "".join(lines[60:]))
    hours = table(load(tmp_path, "Asia/Kolkata"), GPU).sort("gpu")
    assert hours["day"].to_list() == [date(2026, 9, 1)] * 2
    assert hours.select("node", "gpu").rows() == [("n7", "n7/gpu0"), ("n7", "n7/gpu1")]
    assert hours["energy_kwh"].to_list() == pytest.approx([0.2, 0.07])
    assert hours["used_hours"].to_list() == pytest.approx([0.8, 0.0])


DCGMI = "#Entity   GPUTL   POWER   TOTEC\nID                W       mJ\n"


def test_dcgmi_dmon_takes_its_start_from_the_name(tmp_path: Path) -> None:
    """The counter rises by 21.6 kJ a minute: 0.006 kWh x 60 = 0.36 kWh, whatever the gauge says."""
    lines = [
        line
        for n in range(61)
        for line in (
            f"GPU 0     100     350.5   {10**12 + n * 21_600_000}\n",
            "GPU 1     N/A     N/A     N/A\n",
            "GPU-I 3   7       N/A     N/A\n",
        )
    ]
    put(tmp_path, "gpu/n1-20260901T100000Z.log", DCGMI + "".join(lines[:90]) + DCGMI + "".join(lines[90:]))
    loaded = load(tmp_path, "Europe/Athens")
    hours = table(loaded, GPU).sort("gpu")
    assert hours["gpu"].to_list() == ["n1/gpu0", "n1/gpu1"]
    assert hours["energy_kwh"].to_list() == [pytest.approx(0.36), None]
    assert hours["used_hours"].to_list() == [pytest.approx(1.0), None]
    issues = loaded[0].issues
    assert issues.filter(pl.col("rule") == "gpu_unnamed")["rows"].to_list() == [
        61
    ]  # instances without their card


def test_dcgmi_without_a_start_says_what_to_do(tmp_path: Path) -> None:
    put(tmp_path, "gpu/n1.log", DCGMI + "GPU 0     1     70     1\n")
    with pytest.raises(SourceError, match=r"rows have no time.*NODE-20260901T100000Z\.log"):
        reader(tmp_path).check()


QUERY = """timestamp, pci.bus_id, power.draw.instant [W], power.draw [W], utilization.gpu [%]
2026/09/01 10:00:00, 00000000:01:00.0, [N/A], 300.00 W, 40 %
2026/09/01 10:01:00.500, 00000000:01:00.0, 500.00 W, [Not Supported], [Insufficient Permissions]
timestamp, pci.bus_id, power.draw.instant [W], power.draw [W], utilization.gpu [%]
2026/09/01 10:02:00, 00000000:01:00.0, 900.00 W, 300.00 W, 40 %
"""
DMON_CSV = """#Date, Time, gpu, pwr, gtemp, mtemp, sm
#YYYYMMDD, HH:MM:SS, Idx, W, C, C, %
 20260901, 10:00:00, 0, 300, 50, -, 40
 20260901, 10:01:00, 0, 500, 50, -, -
 20260901, 10:02:00, 0, 300, 50, -, 40
"""


WRITTEN = [
    (text, card, code)
    for text, card in ((QUERY, "00000000:01:00.0"), (DMON_CSV, "gpu0"))
    for code in ("utf-8", "utf-8-sig", "utf-16")
]


def test_logs_as_tools_and_shells_write_them(tmp_path: Path) -> None:
    """300, 500, 300 W a minute apart: (400 + 400) / 60,000 kWh. 40 % where it is known: 0.8 of two minutes.

    power.draw counts before power.draw.instant, which stands in where it is not known. Each log is of a host of its own.
    """
    for number, (text, _, code) in enumerate(WRITTEN):
        file = tmp_path / "in" / "gpu" / f"n{number}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.replace("\n", "\r\n").encode(code))
    found = table(load(tmp_path), GPU).sort("gpu")
    assert found["gpu"].to_list() == [f"n{number}/{card}" for number, (_, card, _) in enumerate(WRITTEN)]
    assert found["energy_kwh"].to_list() == pytest.approx([800 / 60_000] * len(WRITTEN))
    assert found["used_hours"].to_list() == pytest.approx([0.4 * 2 / 60] * len(WRITTEN))


def test_times_without_a_day_say_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "in" / "gpu" / "n7.log"
    file.parent.mkdir(parents=True)
    file.write_text("#Time        gpu    pwr\n#HH:MM:SS    Idx      W\n 10:00:00      0     60\n")
    with pytest.raises(SourceError, match="a time and no day; write the log with `nvidia-smi dmon -o DT`"):
        load(tmp_path)


def test_samples_whose_time_is_called_timestamp_are_no_log(tmp_path: Path) -> None:
    file = tmp_path / "in" / "gpu" / "a.csv"
    file.parent.mkdir(parents=True)
    lines = [f"2026-09-01T10:0{n}:00Z,n1,g1,300" for n in range(3)]
    file.write_text("\n".join(["timestamp,node,uuid,power_w", *lines]))
    found = table(load(tmp_path), GPU)
    assert found.select("node", "gpu").rows() == [("n1", "g1")]
    assert found["energy_kwh"].to_list() == pytest.approx([0.3 * 2 / 60])


HOSTS = {
    "gpu/gpu-node-02.log": "gpu-node-02",
    "gpu/gpu-node-02-20260901T100000Z.log": "gpu-node-02",
    "gpu/gpu-node-02/2026-09-01.log": "gpu-node-02",
    "gpu/n1-2026-09-01.csv": "n1",
    "gpu/n1_20260901.log.gz": "n1",
    "gpu-n1.log": "n1",
    "gpu-gpu-node-02.log": "gpu-node-02",
}


def test_the_name_says_the_host(tmp_path: Path) -> None:
    """Of a name that begins as the folder does only a file without a folder loses `gpu-`; each log is of a card of its own."""
    for number, name in enumerate(HOSTS):
        lines = [
            f"{at:%Y/%m/%d %H:%M:%S}.000, H100, GPU-{number}, 0, 300.00 W, 50 %, N/A\n"
            for at in local("2026-09-01T10:00", 3)
        ]
        put(tmp_path, name, HEAD + "".join(lines))
    found = table(load(tmp_path, "UTC"), GPU).select("gpu", "node").sort("gpu").rows()
    assert found == [(f"GPU-{number}", node) for number, node in enumerate(HOSTS.values())]


def test_a_value_in_another_unit_is_none(tmp_path: Path) -> None:
    """5,000 mW are not 5,000 W: no value, and counted; the 300 W beside it hold for the two minutes between them."""
    lines = [
        f"{at:%Y/%m/%d %H:%M:%S}.000, H100, GPU-1, 0, 300.00 W, 50 %, N/A\n"
        for at in local("2026-09-01T10:00", 61)
    ]
    lines[30] = lines[30].replace("300.00 W", "5000 mW")
    put(tmp_path, "gpu/n1.log", HEAD + "".join(lines))
    loaded = load(tmp_path, "UTC")
    assert table(loaded, GPU)["energy_kwh"].sum() == pytest.approx(0.3)
    issues = loaded[0].issues.select("rule", "column_name", "value", "rows").rows()
    assert issues == [("value_dropped", "power_w", "power_w=5000 mW", 1)]


def test_dcgmi_rows_of_a_card_and_of_instances_with_the_same_number(tmp_path: Path) -> None:
    """Older dcgmi numbers instances without their card: these rows are of no card and move no times; 60 minutes of 300 W."""
    rows = "GPU-I 0  0.5  N/A\nGPU-I 1  0.5  N/A\nGPU 0  0.5  300.0\n" * 61
    put(tmp_path, "gpu/n1-20260901T100000Z.log", "#Entity  GRACT  POWER\nID\n" + rows)
    (item,) = load(tmp_path)
    assert table([item], GPU).select("gpu", "observed_hours", "energy_kwh").rows() == [
        ("n1/gpu0", pytest.approx(1), pytest.approx(0.3))
    ]
    assert item.issues.select("rule", "rows").rows() == [("gpu_unnamed", 122)]
