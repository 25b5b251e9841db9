"""A gateway's log as the only bill: day slices through the whole run, reconciled by month."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from tests.connectors.bills.helpers import write
from tests.connectors.llm import anthropic_pages as claude
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


def test_log_usage_and_bill_of_anthropic_agree_by_kind_of_token(tmp_path: Path) -> None:
    """10 requests of 110,000 tokens in, 10,000 of them from the cache, and 10,000 out, 0.45 USD each by the log."""
    (tmp_path / "claude").mkdir()
    search = {"cost_type": "web_search", "token_type": None, "model": None, "description": "Web Search Usage"}
    tokens = [claude.cost("300"), claude.cost("3", "cache_read_input_tokens"), claude.cost("150", "output_tokens")]  # fmt: skip
    costs = claude.page(claude.day(1, *tokens, claude.cost("20", **search)))
    used = claude.page(claude.bucket("01T10:00:00", "01T11:00:00", claude.usage(1_000_000, 100_000, 0, 100_000)))  # fmt: skip
    for name, content in (("costs", costs), ("usage", used)):
        (tmp_path / "claude" / f"{name}.json").write_text(json.dumps(content))
    asked = {"model": f"anthropic/{claude.SONNET}", "custom_llm_provider": "anthropic", "spend": "0.45"}
    counts = {"prompt_tokens": "110000", "completion_tokens": "10000", "total_tokens": "120000", "cache_read_input_tokens": "10000"}  # fmt: skip
    write(tmp_path / "logs" / "a.csv", [request(n, **asked, **counts) for n in range(10)])
    (tmp_path / "tierwise.yaml").write_text(
        "data_dir: ./data\nsources:\n  gateway: {kind: litellm, location: ./logs}\n"
        "  claude: {kind: anthropic, location: ./claude, usage: false}\n"
    )
    done = tierwise("run", "--config", tmp_path / "tierwise.yaml", "--date", "2026-09-10")
    assert done.returncode == 0, done.stdout + done.stderr
    found = query(
        tmp_path,
        "SELECT model, token_kind, gateway_tokens, provider_tokens, gateway_cost, invoice_cost FROM ops.api_reconciliation ORDER BY ALL",
    )
    assert found == [
        (claude.SONNET, "all", 1_200_000, 1_200_000, Decimal("4.5"), Decimal("4.53")),
        (claude.SONNET, "cached", 100_000, 100_000, None, Decimal("0.03")),
        (claude.SONNET, "input", 1_000_000, 1_000_000, None, Decimal(3)),
        (claude.SONNET, "output", 100_000, 100_000, None, Decimal("1.5")),
        ("web search", "other", None, None, None, Decimal("0.2")),
    ]
