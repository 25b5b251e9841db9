"""What each kind of line of an Azure cost export becomes in FOCUS: expected values by hand."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.base import Loaded
from tests.connectors.azure.rows import row, with_bom
from tests.connectors.bills.helpers import Rows, counted, facts, load, write

KIND = "azure_export"
SEPTEMBER = date(2026, 9, 1)
at = datetime.fromisoformat


ROWS = Rows()
Lines = list[dict[str, Any]]


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> list[Loaded]:
    """One file of `ROWS`, each with its place as its part number; its months."""
    folder = tmp_path_factory.mktemp("rows")
    rows = [native | {"PartNumber": str(n)} for n, native in enumerate(ROWS.all)]
    write(folder / "bills" / "a.csv", rows)
    return [*load(KIND, folder / "bills", folder).values()]


@pytest.fixture(scope="module")
def lines(bill: list[Loaded]) -> Lines:
    """What each of `ROWS` becomes."""
    found = sorted((r for month in bill for r in facts(month).to_dicts()), key=lambda r: int(r["SkuPriceId"]))
    assert len(found) == len(ROWS.all)
    return found


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
        "RegionName": "East US 2",
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


KIND_LINES = ROWS.add(*(row(**changes) for changes, *_ in KINDS))


def test_each_kind_of_line(lines: Lines) -> None:
    for found, (changes, *amounts, category, frequency, pricing, status, type_, cost_kind) in zip(
        lines[KIND_LINES], KINDS, strict=True
    ):
        assert [found["BilledCost"], found["EffectiveCost"]] == [Decimal(a) for a in amounts], changes
        assert (found["ChargeCategory"], found["ChargeFrequency"]) == (category, frequency), changes
        assert (found["PricingCategory"], found["CommitmentDiscountStatus"]) == (pricing, status), changes
        assert (found["CommitmentDiscountType"], found["x_cost_kind"]) == (type_, cost_kind), changes
        assert (found["CommitmentDiscountId"] is None) == (type_ is None), changes


REFUND = {"ChargeType": "Refund", "Frequency": "OneTime"}
REFUNDS = ROWS.add(
    row(**REFUND, previousInvoiceId=""),
    row(**REFUND, previousInvoiceId="", Date="08/30/2026"),
    row(**REFUND, previousInvoiceId="E1"),
    row(previousInvoiceId="", Date="08/30/2026"),
)


def test_refund_of_an_earlier_invoice_is_a_correction(lines: Lines) -> None:
    assert [f["ChargeClass"] for f in lines[REFUNDS]] == [None, "Correction", "Correction", None]


# (changes, list cost): stored values only; 0 stands for unknown
LISTS = [
    ({"PayGPrice": "0"}, None),
    ({"PayGPrice": "5.0"}, "10"),  # the price paid is the list price, so the cost is the list cost
    ({"PayGPrice": "7", "paygCostInBillingCurrency": "14"}, "14"),
    ({"PayGPrice": "7", "paygCostInBillingCurrency": "0"}, None),
    ({"ChargeType": "Tax", "PayGPrice": "0"}, "10"),
]


LIST_LINES = ROWS.add(*(row(**changes) for changes, _ in LISTS))


def test_list_cost_is_stored_or_unknown(lines: Lines) -> None:
    found = [f["ListCost"] for f in lines[LIST_LINES]]
    assert found == [Decimal(cost) if cost else None for _, cost in LISTS]


COVERED = ROWS.add(row(**RI), row(UnitPrice="0"))


def test_contracted_cost_of_covered_usage_is_unknown_not_zero(lines: Lines) -> None:
    covered, free = lines[COVERED]
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


TAGGED = ROWS.add(*(row(Tags=text) for text, _ in TAGS))


def test_tags_with_and_without_braces(bill: list[Loaded], lines: Lines) -> None:
    found = [json.loads(f["Tags"]) if f["Tags"] else None for f in lines[TAGGED]]
    assert found == [tags for _, tags in TAGS]
    issues = pl.concat([month.issues for month in bill])
    [repaired] = issues.filter(rule="malformed_tags").iter_rows(named=True)
    assert (repaired["action"], repaired["column_name"], repaired["rows"]) == ("repaired", "Tags", 3)
    assert "team" in repaired["value"]
    assert issues.filter(rule="spelling", column_name="Tags")["rows"].to_list() == [1]


INFO: list[tuple[str, object]] = [
    ('"UsageType": "ComputeHR","VCPUs": 96', {"UsageType": "ComputeHR", "VCPUs": 96}),
    ('{"UsageType": "ComputeHR"}', {"UsageType": "ComputeHR"}),
    ("no 'JSON'", "no 'JSON'"),
    ("", None),
]


INFORMED = ROWS.add(*(row(AdditionalInfo=text) for text, _ in INFO))


def test_additional_info_with_and_without_braces(lines: Lines) -> None:
    found = [f["x_additional_info"] for f in lines[INFORMED]]
    assert [json.loads(text) if text else None for text in found] == [info for _, info in INFO]


DATED = ROWS.add(
    row(),
    row(Date="2026-09-04", BillingPeriodStartDate="2026-09-01T00:00:00Z", BillingPeriodEndDate="2026-09-30"),
    row(BillingPeriodEndDate="10/01/2026"),
    row(BillingPeriodStartDate="8/19/2026", BillingPeriodEndDate="9/18/2026"),
    row(Date="20260904", BillingPeriodStartDate="20260901", BillingPeriodEndDate="20260930"),
    row(Date=" 20260904", BillingPeriodStartDate="", BillingPeriodEndDate=""),
)


def test_dates_in_all_forms_and_periods_that_are_no_calendar_months(lines: Lines) -> None:
    usual, iso, exclusive, odd, *digits = lines[DATED]
    for same in (iso, *digits):
        assert same | {"SkuPriceId": ""} == usual | {"SkuPriceId": ""}
    assert exclusive["BillingPeriodEnd"] == at("2026-10-01")
    assert (odd["BillingPeriodStart"], odd["BillingPeriodEnd"]) == (at("2026-08-19"), at("2026-09-19"))
    assert odd["x_billing_month"] == date(2026, 8, 1)


NO_PERIOD = ROWS.add(row(BillingPeriodStartDate="", BillingPeriodEndDate=""))


def test_with_an_empty_billing_period_the_month_of_the_date_counts(lines: Lines) -> None:
    [found] = lines[NO_PERIOD]
    assert (found["BillingPeriodStart"], found["BillingPeriodEnd"]) == (at("2026-09-01"), at("2026-10-01"))


SOLD = ROWS.add(
    row(PublisherType="Marketplace", PublisherName="Red Hat"),
    row(MeterCategory="Foundry Models", MeterName="gpt-5 Inp regnl Tokens", UnitOfMeasure="1K"),
    row(MeterCategory="Azure Machine Learning", MeterName="NC A100"),
    row(UnitOfMeasure="100 Hours"),
    *(row(ResourceLocation=place) for place in ("Unassigned", "Zone 1", "DE Zone 2", "Intercontinental")),
)


def test_marketplace_models_units_and_places(lines: Lines) -> None:
    sold, model, machine, packed, *nowhere = lines[SOLD]
    assert (sold["ServiceProviderName"], sold["ProviderName"]) == ("Red Hat", "Microsoft")
    assert (model["x_tier"], model["ServiceCategory"]) == ("api", "AI and Machine Learning")
    assert (machine["x_tier"], machine["ServiceCategory"]) == ("cloud", "AI and Machine Learning")
    assert (packed["PricingUnit"], packed["ConsumedQuantity"]) == ("100 Hours", None)
    assert [(line["RegionId"], line["RegionName"]) for line in nowhere] == [(None, None)] * 4


AMAZON = ROWS.add(
    row(PublisherType="AWS", PublisherName="Amazon"),
    row(Provider="AWS", PublisherType="Marketplace", PublisherName="Acme"),
)


def test_charges_of_amazon_that_a_connector_brings_are_not_microsofts(lines: Lines) -> None:
    names = ("ServiceProviderName", "ProviderName", "HostProviderName", "InvoiceIssuerName")
    assert [tuple(line[n] for n in names) for line in lines[AMAZON]] == [
        ("AWS",) * 4,
        ("Acme", *("AWS",) * 3),
    ]


# as an export writes it -> id of the region, and its name
PLACES = {
    "US East 2": ("eastus2", "East US 2"), "EastUS2": ("eastus2", "East US 2"), "useast": ("eastus", "East US"),
    "US South Central": ("southcentralus", "South Central US"), "US West Central": ("westcentralus", "West Central US"),
    "EU West": ("westeurope", "West Europe"), "AP Southeast": ("southeastasia", "Southeast Asia"),
    "DE West Central": ("germanywestcentral", "Germany West Central"), "ja east": ("japaneast", "Japan East"),
    "IN Central": ("centralindia", "Central India"), "UK South": ("uksouth", "UK South"), "West Europe": ("westeurope", "West Europe"),
    "eastus": ("eastus", "East US"), "Global": ("global", "Global"), "US Gov Virginia": ("usgovvirginia", "US Gov Virginia"),
    "Mars North": ("marsnorth", "Mars North"),  # a region of tomorrow
}  # fmt: skip
PLACED = ROWS.add(*(row(ResourceLocation=place) for place in PLACES))
SOLD_ON = {
    "CustomerTenantId": "AB-1",
    "CustomerName": "Zoë & Co",
    "ResellerName": "Fabrikam",
    "ResellerMpnId": "0042",
}
PARTNERS = ROWS.add(
    row(PartnerName="Contoso Cloud", ResourceName="", **SOLD_ON),
    row(PartnerName="", ResourceId="", ResourceName=""),
)


def test_a_region_has_one_id_and_one_name_however_it_is_spelt(lines: Lines) -> None:
    assert [(line["RegionId"], line["RegionName"]) for line in lines[PLACED]] == [*PLACES.values()]


TAXED = ROWS.add(row(ChargeType="Tax", Cost="-4"))


def test_a_tax_prices_no_quantity(lines: Lines) -> None:
    (tax,) = lines[TAXED]
    assert (tax["BilledCost"], tax["PricingQuantity"], tax["PricingUnit"]) == (Decimal(-4), None, None)


def test_a_partner_issues_the_invoice_and_an_id_ends_with_the_name(lines: Lines) -> None:
    partner, direct = lines[PARTNERS]
    assert (partner["InvoiceIssuerName"], direct["InvoiceIssuerName"]) == ("Contoso Cloud", "Microsoft")
    assert (partner["ResourceName"], direct["ResourceName"]) == ("Vm1", None)


def test_a_partners_customer_and_reseller_can_be_asked_for(lines: Lines) -> None:
    names = ("x_customer_id", "x_customer_name", "x_reseller_id", "x_reseller_name")
    assert [[line[n] for n in names] for line in lines[PARTNERS]] == [
        ["ab-1", "Zoë & Co", "0042", "Fabrikam"], [None] * 4,
    ]  # fmt: skip


DATABASE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Sql/servers/a/databases/b"
PRICED = ROWS.add(
    row(ChargeType="Purchase", Frequency="Recurring", PayGPrice="0", ResourceId=DATABASE),
    row(ChargeType="Purchase", Frequency="Recurring", PayGPrice="7", ResourceId="odd"),
    row(**REFUND, Cost="-4", ResourceId=""),
)


def test_prices_are_those_of_usage_and_purchases_and_a_type_is_read_from_the_id(lines: Lines) -> None:
    columns = ("ListCost", "ListUnitPrice", "ContractedUnitPrice", "ResourceType")
    assert [tuple(f[c] for c in columns) for f in lines[PRICED]] == [
        (Decimal(10), None, Decimal(5), "microsoft.sql/servers/databases"),  # no list price: what it cost
        (None, Decimal(7), Decimal(5), None),  # 7 x 2, which is not stored
        (Decimal(-4), None, None, None),  # 5 x 2 is not what is given back
    ]


EUROS = row(
    BillingCurrency="EUR", PricingCurrency="USD", Cost="9", CostInPricingCurrency="10", ExchangeRatePricingToBilling="0.9",
    paygCostInBillingCurrency="12.6",
)  # fmt: skip
CONVERTED = ROWS.add(
    EUROS,
    EUROS | {"ExchangeRatePricingToBilling": ""},
    EUROS | RI | {"ChargeType": "Purchase", "Frequency": "OneTime"},
    row(PricingCurrency="USD"),
)


def test_prices_in_another_currency_than_the_bill(lines: Lines) -> None:
    """Of a customer agreement: 2 hours at 5 dollars, at list 7, are 10 dollars; 0.9 euros a dollar make 9 euros."""
    columns = (
        "ListUnitPrice", "ContractedUnitPrice", "PricingCurrencyListUnitPrice", "PricingCurrencyContractedUnitPrice",
        "PricingCurrencyEffectiveCost", "EffectiveCost", "ListCost",
    )  # fmt: skip
    d = Decimal
    assert [tuple(f[c] for c in columns) for f in lines[CONVERTED]] == [
        (d("6.3"), d("4.5"), d(7), d(5), d(10), d(9), d("12.6")),
        (None, None, d(7), d(5), d(10), d(9), d("12.6")),
        (d("6.3"), d("4.5"), d(7), d(5), d(0), d(0), d("12.6")),
        (d(7), d(5), None, None, None, d(10), None),
    ]


ROUNDED = ROWS.add(row(MeterCategory="", ChargeType="RoundingAdjustment"))


def test_a_charge_without_a_meter_is_named_by_its_product(lines: Lines) -> None:
    assert [f["ServiceName"] for f in lines[ROUNDED]] == ["Virtual Machines ND - H100"]
