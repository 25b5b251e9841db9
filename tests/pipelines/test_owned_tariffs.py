"""Tariffs through a whole run, over the change of clocks and of the month, without one edge device at the sites.

Plain Python counts every quarter of an hour: prices by the local clock, PUE by month, tiers by kWh of the month, demand
with a ratchet. It shares nothing with Tierwise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.connectors.telemetry_files.samples import write
from tests.pipelines import small

pytestmark = pytest.mark.long

QUARTER = timedelta(minutes=15)
MADRID, NEWFOUNDLAND = "Europe/Madrid", "America/St_Johns"

CONFIG = """
currency: USD
rates: [{date: 2025-01-01, currency: EUR, rate: "1.10"}]
sources:
  a: {kind: telemetry_files, location: ./a/in, site: a, sample_interval_s: 900}
  b: {kind: telemetry_files, location: ./b/in, site: b, sample_interval_s: 900}
sites:
  a:
    time_zone: Europe/Madrid
    currency: EUR
    pue: {2025-10: 1.2, 2025-11: 1.5}
    tariff:
      energy:
        - {price: "0.30", weekdays: [0, 1, 2, 3, 4], start: "10:00", end: "14:00"}
        - {price: "0.11", start: "22:00", end: "03:00"}
        - {price: "0.20"}
      holidays: [2025-11-03]
      demand: [{name: peak, price: "10", ratchet: 0.9, when: [{weekdays: [0, 1, 2, 3, 4], start: "10:00", end: "14:00"}]}]
  b:
    time_zone: America/St_Johns
    pue: 1.25
    tariff: {energy: [{price: "0.10"}, {price: "0.20", above_kwh: 40}, {price: "0.05", above_kwh: 90}]}
assets:
  - {asset: xa, site: a, node: na, kind: gpu_server, capex: 0, currency: EUR, in_service: 2025-01-01, life_months: 36}
  - {asset: xb, site: b, node: nb, kind: gpu_server, capex: 0, currency: USD, in_service: 2025-01-01, life_months: 36}
"""


def quarters(zone: str, first: datetime, end: datetime) -> Iterator[tuple[int, datetime]]:
    """Number and start (UTC) of each quarter of an hour from one local midnight to another."""
    at, last = (d.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for d in (first, end))
    number = 0
    while at < last:
        yield number, at
        number, at = number + 1, at + QUARTER


A_DAYS = (datetime(2025, 10, 24), datetime(2025, 11, 6))  # noqa: DTZ001 - local
B_DAYS = (datetime(2025, 10, 30), datetime(2025, 11, 4))  # noqa: DTZ001 - local


def a_kw(number: int, at: datetime) -> float:
    return (1 + number * 7 % 11 / 8) * (2 if at.astimezone(ZoneInfo(MADRID)).month == 10 else 1)


def b_kw(number: int) -> float:
    return 0.5 + number * 3 % 5 / 4


def card(node: str, gpu: str, watts: list[tuple[datetime, float]]) -> list[dict[str, Any]]:
    rows, energy = [], 1e12
    for at, w in [*watts, (watts[-1][0] + QUARTER, 0.0)]:
        rows.append(
            {"ts": at, "node": node, "gpu": gpu, "energy_mj": energy, "utilisation": 0.5, "team": "v"}
        )
        energy += w * 900 * 1000
    return rows


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tariffs")
    meter, total = [], 100.0
    for number, at in quarters(MADRID, *A_DAYS):
        meter.append({"ts": at, "node": "na", "energy_kwh_total": total})
        total += a_kw(number, at) / 4
    meter.append({"ts": meter[-1]["ts"] + QUARTER, "node": "na", "energy_kwh_total": total})
    write(folder / "a", "power/m.csv", meter)
    write(folder / "a", "gpu/g.csv", card("na", "ga", [(at, 300.0) for _, at in quarters(MADRID, *A_DAYS)]))
    loads = [(at, 1000 * b_kw(n)) for n, at in quarters(NEWFOUNDLAND, *B_DAYS)]
    write(folder / "b", "gpu/g.csv", card("nb", "gb", loads))
    (folder / "tierwise.yaml").write_text(CONFIG)
    done = small.tierwise("run", "--config", folder / "tierwise.yaml", "--date", "2025-11-05")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "€" in done.stdout and "$" in done.stdout
    return folder


def energy_cost(folder: Path, site: str) -> dict[date, float]:
    rows = small.query(
        folder,
        "SELECT day, sum(effective_cost)::DOUBLE FROM marts.chargeback_daily "
        f"WHERE sub_account = '{site}' AND service_name = 'Owned GPU' GROUP BY day",
    )
    return {day: cost for day, cost in rows if cost}  # type: ignore[misc]


def test_prices_of_the_local_clock_and_pue_of_the_month(published: Path) -> None:
    want: dict[date, float] = defaultdict(float)
    for number, at in quarters(MADRID, *A_DAYS):
        local = at.astimezone(ZoneInfo(MADRID))
        workday = local.weekday() < 5 and local.date() != date(2025, 11, 3)
        price = (
            0.3 if workday and 10 <= local.hour < 14 else 0.11 if local.hour >= 22 or local.hour < 3 else 0.2
        )
        want[local.date()] += a_kw(number, at) / 4 * (1.2 if local.month == 10 else 1.5) * price
    assert energy_cost(published, "a") == pytest.approx(dict(want), abs=1e-9)


def test_tiers_are_crossed_in_each_month(published: Path) -> None:
    """2 November of Newfoundland has 25 hours, which start half past the UTC hour."""
    want: dict[date, float] = defaultdict(float)
    used: dict[int, float] = defaultdict(float)
    for number, at in quarters(NEWFOUNDLAND, *B_DAYS):
        local, kwh = at.astimezone(ZoneInfo(NEWFOUNDLAND)), b_kw(number) / 4 * 1.25
        before = used[local.month]
        for low, high, price in ((0, 40, 0.10), (40, 90, 0.20), (90, 1e9, 0.05)):
            want[local.date()] += price * max(0.0, min(before + kwh, high) - max(before, low))
        used[local.month] += kwh
    assert used[10] > 40 and used[11] > 90
    assert energy_cost(published, "b") == pytest.approx(dict(want), abs=1e-9)


def test_the_peak_of_october_binds_november(published: Path) -> None:
    # October: 2 x (1 + 10/8) x 1.2 = 5.4 kW; November: 2.25 x 1.5 = 3.375, less than 0.9 x 5.4 = 4.86.
    found = small.query(
        published,
        "SELECT month(month), peak_kw::DOUBLE, billed_kw::DOUBLE, cost::DOUBLE FROM marts.demand_monthly ORDER BY month",
    )
    assert found == [
        (10, pytest.approx(5.4), pytest.approx(5.4), pytest.approx(54)),
        (11, pytest.approx(3.375), pytest.approx(4.86), pytest.approx(48.6)),
    ]
