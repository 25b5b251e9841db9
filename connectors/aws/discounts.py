"""Whether a report has the discounts of an agreement as lines of their own, or in columns of the lines that they lower.

Legacy reports have both: lines such as `EdpDiscount`, and net costs beside unblended ones. CUR 2.0 may have the columns alone
(without `INCLUDE MANUAL DISCOUNT COMPATIBILITY`), and then unblended costs are more than what is invoiced.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Any

from connectors.aws.columns import NET, PAYER, PERIOD, TOTAL_DISCOUNT, Fields, is_named
from connectors.aws.mapping import DISCOUNT
from connectors.base import Engine
from connectors.bills.amounts import plain
from connectors.bills.files import BillFile
from connectors.bills.shapes import shapes
from connectors.sql import literal

COST = "lineItem/UnblendedCost"
RULE = "discount_not_taken"

CENT = Decimal("0.01")
"""What sums may differ by for the rounding of lines."""


def in_columns(
    files: Sequence[BillFile], month: date, engine: Engine
) -> tuple[bool | frozenset[str], list[dict[str, Any]]]:
    """Whose costs of a month are to be net: lower than the unblended ones by the discounts in its columns, and no line with one.

    A column of net costs that is filled for some lines only, or with zeros, does not fit these and is not believed.

    Args:
        files: The files that hold rows of the month.
        month: First day of the billing month.
        engine: Runs the SQL, which is one scan of a few columns, and none where there are neither.

    Returns:
        All, none or the payers whose costs are, and issues: discounts of a payer that are in columns alone and are not taken off,
        since they do not fit.
    """
    from duckdb import Error

    if not any(is_named(name, f.columns) for f in files for name in (NET[COST], TOTAL_DISCOUNT)):
        return False, []
    fields = [(shape, Fields(shape)) for shape in shapes(files, engine)]
    rows = " UNION ALL ".join(
        f"SELECT COALESCE(CAST({f[PAYER]} AS VARCHAR), '') AS payer, {f['lineItem/CurrencyCode']} AS currency, "
        f"CASE WHEN {_money(f, NET[COST])} IS NOT NULL THEN {_money(f, COST)} END AS cost, {_money(f, NET[COST])} AS net, {_money(f, TOTAL_DISCOUNT)} AS total, {f['lineItem/LineItemType']} LIKE {literal(DISCOUNT)} AS discount "
        f"FROM {shape.scan} WHERE date_trunc('month', TRY_CAST({f[PERIOD]} AS TIMESTAMP)) = DATE '{month}' "
        f"AND COALESCE({f['splitLineItem/ParentResourceId']}, '') = ''"
        for shape, f in fields
    )
    try:
        found = engine.rows(
            "SELECT payer, currency, COALESCE(bool_or(discount), FALSE) AS lines, COALESCE(abs(SUM(total)), 0) AS told, "
            "COALESCE(SUM(cost) - SUM(net), 0) AS off, COALESCE(bool_or(net <> 0), FALSE) AS filled, "
            f"count(*) FILTER (total <> 0 OR net <> cost) AS rows FROM ({rows}) GROUP BY ALL ORDER BY ALL"
        )
    except Error:
        return False, []  # damaged: whoever reads it says what is wrong
    fits = {p: all(map(_fits, of)) for p, of in groupby(found, lambda r: r["payer"])}
    net = frozenset(r["payer"] for r in found if r["told"] >= CENT and fits[r["payer"]])
    if net and all(fits.values()):
        return True, []
    issues = [
        {
            "action": "flagged",
            "rule": RULE,
            "column_name": "BilledCost",
            "value": f"payer {r['payer']}: discounts are in columns alone, and do not fit the net costs of the month",
            "rows": r["rows"],
            "billed_cost": -(r["told"] if r["told"] >= CENT else r["off"]),
            "currency": r["currency"],
        }
        for r in found
        if r["payer"] not in net
        and not r["lines"]
        and (r["told"] >= CENT or (r["filled"] and abs(r["off"]) >= CENT))
    ]
    return net or False, issues


def _fits(row: dict[str, Any]) -> bool:
    """Costs of a payer in one currency are lower by what the columns say, and no line has a discount."""
    return abs(abs(row["off"]) - row["told"]) < CENT and not row["lines"]


def note(files: Sequence[BillFile], net: bool | frozenset[str]) -> str:
    """What is said of a month whose costs are net, and which of its amounts are before discounts since their net columns lack."""
    lacking = {
        name
        for f in files
        for name, net in NET.items()
        if is_named(name, f.columns) and not is_named(net, f.columns)
    }
    said = f", but {', '.join(sorted(lacking))}, which have no net column" if lacking else ""
    whose = "" if isinstance(net, bool) else f" of payer {', '.join(sorted(net))}"
    return f"discounts{whose} are in columns alone: costs are net{said}"


def _money(f: Fields, name: str) -> str:
    return plain(f"CAST({f[name]} AS VARCHAR)", "DECIMAL(36,12)")
