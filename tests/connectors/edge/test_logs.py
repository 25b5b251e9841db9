"""Logs of tegrastats and jtop to days of devices: boards, rails, clocks, gaps, bad lines, and reports beside logs."""

from __future__ import annotations

import gzip
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from connectors.base import SourceError
from connectors.edge.logs import Place, samples
from connectors.edge.reader import EdgeFilesReader
from models.records import TrainingRun
from tests.connectors.edge.test_reader import WINDOW, load, reader, report, rows, write
from tests.engine import Session

ORIN_NX = (
    "RAM 3162/7620MB (lfb 4x2MB) SWAP 0/3810MB (cached 0MB) CPU [1%@729,0%@729,off,off] GR3D_FREQ {gpu} "
    "cpu@47.5C gpu@46.1C tj@47.5C VDD_IN {mw}mW/3922mW VDD_CPU_GPU_CV 598mW/598mW VDD_SOC 1238mW/1237mW"
)
"""JetPack 5 and 6."""

NANO = (
    "RAM 613/3964MB (lfb 634x4MB) SWAP 0/1982MB (cached 0MB) CPU [2%@102,1%@102,0%@102,0%@102] EMC_FREQ 0% "
    "GR3D_FREQ {gpu} PLL@39C CPU@40.5C PMIC@100C GPU@41C POM_5V_IN {mw}/943 POM_5V_GPU 0/0 POM_5V_CPU 123/123"
)
"""JetPack 4: no date, no unit."""

AGX_ORIN = (
    "RAM 4321/62801MB (lfb 442x4MB) CPU [0%@1728,off] GR3D_FREQ {gpu} cpu@37.5C VDD_GPU_SOC {mw}mW/1592mW "
    "VDD_CPU_CV {cpu}mW/398mW VIN_SYS_5V0 2600mW/2624mW VDDQ_VDD2_1V8AO 403mW/403mW"
)
AGX_XAVIER = (
    "RAM 1903/15692MB (lfb 3251x4MB) CPU [1%@1190] EMC_FREQ 0% GR3D_FREQ {gpu} AO@32.5C GPU@32C CPU@33.5C "
    "GPU {mw}/0 CPU 200/216 SOC 800/864 CV 0/0 VDDRQ 100/144 SYS5V 1900/1889"
)
THOR = (
    "RAM 86905/125772MB (lfb 368x4MB) CPU [12%@972] GR3D_FREQ {gpu} tj@39.9C VDD_GPU 3561mW/3561mW "
    "VDD_CPU_SOC_MSS 7910mW/7910mW VIN_SYS_5V0 7620mW/7620mW VIN {mw}mW/26686mW"
)


def log(
    folder: Path,
    name: str,
    board: str,
    start: str,
    values: list[tuple[int, str]],
    step_s: int = 60,
    **more: Any,
) -> list[str]:
    """Writes a dated log of power (mW) and GPU, and returns its lines."""
    at = [datetime.fromisoformat(start) + timedelta(seconds=step_s * n) for n in range(len(values))]
    lines = [
        f"{t:%m-%d-%Y %H:%M:%S} {board.format(mw=mw, gpu=gpu, **more)}"
        for t, (mw, gpu) in zip(at, values, strict=True)
    ]
    text(folder, name, lines)
    return lines


def text(folder: Path, name: str, lines: list[str]) -> None:
    path = folder / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    data = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)


def days(folder: Path, zone: str = "UTC", **options: Any) -> list[dict[str, Any]]:
    return list(rows(load(folder, zone, log_interval_s=60, **options)).iter_rows(named=True))


def test_an_hour_of_an_orin_nx_in_local_time(tmp_path: Path) -> None:
    """61 lines of 7.2 W: 7.2 Wh. GPU half an hour at 50 %, half an hour at 100 %. 10:00 on the 5th in Athens."""
    values = [(7200, "50%@[612]")] * 30 + [(7200, "100%")] * 31
    log(tmp_path, "cam-1.log", ORIN_NX, "2026-09-05T10:00", values)
    (day,) = days(tmp_path, "Europe/Athens")
    assert (day["day"], day["device"], day["messages"]) == (date(2026, 9, 5), "cam-1", 61)
    assert day["energy_kwh"] == pytest.approx(0.0072)
    assert day["gpu_utilisation"] == pytest.approx(0.75)
    assert (day["online_hours"], day["log_hours"]) == (1.0, 1.0)
    assert (day["inferences"], day["energy_estimated_kwh"], day["duplicates"]) == (None, 0.0, 0)
    assert day["coverage"] == pytest.approx(1 / 24)


