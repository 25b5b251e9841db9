"""What each kind of line of an Azure cost export becomes in FOCUS: expected values by hand."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.connectors.azure.rows import renamed, row, with_bom
from tests.connectors.bills.helpers import counted, facts, load, write

KIND = "azure_export"
SEPTEMBER = date(2026, 9, 1)
at = datetime.fromisoformat


def one(tmp: Path, native: dict[str, str], **options: str) -> dict[str, Any]:
    """The FOCUS row of one row."""
    write(tmp / "bills" / "a.csv", [native])
    (loaded,) = load(KIND, tmp / "bills", tmp, **options).values()
    assert loaded.rows_loaded == 1, loaded.issues
    return facts(loaded).row(0, named=True)


def each(tmp: Path, *rows: dict[str, str]) -> list[dict[str, Any]]:
    """What each row of one file becomes."""
    write(tmp / "bills" / "a.csv", rows)
    (loaded,) = load(KIND, tmp / "bills", tmp).values()
    assert loaded.rows_loaded == len(rows), loaded.issues
    return facts(loaded).to_dicts()


def test_usage(tmp_path: Path) -> None:
    with_bom(tmp_path / "bills" / "a.csv", [row()])
    loaded = load(KIND, tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert counted(loaded) == {("flagged", "missing_mandatory", "ListCost"): 1}  # 7 x 2 is not stored
    assert {k: v for k, v in facts(loaded).row(0, named=True).items() if v is not None} == {
        "BilledCost": Decimal(10),
        "BillingAccountId": "0086",
        "BillingAccountName": "Acme",
        "BillingCurrency": "USD",
        "BillingPeriodEnd": at("2026-10-01"),
        "BillingPeriodStart": at("2026-09-01"),
        "ChargeCategory": "Usage",
        "ChargeDescription": "Virtual Machines ND - H100",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": at("2026-09-05"),
        "ChargePeriodStart": at("2026-09-04"),
        "ConsumedQuantity": Decimal(2),
        "ConsumedUnit": "Hour",
        "ContractedCost": Decimal(10),
        "ContractedUnitPrice": Decimal(5),
        "EffectiveCost": Decimal(10),
        "HostProviderName": "Microsoft",
        "InvoiceIssuerName": "Microsoft",
        "ListUnitPrice": Decimal(7),
        "PricingCategory": "Standard",
        "PricingQuantity": Decimal(2),
        "PricingUnit": "1 Hour",
        "ProviderName": "Microsoft",
        "RegionId": "eastus2",
        "RegionName": "EastUS2",
        "ResourceId": "/subscriptions/aaaa-bbbb/resourcegroups/gpu/providers/microsoft.compute/virtualmachines/vm1",
        "ResourceName": "Vm1",
        "ResourceType": "microsoft.compute/virtualmachines",
        "ServiceCategory": "Compute",
        "ServiceName": "Virtual Machines",
        "ServiceProviderName": "Microsoft",
        "SkuMeter": "ND96 H100",
        "SkuPriceId": "AAA-1",
        "SubAccountId": "aaaa-bbbb",
        "SubAccountName": "Vision",
        "Tags": '{"team": "vision","env": "prod"}',
        "x_additional_info": '{"UsageType":"ComputeHR"}',
        "x_billing_month": SEPTEMBER,
        "x_cost_kind": "direct",
        "x_source": "bills",
        "x_tier": "cloud",
    }


RI = {"PricingModel": "Reservation", "ReservationId": "R-1"}
PLAN = {"PricingModel": "SavingsPlan", "benefitId": "SP-1", "benefitName": "plan"}

# (changes, billed, effective, category, frequency, pricing, status, type, cost kind)
KINDS = [
    (RI, 0, 10, "Usage", "Usage-Based", "Committed", "Used", "Reservation", "direct"),
    (PLAN, 0, 10, "Usage", "Usage-Based", "Committed", "Used", "Savings Plan", "direct"),
    (RI | {"ChargeType": "UnusedReservation"}, 0, 10, "Usage", "Usage-Based", "Committed", "Unused", "Reservation", "idle"),
    (PLAN | {"ChargeType": "UnusedSavingsPlan"}, 0, 10, "Usage", "Usage-Based", "Committed", "Unused", "Savings Plan", "idle"),
    (RI | {"ChargeType": "Purchase", "Frequency": "Recurring"}, 10, 0, "Purchase", "Recurring", "Standard", None, "Reservation", "direct"),
    (PLAN | {"ChargeType": "Purchase", "Frequency": "OneTime"}, 10, 0, "Purchase", "One-Time", "Standard", None, "Savings Plan", "direct"),
    (RI | {"ChargeType": "Refund", "Frequency": "OneTime", "Cost": "-4"}, -4, 0, "Adjustment", "One-Time", None, None, "Reservation", "direct"),
    ({"ChargeType": "Refund", "Frequency": "OneTime", "Cost": "-4"}, -4, -4, "Adjustment", "One-Time", None, None, None, "direct"),
    ({"ChargeType": "Purchase", "Frequency": "OneTime", "PricingModel": ""}, 10, 10, "Purchase", "One-Time", "Standard", None, None, "direct"),
    ({"ChargeType": "Tax", "Frequency": "OneTime"}, 10, 10, "Tax", "One-Time", None, None, None, "direct"),
    ({"ChargeType": "RoundingAdjustment", "Frequency": "OneTime"}, 10, 10, "Adjustment", "One-Time", None, None, None, "direct"),
    ({"PricingModel": "Spot"}, 10, 10, "Usage", "Usage-Based", "Dynamic", None, None, "direct"),
    ({"PricingModel": "", "ReservationId": "R-1"}, 0, 10, "Usage", "Usage-Based", "Committed", "Used", "Reservation", "direct"),
]  # fmt: skip


def test_each_kind_of_line(tmp_path: Path) -> None:
    lines = each(tmp_path, *(row(**changes) for changes, *_ in KINDS))
    for found, (changes, *amounts, category, frequency, pricing, status, type_, cost_kind) in zip(
        lines, KINDS, strict=True
    ):
        assert [found["BilledCost"], found["EffectiveCost"]] == [Decimal(a) for a in amounts], changes
        assert (found["ChargeCategory"], found["ChargeFrequency"]) == (category, frequency), changes
        assert (found["PricingCategory"], found["CommitmentDiscountStatus"]) == (pricing, status), changes
        assert (found["CommitmentDiscountType"], found["x_cost_kind"]) == (type_, cost_kind), changes
        assert (found["CommitmentDiscountId"] is None) == (type_ is None), changes


def test_refund_of_an_earlier_invoice_is_a_correction(tmp_path: Path) -> None:
    refund = {"ChargeType": "Refund", "Frequency": "OneTime"}
    found = each(
        tmp_path,
        row(**refund, previousInvoiceId=""),
        row(**refund, previousInvoiceId="", Date="08/30/2026"),
        row(**refund, previousInvoiceId="E1"),
        row(previousInvoiceId="", Date="08/30/2026"),
    )
    assert [f["ChargeClass"] for f in found] == [None, "Correction", "Correction", None]


# (changes, list cost): stored values only; 0 stands for unknown
LISTS = [
    ({"PayGPrice": "0"}, None),
    ({"PayGPrice": "5.0"}, "10"),  # the price paid is the list price, so the cost is the list cost
    ({"PayGPrice": "7", "paygCostInBillingCurrency": "14"}, "14"),
    ({"PayGPrice": "7", "paygCostInBillingCurrency": "0"}, None),
    ({"ChargeType": "Tax", "PayGPrice": "0"}, "10"),
]


def test_list_cost_is_stored_or_unknown(tmp_path: Path) -> None:
    nothing = {"paygCostInBillingCurrency": ""}
    found = each(tmp_path, *(row(**nothing | changes) for changes, _ in LISTS))
    assert [f["ListCost"] for f in found] == [Decimal(cost) if cost else None for _, cost in LISTS]


def test_contracted_cost_of_covered_usage_is_unknown_not_zero(tmp_path: Path) -> None:
    covered, free = each(tmp_path, row(**RI), row(UnitPrice="0"))
    assert (covered["ContractedCost"], covered["ContractedUnitPrice"]) == (None, Decimal(5))
    assert free["ContractedUnitPrice"] is None


TAGS: list[tuple[str, dict[str, str] | None]] = [
    ('{"team":"a"}', {"team": "a"}),
    ('"team": "a","x": "b, c}"', {"team": "a", "x": "b, c}"}),
    ('"k{": "{v"', {"k{": "{v"}),
    ('"it\'s": "\\"q\\" é"', {"it's": '"q" é'}),
    ("{}", {}),
    ('""', None),
    ("", None),
    ("team=a", None),
    ('[{"name":"team","value":"a"},{"value":"b"}]', {"team": "a"}),
    ('"note": "a\r\nb\tc","team": "x"', {"note": "a\r\nb\tc", "team": "x"}),
    ('{\n "team": "x"\n}', {"team": "x"}),
    ('{\n "note": "a\nb"\n}', None),
]


def test_tags_with_and_without_braces(tmp_path: Path) -> None:
    write(tmp_path / "bills" / "a.csv", [row(Tags=text) for text, _ in TAGS])
    loaded = load(KIND, tmp_path / "bills", tmp_path)[SEPTEMBER]
    found = [json.loads(text) if text else None for text in facts(loaded)["Tags"]]
    assert found == [tags for _, tags in TAGS]
    [repaired] = loaded.issues.filter(rule="malformed_tags").iter_rows(named=True)
    assert (repaired["action"], repaired["column_name"], repaired["rows"]) == ("repaired", "Tags", 3)
    assert "team" in repaired["value"]
    assert loaded.issues.filter(rule="spelling", column_name="Tags")["rows"].to_list() == [1]


INFO: list[tuple[str, object]] = [
    ('"UsageType": "ComputeHR","VCPUs": 96', {"UsageType": "ComputeHR", "VCPUs": 96}),
    ('{"UsageType": "ComputeHR"}', {"UsageType": "ComputeHR"}),
    ("no 'JSON'", "no 'JSON'"),
    ("", None),
]


def test_additional_info_with_and_without_braces(tmp_path: Path) -> None:
    found = [f["x_additional_info"] for f in each(tmp_path, *(row(AdditionalInfo=text) for text, _ in INFO))]
    assert [json.loads(text) if text else None for text in found] == [info for _, info in INFO]


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


@pytest.mark.parametrize("names", [MCA, OLD, GERMAN, CAMEL], ids=["MCA", "old", "German", "camelCase"])
def test_headers_in_every_spelling_are_the_same_columns(names: dict[str, str], tmp_path: Path) -> None:
    expected = one(tmp_path / "x", row())
    assert one(tmp_path / "y", renamed(row(), **names)) == expected


def test_dates_in_both_forms_and_periods_that_are_no_calendar_months(tmp_path: Path) -> None:
    iso = {
        "Date": "2026-09-04",
        "BillingPeriodStartDate": "2026-09-01T00:00:00Z",
        "BillingPeriodEndDate": "2026-09-30",
    }
    assert one(tmp_path, row(**iso)) == one(tmp_path, row())
    exclusive = one(tmp_path, row(BillingPeriodEndDate="10/01/2026"))
    assert exclusive["BillingPeriodEnd"] == at("2026-10-01")
    odd = one(tmp_path, row(BillingPeriodStartDate="8/19/2026", BillingPeriodEndDate="9/18/2026"))
    assert (odd["BillingPeriodStart"], odd["BillingPeriodEnd"]) == (at("2026-08-19"), at("2026-09-19"))
    assert odd["x_billing_month"] == date(2026, 8, 1)


@pytest.mark.parametrize("how", ["without columns", "empty"])
def test_without_a_billing_period_the_month_of_the_date_counts(how: str, tmp_path: Path) -> None:
    native = row(BillingPeriodStartDate="", BillingPeriodEndDate="")
    if how == "without columns":
        del native["BillingPeriodStartDate"], native["BillingPeriodEndDate"]
    found = one(tmp_path, native)
    assert (found["BillingPeriodStart"], found["BillingPeriodEnd"]) == (at("2026-09-01"), at("2026-10-01"))


def test_marketplace_models_units_and_places(tmp_path: Path) -> None:
    sold, model, machine, packed, nowhere = each(
        tmp_path,
        row(PublisherType="Marketplace", PublisherName="Red Hat"),
        row(MeterCategory="Foundry Models", MeterName="gpt-5 Inp regnl Tokens", UnitOfMeasure="1K"),
        row(MeterCategory="Azure Machine Learning", MeterName="NC A100"),
        row(UnitOfMeasure="100 Hours"),
        row(ResourceLocation="Unassigned"),
    )
    assert (sold["ServiceProviderName"], sold["ProviderName"]) == ("Red Hat", "Microsoft")
    assert (model["x_tier"], model["ServiceCategory"]) == ("api", "AI and Machine Learning")
    assert (machine["x_tier"], machine["ServiceCategory"]) == ("cloud", "AI and Machine Learning")
    assert (packed["PricingUnit"], packed["ConsumedQuantity"]) == ("100 Hours", None)
    assert nowhere["RegionId"] is None


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


def test_prices_are_those_of_usage_and_purchases_and_a_type_is_read_from_the_id(tmp_path: Path) -> None:
    database = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Sql/servers/a/databases/b"
    bought = row(ChargeType="Purchase", Frequency="Recurring", PayGPrice="0", ResourceId=database)
    listed = row(ChargeType="Purchase", Frequency="Recurring", PayGPrice="7", ResourceId="odd")
    refund = row(ChargeType="Refund", Frequency="OneTime", Cost="-4", ResourceId="")
    write(tmp_path / "bills" / "a.csv", [bought, listed, refund])
    (loaded,) = load(KIND, tmp_path / "bills", tmp_path).values()
    columns = ("ListCost", "ListUnitPrice", "ContractedUnitPrice", "ResourceType")
    assert facts(loaded).select(columns).rows() == [
        (Decimal(10), None, Decimal(5), "microsoft.sql/servers/databases"),  # no list price: what it cost
        (None, Decimal(7), Decimal(5), None),  # 7 x 2, which is not stored
        (Decimal(-4), None, None, None),  # 5 x 2 is not what is given back
    ]


def test_prices_in_another_currency_than_the_bill(tmp_path: Path) -> None:
    """Of a customer agreement: 2 hours at 5 dollars, at list 7, are 10 dollars; 0.9 euros a dollar make 9 euros."""
    euros = row(
        BillingCurrency="EUR", PricingCurrency="USD", Cost="9", CostInPricingCurrency="10", ExchangeRatePricingToBilling="0.9",
        PayGCostInBillingCurrency="12.6",
    )  # fmt: skip
    unknown = {k: v for k, v in euros.items() if k != "ExchangeRatePricingToBilling"}
    bought = euros | RI | {"ChargeType": "Purchase", "Frequency": "OneTime"}
    write(tmp_path / "bills" / "a.csv", [euros, unknown, bought, row(PricingCurrency="USD")])
    found = facts(load("azure_export", tmp_path / "bills", tmp_path)[SEPTEMBER])
    prices = found.select(
        "ListUnitPrice", "ContractedUnitPrice", "PricingCurrencyListUnitPrice", "PricingCurrencyContractedUnitPrice",
        "PricingCurrencyEffectiveCost", "EffectiveCost", "ListCost",
    ).rows()  # fmt: skip
    d = Decimal
    assert prices == [
        (d("6.3"), d("4.5"), d(7), d(5), d(10), d(9), d("12.6")),
        (None, None, d(7), d(5), d(10), d(9), d("12.6")),
        (d("6.3"), d("4.5"), d(7), d(5), d(0), d(0), d("12.6")),
        (d(7), d(5), None, None, None, d(10), None),
    ]


def test_a_charge_without_a_meter_is_named_by_its_product(tmp_path: Path) -> None:
    write(tmp_path / "bills" / "a.csv", [row(MeterCategory="", ChargeType="RoundingAdjustment")])
    found = facts(load("azure_export", tmp_path / "bills", tmp_path)[SEPTEMBER])
    assert found["ServiceName"].to_list() == ["Virtual Machines ND - H100"]
