"""The whole run on real exports, against sums worked out here with csv and Decimal."""

from __future__ import annotations

import csv
import gzip
import json
import os
from collections import defaultdict
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest

from tests.pipelines import small

DATA = os.environ.get("TIERWISE_REAL_DATA")
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not DATA, reason="TIERWISE_REAL_DATA does not name a folder with real exports"),
]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    billing = Path(str(DATA)).resolve() / "billing"
    (folder / "tierwise.yaml").write_text(
        "sources:\n"
        f"  sample: {{kind: focus, location: {json.dumps(str(billing / 'focus_sample_data'))}}}\n"
        f"  cur: {{kind: aws_cur, location: {json.dumps(str(billing / 'nise' / 'aws_cur_legacy_bucket'))}}}\n"
    )
    done = small.tierwise("run", "--config", folder / "tierwise.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def ledger(amount: str) -> Decimal:
    """An amount as the ledger keeps it: this bill writes some with 16 decimals, artefacts of binary floats."""
    return Decimal(amount).quantize(Decimal(1).scaleb(-12), ROUND_HALF_UP)


def reconciled(published: Path, source: str) -> dict[str, tuple[Decimal, ...]]:
    rows = small.query(
        published,
        f"""SELECT strftime(month, '%Y-%m'), source_total, focus_total, allocated_total, difference
            FROM ops.reconciliation WHERE source = '{source}'""",
    )
    return {str(month): tuple(Decimal(str(v)) for v in values) for month, *values in rows}


def test_current_delivery_of_the_cur_and_no_other(published: Path) -> None:
    bucket = Path(str(DATA)) / "billing" / "nise" / "aws_cur_legacy_bucket"
    (top,) = bucket.glob("cur/*/*/*-Manifest.json")
    manifest = json.loads(top.read_text())
    total, rows, everything = Decimal(0), 0, Decimal(0)
    for file in bucket.rglob("*.csv.gz"):
        with gzip.open(file, "rt", newline="") as lines:
            costs = [ledger(r["lineItem/UnblendedCost"] or "0") for r in csv.DictReader(lines)]
        everything += sum(costs)
        if manifest["assemblyId"] in str(file):
            total, rows = total + sum(costs), rows + len(costs)
    assert (round(total, 4), rows, round(everything, 2)) == (Decimal("1646.4954"), 2784, Decimal("3088.24"))
    assert reconciled(published, "cur") == {"2025-01": (total, total, total, Decimal(0))}
    assert small.query(published, "SELECT count(*) FROM focus.cost_and_usage WHERE x_source = 'cur'") == [
        (rows,)
    ]


def test_focus_sample_by_month_and_provider(published: Path) -> None:
    months: dict[str, Decimal] = defaultdict(Decimal)
    providers: dict[str, tuple[int, Decimal]] = defaultdict(lambda: (0, Decimal(0)))
    with (Path(str(DATA)) / "billing" / "focus_sample_data" / "focus_sample.csv").open(newline="") as lines:
        for row in csv.DictReader(lines):
            cost = Decimal(row["BilledCost"])
            months[row["BillingPeriodStart"][:7]] += cost
            count, total = providers[row["ProviderName"]]
            providers[row["ProviderName"]] = (count + 1, total + cost)
    assert {p: n for p, (n, _) in providers.items()} == {"AWS": 942, "Microsoft": 51, "Oracle": 7}
    assert reconciled(published, "sample") == {m: (t, t, t, Decimal(0)) for m, t in months.items()}
    found = small.query(
        published,
        "SELECT ProviderName, count(*), sum(BilledCost) FROM focus.cost_and_usage WHERE x_source = 'sample' GROUP BY ALL",
    )
    assert {p: (n, t) for p, n, t in found} == dict(providers)


def test_faults_of_the_sample_are_repaired_or_flagged_and_counted(published: Path) -> None:
    found = {
        (action, rule, column): rows
        for action, rule, column, rows in small.query(
            published,
            "SELECT action, rule, column_name, sum(rows) FROM ops.quarantine WHERE source = 'sample' GROUP BY ALL",
        )
    }
    assert found["repaired", "misplaced_availability_zone", "AvailabilityZone"] == 51
    assert found["flagged", "missing_mandatory", "ContractedCost"] == 7
    assert found["repaired", "null_text", "Tags"] == 289
    assert not [key for key in found if key[0] == "rejected"]
    left = small.query(
        published,
        """SELECT count(*) FROM focus.cost_and_usage WHERE x_source = 'sample'
           AND (Tags::VARCHAR = 'NULL' OR RegionId = 'NULL' OR ChargeClass = 'NULL' OR ResourceId = 'NULL'
                OR TRY_CAST(AvailabilityZone AS DOUBLE) IS NOT NULL)""",
    )
    assert left == [(0,)]
