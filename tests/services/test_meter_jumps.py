"""Energy counters of outlets that stand still, jump or count another unit, in a real Prometheus: kWh of a day by hand.

Two days of 3 kW, scraped each minute; the counters show whole tenths of a kWh. What `-gauge` ends has a gauge, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from connectors.base import Context, Loaded, Window
from connectors.prometheus.reader import Options, PrometheusReader
from models.config import Site
from pipelines.engines.duckdb import DuckDBEngine
from tests.services.prometheus import prometheus
from tests.sites import Text

pytestmark = pytest.mark.service

T0 = int(datetime(2026, 9, 1, tzinfo=UTC).timestamp())
DAYS = (date(2026, 9, 1), date(2026, 9, 2))
NOON = 12 * 60 + 7


def steady(m: int) -> float:
    return 0.05 * m


def stands(first: int, last: int) -> Callable[[int], float]:
    return lambda m: steady(first if first <= m < last else m)


def jumps(kwh: float, *minutes: int) -> Callable[[int], float]:
    return lambda m: steady(m) + kwh * sum(m >= at for at in minutes)


def busy_noon(m: int) -> float:
    """0.3 kW, and 9 kW for a quarter of an hour of the first day."""
    return 0.005 * m + 0.145 * min(max(m - NOON, 0), 15)


def silent(m: int) -> float | None:
    """0.5 kW; nothing from 15:55 to 14:00 of the next day, in which it draws 2 kW; 1 kW at noon of the third day."""
    if 955 < m < 2280:
        return None
    return m / 120 + (1325 / 40 if m >= 2280 else 0) + min(max(m - 3600, 0), 60) / 120


COUNTERS: dict[str, Callable[[int], float | None]] = {
    "steady-gauge": steady,
    "stands-gauge": lambda _: 0.0,
    "regains-gauge": stands(10 * 60 + 20, 15 * 60 + 40),
    "mwh-gauge": lambda m: steady(m) / 1000,
    "jumps": jumps(5, NOON),
    "jumps-gauge": jumps(5, NOON),
    "twice": jumps(8, NOON, NOON + 5),
    "twice-gauge": jumps(8, NOON, NOON + 5),
    "between-quarters": jumps(15, 12 * 60 + 15),
    "busy": busy_noon,
    "silent": silent,
    "ends": lambda m: steady(m) if m < 14 * 60 else -100.0,
    "ends-gauge": lambda m: steady(m) if m < 14 * 60 else -100.0,
}
"""Outlet -> kWh that its counter shows beyond 100, in minute m; None where it is silent."""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[date, Loaded]]:
    folder = tmp_path_factory.mktemp("jumps")
    text = Text()
    for name, shows in COUNTERS.items():
        labels = {"instance": name, "job": "snmp", "rPDU2OutletMeteredStatusIndex": "1"}
        shown = ((m, shows(m)) for m in range(-1440, 3 * 1440))
        values = ((T0 + 60 * m, float(int(10 * (100 + v) + 1e-6))) for m, v in shown if v is not None)
        text.add("rPDU2OutletMeteredStatusEnergy", labels, values)
        if name.endswith("-gauge"):
            watts = ((T0 + 60 * m, 3000.0) for m in range(-1440, 3 * 1440))
            text.add("rPDU2OutletMeteredStatusPower", labels, watts)
    text.write(folder / "site.om")
    with prometheus(folder / "site.om", folder) as url:
        yield read(url, folder)


def read(url: str, folder: Path) -> dict[date, Loaded]:
    context = Context("dc1", folder, folder / "cache", {"dc1": Site(time_zone="UTC", tariff="0.1")})
    settings = {"kind": "prometheus", "url": url, "site": "dc1", "start": DAYS[0]}
    source = PrometheusReader(Options.model_validate(settings), context)
    slices = source.slices(Window(DAYS[-1], datetime(2026, 9, 10, tzinfo=UTC)))
    with DuckDBEngine() as engine:
        each = (source.load([item], folder / "work", engine) for item in slices)  # each day by itself
        return {item.slice.period: item for (item,) in each}


def sums(loaded: dict[date, Loaded], column: str) -> dict[str, list[float]]:
    """Outlet -> the sum of a column of each day."""
    found: dict[str, list[float]] = {}
    for day in DAYS:
        rows = pl.read_parquet(loaded[day].facts["telemetry.power_hourly"])
        for meter, value in rows.group_by("meter").agg(pl.col(column).sum()).iter_rows():
            found.setdefault(meter.removesuffix("/1"), [0.0] * len(DAYS))[DAYS.index(day)] = value
    return found


def test_kwh_of_a_day(loaded: dict[date, Loaded]) -> None:
    """Without a gauge the minute of a jump is unknown, and what comes after 14:00, from when on a counter shows 0."""
    kwh = {name: [72.0, 72.0] for name in COUNTERS}
    kwh |= {"busy": [7.2 + 8.7 / 4, 7.2], "ends": [42.0, 0.0], "silent": [955 / 120, 5]}
    assert sums(loaded, "energy_kwh") == {n: pytest.approx(v, abs=0.16) for n, v in kwh.items()}
    estimated = sums(loaded, "energy_estimated_kwh")
    assert estimated.pop("silent") == pytest.approx([485 / 30, 28], abs=0.4)
    assert sum(map(sum, estimated.values())) == 0


def test_hours_covered(loaded: dict[date, Loaded]) -> None:
    hours = {name: [24.0, 24.0] for name in COUNTERS}
    minute = 1 / 60
    hours |= {
        "jumps": [24 - minute, 24],
        "twice": [24 - 2 * minute, 24],
        "between-quarters": [24 - minute, 24],
        "ends": [14.0, 0.0],
        "silent": [956 / 60, 10],
    }
    assert sums(loaded, "coverage") == {n: pytest.approx(v, abs=0.5 * minute) for n, v in hours.items()}


def test_what_was_not_believed_is_counted(loaded: dict[date, Loaded]) -> None:
    (found,) = loaded[DAYS[0]].issues.select("action", "rule", "column_name").rows()
    assert found == ("repaired", "value_dropped", "energy_kwh")
