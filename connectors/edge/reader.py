"""Source kind `edge_files`: reports of edge devices as JSON lines, and logs of tegrastats and jtop.

A slice is a local day of the site. It follows from the files with reports of that day, of `bridge_days` before it
(the base of its counters) and of the first reports after it (which cover its last minutes). A late report in a
new file so changes its own day, however long ago that was.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, cast

from pydantic import Field

from connectors.base import Context, Engine, Object, SourceOptions
from connectors.day_files import DayFilesReader, DayOptions, Days
from connectors.edge.files import SUFFIXES, Logs, scan
from connectors.edge.passes import Steps, read_days
from connectors.run_power import windows
from connectors.telemetry import MAX_STEP, QUARTER_S, day_bounds
from connectors.telemetry_index import Indexed
from models.records import TrainingRun

DATE = re.compile(r"(?<!\d)(\d{4})-?(\d{2})-?(\d{2})(?!\d)")
"""A date in the name of a file: when it came."""

LAST_NUMBER = re.compile(r"[0-9]+(?=[^0-9]*$)")


class Options(DayOptions):
    """Options of the kind.

    Attributes:
        report_interval_s: Seconds between a device's reports; one covers at most 2.5 times that.
        bridge_days: A device silent for longer starts anew: what it counted meanwhile is not known by day.
        log_interval_s: Seconds between the lines of logs; 2.5 times that is a gap. There must be one if there are logs.
    """

    report_interval_s: float = Field(default=900, ge=1, le=86400)
    bridge_days: int = Field(default=7, ge=1, le=60)
    log_interval_s: float | None = Field(default=None, ge=0.01, le=3600)


class EdgeFilesReader(DayFilesReader):
    """Report files of the devices of one site."""

    Options: ClassVar[type[SourceOptions]] = Options
    VERSION = "edge_files-16"
    SUFFIXES = SUFFIXES
    WHAT = ("file of reports or log", "reports and logs")
    OWN_CLOCKS = True
    EXAMPLE = "2026-09-01.jsonl.gz or DEVICE.log"

    def __init__(self, options: SourceOptions, context: Context) -> None:
        super().__init__(options, context)
        self.options = cast("Options", options)
        interval = self.options.log_interval_s
        self.logs = Logs(self.log_zone, interval)
        report, log = (
            timedelta(seconds=s * MAX_STEP) for s in (self.options.report_interval_s, interval or 0)
        )
        self.after, self.before = max(report, log), timedelta(days=self.options.bridge_days)
        self.across = timedelta(0)
        self.steps = Steps(report, log, self.before, self.zone, self.logs)

    def _scan(self, item: Object) -> tuple[set[int], str]:
        return scan(self.store, item, self.logs, self.now)

    def _scanned_by(self) -> str:
        return str(self.logs)

    def _files(self) -> list[Indexed]:
        files = super()._files()
        self.horizons = _horizons(files)
        return files

    def _seen(self, day: date, of_day: Sequence[Indexed]) -> dict[str, Any]:
        came: dict[str, Any] = {f.object.key: self.horizons.get(f.object.key) for f in of_day}
        logs = any(not f.layout.isdigit() for f in of_day)
        return came | (windows(self.context.runs, day_bounds(day, self.zone)) if logs else {})

    def _read(
        self, of_pass: Sequence[Indexed], runs: Sequence[TrainingRun], work: Path, engine: Engine
    ) -> Days:
        steps = replace(self.steps, runs=runs)
        return read_days(self.store, of_pass, self.horizons, steps, work=work, engine=engine)


def _horizons(files: Sequence[Indexed]) -> dict[str, datetime]:
    """File of reports -> until when those that came before it had brought reports."""
    found: dict[str, datetime] = {}
    for series in _in_order([f for f in files if f.layout.isdigit() and not f.ahead]):
        horizon: datetime | None = None
        for together in series:
            if horizon is not None:
                found |= {file.object.key: horizon for file in together}
            horizon = max([_reach(file) for file in together] + ([horizon] if horizon else []))
    return found


def _in_order(files: Sequence[Indexed]) -> list[list[list[Indexed]]]:
    """Series of files that came one after the other; of each, those that came together.

    Dates in the names tell where all have one (`2026-09-01.jsonl`, `cam-1/20260901.jsonl`). Else all are one series in
    the order of their names, `part-9` before `part-10`; but where there are several series whose names differ in the
    last number only (`cam-1-07.jsonl`, `cam-2-07.jsonl`), each is told by itself.
    """
    dates = {f: "".join(d.groups()) for f in files if (d := DATE.search(f.object.key))}
    if len(dates) == len(files):
        dated = groupby(sorted(files, key=dates.__getitem__), key=dates.__getitem__)
        return [[[*together] for _, together in dated]]
    ordered = sorted(files, key=_natural)
    series: dict[str, list[list[Indexed]]] = defaultdict(list)
    for file in ordered:
        series[LAST_NUMBER.sub("", file.object.key)].append([file])
    several = sum(len(files) > 1 for files in series.values()) > 1
    return [*series.values()] if several else [[[file] for file in ordered]]


def _natural(file: Indexed) -> list[str | int]:
    """The name, its numbers as numbers; texts and numbers take turns."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", file.object.key)]


def _reach(file: Indexed) -> datetime:
    return datetime.fromtimestamp((int(file.layout) + 1) * QUARTER_S, UTC)


__all__ = ["EdgeFilesReader", "Options"]
