"""Model APIs: the price of usage that carries none.

Gateway logs, provider usage and invoices are read by `connectors/`; holding them against each other belongs to
`models/api_reconciliation.py`, who pays to `models/ownership.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import polars as pl

from models.records import Price
from models.tables import MONEY

KINDS = ("input", "cached", "output")
MILLION = pl.lit(1_000_000).cast(pl.Decimal(38, 0))
NO_PRICE = "no price"
UNKNOWN_CACHED = "cached tokens not known"

PRICES = pl.Schema(
    {
        "provider": pl.String(),
        "model": pl.String(),
        "kind": pl.String(),
        "price_per_1m": MONEY,
        "currency": pl.String(),
        "valid_from": pl.Date(),
        "valid_to": pl.Date(),
    }
)
"""A price list: one row a provider, model, kind of token and time; valid_to is the last day, NULL while it holds."""


def price_frame(prices: Sequence[Price]) -> pl.DataFrame:
    """The price list of the configuration as a frame in `PRICES`."""
    return pl.DataFrame([p.model_dump() for p in prices], schema=PRICES)


def by_kind(usage: pl.DataFrame) -> pl.DataFrame:
    """Usage with a row for each kind of token: input is what is not cached.

    Args:
        usage: Columns tokens_in (cached ones included), tokens_cached (NULL unknown), tokens_out; others pass through.

    Returns:
        The other columns, kind (input, cached, output) and tokens (Float64; NULL where they cannot be told apart).
    """
    tokens = {
        "input": pl.col("tokens_in") - pl.col("tokens_cached"),
        "cached": pl.col("tokens_cached"),
        "output": pl.col("tokens_out"),
    }
    rest = pl.exclude("tokens_in", "tokens_cached", "tokens_out")
    return pl.concat(
        [
            usage.select(rest, kind=pl.lit(kind), tokens=value.cast(pl.Float64))
            for kind, value in tokens.items()
        ]
    )


def price_kinds(usage: pl.DataFrame, prices: pl.DataFrame) -> pl.DataFrame:
    """`by_kind` with the cost of each kind at the price list.

    Args:
        usage: Columns day, provider, model, tokens_in, tokens_cached (NULL unknown), tokens_out; others pass through.
        prices: Columns of `PRICES`.

    Returns:
        The rows of `by_kind` with cost (MONEY; NULL where tokens or price are not known) and currency.

    Raises:
        ValueError: As `price_requests`.
    """
    kinds = by_kind(usage).with_row_index("__kind")
    known = kinds.filter(pl.col("tokens").is_not_null())

    def only(kind: str) -> pl.Expr:
        return pl.when(pl.col("kind") == kind).then(pl.col("tokens")).otherwise(0.0)

    priced = price_requests(
        known.select(
            "__kind", "day", "provider", "model",
            tokens_in=only("input") + only("cached"), tokens_cached=only("cached"), tokens_out=only("output"),
        ),
        prices,
    )  # fmt: skip
    return kinds.join(
        priced.select("__kind", "cost", "currency"), on="__kind", how="left", maintain_order="left"
    ).drop("__kind")


def price_requests(usage: pl.DataFrame, prices: pl.DataFrame) -> pl.DataFrame:
    """Prices usage that carries no cost: sum of tokens of each kind x price_per_1m / 10^6.

    The price of a row is that of its provider and model (compared without regard to case) on its day; a model with a
    `*`, `?` or `[...]` is a pattern, for the models that the list does not name themselves. Every kind
    with tokens must have a price. Where cached tokens are not known, the row has a cost only if cached and other
    input tokens have the same price. Digits beyond the twelfth decimal are rounded half to even, once a row.

    Args:
        usage: Columns day, provider, model, tokens_in (cached ones included), tokens_cached (NULL unknown), tokens_out,
            whole numbers; others pass through.
        prices: Columns of `PRICES`.

    Returns:
        The rows in their order with cost (MONEY, NULL unknown), currency, and `unpriced`: why cost is NULL.

    Raises:
        ValueError: Prices contradict each other (two for one day, several currencies for one model, an unknown
            kind), or token counts are negative, not whole, not known, or fewer than the cached ones.
    """
    _check_usage(usage)
    _check_prices(prices)
    keyed = usage.with_row_index("__row").with_columns(
        __provider=_folded("provider"), __model=_folded("model")
    )
    on = {"__provider": "__provider", "__model": "__model"}
    listed = _named(
        prices.with_columns(__provider=_folded("provider"), __model=_folded("model")),
        keyed.select(*on).unique(),
    )
    found = (
        keyed.select("__row", "day", *on)
        .join(listed, on=list(on))
        .filter(
            (pl.col("valid_from") <= pl.col("day"))
            & (pl.col("valid_to").is_null() | (pl.col("day") <= pl.col("valid_to")))
        )
    )
    wide = found.group_by("__row").agg(
        *(pl.col("price_per_1m").filter(pl.col("kind") == kind).first().alias(f"__{kind}") for kind in KINDS),
        pl.col("currency").unique().alias("__currencies"),
        pl.len().alias("__prices"),
        pl.col("kind").n_unique().alias("__kinds"),
    )
    _refuse(wide.filter(pl.col("__prices") > pl.col("__kinds")), keyed, "several prices for one day")
    _refuse(wide.filter(pl.col("__currencies").list.len() > 1), keyed, "prices in several currencies")
    cached = pl.col("tokens_cached")
    same = cached.is_null() & pl.col("__input").eq(pl.col("__cached")).fill_null(value=False)
    split = pl.when(same).then(0).otherwise(cached)
    amounts = {"input": pl.col("tokens_in") - split, "cached": split, "output": pl.col("tokens_out")}
    parts = [
        pl.when(amount == 0)
        .then(pl.lit(0).cast(MONEY))
        .otherwise(pl.col(f"__{kind}") * amount.cast(pl.Int64).cast(pl.Decimal(38, 0)))
        for kind, amount in amounts.items()
    ]
    total = (parts[0] + parts[1] + parts[2]).cast(MONEY)
    rows = keyed.join(wide, on="__row", how="left", maintain_order="left").with_columns(
        __priced=pl.col("__prices").is_not_null()
    )
    rows = rows.with_columns(cost=pl.when(pl.col("__priced")).then((total / MILLION).cast(MONEY)))
    reason = (
        pl.when(pl.col("cost").is_not_null())
        .then(None)
        .when(pl.col("__priced") & cached.is_null() & pl.col("__input").is_not_null())
        .then(pl.lit(UNKNOWN_CACHED))
        .otherwise(pl.lit(NO_PRICE))
    )
    return rows.with_columns(
        currency=pl.when(pl.col("cost").is_not_null()).then(pl.col("__currencies").list.first()),
        unpriced=reason,
    ).select(*usage.columns, "cost", "currency", "unpriced")


def unpriced(priced: pl.DataFrame) -> pl.DataFrame:
    """What `price_requests` could not price: provider, model, unpriced (why), rows, tokens; most tokens first."""
    return (
        priced.filter(pl.col("unpriced").is_not_null())
        .group_by("provider", "model", "unpriced")
        .agg(rows=pl.len(), tokens=(pl.col("tokens_in") + pl.col("tokens_out")).sum())
        .sort("tokens", "provider", "model", "unpriced", descending=[True, False, False, False])
    )


def _folded(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String).str.strip_chars().str.to_lowercase()


def _named(listed: pl.DataFrame, used: pl.DataFrame) -> pl.DataFrame:
    """The prices, those of a pattern once for each model used that it fits and that its provider's list does not name."""
    is_pattern = pl.col("__model").str.contains(r"[*?\[]")
    exact, patterns = listed.filter(~is_pattern.fill_null(value=False)), listed.filter(is_pattern)
    if patterns.is_empty():
        return listed
    rest = used.join(exact, on=["__provider", "__model"], how="anti").rename({"__model": "__used"})
    pairs = patterns.join(rest, on="__provider")
    fits = [fnmatchcase(model, pattern) for pattern, model in pairs.select("__model", "__used").iter_rows()]
    fitting = pairs.filter(pl.Series(fits, dtype=pl.Boolean)).with_columns(__model=pl.col("__used"))
    return pl.concat([exact, fitting.select(exact.columns)])


