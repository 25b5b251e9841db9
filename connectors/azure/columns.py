"""Columns of Azure cost exports in all their spellings (EA, MCA, pay-as-you-go, camelCase, localised) as SQL text.

What they mean in FOCUS belongs to `mapping.py` beside this.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date

from connectors.base import SourceError
from connectors.bills.dates import dated, iso_sql
from connectors.bills.files import BillFile
from connectors.bills.months import parse_month
from connectors.bills.native import NULL
from connectors.bills.numbers import numbered, point_sql
from connectors.bills.shapes import Shape
from connectors.sql import literal

ALIASES: Mapping[str, tuple[str, ...]] = {
    "Cost": ("costinbillingcurrency", "pretaxcost", "cost"),
    "BillingCurrency": ("billingcurrency", "billingcurrencycode", "currency", "currencycode"),
    "Date": ("date", "usagedatetime", "usagedate"),
    "BillingPeriodStartDate": ("billingperiodstartdate",),
    "BillingPeriodEndDate": ("billingperiodenddate",),
    "SubscriptionId": ("subscriptionid", "subscriptionguid"),
    "ResourceId": ("resourceid", "instanceid", "instancename"),
    "Quantity": ("quantity", "usagequantity", "consumedquantity"),
    "PayGPrice": ("paygprice", "marketprice"),
    "PayGCost": ("paygcostinbillingcurrency",),
    "UnitPrice": ("unitprice", "resourcerate"),
    "PricingCurrency": ("pricingcurrency", "pricingcurrencycode"),
    "ResourceGroup": ("resourcegroup", "resourcegroupname"),
    "Product": ("product", "productname"),
    "ResourceLocation": ("resourcelocation", "location"),
}
"""Name used here -> names in exports, lower case; all others have one name. The first with a value counts."""

NUMBERS = {a for name in ("Cost", "Quantity", "PayGPrice", "PayGCost", "UnitPrice") for a in ALIASES[name]}
NUMBERS |= {"effectiveprice", "costinpricingcurrency", "exchangeratepricingtobilling"}
"""Columns of numbers, as `key` names them."""

MANDATORY = ("Cost", "BillingCurrency", "Date")
"""Without one of these columns no row of a file has a meaning."""

FOCUS_ONLY = {"billedcost", "chargecategory"}

WRITTEN_DAY = r"^(?:(\d{1,2})/(\d{1,2})/(\d{4})|(\d{4})(\d{2})(\d{2})$)"
"""A date as exports write it, 09/04/2026, or 20260904 as queries do; ISO 8601 needs no change."""
US_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})(.*)")


def key(column: str) -> str:
    """One spelling: a localised header has the English name in brackets, `Abonnement-GUID (SubscriptionGuid)`."""
    inner = re.search(r"\(([A-Za-z_ ]+)\)\s*$", column)
    return re.sub(r"[\s_]", "", (inner[1] if inner else column).lower())


def aliases(name: str) -> tuple[str, ...]:
    """The spellings of a column."""
    return ALIASES.get(name, (name.lower(),))


def parse_azure_month(text: str | None) -> date | None:
    """First day of the month of MM/DD/YYYY or an ISO date; None if it is neither."""
    found = US_DATE.fullmatch((text or "").strip())
    return parse_month(f"{found[3]}-{found[1]:0>2}-{found[2]:0>2}" if found else text)


def written(bill: BillFile) -> BillFile:
    """The file with the form of its numbers, and the order of its dates where somebody wrote them as day/month/year.

    Azure writes MM/DD/YYYY; where only some dates are no such date, their rows are rejected.

    Raises:
        SourceError: The form of numbers cannot be told.
    """
    bill = numbered(bill, [c for c in bill.columns if key(c) in NUMBERS])
    there = {key(c): c for c in bill.columns}
    names = ("BillingPeriodStartDate", "BillingPeriodEndDate", "Date")
    moments = [there[a] for name in names for a in aliases(name) if a in there]
    try:
        found = dated(bill, "", moments)
    except SourceError:
        return bill
    return found if found.dates == "dmy" else bill


def period_columns(bill: BillFile) -> list[str]:
    """The native columns that say the month of a row: the billing period, and where that is empty the date.

    Raises:
        SourceError: There is none, or it is a FOCUS export.
    """
    there = {key(c): c for c in bill.columns}
    _refuse_focus(bill.uri, there)
    names = [*aliases("BillingPeriodStartDate"), *aliases("Date")]
    found = [there[n] for n in names if n in there]
    if not found:
        raise SourceError(_missing(bill.uri, "Date", bill.columns))
    return found


def is_header(columns: Sequence[str]) -> bool:
    """The mandatory columns are among them."""
    there = {key(c) for c in columns}
    return all(there.intersection(aliases(name)) for name in MANDATORY)


def _refuse_focus(uri: str, keys: Mapping[str, object]) -> None:
    if set(keys) >= FOCUS_ONLY:
        msg = (
            f"{uri} is a FOCUS export (it has BilledCost and ChargeCategory), not a cost export of type actual "
            "or amortized; read this location with kind `focus`"
        )
        raise SourceError(msg)


def _missing(uri: str, name: str, columns: Sequence[str]) -> str:
    known = " or ".join(repr(a) for a in aliases(name))
    return (
        f"{uri}: mandatory column {name!r} is missing (also known as {known}, in any case); it has: "
        f"{', '.join(sorted(columns))}. If it is not an Azure cost export, move it elsewhere; else put the column back"
    )


class Fields:
    """The native columns of a shape by one name each, as SQL text expressions; NULL where one is absent.

    Raises:
        SourceError: A mandatory column is missing, one is there in two spellings, or it is a FOCUS export.
    """

    def __init__(self, shape: Shape) -> None:
        self._columns: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._used: set[str] = set()
        self._dates = shape.dates
        uri = shape.files[0].uri
        for column, text in shape.text.items():
            if key(column) in self._columns:
                msg = f"{uri}: column {column!r} is there twice in different spellings; keep one"
                raise SourceError(msg)
            self._columns[key(column)] = point_sql(column, shape) if key(column) in NUMBERS else text
            self._names[key(column)] = column
        _refuse_focus(uri, self._columns)
        for name in MANDATORY:
            if name not in self:
                raise SourceError(_missing(uri, name, list(shape.text)))

    def __contains__(self, name: str) -> bool:
        return any(a in self._columns for a in aliases(name))

    def __getitem__(self, name: str) -> str:
        there = [a for a in aliases(name) if a in self._columns]
        self._used.update(there)
        if len(there) < 2:
            return self._columns[there[0]] if there else NULL
        return f"COALESCE({', '.join(self._columns[a] for a in there)})"

    def day(self, text: str) -> str:
        """SQL: a date as YYYY-MM-DD, from MM/DD/YYYY, YYYYMMDD or from the order that the file's dates prove."""
        if self._dates == "dmy":
            return iso_sql(text, self._dates)
        return f"regexp_replace(trim({text}), {literal(WRITTEN_DAY)}, '\\3\\4-\\1\\5-\\2\\6')"

    def unused(self) -> Sequence[str]:
        """Columns that nothing was asked of, so far."""
        return [name for k, name in self._names.items() if k not in self._used]
