"""Source kind `edge_prometheus`: edge devices that remote-write their series into a Prometheus, or one that is compatible.

A slice is a local day of the site. Its fingerprint is the number of samples in each hour that it follows from: those of
the day, of `bridge_days` before it, and of the first samples after it. Late samples so reopen their day and those after
it. Days that ended longer than `late_days` ago are counted once and remembered: what the server drops then, by its
retention, changes nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, cast

import polars as pl

from connectors.base import Context, Engine, Loaded, Slice, SourceOptions, Window
from connectors.edge.passes import finish, unknown_counts
from connectors.edge.series import Series, whole_hours
from connectors.edge.series_days import series_days_sql
from connectors.edge.series_options import KWH, WATTS, Options
from connectors.objects import write_json
from connectors.prometheus.client import Client, describe
from connectors.prometheus.server_options import HOW_TO_REACH
from connectors.sql import literals
from connectors.telemetry import HOUR, MAX_STEP, day_bounds, fingerprint, issues, site_of, write_days
from connectors.telemetry_index import AHEAD
from models.tables import EDGE_DAILY

VERSION = "edge_prometheus-9"
"""Changes whenever the same series would give other facts."""

DAYS_BACK = 35
"""Days before the day of the run that are read where `start` does not say."""

RUN_DAYS = 7
"""Days read at once, with the bridge before them."""


class EdgePrometheusReader:
    """Series of one site's devices."""

    Options: ClassVar[type[SourceOptions]] = Options

    def __init__(self, options: SourceOptions, context: Context) -> None:
        self.options = cast("Options", options)
        self.context = context
        self.zone = site_of(self.options.site, context).zone
        self.step = timedelta(seconds=self.options.report_interval_s * MAX_STEP)
        self.bridge = timedelta(days=self.options.bridge_days)

    def _series(self) -> Series:
        options = self.options
        site = f"{options.labels.site}={json.dumps(options.site)}" if options.labels.site else ""
        matchers = ",".join(m for m in (options.matchers, site) if m)
        client = Client(options.access(self.context.base))
        return Series(client, options.metrics.named(), options.labels, matchers)

    def check(self) -> str:
        """Counts the devices of the last day.

        Raises:
            SourceError: There is no answer.
        """
        series, metric = self._series(), self.options.metrics.inferences
        try:
            inside = ",".join(m for m in (series.matchers, f'{self.options.labels.device}!=""') if m)
            devices = f"count by ({self.options.labels.device}) (count_over_time({metric}{{{inside}}}[1d]))"
            found = series.client.at(f"count({devices})", datetime.now(UTC), ())
        finally:
            series.client.close()
        count = f"{found['value'][0]:.0f} devices" if found.height else "no device"
        return f"Prometheus {self.options.url} answers: {count} with {metric} of {series.matchers or 'any site'} in the last day"

    def _needs(self, first: date, last: date) -> tuple[datetime, int]:
        start, end = day_bounds(first, self.zone)[0], day_bounds(last, self.zone)[1]
        return whole_hours(start - self.bridge, end + self.step)

    def slices(self, window: Window) -> Sequence[Slice]:
        """The complete local days with samples. The server is asked for numbers of samples, of old days once.

        Raises:
            SourceError: There is no answer.
        """
        options = self.options
        first = options.start or window.day - timedelta(days=DAYS_BACK)
        if window.only is not None and options.start is None:
            first = min(first, window.only[0])
        settings = options.model_dump(mode="json", exclude={*HOW_TO_REACH, "late_days", "url"}) | {
            "zone": self.zone.key
        }
        name = hashlib.sha256(
            fingerprint(VERSION, settings | {"url": options.url, "source": self.context.name}).encode()
        )
        file = self.context.cache / f"edge-series-{name.hexdigest()[:16]}.json"
        known = _remembered(file)
        days = [first + timedelta(days=n) for n in range((window.day - first).days + 1)]
        wait = timedelta(hours=options.lateness_hours)
        days = [d for d in days if day_bounds(d, self.zone)[1] + max(wait, self.step) <= window.now]
        open_since = window.now - timedelta(days=options.late_days)
        asked = [d for d in days if d.isoformat() not in known or day_bounds(d, self.zone)[1] > open_since]
        if asked:
            marks = self._marks(asked)
            known = {**known, **marks}
            write_json(file, known)
        return [
            Slice(day, "day", fingerprint(VERSION, settings | {"samples": known[day.isoformat()]}))
            for day in days
            if known[day.isoformat()]
        ]

    def _marks(self, days: Sequence[date]) -> dict[str, str]:
        """Day -> what changes with the samples it follows from; "" for a day without any of its own."""
        series = self._series()
        try:
            counts = series.counts(*self._needs(days[0], days[-1]))
        finally:
            series.client.close()
        marks = {}
        for day in days:
            opens, closes = day_bounds(day, self.zone)
            start, hours = self._needs(day, day)
            wanted = [start + k * HOUR for k in range(hours)]
            own = any(opens - HOUR < at < closes for found in counts.values() for at in found)
            numbers = {kind: [found.get(at, 0) for at in wanted] for kind, found in counts.items()}
            mark = hashlib.sha256(json.dumps(numbers, sort_keys=True).encode()).hexdigest()
            marks[day.isoformat()] = mark if own else ""
        return marks

    def load(self, slices: Sequence[Slice], work: Path, engine: Engine) -> Iterator[Loaded]:
        """Asks for the samples of the days, up to a week at once.

        Raises:
            SourceError: There is no answer.
        """
        series = self._series()
        try:
            wanted = sorted(slices, key=lambda s: s.period)
            while wanted:
                run = [s for s in wanted if s.period - wanted[0].period < timedelta(days=RUN_DAYS)]
                wanted = wanted[len(run) :]
                ahead = {} if wanted else series.ahead(datetime.now(UTC) + AHEAD)
                yield from self._load({s.period: s for s in run}, series, work, engine, ahead)
        finally:
            series.client.close()

    def _load(
        self,
        by_day: Mapping[date, Slice],
        series: Series,
        work: Path,
        engine: Engine,
        ahead: Mapping[str, int],
    ) -> Iterator[Loaded]:
        options = self.options
        first, last = min(by_day), max(by_day)
        series.client.warnings.clear()
        start, hours = self._needs(first, last)
        paths, about = series.write(start, hours, work)
        from_day = first - self.bridge - timedelta(days=1)
        days = [from_day + timedelta(days=n) for n in range((last - from_day).days + 3)]
        bounds = {d: day_bounds(d, self.zone) for d in days}
        naive = {d: (a.replace(tzinfo=None), b.replace(tzinfo=None)) for d, (a, b) in bounds.items()}
        micros = timedelta(microseconds=1)
        engine.execute(
            f"CREATE OR REPLACE TEMP TABLE samples AS SELECT * FROM read_parquet({literals(paths)})"
        )
        found = engine.query(
            series_days_sql(
                "samples", f"read_parquet({literals([about])})", naive, self.step // micros, self.bridge // micros,
                kwh=KWH[options.energy_unit], watts=WATTS[options.power_unit],
            )
        )  # fmt: skip
        engine.execute("DROP TABLE samples")
        for path in (*paths, about):
            path.unlink()
        findings: dict[date, list[Mapping[str, Any]]] = defaultdict(list)
        for device, samples in ahead.items():
            flag = {"action": "flagged", "rule": "clock_ahead", "column_name": "ts"}
            findings[last].append(flag | {"value": device, "rows": samples})
        for day, finding in unknown_counts(found):
            findings[day].append(finding)
        frame = finish(found, bounds).with_columns(
            source=pl.lit(self.context.name), site=pl.lit(options.site)
        )
        partial = describe(series.client.warnings)
        read = dict(frame.group_by("day").agg(pl.col("messages").sum()).iter_rows())
        for day, facts, rows in write_days({EDGE_DAILY: frame}, by_day, work):
            if partial:
                flag = {"action": "flagged", "rule": "partial_data", "column_name": "*"}
                findings[day].append(flag | {"value": partial, "rows": rows})
            yield Loaded(
                by_day[day],
                facts,
                read.get(day, 0),
                rows,
                issues=issues(findings[day]),
                note=partial,
            )


def _remembered(file: Path) -> dict[str, str]:
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


__all__ = ["EdgePrometheusReader", "Options"]
