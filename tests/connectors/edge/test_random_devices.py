"""Devices by chance, with every fault of clocks, sequences and counters: a day's count is the truth, or unknown and said so."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.connectors.edge.test_reader import START, load, rows, write

pytestmark = pytest.mark.long

DAYS = 3
Reports = list[dict[str, Any]]


def device(
    rng: random.Random, boots: int, *, one_id: bool = False, base: int = 0, rate: int = 20
) -> tuple[Reports, list[int]]:
    """Reports by the quarter of an hour, with what was done in each."""
    starts = {10 * n + rng.randrange(5) for n in rng.sample(range(1, 96 * DAYS // 10), boots)}
    reports, works = [], []
    total, seq, boot, energy = base, 0, 0, 0
    for k in range(96 * DAYS):
        if k in starts:
            total, seq, boot, energy = 0, 0, boot + 1, 0
        work = rng.randrange(rate + 1)
        total, energy = total + work, energy + 5
        at = START + timedelta(minutes=15 * k)
        reports.append(
            {
                "device_id": "cam", "ts": at.isoformat(), "boot_id": f"{base}-{0 if one_id else boot}", "seq": seq,
                "inferences_total": total, "energy_wh_total": energy,
            }
        )  # fmt: skip
        works.append(work)
        seq += 1
    return reports, works


def shuffled(rng: random.Random) -> tuple[Reports, list[int]]:
    reports, works = device(rng, 3)
    lines = reports + rng.sample(reports, 40)
    rng.shuffle(lines)
    return lines, works


def no_boot_ids(rng: random.Random) -> tuple[Reports, list[int]]:
    return device(rng, 3, one_id=True)


def short_sequence(rng: random.Random) -> tuple[Reports, list[int]]:
    reports, works = device(rng, 1)
    return [r | {"seq": r["seq"] % 64} for r in reports], works


def fields_missing(rng: random.Random) -> tuple[Reports, list[int]]:
    reports, works = device(rng, 2)
    return [
        r if rng.random() < 0.5 else {k: v for k, v in r.items() if k != "energy_wh_total"} for r in reports
    ], works


EXACT = (shuffled, no_boot_ids, short_sequence, fields_missing)


def clones(rng: random.Random) -> tuple[Reports, list[int]]:
    (one, works), (two, more) = device(rng, 3, base=500), device(rng, 2, base=90_000, rate=50)
    return one + two, [a + b for a, b in zip(works, more, strict=True)]


def wrong_clock(rng: random.Random) -> tuple[Reports, list[int]]:
    reports, works = device(rng, 2)
    first, count, hours = rng.randrange(60, 200), rng.choice((1, 5, 30)), rng.choice((-50, -3, 3, 50, 9600))
    for k in range(first, first + count):
        reports[k]["ts"] = (START + timedelta(minutes=15 * k, hours=hours)).isoformat()
    return reports, works


def spikes(rng: random.Random) -> tuple[Reports, list[int]]:
    reports, works = device(rng, 2)
    for report in rng.sample(reports, 3):
        report["inferences_total"] = rng.choice((0, 10**6, 10**12))
    return reports, works


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("fault", [*EXACT, clones, wrong_clock, spikes])
def test_counts_are_the_truth_or_unknown(
    tmp_path: Path, seed: int, fault: Callable[[random.Random], tuple[Reports, list[int]]]
) -> None:
    reports, works = fault(random.Random(seed))
    truth: dict[date, int] = defaultdict(int)
    for k, work in enumerate(works[1:], start=1):
        truth[(START + timedelta(minutes=15 * k)).date()] += work
    write(tmp_path, "a.jsonl", reports)
    loaded = load(tmp_path)
    found = dict(
        rows(loaded).filter(pl.col("day").is_in(list(truth))).select("day", "inferences").iter_rows()
    )
    said = set(pl.concat([item.issues for item in loaded])["rule"])
    if fault in EXACT:
        assert (found, said) == (truth, set())
        return
    for day, count in found.items():
        # work of reports that were set aside is in the next one: of a midnight, on the day after
        assert count is None or count == truth[day] or said
        assert count is None or count <= truth[day] + 40 * 20
    known = [count for count in found.values() if count is not None]
    assert sum(known) <= sum(truth.values())
