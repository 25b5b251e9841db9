"""How the cost of a service splits over input, cached and output tokens.

A bill for hardware, or a total by day, does not say which token cost what. The split follows relative weights: the
model's own list prices where `prices` has them, else the configured `token_weights`; without either it is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from models.config import TokenWeights
from models.ownership import fold
from models.records import Price

WEIGHTS = ("weight_input", "weight_cached", "weight_output")
KINDS = ("input", "cached", "output")


def with_weights(
    rows: pl.DataFrame, prices: Sequence[Price], default: TokenWeights | None = None
) -> pl.DataFrame:
    """Adds the weights of a token of each kind.

    Args:
        rows: Columns day and model (NULL where several models share the cost).
        prices: The price list. A model that several providers list at different prices has none of its own.
        default: Weights of other models.

    Returns:
        The rows in their order, with weight_input, weight_cached, weight_output (Float64); NULL where unknown.
    """
    keys = rows.select("model", "day").unique()
    found = [(model, day, *_weights(model, day, prices, default)) for model, day in keys.iter_rows()]
    schema = {"model": pl.String(), "day": pl.Date()} | dict.fromkeys(WEIGHTS, pl.Float64())
    table = pl.DataFrame(found, schema=schema, orient="row")
    return rows.join(table, on=["model", "day"], how="left", nulls_equal=True, maintain_order="left")


def unit_costs(cost: pl.Expr) -> dict[str, pl.Expr]:
    """What a million tokens of each kind cost, so that kinds x millions of tokens add up to the cost.

    cost x weight / sum over kinds of (weight x tokens). Where cached tokens are not reported, all prompt tokens
    count as input and the price of a cached one is NULL.

    Args:
        cost: The cost of all tokens, Float64.

    Returns:
        input, cached, output -> expression over tokens_in (cached ones included), tokens_cached, tokens_out and
        the weights; NULL where there is no token of the kind, or a weight that is needed is unknown.
    """
    cached = pl.col("tokens_cached").fill_null(0.0)
    tokens = {"input": pl.col("tokens_in") - cached, "cached": cached, "output": pl.col("tokens_out")}
    weights = dict(zip(KINDS, (pl.col(w) for w in WEIGHTS), strict=True))
    parts = [pl.when(n == 0).then(0.0).otherwise(n * weights[kind]) for kind, n in tokens.items()]
    whole = parts[0] + parts[1] + parts[2]
    return {
        kind: pl.when((n > 0) & (whole > 0)).then(1e6 * cost * weights[kind] / whole)
        for kind, n in tokens.items()
    }


def _weights(
    model: str | None, day: date, prices: Sequence[Price], default: TokenWeights | None
) -> tuple[float | None, float | None, float | None]:
    own = {
        kind: {
            float(p.price_per_1m)
            for p in prices
            if model is not None
            and fold(p.model) == fold(model)
            and p.kind == kind
            and p.valid_from <= day
            and (p.valid_to is None or day <= p.valid_to)
        }
        for kind in KINDS
    }
    if all(len(own[kind]) == 1 for kind in ("input", "output")) and len(own["cached"]) <= 1:
        return (own["input"].pop(), own["cached"].pop() if own["cached"] else None, own["output"].pop())
    if default is None:
        return None, None, None
    return float(default.input), float(default.cached), float(default.output)