def test_undated_lines_need_start_and_interval(tmp_path: Path) -> None:
    """121 lines a minute apart from 23:00: 1 h of 3.6 W on the first day, 1 h on the next."""
    text(tmp_path, "nano-20260901T230000Z.log.gz", [NANO.format(mw=3600, gpu="99%@921")] * 121)
    first, second = days(tmp_path)
    assert [d["day"].day for d in (first, second)] == [1, 2]
    assert {d["device"] for d in (first, second)} == {"nano"}
    assert first["energy_kwh"] == second["energy_kwh"] == pytest.approx(0.0036)
    assert first["gpu_utilisation"] == pytest.approx(0.99)
    # every line has its own time although all are equal
    assert (first["messages"], second["messages"], second["duplicates"]) == (60, 61, 0)
    with pytest.raises(SourceError, match="is a log of tegrastats; say `log_interval_s`"):
        reader(tmp_path).check()
    (tmp_path / "in" / "nano-20260901T230000Z.log.gz").rename(tmp_path / "in" / "nano.log.gz")
    with pytest.raises(SourceError, match=r"lines have no time.*DEVICE-20260901T100000Z\.log"):
        reader(tmp_path, log_interval_s=60).check()


@pytest.mark.parametrize(
    "form", ["2026-09-01 {} ", "[2026-09-01T{}.25] ", "2026-09-01T{}-03:30 "], ids=["ts", "brackets", "zone"]
)
def test_times_that_a_wrapper_wrote_before_lines_without_any(tmp_path: Path, form: str) -> None:
    """10:00, 10:01, 12:00 and 12:01: two minutes of 6 W are 0.2 Wh. By the name's start and the interval it were three."""
    clock = ("10:00:00", "10:01:00", "12:00:00", "12:01:00")
    text(
        tmp_path,
        "nano-20260801T000000Z.log",
        [form.format(at) + NANO.format(mw=6000, gpu="50%") for at in clock],
    )
    (day,) = days(tmp_path)
    assert (day["day"], day["messages"]) == (date(2026, 9, 1), 4)
    assert day["energy_kwh"] == pytest.approx(0.0002)
    assert day["log_hours"] == pytest.approx(2 / 60)


@pytest.mark.parametrize("kind", ["tegrastats", "jtop"])
@pytest.mark.parametrize("form", ["2026-10-25T01:{}:00Z", "2026-10-25T02:{}:00+01:00"])
def test_times_that_say_their_zone_are_no_riddle_in_autumn(kind: str, form: str) -> None:
    """01:00 and 01:30 UTC are the second 02:00 and 02:30 of Berlin; the first were an hour before."""
    stamps = [form.format(minute) for minute in ("00", "30")]
    texts = [
        f"{at} {NANO.format(mw=6000, gpu='50%')}"
        if kind == "tegrastats"
        else f'{{"time": "{at}", "GPU": 50, "Power TOT": 6000}}'
        for at in stamps
    ]
    lines = pl.DataFrame({"number": [1, 2], "line": texts, "whole": [True, True]})
    read = samples(lines, kind, Place("nano", ZoneInfo("Europe/Berlin"), 60.0))
    assert read["ts"].to_list() == [datetime(2026, 10, 25, 1, 0), datetime(2026, 10, 25, 1, 30)]  # noqa: DTZ001
    assert read["power_w"].to_list() == [6.0, 6.0]


@pytest.mark.parametrize(
    ("board", "first_mw", "watts", "gpu", "use"),
    [
        (
            AGX_ORIN,
            1000,
            4.0,
            "50%@[1300,1300]",
            0.5,
        ),  # 1.0 + 0.4 + 2.6; the rail of the memory is inside the last
        (AGX_XAVIER, 600, 3.6, "0%@318", 0.0),  # 0.6 + 0.2 + 0.8 + 0.0 + 0.1 + 1.9
        (THOR, 26_000, 26.0, "@[314,314,314]", None),  # clocks only: utilisation is not known
    ],
)
def test_boards(tmp_path: Path, board: str, first_mw: int, watts: float, gpu: str, use: float | None) -> None:
    log(tmp_path, "dev.log", board, "2026-09-01T10:00", [(first_mw, gpu)] * 61, cpu=400)
    (day,) = days(tmp_path)
    assert day["energy_kwh"] == pytest.approx(watts / 1000)
    assert day["gpu_utilisation"] == use


