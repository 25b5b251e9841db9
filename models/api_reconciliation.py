"""Three accounts of the same work of a model API, held against each other: gateway log, provider usage, bill.

What a log, a usage API and a bill call the same model belongs to `models/api_names.py`; prices, to `models/llm.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from models.api_names import meter, model_key, provider_name
from models.currency import convert
from models.llm import by_kind, price_kinds, price_requests
from models.records import Rate
from models.tables import API_RECONCILIATION, MONEY

SIDES = ("gateway", "provider", "invoice")
PAIRS = (("gateway", "provider"), ("provider", "invoice"), ("gateway", "invoice"))
ALL, OTHER = "all", "other"
KEY = ("month", "provider", "key", "token_kind")

SIDE = pl.Schema(
    {
        "day": pl.Date(),
        "last_day": pl.Date(),
        "provider": pl.String(),
        "model": pl.String(),
        "token_kind": pl.String(),
        "tokens": pl.Float64(),
        "cost": MONEY,
        "currency": pl.String(),
        "unpriced": pl.Float64(),
    }
)
"""One account: a row a day, provider, model, currency and kind of token (`KINDS`, all, other). unpriced: requests.

last_day: of a line that covers several days, NULL for one day."""

ONE_DAY = pl.lit(None, pl.Date).alias("last_day")

BILL = pl.Schema(
    {
        "day": pl.Date(),
        "last_day": pl.Date(),
        "service_provider": pl.String(),
        "service_name": pl.String(),
        "sku_meter": pl.String(),
        "description": pl.String(),
        "unit": pl.String(),
        "category": pl.String(),
        "currency": pl.String(),
        "quantity": MONEY,
        "billed_cost": MONEY,
    }
)
"""Lines of bills for model APIs, added up by day (of start; last_day is that of the end); quantity is NULL where one has none."""


def gateway_side(usage: pl.DataFrame) -> pl.DataFrame:
    """The gateway's account: what it logged, in `SIDE`. A log knows the cost of requests, not of kinds of token.

    Args:
        usage: Rows of `telemetry.api_usage_daily`.
    """
    rows = usage.filter(pl.col("side") == "gateway")
    known = pl.col("requests_unpriced") == 0
    kinds = _kinds(rows, cost=pl.lit(None, MONEY), currency=pl.lit(None, pl.String), unpriced=pl.lit(0.0))
    return pl.concat(
        [
            kinds,
            rows.select(
                "day", "provider", "model",
                token_kind=pl.lit(ALL), tokens=pl.col("tokens_in") + pl.col("tokens_out"),
                cost=pl.when(known).then(pl.col("cost")), currency="currency", unpriced="requests_unpriced",
            ).with_columns(ONE_DAY).match_to_schema(SIDE),
        ]
    ).cast(SIDE)  # fmt: skip


def provider_side(usage: pl.DataFrame, prices: pl.DataFrame) -> pl.DataFrame:
    """The provider's account: the tokens it counted, and their cost at the price list, in `SIDE`.

    Args:
        usage: Rows of `telemetry.api_usage_daily`.
        prices: Columns of `llm.PRICES`.
    """
    rows = usage.filter(pl.col("side") == "provider")
    counted = rows.select(
        "day", "provider", "model", "tokens_in", "tokens_cached", "tokens_out"
    ).with_row_index("row")
    priced = price_kinds(counted, prices)
    whole = pl.col("cost").is_not_null().all()
    kinds = priced.group_by("row").agg(sum=pl.when(whole).then(pl.col("cost").sum()))
    total = price_requests(counted, prices).join(kinds, on="row", how="left")
    return pl.concat(
        [
            priced.select(
                "day", "provider", "model", "tokens", "cost", "currency",
                ONE_DAY, pl.col("kind").alias("token_kind"), unpriced=pl.lit(0.0),
            ).match_to_schema(SIDE),
            total.select(
                "day", "provider", "model",
                token_kind=pl.lit(ALL), tokens=pl.col("tokens_in") + pl.col("tokens_out"),
                cost=pl.coalesce("sum", "cost"), currency="currency", unpriced=pl.lit(0.0),
            ).with_columns(ONE_DAY).match_to_schema(SIDE),
        ]
    ).cast(SIDE)  # fmt: skip


def _kinds(rows: pl.DataFrame, **more: pl.Expr) -> pl.DataFrame:
    kinds = by_kind(rows.select("day", "provider", "model", "tokens_in", "tokens_cached", "tokens_out"))
    return kinds.rename({"kind": "token_kind"}).with_columns(ONE_DAY, **more).match_to_schema(SIDE)


def invoice_side(bill: pl.DataFrame) -> pl.DataFrame:
    """The bill's account, in `SIDE`; the costs of all and other add up to the lines' exactly, by currency.

    Tokens are quantity x tokens a unit; NULL where the bill does not say either. A cache write is input. Credits,
    tax, fees and refunds are other, and so is what is not counted in tokens.

    Args:
        bill: Columns of `BILL`.
    """
    lines = bill.select("service_provider", "service_name", "sku_meter", "description", "unit").unique()
    read = [meter(*row) for row in lines.iter_rows()]
    named = lines.with_columns(
        provider=pl.Series([m.provider for m in read], dtype=pl.String),
        model=pl.Series([m.model for m in read], dtype=pl.String),
        token_kind=pl.Series([m.kind for m in read], dtype=pl.String),
        per=pl.Series([m.per for m in read], dtype=pl.Int64),
    )
    rows = bill.join(named, on=lines.columns, how="left", nulls_equal=True).select(
        "day", "last_day", "provider", "model",
        token_kind=pl.when(pl.col("category") == "Usage").then(pl.col("token_kind")).otherwise(pl.lit(OTHER)),
        tokens=pl.col("quantity").cast(pl.Float64) * pl.col("per"), cost="billed_cost", currency="currency",
        unpriced=pl.lit(0.0),
    )  # fmt: skip
    other = pl.col("token_kind") == OTHER
    rows = rows.with_columns(tokens=pl.when(~other).then("tokens"))
    return pl.concat([rows, rows.filter(~other).with_columns(token_kind=pl.lit(ALL))]).cast(SIDE)


def reconcile(
    gateway: pl.DataFrame,
    provider: pl.DataFrame,
    invoice: pl.DataFrame,
    charged: pl.DataFrame,
    *,
    rates: Sequence[Rate] = (),
    currency: str = "",
    models: Mapping[str, str] | None = None,
    providers: Mapping[str, str] | None = None,
) -> pl.DataFrame:
    """Holds the three accounts against each other by month, provider, model and kind of token.

    A sum with an unknown part is NULL, and so is a sum of several currencies; costs of different currencies are
    compared in the organisation's currency only, at the rate of each day. Each account counts in the month of its own
    UTC days.

    Args:
        gateway: In `SIDE`.
        provider: In `SIDE`.
        invoice: In `SIDE`.
        charged: What gateways charged in the ledger: columns day, provider, model.
        rates: Dated rates to the organisation's currency.
        currency: The organisation's currency.
        models: Spelling of a model in lower case -> name to use.
        providers: Spelling of a provider in lower case -> name to use.

    Returns:
        `ops.api_reconciliation`, sorted by its key.
    """
    as_model, as_provider = dict(models or {}), dict(providers or {})
    frames = (gateway, provider, invoice)
    named = [convert(_named(f, as_model, as_provider), rates, currency, "cost", "converted") for f in frames]
    sides = {side: _side(frame, side) for side, frame in zip(SIDES, named, strict=True)}
    rows = pl.concat([s.select(KEY) for s in sides.values()]).unique()
    for frame in sides.values():
        rows = rows.join(frame, on=KEY, how="left")
    for frame in _absences(dict(zip(SIDES, named, strict=True))):
        rows = rows.join(frame, on=KEY, how="left")
    billed = _named(charged, as_model, as_provider).select("month", "provider", "key").unique()
    rows = rows.join(billed.with_columns(in_ledger=True), on=["month", "provider", "key"], how="left")
    absent = [pl.when(pl.col(f"{s}_rows").is_null()).then(pl.lit(s)) for s in SIDES]
    missing = pl.concat_str(absent, separator=", ", ignore_nulls=True)
    unrated = pl.concat_str([f"{s}_unrated" for s in SIDES], separator="; ", ignore_nulls=True)
    owes = pl.concat_str(
        pl.when(pl.col("in_ledger")).then(pl.lit("gateway")),
        pl.when(pl.col("invoice_rows") > 0).then(pl.lit("invoice")),
        separator=", ",
        ignore_nulls=True,
    )
    return API_RECONCILIATION.conform(
        rows.join(_spelled(named), on=["provider", "key"], how="left")
        .with_columns(
            *(v for a, b in PAIRS for v in _variances(a, b)),
            converted_currency=pl.when(
                pl.any_horizontal(pl.col(f"{s}_converted_cost").is_not_null() for s in SIDES)
            ).then(pl.lit(currency)),
            unconverted=pl.when(unrated != "").then(unrated),
            missing=pl.when(missing != "").then(missing),
            charged=pl.when(owes != "").then(owes),
        )
        .sort("month", "provider", "model", "token_kind")
    )


def _named(frame: pl.DataFrame, models: Mapping[str, str], providers: Mapping[str, str]) -> pl.DataFrame:
    """The frame with month, the provider's one name, and `key`, which the spellings of one model share."""
    spelled = {m: model_key(m, models) for m in frame["model"].unique()}
    sold = {p: provider_name(p, providers) for p in frame["provider"].unique()}
    return frame.with_columns(
        month=pl.col("day").dt.truncate("1mo"),
        key=pl.col("model").replace_strict(spelled, return_dtype=pl.String),
        provider=pl.col("provider").replace_strict(sold, return_dtype=pl.String),
        model=pl.col("model").fill_null("unknown"),
    )


