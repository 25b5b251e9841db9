"""Source kind `telemetry_files`: samples of GPUs, inference services and power meters, for sites without Prometheus.

A slice is a local day of the site. It follows from the files that touch the day and from their neighbours up to
`bridge_hours` before and after it, since the first and last step of a day, and gaps across midnight, need both ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import ClassVar, Literal, cast
from zoneinfo import ZoneInfo

from pydantic import Field

from connectors.base import Context, Engine, Loaded, Slice, SourceError, SourceOptions, Window
from connectors.objects import LocationOptions, open_store
from connectors.run_power import overlapping, windows
from connectors.telemetry import MAX_STEP, day_bounds, fingerprint, issues, site_of, write_days
from connectors.telemetry_files.files import SUFFIXES, Logs, parse_layout, scan
from connectors.telemetry_files.hours import Steps, read_hours
from connectors.telemetry_index import Indexed, data_files, days, index, settings, within
from models.config import TimeZone

VERSION = "telemetry_files-18"
"""Changes whenever the same files would give other facts."""

BATCH_DAYS = 31
"""Days read by one pass; bounds the memory it takes."""


class Options(LocationOptions):
    """Options of the kind.

    Attributes:
        site: A key of `sites`.
        tier: Tier of the inference that is reported.
        sample_interval_s: Seconds between samples; 2.5 times that is a gap.
        log_time_zone: Time zone of the clocks that logs of `nvidia-smi` were written by; the site's where absent.
        bridge_hours: Gaps up to this long are bridged by the energy counter; what a longer one used stays unknown.
    """

    site: str
    tier: Literal["cloud", "api", "onprem", "edge"] = "onprem"
    sample_interval_s: float = Field(default=60, ge=0.1, le=3600)
    bridge_hours: int = Field(default=24, ge=1, le=744)
    log_time_zone: TimeZone | None = None


class TelemetryFilesReader:
    """Sample files of one site."""

    Options: ClassVar[type[SourceOptions]] = Options

    def __init__(self, options: SourceOptions, context: Context) -> None:
        self.options = cast("Options", options)
        self.context = context
        self.zone = site_of(self.options.site, context).zone
        self.store = open_store(self.options, context.base, context.cache)
        self.log_zone = ZoneInfo(self.options.log_time_zone) if self.options.log_time_zone else self.zone
        step = timedelta(seconds=self.options.sample_interval_s * MAX_STEP)
        self.bridge = max(timedelta(hours=self.options.bridge_hours), step)

    def check(self) -> str:
        """Says what is there.

        Raises:
            SourceError: The location cannot be read or holds nothing usable.
        """
        files = self._files()
        found = days(files, self.zone, self.bridge)
        if not found:
            msg = f"{self.store.uri('')} holds no samples; put files such as gpu/2026-09-01.parquet there"
            raise SourceError(msg)
        return f"{len(files)} files of samples, {found[0]} to {found[-1]} ({self.zone.key})"

    def _files(self) -> list[Indexed]:
        objects = data_files(self.store, SUFFIXES, "sample file")
        name = f"{VERSION}/{self.context.name}/{self.options.location}/{self.log_zone}/{self.options.sample_interval_s}"
        logs = Logs(self.log_zone, self.options.sample_interval_s)
        return index(objects, lambda item: scan(self.store, item, logs), self.context.cache, name)

    def _files_of(self, files: Sequence[Indexed], day: date) -> list[Indexed]:
        start, end = day_bounds(day, self.zone)
        return within(files, start - self.bridge, end + self.bridge)

    def slices(self, window: Window) -> Sequence[Slice]:
        """The local days with samples. Of files not seen before the timestamps are read, of others nothing.

        Raises:
            SourceError: The location cannot be read, or a file is damaged or lacks a column.
        """
        files = self._files()
        options = settings(self.options.model_dump()) | {"zone": self.zone.key}
        found = []
        for day in days(files, self.zone, self.bridge):
            if day <= window.day:
                of_day = self._files_of(files, day)
                objects = tuple(f.object for f in of_day)
                power = any(parse_layout(f.layout)[0] == "power" for f in of_day)
                seen = options | (windows(self.context.runs, day_bounds(day, self.zone)) if power else {})
                found.append(Slice(day, "day", fingerprint(VERSION, seen, objects), objects))
        return found

    def load(self, slices: Sequence[Slice], work: Path, engine: Engine) -> Iterator[Loaded]:
        """Reduces the samples to hours, in passes of up to a month.

        Raises:
            SourceError: A file cannot be read.
        """
        wanted = sorted(slices, key=lambda s: s.period)
        files = {f.object: f for f in self._files()}
        gone = sorted({o.key for s in wanted for o in s.objects if o not in files})
        if gone:
            msg = (
                f"{self.store.uri(gone[0])} and {len(gone) - 1} more changed while they were read; run again"
            )
            raise SourceError(msg)
        for first in range(0, len(wanted), BATCH_DAYS):
            batch = wanted[first : first + BATCH_DAYS]
            ends = (day_bounds(batch[0].period, self.zone)[0], day_bounds(batch[-1].period, self.zone)[1])
            runs = overlapping(self.context.runs, *ends)
            steps = Steps(self.options.sample_interval_s, self.bridge, self.zone, self.log_zone, runs)
            objects = {o for s in batch for o in s.objects}
            hours = read_hours(
                self.store, [files[o] for o in sorted(objects, key=lambda o: o.key)], steps, work, engine
            )
            frames = {
                table: hours.of(table, self.context.name, self.options.site, self.options.tier)
                for table in hours.frames
            }
            by_day = {s.period: s for s in batch}
            for day, facts, rows in write_days(frames, by_day, work):
                yield replace(
                    Loaded(by_day[day], facts, hours.rows_read.get(day, 0), rows),
                    issues=issues(hours.findings.get(day, [])),
                )


__all__ = ["Options", "TelemetryFilesReader"]
