"""The schedules of a URDB rate (month x hour -> period, of workdays and of weekends) as windows of ours.

What a rate costs in its periods belongs to `urdb.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Schedule = Sequence[Sequence[int]]
"""Month -> hour -> number of the period."""

ALL_WEEK, WORKDAYS, WEEKEND = tuple(range(7)), tuple(range(5)), (5, 6)

Window = tuple[tuple[int, ...], int, int]
"""(weekdays, first hour, hour after the last)."""


def windows_of(
    rate: Mapping[str, Any], kind: str, periods: int, problems: list[str]
) -> list[dict[Window, list[int]]]:
    """For each period its windows and their months.

    Args:
        rate: The rate.
        kind: energy or demand, as its schedules are called.
        periods: How many periods its structure has.
        problems: Takes what is wrong with a schedule; then no period has a window.
    """
    schedules: list[Schedule] = []
    found: list[dict[Window, list[int]]] = [defaultdict(list) for _ in range(periods)]
    for name in (f"{kind}weekdayschedule", f"{kind}weekendschedule"):
        schedule = rate.get(name)
        whole = isinstance(schedule, list) and [len(hours) for hours in schedule] == [24] * 12
        if not whole or not all(p in range(periods) for hours in schedule or () for p in hours):
            problems.append(f"{name}: must name one of {periods} periods for 24 hours of 12 months")
            return found
        schedules.append(schedule or [])
    for month, (workday, weekend) in enumerate(zip(*schedules, strict=True), 1):
        for period in range(periods):
            runs = (set(_runs(workday, period)), set(_runs(weekend, period)))
            for days, those in (
                (ALL_WEEK, runs[0] & runs[1]),
                (WORKDAYS, runs[0] - runs[1]),
                (WEEKEND, runs[1] - runs[0]),
            ):
                for start, end in sorted(those):
                    found[period][days, start, end].append(month)
    return found


def _runs(hours: Sequence[int], period: int) -> Iterator[tuple[int, int]]:
    start = None
    for hour, of_hour in enumerate([*hours, None]):
        if of_hour == period and start is None:
            start = hour
        elif of_hour != period and start is not None:
            yield start, hour
            start = None


def window(of: Window, months: Sequence[int]) -> dict[str, Any]:
    """A window in the form of `models.tariffs.settings.Window`."""
    weekdays, start, end = of
    return {
        "weekdays": weekdays,
        "months": list(months),
        "start": f"{start:02}:00",
        "end": f"{end % 24:02}:00",
    }
