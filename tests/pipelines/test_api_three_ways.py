"""Gateway log, provider's usage and invoice that each tell another story; every figure by csv, json and Decimal."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.connectors.bills.helpers import focus, write
from tests.connectors.llm.helpers import bucket, page, request, usage
from tests.pipelines.small import query, tierwise

pytestmark = pytest.mark.long

START = 1788220800  # 2026-09-01 UTC
DAY_S = 86400
CONFIG = """
data_dir: ./data
currency: USD
rates: [{date: 2026-09-01, currency: EUR, rate: "1.1"}]
gates: {api_variance_max_share: 0.05}
sources:
  gateway: {kind: litellm, location: ./logs}
  provider: {kind: openai, location: ./api, usage: false}
  invoice: {kind: focus, location: ./bills, tier: api}
prices:
  - {provider: openai, model: gpt-4o, kind: input, price_per_1m: "2.5", currency: USD, valid_from: 2026-01-01, valid_to: 2026-09-02}
  - {provider: openai, model: gpt-4o, kind: input, price_per_1m: 2, currency: USD, valid_from: 2026-09-03}
  - {provider: openai, model: gpt-4o, kind: cached, price_per_1m: "1.25", currency: USD, valid_from: 2026-01-01}
  - {provider: openai, model: gpt-4o, kind: output, price_per_1m: 10, currency: USD, valid_from: 2026-01-01}
  - {provider: openai, model: gpt-4o-2024-08-06, kind: input, price_per_1m: "2.5", currency: USD, valid_from: 2026-01-01, valid_to: 2026-09-02}
  - {provider: openai, model: gpt-4o-2024-08-06, kind: input, price_per_1m: 2, currency: USD, valid_from: 2026-09-03}
  - {provider: openai, model: gpt-4o-2024-08-06, kind: cached, price_per_1m: "1.25", currency: USD, valid_from: 2026-01-01}
  - {provider: openai, model: gpt-4o-2024-08-06, kind: output, price_per_1m: 10, currency: USD, valid_from: 2026-01-01}
