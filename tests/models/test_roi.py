from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl

from models.model_cost import ratio
from models.records import Rate, Revenue
from models.roi import monthly
from models.tables import CHARGEBACK_MONTHLY, ROI_MONTHLY


def charge(month: int, cost: str | None, kind: str = "direct", project: str = "reader") -> dict[str, Any]:
    text = dict.fromkeys((c.name for c in CHARGEBACK_MONTHLY.columns if c.type == "text"), "x")
    return text | {
        "month": date(2026, month, 1), "project": project, "cost_kind": kind, "billed_cost": Decimal(0),
        "effective_cost": Decimal(1), "converted_cost": None if cost is None else Decimal(cost),
    }  # fmt: skip


def benefit(month: int, amount: str, project: str | None = "reader", currency: str = "USD") -> Revenue:
    return Revenue(month=date(2026, month, 1), amount=Decimal(amount), currency=currency, project=project)


def roi(charges: list[dict[str, Any]], benefits: list[Revenue], rates: tuple[Rate, ...] = ()) -> pl.DataFrame:
    frame = CHARGEBACK_MONTHLY.conform(
        pl.DataFrame(charges, schema_overrides={"converted_cost": pl.Decimal(38, 12)})
    )
    return monthly(frame, benefits, rates, "USD")


def test_return_to_date_with_the_cost_by_kind() -> None:
    """7: 0 of 40. 8: 30 + 10 idle, no charge in 9, benefits 100 and 60: (160 - 80) / 80 = 1."""
    got = roi(
        [charge(7, "40"), charge(8, "30"), charge(8, "10", "idle"), charge(8, "99", project="other")],
        [benefit(8, "100", "READER "), benefit(9, "60"), benefit(8, "1000", None)],
    )
    assert got.schema == ROI_MONTHLY.schema
    assert got.select("benefit", "cost", "cost_direct", "cost_idle", "cost_to_date", "roi").rows() == [
        (0, 40, 40, 0, 40, -1),
        (100, 40, 30, 10, 80, 0.25),
        (60, 0, 0, 0, 80, 1),
    ]


def test_what_is_not_known_stays_so_to_date() -> None:
    """No rate of a charge of 8: its cost and what follows to date; nothing is declared after 9."""
    got = roi([charge(7, "40"), charge(8, None), charge(9, "5"), charge(10, "5")], [benefit(9, "90")])
    assert got["cost"].to_list() == [40, None, 5, 5]
    assert got["cost_to_date"].to_list() == [40, None, None, None]
    assert got["benefit_to_date"].to_list() == [0, 0, 90, None]
    assert got["roi"].to_list() == [-1, None, None, None]


def test_benefits_are_converted_and_no_cost_has_no_return() -> None:
    """50 EUR at 1.2 and 40 USD: 100."""
    rates = (Rate(date=date(2026, 1, 1), currency="EUR", rate=Decimal("1.2")),)
    got = roi([charge(9, "5", project="other")], [benefit(9, "50", currency="EUR"), benefit(9, "40")], rates)
    assert got.select("benefit", "cost", "roi").rows() == [(100, 0, None)]
    unknown = roi([charge(9, "5")], [benefit(9, "50", currency="EUR"), benefit(9, "40")])
    assert unknown.select("benefit", "benefit_to_date", "roi").rows() == [(None, None, None)]


def test_what_a_project_brought_is_no_revenue_of_the_organisation() -> None:
    charges = CHARGEBACK_MONTHLY.conform(pl.DataFrame([charge(9, "5")]))
    assert ratio(charges, [benefit(9, "90"), benefit(9, "100", None)], [], "USD")["ratio"].to_list() == [0.05]
