from __future__ import annotations

from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.money import split
from models.tables import MONEY


def frame(rows: list[tuple[str, str, float]]) -> pl.DataFrame:
    return pl.DataFrame(
        [(g, Decimal(t), w) for g, t, w in rows],
        schema={"g": pl.String, "total": MONEY, "w": pl.Float64},
        orient="row",
    )


def test_remainder_goes_to_the_greatest_weight() -> None:
    # 1 / 3 cut to 12 decimals is 0.333333333333; three of them leave 0.000000000001, to the first row
    got = split(frame([("a", "1", 1.0), ("a", "1", 1.0), ("a", "1", 1.0)]), ["g"], "total", "w", "part")
    assert got["part"].to_list() == [
        Decimal("0.333333333334"),
        Decimal("0.333333333333"),
        Decimal("0.333333333333"),
    ]


def test_parts_follow_weights_within_each_group() -> None:
    # a: 10 x 1/4 and 3/4; b: weights 0 -> evenly
    got = split(
        frame([("a", "10", 1.0), ("b", "3", 0.0), ("a", "10", 3.0), ("b", "3", 0.0)]),
        ["g"],
        "total",
        "w",
        "part",
    )
    assert got["part"].to_list() == [Decimal("2.5"), Decimal("1.5"), Decimal("7.5"), Decimal("1.5")]


def test_tiny_total_gives_no_negative_part() -> None:
    # 5 units of 1e-12 over 9 rows: rounding each 0.55 up would take 4 too many from the first row
    got = split(frame([("a", "0.000000000005", 1.0)] * 9), ["g"], "total", "w", "part")
    assert min(got["part"].to_list()) == 0
    assert sum(got["part"].to_list()) == Decimal("0.000000000005")


@pytest.mark.parametrize("weight", [-1.0, float("nan"), None])
def test_a_weight_that_is_no_weight_is_refused(weight: float | None) -> None:
    rows = pl.DataFrame(
        {"g": ["a"], "total": [Decimal(1)], "w": [weight]}, schema_overrides={"w": pl.Float64}
    )
    with pytest.raises(ValueError, match=r"'w' has 1 rows"):
        split(rows, ["g"], "total", "w", "part")


@given(
    total=st.decimals(min_value=0, max_value=10**9, places=12),
    weights=st.lists(
        st.one_of(st.just(0.0), st.floats(min_value=1e-9, max_value=1e6)), min_size=1, max_size=12
    ),
)
def test_parts_sum_to_the_total_and_none_is_negative(total: Decimal, weights: list[float]) -> None:
    parts = split(frame([("a", str(total), w) for w in weights]), ["g"], "total", "w", "part")[
        "part"
    ].to_list()
    assert sum(parts) == total
    assert min(parts) >= 0
    if sum(weights) > 0:
        assert all(part == 0 for part, weight in zip(parts, weights, strict=True) if weight == 0)
