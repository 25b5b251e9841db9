"""Files of reports and of logs, plain or gzip: their lines, and the time they cover.

What a line says belongs to `days.py` and `logs.py`.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from connectors.base import DamagedFileError, Object, SourceError
from connectors.edge.days import CLOCK_SET
from connectors.edge.logs import NoTimeError, format_of, place_of, samples
from connectors.epochs import seconds
from connectors.objects import Store
from connectors.telemetry import QUARTER_S
from connectors.telemetry_index import AHEAD, quarter_counts

SUFFIXES = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz", ".log", ".log.gz", ".csv", ".csv.gz")
HEAD = 20
"""Lines that say which log a file is."""

YEAR = 366 * 96
"""Quarter hours: no file is silent for so long."""

BUSY = 0.2
"""Of the reports of the fullest quarter of an hour."""


def read_lines(path: Path, uri: str) -> pl.DataFrame:
    r"""The lines that are not blank.

    Returns:
        number (from 1), line, whole (false for a last line without its end: it may be cut). A line that is not UTF-8 has its bad bytes written as `\\xNN`, which is no JSON.

    Raises:
        DamagedFileError: The file is empty or damaged.
    """
    data = path.read_bytes()
    try:
        if data[:2] == b"\x1f\x8b" or path.name.endswith(".gz"):
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        msg = f"{uri} is damaged ({error}); deliver it again"
        raise DamagedFileError(msg) from error
    if not data:
        msg = f"{uri} is empty (no line); deliver it again, or remove it"
        raise DamagedFileError(msg)
    lines = data.decode("utf-8", errors="backslashreplace").split("\n")
    frame = pl.DataFrame({"line": lines, "whole": [True] * (len(lines) - 1) + [False]}).with_row_index(
        "number", offset=1
    )
    # where files were appended to each other, a mark of byte order is within
    line = pl.col("line").str.strip_prefix("\ufeff").str.strip_chars()
    return frame.with_columns(line).filter(pl.col("line") != "")


@dataclass(frozen=True)
class Logs:
    """How logs are read: time zone of the devices' clocks, and seconds between lines (None where nobody said)."""

    zone: ZoneInfo
    interval_s: float | None


def scan(store: Store, item: Object, logs: Logs, now: datetime) -> tuple[set[int], str]:
    """Reads the timestamps of a file.

    Args:
        store: Where it lies.
        item: The file.
        logs: How to read it if it is a log.
        now: The present moment.

    Returns:
        The quarter hours with reports or samples, those of clocks that are ahead left out where there are others, and which log it is (`connectors.edge.logs.format_of`). For reports, those
        of clocks that were not set are left out where there are others, and in place of a name are digits: the last
        quarter hour that the file reaches.

    Raises:
        DamagedFileError: It is empty or damaged.
        SourceError: No line of it has a readable time, or the interval of logs is not known.
    """
    uri = store.uri(item.key)
    lines = read_lines(store.fetch([item])[0], uri)
    kind = format_of(lines["line"].head(HEAD).to_list())
    if kind:
        stamps = log_samples(lines, kind, item.key, uri, logs)["ts"].drop_nulls()
        return set(when_set(dict((stamps.dt.epoch("s") // QUARTER_S).value_counts().iter_rows()), now)), kind
    texts = lines["line"].str.json_path_match("$.ts")
    counts = quarter_counts(texts)
    for times in seconds(texts).values():
        counts.update(dict((times // QUARTER_S).value_counts().iter_rows()))
    found = when_set(counts, now)
    if not found and not lines["whole"].any() and lines["line"].str.starts_with("{").all():
        msg = f"{uri} holds one line, which is cut off; deliver it again with more"
        raise DamagedFileError(msg)
    if not found:
        msg = (
            f"{uri}: none of {lines.height} lines is a report with a readable `ts`, or of a log of tegrastats or jtop; the first is "
            f"{lines['line'].head(1).to_list()}; "
            'write one JSON object a line, with ts in ISO 8601 and its zone, "2026-09-01T12:00:00+02:00", or seconds or '
            "milliseconds since 1970"
        )
        raise SourceError(msg[:600])
    return set(found), str(_reach(found))


def when_set(counts: Mapping[int, int], now: datetime) -> dict[int, int]:
    """The quarter hours of clocks that were set: from `CLOCK_SET` to now, and not years before most of the file.

    A board without a battery starts at the time that its image was built, or at one that it had saved.

    Args:
        counts: Quarter hour -> reports or lines.
        now: The present moment.

    Returns:
        Those that count; all where none does.
    """
    set_at = CLOCK_SET.replace(tzinfo=UTC).timestamp() // QUARTER_S
    last = (now + AHEAD).timestamp() // QUARTER_S
    found = {q: n for q, n in sorted(counts.items()) if set_at <= q <= last} or dict(counts)
    quarters, before = sorted(found), 0
    first = quarters[:1]
    for a, b in pairwise(quarters):
        before += found[a]
        if b - a > YEAR and 2 * before < sum(found.values()):
            first = [b]
    return {q: n for q, n in found.items() if q >= first[0]}


def _reach(counts: Mapping[int, int]) -> int:
    """The last quarter hour that is busy and has a neighbour: how far a file reaches, whatever a few wrong clocks say."""
    least = max(counts.values()) * BUSY
    busy = [q for q, count in counts.items() if count >= least]
    return max((q for q in busy if q - 1 in counts or q + 1 in counts), default=max(busy))


def log_samples(
    lines: pl.DataFrame,
    kind: str,
    key: str,
    uri: str,
    logs: Logs,
    *,
    since: datetime = CLOCK_SET,
    until: datetime | None = None,
) -> pl.DataFrame:
    """The samples of a log (`connectors.edge.logs.SAMPLES`), with device; before `since` the clock was not set, after `until` ahead.

    Raises:
        DamagedFileError: It is no CSV.
        SourceError: The interval of logs is not known, its lines have no time, or none of them can be read.
    """
    if logs.interval_s is None:
        msg = f"{uri} is a log of {kind}; say `log_interval_s`, the seconds between its lines (`tegrastats --interval` / 1000)"
        raise SourceError(msg)
    place = place_of(key, logs.zone, logs.interval_s)
    try:
        found = samples(lines, kind, place, max(since, CLOCK_SET), until)
    except NoTimeError as error:
        raise SourceError(f"{uri}: {error}") from error
    except csv.Error as error:
        raise DamagedFileError(f"{uri} is damaged ({error}); deliver it again") from error
    if found["ts"].null_count() == found.height:
        msg = f"{uri}: none of {lines.height} lines is a sample with a time, the first is {lines['line'].head(1).to_list()}"
        raise SourceError(msg[:600])
    return found.with_columns(device=pl.lit(place.device))
