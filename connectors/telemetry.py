"""What all telemetry connectors share: local days, readable timestamps, when a step is a gap, fingerprints, issues.

How samples become energy or counts in SQL belongs to `connectors/steps.py`; which files cover which day, to
`connectors/telemetry_index.py`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from connectors.base import ISSUES_SCHEMA, Context, Object
from models.config import Site
from models.tables import Table

BLANKS = tuple(float(base + n) for base in (0x7FFFFFF0, 1 << 47) for n in range(4))
"""DCGM's blanks of 32 bits and of doubles: not known, not found, not supported, not permitted."""

MAX_CARD_KW = 10.0
"""No GPU draws more; a gauge or counter that says so is not believed."""

LESS = 10
"""A gauge that is read once a minute is off by less than so many times."""

TOO_LOW = f"seen >= 0.25 AND counted * {LESS} < gauge"
"""SQL: in an hour a card's energy counter cannot be right: it stands still, or counts in another unit.

`counted` and `gauge` are kWh of the `seen` hours (of less than a quarter a gauge shows nothing); the gauge counts instead.
"""

STANDS = f"{TOO_LOW} OR (seen >= 0.25 AND counted = 0)"
"""SQL: the same of a card, which always draws something: without a gauge (NULL) the energy of such an hour is unknown."""

MAX_METER_KW = 1000.0
"""No node or rack meter shows more."""

MAX_STEP = 2.5
"""Two samples at most this many sample intervals apart cover the time between them; farther apart is a gap."""

TIMESTAMP = r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?([Zz]|[+-]\d{2}(:?\d{2})?)"
"""A timestamp in text, ISO 8601 with its zone; without a zone it could mean any of 26 hours and is refused."""

DECIMALS = 9
"""Digits kept of hours and kWh (a microwatt-hour), so that the order in which threads add does not show."""

HOUR = timedelta(hours=1)

STARTED = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})[T_-]?(\d{2})[-:]?(\d{2})[-:]?(\d{2})(Z)?")
"""A time in a file's name: `gpu/n1-20260901T100000Z.log`."""

QUARTER_S = 900
"""Seconds of a quarter hour; every time zone's days start on one."""


def day_bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """First instant of a local day and of the next, in UTC: 23, 24 or 25 hours apart."""
    return _midnight(day, zone), _midnight(day + timedelta(days=1), zone)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(0), tzinfo=zone).astimezone(UTC)


def day_of(instant: datetime, zone: ZoneInfo) -> date:
    """The local day that holds an instant."""
    return instant.astimezone(zone).date()


def local_day(column: str, zone: ZoneInfo) -> pl.Expr:
    """The local day of a column of UTC timestamps without a zone."""
    return pl.col(column).dt.replace_time_zone("UTC").dt.convert_time_zone(zone.key).dt.date()


def local_hours(day: date, zone: ZoneInfo) -> list[tuple[datetime, timedelta]]:
    """The hours of a local day by the site's clock: start (UTC) and length.

    They start at local midnight, so in a zone with a half-hour offset at half past of UTC. Where a change of clocks is
    no whole number of hours (Lord Howe), the last one is shorter.
    """
    start, end = day_bounds(day, zone)
    count = -(-(end - start) // HOUR)
    starts = [start + k * HOUR for k in range(count)]
    return [(at, min(HOUR, end - at)) for at in starts]


def sql_timestamp(text: str) -> str:
    """SQL: the UTC timestamp of a text expression; NULL where it is no ISO 8601 timestamp with a zone."""
    clean = f"UPPER(REPLACE(TRIM({text}), ',', '.'))"
    return (
        f"CASE WHEN regexp_full_match(TRIM({text}), '{TIMESTAMP}') "
        f"THEN CAST(TRY_CAST({clean} AS TIMESTAMPTZ) AS TIMESTAMP) END"
    )


def named_start(stem: str) -> tuple[str, datetime | None]:
    """The name of a file without the time in it, and that time: local without a zone, or UTC where it ends in Z."""
    found = STARTED.search(stem)
    if found is None:
        return stem, None
    at = datetime.strptime("".join(found.groups("")[:6]), "%Y%m%d%H%M%S")  # noqa: DTZ007 - local time
    return STARTED.sub("", stem).strip("-_."), at.replace(tzinfo=UTC) if found[7] else at


def site_of(name: str, context: Context) -> Site:
    """The site of that name.

    Raises:
        ValueError: The configuration has none.
    """
    if name not in context.sites:
        known = ", ".join(sorted(context.sites)) or "none"
        msg = f"site {name!r} is not in `sites`; there are: {known}. Add it with its time_zone and tariff"
        raise ValueError(msg)
    return context.sites[name]


def fingerprint(version: str, settings: Mapping[str, Any], objects: Iterable[Object] = ()) -> str:
    """Hex text that changes with the reader's version, its settings, or the files a day follows from."""
    parts = [version, dict(settings), sorted((o.key, o.version) for o in objects)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def issues(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Findings as a frame in `ISSUES_SCHEMA`; columns a finding does not name are NULL."""
    blank = dict.fromkeys(ISSUES_SCHEMA)
    return pl.DataFrame([blank | dict(r) for r in rows], schema=ISSUES_SCHEMA)


def write_days(
    frames: Mapping[Table, pl.DataFrame], days: Iterable[date], work: Path
) -> Iterator[tuple[date, dict[str, Path], int]]:
    """Writes each day's rows of each table as Parquet below `work`.

    Args:
        frames: Table -> rows of any days, in the table's columns.
        days: Days wanted.
        work: Folder to write in.

    Yields:
        The day, table name -> file (tables without rows that day are left out), and the number of rows.
    """
    doubles = pl.selectors.by_dtype(pl.Float64).round(DECIMALS)
    parts = {
        t.name: t.conform(f).with_columns(doubles).partition_by("day", as_dict=True)
        for t, f in frames.items()
    }
    keys = {t.name: [k for k in t.key if k != "source"] for t in frames}
    for day in days:
        facts, rows = {}, 0
        for name, by_day in parts.items():
            frame = by_day.get((day,))
            if frame is not None:
                facts[name] = work / day.isoformat() / f"{name}.parquet"
                facts[name].parent.mkdir(parents=True, exist_ok=True)
                frame.sort(keys[name]).write_parquet(facts[name])
                rows += frame.height
        yield day, facts, rows
