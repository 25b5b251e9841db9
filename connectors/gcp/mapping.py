"""BigQuery billing export (standard and detailed) as FOCUS 1.4, as SQL expressions over the columns a file has.

Source: Google's reference of the export's schema. Cleaning values, rejecting rows and counting belong to
`connectors/bills/rules.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from connectors.bills.amounts import plain
from connectors.bills.native import NULL, Native
from connectors.bills.rules import is_null_text
from connectors.bills.shapes import Shape
from connectors.bills.tags import RECORDS, flat_json, json_or_text
from connectors.gcp.columns import PERIOD, Fields, as_json, month_sql
from connectors.gcp.services import SERVICE_CATEGORIES
from connectors.sql import literal, lookup

PROVIDER = "'Google Cloud'"
CREDIT = "__part IS NOT NULL"
"""The row stands for one of its credits, whose JSON is `__part`."""

CATEGORIES = {"regular": "Usage", "tax": "Tax", "adjustment": "Adjustment", "rounding_error": "Adjustment"}
"""cost_type -> ChargeCategory."""

COMMITMENTS = {
    "COMMITTED_USAGE_DISCOUNT": "Usage",
    "COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE": "Spend",
    "FEE_UTILIZATION_OFFSET": "Spend",
}
"""credits.type -> CommitmentDiscountCategory."""

COMMITTED_MODELS = "(^|[^A-Za-z])CUDs?([^A-Za-z]|$)"
"""Descriptions of consumption models under which usage is billed at the price of a commitment: `Cloud Spanner CUD - 1 Year`."""

ADJUSTMENT = ("id", "description", "mode", "type")
"""Fields of adjustment_info."""

MODELS = "gemini|claude|mistral|llama|palm|deepseek|qwen|generative|imagen|veo |embedding|tokens?([^a-z]|$)"
"""Parts of names of SKUs of Vertex AI that are calls of a managed model, not rented machines."""


def credit_parts(credits: str, content: str) -> str:
    """SQL: the credits of a row as a list of JSON texts, of an array or of one object; none where the amount is 0.

    What is neither becomes one part without an amount, so that the row's credit is rejected and not lost.

    Args:
        credits: Their text.
        content: The text as JSON.
    """
    each = f"CASE WHEN json_type({content}) = 'OBJECT' THEN [CAST({content} AS VARCHAR)] ELSE CAST(from_json({content}, '[\"JSON\"]') AS VARCHAR[]) END"
    amount = plain("json_extract_string(TRY_CAST(c AS JSON), '$.amount')")
    kept = f"list_filter({each}, lambda c: c IS NOT NULL AND c <> '{{}}' AND {amount} IS DISTINCT FROM 0)"
    return (
        f"CASE WHEN json_type({content}) IN ('OBJECT', 'ARRAY') THEN {kept} "
        f"WHEN json_type({content}) = 'NULL' OR {credits} IS NULL OR {is_null_text(credits)} OR {credits} = 'None' THEN CAST([] AS VARCHAR[]) "
        f"ELSE [{credits}] END"
    )


LABELS = {"labels": "", "project.labels": "gcp:project.", "tags": "gcp:tag.", "system_labels": "gcp:"}
"""Columns of labels -> what their keys begin with as tags."""


def tags(f: Fields, contents: Mapping[str, str]) -> str:
    """SQL: labels as an array of keys and values; those of the project and of Google with a prefix. A valueless key is true.

    Labels that are no array are an element without a key, to be counted as malformed. NULL where there is none; an
    object instead of an array is kept.

    Args:
        f: The columns.
        contents: Column of labels -> SQL of it as JSON.
    """
    lists = []
    for name, content in contents.items():
        prefix = LABELS[name]
        found = f"from_json({content}, {RECORDS})"
        pairs = f"list_transform({found}, lambda p: {{'key': {literal(prefix)} || p.key, 'value': nullif(p.value, '')}})"
        nothing = f"{f[name]} IS NULL OR {is_null_text(f[name])} OR {f[name]} = 'None'"
        odd = f"NOT ({nothing}) AND json_type({content}) IS DISTINCT FROM 'ARRAY'"
        lists.append(
            f"CASE WHEN {odd} THEN [{{'key': CAST(NULL AS VARCHAR), 'value': {f[name]}}}] ELSE {pairs} END"
        )
    if not lists:
        return NULL
    labels = contents.get("labels", NULL)
    joined = f"CAST(to_json(list_concat({', '.join(lists)})) AS VARCHAR)"
    return f"CASE WHEN json_type({labels}) = 'OBJECT' THEN {f['labels']} ELSE nullif({joined}, '[]') END"


def to_focus(shape: Shape) -> Native:
    """A file of the export as FOCUS 1.4.

    Every credit of a row is a row of its own, so that the net cost, cost + sum(credits[].amount), is what the
    rows of a month add up to. Google bills commitments as they run and grants what they cover as credits, so
    what is billed is also the effective cost. Since 2025 it bills what a spend-based commitment covers at a lower price,
    named by its consumption model; contracted are then cost and price of the default model. A list cost is known only where the export has `cost_at_list`.

    Raises:
        SourceError: A mandatory column is missing, or is there in two spellings.
    """
    f = Fields(shape)

    def either(of_credit: str, of_row: str) -> str:
        return f"CASE WHEN {CREDIT} THEN {of_credit} ELSE {of_row} END"

    def credits(name: str) -> str:
        return f"nullif(json_extract_string(__credit, '$.{name}'), '')"

    labels = [name for name in LABELS if name in f]
    contents = {name: f"__labels{i}" for i, name in enumerate(labels)}
    before = {"__credits": as_json(f["credits"])} | {of: as_json(f[name]) for name, of in contents.items()}
    kind, sku, start, service, subscription = "__kind", "__sku", "__start", "__service", "__subscription"
    amount, credit_id, credit_type, by_commitment = (
        "__credit_amount",
        "__credit_id",
        "__credit_type",
        "__by_commitment",
    )
    bought, priced, used = "__bought", "__priced", "__used"
    cost = either(amount, f["cost"])
    next_month = f"CAST(CAST(TRY_CAST({start} AS DATE) + INTERVAL 1 MONTH AS DATE) AS VARCHAR)"
    began = f"TRY_CAST({f['usage_start_time']} AS TIMESTAMPTZ) < TRY_CAST({start} AS TIMESTAMPTZ)"
    categories = " ".join(f"WHEN {literal(k)} THEN {literal(c)}" for k, c in CATEGORIES.items())
    category = lookup(service, {p: c for c, products in SERVICE_CATEGORIES.items() for p in products})
    seller = f"CASE WHEN {f['transaction_type']} LIKE 'THIRD_PARTY%' THEN {f['seller_name']} END"
    committed = " ".join(
        f"WHEN {credit_type} = {literal(k)} THEN {literal(c)}" for k, c in COMMITMENTS.items()
    )
    is_commitment = f"{by_commitment} IS NOT NULL AND {credit_id} IS NOT NULL"
    steps = (
        {
            "__credit": "TRY_CAST(__part AS JSON)",
            kind: f"COALESCE({f['cost_type']}, 'regular')",
            sku: f["sku.description"],
            service: f["service.description"],
            start: month_sql(f[PERIOD]),
        },
        {
            amount: f"COALESCE({credits('amount')}, 'no amount: ' || __part)",
            credit_id: credits("id"),
            credit_type: credits("type"),
            bought: f"({kind} = 'regular' AND regexp_matches(COALESCE({sku}, ''), '^Commitment'))",
            priced: f"(__part IS NULL AND {kind} = 'regular')",
        },
        {
            by_commitment: f"CASE {committed} END",
            used: f"({priced} AND NOT {bought})",
            subscription: f"CASE WHEN {bought} THEN {f['subscription.instance_id']} END",
        },
    )
    by_model = (
        f"regexp_matches(COALESCE({f['consumption_model.description']}, ''), {literal(COMMITTED_MODELS)})"
    )
    contracted = f.first("cost_at_effective_price_default", "cost")

    def when_used(value: str) -> str:
        return f"CASE WHEN {used} THEN {value} END"

    def when_priced(value: str) -> str:
        return f"CASE WHEN {priced} THEN {value} END"

    columns = {
        "AvailabilityZone": f["location.zone"],
        "BilledCost": cost,
        "BillingAccountId": f["billing_account_id"],
        "BillingCurrency": f["currency"],
        "BillingPeriodEnd": next_month,
        "BillingPeriodStart": start,
        "ChargeCategory": either(
            "'Credit'",
            f"CASE WHEN {bought} THEN 'Purchase' ELSE CASE {kind} {categories} ELSE {kind} END END",
        ),
        "ChargeClass": f"CASE WHEN __part IS NULL AND {kind} = 'adjustment' AND {began} THEN 'Correction' END",
        "ChargeDescription": either(f"COALESCE({credits('full_name')}, {credits('name')}, {sku})", sku),
        "ChargeFrequency": f"CASE WHEN {bought} AND __part IS NULL THEN 'Recurring' WHEN {kind} = 'regular' THEN 'Usage-Based' ELSE 'One-Time' END",
        "ChargePeriodEnd": f["usage_end_time"],
        "ChargePeriodStart": f["usage_start_time"],
        "CommitmentDiscountCategory": either(
            f"CASE WHEN {is_commitment} THEN {by_commitment} END",
            f"CASE WHEN {subscription} IS NOT NULL THEN CASE WHEN contains(lower({sku}), 'dollar') THEN 'Spend' ELSE 'Usage' END END",
        ),
        "CommitmentDiscountId": either(f"CASE WHEN {is_commitment} THEN {credit_id} END", subscription),
        "CommitmentDiscountName": either(
            f"CASE WHEN {is_commitment} THEN {credits('name')} END",
            f"CASE WHEN {subscription} IS NOT NULL THEN {sku} END",
        ),
        "CommitmentDiscountType": either(
            f"CASE WHEN {is_commitment} THEN 'Committed Use Discount' END",
            f"CASE WHEN {subscription} IS NOT NULL THEN 'Committed Use Discount' END",
        ),
        "ConsumedQuantity": when_used(f["usage.amount"]),
        "ConsumedUnit": when_used(f["usage.unit"]),
        "ContractedCost": either(
            amount, f"CASE WHEN {kind} = 'regular' THEN {contracted} ELSE {f['cost']} END"
        ),
        "ContractedUnitPrice": when_priced(f.first("price.effective_price_default", "price.effective_price")),
        "EffectiveCost": cost,
        "HostProviderName": PROVIDER,
        "InvoiceIssuerName": PROVIDER,
        "ListCost": either(
            amount, f"CASE WHEN {kind} = 'regular' THEN {f['cost_at_list']} ELSE {f['cost']} END"
        ),
        "ListUnitPrice": when_priced(f["price.list_price"]),
        "PricingCategory": f"CASE WHEN {used} AND regexp_matches(lower({sku}), '^(spot |preemptible )|spot preemptible') THEN 'Dynamic' "
        f"WHEN {used} AND {by_model} THEN 'Committed' "
        f"WHEN {priced} THEN 'Standard' END",
        "PricingQuantity": when_priced(f["usage.amount_in_pricing_units"]),
        "PricingUnit": when_priced(f["usage.pricing_unit"]),
        "ProviderName": PROVIDER,
        "RegionId": f["location.region"],
        "ResourceId": f.first("resource.global_name", "resource.name"),
        "ResourceName": f["resource.name"],
        "ServiceCategory": f"COALESCE({category}, 'Other')",
        "ServiceName": service,
        "ServiceProviderName": f"COALESCE({seller}, {PROVIDER})",
        "SkuId": f["sku.id"],
        "SkuMeter": sku,
        "SubAccountId": f["project.id"],
        "SubAccountName": f["project.name"],
        "Tags": tags(f, contents),
    }
    above = f["project.ancestors"]
    extras = {
        "x_adjustment_info": flat_json({n: f[f"adjustment_info.{n}"] for n in ADJUSTMENT}),
        "x_project_ancestors": f"nullif({json_or_text(as_json(above), above)}, '[]')",
        "x_project_ancestry_numbers": f["project.ancestry_numbers"],
    }
    return Native(
        focus=columns,
        cost=cost,
        currency=f["currency"],
        parts=credit_parts(f["credits"], "__credits"),
        before=before,
        steps=steps,
        model_api=f"{service} = 'Vertex AI' AND regexp_matches(lower({sku}), {literal(MODELS)})",
        ignored=tuple(f.unused()),
        extras=extras,
    )
