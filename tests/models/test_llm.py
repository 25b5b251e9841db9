from __future__ import annotations

import csv
import os
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import llm
from models.config import PriceFile, Settings
from models.records import Price
from models.tables import MONEY

DAY = date(2026, 9, 1)


def price(kind: str, amount: str, model: str = "gpt-4o", **changes: Any) -> Price:
    given: dict[str, Any] = {
        "provider": "openai", "model": model, "kind": kind, "price_per_1m": amount, "currency": "USD", "valid_from": "2026-01-01",
    }  # fmt: skip
    return Price.model_validate(given | changes)


LIST = llm.price_frame([price("input", "2.5"), price("cached", "1.25"), price("output", "10")])


def usage(*rows: tuple[Any, ...]) -> pl.DataFrame:
    schema = {
        "day": pl.Date, "provider": pl.String, "model": pl.String, "tokens_in": pl.Int64, "tokens_cached": pl.Int64,
        "tokens_out": pl.Int64,
    }  # fmt: skip
    return pl.DataFrame([(DAY, *r) for r in rows], schema=schema, orient="row")


def test_prices_by_kind_of_token() -> None:
    got = llm.price_requests(usage(("OpenAI ", "GPT-4o", 1000, 400, 50), ("openai", "gpt-4o", 1, 0, 0)), LIST)
    # 600 x 2.5 + 400 x 1.25 + 50 x 10 = 1500 + 500 + 500 = 2500 per million; 1 x 2.5 per million
    assert got["cost"].to_list() == [Decimal("0.0025"), Decimal("0.0000025")]
    assert got["currency"].to_list() == ["USD", "USD"]
    assert got["unpriced"].to_list() == [None, None]
    assert got.schema["cost"] == MONEY


def test_what_has_no_price_is_unknown_and_counted() -> None:
    rows = usage(
        ("openai", "gpt-9", 10, 0, 5),
        ("azure", "gpt-4o", 10, 0, 5),
        ("openai", "gpt-9", 1, 0, 1),
        ("openai", "gpt-4o", 10, None, 5),
        ("openai", "gpt-4o", 0, 0, 0),
        (None, None, 1, 0, 0),
    )
    got = llm.price_requests(rows, LIST)
    assert got["cost"].to_list() == [None, None, None, None, Decimal(0), None]
    assert got["unpriced"].to_list() == [llm.NO_PRICE] * 3 + [llm.UNKNOWN_CACHED, None, llm.NO_PRICE]
    counted = llm.unpriced(got).rows()
    assert counted[0] == ("openai", "gpt-9", llm.NO_PRICE, 2, 17)
    assert sum(r[3] for r in counted) == 5


def test_a_pattern_prices_the_models_that_no_price_names() -> None:
    """1 million input tokens each: 2.5, 2.5, 3; a pattern of another provider, or that does not fit, prices nothing."""
    prices = [
        price("input", "2.5", "gpt-4o-20*"),
        price("input", "3", "gpt-4o-2024-11-20"),
        price("input", "9", "*", provider="azure"),
    ]
    models = (
        "gpt-4o-2024-08-06",
        "GPT-4o-2024-05-13",
        "gpt-4o-2024-11-20",
        "gpt-4o-mini-2024-07-18",
        "gpt-4o",
        "",
    )
    rows = usage(*(("openai", model, 1_000_000, 0, 0) for model in models))
    got = llm.price_requests(rows, llm.price_frame(prices))
    assert got["cost"].to_list() == [Decimal("2.5"), Decimal("2.5"), Decimal(3), None, None, None]
    twice = llm.price_frame([*prices, price("input", "4", "gpt-4o-2024-08*")])
    with pytest.raises(ValueError, match="several prices for one day"):
        llm.price_requests(rows, twice)


def test_a_kind_without_price_leaves_the_cost_unknown_if_it_was_used() -> None:
    prices = llm.price_frame([price("input", "2.5"), price("output", "10")])
    got = llm.price_requests(usage(("openai", "gpt-4o", 10, 0, 1), ("openai", "gpt-4o", 10, 1, 1)), prices)
    assert got["cost"].to_list() == [Decimal("0.000035"), None]  # (10 x 2.5 + 1 x 10) / 10^6
    assert got["unpriced"].to_list() == [None, llm.NO_PRICE]


def test_unknown_cached_tokens_do_not_matter_at_one_price() -> None:
    prices = llm.price_frame([price("input", "2"), price("cached", "2"), price("output", "10")])
    got = llm.price_requests(usage(("openai", "gpt-4o", 10, None, 0)), prices)
    assert got["cost"].to_list() == [Decimal("0.00002")]


def test_prices_have_dates() -> None:
    old = price("input", "5", valid_from="2026-01-01", valid_to="2026-08-31")
    new = price("input", "2", valid_from="2026-09-01")
    rows = usage(*[("openai", "gpt-4o", 1_000_000, 0, 0)] * 3).with_columns(
        day=pl.Series([date(2026, 8, 31), DAY, date(2025, 12, 31)])
    )
    got = llm.price_requests(rows, llm.price_frame([new, old]))
    assert got["cost"].to_list() == [Decimal(5), Decimal(2), None]


