"""Source kind `edge_files`: reports of edge devices as JSON lines.

A slice is a local day of the site. It follows from the files with reports of that day, of `bridge_days` before it
(the base of its counters) and of the first reports after it (which cover its last minutes). A late report in a
new file so changes its own day, however long ago that was.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, cast

import polars as pl
from pydantic import Field

from connectors.base import Context, Engine, Loaded, Object, Slice, SourceError, SourceOptions, Window
from connectors.edge.clocks import contradictions_sql, wrong_clocks
from connectors.edge.days import edge_daily_sql, reports_sql
from connectors.edge.files import is_data, read_lines, scan
from connectors.objects import LocationOptions, open_store
from connectors.sql import literal, literals
from connectors.telemetry import (
    MAX_STEP,
    QUARTER_S,
    day_bounds,
    day_of,
    fingerprint,
    issues,
    site_of,
    write_days,
)
from connectors.telemetry_index import Indexed, days, index, settings, within
from models.tables import EDGE_DAILY

VERSION = "edge_files-2"
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
    """

    site: str
    report_interval_s: float = Field(default=900, ge=1, le=86400)
    bridge_days: int = Field(default=7, ge=1, le=60)


class EdgeFilesReader:
    """Report files of the devices of one site."""

    Options: ClassVar[type[SourceOptions]] = Options

    def __init__(self, options: SourceOptions, context: Context) -> None:
        self.options = cast("Options", options)
        self.context = context
        self.zone = site_of(self.options.site, context).zone
        self.store = open_store(self.options, context.base, context.cache)
        self.step = timedelta(seconds=self.options.report_interval_s * MAX_STEP)
        self.bridge = timedelta(days=self.options.bridge_days)

    def check(self) -> str:
        """Says what is there.

        Raises:
            SourceError: The location cannot be read or holds nothing usable.
        """
        files = self._files()
        found = days(files, self.zone)
        if not found:
            msg = f"{self.store.uri('')} holds no reports; put files such as 2026-09-01.jsonl.gz there"
            raise SourceError(msg)
        return f"{len(files)} files of reports, {found[0]} to {found[-1]} ({self.zone.key})"

    def _files(self) -> list[Indexed]:
        objects = [o for o in self.store.list() if is_data(o.key, self.store.uri(o.key))]
        name = f"{VERSION}/{self.context.name}/{self.options.location}"
        return index(objects, lambda item: scan(self.store, item), self.context.cache, name)

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
            objects = tuple(f.object for f in within(files, start - self.bridge, end + self.step))
            came = {o.key: horizons.get(o.key) for o in objects}
            found.append(Slice(day, "day", fingerprint(VERSION, options | came, objects), objects))
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
            frame, read, findings = self._read([known[o] for o in objects], _horizons(files), work, engine)
            for day, facts, rows in write_days({EDGE_DAILY: frame}, by_day, work):
                yield Loaded(by_day[day], facts, read.get(day, 0), rows, issues=issues(findings.get(day, [])))

    def _read(
        self, files: Sequence[Indexed], horizons: Mapping[str, datetime], work: Path, engine: Engine
    ) -> tuple[pl.DataFrame, Mapping[date, int], Mapping[date, Sequence[Mapping[str, Any]]]]:
        paths = self._lines([f.object for f in files], work)
        bounds = {day: day_bounds(day, self.zone) for day in days(files, self.zone, timedelta(days=400))}
        naive = {d: (a.replace(tzinfo=None), b.replace(tzinfo=None)) for d, (a, b) in bounds.items()}
        earlier = {
            f.object.key: horizons[f.object.key].replace(tzinfo=None)
            for f in files
            if f.object.key in horizons
        }
        micros = timedelta(microseconds=1)
        engine.execute(
            f"CREATE OR REPLACE TEMP TABLE reports AS {reports_sql(f'read_parquet({literals(paths)})')}"
        )
        _set_aside(work, engine)
        frame = engine.query(
            edge_daily_sql("reports", naive, earlier, self.step // micros, self.bridge // micros)
        )
        wrong = engine.query(
            "SELECT file, wrong AS rule, wrong_key, COUNT(*) AS rows, MIN(number) AS number, arg_min(line, number) AS raw "
            "FROM reports WHERE wrong IS NOT NULL GROUP BY ALL ORDER BY ALL"
        )
        good = engine.query("SELECT ts FROM reports WHERE wrong IS NULL")
        engine.execute("DROP TABLE reports")
        for path in paths:
            path.unlink()
        read: dict[date, int] = defaultdict(int)
        local = good["ts"].dt.replace_time_zone("UTC").dt.convert_time_zone(self.zone.key).dt.date()
        read.update(dict(local.value_counts().iter_rows()))
        findings: dict[date, list[Mapping[str, Any]]] = defaultdict(list)
        first_days = {f.object.key: day_of(f.start, self.zone) for f in files}
        for row in wrong.iter_rows(named=True):
            day = first_days[row["file"]]
            read[day] += row["rows"]
            findings[day].append(
                {
                    "action": "flagged" if row["rule"].startswith("clock_") else "rejected", "rule": row["rule"], "column_name": row["wrong_key"], "rows": row["rows"],
                    "location": f"{self.store.uri(row['file'])}:{row['number']}", "raw": row["raw"],
                }
            )  # fmt: skip
        return self._finish(frame, bounds), read, findings

    def _lines(self, objects: Sequence[Object], work: Path) -> list[Path]:
        """Writes the lines of each file as Parquet, so that one SQL can read them: file, number, line."""
        paths = []
        for number, (item, path) in enumerate(zip(objects, self.store.fetch(objects), strict=True)):
            paths.append(work / f"lines-{number}.parquet")
            lines = read_lines(path, self.store.uri(item.key))
            lines.select(pl.lit(item.key).alias("file"), "number", "line").write_parquet(
                paths[-1], compression="lz4"
            )
        return paths

    def _finish(self, frame: pl.DataFrame, bounds: Mapping[date, tuple[datetime, datetime]]) -> pl.DataFrame:
        hours = {day: (b - a).total_seconds() / 3600 for day, (a, b) in bounds.items()}
        texts = [
            None if names is None else json.dumps(dict(zip(names, counts, strict=True)))
            for names, counts in frame.select("bounds", "counts").iter_rows()
        ]
        return frame.drop("bounds", "counts").with_columns(
            source=pl.lit(self.context.name),
            site=pl.lit(self.options.site),
            latency_buckets=pl.Series(texts, dtype=pl.String),
            coverage=pl.col("online_hours") / pl.col("day").replace_strict(hours, return_dtype=pl.Float64),
        )


def _set_aside(work: Path, engine: Engine) -> None:
    """Marks the reports whose sequence contradicts their time."""
    wrong = wrong_clocks(engine.query(contradictions_sql("reports")).iter_rows())
    if not wrong:
        return
    marked = work / "clocks.parquet"
    pl.DataFrame({"id": wrong}, schema={"id": pl.Int64}).write_parquet(marked)
    engine.execute(
        "UPDATE reports SET wrong = 'clock_contradicts_sequence', wrong_key = 'ts' "
        f"WHERE rowid IN (SELECT id FROM read_parquet({literal(marked)}))"
    )
    marked.unlink()


def _horizons(files: Sequence[Indexed]) -> dict[str, datetime]:
    """File -> until when the files that came before it had brought reports.

    Which came before is told by the dates in their names where all have one (`2026-09-01.jsonl`, `cam-1/20260901.jsonl`),
    else by the order of keys.
    """
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
