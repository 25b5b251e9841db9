from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from models import edge, gpu
from models.config import Ownership, Site, TokenWeights
from models.gpu_hours import rented_hours
from models.register import Contract
from models.tables import CHARGEBACK_DAILY, INFERENCE_HOURLY, MONEY, UNIT_COST_DAILY
from models.unit_cost import daily
from tests.models.owned import DAY, DAYS, SITES, device, edge_daily, free, gpu_hourly, hour, report, server


def charge(cost: str, **changes: Any) -> dict[str, Any]:
    return (
        dict.fromkeys(CHARGEBACK_DAILY.schema.names(), "x")
        | {
            "day": DAY,
            "billing_month": DAY,
            "team": "vision",
            "workload": "ocr",
            "tier": "cloud",
            "cost_kind": "direct",
            "currency": "USD",
            "billed_cost": Decimal(0),
            "effective_cost": Decimal(cost),
        }
        | changes
    )


def served(**changes: Any) -> dict[str, Any]:
    return (
        dict.fromkeys(INFERENCE_HOURLY.schema.names())
        | {
            "hour": datetime.fromisoformat("2026-09-01T10:00"),
            "day": DAY,
            "source": "vllm",
            "tier": "cloud",
            "workload": "ocr",
            "model": "m1",
            "team": "vision",
            "inferences": 1000.0,
            "tokens_in": 3000.0,
            "tokens_out": 1000.0,
            "coverage": 1.0,
        }
        | changes
    )


def compute(
    charges: list[dict[str, Any]],
    inference: list[dict[str, Any]],
    devices: list[dict[str, Any]] | None = None,
    gpus: list[dict[str, Any]] | None = None,
    **owned: Any,
) -> pl.DataFrame:
    reports = edge_daily(*(devices or []))
    assets, contracts = [server(**owned.get("asset", {}))] if gpus else [], owned.get("contracts", {})
    parts = gpu.daily_parts(gpu_hourly(*(gpus or [])), assets, SITES, DAYS, contracts=contracts)
    fleet = [device(node=name, asset=name) for name in owned.get("fleet", ())]
    return daily(
        pl.DataFrame(charges, schema=CHARGEBACK_DAILY.schema),
        pl.DataFrame(inference, schema=INFERENCE_HOURLY.schema),
        reports,
        parts,
        edge.daily_costs(reports, fleet, SITES, Ownership(), DAYS),
        weights=owned.get("weights"),
        rented_hours=owned.get("rented"),
    )


def by_basis(frame: pl.DataFrame, *columns: str) -> dict[str, tuple[Any, ...]]:
    return {row[0]: row[1:] for row in frame.select("basis", *columns).iter_rows()}


def test_cloud_full_takes_idle_and_shared_marginal_only_direct() -> None:
    got = compute(
        [
            charge("2"),
            charge("1", cost_kind="idle"),
            charge("0.5", cost_kind="shared"),
            charge("9", cost_kind="unallocated"),
        ],
        [served(), served(inferences=0.0, tokens_in=6000.0, tokens_out=0.0)],
    )
    assert got.schema == UNIT_COST_DAILY.schema
    # full 3.5: x 1e6 / 1000 = 3500, x 1e6 / 10000 = 350; marginal 2: 2000 and 200
    assert by_basis(
        got, "cost", "cost_per_1m_inferences", "cost_per_1m_tokens", "inferences", "energy_kwh"
    ) == {
        "full": (Decimal("3.5"), Decimal(3500), Decimal(350), 1000.0, None),
        "marginal": (Decimal(2), Decimal(2000), Decimal(200), 1000.0, None),
    }
    assert got["model"].to_list() == ["m1", "m1"]


def test_owned_gpu_marginal_is_energy() -> None:
    rows = [hour(h) for h in range(24)]
    got = compute([charge("101.8", tier="onprem")], [served(tier="onprem")], gpus=rows)
    # energy 24 x 0.5 = 12 kWh x 1.5 x 0.10 = 1.80; 12 kWh / 4000 tokens = 3000 kWh per 1M
    assert by_basis(got, "cost", "cost_per_1m_tokens", "energy_kwh", "kwh_per_1m_tokens") == {
        "full": (Decimal("101.8"), Decimal(25450), 12.0, 3000.0),
        "marginal": (Decimal("1.8"), Decimal(450), 12.0, 3000.0),
    }


