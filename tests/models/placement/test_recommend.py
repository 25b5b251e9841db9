"""Recommendations end to end, worked out by hand, and what must hold for any workload."""

from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from models import tables
from models.placement.measured import SCHEMA
from models.placement.recommend import recommend
from models.placement.settings import Option, Workload
from tests.models.placement.test_settings import example

D = Decimal


def observed(**values):
    row = {
        "workload": "w",
        "team": "seen",
        "days_observed": 30,
        "days_left_out": 0,
        "currency": "USD",
        **values,
    }
    return pl.DataFrame([dict.fromkeys(SCHEMA) | row], schema=SCHEMA, orient="row")


NOTHING = pl.DataFrame(schema=SCHEMA)


def run(workload, measured=NOTHING):
    placement, options = recommend({"w": workload}, measured, "USD")
    return placement.row(0, named=True), {row["option"]: row for row in options.iter_rows(named=True)}


def rent(month, **more):
    return Option(tier="cloud", monthly_fee=D(month), migration_cost=D(0), **more)


def simple(current=1000, other=600, **more):
    return Workload(
        current="here", options={"here": rent(current), "there": rent(other)}, **{"eval_passed": True} | more
    )


HIGH = observed(effective_cost_month=D(1000))


def test_the_example_of_the_settings_by_hand():
    """The measured cloud at 9,070 a month for 36 months: 326,520.

    dc1: 60,000 - 6,000 hardware, 900 x 36 = 32,400 opex, 2.4 kW x 1.25 x 0.12 x 730 h = 262.80 x 36 =
    9,460.80 energy, 8,000 migration: 103,860.80. Saving 222,659.20. Breakeven 68,000 / (9,070 - 1,162.80)
    = 8.6: month 9. The API answers in 60 + 360 = 420 ms, over 300.
    """
    placement, options = run(example(), observed(effective_cost_month=D(9070), coverage=0.99))
    reason = placement.pop("reason")
    assert placement == {
        "workload": "w",
        "team": "support",
        "current_option": "eu-cloud",
        "recommended_option": "dc1",
        "status": "implement",
        "saving_36m": D("222659.20"),
        "npv_36m": D("222659.20"),
        "breakeven_month": 9,
        "confidence": "high",
        "currency": "USD",
    }
    assert reason == (
        "Move from eu-cloud to dc1: it costs 2,885 USD a month over 36 months, everything included, "
        "against 9,070 USD today (measured over 30 days). That saves 222,659 USD in 36 months and has paid "
        "in month 9. eu-api cannot be used because its p95 of 420 ms exceeds 300 ms."
    )
    assert options["dc1"] == {
        "workload": "w",
        "option": "dc1",
        "tier": "onprem",
        "feasible": True,
        "reason": "Can be used; from its prices. Allow 3 months to get it.",
        "cost_36m": D("103860.80"),
        "capex": D(54000),
        "usage": D(0),
        "energy": D("9460.80"),
        "opex": D(32400),
        "egress": D(0),
        "migration": D(8000),
        "monthly_cost": D("1162.80"),
        "currency": "USD",
    }
    assert (options["eu-api"]["feasible"], options["eu-api"]["cost_36m"]) == (False, None)
    assert options["eu-cloud"]["reason"] == "Can be used; measured over 30 days."


def test_the_reason_says_which_days_did_not_count():
    _, options = run(example(), observed(effective_cost_month=D(9070), days_observed=27, days_left_out=3))
    assert options["eu-cloud"]["reason"] == (
        "Can be used; measured over 27 days, 3 on which it is not known who held its GPUs counted as a mean one."
    )
    _, options = run(example(), observed(days_observed=26, days_left_out=4))
    assert options["eu-cloud"]["reason"].endswith(
        "because it is not known who held its GPUs on 4 days, all that it ran."
    )


def test_the_documented_example_is_this_one():
    text = (Path(__file__).parents[3] / "docs" / "placement.md").read_text(encoding="utf-8")
    block = text.split("```yaml")[1].split("```")[0]
    assert Workload.model_validate(yaml.safe_load(block)["support-chat"]) == example()
    placement, _ = run(example(), observed(effective_cost_month=D(9070), coverage=0.99))
    assert f"> {placement['reason']}\n" in text


def test_frames_are_of_their_tables():
    placement, options = recommend({"w": example()}, NOTHING, "USD")
    assert placement.schema == tables.PLACEMENT.schema
    assert options.schema == tables.PLACEMENT_OPTIONS.schema


