from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from models.sharing import possible
from models.tables import GPU_DAILY, GPU_SHARING

DAY = date(2026, 9, 1)


def card(gpu: str, used: float | None, day: int = 0, **changes: Any) -> dict[str, Any]:
    """A card of 100 that is held for a whole day."""
    return {
        "day": DAY + timedelta(days=day), "site": "dc1", "node": "n1", "gpu": gpu, "gpu_model": "H100",
        "team": "vision", "workload": "ocr", "state": "allocated", "gpu_hours_capacity": 24.0,
        "gpu_hours_allocated": 24.0, "gpu_hours_used": used, "coverage": 1.0, "energy_estimated_kwh": 0.0,
        "cost_used": Decimal(40), "cost_idle": Decimal(60), "cost_unallocated": Decimal(0), "currency": "USD",
    } | changes  # fmt: skip


def found(*cards: dict[str, Any]) -> dict[str, Any]:
    got = possible(GPU_DAILY.conform(pl.DataFrame(cards)), DAY + timedelta(days=29))
    assert got.schema == GPU_SHARING.schema
    return got.row(0, named=True) if got.height else {}


def test_from_45_to_85_percent_saves_47_percent() -> None:
    """The golden case G001-19: 17 cards at 45 % are 9 at 85 %; 1 - 45 / 85 = 47.06 % of 1,700 = 800."""
    row = found(*(card(f"g{i}", 10.8) for i in range(17)))
    assert (row["cards_held"], row["cards_needed"]) == (17, 9)
    assert (row["utilisation"], row["utilisation_shared"]) == pytest.approx((0.45, 0.85))
    assert row["saving_share"] == pytest.approx(0.470588, abs=5e-7)
    assert (row["cost"], float(row["saving"])) == (1700, pytest.approx(800))


def test_the_busiest_day_decides() -> None:
    """Day 0: 6 of 48 h, one card; day 1: 30 of 48 h, two: nothing to save, though the mean is 0.375."""
    row = found(card("a", 3.0), card("b", 3.0), card("a", 15.0, 1), card("b", 15.0, 1))
    assert (row["cards_needed"], row["utilisation"], row["utilisation_shared"]) == (2, 0.375, 0.375)
    assert (row["saving_share"], row["saving"]) == (0, 0)


def test_cards_busier_than_the_bound_are_not_bought() -> None:
    row = found(card("a", 24.0))
    assert (row["cards_needed"], row["utilisation_shared"], row["saving_share"]) == (1, 1, 0)


def test_unknown_use_is_left_out_and_no_use_has_no_utilisation_after() -> None:
    row = found(card("a", 0.0), card("b", None), card("c", None, state="unallocated"))
    assert (row["cards_held"], row["utilisation"], row["coverage"], row["cost"]) == (1, 0, 0.5, 100)
    assert (row["cards_needed"], row["utilisation_shared"], row["saving_share"]) == (0, None, 1)
    assert found(card("b", None)) == {}
