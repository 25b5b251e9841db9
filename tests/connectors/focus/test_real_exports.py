"""Generated and published FOCUS files, and CUR fixtures, against sums made by plain Python from the raw files.

Set TIERWISE_REAL_DATA to a folder that holds them below `billing`, else these tests are skipped.
"""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import polars as pl
import pytest

from connectors.base import SourceError
from tests.connectors.bills.helpers import facts, load

DATA = os.environ.get("TIERWISE_REAL_DATA", "")
BILLING = Path(DATA) / "billing"

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not DATA, reason="TIERWISE_REAL_DATA is not set: no real bills to read"),
]


def raw(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def kept(amount: str) -> Decimal:
    """Money has twelve decimals; further ones are rounded row by row, half away from zero."""
    return Decimal(amount).quantize(Decimal("1e-12"), ROUND_HALF_UP)


@pytest.mark.parametrize("folder", ["fdt_focus_1_2", "fdt_focus_1_3"])
def test_generated_months_of_three_providers(folder: str, tmp_path: Path) -> None:
    expected: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    rows = 0
    for path in (BILLING / folder).glob("*cost_and_usage*.csv"):
        for line in raw(path):
            expected[line["BillingPeriodStart"][:7], line["BillingCurrency"]] += kept(line["BilledCost"])
            rows += 1
    loaded = load("focus", BILLING / folder, tmp_path)
    found = {(f"{m:%Y-%m}", c): t for m, r in loaded.items() for c, t in r.totals.items()}
    assert found == dict(expected)
    frame = pl.concat(facts(r) for r in loaded.values())
    assert frame.height == rows
    assert frame["BilledCost"].sum() == sum(expected.values())
    if folder == "fdt_focus_1_3":
        contracts = [r for p in (BILLING / folder).glob("*contract*.csv") for r in raw(p)]
        (newest,) = loaded.values()
        table = pl.read_parquet(newest.facts["focus.contract_commitment"])
        assert table.height == len(contracts) == 117
        assert table["ContractCommitmentCost"].sum() == sum(
            Decimal(r["ContractCommitmentCost"] or 0) for r in contracts
        )
        assert set(newest.issues["rule"]) == {"repeated_tags"}  # every commitment that is applied is there
        assert frame["AllocatedMethodId"].null_count() < rows


def test_allocated_rows_sum_to_what_they_replace(tmp_path: Path) -> None:
    path = BILLING / "fdt_focus_1_3" / "focus_1_3_cost_and_usage_aws.csv"
    wanted = sum((kept(r["BilledCost"]) for r in raw(path) if r["AllocatedMethodId"]), Decimal(0))
    frame = pl.concat(facts(r) for r in load("focus", path.parent, tmp_path).values())
    found = frame.filter(pl.col("AllocatedMethodId").is_not_null(), pl.col("ProviderName") == "AWS")
    assert found["BilledCost"].sum() == wanted


EXAMPLES = sorted((BILLING / "focus_spec_v1.2_examples").glob("*.csv"))
NO_TIME = {"2023-02-01T30:00:00Z"}
"""The specification's own slip: no day has an hour 30. The row is rejected."""


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_examples_of_the_specification(path: Path, tmp_path: Path) -> None:
    """Some name no currency: they say USD as unit. The others write 4/1/25, and billing periods prove the order."""
    lines = raw(path)
    expected: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    effective, virtual = Decimal(0), Decimal(0)
    for r in lines:
        month, _, rest = r["BillingPeriodStart"].partition("/")
        named = f"20{rest[-2:]}-{int(month):02d}" if rest else month[:7]
        cost, amortised = (
            Decimal(r[c].strip().replace("$", "").replace(",", "")) for c in ("BilledCost", "EffectiveCost")
        )
        expected[named, r.get("BillingCurrency") or "USD"] += cost
        if r["ChargePeriodEnd"] not in NO_TIME:
            effective += amortised
            virtual += Decimal(r.get("PricingCurrencyEffectiveCost") or 0)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / path.name).symlink_to(path)
    if "BillingCurrency" not in lines[0]:
        with pytest.raises(SourceError, match="mandatory column 'BillingCurrency' is missing"):
            load("focus", tmp_path / "b", tmp_path)
        loaded = load("focus", tmp_path / "b", tmp_path, currency="USD")
    else:
        loaded = load("focus", tmp_path / "b", tmp_path)
    assert {(f"{m:%Y-%m}", c): t for m, r in loaded.items() for c, t in r.totals.items()} == dict(expected)
    frame = pl.concat(facts(r) for r in loaded.values())
    assert frame["EffectiveCost"].sum() == effective
    assert (frame["PricingCurrencyEffectiveCost"].sum() or 0) == virtual
    rejected = pl.concat(r.issues for r in loaded.values()).filter(action="rejected")
    assert set(rejected["value"]) <= NO_TIME
    assert frame.height + rejected.height == len(lines)


@pytest.mark.parametrize("name", ["2023-06-01-not-final", "2023-06-01", "2022-07-01-alt-columns"])
def test_koku_fixtures(name: str, tmp_path: Path) -> None:
    path = BILLING / "koku" / "aws" / f"{name}.csv"
    lines = raw(path)
    cost = "lineItem/UnblendedCost" if "alt" not in name else "line_item_unblended_cost"
    invoice = "bill/InvoiceId" if "alt" not in name else "bill_invoice_id"
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / path.name).symlink_to(path)
    (loaded,) = load("aws_cur", tmp_path / "b", tmp_path).values()
    assert loaded.rows_read == len(lines)
    assert sum(loaded.totals.values()) == sum((Decimal(r[cost]) for r in lines if r[cost]), Decimal(0))
    open_ = sum(not r[invoice] for r in lines)
    assert ("not final" in loaded.note) == bool(open_)


def test_koku_empty_report_holds_no_month(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "empty.csv").symlink_to(BILLING / "koku" / "aws" / "empty_frame.csv")
    assert load("aws_cur", tmp_path / "b", tmp_path) == {}
