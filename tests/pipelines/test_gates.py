"""Gates: bounds of the configuration, judged by Great Expectations on one measured row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from models import tables
from models.config import Gates
from pipelines.checks.gate import Known, metrics_sql
from pipelines.checks.gates import gates
from pipelines.checks.judge import data_docs, judge, quality
from pipelines.engines.duckdb import DuckDBEngine
from pipelines.metrics_file import METRICS

BOUNDS = Gates(
    api_variance_max_share=0.05, freshness_max_days=3, gpu_coverage_min=0.9, untagged_max_share=0.25
)

GOOD: dict[str, Any] = {
    **{gate.name: 0.0 for gate in gates(BOUNDS)},
    "facts_rows": 10.0,
    "untagged_share": 0.2,
    "freshness_days": 2.0,
    "gpu_coverage": 0.95,
    "api_variance_share": 0.04,
}
"""A row inside all bounds: 0 of what is wrong."""


@contextmanager
def empty_warehouse() -> Iterator[DuckDBEngine]:
    with DuckDBEngine() as engine:
        for schema in ("ops", "marts", "telemetry"):
            engine.execute(f"CREATE SCHEMA {schema}")
        for table in tables.TABLES.values():
            if table not in tables.FACTS or table is tables.API_USAGE:
                engine.execute(table.ddl())
        yield engine


def failed(row: dict[str, Any], folder: Path) -> dict[str, str]:
    return {v.gate.name: v.sentence() for v in judge(gates(BOUNDS), row, folder, "r1") if not v.passed}


def test_all_pass_and_data_docs_are_written(tmp_path: Path) -> None:
    assert failed(GOOD, tmp_path) == {}
    assert data_docs(tmp_path).is_file()


BAD = [
    ("facts_rows", 0.0, "at least 1"),
    ("reconciliation_difference", 1e-12, "at most 0"),
    ("unknown_currency_rows", 1.0, "at most 0"),
    ("negative_idle_rows", 1.0, "at most 0"),
    ("energy_balance_kwh", 0.002, "at most 0.001"),
    ("quarantine_share", 0.001, "is 0.001; allowed: at most 0"),
    ("not_ready_months", 1.0, "is 1; allowed: at most 0"),
    ("untagged_share", 0.26, "is 0.26; allowed: at most 0.25"),
    ("api_charged_twice", 1.0, "counts twice"),
    ("accounts_billed_twice", 1.0, "is 1; allowed: at most 0"),
    ("contradicted_totals", 1.0, "is 1; allowed: at most 0"),
    ("repeated_bill", 20.0, "is 20; allowed: at most 0"),
    ("api_variance_share", 0.06, "is 0.06; allowed: at most 0.05"),
    ("freshness_days", 4.0, "is 4; allowed: at most 3"),
    ("gpu_coverage", 0.89, "is 0.89; allowed: at least 0.9"),
]


@pytest.mark.parametrize("half", [0, 1])
def test_each_gate_fails_by_itself_and_says_value_and_bound(tmp_path: Path, half: int) -> None:
    """Every second one is out of its bounds: these fail, and none beside them."""
    spoilt = BAD[half::2]
    found = failed({**GOOD, **{name: value for name, value, _ in spoilt}}, tmp_path)
    assert sorted(found) == sorted(name for name, *_ in spoilt)
    for name, _, says in spoilt:
        assert says in found[name]


def test_absent_bounds_do_not_block(tmp_path: Path) -> None:
    found = judge(gates(Gates()), {**GOOD, "freshness_days": 900.0, "untagged_share": 1.0}, tmp_path, "r2")
    assert [v.gate.name for v in found if not v.passed] == []


def test_warnings_do_not_block_and_unknown_is_not_a_failure(tmp_path: Path) -> None:
    row = {**GOOD, "stale_sources": 2.0, "energy_unknown_share": 0.01, "gpu_coverage": None}
    found = judge(gates(BOUNDS), row, tmp_path, "r3")
    warned = [v for v in found if not v.passed]
    assert [v.gate.name for v in warned] == ["energy_unknown_share", "stale_sources"]
    assert not any(v.blocks for v in warned)
    assert quality(found, "r3").filter(~pl.col("passed"))["severity"].to_list() == ["warning"] * 2


def test_a_month_that_holds_more_than_its_days() -> None:
    # 7 + 5 by day and 13 by month: 1 too many; the month before holds what its day does
    with empty_warehouse() as engine:
        engine.execute(
            """INSERT INTO marts.chargeback_daily BY NAME
               SELECT CAST(month AS DATE) AS billing_month, 'USD' AS currency, cost AS effective_cost
               FROM (VALUES ('2026-11-01', 7), ('2026-11-01', 5), ('2026-10-01', 3)) AS d(month, cost)"""
        )
        engine.execute(
            """INSERT INTO marts.chargeback_monthly BY NAME
               SELECT CAST(month AS DATE) AS month, 'USD' AS currency, cost AS effective_cost
               FROM (VALUES ('2026-11-01', 13), ('2026-10-01', 3)) AS m(month, cost)"""
        )
        row = engine.query(metrics_sql(gates(BOUNDS), Known())).row(0, named=True)
    assert row["monthly_difference"] == 1
    assert row["monthly_difference_detail"].startswith("2026-11 USD: 1")


def test_costs_below_0_are_right_where_a_price_of_the_day_is() -> None:
    """8 November of dc1 has a price below 0. Idle hours draw no energy: they never cost less than nothing.

    Wrong are 1 idle, 1 used of the next day, and 1 unallocated of another site.
    """
    with empty_warehouse() as engine:
        engine.execute(
            """INSERT INTO marts.gpu_daily BY NAME
               SELECT site, CAST(day AS DATE) AS day, cost_used, cost_idle, cost_unallocated, 24 AS gpu_hours_capacity, 24 AS gpu_hours_allocated
               FROM (VALUES ('dc1', '2026-11-08', -1, 0, 0), ('dc1', '2026-11-08', 0, 0, -1), ('dc1', '2026-11-08', 3, -1, 0),
                            ('dc1', '2026-11-09', -1, 0, 0), ('dc2', '2026-11-08', 0, 0, -1), ('dc2', '2026-11-09', 1, 0, 0))
                    AS g(site, day, cost_used, cost_idle, cost_unallocated)"""
        )
        known = Known(paid=["dc1 2026-11-08"])
        assert engine.query(metrics_sql(gates(BOUNDS), known)).item(0, "negative_idle_rows") == 3


def test_metrics_query_on_known_tables() -> None:
    """Two sources: 4 of 200 rows rejected in the worse; 30 of 100 EUR untagged; 5 days old; site covered 0.75."""
    with empty_warehouse() as engine:
        engine.execute(
            """INSERT INTO ops.ingests BY NAME
               SELECT 'a' AS source, true AS current, 200 AS rows_read, 196 AS rows_loaded, 4 AS rows_rejected
               UNION ALL SELECT 'b', true, 1000, 1000, 0 UNION ALL SELECT 'b', false, 10, 0, 10"""
        )
        engine.execute(
            "INSERT INTO ops.publications BY NAME SELECT DATE '2026-11-10' AS as_of, TIMESTAMP '2026-11-10 05:30:00' AS published_at"
        )
        engine.execute(
            """INSERT INTO ops.sources BY NAME SELECT 'a' AS source, DATE '2026-11-05' AS last_day, 'ok' AS status
               UNION ALL SELECT 'b', DATE '2026-11-09', 'stale'"""
        )
        engine.execute(
            """INSERT INTO ops.reconciliation BY NAME SELECT 'a' AS source, DATE '2026-11-01' AS month, 'EUR' AS currency,
                 5.0 AS source_total, 5.0 AS focus_total, 0 AS quarantined_total, 5.0 AS allocated_total, 0 AS difference
               UNION ALL SELECT 'b', DATE '2026-11-01', 'XQQ', 5.0, 4.5, 0, 4.5, 0.5"""
        )
        engine.execute(
            """INSERT INTO marts.chargeback_daily BY NAME SELECT 'untagged' AS team, 'EUR' AS currency, 30 AS effective_cost
               UNION ALL SELECT 'x', 'EUR', 20 UNION ALL SELECT 'x', 'EUR', -50 UNION ALL SELECT 'x', 'USD', 1000"""
        )
        engine.execute(
            """INSERT INTO marts.gpu_daily BY NAME SELECT 'dc1' AS site, 1.0 AS coverage, 24 AS gpu_hours_capacity, 24 AS gpu_hours_allocated,
                 0 AS cost_idle, 0 AS cost_unallocated, 1 AS cost_used, 9 AS energy_kwh
               UNION ALL SELECT 'dc1', 0.5, 24, 25, -1, 0, 1, NULL
               UNION ALL SELECT 'dc2', 1.0, 24, 24, 0, 0, 1, 9"""
        )
        row = engine.query(metrics_sql(gates(BOUNDS), Known(unregistered=3))).row(0, named=True)
    assert row["facts_rows"] == 1196
    assert row["reconciliation_difference"] == 0.5
    assert "b 2026-11 XQQ" in row["reconciliation_difference_detail"]
    assert row["unknown_currency_rows"] == 1
    assert row["negative_idle_rows"] == 1
    assert row["quarantine_share"] == pytest.approx(0.02)
    # 30 / (30 + 20 + 50): a credit hides no cost without an owner, and the share is never beyond 0-1
    assert row["untagged_share"] == pytest.approx(0.3)
    assert row["freshness_days"] == 5
    assert row["freshness_days_detail"] == "a"
    assert row["gpu_coverage"] == pytest.approx(0.75)
    # dc1: 12 of 24 + 12 observed hours
    assert row["energy_unknown_share"] == pytest.approx(1 / 3)
    assert row["energy_unknown_share_detail"] == "dc1: 12.0 GPU-hours"
    assert row["unregistered_hardware"] == 3
    assert row["stale_sources"] == 1


def test_a_day_to_come_that_was_published_by_mistake_does_not_count_any_more() -> None:
    """Published for 2027 first, then for 5 November: data of the 3rd are 2 days old, and an unusual day of the 3rd is recent."""
    with empty_warehouse() as engine:
        engine.execute(
            """INSERT INTO ops.publications BY NAME SELECT DATE '2027-06-30' AS as_of, TIMESTAMP '2026-11-04 05:30:00' AS published_at
               UNION ALL SELECT DATE '2026-11-05', TIMESTAMP '2026-11-05 05:30:00'"""
        )
        engine.execute("INSERT INTO ops.sources BY NAME SELECT 'a' AS source, DATE '2026-11-03' AS last_day")
        engine.execute(
            "INSERT INTO marts.anomalies BY NAME SELECT DATE '2026-11-03' AS day, 'ocr' AS team, 800 AS impact"
        )
        row = engine.query(metrics_sql(gates(BOUNDS), Known())).row(0, named=True)
        told = engine.query(METRICS["tierwise_cost_anomaly"][1])
    assert row["freshness_days"] == 2
    assert told.select("team", "value").rows() == [("ocr", 800)]


def test_closed_months_in_which_no_team_owes_another_amount_are_not_named() -> None:
    """October: b pays 3 more, a 3 less, c 5 more; November: a source was renamed, and its team owes what it did."""
    with empty_warehouse() as engine:
        engine.execute(
            """INSERT INTO marts.chargeback_monthly BY NAME SELECT * FROM (VALUES
               (DATE '2026-10-01', 'a', -3), (DATE '2026-10-01', 'b', 3), (DATE '2026-10-01', 'c', 5),
               (DATE '2026-11-01', 'a', -9), (DATE '2026-11-01', 'a', 9)) AS t(month, team, adjustment), (SELECT 'USD' AS currency, 1 AS published_cost)"""
        )
        row = engine.query(metrics_sql(gates(BOUNDS), Known())).row(0, named=True)
    assert row["changed_closed_months"] == 1
    assert row["changed_closed_months_detail"] == "2026-10 USD 5.000000000000"
