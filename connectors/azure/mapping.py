"""Azure cost exports, actual and amortized, as FOCUS 1.4, as SQL expressions over the columns a file has.

Sources: Microsoft's reference of cost and usage details, and its guide for converting them to FOCUS. Cleaning
values, rejecting rows and counting belong to `connectors/bills/rules.py`.

What covered usage costs by a reservation or savings plan is only in the amortized export, what the commitment
itself costs only in the actual one; all other charges are in both. So one rule fits both exports, row by row:
- usage covered by a commitment, and its unused part: BilledCost 0, EffectiveCost the amortized cost
- purchase or refund of a commitment: BilledCost the cost, EffectiveCost 0
- all else: both are the cost
and where a month has both exports, each charge is taken from one of them.
"""

from __future__ import annotations

from connectors.azure.columns import Fields
from connectors.azure.kinds import (
    BOUGHT,
    COMMITTED,
    DAY,
    FOREIGN,
    KIND,
    MODEL,
    PLAN,
    RESERVED,
    START,
    UNUSED,
    Exports,
    among,
    steps,
)
from connectors.azure.regions import region_id, region_name
from connectors.azure.services import FAMILIES, METERS
from connectors.bills.amounts import plain, written_ones
from connectors.bills.native import Native
from connectors.bills.shapes import Shape
from connectors.bills.tags import json_or_text
from connectors.sql import literal, lookup
from models.focus_regions import REGION_NAMES

CATEGORIES = {
    "usage": "Usage",
    "unusedreservation": "Usage",
    "unusedsavingsplan": "Usage",
    "purchase": "Purchase",
    "refund": "Adjustment",
    "roundingadjustment": "Adjustment",
    "tax": "Tax",
    "credit": "Credit",
}
"""ChargeType in lower case -> ChargeCategory."""

FREQUENCIES = {"usagebased": "Usage-Based", "onetime": "One-Time", "recurring": "Recurring"}
MODELS = "openai|foundry models|claude|mistral|llama|deepseek|cohere|grok|tokens?([^a-z]|$)"
"""Parts of names of meters of Azure AI that are calls of a managed model."""


def _case(text: str, table: dict[str, tuple[str, ...]]) -> str:
    return lookup(f"lower({text})", {v: c for c, values in table.items() for v in values})


ZERO = "[^1-9]*0[^1-9]*([eE][+-]?[0-9]+)?[^1-9]*"
"""A zero, however it is written: `0.00`, `$0`, `0 USD`, `0E-10`."""


def _positive(text: str) -> str:
    """A price or cost as stored; NULL where it is 0, which stands for unknown."""
    return f"CASE WHEN NOT regexp_full_match({text}, {literal(ZERO)}) THEN {text} END"


def _priced_in(f: Fields) -> str:
    """The currency of prices."""
    return f"COALESCE({f['PricingCurrency']}, {f['BillingCurrency']})"


def _contracted(f: Fields) -> str:
    """The price of a unit as contracted: after partner earned credit (Microsoft Partner Agreement), where a charge has it.

    Where a commitment covers the charge, the effective price is that of the commitment.
    """
    if "PartnerEarnedCreditApplied" not in f:
        return f["UnitPrice"]
    applied = f"lower({f['PartnerEarnedCreditApplied']}) IN ('1', 'true')"
    return f"CASE WHEN {applied} AND NOT {COMMITTED} THEN {f['EffectivePrice']} ELSE {f['UnitPrice']} END"


PRICES = ("19,12", "19,8")
"""Digits of a price below a million, and of others, which a rate of 19 digits leaves room for."""


