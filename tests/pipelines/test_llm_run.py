"""A gateway's log as the only bill: day slices through the whole run, reconciled by month."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from tests.connectors.bills.helpers import write
from tests.connectors.llm.helpers import bucket, cost, page, request
from tests.pipelines.small import query, tierwise

pytestmark = pytest.mark.long

CONFIG = """
data_dir: ./data
gates: {quarantine_max_share: 0.5}
sources:
  gateway: {kind: litellm, location: ./logs, bill: true}
  openai: {kind: openai, location: ./api}
"""


def test_days_of_a_month_are_reconciled_as_one_month(tmp_path: Path) -> None:
    days = ("2026-09-01", "2026-09-02", "2026-09-30", "2026-10-01")
    rows = [
        request(n, startTime=f"{d} 10:00:00", spend=f"{n + 1}.000000000001", custom_llm_provider="mistral")
        for n, d in enumerate(days)
    ]
    rows.append(request(9, startTime="2026-09-02 11:00:00", spend="0.5", prompt_tokens="-1"))
    write(tmp_path / "logs" / "a.csv", rows)
    start = 1788220800  # 2026-09-01
    (tmp_path / "api").mkdir()
    buckets = [bucket(start + d * 86400, start + (d + 1) * 86400, cost("0.25", "m, input")) for d in range(3)]
    import json

    (tmp_path / "api" / "costs.json").write_text(json.dumps(page(*buckets)))
    (tmp_path / "tierwise.yaml").write_text(CONFIG)
    done = tierwise("run", "--config", tmp_path / "tierwise.yaml", "--date", "2026-10-01")
    assert done.returncode == 0, done.stdout + done.stderr
    found = query(
        tmp_path,
        "SELECT source, month, source_total, focus_total, quarantined_total, allocated_total, difference "
        "FROM ops.reconciliation ORDER BY source, month",
    )
    assert found == [
        ("gateway", date(2026, 9, 1), Decimal("6.500000000003"), Decimal("6.000000000003"), Decimal("0.5"), Decimal("6.000000000003"), 0),
        ("gateway", date(2026, 10, 1), Decimal("4.000000000001"), Decimal("4.000000000001"), 0, Decimal("4.000000000001"), 0),
        ("openai", date(2026, 9, 1), Decimal("0.75"), Decimal("0.75"), 0, Decimal("0.75"), 0),
    ]  # fmt: skip
    owners = query(
        tmp_path,
        "SELECT team, tier, sum(effective_cost) FROM marts.chargeback_monthly WHERE source = 'gateway' GROUP BY ALL",
    )
    assert owners == [("vision", "api", Decimal("10.000000000004"))]
    units = query(
        tmp_path,
        "SELECT cost, inferences, tokens_in FROM marts.unit_cost_daily WHERE workload = 'tagger' AND basis = 'full' AND day = '2026-09-01'",
    )
    assert units == [(Decimal("1.000000000001"), 1.0, 100.0)]
