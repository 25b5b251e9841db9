"""AWS Cost and Usage Report columns, legacy and 2.0, as FOCUS 1.4: SQL expressions over the columns a file has.

Columns are named as in the legacy report here (`columns.py`).

Sources: the AWS CUR data dictionaries, and AWS's own rule for amortised cost. Cleaning values, rejecting rows and
counting belong to `connectors/bills/rules.py`.
"""

from __future__ import annotations

from collections.abc import Collection

from connectors.aws.columns import PAYER, PERIOD, Fields
from connectors.aws.services import SERVICE_CATEGORIES
from connectors.aws.tags import tags_of_map
from connectors.bills.amounts import plain
from connectors.bills.native import Native
from connectors.bills.rules import is_null_text
from connectors.bills.shapes import Shape
from connectors.bills.tags import flat_json
from connectors.sql import literal, lookup

ONE_TIME = ("SavingsPlanUpfrontFee", "Fee", "Tax", "Credit", "Refund")
RECURRING = ("RIFee", "SavingsPlanRecurringFee")
SUBSCRIPTION = "FlatRateSubscription"
COMMITTED = ("SavingsPlanCoveredUsage", "DiscountedUsage")
USAGE = ("Usage", *COMMITTED)
NEGATION = "SavingsPlanNegation"
CATEGORIES = {
    "Usage": (*USAGE, NEGATION),
    "Purchase": ("Fee", "SavingsPlanUpfrontFee", SUBSCRIPTION, *RECURRING),
    "Tax": ("Tax",),
    "Credit": ("Credit",),
    "Adjustment": ("Refund",),
}
"""ChargeCategory -> lineItem/LineItemType."""
DISCOUNT = "%Discount"
"""Discounts of an agreement (EdpDiscount, SppDiscount ...) are negative rows of the bill: credits, whatever the agreement."""

EDITION = "(Amazon Bedrock Edition)"
"""Ends the product names of models that their makers sell through the Marketplace."""
MARKETPLACE_TOKENS = "TokenCount|_tokens_"
"""In usage types of such models: `USE1-MP:USE1_InputTokenCount-Units`, `USE1-MP:USE1_input_tokens_standard-Units`."""

CAPACITY = ":capacity-reservation/"
"""In the ARN of a reservation of capacity, which lowers no price, in the column of the reservations that do."""

SURE = frozenset({
    "CapacityReservationStatus", "ChargeClass", "ChargeFrequency", "CommitmentDiscountCategory",
    "CommitmentDiscountStatus", "PricingCategory", "ServiceCategory", "Tags",
})  # fmt: skip
"""Columns that take no value from the bill but what this mapping makes of it."""


def _reservation(f: Fields) -> str:
    """SQL: the ARN of a reservation that lowers the price; a reservation of capacity does not."""
    arn = f["reservation/ReservationARN"]
    return f"CASE WHEN NOT contains({arn}, {literal(CAPACITY)}) THEN {arn} END"


def _decimal(f: Fields, name: str) -> str:
    """Two digits less than money has, so that a sum or difference of two stays exact on every engine."""
    type_ = "DECIMAL(36,12)"
    return f"TRY_CAST({f[name]} AS {type_})" if f.own else plain(f[name], type_)


def _stated_amount(f: Fields, name: str) -> str:
    """An amount as the bill has it; NULL where a text stands for none."""
    return f[name] if f.own else f"CASE WHEN NOT {is_null_text(f[name])} THEN {f[name]} END"


def _computed(f: Fields, one: str, sign: str, other: str) -> str:
    """The sum or difference of two amounts; NULL where one is absent, both as text where one is no number."""
    value = f.computed(f"{_decimal(f, one)} {sign} {_decimal(f, other)}")
    a, b = _stated_amount(f, one), _stated_amount(f, other)
    return value if f.own else f"COALESCE({value}, {a} || ' {sign} ' || {b})"


def _sum(f: Fields, one: str, other: str) -> str:
    """The sum of two amounts, of which one may be absent; NULL where both are."""
    return f"COALESCE({_computed(f, one, '+', other)}, {_stated_amount(f, one)}, {_stated_amount(f, other)})"


def _stated(f: Fields) -> dict[str, str]:
    """lineItem/LineItemType of commitments -> effective cost as the bill states it, NULL where it does not."""
    commitment, used = "savingsPlan/TotalCommitmentToDate", "savingsPlan/UsedCommitment"
    used_up = _sum(f, "reservation/AmortizedUpfrontCostForUsage", "reservation/RecurringFeeForUsage")
    unused = _sum(
        f, "reservation/UnusedAmortizedUpfrontFeeForBillingPeriod", "reservation/UnusedRecurringFee"
    )
    return {
        "DiscountedUsage": f"COALESCE({f['reservation/EffectiveCost']}, {used_up})",
        "SavingsPlanRecurringFee": _computed(f, commitment, "-", used),
        "RIFee": unused,
    }


def not_stated(f: Fields) -> str:
    """SQL condition: a commitment's effective cost is not in the bill, so its billed cost stands in for it."""
    kind = f["lineItem/LineItemType"]
    return " OR ".join(f"({kind} = {literal(k)} AND {cost} IS NULL)" for k, cost in _stated(f).items())


