"""What assets are given by Dagster: the configuration and, from it, the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
from filelock import FileLock, Timeout

from connectors.base import Window
from pipelines.run import Run
from pipelines.settings import Config

DAY_TAG = "tierwise/date"
MONTH_TAG = "tierwise/month"

PATIENCE_S = 3600.0
"""How long a run that Dagster started waits for another one: those of a backfill are started together."""


class InUseError(Exception):
    """Another run is using the data folder."""


@contextmanager
def alone(data_dir: Path, patience_s: float = 0) -> Iterator[None]:
    """Holds the data folder, so that no other run works in it; one that is killed lets go of it by itself.

    Raises:
        InUseError: Another run held it all the time.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    lock = FileLock(data_dir / ".lock")
    try:
        lock.acquire(timeout=patience_s)
    except Timeout as error:
        msg = f"another run is using {data_dir}; wait for it to end, or give this one its own data_dir"
        raise InUseError(msg) from error
    try:
        yield
    finally:
        lock.release()


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


def held(config: Config) -> dg.ResourceDefinition:
    """The resource for runs that Dagster starts: the data folder is theirs from the first step to the last."""

    @dg.resource(description="The configuration, and its data folder for this run alone.")
    def tierwise(context: dg.InitResourceContext) -> Iterator[Tierwise]:
        said = f"takes {config.data_dir}, or waits up to {PATIENCE_S / 60:.0f} minutes for the run that is using it"
        if context.log is not None:
            context.log.info(said)
        with alone(config.data_dir, PATIENCE_S):
            yield Tierwise(config)

    return tierwise
