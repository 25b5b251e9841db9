"""The statement that turns native rows into FOCUS rows, and the file that holds its result.

What is wrong with a row is decided in `connectors/bills/rules.py`; running the statement and reporting belong to
`load.py` and `issues.py` beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from connectors.base import SourceError
from connectors.bills.files import Shape
from connectors.bills.rules import CHECKS, MISSING, NULL_MARK, has_value, is_null_text, t, typed, value_name
from connectors.sql import identifier, literal, literals
from models import focus, tables

MODEL_APIS = ("bedrock", "openai", "anthropic", "claude", "gemini", "mistral", "cohere")
"""Parts of names of services that are managed model APIs."""


NAMES = (*(c.name for c in focus.COLUMNS), "ProviderName")


@dataclass(frozen=True)
class Native:
    """What a format makes of one shape of files; all values are SQL expressions over the native columns.

    Attributes:
        focus: FOCUS column -> its value as text. Columns that are not here are NULL.
        cost: The native invoiced amount, as text.
        currency: Its currency, as text.
        skip: True for rows that repeat the cost of others.
        cost_kind: x_cost_kind where the format knows better than the FOCUS columns; NULL elsewhere.
        ignored: Native columns that are not used.
    """

    focus: Mapping[str, str]
    cost: str
    currency: str
    skip: str = "FALSE"
    cost_kind: str = "CAST(NULL AS VARCHAR)"
    ignored: tuple[str, ...] = ()


Format = Callable[[Shape], Native]
"""A format: from the columns of files to expressions. Raises SourceError if a mandatory column is missing."""


@dataclass(frozen=True)
class Bill:
    """What is to be read.

    Attributes:
        source: Name of the source.
        tier: Tier of charges that are not for a managed model API.
        to_focus: The format.
    """

    source: str
    tier: str
    to_focus: Format


@dataclass(frozen=True)
class Stage:
    """The staged rows of some files: one Parquet file with everything the slices need."""

    path: Path
    bill: Bill
    shapes: tuple[Shape, ...]
    natives: tuple[Native, ...]

    @property
    def present(self) -> list[str]:
        """FOCUS columns that any file fills."""
        return [c for c in NAMES if any(c in n.focus for n in self.natives)]

    @property
    def rows(self) -> str:
        """SQL table expression of the staged rows."""
        return f"read_parquet({literals([self.path])}, hive_partitioning=false)"


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


def native_sql(shape: Shape, native: Native, *, numbered: bool = False) -> str:
    """The rows of a shape as FOCUS text columns, with `__row` (from 1 within the scan) if numbered."""
    columns = [f"{native.focus.get(c, 'CAST(NULL AS VARCHAR)')} AS {identifier(c)}" for c in NAMES]
    months = ", ".join(f"DATE '{m}'" for m in shape.months)
    scan = f"(SELECT *, row_number() OVER () AS __row FROM {shape.scan})" if numbered else shape.scan
    columns += [
        f"{native.cost} AS __cost",
        f"{native.currency} AS __currency",
        f"{native.skip} AS __skip",
        f"{native.cost_kind} AS __cost_kind",
        "__file",
        f"DATE '{shape.default_month}' AS __default_month",
        f"[{months}] AS __months",
        f"{'__row' if numbered else 'CAST(NULL AS BIGINT)'} AS __row",
    ]
    return f"SELECT {', '.join(columns)} FROM {scan}"


def stage_sql(natives: Sequence[str], present: Sequence[str], source: str, tier: str) -> str:
    """One row for each native row: the FOCUS table's columns, and what was found about it.

    Digits of an amount beyond the twelfth decimal are rounded here, half away from zero, and so in the totals.

    Args:
        natives: Results of `native_sql`, to be united.
        present: FOCUS columns that any of them fills; the others are NULL throughout.
        source: Value of x_source.
        tier: x_tier of what is not a managed model API.

    Returns:
        SQL whose extra columns are `__month` (the slice), `__reject` (number of the first rejecting check that
        holds), `__marks` (numbers of the others that hold, and null texts), `__value_N` (the text that check N
        found), `__cost`, `__currency` (native texts), `__skip`, `__file` and `__row`.
    """
    clean = [
        f"CASE WHEN {is_null_text(identifier(c))} THEN NULL ELSE {identifier(c)} END AS {identifier(c)}"
        if c in present
        else identifier(c)
        for c in NAMES
    ]
    null_marks = [
        f"CASE WHEN {is_null_text(identifier(c))} THEN '{NULL_MARK}{c}' END" for c in NAMES if c in present
    ]
    extras = "__cost, __currency, __skip, __cost_kind, __file, __default_month, __months, __row"
    values_typed = [f"{typed(c)} AS {t(c.name)}" for c in focus.COLUMNS]
    named = f"CAST(date_trunc('month', {t('BillingPeriodStart')}) AS DATE)"
    rejects = " ".join(f"WHEN {c.condition} THEN {i}" for i, c in enumerate(CHECKS) if c.action == "rejected")
    marks = [
        f"CASE WHEN {c.condition} THEN '{i}' END"
        for i, c in enumerate(CHECKS)
        if c.action != "rejected" and (c.column in present or c.rule == MISSING)
    ]
    values = [
        f"CASE WHEN {c.condition} THEN left({identifier(c.column)}, 200) END AS {value_name(i)}"
        for i, c in enumerate(CHECKS)
        if has_value(c, present)
    ]
    return (
        f"WITH native AS ({' UNION ALL '.join(natives)}), "
        f"clean AS (SELECT {', '.join(clean)}, concat_ws(',', {', '.join(null_marks)}) AS __nulls, {extras} FROM native), "
        f"typed AS (SELECT *, {', '.join(values_typed)} FROM clean), "
        f"dated AS (SELECT *, {named} AS __named FROM typed), "
        "placed AS (SELECT *, CASE WHEN list_contains(__months, __named) THEN __named ELSE __default_month END "
        "AS __month FROM dated) "
        f"SELECT {', '.join(_output(source, tier))}, __month, CASE {rejects} END AS __reject, "
        f"concat_ws(',', nullif(__nulls, ''), {', '.join(marks)}) AS __marks, {', '.join(values)}, "
        "__cost, __currency, __skip, __file, __row FROM placed"
    )


def _output(source: str, tier: str) -> list[str]:
    """The columns of the FOCUS table, in its order; JSON stays text, which every reader of Parquet understands."""
    names = " OR ".join(f"contains(lower({t('ServiceName')}), {literal(a)})" for a in MODEL_APIS)
    units = " OR ".join(
        f"regexp_matches(lower({t(c)}), '(^|[^a-z])tokens?([^a-z]|$)')"
        for c in ("PricingUnit", "ConsumedUnit")
    )
    unused = " OR ".join(
        f"{t(c)} = 'Unused'" for c in ("CommitmentDiscountStatus", "CapacityReservationStatus")
    )
    own = {
        **{c.name: f"COALESCE({t(c.name)}, {identifier(c.name)})" for c in focus.COLUMNS if c.allowed},
        "ServiceProviderName": 'COALESCE("ServiceProviderName", "ProviderName")',
        "ProviderName": 'COALESCE("ProviderName", "ServiceProviderName")',
        "x_source": literal(source),
        "x_tier": f"CASE WHEN {names} OR {units} THEN 'api' ELSE {literal(tier)} END",
        "x_billing_month": "__month",
        "x_cost_kind": f"COALESCE(__cost_kind, CASE WHEN {unused} THEN 'idle' ELSE 'direct' END)",
    }
    return [
        f"CAST({own.get(c.name, t(c.name))} AS {'VARCHAR' if c.type == 'json' else tables.TYPES[c.type][0]}) "
        f"AS {identifier(c.name)}"
        for c in tables.FOCUS.columns
    ]
