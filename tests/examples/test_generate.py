"""The demo's inputs: same bytes, the agreed layout, and sums found by plain reading that equal the truth."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
import yaml

from examples.company import DC1_ZONE, PLANT2_ZONE
from examples.generate import write
from examples.truth import Truth
from models.config import Settings
from models.register import Asset

START, END = date(2026, 10, 30), date(2026, 11, 4)
"""Six days over the end of a month, so that October is closed and November is open."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    """A short demo and its truth."""
    target = tmp_path_factory.mktemp("demo")
    return target, write(target, END, days=6)


def digest(folder: Path) -> dict[str, str]:
    """Relative path -> hash of every file."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def cur_rows(root: Path, keys: list[str]) -> list[dict[str, str]]:
    """Rows of a delivery."""
    rows = []
    for key in keys:
        with gzip.open(root / key, "rt", encoding="utf-8", newline="") as file:
            rows += list(csv.DictReader(file))
    return rows


def total(rows: list[dict[str, str]], column: str) -> Decimal:
    """Exact sum of a column; blank is nothing."""
    return sum((Decimal(r[column] or "0") for r in rows), Decimal(0))


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    first, second = (write(tmp_path / n, END, days=4) for n in "ab")
    assert first == second
    assert digest(tmp_path / "a") == digest(tmp_path / "b")


def test_other_seed_other_figures(tmp_path: Path, made: tuple[Path, Truth]) -> None:
    other = write(tmp_path, END, days=6, seed=8)
    assert other.aws != made[1].aws
    assert other.gpu_energy_kwh != made[1].gpu_energy_kwh


def test_writing_again_leaves_no_old_input_and_touches_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs" / "old.csv").write_text("x")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "warehouse.duckdb").write_text("kept")
    write(tmp_path, END, days=2)
    assert not (tmp_path / "inputs" / "old.csv").exists()
    assert (tmp_path / "data" / "warehouse.duckdb").read_text() == "kept"


def test_too_few_days_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="days is 1; the demo needs at least 2"):
        write(tmp_path, END, days=1)


def test_layout(made: tuple[Path, Truth]) -> None:
    target, truth = made
    inputs = target / "inputs"
    days = [START + timedelta(days=n) for n in range(6)]
    assert (truth.start, truth.end) == (START, END)
    assert sorted(p.name for p in inputs.iterdir()) == [
        "assets.csv", "aws", "cloud-llm", "dc1", "dc1-llm", "gcp-focus", "plant2", "revenue.csv",
            "training-runs.csv",
    ]  # fmt: skip
    for folder in ("dc1/gpu", "dc1-llm/inference", "cloud-llm/inference"):
        assert sorted(p.name for p in (inputs / folder).iterdir()) == [f"{d}.parquet" for d in days]
    assert sorted(p.name for p in (inputs / "plant2").iterdir()) == [f"{d}.jsonl.gz" for d in days]
    assert [str(p.relative_to(inputs)) for p in sorted((inputs / "gcp-focus").rglob("*.*"))] == [
        "gcp-focus/2026-10/focus-000.csv",
        "gcp-focus/2026-11/focus-000.parquet",
    ]


def test_configuration_and_register_are_valid(made: tuple[Path, Truth]) -> None:
    target, _ = made
    settings = Settings.model_validate(yaml.safe_load((target / "tierwise.yaml").read_text(encoding="utf-8")))
    assert set(settings.workloads) == {
        "support-chat", "doc-extract", "fraud-scoring", "field-copilot", "line-inspection",
    }  # fmt: skip
    for source in settings.sources.values():
        assert (target / source["location"]).is_dir()
        assert source.get("site", "dc1") in settings.sites
    with (target / "inputs/assets.csv").open(encoding="utf-8", newline="") as file:
        rows = [{k: v for k, v in r.items() if v} for r in csv.DictReader(file)]
    assets = [Asset.model_validate(r) for r in rows]
    assert sum(a.units for a in assets if a.kind == "gpu_server" and a.retired is None) == 16
    assert sum(a.kind == "edge_device" for a in assets) == 40
    assert [a.asset for a in assets if a.retired is not None and a.retired < START] == ["SRV-000"]
    assert all(a.in_service < START for a in assets)


