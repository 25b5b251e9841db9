"""Azure cost exports as files: names of columns in every spelling, columns that are absent, Parquet; each gives the same rows."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.connectors.azure.rows import renamed, row
from tests.connectors.bills.helpers import facts, load, write

pytestmark = pytest.mark.long

KIND = "azure_export"
SEPTEMBER = date(2026, 9, 1)
at = datetime.fromisoformat


MCA = {
    "Cost": "costInBillingCurrency", "BillingCurrency": "billingCurrency", "SubscriptionId": "SubscriptionGuid",
    "ResourceId": "InstanceName", "PayGPrice": "MarketPrice", "Product": "ProductName",
}  # fmt: skip
OLD = {
    "Cost": "PreTaxCost",
    "BillingCurrency": "Currency",
    "Date": "UsageDateTime",
    "Quantity": "UsageQuantity",
    "ResourceId": "InstanceId",
    "UnitPrice": "ResourceRate",
}
GERMAN = {
    "Cost": "Kosten (CostInBillingCurrency)",
    "Date": "Datum (Date)",
    "SubscriptionId": "Abonnement-GUID (SubscriptionGuid)",
    "BillingCurrency": "Währung (Currency)",
}
CAMEL = {k: k[0].lower() + k[1:] for k in row()}


SPELLINGS = {"MCA": MCA, "old": OLD, "German": GERMAN, "camelCase": CAMEL}


@pytest.fixture(scope="module")
def spelled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """How the names of columns are spelled in a file -> what its only row becomes; the part number is the spelling."""
    folder = tmp_path_factory.mktemp("spelled")
    for spelling, names in {"usual": {}, **SPELLINGS}.items():
        native = renamed(row(PartNumber=spelling), **names)
        write(folder / "bills" / f"{spelling}.csv", [native])
    found = facts(load(KIND, folder / "bills", folder)[SEPTEMBER]).to_dicts()
    assert len(found) == len(SPELLINGS) + 1
    return {line.pop("SkuPriceId"): line for line in found}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_headers_in_every_spelling_are_the_same_columns(
    spelling: str, spelled: dict[str, dict[str, Any]]
) -> None:
    assert spelled[spelling] == spelled["usual"]


def test_without_columns_of_the_billing_period_the_month_of_the_date_counts(tmp_path: Path) -> None:
    native = row()
    del native["BillingPeriodStartDate"], native["BillingPeriodEndDate"]
    write(tmp_path / "bills" / "a.csv", [native])
    [found] = facts(load(KIND, tmp_path / "bills", tmp_path)[SEPTEMBER]).to_dicts()
    assert (found["BillingPeriodStart"], found["BillingPeriodEnd"]) == (at("2026-09-01"), at("2026-10-01"))


def test_parquet_gives_the_same_rows(tmp_path: Path) -> None:
    rows = [row(), row(Cost="0.1", Tags='{"team":"x"}'), row(Cost="-0.0000002")]
    write(tmp_path / "x" / "a.csv", rows)
    (tmp_path / "y").mkdir()
    frame = pl.DataFrame(rows).with_columns(
        pl.col("Cost", "Quantity").cast(pl.Float64),
        pl.col("Date").str.to_datetime("%m/%d/%Y"),
        pl.col("BillingPeriodStartDate").str.to_date("%m/%d/%Y"),
    )
    frame.write_parquet(tmp_path / "y" / "a.parquet")
    as_csv = load(KIND, tmp_path / "x", tmp_path / "1")[SEPTEMBER]
    as_parquet = load(KIND, tmp_path / "y", tmp_path / "2")[SEPTEMBER]
    assert facts(as_parquet).equals(facts(as_csv))
    assert as_parquet.totals == as_csv.totals == {"USD": Decimal("10.0999998")}
