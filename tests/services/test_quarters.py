"""Quarters of an hour of wall meters in a real Prometheus, to a demand charge, through the command, to the cent."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests.pipelines import small
from tests.services.prometheus import prometheus
from tests.sites import Text

pytestmark = pytest.mark.service

DAY = date(2026, 9, 1)
START = int(datetime(2026, 9, 1, tzinfo=UTC).timestamp())

REGISTER = """asset,site,node,kind,units,model,capex,currency,in_service,retired,life_months
a1,dc1,n1,gpu_server,1,H100,3000,USD,2026-09-01,,1
a2,dc1,n2,gpu_server,1,H100,3000,USD,2026-09-01,,1
"""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hours. n1, a gauge: 3, 4, 5, 2 kW, then 1, 9, 1, 1 kW, but five of the 15 samples of 9 kW are missing.
    n2, a counter: 2 kW all the time."""
    folder = tmp_path_factory.mktemp("quarters")
    text = Text()
    watts = (3000, 4000, 5000, 2000, 1000, 9000, 1000, 1000)
    text.add(
        "ipmi_dcmi_power_consumption_watts",
        {"node": "n1", "instance": "bmc-n1"},
        ((START + 60 * m, float(watts[m // 15])) for m in range(120) if not 78 <= m < 83),
    )
    text.add(
        "kepler_node_platform_joules_total",
        {"node": "n2", "instance": "n2:9100", "mode": "dynamic"},
        ((START + 60 * m, 1e6 + 120_000.0 * m) for m in range(121)),
    )
    text.write(folder / "site.om")
    (folder / "assets.csv").write_text(REGISTER)
    with prometheus(folder / "site.om", folder) as url:
        (folder / "tierwise.yaml").write_text(f"""
sources:
  dc1: {{kind: prometheus, url: "{url}", site: dc1, start: {DAY}}}
sites:
  dc1: {{time_zone: UTC, pue: 1.5, tariff: {{energy: "0.10", demand: [{{name: peak, price: "12.50"}}]}}}}
assets: ./assets.csv
""")
        done = small.tierwise("run", "--config", folder / "tierwise.yaml", "--date", DAY.isoformat())
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_quarters_with_missing_samples_are_unknown(published: Path) -> None:
    found = small.query(
        published,
        "SELECT node, hour(hour), kw_q1, kw_q2, kw_q3, kw_q4 FROM telemetry.power_hourly ORDER BY node, hour LIMIT 2",
    )
    assert found == [("n1", 0, 3.0, 4.0, 5.0, 2.0), ("n1", 1, 1.0, None, 1.0, 1.0)]
    counted = small.query(
        published,
        "SELECT kw_q1, kw_q2, kw_q3, kw_q4 FROM telemetry.power_hourly WHERE node = 'n2' AND hour(hour) = 1",
    )
    assert counted == [pytest.approx((2.0, 2.0, 2.0, 2.0))]


def test_the_coincident_peak_is_billed_to_the_cent(published: Path) -> None:
    # 00:30: (5 + 2) kW x PUE 1.5 = 10.5 kW x 12.50 = 131.25.
    found = small.query(published, "SELECT peak_at, cost FROM marts.demand_monthly")
    assert found == [(datetime.fromisoformat("2026-09-01T00:30"), Decimal("131.25"))]
