"""Native rows to FOCUS facts in SQL: text to types, what is rejected, repaired or flagged - one rule for all bills.

What a native column means belongs to the formats (`connectors/focus`, `connectors/aws`); running the SQL and
reporting what it found, to `connectors/bills/load.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from connectors.base import SourceError
from connectors.bills.files import Shape
from connectors.sql import identifier, literal
from models import focus, tables

MISSING = "missing_mandatory"

NULL_TEXTS = ("", "NULL", "Null", "null", "N/A", "n/a")
"""Texts that exports write where FOCUS demands null."""

REJECTING = ("BilledCost", "EffectiveCost", "BillingCurrency", "ChargeCategory")
PERIODS = ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")

TAGS = ("Tags", "AllocatedTags")

NO_CURRENCY = "XXX"
"""ISO 4217's code for `no currency`: the currency under which money of rows that name none is counted."""

MODEL_APIS = ("bedrock", "openai", "anthropic", "claude", "gemini", "mistral", "cohere")
"""Parts of names of services that are managed model APIs."""


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
class Check:
    """One thing that may be wrong with a row: the condition is SQL over the columns of `clean` and `typed`.

    Attributes:
        action: rejected (the row is set aside), repaired (the value is replaced) or flagged (kept).
        rule: Short name.
        column: FOCUS column.
        condition: True where it is wrong.
    """

    action: Literal["rejected", "repaired", "flagged"]
    rule: str
    column: str
    condition: str


def _typed(column: focus.FocusColumn) -> str:
    """The value of a column in its type, from its cleaned text; NULL where the text does not fit."""
    c = identifier(column.name)
    if column.type == "decimal":
        return f"TRY_CAST({c} AS DECIMAL(38,12))"
    if column.type == "timestamp":
        moment = f"CAST(TRY_CAST({c} AS TIMESTAMPTZ) AS TIMESTAMP)"
        return f"CASE WHEN {moment} >= TIMESTAMP '2000-01-01' AND {moment} < TIMESTAMP '2100-01-01' THEN {moment} END"
    if column.type == "json":
        types = "('OBJECT')" if column.name in TAGS else "('OBJECT', 'ARRAY')"
        return f"CASE WHEN json_type(TRY_CAST({c} AS JSON)) IN {types} THEN {c} END"
    if column.allowed:
        cases = " ".join(f"WHEN {literal(v.lower())} THEN {literal(v)}" for v in column.allowed)
        return f"CASE lower(trim({c})) {cases} ELSE {c} END"
    if column.name == "AvailabilityZone":
        return f"CASE WHEN {_misplaced(c)} THEN NULL ELSE {c} END"
    return c


def _misplaced(zone: str) -> str:
    """A number is no availability zone, except the single digits that name Azure's zones."""
    return f"TRY_CAST({zone} AS DOUBLE) IS NOT NULL AND NOT regexp_full_match({zone}, '[1-9]')"


def _t(name: str) -> str:
    """The typed form of a column."""
    return identifier(f"t:{name}")


def checks() -> list[Check]:
    """Every check; of the rejecting ones, the first that holds names the row's rule."""
    result = []
    for name in ("BilledCost", "EffectiveCost"):
        result.append(Check("rejected", "missing_value", name, f"{identifier(name)} IS NULL"))
        result.append(Check("rejected", "not_a_number", name, f"{_t(name)} IS NULL"))
    result.append(Check("rejected", "missing_value", "BillingCurrency", '"BillingCurrency" IS NULL'))
    for name in PERIODS:
        result.append(Check("rejected", "missing_value", name, f"{identifier(name)} IS NULL"))
        result.append(Check("rejected", "bad_date", name, f"{_t(name)} IS NULL"))
    result.append(Check("rejected", "unexpected_month", "BillingPeriodStart", "__month IS DISTINCT FROM __named"))
    for kind in ("Billing", "Charge"):
        start, end = f"{kind}PeriodStart", f"{kind}PeriodEnd"
        result.append(Check("rejected", "period_ends_before_start", end, f"{_t(end)} < {_t(start)}"))
    categories = ", ".join(literal(v) for v in _column("ChargeCategory").allowed)
    unknown = f"{_t('ChargeCategory')} IS NULL OR {_t('ChargeCategory')} NOT IN ({categories})"
    result.append(Check("rejected", "unknown_charge_category", "ChargeCategory", unknown))
    for column in focus.COLUMNS:
        c, name = identifier(column.name), column.name
        if name == "AvailabilityZone":
            result.append(Check("repaired", "misplaced_availability_zone", name, _misplaced(c)))
        elif column.type == "json":
            rule = "malformed_tags" if name == "Tags" else "malformed_json"
            result.append(Check("repaired", rule, name, f"{c} IS NOT NULL AND {_t(name)} IS NULL"))
        elif column.type == "decimal" and name not in REJECTING:
            result.append(Check("repaired", "not_a_number", name, f"{c} IS NOT NULL AND {_t(name)} IS NULL"))
        elif column.allowed:
            result.append(Check("repaired", "spelling", name, f"{_t(name)} <> {c}"))
            if name not in REJECTING:
                allowed = ", ".join(literal(v) for v in column.allowed)
                result.append(Check("flagged", "unknown_value", name, f"{_t(name)} NOT IN ({allowed})"))
        if column.required and name not in REJECTING and name not in PERIODS:
            result.append(Check("flagged", MISSING, name, f"{c} IS NULL"))
    return result


