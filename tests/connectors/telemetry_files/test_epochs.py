"""Times since 1970, as collectors write them: read where the number says its unit, else refused or counted."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest

from connectors.base import Loaded, SourceError
from tests.connectors.telemetry_files.samples import (
    GPU,
    INFERENCE,
    POWER,
    card,
    load,
    minutes,
    table,
    utc,
    write,
)

TEN = 1_788_256_800
"""2026-09-01T10:00:00Z, by `date -d @1788256800`."""

FORMS: dict[str, Callable[[int], Any]] = {
    "seconds": lambda s: s,
    "seconds with decimals": lambda s: f"{s}.250",
    "milliseconds": lambda s: s * 1000,
    "milliseconds with decimals": lambda s: f" {s}000.0",
    "microseconds": lambda s: s * 1_000_000 + 1,
    "nanoseconds": lambda s: s * 1_000_000_000 + 999,
    "double": lambda s: s + 0.5,
    "double of milliseconds": lambda s: s * 1000.0,
}


def samples(form: Callable[[int], Any], gpu: str = "GPU-1") -> list[dict[str, Any]]:
    """10:00 to 11:00, a sample a minute at 360 W: 0.36 kWh, of which 30 minutes at 100 %."""
    return [
        card(utc("2026-09-01"), 1e12 + n * 360_000 * 60, utilisation=float(n < 30), gpu=gpu)
        | {"ts": form(TEN + 60 * n)}
        for n in range(61)
    ]


SUFFIXES = ("csv", "parquet")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """A file in each of `FORMS` and `SUFFIXES`, each of a card of its own."""
    folder = tmp_path_factory.mktemp("written")
    for form, suffix in product(FORMS, SUFFIXES):
        write(folder, f"gpu/{form}.{suffix}", samples(FORMS[form], f"{form} {suffix}"))
    (item,) = load(folder)
    return item


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("form", FORMS)
def test_the_number_says_its_unit(written: Loaded, form: str, suffix: str) -> None:
    hours = table([written], GPU).filter(gpu=f"{form} {suffix}")
    assert hours["hour"].min() == utc("2026-09-01 10:00").replace(tzinfo=None)
    assert hours["observed_hours"].sum() == pytest.approx(1)
    assert hours["used_hours"].sum() == pytest.approx(0.5)
    assert hours["energy_kwh"].sum() == pytest.approx(0.36)


def test_all_rows_of_all_units_are_read(written: Loaded) -> None:
    assert written.slice.period == date(2026, 9, 1)
    assert written.issues.is_empty()
    assert written.rows_read == 61 * len(FORMS) * len(SUFFIXES)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_other_numbers_are_counted(tmp_path: Path, suffix: str) -> None:
    """No sample at minutes 10 to 15: 0, a negative one, 1999, 2100, a date without separators, none at all."""
    rows = samples(lambda s: s)
    for n, ts in enumerate([0, -TEN, 946_684_799, 4_102_444_800, 20260901101400, None]):
        rows[10 + n]["ts"] = ts
    write(tmp_path, f"gpu/a.{suffix}", rows)
    (item,) = load(tmp_path)
    assert item.issues.select("action", "rule", "rows").rows() == [("rejected", "ts_unreadable", 6)]
    assert item.rows_read == 61
    # 10:00 to 10:10 and 10:16 to 11:00: ten and 44 minutes are seen; of seven the counter alone tells
    hours = table([item], GPU)
    assert hours.filter("sampled")["observed_hours"].sum() == pytest.approx(54 / 60)
    assert hours["energy_estimated_kwh"].sum() == pytest.approx(0.36 * 7 / 60)


def test_iso_and_numbers_of_one_csv_are_read(tmp_path: Path) -> None:
    rows = samples(lambda s: s)
    for n in range(20, 40):
        rows[n]["ts"] = f"2026-09-01T12:{n}:00+02:00"
    write(tmp_path, "gpu/a.csv", rows)
    (item,) = load(tmp_path)
    assert table([item], GPU)["observed_hours"].sum() == pytest.approx(1)
    assert item.issues.is_empty()


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_two_units_in_a_file_are_refused(tmp_path: Path, suffix: str) -> None:
    rows = samples(lambda s: s)
    rows[7]["ts"] *= 1000
    write(tmp_path, f"gpu/a.{suffix}", rows)
    words = "column 'ts' mixes times since 1970: 60 of seconds and 1 of milliseconds"
    with pytest.raises(SourceError, match=words):
        load(tmp_path)


@pytest.mark.parametrize(
    ("ts", "shown"),
    [
        (pl.Series([1788256800.0], dtype=pl.Float32), "1788256768.0"),  # 32 s off: all that 32 bits can tell
        (pl.Series(["1.7882568e+09"]), "1.7882568e+09"),
        (pl.Series([20260901100000]), "20260901100000"),
        (pl.Series([20260901]), "20260901"),
        (pl.Series([46266.4166]), "46266.4166"),
        (pl.Series([True]), "true"),
    ],
)
def test_what_is_not_certain_is_refused(tmp_path: Path, ts: pl.Series, shown: str) -> None:
    path = tmp_path / "in" / "gpu" / "a.parquet"
    path.parent.mkdir(parents=True)
    pl.DataFrame({"ts": ts, "node": ["n"], "gpu": ["g"]}).write_parquet(path)
    with pytest.raises(
        SourceError, match=f"none of 1 timestamps can be read, the first is '{re.escape(shown)}'"
    ):
        load(tmp_path)


def test_meters_and_services(tmp_path: Path) -> None:
    """An hour at 3 kW by a meter in milliseconds; 60 requests of a service in seconds."""
    meter = [{"ts": (TEN + 60 * n) * 1000, "meter": "m", "power_w": 3000} for n in range(61)]
    service = [{"ts": TEN + 60 * n, "workload": "chat", "model": "m", "requests_total": n} for n in range(61)]
    write(tmp_path, "power/a.csv", meter)
    write(tmp_path, "inference/a.parquet", service)
    (item,) = load(tmp_path)
    assert table([item], POWER)["energy_kwh"].to_list() == pytest.approx([3])
    assert table([item], INFERENCE)["inferences"].sum() == 60


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Kolkata"])
def test_timestamps_of_parquet_in_any_unit_and_zone(
    tmp_path: Path, unit: Literal["ms", "us", "ns"], zone: str | None
) -> None:
    """Three samples of 300 W from 10:00 UTC, as pandas and polars write them: two minutes of that hour."""
    times = pl.Series("ts", minutes("2026-09-01 10:00", 3)).dt.cast_time_unit(unit)
    times = times.dt.convert_time_zone(zone) if zone else times.dt.replace_time_zone(None)
    path = tmp_path / "in" / "gpu.parquet"
    path.parent.mkdir()
    times.to_frame().with_columns(node=pl.lit("n1"), gpu=pl.lit("g1"), power_w=300.0).write_parquet(path)
    found = table(load(tmp_path), GPU)
    assert found["hour"].to_list() == [utc("2026-09-01 10:00").replace(tzinfo=None)]
    assert found["energy_kwh"].to_list() == pytest.approx([0.01])