@pytest.mark.parametrize("of", ["used", "allocated"])
def test_hours_that_a_contract_bills_by_use_are_marginal(of: str) -> None:
    """24 h held at half use at 2.50: 12 h used are 30, beside energy of 1.80. The idle hours, billed if `of` is allocated, are not."""
    lease = {"lease": Contract.model_validate({"rate": "2.5", "currency": "USD", "of": of})}
    rows = [hour(h) for h in range(24)]
    full = Decimal("31.8") if of == "used" else Decimal("61.8")
    got = compute(
        [charge(str(full), tier="onprem")], [served(tier="onprem")], gpus=rows, contracts=lease,
        asset={"capex": 0, "contract": "lease"},
    )  # fmt: skip
    assert by_basis(got, "cost", "cost_per_1m_tokens", "energy_kwh") == {
        "full": (full, full * 250, 12.0),
        "marginal": (Decimal("31.8"), Decimal(7950), 12.0),
    }


def test_gpu_energy_that_is_not_measured_gives_no_marginal_row() -> None:
    rows = [hour(h, energy_kwh=None if h == 7 else 0.5) for h in range(24)]
    got = compute([charge("101.725", tier="onprem")], [served(tier="onprem")], gpus=rows)
    assert by_basis(got, "cost", "energy_kwh", "kwh_per_1m_tokens") == {
        "full": (Decimal("101.725"), None, None)
    }


def test_gpu_energy_of_others_does_not_matter() -> None:
    rows = [hour(h) if h < 12 else hour(h, workload="chat", energy_kwh=None) for h in range(24)]
    got = compute([charge("50.9", tier="onprem")], [served(tier="onprem")], gpus=rows)
    # 12 x 0.5 = 6 kWh x 0.15 = 0.90
    assert by_basis(got.filter(pl.col("workload") == "ocr"), "cost", "energy_kwh") == {
        "full": (Decimal("50.9"), 6.0),
        "marginal": (Decimal("0.9"), 6.0),
    }


def test_edge_work_comes_from_reports() -> None:
    got = compute(
        [charge("2.06", tier="edge", workload="defects")],
        [],
        [report(), report(device="cam-2"), report(device="cam-silent", day=DAY - timedelta(days=1))],
        fleet=("cam-1", "cam-2", "cam-silent"),
    ).filter(pl.col("day") == DAY)
    # 2 x 0.2 kWh x 0.15 = 0.06 over 2000 inferences = 30 per 1M; the silent camera is left out
    assert by_basis(got, "cost", "cost_per_1m_inferences", "cost_per_1m_tokens", "energy_kwh") == {
        "full": (Decimal("2.06"), Decimal(1030), None, 0.4),
        "marginal": (Decimal("0.06"), Decimal(30), None, 0.4),
    }


def test_no_marginal_row_where_energy_is_not_measured() -> None:
    got = compute(
        [charge("2", tier="edge", workload="defects")],
        [],
        [report(), report(device="cam-2", energy_kwh=None)],
        fleet=("cam-1", "cam-2"),
    )
    assert by_basis(got, "energy_kwh") == {"full": (None,)}


def test_work_of_devices_that_no_asset_registers_is_not_in_the_denominator() -> None:
    got = compute(
        [charge("1.03", tier="edge", workload="defects")],
        [],
        [report(), report(device="stray", inferences=9000.0)],
        fleet=("cam-1",),
    )
    assert got.select("basis", "currency", "cost", "inferences", "cost_per_1m_inferences").rows() == [
        ("full", "USD", Decimal("1.03"), 1000.0, Decimal(1030)),
        ("full", "XXX", None, 9000.0, None),
        ("marginal", "USD", Decimal("0.03"), 1000.0, Decimal(30)),
    ]
    assert got.select(pl.struct(UNIT_COST_DAILY.key).is_unique().all()).item()


@pytest.mark.parametrize("unknown", [served(pod="b", inferences=None), served(pod="b", tokens_out=None)])
def test_a_count_that_one_pod_does_not_report_is_unknown(unknown: dict[str, Any]) -> None:
    got = compute([charge("1")], [served(), unknown]).filter(pl.col("basis") == "full").row(0, named=True)
    lacking = "inferences" if unknown["inferences"] is None else "tokens_out"
    known = {"inferences": 2000.0, "tokens_in": 6000.0, "tokens_out": 2000.0} | {lacking: None}
    assert {name: got[name] for name in known} == known
    # 1 / 2000 and 1 / 8000 x 1e6
    assert got["cost_per_1m_inferences"] == (None if lacking == "inferences" else Decimal(500))
    assert got["cost_per_1m_tokens"] == (None if lacking == "tokens_out" else Decimal(125))


