"""Which quarter hours each telemetry file covers, remembered for each version of each file.

Lets a reader name the days that a changed file touches without reading the files that did not change. What the
files contain beyond their timestamps belongs to the connectors.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from connectors.base import DamagedFileError, Object, SourceError
from connectors.objects import Store, fetch_ahead, write_json
from connectors.telemetry import QUARTER_S, TIMESTAMP, day_of

INDEX_VERSION = "2"
UTC_ZONE = ZoneInfo("UTC")
AHEAD = timedelta(hours=1)
"""A clock is believed up to this after the moment at which its file was first seen."""

ZONE = "[Zz]|[+-][0-9]{2}(:?[0-9]{2})?"


@dataclass(frozen=True)
class Indexed:
    """One version of one file.

    Attributes:
        object: The file.
        runs: Quarter hours since 1970 with samples, as (first, last) runs in order; empty for a file without rows.
        layout: What the connector needs to know again to read the file, as text.
        until: AHEAD after this version was first seen; what is later in it is of a clock that is ahead. None where not known.
        damaged: Why this version cannot be read; runs and layout are then those of the last one that could, or its own. Empty if it can.
    """

    object: Object
    runs: tuple[tuple[int, int], ...]
    layout: str = ""
    damaged: str = ""
    until: datetime | None = None

    @property
    def never_read(self) -> bool:
        """It is damaged, and no earlier version is known."""
        return bool(self.damaged) and not self.runs

    @property
    def ahead(self) -> bool:
        """All of it is later than anything that could have been seen."""
        return bool(self.runs) and self.until is not None and self.start > self.until

    @property
    def start(self) -> datetime:
        """The start of the first quarter hour with samples."""
        return datetime.fromtimestamp(self.runs[0][0] * QUARTER_S, UTC)

    @property
    def end(self) -> datetime:
        """The end of the last quarter hour with samples."""
        return datetime.fromtimestamp((self.runs[-1][1] + 1) * QUARTER_S, UTC)

    def touches(self, first: int, last: int) -> bool:
        """Some samples lie in one of the quarter hours from the first to the last."""
        runs = self.runs
        return (
            bool(runs)
            and runs[0][0] <= last
            and first <= runs[-1][1]
            and any(a <= last and first <= b for a, b in runs)
        )


def data_files(store: Store, suffixes: tuple[str, ...], what: str) -> list[Object]:
    """The files of a location, but for notes (.md, .txt) and markers whose name starts with an underscore.

    Args:
        store: The location.
        suffixes: How names of data end.
        what: What the data is, for a person.

    Raises:
        SourceError: The location cannot be read, or a file is of another kind.
    """
    names = {item: item.key.rsplit("/", 1)[-1].lower() for item in store.list()}
    found = [item for item, n in names.items() if not n.startswith("_") and not n.endswith((".md", ".txt"))]
    for item in found:
        if not names[item].endswith(suffixes):
            msg = f"{store.uri(item.key)} is no {what}; allowed are {', '.join(suffixes)}. Convert it or move it out of the location"
            raise SourceError(msg)
    return found


def index(
    store: Store,
    objects: Sequence[Object],
    scan: Callable[[Object], tuple[Iterable[int], str]],
    cache: Path,
    name: str,
    *,
    now: datetime | None = None,
) -> list[Indexed]:
    """The index of the files; new and changed ones are scanned.

    Args:
        store: Where the files lie.
        objects: Files as they are now.
        scan: Quarter hours and layout of a file; a `DamagedFileError` is noted with the file, another error is raised.
        cache: Folder of caches.
        name: Tells apart the indexes in the folder (reader, location).
        now: The present moment, remembered for new versions; None where no clock is ahead.
    """
    file = _file(cache, name)
    known = _read(file)
    found: dict[str, Any] = {}
    new = {o.key for o in objects if known.get(o.key, {}).get("version") != o.version}
    fetch_ahead(store, [o for o in objects if o.key in new])
    for item in objects:
        entry = known.get(item.key)
        if item.key in new:
            try:
                quarters, layout = scan(item)
                entry = {"runs": _runs(quarters), "layout": layout, "damaged": ""}
            except DamagedFileError as error:
                entry = {"runs": [], "layout": "", **(entry or {}), "damaged": str(error)}
            entry |= {"version": item.version} | ({"seen": now.timestamp()} if now else {})
        found[item.key] = entry
    if found != known:
        write_json(file, found)
    return [
        Indexed(
            item,
            tuple((a, b) for a, b in entry["runs"]),
            entry["layout"],
            entry["damaged"],
            _until(entry) if now else None,
        )
        for item in objects
        for entry in [found[item.key]]
    ]


def _until(entry: Mapping[str, Any]) -> datetime | None:
    return datetime.fromtimestamp(entry["seen"], UTC) + AHEAD if "seen" in entry else None


def mark_damaged(item: Object, reason: str, cache: Path, name: str) -> None:
    """Notes of a file of the index that this version of it cannot be read, which its timestamps did not show."""
    file = _file(cache, name)
    known = _read(file)
    write_json(file, known | {item.key: known[item.key] | {"damaged": reason}})


def _file(cache: Path, name: str) -> Path:
    return cache / f"index-{hashlib.sha256(f'{INDEX_VERSION}/{name}'.encode()).hexdigest()[:16]}.json"


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _runs(quarters: Iterable[int], reach: int = 1) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for quarter in sorted(set(quarters)):
        if runs and quarter - runs[-1][1] <= reach:
            runs[-1] = (runs[-1][0], quarter)
        else:
            runs.append((quarter, quarter))
    return runs


def days(files: Sequence[Indexed], zone: ZoneInfo, bridge: timedelta = timedelta(0)) -> list[date]:
    """The local days with samples, and those inside a silence of at most `bridge`, in order."""
    reach = 1 + int(bridge.total_seconds() // QUARTER_S)
    quarters = (q for f in files for a, b in f.runs for q in range(a, b + 1))
    found: set[date] = set()
    for first, last in _runs(quarters, reach):
        day, end = (day_of(datetime.fromtimestamp(q * QUARTER_S, UTC), zone) for q in (first, last))
        while day <= end:
            found.add(day)
            day += timedelta(days=1)
    return sorted(found)


def quarters_of(text: pl.Series) -> set[int]:
    """Quarter hours of timestamps in text; those that are no ISO 8601 with a zone are passed over."""
    return set(quarter_counts(text))


def quarter_counts(text: pl.Series) -> Counter[int]:
    """The same, and how many timestamps lie in each."""
    at = pl.col("at")
    minutes, zone = at.str.slice(0, 16).str.replace("[Tt ]", "T"), at.str.extract(f"({ZONE})$")
    counts = (
        text.alias("at")
        .to_frame()
        .lazy()
        .select(at.drop_nulls().str.strip_chars())
        .filter(at.str.contains(f"^{TIMESTAMP}$"))
        .group_by(minutes + zone)
        .len()
        .collect()
    )
    found: Counter[int] = Counter()
    for value, count in counts.iter_rows():
        try:
            found[int(datetime.fromisoformat(value.upper()).timestamp() // QUARTER_S)] += count
        except ValueError:
            continue
    return found


def quarters_of_utc(stamps: pl.Series) -> set[int]:
    """Quarter hours of UTC timestamps (with or without a zone)."""
    seconds = stamps.drop_nulls().dt.epoch("us") // (QUARTER_S * 1_000_000)
    return set(seconds.unique().to_list())


def within(files: Iterable[Indexed], start: datetime, end: datetime) -> list[Indexed]:
    """The files with samples in a quarter hour that overlaps the time from start to before end, in order of key."""
    first, last = int(start.timestamp() // QUARTER_S), int(-(-end.timestamp() // QUARTER_S)) - 1
    return [f for f in files if f.touches(first, last)]


def utc_days(files: Sequence[Indexed], last: date) -> Iterator[tuple[date, tuple[Object, ...]]]:
    """The UTC days with samples up to the last, in order, each with the files that touch it."""
    for day in days(files, UTC_ZONE):
        if day <= last:
            start = datetime(day.year, day.month, day.day, tzinfo=UTC)
            yield day, tuple(f.object for f in within(files, start, start + timedelta(days=1)))


def settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that change what is read; where files lie and whether they are required does not."""
    return {
        k: v for k, v in options.items() if not re.fullmatch("kind|required|location|endpoint_url|region", k)
    }
