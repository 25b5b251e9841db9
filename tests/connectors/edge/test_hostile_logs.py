"""Logs that are cut, appended, of other runs, units and clocks: each line counts once and rightly, or is counted as wrong."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.base import Loaded, SourceError
from tests.connectors.edge.test_logs import NANO, ORIN_NX, days, log, text
from tests.connectors.edge.test_reader import load, reader, report, rows, write

AT = datetime(2026, 9, 1, 10, tzinfo=UTC)


def jtop(mw: Any, count: int = 61, start: int = 0, gpu: Any = 25.0) -> list[str]:
    """Rows of CSV, one a minute from 10:00."""
    at = [AT + timedelta(minutes=start + n) for n in range(count)]
    return [f"{t:%Y-%m-%d %H:%M:%S}.398586,OFF,{gpu},{mw}" for t in at]


HEAD = "time,jetson_clocks,GPU,Power TOT"


def read(folder: Path) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Days of devices, and how many lines broke each rule."""
    loaded = load(folder, log_interval_s=60)
    issues = pl.concat([item.issues for item in loaded])
    rules = dict(issues.group_by("rule").agg(pl.col("rows").sum()).iter_rows())
    return list(rows(loaded).iter_rows(named=True)), rules


def test_a_row_that_is_cut_in_its_last_number_is_not_read(tmp_path: Path) -> None:
    """The copy was taken while jtop wrote: `6000` is `60`. Sixty-one rows of 6 W are 6 Wh."""
    cut = jtop(60, 1, start=61)[0]
    text(tmp_path, "cam.csv", [HEAD, *jtop(6000)])
    path = tmp_path / "in" / "cam.csv"
    path.write_text(path.read_text() + cut)
    [day], rules = read(tmp_path)
    assert (day["messages"], day["energy_kwh"]) == (61, pytest.approx(0.006))
    assert rules == {"line_unreadable": 1}


def test_a_run_with_other_columns_is_appended(tmp_path: Path) -> None:
    """After an update of jtop the columns are in another order: half an hour of 6 W, half an hour of 3 W, 4.5 Wh."""
    second = [
        f"{row.split(',')[3]},{row.split(',')[2]},{row.split(',')[0]},ON"
        for row in jtop(3000, 31, 30, gpu=50.0)
    ]
    text(tmp_path, "cam.csv", [HEAD, *jtop(6000, 30), "Power TOT,GPU,time,jetson_clocks", *second])
    [day], rules = read(tmp_path)
    # from 10:29 to 10:30 the mean of both
    assert day["energy_kwh"] == pytest.approx((29 * 6 + 4.5 + 30 * 3) / 60 / 1000)
    assert rules == {}


NONSENSE = ["nan", "NaN", "inf", "1e999", "-5", "0", "5.4", "five", "9" * 400, "2000000"]
"""Power of five rows, or in W where mW are due."""


@pytest.fixture(scope="module")
def nonsense(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], list[Loaded]]:
    """A device for each of `NONSENSE`: five rows of its 61 show it. Their days, and what was read."""
    folder = tmp_path_factory.mktemp("nonsense")
    for n, mw in enumerate(NONSENSE):
        text(folder, f"cam-{n}.csv", [HEAD, *jtop(6000, 21), *jtop(mw, 5, 21), *jtop(6000, 35, 26)])
    loaded = load(folder, log_interval_s=60)
    return list(rows(loaded).iter_rows(named=True)), loaded


@pytest.mark.parametrize("n", range(len(NONSENSE)), ids=[mw[:9] for mw in NONSENSE])
def test_power_that_no_board_draws_is_dropped(
    nonsense: tuple[list[dict[str, Any]], list[Loaded]], n: int
) -> None:
    """10:20 to 10:26 is a gap of six minutes."""
    of_devices, loaded = nonsense
    [day] = [day for day in of_devices if day["device"] == f"cam-{n}"]
    assert day["energy_kwh"] == pytest.approx(54 * 6 / 60 / 1000)
    assert day["gpu_utilisation"] == pytest.approx(0.25)
    issues = pl.concat([item.issues for item in loaded])
    [issue] = issues.filter(pl.col("location").str.contains(f"/cam-{n}.csv:")).iter_rows(named=True)
    assert (issue["rule"], issue["rows"]) == ("value_dropped", 5)


def test_hostile_lines_of_json_and_csv_are_unreadable_alone(tmp_path: Path) -> None:
    def line(n: int, **more: Any) -> str:
        at = f"{AT + timedelta(minutes=n):%Y-%m-%d %H:%M:%S}"
        return json.dumps({"time": at, "GPU": 25.0, "Power TOT": 6000} | more)

    bad = ["[" * 50_000, "{" * 50_000, "\0" * 4096, "[1, 2]", line(30)[:40]]
    text(
        tmp_path,
        "a.jsonl",
        [line(0), *bad, line(1, **{"Power TOT": 10**400}), *(line(n) for n in range(2, 61))],
    )
    text(tmp_path, "b.csv", [HEAD, *jtop(6000, 30), '"' + "x" * 200_000, "\0\0\0,", *jtop(6000, 31, 30)])
    [one, two], rules = read(tmp_path)
    assert (one["messages"], two["messages"]) == (61, 61)
    assert [one["energy_kwh"], two["energy_kwh"]] == pytest.approx([0.006, 0.006])
    assert rules == {"line_unreadable": 7, "value_dropped": 1}