def test_a_small_api_bill_stays_on_the_api():
    """G000-01: 3,750 a month on the API against a server of 289,000 in 3 years (G001-06), 8,028 a month."""
    workload = Workload(
        current="api",
        tokens_in_month=1_500_000_000,
        tokens_out_month=0,
        options={
            "api": Option(tier="api", price_per_1m_tokens_in=D("2.5"), price_per_1m_tokens_out=D(0)),
            "server": Option(
                tier="onprem", capex=D(199_000), opex_month=D(2500), power_kw=D(0), migration_cost=D(0)
            ),
        },
    )
    placement, options = run(workload)
    assert (placement["status"], placement["recommended_option"]) == ("keep", "api")
    assert placement["saving_36m"] == 0
    assert options["server"]["cost_36m"] == 289_000
    assert placement["reason"] == (
        "Stay on api: it costs 3,750 USD a month (from its prices, egress not counted) against 8,028 USD "
        "on server, over 36 months with everything included."
    )


@pytest.mark.parametrize(
    ("workload", "measured", "status", "said"),
    [
        (simple(), HIGH, "implement", "Move from here to there"),
        (simple(eval_passed=None), HIGH, "plan", "quality test has not been run"),
        (simple(eval_passed=False), HIGH, "blocked", "failed its quality test"),
        (simple(), NOTHING, "plan", "not well measured"),
        (simple(other=1000), HIGH, "keep", "Stay on here"),
        (simple(other=1001), HIGH, "keep", "Stay on here"),
        (simple(min_saving_share=D("0.4")), HIGH, "implement", "saves 14,400 USD"),
        (simple(min_saving_share=D("0.41")), HIGH, "keep", "14,400 USD that moving would save is too little"),
    ],
)
def test_status(workload, measured, status, said):
    placement, _ = run(workload, measured)
    assert placement["status"] == status
    assert said in placement["reason"]


def test_an_option_that_cannot_be_had_blocks_unless_another_one_saves_too():
    best = rent(100, available=False)
    blocked, _ = run(
        Workload(current="here", eval_passed=True, options={"here": rent(1000), "best": best}), HIGH
    )
    assert (blocked["status"], blocked["recommended_option"]) == ("blocked", "best")
    assert "best cannot be had today" in blocked["reason"]
    options = {"here": rent(1000), "best": best, "second": rent(600)}
    second, _ = run(Workload(current="here", eval_passed=True, options=options), HIGH)
    assert (second["status"], second["recommended_option"]) == ("implement", "second")


@pytest.mark.parametrize(("line", "status"), [(D(1000), "implement"), (D("1000.01"), "plan")])
def test_below_the_line_bought_hardware_stays_a_plan(line, status):
    server = Option(tier="onprem", capex=D(10), opex_month=D(0), power_kw=D(0), migration_cost=D(0))
    workload = Workload(
        current="here",
        eval_passed=True,
        implement_line_month=line,
        options={"here": rent(1000), "own": server},
    )
    assert run(workload, HIGH)[0]["status"] == status


def test_the_line_does_not_hold_back_a_move_that_buys_nothing():
    assert run(simple(implement_line_month=D(5000)), HIGH)[0]["status"] == "implement"


def test_a_move_that_pays_only_undiscounted_is_not_made():
    """1,000 a month against 34,000 now: 36,000 - 34,000 = 2,000 saved, but worth less than 34,000 at 10%."""
    server = Option(tier="onprem", capex=D(34_000), opex_month=D(0), power_kw=D(0), migration_cost=D(0))
    options = {"here": rent(1000), "own": server}
    assert run(Workload(current="here", options=options), HIGH)[0]["saving_36m"] == 2000
    kept, _ = run(Workload(current="here", options=options, discount_rate=D("0.1")), HIGH)
    assert (kept["status"], kept["saving_36m"]) == ("keep", 0)


def test_where_today_breaks_a_constraint_the_move_needs_no_saving():
    options = {"here": rent(10, region="us"), "there": rent(99, region="gr")}
    placement, rows = run(Workload(current="here", eval_passed=True, regions=("gr",), options=options), HIGH)
    assert (placement["status"], placement["recommended_option"]) == ("implement", "there")
    assert (placement["saving_36m"], placement["breakeven_month"]) == (None, None)
    assert rows["here"]["cost_36m"] is None
    assert "Leave here, which cannot be used because its region us is not gr" in placement["reason"]


def test_nothing_feasible_names_every_minimal_conflict():
    """G002-R12: offline needs the edge, a frontier model needs the cloud."""
    options = {"cloud": rent(1, frontier=True), "device": Option(tier="edge")}
    placement, _ = run(Workload(current="cloud", offline_required=True, needs_frontier=True, options=options))
    assert (placement["status"], placement["recommended_option"]) == ("infeasible", None)
    assert (
        "It must work without a network (offline_required) and it needs a frontier model (needs_frontier), "
        "and no option offers these together." in placement["reason"]
    )


