"""Money of model APIs in several currencies, through a whole run: each stays its own, conversion stands beside it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests.connectors.llm.helpers import bucket, cost, page, usage
from tests.pipelines import small

pytestmark = pytest.mark.long

START = int(datetime(2026, 11, 2, tzinfo=UTC).timestamp())
DAY, HOUR = 86400, 3600
SOURCES = """
  models: {kind: openai, location: ./api}
rates: ./rates.csv
"""


def write_pages(site: Path) -> None:
    """2 November: 8 EUR and 2 EUR input and output, 5 USD of another model; 1,000,000 tokens of the first."""
    eur, usd = ({"currency": c} for c in ("eur", "usd"))
    costs = [
        cost(8, "gpt-a, input", amount={"value": 8, **eur}),
        cost(2, "gpt-a, output", amount={"value": 2, **eur}),
        cost(5, "gpt-b, input", amount={"value": 5, **usd}),
    ]
    (site / "api").mkdir()
    (site / "api" / "costs.json").write_text(json.dumps(page(bucket(START, START + DAY, *costs))))
    used = bucket(START + HOUR, START + 2 * HOUR, usage(800_000, 0, 200_000, 4, "gpt-a"))
    (site / "api" / "usage.json").write_text(json.dumps(page(used)))


def test_money_of_apis_keeps_its_currency_and_is_never_added_to_another(tmp_path: Path) -> None:
    """The bill has 3.50 USD and 7 EUR in November; EUR is worth 1.10 USD until the 2nd, 1.20 from the 3rd on."""
    write_pages(tmp_path)
    config = small.write_site(tmp_path, small.CONFIG.rstrip("\n") + SOURCES)
    small.write_bill(
        tmp_path, "2026-11", [*small.NOVEMBER_ROWS, small.row("7", small.NOVEMBER, 3, currency="EUR")]
    )
    (tmp_path / "rates.csv").write_text("date,currency,rate\n2026-09-30,EUR,1.10\n2026-11-03,EUR,1.20\n")
    done = small.tierwise("run", "--config", config, "--date", "2026-11-05")
    assert done.returncode == 0, done.stdout + done.stderr

    # 10 EUR x 1.10 on the 2nd; 7 EUR x 1.20 on the 3rd
    charged = small.query(
        tmp_path,
        """SELECT tier, currency, sum(effective_cost), sum(converted_cost) FROM marts.chargeback_monthly
           WHERE month = DATE '2026-11-01' GROUP BY ALL ORDER BY ALL""",
    )
    assert charged == [
        ("api", "EUR", Decimal(10), Decimal(11)),
        ("api", "USD", Decimal(5), Decimal(5)),
        ("cloud", "EUR", Decimal(7), Decimal("8.4")),
        ("cloud", "USD", Decimal("3.5"), Decimal("3.5")),
    ]
    reconciled = small.query(
        tmp_path,
        """SELECT source, currency, source_total, focus_total, allocated_total, difference FROM ops.reconciliation
           WHERE month = DATE '2026-11-01' ORDER BY ALL""",
    )
    assert reconciled == [
        (source, currency, total, total, total, 0)
        for source, currency, total in (
            ("bills", "EUR", Decimal(7)),
            ("bills", "USD", Decimal("3.5")),
            ("models", "EUR", Decimal(10)),
            ("models", "USD", Decimal(5)),
        )
    ]
    # a million tokens of gpt-a cost 10 EUR
    unit = small.query(
        tmp_path,
        """SELECT DISTINCT model, currency, cost, cost_per_1m_tokens FROM marts.unit_cost_daily
           WHERE model = 'gpt-a' AND cost IS NOT NULL""",
    )
    assert unit == [("gpt-a", "EUR", Decimal(10), Decimal(10))]
    held = small.query(
        tmp_path,
        "SELECT model, invoice_currency, sum(invoice_cost) FROM ops.api_reconciliation WHERE token_kind = 'all' GROUP BY ALL ORDER BY ALL",
    )
    assert held == [("gpt-a", "EUR", Decimal(10)), ("gpt-b", "USD", Decimal(5))]