def test_a_device_that_does_not_count_makes_the_work_unknown() -> None:
    got = compute(
        [charge("2.06", tier="edge", workload="defects")],
        [],
        [report(), report(device="cam-2", inferences=None)],
        fleet=("cam-1", "cam-2"),
    )
    assert got["cost_per_1m_inferences"].to_list() == [None, None]


def test_a_device_with_a_single_report_is_as_one_that_was_silent() -> None:
    alone = report(
        device="cam-2", inferences=None, failed=None, energy_kwh=None, messages=1, online_hours=0.2
    )
    got = compute(
        [charge("2.03", tier="edge", workload="defects")], [], [report(), alone], fleet=("cam-1", "cam-2")
    )
    # 2.03 and 0.03 over the 1000 inferences that are known
    assert by_basis(got, "cost_per_1m_inferences", "energy_kwh") == {
        "full": (Decimal(2030), 0.2),
        "marginal": (Decimal(30), 0.2),
    }


def test_cost_without_work_and_work_without_cost() -> None:
    got = compute([charge("5")], [served(workload="chat", team=None, inferences=0.0)])
    assert by_basis(
        got.filter(pl.col("workload") == "ocr"), "cost", "cost_per_1m_inferences", "inferences"
    ) == {
        "full": (Decimal(5), None, None),
        "marginal": (Decimal(5), None, None),
    }
    chat = got.filter(pl.col("workload") == "chat")
    assert chat.select("basis", "team", "currency", "cost", "cost_per_1m_tokens", "tokens_in").rows() == [
        ("full", "untagged", "XXX", None, None, 3000.0)
    ]


def test_nothing_is_divided_by_zero() -> None:
    got = compute([charge("5")], [served(inferences=0.0, tokens_in=0.0, tokens_out=0.0)])
    assert got["cost_per_1m_inferences"].null_count() == got["cost_per_1m_tokens"].null_count() == 2


def test_several_models_add_up_without_a_name() -> None:
    got = compute([charge("1")], [served(), served(model="m2")])
    assert got.select("model", "inferences").unique().rows() == [(None, 2000.0)]


def test_tiers_teams_and_currencies_stay_apart() -> None:
    got = compute(
        [charge("1"), charge("2", tier="api"), charge("3", team="search"), charge("4", currency="EUR")],
        [served(), served(tier="api", inferences=500.0)],
    ).filter(pl.col("basis") == "full")
    assert got.select("team", "tier", "currency", "cost_per_1m_inferences").sort(pl.all()).rows() == [
        ("search", "cloud", "USD", Decimal(3000)),
        ("vision", "api", "USD", Decimal(4000)),
        ("vision", "cloud", "EUR", Decimal(4000)),
        ("vision", "cloud", "USD", Decimal(1000)),
    ]
    assert got.select(pl.struct(UNIT_COST_DAILY.key).is_unique().all()).item()


def test_untagged_workload_has_no_unit_cost() -> None:
    assert compute([charge("1", workload="untagged")], []).height == 0


@pytest.mark.parametrize(
    ("second", "p50"),
    [('{"0.1": 0, "1": 100, "+Inf": 100}', 100.0), ('{"0.2": 0, "1": 100, "+Inf": 100}', None)],
)
def test_latency_is_of_the_summed_histogram(second: str, p50: float | None) -> None:
    # 100 requests up to 0.1 s and 100 from 0.1 to 1 s: rank 100 is 0.1 s; p95: 0.1 + 0.9 x 90 / 100 = 0.91 s
    first = '{"0.1": 100, "1": 100, "+Inf": 100}'
    got = compute([charge("1")], [served(latency_buckets=first), served(pod="b", latency_buckets=second)])
    row = got.filter(pl.col("basis") == "full").row(0, named=True)
    assert row["p50_ms"] == (None if p50 is None else pytest.approx(p50))
    assert row["p95_ms"] == (None if p50 is None else pytest.approx(910.0))


