"""A small warehouse made by hand: two months, several teams (some with hostile names), all tiers."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from dashboards.store import Store
from models import tables
from models.chargeback import monthly
from pipelines.engines.duckdb import DuckDBEngine

AUGUST, SEPTEMBER = date(2026, 8, 1), date(2026, 9, 1)
SCRIPT = "<script>alert(1)</script>"
HOSTILE = (SCRIPT, "../../etc/passwd", "=cmd()", "Команда ☃", "x" * 300, "ml core", "ml/core")


def charge(day: date, team: str, cost: str, **other: object) -> dict[str, object]:
    """One row of `marts.chargeback_daily`."""
    return {
        "day": day, "billing_month": day.replace(day=1), "team": team, "project": "main", "environment": "prod",
        "workload_type": "training", "workload": "train", "tier": "cloud", "source": "bills",
        "service_provider": "AWS", "service_name": "Amazon EC2", "sub_account": None, "cost_kind": "direct",
        "method": "tag", "currency": "USD", "billed_cost": Decimal(cost), "effective_cost": Decimal(cost),
    } | other  # fmt: skip


OWNED = {
    "tier": "onprem", "source": "site:dc1", "service_provider": "dc1", "service_name": "Owned GPUs",
    "workload": "chat", "workload_type": "realtime_inference", "method": "telemetry",
}  # fmt: skip

CHARGES = [
    # vision, August: 90.10; September: 100.004 + 10.004 + 20.004 = 130.012 USD, and 7 EUR
    *(charge(date(2026, 8, day), "vision", "26.70") for day in (3, 4, 5)),  # 80.10
    charge(date(2026, 8, 25), "vision", "10"),
    charge(date(2026, 9, 2), "vision", "100.004"),
    charge(date(2026, 9, 2), "vision", "10.004", **OWNED),
    charge(date(2026, 9, 3), "vision", "20.004", cost_kind="idle", **OWNED),
    charge(date(2026, 9, 3), "vision", "7", currency="EUR", source="second", service_provider="OVH"),
    # speech, August: 50; September: 41.77
    charge(date(2026, 8, 3), "speech", "50"),
    charge(
        date(2026, 9, 4), "speech", "41.77", tier="edge", service_name="Edge devices", workload="kws-secret"
    ),
    # nobody's
    charge(date(2026, 9, 5), "untagged", "5.555", method="untagged"),
    charge(date(2026, 9, 5), "platform", "12.345", cost_kind="unallocated", **OWNED),
    *(
        charge(date(2026, 9, 6), team, "1.111", service_name="-1+cmd|' /C calc'!A0", project="<b>x</b>")
        for team in HOSTILE
    ),
]


def gpu(day: date, card: str, team: str, used: float | None, **other: object) -> dict[str, object]:
    """One row of `marts.gpu_daily`: a card held for the whole day."""
    return {
        "day": day, "site": "dc1", "node": "n1", "gpu": card, "gpu_model": "H100", "mig_profile": None, "team": team,
        "workload": "chat", "state": "allocated", "gpu_hours_capacity": 24.0, "gpu_hours_allocated": 24.0,
        "gpu_hours_used": used, "utilisation": None if used is None else used / 24, "coverage": 1.0,
        "energy_kwh": 10.0, "energy_estimated_kwh": 0.5, "cost_used": Decimal("5.002"),
        "cost_idle": Decimal("10.002"), "cost_unallocated": Decimal(0), "currency": "USD",
    } | other  # fmt: skip


GPUS = [
    gpu(date(2026, 9, 2), "GPU-aaaaaaaa", "vision", 12.0),
    gpu(date(2026, 9, 3), "GPU-aaaaaaaa", "vision", 6.0),
    gpu(date(2026, 9, 3), "GPU-bbbbbbbb", "vision", None),
    gpu(
        date(2026, 9, 3), "GPU-cccccccc", "platform", None, state="unallocated", gpu_hours_allocated=0.0,
        cost_used=Decimal(0), cost_idle=Decimal(0), cost_unallocated=Decimal("12.345"),
    ),
]  # fmt: skip


def unit(day: date, basis: str, cost: str, inferences: float | None, **other: object) -> dict[str, object]:
    """One row of `marts.unit_cost_daily`."""
    return {
        "day": day, "workload": "chat", "model": "llama", "team": "vision", "tier": "onprem", "basis": basis,
        "currency": "USD", "inferences": inferences, "tokens_in": 3000.0, "tokens_out": 1000.0, "cost": Decimal(cost),
        "cost_per_1m_inferences": None if not inferences else Decimal(cost) * 1_000_000 / int(inferences),
        "cost_per_1m_tokens": Decimal(cost) * 250, "energy_kwh": 2.0, "kwh_per_1m_tokens": 500.0, "p95_ms": 210.0,
    } | other  # fmt: skip


UNITS = [
    unit(date(2026, 9, 2), "full", "15.00", 40_000.0),
    unit(date(2026, 9, 3), "full", "25.00", 60_000.0),
    unit(date(2026, 9, 4), "full", "25.00", None),
    unit(date(2026, 9, 2), "marginal", "3.00", 40_000.0),
    unit(date(2026, 9, 3), "marginal", "5.00", 60_000.0),
    unit(date(2026, 9, 3), "full", "9.00", 1000.0, workload="kws-secret", team="speech", tier="edge"),
]

PLACEMENT = [
    {
        "workload": "chat", "team": "vision", "current_option": "dc1", "recommended_option": "cloud-spot",
        "status": "plan", "saving_36m": Decimal("1234.50"), "npv_36m": Decimal("1100"), "breakeven_month": 7,
        "confidence": "high", "reason": "cheaper from month 7", "currency": "USD",
    },
    {
        "workload": "kws-secret", "team": "speech", "current_option": "edge", "recommended_option": "edge",
        "status": "keep", "saving_36m": Decimal(0), "npv_36m": Decimal(0), "breakeven_month": None,
        "confidence": "low", "reason": "offline is a must for speech", "currency": "USD",
    },
]  # fmt: skip

OPTIONS = [
    {
        "workload": "chat", "option": o, "tier": t, "feasible": c is not None, "reason": r,
        "cost_36m": None if c is None else Decimal(c), "capex": None if c is None else Decimal(0),
        "usage": None if c is None else Decimal(c), "currency": "USD",
    }
    for o, t, c, r in (
        ("dc1", "onprem", "5000", "measured"), ("cloud-spot", "cloud", "3765.50", "list price"),
        ("far-api", "api", None, "residency: data must stay in gr"),
    )
]  # fmt: skip


def at(day: date, hour: int = 6) -> datetime:
    """A moment of a day, UTC."""
    return datetime.combine(day, time(hour))


def _publication(run: str, as_of: date) -> dict[str, object]:
    return {
        "run_id": run, "published_at": at(as_of + timedelta(1)), "as_of": as_of, "version": "0.1.0", "currency": "USD",
        "config_hash": "c", "input_hash": "i", "money_in": "{}", "money_out": "{}",
    }  # fmt: skip


def _verdict(run: str, gate: str, *, passed: bool = True) -> dict[str, object]:
    return {
        "run_id": run,
        "gate": gate,
        "passed": passed,
        "severity": "warning",
        "detail": f"speech pays for {gate}",
    }


def _source(name: str, kind: str, status: str = "ok", **other: object) -> dict[str, object]:
    return {
        "source": name,
        "kind": kind,
        "required": True,
        "status": status,
        "last_day": date(2026, 9, 19),
    } | other


OPS: dict[tables.Table, list[dict[str, object]]] = {
    tables.PUBLICATIONS: [_publication("run-1", date(2026, 9, 19)), _publication("run-2", date(2026, 9, 20))],
    tables.QUALITY: [_verdict("run-1", "old"), _verdict("run-2", "money"), _verdict("run-2", "fresh", passed=False)],
    tables.SOURCES: [
        _source("bills", "focus"),
        _source("second", "focus"),
        _source("dc1-files", "telemetry_files", "stale", stale_since=at(date(2026, 9, 18)), error="speech broke it"),
    ],
    tables.RECONCILIATION: [
        {
            "source": "bills", "month": SEPTEMBER, "currency": "USD", "source_total": Decimal("200.5"),
            "focus_total": Decimal("200.5"), "quarantined_total": Decimal(0), "allocated_total": Decimal("200.5"),
            "difference": Decimal(0),
        }
    ],
    tables.QUARANTINE: [
        {
            "source": s, "period": date(2026, 9, 4), "action": "repaired", "rule": rule, "column_name": "c", "rows": n,
        }
        for s, rule, n in (("bills", "null_text", 3), ("bills", "null_text", 4), ("second", "eur_only", 1))
    ],
}  # fmt: skip


def build(
    path: Path,
    charges: list[dict[str, object]],
    gpus: list[dict[str, object]],
    units: list[dict[str, object]],
    placement: list[dict[str, object]],
    options: list[dict[str, object]],
    ops: dict[tables.Table, list[dict[str, object]]] = OPS,
) -> Path:
    """Writes a warehouse with these rows and returns its path."""
    daily = pl.DataFrame(charges, schema=dict(tables.CHARGEBACK_DAILY.schema))
    rows: dict[tables.Table, pl.DataFrame] = {
        tables.CHARGEBACK_DAILY: daily,
        tables.CHARGEBACK_MONTHLY: monthly(daily),
        tables.GPU_DAILY: pl.DataFrame(gpus, schema=dict(tables.GPU_DAILY.schema)),
        tables.UNIT_COST_DAILY: pl.DataFrame(units, schema=dict(tables.UNIT_COST_DAILY.schema)),
        tables.PLACEMENT: pl.DataFrame(placement, schema=dict(tables.PLACEMENT.schema)),
        tables.PLACEMENT_OPTIONS: pl.DataFrame(options, schema=dict(tables.PLACEMENT_OPTIONS.schema)),
    } | {t: pl.DataFrame(r, schema=dict(t.schema)) for t, r in ops.items()}
    with DuckDBEngine(path) as engine:
        for schema in ("focus", "telemetry", "marts", "ops"):
            engine.execute(f"CREATE SCHEMA {schema}")
        for table in tables.TABLES.values():
            engine.execute(table.ddl())
            if table in rows:
                engine.insert(table.name, table.conform(rows[table]))
    return path


@pytest.fixture(scope="session")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of the small warehouse."""
    path = tmp_path_factory.mktemp("published") / "warehouse.duckdb"
    return build(path, CHARGES, GPUS, UNITS, PLACEMENT, OPTIONS)


@pytest.fixture(scope="session")
def store(warehouse: Path) -> Iterator[Store]:
    """A store of all teams on it."""
    with Store(warehouse) as opened:
        yield opened
