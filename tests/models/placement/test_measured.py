"""Volumes and cost of a month of 730 hours, worked out by hand from daily rows."""

from datetime import date, timedelta
from decimal import Decimal

import polars as pl
import pytest

from models import tables
from models.placement.measured import SCHEMA, measure

AS_OF = date(2026, 9, 30)
FIRST = date(2026, 9, 1)  # the window of 30 days is September


def frame(table, rows):
    """Rows with what the test does not care about filled in."""
    fill = {"text": "x", "decimal": Decimal(0), "double": 0.0, "date": FIRST, "int": 0}
    defaults = {c.name: None if c.nullable else fill[c.type] for c in table.columns}
    return pl.DataFrame([defaults | row for row in rows], schema=table.schema, orient="row")


def cost_rows(workload, days, amount, source="bills", currency="USD", team="a", start=FIRST, tier="cloud"):
    return [
        {
            "day": start + timedelta(days=day),
            "workload": workload,
            "team": team,
            "source": source,
            "tier": tier,
            "currency": currency,
            "effective_cost": Decimal(amount),
        }
        for day in days
    ]


def unit_rows(workload, days, tier="onprem", basis="full", start=FIRST, **values):
    return [
        {"day": start + timedelta(days=day), "workload": workload, "tier": tier, "basis": basis, **values}
        for day in days
    ]


def gpu_rows(workload, days, state="allocated", start=FIRST, **values):
    return [
        {"day": start + timedelta(days=day), "workload": workload, "site": "dc1", "state": state, **values}
        for day in days
    ]


def run(costs=(), units=(), gpus=(), days=30):
    return measure(
        frame(tables.CHARGEBACK_DAILY, costs),
        frame(tables.UNIT_COST_DAILY, units),
        frame(tables.GPU_DAILY, gpus),
        AS_OF,
        days,
        currency="USD",
    )


def one(**inputs):
    return run(**inputs).row(0, named=True)


def test_nothing_in_nothing_out():
    found = run()
    assert found.schema == SCHEMA
    assert found.height == 0


def test_a_steady_workload():
    """10 a day for 30 days: 300 x 730 / 720 = 304.1666..., to 12 decimals."""
    row = one(costs=cost_rows("chat", range(30), 10))
    assert row["effective_cost_month"] == Decimal("304.166666666667")
    assert (row["days_observed"], row["team"], row["currency"]) == (30, "a", "USD")
    unknown = ("inferences_month", "tokens_in_month", "gpu_hours_allocated_month", "p95_ms")
    assert all(row[name] is None for name in (*unknown, "coverage", "other_currencies"))


def test_days_outside_the_window_do_not_count():
    before = cost_rows("chat", range(30), 99, start=date(2026, 8, 2))
    after = cost_rows("chat", range(3), 99, start=date(2026, 10, 1))
    row = one(costs=[*before, *cost_rows("chat", range(30), 10), *after])
    assert row["effective_cost_month"] == Decimal("304.166666666667")


def test_a_weekly_job_is_not_taken_for_a_daily_one_and_a_late_bill_not_for_free_days():
    """The bill reports from 1 to 28 September: 4 x 100 x 730 / (24 x 28) = 434.523809523810."""
    costs = [
        *cost_rows("chat", range(28), 10),
        *cost_rows("weekly", (2, 9, 16, 23), 100),
        *cost_rows("weekly", (0,), 5, start=date(2026, 7, 1)),
        *cost_rows("other", range(30), 1, source="dc1"),
    ]
    row = run(costs=costs).filter(pl.col("workload") == "weekly").row(0, named=True)
    assert row["effective_cost_month"] == Decimal("434.523809523810")
    assert row["days_observed"] == 28


def test_a_new_workload_counts_from_its_first_day():
    """Started on the 21st: 10 days of 10, so 100 x 730 / 240 = 304.1666..."""
    costs = [*cost_rows("old", range(30), 1), *cost_rows("new", range(20, 30), 10)]
    row = run(costs=costs).filter(pl.col("workload") == "new").row(0, named=True)
    assert row["effective_cost_month"] == Decimal("304.166666666667")
    assert row["days_observed"] == 10


def test_sources_are_normalised_one_by_one():
    """dc1 reports 30 days of 10, the cloud bill 15 days of 4: (300/30 + 60/15) x 730/24 = 425.8333..."""
    costs = [*cost_rows("chat", range(30), 10, "dc1"), *cost_rows("chat", range(15), 4, "cloud")]
    row = one(costs=costs)
    assert row["effective_cost_month"] == Decimal("425.833333333334")  # 304.166666666667 + 121.666666666667
    assert row["days_observed"] == 15


def test_other_currencies_are_named_and_not_added():
    costs = [*cost_rows("chat", range(30), 10), *cost_rows("chat", range(30), 7, "eu", "EUR")]
    row = one(costs=costs)
    assert row["effective_cost_month"] == Decimal("304.166666666667")
    assert row["other_currencies"] == "EUR"


