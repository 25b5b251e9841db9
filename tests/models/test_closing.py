"""Closed months and what they have come to since, by hand."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl

from models.closing import BY, KEY, changed, with_published
from models.tables import CHARGEBACK_MONTHLY

SEPTEMBER, OCTOBER = date(2026, 9, 1), date(2026, 10, 1)


def monthly(*rows: tuple[date, str, str, str | None]) -> pl.DataFrame:
    """month, team, service, cost; each row owes all of it."""
    line: dict[str, Any] = dict.fromkeys(KEY, "x") | {"currency": "USD", "sub_account": None}
    return CHARGEBACK_MONTHLY.conform(
        pl.DataFrame(
            [
                line
                | {"month": month, "team": team, "service_name": service}
                | dict.fromkeys(("billed_cost", "effective_cost", "unconverted_cost"), Decimal(cost or 0))
                for month, team, service, cost in rows
            ],
            schema_overrides={"sub_account": pl.String},
        )
    )


def closed(frame: pl.DataFrame, month: date) -> pl.DataFrame:
    rows = frame.filter(pl.col("month") == month)
    return rows.select(*KEY, published_cost="effective_cost")


def told(frame: pl.DataFrame) -> list[tuple[object, ...]]:
    columns = ("month", "team", "service_name", "effective_cost", "published_cost", "adjustment")
    return frame.sort("month", "team", "service_name").select(columns).rows()


AT_CLOSE = monthly(
    (SEPTEMBER, "assist", "gpu", "10.10"), (SEPTEMBER, "vision", "gpu", "20.20"), (OCTOBER, "vision", "gpu", "7")
)  # fmt: skip
LATER = monthly(
    (SEPTEMBER, "assist", "gpu", "10.10"), (SEPTEMBER, "search", "disk", "1.5"), (OCTOBER, "vision", "gpu", "8")
)  # fmt: skip


def test_adjustments_of_a_closed_month_add_up() -> None:
    # September closed at 30.30: 10.10 stays, 20.20 is gone, 1.5 is new, so 11.60 now, -18.70 in all. October is open.
    found = with_published(LATER, closed(AT_CLOSE, SEPTEMBER))
    ten, twenty, new = Decimal("10.10"), Decimal("20.20"), Decimal("1.5")
    assert told(found) == [
        (SEPTEMBER, "assist", "gpu", ten, ten, 0),
        (SEPTEMBER, "search", "disk", new, 0, new),
        (SEPTEMBER, "vision", "gpu", 0, twenty, -twenty),
        (OCTOBER, "vision", "gpu", 8, None, None),
    ]
    assert found["adjustment"].sum() == Decimal("-18.70")
    assert found["billed_cost"].sum() == Decimal("19.60")


def test_a_cost_without_a_rate_stays_without_one() -> None:
    found = with_published(LATER, closed(AT_CLOSE, SEPTEMBER)).sort("month", "team")
    assert found["converted_cost"].to_list() == [None, None, 0, None]


def test_nothing_is_closed() -> None:
    assert with_published(LATER, closed(AT_CLOSE, date(2026, 1, 1))).equals(LATER.sort(KEY))


def test_what_a_run_changed_is_told_once() -> None:
    before = AT_CLOSE.select(*BY, "effective_cost")
    found = changed(with_published(LATER, closed(AT_CLOSE, SEPTEMBER)), before)
    columns = ("month", "team", "service_name", "effective_cost", "difference", "adjustment")
    twenty, new = Decimal("20.20"), Decimal("1.5")
    assert found.select(columns).sort("team").rows() == [
        (SEPTEMBER, "search", "disk", new, new, new),
        (SEPTEMBER, "vision", "gpu", 0, -twenty, -twenty),
    ]
    again = with_published(LATER, closed(AT_CLOSE, SEPTEMBER))
    assert changed(again, again.select(*BY, "effective_cost")).is_empty()


def test_what_came_after_the_close_and_went_again_is_told() -> None:
    # search is not in the closing, was published at 1.5 since, and is gone: nothing is left to adjust.
    before = LATER.select(*BY, "effective_cost")
    found = changed(with_published(AT_CLOSE, closed(AT_CLOSE, SEPTEMBER)), before)
    rows = (
        found.filter(pl.col("team") == "search").select("effective_cost", "difference", "adjustment").rows()
    )
    assert rows == [(0, Decimal("-1.5"), 0)]
