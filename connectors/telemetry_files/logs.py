"""Logs of `dcgmi dmon` and `nvidia-smi` as samples: which log a text is, and its rows in the columns of `columns.py`.

- `nvidia-smi --query-gpu=timestamp,uuid,... --format=csv -l N` (with or without units): local times without a zone.
- `nvidia-smi dmon -o DT` (also as CSV): local times without a zone; `#` lines name columns and units and are repeated.
- `dcgmi dmon -e ...`: no times at all; the time of the first row comes from the file's name, the others from `-d`.

A log names cards by their number where it has no UUID: then the card is `NODE/gpuN`; by their bus id where it has neither. `[N/A]`, `-` and the like are
nothing. A row that is no sample (a message, a cut line) is kept with its text as `ts`, so that it is counted.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from connectors.telemetry import named_start

NOTHING = re.compile(
    r"^(\[?n/?a\]?|\[?not (supported|found)\]?|\[?unknown( error)?\]?|\[?insufficient permissions\]?|-|err.*)$",
    re.I,
)

SMI = {
    "uuid": "gpu", "gpu_uuid": "gpu", "name": "gpu_model", "gpu_name": "gpu_model", "index": "number",
    "pci.bus_id": "bus", "gpu_bus_id": "bus", "utilization.gpu": "percent", "mig.mode.current": "mig", "timestamp": "ts",
    "power.draw": "power_w", "power.draw.average": "power_w", "power.draw.instant": "power_w",
}  # fmt: skip
"""Field of --query-gpu -> our column. Of several of one column the first that is known counts, in this order."""

OURS = ("timestamp", "uuid")
"""Fields that samples of ours may have, too."""

MESSAGES = 10
"""Among so many lines is the first header: before it drivers may warn of something."""

TIMES = ("%Y/%m/%d %H:%M:%S.%f", "%Y/%m/%d %H:%M:%S")
"""How `nvidia-smi` writes times."""

DMON = {"date": "date", "time": "time", "gpu": "number", "idx": "number", "pwr": "power_w", "sm": "percent"}
"""Column of `nvidia-smi dmon` -> our column."""

DCGMI = {
    "GPU": "number", "ENTITY": "number", "POWER": "power_w", "TOTEC": "energy_mj", "GPUTL": "percent", "GRACT": "utilisation",
}  # fmt: skip
"""Column of `dcgmi dmon` (short names of fields) -> our column."""

COLUMNS = ("ts", "node", "gpu", "gpu_model", "mig_id", "percent", "utilisation", "power_w", "energy_mj")


class NoStartError(Exception):
    """A log without times or days, whose name says none."""


@dataclass(frozen=True)
class Place:
    """What a log does not say itself.

    Attributes:
        node: Host it was written on.
        zone: Time zone of its clock.
        interval_s: Seconds between its rows.
        started: Time of its first row, for logs without times; naive local, or with a zone.
    """

    node: str
    zone: ZoneInfo
    interval_s: float
    started: datetime | None = None


def place_of(key: str, zone: ZoneInfo, interval_s: float) -> Place:
    """Host and start of a log by its name: `gpu/NODE.log`, `gpu/NODE/....log`, `gpu/NODE-20260901T100000Z.log`.

    A day at the end of the name is none of the host's, and where there is no folder, neither is `gpu-` or `power-` before it.
    """
    parts = key.split("/")
    stem = re.sub(r"\.(log|txt|csv)(\.gz)?$", "", parts[-1], flags=re.I)
    name, started = named_start(stem)
    name = re.sub(r"[-_.]?\d{4}-?\d{2}-?\d{2}$", "", name) or name
    node = parts[-2] if len(parts) > 2 else name if len(parts) > 1 else re.sub(r"^(gpu|power)[-_]", "", name)
    return Place(node or name, zone, interval_s, started)


def format_of(head: str) -> str | None:
    """Which log a text begins, messages before it aside: smi, dmon, dcgmi, or None."""
    lines = [line.strip().lower() for line in head.splitlines() if line.strip()]
    for number, line in enumerate(lines[:MESSAGES]):
        fields = {re.sub(r"\s*\[.*\]$", "", f.strip()) for f in line.split(",")}
        if "timestamp" in fields and fields & (SMI.keys() - OURS):
            return "smi"
        if line.startswith(("#entity", "# entity")):
            return "dcgmi"
        if re.match(r"#\s*(date|time|gpu)\b", line):
            dmon = any(re.search(r"\b(pwr|sm)\b", also) for also in lines[number : number + 2])
            return "dmon" if dmon else "dcgmi"
    return None


def rows(text: str, place: Place) -> pl.DataFrame:
    """The samples of a log: `COLUMNS`, all text; `ts` ISO 8601 with its zone, or the line as it is where it has none.

    Raises:
        ValueError: It is none of the logs.
        NoStartError: Its rows have no time, and its name says none.
    """
    kind = format_of(text[:4000])
    if kind is None:
        msg = "it is no log of nvidia-smi (--query-gpu ... --format=csv, dmon -o DT) or dcgmi dmon"
        raise ValueError(msg)
    reader = {"smi": _smi, "dmon": _dmon, "dcgmi": _dcgmi}[kind]
    found = [{name: row.get(name) for name in COLUMNS} for row in reader(text.splitlines(), place)]
    return pl.DataFrame(found, schema=dict.fromkeys(COLUMNS, pl.String))


def _value(text: str) -> str | None:
    """A value without its unit; None for what means nothing."""
    text = text.strip()
    if not text or NOTHING.match(text):
        return None
    return re.sub(r"\s*(?<![a-zA-Z])(%|W|mJ|MiB|MHz)$", "", text)


def _local(naive: datetime, place: Place, previous: datetime | None) -> datetime:
    """A local time as an instant; of the two that an hour of autumn may mean, that which is not before the last row."""
    if naive.tzinfo is not None:
        return naive
    first = naive.replace(tzinfo=place.zone)
    second = first.replace(fold=1)
    ambiguous = first.utcoffset() != second.utcoffset()
    if ambiguous and previous is not None and first.astimezone(UTC) < previous.astimezone(UTC):
        return second
    return first


class Times:
    """Turns local times of one log into instants, in order of its rows."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.previous: datetime | None = None

    def iso(self, naive: datetime, *, utc: bool = False) -> str:
        """The instant of a local time, or of one in UTC, ISO 8601."""
        instant = _local(naive.replace(tzinfo=UTC) if utc else naive, self.place, self.previous).astimezone(
            UTC
        )
        self.previous = instant
        return instant.isoformat()


