"""What requests of a spend log cost: as logged, or from the price list; charges and accounts of usage follow from it.

Requests are added up in SQL (`requests.groups_sql`); the rule of a price belongs to `models/llm.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from connectors.base import SourceError
from connectors.llm.charges import SCHEMA, tags
from connectors.llm.logs import PLAIN
from connectors.llm.requests import UNKNOWN
from models.llm import UNKNOWN_CACHED, price_frame, price_requests
from models.records import Price
from models.tables import API_USAGE

GATEWAY = "LiteLLM"
CURRENCY = "USD"
"""LiteLLM estimates spend in US dollars."""


def priced(groups: pl.DataFrame, prices: Sequence[Price]) -> pl.DataFrame:
    """Groups of requests with cost and currency: as logged, or from the price list where they carry none.

    Args:
        groups: Result of `requests.groups_sql`.
        prices: The price list.

    Returns:
        The groups; cost and currency are NULL where neither knows, and `unpriced` says why the price list does not. A
        group from the price list is rounded once.

    Raises:
        SourceError: The price list contradicts itself.
    """
    logged = groups.filter(~pl.col("costless"))
    asked = groups.filter(pl.col("costless")).drop("cost")
    try:
        found = price_requests(asked, price_frame(prices))
    except ValueError as error:
        msg = f"prices: {error}"
        raise SourceError(msg) from error
    in_dollars = pl.when(pl.col("cost").is_not_null()).then(pl.lit(CURRENCY))
    return pl.concat(
        [
            logged.with_columns(currency=in_dollars, unpriced=pl.lit(None, pl.String)),
            found.select(*groups.columns, "currency", "unpriced"),
        ],
        how="vertical_relaxed",
    )


def charges(costs: pl.DataFrame, account: str) -> pl.DataFrame:
    """Charges of the ledger, by day, owner, provider and model.

    Args:
        costs: Result of `priced`.
        account: Billing account where a request names no organisation.

    Returns:
        Columns of `charges.SCHEMA`.
    """
    tokens = (
        pl.when(pl.col("costless"))
        .then(pl.col("tokens_in") + pl.col("tokens_out"))
        .otherwise("costed_tokens")
    )
    key = ("day", "organisation", "team_id", "team", "workload", "provider", "model", "costless", "currency")
    spend = (
        costs.filter(pl.col("billed") & pl.col("cost").is_not_null())
        .with_columns(pl.col("model").fill_null(UNKNOWN), quantity=tokens)
        .group_by(key)
        .agg(pl.col("cost").sum(), pl.col("quantity").sum())
        .sort(key)
    )
    start = pl.col("day").cast(pl.Datetime("us"))
    how = (
        pl.when(pl.col("costless"))
        .then(pl.lit("at the price list"))
        .otherwise(pl.lit("as estimated by LiteLLM"))
    )
    labels = spend.select("team", "workload").iter_rows(named=True)
    return spend.select(
        "day", "cost", "quantity", "currency",
        start=start,
        end=start.dt.offset_by("1d"),
        provider=pl.col("provider").fill_null(GATEWAY),
        account=pl.col("organisation").fill_null(account),
        sub_account="team_id",
        sub_account_name="team",
        service="model",
        meter=pl.lit("Tokens"),
        description=pl.format("{}, {}", "model", how),
        tags=pl.Series([tags(label) for label in labels], dtype=pl.String),
    ).cast({"quantity": SCHEMA["quantity"], "cost": SCHEMA["cost"]}).match_to_schema(SCHEMA)  # fmt: skip


def list_totals(costs: pl.DataFrame) -> Iterator[tuple[Any, str, Any]]:
    """Day, currency and sum of what the price list says that billed requests cost."""
    listed = costs.filter(pl.col("billed") & pl.col("costless") & pl.col("cost").is_not_null())
    return listed.group_by("day", "currency").agg(pl.col("cost").sum()).sort("day", "currency").iter_rows()


def usage(costs: pl.DataFrame, source: str) -> pl.DataFrame:
    """The gateway's account of its providers' work: `telemetry.api_usage_daily`. Its own cache is none of it."""
    listed, unknown = pl.col("costless") & pl.col("cost").is_not_null(), pl.col("cost").is_null()
    with_cost = (
        pl.when(pl.col("costless")).then(pl.when(unknown).then(0).otherwise("requests")).otherwise("costed")
    )
    cached, cost = pl.col("tokens_cached"), pl.col("cost")
    return API_USAGE.conform(
        costs.filter(~pl.col("hit"))
        .with_columns(with_cost=with_cost)
        .group_by("day", "provider", "model", "currency")
        .agg(
            pl.sum("requests", "tokens_in", "tokens_out"),
            requests_priced=pl.col("requests").filter(listed).sum(),
            requests_unpriced=(pl.col("requests") - pl.col("with_cost")).sum(),
            tokens_cached=pl.when(cached.is_not_null().all()).then(cached.sum()),
            cost=pl.when(cost.is_not_null().any()).then(cost.sum()),
        )
        .with_columns(source=pl.lit(source), side=pl.lit("gateway"))
    )


def findings(costs: pl.DataFrame) -> Iterator[Mapping[str, Any]]:
    """Requests that carried no spend, by model: priced from the list, or without a cost.

    That is without a price, or with one that cached tokens do not share, and how many were cached is not known.

    Yields:
        file, day, action, rule, column_name, value (the model), rows, billed_cost, row.
    """
    blank, unknown = pl.col("blank"), pl.col("cost").is_null()
    action = (
        pl.when(~unknown)
        .then(pl.lit("repaired"))
        .when(blank & pl.col("billed"))
        .then(pl.lit("rejected"))
        .otherwise(pl.lit("flagged"))
    )
    rule = (
        pl.when(~unknown)
        .then(pl.lit("priced_from_list"))
        .when(pl.col("unpriced") == UNKNOWN_CACHED)
        .then(pl.lit("cached_tokens_unknown"))
        .when(blank)
        .then(pl.lit("missing_value"))
        .otherwise(pl.lit("spend_without_price"))
    )
    found = (
        costs.filter("costless")
        .group_by("day", "model", action=action, rule=rule)
        .agg(pl.col("requests").sum(), pl.col("file", "row").sort_by("file", "row").first())
        .sort("day", "rule", "model")
    )
    for row in found.iter_rows(named=True):
        model = row["model"]
        shown = (
            model if model is None or re.fullmatch(PLAIN, model) else f"({len(model)} characters, not shown)"
        )
        yield {
            "file": row["file"], "day": row["day"], "action": row["action"], "rule": row["rule"],
            "column_name": "spend", "value": shown, "rows": row["requests"], "billed_cost": None, "row": row["row"],
        }  # fmt: skip
