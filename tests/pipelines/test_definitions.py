"""The asset graph, the job, the schedule and the partitions, as Dagster sees them: imported where a test runs, not to collect it."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.base import Window
from pipelines.facts import FactStore
from pipelines.settings import load_config
from tests.pipelines import small

CONFIG = """
schedule: {cron: "30 5 * * *", time_zone: Europe/Athens}
sources:
  bills: {kind: focus, location: ./bills}
  line-cameras: {kind: edge_files, location: ./edge, site: plant2}
sites:
  plant2: {time_zone: Asia/Kolkata, tariff: 0.1}
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    small.write_site(tmp_path, CONFIG)
    (tmp_path / "edge").mkdir()
    return tmp_path


def test_graph_by_layer(site: Path) -> None:
    from pipelines.definitions import build_defs

    graph = build_defs(load_config(site / "tierwise.yaml")).resolve_asset_graph()
    found = {
        key.to_user_string(): (node.group_name, sorted(p.to_user_string() for p in node.parent_keys))
        for key, node in ((k, graph.get(k)) for k in graph.get_all_asset_keys())
    }
    assert found == {
        "sources/bills": ("sources", []),
        "sources/line_cameras": ("sources", []),
        "bills/bills": ("bills", ["sources/bills"]),
        "telemetry/line_cameras": ("telemetry", ["sources/line_cameras"]),
        "plan": ("sources", ["sources/bills", "sources/line_cameras"]),
        "costs/owned_hardware": ("costs", ["plan"]),
        "marts/chargeback": ("marts", ["costs/owned_hardware"]),
        "marts/unit_cost": ("marts", ["marts/chargeback"]),
        "marts/economics": ("marts", ["marts/chargeback", "marts/unit_cost"]),
        "marts/placement": ("marts", ["marts/unit_cost"]),
        "marts/api_reconciliation": ("marts", ["marts/chargeback"]),
        "publication/staged": (
            "publication",
            [
                "marts/api_reconciliation",
                "marts/chargeback",
                "marts/economics",
                "marts/placement",
                "marts/unit_cost",
            ],
        ),
        "publication/statements": ("publication", ["publication/staged"]),
        "publication/published": ("publication", ["publication/staged", "publication/statements"]),
    }
    checks = {k.name for k in graph.asset_check_keys}
    assert checks == {
        "facts_rows", "reconciliation_difference", "unknown_currency_rows", "negative_idle_rows", "quarantine_share",
        "untagged_share", "freshness_days", "gpu_coverage", "demand_unknown", "energy_balance_kwh",
        "energy_unknown_share", "unregistered_hardware", "stale_sources", "damaged_files", "parent_missing", "contradicting_telemetry", "kept_months",
        "removed_sources", "monthly_difference", "closed_cost_difference", "changed_closed_months",
        "not_ready_months", "repeated_files", "repeated_rows", "repeated_bill", "api_charged_twice",
        "api_variance_share", "accounts_billed_twice", "contradicted_totals", "unpriced_requests", "focus_period_rows", "focus_billing_month_rows", "focus_duplicate_rows",
        "focus_price_rows", "focus_category_rows", "focus_region_rows",
    }  # fmt: skip


def test_schedule_partitions_and_job(site: Path) -> None:
    import dagster as dg

    from pipelines.definitions import build_defs

    defs = build_defs(load_config(site / "tierwise.yaml"))
    schedule = defs.resolve_schedule_def("daily_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone, schedule.job_name) == (
        "30 5 * * *",
        "Europe/Athens",
        "daily",
    )
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    graph = defs.resolve_asset_graph()
    months = graph.get(dg.AssetKey(["bills", "bills"])).partitions_def
    days = graph.get(dg.AssetKey(["telemetry", "line_cameras"])).partitions_def
    assert isinstance(months, dg.MonthlyPartitionsDefinition)
    assert isinstance(days, dg.DailyPartitionsDefinition)
    assert days.timezone == "Asia/Kolkata"
    at = datetime(2026, 11, 6, 3, 30, tzinfo=UTC)  # 05:30 in Athens
    with dg.DagsterInstance.ephemeral() as instance:
        tick = schedule.evaluate_tick(
            dg.build_schedule_context(instance=instance, scheduled_execution_time=at)
        )
    assert tick.run_requests is not None
    assert tick.run_requests[0].tags["tierwise/date"] == "2026-11-05"


@pytest.mark.long
def test_daily_job_reports_partitions_and_one_can_be_read_by_hand(site: Path) -> None:
    import dagster as dg

    from pipelines.definitions import build_defs
    from pipelines.resources import Tierwise

    config = load_config(small.write_site(site))
    clock = Tierwise(config, clock=lambda: datetime(2026, 11, 6, 6, tzinfo=UTC))
    defs = build_defs(config, {"tierwise": clock})
    key = dg.AssetKey(["bills", "bills"])
    (site / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(site / "dagster")) as instance:
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        job = defs.resolve_job_def("daily")
        assert job.execute_in_process(instance=instance, run_config=quiet).success
        assert instance.get_materialized_partitions(key) == {"2026-10-01", "2026-11-01"}
        small.write_bill(site, "2026-10", small.OCTOBER_ROWS[:1])
        small.write_bill(site, "2026-11", small.NOVEMBER_ROWS[:1])
        by_hand = defs.resolve_implicit_global_asset_job_def()
        result = by_hand.execute_in_process(
            instance=instance, partition_key="2026-10-01", asset_selection=[key], run_config=quiet
        )
        assert result.success
        (event,) = result.asset_materializations_for_node("bills__bills")
        assert event.metadata["dagster/row_count"].value == 1
    reader = config.sources["bills"].reader
    window = Window(datetime(2026, 11, 5, tzinfo=UTC).date(), datetime.now(UTC))
    october, november = reader.slices(window)
    facts = FactStore(config.data_dir / "facts")
    assert facts.find("bills", october.period, october.fingerprint) is not None
    assert facts.find("bills", november.period, november.fingerprint) is None


@pytest.mark.long
def test_a_run_of_dagster_waits_for_another_one_and_touches_nothing_before(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines import resources
    from pipelines.definitions import build_defs

    config = load_config(small.write_site(site))
    job = build_defs(config).resolve_job_def("daily")
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    tags = {"tierwise/date": "2026-11-05"}
    monkeypatch.setattr(resources, "PATIENCE_S", 0.1)
    with resources.alone(config.data_dir):
        refused = job.execute_in_process(tags=tags, run_config=quiet, raise_on_error=False)
    assert not refused.success
    assert [f.name for f in config.data_dir.iterdir()] == [".lock"]
    held = threading.Event()

    def other() -> None:
        with resources.alone(config.data_dir):
            held.set()
            time.sleep(0.5)

    monkeypatch.setattr(resources, "PATIENCE_S", 60.0)
    thread = threading.Thread(target=other)
    thread.start()
    assert held.wait(10)
    assert job.execute_in_process(tags=tags, run_config=quiet).success
    assert not thread.is_alive()
    assert small.tierwise("run", "--config", config.file, "--date", "2026-11-05").returncode == 0