def _card(row: Mapping[str, str | None], place: Place) -> dict[str, str | None]:
    number, bus = row.get("number"), row.get("bus")
    named = {
        **row,
        "node": place.node,
        "gpu": row.get("gpu") or (f"{place.node}/gpu{number}" if number else bus and f"{place.node}/{bus}"),
    }
    if row.get("mig") == "Enabled":
        named["percent"] = None
    return named


def time_of(text: str | None, form: str) -> datetime | None:
    """The local time that a text says in a form; None where it does not."""
    try:
        return datetime.strptime(text or "", form)  # noqa: DTZ007 - local time
    except ValueError:
        return None


def _smi(lines: Iterable[str], place: Place) -> Iterator[dict[str, str | None]]:
    times = Times(place)
    names: list[str] = []
    for text in lines:
        # line by line: a quote that is left open ends with its line
        fields = next(csv.reader([text], skipinitialspace=True), []) if '"' in text else text.split(",")
        plain = [re.sub(r"\s*\[.*\]$", "", f.strip()).lower() for f in fields]
        if "timestamp" in plain:
            names = plain
            continue
        if not fields or not any(f.strip() for f in fields):
            continue
        line = ", ".join(f.strip() for f in fields)
        if len(fields) != len(names):
            yield {"ts": line, "node": place.node}
            continue
        values = {n: _value(f) for n, f in zip(names, fields, strict=True)}
        row: dict[str, str | None] = {}
        for name, column in SMI.items():
            row[column] = row.get(column) or values.get(name)
        at = next((t for form in TIMES if (t := time_of(row["ts"], form)) is not None), None)
        if at is None:
            yield {"ts": line, "node": place.node}
            continue
        yield _card({**row, "ts": times.iso(at)}, place)


def _dmon(lines: Iterable[str], place: Place) -> Iterator[dict[str, str | None]]:
    times = Times(place)
    names: list[str] = []
    clock = _Rows(place)
    for line in lines:
        words = line.replace(",", " ").split()
        if not words:
            continue
        if line.lstrip().startswith("#"):
            heads = [w.lstrip("#").lower() for w in words if w != "#"]
            if "gpu" in heads:
                names = [DMON.get(h, "") for h in heads]
            if "time" in names and "date" not in names:
                msg = "its rows have a time and no day; write the log with `nvidia-smi dmon -o DT`"
                raise NoStartError(msg)
            continue
        if len(words) != len(names):
            yield {"ts": line.strip(), "node": place.node}
            continue
        row = {n: _value(w) for n, w in zip(names, words, strict=True) if n}
        try:
            if "date" in row:
                at = datetime.strptime(f"{row['date']} {row['time']}", "%Y%m%d %H:%M:%S")  # noqa: DTZ007 - local time
            else:
                at = clock.at(str(row.get("number")))
        except ValueError:
            yield {"ts": line.strip(), "node": place.node}
            continue
        yield _card({**row, "ts": times.iso(at)}, place)


class _Rows:
    """Times of rows that have none: the n-th row of a card is n intervals after the start."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.seen: dict[str, int] = {}

    def at(self, card: str) -> datetime:
        if self.place.started is None:
            msg = "its rows have no time; put that of the first one into its name (NODE-20260901T100000Z.log)"
            raise NoStartError(msg)
        number = self.seen.get(card, 0)
        self.seen[card] = number + 1
        start = self.place.started
        start = start if start.tzinfo is not None else start.replace(tzinfo=self.place.zone)
        return start.astimezone(UTC) + timedelta(seconds=number * self.place.interval_s)


def _dcgmi(lines: Iterable[str], place: Place) -> Iterator[dict[str, str | None]]:
    names: list[str] = []
    clock = _Rows(place)
    for line in lines:
        words = line.split()
        if not words or words[0].upper() == "ID":
            continue
        if line.lstrip().startswith("#"):
            names = [w.lstrip("#").upper() for w in words if w != "#"]
            continue
        entity = re.match(r"\s*(GPU(?:-I|-CI)?)\s+(\S+)\s+(.*)", line)
        fields = names[1:] if names and names[0] in DCGMI else names
        if entity is None or len(entity[3].split()) != len(fields):
            yield {"ts": line.strip(), "node": place.node}
            continue
        if entity[1] == "GPU-CI":
            continue
        values = zip(fields, entity[3].split(), strict=True)
        row: dict[str, str | None] = {DCGMI[n]: _value(v) for n, v in values if n in DCGMI}
        card, _, instance = entity[2].partition("/")
        row |= {"number": card if instance or entity[1] == "GPU" else None, "mig_id": instance or None}
        yield _card({**row, "ts": clock.at(f"{entity[1]} {entity[2]}").isoformat()}, place)
