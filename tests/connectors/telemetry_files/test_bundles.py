"""What is added up while it is read gives the same hours as samples put in order one by one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from connectors.telemetry_files import gpu_hours
from connectors.telemetry_files.bundles import bundles_sql
from pipelines.engines.duckdb import DuckDBEngine
from tests.connectors.telemetry_files.samples import GPU, card, load, minutes, table, write

KEY = ["hour", "gpu", "mig_id", "namespace", "pod", "team", "workload", "node"]
FAULTS = (
    "gap",
    "reset",
    "jump",
    "glitch",
    "change",
    "overlap",
    "blind",
    "absurd",
    "twice",
    "nowhere",
    "young",
    "late",
    "dim",
    "echo",
    "renamed",
    "mirror",
)
LONG = 150
"""Samples that are there twice in a row: two whole hours of minutes."""


def one_by_one(samples: str, *args: Any, **more: Any) -> str:
    return f"SELECT * REPLACE (FALSE AS regular) FROM ({bundles_sql(samples, *args, **more)})"


def seen_one_by_one(monkeypatch: pytest.MonkeyPatch) -> list[pl.DataFrame]:
    """Card and time of the samples that are read one by one; filled while a source is read."""
    seen: list[pl.DataFrame] = []

    def keep(engine: DuckDBEngine, sql: str) -> pl.DataFrame:
        if "sums" in sql:
            seen.append(query(engine, "SELECT gpu, ts FROM samples JOIN labels USING (label)"))
        return query(engine, sql)

    query = DuckDBEngine.query
    monkeypatch.setattr(DuckDBEngine, "query", keep)
    return seen


def site(
    seed: int, faults: list[tuple[str, int]], phase: float, *, counter: bool, step_s: float = 60
) -> list[dict[str, Any]]:
    """540 samples of three cards and of one of two instances, each fault on a card from a sample on."""
    random = Random(seed)
    rows: list[dict[str, Any]] = []
    for number, instances in enumerate([(None,), (None,), (None,), ("1", "2")]):
        total = 4e12 + random.random() * 1e12
        mine = [f for k, f in enumerate(faults) if k % 4 == number]
        if any(f == "young" for f, _ in mine):
            total = 0.0
        for minute, ts in enumerate(minutes("2026-10-03 14:00", 540, step_s)):
            past = {f for f, at in mine if minute >= at}
            now = {f for f, at in mine if minute == at}
            watts = 200 + random.random() * 300
            total = 5e6 if "reset" in now else total + watts * 1000 * step_s
            total += (3e12 if "jump" in now else 0) - (35e6 * step_s if "glitch" in now else 0)
            if any(at <= minute < at + 17 for f, at in mine if f == "gap"):
                continue
            for mig in instances:
                row = card(
                    ts + timedelta(seconds=step_s * (phase + (1 / 3 if "late" in now else 0))),
                    total,
                    gpu=f"GPU-{number}",
                )
                row |= {
                    "mig_id": mig,
                    "mig_profile": mig and "3g.40gb",
                    "utilisation": random.random(),
                    "power_w": watts,
                }
                row["pod"] = f"pod-{number}-{mig}" + ("-next" if "change" in past else "")
                if "blind" in past:
                    row["utilisation"] = None
                if "absurd" in now:
                    row["utilisation"] = 1.7
                if "nowhere" in now:
                    row["node"] = None
                if any(at <= minute < at + 17 for f, at in mine if f == "dim"):
                    row["power_w"] = None
                if not counter:
                    del row["energy_mj"]
                rows.append(row)
                long = {f for f, at in mine if at <= minute < at + LONG}
                if long & {"echo", "renamed", "mirror"}:
                    rows.append(row | {"project": "p"} if "renamed" in long else row.copy())
                    rows[-1]["mirror"] = "mirror" in long
                if now & {"twice", "overlap"}:
                    rows.append(row | ({"pod": "another"} if "overlap" in now else {}))
    random.shuffle(rows)
    return rows


def found(folder: Path, zone: str, step_s: float) -> tuple[pl.DataFrame, pl.DataFrame, list[int]]:
    """Hours, findings, and rows read of each day."""
    items = load(folder, zone, sample_interval_s=step_s)
    issues = pl.concat([i.issues for i in items]).drop("value")
    return table(items, GPU).sort(KEY), issues.sort(pl.all()), [i.rows_read for i in items]


@pytest.mark.long
@given(
    seed=st.integers(0, 10_000),
    faults=st.lists(st.tuples(st.sampled_from(FAULTS), st.integers(0, 539)), max_size=8),
    zone=st.sampled_from(["UTC", "Asia/Kolkata", "Australia/Lord_Howe"]),
    phase=st.sampled_from([0, 0.2875, 0.5, 0.99]),
    step_s=st.sampled_from([1, 15, 30, 60, 60, 60, 300, 900]),
    counter=st.booleans(),
    suffix=st.sampled_from(["parquet", "csv"]),
)
def test_bundles_change_nothing(
    seed: int,
    faults: list[tuple[str, int]],
    zone: str,
    phase: float,
    step_s: float,
    counter: bool,
    suffix: str,
) -> None:
    rows = site(seed, faults, phase, counter=counter, step_s=step_s)
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        mirror = [r for r in rows if r.pop("mirror", False)]
        rows = [r | {"project": r.get("project")} for r in rows if not any(r is m for m in mirror)]
        write(Path(folder), f"gpu/1.{suffix}", rows)
        if mirror:
            write(Path(folder), f"gpu/2.{suffix}", mirror)
        added_up = found(Path(folder), zone, step_s)
        patch.setattr(gpu_hours, "bundles_sql", one_by_one)
        patch.setattr(gpu_hours, "CANDIDATES", f"{gpu_hours.CANDIDATES} WHERE FALSE")
        in_order = found(Path(folder), zone, step_s)
    assert_frame_equal(added_up[0], in_order[0], rel_tol=1e-9, abs_tol=1e-9)
    assert_frame_equal(added_up[1], in_order[1])
    assert added_up[2] == in_order[2]


TWICE: dict[str, Callable[[dict[str, Any]], list[tuple[str, dict[str, Any]]]]] = {
    "two files": lambda row: [("1", row), ("2", row)],
    "one file": lambda row: [("1", row), ("1", row)],
    "two labels": lambda row: [("1", row), ("1", row | {"project": "q"})],
    "twice in one file and once in another": lambda row: [("1", row), ("1", row), ("2", row)],
    "three times in one file": lambda row: [("1", row)] * 3,
    "five times in one file and three times in another": lambda row: [("1", row)] * 5 + [("2", row)] * 3,
}


@pytest.mark.parametrize("how", TWICE)
def test_samples_that_are_there_twice_count_once_and_none_is_put_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Two hours at 300 W, 0.6 kWh; utilisation 0.25 in the first hour and 0.75 in the second."""
    single = seen_one_by_one(monkeypatch)
    files: dict[str, list[dict[str, Any]]] = {}
    for n, ts in enumerate(minutes("2026-10-03 10:00", 121)):
        row = card(ts, 4e12 + n * 18e6, utilisation=0.25 if n < 60 else 0.75, pod="pod-1", project="p")
        for name, one in TWICE[how](row):
            files.setdefault(name, []).append(one)
    for name, rows in files.items():
        write(tmp_path, f"gpu/{name}.parquet", rows)
    (item,) = load(tmp_path)
    hours = table([item], GPU).sort("hour")
    assert hours["energy_kwh"].to_list() == pytest.approx([0.3, 0.3])
    assert hours["observed_hours"].to_list() == [1.0, 1.0]
    assert hours["used_hours"].to_list() == pytest.approx([0.25, 0.75])
    assert (
        hours["project"].to_list() == ["q" if how == "two labels" else "p"] * 2
    )  # of two names the later one
    copies = sum(len(rows) for rows in files.values()) // 121
    assert item.rows_read == 121 * copies
    assert item.issues.select("rule", pl.col("rows").sum()).unique().rows() == [
        ("duplicate_sample", 121 * (copies - 1))
    ]
    assert single[0].is_empty()


