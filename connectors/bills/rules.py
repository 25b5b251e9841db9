"""What may be wrong with a row of a bill, and the type of every FOCUS column: one rule for all bills.

Each rule is SQL over the cleaned text of a column, `"X"`, and its typed value, `"t:X"`; `"d:X"` is an amount that is a
bare number, `"p:X"` the pairs of tags that are an array, `"m:X"` tags whose raw line breaks had to be escaped, which `"X"` has then. What a native column
means belongs to the formats (`connectors/focus`, `connectors/aws`); the statement around the rules, to
`connectors/bills/stage.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from connectors.bills.amounts import plain
from connectors.bills.tags import (
    REPEATED,
    flat_pairs,
    has_odd_pairs,
    once,
    repeats_key,
    repeats_key_in,
)
from connectors.epochs import sql_plausible
from connectors.sql import identifier, literal, literals
from models import focus
from models.focus_services import pairs as known_pairs

MISSING = "missing_mandatory"
NOT_STATED = "missing_effective_cost"
"""The bill does not say what a commitment cost where it was used: the billed cost stands in for it."""

NULL_TEXTS = ("NULL", "null", "N/A", "n/a", "\\N")
"""`\\N` is how Snowflake, MySQL and Hive write it."""


def is_null_text(value: str) -> str:
    """SQL: the text is one that exports write where FOCUS demands null; the empty text never gets this far."""
    return f"({value} IN ({', '.join(map(literal, NULL_TEXTS))}))"


REJECTING = ("BilledCost", "EffectiveCost", "BillingCurrency", "ChargeCategory")
PERIODS = ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")

TAGS = ("Tags", "AllocatedTags")
ACCOUNTS = ("BillingAccountId", "SubAccountId")


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


def typed(column: focus.FocusColumn, own: str | None = None, *, sure: bool = False) -> str:
    """The value of a column in its type, from its cleaned text; NULL where the text does not fit.

    Args:
        column: The column.
        own: DuckDB type of its value where that is known.
        sure: The value needs no rule.

    Of an amount that is no bare number the value is found apart (`stage.py`): to plan its grammar takes long.
    Tags are one flat object with each key once, of an array of keys and values, too (`connectors/bills/tags.py`).
    A raw line break or tab in a text of tags, which JSON forbids, is read as one that is escaped.
    DuckDB takes JSON with a comma after the last element, which no other reader does: it is taken off.
    """
    c = identifier(column.name)
    if sure or (column.type == "text" and column.name != "AvailabilityZone" and not column.allowed):
        return f"upper(trim({c}))" if column.name == "BillingCurrency" else c
    if column.type == "decimal":
        return c if (own or "").startswith("DECIMAL") else plain(c)
    if column.type == "timestamp":
        is_moment = own is not None and own.startswith("TIMESTAMP")
        moment = (
            f"CAST({c} AS TIMESTAMP)" if is_moment else f"CAST(TRY_CAST({c} AS TIMESTAMPTZ) AS TIMESTAMP)"
        )
        return f"CASE WHEN {sql_plausible(moment)} THEN {moment} END"
    if column.type == "json":
        return _json(column.name)
    if column.allowed:
        cases = " ".join(f"WHEN {literal(v.lower())} THEN {literal(v)}" for v in column.allowed)
        return f"CASE lower(trim({c})) {cases} END"
    return f"CASE WHEN {_misplaced(c)} THEN NULL ELSE {c} END"


def _json(name: str) -> str:
    """JSON as every reader takes it, of the form that the column has; NULL where the text is none."""
    c = identifier(name)
    types = "('OBJECT')" if name in TAGS else "('OBJECT', 'ARRAY')"
    strict = f"CASE WHEN regexp_matches({c}, ',\\s*[}}\\]]') THEN CAST(json_extract(TRY_CAST({c} AS JSON), '$') AS VARCHAR) ELSE {c} END"
    strict = once(c, strict) if name in TAGS else strict
    value = f"CASE WHEN json_type(TRY_CAST({c} AS JSON)) IN {types} THEN {strict} END"
    if name not in TAGS:
        return value
    return f"COALESCE({flat_pairs(p(name))}, {value})"


def _misplaced(zone: str) -> str:
    """A number is no availability zone, except the single digits that name Azure's zones."""
    return f"TRY_CAST({zone} AS DOUBLE) IS NOT NULL AND NOT regexp_full_match({zone}, '[1-9]')"


def t(name: str) -> str:
    """The typed form of a column."""
    return identifier(f"t:{name}")


def d(name: str) -> str:
    """An amount that is a bare number."""
    return identifier(f"d:{name}")


def p(name: str) -> str:
    """The pairs of a column of tags."""
    return identifier(f"p:{name}")


