"""From a real Prometheus to published GPU figures, through the command."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from tests.pipelines import small
from tests.sites import DAYS, Truth

pytestmark = pytest.mark.service

REGISTER = """asset,site,node,kind,units,model,capex,currency,in_service,retired,life_months,salvage,opex_month
s-alpha,dc1,alpha,gpu_server,3,H100,36500,USD,2025-01-01,,12,0,0
s-beta,dc1,beta,gpu_server,2,H100,36500,USD,2025-01-01,,12,0,0
s-gamma,dc1,gamma,gpu_server,2,H100,36500,USD,2025-01-01,,12,0,0
s-delta,dc1,delta,gpu_server,1,H100,36500,USD,2025-01-01,,12,0,0
"""


@pytest.fixture(scope="module")
def published(site: tuple[str, Truth], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    (folder / "assets.csv").write_text(REGISTER)
    (folder / "tierwise.yaml").write_text(
        f"""
sources:
  dc1: {{kind: prometheus, url: "{site[0]}", site: dc1, replica_label: prometheus_replica, start: {DAYS[0]}}}
sites:
  dc1: {{time_zone: Europe/Madrid, pue: 1.5, tariff: 0.2}}
assets: ./assets.csv
"""
    )
    done = small.tierwise("run", "--config", folder / "tierwise.yaml", "--date", DAYS[-1].isoformat())
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_money_of_the_site_is_capex_and_energy(published: Path, site: tuple[str, Truth]) -> None:
    """Four servers of 36,500 over 12 months: in October 36,500 / 12 / 31 a server and day; wall energy at 1.5 x 0.20."""
    total = Decimal(
        str(small.query(published, "SELECT sum(effective_cost) FROM marts.chargeback_daily")[0][0])
    )
    fixed = Decimal(4 * 4 * 36500) / 12 / 31
    energy = sum(kwh for (meter, day), kwh in site[1].kwh.items() if meter.startswith("bmc") and day in DAYS)
    assert float(total) == pytest.approx(float(fixed) + energy * 1.5 * 0.2, rel=0.001)
    assert small.query(published, "SELECT max(difference)::DOUBLE FROM ops.reconciliation") == [(0.0,)]


def test_energy_of_every_card_and_day_and_the_gap_is_estimated(
    published: Path, site: tuple[str, Truth]
) -> None:
    found, estimated = summed(
        published, "SELECT gpu, day, energy_kwh, energy_estimated_kwh FROM telemetry.gpu_hourly"
    )
    wanted = {k: kwh for k, kwh in site[1].kwh.items() if k[0].startswith("GPU") and k[1] in DAYS}
    assert found == pytest.approx(wanted, rel=0.005)
    assert estimated > 0


def test_cards_of_a_node_are_billed_what_its_wall_meter_measured(
    published: Path, site: tuple[str, Truth]
) -> None:
    found, _ = summed(
        published, "SELECT 'bmc-' || node, day, energy_kwh, energy_estimated_kwh FROM marts.gpu_daily"
    )
    wanted = {k: kwh for k, kwh in site[1].kwh.items() if k[0].startswith("bmc") and k[1] in DAYS}
    assert found == pytest.approx(wanted, rel=0.005)
    days = small.query(published, "SELECT count(*), max(difference_kwh) < 1e-6 FROM ops.energy_balance")
    assert days == [(len(wanted), True)]


def summed(published: Path, sql: str) -> tuple[dict[tuple[str, date], float], float]:
    """(name, day) -> measured and estimated energy, and all that is estimated."""
    found: dict[tuple[str, date], float] = defaultdict(float)
    estimated = 0.0
    for name, day, measured, guess in small.query(published, sql):
        assert isinstance(day, date)
        found[str(name), day] += float(str(measured or 0)) + float(str(guess))
        estimated += float(str(guess))
    return dict(found), estimated


def test_the_long_day_has_25_hours(published: Path) -> None:
    rows = small.query(
        published, "SELECT day, gpu, sum(gpu_hours_capacity) FROM marts.gpu_daily GROUP BY ALL"
    )
    assert {day for day, _, hours in rows if hours == pytest.approx(25)} == {date(2025, 10, 26)}
    assert all(hours == pytest.approx(24) for day, _, hours in rows if day != date(2025, 10, 26))


def test_second_run_asks_for_nothing_new(published: Path) -> None:
    before = small.fingerprint(published)
    done = small.tierwise("run", "--config", published / "tierwise.yaml", "--date", DAYS[-1].isoformat())
    assert "no bill was read" in done.stdout
    assert small.fingerprint(published) == before


def test_unreachable_server_says_where_and_what_to_do(published: Path) -> None:
    before = small.fingerprint(published)
    config = published / "other.yaml"
    config.write_text(
        (published / "tierwise.yaml")
        .read_text()
        .replace('url: "http://127.0.0.1:', 'url: "http://127.0.0.1:1')
    )
    done = small.tierwise("run", "--config", config, "--date", DAYS[-1].isoformat())
    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stderr
    assert small.fingerprint(published) == before
