"""The metrics file is what a real Prometheus parser reads, with the published figures."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.pipelines import small

CONFIG = small.CONFIG + "publish: {metrics_file: metrics/tierwise.prom}\n"
DATE = ("--date", "2026-11-05")


def samples(file: Path) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(file.read_text())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families for s in f.samples}


@pytest.mark.long
def test_figures_of_the_publication(tmp_path: Path) -> None:
    config = small.write_site(tmp_path, CONFIG)
    hostile = small.row("7.25", small.NOVEMBER, 4, '{"team":"a\\"}\\n x 1"}')
    small.write_bill(tmp_path, "2026-11", [*small.NOVEMBER_ROWS, hostile])
    ahead = ("2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z")
    small.write_bill(tmp_path, "2026-12", [small.row("40", ahead, 1, '{"team":"vision"}')])
    done = small.tierwise("run", "--config", config, *DATE)
    assert done.returncode == 0, done.stdout + done.stderr
    found = samples(tmp_path / "metrics" / "tierwise.prom")
    cost = {
        dict(labels)["team"]: value
        for (name, labels), value in found.items()
        if name == "tierwise_effective_cost_month_to_date"
    }
    assert cost == {"vision": 3.5, 'a"}\n x 1': 7.25}
    assert found["tierwise_reconciliation_difference", (("currency", "USD"), ("source", "bills"))] == 0
    assert found["tierwise_source_stale", (("source", "bills"),)] == 0
    gates = {dict(k[1])["gate"]: v for k, v in found.items() if k[0] == "tierwise_gate_passed"}
    assert gates["reconciliation_difference"] == 1
    assert found["tierwise_data_as_of_timestamp_seconds", ()] == 1793836800  # 2026-11-05T00:00:00Z


@pytest.mark.long
def test_targets_are_those_of_the_month_of_the_run(tmp_path: Path) -> None:
    """Revenue that is planned for December hides no target of November: 3.50 of 35 is 0.1, more than 0.05."""
    planned = "".join(
        f"  - {{month: 2026-{month}-01, amount: 35, currency: USD}}\n" for month in ("11", "12")
    )
    config = small.write_site(
        tmp_path, CONFIG + f"revenue:\n{planned}targets: {{ai_cost_share_of_revenue: 0.05}}\n"
    )
    done = small.tierwise("run", "--config", config, *DATE)
    assert done.returncode == 0, done.stdout + done.stderr
    found = samples(tmp_path / "metrics" / "tierwise.prom")
    share = (("metric", "ai_cost_share_of_revenue"), ("subject", "organisation"))
    assert found["tierwise_target_ratio", share] == pytest.approx(0.1)
    assert found["tierwise_target_missed", share] == 1


@pytest.mark.long
def test_a_file_that_cannot_be_written_is_said_and_stops_nothing(tmp_path: Path) -> None:
    config = small.write_site(tmp_path, CONFIG)
    (tmp_path / "metrics").write_text("a file where the folder should be")
    done = small.tierwise("run", "--config", config, *DATE)
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    assert "tierwise.prom cannot be written" in text
    assert small.totals(tmp_path)["vision"] == "13.600000000000"


def test_name_must_be_one_that_the_collector_reads(tmp_path: Path) -> None:
    config = small.write_site(tmp_path, small.CONFIG + "publish: {metrics_file: tierwise.txt}\n")
    done = small.tierwise("check", "--config", config)
    assert done.returncode == 2
    assert "publish.metrics_file" in done.stdout + done.stderr
