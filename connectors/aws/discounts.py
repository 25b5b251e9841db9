"""Whether a report has the discounts of an agreement as lines of their own, or in columns of the lines that they lower.

Legacy reports have both: lines such as `EdpDiscount`, and net costs beside unblended ones. CUR 2.0 may have the columns alone
(without `INCLUDE MANUAL DISCOUNT COMPATIBILITY`), and then unblended costs are more than what is invoiced.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from connectors.aws.columns import NET, PERIOD, Fields, is_named
from connectors.aws.mapping import DISCOUNT
from connectors.base import Engine
from connectors.bills.amounts import plain
from connectors.bills.files import BillFile
from connectors.bills.shapes import shapes
from connectors.sql import literal

COST, TOTAL = "lineItem/UnblendedCost", "discount/TotalDiscount"
NOTE = "discounts are in columns alone: costs are net"

CENT = "0.01"
"""What sums may differ by for the rounding of lines."""


def in_columns(files: Sequence[BillFile], month: date, engine: Engine) -> bool:
    """A month has net costs that are lower than the unblended ones by the discounts in its columns, and no line with one.

    A column of net costs that is filled for some lines only, or with zeros, does not fit these and is not believed.

    Args:
        files: The files that hold rows of the month.
        month: First day of the billing month.
        engine: Runs the SQL, which is one scan of a few columns, and none where there are no net costs.
    """
    from duckdb import Error

    if not any(is_named(NET[COST], f.columns) for f in files):
        return False
    fields = [(shape, Fields(shape)) for shape in shapes(files, engine)]
    rows = " UNION ALL ".join(
        f"SELECT {f['lineItem/CurrencyCode']} AS currency, {_money(f, COST)} AS cost, {_money(f, NET[COST])} AS net, "
        f"{_money(f, TOTAL)} AS total, {f['lineItem/LineItemType']} LIKE {literal(DISCOUNT)} AS discount FROM {shape.scan} "
        f"WHERE date_trunc('month', TRY_CAST({f[PERIOD]} AS TIMESTAMP)) = DATE '{month}' AND COALESCE({f['splitLineItem/ParentResourceId']}, '') = ''"
        for shape, f in fields
    )
    try:
        found = engine.rows(
            f"SELECT bool_or(discount) AS lines, abs(SUM(total)) >= {CENT} AS discounted, "
            f"abs(SUM(cost) - SUM(COALESCE(net, cost)) - abs(COALESCE(SUM(total), 0))) < {CENT} AS fits FROM ({rows}) GROUP BY currency"
        )
    except Error:
        return False  # damaged: whoever reads it says what is wrong
    return any(r["discounted"] for r in found) and all(r["fits"] and not r["lines"] for r in found)


def _money(f: Fields, name: str) -> str:
    return plain(f"CAST({f[name]} AS VARCHAR)", "DECIMAL(36,12)")
