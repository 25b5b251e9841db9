from __future__ import annotations

from datetime import date

import polars as pl

from models import gpu
from models.config import Ownership, Targets
from models.tables import AI_COST_RATIO, TARGETS, UNIT_COST_DAILY
from models.targets import monthly
from tests.models.owned import DAYS, SITES, free, gpu_hourly, hour, server

MONTH = date(2026, 9, 1)


def unit(**changes: object) -> dict[str, object]:
    line = dict.fromkeys(UNIT_COST_DAILY.schema.names())
    return (
        line
        | {"day": MONTH, "workload": "ocr", "tier": "cloud", "basis": "full", "team": "a", "currency": "USD"}
        | changes
    )


def compute(
    targets: Targets,
    *hours: dict[str, object],
    units: tuple[dict[str, object], ...] = (),
    asset: dict[str, object] | None = None,
) -> pl.DataFrame:
    cards = gpu.daily(gpu_hourly(*hours), [server(**asset or {})], SITES, Ownership(), DAYS)
    ratio = pl.DataFrame([(MONTH, 30, 0, 200, 0.15)], schema=AI_COST_RATIO.schema, orient="row")
    got = monthly(cards, pl.DataFrame(units, schema=UNIT_COST_DAILY.schema), ratio, targets)
    assert got.schema == TARGETS.schema
    return got


def test_utilisation_must_be_over_its_target() -> None:
    """18 h held with 0.7 used each: 12.6 of 18 is 0.7, which is not over 0.7; 18 of 24 allocated is over 0.74."""
    hours = [hour(h, used_hours=0.7) if h < 18 else free(h) for h in range(24)]
    got = compute(Targets(gpu_allocation=0.74, ai_cost_share_of_revenue=0.15), *hours)
    found = {r["metric"]: (round(r["value"], 9), r["status"]) for r in got.iter_rows(named=True)}
    assert found == {
        "gpu_utilisation": (0.7, "missed"),
        "gpu_allocation": (0.75, "met"),
        "ai_cost_share_of_revenue": (0.15, "met"),
    }
    over = compute(Targets(gpu_utilisation=0.69), *hours)
    assert over.filter(pl.col("metric") == "gpu_utilisation")["status"].to_list() == ["met"]


def test_unknown_use_is_neither_met_nor_missed() -> None:
    got = compute(Targets(), *(hour(h, used_hours=None) for h in range(24)))
    assert got.select("metric", "value", "coverage", "status").rows() == [
        ("gpu_utilisation", None, 0.0, "unknown")
    ]


def test_uptime_and_success_of_a_workload() -> None:
    """Up 1.0 and 0.998 on two days: 0.999, met. 900 of 1,000 and 100 of 100 requests, batches of four: 1,000 of 1,100."""
    units = (
        unit(uptime=1.0, inferences=4 * 900.0, answered=900.0, failed=100.0),
        unit(uptime=0.998, inferences=4 * 100.0, answered=100.0, failed=0.0, day=date(2026, 9, 2)),
        unit(uptime=1.0, inferences=4 * 900.0, answered=900.0, failed=100.0, basis="marginal"),
    )
    got = compute(Targets(request_success=0.95), units=units).filter(pl.col("subject") == "ocr · cloud")
    found = {r["metric"]: (round(r["value"], 6), r["status"]) for r in got.iter_rows(named=True)}
    assert found == {"uptime": (0.999, "met"), "request_success": (round(1000 / 1100, 6), "missed")}


def test_hours_held_in_a_gap_are_no_hours_of_known_use() -> None:
    """18 h sampled at 0.8 and 6 h that only the scheduler's requests say: 14.4 of 18 is 0.8, known for 18 of 24 h."""
    blind = {"sampled": False, "used_hours": None, "energy_kwh": 0.0}
    hours = [hour(h, used_hours=0.8) if h < 18 else hour(h, **blind) for h in range(24)]
    row = compute(Targets(), *hours).row(0, named=True)
    assert (round(row["value"], 9), row["coverage"], row["status"]) == (0.8, 0.75, "met")


def test_a_target_that_is_just_reached_is_not_missed_or_met_by_noise() -> None:
    """One card at 0.8 and one at 0.6 all day: 0.7 of 48 h, which floating point makes 0.7000000000000001, is not over 0.7."""
    hours = [hour(h, gpu=g, used_hours=u) for g, u in (("g1", 0.8), ("g2", 0.6)) for h in range(24)]
    row = compute(Targets(), *hours, asset={"units": 2}).row(0, named=True)
    assert row["value"] > 0.7
    assert row["status"] == "missed"
