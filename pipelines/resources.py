"""What assets are given by Dagster: the configuration and, from it, the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from connectors.base import Window
from pipelines.run import Run
from pipelines.settings import Config

DAY_TAG = "tierwise/date"
MONTH_TAG = "tierwise/month"


def _quiet(_: str) -> None:
    return None


@dataclass(frozen=True)
class Tierwise:
    """The resource `tierwise`: replace it in `build_defs(overrides=...)` to test with another clock or listener.

    Attributes:
        config: The configuration.
        report: Told of progress.
        clock: The present moment.
    """

    config: Config
    report: Callable[[str], None] = _quiet
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    def run(self, run_id: str, tags: dict[str, str], only: tuple[date, date] | None = None) -> Run:
        """The run of a Dagster run id and its tags (`tierwise/date`, `tierwise/month`); `only` limits what is read."""
        window = self.window(tags)
        if only is not None:
            window = replace(window, day=max(window.day, only[1]), only=only)
        return Run(run_id[:8] if len(run_id) == 36 else run_id, self.config, window, self.report)

    def window(self, tags: dict[str, str]) -> Window:
        """The time a run is for: a named day, a named month, or yesterday in the organisation's time zone."""
        now = self.clock()
        yesterday = now.astimezone(ZoneInfo(self.config.settings.time_zone)).date() - timedelta(days=1)
        if MONTH_TAG in tags:
            first = date.fromisoformat(f"{tags[MONTH_TAG]}-01")
            last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
            return Window(day=min(last, yesterday), now=now, only=(first, last))
        if DAY_TAG in tags:
            return Window(day=date.fromisoformat(tags[DAY_TAG]), now=now)
        return Window(day=yesterday, now=now)
