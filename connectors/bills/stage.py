"""The statement that turns rows of FOCUS columns, all text, into FOCUS rows, and the file that holds its result.

What is wrong with a row is decided in `connectors/bills/rules.py`; running the statement and reporting belong to
`load.py` and `issues.py` beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from connectors.bills.amounts import plain, written_ones
from connectors.bills.months import AHEAD_H
from connectors.bills.native import EXTRAS, NAMES, OWN, PROVIDER, Format, Native, coded_name
from connectors.bills.rules import (
    CHECKS,
    MISSING,
    NOT_STATED,
    TAGS,
    d,
    has_value,
    is_null_text,
    m,
    null_name,
    p,
    raw_name,
    t,
    typed,
)
from connectors.bills.shapes import Shape
from connectors.bills.tags import mended, pairs
from connectors.parts import in_parquet
from connectors.sql import identifier, literal, one_of
from models import focus, tables

MODEL_APIS = ("bedrock", "openai", "anthropic", "claude", "gemini", "mistral", "cohere")
"""Parts of names of services that are managed model APIs."""


ASKED = ("CommitmentDiscountId", "ResourceId", "ServiceName", "SubAccountId")
"""Columns that a stage has whether a file fills them or not: questions to it name them."""

MASK_BITS = 60
"""Notes that one BIGINT holds."""
NULL_TEXT = "null_text"

COST_KINDS = ("direct", "idle", "shared", "unallocated")
"""Values of x_cost_kind."""

Note = tuple[str, str, str]
"""What was found about rows that were kept: action, rule and column."""


@dataclass(frozen=True)
class Bill:
    """What is to be read.

    Attributes:
        source: Name of the source.
        tier: Tier of charges that are not for a managed model API.
        to_focus: The format.
        numbers: The native column holds numbers: in Parquet it may be read in its own type.
        moments: The native column holds moments, likewise.
        prices: The native column holds numbers as text.
        by_row: What a row means does not depend on the other rows.
    """

    source: str
    tier: str
    to_focus: Format
    numbers: Callable[[str], bool] = lambda _: False
    moments: Callable[[str], bool] = lambda _: False
    prices: Callable[[str], bool] = lambda _: False
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
        looked_up: Likewise.
    """

    rows: str
    bill: Bill
    shapes: tuple[Shape, ...]
    natives: tuple[Native, ...]
    types: Mapping[str, str] = field(default_factory=dict)
    looked_up: tuple[str, ...] = ()

    @property
    def present(self) -> list[str]:
        """Columns that any file fills."""
        return present(self.natives)

    @property
    def written(self) -> list[str]:
        """Columns of the FOCUS table that can have a value."""
        return with_value(self.present)

    @property
    def sure(self) -> frozenset[str]:
        """FOCUS columns that need no rule."""
        return sure(self.natives)

    @cached_property
    def notes(self) -> list[Note]:
        """What may be repaired or flagged in the rows: of the n-th, bit n of the masks says whether it was."""
        return [note for note, _ in notes(self.present, self.sure, self.types)]

    @property
    def masks(self) -> list[str]:
        """The columns that hold the notes of a row."""
        return [mask_name(n) for n in range(-(-len(self.notes) // MASK_BITS))]

    def has(self, note: Note) -> str:
        """SQL condition: it was noted of the row."""
        n = self.notes.index(note)
        return f"({mask_name(n // MASK_BITS)} & {1 << n % MASK_BITS} <> 0)"

    def noted(self, masks: Sequence[int]) -> list[Note]:
        """The notes of rows with these values in `masks`."""
        return [note for n, note in enumerate(self.notes) if masks[n // MASK_BITS] >> n % MASK_BITS & 1]


def present(natives: Sequence[Native]) -> list[str]:
    """Columns that any of the files fills: of FOCUS, then `EXTRAS`."""
    return [c for c in (*NAMES, *EXTRAS) if any(c in n.filled for n in natives)]


def with_value(present: Sequence[str]) -> list[str]:
    """Columns of the FOCUS table that can have a value, in its order."""
    filled = {*present, *OWN, *(PROVIDER if {*present}.intersection(PROVIDER) else ())}
    return [c.name for c in tables.FOCUS.columns if c.name in filled]


def mask_name(number: int) -> str:
    """The stage's column with `MASK_BITS` of the notes."""
    return f"__notes{number}"


def sure(natives: Sequence[Native]) -> frozenset[str]:
    """FOCUS columns whose values all the formats make themselves."""
    return frozenset.intersection(*(n.sure for n in natives))


def stage_sql(
    natives: Sequence[str],
    present: Sequence[str],
    source: str,
    tier: str,
    *,
    sure: frozenset[str] = frozenset(),
    types: Mapping[str, str] | None = None,
    looked_up: Sequence[str] = (),
) -> str:
    """One row for each native row: the FOCUS table's columns, and what was found about it.

    Digits of an amount beyond the twelfth decimal are rounded here, half away from zero, and so in the totals.

    Args:
        natives: Results of `native_sql`, to be united.
        present: Columns that any of them fills.
        source: Value of x_source.
        tier: x_tier of what is not a managed model API.
        sure: FOCUS columns that need no rule.
        types: FOCUS column, or `__cost`, -> DuckDB type of its value; where it is not here, a text that may stand for null.
        looked_up: Columns of facts whose value was looked up, too (`native_sql`).

    Returns:
        SQL whose columns are those of the FOCUS table that can have a value, `ASKED`, and `__month` (the slice), `__day` (of the charge,
        UTC), `__reject` (number of the first rejecting check that holds), `__notesN` (what else was found, a bit for each of `notes`),
        `raw:X` (the text that a check of column X found), `__cost` (the native amount), `__currency` (its native text), `__skip`,
        `__header`, `__other_header`, `__parent`, `__is_part`, `__not_stated`, `__file`, `__row` and `__hash`, and `coded:X` of each of `looked_up`.
    """
    own = types or {}
    texts = texts_for_null(present, sure, own)
    filled = [c for c in focus.COLUMNS if c.name in present]
    money = [
        c.name for c in filled if c.type == "decimal" and c.name not in sure and not _is_money(own, c.name)
    ]
    nulls = [f"{is_null_text(identifier(c))} AS {null_name(c)}" for c in texts]
    tags = {c: f"COALESCE({m(c)}, {identifier(c)})" for c in TAGS if c in present and c not in sure}
    clean = {c: f"CASE WHEN {null_name(c)} THEN NULL ELSE {tags.get(c, identifier(c))} END" for c in texts}
    replaced = ", ".join(f"{sql} AS {identifier(c)}" for c, sql in (tags | clean).items())
    mends = [f"{mended(identifier(c))} AS {m(c)}" for c in tags]
    as_pairs = [f"{pairs(sql)} AS {p(c)}" for c, sql in tags.items()]
    values = [
        f"{typed(c, own.get(c.name), sure=c.name in sure)} AS {(d if c.name in money else t)(c.name)}"
        for c in filled
    ]
    period = t("BillingPeriodStart")
    named = f"CAST(date_trunc('month', CASE WHEN __zoned THEN {period} + INTERVAL {AHEAD_H} HOUR ELSE {period} END) AS DATE)"
    month = f"CASE WHEN len(__months) > 1 AND list_contains(__months, {named}) THEN {named} ELSE __default_month END"
    currencies = {
        c: "PricingCurrency" if c.startswith("PricingCurrency") else "BillingCurrency" for c in money
    }
    amounts = [
        (identifier(c), identifier(of) if of in present else "NULL", d(c)) for c, of in currencies.items()
    ]
    own_cost = _is_money(own, "__cost")
    if not own_cost:
        money.append("__cost")
        amounts.append(("CAST(__cost AS VARCHAR)", "__currency", d("__cost")))
    found = [f"COALESCE({d(c)}, __written[{i}]) AS {t(c)}" for i, c in enumerate(money, start=1)]
    rejects = " ".join(f"WHEN {c.condition} THEN {i}" for i, c in enumerate(CHECKS) if c.action == "rejected")
    noted = notes(present, sure, own)
    masks = [
        " + ".join(f"CASE WHEN {condition} THEN {1 << i} ELSE 0 END" for i, (_, condition) in enumerate(some))
        for some in (noted[n : n + MASK_BITS] for n in range(0, len(noted), MASK_BITS))
    ]
    rows = f"({' UNION ALL BY NAME '.join(natives)})"
    # subqueries: DuckDB takes twice as long to bind common table expressions of as many columns
    for columns in (
        ["*", *nulls, *mends],
        [f"* REPLACE ({replaced})" if replaced else "*", *as_pairs],
        ["*", *values, f"__cost AS {t('__cost')}" if own_cost else f"{plain('__cost')} AS {d('__cost')}"],
        [
            "*",
            f"{named} AS __named",
            f"{month} AS __month",
            f"{written_ones(amounts) if amounts else 'NULL'} AS __written",
        ],
        ["*", *found],
        [
            "*",
            f"CASE {rejects} END AS __reject",
            *(f"{mask} AS {mask_name(n)}" for n, mask in enumerate(masks)),
        ],
    ):
        rows = f"(SELECT {', '.join(columns)} FROM {rows})"
    raw = [f"{_raw(c, noted)} AS {raw_name(c)}" for c in shown(present)]
    masked = map(mask_name, range(len(masks)))
    kept = ", ".join([*_output(present, source, tier), *raw, *masked, *map(coded_name, looked_up)])
    return (
        f"SELECT {kept}, __month, CAST({t('ChargePeriodStart')} AS DATE) AS __day, __reject, "
        f"{t('__cost')} AS __cost, __currency, __skip, __header, __other_header, __parent, __is_part, __not_stated, __file, __row, __hash FROM {rows}"
    )


def _is_money(types: Mapping[str, str], name: str) -> bool:
    return types.get(name, "").startswith("DECIMAL")


def _raw(column: str, noted: Sequence[tuple[Note, str]]) -> str:
    """SQL: the text of a column, where a check of it found something."""
    places = [i for i, (note, _) in enumerate(noted) if note[2] == column and note[1] != NULL_TEXT]
    ways = ["__reject IS NOT NULL"]
    for n in range(0, len(noted), MASK_BITS):
        bits = sum(1 << (i - n) for i in places if n <= i < n + MASK_BITS)
        ways += [f"{mask_name(n // MASK_BITS)} & {bits} <> 0"] if bits else []
    return f"CASE WHEN {' OR '.join(ways)} THEN left(CAST({identifier(column)} AS VARCHAR), 200) END"


def texts_for_null(
    present: Sequence[str], sure: frozenset[str], types: Mapping[str, str] | None = None
) -> list[str]:
    """FOCUS columns whose text may stand for null."""
    return [c for c in present if c in NAMES and c not in sure and c not in (types or {})]


def notes(
    present: Sequence[str], sure: frozenset[str], types: Mapping[str, str] | None = None
) -> list[tuple[Note, str]]:
    """What may be repaired or flagged in rows of these columns, and the SQL condition under which it is."""
    own = types or {}
    judged = {c for c in present if c not in sure and not _is_money(own, c)}
    checks = [
        (
            (c.action, c.rule, c.column),
            "TRUE" if c.rule == MISSING and c.column not in present else c.condition,
        )
        for c in CHECKS
        if c.action != "rejected" and (c.rule in (MISSING, NOT_STATED) or c.column in judged)
    ]
    nulls = [(("repaired", NULL_TEXT, c), null_name(c)) for c in sorted(texts_for_null(present, sure, own))]
    return [*checks, *nulls]


def shown(present: Sequence[str]) -> list[str]:
    """Columns of which a check shows the text that it found."""
    checked = {c.column for c in CHECKS if has_value(c, present)}
    return [c for c in present if c in checked]


def _output(present: Sequence[str], source: str, tier: str) -> list[str]:
    """The columns of the FOCUS table, in its order; JSON stays text, which every reader of Parquet understands."""
    apis = [
        f"contains(lower({t('ServiceName')}), {literal(a)})" for a in MODEL_APIS if "ServiceName" in present
    ]
    apis += [
        f"contains(lower({t(c)}), 'token') AND regexp_matches(lower({t(c)}), '(^|[^a-z])tokens?([^a-z]|$)')"
        for c in ("PricingUnit", "ConsumedUnit")
        if c in present
    ]
    unused = [
        f"{t(c)} = 'Unused'"
        for c in ("CommitmentDiscountStatus", "CapacityReservationStatus")
        if c in present
    ]
    provider = [identifier(c) for c in PROVIDER if c in present]
    tiers = dict.fromkeys(["api", tier])
    own = {
        **{c: "NULL" for c in ASKED if c not in present},
        **{c.name: f"COALESCE({t(c.name)}, {identifier(c.name)})" for c in focus.COLUMNS if c.allowed},
        **{c: identifier(c) for c in EXTRAS},
        **{
            c: f"COALESCE({', '.join([*([identifier(c)] if c in present else []), *provider])})"
            for c in PROVIDER
        },
        "x_source": one_of(source, [source]),
        "x_tier": f"CASE WHEN {' OR '.join([*apis, '__model_api'])} THEN {one_of('api', tiers)} ELSE {one_of(tier, tiers)} END",
        "x_billing_month": "__month",
        "x_cost_kind": f"CASE WHEN __cost_kind IS NOT NULL THEN CAST(__cost_kind AS ENUM({', '.join(map(literal, COST_KINDS))})) "
        f"WHEN {' OR '.join(unused or ['FALSE'])} THEN {one_of('idle', COST_KINDS)} ELSE {one_of('direct', COST_KINDS)} END",
    }
    names = {*with_value(present), *ASKED}
    return [
        f"{own[c.name] if c.name in OWN else f'CAST({own.get(c.name, t(c.name))} AS {in_parquet(c)})'} AS {identifier(c.name)}"
        for c in tables.FOCUS.columns
        if c.name in names
    ]
