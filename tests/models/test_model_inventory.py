from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from models.config import ModelScope
from models.model_inventory import inventory
from models.tables import EDGE_DAILY, INFERENCE_HOURLY, MODEL_INVENTORY, UNIT_COST_DAILY
from tests.models.owned import DAY
from tests.models.test_request_rate import START, hour

HISTOGRAM = '{"0.1": 90, "0.2": 100, "+Inf": 100}'


def unit(day: int, cost: str | None, inferences: float | None, **changes: Any) -> dict[str, Any]:
    return {
        "day": DAY + timedelta(days=day), "workload": "ocr", "model": "m1", "team": "vision", "tier": "onprem",
        "basis": "full", "currency": "USD", "inferences": inferences, "p95_ms": 100.0 + day,
        "cost": None if cost is None else Decimal(cost),
    } | changes  # fmt: skip


def served(day: int, inferences: float, **changes: Any) -> dict[str, Any]:
    at = {"day": DAY + timedelta(days=day), "hour": START + timedelta(days=day)}
    return hour(0, inferences, **(at | changes))


def found(units: list[dict[str, Any]], hours: list[dict[str, Any]]) -> pl.DataFrame:
    return inventory(
        UNIT_COST_DAILY.conform(pl.DataFrame(units, schema_overrides={"cost": pl.Decimal(38, 12)})),
        pl.DataFrame(hours, schema=INFERENCE_HOURLY.schema),
        EDGE_DAILY.empty(),
        {"M1": ModelScope(version="2", update_source="hub")},
        DAY + timedelta(days=29),
    )


def test_one_model_at_one_place_has_the_cost_of_silent_days_too() -> None:
    """The window begins on day 0: 10 + 20 + 5 of the silent day over 4,000; per million of 30 over 4,000: 7,500."""
    got = found(
        [unit(-10, "99", 9.0), unit(0, "10", 1000.0), unit(1, "20", 3000.0), unit(2, "5", None, model=None, p95_ms=None)],
        [served(-10, 9.0), served(0, 1000.0), served(1, 3000.0)],
    )  # fmt: skip
    assert got.schema == MODEL_INVENTORY.schema
    row = got.row(0, named=True)
    assert got.height == 1
    assert (row["model"], row["place"], row["version"], row["update_source"]) == ("m1", "dc1", "2", "hub")
    assert (row["first_day"], row["last_day"]) == (DAY - timedelta(days=10), DAY + timedelta(days=1))
    assert (row["days"], row["days_counted"], row["inferences"], row["cost"]) == (2, 2, 4000, 35)
    assert (row["p95_ms"], row["cost_per_1m_inferences"]) == (100.5, 7500)


def test_cost_that_models_share_is_in_a_row_of_its_own() -> None:
    """Day 0: both models, 10. Day 1: m1 alone, 20. All rows: 30 and 6,000, as the unit costs."""
    got = found(
        [unit(0, "10", 3000.0, model=None), unit(1, "20", 3000.0)],
        [
            served(0, 1000.0, latency_buckets=HISTOGRAM), served(0, 2000.0, model="m2"), served(1, 3000.0)
        ],
    )  # fmt: skip
    columns = ("model", "place", "inferences", "cost", "cost_per_1m_inferences", "p95_ms")
    assert set(got.with_columns(pl.col("p95_ms").round(9)).select(columns).rows()) == {
        (None, None, None, 10, None, None),
        # 20 / 3,000; day 0: rank 95 in 0.1 to 0.2 s, 150 ms; day 1: 101 ms
        ("m1", "dc1", 4000.0, 20, Decimal("6666.666666666667"), 125.5),
        ("m2", "dc1", 2000.0, None, None, None),
    }
    assert (got["cost"].sum(), got["inferences"].sum()) == (30, 6000)


def test_a_model_api_stands_at_its_source_and_unpaid_work_has_no_cost() -> None:
    got = found(
        [unit(0, None, 5.0, tier="api", currency="XXX", team="untagged")],
        [served(0, 5.0, tier="api", site=None, source="gateway")],
    )
    assert got.select("place", "team", "inferences", "cost", "currency").rows() == [
        ("gateway", "untagged", 5.0, None, "XXX")
    ]