def _in_billing(price: str, number: str, f: Fields) -> str:
    """A price, `number` where it is one, which is in the pricing currency, in the billing currency: NULL where they differ and the rate is not known.

    What cannot be multiplied stays as a text that is no number, and is counted as such.
    """
    written = f["ExchangeRatePricingToBilling"]
    rate = plain(written, "DECIMAL(19,14)")
    products = (f"CAST(TRY_CAST({number} AS DECIMAL({size})) * {rate} AS DECIMAL(38,12))" for size in PRICES)
    converted = f"CAST(CASE WHEN abs({number}) < 1000000 THEN {' ELSE '.join(products)} END AS VARCHAR)"
    odd = f"{_priced_in(f)} || ' ' || {price} || ' x ' || {written}"
    return f"CASE WHEN {FOREIGN} THEN COALESCE({converted}, {odd}) ELSE {price} END"


def _object(text: str) -> str:
    """JSON whose outer braces may be missing."""
    body = f"trim({text})"
    return f"CASE WHEN {body} = '' OR {body} = '\"\"' THEN NULL WHEN {body} LIKE '{{%' OR {body} LIKE '[%' THEN {body} ELSE '{{' || {body} || '}}' END"


def _after(text: str, interval: str) -> str:
    return f"CAST(CAST(TRY_CAST({text} AS TIMESTAMPTZ) AS TIMESTAMP) + INTERVAL {interval} AS VARCHAR)"


def _type_of(resource_id: str) -> str:
    """The type that an id names: `/subscriptions/s/.../providers/Microsoft.Sql/servers/a/databases/b` is of `microsoft.sql/servers/databases`."""
    path = f"nullif(regexp_extract(lower({resource_id}), '^.*/providers/(.+)$', 1), '')"
    return f"regexp_replace({path}, '(/[^/]+)/[^/]+', '\\1', 'g')"


SOLD_ON = {
    "x_customer_id": ("CustomerTenantId", "lower({})"),
    "x_customer_name": ("CustomerName", "{}"),
    "x_reseller_id": ("ResellerMpnId", "{}"),
    "x_reseller_name": ("ResellerName", "{}"),
}
"""Our column of whom a partner sells to -> the native one, and SQL of its value."""


