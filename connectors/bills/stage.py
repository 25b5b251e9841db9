"""The statement that turns native rows into FOCUS rows, and the file that holds its result.

What is wrong with a row is decided in `connectors/bills/rules.py`; running the statement and reporting belong to
`load.py` and `issues.py` beside it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from connectors.base import SourceError
from connectors.bills.amounts import amount
from connectors.bills.months import AHEAD_H
from connectors.bills.rules import (
    CHECKS,
    MISSING,
    NOT_STATED,
    Check,
    has_value,
    is_null_text,
    mark_name,
    nothing,
    null_name,
    t,
    typed,
    value_name,
)
from connectors.bills.shapes import Shape
from connectors.parts import in_parquet
from connectors.sql import identifier, literal
from models import focus, tables

MODEL_APIS = ("bedrock", "openai", "anthropic", "claude", "gemini", "mistral", "cohere")
"""Parts of names of services that are managed model APIs."""


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
    parent: str = "CAST(NULL AS VARCHAR)"
    parts: str = ""
    model_api: str = "FALSE"
    cost_kind: str = "CAST(NULL AS VARCHAR)"
    ignored: tuple[str, ...] = ()
    sure: frozenset[str] = frozenset()
    zoned: bool = False
    extras: Mapping[str, str] = field(default_factory=dict)


Format = Callable[[Shape], Native]
"""A format: from the columns of files to expressions. Raises SourceError if a mandatory column is missing."""


@dataclass(frozen=True)
class Bill:
    """What is to be read.

    Attributes:
        source: Name of the source.
        tier: Tier of charges that are not for a managed model API.
        to_focus: The format.
        numbers: The native column holds numbers: in Parquet it may be read in its own type.
        moments: The native column holds moments, likewise.
        by_row: What a row means does not depend on the other rows.
    """

    source: str
    tier: str
    to_focus: Format
    numbers: Callable[[str], bool] = lambda _: False
    moments: Callable[[str], bool] = lambda _: False
    by_row: bool = True


@dataclass(frozen=True)
class Stage:
    """The rows of some files as FOCUS rows, with everything the slices need.

    Attributes:
        rows: SQL table expression of the result of `stage_sql`.
        bill: What they are.
        shapes: The files.
        natives: What the format makes of each shape, all as text.
        types: As in `stage_sql`.
    """

    rows: str
    bill: Bill
    shapes: tuple[Shape, ...]
    natives: tuple[Native, ...]
    types: Mapping[str, str] = field(default_factory=dict)

    @property
    def present(self) -> list[str]:
        """FOCUS columns that any file fills."""
        return present(self.natives)

    @property
    def written(self) -> list[str]:
        """Columns of the FOCUS table that can have a value."""
        filled = {*self.present, *OWN, *(c for n in self.natives for c in n.extras)}
        filled |= {c for c in PROVIDER if filled.intersection(PROVIDER)}
        return [c.name for c in tables.FOCUS.columns if c.name in filled]

    @property
    def sure(self) -> frozenset[str]:
        """FOCUS columns that need no rule."""
        return sure(self.natives)

    @property
    def texts(self) -> list[str]:
        """FOCUS columns whose text may stand for null."""
        return texts_for_null(self.present, self.sure, self.types)


def present(natives: Sequence[Native]) -> list[str]:
    """FOCUS columns that any of the files fills."""
    return [c for c in NAMES if any(c in n.focus for n in natives)]


def sure(natives: Sequence[Native]) -> frozenset[str]:
    """FOCUS columns whose values all the formats make themselves."""
    return frozenset.intersection(*(n.sure for n in natives))


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
    names = [
        text if re.fullmatch(r"c\d+", text) else identifier(column) for column, text in shape.text.items()
    ]
    used = [name for name in names if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", sql)]
    return f"hash({', '.join([literal(hashlib.sha256(sql.encode()).hexdigest()), *used])})"


def native_sql(
    shape: Shape,
    native: Native,
    *,
    numbered: bool = False,
    hashed: str = "CAST(NULL AS UBIGINT)",
    days: Sequence[str] = (),
) -> str:
    """The rows of a shape as FOCUS columns.

    Args:
        shape: The files.
        native: What a format makes of them.
        numbered: With `__row`, from 1 within the scan.
        hashed: SQL of `__hash`: `row_hash` of the shape as text.
        days: Only charges that start on these days (ISO dates, UTC) are wanted; others may be left out.
    """
    values = {**native.focus, **native.extras}
    columns = [f"{values.get(c, 'CAST(NULL AS VARCHAR)')} AS {identifier(c)}" for c in (*NAMES, *EXTRAS)]
    months = ", ".join(f"DATE '{m}'" for m in shape.months)
    scan = f"(SELECT *, row_number() OVER () AS __row FROM {shape.scan})" if numbered else shape.scan
    if days:
        scan = f"(SELECT * FROM {scan} WHERE {_starts_on(days, shape, native)})"
    if native.parts:
        parts = f"list_concat([CAST(NULL AS VARCHAR)], {native.parts})"
        scan = f"(SELECT *, unnest({parts}) AS __part FROM {scan})"
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
    ]
    return f"SELECT {', '.join(columns)} FROM {scan}"


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


def stage_sql(
    natives: Sequence[str],
    present: Sequence[str],
    source: str,
    tier: str,
    *,
    sure: frozenset[str] = frozenset(),
    types: Mapping[str, str] | None = None,
) -> str:
    """One row for each native row: the FOCUS table's columns, and what was found about it.

    Digits of an amount beyond the twelfth decimal are rounded here, half away from zero, and so in the totals.

    Args:
        natives: Results of `native_sql`, to be united.
        present: FOCUS columns that any of them fills; the others are NULL throughout.
        source: Value of x_source.
        tier: x_tier of what is not a managed model API.
        sure: FOCUS columns that need no rule.
        types: FOCUS column -> DuckDB type of its value; where it is not here, a text that may stand for null.

    Returns:
        SQL whose extra columns are `__month` (the slice), `__day` (of the charge, UTC), `__reject` (number of the first rejecting check that
        holds), `__mark_N` (check N holds, of the others), `__null_X` (column X had a text for null), `__value_N`
        (the text that check N found), `__cost` (the native amount), `__currency` (its native text), `__skip`,
        `__header`, `__other_header`, `__parent`, `__file`, `__row` and `__hash`.
    """
    own = types or {}
    texts = texts_for_null(present, sure, own)
    nulls = [f"{is_null_text(identifier(c))} AS {null_name(c)}" for c in texts]
    clean = [f"CASE WHEN {null_name(c)} THEN NULL ELSE {identifier(c)} END AS {identifier(c)}" for c in texts]
    replaced = f" REPLACE ({', '.join(clean)})" if clean else ""
    values_typed = [
        f"{typed(c, own.get(c.name), sure=c.name in sure) if c.name in present else nothing(c)} AS {t(c.name)}"
        for c in focus.COLUMNS
    ]
    period = t("BillingPeriodStart")
    named = f"CAST(date_trunc('month', CASE WHEN __zoned THEN {period} + INTERVAL {AHEAD_H} HOUR ELSE {period} END) AS DATE)"
    rejects = " ".join(f"WHEN {c.condition} THEN {i}" for i, c in enumerate(CHECKS) if c.action == "rejected")
    marks = [f"COALESCE({c.condition}, FALSE) AS {mark_name(i)}" for i, c in marking(present, sure, own)]
    values = [
        f"CASE WHEN {c.condition} THEN left(CAST({identifier(c.column)} AS VARCHAR), 200) END AS {value_name(i)}"
        for i, c in enumerate(CHECKS)
        if has_value(c, present)
    ]
    rows = f"({' UNION ALL '.join(natives)})"
    month = f"CASE WHEN len(__months) > 1 AND list_contains(__months, {named}) THEN {named} ELSE __default_month END"
    # subqueries: DuckDB takes twice as long to bind common table expressions of as many columns
    for columns in (
        ["*", *nulls],
        [f"*{replaced}"],
        ["*", *values_typed],
        ["*", f"{named} AS __named", f"{month} AS __month"],
    ):
        rows = f"(SELECT {', '.join(columns)} FROM {rows})"
    return (
        f"SELECT {', '.join(_output(source, tier))}, __month, CAST({t('ChargePeriodStart')} AS DATE) AS __day, CASE {rejects} END AS __reject, "
        f"{', '.join([*marks, *map(null_name, texts), *values])}, "
        f"{amount('__cost', '__currency')} AS __cost, __currency, __skip, __header, __other_header, __parent, __is_part, __file, __row, __hash FROM {rows}"
    )


def texts_for_null(
    present: Sequence[str], sure: frozenset[str], types: Mapping[str, str] | None = None
) -> list[str]:
    """FOCUS columns whose text may stand for null."""
    return [c for c in present if c not in sure and c not in (types or {})]


def marking(
    present: Sequence[str], sure: frozenset[str], types: Mapping[str, str] | None = None
) -> list[tuple[int, Check]]:
    """Number and check of those that do not reject, as far as a row of these columns can fail them."""
    numbers = {c for c, type_ in (types or {}).items() if type_.startswith("DECIMAL")}
    return [
        (i, c)
        for i, c in enumerate(CHECKS)
        if c.action != "rejected"
        and (c.rule in (MISSING, NOT_STATED) or (c.column in present and c.column not in sure | numbers))
    ]


def _output(source: str, tier: str) -> list[str]:
    """The columns of the FOCUS table, in its order; JSON stays text, which every reader of Parquet understands."""
    names = " OR ".join(f"contains(lower({t('ServiceName')}), {literal(a)})" for a in MODEL_APIS)
    units = " OR ".join(
        f"contains(lower({t(c)}), 'token') AND regexp_matches(lower({t(c)}), '(^|[^a-z])tokens?([^a-z]|$)')"
        for c in ("PricingUnit", "ConsumedUnit")
    )
    unused = " OR ".join(
        f"{t(c)} = 'Unused'" for c in ("CommitmentDiscountStatus", "CapacityReservationStatus")
    )
    own = {
        **{c.name: f"COALESCE({t(c.name)}, {identifier(c.name)})" for c in focus.COLUMNS if c.allowed},
        **{c: identifier(c) for c in EXTRAS},
        **{c: f"COALESCE({identifier(c)}, {', '.join(map(identifier, PROVIDER))})" for c in PROVIDER},
        "x_source": literal(source),
        "x_tier": f"CASE WHEN {names} OR {units} OR __model_api THEN 'api' ELSE {literal(tier)} END",
        "x_billing_month": "__month",
        "x_cost_kind": f"COALESCE(__cost_kind, CASE WHEN {unused} THEN 'idle' ELSE 'direct' END)",
    }
    return [
        f"CAST({own.get(c.name, t(c.name))} AS {in_parquet(c)}) AS {identifier(c.name)}"
        for c in tables.FOCUS.columns
    ]
