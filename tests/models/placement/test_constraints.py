"""Hard constraints. Case numbers name the golden cases from which the facts were typed in."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.placement.constraints import Constraint, breaches, conflicts, constraints, p95_ms
from models.placement.settings import Option, Workload

OPTIONS = {
    "public_api": Option(tier="api", frontier=True, region="us-east-1"),
    "cloud_with_baa": Option(tier="cloud", frontier=True, region="eu-west-1", attestations=("hipaa",)),
    "onprem": Option(tier="onprem", region="gr"),
    "edge": Option(tier="edge", region="gr"),
}


def feasible(options=OPTIONS, gpu_hours=None, measured=None, **demands):
    workload = Workload(options=options, **demands)
    rules = constraints(workload, gpu_hours, measured)
    return {name for name, option in options.items() if not breaches(name, option, rules)}


@pytest.mark.parametrize(
    ("case", "demands", "allowed"),
    [
        ("G002-R3, R7: nothing asked", {}, set(OPTIONS)),
        ("G002-R4", {"needs_frontier": True}, {"public_api", "cloud_with_baa"}),
        ("G002-R11", {"offline_required": True}, {"edge"}),
        ("G002-R12", {"offline_required": True, "needs_frontier": True}, set()),
        ("G000-R6", {"air_gapped": True}, {"onprem"}),
        ("G002-R2", {"regulated": True}, {"cloud_with_baa", "onprem", "edge"}),
        ("G002-R2 by regime", {"regulated": ("hipaa",)}, {"cloud_with_baa", "onprem", "edge"}),
        ("G002-R14: FedRAMP, provider not authorised", {"regulated": ("fedramp",)}, {"onprem", "edge"}),
        ("G002-R15: SR 11-7, version not pinned", {"regulated": ("sr11_7",)}, {"onprem", "edge"}),
        ("two regimes, both needed", {"regulated": ("hipaa", "pci")}, {"onprem", "edge"}),
        ("G003-R3", {"data_may_leave_perimeter": False}, {"onprem", "edge"}),
        ("G003-R7", {"regions": ("GR", "eu-west-1")}, {"cloud_with_baa", "onprem", "edge"}),
        ("regulated: false", {"regulated": False}, set(OPTIONS)),
    ],
)
def test_rules(case, demands, allowed):
    assert feasible(**demands) == allowed, case


def test_frontier_and_regulated_without_agreement_has_no_place():
    """G002-R6: frontier needs the cloud, regulated data needs a BAA."""
    options = {
        "public_api": OPTIONS["public_api"],
        "onprem": OPTIONS["onprem"],
    }
    workload = Workload(options=options, needs_frontier=True, regulated=("hipaa",))
    rules = constraints(workload, None, None)
    assert [[rule.key for rule in clash] for clash in conflicts(options, rules)] == [
        ["regulated: hipaa", "needs_frontier"]
    ]


@pytest.mark.parametrize(
    ("slo", "total", "meets"),
    [(49, 50, False), (50, 50, True), (200, 200, True), (200, 150, True), (200, 550, False)],
)
def test_latency_is_met_at_the_limit_itself(slo, total, meets):
    """G001-13 (cloud 50-200 ms against 49, 50) and G002-08 (150-550 ms against 200)."""
    cloud = {"cloud": Option(tier="cloud", rtt_p95_ms=50, infer_p95_ms=total - 50)}
    assert feasible(cloud, latency_p95_ms=slo) == ({"cloud"} if meets else set())


def test_an_unknown_latency_or_region_does_not_pass():
    bare = {"bare": Option(tier="cloud", rtt_p95_ms=10)}
    assert feasible(bare, latency_p95_ms=1000) == set()
    assert feasible(bare, regions=("gr",)) == set()


def test_measured_latency_counts_for_the_current_option_only():
    options = {"here": Option(tier="cloud", rtt_p95_ms=30), "there": Option(tier="cloud", rtt_p95_ms=30)}
    demands = {"latency_p95_ms": 200, "current": "here"}
    assert feasible(options, measured=170.0, **demands) == {"here"}
    assert feasible(options, measured=170.1, **demands) == set()


def test_a_stated_latency_wins_over_the_measured_one():
    assert p95_ms(Option(tier="cloud", rtt_p95_ms=30, infer_p95_ms=100), 900.0) == 130.0
    assert p95_ms(Option(tier="cloud"), 900.0) == 900.0
    assert p95_ms(Option(tier="cloud"), None) is None


def test_capacity_rules_out_what_is_too_small_but_not_where_it_runs_today():
    options = {
        "small": Option(tier="onprem", capacity_gpu_hours_month=1000),
        "two_cards": Option(tier="cloud", price_per_gpu_hour=1, gpus=2),  # 2 x 730 = 1,460 h
        "open": Option(tier="cloud"),
    }
    assert feasible(options, gpu_hours=1460) == {"two_cards", "open"}
    assert feasible(options, gpu_hours=1461) == {"open"}
    assert feasible(options, gpu_hours=1461, current="small") == {"small", "open"}
    assert feasible(options, gpu_hours=1461, current="small", gpu_hours_month=1461) == {"open"}
    assert feasible(options, gpu_hours=None) == set(options)


def test_an_edge_option_may_say_that_it_needs_the_network():
    options = {"online": Option(tier="edge", offline_capable=False), "device": Option(tier="edge")}
    assert feasible(options, offline_required=True) == {"device"}


def test_an_onprem_option_run_by_another_company_is_not_air_gapped():
    options = {"hosted": Option(tier="onprem", data_leaves_perimeter=True)}
    assert feasible(options, air_gapped=True) == set()


def test_conflicts_of_a_feasible_workload_are_none():
    rules = constraints(Workload(options=OPTIONS, offline_required=True), None, None)
    assert conflicts(OPTIONS, rules) == ()


@given(st.lists(st.frozensets(st.sampled_from("abcd")), max_size=7))
def test_conflict_sets_are_exactly_the_minimal_ones(permitted):
    """Against plain search: empty together, and not empty without any one of them."""
    options = {name: Option(tier="cloud") for name in "abcd"}

    def rule(i, names):
        return Constraint(str(i), "", lambda name, _: None if name in names else "no")

    rules = tuple(rule(i, names) for i, names in enumerate(permitted))

    def empty(subset):
        return not frozenset("abcd").intersection(*(permitted[i] for i in subset))

    expected = {
        subset
        for size in range(len(permitted) + 1)
        for subset in combinations(range(len(permitted)), size)
        if empty(subset) and not any(empty(set(subset) - {i}) for i in subset)
    }
    found = conflicts(options, rules)
    assert {tuple(int(r.key) for r in clash) for clash in found} == expected
    assert bool(found) is empty(range(len(permitted)))