def _check_usage(usage: pl.DataFrame) -> None:
    cached = pl.col("tokens_cached").fill_null(0)
    counts = [pl.col("tokens_in"), pl.col("tokens_out"), cached]
    right = [
        (c.cast(pl.Float64).is_between(0, 1e15) & (c.cast(pl.Float64) % 1 == 0)).fill_null(value=False)
        for c in counts
    ]
    bad = usage.filter(~pl.all_horizontal(*right, (cached <= pl.col("tokens_in")).fill_null(value=False)))
    if bad.height:
        msg = (
            "token counts must be whole numbers from 0 to 10^15, cached ones part of tokens_in; "
            f"{bad.height} rows are not so, first: {bad.row(0, named=True)}"
        )
        raise ValueError(msg)


def _check_prices(prices: pl.DataFrame) -> None:
    bad = prices.filter(
        ~pl.col("kind").is_in(KINDS).fill_null(value=False)
        | (pl.col("price_per_1m") < 0)
        | pl.any_horizontal(pl.col("price_per_1m", "currency", "valid_from").is_null())
        | (pl.col("valid_to") < pl.col("valid_from")).fill_null(value=False)
    )
    if bad.height:
        msg = (
            f"a price needs kind {', '.join(KINDS)}, price_per_1m >= 0, a currency and valid_from not after valid_to; "
            f"{bad.height} are not so, first: {bad.row(0, named=True)}"
        )
        raise ValueError(msg)


def _refuse(rows: pl.DataFrame, usage: pl.DataFrame, what: str) -> None:
    if rows.height:
        first = usage.join(rows.select("__row"), on="__row").select("provider", "model", "day").row(0)
        msg = f"the price list has {what}: provider, model and day {first}; correct valid_from and valid_to"
        raise ValueError(msg)