@pytest.mark.parametrize("month", [date(2026, 10, 1), date(2026, 11, 1)])
def test_current_aws_delivery_sums_to_the_truth(made: tuple[Path, Truth], month: date) -> None:
    target, truth = made
    root = target / "inputs/aws"
    following = date(2026, month.month + 1, 1)
    folder = root / "cur/ml-cost" / f"{month:%Y%m%d}-{following:%Y%m%d}"
    manifest = json.loads((folder / "ml-cost-Manifest.json").read_text(encoding="utf-8"))
    assemblies = sorted(p.name for p in folder.iterdir() if p.is_dir())
    assert len(assemblies) == 3
    assert manifest["assemblyId"] in assemblies
    assert manifest["billingPeriod"]["start"] == f"{month:%Y%m%d}T000000.000Z"
    rows = cur_rows(root, manifest["reportKeys"])
    known = truth.aws[month]
    assert len(rows) == known.rows
    assert total(rows, "lineItem/UnblendedCost") == known.billed
    assert {r["bill/PayerAccountId"] for r in rows} == {"000412908831"}
    assert {r["lineItem/UsageAccountId"] for r in rows} >= {"004210987654", "000391827465"}
    assert [f"{c['category']}/{c['name']}" for c in manifest["columns"]] == list(rows[0])
    closed = month.month == 10
    assert {bool(r["bill/InvoiceId"]) for r in rows} == {closed}
    assert ("Tax" in {r["lineItem/LineItemType"] for r in rows}) is closed
    assert ("resourceTags/user:workload-type" in rows[0]) is not closed


def test_amortised_aws_cost_and_its_untagged_part(made: tuple[Path, Truth]) -> None:
    target, truth = made
    root = target / "inputs/aws"
    manifest = json.loads((root / "cur/ml-cost/20261101-20261201/ml-cost-Manifest.json").read_text())
    rows = cur_rows(root, manifest["reportKeys"])
    effective = {
        "SavingsPlanCoveredUsage": lambda r: Decimal(r["savingsPlan/SavingsPlanEffectiveCost"]),
        "SavingsPlanNegation": lambda r: Decimal(0),
        "SavingsPlanRecurringFee": lambda r: (
            Decimal(r["savingsPlan/TotalCommitmentToDate"]) - Decimal(r["savingsPlan/UsedCommitment"])
        ),
        "Usage": lambda r: Decimal(r["lineItem/UnblendedCost"]),
    }
    whole = untagged = misspelt = Decimal(0)
    for row in rows:
        cost = effective[row["lineItem/LineItemType"]](row)
        whole += cost
        team = row["resourceTags/user:team"]
        untagged += cost if not team and row["lineItem/UsageAccountId"] == "004210987654" else 0
        misspelt += cost if team in ("Assit", "VISION ", "doc-team") else 0
    known = truth.aws[date(2026, 11, 1)]
    assert (known.effective, known.untagged, known.misspelt) == (whole, untagged, misspelt)
    assert min(untagged, misspelt) > 0


def test_savings_plan_covers_what_it_negates(made: tuple[Path, Truth]) -> None:
    root = made[0] / "inputs/aws"
    manifest = json.loads((root / "cur/ml-cost/20261001-20261101/ml-cost-Manifest.json").read_text())
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for row in cur_rows(root, manifest["reportKeys"]):
        sums[row["lineItem/LineItemType"]] += Decimal(row["lineItem/UnblendedCost"])
    assert sums["SavingsPlanCoveredUsage"] == -sums["SavingsPlanNegation"] > 0
    # 6 instances x 4.1410 USD an hour are committed; October has 48 hours here
    assert sums["SavingsPlanRecurringFee"] == Decimal("4.1410") * 6 * 48
    assert sums["Credit"] == -1500


def test_older_deliveries_are_shorter_and_were_restated(made: tuple[Path, Truth]) -> None:
    root = made[0] / "inputs/aws"
    folder = root / "cur/ml-cost/20261101-20261201"
    deliveries = {}
    for path in folder.glob("*/ml-cost-Manifest.json"):
        keys = json.loads(path.read_text())["reportKeys"]
        deliveries[path.parent.name] = cur_rows(root, keys)
    current = json.loads((folder / "ml-cost-Manifest.json").read_text())["assemblyId"]

    def stored(rows: list[dict[str, str]]) -> Decimal:
        day = [r for r in rows if r["lineItem/UsageStartDate"] == "2026-11-01T00:00:00Z"]
        return total(
            [r for r in day if r["lineItem/Operation"] == "StandardStorage"], "lineItem/UnblendedCost"
        )

    now = deliveries.pop(current)
    for rows in deliveries.values():
        assert len(rows) < len(now)
        assert 1.09 < stored(rows) / stored(now) < 1.11