def test_cost_in_another_currency_only_is_unknown():
    row = one(costs=cost_rows("chat", range(30), 7, currency="EUR"))
    assert row["effective_cost_month"] is None
    assert row["other_currencies"] == "EUR"


def test_the_team_is_the_one_that_pays_most():
    costs = [*cost_rows("chat", range(30), 1, team="small"), *cost_rows("chat", range(30), 2, team="large")]
    assert one(costs=costs)["team"] == "large"


def test_untagged_is_not_a_workload():
    assert run(costs=cost_rows("untagged", range(30), 1)).height == 0


def test_requests_of_all_models_once_whatever_the_basis_and_currency():
    """Two models of 24 and 48 a day: 72 x 30 x 730 / 720 = 2,190."""
    units = [
        row
        for model, count in (("m1", 24.0), ("m2", 48.0))
        for basis, currency in (("full", "USD"), ("full", "EUR"), ("marginal", "USD"))
        for row in unit_rows(
            "chat",
            range(30),
            basis=basis,
            model=model,
            currency=currency,
            inferences=count,
            tokens_in=count * 10,
        )
    ]
    units += unit_rows("chat", range(30), basis="marginal", model="m3", inferences=1e9)
    row = one(units=units)
    assert row["inferences_month"] == pytest.approx(2190)
    assert row["tokens_in_month"] == pytest.approx(21900)
    assert row["tokens_out_month"] is None
    assert row["effective_cost_month"] is None


def test_days_of_unknown_requests_are_left_out():
    """24 a day on 20 days and unknown on 10: 480 x 730 / (24 x 20) = 730, not 487."""
    units = [
        *unit_rows("chat", range(20), inferences=24.0),
        *unit_rows("chat", range(20, 30), inferences=None),
    ]
    assert one(units=units)["inferences_month"] == pytest.approx(730)


def steady(days, cost, **values):
    """A bill of the site and requests served there: 24 a day, whatever is known of the cards."""
    units = unit_rows("chat", days, cost=Decimal(cost), inferences=24.0, **values)
    return cost_rows("chat", days, cost, source="site:dc1", tier="onprem"), units


def test_days_on_which_it_is_not_known_who_held_the_cards_are_left_out():
    """28 days of 10 and two of 4, of which 0.4 is known: 280 x 730 / (24 x 28) = 304.1666..., not 288 x 730 / 720 = 292.

    Requests of the 28 days alone: 24 x 28 x 730 / 672 = 730. The second of two teams is known for the whole of day 3, but
    the workload's cost is not.
    """
    costs, units = steady([*range(3), *range(4, 19), *range(20, 30)], 10, cost_coverage=0.99)
    some = steady((3, 19), 4, cost_coverage=0.4)
    other = unit_rows("chat", (3,), team="b", cost=Decimal(1), inferences=24.0, cost_coverage=1.0)
    held = gpu_rows("chat", range(30), gpu_hours_allocated=12.0)
    row = one(costs=costs + some[0], units=units + some[1] + other, gpus=held)
    assert (row["days_observed"], row["days_left_out"]) == (28, 2)
    assert row["effective_cost_month"] == Decimal("304.166666666667")
    assert row["inferences_month"] == pytest.approx(730)
    assert row["gpu_hours_allocated_month"] == pytest.approx(365)


def test_a_day_of_requests_without_a_known_hour_is_left_out_too():
    """The card of the 10th is not known at all: no charge, 24 requests. 29 x 10 x 730 / (24 x 29) = 304.1666..."""
    costs, units = steady([*range(9), *range(10, 30)], 10, cost_coverage=1.0)
    blind = unit_rows("chat", (9,), cost=None, currency="XXX", inferences=24.0)
    row = one(costs=costs, units=units + blind)
    assert (row["days_observed"], row["days_left_out"]) == (29, 1)
    assert (row["effective_cost_month"], row["inferences_month"]) == (
        Decimal("304.166666666667"),
        pytest.approx(730),
    )
    # without a request it was switched off: a day without cost, 290 x 730 / 720
    off = unit_rows("chat", (9,), cost=None, currency="XXX", inferences=0.0)
    row = one(costs=costs, units=units + off)
    assert (row["days_left_out"], row["effective_cost_month"]) == (0, Decimal("294.027777777778"))