"""
INPUT = {1: Decimal("2.5"), 2: Decimal("2.5"), 3: Decimal(2)}
CACHED, OUTPUT = Decimal("1.25"), Decimal(10)

# day -> (prompt, of which cached, answered) of each request
WORK = {1: [(1_000_003, 400_001, 100_007), (70_000, 0, 3)], 2: [(500_000, 250_000, 50_000)], 3: [(900_000, 899_999, 90_001)]}  # fmt: skip
LOST = 2
EUR_PER_TOKEN = {"input": Decimal("0.0000023"), "cached input": Decimal("0.00000115"), "output": Decimal("0.0000092")}  # fmt: skip
CREDIT = Decimal("-1.25")


def line(day: int, meter: str, tokens: int) -> dict[str, str]:
    """A line of the invoice, in euros."""
    cost = str(tokens * EUR_PER_TOKEN[meter])
    return focus(
        ServiceProviderName="OpenAI", ProviderName="OpenAI", ServiceName="gpt-4o-2024-08-06", SkuMeter=meter,
        ChargeDescription=f"gpt-4o-2024-08-06, {meter}", ConsumedUnit="Tokens", PricingUnit="Tokens", ConsumedQuantity=str(tokens),
        BilledCost=cost, EffectiveCost=cost, ListCost=cost, ContractedCost=cost, BillingCurrency="EUR",
        ChargePeriodStart=f"2026-09-0{day}T00:00:00Z", ChargePeriodEnd=f"2026-09-0{day + 1}T00:00:00Z",
    )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("site")
    log, hours, bill = [], [], []
    for day, requests in WORK.items():
        for n, (prompt, cached, out) in enumerate(requests):
            spend = ((prompt - cached) * INPUT[day] + cached * CACHED + out * OUTPUT) / 1_000_000
            at = f"2026-09-0{day} 10:0{n}:00.000"
            log.append(
                request(
                    10 * day + n, prompt_tokens=str(prompt), completion_tokens=str(out), total_tokens=str(prompt + out),
                    cache_read_input_tokens=str(cached), spend=str(spend), startTime=at, endTime=at,
                )
            )  # fmt: skip
            start = START + (day - 1) * DAY_S + 36_000 + 3_600 * n
            hours.append(bucket(start, start + 3_600, usage(prompt, cached, out, 1)))
            bill += [
                line(day, "input", prompt - cached),
                line(day, "cached input", cached),
                line(day, "output", out),
            ]
    bill.append(
        focus(
            ServiceProviderName="OpenAI", ProviderName="OpenAI", ServiceName="OpenAI API", ChargeCategory="Credit", BilledCost=str(CREDIT),
            EffectiveCost=str(CREDIT), BillingCurrency="EUR", ChargeDescription="Promotional credit", ConsumedQuantity="", ConsumedUnit="",
            PricingUnit="", ListCost="0", ContractedCost="0", ChargeFrequency="One-Time",
        )
    )  # fmt: skip
    write(root / "logs" / "a.csv", [r for r in log if f"2026-09-0{LOST}" not in r["startTime"]])
    (root / "api").mkdir()
    (root / "api" / "usage.json").write_text(json.dumps(page(*hours)))
    write(root / "bills" / "a.csv", bill)
    (root / "tierwise.yaml").write_text(CONFIG)
    done = tierwise("run", "--config", root / "tierwise.yaml", "--date", "2026-10-01")
    (root / "said.txt").write_text(done.stdout + done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    return root


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def accounts(site: Path) -> dict[str, dict[str, Any]]:
    """Kind of token -> the tokens of each account, from the raw files alone."""
    found: dict[str, dict[str, Any]] = {k: defaultdict(int) for k in ("input", "cached", "output", "all")}
    for row in rows(site / "logs" / "a.csv"):
        prompt, cached, out = (int(row[c]) for c in ("prompt_tokens", "cache_read_input_tokens", "completion_tokens"))  # fmt: skip
        for kind, tokens in (("input", prompt - cached), ("cached", cached), ("output", out), ("all", prompt + out)):  # fmt: skip
            found[kind]["gateway"] += tokens
    for one in json.loads((site / "api" / "usage.json").read_text())["data"]:
        for r in one["results"]:
            prompt, cached, out = r["input_tokens"], r["input_cached_tokens"], r["output_tokens"]
            for kind, tokens in (("input", prompt - cached), ("cached", cached), ("output", out), ("all", prompt + out)):  # fmt: skip
                found[kind]["provider"] += tokens
    for row in rows(site / "bills" / "a.csv"):
        if row["ChargeCategory"] == "Usage":
            kind = row["SkuMeter"].removesuffix(" input")
            found[kind]["invoice"] += int(row["ConsumedQuantity"])
            found["all"]["invoice"] += int(row["ConsumedQuantity"])
    return found


def published(site: Path, *columns: str) -> dict[str, tuple[Any, ...]]:
    """Kind of token of gpt-4o -> columns."""
    sql = f"SELECT token_kind, {', '.join(columns)} FROM ops.api_reconciliation WHERE model LIKE 'gpt-4o%'"
    return {kind: tuple(values) for kind, *values in query(site, sql)}


def variances(a: int, b: int) -> Iterator[float]:
    yield a - b
    yield pytest.approx((a - b) / b, rel=1e-12)


def test_tokens_of_each_kind_and_their_variance(site: Path) -> None:
    """Cached tokens are inside the provider's input and beside the invoice's; the log lacks the second day's 250,000."""
    told = accounts(site)
    assert told["input"]["provider"] == told["input"]["invoice"] == 670_002 + 250_000 + 1
    assert told["input"]["gateway"] == 670_003
    columns = ["gateway_tokens", "provider_tokens", "invoice_tokens"]
    for a, b in (("gateway", "provider"), ("provider", "invoice"), ("gateway", "invoice")):
        columns += [f"{a}_{b}_tokens", f"{a}_{b}_tokens_share"]
    assert published(site, *columns, "missing") == {
        kind: (
            t["gateway"], t["provider"], t["invoice"], *variances(t["gateway"], t["provider"]),
            *variances(t["provider"], t["invoice"]), *variances(t["gateway"], t["invoice"]), None,
        )
        for kind, t in told.items()
    }  # fmt: skip


