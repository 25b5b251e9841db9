"""What a new delivery of a month changed."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import polars as pl

from models.restatement import billed_twice, changes
from models.tables import MONEY

SCHEMA = {
    "service_name": pl.String,
    "sub_account": pl.String,
    "currency": pl.String,
    "rows": pl.Int64,
    "billed_cost": MONEY,
    "effective_cost": MONEY,
}


def version(*rows: tuple[str, str | None, int, str]) -> pl.DataFrame:
    data = [(service, account, "USD", n, Decimal(cost), Decimal(cost)) for service, account, n, cost in rows]
    return pl.DataFrame(data, schema=SCHEMA, orient="row")


def test_same_content_is_no_change() -> None:
    frame = version(("EC2", "1", 5, "10"), ("S3", None, 2, "1"))
    assert changes(frame, frame.reverse()) == []


def test_each_group_that_differs_greatest_first() -> None:
    """EC2 fell from 10 to 7.50; tax appeared with 0.20; S3 is as it was, in two days instead of one."""
    before = version(("EC2", "1", 5, "10"), ("S3", None, 2, "1"))
    after = version(
        ("EC2", "1", 5, "7.5"), ("S3", None, 1, "0.4"), ("S3", None, 1, "0.6"), ("Tax", "1", 1, "0.2")
    )
    found = changes(before, after)
    assert [(c["service_name"], c["rows_before"], c["rows_after"]) for c in found] == [
        ("EC2", 5, 5),
        ("Tax", 0, 1),
    ]
    assert (found[0]["billed_cost_before"], found[0]["billed_cost_after"]) == (
        "10.000000000000",
        "7.500000000000",
    )
    assert found[1]["effective_cost_before"] == "0.000000000000"


def test_a_group_that_vanished() -> None:
    (found,) = changes(version(("EC2", None, 1, "3")), version())
    assert (found["rows_before"], found["rows_after"], found["billed_cost_after"]) == (1, 0, "0.000000000000")


def test_accounts_that_two_groups_of_reports_both_bill() -> None:
    """Account 1 is in both in September only; account 2 in one each; a charge without account says nothing."""
    september, october = date(2026, 9, 1), date(2026, 10, 1)
    rows = [
        ("old", september, "1", "USD", "2"), ("old", september, "1", "USD", "3"), ("old", october, "1", "USD", "9"),
        ("new", september, "1", "USD", "5"), ("old", september, "2", "USD", "1"), ("new", october, "2", "USD", "1"),
        ("old", september, None, "USD", "1"), ("new", september, None, "USD", "1"), ("x", october, "1", "USD", "1"),
    ]  # fmt: skip
    schema = {"source": pl.String, "billing_month": pl.Date, "sub_account": pl.String, "currency": pl.String}
    costs = pl.DataFrame(
        [(*keys, Decimal(cost)) for *keys, cost in rows], schema=schema | {"billed_cost": MONEY}, orient="row"
    )
    found = billed_twice(costs, ["old"], ["new"])
    assert found.rows() == [(september, "1", "USD", "old", Decimal(5), "new")]
