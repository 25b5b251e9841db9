"""Sources of telemetry that are files of one site: a slice is a local day, which follows from the files around it.

What the files hold, and how days are made of it, belongs to the readers. A damaged file (cut off, a wrong checksum, of
another kind than its name says) is left out alone:
- If it was never read, it counts as not delivered yet. The last day that is offered carries the finding `file_damaged`
  until it comes whole, for which days it would have is not known.
- A file all of which is later than the moment at which it was first seen has no days; what is wrong in it is told alike.
- If an earlier version was read, or its times can be, the days that follow from it are not ready: their figures stand.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, cast
from zoneinfo import ZoneInfo

import polars as pl

from connectors.base import (
    Context,
    DamagedFileError,
    Engine,
    Loaded,
    Object,
    Slice,
    SourceError,
    SourceOptions,
    Window,
)
from connectors.objects import LocationOptions, open_store
from connectors.run_power import overlapping
from connectors.telemetry import day_bounds, fingerprint, issues, site_of, write_days
from connectors.telemetry_index import Indexed, data_files, days, index, mark_damaged, settings, within
from models.fields import TimeZone
from models.records import TrainingRun
from models.tables import Table

BATCH_DAYS = 31
"""Days read by one pass; bounds the memory it takes."""

NO_DAY = date.max
"""The day of findings in files all of which is ahead: they are told under the newest day that is offered."""


class DayOptions(LocationOptions):
    """Options of files of one site.

    Attributes:
        site: A key of `sites`.
        log_time_zone: Time zone of the clocks that logs are written by; the site's where absent.
    """

    site: str
    log_time_zone: TimeZone | None = None


@dataclass(frozen=True)
class Days:
    """What a pass found: tables without source and site; by local day rows seen and findings."""

    frames: Mapping[Table, pl.DataFrame]
    rows_read: Mapping[date, int]
    findings: Mapping[date, Sequence[Mapping[str, Any]]]


class DayFilesReader(ABC):
    """Files of one site.

    Attributes:
        VERSION: Changes whenever the same files would give other facts.
        SUFFIXES: How names of files end.
        WHAT: A file, and what files hold, in words.
        EXAMPLE: Names of files.
        OWN_CLOCKS: Times are those of devices, which may be ahead.
        before: A day follows from files up to this before it.
        after: And up to this after it.
        across: A silence up to this has days of its own.
    """

    Options: ClassVar[type[SourceOptions]] = DayOptions
    VERSION: ClassVar[str]
    SUFFIXES: ClassVar[tuple[str, ...]]
    WHAT: ClassVar[tuple[str, str]]
    EXAMPLE: ClassVar[str]
    OWN_CLOCKS: ClassVar[bool] = False
    before: timedelta
    after: timedelta
    across: timedelta

    def __init__(self, options: SourceOptions, context: Context) -> None:
        place = cast("DayOptions", options)
        self.place = place
        self.context = context
        self.zone = site_of(place.site, context).zone
        self.log_zone = ZoneInfo(place.log_time_zone or self.zone.key)
        self.store = open_store(place, context.base, context.cache)
        self.now = datetime.now(UTC)

    @abstractmethod
    def _scan(self, item: Object) -> tuple[set[int], str]:
        """Quarter hours and layout of a file; raises `DamagedFileError` where it is damaged."""

    @abstractmethod
    def _scanned_by(self) -> str:
        """Options that change what `_scan` finds, as text."""

    @abstractmethod
    def _seen(self, day: date, of_day: Sequence[Indexed]) -> dict[str, Any]:
        """What a day follows from beside its files and the options."""

    def _of_day(self, files: Sequence[Indexed], start: datetime, end: datetime) -> list[Indexed]:
        """The files that a day follows from, in order of key."""
        return within(files, start - self.before, end + self.after)

    @abstractmethod
    def _read(
        self, of_pass: Sequence[Indexed], runs: Sequence[TrainingRun], work: Path, engine: Engine
    ) -> Days:
        """Reads the files of a pass, in order of key, into days."""

    def check(self) -> str:
        """Says what is there.

        Raises:
            SourceError: The location cannot be read or holds nothing usable.
        """
        files = self._files()
        ahead = [self.store.uri(f.object.key) for f in files if f.ahead]
        found = days([f for f in files if not f.ahead], self.zone, self.across)
        if not found:
            msg = f"{self.store.uri('')} holds no {self.WHAT[1]}; put files such as {self.EXAMPLE} there"
            raise SourceError(msg)
        damaged = [f.damaged for f in files if f.damaged]
        without = f"; {len(damaged)} of them damaged, first: {damaged[0]}" if damaged else ""
        later = f"; {len(ahead)} of them later than now, first: {ahead[0]}" if ahead else ""
        return f"{len(files)} files of {self.WHAT[1]}, {found[0]} to {found[-1]} ({self.zone.key}){without}{later}"

    def _index_name(self) -> str:
        return f"{self.VERSION}/{self.context.name}/{self.place.location}/{self._scanned_by()}"

    def _files(self) -> list[Indexed]:
        objects = data_files(self.store, self.SUFFIXES, self.WHAT[0])
        files = index(
            self.store, objects, self._scan, self.context.cache, self._index_name(),
            now=self.now if self.OWN_CLOCKS else None,
        )  # fmt: skip

        if files and all(f.never_read for f in files):
            raise SourceError(files[0].damaged)
        if files and all(f.never_read or f.ahead for f in files):
            ahead = next(self.store.uri(f.object.key) for f in files if f.ahead)
            msg = f"{ahead} and all else that can be read there is later than now; set the clocks of the devices"
            raise SourceError(msg)
        return files

    def slices(self, window: Window) -> Sequence[Slice]:
        """The local days with data. Of files not seen before the timestamps are read, of others nothing.

        Raises:
            SourceError: The location cannot be read, a file does not say what it is, or all are damaged.
        """
        self.now = window.now
        files = self._files()
        options = settings(self.place.model_dump()) | {"zone": self.zone.key}
        aside = [f for f in files if f.never_read or f.ahead]
        files = [f for f in files if not f.ahead]
        offered = [d for d in days(files, self.zone, self.across) if d <= window.day]
        found = []
        for day in offered:
            start, end = day_bounds(day, self.zone)
            of_day = self._of_day(files, start, end)
            not_ready = next((f.damaged for f in of_day if f.damaged), "")
            seen = options | self._seen(day, of_day)
            objects = tuple(f.object for f in (*of_day, *(aside if day == offered[-1] else ())))
            mark = fingerprint(self.VERSION, seen, objects)
            found.append(Slice(day, "day", mark, objects, not_ready=not_ready))
        return found

    def load(self, slices: Sequence[Slice], work: Path, engine: Engine) -> Iterator[Loaded]:
        """Reduces the files to days, in passes of up to a month.

        Raises:
            DamagedFileError: A file is damaged where its timestamps did not show it; the next listing knows.
            SourceError: A file cannot be read.
        """
        wanted = sorted(slices, key=lambda s: s.period)
        files = self._files()
        known = {f.object: f for f in files}
        gone = sorted({o.key for s in wanted for o in s.objects if o not in known})
        if gone:
            msg = (
                f"{self.store.uri(gone[0])} and {len(gone) - 1} more changed while they were read; run again"
            )
            raise SourceError(msg)
        for first in range(0, len(wanted), BATCH_DAYS):
            by_day = {s.period: s for s in wanted[first : first + BATCH_DAYS]}
            objects = sorted({o for s in by_day.values() for o in s.objects}, key=lambda o: o.key)
            of_pass = [known[o] for o in objects if not known[o].never_read]
            ends = (day_bounds(min(by_day), self.zone)[0], day_bounds(max(by_day), self.zone)[1])
            try:
                found = self._read(of_pass, overlapping(self.context.runs, *ends), work, engine)
            except DamagedFileError as error:
                if error.file is not None:
                    mark_damaged(error.file, str(error), self.context.cache, self._index_name())
                raise
            place = {"source": pl.lit(self.context.name), "site": pl.lit(self.place.site)}
            frames = {table: frame.with_columns(**place) for table, frame in found.frames.items()}
            for day, facts, rows in write_days(frames, by_day, work):
                of_slice = [known[o] for o in by_day[day].objects]
                damaged = [self._damage(f) for f in of_slice if f.never_read]
                told = [day, NO_DAY] if any(f.ahead for f in of_slice) else [day]
                wrong = issues([*(w for d in told for w in found.findings.get(d, [])), *damaged])
                yield Loaded(
                    by_day[day], facts, sum(found.rows_read.get(d, 0) for d in told), rows, issues=wrong
                )

    def _damage(self, file: Indexed) -> Mapping[str, Any]:
        """The finding of a file that is left out; how many rows it has is not known, so none are counted."""
        return {
            "action": "rejected", "rule": "file_damaged", "column_name": "file", "rows": 0,
            "location": self.store.uri(file.object.key), "raw": file.damaged[:500],
        }  # fmt: skip