@pytest.mark.parametrize("how", TWICE)
def test_samples_that_differ_are_told_apart_in_their_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """As above, but one copy of the sample of 10:30 shows a use of 0.85: the mean of the copies counts for that minute."""
    single = seen_one_by_one(monkeypatch)
    files: dict[str, list[dict[str, Any]]] = {}
    for n, ts in enumerate(minutes("2026-10-03 10:00", 121)):
        row = card(ts, 4e12 + n * 18e6, utilisation=0.25, pod="pod-1", project="p")
        copies = TWICE[how](row)
        for k, (name, one) in enumerate(copies, start=1):
            files.setdefault(name, []).append(
                one | {"utilisation": 0.85 if (n, k) == (30, len(copies)) else 0.25}
            )
    for name, rows in files.items():
        write(tmp_path, f"gpu/{name}.parquet", rows)
    hours = table(load(tmp_path), GPU).sort("hour")
    mean = 0.25 + 0.6 / len(copies)
    assert hours["used_hours"].to_list() == pytest.approx([(59 * 0.25 + mean) / 60, 0.25])
    assert hours["energy_kwh"].to_list() == pytest.approx([0.3, 0.3])
    assert single[0]["ts"].dt.hour().unique().to_list() == [10]


@pytest.mark.parametrize("counter", [True, False])
def test_only_what_is_odd_is_put_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counter: bool
) -> None:
    """A change of holder and a gap within an hour are regular; a value of 170 % makes its hour odd."""
    seen = seen_one_by_one(monkeypatch)
    faults = [("change", 100), ("gap", 300), ("absurd", 250)]
    write(tmp_path, "gpu/1.parquet", site(1, faults, 0.2875, counter=counter))
    (item,) = load(tmp_path)
    assert item.rows_read == 5 * 540 - 17
    hours_of = seen[0].group_by("gpu").agg(pl.len(), pl.col("ts").dt.hour().unique().sort())
    assert hours_of.rows() == [("GPU-2", 60, [18])]


