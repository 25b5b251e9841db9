"""GPU hours, unit costs and options of the small warehouse's rows."""

from datetime import date
from decimal import Decimal

import polars as pl
import pytest

from dashboards import usage
from dashboards.frames import Frames
from models import tables
from tests.dashboards.conftest import GPUS, OPTIONS, UNITS, gpu

FLEET = pl.DataFrame(GPUS, schema=dict(tables.GPU_DAILY.schema))


def test_utilisation_is_over_the_hours_that_are_known() -> None:
    use = usage.gpu_use(FLEET)
    # capacity 4 x 24; allocated 3 x 24; used 12 + 6 of 48 h known; the unheld card has no use to know
    assert (use.capacity, use.allocated, use.used) == (96.0, 72.0, 18.0)
    assert use.utilisation == pytest.approx(18 / 48)
    assert (use.cost_idle, use.cost_unallocated) == (Decimal("30.006"), Decimal("12.345"))
    assert use.energy_kwh == pytest.approx(42.0)


def test_nothing_known_is_unknown_not_zero() -> None:
    use = usage.gpu_use(FLEET.filter(pl.col("gpu_hours_used").is_null()))
    assert (use.used, use.utilisation) == (None, None)
    assert usage.gpu_use(FLEET.clear()).coverage is None
    dark = FLEET.with_columns(
        energy_kwh=pl.when(pl.col("gpu") == "GPU-bbbbbbbb").then(None).otherwise("energy_kwh")
    )
    assert usage.gpu_use(dark).energy_kwh is None


def test_parts_of_a_day_sum_to_its_capacity() -> None:
    rows = [
        *GPUS,
        gpu(date(2026, 9, 3), "GPU-dddddddd", "platform", None, state="unknown", gpu_hours_allocated=0.0),
    ]
    parts = usage.gpu_parts(pl.DataFrame(rows, schema=dict(tables.GPU_DAILY.schema)))
    third = dict(parts.filter(pl.col("day") == date(2026, 9, 3)).select("series", "value").iter_rows())
    # a: 6 used, 18 idle; b: held, use unknown; c: nobody's; d: nothing known
    assert third == {"used": 6.0, "idle": 18.0, "unallocated": 24.0, "unknown": 48.0}
    assert sum(third.values()) == 4 * 24


def test_cards_are_worst_first_and_the_rest_is_one_line() -> None:
    cards = usage.gpu_cards(FLEET, top=2)
    assert [(card, use.cost_idle + use.cost_unallocated) for _, card, _, use in cards] == [
        ("n1 · aaaaaaaa", Decimal("20.004")),
        ("n1 · cccccccc", Decimal("12.345")),
        ("1 other cards", Decimal("10.002")),
    ]


def test_waste_by_card_keeps_the_order_of_the_worst() -> None:
    waste = usage.waste_by_card(FLEET)
    assert waste["card"].unique(maintain_order=True).to_list() == [
        "n1 · aaaaaaaa",
        "n1 · cccccccc",
        "n1 · bbbbbbbb",
    ]
    assert waste["value"].sum() == Decimal("42.351")


def test_unit_costs_are_over_days_with_known_units() -> None:
    chat, words = usage.unit_costs(pl.DataFrame(UNITS, schema=dict(tables.UNIT_COST_DAILY.schema)))
    assert (chat.workload, chat.cost, chat.inferences) == ("chat", Decimal(65), 100_000.0)
    assert chat.per_inferences == {"full": Decimal(400), "marginal": Decimal(80)}
    assert (chat.days_known, chat.days) == (2, 3)
    assert words.per_inferences == {"full": Decimal(9000), "marginal": None}
    assert not chat.dark


def test_a_day_whose_gpus_were_dark_is_in_no_unit_cost() -> None:
    """20 over 50,000 requests are 400 a million; the 1 that six seen hours of another day cost is not over its 60,000."""
    row = dict.fromkeys(tables.UNIT_COST_DAILY.schema) | {
        "workload": "chat", "team": "nlp", "tier": "onprem", "currency": "USD", "basis": "full", "tokens_in": 10.0,
        "tokens_out": 10.0,
    }  # fmt: skip
    seen = row | {"day": date(2026, 9, 1), "cost": Decimal(20), "inferences": 50_000.0, "cost_coverage": 1.0}
    dark = row | {"day": date(2026, 9, 2), "cost": Decimal(1), "inferences": 60_000.0, "cost_coverage": 0.25}
    (chat,) = usage.unit_costs(pl.DataFrame([seen, dark], schema=dict(tables.UNIT_COST_DAILY.schema)))
    assert (chat.cost, chat.inferences, chat.days_known, chat.days) == (Decimal(21), 110_000.0, 1, 2)
    assert chat.per_inferences["full"] == Decimal(400)
    assert chat.dark


def frames(now: list[str], unit: list[str]) -> Frames:
    """Rows of these currencies."""
    shown, measured = (pl.DataFrame({"currency": c}, schema={"currency": pl.String}) for c in (now, unit))
    none = shown.clear()
    return Frames(shown, None, none, none, None, measured, None, none, {})


def test_work_without_a_cost_stands_with_the_first_currency() -> None:
    both = frames(["EUR", "USD", "USD"], ["USD", "XXX", "EUR", "XXX"])
    assert both.currencies == ["USD", "EUR"]
    assert both.of("USD").unit["currency"].to_list() == ["USD", "XXX", "XXX"]
    assert both.of("EUR").unit["currency"].to_list() == ["EUR"]
    only = frames([], ["XXX"])
    assert (only.currencies, only.of("XXX").unit.height) == (["XXX"], 1)
    charged = frames(["USD", "XXX"], ["XXX"])  # money whose currency nobody knows
    assert (charged.currencies, charged.of("USD").unit.height) == (["USD", "XXX"], 0)


def test_options_are_cheapest_first_and_infeasible_ones_are_not_drawn() -> None:
    options = pl.DataFrame(OPTIONS, schema=dict(tables.PLACEMENT_OPTIONS.schema))
    parts = usage.option_parts(options, "dc1", "cloud-spot")
    assert parts["option"].unique(maintain_order=True).to_list() == ["cloud-spot (advised)", "dc1 (today)"]
    assert parts.filter(pl.col("part") == "usage")["value"].to_list() == [Decimal("3765.5"), Decimal(5000)]
    stays = usage.option_parts(options, "dc1", "dc1")
    assert stays["option"].unique(maintain_order=True).to_list() == ["cloud-spot", "dc1 (today, advised)"]
