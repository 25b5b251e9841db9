"""Source kind `telemetry_files`: samples of GPUs, inference services and power meters, for sites without Prometheus.

A slice is a local day of the site. It follows from the files that touch the day and from their neighbours up to
`bridge_hours` before and after it, since the first and last step of a day, and gaps across midnight, need both ends;
of power meters up to `FAR` times that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import polars as pl
from pydantic import Field

from connectors.base import Context, Engine, Object, SourceOptions
from connectors.day_files import DayFilesReader, DayOptions, Days
from connectors.meters import FAR
from connectors.run_power import windows
from connectors.telemetry import MAX_STEP, day_bounds
from connectors.telemetry_files.files import SUFFIXES, Logs, parse_layout, scan
from connectors.telemetry_files.hours import Steps, read_hours
from connectors.telemetry_index import Indexed, within
from models.records import TrainingRun


class Options(DayOptions):
    """Options of the kind.

    Attributes:
        tier: Tier of the inference that is reported.
        sample_interval_s: Seconds between samples; 2.5 times that is a gap.
        bridge_hours: Gaps up to this long are bridged by the energy counter; what a longer one used stays unknown.
    """

    tier: Literal["cloud", "api", "onprem", "edge"] = "onprem"
    sample_interval_s: float = Field(default=60, ge=0.1, le=3600)
    bridge_hours: int = Field(default=24, ge=1, le=744)


class TelemetryFilesReader(DayFilesReader):
    """Sample files of one site."""

    Options: ClassVar[type[SourceOptions]] = Options
    VERSION = "telemetry_files-44"
    SUFFIXES = SUFFIXES
    WHAT = ("sample file", "samples")
    EXAMPLE = "gpu/2026-09-01.parquet"

    def __init__(self, options: SourceOptions, context: Context) -> None:
        super().__init__(options, context)
        self.options = cast("Options", options)
        step = timedelta(seconds=self.options.sample_interval_s * MAX_STEP)
        self.before = self.after = self.across = max(timedelta(hours=self.options.bridge_hours), step)

    def _scan(self, item: Object) -> tuple[set[int], str]:
        return scan(self.store, item, Logs(self.log_zone, self.options.sample_interval_s))

    def _scanned_by(self) -> str:
        return f"{self.log_zone}/{self.options.sample_interval_s}"

    def _of_day(self, files: Sequence[Indexed], start: datetime, end: datetime) -> list[Indexed]:
        """Those of power meters reach farther (`FAR`)."""
        own = {f.object for f in super()._of_day(files, start, end)}
        wide = within(files, start - FAR * self.before, end + FAR * self.after)
        return [f for f in wide if f.object in own or parse_layout(f.layout)[0] == "power"]

    def _seen(self, day: date, of_day: Sequence[Indexed]) -> dict[str, Any]:
        power = any(parse_layout(f.layout)[0] == "power" for f in of_day)
        return windows(self.context.runs, day_bounds(day, self.zone)) if power else {}

    def _read(
        self, of_pass: Sequence[Indexed], runs: Sequence[TrainingRun], work: Path, engine: Engine
    ) -> Days:
        steps = Steps(self.options.sample_interval_s, self.before, self.zone, self.log_zone, runs)
        hours = read_hours(self.store, of_pass, steps, work, engine)
        tier = pl.lit(self.options.tier).alias("tier")
        return replace(hours, frames={table: f.with_columns(tier) for table, f in hours.frames.items()})


__all__ = ["Options", "TelemetryFilesReader"]
