"""Files of JSON lines, plain or gzip: their lines, and the time they cover. What a line says belongs to `days.py`."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from datetime import UTC
from pathlib import Path

import polars as pl

from connectors.base import Object, SourceError
from connectors.edge.days import CLOCK_SET
from connectors.objects import Store
from connectors.telemetry import QUARTER_S
from connectors.telemetry_index import quarter_counts

SUFFIXES = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")

BUSY = 0.2
"""Of the reports of the fullest quarter of an hour."""


def is_data(key: str, uri: str) -> bool:
    """The file is to be read: not a note (.md, .txt) or a marker whose name starts with an underscore.

    Raises:
        SourceError: It is neither that nor JSON lines.
    """
    name = key.rsplit("/", 1)[-1].lower()
    if name.startswith("_") or name.endswith((".md", ".txt")):
        return False
    if not name.endswith(SUFFIXES):
        msg = f"{uri} is no file of reports; allowed are {', '.join(SUFFIXES)}. Convert it or move it out of the location"
        raise SourceError(msg)
    return True


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


def scan(store: Store, item: Object) -> tuple[set[int], str]:
    """Reads the timestamps of a file.

    Returns:
        The quarter hours with reports (those of clocks that were not set are left out where there are others), and in
        digits how far the file reaches.

    Raises:
        SourceError: It is empty or damaged, or no line of it has a readable time.
    """
    uri = store.uri(item.key)
    lines = read_lines(store.fetch([item])[0], uri)["line"]
    seen = quarter_counts(lines.str.json_path_match("$.ts"))
    set_at = CLOCK_SET.replace(tzinfo=UTC).timestamp() // QUARTER_S
    found = {q: count for q, count in seen.items() if q >= set_at} or dict(seen)
    if not found:
        msg = (
            f"{uri}: none of {len(lines)} lines is a report with a readable `ts`, the first is {lines.head(1).to_list()}; "
            'write one JSON object a line, with ts in ISO 8601 and its zone: "2026-09-01T12:00:00+02:00"'
        )
        raise SourceError(msg[:600])
    return set(found), str(_reach(found))


def _reach(counts: Mapping[int, int]) -> int:
    """The last quarter hour that is busy and has a neighbour: how far a file reaches, whatever a few wrong clocks say."""
    least = max(counts.values()) * BUSY
    busy = [q for q, count in counts.items() if count >= least]
    return max((q for q in busy if q - 1 in counts or q + 1 in counts), default=max(busy))