def _spelled(named: list[pl.DataFrame]) -> pl.DataFrame:
    """Provider and key -> model (the spelling of the first account that has it) and names (all of them)."""
    order = pl.concat(
        [f.select("provider", "key", "model", side=pl.lit(i)) for i, f in enumerate(named)]
    ).unique()
    return (
        order.sort("side", "model")
        .group_by("provider", "key", maintain_order=True)
        .agg(pl.col("model").first().str.to_lowercase(), names=pl.col("model").unique().sort().str.join(", "))
    )


def _side(frame: pl.DataFrame, side: str) -> pl.DataFrame:
    whole = {c: pl.when(pl.col(c).is_not_null().all()).then(pl.col(c).sum()) for c in ("tokens", "cost")}
    single = pl.col("currency").drop_nulls().n_unique() <= 1
    converted = pl.when(pl.col("cost") == 0).then(pl.lit(0, MONEY)).otherwise(pl.col("converted"))
    unrated = pl.col("cost").is_not_null() & converted.is_null()
    lacking = pl.struct("day", "currency").filter(unrated).sort().first()
    unpriced = [pl.col("unpriced").sum().alias("gateway_unpriced")] if side == "gateway" else []
    return frame.group_by(KEY).agg(
        whole["tokens"].alias(f"{side}_tokens"),
        pl.when(single).then(whole["cost"]).alias(f"{side}_cost"),
        pl.when(single).then(pl.col("currency").drop_nulls().first()).alias(f"{side}_currency"),
        pl.when(converted.is_not_null().all()).then(converted.sum()).alias(f"{side}_converted_cost"),
        pl.when(unrated.any())
        .then(
            pl.format(
                f"{side}: no rate for {{}} on {{}}",
                lacking.struct.field("currency"),
                lacking.struct.field("day").dt.to_string("%Y-%m-%d"),
            )
        )
        .alias(f"{side}_unrated"),
        pl.len().alias(f"{side}_rows"),
        *unpriced,
    )


