"""Reports of edge devices to days: duplicates, late files, restarts, midnight, gaps, bad lines."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.base import Context, Loaded, SourceError, Window
from connectors.edge.reader import EdgeFilesReader, Options
from models.config import Site
from tests.engine import Session

WINDOW = Window(date(2030, 1, 1), datetime(2030, 1, 1, tzinfo=UTC))
START = datetime(2026, 9, 1, tzinfo=UTC)


def reader(folder: Path, zone: str = "UTC", **options: Any) -> EdgeFilesReader:
    sites = {"plant": Site(time_zone=zone, tariff="0.1")}
    settings = Options(kind="edge_files", location="in", site="plant", **options)
    return EdgeFilesReader(settings, Context("cams", folder, folder / "cache", sites))


def load(
    folder: Path,
    zone: str = "UTC",
    days: Sequence[date] | None = None,
    window: Window = WINDOW,
    **options: Any,
) -> list[Loaded]:
    source = reader(folder, zone, **options)
    (folder / "work").mkdir(exist_ok=True)
    with Session() as engine:
        wanted = [s for s in source.slices(window) if days is None or s.period in days]
        return list(source.load(wanted, folder / "work", engine))


def rows(loaded: Sequence[Loaded]) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(p) for item in loaded for p in item.facts.values()]).sort(
        "device", "day"
    )


def report(n: int, **more: Any) -> dict[str, Any]:
    """The n-th report since 1 September, one a quarter hour, 10 inferences and 5 Wh each."""
    ts = (START + timedelta(minutes=15 * n)).isoformat()
    base = {"device_id": "cam-1", "ts": ts, "boot_id": "b0", "seq": n, "inferences_total": 1000 + 10 * n}
    return base | {"failed_total": n, "energy_wh_total": 5 * n, "team": "vision", "workload": "weld"} | more


def write(folder: Path, name: str, reports: Sequence[dict[str, Any] | str]) -> None:
    path = folder / "in" / name
    path.parent.mkdir(exist_ok=True)
    text = "\n".join(r if isinstance(r, str) else json.dumps(r) for r in reports) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())


def test_two_days_of_one_device(tmp_path: Path) -> None:
    write(tmp_path, "1.jsonl.gz", [report(n) for n in range(96)])
    write(tmp_path, "2.jsonl", [report(n) for n in range(96, 192)])
    days = rows(load(tmp_path))
    # the first report sets the base: 95 increments on the first day, 96 on the second
    assert days["inferences"].to_list() == [950, 960]
    assert days["failed"].to_list() == [95, 96]
    assert days["energy_kwh"].to_list() == pytest.approx([0.475, 0.48])
    # reports at 00:00 ... 23:45; the one at midnight covers the last quarter of the first day
    assert days["online_hours"].to_list() == [24.0, 23.75]
    assert days["coverage"].to_list() == pytest.approx([1.0, 23.75 / 24])
    assert days["messages"].to_list() == [96, 96]
    assert days.select("device", "team", "workload", "site", "source").unique().rows() == [
        ("cam-1", "vision", "weld", "plant", "cams")
    ]


def test_duplicates_count_once(tmp_path: Path) -> None:
    write(tmp_path, "1.jsonl", [report(n) for n in (0, 1, 1, 2, 3)])
    write(tmp_path, "2.jsonl", [report(n) for n in (2, 3, 4)])
    (item,) = load(tmp_path)
    day = rows([item])
    assert day.select("inferences", "messages", "duplicates").rows() == [(40, 5, 3)]
    assert item.rows_read == 8


def test_late_file_reopens_its_day_only(tmp_path: Path) -> None:
    for day in range(5):
        lost = {96 * 1 + 40, 96 * 1 + 41} if day == 1 else set()
        write(
            tmp_path,
            f"2026-09-0{day + 1}.jsonl",
            [report(n) for n in range(96 * day, 96 * (day + 1)) if n not in lost],
        )
    options = {"bridge_days": 1}
    before = {s.period: s.fingerprint for s in reader(tmp_path, **options).slices(WINDOW)}
    gap = rows(load(tmp_path, **options))
    write(tmp_path, "2026-09-06.jsonl", [report(n) for n in (136, 137)])
    after = {s.period: s.fingerprint for s in reader(tmp_path, **options).slices(WINDOW)}
    assert [d.day for d in before if before[d] != after[d]] == [2, 3]
    # reports 135 and 138 are 45 minutes apart: what the three increments used is known, not when
    assert gap["energy_estimated_kwh"].to_list() == pytest.approx([0, 0.015, 0, 0, 0])
    assert gap["energy_kwh"].to_list() == pytest.approx([0.475, 0.465, 0.48, 0.48, 0.48])
    assert gap["online_hours"].to_list() == [24, 24 - 0.75 + 2.5 / 4, 24, 24, 23.75]
    filled = rows(load(tmp_path, days=[date(2026, 9, 2)], **options))
    assert filled.select("inferences", "online_hours", "late_messages").rows() == [(960, 24.0, 2)]


def test_restart_counts_from_zero_and_midnight_goes_to_the_later_day(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a.jsonl",
        [
            report(94),
            report(95),
            report(97, boot_id="b1", seq=0, inferences_total=7, failed_total=0, energy_wh_total=2),
            report(98, boot_id="b1", seq=1, inferences_total=17, failed_total=0, energy_wh_total=7),
            report(99, boot_id="b1", seq=2, inferences_total=4, failed_total=0, energy_wh_total=1),
        ],
    )
    days = rows(load(tmp_path))
    # second day: 7 since the restart, +10, then a counter that fell: 4 since an unannounced restart
    assert days["inferences"].to_list() == [10, 21]
    # 95 to 97 is half an hour, within 2.5 intervals
    assert days["online_hours"].to_list() == [0.5, 0.75]
    assert days["energy_kwh"].to_list() == pytest.approx([0.005, 0.008])


def test_local_days_and_a_device_without_a_meter(tmp_path: Path) -> None:
    reports = [report(n, ts=(START + timedelta(minutes=15 * n)).isoformat()) for n in range(96)]
    for r in reports:
        del r["energy_wh_total"]
    write(tmp_path, "a.jsonl", reports)
    days = rows(load(tmp_path, "Asia/Kolkata"))
    # 18:30 UTC is midnight: reports 0..73 (73 increments) and 74..95 (22)
    assert days["day"].dt.day().to_list() == [1, 2]
    assert days["inferences"].to_list() == [730, 220]
    assert days["energy_kwh"].to_list() == [None, None]


def test_bad_lines_are_rejected_with_file_and_line(tmp_path: Path) -> None:
    bad = [
        "{not json",
        json.dumps(report(5, ts="2026-09-01T01:15:00")),
        json.dumps({k: v for k, v in report(6).items() if k != "boot_id"}),
        json.dumps(report(7, inferences_total="many")),
        "",
        "[1, 2]",
    ]
    write(tmp_path, "a.jsonl", [report(0), *bad, report(1)])
    (item,) = load(tmp_path)
    found = [
        (r["rule"], r["column_name"], r["location"].rsplit("/", 1)[-1])
        for r in item.issues.iter_rows(named=True)
    ]
    assert sorted(found) == [
        ("json_unreadable", "line", "a.jsonl:2"),
        ("key_missing", "boot_id", "a.jsonl:4"),
        ("key_missing", "device_id", "a.jsonl:7"),
        ("number_unreadable", "inferences_total", "a.jsonl:5"),
        ("ts_unreadable", "ts", "a.jsonl:3"),
    ]
    assert item.issues["rows"].sum() == 5
    assert item.rows_read == 7
    assert rows([item])["inferences"].to_list() == [10]
    assert set(item.issues["action"]) == {"rejected"}


def test_histogram_of_the_day(tmp_path: Path) -> None:
    def buckets(n: int) -> dict[str, Any]:
        return {"latency_seconds_buckets": {"0.1": 3 * n, "0.02": n, "+Inf": 4 * n}}

    write(tmp_path, "a.jsonl", [report(n, **buckets(n)) for n in range(2, 6)])
    day = rows(load(tmp_path))
    assert json.loads(day["latency_buckets"][0]) == {"0.02": 3, "0.1": 9, "+Inf": 12}
    assert list(json.loads(day["latency_buckets"][0])) == ["0.02", "0.1", "+Inf"]


def test_bounds_of_a_histogram_that_change_within_a_day(tmp_path: Path) -> None:
    """New firmware at the fifth report, with a restart: 0.1 and 0.5 become 0.2 and 0.5. Only what both say can be added."""

    def buckets(n: int, bound: str) -> dict[str, Any]:
        return {"latency_seconds_buckets": {bound: 4 * n, "0.5": 8 * n, "+Inf": 10 * n}}

    new = {"boot_id": "b1", "inferences_total": 30}
    write(
        tmp_path,
        "a.jsonl",
        [
            *(report(n, **buckets(n, "0.1")) for n in range(1, 5)),
            report(5, **new, **buckets(1, "0.2")),
            report(6, **new | {"inferences_total": 40}, **buckets(4, "0.2")),
        ],
    )
    (item,) = load(tmp_path)
    # 3 steps before, 1 and 3 since 0 after
    assert json.loads(rows([item])["latency_buckets"][0]) == {"0.5": 8 * (3 + 4), "+Inf": 10 * (3 + 4)}
    assert item.issues.select("action", "rule", "column_name", "value", "rows").rows() == [
        ("flagged", "histogram_bounds_differ", "latency_buckets", "cam-1", 1)
    ]


def test_counters_that_go_on_over_a_reboot_are_unknown(tmp_path: Path) -> None:
    """Both are kept in flash: 1,000 to 1,090, a new boot, 1,100. Not 90 + 1,100; the energy likewise."""
    old, new = ([report(n, boot_id=b, energy_wh_total=5000 + 5 * n) for n in r] for b, r in (("b0", range(10)), ("b1", range(10, 14))))  # fmt: skip
    write(tmp_path, "a.jsonl", [*old, *new, *(report(n, boot_id="b1") for n in range(96, 98))])
    (item, _) = load(tmp_path)
    assert rows([item]).select("inferences", "failed", "energy_kwh", "messages").rows() == [
        (None, None, None, 14)
    ]
    found = item.issues.filter(pl.col("rule") == "counter_alternates")
    assert found.select("column_name", "value").rows() == [
        ("energy_wh_total, failed_total, inferences_total", "cam-1")
    ]


def test_a_meter_that_begins_anew_does_not_restart_the_inferences(tmp_path: Path) -> None:
    """The chip of the meter is reset at the fifth report: 2 Wh since; 10 inferences a report all the while."""
    write(
        tmp_path,
        "a.jsonl",
        [
            report(n, inferences_total=80_000 + 10 * n, energy_wh_total=5000 + 5 * n if n < 5 else 5 * n - 23)
            for n in range(8)
        ],
    )
    day = rows(load(tmp_path))
    assert day["inferences"].to_list() == [70]
    assert day["energy_kwh"].to_list() == pytest.approx([(4 * 5 + 2 + 2 * 5) / 1000])


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.jsonl", b"", "is empty"),
        ("a.jsonl.gz", gzip.compress(json.dumps(report(0)).encode() * 200, mtime=0)[:60], "is damaged"),
        ("a.jsonl", b'{"device_id": "x"}\n', "none of 1 lines"),
        ("a.csv", b"x\n", "none of 1 lines"),
        ("a.xlsx", b"x\n", "is no file of reports"),
    ],
)
def test_bad_files_say_what_to_do(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_bytes(data)
    with pytest.raises(SourceError, match=words) as error:
        reader(tmp_path).slices(WINDOW)
    assert name in str(error.value)


def test_lines_that_are_not_utf8_are_rejected_alone(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", [report(0), report(1)])
    path = tmp_path / "in" / "a.jsonl"
    path.write_bytes(path.read_bytes() + b'{"device_id": "\xff\xfe"}\n')
    (item,) = load(tmp_path)
    assert item.issues.select("rule", "rows").rows() == [("json_unreadable", 1)]
    assert rows([item])["inferences"].to_list() == [10]


@pytest.mark.parametrize("text", [False, True])
def test_times_may_be_numbers_since_1970(tmp_path: Path, text: bool) -> None:
    """96 reports of a device for each unit: the first sets the base, 95 increments of 10; a number that is no time of this century is none."""
    epoch, units = int(START.timestamp()), [1, 1000, 10**6, 10**9]
    for unit in units:
        stamps = [(epoch + 900 * n) * unit for n in range(96)]
        lines = [
            report(n, device_id=f"cam-{unit}", ts=str(at) if text else at) for n, at in enumerate(stamps)
        ]
        none = report(96, device_id=f"cam-{unit}", ts=20260902000000)
        write(tmp_path, f"{unit}.jsonl", [*lines, none])
    (item,) = load(tmp_path)
    found = rows([item]).select("device", "inferences").rows()
    assert found == [(f"cam-{unit}", 950) for unit in units]
    issues = item.issues.select(
        "rule", "column_name", "rows", pl.col("location").str.extract(r"(\d+)\.jsonl")
    )
    assert sorted(issues.rows()) == [("ts_unreadable", "ts", 1, str(unit)) for unit in units]


def test_files_appended_to_each_other_keep_their_marks_of_byte_order(tmp_path: Path) -> None:
    parts = ["\ufeff" + json.dumps(report(n)) + "\n" for n in range(4)]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.jsonl.gz").write_bytes(b"".join(gzip.compress(p.encode()) for p in parts))
    (item,) = load(tmp_path)
    assert rows([item])["inferences"].to_list() == [30]
    assert item.issues.is_empty()
