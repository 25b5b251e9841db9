"""Real and independently generated Azure exports against sums made by plain Python from the raw files."""

from __future__ import annotations

import csv
import json
import os
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest

from connectors.base import SourceError, require_ready
from tests.connectors.bills.helpers import WINDOW, facts, load, reader

KIND = "azure_export"
DATA = os.environ.get("TIERWISE_REAL_DATA", "")
BILLING = Path(DATA) / "billing"
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not DATA, reason="TIERWISE_REAL_DATA is not set: no real bills to read"),
]


def raw_rows(path: Path) -> list[dict[str, str]]:
    """The rows by plain csv, with lower-case column names."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [{k.lower(): v for k, v in r.items()} for r in csv.DictReader(file)]


def raw_cost(native: dict[str, str]) -> Decimal:
    """The cost in billing currency, with the digits that money has."""
    text = next(native[c] for c in ("costinbillingcurrency", "pretaxcost", "cost") if c in native)
    return Decimal(text).quantize(Decimal("1e-12"), ROUND_HALF_UP)


REAL = [
    "finops_toolkit/assets/EA_ActualCost_Small.csv",
    "koku/azure/azure_camelCased.csv",
    "koku/azure/azure_version_2.csv",
    "koku/azure/camel_azure_version_2.csv",
    "koku/azure/costreport_a243c6f2-199f-4074-9a2c-40e671cf1584.csv",
    "nise/azure_export_container/exports/actual/20250101-20250131/costreport_a5ad103b-42fe-4856-acdc-32871b1fcd86.csv",
    "nise/azure_export_container/exports/random/20250101-20250131/costreport_10d51945-2cfc-4bc7-877e-5763f5d986b4.csv",
]


@pytest.mark.parametrize("name", REAL)
def test_real_exports_add_up_to_their_raw_rows(name: str, tmp_path: Path) -> None:
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "a.csv").symlink_to(BILLING / name)
    (loaded,) = load(KIND, tmp_path / "bills", tmp_path).values()
    raw = raw_rows(BILLING / name)
    assert loaded.rows_read == loaded.rows_loaded == len(raw)
    assert sum(loaded.totals.values()) == sum(map(raw_cost, raw)) == facts(loaded)["BilledCost"].sum()
    assert not {"rejected", "repaired"} & set(loaded.issues["action"])
    tags = [t for t in facts(loaded)["Tags"] if t]
    assert len(tags) == sum(r["tags"] not in ("", '""') for r in raw)
    assert all(isinstance(json.loads(t), dict) for t in tags)


def test_real_amortized_export_of_a_reservation_and_a_savings_plan(tmp_path: Path) -> None:
    path = BILLING / "finops_toolkit" / "assets" / "EA_AmortizedCost_Small.csv"
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / path.name).symlink_to(path)
    (loaded,) = load(KIND, tmp_path / "bills", tmp_path).values()
    raw = raw_rows(path)
    committed = [r for r in raw if r["pricingmodel"] in ("Reservation", "SavingsPlan")]
    assert (len(raw), len(committed)) == (28, 2)
    assert facts(loaded)["EffectiveCost"].sum() == sum(map(raw_cost, raw))
    billed = sum(raw_cost(r) for r in raw if r not in committed)
    assert facts(loaded)["BilledCost"].sum() == loaded.totals["USD"] == billed


def test_real_actual_beside_amortized_are_never_added(tmp_path: Path) -> None:
    assets = BILLING / "finops_toolkit" / "assets"
    (loaded,) = load(KIND, assets, tmp_path).values()
    actual, amortized = (
        raw_rows(assets / "EA_ActualCost_Small.csv"),
        raw_rows(assets / "EA_AmortizedCost_Small.csv"),
    )
    assert loaded.rows_read == len(actual) + len(amortized) == 39
    assert loaded.totals == {"USD": sum(map(raw_cost, actual))}
    assert "EA_NoRows.csv" in loaded.note
    shared = [
        sum(raw_cost(r) for r in rows if r["pricingmodel"] == "OnDemand") for rows in (actual, amortized)
    ]
    (issue,) = loaded.issues.filter(
        rule="exports_disagree"
    ).to_dicts()  # two samples that are not of one tenant
    assert issue["value"] == f"actual - amortized: {shared[0] - shared[1]} USD"


def test_real_manifest_without_its_blob_is_not_ready(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"delivery not ready: .*000001\.csv, which is not there yet"):
        require_ready(reader(KIND, BILLING / "koku" / "azure", tmp_path).slices(WINDOW))