def effective_cost(f: Fields) -> str:
    """Amortised cost: commitments are charged where they are used, their unused part where they are paid.

    - SavingsPlanCoveredUsage: the effective cost of the plan
    - DiscountedUsage: the effective cost of the reservation, or its amortised upfront cost + its recurring fee
    - SavingsPlanNegation, SavingsPlanUpfrontFee, Fee of a reservation, refund of a one-time fee: 0
    - SavingsPlanRecurringFee: commitment - used commitment
    - RIFee: unused amortised upfront fee + unused recurring fee
    - else, and where a reservation or the fee of a plan does not state it: the unblended cost
    """
    kind, cost = f["lineItem/LineItemType"], f["lineItem/UnblendedCost"]
    reserved, plan = _reservation(f), f["savingsPlan/SavingsPlanARN"]
    stated = " ".join(f"WHEN {literal(k)} THEN COALESCE({sql}, {cost})" for k, sql in _stated(f).items())
    one_time = f"regexp_matches(lower({f['lineItem/LineItemDescription']}), 'one-time|upfront')"
    return f"""CASE {kind}
        WHEN 'SavingsPlanCoveredUsage' THEN {f["savingsPlan/SavingsPlanEffectiveCost"]}
        WHEN 'SavingsPlanNegation' THEN {f.zero}
        WHEN 'SavingsPlanUpfrontFee' THEN {f.zero}
        {stated}
        WHEN 'Fee' THEN CASE WHEN {reserved} IS NOT NULL THEN {f.zero} ELSE {cost} END
        WHEN 'Refund' THEN CASE WHEN ({plan} IS NOT NULL OR {reserved} IS NOT NULL) AND {one_time} THEN {f.zero} ELSE {cost} END
        ELSE {cost} END"""


