"""Source kind `prometheus`: GPUs, model servers and power meters of one site.

A slice is a local day of the site. It is offered once it is complete, and read once more when gaps that began in it
must have ended; then it never changes. A change of the options reads it again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, cast

from connectors.base import Context, Engine, Loaded, Slice, SourceOptions, Window
from connectors.meters import FAR
from connectors.prometheus.client import Client, describe
from connectors.prometheus.exporters import UUIDS
from connectors.prometheus.gpu import ENERGY
from connectors.prometheus.hours import Scrapes, read_hours
from connectors.prometheus.options import Options
from connectors.prometheus.question import Question, spans
from connectors.prometheus.server_options import HOW_TO_REACH
from connectors.telemetry import HOUR, day_bounds, fingerprint, issues, site_of, write_days

VERSION = "prometheus-41"
"""Changes whenever the same series would give other facts."""

CHUNK_DAYS = 7
"""Days asked for at once: 168 points a series."""

DAYS_BACK = 35
"""Days before the day of the run that are read where `start` does not say."""


class PrometheusReader:
    """A Prometheus, read for one site."""

    Options: ClassVar[type[SourceOptions]] = Options

    def __init__(self, options: SourceOptions, context: Context) -> None:
        self.options = cast("Options", options)
        self.context = context
        self.zone = site_of(self.options.site, context).zone

    def _client(self) -> Client:
        return Client(self.options.access(self.context.base))

    def check(self) -> str:
        """Asks for the cards there are.

        Raises:
            SourceError: There is no answer.
        """
        client = self._client()
        try:
            now = datetime.now(UTC)
            question = Question(client, (), self.options.matchers)
            seen = " or ".join(
                f"max by ({', '.join(UUIDS)}) (max_over_time({question.select(m)}[1d]))" for m in ENERGY
            )
            cards = client.at(f"count({seen})", now, ())
        finally:
            client.close()
        found = f"{cards['value'][0]:.0f} GPUs" if cards.height else "no GPU"
        return f"Prometheus {self.options.url} answers: {found} with {ENERGY[0]} in the last day"

    def slices(self, window: Window) -> Sequence[Slice]:
        """The complete local days; the server is not asked."""
        options = self.options
        first = options.start or window.day - timedelta(days=DAYS_BACK)
        if window.only is not None and options.start is None:
            first = min(first, window.only[0])
        settings = options.model_dump(mode="json", exclude=set(HOW_TO_REACH))
        found = []
        day = first
        while day <= window.day:
            start, end = day_bounds(day, self.zone)
            if end + timedelta(hours=options.lateness_hours) <= window.now:
                late = end + timedelta(hours=options.lateness_hours)
                settled = sum(
                    late + n * timedelta(hours=options.bridge_hours) <= window.now for n in (1, FAR)
                )
                known = settings | {"zone": self.zone.key, "settled": settled}
                if (end - start) % HOUR:  # since coverage of its last half hour is 0.5
                    known |= {"half_hour": 2}
                mark = fingerprint(VERSION, known)
                found.append(Slice(day, "day", mark))
            day += timedelta(days=1)
        return found

    def load(self, slices: Sequence[Slice], work: Path, engine: Engine) -> Iterator[Loaded]:
        """Asks for the days, up to a week at once.

        Raises:
            SourceError: There is no answer.
        """
        del engine
        client = self._client()
        try:
            for run in _runs(sorted(slices, key=lambda s: s.period)):
                yield from self._load_run(run, client, work)
        finally:
            client.close()

    def _load_run(self, run: Sequence[Slice], client: Client, work: Path) -> Iterator[Loaded]:
        options = self.options
        days = {s.period: s for s in run}
        around = timedelta(days=-(-options.bridge_hours // 24))
        client.warnings.clear()
        near, far = (
            Question(
                client,
                spans(_days(run[0].period - n * around, run[-1].period + n * around), self.zone),
                options.matchers,
                options.replica_label,
            )
            for n in (1, FAR)
        )
        scrapes = Scrapes(
            options.scrape_interval_s,
            options.exporter_pods,
            {str(d): names for d, names in options.pod_labels.items()},
            options.bridge_hours,
            options.power_order,
            options.meter_nodes,
            {str(zone): joules for zone, joules in options.rapl_wrap_joules.items()},
            options.hpc_job_pattern,
        )
        hours = read_hours(near, far, self.zone, scrapes)
        frames = {t: hours.of(t, self.context.name, options.site, options.tier) for t in hours.frames}
        partial = describe(client.warnings)
        findings: dict[date, list[Mapping[str, Any]]] = defaultdict(list, hours.findings)
        for day, facts, rows in write_days(frames, days, work):
            found = findings[day]
            if partial:
                found.append(
                    {
                        "action": "flagged",
                        "rule": "partial_data",
                        "column_name": "*",
                        "value": partial,
                        "rows": rows,
                    }
                )
            note = partial or ("" if facts else "no samples that day")
            yield Loaded(days[day], facts, rows, rows, issues=issues(found), note=note)


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _runs(slices: Sequence[Slice]) -> Iterator[list[Slice]]:
    """Slices of days that follow each other, at most a week together."""
    run: list[Slice] = []
    for item in slices:
        if run and (len(run) == CHUNK_DAYS or item.period - run[-1].period > timedelta(days=1)):
            yield run
            run = []
        run.append(item)
    if run:
        yield run


__all__ = ["Options", "PrometheusReader"]
