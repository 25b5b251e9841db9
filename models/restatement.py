"""What deliveries changed in months read before: rows and money by service and account, charges that moved, accounts that two reports bill."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import polars as pl

GROUP = ("service_name", "sub_account", "currency")


def changes(before: pl.DataFrame, after: pl.DataFrame) -> list[dict[str, Any]]:
    """Compares two versions of the daily costs of one slice.

    Args:
        before: service_name, sub_account, currency, rows, billed_cost, effective_cost of the version replaced.
        after: The same columns of the version that replaces it.

    Returns:
        One entry a service, account and currency whose rows or money differ, greatest change of money first:
        the group's columns, rows_before, rows_after, and billed_cost_before, billed_cost_after,
        effective_cost_before, effective_cost_after as exact text. Empty when nothing differs.
    """
    sides = [_sums(frame, side) for frame, side in ((before, "before"), (after, "after"))]
    both = sides[0].join(sides[1], on=list(GROUP), how="full", coalesce=True, nulls_equal=True)
    both = both.with_columns(pl.col(c).fill_null(0) for c in both.columns if c not in GROUP)
    pairs = [(f"{name}_before", f"{name}_after") for name in ("rows", "billed_cost", "effective_cost")]
    differs = both.filter(pl.any_horizontal(pl.col(a) != pl.col(b) for a, b in pairs))
    size = (pl.col("billed_cost_after") - pl.col("billed_cost_before")).abs()
    ordered = differs.sort(size, *GROUP, descending=[True, False, False, False], nulls_last=True)
    return [
        {k: f"{v:f}" if k.startswith(("billed", "effective")) else v for k, v in row.items()}
        for row in ordered.iter_rows(named=True)
    ]


def moved(costs: pl.DataFrame, kept: pl.DataFrame) -> pl.DataFrame:
    """Of months that a source no longer offers, the charges that another month of it bills now.

    A charge is the same if its day, provider, service, account, tags, rows and cost to the last decimal are.

    Args:
        costs: Daily costs: source, billing_month, day, ... , billed_cost, effective_cost, rows.
        kept: source, billing_month of the months that are no longer offered.

    Returns:
        source, billing_month (the kept one), currency, billed_cost, in this order; only what is not 0.
    """
    same = [c for c in costs.columns if c != "billing_month"]
    old = costs.join(kept, on=["source", "billing_month"], how="semi")
    others = costs.join(kept, on=["source", "billing_month"], how="anti")
    again = old.join(others, on=same, how="semi", nulls_equal=True)
    sums = again.group_by("source", "billing_month", "currency").agg(pl.col("billed_cost").sum())
    return sums.filter(pl.col("billed_cost") != 0).sort("source", "billing_month", "currency")


def billed_twice(costs: pl.DataFrame, one: Collection[str], other: Collection[str]) -> pl.DataFrame:
    """Accounts and months that sources of two groups both bill, where each source holds all charges of its accounts.

    Args:
        costs: Daily costs: source, billing_month, sub_account, currency, billed_cost.
        one: Names of the sources of one group, such as legacy reports.
        other: Those of the other group, such as CUR 2.0.

    Returns:
        billing_month, sub_account, currency, source (of `one`), billed_cost (there), source_other, in this order.
    """
    keys = ["billing_month", "sub_account", "currency"]
    known = costs.filter(pl.col("sub_account").is_not_null())
    bills = [
        known.filter(pl.col("source").is_in(list(group)))
        .group_by(*keys, "source")
        .agg(pl.col("billed_cost").sum())
        for group in (one, other)
    ]
    both = bills[0].join(bills[1].drop("billed_cost"), on=keys, suffix="_other")
    return both.select(*keys, "source", "billed_cost", "source_other").sort(*keys, "source", "source_other")


def _sums(frame: pl.DataFrame, side: str) -> pl.DataFrame:
    return frame.group_by(GROUP).agg(
        pl.col(name).sum().alias(f"{name}_{side}") for name in ("rows", "billed_cost", "effective_cost")
    )