def test_a_day_that_is_left_out_counts_as_those_on_which_a_weekly_job_runs():
    """Four runs of 100, one of which is known for a quarter: 4 x 100 x 730 / 720 = 405.5555..., not 325 or 300 of 29 days.

    Its 24 requests each and 3 hours held go the same way. The fee of 30 in a cloud's bill on the day of that run stays as it is.
    """
    site, _ = steady(range(30), 1, cost_coverage=1.0)
    costs, units = steady((2, 9, 23), 100, cost_coverage=1.0)
    some = steady((16,), 25, cost_coverage=0.25)
    born = cost_rows("chat", (0,), 5, source="site:dc1", tier="onprem", start=date(2026, 7, 1))
    site = [row | {"workload": "other"} for row in site]
    others = unit_rows("other", range(30), inferences=1.0)
    held = gpu_rows("chat", (2, 9, 16, 23), gpu_hours_allocated=3.0) + gpu_rows("other", range(30))
    fee = cost_rows("chat", (16,), 30, "cloud") + cost_rows("other", range(30), 1, "cloud")
    found = run(costs=[*site, *born, *costs, *some[0], *fee], units=[*others, *units, *some[1]], gpus=held)
    row = found.filter(pl.col("workload") == "chat").row(0, named=True)
    assert (row["days_observed"], row["days_left_out"]) == (29, 1)
    assert row["effective_cost_month"] == Decimal("435.972222222223")  # 405.555555555556 + 30 x 730 / 720
    assert row["inferences_month"] == pytest.approx(4 * 24 * 730 / 720)
    assert row["gpu_hours_allocated_month"] == pytest.approx(4 * 3 * 730 / 720)
    units = unit_rows("chat", (2, 9, 23), tokens_in=6.0) + unit_rows("chat", (16,), tokens_in=None)
    found = run(units=[*others, *[r | {"inferences": 1.0} for r in units]], costs=born)
    row = found.filter(pl.col("workload") == "chat").row(0, named=True)
    assert row["tokens_in_month"] == pytest.approx(4 * 6 * 730 / 720)


def test_requests_that_no_charge_ever_names_stay_known():
    row = one(units=unit_rows("chat", range(30), cost=None, currency="XXX", inferences=24.0))
    assert (row["days_left_out"], row["inferences_month"]) == (0, pytest.approx(730))


def test_a_day_left_out_after_the_last_bill_is_no_day_of_it():
    """A cloud bill of 4 a day to the 20th beside the site's: (29 x 10 / 29 + 80 / 20) x 730 / 24 = 425.8333..."""
    costs, units = steady(range(24), 10, cost_coverage=1.0)
    late, more = steady(range(25, 30), 10, cost_coverage=1.0)
    some = steady((24,), 1, cost_coverage=0.1)
    cloud = cost_rows("chat", range(20), 4, "cloud")
    row = one(costs=costs + late + some[0] + cloud, units=units + more + some[1])
    assert row["effective_cost_month"] == Decimal("425.833333333334")
    assert (row["days_observed"], row["days_left_out"]) == (20, 1)


def test_a_workload_of_which_no_day_is_known_has_no_figures_and_keeps_its_team():
    costs, units = steady(range(30), 4, cost_coverage=0.5)
    cloud = cost_rows("chat", range(30), 4, "cloud")  # what is known of it is not the whole
    row = one(costs=costs + cloud, units=units)
    assert (row["days_observed"], row["days_left_out"], row["team"]) == (0, 30, "a")
    assert row["effective_cost_month"] is None
    assert row["inferences_month"] is None


def test_latency_is_the_median_day_of_the_slowest_model():
    units = [
        *unit_rows("chat", range(3), model="fast", p95_ms=50.0),
        *unit_rows("chat", (0,), model="slow", p95_ms=100.0),
        *unit_rows("chat", (1,), model="slow", p95_ms=120.0),
        *unit_rows("chat", (2,), model="slow", p95_ms=900.0),
    ]
    assert one(units=units)["p95_ms"] == 120.0


def test_gpu_hours_and_coverage():
    """12 of 24 hours held: x 730/24. Coverage (12 + 0.5 x 12) / 24 = 0.75.

    Rows of another state than allocated are not held hours, whatever they say.
    """
    held = {"gpu_hours_capacity": 12.0, "gpu_hours_allocated": 12.0, "coverage": 1.0}
    free = {"gpu_hours_capacity": 12.0, "coverage": 0.5}
    row = one(
        gpus=[
            *gpu_rows("chat", range(30), **held),
            *gpu_rows("untagged", range(30), state="unallocated", **free),
            *gpu_rows("chat", range(30), state="unknown", gpu_hours_allocated=12.0),
        ]
    )
    assert row["gpu_hours_allocated_month"] == pytest.approx(365)
    assert row["coverage"] == pytest.approx(0.75)


def test_a_tier_that_only_has_cost_leaves_the_requests_of_others_known():
    """24 requests a day on own cards: 730 a month, beside storage in a cloud."""
    own = unit_rows("chat", range(30), inferences=24.0)
    assert one(units=own + unit_rows("chat", range(30), tier="cloud"))["inferences_month"] == pytest.approx(
        730
    )


def test_row_order_does_not_matter():
    units = [
        row for i in range(5) for row in unit_rows("chat", range(30), model=f"m{i}", inferences=0.1 * (i + 1))
    ]
    assert run(units=units).equals(run(units=units[::-1]))


def test_teams_that_share_a_workload_have_its_work_once():
    """Each row carries the whole 240 requests a day: 240 x 730 / 24 = 7,300 a month."""
    units = [row for team in "ab" for row in unit_rows("w", range(30), team=team, inferences=240.0)]
    assert one(units=units)["inferences_month"] == pytest.approx(7300)
