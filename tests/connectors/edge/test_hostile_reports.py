"""Two devices by one name, sequences that run over, counters that jump: exact, set aside or unknown, and never too much."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.connectors.edge.test_reader import START, load, report, rows, write


def rules(loaded: list[Any]) -> dict[str, int]:
    found = pl.concat([item.issues for item in loaded])
    return dict(found.group_by("rule").agg(pl.col("rows").sum()).iter_rows())


@pytest.mark.parametrize("boot", ["x9", "b0"])
@pytest.mark.parametrize("every", [1, 8])
def test_two_devices_by_one_name_never_count_a_life_again(tmp_path: Path, boot: str, every: int) -> None:
    """cam-1 does 10 a quarter of an hour; a clone with its card's image does 30, its counter at 50,000. Nobody knows what
    they did; a clone that reports each two hours only is set aside."""
    clone = [
        report(
            n, boot_id=boot, seq=n + 500, inferences_total=50_000 + 30 * n, failed_total=0, energy_wh_total=9 * n,
            ts=(START + timedelta(minutes=15 * n + 7)).isoformat(),
        )
        for n in range(0, 96, every)
    ]  # fmt: skip
    write(tmp_path, "a.jsonl", [*(report(n) for n in range(96)), *clone])
    loaded = load(tmp_path)
    if every == 8:
        assert rows(loaded)["inferences"].to_list() == [950]
        assert rules(loaded) == {"clock_contradicts_sequence": 12}
    else:
        assert rows(loaded)["inferences"].to_list() == [None]
        assert rules(loaded) == {"counter_alternates": 1}


def test_a_sequence_that_runs_over_while_the_device_is_idle_loses_no_energy(tmp_path: Path) -> None:
    """Four bits of sequence: each number comes six times a day, with the same count of inferences. 95 steps of 5 Wh."""
    write(tmp_path, "a.jsonl", [report(n, seq=n % 16, inferences_total=7, failed_total=0) for n in range(96)])
    loaded = load(tmp_path)
    day = rows(loaded)
    assert day.select("inferences", "messages", "duplicates").rows() == [(0, 96, 0)]
    assert day["energy_kwh"].to_list() == pytest.approx([0.475])
    assert rules(loaded) == {}


@pytest.mark.parametrize("place", [40, 95])
@pytest.mark.parametrize("spike", [1e12, 5000])
def test_one_count_that_is_far_too_high_is_unknown(tmp_path: Path, place: int, spike: float) -> None:
    """Also where it is the last of its day, so that the next day shows what it was."""
    write(
        tmp_path,
        "a.jsonl",
        [report(n, **({"inferences_total": spike} if n == place else {})) for n in range(192)],
    )
    loaded = load(tmp_path)
    # at 23:45 both days are touched: what the second one's first step counted is not known either
    assert rows(loaded)["inferences"].to_list() == [None, None if place == 95 else 960]
    assert rules(loaded) == {"counter_alternates": 2 if place == 95 else 1}


def test_numbers_that_no_counter_shows_are_rejected(tmp_path: Path) -> None:
    """And nonsense of any kind leaves the reports beside it alone: 0 to 3 count 30."""
    bad = [
        report(1, inferences_total=1e299),
        report(1, inferences_total=10**400),
        report(1, energy_wh_total=-1),
        report(1, inferences_total="12,5"),
    ]
    nonsense = ["[" * 20_000, "\0" * 4096, '{"device_id":' + '{"a":' * 2000 + "1" + "}" * 2001, json.dumps(report(5))[:-9]]  # fmt: skip
    write(
        tmp_path,
        "a.jsonl",
        [report(0), *bad, *nonsense, report(2, latency_seconds_buckets=[1, {"x": 2}]), report(3)],
    )
    loaded = load(tmp_path)
    assert rows(loaded)["inferences"].to_list() == [30]
    assert rules(loaded) == {"number_unreadable": 4, "json_unreadable": 3, "key_missing": 1}


def test_a_meter_that_changes_its_unit_is_unknown(tmp_path: Path) -> None:
    """From Wh to mWh at noon: 5 kWh at once are 20 kW, 5,000 kWh 20 MW."""
    lines = [report(n) for n in range(96)]
    for line in lines[48:]:
        line["energy_wh_total"] = 1_000_000 * line["energy_wh_total"]
    write(tmp_path, "a.jsonl", lines)
    loaded = load(tmp_path)
    assert rows(loaded).select("inferences", "energy_kwh").rows() == [(950, None)]
    assert rules(loaded) == {"counter_alternates": 1}


def test_fields_that_some_reports_lack_lose_nothing(tmp_path: Path) -> None:
    """Every other report has no energy, every third no failures, and the device restarts at noon without its meter."""
    lines = [report(n) for n in range(48)]
    lines += [
        report(
            n, boot_id="b1", inferences_total=10 * (n - 47), failed_total=n - 47, energy_wh_total=5 * (n - 47)
        )
        for n in range(48, 97)
    ]
    for n, line in enumerate(lines):
        for field, every in (("energy_wh_total", 2), ("failed_total", 3)):
            if n % every == 0 and n < 96:
                del line[field]
    write(tmp_path, "a.jsonl", lines)
    days = rows(load(tmp_path))
    # the first failures are in report 1, the first energy in report 1; the day's last report is 95
    assert days["inferences"][0] == 470 + 480
    assert days["failed"][0] == 46 + 48
    assert days["energy_kwh"][0] == pytest.approx((46 + 48) * 5 / 1000)
    assert days["day"].to_list() == [date(2026, 9, 1), date(2026, 9, 2)]


def test_energy_of_a_gap_that_no_device_can_use_is_nowhere(tmp_path: Path) -> None:
    """A silence of five hours, after which the meter shows 10 GWh more."""
    lines = [
        report(n, energy_wh_total=5 * n + (1e10 if n >= 40 else 0)) for n in range(96) if not 20 <= n < 40
    ]
    write(tmp_path, "a.jsonl", lines)
    day = rows(load(tmp_path))
    assert day.select("inferences", "energy_kwh", "energy_estimated_kwh").rows() == [(950, None, 0)]


def test_a_last_line_that_is_cut_off_is_no_damage(tmp_path: Path) -> None:
    """Half of report 3 is set aside; when the file has grown, 0 to 5 count 50. In the middle such a line is rejected."""
    path = tmp_path / "in" / "a.jsonl"
    write(tmp_path, "a.jsonl", [report(n) for n in range(3)])
    half = json.dumps(report(3))[:-9]
    path.write_text(path.read_text() + half)
    (item,) = load(tmp_path)
    assert item.issues.select("action", "rule", "rows", "raw").rows() == [("flagged", "line_cut", 1, half)]
    assert item.issues["location"].item().endswith("a.jsonl:4")
    assert item.rows_read == 4
    assert rows([item])["inferences"].to_list() == [20]
    path.write_text(path.read_text() + json.dumps(report(3))[-9:] + "\n")
    path.write_text(path.read_text() + "".join(json.dumps(report(n)) + "\n" for n in (4, 5)))
    (item,) = load(tmp_path)
    assert item.issues.is_empty()
    assert rows([item])["inferences"].to_list() == [50]
    write(tmp_path, "a.jsonl", [*(report(n) for n in range(3)), half, report(4)])
    (item,) = load(tmp_path)
    assert item.issues.select("action", "rule").rows() == [("rejected", "json_unreadable")]


def test_a_file_of_one_line_that_is_cut_off_is_not_there_yet(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", [report(0), report(1)])
    (tmp_path / "in" / "b.jsonl").write_text(json.dumps(report(2))[:40])
    (item,) = load(tmp_path)
    assert item.issues["rule"].to_list() == ["file_damaged"]
    assert rows([item])["inferences"].to_list() == [10]


def test_a_report_that_comes_again_with_another_count_is_none(tmp_path: Path) -> None:
    """Report 30 says 1300 and 1303: both are set aside, from 0 to 95 it is 950. Report 40 is the same twice."""
    again = [report(30, inferences_total=1303), report(40)]
    write(tmp_path, "a.jsonl", [*(report(n) for n in range(96)), *again])
    loaded = load(tmp_path)
    assert rows(loaded).select("inferences", "messages", "duplicates").rows() == [(950, 95, 1)]
    assert rows(loaded)["energy_kwh"].to_list() == pytest.approx([0.475])
    assert rules(loaded) == {"report_contradicts": 2}


@pytest.mark.parametrize("counter", ["inferences_total", "energy_wh_total"])
def test_counters_of_32_bits_that_run_over_lose_nothing(tmp_path: Path, counter: str) -> None:
    """At report 50 from 2^32 - 7 to 3: 950 inferences and 0.475 kWh, as without."""
    step = 10 if counter == "inferences_total" else 5
    write(
        tmp_path,
        "a.jsonl",
        [report(n, **{counter: (2**32 + 3 + step * (n - 50)) % 2**32}) for n in range(96)],
    )
    loaded = load(tmp_path)
    assert rows(loaded)["inferences"].to_list() == [950]
    assert rows(loaded)["energy_kwh"].to_list() == pytest.approx([0.475])
    assert rules(loaded) == {}


def test_several_models_of_a_device_in_a_day_are_named(tmp_path: Path) -> None:
    """The day is that of the last one, which is said; the next day has one."""
    write(tmp_path, "a.jsonl", [report(n, model="v1" if n < 40 else "v2") for n in range(192)])
    first, second = load(tmp_path)
    assert rows([first]).select("model", "inferences").rows() == [("v2", 950)]
    assert first.issues.select("action", "rule", "column_name", "value", "rows").rows() == [
        ("flagged", "several_in_a_day", "model", "cam-1", 1)
    ]
    assert second.issues.is_empty()
