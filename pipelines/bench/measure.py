"""Runs a way of doing something in a process of its own, and says what it cost.

A way is a function of this package that gets ready (imports, listing) and returns the work that is measured.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

Work = Callable[[], dict[str, Any]]
"""Does it, and returns facts about the result."""


@dataclass(frozen=True)
class Measured:
    """What some work cost.

    Attributes:
        cpu_s: User and system time of the work, all threads and tools that it runs, s.
        wall_s: Time that passed, s.
        peak_mb: Most memory the process or a tool ever held (10^6 bytes), interpreter and libraries included.
        result: What the work returned.
    """

    cpu_s: float
    wall_s: float
    peak_mb: float
    result: dict[str, Any]

    def least(self, other: Measured) -> Measured:
        """The lower times and the higher memory of two measurements of the same."""
        return Measured(
            min(self.cpu_s, other.cpu_s),
            min(self.wall_s, other.wall_s),
            max(self.peak_mb, other.peak_mb),
            self.result,
        )


def measured(way: Callable[..., Work], *arguments: Any) -> Measured:
    """Gets ready and works in a new process, which inherits nothing from this one.

    Raises:
        Exception: Whatever the way raises.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_timed, way, *arguments).result()


def _timed(way: Callable[..., Work], *arguments: Any) -> Measured:
    work = way(*arguments)
    cpu, wall = _cpu_s(), time.perf_counter()
    result = work()
    cpu, wall = _cpu_s() - cpu, time.perf_counter() - wall
    unit = 1 if sys.platform == "darwin" else 1024
    return Measured(cpu, wall, max(used.ru_maxrss for used in _used()) * unit / 1e6, result)


def _used() -> list[resource.struct_rusage]:
    """This process, and the tools that it ran and that have ended."""
    return [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]


def _cpu_s() -> float:
    return sum(used.ru_utime + used.ru_stime for used in _used())
