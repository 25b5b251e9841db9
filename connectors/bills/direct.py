"""Parquet bills straight to FOCUS, without a detour through text, where their content allows it.

One cheap scan of the native columns says whether it does: numbers are finite numbers, and which texts are never
empty nor stand for null, so that the statement can leave them as they are. What the statement then does is the
same as for text, and belongs to `connectors/bills/stage.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import Any

from connectors.base import Engine
from connectors.bills.lookups import (
    Lookups,
    coded,
    combinations,
    constant,
    few_values,
    followed,
    prices,
    results,
)
from connectors.bills.native import NAMES, Native, native_sql, row_hash
from connectors.bills.rules import NULL_TEXTS, is_null_text
from connectors.bills.shapes import NESTED, NUMERIC, Shape
from connectors.bills.stage import Bill, Stage, present, stage_sql, sure
from connectors.sql import identifier

LONGEST_NULL = max(map(len, NULL_TEXTS))
"""A column whose texts are all longer holds neither an empty text nor one that stands for null."""


@dataclass(frozen=True)
class Part:
    """One shape that can be read in its own types.

    Attributes:
        shape: Its expressions as text, for describing rejected rows.
        native: FOCUS columns as text, likewise.
        own: The FOCUS columns in their own types.
        own_shape: The expressions in these types.
        plain: FOCUS columns whose text never stands for null.
        lookups: What need not be computed row by row.
    """

    shape: Shape
    native: Native
    own: Native
    own_shape: Shape
    plain: frozenset[str]
    lookups: Lookups


def own_types(bill: Bill, shape: Shape, native: Native, engine: Engine) -> Part | None:
    """How to read a shape in its own types; None if it has to be read as text."""
    numbers = {c for c in shape.types if bill.numbers(c)}
    if not numbers or not all(shape.types[c].startswith(NUMERIC) for c in numbers):
        return None
    used = native.written_out(
        " ".join([*native.focus.values(), native.cost, native.currency, native.skip, native.cost_kind])
    )
    texts = [c for c, t in shape.types.items() if t == "VARCHAR" and identifier(c) in used]
    few, rows = few_values(texts, shape, engine)
    others = [c for c in texts if c not in few]
    asked = [f"bool_or({_unreadable(identifier(c), shape.types[c])})" for c in numbers]
    asked += [f"min(strlen({identifier(c)}))" for c in others]
    found = _ask(asked, shape, engine)
    if any(found[: len(numbers)]):
        return None
    lengths = zip(others, found[len(numbers) :], strict=True)
    short = [c for c, n in lengths if n is not None and n <= LONGEST_NULL]
    empty, null = _without_value(short, shape, engine)
    empty |= {c for c, values in few.items() if "" in values}
    null |= {c for c, values in few.items() if not {*NULL_TEXTS}.isdisjoint(values)}
    as_they_are = {c for c in texts if c not in empty}
    as_they_are |= {c for c, t in shape.types.items() if bill.moments(c) and t.startswith("TIMESTAMP")}
    amounts = {
        c: prices(c, few.get(c, ()), engine) for c in shape.types if bill.prices(c) and identifier(c) in used
    }
    priced = all(amounts.values())
    own = {
        **shape.text,
        **{c: identifier(c) for c in as_they_are},
        **{c: only for c, values in few.items() if (only := constant(values))},
        **(amounts if priced else {}),
        **{c: _number(identifier(c), shape.types[c]) for c in numbers},
    }
    typed_shape = replace(shape, text=own, own=True, priced=priced)
    doubtful = [identifier(c) for c, t in shape.types.items() if c in null or t.startswith(NESTED)]
    plain = frozenset(
        c for c in NAMES if not any(d in native.written_out(native.focus.get(c, "")) for d in doubtful)
    )
    own_native = bill.to_focus(typed_shape)
    lookups = Lookups(few, followed(own_native, typed_shape, few, rows))
    return Part(shape, native, own_native, typed_shape, plain, lookups)


def _without_value(columns: Sequence[str], shape: Shape, engine: Engine) -> tuple[set[str], set[str]]:
    """Which columns of texts hold an empty text, and which one that stands for null."""
    ways = (lambda c: f"{c} = ''", is_null_text)
    asked = [f"bool_or({way(identifier(c))})" for way in ways for c in columns]
    found = _ask(asked, shape, engine) if columns else ()
    there = [
        {c for c, holds in zip(columns, part, strict=True) if holds}
        for part in (found[: len(columns)], found[len(columns) :])
    ]
    return there[0], there[1]


def _number(column: str, type_: str) -> str:
    """SQL: a column of numbers as money."""
    return exact(column) if type_ == "DOUBLE" else f"TRY_CAST({column} AS DECIMAL(38,12))"


def _ask(expressions: Sequence[str], shape: Shape, engine: Engine) -> tuple[Any, ...]:
    """Aggregates over the native rows of a shape; minima and booleans are computed on dictionaries, so cheaply."""
    columns = ", ".join(f"{e} AS c{n}" for n, e in enumerate(expressions))
    return tuple(engine.rows(f"SELECT {columns} FROM {shape.scan}")[0].values())


def exact(double: str) -> str:
    """SQL: the decimal that a double is written as, without writing it where its digits are certain.

    Below 1000 a double times 1e12 is off by less than 0.23; where that is within 0.25 of a whole number, the
    decimal as written rounds to this number too.
    """
    scaled = f"{double} * 1e12"
    near = f"abs({double}) < 1000 AND abs({scaled} - round({scaled})) < 0.25"
    as_text = f"TRY_CAST(CAST({double} AS VARCHAR) AS DECIMAL(38,12))"
    return f"CASE WHEN {near} THEN TRY_CAST({double} AS DECIMAL(38,12)) ELSE {as_text} END"


def _unreadable(column: str, type_: str) -> str:
    """SQL condition: a number is not finite, or too large for money."""
    if type_ == "DOUBLE":
        return f"NOT isfinite({column}) OR abs({column}) >= 1e26"
    return f"{column} IS NOT NULL AND TRY_CAST({column} AS DECIMAL(38,12)) IS NULL"


def view(bill: Bill, month: date, parts: Sequence[Part], engine: Engine, days: Sequence[str] = ()) -> Stage:
    """The stage of a month, or of days of it, as a query straight over its files."""
    mine = [part for part in parts if month in part.shape.months]
    natives = [part.native for part in mine]
    sqls = [native_sql(part.own_shape, part.own) for part in mine]
    plain = frozenset.intersection(*(part.plain for part in mine))
    types = {
        c: type_
        for c, type_ in engine.columns(" UNION ALL BY NAME ".join(sqls)).items()
        if c in (*NAMES, "__cost") and (type_.startswith(("DECIMAL", "TIMESTAMP")) or c in plain)
    }
    tidy = partial(
        stage_sql,
        present=present(natives),
        source=bill.source,
        tier=bill.tier,
        sure=sure(natives),
        types=types,
    )
    more = _looked_up(mine[0], tidy, engine) if len(mine) == 1 else {}
    sqls = [
        native_sql(
            part.own_shape, part.own, hashed=row_hash(part.shape, part.native), days=days, looked_up=more
        )
        for part in mine
    ]
    sql = tidy(sqls, looked_up=tuple(more))
    return Stage(f"({sql})", bill, tuple(part.shape for part in mine), tuple(natives), types, tuple(more))


def _looked_up(part: Part, tidy: Callable[[Sequence[str]], str], engine: Engine) -> dict[str, str]:
    """Columns of facts that need not be computed row by row -> SQL over the native columns.

    Args:
        part: The files.
        tidy: The statement from results of `native_sql`.
        engine: Runs the SQL.
    """
    values, follows = part.lookups.values, part.lookups.follows
    if not follows:
        return {}
    scan = combinations(dict.fromkeys(follows.values()), part.own_shape, values)
    every = tidy([native_sql(replace(part.own_shape, scan=scan), part.own)])
    found = results(follows, every, engine)
    return {c: sql for c, needs in follows.items() if (sql := coded(c, needs, found[c], values))}
