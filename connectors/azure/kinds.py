"""What a charge of an Azure cost export is for, and what two exports of a month have in common; SQL over native columns.

What the charges are in FOCUS belongs to `mapping.py` beside this.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

from connectors.azure.columns import Fields
from connectors.bills.amounts import amount as money
from connectors.bills.native import with_columns
from connectors.bills.shapes import Shape
from connectors.sql import literals


@dataclass(frozen=True)
class Exports:
    """Which files are of which export.

    Attributes:
        actual: Paths of files that are known to be of the actual export.
        amortized: Paths of files that are known to be of the amortized export.
        both: The month has both, and each charge is taken from one of them.
    """

    actual: Collection[str] = ()
    amortized: Collection[str] = ()
    both: bool = False


def among(paths: Collection[str], shape: Shape) -> str:
    """SQL condition: a row's file is one of these. It names files only where a shape has others, too."""
    mine = {str(file.path) for file in shape.files}
    found = mine & {*paths}
    return (
        "FALSE"
        if not found
        else "TRUE"
        if found == mine
        else f"list_contains({literals(sorted(found))}, __file)"
    )


def _kind(f: Fields) -> str:
    return f"lower(COALESCE({f['ChargeType']}, 'Usage'))"


def _model(f: Fields) -> str:
    return f"lower(replace({f['PricingModel']}, ' ', ''))"


KIND, MODEL, DAY, START, FOREIGN = "__kind", "__model", "__at", "__start", "__foreign"
RESERVED, PLAN, UNUSED, COMMITTED, BOUGHT = "__reserved", "__plan", "__unused", "__committed", "__bought"
"""Names of the columns of `steps`."""


def steps(f: Fields) -> list[dict[str, str]]:
    """What a charge is for, in layers of columns, each over those before it.

    - `RESERVED`: a reservation; exports without PricingModel name the reservation
    - `PLAN`: a savings plan
    - `UNUSED`: its unused part, only in the amortized export
    - `BOUGHT`: the commitment itself, only in the actual export
    """
    named = f"CASE WHEN {f['ReservationId']} IS NOT NULL THEN 'reservation' END"
    return [
        {KIND: _kind(f), MODEL: _model(f), DAY: f.day(f["Date"]), START: _start(f), FOREIGN: _foreign(f)},
        {
            RESERVED: f"(COALESCE({MODEL}, {named}) = 'reservation' OR {KIND} = 'unusedreservation')",
            PLAN: f"({MODEL} = 'savingsplan' OR {KIND} = 'unusedsavingsplan')",
            UNUSED: f"({KIND} IN ('unusedreservation', 'unusedsavingsplan'))",
        },
        {COMMITTED: f"COALESCE({RESERVED} OR {PLAN}, FALSE)"},
        {BOUGHT: f"({COMMITTED} AND {KIND} IN ('purchase', 'refund'))"},
    ]


def _judged(f: Fields, shape: Shape) -> str:
    """SQL table expression of a shape with `steps`."""
    scan = shape.scan
    for layer in steps(f):
        scan = with_columns(layer, scan)
    return scan


def _foreign(f: Fields) -> str:
    """Prices are in another currency than the bill (Microsoft Customer Agreement)."""
    return f"({f['PricingCurrency']} IS NOT NULL AND upper({f['PricingCurrency']}) <> upper({f['BillingCurrency']}))"


def _start(f: Fields) -> str:
    """Start of the billing period; where the export does not say, of the month of the date."""
    month = f"CAST(date_trunc('month', TRY_CAST({f.day(f['Date'])} AS TIMESTAMP)) AS VARCHAR)"
    return f.day(f"COALESCE({f['BillingPeriodStartDate']}, {month}, {f['Date']})")


def disagreement(shapes: Sequence[Shape], exports: Exports, month: date) -> str:
    """SQL: currency and difference (actual - amortized) of the charges of a month that both exports must hold alike.

    Args:
        shapes: The files of both.
        exports: Which are of which.
        month: First day of the billing month.
    """
    parts = []
    for shape in shapes:
        f = Fields(shape)
        cost = f"TRY_CAST({money(f['Cost'], f['BillingCurrency'])} AS DECIMAL(36,12))"
        signed = f"CASE WHEN {among(exports.amortized, shape)} THEN -{cost} ELSE {cost} END"
        mine = f"date_trunc('month', TRY_CAST({START} AS TIMESTAMP)) = DATE '{month}'"
        parts.append(
            f"SELECT {f['BillingCurrency']} AS currency, {signed} AS cost FROM {_judged(f, shape)} "
            f"WHERE {mine} AND NOT {COMMITTED}"
        )
    return f"SELECT currency, SUM(cost) AS difference FROM ({' UNION ALL '.join(parts)}) GROUP BY 1 HAVING SUM(cost) <> 0 ORDER BY 1"


def kinds_of_export(shapes: Sequence[Shape]) -> str:
    """SQL: file, and whether it has what only the amortized (amortized) or only the actual export (actual) has."""
    parts = []
    for shape in shapes:
        f = Fields(shape)
        parts.append(
            f"SELECT __file AS file, {UNUSED} AS unused, {BOUGHT} AS bought FROM {_judged(f, shape)}"
        )
    united = " UNION ALL ".join(parts)
    return f"SELECT file, bool_or(unused) AS amortized, bool_or(bought) AS actual FROM ({united}) GROUP BY 1 ORDER BY 1"
