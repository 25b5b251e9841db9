"""Source kind `edge_files`: reports of edge devices as JSON lines, and logs of tegrastats and jtop.

A slice is a local day of the site. It follows from the files with reports of that day, of `bridge_days` before it
(the base of its counters) and of the first reports after it (which cover its last minutes). A late report in a
new file so changes its own day, however long ago that was.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import ClassVar, cast
from zoneinfo import ZoneInfo

import polars as pl
from pydantic import Field

from connectors.base import Context, Engine, Loaded, Slice, SourceError, SourceOptions, Window
from connectors.edge.files import SUFFIXES, Logs, scan
from connectors.edge.passes import Steps, read_days
from connectors.objects import LocationOptions, open_store
from connectors.run_power import overlapping, windows
from connectors.telemetry import MAX_STEP, QUARTER_S, day_bounds, fingerprint, issues, site_of, write_days
from connectors.telemetry_index import Indexed, data_files, days, index, settings, within
from models.config import TimeZone

VERSION = "edge_files-8"
"""Changes whenever the same files would give other facts."""

DATE = re.compile(r"(?<!\d)(\d{4})-?(\d{2})-?(\d{2})(?!\d)")
"""A date in the name of a file: when it came."""

BATCH_DAYS = 31
"""Days read by one pass; bounds the memory it takes."""


class Options(LocationOptions):
    """Options of the kind.

    Attributes:
        site: A key of `sites`.
        report_interval_s: Seconds between a device's reports; one covers at most 2.5 times that.
        bridge_days: A device silent for longer starts anew: what it counted meanwhile is not known by day.
        log_interval_s: Seconds between the lines of logs; 2.5 times that is a gap. There must be one if there are logs.
        log_time_zone: Time zone of the clocks that logs are written by; the site's where absent.
    """

    site: str
    report_interval_s: float = Field(default=900, ge=1, le=86400)
    bridge_days: int = Field(default=7, ge=1, le=60)
    log_interval_s: float | None = Field(default=None, ge=0.01, le=3600)
    log_time_zone: TimeZone | None = None


class EdgeFilesReader:
    """Report files of the devices of one site."""

    Options: ClassVar[type[SourceOptions]] = Options

    def __init__(self, options: SourceOptions, context: Context) -> None:
        self.options = cast("Options", options)
        self.context = context
        self.zone = site_of(self.options.site, context).zone
        self.store = open_store(self.options, context.base, context.cache)
        interval = self.options.log_interval_s
        self.logs = Logs(ZoneInfo(self.options.log_time_zone or self.zone.key), interval)
        report, log = (
            timedelta(seconds=s * MAX_STEP) for s in (self.options.report_interval_s, interval or 0)
        )
        self.step, self.bridge = max(report, log), timedelta(days=self.options.bridge_days)
        self.steps = Steps(report, log, self.bridge, self.zone, self.logs)

    def check(self) -> str:
        """Says what is there.

        Raises:
            SourceError: The location cannot be read or holds nothing usable.
        """
        files = self._files()
        found = days(files, self.zone)
        if not found:
            msg = f"{self.store.uri('')} holds no reports; put files such as 2026-09-01.jsonl.gz or DEVICE.log there"
            raise SourceError(msg)
        return f"{len(files)} files of reports and logs, {found[0]} to {found[-1]} ({self.zone.key})"

    def _files(self) -> list[Indexed]:
        objects = data_files(self.store, SUFFIXES, "file of reports or log")
        name = f"{VERSION}/{self.context.name}/{self.options.location}/{self.logs}"
        return index(objects, lambda item: scan(self.store, item, self.logs), self.context.cache, name)

    def slices(self, window: Window) -> Sequence[Slice]:
        """The local days with reports. Of files not seen before the timestamps are read, of others nothing.

        Raises:
            SourceError: The location cannot be read, or a file is damaged.
        """
        files = self._files()
        horizons = _horizons(files)
        options = settings(self.options.model_dump()) | {"zone": self.zone.key}
        found = []
        for day in days(files, self.zone):
            if day > window.day:
                continue
            start, end = day_bounds(day, self.zone)
            of_day = within(files, start - self.bridge, end + self.step)
            objects = tuple(f.object for f in of_day)
            came = {o.key: horizons.get(o.key) for o in objects}
            logs = any(not f.layout.isdigit() for f in of_day)
            seen = options | came | (windows(self.context.runs, (start, end)) if logs else {})
            found.append(Slice(day, "day", fingerprint(VERSION, seen, objects), objects))
        return found

    def load(self, slices: Sequence[Slice], work: Path, engine: Engine) -> Iterator[Loaded]:
        """Reduces the reports to days, in passes of up to a month.

        Raises:
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
            ends = (day_bounds(min(by_day), self.zone)[0], day_bounds(max(by_day), self.zone)[1])
            steps = replace(self.steps, runs=overlapping(self.context.runs, *ends))
            of_pass = [known[o] for o in objects]
            found = read_days(self.store, of_pass, _horizons(files), steps, work=work, engine=engine)
            place = {"source": pl.lit(self.context.name), "site": pl.lit(self.options.site)}
            frames = {table: frame.with_columns(**place) for table, frame in found.frames.items()}
            for day, facts, rows in write_days(frames, by_day, work):
                wrong = issues(found.findings.get(day, []))
                yield Loaded(by_day[day], facts, found.rows_read.get(day, 0), rows, issues=wrong)


def _horizons(files: Sequence[Indexed]) -> dict[str, datetime]:
    """File of reports -> until when those that came before it had brought reports.

    Which came before is told by the dates in their names where all have one (`2026-09-01.jsonl`, `cam-1/20260901.jsonl`),
    else by the order of keys.
    """
    files = [f for f in files if f.layout.isdigit()]
    dates = [DATE.search(f.object.key) for f in files]
    orders = ["".join(d.groups()) for d in dates if d] if all(dates) else [f.object.key for f in files]
    found: dict[str, datetime] = {}
    horizon: datetime | None = None
    for _, together in groupby(sorted(zip(orders, files, strict=True), key=_first), key=_first):
        batch = [file for _, file in together]
        if horizon is not None:
            found |= {file.object.key: horizon for file in batch}
        horizon = max([_reach(file) for file in batch] + ([horizon] if horizon else []))
    return found


def _first(pair: tuple[str, Indexed]) -> str:
    return pair[0]


def _reach(file: Indexed) -> datetime:
    return datetime.fromtimestamp((int(file.layout) + 1) * QUARTER_S, UTC)


__all__ = ["EdgeFilesReader", "Options"]
