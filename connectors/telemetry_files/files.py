"""The files of a site without Prometheus: which kind of samples each holds, how it is laid out, what time it covers.

The SQL that reads them belongs to `columns.py`.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from connectors.base import DamagedFileError, Object, SourceError
from connectors.epochs import seconds
from connectors.objects import Store
from connectors.telemetry import QUARTER_S
from connectors.telemetry_files import logs as gpu_logs
from connectors.telemetry_files import meter_logs
from connectors.telemetry_files.columns import DATASETS, require, time_column
from connectors.telemetry_files.logs import NoStartError, Place, place_of
from connectors.telemetry_files.mistaken import hint
from connectors.telemetry_index import quarters_of, quarters_of_utc

RATIOS = ("utilisation", "dcgm_fi_prof_gr_engine_active")
"""Columns of utilisation that are parts of 1."""

OVER, SCALED = 1.5, 0.1
"""So large a utilisation is none, and of a file with more than such a part of them the others are not believed either."""

SUFFIXES = (".parquet", ".csv", ".csv.gz", ".log", ".log.gz")


LOGS: Mapping[str, tuple[Callable[[str], str | None], Callable[[str, Place], pl.DataFrame]]] = {
    "gpu": (gpu_logs.format_of, gpu_logs.rows),
    "power": (meter_logs.format_of, meter_logs.rows),
}
"""Kind of samples -> which log a text begins, and the samples of a log."""


@dataclass(frozen=True)
class Logs:
    """How logs are read: time zone of the hosts' clocks, and seconds between rows."""

    zone: ZoneInfo
    interval_s: float


def dataset_of(key: str, uri: str) -> str:
    """Which kind of samples a file holds: gpu, inference or power, by its first folder or the start of its name.

    Raises:
        SourceError: Its name does not say.
    """
    first, name = key.split("/", 1)[0].lower(), key.rsplit("/", 1)[-1].lower()
    if "/" in key and first in DATASETS:
        return first
    start = re.match(r"(gpu|inference|power)\b|(gpu|inference|power)_", name)
    if start is None:
        msg = (
            f"{uri}: its name does not say what it holds; put it in a folder gpu, inference or power, "
            "or start its name so (gpu-2026-09-01.csv)"
        )
        raise SourceError(msg)
    return start[1] or start[2]


def scan(store: Store, item: Object, logs: Logs) -> tuple[set[int], str]:
    """Reads the columns' names and the timestamps of a file.

    Args:
        store: Where it lies.
        item: The file.
        logs: How to read it if it is a log.

    Returns:
        The quarter hours with samples, and the layout: JSON of dataset, format, columns and their types. Files of
        one layout can be read by one SQL; those of other types would be cast to those of the first.

    Raises:
        DamagedFileError: It is empty or damaged.
        SourceError: It lacks a column, or none of its timestamps can be read.
    """
    uri = store.uri(item.key)
    dataset = dataset_of(item.key, uri)
    if item.size == 0:
        msg = f"{uri} is empty (0 bytes); deliver it again, or remove it"
        raise DamagedFileError(msg)
    path = store.fetch([item])[0]
    parquet = item.key.lower().endswith(".parquet")
    if item.key.lower().endswith(".gz") and not _packed(path):
        msg = f"{uri} is damaged: it is called .gz and is no gzip. Deliver it again"
        raise DamagedFileError(msg)
    if not parquet and is_log(path, dataset):
        samples = log_rows(path, item.key, uri, logs)
        if samples.is_empty():
            msg = f"{uri} is a log without a row; deliver it again, or remove it"
            raise SourceError(msg)
        found = quarters_of(samples["ts"])
        if not found:
            msg = f"{uri}: none of {samples.height} rows is a sample, the first is {samples['ts'][0]!r}"
            raise SourceError(msg)
        return found, json.dumps([dataset, "log"])
    try:
        types, stamps = _stamps(path, parquet=parquet)
    except (pl.exceptions.PolarsError, OSError, EOFError) as error:
        msg = f"{uri} is damaged or is not {'Parquet' if parquet else 'CSV in UTF-8'}: {error}. Deliver it again"
        raise DamagedFileError(msg) from error
    names = list(types)
    if not parquet and any("\r" in name for name in names):
        msg = f"{uri}: its lines end with CR alone; LF or CR LF is needed. Export it again"
        raise SourceError(msg)
    if not parquet and time_column(names) is None and (told := hint(_head(path))):
        msg = f"{uri}: {told}"
        raise SourceError(msg)
    require(dataset, names, uri)
    if dataset == "gpu":
        _refuse_percent(path, names, uri, parquet=parquet)
    stamps = stamps if stamps is not None else pl.Series(dtype=pl.String)
    found = _quarters(stamps, uri)
    if len(stamps) and not found:
        msg = (
            f"{uri}: column 'ts': none of {len(stamps)} timestamps can be read, the first is {str(stamps[0])!r}; "
            "write UTC or ISO 8601 with a zone, such as 2026-09-01T12:00:00Z, or seconds or milliseconds since 1970"
        )
        raise SourceError(msg)
    columns = sorted((name.lower(), type_) for name, type_ in types.items())
    return found, json.dumps([dataset, "parquet" if parquet else "csv", columns])


