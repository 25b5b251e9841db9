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


def test_a_version_that_comes_back_is_a_change_of_its_own(tmp_path: Path) -> None:
    small.write_site(tmp_path)
    for cost in ("10.10", "11.10", "10.10", "10.10"):
        small.write_bill(tmp_path, "2026-10", october(cost))
        run(tmp_path, "--date", "2026-11-25")
    asked = (
        "SELECT row_number() OVER (ORDER BY p.published_at), current, changes->>'$[0].billed_cost_before', "
        "changes->>'$[0].billed_cost_after' FROM ops.ingests AS i JOIN ops.publications AS p USING (run_id) "
        "WHERE strftime(period, '%Y-%m') = '{}' ORDER BY 1"
    )
    first, second = "30.300000000001", "31.300000000001"
    assert small.query(tmp_path, asked.format("2026-10")) == [
        (1, False, None, None),
        (2, False, first, second),
        (3, True, second, first),
    ]
    assert small.query(tmp_path, asked.format("2026-11")) == [(1, True, None, None)]


def test_a_month_of_owned_hardware_that_goes_with_the_bills_is_told(tmp_path: Path) -> None:
    """Without telemetry a site is charged from the first bill on: October goes, 300 of it owned."""
    later = OWNED.replace("./bills}", "./bills}\n  later: {kind: focus, location: ./later/bills}")
    config = small.write_site(tmp_path, later)
    (tmp_path / "bills" / "2026-11.csv").unlink()
    small.write_bill(tmp_path / "later", "2026-11", small.NOVEMBER_ROWS)
    run(tmp_path, "--date", "2026-11-25")
    config.write_text(later.replace("  bills:", "  # bills:"))
    run(tmp_path, "--date", "2026-11-25")
    ((told,),) = small.query(
        tmp_path, "SELECT detail FROM ops.quality WHERE gate = 'removed_sources' AND NOT passed"
    )
    assert "(bills: USD 30.30; site:dc1 2026-10: USD 300.00)" in str(told)
