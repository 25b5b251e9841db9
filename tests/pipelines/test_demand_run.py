"""From the samples of a wall meter in files to a demand charge, through the command, to the cent."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from tests.pipelines import small

pytestmark = pytest.mark.long

DAY = date(2026, 9, 1)
START = datetime(2026, 9, 1, tzinfo=UTC)

REGISTER = """asset,site,node,kind,units,model,capex,currency,in_service,retired,life_months
a1,dc1,n1,gpu_server,1,H100,3000,USD,2026-09-01,,1
"""

CONFIG = """
sources:
  dc1: {kind: telemetry_files, location: ./samples, site: dc1}
sites:
  dc1: {time_zone: UTC, pue: 1.5, tariff: {
    energy: "0.10", demand: [{name: peak, price: "12.34"}, {name: apparent, price: "1.80", unit: kVA}],
    power_factor: 0.9, minimum_month: 3000}}
assets: ./assets.csv
"""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hours: 2 kW, but 3.5 kW from 01:15 to 01:30; a single minute of 9 kW at 00:20."""
    folder = tmp_path_factory.mktemp("demand")
    total, meter, cards = 100.0, [], []
    for minute in range(121):
        ts = START + timedelta(minutes=minute)
        meter.append({"ts": ts, "node": "n1", "energy_kwh_total": total})
        cards.append(
            {"ts": ts, "node": "n1", "gpu": "g1", "energy_mj": 1e12 + minute * 3e7, "team": "vision"}
        )
        total += (9 if minute == 20 else 3.5 if 75 <= minute < 90 else 2) / 60
    for name, rows in (("power", meter), ("gpu", cards)):
        (folder / "samples").mkdir(exist_ok=True)
        pl.DataFrame(rows).write_parquet(folder / "samples" / f"{name}.parquet")
    (folder / "assets.csv").write_text(REGISTER)
    (folder / "tierwise.yaml").write_text(CONFIG)
    done = small.tierwise("run", "--config", folder / "tierwise.yaml", "--date", DAY.isoformat())
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_highest_quarter_is_billed_to_the_cent(published: Path) -> None:
    # 00:15: (14 x 2 + 9) / 15 = 2.47 kW. 01:15: 3.5 kW x PUE 1.5 = 5.25 kW x 12.34 = 64.785.
    peak = small.query(published, "SELECT peak_kw::DOUBLE, peak_at, cost FROM marts.demand_monthly")
    # At 0.9: 5.25 / 0.9 = 5.8333 kVA x 1.80 = 10.50.
    at = datetime.fromisoformat("2026-09-01T01:15")
    assert sorted(peak) == [
        (pytest.approx(5.25), at, Decimal("10.5")),
        (pytest.approx(5.25), at, Decimal("64.785")),
    ]


def test_the_month_costs_its_minimum(published: Path) -> None:
    """Energy (104 x 2 + 15 x 3.5 + 9) / 60 kWh x 1.5 x 0.10 = 0.67375; 1 September of 3,000 is 100: 24.04125 lack."""
    found = small.query(
        published,
        "SELECT AllocatedTags, SkuMeter, ConsumedUnit, round(ConsumedQuantity, 6)::DOUBLE, round(BilledCost, 9)::DOUBLE, ChargeDescription "
        "FROM focus.cost_and_usage WHERE ServiceName = 'Site electricity' ORDER BY BilledCost",
    )
    assert [row[1:] for row in found] == [
        ("Demand", "kVA", 5.833333, 10.5, "Demand: apparent, provisional until the month ends"),
        (
            "Fixed charge",
            "Months",
            0.033333,
            24.04125,
            "Electricity: top-up to the minimum, provisional until the month ends",
        ),
        ("Demand", "kW", 5.25, 64.785, "Demand: peak, provisional until the month ends"),
    ]
    assert all("vision" in str(row[0]) for row in found)
    total = "SELECT sum(BilledCost) FROM focus.cost_and_usage WHERE ServiceName = 'Site electricity' OR SkuId = 'energy'"
    assert small.query(published, total) == [(Decimal(100),)]
    team = "SELECT sum(effective_cost) FROM marts.chargeback_daily WHERE service_name = 'Site electricity' AND team = 'vision'"
    assert small.query(published, team)[0][0] == pytest.approx(Decimal("99.32625"), abs=Decimal("1e-9"))
