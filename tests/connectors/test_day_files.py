"""A damaged file among whole ones: left out alone, named, read when it comes whole; days that had it before stand."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import duckdb
import polars as pl
import pytest

from connectors.base import DamagedFileError, Loaded, Slice, SourceError
from tests.connectors.edge import test_reader as edge
from tests.connectors.telemetry_files import samples
from tests.engine import Session

FIRST, SECOND, THIRD = (date(2026, 9, day) for day in (1, 2, 3))
PACKED = gzip.compress(b"ts,node,gpu,energy_mj\n" + b"2026-09-02T00:00:00Z,n1,GPU-2,5\n" * 5000, mtime=0)
REPORTS = gzip.compress("\n".join(json.dumps(edge.report(n)) for n in range(500)).encode(), mtime=0)


def damage(data: bytes) -> dict[str, bytes]:
    """A gzip file cut off, with a wrong checksum, with a byte turned over, and what is none at all."""
    half = len(data) // 2
    return {
        "cut": data[:half],
        "end cut": data[:-4],
        "checksum": data[:-8] + bytes(b ^ 255 for b in data[-8:-4]) + data[-4:],
        "byte": data[:half] + bytes([data[half] ^ 255]) + data[half + 1 :],
        "no gzip": gzip.decompress(data),
        "empty": b"",
    }


def put(folder: Path, name: str, data: bytes) -> None:
    (folder / "in" / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / "in" / name).write_bytes(data)


def cards(folder: Path, day: int, gpu: str = "GPU-1") -> None:
    """Energy of a card over ten hours of a day: 600 steps of 30 kJ are 5 kWh."""
    moments = samples.minutes(f"2026-09-0{day} 08:00", 601)
    rows = [samples.card(ts, 1e9 + 30e6 * n, gpu=gpu) for n, ts in enumerate(moments)]
    samples.write(folder, f"gpu/{gpu}-{day}.parquet", rows)


def energy(loaded: Sequence[Loaded]) -> dict[date, float]:
    frame = samples.table(loaded, samples.GPU).group_by("day").agg(pl.col("energy_kwh").sum().round(9))
    return dict(frame.iter_rows())


def found(loaded: Sequence[Loaded]) -> list[tuple[date, str, str]]:
    return [
        (item.slice.period, row["location"].rsplit("/", 1)[-1], row["raw"])
        for item in loaded
        for row in item.issues.filter(rule="file_damaged").iter_rows(named=True)
    ]


def test_damaged_sample_files_are_left_out_alone_and_read_when_they_come_whole(tmp_path: Path) -> None:
    cards(tmp_path, 1)
    cards(tmp_path, 2)
    ways = damage(PACKED)
    for how, data in ways.items():
        put(tmp_path, f"gpu/{how}.csv.gz", data)
    loaded = samples.load(tmp_path)
    assert energy(loaded) == {FIRST: 5.0, SECOND: 5.0}
    assert sorted((day, name) for day, name, _ in found(loaded)) == [
        (SECOND, f"{how}.csv.gz") for how in sorted(ways)
    ]
    assert all(f"{name} is" in why for _, name, why in found(loaded))
    assert f"{len(ways)} of them damaged, first: " in samples.reader(tmp_path).check()

    moments = samples.minutes("2026-09-01 08:00", 61)
    for how in ways:
        rows = [samples.card(ts, 3e9 + 60e6 * n, gpu=f"GPU-{how}") for n, ts in enumerate(moments)]
        samples.write(tmp_path, f"gpu/{how}.csv.gz", rows)
    again = samples.load(tmp_path)
    assert energy(again) == {FIRST: 11.0, SECOND: 5.0}  # 60 steps of 60 kJ of each of six cards: 6 kWh
    assert found(again) == []


@pytest.mark.parametrize("name", ["gpu/bad.parquet", "gpu/bad.csv", "gpu/bad.log"])
def test_other_kinds_of_damaged_sample_files(tmp_path: Path, name: str) -> None:
    contents = {
        "gpu/bad.parquet": b"PAR1 and no more",
        "gpu/bad.csv": b"ts,node,gpu\n2026-09-01T00:00:00Z\xff,n,g\n",
        "gpu/bad.log": b"",
    }
    cards(tmp_path, 1)
    put(tmp_path, name, contents[name])
    loaded = samples.load(tmp_path)
    assert energy(loaded) == {FIRST: 5.0}
    assert [(day, "in/" + file) for day, file, _ in found(loaded)] == [(FIRST, name.replace("gpu", "in"))]


def test_damaged_files_of_reports_are_left_out_alone(tmp_path: Path) -> None:
    """A report every quarter of an hour, 10 inferences each. What the lost files hold, the next report counts."""
    edge.write(tmp_path, "1.jsonl.gz", [edge.report(n) for n in range(96)])
    edge.write(tmp_path, "3.jsonl.gz", [edge.report(n) for n in range(140, 192)])
    ways = damage(REPORTS)
    for how, data in ways.items():
        put(tmp_path, f"2 {how}.jsonl.gz", data)
    loaded = edge.load(tmp_path)
    days = edge.rows(loaded)
    assert days["inferences"].to_list() == [950, 960]
    # 95 reports of the first day cover a quarter of an hour each. On the second, 51 do, and the first one after the gap
    # the 2.5 intervals back that a report covers at most: 0.625 h.
    assert days["online_hours"].to_list() == [23.75, 12.75 + 0.625]
    why = {(day, name): text for day, name, text in found(loaded)}
    assert {*why} == {(SECOND, f"2 {how}.jsonl.gz") for how in ways}
    assert "Not a gzipped file" in why[SECOND, "2 no gzip.jsonl.gz"]


def test_days_that_an_earlier_version_gave_stand_until_the_file_is_whole(tmp_path: Path) -> None:
    for day in (1, 2, 3):
        cards(tmp_path, day)
    cards(tmp_path, 2, "GPU-2")
    before = offered(tmp_path, bridge_hours=1)
    assert [s.not_ready for s in before] == ["", "", ""]
    path = tmp_path / "in" / "gpu" / "GPU-2-2.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    after = offered(tmp_path, bridge_hours=1)
    assert [s.period for s in after if s.not_ready] == [SECOND]
    assert "GPU-2-2.parquet is damaged" in after[1].not_ready
    assert [s.fingerprint for s in after[::2]] == [s.fingerprint for s in before[::2]]
    path.write_bytes(whole)
    assert offered(tmp_path, bridge_hours=1) == before


def test_the_finding_moves_with_the_last_day_and_whole_days_stay_as_they_are(tmp_path: Path) -> None:
    cards(tmp_path, 1)
    put(tmp_path, "gpu/bad.csv.gz", PACKED[:-4])
    with_it = offered(tmp_path, bridge_hours=1)
    assert found(samples.load(tmp_path))[0][0] == FIRST
    cards(tmp_path, 2)
    first, second = offered(tmp_path, bridge_hours=1)
    (tmp_path / "in" / "gpu" / "bad.csv.gz").unlink()
    without = offered(tmp_path, bridge_hours=1)
    assert first == without[0] != with_it[0]
    assert second.fingerprint != without[1].fingerprint


@pytest.mark.parametrize("read", [samples.reader, edge.reader])
def test_nothing_but_damaged_files_is_a_failure(
    tmp_path: Path, read: Callable[[Path], edge.EdgeFilesReader]
) -> None:
    put(tmp_path, "gpu-1.csv.gz", PACKED[:-4])
    put(tmp_path, "gpu-2.csv.gz", PACKED[:-4])
    for ask in (lambda: read(tmp_path).slices(edge.WINDOW), read(tmp_path).check):
        with pytest.raises(SourceError, match=r"gpu-1\.csv\.gz is damaged.*[Dd]eliver it again"):
            ask()


def test_a_file_that_does_not_say_what_it_is_still_fails_its_source(tmp_path: Path) -> None:
    cards(tmp_path, 1)
    put(tmp_path, "gpu/other.csv", b"time,node,gpu\n2026-09-01T00:00:00Z,n,g\n")
    with pytest.raises(SourceError, match="column 'ts' is missing") as error:
        samples.reader(tmp_path).slices(edge.WINDOW)
    assert not isinstance(error.value, DamagedFileError)


def offered(folder: Path, **options: int) -> Sequence[Slice]:
    return samples.reader(folder, **options).slices(edge.WINDOW)


def test_parquet_that_is_damaged_within_its_values_is_named_and_holds_back_its_days(tmp_path: Path) -> None:
    """Its footer and times are whole; the pages of one column are not."""
    for day in (1, 2, 3):
        cards(tmp_path, day)
    cards(tmp_path, 2, "GPU-2")
    path = tmp_path / "in" / "gpu" / "GPU-2-2.parquet"
    whole = pl.read_parquet(path)
    noise = random.Random(1)
    whole.with_columns(power_w=pl.Series([noise.random() for _ in range(whole.height)])).write_parquet(path)
    data = bytearray(path.read_bytes())
    with duckdb.connect() as con:
        (start,) = con.execute(
            "SELECT data_page_offset FROM parquet_metadata(?) WHERE path_in_schema = 'power_w'", [str(path)]
        ).fetchone() or (0,)
    data[start : start + 400] = b"\xff" * 400
    path.write_bytes(data)
    source = samples.reader(tmp_path, bridge_hours=1)
    slices = source.slices(edge.WINDOW)
    assert [s.not_ready for s in slices] == ["", "", ""]
    with Session() as engine, pytest.raises(DamagedFileError, match=r"GPU-2-2\.parquet is damaged") as error:
        list(source.load(slices, tmp_path / "work", engine))
    assert error.value.file is not None
    again = offered(tmp_path, bridge_hours=1)
    assert [bool(s.not_ready) for s in again] == [False, True, False]
    with Session() as engine:
        loaded = list(source.load([s for s in again if not s.not_ready], tmp_path / "work", engine))
    assert energy(loaded) == {FIRST: 5.0, THIRD: 5.0}
