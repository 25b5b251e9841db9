"""A plain pandas script over a bill of CUR 2.0: FOCUS rows in doubles and their daily costs, as an analyst would write it.

It normalises as `connectors/aws/mapping.py` does, without any check of the rows. Columns are worked on as a whole;
only maps, which pandas has as lists of pairs, are taken apart one by one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from connectors.aws.columns import is_number
from connectors.aws.mapping import CATEGORIES, COMMITTED, NEGATION, ONE_TIME, RECURRING, USAGE
from connectors.aws.services import SERVICE_CATEGORIES
from pipelines.bench.measure import Work

PRICED = (*USAGE, *CATEGORIES["Purchase"])


def script(
    source: Sequence[Path], rows: Path, daily: Path, used: Sequence[str] = (), *, exact: bool = False
) -> Work:
    """The script.

    Args:
        source: The files.
        rows: Parquet file of the FOCUS rows.
        daily: Parquet file of billed and effective cost by day, account, service and tags.
        used: Columns to read; none for the whole bill.
        exact: Count in decimals, as they are written, so that sums are right to the last digit; else in doubles.
    """
    import pandas

    def work() -> dict[str, Any]:
        bill = pandas.concat(
            [pandas.read_parquet(f, columns=[*used] or None) for f in source], ignore_index=True
        )
        if exact:
            for column in filter(is_number, bill.columns):
                bill[column] = bill[column].map(lambda amount: Decimal(repr(amount)))
        focus = focus_rows(bill, exact=exact)
        focus.to_parquet(rows, compression="zstd")
        keys = [focus["ChargePeriodStart"].dt.date.rename("day"), "SubAccountId", "ServiceName", "Tags"]
        costs = focus.groupby(keys)[["BilledCost", "EffectiveCost"]].sum().reset_index()
        costs.columns = ["day", "sub_account", "service_name", "tags", "billed_cost", "effective_cost"]
        costs.to_parquet(daily)
        return {"rows": len(focus)}

    return work


def focus_rows(bill: Any, *, exact: bool = False) -> Any:
    """The bill as FOCUS: a frame of native columns -> a frame of FOCUS columns; `exact` has prices in decimals too."""
    import pandas

    zero = Decimal(0) if exact else 0.0

    def rate(column: str) -> Any:
        return bill[column].map(Decimal) if exact else pandas.to_numeric(bill[column])

    kind, cost = bill["line_item_line_item_type"], bill["line_item_unblended_cost"]
    code, usage_type = bill["line_item_product_code"], bill["line_item_usage_type"]
    plan, reserved = (
        bill[c].where(bill[c].ne(""))
        for c in ("savings_plan_savings_plan_a_r_n", "reservation_reservation_a_r_n")
    )
    used = kind.isin(USAGE)
    negation, committed = kind.eq(NEGATION), kind.isin([*COMMITTED, NEGATION])
    priced = kind.isin(PRICED)
    none = pandas.Series(None, index=bill.index, dtype="str")

    def text(value: str) -> Any:
        return pandas.Series(value, index=bill.index, dtype="str")

    product = bill["product"].map(dict)
    name = product.str.get("product_name")
    idle = product.str.get("capacitystatus").eq("UnusedCapacityReservation")
    region = bill["product_region_code"]
    on_demand_rate = rate("pricing_public_on_demand_rate")
    seller = bill["bill_billing_entity"].eq("AWS Marketplace")
    category = kind.map({k: c for c, kinds in CATEGORIES.items() for k in kinds})
    services = {p: c for c, products in SERVICE_CATEGORIES.items() for p in products}
    bedrock = code.str.startswith("AmazonBedrock") | name.str.contains(
        "(Amazon Bedrock Edition)", regex=False
    )
    bedrock |= usage_type.str.contains("MP:", regex=False) & usage_type.str.contains("TokenCount|_tokens_")
    list_cost = bill["pricing_public_on_demand_cost"]
    unused_plan = bill["savings_plan_total_commitment_to_date"] - bill["savings_plan_used_commitment"]
    unused_reservation = (
        bill["reservation_unused_amortized_upfront_fee_for_billing_period"]
        + bill["reservation_unused_recurring_fee"]
    )
    late = bill["line_item_usage_start_date"] < bill["bill_billing_period_start_date"]
    one_time = bill["line_item_line_item_description"].str.lower().str.contains("one-time|upfront")
    bound = plan.notna() | reserved.notna()
    amount, unit = bill["line_item_usage_amount"], bill["pricing_unit"]
    return pandas.DataFrame({
        "AvailabilityZone": bill["line_item_availability_zone"].where(
            bill["line_item_availability_zone"].ne(region)
        ),
        "BilledCost": cost,
        "BillingAccountId": bill["bill_payer_account_id"].str.zfill(12),
        "BillingAccountName": bill["bill_payer_account_name"],
        "BillingCurrency": bill["line_item_currency_code"],
        "BillingPeriodEnd": bill["bill_billing_period_end_date"],
        "BillingPeriodStart": bill["bill_billing_period_start_date"],
        "CapacityReservationId": bill["line_item_resource_id"].where(idle),
        "CapacityReservationStatus": text("Unused").where(idle),
        "ChargeCategory": category.mask(kind.str.endswith("Discount"), "Credit"),
        "ChargeClass": text("Correction").where(kind.eq("Refund") & late),
        "ChargeDescription": bill["line_item_line_item_description"],
        "ChargeFrequency": text("Usage-Based").case_when(
            [(kind.isin(ONE_TIME), "One-Time"), (kind.isin(RECURRING), "Recurring")]
        ),
        "ChargePeriodEnd": bill["line_item_usage_end_date"],
        "ChargePeriodStart": bill["line_item_usage_start_date"],
        "CommitmentDiscountCategory": none.case_when([(plan.notna(), "Spend"), (reserved.notna(), "Usage")]),
        "CommitmentDiscountId": plan.fillna(reserved),
        "CommitmentDiscountStatus": text("Used").where(committed & bound),
        "CommitmentDiscountType": none.case_when(
            [(plan.notna(), "Savings Plan"), (reserved.notna(), "Reserved Instance")]
        ),
        "ConsumedQuantity": amount.where(used),
        "ConsumedUnit": unit.where(used),
        "ContractedCost": cost.case_when([(kind.eq("DiscountedUsage"), list_cost), (negation, zero)]),
        "ContractedUnitPrice": rate("line_item_unblended_rate")
        .where(used)
        .mask(kind.eq("DiscountedUsage"), on_demand_rate),
        "EffectiveCost": cost.case_when([
            (kind.eq("SavingsPlanCoveredUsage"), bill["savings_plan_savings_plan_effective_cost"]),
            (kind.eq("DiscountedUsage"), bill["reservation_effective_cost"]),
            (negation | kind.eq("SavingsPlanUpfrontFee"), zero),
            (kind.eq("SavingsPlanRecurringFee"), unused_plan),
            (kind.eq("RIFee"), unused_reservation),
            (kind.eq("Fee") & reserved.notna(), zero),
            (kind.eq("Refund") & bound & one_time, zero),
        ]),
        "HostProviderName": text("AWS"),
        "InvoiceId": bill["bill_invoice_id"].where(bill["bill_invoice_id"].ne("")),
        "InvoiceIssuerName": bill["bill_invoicing_entity"].fillna(
            bill["line_item_legal_entity"].mask(seller, "AWS Marketplace")
        ),
        "ListCost": cost.case_when([(used, list_cost), (negation, zero)]),
        "ListUnitPrice": on_demand_rate.where(used),
        "PricingCategory": none.case_when([
            (committed, "Committed"),
            (kind.eq("Usage") & usage_type.str.contains("SpotUsage", regex=False), "Dynamic"),
            (priced, "Standard"),
        ]),
        "PricingQuantity": amount.where(priced),
        "PricingUnit": unit.where(priced),
        "ProviderName": text("AWS"),
        "RegionId": region,
        "RegionName": bill["product_location"],
        "ResourceId": bill["line_item_resource_id"],
        "ServiceCategory": code.map(services).fillna(text("Other").mask(bedrock, "AI and Machine Learning")),
        "ServiceName": name.fillna(code),
        "ServiceProviderName": text("AWS").mask(seller, bill["line_item_legal_entity"]),
        "SkuId": bill["product_sku"],
        "SkuMeter": usage_type,
        "SkuPriceId": bill["pricing_rate_code"],
        "SubAccountId": bill["line_item_usage_account_id"].str.zfill(12),
        "SubAccountName": bill["line_item_usage_account_name"],
        "Tags": bill["resource_tags"].map(_tags),
    })  # fmt: skip


def _tags(pairs: Sequence[tuple[str, str]]) -> str:
    names = {k.removeprefix("user_").replace("aws_", "aws:"): v for k, v in pairs}
    return json.dumps(names, separators=(",", ":"))
