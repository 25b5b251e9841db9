"""Waste, runs, models and targets on pages: everybody's on the overview, a team's own on its statement."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from dashboards.economics import economics
from dashboards.figures import period
from dashboards.statements import overview_html, statement_html
from dashboards.store import Store
from models import tables
from tests.dashboards import conftest as made

SCRIPT = made.SCRIPT
AT = period(made.SEPTEMBER, [made.SEPTEMBER, made.AUGUST], date(2026, 9, 20))
FILES = {t: f"f{n}" for n, t in enumerate(("vision", "speech", "untagged", "platform", *made.HOSTILE))}


def waste(rank: int, team: str, cost: str, **other: object) -> dict[str, object]:
    return {
        "rank": rank, "kind": "gpu_idle", "tier": "onprem", "site": "dc1", "team": team, "workload": "chat",
        "subject": "n1 · GPU-7c1e0006-51d2-4b8e-9f06-a0b1c2d3e406", "hours": 12.0, "share": 0.5, "cost": Decimal(cost),
        "cost_month": Decimal(cost), "currency": "USD", "first_day": date(2026, 9, 1), "last_day": date(2026, 9, 20),
        "advice": "share it",
    } | other  # fmt: skip


def training(run: str, team: str, **other: object) -> dict[str, object]:
    return {
        "run_id": run, "workload": "train", "team": team, "tier": "onprem", "started_at": made.at(date(2026, 9, 1)),
        "ended_at": made.at(date(2026, 9, 2)), "hours": 24.0, "epochs": 3.0, "hours_per_epoch": 8.0, "gpu_hours": 96.0,
        "cost": Decimal("612.30"), "cost_per_epoch": Decimal("204.10"), "currency": "USD", "method": "gpu_hours",
    } | other  # fmt: skip


def measured(run: str, meter: str, kwh: float) -> dict[str, object]:
    return {
        "run_id": run, "workload": "train", "started_at": made.at(date(2026, 9, 1)), "ended_at": made.at(date(2026, 9, 2)),
        "duration_s": 86400.0, "source": "lab", "site": "dc1", "meter": meter, "method": "window_mean", "readings": 8640,
        "readings_dropped": 0, "longest_gap_s": 10.0, "mean_w": kwh / 24 * 1000, "energy_kwh": kwh, "epochs": 3.0,
        "kwh_per_epoch": kwh / 3,
    }  # fmt: skip


def unusual(team: str, cost: int, **other: object) -> dict[str, object]:
    return {
        "day": date(2026, 9, 3), "source": "aws", "team": team, "service_provider": "AWS", "service_name": "EC2", "currency": "USD",
        "direction": "high", "cost": Decimal(cost), "expected": Decimal(1), "impact": Decimal(cost - 1), "since": date(2026, 9, 3),
        "driver": f"job of {team}", "driver_impact": Decimal(cost - 1),
    } | other  # fmt: skip


def off(team: str, saving: str | None, **other: object) -> dict[str, object]:
    return {
        "site": "dc1", "node": "n1", "tier": "onprem", "team": team, "workload": "chat", "state": "allocated", "gpu_hours": 48.0,
        "gpu_hours_unused": 20.0, "gpu_hours_off": 5.0, "stops": 2, "energy_saved_kwh": 1.5, "cost": Decimal(900),
        "saving": None if saving is None else Decimal(saving), "fixed_cost_off": Decimal("61.25"), "currency": "USD",
        "coverage": 0.75, "resolution_minutes": 60.0, "after_minutes": 15.0,
    } | other  # fmt: skip


def served(model: str | None, team: str, cost: str | None, **other: object) -> dict[str, object]:
    return {
        "model": model, "tier": "onprem", "place": "dc1", "team": team, "workload": "chat", "version": "4.2.1",
        "update_source": "registry", "first_day": date(2026, 9, 1), "last_day": date(2026, 9, 3), "days": 3, "days_counted": 2,
        "inferences": 5000.0, "tokens": None, "p95_ms": 210.0, "cost": None if cost is None else Decimal(cost),
        "cost_per_1m_inferences": None, "currency": "USD",
    } | other  # fmt: skip


def sliced(gpu: str, team: str, status: str = "fits", **other: object) -> dict[str, object]:
    return {
        "site": "dc1", "node": "n1", "gpu": gpu, "gpu_model": "H100", "team": team, "workload": "chat", "gpu_hours_allocated": 48.0,
        "utilisation_peak": 0.123, "coverage": 1.0, "memory_gb": 7.5, "mig_profile": "2g.20gb", "status": status, "reason": "r",
    } | other  # fmt: skip


ROWS: dict[tables.Table, list[dict[str, object]]] = {
    tables.WASTE: [waste(1, "vision", "777.70"), waste(2, "speech", "55.50", workload=SCRIPT)],
    tables.IDLE_POLICY: [
        off("vision", "31.25"), off("speech", None, workload=SCRIPT, node=SCRIPT),
        off("platform", "0", state="unallocated", gpu_hours_off=0.0, stops=0, node="n-awake"),
    ],
    tables.GPU_SHARING: [
        {
            "site": "dc1", "gpu_model": SCRIPT, "cards_held": 4.0, "utilisation": 0.425, "cards_needed": 2.0,
            "utilisation_shared": 0.85, "saving_share": 0.5, "cost": Decimal(400), "saving": Decimal("200.20"),
            "currency": "USD", "coverage": 1.0,
        }
    ],
    tables.MIG_CARDS: [
        sliced("card-a", "vision"), sliced(SCRIPT, "speech"), sliced("card-c", "vision", status="whole", mig_profile=None),
    ],
    tables.MIG_PACKING: [
        {
            "site": "dc1", "gpu_model": SCRIPT, "cards_held": 3, "cards_fit": 2, "cards_whole": 1, "cards_unknown": 0,
            "cards_at_once": 2, "cards_needed": 1, "cards_freed": 1, "layout": "1 x (2g.20gb + 2g.20gb)", "cost": Decimal(300),
            "saving": Decimal("150.70"), "currency": "USD", "coverage": 1.0,
        },
        {
            "site": "fra", "gpu_model": "A30", "cards_held": 1, "cards_fit": 0, "cards_whole": 0, "cards_unknown": 1,
            "cards_at_once": 0, "cards_needed": 0, "cards_freed": 0, "coverage": 0.0,
        },
    ],
    tables.MODEL_INVENTORY: [
        served("llama-9", "vision", "61.10"), served(SCRIPT, "speech", "88.80", update_source=SCRIPT), served(None, "vision", None),
    ],
    tables.ANOMALIES: [
        unusual("vision", 42), unusual("speech", 63, driver=SCRIPT),
        *(unusual("speech", 90_000 + n, currency="JPY", service_name=f"service {n}") for n in range(16)),
    ],
    tables.TRAINING_RUNS: [training("run-a", "vision"), training(SCRIPT, "speech", cost=None, cost_per_epoch=None)],
    tables.RUN_ENERGY: [
        measured("run-a", "pdu-7", 12.345), measured(SCRIPT, "pdu-8", 98.765),
        {**measured("run-none", "x", 0.0), "meter": None, "readings": 0, "energy_kwh": None, "mean_w": None},
    ],
    tables.WASTE_HOURLY: [
        {
            "site": "dc1", "weekday": 1, "hour": 3, "gpu_hours_observed": 4.0, "gpu_hours_allocated": 4.0,
            "cost_idle": Decimal(9), "cost_unallocated": Decimal(0), "currency": "USD",
        }
    ],
    tables.MODEL_COST_MONTHLY: [
        {
            "month": made.SEPTEMBER, "model": "reader", "phase": "serving", "tier": "cloud", "currency": "USD",
            "cost": Decimal("41.40"), "cost_to_date": Decimal("99.90"),
        }
    ],
    tables.AI_COST_RATIO: [
        {"month": made.SEPTEMBER, "cost": Decimal(30), "unconverted_rows": 0, "revenue": Decimal(240), "ratio": 0.125}
    ],
    tables.TARGETS: [
        {
            "month": made.SEPTEMBER, "metric": "uptime", "subject": "chat · onprem", "value": 0.9991, "coverage": 1.0,
            "target": 0.999, "status": "met",
        }
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path: Path = tmp_path_factory.mktemp("rich") / "warehouse.duckdb"
    made.build(path, made.CHARGES, made.GPUS, made.UNITS, made.PLACEMENT, made.OPTIONS, made.OPS | ROWS)
    with Store(path) as store:
        yield store


def test_overview_shows_everything(rich: Store) -> None:
    page = overview_html(rich, AT, FILES)
    for text in (
        "$777.70",
        "$55.50",
        "n1 · c2d3e406",
        "$612.30",
        "$204.10",
        "$99.90",
        "12.5%",
        "99.91%",
        "run-a",
        "12.345",
        "4.115",
        "98.765",
    ):
        assert text in page, text
    assert "Idle and unallocated cost by hour of the week" in page
    assert "run-none" not in page
    assert SCRIPT not in page
    assert "&lt;script&gt;" in page


def test_statement_shows_the_team_its_own(rich: Store) -> None:
    page = statement_html(rich, "vision", AT, FILES)
    assert "$777.70" in page
    assert "run-a" in page
    assert "12.345" in page
    for foreign in (
        "98.765",
        "pdu-8",
        "$55.50",
        "alert(1)",
        "$99.90",
        "by hour of the week",
        "99.91%",
        "12.5% ",
    ):
        assert foreign not in page, foreign


def test_idle_machines_shared_cards_and_models(rich: Store) -> None:
    page = overview_html(rich, AT, FILES)
    for text in (
        "$31.25",
        "$61.25",
        "25.0%",
        "$200.20",
        "42.5%",
        "llama-9",
        "$61.10",
        "$88.80",
        "4.2.1",
        "2 of 3",
    ):
        assert text in page, text
    assert not [text for text in ("n-awake", "card-c") if text in page]
    assert SCRIPT not in page
    own = statement_html(rich, "vision", AT, FILES)
    assert all(text in own for text in ("$31.25", "llama-9", "$61.10", "card-a"))
    assert not [text for text in ("$200.20", "$150.70", "$88.80", "alert(1)") if text in own]
    earlier = overview_html(
        rich, period(made.AUGUST, [made.SEPTEMBER, made.AUGUST], date(2026, 9, 20)), FILES
    )
    assert not [text for text in ("$31.25", "$200.20", "$150.70", "card-a", "$61.10") if text in earlier]


def test_pages_of_earlier_months_show_no_waste_of_today(rich: Store) -> None:
    page = overview_html(rich, period(made.AUGUST, [made.SEPTEMBER, made.AUGUST], date(2026, 9, 20)), FILES)
    assert "$777.70" not in page
    assert "run-a" not in page


def test_team_store_reads_no_table_of_all_teams(rich: Store) -> None:
    team = rich.for_team("vision")
    for read in (
        team.waste_hourly,
        lambda: team.targets(made.SEPTEMBER),
        lambda: team.model_cost(made.SEPTEMBER),
    ):
        with pytest.raises(PermissionError, match="does not read marts"):
            read()


def test_unusual_days_are_told_to_whom_they_belong(rich: Store) -> None:
    for page, shown, foreign in (
        (overview_html(rich, AT, FILES), ("job of vision", "$42.00", "$63.00"), ()),
        (statement_html(rich, "vision", AT, FILES), ("job of vision", "$42.00"), ("$63.00", "¥", "speech")),
        (statement_html(rich, "platform", AT, FILES), (), ("Unusual days", "$42.00", "$63.00")),
    ):
        assert all(text in page for text in shown)
        assert not [text for text in foreign if text in page]


def test_unusual_days_of_one_currency_hide_none_of_another(rich: Store) -> None:
    # 15 of the 16 days in yen, by amount, and both in dollars
    found = economics(rich, AT)
    assert [(row["currency"], row["cost"]) for row in found.unusual if row["currency"] == "USD"] == [
        ("USD", 63),
        ("USD", 42),
    ]
    assert (len(found.unusual), found.unusual_more) == (17, 1)