def test_an_unpriced_current_option_is_kept_and_what_is_missing_is_named():
    options = {"here": Option(tier="cloud", price_per_gpu_hour=D(1)), "there": rent(600)}
    placement, _ = run(Workload(current="here", options=options))
    assert (placement["status"], placement["recommended_option"], placement["saving_36m"]) == (
        "keep",
        "here",
        None,
    )
    assert "gpu_hours_month" in placement["reason"]
    assert "there, costs 600 USD a month" in placement["reason"]


def test_where_no_cost_is_known_nothing_is_recommended():
    options = {"a": Option(tier="cloud"), "b": Option(tier="edge")}
    placement, rows = run(Workload(options=options))
    assert (placement["status"], placement["recommended_option"]) == ("blocked", None)
    assert "migration_cost" in rows["b"]["reason"]


def test_a_workload_that_runs_nowhere_starts_on_the_cheapest():
    placement, _ = run(Workload(options={"a": rent(5), "b": rent(4)}, eval_passed=True), HIGH)
    assert (placement["status"], placement["recommended_option"]) == ("implement", "b")
    assert (placement["current_option"], placement["saving_36m"]) == (None, None)


def test_a_declared_volume_unlike_the_measured_one_sets_the_measured_cost_aside():
    options = {
        "here": Option(tier="cloud", price_per_1m_inferences=D(10)),
        "there": rent(50),
    }
    measured = observed(effective_cost_month=D(100), inferences_month=10e6)
    ten_times = Workload(current="here", options=options, inferences_month=D(100_000_000))
    assert run(ten_times, measured)[1]["here"]["monthly_cost"] == 1000
    the_same = Workload(current="here", options=options, inferences_month=D(10_500_000))
    assert run(the_same, measured)[1]["here"]["monthly_cost"] == 100


def test_a_declared_cost_of_staying_comes_first():
    assert run(simple(current_cost_month=D(300)), HIGH)[0]["status"] == "keep"


@pytest.mark.parametrize(
    ("values", "confidence"),
    [
        ({"days_observed": 28, "coverage": 0.95}, "high"),
        ({"days_observed": 27}, "medium"),
        ({"coverage": 0.94}, "medium"),
        ({"days_observed": 13}, "low"),
        ({"coverage": 0.79}, "low"),
        ({"other_currencies": "EUR"}, "low"),
        ({"effective_cost_month": None}, "low"),
    ],
)
def test_confidence(values, confidence):
    row = {"effective_cost_month": D(1000), **values}
    assert run(simple(), observed(**row))[0]["confidence"] == confidence


def test_the_team_is_the_declared_one_else_the_one_that_pays():
    assert run(simple(team="told"), HIGH)[0]["team"] == "told"
    assert run(simple(), HIGH)[0]["team"] == "seen"


def test_costs_measured_in_another_currency_are_refused():
    with pytest.raises(ValueError, match=r"\['EUR'\] and prices in USD"):
        recommend({"w": simple()}, observed(currency="EUR"), "USD")


some_amount = st.decimals(0, 100_000, places=2)
some_option = st.builds(
    Option,
    tier=st.sampled_from(["cloud", "api", "onprem", "edge"]),
    region=st.sampled_from([None, "eu", "us"]),
    rtt_p95_ms=st.sampled_from([None, 5.0, 100.0]),
    infer_p95_ms=st.just(50.0),
    frontier=st.booleans(),
    attestations=st.sampled_from([(), ("hipaa",)]),
    monthly_fee=some_amount,
    capex=some_amount,
    opex_month=some_amount | st.none(),
    egress_per_gb=st.decimals(0, 1, places=3) | st.none(),
    migration_cost=some_amount | st.none(),
)
some_demands = st.fixed_dictionaries(
    {},
    optional={
        "latency_p95_ms": st.just(100),
        "regions": st.just(("eu",)),
        "offline_required": st.just(True),
        "air_gapped": st.just(True),
        "needs_frontier": st.just(True),
        "regulated": st.sampled_from([True, ("hipaa",)]),
        "data_may_leave_perimeter": st.just(False),
        "egress_gb_month": st.just(D(100)),
    },
)
some_options = st.dictionaries(st.sampled_from("abcd"), some_option, min_size=1)
constraint_keys = sorted(
    {
        "latency_p95_ms",
        "regions",
        "offline_required",
        "air_gapped",
        "needs_frontier",
        "regulated",
        "data_may_leave_perimeter",
    }
)


def cheapest(rows):
    costs = [row["cost_36m"] for row in rows.values() if row["cost_36m"] is not None]
    return min(costs, default=D("Infinity"))


@given(some_options, some_demands, st.sampled_from(constraint_keys))
def test_taking_a_constraint_away_never_makes_the_cheapest_dearer(options, demands, key):
    _, all_rows = run(Workload(options=options, **demands))
    _, fewer_rows = run(Workload(options=options, **{k: v for k, v in demands.items() if k != key}))
    assert cheapest(fewer_rows) <= cheapest(all_rows)


