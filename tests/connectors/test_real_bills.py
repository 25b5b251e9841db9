"""Real and independently generated bills against sums made by plain Python from the raw files.

Set TIERWISE_REAL_DATA to a folder that holds `billing/focus_sample_data` (FinOps Foundation's sample data) and
`billing/nise` (output of koku-nise), else these tests are skipped.
"""

from __future__ import annotations

import csv
import gzip
import os
from collections import Counter, defaultdict
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import polars as pl
import pytest

from tests.connectors.bills.helpers import facts, load

DATA = os.environ.get("TIERWISE_REAL_DATA", "")
BILLING = Path(DATA) / "billing"

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not DATA, reason="TIERWISE_REAL_DATA is not set: no real bills to read"),
]

SEPTEMBER, OCTOBER = date(2024, 9, 1), date(2024, 10, 1)


def test_three_deliveries_of_one_cur_month_count_once(tmp_path: Path) -> None:
    (loaded,) = load("aws_cur", BILLING / "nise" / "aws_cur_legacy_bucket", tmp_path).values()
    deliveries = {}
    for path in (BILLING / "nise" / "aws_cur_legacy_bucket").rglob("*.csv.gz"):
        with gzip.open(path, "rt", newline="") as file:
            costs = [Decimal(row["lineItem/UnblendedCost"]) for row in csv.DictReader(file)]
        deliveries[path.parent.name] = (len(costs), sum(costs, Decimal(0)))
    current = deliveries[loaded.slice.objects[0].key.split("/")[-2]]
    assert loaded.slice.period == date(2025, 1, 1)
    assert (loaded.rows_read, loaded.rows_loaded, current[0]) == (2784, 2784, 2784)
    assert round(loaded.totals["USD"], 4) == round(current[1], 4) == Decimal("1646.4954")
    assert facts(loaded)["BilledCost"].sum() == loaded.totals["USD"]
    assert round(sum((total for _, total in deliveries.values()), Decimal(0)), 2) == Decimal("3088.24")


def test_savings_plan_is_billed_nothing_and_costs_what_was_used(tmp_path: Path) -> None:
    (loaded,) = load("aws_cur", BILLING / "nise" / "aws_sp", tmp_path).values()
    frame = facts(loaded)
    assert (frame["BilledCost"].sum(), frame["EffectiveCost"].sum()) == (Decimal(0), Decimal("1.44"))
    assert frame["ConsumedQuantity"].sum() == Decimal(24)  # 24 covered hours; the 24 negations are no usage
    assert set(frame["SubAccountId"].str.len_chars()) == {13}  # leading zeros kept
    assert loaded.totals == {"USD": Decimal(0)}
    assert loaded.note.startswith("no manifest")


def test_focus_sample_of_three_providers(tmp_path: Path) -> None:
    with (BILLING / "focus_sample_data" / "focus_sample.csv").open(newline="") as file:
        raw = list(csv.DictReader(file))
    loaded = load("focus", BILLING / "focus_sample_data", tmp_path)
    frame = pl.concat([facts(loaded[m]) for m in sorted(loaded)])
    assert {m: r.rows_loaded for m, r in loaded.items()} == {SEPTEMBER: 999, OCTOBER: 1}
    rows: Counter[str] = Counter(r["ProviderName"] for r in raw)
    assert rows == {"AWS": 942, "Microsoft": 51, "Oracle": 7}
    for column in ("BilledCost", "EffectiveCost"):
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for r in raw:
            sums[r["ProviderName"]] += Decimal(r[column])
        found = frame.group_by("ServiceProviderName").agg(pl.col(column).sum(), pl.len())
        assert {name: total for name, total, _ in found.iter_rows()} == sums
        assert {name: n for name, _, n in found.iter_rows()} == rows
    months = {
        m: sum(Decimal(r["BilledCost"]) for r in raw if r["BillingPeriodStart"][:7] == f"{m:%Y-%m}")
        for m in loaded
    }
    assert {m: r.totals["USD"] for m, r in loaded.items()} == months


def test_faults_of_the_focus_sample_are_repaired_or_flagged_and_counted(tmp_path: Path) -> None:
    with (BILLING / "focus_sample_data" / "focus_sample.csv").open(newline="") as file:
        raw = list(csv.DictReader(file))
    loaded = load("focus", BILLING / "focus_sample_data", tmp_path)
    frame = pl.concat([facts(r) for r in loaded.values()])
    issues = pl.concat([r.issues for r in loaded.values()])
    found = {
        (rule, column): n
        for rule, column, n in issues.group_by("rule", "column_name").agg(pl.col("rows").sum()).rows()
    }
    ignored = {"Id", "PublisherName"}
    nulls = Counter(c for r in raw for c, v in r.items() if v == "NULL" and c not in ignored)
    assert {column: n for (rule, column), n in found.items() if rule == "null_text"} == nulls
    assert not any((frame[c] == "NULL").any() for c, t in frame.schema.items() if t == pl.String)
    assert found["misplaced_availability_zone", "AvailabilityZone"] == rows_of(raw, "Microsoft") == 51
    assert frame.filter(ServiceProviderName="Microsoft")["AvailabilityZone"].null_count() == 51
    assert found["missing_mandatory", "ContractedCost"] == rows_of(raw, "Oracle") == 7
    assert frame.filter(ServiceProviderName="Oracle")["ContractedCost"].null_count() == 7
    assert frame["ContractedCost"].null_count() == 7
    assert found["spelling", "ChargeFrequency"] == 7  # Oracle writes Usage-based
    assert issues.filter(action="rejected").is_empty()


def rows_of(raw: list[dict[str, str]], provider: str) -> int:
    """Rows of a provider."""
    return sum(r["ProviderName"] == provider for r in raw)


@pytest.mark.parametrize("version", ["1_2", "1_3"])
def test_generated_focus_of_later_versions(version: str, tmp_path: Path) -> None:
    folder = tmp_path / "bills"
    folder.mkdir()
    expected = Decimal(0)
    for path in (BILLING / f"fdt_focus_{version}").glob("*cost_and_usage*.csv"):
        (folder / path.name).symlink_to(path)
        with path.open(newline="") as file:
            for r in csv.DictReader(file):  # up to 17 decimals; money has 12, and a half is rounded up
                expected += Decimal(r["BilledCost"]).quantize(Decimal("1e-12"), ROUND_HALF_UP)
    (loaded,) = load("focus", folder, tmp_path).values()
    assert loaded.totals == {"USD": expected}
    assert facts(loaded)["BilledCost"].sum() == expected
    assert loaded.issues.filter(action="rejected").is_empty()


@pytest.mark.parametrize("name", ["2022-07-01-alt-columns.csv", "2023-06-01.csv", "2023-06-01-not-final.csv"])
def test_cur_fixtures_of_another_project(name: str, tmp_path: Path) -> None:
    path = BILLING / "koku" / "aws" / name
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / name).symlink_to(path)
    (loaded,) = load("aws_cur", tmp_path / "bills", tmp_path).values()
    with path.open(newline="") as file:
        raw = [
            {k.replace("_", "").replace("/", "").lower(): v for k, v in r.items()}
            for r in csv.DictReader(file)
        ]
    assert loaded.rows_loaded == len(raw)
    assert sum(loaded.totals.values()) == sum(Decimal(r["lineitemunblendedcost"]) for r in raw)
