from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.config import TokenWeights
from models.records import Price
from models.token_split import unit_costs, with_weights

DAY = date(2026, 9, 1)
WEIGHTS = TokenWeights(input=Decimal(1), cached=Decimal("0.1"), output=Decimal(4))


def price(kind: str, amount: str, **changes: Any) -> Price:
    line = {"provider": "acme", "model": "M1", "kind": kind, "price_per_1m": amount, "currency": "USD"}
    return Price.model_validate(line | {"valid_from": "2026-01-01"} | changes)


def split(
    tokens: tuple[float, float | None, float], prices: list[Price], default: TokenWeights | None
) -> Any:
    names = ("tokens_in", "tokens_cached", "tokens_out")
    row = pl.DataFrame(
        {
            "model": ["m1"],
            "day": [DAY],
            "cost": [90.0],
            **dict(zip(names, ([t] for t in tokens), strict=True)),
        },
        schema_overrides=dict.fromkeys(names, pl.Float64),
    )
    return with_weights(row, prices, default).select(**unit_costs(pl.col("cost"))).row(0, named=True)


def test_weights_of_the_configuration() -> None:
    # 1,000,000 fresh x 1 + 1,000,000 cached x 0.1 + 100,000 out x 4 = 1,500,000 weighted; 90 / 1.5 = 60 per weighted 1M
    got = split((2e6, 1e6, 1e5), [], WEIGHTS)
    assert got == pytest.approx({"input": 60.0, "cached": 6.0, "output": 240.0})
    # 1 x 60 + 1 x 6 + 0.1 x 240 = 90: the whole cost
    assert 1.0 * got["input"] + 1.0 * got["cached"] + 0.1 * got["output"] == pytest.approx(90.0)


def test_price_list_of_the_model_goes_before_the_configuration() -> None:
    prices = [price("input", "3"), price("output", "15"), price("output", "99", valid_from="2027-01-01")]
    # 1,000,000 x 3 + 200,000 x 15 = 6,000,000; 90 / 6 = 15 a unit: 45 and 225
    assert split((1e6, None, 2e5), prices, WEIGHTS) == pytest.approx(
        {"input": 45.0, "cached": None, "output": 225.0}
    )


def test_cached_tokens_without_a_weight_leave_everything_unknown() -> None:
    prices = [price("input", "3"), price("output", "15")]
    assert split((1e6, 5e5, 2e5), prices, WEIGHTS) == {"input": None, "cached": None, "output": None}
    assert split((1e6, 0.0, 2e5), prices, None)["input"] == pytest.approx(45.0)


def test_nothing_known_or_nothing_done_is_null() -> None:
    nothing = {"input": None, "cached": None, "output": None}
    assert split((1e6, 0.0, 1e6), [], None) == nothing
    assert split((0.0, 0.0, 0.0), [], WEIGHTS) == nothing
    ambiguous = [price(k, a, provider=p) for p, a in (("a", "1"), ("b", "2")) for k in ("input", "output")]
    assert split((1e6, 0.0, 1e6), ambiguous, None) == nothing


@given(*(st.integers(0, 10**12) for _ in range(3)))
def test_kinds_times_tokens_are_the_cost(fresh: int, cached: int, out: int) -> None:
    got = split((fresh + cached, cached, out), [], WEIGHTS)
    parts = zip((fresh, cached, out), got.values(), strict=True)
    assert sum(n * (unit or 0.0) / 1e6 for n, unit in parts) == pytest.approx(
        90.0 if fresh + cached + out else 0.0
    )
