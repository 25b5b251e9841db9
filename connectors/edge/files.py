"""Files of reports and of logs, plain or gzip: their lines, and the time they cover.

What a line says belongs to `days.py` and `logs.py`.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from connectors.base import Object, SourceError
from connectors.edge.days import CLOCK_SET
from connectors.edge.logs import NoTimeError, format_of, place_of, samples
from connectors.objects import Store
from connectors.telemetry import QUARTER_S
from connectors.telemetry_index import quarter_counts, quarters_of_utc

SUFFIXES = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz", ".log", ".log.gz", ".csv", ".csv.gz")
HEAD = 20
"""Lines that say which log a file is."""

BUSY = 0.2
"""Of the reports of the fullest quarter of an hour."""


def read_lines(path: Path, uri: str) -> pl.DataFrame:
    r"""The lines that are not blank.

    Returns:
        number (from 1), line. A line that is not UTF-8 has its bad bytes written as `\\xNN`, which is no JSON.

    Raises:
        SourceError: The file is empty or damaged.
    """
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b" or path.name.endswith(".gz"):
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        msg = f"{uri} is damaged or cannot be read ({error}); deliver it again"
        raise SourceError(msg) from error
    if not data:
        msg = f"{uri} is empty (no line); deliver it again, or remove it"
        raise SourceError(msg)
    lines = data.decode("utf-8", errors="backslashreplace").removeprefix("\ufeff").split("\n")
    frame = pl.DataFrame({"line": lines}).with_row_index("number", offset=1)
    return frame.with_columns(pl.col("line").str.strip_chars()).filter(pl.col("line") != "")


@dataclass(frozen=True)
class Logs:
    """How logs are read: time zone of the devices' clocks, and seconds between lines (None where nobody said)."""

    zone: ZoneInfo
    interval_s: float | None


def scan(store: Store, item: Object, logs: Logs) -> tuple[set[int], str]:
    """Reads the timestamps of a file.

    Args:
        store: Where it lies.
        item: The file.
        logs: How to read it if it is a log.

    Returns:
        The quarter hours with reports or samples, and which log it is (`connectors.edge.logs.format_of`). For reports, those
        of clocks that were not set are left out where there are others, and in place of a name are digits: the last
        quarter hour that the file reaches.

    Raises:
        SourceError: It is empty or damaged, no line of it has a readable time, or the interval of logs is not known.
    """
    uri = store.uri(item.key)
    lines = read_lines(store.fetch([item])[0], uri)
    kind = format_of(lines["line"].head(HEAD).to_list())
    if kind:
        stamps = log_samples(lines, kind, item.key, uri, logs)["ts"].drop_nulls()
        when_set = stamps.filter(stamps >= CLOCK_SET)
        return quarters_of_utc(stamps if when_set.is_empty() else when_set), kind
    seen = quarter_counts(lines["line"].str.json_path_match("$.ts"))
    set_at = CLOCK_SET.replace(tzinfo=UTC).timestamp() // QUARTER_S
    found = {q: count for q, count in seen.items() if q >= set_at} or dict(seen)
    if not found:
        msg = (
            f"{uri}: none of {lines.height} lines is a report with a readable `ts`, or of a log of tegrastats or jtop; the first is "
            f"{lines['line'].head(1).to_list()}; "
            'write one JSON object a line, with ts in ISO 8601 and its zone: "2026-09-01T12:00:00+02:00"'
        )
        raise SourceError(msg[:600])
    return set(found), str(_reach(found))


def _reach(counts: Mapping[int, int]) -> int:
    """The last quarter hour that is busy and has a neighbour: how far a file reaches, whatever a few wrong clocks say."""
    least = max(counts.values()) * BUSY
    busy = [q for q, count in counts.items() if count >= least]
    return max((q for q in busy if q - 1 in counts or q + 1 in counts), default=max(busy))


def log_samples(lines: pl.DataFrame, kind: str, key: str, uri: str, logs: Logs) -> pl.DataFrame:
    """The samples of a log (`connectors.edge.logs.SAMPLES`), with device.

    Raises:
        SourceError: The interval of logs is not known, its lines have no time, or none of them can be read.
    """
    if logs.interval_s is None:
        msg = f"{uri} is a log of {kind}; say `log_interval_s`, the seconds between its lines (`tegrastats --interval` / 1000)"
        raise SourceError(msg)
    place = place_of(key, logs.zone, logs.interval_s)
    try:
        found = samples(lines, kind, place)
    except NoTimeError as error:
        raise SourceError(f"{uri}: {error}") from error
    except csv.Error as error:
        raise SourceError(f"{uri} is damaged or cannot be read ({error}); deliver it again") from error
    if found["ts"].null_count() == found.height:
        msg = f"{uri}: none of {lines.height} lines is a sample with a time, the first is {lines['line'].head(1).to_list()}"
        raise SourceError(msg[:600])
    return found.with_columns(device=pl.lit(place.device))