def test_both_tools_in_one_folder_count_the_board_once(tmp_path: Path) -> None:
    """tegrastats and jtop, each by the minute, show 6 W; the first is there once more as .gz."""
    lines = log(tmp_path, "cam/tegra.log", ORIN_NX, "2026-09-01T10:00", [(6000, "25%")] * 61)
    text(tmp_path, "cam/tegra.log.gz", lines)
    text(tmp_path, "cam/jtop.csv", [HEAD, *jtop(6000)])
    (day,) = days(tmp_path)
    # jtop's last row is 0.4 s after eleven
    assert day["energy_kwh"] == pytest.approx(0.006, rel=2e-4)
    assert (day["messages"], day["duplicates"]) == (122, 61)


def test_boards_that_start_at_the_time_of_their_image(tmp_path: Path) -> None:
    """No battery: the first lines of the boot are of 1970, or of 28 January 2018, until the time server answers."""
    lines = log(tmp_path, "a.log", ORIN_NX, "2026-09-01T10:00", [(6000, "10%")] * 61)
    for year in ("1970", "2000", "2018"):
        early = log(tmp_path, "a.log", ORIN_NX, f"{year}-01-28T02:00", [(6000, "10%")] * 5)
        text(tmp_path, f"{year}.log", early + lines)
    (tmp_path / "in" / "a.log").unlink()
    loaded = load(tmp_path, log_interval_s=60)
    for year, day in zip(("1970", "2000", "2018"), rows(loaded).iter_rows(named=True), strict=True):
        assert (day["device"], day["day"], day["messages"]) == (year, date(2026, 9, 1), 61)
        assert day["energy_kwh"] == pytest.approx(0.006)
        issues = pl.concat([item.issues for item in loaded])
        [issue] = issues.filter(pl.col("location").str.contains(f"/{year}.log:")).iter_rows(named=True)
        assert (issue["rule"], issue["rows"]) == ("clock_not_set", 5)


def test_a_device_that_reports_first_at_the_time_of_its_image(tmp_path: Path) -> None:
    """Three of ten reports are of 2018; the fourth counts all since its boot, 130, and six more 10 each."""
    new = [
        report(n, boot_id="b1", seq=n, inferences_total=100 + 10 * n, energy_wh_total=5 * n)
        for n in range(10)
    ]
    for n in range(3):
        new[n]["ts"] = f"2018-01-28T00:{15 * n:02d}:00Z"
    old = report(0, ts="2026-08-31T12:00:00Z")
    write(tmp_path, "a.jsonl", [old, *new])
    loaded = load(tmp_path)
    counted = rows(loaded)
    assert counted["day"].to_list() == [date(2026, 8, 31), date(2026, 9, 1)]
    assert counted["inferences"].to_list() == [None, 190]
    assert pl.concat([i.issues for i in loaded]).select("rule", "rows").rows() == [("clock_not_set", 3)]


@pytest.mark.long
def test_a_history_of_years_is_read_whole(tmp_path: Path) -> None:
    """One report a month for three years is no clock that was wrong; each month is longer than the bridge."""
    at = [datetime(2023 + n // 12, n % 12 + 1, 1, 12, tzinfo=UTC) for n in range(36)]
    write(tmp_path, "a.jsonl", [report(n, ts=ts.isoformat()) for n, ts in enumerate(at)])
    loaded = load(tmp_path)
    assert len(loaded) == 36
    assert not pl.concat([i.issues for i in loaded]).height


def test_a_log_without_dates_after_a_run_with_them(tmp_path: Path) -> None:
    """Two firmwares in one file: of the lines without a date nobody knows when they were."""
    dated = log(tmp_path, "a.log", ORIN_NX, "2026-09-01T10:00", [(6000, "10%")] * 61)
    text(tmp_path, "a.log", [*dated, *[NANO.format(mw=9000, gpu="5%")] * 20])
    [day], rules = read(tmp_path)
    assert (day["messages"], day["energy_kwh"]) == (61, pytest.approx(0.006))
    assert rules == {"ts_unreadable": 20}


@pytest.mark.parametrize("keep", [30, 200])
def test_a_gzip_that_is_cut_is_named(tmp_path: Path, keep: int) -> None:
    lines = log(tmp_path, "a.log.gz", ORIN_NX, "2026-09-01T10:00", [(6000 + n, "10%") for n in range(61)])
    data = gzip.compress("\n".join(lines).encode())
    (tmp_path / "in" / "a.log.gz").write_bytes(data[:-keep])
    with pytest.raises(SourceError, match=r"a\.log\.gz is damaged.*deliver it again"):
        reader(tmp_path, log_interval_s=60).check()


def test_two_gzips_in_one_file_are_read_both(tmp_path: Path) -> None:
    lines = log(tmp_path, "a.log.gz", ORIN_NX, "2026-09-01T10:00", [(6000, "10%")] * 61)
    half = ["\n".join(part).encode() + b"\n" for part in (lines[:30], lines[30:])]
    (tmp_path / "in" / "a.log.gz").write_bytes(b"".join(map(gzip.compress, half)))
    (day,) = days(tmp_path)
    assert (day["messages"], day["energy_kwh"]) == (61, pytest.approx(0.006))
