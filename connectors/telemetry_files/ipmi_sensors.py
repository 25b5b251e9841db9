"""Logs of `ipmitool sdr`, `sdr elist` or `sensor`, each time after a line with the time, as samples of power.

    Tue Sep  1 10:00:00 CEST 2026
    CPU1 Temp        | 51 degrees C      | ok
    Pwr Consumption  | 168 Watts         | ok

Power is that of the sensor of the whole node, else of all supplies added up. Where one of these has no reading, it is
unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

from connectors.meters import NO_SUPPLY, SUPPLIES, WHOLE
from connectors.telemetry_files.logs import NoStartError, Place, Times, time_of

SENSOR_LINE = re.compile(r"^[^|,\n]+\|[^|\n]*\|[^\n]*$", re.M)
"""A line of a sensor."""

WATTS = re.compile(r"^(?P<name>[^|]*?)\s*\|.*?\|?\s*(?P<watts>\d+(?:\.\d+)?)\s*(?:\|\s*)?Watts\b")
"""A reading in watts: `168 Watts`, and `168.000 | Watts` of `sensor`."""

ZONE = re.compile(r"\b(?!(?:AM|PM)\b)[A-Z]{3,5}\b")
"""The zone in what `date` prints."""

CLOCK, EPOCH = re.compile(r"\d:\d\d:\d\d"), re.compile(r"\d{10}")
"""What a line with a time has, and is if it counts seconds since 1970."""

FORMS = ("%a %b %d %H:%M:%S %Y", "%a %b %d %I:%M:%S %p %Y", "%a %d %b %Y %I:%M:%S %p", "%Y-%m-%d %H:%M:%S")
"""How `date` prints times, without the zone."""

Block = tuple[str | None, dict[str, Decimal]]
"""Time (None unknown), and sensor -> watts."""


def sensor_blocks(text: str, place: Place) -> Iterator[tuple[str, str | None]]:
    """Time (ISO 8601; the reading itself where no time stands before it) and watts (None unknown) of each block.

    Raises:
        NoStartError: No line of it is a time.
        ValueError: No sensor is of the node's power, or several are.
    """
    blocks = list(_blocks(text, Times(place)))
    if not any(at for at, _ in blocks):
        msg = "its blocks of sensors have no time; write it before each, as `date; ipmitool sdr` does"
        raise NoStartError(msg)
    names = sorted({name for _, readings in blocks for name in readings})
    whole = [n for n in names if re.match(WHOLE, n)]
    counted = whole or [n for n in names if re.match(SUPPLIES, n) and not re.match(NO_SUPPLY, n)]
    if len(whole) > 1 or not counted:
        msg = f"of its sensors in watts {', '.join(names) or '(none)'} {len(whole)} are of the whole node, and one is needed, or supplies"
        raise ValueError(msg)
    for at, readings in blocks:
        known = [readings[n] for n in counted if n in readings]
        watts = str(sum(known)) if len(known) == len(counted) else None
        if at or readings:
            yield at or f"{watts} W, no time", watts


def _blocks(text: str, times: Times) -> Iterator[Block]:
    """A block begins with a time, even one that cannot be read, or where a sensor that it has comes again."""
    at: str | None = None
    readings: dict[str, Decimal] = {}
    for line in text.split("\n"):
        found = WATTS.match(line.strip())
        timed = "|" not in line and (CLOCK.search(line) or EPOCH.fullmatch(line.strip()))
        if timed or (found and found["name"] in readings):
            yield at, readings
            at, readings = _instant(line.strip(), times) if timed else None, {}
        if found:
            readings[found["name"]] = Decimal(found["watts"])
    yield at, readings


def _instant(line: str, times: Times) -> str | None:
    """The instant of a line that is a time; None of one that is none, or whose zone is not that of the log."""
    if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:?\d\d)", line):
        return datetime.fromisoformat(line).isoformat()
    if EPOCH.fullmatch(line):
        return datetime.fromtimestamp(int(line), UTC).isoformat()
    zone = ZONE.search(line)
    bare = " ".join(ZONE.sub("", line).split())
    naive = next((t for form in FORMS if (t := time_of(bare, form))), None)
    if naive is None:
        return None
    utc = zone is not None and zone[0] in ("UTC", "GMT")
    instant = times.iso(naive, utc=utc)
    local = datetime.fromisoformat(instant).astimezone(times.place.zone)
    return instant if zone is None or utc or zone[0] == local.tzname() else None