def _column(name: str) -> focus.FocusColumn:
    return next(c for c in focus.COLUMNS if c.name == name)


CHECKS: Sequence[Check] = tuple(checks())
"""The position of a check is its number in `__reject` and `__marks`."""

def has_value(check: Check, present: Sequence[str]) -> bool:
    """The stage holds the text that the check found."""
    return check.column in present and not check.rule.startswith("missing_")


def value_name(number: int) -> str:
    """The stage's column with the text that a check found."""
    return f"__value_{number}"


NULL_MARK = "n:"
"""Start of a mark that names a column whose text stood for null."""

NAMES = (*(c.name for c in focus.COLUMNS), "ProviderName")


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
    nulls = ", ".join(literal(t) for t in NULL_TEXTS)
    clean = [
        f"CASE WHEN trim({identifier(c)}) IN ({nulls}) THEN NULL ELSE {identifier(c)} END AS {identifier(c)}"
        if c in present
        else identifier(c)
        for c in NAMES
    ]
    null_marks = [
        f"CASE WHEN trim({identifier(c)}) IN ({nulls}) THEN '{NULL_MARK}{c}' END" for c in NAMES if c in present
    ]
    extras = "__cost, __currency, __skip, __cost_kind, __file, __default_month, __months, __row"
    typed = [f"{_typed(c)} AS {_t(c.name)}" for c in focus.COLUMNS]
    named = f"CAST(date_trunc('month', {_t('BillingPeriodStart')}) AS DATE)"
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
        f"typed AS (SELECT *, {', '.join(typed)} FROM clean), "
        f"dated AS (SELECT *, {named} AS __named FROM typed), "
        "placed AS (SELECT *, CASE WHEN list_contains(__months, __named) THEN __named ELSE __default_month END "
        "AS __month FROM dated) "
        f"SELECT {', '.join(_output(source, tier))}, __month, CASE {rejects} END AS __reject, "
        f"concat_ws(',', nullif(__nulls, ''), {', '.join(marks)}) AS __marks, {', '.join(values)}, "
        "__cost, __currency, __skip, __file, __row FROM placed"
    )


def _output(source: str, tier: str) -> list[str]:
    """The columns of the FOCUS table, in its order; JSON stays text, which every reader of Parquet understands."""
    names = " OR ".join(f"contains(lower({_t('ServiceName')}), {literal(a)})" for a in MODEL_APIS)
    units = " OR ".join(
        f"regexp_matches(lower({_t(c)}), '(^|[^a-z])tokens?([^a-z]|$)')" for c in ("PricingUnit", "ConsumedUnit")
    )
    unused = " OR ".join(f"{_t(c)} = 'Unused'" for c in ("CommitmentDiscountStatus", "CapacityReservationStatus"))
    own = {
        "ServiceProviderName": 'COALESCE("ServiceProviderName", "ProviderName")',
        "ProviderName": 'COALESCE("ProviderName", "ServiceProviderName")',
        "x_source": literal(source),
        "x_tier": f"CASE WHEN {names} OR {units} THEN 'api' ELSE {literal(tier)} END",
        "x_billing_month": "__month",
        "x_cost_kind": f"COALESCE(__cost_kind, CASE WHEN {unused} THEN 'idle' ELSE 'direct' END)",
    }
    return [
        f"CAST({own.get(c.name, _t(c.name))} AS {'VARCHAR' if c.type == 'json' else tables.TYPES[c.type][0]}) "
        f"AS {identifier(c.name)}"
        for c in tables.FOCUS.columns
    ]