@pytest.mark.parametrize(
    ("prices", "words"),
    [
        ([price("input", "1"), price("input", "2")], "several prices for one day"),
        ([price("input", "1"), price("output", "2", currency="EUR")], "several currencies"),
    ],
)
def test_prices_that_contradict_each_other(prices: list[Price], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        llm.price_requests(usage(("openai", "gpt-4o", 1, 0, 1)), llm.price_frame(prices))


@pytest.mark.parametrize(
    "row", [(-1, 0, 0), (1, 2, 0), (None, 0, 0), (1, 0, None), (1, -1, 0), (10**16, 0, 0)]
)
def test_impossible_counts_are_refused(row: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="1 rows are not so"):
        llm.price_requests(usage(("openai", "gpt-4o", *row)), LIST)


def test_impossible_prices_are_refused() -> None:
    for change in (
        {"kind": "thinking"},
        {"price_per_1m": Decimal(-1)},
        {"currency": None},
        {"valid_to": date(2000, 1, 1)},
    ):
        bad = LIST.with_columns(pl.lit(v).cast(LIST.schema[k]).alias(k) for k, v in change.items())
        with pytest.raises(ValueError, match="3 are not so"):
            llm.price_requests(usage(("openai", "gpt-4o", 1, 0, 0)), bad)


@given(
    st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9)), max_size=6),
    st.tuples(*[st.decimals(0, 1000, places=6)] * 3),
)
def test_costs_equal_plain_python(counts: list[tuple[int, int, int]], prices: tuple[Decimal, ...]) -> None:
    listed = llm.price_frame([price(k, str(p)) for k, p in zip(llm.KINDS, prices, strict=True)])
    rows = [(plain + cached, cached, out) for plain, cached, out in counts]
    got = llm.price_requests(usage(*[("openai", "gpt-4o", *r) for r in rows]), listed)
    expected = [
        (sum((n * p for n, p in zip(c, prices, strict=True)), Decimal(0)) / 10**6) for c in counts
    ]  # 6 + 6 decimals: exact
    assert got["cost"].to_list() == expected


def test_usage_by_kind() -> None:
    got = llm.by_kind(usage(("openai", "a", 100, 30, 7), ("openai", "b", 100, None, 7)))
    tokens = {(m, k): t for m, k, t in got.select("model", "kind", "tokens").iter_rows()}
    assert tokens == {
        ("a", "input"): 70, ("a", "cached"): 30, ("a", "output"): 7,
        ("b", "input"): None, ("b", "cached"): None, ("b", "output"): 7,
    }  # fmt: skip


def test_costs_by_kind() -> None:
    got = llm.price_kinds(usage(("openai", "gpt-4o", 1000, 400, 50), ("openai", "gpt-4o", 10, None, 5)), LIST)
    costs = {(r["kind"], r["tokens"]): r["cost"] for r in got.iter_rows(named=True)}
    # 600 x 2.5, 400 x 1.25, 50 x 10 per million; of the second row only the 5 generated tokens are known apart
    assert costs == {
        ("input", 600): Decimal("0.0015"), ("cached", 400): Decimal("0.0005"), ("output", 50): Decimal("0.0005"),
        ("input", None): None, ("cached", None): None, ("output", 5): Decimal("0.00005"),
    }  # fmt: skip


def test_prices_in_the_configuration() -> None:
    sources = {"bills": {"kind": "focus", "location": "."}}
    inline = Settings.model_validate(
        {"sources": sources, "prices": [price("input", "2.5").model_dump(mode="json")]}
    )
    assert inline.prices == (price("input", "2.5"),)
    assert Settings.model_validate({"sources": sources, "prices": {"file": "p.csv"}}).prices == PriceFile(
        file="p.csv"
    )
    assert Settings.model_validate({"sources": sources}).prices == ()
    with pytest.raises(ValueError, match="before valid_from"):
        price("input", "1", valid_to="2025-01-01")


@pytest.mark.skipif(
    "TIERWISE_REAL_DATA" not in os.environ, reason="TIERWISE_REAL_DATA names no folder of real data"
)
def test_a_real_price_list() -> None:
    file = Path(os.environ["TIERWISE_REAL_DATA"]) / "telemetry/litellm_prices/model_prices.csv"
    columns = {
        "input": "input_cost_per_token", "cached": "cache_read_input_token_cost", "output": "output_cost_per_token",
    }  # fmt: skip
    listed: list[Price] = []
    rows = []
    expected: list[Decimal | None] = []
    with file.open(newline="") as lines:
        for row in csv.DictReader(lines):
            if row["mode"] != "chat":
                continue
            each = {k: Decimal(row[c]) for k, c in columns.items() if row[c]}
            names = {"model": row["model"], "provider": row["litellm_provider"]}
            listed += [price(k, f"{p * 10**6:f}", **names) for k, p in each.items()]
            rows.append((names["provider"], names["model"], 1000, 250, 300))
            exact = (
                None if len(each) < 3 else 750 * each["input"] + 250 * each["cached"] + 300 * each["output"]
            )
            expected.append(exact)
    got = llm.price_requests(usage(*rows), llm.price_frame(listed))
    assert len(rows) > 500
    for cost, exact in zip(got["cost"], expected, strict=True):
        assert (cost is None) == (exact is None)
        assert exact is None or abs(cost - exact) <= Decimal("5e-13")
    assert llm.unpriced(got)["rows"].sum() == sum(e is None for e in expected)