@pytest.mark.parametrize(
    ("without", "p50"),
    [
        ({"inferences": 1.0}, None),
        ({"inferences": 0.0, "failed": 1.0}, None),
        ({"inferences": None}, None),
        ({"inferences": 0.0}, 100.0),  # no requests, none left out
    ],
)
def test_latency_is_unknown_where_requests_have_no_histogram(
    without: dict[str, Any], p50: float | None
) -> None:
    histogram = '{"0.1": 500, "1": 1000, "+Inf": 1000}'
    got = compute([charge("1")], [served(latency_buckets=histogram), served(pod="b", **without)])
    assert got["p50_ms"].to_list() == [None if p50 is None else pytest.approx(p50)] * 2


def test_nothing_at_all() -> None:
    got = compute([], [])
    assert got.schema == UNIT_COST_DAILY.schema
    assert got["cost"].dtype == MONEY


def test_hours_used_tokens_by_kind_success_and_uptime() -> None:
    """24 h at half use: 12 GPU-h. 101.8 / 12 = 8.4833.. an hour used; 99 of 100 requests, of four; replicas up 18 h, and 12 h of those: 0.75.

    900 fresh x 1 + 100 cached x 0.5 + 250 out x 4 = 1,950 weighted: 101.8 / 1,950 x 1e6 a weighted 1M.
    """
    weights = TokenWeights(input=Decimal(1), cached=Decimal("0.5"), output=Decimal(4))
    start = datetime.fromisoformat("2026-09-01T00:00")
    served_hours = [
        served(
            hour=start + timedelta(hours=h), tier="onprem", site="dc1", pod=pod, inferences=0.0, failed=0.0,
            tokens_in=0.0, tokens_out=0.0, tokens_cached=0.0,
        )
        for pod, n in (("p1", 18), ("p2", 12)) for h in range(n)
    ]  # fmt: skip
    served_hours[0] |= {
        "inferences": 396.0,
        "answered": 99.0,
        "failed": 1.0,
        "tokens_in": 1000.0,
        "tokens_cached": 100.0,
        "tokens_out": 250.0,
    }
    got = compute(
        [charge("101.8", tier="onprem")], served_hours, gpus=[hour(h) for h in range(24)], weights=weights
    ).row(0, named=True)
    assert (got["basis"], got["gpu_hours_used"], got["uptime"], got["request_success"]) == (
        "full",
        12.0,
        0.75,
        0.99,
    )
    assert float(got["cost_per_gpu_hour_used"]) == pytest.approx(101.8 / 12)
    unit = 101.8 / 1950 * 1e6
    names = ("cost_per_1m_tokens_in", "cost_per_1m_tokens_cached", "cost_per_1m_tokens_out")
    assert [float(got[n]) for n in names] == pytest.approx([unit, unit / 2, unit * 4])


def test_a_silent_day_of_a_service_is_a_day_down_where_others_are_seen() -> None:
    """ocr is up for 6 h of the first and the fourth day. Another service of its source is seen on the second, none on the third.

    What another source of the site sees on the third says nothing of this one.
    """
    days = [DAY + timedelta(days=n) for n in range(5)]

    def hours(day: int, count: int, **changes: Any) -> list[dict[str, Any]]:
        at = datetime.combine(days[day], datetime.min.time())
        return [
            served(day=days[day], hour=at + timedelta(hours=h), site="dc1", **changes) for h in range(count)
        ]

    inference = [
        *hours(0, 6), *hours(1, 3, workload="rank"), *hours(3, 6), *hours(4, 3, workload="rank"),
        *hours(2, 3, workload="search", source="elsewhere"),
    ]  # fmt: skip
    got = compute([charge("1", day=day) for day in days], inference).filter(
        (pl.col("workload") == "ocr") & (pl.col("basis") == "full")
    )
    assert got.sort("day")["uptime"].to_list() == [0.25, 0, None, 0.25, None]


def test_replicas_that_follow_each_other_within_an_hour_are_no_downtime() -> None:
    """p1 ends at 5:30 and p2 begins then: up from 0 to 12, but for a quarter of 8 to 9 in which both p2 and p3 are silent."""
    lives = {"p1": [1.0] * 5 + [0.5], "p2": [0.5, 1, 1, 0.75, 1, 1, 1], "p3": [0.5, 0.75, 0.5]}
    begins = {"p1": 0, "p2": 5, "p3": 7}
    start = datetime.combine(DAY, datetime.min.time())
    hours = [
        served(hour=start + timedelta(hours=begins[pod] + h), site="dc1", pod=pod, coverage=coverage)
        for pod, life in lives.items()
        for h, coverage in enumerate(life)
    ]
    assert compute([charge("1")], hours)["uptime"].to_list() == [11.75 / 24] * 2


