"""FOCUS 1.0 to 1.4 columns as FOCUS 1.4 columns.

Cleaning values, rejecting rows and counting belong to `connectors/bills/rules.py`: here a column only gets
its name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from connectors.base import SourceError
from connectors.bills.dates import iso_sql
from connectors.bills.files import BillFile
from connectors.bills.native import NAMES, NULL, Native, require
from connectors.bills.numbers import point_sql
from connectors.bills.rules import PERIODS, REJECTING, TAGS, is_null_text
from connectors.bills.shapes import Shape
from connectors.sql import literal, lookup
from models import focus

MANDATORY = (*REJECTING, *PERIODS)
"""Without one of these columns no row of a file has a meaning."""

PERIOD, CHARGED = "BillingPeriodStart", "ChargePeriodStart"
OPTIONAL = {"billingcurrency", "billingperiodstart", "billingperiodend"}
"""Of these columns, those that an option may stand for, as `key` names them."""

OTHER_DATASETS = {
    "contractcommitmentid": "ContractCommitment",
    "invoicedetailid": "InvoiceDetail",
    "billingperiodstatus": "BillingPeriod",
}
"""A column that only another dataset of FOCUS 1.3 and 1.4 has -> its name; cost rows have BilledCost beside it."""


FORMER = {
    "provider": "ProviderName",
    "invoiceissuer": "InvoiceIssuerName",
    "region": "RegionId",
    "usagequantity": "ConsumedQuantity",
    "usageunit": "ConsumedUnit",
}
"""Column of 1.0-preview, which Oracle still delivers -> its name since 1.0, in files that name no provider by its name since."""
SOLD_ON = {
    "xcustomerid": "x_customer_id",
    "xcustomername": "x_customer_name",
    "xresellerid": "x_reseller_id",
    "xresellername": "x_reseller_name",
}
"""Column of Microsoft's own beside FOCUS, as `key` names it -> ours: whom a partner sells to."""
PROVIDERS = ("ServiceProviderName", "ProviderName")
SUBCATEGORY = "chargesubcategory"
"""A column that 1.0-preview alone has, of which `CommitmentDiscountStatus` is what became."""
STATUS = {"used commitment": "Used", "unused commitment": "Unused"}
PRICING = {"on-demand": "Standard", "commitment-based": "Committed"}
"""Value in 1.0-preview, in lower case -> the same since 1.0."""


def key(column: str) -> str:
    """One spelling of a column: `BilledCost`, `BILLED_COST` and `Billed Cost` (the display name) are the same."""
    return re.sub("[ _]", "", column.lower())


CONTRACT = frozenset({"contractid", "contractcommitmentid", "contractcommitmentperiodstart"})
"""Columns that every file of ContractCommitment has, as `key` names them."""


def other_dataset(columns: Sequence[str]) -> str | None:
    """The dataset of a file that holds no cost rows, by its columns; None for cost and usage.

    The contracts themselves are no charges: their purchases are rows of cost and usage.
    """
    names = {key(c) for c in columns}
    if names & {"effectivecost", "chargeperiodstart"}:
        return None
    return next((dataset for column, dataset in OTHER_DATASETS.items() if column in names), None)


def is_header(columns: Sequence[str]) -> bool:
    """The mandatory columns of charges are among them, or those of contracts; options may stand for currency and billing period."""
    names = {key(c) for c in columns}
    return names >= {key(c) for c in MANDATORY} - OPTIONAL or names >= CONTRACT


def is_foreign(columns: Sequence[str]) -> bool:
    """No column is one of a FOCUS dataset."""
    known = {key(name) for name in NAMES} | {*OTHER_DATASETS}
    return known.isdisjoint(map(key, columns))


def is_number(column: str) -> bool:
    """The column holds a number."""
    return key(column) in _OF_TYPE["decimal"] or key(column) == "usagequantity"


def is_moment(column: str) -> bool:
    """The column holds a moment."""
    return key(column) in _OF_TYPE["timestamp"]


_OF_TYPE = {t: {key(c.name) for c in focus.COLUMNS if c.type == t} for t in ("decimal", "timestamp")}