def to_focus(shape: Shape, exports: Exports) -> Native:
    """A file of an export as FOCUS 1.4.

    Raises:
        SourceError: A mandatory column is missing, or is there in two spellings, or it is a FOCUS export.
    """
    f = Fields(shape)
    cost = f["Cost"]
    usage, covered, list_price, price = "__usage", "__covered", "__list_price", "__price"
    texts = {
        "__number": (cost, f["BillingCurrency"]),
        "__list_number": (list_price, _priced_in(f)),
        "__price_number": (price, _priced_in(f)),
        "__effective": (f["EffectivePrice"], _priced_in(f)),
    }
    number, list_number, price_number, effective = texts
    actual, amortized = among(exports.actual, shape), among(exports.amortized, shape)
    billed = f"CASE WHEN {covered} AND {number} IS NOT NULL AND NOT {actual} THEN '0' ELSE {cost} END"
    repeated = f"CASE WHEN {amortized} THEN NOT {COMMITTED} ELSE {covered} AND {number} = 0 END"
    last = f.day(f["BillingPeriodEndDate"])
    exclusive = f"day(TRY_CAST({last} AS TIMESTAMP)) = day(TRY_CAST({START} AS TIMESTAMP))"
    end = f"CASE WHEN {f['BillingPeriodEndDate']} IS NULL THEN {_after(START, '1 MONTH')} WHEN {exclusive} THEN {last} ELSE COALESCE({_after(last, '1 DAY')}, {last}) END"
    earlier = f"(TRY_CAST({DAY} AS TIMESTAMP) < TRY_CAST({START} AS TIMESTAMP) OR {f['PreviousInvoiceId']} IS NOT NULL)"
    categories = " ".join(f"WHEN {literal(k)} THEN {literal(c)}" for k, c in CATEGORIES.items())
    frequencies = " ".join(f"WHEN {literal(k)} THEN {literal(c)}" for k, c in FREQUENCIES.items())
    unit, quantity = f["UnitOfMeasure"], f["Quantity"]
    single = f"regexp_matches({unit}, '^1[ /]')"
    priced = f"({KIND} = 'usage' OR {UNUSED} OR {KIND} = 'purchase')"
    same = f"{list_number} = {effective}"
    odd = f"CASE WHEN {list_price} IS NOT NULL AND {effective} IS NULL THEN 'effective price ' || {f['EffectivePrice']} END"
    at_list = f"COALESCE({_positive(f['PayGCost'])}, CASE WHEN {same} THEN {cost} END, {odd})"
    unlisted = f"({KIND} = 'purchase' AND {list_price} IS NULL)"
    list_cost = f"CASE WHEN {priced} AND NOT {unlisted} THEN {at_list} ELSE {cost} END"
    place = region_name(f["ResourceLocation"])
    region = region_id(place)
    other = f"(upper({f['PublisherType']}) = 'AWS' OR upper({f['Provider']}) = 'AWS')"
    seller = f"CASE WHEN {f['PublisherType']} = 'Marketplace' THEN {f['PublisherName']} WHEN {other} THEN 'AWS' END"
    provider = f"CASE WHEN {other} THEN 'AWS' ELSE 'Microsoft' END"

    layers = (
        *steps(f),
        {
            usage: f"({KIND} = 'usage' OR {UNUSED})",
            covered: f"({COMMITTED} AND ({KIND} = 'usage' OR {UNUSED}))",
            list_price: f"CASE WHEN {priced} THEN {_positive(f['PayGPrice'])} END",
            price: f"CASE WHEN {priced} THEN {_positive(_contracted(f))} END",
        },
        {
            "__spelled": written_ones(
                [(f"CAST({text} AS VARCHAR)", of, plain(text)) for text, of in texts.values()]
            )
        },
        {
            name: f"COALESCE({plain(text)}, __spelled[{i}])"
            for i, (name, (text, _)) in enumerate(texts.items(), start=1)
        },
    )

    def if_committed(value: str) -> str:
        return f"CASE WHEN {COMMITTED} THEN {value} END"

    columns = {
        "AvailabilityZone": f["AvailabilityZone"],
        "BilledCost": billed,
        "BillingAccountId": f["BillingAccountId"],
        "BillingAccountName": f["BillingAccountName"],
        "BillingCurrency": f["BillingCurrency"],
        "BillingPeriodEnd": end,
        "BillingPeriodStart": START,
        "ChargeCategory": f"CASE {KIND} {categories} ELSE {f['ChargeType']} END",
        "ChargeClass": f"CASE WHEN {KIND} = 'refund' AND {earlier} THEN 'Correction' END",
        "ChargeDescription": f"COALESCE({f['Product']}, {f['MeterName']})",
        "ChargeFrequency": f"CASE lower(replace(COALESCE({f['Frequency']}, CASE WHEN {usage} THEN 'UsageBased' END), '-', '')) {frequencies} ELSE {f['Frequency']} END",
        "ChargePeriodEnd": _after(DAY, "1 DAY"),
        "ChargePeriodStart": f.day(f["Date"]),
        "CommitmentDiscountCategory": f"CASE WHEN {PLAN} THEN 'Spend' WHEN {RESERVED} THEN 'Usage' END",
        "CommitmentDiscountId": if_committed(f"lower(COALESCE({f['BenefitId']}, {f['ReservationId']}))"),
        "CommitmentDiscountName": if_committed(f"COALESCE({f['BenefitName']}, {f['ReservationName']})"),
        "CommitmentDiscountStatus": f"CASE WHEN {UNUSED} THEN 'Unused' WHEN {covered} THEN 'Used' END",
        "CommitmentDiscountType": f"CASE WHEN {PLAN} THEN 'Savings Plan' WHEN {RESERVED} THEN 'Reservation' END",
        "ConsumedQuantity": f"CASE WHEN {KIND} = 'usage' AND {single} THEN {quantity} END",
        "ConsumedUnit": f"CASE WHEN {KIND} = 'usage' AND {single} THEN ltrim(substr({unit}, 2)) END",
        "ContractedCost": f"CASE WHEN NOT {covered} THEN {cost} END",
        "ContractedUnitPrice": _in_billing(price, price_number, f),
        "EffectiveCost": f"CASE WHEN {BOUGHT} AND {number} IS NOT NULL THEN '0' ELSE {cost} END",
        "HostProviderName": provider,
        "InvoiceId": f["InvoiceId"],
        "InvoiceIssuerName": f"COALESCE({f['PartnerName']}, {provider})",
        "ListCost": list_cost,
        "ListUnitPrice": _in_billing(list_price, list_number, f),
        "PricingCategory": f"CASE WHEN {covered} THEN 'Committed' WHEN {MODEL} = 'spot' THEN 'Dynamic' WHEN {KIND} IN ('usage', 'purchase') THEN 'Standard' END",
        "PricingCurrency": f["PricingCurrency"],
        "PricingCurrencyContractedUnitPrice": f"CASE WHEN {FOREIGN} THEN {price} END",
        "PricingCurrencyEffectiveCost": f"CASE WHEN {BOUGHT} AND {FOREIGN} THEN '0' WHEN {FOREIGN} THEN {f['CostInPricingCurrency']} END",
        "PricingCurrencyListUnitPrice": f"CASE WHEN {FOREIGN} THEN {list_price} END",
        "PricingQuantity": f"CASE WHEN {KIND} <> 'tax' THEN {quantity} END",
        "PricingUnit": f"CASE WHEN {KIND} <> 'tax' THEN {unit} END",
        "ProviderName": provider,
        "RegionId": region,
        "RegionName": f"COALESCE({lookup(region, REGION_NAMES['Microsoft'])}, {place})",
        "ResourceId": f"lower({f['ResourceId']})",
        "ResourceName": f"COALESCE({f['ResourceName']}, nullif(regexp_extract({f['ResourceId']}, '/providers/.*/([^/]+)$', 1), ''))",
        "ResourceType": f"COALESCE({f['ResourceType']}, {_type_of(f['ResourceId'])})",
        "ServiceCategory": f"COALESCE({_case(f['MeterCategory'], dict(METERS))}, {_case(f['ServiceFamily'], dict(FAMILIES))}, 'Other')",
        "ServiceName": f"COALESCE({f['MeterCategory']}, {f['Product']})",
        "ServiceProviderName": f"COALESCE({seller}, 'Microsoft')",
        "SkuId": f["ProductId"],
        "SkuMeter": f["MeterName"],
        "SkuPriceId": f"COALESCE({f['PartNumber']}, {f['MeterId']})",
        "SubAccountId": f"lower({f['SubscriptionId']})",
        "SubAccountName": f["SubscriptionName"],
        "Tags": _object(f["Tags"]),
    }  # fmt: skip
    info = _object(f["AdditionalInfo"])
    sold_on = {column: sql.format(f[name]) for column, (name, sql) in SOLD_ON.items() if name in f}
    meter = f"lower(concat_ws(' ', {f['MeterCategory']}, {f['MeterSubCategory']}, {f['MeterName']}))"
    ai = f"lower({f['MeterCategory']}) IN ({', '.join(map(literal, METERS['AI and Machine Learning']))})"
    return Native(
        focus=columns,
        cost=billed,
        currency=f["BillingCurrency"],
        steps=layers,
        skip=f"COALESCE({repeated}, FALSE)" if exports.both else "FALSE",
        skip_rule="in_both_exports",
        model_api=f"{ai} AND regexp_matches({meter}, {literal(MODELS)})",
        ignored=tuple(f.unused()),
        extras={
            "x_additional_info": json_or_text(f"TRY_CAST({info} AS JSON)", f["AdditionalInfo"]),
            **sold_on,
        },
    )
