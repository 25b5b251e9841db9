"""Writes sample files and reads them through the reader; figures are worked out in the tests, not here."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from connectors.base import Context, Loaded, Window
from connectors.telemetry_files.reader import Options, TelemetryFilesReader
from models.config import Site
from tests.engine import Session

GPU = "telemetry.gpu_hourly"
INFERENCE = "telemetry.inference_hourly"
POWER = "telemetry.power_hourly"


def utc(text: str) -> datetime:
    """A UTC moment from `2026-09-01 10:00`."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def minutes(start: str, count: int, step_s: float = 60) -> list[datetime]:
    """`count` moments from the start, UTC."""
    return [utc(start) + timedelta(seconds=step_s * n) for n in range(count)]


def reader(folder: Path, zone: str = "UTC", **options: Any) -> TelemetryFilesReader:
    """A reader of `folder/in`."""
    sites = {"dc1": Site(time_zone=zone, tariff="0.1")}
    settings = Options(kind="telemetry_files", location="in", site="dc1", **options)
    return TelemetryFilesReader(settings, Context("dc1", folder, folder / "cache", sites))


def load(folder: Path, zone: str = "UTC", days: Sequence[date] | None = None, **options: Any) -> list[Loaded]:
    """Reads the days (all where None)."""
    source = reader(folder, zone, **options)
    slices = source.slices(Window(date(2030, 1, 1), datetime(2030, 1, 1, tzinfo=UTC)))
    wanted = [s for s in slices if days is None or s.period in days]
    with Session() as engine:
        return list(source.load(wanted, folder / "work", engine))


def table(loaded: Iterable[Loaded], name: str) -> pl.DataFrame:
    """The rows of a table over all days."""
    return pl.concat([pl.read_parquet(item.facts[name]) for item in loaded if name in item.facts])


def write(folder: Path, name: str, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Writes rows as `folder/in/name`, Parquet or CSV by the name; CSV timestamps get a Z."""
    path = folder / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if name.endswith(".parquet"):
        pl.DataFrame(list(rows), infer_schema_length=None).write_parquet(path)
        return path
    text = io.StringIO()
    out = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)))
    out.writeheader()
    for row in rows:
        out.writerow(
            {k: v.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(v, datetime) else v for k, v in row.items()}
        )
    data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def card(ts: datetime, energy_mj: float | None, **more: Any) -> dict[str, Any]:
    """One GPU sample."""
    row: dict[str, Any] = {
        "ts": ts,
        "node": "n1",
        "gpu": "GPU-1",
        "energy_mj": energy_mj,
        "pod": "chat-0",
        "team": "assist",
    }
    return row | {"workload": "chat", "utilisation": 0.5} | more
