"""A source of every kind of bill, hand-typed, with the kinds of line that each has.

What the lines become is tested beside each connector; here they are there to be exported. Amounts are those of real
bills: a cost is its price x quantity.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from tests.connectors.aws import exports as cur2
from tests.connectors.azure import rows as azure
from tests.connectors.bills.helpers import cur, deliver, focus, write
from tests.connectors.gcp import rows as gcp
from tests.connectors.llm import anthropic_pages as claude
from tests.connectors.llm import helpers as llm
from tests.connectors.oci import rows as oci

COSTS = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")
PLAN = {"savingsPlan__SavingsPlanARN": "arn:aws:savingsplans::1:savingsplan/x"}
RESERVED = {"reservation__ReservationARN": "arn:aws:ec2:us-east-1:1:reserved-instances/y"}
PRICED = {
    "lineItem__UsageAmount": "2",
    "lineItem__UnblendedRate": "5",
    "pricing__publicOnDemandRate": "6",
    "pricing__RateCode": "SKU1.TERM.RATE",
    "product__sku": "SKU1",
    "product__location": "US East (N. Virginia)",
    "lineItem__ResourceId": "i-1",
}
CUR_LINES: tuple[dict[str, str], ...] = (
    PRICED,
    PRICED | {"lineItem__UsageType": "SpotUsage:p5", "lineItem__UnblendedRate": "1.5", "lineItem__UnblendedCost": "3"},
    PRICED | PLAN | {"lineItem__LineItemType": "SavingsPlanCoveredUsage", "savingsPlan__SavingsPlanEffectiveCost": "6"},
    PRICED | PLAN | {"lineItem__LineItemType": "SavingsPlanNegation", "lineItem__UnblendedCost": "-10", "lineItem__UnblendedRate": "0"},
    PLAN | {"lineItem__LineItemType": "SavingsPlanUpfrontFee", "lineItem__UsageAmount": "1", "pricing__publicOnDemandCost": ""},
    PLAN | {"lineItem__LineItemType": "SavingsPlanRecurringFee", "lineItem__UsageAmount": "1", "savingsPlan__TotalCommitmentToDate": "10", "savingsPlan__UsedCommitment": "7.5"},
    PRICED | RESERVED | {"lineItem__LineItemType": "DiscountedUsage", "lineItem__UnblendedCost": "0", "lineItem__UnblendedRate": "0", "reservation__EffectiveCost": "4"},
    RESERVED | {"lineItem__LineItemType": "RIFee", "reservation__UnusedAmortizedUpfrontFeeForBillingPeriod": "1.25", "reservation__UnusedRecurringFee": "0.5"},
    RESERVED | {"lineItem__LineItemType": "Fee"},
    {"lineItem__LineItemType": "Fee", "lineItem__LineItemDescription": "AWS Support (Business)", "product__ProductName": "AWS Support (Business)"},
    RESERVED | {"lineItem__LineItemType": "Refund", "lineItem__UnblendedCost": "-10", "lineItem__LineItemDescription": "Refund of upfront fee"},
    {"lineItem__LineItemType": "Refund", "lineItem__UnblendedCost": "-3", "lineItem__UsageStartDate": "2026-08-31T00:00:00Z", "lineItem__UsageEndDate": "2026-08-31T01:00:00Z"},
    {"lineItem__LineItemType": "Tax", "lineItem__LineItemDescription": "VAT", "lineItem__UsageAmount": "1", "product__region": ""},
    {"lineItem__LineItemType": "Credit", "lineItem__UnblendedCost": "-2", "lineItem__UsageAmount": "1"},
    {"lineItem__LineItemType": "EdpDiscount", "lineItem__UnblendedCost": "-2"},
    PRICED | {"bill__BillingEntity": "AWS Marketplace", "lineItem__LegalEntity": "Red Hat", "product__ProductName": "RHEL"},
    PRICED | {"product__capacitystatus": "UnusedCapacityReservation", "lineItem__ResourceId": "cr-1"},
    PRICED | {"lineItem__ProductCode": "AmazonBedrock", "product__ProductName": "Amazon Bedrock", "pricing__unit": "1K tokens", "lineItem__UsageType": "Claude-input"},
    PRICED | {"splitLineItem__ParentResourceId": "i-1"},
)  # fmt: skip


def aws_cur(folder: Path) -> None:
    """A legacy report in CSV, by its manifest, and final."""
    deliver(folder, "a-1", {"gpu-1.csv.gz": [cur(bill__InvoiceId="77", **line) for line in CUR_LINES]})


def aws_cur_parquet(folder: Path) -> None:
    """The same report as Parquet, with the names of its columns as Athena has them, in progress."""
    lines = [{_snake(k): v for k, v in cur(**line).items()} for line in CUR_LINES]
    folder.mkdir()
    frame = pl.DataFrame(lines, infer_schema_length=None).with_columns(
        pl.col("line_item_unblended_cost", "line_item_usage_amount").cast(pl.Float64),
        pl.col("line_item_usage_start_date", "line_item_usage_end_date").str.to_datetime(time_zone="UTC"),
    )
    frame.write_parquet(folder / "gpu-00001.snappy.parquet")


def _snake(name: str) -> str:
    out = "".join(f"_{c.lower()}" if c.isupper() else c for c in name.replace("/", "_").replace(":", "_"))
    return out.replace("__", "_")


def aws_cur2(folder: Path) -> None:
    """A CUR 2.0 export, in which accounts have names."""
    named = {"bill_payer_account_name": "Acme", "line_item_usage_account_name": "Vision"}
    lines = []
    for line in CUR_LINES:
        given = {_snake(k.replace("__", "/")): v for k, v in line.items()}
        product = {k.removeprefix("product_"): given.pop(k) for k in list(given) if k.startswith("product_")}
        for name, value in given.items():
            if isinstance(cur2.BASE.get(name), datetime):
                given[name] = datetime.fromisoformat(value).replace(tzinfo=None)
            elif isinstance(cur2.BASE.get(name), float):
                given[name] = float(value) if value else None
        region = product.pop("region", "us-east-1") or None
        renamed = {"product_product_name": "product_name", "product_capacitystatus": "capacitystatus"}
        product = {renamed.get(k, k): v for k, v in product.items()}
        lines.append(
            cur2.row(**named | given, product_region_code=region, product=cur2.BASE["product"] | product)
        )
    cur2.export(folder, {"gpu-00001.snappy.parquet": lines})


def focus_1_0(folder: Path) -> None:
    """FOCUS 1.0, hand-typed, which may lack columns."""
    used = ("ConsumedQuantity", "ConsumedUnit", "PricingUnit")
    other = dict.fromkeys(used, "") | {"ChargeFrequency": "One-Time"}
    tax = other | dict.fromkeys(COSTS, "0.5") | {"ChargeCategory": "Tax"}
    credit = other | dict.fromkeys(COSTS, "-1") | {"ChargeCategory": "Credit"}
    write(folder / "focus.csv", [focus(), focus(**tax), focus(**credit)])


def focus_1_1(folder: Path) -> None:
    """FOCUS 1.1: SkuMeter, commitment quantities and capacity reservations are new."""
    new = {
        "PublisherName": "Acme Cloud", "SkuMeter": "GPU", "SkuId": "S1", "SkuPriceId": "P1", "PricingCategory": "Standard",
        "PricingQuantity": "1", "ListUnitPrice": "2", "ContractedUnitPrice": "1.5", "ServiceSubcategory": "Virtual Machines",
        "ServiceName": "Reserved machines",
        "CapacityReservationId": "", "CapacityReservationStatus": "",
    }  # fmt: skip
    reserved = {"CapacityReservationId": "cr-1", "CapacityReservationStatus": "Unused"}
    write(folder / "focus.csv", [focus(**new), focus(**new | reserved)])


def focus_1_4(folder: Path) -> None:
    """FOCUS 1.4: a charge, and one of another machine that was allocated, two rows in place of one, 0.25 and 0.75 of it."""
    own = {k: v for k, v in focus().items() if k != "ProviderName"} | {
        "ServiceProviderName": "Acme Cloud", "HostProviderName": "Acme Cloud", "ResourceId": "node-1", "ResourceName": "node-1",
        "PricingQuantity": "1", "ListUnitPrice": "2", "ContractedUnitPrice": "1.5", "PricingCategory": "Standard",
        "SkuId": "S1", "SkuPriceId": "P1", "SkuMeter": "GPU", "BillingAccountType": "Payer", "SubAccountType": "Project",
        "AllocatedMethodId": "", "AllocatedMethodDetails": "", "AllocatedResourceId": "", "AllocatedTags": "",
    }  # fmt: skip
    parts = []
    for pod, share in (("pod-a", 0.25), ("pod-b", 0.75)):
        amounts = (
            "BilledCost",
            "EffectiveCost",
            "ListCost",
            "ContractedCost",
            "PricingQuantity",
            "ConsumedQuantity",
        )
        parts.append(
            own
            | {name: str(float(own[name]) * share) for name in amounts}
            | {
                "AllocatedMethodId": "cpu",
                "AllocatedMethodDetails": f'{{"Elements":[{{"AllocatedRatio":{share},"UsageUnit":"CPU","UsageQuantity":{share}}}]}}',
                "AllocatedResourceId": pod,
                "AllocatedTags": f'{{"pod":"{pod}"}}',
            }
        )
    other = {"ResourceId": "node-2", "ResourceName": "node-2"}
    write(folder / "focus.csv", [own | other, *parts])


def focus_odd(folder: Path) -> None:
    """Refunds, several currencies, commitments, charges of nothing, no tags, tags of several levels, taxes alone in a month."""
    priced = {
        "PublisherName": "Acme Cloud", "SkuMeter": "GPU", "SkuId": "S1", "SkuPriceId": "P1", "PricingCategory": "Standard",
        "PricingQuantity": "1", "ListUnitPrice": "2", "ContractedUnitPrice": "1.5", "ServiceSubcategory": "Virtual Machines",
        "ServiceName": "Odd machines",
    }  # fmt: skip
    none = (
        "ConsumedQuantity",
        "ConsumedUnit",
        "PricingUnit",
        "PricingQuantity",
        "ListUnitPrice",
        "ContractedUnitPrice",
    )
    once = dict.fromkeys(none, "") | {"ChargeFrequency": "One-Time"}
    spend = {
        "CommitmentDiscountCategory": "Spend",
        "CommitmentDiscountId": "sp-1",
        "CommitmentDiscountType": "Plan",
    }
    covered = spend | {"PricingCategory": "Committed", "BilledCost": "0", "CommitmentDiscountUnit": "USD"}

    def at(cost: str, **more: str) -> dict[str, str]:
        return focus(**priced | dict.fromkeys(COSTS, cost) | more)

    used = {"CommitmentDiscountStatus": "Used", "CommitmentDiscountQuantity": "1", "EffectiveCost": "1"}
    unused = {
        "CommitmentDiscountStatus": "Unused",
        "CommitmentDiscountQuantity": "0.5",
        "EffectiveCost": "0.5",
    }
    rows = [
        at("-1.5", ChargeClass="Correction", ListUnitPrice="1.5", ConsumedQuantity="-1", PricingQuantity="-1"),
        at("-3", **once, ChargeCategory="Purchase", ChargeClass="Correction"),
        at("-9", **once, ChargeCategory="Adjustment"),
        at("-0.3", **once, ChargeCategory="Tax", ChargeClass="Correction"),
        focus(**priced, BillingCurrency="EUR"),
        focus(**priced, BillingCurrency="JPY", PricingCurrency="USD", PricingCurrencyListUnitPrice="1", PricingCurrencyContractedUnitPrice="1", PricingCurrencyEffectiveCost="0.01"),
        focus(**priced | covered | used),
        focus(**priced | covered | unused, ConsumedQuantity="", ConsumedUnit=""),
        at("1.5", **spend, ChargeCategory="Purchase", ChargeFrequency="Recurring", ListUnitPrice="1.5", ConsumedQuantity="", ConsumedUnit=""),
        at("0", ConsumedQuantity="0", PricingQuantity="0", Tags=""),
        at("0", ListUnitPrice="0", ContractedUnitPrice="0", Tags="NULL"),
        focus(**priced, Tags='[{"key":"team","value":"a"},{"key":"gpu"},{"key":"o","value":{"x":[1]}}]'),
        focus(**priced, Tags='{"a":null,"b":{"c":1},"d":[1],"e":true}'),
    ]  # fmt: skip
    write(folder / "focus.csv", rows)
    october = {"BillingPeriodStart": "2026-10-01T00:00:00Z", "BillingPeriodEnd": "2026-11-01T00:00:00Z", "ChargePeriodStart": "2026-10-01T00:00:00Z", "ChargePeriodEnd": "2026-10-02T00:00:00Z"}  # fmt: skip
    write(folder / "tax.csv", [at("0.5", **once, **october, ChargeCategory="Tax", SubAccountId="")])


def focus_lacking(folder: Path) -> None:
    """What a small seller writes: mandatory values that are not there, values outside the closed lists, prices in credits."""
    needed = ("BilledCost", "EffectiveCost", "BillingCurrency", "ChargeCategory", "BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")  # fmt: skip
    few = {k: v for k, v in focus(EffectiveCost="1.5").items() if k in needed}
    credits = {
        "SkuId": "C1", "SkuPriceId": "P1", "SkuMeter": "Compute", "PricingCategory": "Standard", "PricingQuantity": "2", "PricingUnit": "Credits",
        "PricingCurrency": "Credits", "PricingCurrencyListUnitPrice": "1", "PricingCurrencyContractedUnitPrice": "0.75", "PricingCurrencyEffectiveCost": "1.5",
    }  # fmt: skip
    rows = [
        few,
        few | {"ChargeCategory": "Tax"},
        focus(**credits),
        focus(**credits | {"PricingCurrency": " AI credits"}),
        focus(PricingCurrency="usd"),
        focus(ConsumedUnit=""),
        focus(PricingQuantity="3", PricingUnit=""),
        focus(ChargeFrequency="Hourly", ChargeClass="Refund"),
        focus(ServiceCategory="Edge", ListUnitPrice="-2", PricingQuantity="-1"),
        focus(RegionName="Paris", SubAccountId="", SubAccountName="x", ResourceName="x"),
        focus(CommitmentDiscountStatus="Used", CapacityReservationStatus="Unused"),
    ]
    write(folder / "focus.csv", rows, header=list(dict.fromkeys(k for r in rows[1:] for k in r)))


CUD = {
    "id": "cud-1",
    "name": "Committed",
    "full_name": "Committed use: GPU",
    "type": "COMMITTED_USAGE_DISCOUNT",
    "amount": -3,
}
FREE = {"id": "free", "name": "Free Trial", "full_name": "", "type": "PROMOTION", "amount": -0.25}


def gcp_billing_export(folder: Path) -> None:
    """The detailed export as JSON lines, with list prices, credits and every cost type."""
    price = {"effective_price": 10.5, "list_price": 12, "unit": "hour"}
    machine: dict[str, Any] = {
        "cost_at_list": 12, "price": price, "resource": {"name": "vm-1", "global_name": "//compute/vm-1"},
    }  # fmt: skip
    sold = {"transaction_type": "THIRD_PARTY_RESELLER", "seller_name": "Acme"}
    lines = [
        gcp.row(**machine),
        gcp.row(**machine | {"resource": {"name": "vm-2"}}, credits=[CUD, FREE]),
        gcp.row(**machine, sku__description="Spot Preemptible A100 GPU", sku__id="A2"),
        gcp.row(**machine, **sold),
        gcp.row(**machine, service__description="Vertex AI", sku__description="Gemini 2.5 Pro Text Input - Predictions"),
        gcp.row(**machine, usage_start_time="2026-08-31 23:00:00 UTC", usage_end_time="2026-09-01 00:00:00 UTC"),
        gcp.row(cost_at_list=10.5, sku__description="Commitment v1: GPU for 1 Year", subscription={"instance_id": "cud-1"}),
        gcp.row(cost_type="tax", service__description="Invoice", sku__description="Tax", labels=[], location=None, usage=None, project=None),
        gcp.row(cost_type="adjustment", cost=-4, usage_start_time="2026-07-31 00:00:00 UTC"),
        gcp.row(cost_type="rounding_error", cost=0.01),
    ]  # fmt: skip
    gcp.write_lines(folder / "gcp_billing_export_resource_v1.jsonl", lines)


def azure_export(folder: Path) -> None:
    """Actual and amortised exports of one month, with a reservation, a plan, a purchase, a refund and the marketplace."""
    ri = {"PricingModel": "Reservation", "ReservationId": "R-1", "ReservationName": "RI"}
    plan = {"PricingModel": "SavingsPlan", "benefitId": "SP-1", "benefitName": "plan"}
    shared = [
        azure.row(UnitPrice="5", EffectivePrice="5", PayGPrice="5"),
        azure.row(PricingModel="Spot", ResourceId=azure.ROW["ResourceId"] + "-spot"),
        azure.row(ChargeType="Tax", Frequency="OneTime", Quantity="", UnitOfMeasure="", UnitPrice="", PayGPrice="", ResourceId=""),
        azure.row(ChargeType="Refund", Frequency="OneTime", Cost="-4"),
        azure.row(ChargeType="RoundingAdjustment", Frequency="OneTime", Cost="0.01", MeterCategory=""),
        azure.row(Cost="0", Quantity="0", Tags="", AdditionalInfo="", BillingCurrency="EUR", PricingCurrency="USD", CostInPricingCurrency="0", ExchangeRatePricingToBilling="0.9"),
        azure.row(PublisherType="Marketplace", PublisherName="Red Hat", MeterCategory="SaaS", ChargeType="Purchase", Frequency="Recurring"),
    ]  # fmt: skip
    bought = azure.row(
        **ri,
        ChargeType="Purchase",
        Frequency="OneTime",
        Cost="100",
        Quantity="1",
        UnitPrice="100",
        EffectivePrice="100",
        PayGPrice="",
    )
    covered = [
        azure.row(**ri),
        azure.row(**plan),
        azure.row(**ri, ChargeType="UnusedReservation", ResourceId=""),
        azure.row(**plan, ChargeType="UnusedSavingsPlan", ResourceId=""),
    ]
    azure.run_export(
        folder, "actual/20260901-20260930/run1", {"a.csv": [*shared, bought]}, dataset="ActualCost"
    )
    azure.run_export(
        folder, "amortized/20260901-20260930/run1", {"b.csv": [*shared, *covered]}, dataset="AmortizedCost"
    )


def oci_cost_report(folder: Path) -> None:
    """A cost report with a correction and a model API."""
    lines = [
        oci.row(),
        oci.row(lineItem__referenceNo="ref-2", lineItem__isCorrection="true", lineItem__backreferenceNo="ref-1", cost__myCost="-4", usage__billedQuantity="-1"),
        oci.row(lineItem__referenceNo="ref-3", product__service="GENERATIVE_AI", product__Description="Cohere tokens", cost__billingUnitReadable=""),
    ]  # fmt: skip
    write(folder / "reports_cost-csv_0001.csv.gz", lines)


def litellm(folder: Path) -> None:
    """A gateway's log as the bill."""
    llm.write_lines(
        folder / "log.jsonl",
        [llm.request(n, model="mistral/mistral-large", custom_llm_provider="mistral") for n in range(3)],
    )