def m(name: str) -> str:
    """The text of tags that are JSON once their raw line breaks are escaped; NULL for any other."""
    return identifier(f"m:{name}")


def _odd_json(name: str) -> str:
    """No JSON of the form that the column has, or tags of which a part is none."""
    nothing = f"{t(name)} IS NULL"
    return f"COALESCE({has_odd_pairs(p(name))}, {nothing})" if name in TAGS else nothing


def _is_rounded(name: str) -> str:
    """An id of digits that a spreadsheet wrote as `1.11122E+11`: several accounts may be one."""
    c = identifier(name)
    return f"contains({c}, 'E+') AND regexp_full_match({c}, '[0-9]([.,][0-9]+)?E[+][0-9]+')"


def _checks() -> list[Check]:
    """Every check; of the rejecting ones, the first that holds names the row's rule."""
    result = []
    for name in ("BilledCost", "EffectiveCost"):
        result.append(Check("rejected", "missing_value", name, f"{identifier(name)} IS NULL"))
        result.append(Check("rejected", "not_a_number", name, f"{t(name)} IS NULL"))
    result.append(
        Check(
            "rejected", "missing_value", "BillingCurrency", """COALESCE(trim("BillingCurrency"), '') = ''"""
        )
    )
    for name in PERIODS:
        result.append(Check("rejected", "missing_value", name, f"{identifier(name)} IS NULL"))
        result.append(Check("rejected", "bad_date", name, f"{t(name)} IS NULL"))
    result.append(
        Check("rejected", "unexpected_month", "BillingPeriodStart", "__month IS DISTINCT FROM __named")
    )
    for kind in ("Billing", "Charge"):
        start, end = f"{kind}PeriodStart", f"{kind}PeriodEnd"
        result.append(Check("rejected", "period_ends_before_start", end, f"{t(end)} < {t(start)}"))
    result.append(
        Check("rejected", "unknown_charge_category", "ChargeCategory", f"{t('ChargeCategory')} IS NULL")
    )
    result.append(Check("flagged", NOT_STATED, "EffectiveCost", "__not_stated"))
    for column in focus.COLUMNS:
        c, name = identifier(column.name), column.name
        if name == "BillingCurrency":
            result.append(Check("repaired", "spelling", name, f"{t(name)} <> {c}"))
        elif name == "AvailabilityZone":
            result.append(Check("repaired", "misplaced_availability_zone", name, _misplaced(c)))
        elif column.type == "json":
            rule = "malformed_tags" if name == "Tags" else "malformed_json"
            result.append(Check("repaired", rule, name, f"{c} IS NOT NULL AND {_odd_json(name)}"))
        elif column.type == "decimal" and name not in REJECTING:
            result.append(Check("repaired", "not_a_number", name, f"{c} IS NOT NULL AND {t(name)} IS NULL"))
        elif column.allowed:
            result.append(Check("repaired", "spelling", name, f"{t(name)} <> {c}"))
            if name not in REJECTING:
                unknown = f"{c} IS NOT NULL AND {t(name)} IS NULL"
                result.append(Check("flagged", "unknown_value", name, unknown))
        if column.type == "decimal":
            result.append(Check("repaired", "spelling", name, f"{t(name)} IS NOT NULL AND {d(name)} IS NULL"))
        if column.required and name not in REJECTING and name not in PERIODS:
            result.append(Check("flagged", MISSING, name, f"{c} IS NULL"))
    broken = (Check("repaired", "spelling", name, f"{m(name)} IS NOT NULL") for name in TAGS)
    rounded = (Check("flagged", "rounded_id", name, _is_rounded(name)) for name in ACCOUNTS)
    twice = (
        Check(
            "repaired",
            REPEATED,
            name,
            f"COALESCE({repeats_key(p(name))}, {repeats_key_in(identifier(name), t(name))})",
        )
        for name in TAGS
    )
    return [*result, _other_subcategory(), *broken, *rounded, *twice]


def _other_subcategory() -> Check:
    """A subcategory that no category of FOCUS has."""
    name = "ServiceSubcategory"
    known = literals(sorted({subcategory for _, subcategory in known_pairs()}))
    unknown = f"{identifier(name)} IS NOT NULL AND NOT list_contains({known}, {identifier(name)})"
    return Check("flagged", "unknown_value", name, unknown)


CHECKS: Sequence[Check] = tuple(_checks())
"""The position of a check is its number in `__reject`."""


def has_value(check: Check, present: Sequence[str]) -> bool:
    """The stage holds the text that the check found, as `raw_name` of its column."""
    return check.column in present and not check.rule.startswith("missing_")


def raw_name(column: str) -> str:
    """The stage's column with the text of a FOCUS column in which a check found something."""
    return identifier(f"raw:{column}")


def null_name(column: str) -> str:
    """Says whether a column had a text for null."""
    return identifier(f"null:{column}")
