"""Logs of power meters as samples: SPEC PTDaemon; `ipmitool dcmi power reading`, `sdr` or `sensor` written over and over.

- PTDaemon (`spl.txt` of MLPerf): `Time,02-22-2022 01:37:17.802,Watts,5.89,Volts,...`, local times.
- ipmitool: blocks of lines with `Instantaneous power reading:` and `IPMI timestamp:`, also both in one line. The time is
  local but for one that ends in UTC.
- ipmitool sdr, sensor: lines with `|`, after a line with the time, as `date; ipmitool sdr` writes them (`ipmi_sensors.py`).

Logs of cards belong to `logs.py`. A reading that is no sample is kept with its text as `ts`, so that it is counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import polars as pl

from connectors.epochs import FIRST_YEAR
from connectors.telemetry_files.ipmi_sensors import SENSOR_LINE, sensor_blocks
from connectors.telemetry_files.logs import Place, Times, time_of

PTD = re.compile(r"^Time,([^,]*),Watts,([^,]*)", re.M)
"""Time and power of a reading of PTDaemon."""

IPMI = re.compile(
    r"Instantaneous power reading:\s*(?P<watts>\S+) Watts(?P<rest>(?:(?!Instantaneous power reading:)[^\n]*\n?){0,8})"
)
"""Power of a reading of ipmitool, and the lines that belong to it."""

IPMI_TIME = re.compile(r"IPMI timestamp:\s*(.*?)\s*(?:Sampling period|Power reading|$)", re.M)

TIMES = ("%m-%d-%Y %H:%M:%S.%f", "%a %b %d %H:%M:%S %Y", "%m/%d/%Y %H:%M:%S", "%m/%d/%y %H:%M:%S")
"""How PTDaemon and versions of ipmitool write times."""

COLUMNS = ("ts", "node", "power_w", "method")


def format_of(head: str) -> str | None:
    """Which log a text begins: ptd, ipmi, sensors, or None."""
    if PTD.search(head):
        return "ptd"
    if "Instantaneous power reading:" in head:
        return "ipmi"
    return "sensors" if SENSOR_LINE.search(head) else None


def rows(text: str, place: Place) -> pl.DataFrame:
    """The samples of a log: `COLUMNS`, all text; `ts` ISO 8601 with its zone, or the reading as it is where it has none.

    Raises:
        NoStartError: Blocks of sensors without one time that can be read.
    """
    times = Times(place)
    found: list[dict[str, str | None]] = []
    if format_of(text[:4000]) == "sensors":
        for ts, watts in sensor_blocks(text.replace("\r", ""), place):
            found.append({"ts": ts, "node": place.node, "power_w": watts, "method": "ipmi_sensor"})
        return pl.DataFrame(found, schema=dict.fromkeys(COLUMNS, pl.String))
    for at, watts, method, raw in _readings(text.replace("\r", "")):
        naive = next((t for form in TIMES if (t := time_of(at.removesuffix(" UTC"), form))), None)
        # a management controller whose clock was never set says 1970
        known = naive is not None and naive.year >= FIRST_YEAR
        stamp = times.iso(naive, utc=at.endswith(" UTC")) if naive and known else raw
        found.append({"ts": stamp, "node": place.node, "power_w": watts, "method": method})
    return pl.DataFrame(found, schema=dict.fromkeys(COLUMNS, pl.String))


def _readings(text: str) -> Iterator[tuple[str, str | None, str | None, str]]:
    """Time, watts (None where the meter says that it does not measure), method and text of each reading."""
    if format_of(text[:4000]) == "ptd":
        for line in filter(None, text.split("\n")):
            found = PTD.match(line)
            yield (found[1].strip(), found[2], None, line) if found else ("", None, None, line)
        return
    for reading in IPMI.finditer(text):
        at = IPMI_TIME.search(reading["rest"])
        active = not re.search(r"state is:\s*deactivated", reading["rest"])
        raw = f"{reading['watts']} W, {at[1] if at else 'no time'}"
        yield at[1] if at else "", reading["watts"] if active else None, "ipmi_dcmi", raw