def openai(folder: Path) -> None:
    """A day of costs."""
    start = int(datetime(2026, 9, 1, tzinfo=UTC).timestamp())
    results = [
        llm.cost(0.06, "gpt-4o-2024-08-06, input", quantity=24000),
        llm.cost(0.03, "gpt-4o-2024-08-06, output"),
        llm.cost("1.0000000000005", "web search", project=None),
    ]
    llm.write_lines(folder / "costs.json", [llm.page(llm.bucket(start, start + 86400, *results))])  # type: ignore[list-item]


def anthropic(folder: Path) -> None:
    """A day of costs in cents."""
    search = {"cost_type": "web_search", "token_type": None, "model": None, "description": "Web Search Usage"}
    results = [
        claude.cost("123.78912"),
        claude.cost("50", "output_tokens", service_tier="batch"),
        claude.cost("1000", workspace_id=None, **search),
    ]
    llm.write_lines(folder / "costs.json", [claude.page(claude.day(1, *results))])


WRITERS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "aws_cur": ("aws_cur", aws_cur),
    "aws_cur_parquet": ("aws_cur", aws_cur_parquet),
    "aws_cur2": ("aws_cur2", aws_cur2),
    "focus_1_0": ("focus", focus_1_0),
    "focus_1_1": ("focus", focus_1_1),
    "focus_1_4": ("focus", focus_1_4),
    "focus_odd": ("focus", focus_odd),
    "focus_lacking": ("lacking", focus_lacking),
    "gcp_detailed": ("gcp_billing_export", gcp_billing_export),
    "azure": ("azure_export", azure_export),
    "oci": ("oci_cost_report", oci_cost_report),
    "litellm": ("litellm", litellm),
    "openai": ("openai", openai),
    "anthropic": ("anthropic", anthropic),
}
"""Name of a source -> what the baseline calls its kind, and what writes it."""


def hand_typed(folder: Path) -> list[str]:
    """Writes the hand-typed bills below a folder; lines for `sources:`."""
    lines = []
    for name, (kind, writer) in WRITERS.items():
        writer(folder / name)
        more = ", bill: true" if kind == "litellm" else ""
        read_as = "focus" if kind == "lacking" else kind
        lines.append(f"  {name}: {{kind: {read_as}, location: {folder / name}{more}}}")
    return lines
