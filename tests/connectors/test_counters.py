"""Counters by the minute: restarts counted to the unit, and what cannot be a restart is unknown."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest

from connectors.counters import counted, counter_increments, counter_segments
from tests.engine import Session

START = datetime.fromisoformat("2026-09-01")
MINUTE_US = 60_000_000


def hours(
    tmp_path: Any,
    values: Sequence[float | None],
    *,
    lives: str = "",
    at: Sequence[int] = (),
    other: Sequence[float | None] = (),
    period: str = "",
) -> list[tuple[float | None, float | None]]:
    """What two counters counted in each hour of samples: by the minute from 00:01 on, or at these minutes."""
    minutes = at or range(1, len(values) + 1)
    pl.DataFrame(
        {
            "name": "a",
            "ts": [START + timedelta(minutes=m) for m in minutes],
            "value": values,
            "other": other or [0.0] * len(values),
            "life": list(lives or "a" * len(values)),
        },
        schema_overrides={"value": pl.Float64, "other": pl.Float64},
        strict=False,
    ).write_parquet(tmp_path / "s.parquet")
    samples = (
        "(SELECT *, CAST(NULL AS MAP(VARCHAR, DOUBLE)) AS buckets, date_trunc('hour', ts - INTERVAL 1 MICROSECOND) AS hour "
        f"FROM read_parquet('{tmp_path / 's.parquet'}'))"
    )
    both = ("value", "other")
    cut = counter_segments(
        samples,
        ("name",),
        both,
        7 * 1440 * MINUTE_US,
        5 * MINUTE_US // 2,
        life="life" if lives else "",
        period=period,
    )
    steps = counter_increments(f"({cut})", ("name",), both, "hour", {})
    sums = ", ".join(counted(c) for c in both)
    with Session() as engine:
        return engine.query(f"SELECT {sums} FROM ({steps}) GROUP BY hour ORDER BY hour").rows()


def rises(start: int, step: int, count: int) -> list[float]:
    return [float(start + step * n) for n in range(count)]


def test_restarts_are_counted_to_the_unit(tmp_path: Any) -> None:
    """1,000 to 1,190; restarts to 3, up to 293: 190 + 3 + 290. One that showed 4 restarts to 3: 3 since."""
    assert hours(tmp_path, rises(1000, 10, 20) + rises(3, 10, 30)) == [(190 + 293, 0)]
    assert hours(tmp_path, [0, 2, 4, 3, 5, 6]) == [(4 + 3 + 3, 0)]


def test_a_process_that_starts_anew_every_ten_minutes_counts_in_full(tmp_path: Any) -> None:
    """Six lives of ten samples, 7 at first and 10 more each: 97 in each, of the first 90 after its base."""
    assert hours(tmp_path, rises(7, 10, 10) * 6) == [(5 * 97 + 90, 0)]


def test_a_burst_after_a_restart_is_no_turn(tmp_path: Any) -> None:
    """20 in a day; a restart, 2, then 100 at once: more than 1.5 times what it ever was."""
    assert hours(tmp_path, [10, 20, 20, 1, 2, 102, 103]) == [(10 + 103, 0)]


def test_after_a_gap_any_lower_value_is_a_restart(tmp_path: Any) -> None:
    """1,000, then four hours of nothing, 700: they were counted since."""
    assert hours(tmp_path, [990, 1000, 700, 710], at=[1, 2, 239, 240]) == [(10, 0), (710, 0)]


@pytest.mark.parametrize("levels", [(1_000_000, 900_000), (1000, 3), (0, 30, 60, 45), (5000, 100, 2500)])
def test_counters_that_take_turns_are_unknown(tmp_path: Any, levels: tuple[int, ...]) -> None:
    """Two to four pods under one name, a sample each in turn."""
    values = [levels[n % len(levels)] + 2.0 * n for n in range(60)]
    assert hours(tmp_path, values) == [(None, None)]


def test_a_service_address_that_gives_any_pod_is_unknown(tmp_path: Any) -> None:
    """Each scrape goes to one of three pods by chance, each with 10 a minute, for six hours."""
    rng = random.Random(7)
    values = [rng.choice((100, 20_000, 350_000)) + 10.0 * n for n in range(360)]
    assert {value for value, _ in hours(tmp_path, values)} == {None}


@pytest.mark.parametrize(
    "values",
    [
        [*rises(1000, 10, 20), 960.0, *rises(1200, 10, 20)],  # one reading of another clock
        [*rises(1000, 10, 20), 3.0, 1200.0, 8.0, *rises(13, 5, 20)],  # a pod that is replaced, one sample each way
        rises(1000, 10, 20) + rises(1150, 10, 20),  # written down every five minutes, and taken up again after a crash
    ],
    ids=["one reading", "rolling", "taken up again"],
)  # fmt: skip
def test_one_step_that_cannot_be_a_restart_makes_its_hour_unknown(tmp_path: Any, values: list[float]) -> None:
    later = rises(5000, 1, 60 - len(values) + 3)
    assert hours(tmp_path, values + later)[0] == (None, None)


def test_hours_around_an_unknown_one_are_known(tmp_path: Any) -> None:
    """An hour of 10 a minute, one in which two take turns, one of 10 a minute again."""
    turns = [(1600.0 if n % 2 else 900_000.0) + 10 * n for n in range(60)]
    values = rises(1000, 10, 60) + turns + rises(2200, 10, 60)
    assert [value for value, _ in hours(tmp_path, values)] == [590, None, 600]


def test_a_counter_that_falls_alone_does_not_restart_the_others(tmp_path: Any) -> None:
    """The second counter is reset to 0 at 1,000,500 of the first: which goes on by 10 a minute. In a gap both restart."""
    first, second = rises(1_000_000, 10, 60), [*rises(500, 1, 30), *rises(0, 1, 30)]
    assert hours(tmp_path, first, other=second) == [(590, 29 + 29)]
    assert hours(tmp_path, [90, 100, 500], other=[8, 9, 2], at=[1, 2, 59]) == [(10 + 500, 1 + 2)]


def test_a_value_that_is_missing_hides_no_restart(tmp_path: Any) -> None:
    assert hours(tmp_path, [90, 100, None, 5, 15]) == [(10 + 15, 0)]


def test_a_new_life_begins_at_0_unless_it_plainly_does_not(tmp_path: Any) -> None:
    """A boot id that changes is believed; where the counter goes on after six samples, nobody knows."""
    long = "aaaaaabbbbbb"
    assert hours(tmp_path, rises(100, 10, 6) + rises(7, 10, 6), lives=long) == [(50 + 57, 0)]
    assert hours(tmp_path, rises(100, 10, 12), lives=long) == [(None, None)]
    # a device that restarts at once: 30 in one life, 40 in the next step
    assert hours(tmp_path, [20, 30, 40, 50], lives="aabb") == [(10 + 50, 0)]


def test_what_a_random_counter_counts_is_exact_or_unknown_and_seldom_that(tmp_path: Any) -> None:
    """Twelve hours by the minute with three restarts, at 0 to 50 a minute."""
    rng = random.Random(11)
    unknown = 0
    for _ in range(12):
        rate = rng.choice((0.2, 2, 50))
        work = [sum(rng.random() < rate / 60 for _ in range(60)) for _ in range(720)]
        starts = set(rng.sample(range(5, 720), 3))
        shown, value = [], 400
        for n, more in enumerate(work):
            value = (0 if n in starts else value) + more
            shown.append(value)
        found = hours(tmp_path, [float(v) for v in shown])
        for n, (value, _) in enumerate(found):
            unknown += value is None
            assert value in (None, sum(work[max(60 * n, 1) : 60 * n + 60]))
    assert unknown <= 2


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ((1_000_000, 5000, 1_000_000), [590, 600, None, 600, None, 600]),
        ((5000, 1_000_000, 5000), [590, 600, None, 600, None, 600]),
        ((1_000_000, 5000, 1), [590, 600, 5000 + 121 * 10 + 590, 600, 1 + 241 * 10 + 590, 600]),
    ],
    ids=["high first", "low first", "three lives"],
)  # fmt: skip
def test_turns_of_two_hours_each_are_unknown_where_they_change(
    tmp_path: Any, levels: tuple[int, ...], expected: list[float | None]
) -> None:
    """Pods with 10 a minute, each seen for two hours. Three that fall and never rise may be lives: what each shows counts."""
    values = [levels[n // 120] + 10.0 * (n + 1) for n in range(360)]
    assert [value for value, _ in hours(tmp_path, values)] == expected


def test_of_periods_that_are_read_apart_the_later_change_alone_is_told(tmp_path: Any) -> None:
    """As above, where an hour is read without the next ones: what the first change of two counts is 5,000 + 121 x 10."""
    values = [(1_000_000, 5000, 1_000_000)[n // 120] + 10.0 * (n + 1) for n in range(360)]
    expected = [590, 600, 5000 + 1210 + 590, 600, None, 600]
    assert [value for value, _ in hours(tmp_path, values, period="hour")] == expected
    within = [(1_000_000, 5000, 1_000_000)[n // 20] + 10.0 * (n + 1) for n in range(60)]
    assert [value for value, _ in hours(tmp_path, within, period="hour")] == [None]


def test_a_restart_and_a_burst_hours_later_are_no_turns(tmp_path: Any) -> None:
    """1,000 and 10 a minute, a restart at the 31st minute to 3; at the 91st 5,000 at once, as a queue is worked off."""
    values = [*rises(1000, 10, 30), *rises(3, 10, 60), *rises(5603, 10, 90)]
    assert [value for value, _ in hours(tmp_path, values)] == [290 + 293, 30 * 10 + 5010 + 29 * 10, 600]


def test_turns_of_random_length_seldom_count_a_life(tmp_path: Any) -> None:
    """Two pods with 0 to 100 a minute that take turns of one to six hours: a step over to another counts nobody's life.

    With the rules for quick turns alone 4 in 10 hours with a change counted one.
    """
    rng = random.Random(3)
    changes = wrong = 0
    for _ in range(10):
        rate = rng.choice((2, 10, 100))
        pods = [round(10 ** rng.uniform(2, 6)) for _ in range(2)]
        shown, changed, now, left = [], set(), 0, rng.randint(60, 360)
        for minute in range(1440):
            if not left:
                now, left = 1 - now, rng.randint(60, 360)
                changed.add(minute // 60)
            left -= 1
            pods = [p + rng.randint(0, rate) for p in pods]
            shown.append(float(pods[now]))
        found = hours(tmp_path, shown)
        changes += len(changed)
        wrong += sum(found[h][0] is not None and found[h][0] > 2 * 60 * rate for h in changed)
        # an hour in which one pod is seen all the time is known, and is what it counted
        assert all(
            value is not None and value <= 60 * rate for h, (value, _) in enumerate(found) if h not in changed
        )
    assert changes > 50
    assert wrong <= changes * 0.05