def _refuse_percent(path: Path, names: Sequence[str], uri: str, *, parquet: bool) -> None:
    """Refuses utilisation from 0 to 100 where 0 to 1 is meant: 1 would be taken for all of a card.

    Raises:
        SourceError: More than `SCALED` of the values above 0 are no part of 1, and may be percent.
    """
    column = next((n for source in RATIOS for n in names if n.lower() == source), None)
    if column is None:
        return
    value = pl.col(column).cast(pl.Float64, strict=False)
    counts = _lazy(path, parquet=parquet).select(
        over=value.is_between(OVER, 100).sum(), used=value.is_between(0, 100, closed="right").sum()
    )
    try:
        over, used = counts.collect().row(0)
    except (pl.exceptions.PolarsError, OSError, EOFError):
        return  # whoever reads its values says what is wrong with them
    if over > SCALED * used:
        msg = (
            f"{uri}: column {column!r} is to be from 0 to 1; {over} of {used} values above 0 are from {OVER} to 100. "
            "Call it 'percent', or divide it by 100"
        )
        raise SourceError(msg)


def _quarters(stamps: pl.Series, uri: str) -> set[int]:
    if stamps.dtype.is_temporal():
        return quarters_of_utc(stamps)
    units = seconds(stamps)
    if len(units) > 1:
        counts = " and ".join(f"{len(times)} of {name}" for name, times in units.items())
        msg = f"{uri}: column 'ts' mixes times since 1970: {counts}. Write all of a file in one unit"
        raise SourceError(msg)
    found = {int(q) for times in units.values() for q in (times // QUARTER_S).unique()}
    return found | quarters_of(stamps) if stamps.dtype == pl.String else found


def _stamps(path: Path, *, parquet: bool) -> tuple[Mapping[str, str], pl.Series | None]:
    """Columns with their types, and the times."""
    frame = _lazy(path, parquet=parquet)
    schema = frame.collect_schema()
    types = {name: str(type_) for name, type_ in schema.items()}
    column = time_column(list(types))
    if column is None:
        return types, None
    if not (isinstance(schema[column], pl.Datetime | pl.String) or schema[column].is_numeric()):
        return types, frame.select(pl.col(column).cast(pl.String)).collect()[column]
    return types, frame.select(column).collect()[column]


def _lazy(path: Path, *, parquet: bool) -> pl.LazyFrame:
    if parquet:
        return pl.scan_parquet(path, glob=False)
    return pl.scan_csv(path, infer_schema=False, glob=False, truncate_ragged_lines=True)


def parse_layout(layout: str) -> tuple[str, str]:
    """Dataset, and how it is written: parquet, csv or log."""
    parts: Sequence[str] = json.loads(layout)
    return parts[0], parts[1]


def _text(path: Path) -> str:
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    return _decoded(data)


def _head(path: Path) -> str:
    with gzip.open(path) if _packed(path) else path.open("rb") as file:
        return _decoded(file.read(4000))


def _decoded(data: bytes) -> str:
    """Text without its byte order mark: UTF-8, or UTF-16 as PowerShell redirects a command's output."""
    code = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return data.decode(code, errors="backslashreplace")


def _packed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def is_log(path: Path, dataset: str) -> bool:
    """The file is a log of cards or of a meter, whatever its name ends with."""
    if dataset not in LOGS:
        return False
    try:
        return LOGS[dataset][0](_head(path)) is not None
    except (OSError, EOFError, zlib.error):
        return False


def log_rows(path: Path, key: str, uri: str, logs: Logs) -> pl.DataFrame:
    """The samples of a log in the columns of `logs.COLUMNS`, or of `meter_logs.COLUMNS`.

    Raises:
        DamagedFileError: It cannot be read.
        SourceError: Its rows have no time.
    """
    try:
        return LOGS[dataset_of(key, uri)][1](_text(path), place_of(key, logs.zone, logs.interval_s))
    except (OSError, EOFError, zlib.error, ValueError) as error:
        msg = f"{uri} is damaged or cannot be read ({error}); deliver it again"
        raise DamagedFileError(msg) from error
    except NoStartError as error:
        raise SourceError(f"{uri}: {error}") from error