def _absences(named: Mapping[str, pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Of each account, the days on which another one has work of a model and kind of token, and this has nothing.

    A line that covers several days is of each of them, and proves work on none.
    """
    day = [*KEY, "day"]
    several = pl.col("last_day") > pl.col("day")
    work = pl.when(pl.col("tokens").is_null()).then(pl.col("cost") != 0).otherwise(pl.col("tokens") != 0)
    worked = {
        side: rows.filter(~several.fill_null(value=False) & work & (pl.col("token_kind") != OTHER)).select(
            day
        )
        for side, rows in named.items()
    }
    for side, rows in named.items():
        others = pl.concat([w for other, w in worked.items() if other != side]).unique()
        absent = others.join(rows, on=day, how="anti")
        spans = rows.filter(several).select(*KEY[1:], first="day", last="last_day").unique()
        within = absent.join(spans, on=KEY[1:]).filter(pl.col("day").is_between("first", "last"))
        lacks = absent.join(within, on=day, how="anti").group_by(KEY)
        days = pl.col("day").sort().dt.to_string("%Y-%m-%d").str.join(", ")
        yield lacks.agg(days.alias(f"{side}_missing_days"))


def _variances(a: str, b: str) -> list[pl.Expr]:
    tokens = pl.col(f"{a}_tokens") - pl.col(f"{b}_tokens")
    comparable = pl.col(f"{a}_currency").eq(pl.col(f"{b}_currency")).fill_null(value=False)
    cost = pl.when(comparable).then(pl.col(f"{a}_cost") - pl.col(f"{b}_cost"))
    base = pl.col(f"{b}_converted_cost")
    converted = pl.col(f"{a}_converted_cost") - base
    return [
        tokens.alias(f"{a}_{b}_tokens"),
        _share(tokens, pl.col(f"{b}_tokens")).alias(f"{a}_{b}_tokens_share"),
        cost.alias(f"{a}_{b}_cost"),
        _share(cost.cast(pl.Float64), pl.col(f"{b}_cost").cast(pl.Float64)).alias(f"{a}_{b}_cost_share"),
        converted.alias(f"{a}_{b}_converted_cost"),
        _share(converted.cast(pl.Float64), base.cast(pl.Float64)).alias(f"{a}_{b}_converted_cost_share"),
    ]


def _share(difference: pl.Expr, base: pl.Expr) -> pl.Expr:
    return pl.when(base != 0).then(difference / base)
