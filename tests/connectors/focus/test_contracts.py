"""ContractCommitment files: a table beside the charges, checked against them; other datasets are no cost rows."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from connectors.base import Loaded, SourceError
from tests.connectors.bills.helpers import WINDOW, counted, focus, load, reader, write

pytestmark = pytest.mark.long

SEPTEMBER, OCTOBER = date(2026, 9, 1), date(2026, 10, 1)
TABLE = "focus.contract_commitment"

CONTRACT = {
    "ContractCommitmentId": "c-1",
    "ContractCommitmentType": "Savings Plan",
    "ContractCommitmentCategory": "Spend",
    "ContractCommitmentCost": "1000.5",
    "ContractCommitmentQuantity": "",
    "ContractCommitmentUnit": "NULL",
    "ContractCommitmentDescription": "1 year",
    "ContractCommitmentPeriodStart": "2026-09-01T00:00:00Z",
    "ContractCommitmentPeriodEnd": "2027-09-01T00:00:00Z",
    "ContractId": "k-1",
    "ContractPeriodStart": "2026-01-01T00:00:00Z",
    "ContractPeriodEnd": "2029-01-01T00:00:00Z",
    "BillingCurrency": "USD",
}


def applied(cost: str, commitment: str = "c-1", **more: str) -> dict[str, str]:
    """A charge that draws on a commitment."""
    element = {
        "ContractId": "k-1",
        "ContractCommitmentId": commitment,
        "ContractCommitmentAppliedCost": float(cost),
    }
    return focus(ContractApplied=json.dumps({"Elements": [element]}), **more)


def both(tmp: Path, charges: list[dict[str, str]], contracts: list[dict[str, str]]) -> Loaded:
    write(tmp / "b" / "costs.csv", charges)
    write(tmp / "b" / "contracts.csv", contracts)
    return load("focus", tmp / "b", tmp)[SEPTEMBER]


def test_commitments_are_a_table_and_add_nothing_to_costs(tmp_path: Path) -> None:
    loaded = both(tmp_path, [applied("1.5")], [CONTRACT])
    assert loaded.totals == {"USD": Decimal("1.5")}
    assert (loaded.rows_read, loaded.rows_loaded) == (1, 1)
    row = {k: v for k, v in pl.read_parquet(loaded.facts[TABLE]).row(0, named=True).items() if v is not None}
    assert row == {
        "ContractCommitmentId": "c-1",
        "ContractCommitmentType": "Savings Plan",
        "ContractCommitmentCategory": "Spend",
        "ContractCommitmentCost": Decimal("1000.5"),
        "ContractCommitmentDescription": "1 year",
        "ContractCommitmentPeriodStart": datetime.fromisoformat("2026-09-01"),
        "ContractCommitmentPeriodEnd": datetime.fromisoformat("2027-09-01"),
        "ContractId": "k-1",
        "ContractPeriodStart": datetime.fromisoformat("2026-01-01"),
        "ContractPeriodEnd": datetime.fromisoformat("2029-01-01"),
        "BillingCurrency": "USD",
        "x_source": "bills",
    }
    assert loaded.issues.is_empty()
    assert "commitments of contracts: 1 of 1 rows" in loaded.note


def test_they_belong_to_the_newest_month_and_reopen_only_that(tmp_path: Path) -> None:
    october = {"BillingPeriodStart": "2026-10-01", "BillingPeriodEnd": "2026-11-01"}
    write(tmp_path / "b" / "costs.csv", [focus(), focus(**october)])
    write(tmp_path / "b" / "contracts.csv", [CONTRACT])
    loaded = load("focus", tmp_path / "b", tmp_path)
    assert [TABLE in loaded[m].facts for m in (SEPTEMBER, OCTOBER)] == [False, True]
    before = [s.fingerprint for s in reader("focus", tmp_path / "b", tmp_path).slices(WINDOW)]
    write(tmp_path / "b" / "contracts.csv", [CONTRACT, CONTRACT | {"ContractCommitmentId": "c-2"}])
    after = [s.fingerprint for s in reader("focus", tmp_path / "b", tmp_path).slices(WINDOW)]
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_charges_that_disagree_with_the_contract_are_flagged(tmp_path: Path) -> None:
    """600 + 400.6 are more than the 1,000.5 of c-3; nothing is wrong with the charge of c-1."""
    charges = [
        applied("1"),
        applied("1", "c-9"),
        applied("1", "c-2", BillingCurrency="EUR"),
        applied("600", "c-3"),
        applied("400.6", "c-3"),
    ]
    contracts = [CONTRACT | {"ContractCommitmentId": name} for name in ("c-1", "c-2", "c-3")]
    loaded = both(tmp_path, charges, contracts)
    assert counted(loaded) == {
        ("flagged", "unknown_commitment", "ContractApplied"): 1,
        ("flagged", "other_currency", "ContractApplied"): 1,
        ("flagged", "applied_exceeds_commitment", "ContractApplied"): 1,
    }
    assert loaded.rows_loaded == len(charges)


def test_commitments_without_meaning_are_set_aside_and_counted(tmp_path: Path) -> None:
    """Of c-1 the same words twice are one commitment; of c-2 two costs are said, so neither is known."""
    changes = [
        {},
        {},
        {"ContractCommitmentId": "c-2"},
        {"ContractCommitmentId": "c-2", "ContractCommitmentCost": "7"},
        {"ContractCommitmentId": ""},
        {"ContractCommitmentId": "c-3", "ContractCommitmentPeriodEnd": "soon"},
        {"ContractCommitmentId": "c-4", "ContractCommitmentPeriodEnd": "2026-08-01T00:00:00Z"},
    ]
    loaded = both(tmp_path, [focus()], [CONTRACT | change for change in changes])
    assert counted(loaded) == {
        ("rejected", "repeated_commitment", "ContractCommitmentId"): 2,
        ("rejected", "missing_value", "ContractCommitmentId"): 2,
        ("rejected", "period_ends_before_start", "ContractCommitmentId"): 1,
    }
    assert pl.read_parquet(loaded.facts[TABLE])["ContractCommitmentId"].to_list() == ["c-1"]
    assert loaded.totals == {"USD": Decimal("1.5")}


def test_a_column_that_is_missing_is_named(tmp_path: Path) -> None:
    row = {k: v for k, v in CONTRACT.items() if k != "ContractId"}
    with pytest.raises(
        SourceError, match=r"contracts\.csv: a ContractCommitment file without .* 'ContractId'"
    ):
        both(tmp_path, [focus()], [row])


OTHERS = {
    "InvoiceDetail": {
        "InvoiceDetailId": "d", "InvoiceId": "i", "BilledCost": "99", "BillingCurrency": "USD",
        "ChargeCategory": "Usage", "BillingPeriodStart": "2026-09-01", "BillingPeriodEnd": "2026-10-01",
    },
    "BillingPeriod": {
        "BillingPeriodStart": "2026-09-01", "BillingPeriodEnd": "2026-10-01", "BillingPeriodStatus": "Closed",
        "InvoiceIssuerName": "Acme",
    },
}  # fmt: skip


@pytest.mark.parametrize("dataset", OTHERS)
def test_invoices_and_periods_of_1_4_are_never_taken_for_charges(dataset: str, tmp_path: Path) -> None:
    write(tmp_path / "b" / "other.csv", [OTHERS[dataset]])
    with pytest.raises(SourceError, match=f"only other datasets of FOCUS \\({dataset}\\)"):
        reader("focus", tmp_path / "b", tmp_path).slices(WINDOW)
    write(tmp_path / "b" / "costs.csv", [focus(InvoiceDetailId="d")])
    loaded = load("focus", tmp_path / "b", tmp_path)[SEPTEMBER]
    assert loaded.totals == {"USD": Decimal("1.5")}
    assert f"no cost rows, not read: other.csv ({dataset})" in loaded.note


def test_values_that_do_not_fit_their_column_are_counted(tmp_path: Path) -> None:
    rows = [
        CONTRACT | {"ContractCommitmentCost": "1,000.5x", "ContractPeriodEnd": "soon"},
        CONTRACT | {"ContractCommitmentId": "c-2", "ContractCommitmentCost": "1e3"},
        CONTRACT | {"ContractCommitmentId": "c-3", "ContractCommitmentPeriodEnd": "31/12/2026"},
    ]
    loaded = both(tmp_path, [applied("1.5")], rows)
    assert counted(loaded) == {
        ("rejected", "missing_value", "ContractCommitmentId"): 1,
        ("repaired", "bad_date", "ContractPeriodEnd"): 1,
        ("repaired", "not_a_number", "ContractCommitmentCost"): 1,
    }
    shown = loaded.issues.filter(column_name="ContractCommitmentCost")
    assert shown["value"].to_list() == ["1,000.5x"]
    costs = pl.read_parquet(loaded.facts[TABLE]).select("ContractCommitmentId", "ContractCommitmentCost")
    assert costs.rows() == [("c-1", None), ("c-2", Decimal(1000))]


def test_commitments_as_an_answer_of_an_api_and_amounts_with_signs(tmp_path: Path) -> None:
    write(tmp_path / "b" / "costs.csv", [focus()])
    rows = [
        CONTRACT | {"ContractCommitmentCost": c, "ContractCommitmentId": c}
        for c in ("$1,000.50", "5 EUR", "(2.5)")
    ]
    (tmp_path / "b" / "contracts.json").write_text(json.dumps({"data": rows, "count": 3}))
    loaded = load("focus", tmp_path / "b", tmp_path)[SEPTEMBER]
    costs = pl.read_parquet(loaded.facts[TABLE]).select("ContractCommitmentId", "ContractCommitmentCost")
    assert dict(costs.rows()) == {"$1,000.50": Decimal("1000.5"), "5 EUR": None, "(2.5)": Decimal("-2.5")}
    assert counted(loaded) == {("repaired", "not_a_number", "ContractCommitmentCost"): 1}