def test_coverage_of_the_cards_held_stands_beside_what_they_cost() -> None:
    """One card seen for 6 of 24 h, another all day: 30 of 48 h; a third, free for 12 h and then dark, is not theirs.

    A card that a request holds in a gap of 12 h has a holder all day, who pays for it.
    """
    hours = [hour(h) for h in range(6)] + [hour(h, gpu="g2") for h in range(24)]
    got = compute([charge("9", tier="onprem")], [], gpus=[*hours, *(free(h, gpu="g3") for h in range(12))])
    assert got["cost_coverage"].to_list() == [0.625, 0.625]
    assert compute([charge("9")], [])["cost_coverage"].to_list() == [None, None]
    requested = [hour(h, sampled=False, used_hours=None) for h in range(12, 24)]
    got = compute([charge("9", tier="onprem")], [], gpus=[*(hour(h) for h in range(12)), *requested])
    assert got["cost_coverage"].to_list()[0] == 1.0


def test_uptime_of_devices_counts_silent_ones() -> None:
    """Two cameras of one workload, one online 12 h, one silent that day: 12 of 48 h."""
    yesterday = DAY - timedelta(days=1)
    reports = [report(online_hours=12.0), report(device="cam-2", day=yesterday), report(day=yesterday)]
    got = compute([charge("1", tier="edge", workload="defects")], [], reports, fleet=("cam-1", "cam-2"))
    assert got.filter(pl.col("day") == DAY)["uptime"].to_list()[0] == 0.25


def test_rented_cards_are_paid_in_the_clouds_bill() -> None:
    """10 h of a card at half use and 10 h of a 2g slice of another (2/7) at half use: 5 + 10 / 7 GPU-h for 90."""
    sites = {"k8s": Site.model_validate({"time_zone": "UTC", "tariff": 0, "rented": True})}
    hours = [hour(h, site="k8s") for h in range(10)]
    hours += [hour(h, site="k8s", gpu="g2", mig_profile="2g.20gb", mig_id="1") for h in range(10)]
    rented = rented_hours(gpu_hourly(*hours, free(11, site="k8s"), hour(3, site="dc1")), sites)
    got = compute([charge("90")], [], rented=rented)
    assert got.filter(pl.col("basis") == "full")["gpu_hours_used"].to_list() == [pytest.approx(5 + 10 / 7)]
    assert float(got["cost_per_gpu_hour_used"][0]) == pytest.approx(90 / (5 + 10 / 7))
    unknown = rented_hours(gpu_hourly(*hours, hour(12, site="k8s", used_hours=None)), sites)
    assert compute([charge("90")], [], rented=unknown)["gpu_hours_used"].to_list() == [None, None]


def test_rented_cards_are_not_missing_from_the_register() -> None:
    sites = SITES | {"k8s": Site.model_validate({"time_zone": "UTC", "tariff": 0, "rented": True})}
    hours = gpu_hourly(hour(1, site="k8s", gpu="r1"), hour(1, gpu="g9", node="n9"))
    found = gpu.anomalies(hours, [server()], sites, DAYS | {"k8s": (DAY, DAY)})
    assert found.select("issue", "site", "gpu").rows() == [("no asset", "dc1", "g9")]


def test_a_day_of_which_the_holder_is_not_known_has_no_unit_cost() -> None:
    """Held 23.76 of 24 h is 0.99: enough. 18 h of 24 is 0.75: 9.00 of those hours over the requests of 24 says too little."""
    work = served(inferences=1000.0, tokens_in=1000.0, tokens_out=1000.0)
    day = [hour(h) for h in range(23)]
    names = ("cost_per_1m_inferences", "cost_per_1m_tokens", "cost_per_1m_tokens_in", "kwh_per_1m_tokens")
    weights = TokenWeights(input=Decimal(1), cached=Decimal(1), output=Decimal(1))
    for seen, known in (
        (day[:18], False),
        ([*day, hour(23, allocated_hours=0.76, used_hours=0.38, coverage=0.76)], True),
    ):
        got = compute(
            [charge("9", tier="onprem")], [work | {"tier": "onprem"}], gpus=seen, weights=weights
        ).filter(pl.col("basis") == "full")
        assert got["cost"].to_list() == [9]
        assert [got[name].is_not_null().all() for name in names] == [known] * 4, seen
        assert got["cost_per_gpu_hour_used"].is_not_null().all()