def test_money_of_each_account(site: Path) -> None:
    """The log's spend, the provider's tokens at the price of their day, the invoice as billed."""
    spent = sum((Decimal(r["spend"]) for r in rows(site / "logs" / "a.csv")), Decimal(0))
    listed: dict[str, Decimal] = defaultdict(Decimal)
    for one in json.loads((site / "api" / "usage.json").read_text())["data"]:
        day = (one["start_time"] - START) // DAY_S + 1
        for r in one["results"]:
            cached = r["input_cached_tokens"]
            listed["input"] += (r["input_tokens"] - cached) * INPUT[day] / 1_000_000
            listed["cached"] += cached * CACHED / 1_000_000
            listed["output"] += r["output_tokens"] * OUTPUT / 1_000_000
    listed["all"] = sum(listed.values(), Decimal(0))
    billed: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows(site / "bills" / "a.csv"):
        if row["ChargeCategory"] == "Usage":
            billed[row["SkuMeter"].removesuffix(" input")] += Decimal(row["BilledCost"])
            billed["all"] += Decimal(row["BilledCost"])
    costs = published(
        site, "gateway_cost", "gateway_currency", "provider_cost", "provider_currency", "invoice_cost", "invoice_currency",
        "gateway_provider_cost", "gateway_provider_cost_share", "provider_invoice_cost", "provider_invoice_cost_share",
        "gateway_invoice_cost", "gateway_invoice_cost_share", "gateway_unpriced", "charged",
    )  # fmt: skip
    nothing = (None, None, None, None)  # dollars and euros are not held against each other
    for kind in ("input", "cached", "output"):
        assert costs[kind] == (None, None, listed[kind], "USD", billed[kind], "EUR", None, None, *nothing, 0, "invoice")  # fmt: skip
    difference = spent - listed["all"]
    share = pytest.approx(float(difference / listed["all"]), rel=1e-12)
    assert costs["all"] == (spent, "USD", listed["all"], "USD", billed["all"], "EUR", difference, share, *nothing, 0, "invoice")  # fmt: skip


RATE = Decimal("1.1")


def test_the_invoice_in_dollars_beside_its_euros(site: Path) -> None:
    """Its euros at the one rate there is; what cannot be added up in euros and dollars can in dollars."""
    columns = ["invoice_cost", "invoice_converted_cost", "provider_cost", "provider_invoice_converted_cost"]
    columns += ["provider_invoice_converted_cost_share", "converted_currency", "unconverted"]
    found = published(site, *columns)
    assert set(found) == {"input", "cached", "output", "all"}
    for billed, converted, listed, difference, share, *words in found.values():
        assert (converted, difference) == (billed * RATE, listed - billed * RATE)
        assert share == pytest.approx(float(difference / converted), rel=1e-12)
        assert words == ["USD", None]
    (spent, billed), *_ = query(
        site, "SELECT gateway_cost, invoice_cost FROM ops.api_reconciliation WHERE token_kind = 'all'"
    )
    shown = float(spent / (billed * RATE) - 1)
    assert (
        f'EUR</td><td class="n">{100 * shown:+.1f}%</td></tr>'
        in (site / "data" / "statements" / "index.html").read_text()
    )


def test_the_day_that_the_log_lacks_is_named(site: Path) -> None:
    days = published(site, *(f"{s}_missing_days" for s in ("gateway", "provider", "invoice")))
    assert days == dict.fromkeys(("input", "cached", "output", "all"), (f"2026-09-0{LOST}", None, None))
    overview = (site / "data" / "statements" / "index.html").read_text()
    assert overview.count(f"nothing on {LOST} Sep") == len(days)


def test_the_credit_is_part_of_the_invoice_and_of_no_token(site: Path) -> None:
    other = query(
        site,
        "SELECT provider, model, invoice_tokens, invoice_cost, invoice_currency, missing FROM ops.api_reconciliation WHERE token_kind = 'other'",
    )
    assert other == [("openai", "openai api", None, CREDIT, "EUR", "gateway, provider")]
    whole = sum((Decimal(r["BilledCost"]) for r in rows(site / "bills" / "a.csv")), Decimal(0))
    both = "SELECT sum(invoice_cost) FROM ops.api_reconciliation WHERE token_kind IN ('all', 'other')"
    assert query(site, both) == [(whole,)]
    assert query(site, "SELECT sum(BilledCost), max(BillingCurrency) FROM focus.cost_and_usage") == [(whole, "EUR")]  # fmt: skip


def test_the_gate_names_the_largest_gap(site: Path) -> None:
    """The lost day is 50,000 of 240,011 answered tokens, 250,000 of 920,003 of input, and 250,000 of 1,550,000 cached."""
    told = accounts(site)
    gaps = {k: 1 - t["gateway"] / t["provider"] for k, t in told.items()}
    assert max(gaps, key=lambda k: gaps[k]) == "input"
    said = (site / "said.txt").read_text()
    assert f"api_variance_share is {gaps['input']:.12g}"[:32] in said
    assert "(2026-09 openai gpt-4o input: gateway - provider, tokens)" in said
