from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from models.config import ModelScope
from models.model_cost import monthly, ratio
from models.records import Rate, Revenue
from models.tables import AI_COST_RATIO, CHARGEBACK_MONTHLY, MODEL_COST_MONTHLY

SEP, OCT = date(2026, 9, 1), date(2026, 10, 1)


def charge(cost: str, month: date = SEP, **changes: Any) -> dict[str, Any]:
    line = dict.fromkeys(CHARGEBACK_MONTHLY.schema.names(), "x") | {
        "month": month, "tier": "cloud", "currency": "USD", "billed_cost": Decimal(0), "published_cost": None,
        "adjustment": None, "effective_cost": Decimal(cost), "converted_cost": Decimal(cost),
    }  # fmt: skip
    return line | changes


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=CHARGEBACK_MONTHLY.schema)


def test_phases_of_a_model_add_up_to_the_chargeback() -> None:
    rows = frame(
        charge("5", workload_type="evaluation", project="Reader"),
        charge("40", workload_type="training", workload="reader-train"),
        charge("20", workload_type="realtime_inference", workload="reader-api"),
        charge("30", OCT, workload_type="realtime_inference", workload="reader-api"),
        charge("9", workload_type="storage", workload="lake"),
    )
    scope = ModelScope(workloads=("Reader-Train", "reader-api"), projects=("reader",))
    got = monthly(rows, {"reader-7b": scope})
    assert got.schema == MODEL_COST_MONTHLY.schema
    assert got.select("month", "model", "phase", "cost", "cost_to_date").rows() == [
        (SEP, "reader-7b", "development", 5, 5),
        (SEP, "reader-7b", "serving", 20, 20),
        (SEP, "reader-7b", "training", 40, 40),
        (SEP, "unassigned", "other", 9, 9),
        (OCT, "reader-7b", "serving", 30, 50),
    ]
    assert got["cost"].sum() == rows["effective_cost"].sum()


def test_names_count_as_the_configuration_spells_them() -> None:
    """An alias or an account may spell a kind of work, or a name with an accent in two characters: 40 is training of cafe."""
    rows = frame(charge("40", workload_type="Training", workload="Cafe\u0301"))
    got = monthly(rows, {"cafe": ModelScope(workloads=("caf\u00e9",))})
    assert got.select("model", "phase", "cost").rows() == [("cafe", "training", 40)]


def test_workload_goes_before_project_and_belongs_to_one_model() -> None:
    rows = frame(charge("1", workload="w", project="p"))
    models = {"by-project": ModelScope(projects=("p",)), "by-workload": ModelScope(workloads=("w",))}
    assert monthly(rows, models)["model"].to_list() == ["by-workload"]
    with pytest.raises(ValueError, match=r"workload 'W' is named by both 'a' and 'b'"):
        monthly(rows, {"a": ModelScope(workloads=("w",)), "b": ModelScope(workloads=("W",))})


def test_share_of_revenue() -> None:
    """300 of 1,000 USD + 500 EUR at 1.2 = 1,600 USD: 0.1875. October: a charge without a rate leaves it unknown."""
    rates = [Rate(date=date(2026, 8, 1), currency="EUR", rate=Decimal("1.2"))]
    revenue = [
        Revenue(month=SEP, amount=Decimal(1000), currency="USD"),
        Revenue(month=SEP, amount=Decimal(500), currency="EUR"),
        Revenue(month=OCT, amount=Decimal(1000), currency="USD"),
        Revenue(month=date(2026, 11, 1), amount=Decimal(1000), currency="GBP"),
    ]
    rows = frame(
        charge("100"), charge("200"), charge("50", OCT), charge("1", OCT, currency="GBP", converted_cost=None)
    )
    got = ratio(rows, revenue, rates, "USD")
    assert got.schema == AI_COST_RATIO.schema
    assert got.rows() == [
        (SEP, Decimal(300), 0, Decimal(1600), 0.1875),
        (OCT, None, 1, Decimal(1000), None),
        (date(2026, 11, 1), None, 0, None, None),
    ]