def test_bad_lines_and_values_are_counted_with_file_and_line(tmp_path: Path) -> None:
    lines = log(tmp_path, "d/a.log", AGX_ORIN, "2026-09-01T10:00", [(1000, "50%")] * 61, cpu=400)
    lines[10] = "09-01-2026 10:10:30 tegrastats: cannot open /dev/nvmap"
    lines[12] = lines[12].replace("09-01-2026", "13-41-2026")
    lines[20] = lines[20].replace("VDD_CPU_CV 400mW", "VDD_CPU_CV -398mW")  # a rail cannot give power
    lines[30] = lines[30].replace("50%", "250%")
    lines[40] = lines[40].split(" VDD_CPU_CV")[0]  # cut: the rails that remain are not the board
    text(tmp_path, "d/a.log", lines)
    (item,) = load(tmp_path, log_interval_s=60)
    found = {
        (r["action"], r["rule"], r["column_name"]): (r["rows"], r["location"].rsplit("/in/", 1)[-1])
        for r in item.issues.iter_rows(named=True)
    }
    assert found == {
        ("rejected", "line_unreadable", "line"): (1, "d/a.log:11"),
        ("rejected", "ts_unreadable", "ts"): (1, "d/a.log:13"),
        ("repaired", "value_dropped", "power_w"): (1, "d/a.log:21"),
        ("repaired", "value_dropped", "utilisation"): (1, "d/a.log:31"),
        ("flagged", "power_unknown", "power_w"): (1, "d/a.log:41"),
    }
    assert item.rows_read == 61
    (day,) = rows([item]).iter_rows(named=True)
    # lines that are missing are two minutes, within 2.5 intervals: nothing is lost
    assert (day["device"], day["messages"], day["log_hours"]) == ("d", 59, 1.0)
    assert day["energy_kwh"] == pytest.approx(0.004)
    assert day["gpu_utilisation"] == pytest.approx(0.5)


def test_lines_of_a_clock_that_is_not_set_yet_are_set_aside(tmp_path: Path) -> None:
    """A board without a battery starts in 1970, until it has asked for the time."""
    lines = log(tmp_path, "a.log", ORIN_NX, "2026-09-01T10:00", [(6000, "10%")] * 61)
    early = log(tmp_path, "a.log", ORIN_NX, "1970-01-01T02:00", [(6000, "10%")] * 3)
    text(tmp_path, "a.log", early + lines)
    (item,) = load(tmp_path, log_interval_s=60)
    assert item.slice.period == date(2026, 9, 1)
    assert item.issues.select("action", "rule", "rows").rows() == [("flagged", "clock_not_set", 3)]
    (day,) = rows([item]).iter_rows(named=True)
    assert (day["messages"], item.rows_read, day["energy_kwh"]) == (61, 64, pytest.approx(0.006))


def test_a_gap_has_no_energy(tmp_path: Path) -> None:
    """Lines from :00 to :20 and from :40 to :60: two times 20 minutes of 6 W, 4 Wh; the rest is not known."""
    values = [(6000, "10%")] * 61
    lines = log(tmp_path, "a.log", ORIN_NX, "2026-09-01T10:00", values)
    text(tmp_path, "a.log", lines[:21] + lines[40:])
    (day,) = days(tmp_path)
    assert day["energy_kwh"] == pytest.approx(0.004)
    assert day["log_hours"] == pytest.approx(2 / 3)
    assert day["energy_estimated_kwh"] == 0


def test_log_over_local_midnight_and_the_hour_that_comes_twice(tmp_path: Path) -> None:
    """From 23:30 on 24 October to 05:30 on the 25th in Athens, where 03:00 to 04:00 is twice: 30 min and 6 h 30 min."""
    start = datetime(2026, 10, 24, 20, 30, tzinfo=UTC)
    back = datetime(2026, 10, 25, 1, 0, tzinfo=UTC)
    walls = [
        at + timedelta(hours=3 if at < back else 2)
        for at in (start + timedelta(minutes=n) for n in range(421))
    ]
    text(tmp_path, "a.log", [f"{w:%m-%d-%Y %H:%M:%S} {ORIN_NX.format(mw=6000, gpu='5%')}" for w in walls])
    first, second = days(tmp_path, "Europe/Athens")
    assert (first["day"], second["day"]) == (date(2026, 10, 24), date(2026, 10, 25))
    assert (first["log_hours"], second["log_hours"]) == (0.5, 6.5)
    assert (first["energy_kwh"], second["energy_kwh"]) == (pytest.approx(0.003), pytest.approx(0.039))
    assert second["coverage"] == pytest.approx(6.5 / 25)