def test_focus_sums_to_the_truth(made: tuple[Path, Truth]) -> None:
    target, truth = made
    with (target / "inputs/gcp-focus/2026-10/focus-000.csv").open(encoding="utf-8", newline="") as file:
        october = list(csv.DictReader(file))
    table = pl.read_parquet(target / "inputs/gcp-focus/2026-11/focus-000.parquet")
    november = [{k: str(v) for k, v in r.items()} for r in table.iter_rows(named=True)]
    assert table.columns == list(october[0])
    for month, rows in ((date(2026, 10, 1), october), (date(2026, 11, 1), november)):
        known = truth.focus[month]
        assert (len(rows), total(rows, "BilledCost")) == (known.rows, known.billed)
        ownerless = [
            r
            for r in rows
            if "team" not in json.loads(r["Tags"]) and r["SubAccountId"] == "lumen-marketplace"
        ]
        assert total(ownerless, "BilledCost") == known.untagged > 0
        for row in rows:
            if row["ChargeCategory"] == "Usage":
                price = Decimal(row["ListUnitPrice"]) * Decimal(row["PricingQuantity"])
                assert Decimal(row["BilledCost"]) == price
    assert {r["ChargeCategory"] for r in october} == {"Usage", "Credit"}
    assert any(r["ServiceName"] == "Vertex AI" and r["ConsumedUnit"] == "1K tokens" for r in october)


def test_untagged_share_is_noticeable_and_passes_the_gate(made: tuple[Path, Truth]) -> None:
    bills = [*made[1].aws.values(), *made[1].focus.values()]
    untagged, effective = (sum(getattr(b, part) for b in bills) for part in ("untagged", "effective"))
    assert Decimal("0.05") < untagged / effective < Decimal("0.11")


def increase(values: list[int]) -> list[int]:
    """Differences of a counter; after a fall, what it shows (the Prometheus rule)."""
    return [b - a if b >= a else b for a, b in pairwise(values)]


def test_gpu_energy_from_the_counters_equals_the_truth(made: tuple[Path, Truth]) -> None:
    target, truth = made
    samples = pl.concat([pl.read_parquet(p) for p in sorted((target / "inputs/dc1/gpu").iterdir())])
    cards = samples.group_by("gpu").agg(pl.col("node").first(), pl.col("mig_id").n_unique())
    assert cards.height == 16
    assert cards["node"].n_unique() == 4
    assert samples["utilisation"].is_between(0, 1).all()
    found: dict[tuple[str, date], float] = defaultdict(float)
    for (gpu,), card in samples.unique(["gpu", "ts"]).sort("ts").partition_by("gpu", as_dict=True).items():
        times = card["ts"].to_list()
        for begun, millijoules in zip(times, increase(card["energy_mj"].to_list()), strict=False):
            found[gpu, begun.astimezone(DC1_ZONE).date()] += millijoules / 3.6e9
    assert set(found) == set(truth.gpu_energy_kwh)
    assert found == pytest.approx(dict(truth.gpu_energy_kwh), rel=1e-9)


def test_gpu_faults_are_where_the_truth_says(made: tuple[Path, Truth]) -> None:
    target, truth = made
    samples = pl.concat([pl.read_parquet(p) for p in sorted((target / "inputs/dc1/gpu").iterdir())])
    faults = truth.faults
    assert faults.gap_end - faults.gap_start == timedelta(hours=3)
    silent = samples.filter(pl.col("ts").is_between(faults.gap_start, faults.gap_end, closed="left"))
    assert faults.gap_node not in set(silent["node"])
    assert silent["node"].n_unique() == 3
    falls = (
        samples.sort("ts")
        .filter((pl.col("energy_mj") < pl.col("energy_mj").shift(1)).over("gpu", "mig_id"))
        .select("node", "ts")
        .unique()
    )
    assert falls.rows() == [(faults.reset_node, faults.reset_at)]


