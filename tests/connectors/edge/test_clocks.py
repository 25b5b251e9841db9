"""Clocks that are wrong, sequences that begin again, files by device: nothing counts twice, and late is late."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.base import SourceError, Window
from connectors.edge.clocks import wrong_clocks
from tests.connectors.edge.test_reader import START, WINDOW, load, reader, report, rows, write


def at(n: int, **more: Any) -> str:
    """The time of the n-th report, moved."""
    return (START + timedelta(minutes=15 * n) + timedelta(**more)).isoformat()


@pytest.mark.parametrize("days", [-2, 3, 400])
def test_one_report_with_a_wrong_date_is_set_aside_and_what_it_counted_is_in_the_next(
    tmp_path: Path, days: int
) -> None:
    """Six days of 96 reports, 10 inferences each; the first sets the base."""
    for day in range(6):
        lines = [report(n) for n in range(96 * day, 96 * (day + 1))]
        if day == 2:
            lines[40]["ts"] = at(232, days=days)
        write(tmp_path, f"2026-09-0{day + 1}.jsonl", lines)
    loaded = load(tmp_path)
    counted = rows(loaded)
    assert counted["inferences"].to_list() == [950, 960, 960, 960, 960, 960]
    assert counted["messages"].to_list() == [96, 96, 95, 96, 96, 96]
    assert counted["late_messages"].sum() == 0
    found = pl.concat([item.issues for item in loaded])
    assert found.select("rule", "action", "rows").rows() == [("clock_contradicts_sequence", "flagged", 1)]
    assert found["location"][0].endswith("2026-09-03.jsonl:41")
    assert found["value"].to_list() == ["cam-1"]
    assert sum(item.rows_read for item in loaded) == 576


@pytest.mark.long
def test_days_read_alone_are_those_read_together(tmp_path: Path) -> None:
    for day in range(6):
        lines = [report(n) for n in range(96 * day, 96 * (day + 1))]
        lines[50]["ts"] = at(96 * day + 50, days=(day % 3) - 1)
        write(tmp_path, f"2026-09-0{day + 1}.jsonl", lines)
    together = rows(load(tmp_path))
    alone = [rows(load(tmp_path, days=[date(2026, 9, day)])) for day in range(1, 7)]
    assert pl.concat(alone).equals(together)
    assert together["inferences"].sum() == 5750


def test_a_clock_that_was_not_set_yet_counts_once_it_is(tmp_path: Path) -> None:
    """The device starts anew: 3 reports from 1970, then the right time; its counter shows 40 by then."""
    new = [{"boot_id": "b1", "seq": n, "inferences_total": 10 * (n + 1)} for n in range(5)]
    lines = [report(0), report(1), *(report(n + 2, **more) for n, more in enumerate(new))]
    for n in range(3):
        lines[n + 2]["ts"] = f"1970-01-01T00:{15 * n:02d}:00Z"
    write(tmp_path, "a.jsonl", lines)
    (item,) = load(tmp_path)
    assert item.slice.period == date(2026, 9, 1)
    assert rows([item])["inferences"].to_list() == [10 + 40 + 10]
    assert item.issues.select("rule", "rows").rows() == [("clock_not_set", 3)]


def test_a_clock_that_is_ahead_is_told_by_device_and_never_believed_later(tmp_path: Path) -> None:
    """Read on the 3rd at noon. cam-1 is right; cam-2 is three days ahead from noon of the 1st to noon of the 2nd, cam-3 always.

    cam-2 shows 48 reports of the 1st, and 48 of the 2nd, of which the first counts what it did meanwhile.
    """
    noon = Window(date(2026, 9, 2), datetime(2026, 9, 3, 12, tzinfo=UTC))
    lines = [report(n, device_id=f"cam-{d}") for n in range(192) for d in (1, 2, 3)]
    for n, line in enumerate(lines):
        if line["device_id"] == "cam-3" or (line["device_id"] == "cam-2" and 48 <= n // 3 < 144):
            line["ts"] = at(n // 3, days=3)
    right = [r for r in lines if r["device_id"] != "cam-3"]
    write(tmp_path, "a.jsonl", right)
    write(tmp_path, "b.jsonl", [r for r in lines if r["device_id"] == "cam-3"])
    loaded = load(tmp_path, window=noon)
    days = rows(loaded).select("device", "day", "inferences", "messages")
    first, second = date(2026, 9, 1), date(2026, 9, 2)
    assert days.rows() == [
        ("cam-1", first, 950, 96), ("cam-1", second, 960, 96), ("cam-2", first, 470, 48), ("cam-2", second, 1440, 48),
    ]  # fmt: skip
    told = pl.concat([item.issues for item in loaded]).sort("value")
    assert told.select("rule", "action", "column_name", "value", "rows").rows() == [
        ("clock_ahead", "flagged", "ts", "cam-2", 96), ("clock_ahead", "flagged", "ts", "cam-3", 192),
    ]  # fmt: skip
    assert [at.rsplit("/")[-1] for at in told["location"]] == ["a.jsonl:98", "b.jsonl:1"]
    assert all("2026-09-04T" in line for line in told["raw"])
    assert sum(item.rows_read for item in loaded) == 3 * 192
    # days later the same files are told alike: what was impossible when it came stays so
    later = load(tmp_path)
    assert rows(later).select("device", "day", "inferences", "messages").equals(days)
    assert pl.concat([item.issues for item in later]).sort("value").equals(told)


def test_nothing_but_clocks_that_are_ahead_fails(tmp_path: Path) -> None:
    source = reader(tmp_path)
    source.now = START - timedelta(days=1)
    write(tmp_path, "a.jsonl", [report(n) for n in range(4)])
    with pytest.raises(SourceError, match=r"a\.jsonl and all else that can be read there is later than now"):
        source.check()
    with pytest.raises(SourceError, match="set the clocks"):
        source.slices(Window(START.date(), START - timedelta(days=1)))


def test_a_sequence_that_begins_again_within_a_boot_loses_nothing(tmp_path: Path) -> None:
    """Firmware without boot ids: after 96 reports seq and counters start at 0, so the same keys come again."""
    first = [report(n) for n in range(96)]
    second = [report(n + 96, seq=n, inferences_total=7 * (n + 1)) for n in range(96)]
    write(tmp_path, "a.jsonl", [*first, *second, second[3]])
    days = rows(load(tmp_path))
    assert days["inferences"].to_list() == [950, 7 * 96]
    assert days["duplicates"].to_list() == [0, 1]


def test_lines_in_any_order_are_the_same(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", [report((n * 37) % 96) for n in range(96)])
    assert rows(load(tmp_path))["inferences"].to_list() == [950]


def test_a_report_alone_says_nothing(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", [report(40), report(96), report(97)])
    days = rows(load(tmp_path, bridge_days=1))
    # the report at midnight covers the 37.5 minutes before it, and counts all since 10:00 on its own day
    assert days.select("inferences", "failed", "energy_kwh", "online_hours").rows()[0] == (
        None,
        None,
        None,
        0.625,
    )
    assert days["inferences"].to_list() == [None, 570]


def test_numbered_files_of_devices_are_late_by_the_order_of_each_device(tmp_path: Path) -> None:
    """Files of two devices, numbered 8 to 11 without a date; one delivers its first day with the second file."""
    for device in ("cam-1", "cam-2"):
        for day in range(4):
            number = 9 if (device, day) == ("cam-2", 0) else day + 8
            lines = [report(n, device_id=device) for n in range(96 * day, 96 * (day + 1))]
            path = tmp_path / "in" / f"{device}-{number}.jsonl"
            path.parent.mkdir(exist_ok=True)
            with path.open("a") as file:
                file.writelines(json.dumps(line) + "\n" for line in reversed(lines))
    write(tmp_path, "cam-2-8.jsonl", [report(96, device_id="cam-2")])
    late = rows(load(tmp_path)).filter(pl.col("late_messages") > 0)
    assert late.select("device", "day", "late_messages").rows() == [("cam-2", date(2026, 9, 1), 96)]


def test_files_by_device_and_day_are_late_by_the_day_in_their_name(tmp_path: Path) -> None:
    """Of two devices in folders of their own, one delivers its second day two days late."""
    for device in ("cam-1", "cam-2"):
        for day in range(4):
            name = f"{device}/2026-09-{day + 3 if (device, day) == ('cam-2', 1) else day + 1:02d}.jsonl"
            lines = [report(n, device_id=device) for n in range(96 * day, 96 * (day + 1))]
            path = tmp_path / "in" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as file:
                file.writelines(json.dumps(line) + "\n" for line in lines)
    days = rows(load(tmp_path))
    late = {(d, day.day): n for d, day, n in days.select("device", "day", "late_messages").iter_rows()}
    assert {key for key, n in late.items() if n} == {("cam-2", 2)}
    assert late["cam-2", 2] == 96
    before = {s.period: s.fingerprint for s in reader(tmp_path).slices(WINDOW)}
    (tmp_path / "in" / "cam-1" / "2026-09-05.jsonl").write_text(
        json.dumps(report(4 * 96 + 5, device_id="cam-1"))
    )
    after = {s.period: s.fingerprint for s in reader(tmp_path).slices(WINDOW)}
    assert [d.day for d in after if before.get(d) != after[d]] == [5]


def test_the_most_reports_that_can_be_right_together_are_believed() -> None:
    def stamp(place: int, hour: int, total: float) -> tuple[Any, ...]:
        return ("cam-1", 1, place, START + timedelta(hours=hour), [total], place, 1, 5, 5)

    # times 0 1 9 2 3: the third contradicts two, who agree with all others
    ahead = [stamp(n, hour, n) for n, hour in enumerate((0, 1, 9, 2, 3))]
    assert wrong_clocks(ahead) == [2]
    # times 5 6 0 7: the third is behind
    behind = [stamp(n, hour, n) for n, hour in enumerate((5, 6, 0, 7))]
    assert wrong_clocks(behind) == [2]
    # the sequence ran over: 1, 2 came after 8, 9, and the counters say so
    over = [stamp(n, hour, total) for n, hour, total in ((1, 3, 30), (2, 4, 40), (8, 1, 10), (9, 2, 20))]
    assert wrong_clocks(over) == []
