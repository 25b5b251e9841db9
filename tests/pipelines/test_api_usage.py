"""Gateway log, provider's usage and bills of model APIs through the whole run; figures by hand."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.connectors.bills.helpers import cur, write
from tests.connectors.llm.helpers import bucket, cost, page, request, usage
from tests.pipelines.small import query, tierwise

pytestmark = pytest.mark.long

START = 1788220800  # 2026-09-01 UTC
CONFIG = """
data_dir: ./data
gates: {api_variance_max_share: 0.05}
sources:
  gateway: {kind: litellm, location: ./logs, bill: [Anthropic]}
  openai: {kind: openai, location: ./api, usage: false}
  aws: {kind: aws_cur, location: ./aws}
prices:
  - {provider: anthropic, model: claude-sonnet-4-6, kind: input, price_per_1m: 3, currency: USD, valid_from: 2026-01-01}
  - {provider: anthropic, model: claude-sonnet-4-6, kind: cached, price_per_1m: "0.3", currency: USD, valid_from: 2026-01-01}
  - {provider: anthropic, model: claude-sonnet-4-6, kind: output, price_per_1m: 15, currency: USD, valid_from: 2026-01-01}
  - {provider: openai, model: gpt-4o-2024-08-06, kind: input, price_per_1m: "2.5", currency: USD, valid_from: 2026-01-01}
  - {provider: openai, model: gpt-4o-2024-08-06, kind: cached, price_per_1m: "1.25", currency: USD, valid_from: 2026-01-01}
  - {provider: openai, model: gpt-4o-2024-08-06, kind: output, price_per_1m: 10, currency: USD, valid_from: 2026-01-01}
