"""Logs of Jetson devices as samples: the lines of tegrastats, and what jtop's logger writes.

- tegrastats: `MM-DD-YYYY HH:MM:SS RAM ... GR3D_FREQ 99%@[1300] ... VDD_IN 3942mW/3930mW`. Before JetPack 5 there is
  no date, and rails have no unit (`POM_5V_IN 3942/3930`). Of a rail the first number is the reading, the second a mean
  since the start.
- jtop: its `stats` as CSV or as a JSON object a line; `Power TOT` (before 4.0 `power cur`) in mW, `GPU` in %.

Times are those of the device's clock, without a zone. Power is that of the input rail; where a board has none, of the
rails that together are the module. A rail that is fed by another of them (VDDQ_VDD2_1V8AO) is not added.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from connectors.edge.days import CLOCK_SET
from connectors.telemetry import named_start

RAILS = (
    ("VIN",),
    ("VDD_IN",),
    ("POM_5V_IN",),
    ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),
    ("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"),
    ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"),
)
"""Rails that add up to what a board draws, the best first: Thor, TX and Orin Nano and NX, Nano, AGX Orin, Thor
before its input was measured, AGX Xavier."""

JTOP_POWER = ("Power TOT", "power cur")
MAX_DEVICE_W = 1000.0
"""No device draws more; a reading that says so is not believed."""

MIN_DEVICE_W = 0.1
"""No board that writes a log draws less: such a reading is none, or in W where mW are due."""

LINE = r"\bRAM \d+/\d+[kMG]B"
STAMP = r"^(\d{2}-\d{2}-\d{4} \d{2}:\d{2}:\d{2})\s"
ISO_STAMP = r"^\[?(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?)(Z|[+-]\d{2}:?\d{2})?\]?\s"
"""What `ts` of moreutils and other wrappers put before a line."""

SAMPLES = pl.Schema(
    {
        "number": pl.UInt32(), "line": pl.String(), "ts": pl.Datetime("us"), "power_w": pl.Float64(),
        "utilisation": pl.Float64(), "rule": pl.String(), "rule_key": pl.String(),
    }
)  # fmt: skip


SET_ASIDE = ("line_unreadable", "ts_unreadable", "clock_not_set", "clock_ahead")
"""Rules whose lines are no samples."""


class NoTimeError(Exception):
    """A log whose lines have no time, and whose name says none."""


@dataclass(frozen=True)
class Place:
    """What a log does not say itself: device, zone of its clock, seconds between lines, time of the first."""

    device: str
    zone: ZoneInfo
    interval_s: float
    started: datetime | None = None


def place_of(key: str, zone: ZoneInfo, interval_s: float) -> Place:
    """Device and start of a log by its name: `DEVICE.log`, `DEVICE/....log`, `DEVICE-20260901T100000Z.log`."""
    *folders, name = key.split("/")
    stem, started = named_start(re.sub(r"\.[a-z]+(\.gz)?$", "", name, flags=re.IGNORECASE))
    stem = re.sub(r"[-_.]?\d{4}-?\d{2}-?\d{2}$", "", stem)
    return Place(folders[-1] if folders else stem, zone, interval_s, started)


def format_of(lines: Sequence[str]) -> str:
    """Which log the first lines begin: tegrastats, jtop, or "" for neither."""
    if any(re.search(LINE, line) for line in lines):
        return "tegrastats"
    if not lines[0].startswith("{"):
        return "jtop" if _is_header(lines[0]) else ""
    names = next(iter(_dicts(lines[:1])), {})
    return "jtop" if "time" in names and any(p in names for p in JTOP_POWER) else ""


def samples(
    lines: pl.DataFrame, kind: str, place: Place, since: datetime = CLOCK_SET, until: datetime | None = None
) -> pl.DataFrame:
    """The samples of a log.

    Args:
        lines: number, line (not blank), whole.
        kind: Result of `format_of`.
        place: What the log does not say.
        since: Times before it (UTC without a zone) are those of a clock that was not set.
        until: Times after it are those of a clock that is ahead.

    Returns:
        `SAMPLES`; `ts` is UTC without a zone. `rule` names what is wrong: those of `SET_ASIDE` with the line, the others
        (`value_dropped`, `power_unknown`) leave the value of `rule_key` NULL.

    Raises:
        NoTimeError: Its lines have no time, and its name says none.
    """
    read = _tegrastats(lines, place) if kind == "tegrastats" else _jtop(lines, place)
    share, watts = pl.col("percent") / 100, pl.col("mw") / 1000
    share_ok, watts_ok = share.is_between(0, 1), watts.is_between(MIN_DEVICE_W, MAX_DEVICE_W)
    bad = [
        (~pl.col("good"), "line_unreadable", "line"),
        (pl.col("ts").is_null(), "ts_unreadable", "ts"),
        (pl.col("ts") < since, "clock_not_set", "ts"),
        (pl.col("ts") > pl.lit(until, pl.Datetime("us")), "clock_ahead", "ts"),
        (~watts_ok, "value_dropped", "power_w"),
        (~share_ok, "value_dropped", "utilisation"),
        (watts.is_null(), "power_unknown", "power_w"),
    ]
    rule, key = (pl.coalesce(*(pl.when(w).then(pl.lit(name[i])) for w, *name in bad)) for i in (0, 1))
    return read.select(
        "number", "line", "ts", power_w=pl.when(watts_ok).then(watts), utilisation=pl.when(share_ok).then(share),
        rule=rule, rule_key=key,
    ).cast(SAMPLES)  # fmt: skip


def _tegrastats(lines: pl.DataFrame, place: Place) -> pl.DataFrame:
    line = pl.col("line")
    present = {n for group in RAILS for n in group if lines["line"].str.contains(f"{n} ", literal=True).any()}
    groups = [group for group in RAILS if present.issuperset(group)]
    rails = {name for group in groups for name in group}
    milliwatts = {n: line.str.extract(rf"(?:^|\s){n} (-?\d+)(?:mW\b|/)").cast(pl.Float64) for n in rails}
    totals = [pl.lit(None, dtype=pl.Float64)]
    for group in groups:
        known = pl.all_horizontal(milliwatts[n] >= 0 for n in group)
        there = pl.all_horizontal(milliwatts[n].is_not_null() for n in group)
        total = pl.sum_horizontal(milliwatts[n] for n in group)
        totals.append(pl.when(there).then(pl.when(known).then(total).otherwise(-1.0)))
    read = lines.with_columns(
        good=line.str.contains(LINE),
        **_stamps(line),
        percent=line.str.extract(r"\bGR3D(?:_FREQ)? (\d+)%").cast(pl.Float64),
        mw=pl.coalesce(totals),
    )
    if read.select(pl.any_horizontal(pl.col("zoned", "naive").is_not_null()).any()).item():
        return read.with_columns(ts=pl.coalesce("zoned", instants(read["naive"], place.zone)))
    if place.started is None:
        msg = "its lines have no time; put that of the first one into its name (DEVICE-20260901T100000Z.log)"
        raise NoTimeError(msg)
    start = place.started if place.started.tzinfo else place.started.replace(tzinfo=place.zone)
    passed = pl.duration(microseconds=pl.int_range(pl.len()) * round(place.interval_s * 1e6))
    return read.with_columns(ts=pl.lit(start.astimezone(UTC).replace(tzinfo=None)) + passed)


def _stamps(line: pl.Expr) -> dict[str, pl.Expr]:
    """The time before a line: `zoned` (UTC) where it says its zone, else `naive`, as the device's clock shows it."""
    iso = line.str.extract(ISO_STAMP, 1) + " " + line.str.extract(ISO_STAMP, 2)
    offset = line.str.extract(ISO_STAMP, 3).str.replace("Z", "+00:00", literal=True)
    zoned = (iso + offset).str.to_datetime(
        "%Y-%m-%d %H:%M:%S%.f%z", time_unit="us", time_zone="UTC", strict=False
    )
    naive = pl.coalesce(
        line.str.extract(STAMP).str.to_datetime("%m-%d-%Y %H:%M:%S", time_unit="us", strict=False),
        iso.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False),
    )
    return {
        "zoned": zoned.dt.replace_time_zone(None),
        "naive": pl.when(offset.is_null()).then(naive),
    }


