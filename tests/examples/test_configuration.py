"""The demo's workloads tell the five stories that the comments of tierwise.yaml promise."""

from __future__ import annotations

from decimal import Decimal

import polars as pl
import pytest
import yaml

from examples.generate import CONFIG
from models.config import Settings
from models.placement import measured
from models.placement.recommend import recommend

SEEN = {
    # workload: cost a month, requests, prompt tokens, generated tokens, GPU-hours held, as the generator makes them
    "support-chat": ("4900", 3.5e6, 3.0e9, 7.5e8, 2920.0),
    "doc-extract": ("30500", 5.7e6, 1.09e10, 1.9e9, None),
    "fraud-scoring": ("2900", 4.4e8, None, None, 1460.0),
    "line-inspection": ("3100", 2.9e7, None, None, None),
}


@pytest.fixture(scope="module")
def placements() -> dict[str, dict[str, object]]:
    """Workload -> its row of marts.placement."""
    rows = [
        {
            **dict.fromkeys(measured.SCHEMA),
            "workload": workload,
            "days_observed": 30,
            "days_left_out": 0,
            "inferences_month": requests,
            "tokens_in_month": tokens_in,
            "tokens_out_month": tokens_out,
            "gpu_hours_allocated_month": hours,
            "effective_cost_month": Decimal(cost),
            "currency": "USD",
        }
        for workload, (cost, requests, tokens_in, tokens_out, hours) in SEEN.items()
    ]
    settings = Settings.model_validate(yaml.safe_load(CONFIG.read_text(encoding="utf-8")))
    placement, _ = recommend(settings.workloads, pl.DataFrame(rows, schema=measured.SCHEMA), "USD")
    return {row["workload"]: row for row in placement.iter_rows(named=True)}


@pytest.mark.parametrize(
    ("workload", "status", "option"),
    [
        ("support-chat", "keep", "dc1"),
        ("doc-extract", "implement", "dc1-new-server"),
        ("fraud-scoring", "keep", "dc1"),
        ("field-copilot", "infeasible", None),
        ("line-inspection", "keep", "cameras"),
    ],
)
def test_story(
    placements: dict[str, dict[str, object]], workload: str, status: str, option: str | None
) -> None:
    row = placements[workload]
    assert (row["status"], row["recommended_option"]) == (status, option)


def test_the_move_breaks_even_within_the_horizon(placements: dict[str, dict[str, object]]) -> None:
    # up front 178,000 + 22,000; a month costs 1,480 + 2.2 kW x 1.25 x 730 h x 0.137 = 275.03, so 28,744.97 is saved:
    # 200,000 / 28,744.97 = 6.96 months
    assert placements["doc-extract"]["breakeven_month"] == 7


def test_ids_of_accounts_are_texts_with_their_zeros() -> None:
    settings = Settings.model_validate(yaml.safe_load(CONFIG.read_text(encoding="utf-8")))
    assert {a for a in settings.ownership.accounts if a.isdigit()} == {"000412908831", "000391827465"}