def test_gpu_holders(made: tuple[Path, Truth]) -> None:
    day = pl.read_parquet(made[0] / f"inputs/dc1/gpu/{START}.parquet")
    free = day.filter(pl.col("pod").is_null())
    assert free["gpu"].n_unique() == 1
    assert set(free["team"]) == {None}
    held = day.filter(pl.col("pod") == "notebook-reserved")
    assert held["utilisation"].max() == 0
    sliced = day.filter(pl.col("mig_id").is_not_null())
    assert set(sliced.select("team", "mig_profile").rows()) == {
        ("research", "4g.40gb"),
        ("documents", "3g.40gb"),
    }
    repeated = sliced.group_by("gpu", "ts").agg(pl.col("energy_mj").n_unique(), rows=pl.len())
    assert set(repeated.select("energy_mj", "rows").rows()) == {(1, 2)}


@pytest.mark.parametrize(
    ("folder", "zone"), [("dc1-llm", DC1_ZONE), ("cloud-llm", UTC)], ids=["dc1", "cloud"]
)
def test_inference_counters_equal_the_truth(made: tuple[Path, Truth], folder: str, zone: tzinfo) -> None:
    target, truth = made
    paths = sorted((target / "inputs" / folder / "inference").iterdir())
    samples = pl.concat([pl.read_parquet(p) for p in paths])
    counters = [
        "requests_total", "requests_failed_total", "prompt_tokens_total", "cached_tokens_total",
        "generation_tokens_total",
    ]  # fmt: skip
    found: dict[tuple[str, date], list[int]] = defaultdict(lambda: [0] * 5)
    for (workload, _), pod in samples.partition_by("workload", "pod", as_dict=True).items():
        begun = [t.astimezone(zone).date() for t in pod["ts"].to_list()]
        for n, counter in enumerate(counters):
            for day, count in zip(begun, increase(pod[counter].fill_null(0).to_list()), strict=False):
                found[workload, day][n] += count
    known = {
        key: [v.requests, v.failed, v.prompt_tokens, v.cached_tokens, v.generation_tokens]
        for key, v in truth.inference.items()
        if key[0] in set(samples["workload"])
    }
    assert known == dict(found)
    assert {d for _, d in known} == {START + timedelta(days=n) for n in range(6)}


def test_latency_buckets_grow_over_bounds_and_count_the_answers(made: tuple[Path, Truth]) -> None:
    samples = pl.read_parquet(made[0] / f"inputs/dc1-llm/inference/{END}.parquet")
    for text, requests, failed in samples.select(
        "latency_seconds_buckets", "requests_total", "requests_failed_total"
    ).iter_rows():
        counts = list(json.loads(text).values())
        assert counts == sorted(counts)
        assert counts[-1] == requests - failed


def test_edge_reports_equal_the_truth(made: tuple[Path, Truth]) -> None:
    target, truth = made
    seen: dict[tuple[str, str, int], dict[str, object]] = {}
    repeated = late = 0
    for path in sorted((target / "inputs/plant2").iterdir()):
        for line in gzip.decompress(path.read_bytes()).decode().splitlines():
            report = json.loads(line)
            ts = datetime.fromisoformat(report["ts"])
            assert ts.utcoffset() == timedelta(hours=5, minutes=30)
            late += ts.date().isoformat() != path.name[:10]
            key = (report["device_id"], report["boot_id"], report["seq"])
            repeated += key in seen
            seen[key] = {"ts": ts, **report}
    faults = truth.faults
    assert repeated == faults.edge_duplicates > 0
    assert late == faults.edge_late > 0
    found: dict[tuple[str, date], int] = defaultdict(int)
    by_device: dict[str, list[dict[str, object]]] = defaultdict(list)
    for report in seen.values():
        by_device[str(report["device_id"])].append(report)
    for device, reports in by_device.items():
        reports.sort(key=lambda r: datetime.fromisoformat(str(r["ts"])))
        counted = [int(str(r["inferences_total"])) for r in reports]
        days = [datetime.fromisoformat(str(r["ts"])).astimezone(PLANT2_ZONE).date() for r in reports]
        for day in days:
            found[device, day] += 0
        for day, count in zip(days[1:], increase(counted), strict=True):
            found[device, day] += count
    assert len(by_device) == 40
    assert dict(found) == dict(truth.edge_inferences)
    dark = [datetime.fromisoformat(str(r["ts"])) for r in by_device[faults.dark_device]]
    assert max(dark) == faults.dark_after < datetime(2026, 11, 4, tzinfo=PLANT2_ZONE)
    assert any(len({r["boot_id"] for r in reports}) > 1 for reports in by_device.values())
