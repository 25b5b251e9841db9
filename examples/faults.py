"""When the demo's telemetry breaks: one place, so that inputs and truth speak of the same moments.

Which tags are missing or misspelt is a property of a resource and lies in the lists of the bills' modules.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from examples.company import DC1_ZONE, DEVICES, NODES

GAP_NODE, RESET_NODE = NODES[2], NODES[0]
LLM_RESET_POD = "support-chat-0"
DARK_DEVICE = DEVICES[-1]


@dataclass(frozen=True)
class Moments:
    """The moments of the faults, UTC. The gap lies inside one local day."""

    gap_start: datetime
    gap_end: datetime
    reset_at: datetime
    llm_reset_at: datetime
    dark_day: date


def moments(start: date, end: date) -> Moments:
    """The faults' moments for inputs from `start` to `end`, near the end, where people look first."""
    days = (end - start).days

    def at(share: float, hour: int) -> datetime:
        day = start + timedelta(days=int(days * share))
        return datetime.combine(day, time(hour), tzinfo=DC1_ZONE).astimezone(UTC)

    gap = at(0.85, 9)
    return Moments(
        gap_start=gap,
        gap_end=gap + timedelta(hours=3),
        reset_at=at(0.6, 14),
        llm_reset_at=at(0.7, 11),
        dark_day=start + timedelta(days=int(days * 0.9)),
    )