@given(some_options, some_demands)
def test_what_must_hold_for_any_workload(options, demands):
    workload = Workload(options=options, current=min(options), **demands)
    placement, rows = run(workload)
    feasible = {name for name, row in rows.items() if row["feasible"]}
    assert (placement["status"] == "infeasible") is (not feasible)
    assert ("No option can be used" in placement["reason"]) is (not feasible)
    if demands.get("offline_required"):
        assert all(options[name].tier == "edge" for name in feasible)
    if placement["recommended_option"] is not None:
        assert placement["recommended_option"] in feasible
    if placement["breakeven_month"] is not None:
        assert placement["saving_36m"] > 0
    if placement["saving_36m"]:
        stay, move = rows[workload.current], rows[placement["recommended_option"]]
        assert placement["saving_36m"] == stay["cost_36m"] - move["cost_36m"]
    parts = ("capex", "usage", "energy", "opex", "egress", "migration")
    for row in rows.values():
        if row["cost_36m"] is None:
            assert all(row[part] is None for part in (*parts, "monthly_cost"))
        else:
            assert sum(row[part] for part in parts if row[part] is not None) == row["cost_36m"]
    assert (placement, rows) == run(workload)


def at(factor, workload, measured):
    placement, options = recommend({"w": workload}, measured, "USD", D(factor))
    return placement.row(0, named=True), {row["option"]: row for row in options.iter_rows(named=True)}


def growing(**other):
    """Measured at 2,000 USD, 1,000 GPU-hours and 100 M tokens a month, on four cards of our own that cost 500 to run."""
    own = Option(
        tier="onprem", capex=D(0), opex_month=D(500), power_kw=D(0), capacity_gpu_hours_month=D(2920)
    )
    api = Option(
        tier="api", price_per_1m_tokens_in=D("2.50"), price_per_1m_tokens_out=D(0), migration_cost=D(0)
    )
    options = {"own": own, "api": api} | other
    workload = Workload(current="own", options=options, eval_passed=True, current_cost_month=D(2000))
    seen = {"gpu_hours_allocated_month": 1000.0, "tokens_in_month": 1e8, "tokens_out_month": 0.0}
    return workload, observed(effective_cost_month=D(2000), **seen)


def test_at_other_volumes_every_option_has_its_prices():
    # 1x: 2,000 as declared against 250 by tokens: 1,750 x 36 = 63,000. 2x: 500 against 500, nothing is saved.
    # 4x: 4,000 GPU-hours are more than the 2,920 there are, so it must move; the API costs 1,000.
    found = {factor: at(factor, *growing()) for factor in ("1", "2", "4")}
    told = {f: (p["recommended_option"], p["status"], p["saving_36m"]) for f, (p, _) in found.items()}
    assert told == {
        "1": ("api", "implement", D(63000)),
        "2": ("own", "keep", 0),
        "4": ("api", "implement", None),
    }
    assert [found[f][1]["api"]["monthly_cost"] for f in told] == [250, 500, 1000]
    assert (found["1"][1]["own"]["monthly_cost"], found["2"][1]["own"]["monthly_cost"]) == (2000, 500)
    assert "serves 2,920 GPU-hours a month and 4,000 are needed" in found["4"][0]["reason"]
    assert {p["confidence"] for f, (p, _) in found.items() if f != "1"} == {"low"}


def test_what_has_a_fixed_size_is_not_priced_for_more_than_it_is_known_to_serve():
    workload, measured = growing(
        box=Option(tier="edge", capex=D(900), opex_month=D(1), power_kw=D(0), migration_cost=D(0))
    )
    assert at("1", workload, measured)[1]["box"]["cost_36m"] == 936
    assert at("0.5", workload, measured)[1]["box"]["cost_36m"] == 936
    reason = at("2", workload, measured)[1]["box"]["reason"]
    assert reason == "Can be used; its cost cannot be computed without capacity_gpu_hours_month."


def test_a_fee_beside_prices_of_use_is_no_fixed_size():
    # 10 a month and 2 an hour: 10 + 2 x 1,000 today, 10 + 2 x 2,000 at twice the volume
    workload, measured = growing(
        cards=Option(tier="cloud", monthly_fee=D(10), price_per_gpu_hour=D(2), migration_cost=D(0)),
        fee=Option(tier="cloud", monthly_fee=D(10), migration_cost=D(0)),
    )
    found = [at(factor, workload, measured)[1] for factor in ("1", "2")]
    assert [options["cards"]["monthly_cost"] for options in found] == [2010, 4010]
    assert [options["fee"]["monthly_cost"] for options in found] == [10, None]
