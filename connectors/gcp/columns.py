"""Columns of the BigQuery billing export, nested or flattened, as SQL text expressions.

What they mean in FOCUS belongs to `mapping.py` beside this.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date

from connectors.base import SourceError
from connectors.bills.dates import certain, iso_sql
from connectors.bills.files import JSON_FORMS, BillFile
from connectors.bills.months import parse_month
from connectors.bills.native import NULL, require
from connectors.bills.numbers import point_sql, spread
from connectors.bills.shapes import Shape
from connectors.sql import literal

PERIOD = "invoice.month"
MANDATORY = ("billing_account_id", "cost", "currency", "usage_start_time", "usage_end_time", PERIOD)
"""Without one of these columns no row of a file has a meaning."""

OPTIONAL = (
    "service", "sku", "project", "labels", "system_labels", "tags", "location", "usage", "credits", "cost_type",
    "resource", "price", "cost_at_list", "transaction_type", "seller_name", "subscription",
    "adjustment_info", "consumption_model", "cost_at_effective_price_default",
)  # fmt: skip
"""Top-level columns that a row may lack; a JSON line leaves out what is null."""

MOMENTS = ("usagestarttime", "usageendtime")
"""Columns that hold a moment and are read, as `_key` names them."""

NUMBERS = frozenset({
    "cost", "costatlist", "costateffectivepricedefault", "usageamount", "usageamountinpricingunits", "priceeffectiveprice",
    "priceeffectivepricedefault", "pricelistprice", "pricepricingunitquantity",
})  # fmt: skip
"""Columns that hold a number in a CSV, likewise."""

UNMARKED = '{"list":['
MONTH = r"(?:(\d{4})(\d{2})(?:\.0)?|(\d{4})[-/](\d{2})(?:[-/]01(?:[ T]00:00:00(?:\.0+)?(?: ?UTC|Z|\+00(?::?00)?)?)?)?)"
"""An invoice month: `202601` (`202601.0` where pandas wrote it), or as `2026-01` and `2026-01-01`; year and month are groups."""


def _key(column: str) -> str:
    """`invoice.month`, `invoice_month` and `Invoice Month` are the same column."""
    return re.sub(r"[^a-z0-9]", "", column.lower())


def parse_invoice_month(text: str | None) -> date | None:
    """First day of an invoice month such as 202601; None if it is none."""
    found = re.fullmatch(MONTH, (text or "").strip())
    return parse_month(f"{found[1] or found[3]}-{found[2] or found[4]}-01") if found else None


def month_sql(text: str) -> str:
    """SQL of the same, as text; one that names a day or a time instead is no date to anybody after this."""
    first = f"regexp_replace(trim({text}), {literal(f'^{MONTH}$')}, '\\1\\3-\\2\\4-01')"
    return f"CASE WHEN regexp_full_match(trim({text}), {literal(MONTH)}) THEN {first} WHEN regexp_matches({text}, '[0-9]') THEN 'no month: ' || {text} ELSE {text} END"


def period_column(bill: BillFile) -> str:
    """The native column with the invoice month.

    Raises:
        SourceError: There is none.
    """
    for column in bill.columns:
        if _key(column) == _key(PERIOD):
            return column
    if "invoice" in bill.columns:
        return PERIOD
    there = set(bill.columns) - (set(OPTIONAL) if bill.form in JSON_FORMS else set())
    msg = (
        f"{bill.uri}: mandatory column {PERIOD!r} is missing; it has: {', '.join(sorted(there)) or 'none of its own'}. "
        "If it is not a BigQuery billing export, move it elsewhere; else put the column back"
    )
    raise SourceError(msg)


def written(bill: BillFile) -> BillFile:
    """The file with the order of its dates and the form of its numbers, where a spreadsheet wrote them anew.

    Raises:
        SourceError: One cannot be told.
    """
    bill = certain(bill, [c for c in bill.columns if _key(c) in MOMENTS])
    return spread(bill, [c for c in bill.columns if _key(c) in NUMBERS])


def is_header(columns: Sequence[str]) -> bool:
    """The mandatory columns are among them."""
    return {_key(c) for c in MANDATORY} <= {_key(c) for c in columns}


def as_json(text: str) -> str:
    """SQL: a text as JSON; NULL if it is neither JSON nor as Python writes nested values to CSV.

    - A repeated column that a Parquet file does not mark as a list, `{"list":[{"element":x}]}`, is the list of its elements.
    - pandas writes Python literals, and arrays of numpy, which have no comma between two records.
    """
    elements = f"to_json(json_extract(TRY_CAST({text} AS JSON), '$.list[*].element'))"
    unmarked = f"CASE WHEN starts_with({text}, {literal(UNMARKED)}) THEN {elements} END"
    quoted = f"regexp_replace({text}, '(''\\s*:\\s*)None(\\s*[,}}])', '\\1null\\2', 'g')"
    quoted = f"regexp_replace({quoted}, '''((?:[^''\"\\\\])*)''', '\"\\1\"', 'g')"
    quoted = f"regexp_replace({quoted}, '\\}}\\s+\\{{', '}}, {{', 'g')"
    return f"COALESCE({unmarked}, TRY_CAST({text} AS JSON), TRY_CAST({quoted} AS JSON))"


class Fields:
    """The native columns of a shape by their names in BigQuery (`service.description`), as SQL text expressions.

    Nested columns (JSON lines, Parquet) are taken apart; a column that is not there is NULL.

    Raises:
        SourceError: A mandatory column is missing, or one is there in two spellings.
    """

    def __init__(self, shape: Shape) -> None:
        self._columns: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._used: set[str] = set()
        for column, text in shape.text.items():
            if _key(column) in self._columns:
                msg = (
                    f"{shape.files[0].uri}: column {column!r} is there twice in different spellings; keep one"
                )
                raise SourceError(msg)
            number = point_sql(column, shape) if _key(column) in NUMBERS else text
            self._columns[_key(column)] = iso_sql(text, shape.dates) if _key(column) in MOMENTS else number
            self._names[_key(column)] = column
        require({n: n for n in MANDATORY if n in self}, MANDATORY, shape)

    def __contains__(self, name: str) -> bool:
        return _key(name) in self._columns or _key(name.split(".", maxsplit=1)[0]) in self._columns

    def __getitem__(self, name: str) -> str:
        outer, _, inner = name.partition(".")
        if _key(name) in self._columns:
            self._used.add(_key(name))
            return self._columns[_key(name)]
        if inner and _key(outer) in self._columns:
            self._used.add(_key(outer))
            path = literal("$." + ".".join(f'"{part}"' for part in inner.split(".")))
            nested = f"json_extract_string(TRY_CAST({self._columns[_key(outer)]} AS JSON), {path})"
            return f"nullif({nested}, '')"
        return NULL

    def first(self, *names: str) -> str:
        """The first of the columns that has a value in the row."""
        return f"COALESCE({', '.join(self[n] for n in names)})"

    def unused(self) -> Sequence[str]:
        """Columns that nothing was asked of, so far."""
        return [name for key, name in self._names.items() if key not in self._used]
