"""Columns of AWS Cost and Usage Reports, legacy and 2.0, by their legacy names, as SQL expressions.

2.0 spells `lineItem/UnblendedCost` as `line_item_unblended_cost` and keeps tags and most product attributes in maps.
What they mean in FOCUS belongs to `mapping.py` beside this.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from connectors.base import SourceError
from connectors.bills.dates import certain, iso_sql
from connectors.bills.files import BillFile
from connectors.bills.native import require
from connectors.bills.numbers import point_sql, spread
from connectors.bills.rules import is_null_text
from connectors.bills.shapes import NUMERIC, Shape
from connectors.bills.tags import flat_pairs, is_pairs, pairs
from connectors.sql import identifier, literal

MANDATORY = (
    "lineItem/UnblendedCost",
    "lineItem/CurrencyCode",
    "lineItem/LineItemType",
    "lineItem/UsageStartDate",
    "lineItem/UsageEndDate",
    "lineItem/UsageAccountId",
    "bill/BillingPeriodStartDate",
    "bill/BillingPeriodEndDate",
)
"""Without one of these columns no row of a file has a meaning."""

PERIOD = "bill/BillingPeriodStartDate"
PAYER = "bill/PayerAccountId"
NUMBERS = (
    "lineItem/UnblendedCost", "lineItem/UsageAmount", "pricing/publicOnDemandCost",
    "reservation/AmortizedUpfrontCostForUsage", "reservation/EffectiveCost", "reservation/RecurringFeeForUsage", "reservation/UnusedRecurringFee",
    "reservation/UnusedAmortizedUpfrontFeeForBillingPeriod", "savingsPlan/SavingsPlanEffectiveCost",
    "savingsPlan/TotalCommitmentToDate", "savingsPlan/UsedCommitment",
)  # fmt: skip
NET = {
    "lineItem/UnblendedCost": "lineItem/NetUnblendedCost",
    "reservation/AmortizedUpfrontCostForUsage": "reservation/NetAmortizedUpfrontCostForUsage",
    "reservation/EffectiveCost": "reservation/NetEffectiveCost",
    "reservation/RecurringFeeForUsage": "reservation/NetRecurringFeeForUsage",
    "reservation/UnusedAmortizedUpfrontFeeForBillingPeriod": "reservation/NetUnusedAmortizedUpfrontFeeForBillingPeriod",
    "reservation/UnusedRecurringFee": "reservation/NetUnusedRecurringFee",
    "savingsPlan/SavingsPlanEffectiveCost": "savingsPlan/NetSavingsPlanEffectiveCost",
}
"""Amount -> the same after discounts, in reports of payers who have any."""
TOTAL_DISCOUNT = "discount/TotalDiscount"
RATES = ("lineItem/UnblendedRate", "lineItem/NetUnblendedRate", "pricing/publicOnDemandRate")
MOMENTS = (PERIOD, "bill/BillingPeriodEndDate", "lineItem/UsageStartDate", "lineItem/UsageEndDate")
TAG = re.compile(r"resource_?tags[/_](?:(?P<owner>user|aws)[:_])?(?P<name>.+)", re.IGNORECASE)


def _key(column: str) -> str:
    """`lineItem/UnblendedCost` and `line_item_unblended_cost` are the same column."""
    return re.sub(r"[^a-z0-9]", "", column.lower())


def _snake(name: str) -> str:
    """`lineItem/UnblendedCost` as CUR 2.0 writes it: `line_item_unblended_cost`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).replace("/", "_").lower()


WRITTEN = frozenset(map(_key, (*NUMBERS, *NET.values(), TOTAL_DISCOUNT, *RATES)))
"""Columns of numbers, as `_key` names them."""


def is_number(column: str) -> bool:
    """The column holds an amount or a quantity. Prices are text, in CUR 2.0 as well."""
    return _key(column) in {_key(n) for n in (*NUMBERS, *NET.values())}


def is_price(column: str) -> bool:
    """The column holds a price."""
    return _key(column) in {_key(n) for n in RATES}


def is_moment(column: str) -> bool:
    """The column holds a moment."""
    return _key(column) in {_key(n) for n in MOMENTS}


def is_named(name: str, columns: Sequence[str]) -> bool:
    """A column is among them, by its legacy name in any spelling."""
    return _key(name) in {_key(c) for c in columns}


def period_column(bill: BillFile) -> str:
    """The native column with the start of the billing period.

    Raises:
        SourceError: There is none.
    """
    for column in bill.columns:
        if _key(column) == _key(PERIOD):
            return column
    msg = (
        f"{bill.uri}: mandatory column {PERIOD!r} is missing; it has: {', '.join(sorted(bill.columns))}. "
        "If it is not a Cost and Usage Report, move it elsewhere; else put the column back"
    )
    raise SourceError(msg)


def written(bill: BillFile) -> BillFile:
    """The file with the order of its dates and the form of its numbers, where a spreadsheet wrote them anew.

    Raises:
        SourceError: One cannot be told.
    """
    there = {_key(c): c for c in bill.columns}
    moments, period = ([there[_key(m)] for m in of if _key(m) in there] for of in (MOMENTS, MOMENTS[:2]))
    return spread(certain(bill, moments, period), [c for k, c in there.items() if k in WRITTEN])


