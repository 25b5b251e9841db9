"""Three accounts of one month's work; figures worked out by hand in comments."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.api_reconciliation import BILL, SIDE, gateway_side, invoice_side, provider_side, reconcile
from models.llm import price_frame
from models.records import Price, Rate
from models.tables import API_USAGE

DAY = date(2026, 9, 1)
NOTHING = pl.DataFrame(schema=SIDE)
NOBODY = pl.DataFrame(schema={"day": pl.Date, "provider": pl.String, "model": pl.String})
PRICES = price_frame(
    [
        Price.model_validate(
            {"provider": "openai", "model": "gpt-4o", "kind": k, "price_per_1m": p, "currency": "USD", "valid_from": "2026-01-01"}
        )
        for k, p in (("input", "2.5"), ("cached", "1.25"), ("output", "10"))
    ]
)  # fmt: skip


def used(
    side: str, read: float, cached: float | None, out: float, cost: str | None = None, **changes: Any
) -> pl.DataFrame:
    row = {
        "day": DAY, "source": "s", "side": side, "provider": "OpenAI", "model": "gpt-4o", "requests": 1.0,
        "requests_priced": 0.0, "requests_unpriced": 0.0 if cost else 1.0, "tokens_in": read, "tokens_cached": cached,
        "tokens_out": out, "cost": None if cost is None else Decimal(cost), "currency": None if cost is None else "USD",
    }  # fmt: skip
    return API_USAGE.conform(pl.DataFrame([row | changes]))


def line(meter: str, quantity: str | None, cost: str, **changes: Any) -> dict[str, Any]:
    return {
        "day": DAY, "service_provider": "OpenAI", "service_name": "gpt-4o-2024-08-06", "sku_meter": meter,
        "description": None, "unit": "Tokens", "category": "Usage", "currency": "USD",
        "quantity": None if quantity is None else Decimal(quantity), "billed_cost": Decimal(cost),
    } | changes  # fmt: skip


def bill(*lines: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(lines, schema=BILL)


def by_kind(frame: pl.DataFrame) -> dict[str, dict[str, Any]]:
    return {r["token_kind"]: r for r in frame.iter_rows(named=True)}


def test_three_accounts_of_the_same_work() -> None:
    gateway = gateway_side(
        pl.concat([used("gateway", 900, 300, 90, "0.0026"), used("gateway", 50, 50, 10, "0.0002")])
    )
    provider = provider_side(used("provider", 1000, 400, 100, model="gpt-4o"), PRICES)
    invoice = invoice_side(
        bill(
            line("input", "600", "0.0015"),
            line("cached input", "400", "0.0005"),
            line("output", "110", "0.0011"),
        )
    )
    got = by_kind(reconcile(gateway, provider, invoice, NOBODY))
    assert set(got) == {"input", "cached", "output", "all"}
    read, cached, out, whole = (got[k] for k in ("input", "cached", "output", "all"))
    assert {(r["provider"], r["model"], r["month"], r["missing"], r["charged"]) for r in got.values()} == {
        ("openai", "gpt-4o", DAY, None, "invoice")
    }
    assert read["names"] == "gpt-4o, gpt-4o-2024-08-06"
    # gateway: 900 - 300 + 50 - 50 = 600 input, 350 cached, 100 output
    assert [read[f"{s}_tokens"] for s in ("gateway", "provider", "invoice")] == [600, 600, 600]
    assert [cached[f"{s}_tokens"] for s in ("gateway", "provider", "invoice")] == [350, 400, 400]
    assert [out[f"{s}_tokens"] for s in ("gateway", "provider", "invoice")] == [100, 100, 110]
    assert [whole[f"{s}_tokens"] for s in ("gateway", "provider", "invoice")] == [1050, 1100, 1110]
    assert cached["gateway_provider_tokens"] == -50
    assert cached["gateway_provider_tokens_share"] == pytest.approx(-0.125)
    assert out["provider_invoice_tokens"] == -10
    # provider at list: 600 x 2.5 + 400 x 1.25 + 100 x 10 = 3000 per million; the log says 0.0028, the bill 0.0031
    assert [whole[f"{s}_cost"] for s in ("gateway", "provider", "invoice")] == [
        Decimal("0.0028"),
        Decimal("0.003"),
        Decimal("0.0031"),
    ]
    assert (whole["gateway_invoice_cost"], whole["provider_invoice_cost"]) == (
        Decimal("-0.0003"),
        Decimal("-0.0001"),
    )
    assert whole["gateway_invoice_cost_share"] == pytest.approx(-3 / 31)
    assert (cached["provider_cost"], cached["invoice_cost"]) == (Decimal("0.0005"), Decimal("0.0005"))
    assert read["gateway_cost"] is None  # a log does not split a request's cost


def test_what_is_not_known_is_null_and_counted() -> None:
    unpriced = used("gateway", 100, None, 10, cost=None, requests=3.0, requests_unpriced=3.0)
    gateway = gateway_side(pl.concat([used("gateway", 100, 0, 10, "0.5"), unpriced]))
    got = by_kind(reconcile(gateway, NOTHING, invoice_side(bill(line("input", None, "1"))), NOBODY))
    assert (got["all"]["gateway_tokens"], got["all"]["gateway_cost"], got["all"]["gateway_unpriced"]) == (
        220,
        None,
        3,
    )
    assert (got["all"]["gateway_invoice_cost"], got["all"]["missing"]) == (None, "provider")
    assert (got["cached"]["gateway_tokens"], got["output"]["gateway_tokens"]) == (None, 20)
    assert got["output"]["missing"] == "provider, invoice"
    assert (got["input"]["invoice_tokens"], got["input"]["invoice_cost"]) == (None, 1)


def test_usage_without_a_price_has_no_cost() -> None:
    got = by_kind(
        reconcile(NOTHING, provider_side(used("provider", 10, 0, 1, model="gpt-9"), PRICES), NOTHING, NOBODY)
    )
    assert [got[k]["provider_cost"] for k in ("input", "cached", "output", "all")] == [None] * 4
    assert got["all"]["provider_tokens"] == 11


def test_currencies_are_not_compared_and_not_added() -> None:
    euro = line("input", "10", "1", currency="EUR")
    gateway = gateway_side(used("gateway", 10, 0, 0, "1"))
    one = by_kind(reconcile(gateway, NOTHING, invoice_side(bill(euro)), NOBODY))["all"]
    assert (one["invoice_cost"], one["invoice_currency"], one["gateway_invoice_cost"]) == (1, "EUR", None)
    assert one["gateway_invoice_tokens"] == 0
    two = by_kind(reconcile(gateway, NOTHING, invoice_side(bill(euro, line("input", "10", "1"))), NOBODY))[
        "all"
    ]
    assert (two["invoice_cost"], two["invoice_currency"], two["invoice_tokens"]) == (None, None, 20)


def test_months_are_of_days() -> None:
    days = (DAY, date(2026, 9, 30), date(2026, 10, 1))
    gateway = gateway_side(pl.concat([used("gateway", 10, 0, 0, "1", day=d) for d in days]))
    got = reconcile(gateway, NOTHING, NOTHING, NOBODY).filter(pl.col("token_kind") == "all")
    assert got["month"].to_list() == [DAY, date(2026, 10, 1)]
    assert got["gateway_cost"].to_list() == [2, 1]


def test_who_carries_the_money() -> None:
    gateway = gateway_side(
        pl.concat(
            [used("gateway", 1, 0, 0, "1"), used("gateway", 1, 0, 0, "1", provider="mistral", model="m")]
        )
    )
    charged = pl.DataFrame({"day": [DAY, DAY], "provider": ["mistral", "openai"], "model": ["m", "gpt-4o"]})
    got = reconcile(gateway, NOTHING, invoice_side(bill(line("input", "1", "1"))), charged)
    found = {(r["provider"], r["charged"]) for r in got.iter_rows(named=True) if r["token_kind"] == "all"}
    assert found == {("mistral", "gateway"), ("openai", "gateway, invoice")}


def test_aliases_bring_models_together() -> None:
    gateway = gateway_side(used("gateway", 1, 0, 0, "1", model="chat-prod", provider="proxy"))
    invoice = invoice_side(bill(line("input", "1", "1")))
    apart = reconcile(gateway, NOTHING, invoice, NOBODY)
    assert apart["missing"].drop_nulls().len() == apart.height
    together = reconcile(
        gateway, NOTHING, invoice, NOBODY, models={"chat-prod": "gpt-4o"}, providers={"proxy": "openai"}
    )
    assert by_kind(together)["all"]["gateway_invoice_cost"] == 0


def test_nothing() -> None:
    assert reconcile(NOTHING, NOTHING, NOTHING, NOBODY).is_empty()
    assert reconcile(
        gateway_side(API_USAGE.empty()),
        provider_side(API_USAGE.empty(), PRICES),
        invoice_side(bill()),
        NOBODY,
    ).is_empty()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["input", "cached input", "output", "web search", None]),
            st.sampled_from(["Usage", "Credit", "Tax"]),
            st.decimals(-1000, 1000, places=12),
            st.sampled_from(["a", "b"]),
        ),
        max_size=12,
    )
)
def test_no_money_of_a_bill_is_lost(lines: list[tuple[str | None, str, Decimal, str]]) -> None:
    rows = [line(m or "", "1", str(c), service_name=s, category=k) for m, k, c, s in lines]
    got = reconcile(NOTHING, NOTHING, invoice_side(bill(*rows)), NOBODY)
    for kinds in (("all", "other"), ("input", "cached", "output", "other")):
        kept = got.filter(pl.col("token_kind").is_in(kinds))["invoice_cost"]
        assert sum(kept, Decimal(0)) == sum((c for _, _, c, _ in lines), Decimal(0))


def on(day: int, frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(day=pl.lit(date(2026, 9, day)))


def test_days_that_one_account_lacks_are_named() -> None:
    """The log has the 1st and 4th, the provider the 1st to 3rd (cached on the 2nd only), the bill the 1st and a line
    of input for the 2nd and 3rd together."""
    gateway = gateway_side(pl.concat(on(d, used("gateway", 10, 0, 1, "0.1")) for d in (1, 4)))
    counted = {1: (10, 0, 1), 2: (10, 4, 1), 3: (0, 0, 7)}
    provider = provider_side(
        pl.concat(on(d, used("provider", *tokens)) for d, tokens in counted.items()), PRICES
    )
    lines = [
        line("input", "10", "1"), line("output", "1", "1"),
        line("input", "6", "1", day=date(2026, 9, 2), last_day=date(2026, 9, 3)),
        line("credit", None, "-1", category="Credit", day=date(2026, 9, 9)),
    ]  # fmt: skip
    got = by_kind(reconcile(gateway, provider, invoice_side(bill(*lines)), NOBODY))
    days = {
        kind: tuple(row[f"{side}_missing_days"] for side in ("gateway", "provider", "invoice"))
        for kind, row in got.items()
    }
    second, third, fourth = ("2026-09-02", "2026-09-03", "2026-09-04")
    assert days == {
        "input": (second, fourth, fourth),  # on the 3rd the provider counted no input
        "cached": (second, None, second),
        "output": (f"{second}, {third}", fourth, f"{second}, {third}, {fourth}"),
        "all": (f"{second}, {third}", fourth, fourth),
        "other": (None, None, None),
    }


def test_costs_of_other_currencies_are_held_against_each_other_at_the_rate_of_their_day() -> None:
    rates = [
        Rate(date=date(2026, 9, 1), currency="EUR", rate=Decimal("1.1")),
        Rate(date=date(2026, 9, 3), currency="EUR", rate=Decimal("1.25")),
    ]
    gateway = gateway_side(pl.concat(on(d, used("gateway", 10, 0, 0, "3")) for d in (2, 3)))
    euros = [line("input", "10", "2", currency="EUR", day=date(2026, 9, d)) for d in (2, 3)]
    got = by_kind(
        reconcile(gateway, NOTHING, invoice_side(bill(*euros)), NOBODY, rates=rates, currency="USD")
    )["all"]
    # 2 x 1.1 + 2 x 1.25 = 4.7; 6 - 4.7 = 1.3
    assert (got["gateway_cost"], got["invoice_cost"], got["gateway_invoice_cost"]) == (
        Decimal(6),
        Decimal(4),
        None,
    )
    assert (got["gateway_converted_cost"], got["invoice_converted_cost"]) == (Decimal(6), Decimal("4.7"))
    assert got["gateway_invoice_converted_cost"] == Decimal("1.3")
    assert got["gateway_invoice_converted_cost_share"] == pytest.approx(13 / 47)
    assert (got["converted_currency"], got["unconverted"], got["provider_converted_cost"]) == (
        "USD",
        None,
        None,
    )


def test_a_bill_of_two_currencies_has_a_sum_in_none_but_the_organisations() -> None:
    lines = [line("input", "1", "2", currency="EUR"), line("input", "1", "3")]
    rates = [Rate(date=date(2026, 1, 1), currency="EUR", rate=Decimal("1.5"))]
    got = by_kind(
        reconcile(NOTHING, NOTHING, invoice_side(bill(*lines)), NOBODY, rates=rates, currency="USD")
    )
    assert (got["all"]["invoice_cost"], got["all"]["invoice_currency"]) == (None, None)
    assert got["all"]["invoice_converted_cost"] == Decimal(6)  # 2 x 1.5 + 3


def test_without_a_rate_the_reason_is_said() -> None:
    """The rate of the 2nd says nothing of the 1st; a cost of 0 needs none."""
    rates = [Rate(date=date(2026, 9, 2), currency="EUR", rate=Decimal("1.1"))]
    days = [(3, "2", "GBP"), (1, "2", "EUR"), (1, "0", "CHF")]
    lines = [line("input", "1", cost, currency=c, day=date(2026, 9, d)) for d, cost, c in days]
    lines.append(line("output", "1", "0", currency="CHF"))
    gateway = gateway_side(used("gateway", 10, 0, 0, "3"))
    got = by_kind(
        reconcile(gateway, NOTHING, invoice_side(bill(*lines)), NOBODY, rates=rates, currency="USD")
    )
    assert got["all"]["unconverted"] == "invoice: no rate for EUR on 2026-09-01"
    assert [got["all"][c] for c in ("invoice_converted_cost", "gateway_invoice_converted_cost")] == [
        None,
        None,
    ]
    assert got["all"]["gateway_converted_cost"] == Decimal(3)
    assert (got["output"]["invoice_converted_cost"], got["output"]["unconverted"]) == (Decimal(0), None)
