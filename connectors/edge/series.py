"""Series of edge devices in a Prometheus: how many samples there are by hour, and the samples themselves.

What they mean is `series_days.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from connectors.edge.series_days import CARRIED
from connectors.edge.series_options import Labels
from connectors.prometheus.client import Client
from connectors.prometheus.question import Question, Span, bound
from connectors.telemetry import HOUR

CHUNK = 300_000
"""Samples of one metric asked for at once, about."""

AHEAD_DAYS = 31
"""So far ahead samples are looked for."""

NO_LABEL = "tierwise_no_such_label"
"""No series has it: sums by it are of all series."""

SAMPLES = pl.Schema({"series": pl.UInt32(), "ts": pl.Datetime("us"), "value": pl.Float64()})
ABOUT = pl.Schema(
    {
        "series": pl.UInt32(),
        "stream": pl.UInt32(),
        "kind": pl.String(),
        "device": pl.String(),
        "bound": pl.String(),
    }
    | {name: pl.String() for name in CARRIED}
)
"""`series` is one set of labels, `stream` one counter or gauge: what remains where owners' and ignored labels change."""


@dataclass(frozen=True)
class Series:
    """The series of one site's devices.

    Attributes:
        client: The server.
        metrics: What is read (inferences, failed, energy, power, uptime, latency) -> name of the metric.
        labels: Names of labels.
        matchers: Label matchers of every series, without braces.
    """

    client: Client
    metrics: Mapping[str, str]
    labels: Labels
    matchers: str

    def counts(self, first: datetime, hours: int) -> dict[str, dict[datetime, int]]:
        """Samples by metric and hour from `first` on; hours without samples are left out."""
        spans = [
            Span(first + k * HOUR, first + (min(k + 240, hours) - 1) * HOUR) for k in range(0, hours, 240)
        ]
        question = Question(self.client, spans, self.matchers)
        found = {}
        for kind, metric in self.metrics.items():
            frame = question.ask(
                f"count_over_time({question.counter(metric, self._named())})", (NO_LABEL,), "sum"
            )
            found[kind] = {
                hour.replace(tzinfo=UTC): round(value)
                for hour, value in frame.select("hour", "value").iter_rows()
            }
        return found

    def ahead(self, since: datetime) -> dict[str, int]:
        """Device -> its samples of inferences after an instant to come: of a clock that is ahead, up to `AHEAD_DAYS`."""
        metric = Question(self.client, (), self.matchers).select(self.metrics["inferences"], self._named())
        device = self.labels.device
        counts = f"sum by ({device}) (count_over_time({metric}[{AHEAD_DAYS}d]))"
        found = self.client.at(counts, since + timedelta(days=AHEAD_DAYS), (device,))
        return {name: round(count) for name, count in found.sort(device).select(device, "value").iter_rows()}

    def write(self, first: datetime, hours: int, work: Path) -> tuple[list[Path], Path]:
        """Writes the samples of a time as Parquet in `SAMPLES` (those on a seam may be there twice), and `ABOUT` them."""
        counts = self.counts(first, hours)
        paths = [work / "samples-none.parquet"]
        pl.DataFrame(schema=SAMPLES).write_parquet(paths[0])
        about: dict[str, dict[str, Any]] = {}
        streams: dict[str, int] = {}
        for kind, metric in self.metrics.items():
            for start, length in _chunks(first, hours, counts[kind]):
                selector = Question(self.client, (), self.matchers).select(metric, self._named())
                frames = []
                for one in self.client.series(f"{selector}[{length * 3600}s]", start + length * HOUR):
                    key = repr(sorted(one["metric"].items()))
                    if key not in about:
                        told = self._about(kind, one["metric"])
                        stream = streams.setdefault(told["stream"], len(streams))
                        about[key] = told | {"series": len(about), "stream": stream}
                    frames.append(_samples(about[key]["series"], one["values"]))
                if frames:
                    paths.append(work / f"samples-{len(paths)}.parquet")
                    pl.concat(frames).write_parquet(paths[-1], compression="lz4")
        pl.DataFrame(list(about.values()), schema=ABOUT).write_parquet(work / "about.parquet")
        return paths, work / "about.parquet"

    def _named(self) -> str:
        return f'{self.labels.device}!=""'

    def _about(self, kind: str, labels: Mapping[str, str]) -> dict[str, Any]:
        names = self.labels
        silent = {
            "__name__",
            names.site,
            *names.ignored,
            *(getattr(names, n) for n in CARRIED if n != "model"),
        }
        own = sorted((k, bound(v) if k == "le" else v) for k, v in labels.items() if k not in silent)
        return {
            "stream": repr((kind, own)),
            "kind": kind,
            "device": labels[names.device],
            "bound": labels.get("le"),
            **{name: labels.get(getattr(names, name)) or None for name in CARRIED},
        }


def _samples(series: int, values: Sequence[tuple[float, str]]) -> pl.DataFrame:
    seconds, numbers = zip(*values, strict=True)
    stamps = (pl.Series(seconds, dtype=pl.Float64) * 1e6).round().cast(pl.Int64).cast(pl.Datetime("us"))
    frame = pl.DataFrame({"ts": stamps, "value": pl.Series(numbers).cast(pl.Float64)})
    named = frame.select(pl.lit(series, dtype=pl.UInt32).alias("series"), "ts", "value")
    return named.filter(pl.col("value").is_finite())


def _chunks(first: datetime, hours: int, counts: Mapping[datetime, int]) -> Iterator[tuple[datetime, int]]:
    """Start and hours of pieces with about `CHUNK` samples; pieces without any are left out."""
    start, length, total = first, 0, 0
    for k in range(hours):
        more = counts.get(first + k * HOUR, 0)
        if length and total + more > CHUNK:
            yield start, length
            start, length, total = first + k * HOUR, 0, 0
        length, total = length + 1, total + more
    if total:
        yield start, length


def whole_hours(first: datetime, end: datetime) -> tuple[datetime, int]:
    """The hours from the one that holds `first` to the one that holds the moment before `end`: start and number."""
    start = first.replace(minute=0, second=0, microsecond=0)
    return start, -(-(end - start) // timedelta(hours=1))