def _jtop(lines: pl.DataFrame, place: Place) -> pl.DataFrame:
    texts = lines["line"].to_list()
    if not texts[0].startswith("{"):  # a number that is cut is a number
        lines = lines.filter(~pl.Series([_is_header(text) for text in texts]))
        whole = pl.col("good") & pl.col("whole")
    else:
        whole = pl.col("good")
    rows = []
    for row in _dicts(texts):
        power = next((row[p] for p in JTOP_POWER if p in row), None)
        rows.append((bool(row), *_time(row.get("time")), _number(row.get("GPU")), _number(power)))
    schema = pl.Schema(
        {
            "good": pl.Boolean(), "zoned": pl.Datetime("us"), "naive": pl.Datetime("us"),
            "percent": pl.Float64(), "mw": pl.Float64(),
        }
    )  # fmt: skip
    read = lines.hstack(pl.DataFrame(rows, schema=schema, orient="row"))
    return read.with_columns(good=whole, ts=pl.coalesce("zoned", instants(read["naive"], place.zone)))


def _is_header(line: str) -> bool:
    """A line of CSV names columns: the first one of each run."""
    names = _fields(line)
    return "time" in names and any(p in names for p in JTOP_POWER)


def _fields(line: str) -> list[str]:
    """The fields of a line of CSV; none where it cannot be read.

    One by one: a quote that a cut line leaves open must not swallow the next.
    """
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return []