def test_a_restart_is_not_hidden_between_the_ends_of_a_young_counter(tmp_path: Path) -> None:
    """kWh 0.001, 0.009, 0.017, restart, 0.002, then 57 steps of 0.008: 0.016 + 0.002 + 0.456, not last less first."""
    shown = [0.001, 0.009, 0.017, *(0.002 + 0.008 * n for n in range(58))]
    times = minutes("2026-10-03 10:00", 61)
    write(tmp_path, "gpu/1.parquet", [card(ts, kwh * 3.6e9) for ts, kwh in zip(times, shown, strict=True)])
    assert table(load(tmp_path), GPU)["energy_kwh"].sum() == pytest.approx(0.474)


def test_a_fall_that_its_hour_makes_up_for_is_in_the_sum(tmp_path: Path) -> None:
    """100 W for an hour, 0.1 kWh; half way the counter falls by 0.01 kWh for good: 0.09 is what its ends show."""
    times = minutes("2026-10-03 10:00", 61)
    rows = [card(ts, 4e12 + n * 6e6 - (36e6 if n >= 30 else 0)) for n, ts in enumerate(times)]
    write(tmp_path, "gpu/1.parquet", rows)
    assert table(load(tmp_path), GPU)["energy_kwh"].sum() == pytest.approx(0.09)


def test_a_jump_between_two_hours_is_not_believed(tmp_path: Path) -> None:
    """100 W for two hours; between them the counter leaps by 833 kWh: that minute is taken from the gauge."""
    times = minutes("2026-10-03 10:00", 121)
    rows = [card(ts, 4e12 + n * 6e6 + (3e12 if n >= 60 else 0), power_w=100) for n, ts in enumerate(times)]
    write(tmp_path, "gpu/1.parquet", rows)
    (item,) = load(tmp_path)
    assert table([item], GPU)["energy_kwh"].sum() == pytest.approx(0.2)
    assert item.issues["rule"].to_list() == ["counter_implausible"]
