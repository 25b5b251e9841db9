from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from models import chargeback, tables
from models.config import Ownership
from models.ownership import assign

D1, D2, SEP, AUG = date(2026, 9, 1), date(2026, 9, 2), date(2026, 9, 1), date(2026, 8, 1)
RULES = Ownership(aliases={"team": {"vison": "vision"}}, accounts={"7": {"team": "search"}})


def row(billed: str | Decimal = "1", effective: str | Decimal | None = None, **other: Any) -> dict[str, Any]:
    tags = {f"{d}_tag": None for d in ("team", "project", "environment", "workload_type", "workload")}
    return (
        tags
        | {
            "day": D1,
            "billing_month": SEP,
            "tier": "cloud",
            "source": "aws",
            "service_provider": "AWS",
            "service_name": "EC2",
            "sub_account": None,
            "cost_kind": "direct",
            "currency": "USD",
            "billed_cost": Decimal(billed),
            "effective_cost": Decimal(billed if effective is None else effective),
        }
        | other
    )


def ledger(rows: list[dict[str, Any]]) -> pl.DataFrame:
    types = dict.fromkeys(row(), pl.String) | {
        "day": pl.Date,
        "billing_month": pl.Date,
        "billed_cost": tables.MONEY,
        "effective_cost": tables.MONEY,
    }
    return chargeback.daily(assign(pl.DataFrame(rows, schema=types), RULES))


def test_daily_groups_spellings_of_one_team() -> None:
    got = ledger(
        [row("1.10", team_tag="Vision"), row("2.20", "2", team_tag=" vision"), row("4", team_tag="vison")]
    )
    # `vison` came through an alias, so it is a row of its own: 1.10 + 2.20 = 3.30 and 1.10 + 2 = 3.10 by tag
    assert got.select("team", "method", "billed_cost", "effective_cost").rows() == [
        ("vision", "alias", Decimal(4), Decimal(4)),
        ("vision", "tag", Decimal("3.30"), Decimal("3.10")),
    ]
    assert got.schema == tables.CHARGEBACK_DAILY.schema


def test_monthly_goes_by_billing_month() -> None:
    got = chargeback.monthly(ledger([row("1"), row("2", day=D2), row("4", day=D2, billing_month=AUG)]))
    assert got.select("month", "billed_cost").rows() == [(AUG, Decimal(4)), (SEP, Decimal(3))]
    assert got["published_cost"].null_count() == got["adjustment"].null_count() == 2
    assert got.schema == tables.CHARGEBACK_MONTHLY.schema


def test_a_month_says_what_of_it_has_no_rate() -> None:
    """Of 1 + 2 + 4, the 2 of the second day have no rate."""
    days = ledger([row("1", "1"), row("2", "2", day=D2), row("4", "4", day=D2, team_tag="other")])
    rates = (
        pl.when((pl.col("day") == D2) & (pl.col("team") != "other")).then(None).otherwise("effective_cost")
    )
    got = chargeback.monthly(days.with_columns(converted_cost=rates)).sort("team")
    assert got.select("effective_cost", "converted_cost", "unconverted_cost").rows() == [
        (Decimal(4), Decimal(4), Decimal(0)), (Decimal(3), None, Decimal(2)),
    ]  # fmt: skip


def totals(*rows: tuple[str, date, str, str]) -> pl.DataFrame:
    return pl.DataFrame(
        [(s, m, c, Decimal(t)) for s, m, c, t in rows],
        schema={"source": pl.String, "month": pl.Date, "currency": pl.String, "total": tables.MONEY},
        orient="row",
    )


def test_reconcile_shows_what_is_missing_on_each_side() -> None:
    got = chargeback.reconcile(
        totals(("aws", SEP, "USD", "10"), ("aws", SEP, "EUR", "5"), ("gcp", AUG, "USD", "1.5")),
        totals(("aws", SEP, "USD", "7"), ("aws", SEP, "EUR", "6")),
        totals(("aws", SEP, "USD", "3")),
        ledger([row("6")]),
    )
    # aws EUR: |5 - 6 - 0| + |6 - 0| = 7; aws USD: |10 - 7 - 3| + |7 - 6| = 1; gcp: |1.5| + 0
    assert got.select("source", "currency", "difference").rows() == [
        ("aws", "EUR", Decimal(7)),
        ("aws", "USD", Decimal(1)),
        ("gcp", "USD", Decimal("1.5")),
    ]
    assert got.schema == tables.RECONCILIATION.schema


def test_errors_on_both_sides_do_not_cancel() -> None:
    got = chargeback.reconcile(
        totals(("aws", SEP, "USD", "10")), totals(("aws", SEP, "USD", "9")), totals(), ledger([row("10")])
    )
    assert got["difference"].to_list() == [Decimal(2)]  # 1 lost on the way in, 1 too many on the way out


def test_nothing_at_all() -> None:
    got = chargeback.reconcile(totals(), totals(), totals(), ledger([]))
    assert got.height == 0
    assert chargeback.monthly(ledger([])).height == 0


TAG = st.one_of(
    st.none(), st.sampled_from(["", " ", "Vision", "vison", "ÉQUIPE", "a\tb"]), st.text(max_size=4)
)
ROWS = st.builds(
    row,
    st.decimals(min_value=-(10**9), max_value=10**9, places=12),
    st.decimals(min_value=-(10**9), max_value=10**9, places=12),
    team_tag=TAG,
    workload_tag=TAG,
    day=st.sampled_from([D1, D2]),
    source=st.sampled_from(["aws", "site:dc1"]),
    sub_account=st.sampled_from([None, "7", "8"]),
    cost_kind=st.sampled_from(["direct", "idle", "shared", "unallocated"]),
    currency=st.sampled_from(["USD", "EUR"]),
)


def by_currency(frame: pl.DataFrame | list[dict[str, Any]], column: str) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {"USD": Decimal(0), "EUR": Decimal(0)}
    for r in frame.rows(named=True) if isinstance(frame, pl.DataFrame) else frame:
        found[r["currency"]] += r[column]
    return found


@given(rows=st.lists(ROWS, max_size=12))
def test_parts_sum_to_the_whole_for_any_rows_and_tags(rows: list[dict[str, Any]]) -> None:
    daily = ledger(rows)
    for column in ("billed_cost", "effective_cost"):
        assert by_currency(daily, column) == by_currency(rows, column)
        assert by_currency(chargeback.monthly(daily), column) == by_currency(rows, column)
    assert (
        daily.select("team", "project", "environment", "workload_type", "workload")
        .null_count()
        .sum_horizontal()
        .item()
        == 0
    )
    assert daily.select(pl.struct(tables.CHARGEBACK_DAILY.key).is_unique().all()).item()


@given(rows=st.lists(ROWS, max_size=8), extra=ROWS)
def test_a_further_row_changes_the_total_by_that_row(
    rows: list[dict[str, Any]], extra: dict[str, Any]
) -> None:
    before = by_currency(ledger(rows), "effective_cost")
    after = by_currency(ledger([*rows, extra]), "effective_cost")
    before[extra["currency"]] += extra["effective_cost"]
    assert after == before