def test_clocks_of_devices_may_be_in_another_zone(tmp_path: Path) -> None:
    """20:30 to 21:30 UTC is half an hour before and after midnight in Athens."""
    log(tmp_path, "a.log", ORIN_NX, "2026-09-01T20:30", [(6000, "5%")] * 61)
    assert [d["log_hours"] for d in days(tmp_path, "Europe/Athens", log_time_zone="UTC")] == [0.5, 0.5]
    assert [d["log_hours"] for d in days(tmp_path, "Europe/Athens")] == [1.0]


def test_lines_of_one_second_count_with_their_mean_and_repeated_files_once(tmp_path: Path) -> None:
    """Two lines a moment, 4 W and 8 W: 6 W. The file is there twice."""
    one = log(tmp_path, "cam/1.log", ORIN_NX, "2026-09-01T10:00", [(4000, "0%")] * 61)
    two = log(tmp_path, "cam/2.log", ORIN_NX, "2026-09-01T10:00", [(8000, "100%")] * 61)
    text(tmp_path, "cam/2.log", [line for pair in zip(one, two, strict=True) for line in pair])
    (day,) = days(tmp_path)
    assert (day["messages"], day["duplicates"], day["log_hours"]) == (122, 61, 1.0)
    assert (day["energy_kwh"], day["gpu_utilisation"]) == (pytest.approx(0.006), pytest.approx(0.5))


@pytest.mark.parametrize("power", ["Power TOT", "power cur"])
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_jtop(tmp_path: Path, power: str, form: str) -> None:
    """121 rows half a minute apart: 5.4 W, 5.4 Wh, GPU at 25 %; a cut row, a header again, a row without power."""
    at = [datetime(2026, 9, 1, 10, 0, 0, 398_586) + timedelta(seconds=30 * n) for n in range(121)]  # noqa: DTZ001
    if form == "csv":
        head = f"time,uptime,jetson_clocks,CPU1,GPU,RAM,{power}"
        lines = [f'{t},"1 day, 0:15:31.410000",OFF,18,25.0,0.4574,5400' for t in at]
        lines[50] = lines[50].replace(",5400", ",")
        lines[60] = lines[60].split(", 0:15")[0]
        lines = [head, *lines[:70], head, *lines[70:]]
    else:
        lines = [
            f'{{"time": "{t}", "uptime": "0:15:31", "CPU1": 18, "GPU": 25.0, "RAM": 0.4574, "{power}": 5400}}'
            for t in at
        ]
        lines[50] = lines[50].replace(": 5400", ": null")
        lines[60] = lines[60][:40]
    text(tmp_path, f"cam-9.{form}", lines)
    (item,) = load(tmp_path, "Asia/Kolkata", log_interval_s=30)
    (day,) = rows([item]).iter_rows(named=True)
    assert (day["device"], day["messages"]) == ("cam-9", 120)
    assert day["energy_kwh"] == pytest.approx(0.0054)
    assert day["gpu_utilisation"] == pytest.approx(0.25)
    assert item.issues.sort("rule").select("rule", "rows").rows() == [
        ("line_unreadable", 1),
        ("power_unknown", 1),
    ]


def test_a_log_completes_what_a_device_reports(tmp_path: Path) -> None:
    """Reports of a day without a meter, and a log of an hour of 6 W: inferences of these, energy of that."""
    reports = [report(n) for n in range(97)]
    for r in reports:
        del r["energy_wh_total"]
    write(tmp_path, "reports.jsonl", reports)
    log(tmp_path, "cam-1/tegra.log", ORIN_NX, "2026-09-01T10:00", [(6000, "50%")] * 61)
    log(tmp_path, "cam-2/tegra.log", ORIN_NX, "2026-09-01T10:00", [(6000, "50%")] * 61)
    one, other, two = days(tmp_path)
    assert (one["device"], one["inferences"], one["team"]) == ("cam-1", 950, "vision")
    assert (one["online_hours"], one["log_hours"], one["messages"]) == (24.0, 1.0, 96 + 61)
    assert one["energy_kwh"] == pytest.approx(0.006)
    assert (other["day"].day, other["energy_kwh"], other["log_hours"]) == (2, None, None)
    assert (two["device"], two["inferences"], two["team"], two["online_hours"]) == ("cam-2", None, None, 1.0)
    assert (one["late_messages"], two["late_messages"]) == (0, 0)


