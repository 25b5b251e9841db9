"""What a format makes of the native columns of a bill, and the statement of its rows as FOCUS columns, all still text.

What is done with the rows of all bills belongs to `connectors/bills/stage.py`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from connectors.base import SourceError
from connectors.bills.rules import PERIODS, REJECTING
from connectors.bills.shapes import Shape
from connectors.sql import identifier, literal
from models import focus, tables

NULL = "CAST(NULL AS VARCHAR)"
"""A column that no native one fills: as good as one that is not there. All formats write it so (`Native.filled`)."""

NAMES = (*(c.name for c in focus.COLUMNS), "ProviderName")

PROVIDER = ("ProviderName", "ServiceProviderName")
"""The former and the present name of one column: either stands for the other."""
OWN = ("x_source", "x_tier", "x_billing_month", "x_cost_kind")
EXTRAS = tuple(c.name for c in tables.FOCUS.columns if c.name.startswith("x_") and c.name not in OWN)
"""Columns beside FOCUS that one provider fills; no rule looks at them."""


@dataclass(frozen=True)
class Native:
    """What a format makes of one shape of files; all values are SQL expressions over the native columns.

    Attributes:
        focus: FOCUS column -> its value as text. Columns that are not here are NULL.
        cost: The native invoiced amount, as text.
        currency: Its currency, as text.
        not_stated: True for charges of a commitment whose effective cost the bill does not say.
        skip: True for rows that repeat the cost of others.
        skip_rule: Name under which such rows are counted.
        parent: ResourceId of the row whose cost such a row repeats, where the bill says it.
        before: Column -> its expression: what the others name many times, computed once. They are columns beside the native
            ones, which the parts may name.
        steps: Layers of such columns, each over those before it, and over the parts. `ChargePeriodStart` names none of them.
        parts: List of texts; the row stands for itself and once more for each of them. In the other expressions
            `__part` is the text, NULL for the row itself. Empty where rows have no parts.
        model_api: True for charges of a managed model API that neither service nor unit names.
        cost_kind: x_cost_kind where the format knows better than the FOCUS columns; NULL elsewhere.
        ignored: Native columns that are not used.
        sure: FOCUS columns whose values the format makes itself, so that no rule needs to look at them.
        zoned: Billing periods may begin at midnight of a zone ahead of UTC: one that begins in the last `AHEAD_H` hours
            of a month is of the next.
        extras: Column of `EXTRAS` -> its value as text, JSON where the table says so. The others are NULL.
    """

    focus: Mapping[str, str]
    cost: str
    currency: str
    skip: str = "FALSE"
    not_stated: str = "FALSE"
    skip_rule: str = "repeats_parent_cost"
    parent: str = NULL
    parts: str = ""
    model_api: str = "FALSE"
    cost_kind: str = NULL
    ignored: tuple[str, ...] = ()
    sure: frozenset[str] = frozenset()
    zoned: bool = False
    extras: Mapping[str, str] = field(default_factory=dict)
    before: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[Mapping[str, str], ...] = ()

    @property
    def filled(self) -> dict[str, str]:
        """Columns of `focus` and `extras` that a native one fills, and those that rules reject rows by.

        To plan a column that is NULL throughout takes as long as any other.
        """
        columns = {**self.focus, **self.extras}
        return {c: sql for c, sql in columns.items() if sql != NULL or c in (*REJECTING, *PERIODS)}

    def written_out(self, sql: str) -> str:
        """An expression, and those of all the steps that it names: every native column that it follows from is in it."""
        steps = {name: of for layer in (self.before, *self.steps) for name, of in layer.items()}
        named = {name: of for name, of in steps.items() if re.search(rf"\b{name}\b", sql)}
        return " ".join([sql, *map(self.written_out, named.values())])


Format = Callable[[Shape], Native]
"""A format: from the columns of files to expressions. Raises SourceError if a mandatory column is missing."""


def require(columns: Mapping[str, str], needed: Sequence[str], shape: Shape) -> None:
    """Checks that a format's mandatory native columns are there.

    Raises:
        SourceError: One is missing; the message names the file, the column and the columns found.
    """
    for name in needed:
        if name not in columns:
            found = ", ".join(sorted(shape.text))
            more = f" (and {len(shape.files) - 1} more files)" if len(shape.files) > 1 else ""
            msg = (
                f"{shape.files[0].uri}{more}: mandatory column {name!r} is missing; it has: {found}. "
                "Put the column back into the export"
            )
            raise SourceError(msg)


def row_hash(shape: Shape, native: Native) -> str:
    """SQL of a hash of a native row: of the columns that the mapping uses, as they are in the file."""
    sql = native_sql(replace(shape, scan="bill"), native)
    names = [identifier(column) for column in shape.text]
    names += [text for text in shape.text.values() if re.fullmatch(r"(c|__text)\d+", text)]
    words = set(re.findall(r"\w+", sql))
    # the text is long, the names many: each is searched for only if it is no word of it, but somewhere in it
    used = [n for n in names if n in words or (n in sql and re.search(rf"(?<!\w){re.escape(n)}(?!\w)", sql))]
    return f"hash({', '.join([literal(hashlib.sha256(sql.encode()).hexdigest()), *used])})"


def native_sql(
    shape: Shape,
    native: Native,
    *,
    numbered: bool = False,
    hashed: str = "CAST(NULL AS UBIGINT)",
    days: Sequence[str] = (),
    looked_up: Mapping[str, str] | None = None,
) -> str:
    """The rows of a shape as those FOCUS columns that it fills, to be united by name.

    Args:
        shape: The files.
        native: What a format makes of them.
        numbered: With `__row`, from 1 within the scan.
        hashed: SQL of `__hash`: `row_hash` of the shape as text.
        days: Only charges that start on these days (ISO dates, UTC) are wanted; others may be left out.
        looked_up: Column of facts -> its value (`lookups.py`), beside the text that the rules look at.
    """
    columns = [f"{sql} AS {identifier(c)}" for c, sql in native.filled.items()]
    months = ", ".join(f"DATE '{m}'" for m in shape.months)
    scan = f"(SELECT *, row_number() OVER () AS __row FROM {shape.scan})" if numbered else shape.scan
    if days:
        scan = f"(SELECT * FROM {scan} WHERE {_starts_on(days, shape, native)})"
    scan = with_columns(native.before, scan)
    if native.parts:
        parts = f"list_concat([CAST(NULL AS VARCHAR)], {native.parts})"
        scan = f"(SELECT *, unnest({parts}) AS __part FROM {scan})"
    for layer in native.steps:
        scan = with_columns(layer, scan)
    columns += [
        f"{native.cost} AS __cost",
        f"{native.currency} AS __currency",
        f"{shape.is_header} AS __header",
        f"({native.skip}) OR __header AS __skip",
        f"{shape.is_name('__cost')} AND NOT __header AS __other_header",
        f"{native.parent} AS __parent",
        f"{native.zoned} AS __zoned",
        f"{native.cost_kind} AS __cost_kind",
        f"COALESCE({native.model_api}, FALSE) AS __model_api",
        f"COALESCE({native.not_stated}, FALSE) AS __not_stated",
        f"{'__part IS NOT NULL' if native.parts else 'FALSE'} AS __is_part",
        "__file",
        f"DATE '{shape.default_month}' AS __default_month",
        f"[{months}] AS __months",
        f"{'__row' if numbered else 'CAST(NULL AS BIGINT)'} AS __row",
        f"{hashed} AS __hash",
        *(f"{sql} AS {coded_name(c)}" for c, sql in (looked_up or {}).items()),
    ]
    return f"SELECT {', '.join(columns)} FROM {scan}"


def coded_name(column: str) -> str:
    """The column of a stage with what was looked up for a column of facts."""
    return identifier(f"coded:{column}")


def with_columns(columns: Mapping[str, str], scan: str) -> str:
    """SQL table expression of a scan with more columns."""
    more = ", ".join(f"{sql} AS {name}" for name, sql in columns.items())
    return f"(SELECT *, {more} FROM {scan})" if more else scan


def _starts_on(days: Sequence[str], shape: Shape, native: Native) -> str:
    """SQL condition over native columns, so that whole row groups of Parquet can be passed over."""
    start = native.focus["ChargePeriodStart"]
    types = {identifier(column): type_ for column, type_ in shape.types.items()}
    moment = (
        start if types.get(start) == "TIMESTAMP" else f"CAST(TRY_CAST({start} AS TIMESTAMPTZ) AS TIMESTAMP)"
    )
    ways = (f"({moment} >= DATE '{day}' AND {moment} < DATE '{day}' + INTERVAL 1 DAY)" for day in days)
    first, last = min(days), max(days)
    return (
        f"{moment} >= DATE '{first}' AND {moment} < DATE '{last}' + INTERVAL 1 DAY AND ({' OR '.join(ways)})"
    )
