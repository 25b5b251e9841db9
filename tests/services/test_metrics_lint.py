"""The metrics file of a whole run over an owned site passes `promtool check metrics`, Prometheus' own linter."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.pipelines import small
from tests.services.prometheus import binaries

CONFIG = """
sources: {dc1: {kind: telemetry_files, location: ./in, site: dc1, sample_interval_s: 3600}}
sites: {dc1: {time_zone: UTC, tariff: 0.10}}
assets:
  - {asset: a, site: dc1, node: n1, kind: gpu_server, units: 3, capex: 300, currency: USD, in_service: 2026-09-01, life_months: 1}
targets: {gpu_allocation: 0.5}
publish: {metrics_file: tierwise.prom}
"""
TEAM = 'te"am\\\n1'


@pytest.mark.service
def test_promtool_finds_nothing(tmp_path: Path) -> None:
    """Three cards registered: one held at 0.75, one free, one that nothing reports."""
    start = datetime(2026, 9, 1, tzinfo=UTC)
    rows = [
        {"ts": start + timedelta(hours=h), "node": "n1", "gpu": g, "energy_mj": 1e12 + h * 1.8e9, "team": t, "utilisation": u}
        for h in range(25)
        for g, t, u in (("g1", TEAM, 0.75), ("g2", None, 0.0))
    ]  # fmt: skip
    (tmp_path / "in").mkdir()
    pl.DataFrame(rows).write_parquet(tmp_path / "in" / "gpu.parquet")
    (tmp_path / "tierwise.yaml").write_text(CONFIG)
    done = small.tierwise("run", "--config", tmp_path / "tierwise.yaml", "--date", "2026-09-01")
    assert done.returncode == 0, done.stdout + done.stderr
    text = (tmp_path / "tierwise.prom").read_text()
    linted = subprocess.run(
        [binaries() / "promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (linted.returncode, linted.stdout + linted.stderr) == (0, "")
    page = (Path(__file__).parents[2] / "docs" / "operating.md").read_text(encoding="utf-8")
    [rules] = re.findall(r"^```yaml\n(groups:.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "rules.yml").write_text(rules)
    checked = subprocess.run(
        [binaries() / "promtool", "check", "rules", tmp_path / "rules.yml"], capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert set(re.findall(r"\b(tierwise_\w+)", rules)) <= set(
        re.findall(r"^# TYPE (\w+)", text, re.MULTILINE)
    )
    series = [
        (s.name, *sorted(s.labels.items())) for f in text_string_to_metric_families(text) for s in f.samples
    ]
    assert len(series) == len(set(series))
    found = {
        s.labels["kind"]: s.value
        for f in text_string_to_metric_families(text)
        for s in f.samples
        if s.name == "tierwise_gpu_seconds"
    }
    assert found == {"capacity": 72 * 3600, "observed": 48 * 3600, "allocated": 24 * 3600, "used": 18 * 3600}
    assert f'team="{TEAM}"'.replace("\\", "\\\\").replace('te"am', 'te\\"am').replace("\n", "\\n") in text