def is_header(columns: Sequence[str]) -> bool:
    """The mandatory columns are among them."""
    return {_key(c) for c in MANDATORY} <= {_key(c) for c in columns}


class Fields:
    """The native columns of a shape by their legacy names, as SQL expressions; NULL where one is absent.

    Args:
        shape: The files.
        net: Amounts are those after discounts, where a row has them: of all payers, or of these.

    Raises:
        SourceError: A mandatory column is missing, or one that is asked for is there in two spellings.
    """

    def __init__(self, shape: Shape, *, net: bool | Collection[str] = False) -> None:
        self.own = shape.own
        self._net, self._priced = net, shape.priced
        self.zero = "CAST(0 AS DECIMAL(38,12))" if shape.own else "'0'"
        self.tags: dict[str, str] = {}
        self._columns: dict[str, str] = {}
        self._twice: dict[str, str] = {}
        spelling = {}
        for column, text in shape.text.items():
            tag = TAG.fullmatch(column)
            group = self.tags if tag else self._columns
            name = ("aws:" if tag["owner"] == "aws" else "") + tag["name"] if tag else _key(column)
            if name in group:
                twice = (
                    f"{shape.files[0].uri}: column {column!r} is there twice in different spellings; keep one"
                )
                if tag:
                    raise SourceError(twice)
                self._twice[name] = twice
            if is_moment(column):
                text = iso_sql(text, shape.dates)  # noqa: PLW2901
            if _key(column) in WRITTEN:
                text = point_sql(column, shape)  # noqa: PLW2901
            nested = name != "resourcetags" and is_pairs(shape.types.get(column, ""))
            group[name] = flat_pairs(pairs(text)) if nested else text
            spelling[_key(column)] = column
        needed = [_snake(n) if "/" not in "".join(shape.text) else n for n in MANDATORY]
        require({n: n for n in needed if _key(n) in self._columns}, needed, shape)
        self._types = {key: shape.types.get(name, "VARCHAR") for key, name in spelling.items()}
        self.is_map = {key: type_.startswith("MAP(") for key, type_ in self._types.items()}
        self._product = identifier(spelling["product"]) if self.is_map.get("product") else None

    def has(self, name: str) -> bool:
        """The column is there; an attribute of a product may be in the map of them."""
        return _key(name) in self._columns or (name.startswith("product/") and "product" in self._columns)

    def __getitem__(self, name: str) -> str:
        if _key(name) in self._twice:
            raise SourceError(self._twice[_key(name)])
        if self._net and name in NET and self.has(NET[name]):
            net = self[NET[name]]
            net = net if self.own else f"CASE WHEN NOT {is_null_text(net)} THEN {net} END"
            before = self._columns.get(_key(name), "NULL")
            return self._of_payers(f"COALESCE({net}, {before})", before)
        if _key(name) in self._columns or not self.has(name):
            number = (self.own and is_number(name)) or (self._priced and is_price(name))
            nothing = f"CAST(NULL AS {'DECIMAL(38,12)' if number else 'VARCHAR'})"
            return self._columns.get(_key(name), nothing)
        member = literal(_snake(name.removeprefix("product/")))
        if self._product:
            return f"nullif({self._product}[{member}], '')"
        return f"nullif(json_extract_string(TRY_CAST({self._columns['product']} AS JSON), {member}), '')"

    def _of_payers(self, net: str, before: str) -> str:
        """What rows have after discounts, of payers whose costs are net, and what the others have."""
        if isinstance(self._net, bool):
            return net if self._net else before
        payer = f"COALESCE(CAST({self[PAYER]} AS VARCHAR), '')"
        return f"CASE WHEN {payer} IN ({', '.join(map(literal, sorted(self._net)))}) THEN {net} ELSE {before} END"

    def rate(self) -> str:
        """The price of a unit that the cost is of; NULL where costs are net and the net price is not there."""
        return self._of_payers(self.first("lineItem/NetUnblendedRate"), self.first("lineItem/UnblendedRate"))

    def computed(self, amount: str) -> str:
        """An amount computed in decimals, in the form that the shape's numbers have."""
        return f"CAST({amount} AS {'DECIMAL(38,12)' if self.own else 'VARCHAR'})"

    def account(self, name: str) -> str:
        """An account's id: 12 digits, of which a file that holds it as a number, or a spreadsheet, has lost the leading zeros."""
        if not self._types.get(_key(name), "").startswith(NUMERIC):
            text = self[name]
            return f"CASE WHEN length({text}) < 12 AND regexp_full_match({text}, '[0-9]+') THEN lpad({text}, 12, '0') ELSE {text} END"
        return f"lpad(CAST(TRY_CAST({self[name]} AS DECIMAL(12,0)) AS VARCHAR), 12, '0')"

    def first(self, *names: str) -> str:
        """The first of the columns that has a value in the row; none is asked after one that is a literal."""
        there = [self[n] for n in names if self.has(n)]
        certain = next((i for i, sql in enumerate(there, start=1) if sql.startswith("'")), None)
        return f"COALESCE({', '.join(there[:certain])})" if there else self[names[0]]
