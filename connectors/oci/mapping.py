"""OCI cost report columns as FOCUS 1.4, as SQL expressions over the columns a file has.

Source: Oracle's reference of the cost report. Cleaning values, rejecting rows and counting belong to
`connectors/bills/rules.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from connectors.base import SourceError
from connectors.bills.dates import certain, iso_sql
from connectors.bills.files import BillFile
from connectors.bills.native import NULL, Native, require
from connectors.bills.numbers import point_sql, spread
from connectors.bills.shapes import Shape
from connectors.bills.tags import flat_json
from connectors.epochs import sql_plausible
from connectors.oci.services import SERVICE_CATEGORIES
from connectors.sql import literal

PERIOD = "lineItem/intervalUsageStart"
MANDATORY = ("lineItem/tenantId", PERIOD, "lineItem/intervalUsageEnd", "cost/myCost", "cost/currencyCode")
"""Without one of these columns no row of a file has a meaning."""

MOMENTS = (PERIOD.lower(), "lineitem/intervalusageend")
"""Columns with a moment, in lower case."""

NUMBERS = ("cost/mycost", "cost/unitprice", "usage/billedquantity")
"""Columns with a number, likewise."""

TAG = "tags/"
PROVIDER = "'Oracle'"
MODELS = "generative[ _]ai|cohere|llama|grok|tokens?([^a-z]|$)"
"""Parts of names of services and products that are calls of a managed model."""


def period_column(bill: BillFile) -> str:
    """The native column with the start of usage: the report names no billing period, and OCI bills by month of usage.

    Raises:
        SourceError: There is none, or it is a FOCUS report.
    """
    for column in bill.columns:
        if column.lower() == PERIOD.lower():
            return column
    if {"BilledCost", "ChargeCategory"} <= set(bill.columns):
        msg = (
            f"{bill.uri} is a FOCUS report, not a cost report; read it with kind `focus`, or set `location` to "
            "the folder of the cost reports"
        )
        raise SourceError(msg)
    msg = (
        f"{bill.uri}: mandatory column {PERIOD!r} is missing; it has: {', '.join(sorted(bill.columns))}. "
        "If it is not an OCI cost report, move it elsewhere; else put the column back"
    )
    raise SourceError(msg)


def written(bill: BillFile) -> BillFile:
    """The file with the order of its dates and the form of its numbers, where a spreadsheet wrote them anew.

    Raises:
        SourceError: One cannot be told.
    """
    bill = certain(bill, [c for c in bill.columns if c.lower() in MOMENTS])
    return spread(bill, [c for c in bill.columns if c.lower() in NUMBERS])


def is_header(columns: Sequence[str]) -> bool:
    """The mandatory columns are among them."""
    return {c.lower() for c in MANDATORY} <= {c.lower() for c in columns}


class Fields:
    """The native columns of a shape by name in any case, as SQL text expressions; NULL where one is absent.

    Raises:
        SourceError: A mandatory column is missing, or one is there in two spellings.
    """

    def __init__(self, shape: Shape) -> None:
        self.tags: dict[str, str] = {}
        self._columns: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._used: set[str] = set()
        for column, text in shape.text.items():
            if column.startswith(TAG):
                self.tags[column.removeprefix(TAG)] = text
                continue
            if column.lower() in self._columns:
                msg = (
                    f"{shape.files[0].uri}: column {column!r} is there twice in different spellings; keep one"
                )
                raise SourceError(msg)
            number = point_sql(column, shape) if column.lower() in NUMBERS else text
            is_moment = column.lower() in MOMENTS
            self._columns[column.lower()] = iso_sql(text, shape.dates) if is_moment else number
            self._names[column.lower()] = column
        require({n: n for n in MANDATORY if n.lower() in self._columns}, MANDATORY, shape)

    def __getitem__(self, name: str) -> str:
        self._used.add(name.lower())
        return self._columns.get(name.lower(), NULL)

    def unused(self) -> tuple[str, ...]:
        """Columns that nothing was asked of, so far."""
        return tuple(name for key, name in self._names.items() if key not in self._used)


def to_focus(shape: Shape) -> Native:
    """A cost report as FOCUS 1.4.

    `cost/myCost` includes overage. The report knows no list price and amortises nothing. A correction that a
    report brings for a month before its newest one corrects what was invoiced.

    Raises:
        SourceError: A mandatory column is missing, or is there in two spellings.
    """
    f = Fields(shape)
    cost, start = f["cost/myCost"], f[PERIOD]
    moment = f"CAST(TRY_CAST({start} AS TIMESTAMPTZ) AS TIMESTAMP)"
    month = f"CASE WHEN {sql_plausible(moment)} THEN date_trunc('month', {moment}) END"
    corrects = f"lower({f['lineItem/isCorrection']}) = 'true' AND {f['lineItem/backreferenceNo']} IS NOT NULL"
    service = f["product/service"]
    services = " ".join(
        f"WHEN {literal(p)} THEN {literal(c)}" for c, products in SERVICE_CATEGORIES.items() for p in products
    )
    unit = f"COALESCE({f['cost/billingUnitReadable']}, {f['cost/skuUnitDescription']})"
    used = f"concat_ws(' ', {service}, {f['product/Description']})"
    columns = {
        "AvailabilityZone": f["product/availabilityDomain"],
        "BilledCost": cost,
        "BillingAccountId": f["lineItem/tenantId"],
        "BillingCurrency": f["cost/currencyCode"],
        "BillingPeriodEnd": f"COALESCE(CAST({month} + INTERVAL 1 MONTH AS VARCHAR), {start})",
        "BillingPeriodStart": f"COALESCE(CAST({month} AS VARCHAR), {start})",
        "ChargeCategory": "'Usage'",
        "ChargeClass": f"CASE WHEN {corrects} AND {month} < DATE '{max(shape.months)}' THEN 'Correction' END",
        "ChargeDescription": f["product/Description"],
        "ChargeFrequency": "'Usage-Based'",
        "ChargePeriodEnd": f["lineItem/intervalUsageEnd"],
        "ChargePeriodStart": start,
        "ContractedCost": cost,
        "ContractedUnitPrice": f["cost/unitPrice"],
        "EffectiveCost": cost,
        "HostProviderName": PROVIDER,
        "InvoiceIssuerName": PROVIDER,
        "PricingCategory": "'Standard'",
        "PricingQuantity": f["usage/billedQuantity"],
        "PricingUnit": unit,
        "ProviderName": PROVIDER,
        "RegionId": f["product/region"],
        "ResourceId": f["product/resourceId"],
        "ResourceType": f"nullif(regexp_extract({f['product/resourceId']}, '^ocid1\\.([^.]+)\\.', 1), '')",
        "ServiceCategory": f"CASE upper({service}) {services} ELSE 'Other' END",
        "ServiceName": service,
        "ServiceProviderName": PROVIDER,
        "SkuId": f["cost/productSku"],
        "SkuMeter": f["product/Description"],
        "SubAccountId": f["product/compartmentId"],
        "SubAccountName": f["product/compartmentName"],
        "Tags": flat_json(f.tags),
    }
    return Native(
        focus=columns,
        cost=cost,
        currency=f["cost/currencyCode"],
        model_api=f"regexp_matches(lower({used}), {literal(MODELS)})",
        ignored=f.unused(),
    )