def _dicts(lines: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """The rows of CSV with headers or of JSON lines, without the headers; empty ones where a line is neither.

    Another header begins the log of another run, whose columns may be others.
    """
    if lines[0].startswith("{"):
        for line in lines:
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            yield row if isinstance(row, dict) else {}
        return
    names: list[str] = []
    for line in lines:
        if _is_header(line):
            names = _fields(line)
        else:
            fields = _fields(line)
            yield dict(zip(names, fields, strict=True)) if names and len(fields) == len(names) else {}


def _time(text: Any) -> tuple[datetime | None, datetime | None]:
    """A time in UTC where it says its zone, and one as the device's clock shows it where it says none."""
    try:
        at = datetime.fromisoformat(str(text))
        return (at.astimezone(UTC).replace(tzinfo=None), None) if at.tzinfo else (None, at)
    except (ValueError, OverflowError):
        return None, None


def _number(value: Any) -> float | None:
    """A number; -1 for what should be one and is not, None for nothing."""
    if value is None or str(value).strip() == "":
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return -1.0


def instants(naive: pl.Series, zone: ZoneInfo) -> pl.Series:
    """Times of a clock, in order of a log, as UTC without a zone.

    Of the two that an hour of autumn may mean it is the first until the clock goes back, then the second. A time that the
    clock skips in spring is NULL.
    """
    frame = naive.to_frame("naive")
    for ambiguous in ("earliest", "latest"):
        zoned = pl.col("naive").dt.replace_time_zone(zone.key, ambiguous=ambiguous, non_existent="null")
        frame = frame.with_columns(
            zoned.dt.convert_time_zone("UTC").dt.replace_time_zone(None).alias(ambiguous)
        )
    twice = pl.col("earliest") != pl.col("latest")
    back = (twice & (pl.col("earliest") < pl.col("earliest").shift(1))).fill_null(value=False)
    second = twice & back.cast(pl.Int32).cum_max().over(pl.col("naive").dt.date()).cast(pl.Boolean)
    return frame.select(pl.when(second).then("latest").otherwise("earliest"))["latest"]
