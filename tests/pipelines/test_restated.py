"""An earlier month is delivered again: what changed is told, and all other months stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipelines import small

pytestmark = pytest.mark.long

OWNED = (
    small.CONFIG
    + """
sites: {dc1: {time_zone: UTC, tariff: 0.10}}
assets:
  - {asset: a1, site: dc1, node: n1, kind: gpu_server, units: 1, model: H100, capex: 3600, currency: USD, in_service: 2026-10-01, life_months: 12}
"""
)
"""300 a month: 10 a day of November."""


def run(site: Path, *options: str) -> None:
    done = small.tierwise("run", "--config", site / "tierwise.yaml", *options)
    assert done.returncode == 0, done.stdout + done.stderr


def october(cost: str) -> list[str]:
    return [small.row(cost, small.OCTOBER, 1, '{"team":"vision"}'), *small.OCTOBER_ROWS[1:]]


@pytest.mark.parametrize("again", [("--month", "2026-10"), ("--date", "2026-11-10")])
def test_owned_hardware_stays_charged_up_to_the_published_day(tmp_path: Path, again: tuple[str, str]) -> None:
    small.write_site(tmp_path, OWNED)
    run(tmp_path, "--date", "2026-11-25")
    small.write_bill(tmp_path, "2026-10", october("11.10"))
    run(tmp_path, *again)
    assert small.query(
        tmp_path,
        "SELECT strftime(month, '%Y-%m'), round(sum(effective_cost), 6) FROM marts.chargeback_monthly "
        "WHERE source = 'site:dc1' GROUP BY ALL ORDER BY ALL",
    ) == [("2026-10", 300), ("2026-11", 250)]
    assert small.totals(tmp_path)["vision"] == "14.600000000000"  # 11.10 + 5 - 1.5