"""

CLAUDE = {
    "custom_llm_provider": "anthropic",
    "model": "claude-sonnet-4-6",
    "model_group": "writer",
    "team_alias": "docs",
}
NOVA = {"custom_llm_provider": "bedrock_converse", "model": "eu.amazon.nova-pro-v1:0", "model_group": "nova"}
LOG: list[dict[str, Any]] = [
    request(1, prompt_tokens="1000", completion_tokens="100", total_tokens="1100", cache_read_input_tokens="400", spend="0.003"),
    request(2, prompt_tokens="9000", completion_tokens="1", total_tokens="9001", cache_read_input_tokens="", cache_hit="True", spend="0"),
    # no spend: 1,000 x 3 + 500 x 0.3 + 200 x 15 = 6,150 per million; the second: 100 x 3 + 15 x 20 = 600
    request(3, prompt_tokens="1500", completion_tokens="200", total_tokens="1700", cache_read_input_tokens="500", spend="0", **CLAUDE),
    request(4, cache_read_input_tokens="0", spend="", **CLAUDE),
    # no price either
    request(5, cache_read_input_tokens="0", spend="0", **NOVA),
]  # fmt: skip


def aws(usage_type: str, thousand: str, amount: str) -> dict[str, str]:
    return cur(
        lineItem__ProductCode="AmazonBedrock", product__ProductName="Amazon Bedrock", lineItem__UsageType=usage_type,
        pricing__unit="1K tokens", lineItem__UsageAmount=thousand, lineItem__UnblendedCost=amount,
    )  # fmt: skip


@pytest.fixture
def site(tmp_path: Path) -> Path:
    write(tmp_path / "logs" / "a.csv", LOG)
    (tmp_path / "api").mkdir()
    day = bucket(START, START + 86400, cost("0.0015", "gpt-4o-2024-08-06, input", quantity=600), cost("0.0005", "gpt-4o-2024-08-06, cached input", quantity=400), cost("0.0011", "gpt-4o-2024-08-06, output", quantity=110), cost("0.5", "web search"))  # fmt: skip
    (tmp_path / "api" / "costs.json").write_text(json.dumps(page(day)))
    hour = bucket(START + 36000, START + 39600, usage(1000, 400, 110, 1))
    (tmp_path / "api" / "usage.json").write_text(json.dumps(page(hour)))
    write(
        tmp_path / "aws" / "a.csv",
        [
            aws("EUC1-NovaPro-input-tokens", "0.1", "0.00008"),
            aws("EUC1-NovaPro-output-tokens", "0.02", "0.000064"),
            cur(),
        ],
    )
    (tmp_path / "tierwise.yaml").write_text(CONFIG)
    return tmp_path


def run(site: Path, date: str = "2026-10-01") -> Any:
    return tierwise("run", "--config", site / "tierwise.yaml", "--date", date)


def test_requests_without_a_cost_are_priced_and_three_accounts_are_held_against_each_other(
    site: Path,
) -> None:
    done = run(site)
    assert done.returncode == 0, done.stdout + done.stderr
    text = " ".join((done.stdout + done.stderr).split())
    assert (
        "unpriced_requests is 1; allowed: at most 0 (bedrock_converse eu.amazon.nova-pro-v1:0: 1 requests, 120 tokens)"
        in text
    )
    # money: 0.5031 of OpenAI's bill, 10.000144 of AWS's, 0.00675 of Anthropic from the price list; nothing of the log's
    # own estimates for OpenAI and Bedrock, whose bills are there
    assert query(site, "SELECT x_source, sum(BilledCost) FROM focus.cost_and_usage GROUP BY 1 ORDER BY 1") == [
        ("aws", Decimal("10.000144")), ("gateway", Decimal("0.00675")), ("openai", Decimal("0.5031")),
    ]  # fmt: skip
    assert query(
        site,
        "SELECT team, sum(effective_cost) FROM marts.chargeback_monthly WHERE source = 'gateway' GROUP BY 1",
    ) == [("docs", Decimal("0.00675"))]
    assert query(site, "SELECT max(difference) FROM ops.reconciliation") == [(0,)]
    used = "SELECT provider, requests, requests_priced, requests_unpriced, cost FROM telemetry.api_usage_daily WHERE side = 'gateway' ORDER BY 1"
    assert query(site, used) == [
        ("anthropic", 2, 2, 0, Decimal("0.00675")), ("bedrock_converse", 1, 0, 1, None), ("openai", 1, 0, 0, Decimal("0.003")),
    ]  # fmt: skip
    found = {
        (r[0], r[1], r[2]): r[3:]
        for r in query(
            site,
            "SELECT provider, model, token_kind, gateway_tokens, provider_tokens, invoice_tokens, gateway_cost, provider_cost, "
            "invoice_cost, missing, charged, gateway_unpriced FROM ops.api_reconciliation",
        )
    }
    # the answer from the gateway's own cache (9,000 tokens) never reached OpenAI and is not in its account
    gpt = ("openai", "gpt-4o")
    assert found[(*gpt, "input")][:3] == (600, 600, 600)
    assert found[(*gpt, "cached")][:3] == (400, 400, 400)
    assert found[(*gpt, "output")][:3] == (100, 110, 110)
    # provider at list: 600 x 2.5 + 400 x 1.25 + 110 x 10 = 3,100 per million
    assert found[(*gpt, "all")] == (
        1100,
        1110,
        1110,
        Decimal("0.003"),
        Decimal("0.0031"),
        Decimal("0.0031"),
        None,
        "invoice",
        0,
    )
    assert found["openai", "web search", "other"][5] == Decimal("0.5")
    nova = found["bedrock", "eu.amazon.nova-pro-v1:0", "all"]
    assert nova == (120, None, 120, None, None, Decimal("0.000144"), "provider", "invoice", 1)
    claude = found["anthropic", "claude-sonnet-4-6", "all"]
    assert claude == (1820, None, None, Decimal("0.00675"), None, None, "provider, invoice", "gateway", 0)
    issues = "SELECT action, rule, value, rows FROM ops.quarantine WHERE column_name = 'spend' ORDER BY rule"
    assert query(site, issues) == [
        ("repaired", "priced_from_list", "claude-sonnet-4-6", 2), ("flagged", "spend_without_price", "eu.amazon.nova-pro-v1:0", 1),
    ]  # fmt: skip
    assert (
        "api_variance_share is 0.0909090909091; allowed: at most 0.05 (2026-09 openai gpt-4o output: gateway - provider, tokens)"
        in done.stdout
    )
    overview = " ".join((site / "data" / "statements" / "index.html").read_text().split())
    shown = overview[overview.index("Model APIs: log, usage and bill") : overview.index("<h2>Sources</h2>")]
    assert (
        '<td class="n">1,100</td><td class="n">1,110</td><td class="n">1,110</td><td class="n">-0.9%</td>'
        in shown
    )
    assert "1 requests without a price" in shown
    assert "claude" not in shown  # one account alone has nothing to be held against
    sql = tierwise(
        "sql",
        "SELECT count(*) AS n FROM ops.api_reconciliation",
        "--config",
        site / "tierwise.yaml",
        "--format",
        "csv",
    )
    assert sql.stdout.split() == ["n", "13"]


def test_a_month_that_is_not_over_is_not_judged(site: Path) -> None:
    assert "api_variance_share" not in run(site, "2026-09-29").stdout


def test_money_of_a_gateway_and_of_a_bill_is_refused(site: Path) -> None:
    config = (site / "tierwise.yaml").read_text()
    (site / "tierwise.yaml").write_text(config.replace("bill: [Anthropic]", "bill: true"))
    done = run(site)
    assert done.returncode == 1
    assert "api_charged_twice is 1; allowed: at most 0 (2026-09 openai)" in done.stderr
    assert not (site / "data" / "warehouse.duckdb").exists()
    (site / "tierwise.yaml").write_text(
        config.replace("bill: [Anthropic]", "bill: true").replace(
            "gates: {", "gates: {api_charged_twice_max: 1, "
        )
    )
    assert run(site).returncode == 0


def test_another_price_reads_only_the_days_for_which_it_holds(site: Path) -> None:
    write(
        site / "logs" / "b.csv",
        [request(9, spend="", startTime="2026-09-20 10:00:00", cache_read_input_tokens="0", **CLAUDE)],
    )
    assert run(site).returncode == 0
    new = "{provider: anthropic, model: claude-sonnet-4-6, kind: input, price_per_1m: 3, currency: USD, valid_from: 2026-01-01"
    config = (site / "tierwise.yaml").read_text()
    later = new.replace("2026-01-01", "2026-09-15").replace("price_per_1m: 3", "price_per_1m: 6")
    (site / "tierwise.yaml").write_text(
        config.replace(f"  - {new}}}", f"  - {new}, valid_to: 2026-09-14}}\n  - {later}}}")
    )
    done = run(site)
    assert done.returncode == 0, done.stderr
    days = "SELECT day, cost FROM telemetry.api_usage_daily WHERE provider = 'anthropic' ORDER BY day"
    # 100 x 6 + 20 x 15 = 900 per million on the 20th
    assert [c for _, c in query(site, days)] == [Decimal("0.00675"), Decimal("0.0009")]
    reads = "SELECT count(*) FROM ops.ingests WHERE source = 'gateway'"
    assert query(site, reads) == [(3,)]  # the 20th alone was read again


@pytest.mark.parametrize(
    ("price", "says"),
    [
        (
            "kind: input, price_per_1m: 4, currency: USD, valid_from: 2026-05-01",
            "one price a kind of token and day",
        ),
        ("kind: thinking, price_per_1m: 4, currency: USD, valid_from: 2026-05-01", "prices.6.kind"),
        (
            "kind: input, price_per_1m: -1, currency: USD, valid_from: 2027-05-01",
            "prices.6.price_per_1m",
        ),
    ],
)
def test_a_price_list_that_contradicts_itself_is_refused(site: Path, price: str, says: str) -> None:
    text = (
        site / "tierwise.yaml"
    ).read_text() + f"  - {{provider: Anthropic, model: Claude-Sonnet-4-6, {price}}}\n"
    (site / "tierwise.yaml").write_text(text)
    done = run(site)
    assert done.returncode == 2
    assert says in done.stderr