def test_the_counter_of_a_device_comes_before_its_log(tmp_path: Path) -> None:
    write(tmp_path, "reports.jsonl", [report(n) for n in range(40, 45)])  # 10:00 to 11:00, 4 x 5 Wh
    log(tmp_path, "cam-1.log", ORIN_NX, "2026-09-01T10:00", [(6000, "50%")] * 61)
    (day,) = days(tmp_path)
    assert day["energy_kwh"] == pytest.approx(0.020)
    assert day["gpu_utilisation"] == pytest.approx(0.5)


def test_days_do_not_depend_on_the_other_days_of_a_pass(tmp_path: Path) -> None:
    log(tmp_path, "a.log", ORIN_NX, "2026-09-01T12:00", [(6000 + n, "50%") for n in range(60 * 72)])
    whole = rows(load(tmp_path, log_interval_s=60))
    alone = rows(load(tmp_path, days=[date(2026, 9, 2)], log_interval_s=60))
    assert whole.filter(pl.col("day") == date(2026, 9, 2)).equals(alone)
    assert alone["log_hours"].to_list() == [24.0]


def test_a_run_on_a_device_has_the_readings_of_its_log(tmp_path: Path) -> None:
    """Readings at :01 ... :09 of 1 to 9 W are inside, without that of -398 mW: 45 - 5 W in 8; 1 to 10 lie at the ends."""
    values = [(1000 * (n or 1), "10%") for n in range(11)]
    values[5] = (-398, "10%")
    log(tmp_path, "orin.log", AGX_XAVIER, "2026-09-01T10:00", values, step_s=1)
    log(tmp_path, "other.log", AGX_XAVIER, "2026-09-01T10:00", values, step_s=1)
    made = reader(tmp_path, log_interval_s=1)
    run = TrainingRun.model_validate(
        {
            "run_id": "r",
            "workload": "bench",
            "started_at": "2026-09-01T10:00:00Z",
            "ended_at": "2026-09-01T10:00:10Z",
        }
        | {"meter": "orin"}
    )
    source = EdgeFilesReader(made.options, replace(made.context, runs=(run,)))
    with Session() as engine:
        (item,) = source.load(source.slices(WINDOW), tmp_path, engine)
    (row,) = pl.read_parquet(item.facts["telemetry.run_power_daily"]).iter_rows(named=True)
    # the other rails are 0.2 + 0.8 + 0 + 0.1 + 1.9 = 3 W
    assert (row["meter"], row["node"], row["readings"], row["readings_dropped"]) == ("orin", "orin", 8, 1)
    assert row["sum_w"] == pytest.approx(40 + 8 * 3)
    assert [s.fingerprint for s in source.slices(WINDOW)] != [s.fingerprint for s in made.slices(WINDOW)]


def test_days_without_reports_or_without_logs_have_the_columns_of_days(tmp_path: Path) -> None:
    """Where a pass has only logs, or only reports, the other statement is not planned: its columns are written down."""
    from connectors.edge.days import DAYS, edge_daily_sql, reports_sql
    from connectors.edge.log_days import LOG_DAYS, log_days_sql
    from connectors.edge.passes import LOGS, REPORTS

    REPORTS.to_frame().write_parquet(tmp_path / "reports.parquet")
    LOGS.to_frame().write_parquet(tmp_path / "logs.parquet")
    bounds = {date(2026, 9, 1): (datetime(2026, 9, 1), datetime(2026, 9, 2))}  # noqa: DTZ001
    with Session() as engine:
        lines = f"read_parquet('{tmp_path}/reports.parquet')"
        engine.execute(f"CREATE TEMP TABLE reports AS {reports_sql(lines)}")
        assert engine.query(edge_daily_sql("reports", bounds, {}, 1, 1)).schema == DAYS
        engine.execute(f"CREATE TEMP TABLE logs AS FROM read_parquet('{tmp_path}/logs.parquet')")
        assert engine.query(log_days_sql("logs", bounds, 1, 1)).schema == LOG_DAYS