def to_focus(shape: Shape, *, net: bool | Collection[str] = False) -> Native:
    """A CUR file, legacy or 2.0, as FOCUS 1.4. Blended costs are never used.

    BilledCost is the unblended cost, negations of savings plans included; quantities and list costs leave
    negations out, so that what a plan covers is counted once. Charges without a list price (fees, tax,
    credits) have their billed cost as list and contracted cost. Split line items of containers repeat the
    cost of their parents and are left out.

    Args:
        shape: The files.
        net: Costs are those after discounts (`discounts.py`), of all payers or of these.

    Raises:
        SourceError: A mandatory column is missing, or is there in two spellings.
    """
    f = Fields(shape, net=net)
    kind, cost = f["lineItem/LineItemType"], f["lineItem/UnblendedCost"]

    def when(kinds: tuple[str, ...], then: str, otherwise: str = "NULL") -> str:
        return f"CASE WHEN {' OR '.join(f'{kind} = {literal(k)}' for k in kinds)} THEN {then} ELSE {otherwise} END"

    amount, unit = f["lineItem/UsageAmount"], f.first("pricing/unit")
    list_cost = f["pricing/publicOnDemandCost"]
    plan, reserved = f["savingsPlan/SavingsPlanARN"], _reservation(f)
    start = f["lineItem/UsageStartDate"]
    region = f.first("product/regionCode", "product/region")
    code = f["lineItem/ProductCode"]
    usage_type, product = f["lineItem/UsageType"], f.first("product/ProductName", "lineItem/ProductCode")
    sold_tokens = f"contains({usage_type}, 'MP:') AND regexp_matches({usage_type}, '{MARKETPLACE_TOKENS}')"
    bedrock = (
        f"starts_with({code}, 'AmazonBedrock') OR contains({product}, {literal(EDITION)}) OR ({sold_tokens})"
    )
    idle_reservation = f"{f['product/capacitystatus']} = 'UnusedCapacityReservation'"
    if not f.has("product/capacitystatus"):
        idle_reservation = f"(contains({usage_type}, 'UnusedBox:') OR contains({usage_type}, 'UnusedDed:'))"
    told, status = (f[f"capacityReservation/CapacityReservation{name}"] for name in ("Arn", "Status"))
    stated = f"{status} IN ('Used', 'Unused')"
    capacity = f"CASE WHEN {kind} = 'Usage' AND contains({f['reservation/ReservationARN']}, {literal(CAPACITY)}) THEN {f['reservation/ReservationARN']} END"
    priced = (*USAGE, *CATEGORIES["Purchase"])
    seller = f"{f['bill/BillingEntity']} = 'AWS Marketplace'"
    categories = " ".join(
        f"WHEN {literal(k)} THEN {literal(c)}" for c, kinds in CATEGORIES.items() for k in kinds
    )
    service = lookup(code, {p: c for c, products in SERVICE_CATEGORIES.items() for p in products})
    columns = {
        "AvailabilityZone": f"nullif({f['lineItem/AvailabilityZone']}, {region})",
        "BilledCost": cost,
        "BillingAccountId": f.account(PAYER),
        "BillingAccountName": f["bill/PayerAccountName"],
        "BillingCurrency": f["lineItem/CurrencyCode"],
        "BillingPeriodEnd": f["bill/BillingPeriodEndDate"],
        "BillingPeriodStart": f[PERIOD],
        "CapacityReservationId": f"COALESCE(CASE WHEN {stated} THEN {told} WHEN {idle_reservation} THEN {f['lineItem/ResourceId']} END, {capacity})",
        "CapacityReservationStatus": f"CASE WHEN {stated} THEN {status} WHEN {idle_reservation} THEN 'Unused' WHEN ({capacity}) IS NOT NULL THEN 'Used' END",
        "ChargeCategory": f"CASE {kind} {categories} ELSE CASE WHEN {kind} LIKE '{DISCOUNT}' THEN 'Credit' ELSE {kind} END END",
        "ChargeClass": f"CASE WHEN {kind} = 'Refund' AND TRY_CAST({start} AS TIMESTAMPTZ) < "
        f"TRY_CAST({f[PERIOD]} AS TIMESTAMPTZ) THEN 'Correction' END",
        "ChargeDescription": f["lineItem/LineItemDescription"],
        "ChargeFrequency": when(
            ONE_TIME, "'One-Time'", when((SUBSCRIPTION, *RECURRING), "'Recurring'", "'Usage-Based'")
        ),
        "ChargePeriodEnd": f["lineItem/UsageEndDate"],
        "ChargePeriodStart": start,
        "CommitmentDiscountCategory": f"CASE WHEN {plan} IS NOT NULL THEN 'Spend' WHEN {reserved} IS NOT NULL THEN 'Usage' END",
        "CommitmentDiscountId": f"COALESCE({plan}, {reserved})",
        "CommitmentDiscountStatus": when(
            (*COMMITTED, NEGATION), f"CASE WHEN {plan} IS NOT NULL OR {reserved} IS NOT NULL THEN 'Used' END"
        ),
        "CommitmentDiscountType": f"CASE WHEN {plan} IS NOT NULL THEN 'Savings Plan' "
        f"WHEN {reserved} IS NOT NULL THEN 'Reserved Instance' END",
        "ConsumedQuantity": when(USAGE, amount),
        "ConsumedUnit": when(USAGE, unit),
        "ContractedCost": when(("DiscountedUsage",), list_cost, when((NEGATION,), f.zero, cost)),
        "ContractedUnitPrice": when(
            ("Usage", "SavingsPlanCoveredUsage"),
            f.rate(),
            when(("DiscountedUsage",), f["pricing/publicOnDemandRate"]),
        ),
        "EffectiveCost": effective_cost(f),
        "HostProviderName": "'AWS'",
        "InvoiceId": f["bill/InvoiceId"],
        "InvoiceIssuerName": f"COALESCE({f['bill/InvoicingEntity']}, "
        f"CASE WHEN {seller} THEN 'AWS Marketplace' ELSE {f['lineItem/LegalEntity']} END)",
        "ListCost": when(USAGE, list_cost, when((NEGATION,), f.zero, cost)),
        "ListUnitPrice": when(USAGE, f["pricing/publicOnDemandRate"]),
        "PricingCategory": when(
            (*COMMITTED, NEGATION),
            "'Committed'",
            f"CASE WHEN {kind} = 'Usage' AND contains({usage_type}, 'SpotUsage') THEN 'Dynamic' "
            f"ELSE {when(priced, literal('Standard'))} END",
        ),
        "PricingQuantity": when(priced, amount),
        "PricingUnit": when(priced, unit),
        "ProviderName": "'AWS'",
        "RegionId": region,
        "RegionName": f"CASE WHEN {region} <> '' THEN {f['product/location']} END",
        "ResourceId": f["lineItem/ResourceId"],
        "ServiceCategory": f"COALESCE({service}, CASE WHEN {bedrock} THEN 'AI and Machine Learning' ELSE 'Other' END)",
        "ServiceName": product,
        "ServiceProviderName": f"CASE WHEN {seller} THEN "
        f"COALESCE({f['lineItem/LegalEntity']}, 'AWS Marketplace') ELSE 'AWS' END",
        "SkuId": f["product/sku"],
        "SkuMeter": usage_type,
        "SkuPriceId": f.first("pricing/RateCode", "pricing/RateId"),
        "SubAccountId": f.account("lineItem/UsageAccountId"),
        "SubAccountName": f["lineItem/UsageAccountName"],
        "Tags": tags_of_map(f["resourceTags"], json_text=not f.is_map["resourcetags"])
        if f.has("resourceTags")
        else flat_json(f.tags),
    }
    return Native(
        focus=columns,
        cost=cost,
        currency=f["lineItem/CurrencyCode"],
        model_api=bedrock,
        skip=f"COALESCE({f['splitLineItem/ParentResourceId']}, '') <> ''",
        parent=f"{f['splitLineItem/ParentResourceId']}",
        cost_kind=when(RECURRING, f"CASE WHEN NOT ({not_stated(f)}) THEN 'idle' END"),
        not_stated=not_stated(f),
        sure=SURE if f.is_map.get("resourcetags", True) else SURE - {"Tags"},
    )