def period_column(bill: BillFile, *, by_charge: bool = False) -> str:
    """The native column with the start of the billing period, or of the charge where the option says that its month is the period.

    Raises:
        SourceError: There is none; or the option says so, and there is a billing period.
    """
    name = CHARGED if by_charge else PERIOD
    named = {key(c): c for c in reversed(bill.columns)} | {c.lower(): c for c in bill.columns}
    if by_charge and PERIOD.lower() in named:
        msg = f"{bill.uri} has a column {PERIOD}, and `billing_period` says that it has none: take the option off, or put the file into a source of its own"
        raise SourceError(msg)
    if name.lower() in named:
        return named[name.lower()]
    hint = (
        ""
        if by_charge
        else ", or, if the provider has none, say `billing_period: charge_month` in the source"
    )
    msg = (
        f"{bill.uri}: mandatory column {name!r} is missing; it has: {', '.join(sorted(bill.columns))}. "
        f"If it is not a FOCUS cost and usage export, move it elsewhere; else put the column back{hint}"
    )
    raise SourceError(msg)


def to_focus(shape: Shape, currency: str | None = None, *, by_charge: bool = False) -> Native:
    """A FOCUS file of any version as FOCUS 1.4; columns of 1.0-preview have their names since.

    1.0 to 1.3 name the provider `ProviderName`; `ServiceProviderName` (1.3 and later) is taken from it where
    absent. `HostProviderName` (1.3) stays NULL where the file does not know it. `PublisherName` is dropped.

    Args:
        shape: The files.
        currency: BillingCurrency of rows that name none; None: they are rejected.
        by_charge: The billing period is the month, in UTC, in which a charge starts.

    Raises:
        SourceError: A mandatory column is missing, or is there twice in different spellings.
    """
    lower = {name.lower(): name for name in NAMES}
    found: dict[str, str] = {}
    own = {name for column in shape.text if (name := lower.get(column.lower()))}
    keys = {key(column): column for column in shape.text}
    if keys.keys().isdisjoint(map(key, PROVIDERS)):
        lower |= {k: name for k, name in FORMER.items() if name.lower() not in keys}
    ignored = []
    for column, text in shape.text.items():
        name = lower.get(key(column))
        if name is None or (name in own and column.lower() not in lower):
            ignored.append(column)
        elif name in found:
            msg = f"{shape.files[0].uri}: column {name!r} is there twice in different spellings; keep one"
            raise SourceError(msg)
        else:
            found[name] = iso_sql(text, shape.dates) if is_moment(column) else text
            if is_number(column):
                found[name] = point_sql(column, shape)
            if name in TAGS:
                found[name] = _record(text, shape.types.get(column, ""))
    if SUBCATEGORY in keys and "CommitmentDiscountStatus" not in found:
        column, priced = keys[SUBCATEGORY], found.get("PricingCategory", NULL)
        ignored.remove(column)
        found["CommitmentDiscountStatus"] = lookup(f"lower({shape.text[column]})", STATUS)
        found["PricingCategory"] = f"COALESCE({lookup(f'lower({priced})', PRICING)}, {priced})"
    if currency:
        named = found.get("BillingCurrency", NULL)
        nothing = f"COALESCE(trim({named}), '') = '' OR {is_null_text(named)}"
        found["BillingCurrency"] = f"CASE WHEN {nothing} THEN {literal(currency)} ELSE {named} END"
    if by_charge and CHARGED in found:
        charged = found[CHARGED]
        month = f"date_trunc('month', CAST(TRY_CAST({charged} AS TIMESTAMPTZ) AS TIMESTAMP))"
        for name, start in ((PERIOD, month), ("BillingPeriodEnd", f"{month} + INTERVAL 1 MONTH")):
            found[name] = f"COALESCE(CAST({start} AS VARCHAR), CAST({charged} AS VARCHAR))"
    require(found, MANDATORY, shape)
    providers = [found[c] for c in PROVIDERS if c in found]
    if providers:
        found.setdefault("ServiceProviderName", providers[0])
    return Native(
        focus=found,
        cost=found["BilledCost"],
        currency=found["BillingCurrency"],
        ignored=tuple(c for c in ignored if key(c) not in SOLD_ON),
        zoned=True,
        extras={SOLD_ON[key(c)]: _label(shape.text[c], key(c)) for c in ignored if key(c) in SOLD_ON},
    )


def _label(text: str, of: str) -> str:
    """SQL: a name, or an id in one case, without texts that stand for null."""
    value = f"lower({text})" if of == "xcustomerid" else text
    return f"CASE WHEN NOT {is_null_text(text)} THEN {value} END"


def _record(text: str, type_: str) -> str:
    """SQL: a record of Parquet as JSON without the fields that are null, which are no tags; any other text as it is."""
    if type_.startswith("STRUCT(") and not type_.endswith("[]"):
        return f"nullif(CAST(json_merge_patch('{{}}', CAST({text} AS JSON)) AS VARCHAR), '{{}}')"
    return text
