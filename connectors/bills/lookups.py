"""Columns of facts that follow from texts of few different values, looked up instead of computed row by row.

DuckDB reads a text of few values as numbers of a dictionary, and a function of one such column is computed once for each of
them. What the statement (`connectors/bills/stage.py`) makes of every combination of the values is asked of itself; each row
then only takes its result. As a value of an enumeration it is written for an eighth of what a text costs; in Parquet both
are the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from connectors.base import Engine
from connectors.bills.amounts import plain
from connectors.bills.native import NULL, PROVIDER, Native
from connectors.bills.shapes import Shape
from connectors.parts import in_parquet
from connectors.sql import files, identifier, literal, one_of
from models import tables

MOST_VALUES = 200
"""Of a column whose values are looked up."""
MOST_COMBINATIONS = 1000
"""Of values that a result is computed for; no more than a tenth of the rows either."""

Values = Mapping[str, Sequence[str | None]]
"""Native column -> all its values, NULL among them where a row has none."""


@dataclass(frozen=True)
class Lookups:
    """What is looked up of a shape.

    Attributes:
        values: The values of the native columns that have few.
        follows: Columns of facts that follow from nothing but such columns -> these columns.
    """

    values: Values
    follows: Mapping[str, tuple[str, ...]]


def few_values(columns: Sequence[str], shape: Shape, engine: Engine) -> tuple[Values, int]:
    """The values of those columns of texts that have few, and the number of rows.

    Which columns may have few, the footers of the files say: they take little room.
    """
    footers = engine.rows(
        "SELECT path_in_schema AS name, CAST(sum(num_values) AS BIGINT) AS rows, "
        "sum(total_compressed_size) <= 1.5 * sum(num_values) + 1000 * count(*) AS small "
        f"FROM parquet_metadata({files(f.path for f in shape.files)}) GROUP BY name"
    )
    there = {row["name"] for row in footers if row["small"]}
    asked = [c for c in columns if c in there]
    lists = ", ".join(
        f"(SELECT list(x) FROM (SELECT DISTINCT {identifier(c)} AS x FROM {shape.scan} LIMIT {MOST_VALUES + 1})) AS c{n}"
        for n, c in enumerate(asked)
    )
    found = engine.rows(f"SELECT {lists}")[0].values() if asked else ()
    values = {c: of for c, of in zip(asked, found, strict=True) if of and len(of) <= MOST_VALUES}
    return values, min((row["rows"] for row in footers), default=0)


NOTHING = "nullif('', '')"
"""SQL: no text. Not as formats write it for a column that is not there (`native.NULL`): this one is."""


def constant(values: Sequence[str | None]) -> str | None:
    """SQL of the only value that a column has; None if it has several."""
    return (literal(values[0]) if values[0] else NOTHING) if len(values) == 1 else None


def prices(column: str, values: Sequence[str | None], engine: Engine) -> str:
    """SQL of the amounts that a column of texts holds; empty where none is known, or one is no bare number."""
    texts = [x for x in values if x]
    asked = ", ".join(f"CAST({plain(literal(x))} AS VARCHAR)" for x in texts)
    found = [*engine.rows(f"SELECT [{asked}] AS found")[0]["found"]] if texts else []
    if not found or None in found:
        return ""
    return f"CAST({_list(found)} AS DECIMAL(38,12)[])[list_position({_list(texts)}, {identifier(column)})]"


def followed(native: Native, shape: Shape, values: Values, rows: int) -> dict[str, tuple[str, ...]]:
    """Columns of facts that follow from nothing but values of such columns -> these columns.

    Args:
        native: The FOCUS columns.
        shape: The files; columns of one value are literals in its expressions.
        values: What is known.
        rows: Native rows.
    """
    steps = {name for layer in (native.before, *native.steps) for name in layer}
    found = {}
    for column in tables.FOCUS.columns:
        type_ = in_parquet(column)
        names = [c for c in (PROVIDER if column.name in PROVIDER else [column.name]) if c in native.focus]
        if not names or not type_.startswith(("VARCHAR", "DECIMAL")):
            continue
        if type_.startswith("DECIMAL"):
            # an amount may be written with the sign of its currency
            names += [c for c in ("BillingCurrency", "PricingCurrency") if c in native.focus]
        of = [native.focus[c] for c in names if native.focus[c] != NULL]
        sql = native.written_out(" ".join(of))
        if native.focus[names[0]] == NULL:
            continue
        needs = tuple(c for c in shape.types if identifier(c) in sql)
        if not set(re.findall(r"\b__\w+", sql)) <= steps or not values.keys() >= set(needs):
            continue
        many = prod(len(values[c]) for c in needs)
        if many <= MOST_COMBINATIONS and 10 * many <= rows:
            found[column.name] = needs
    return found


def combinations(needs: Iterable[tuple[str, ...]], shape: Shape, values: Values) -> str:
    """SQL table expression like a scan: a row for each combination of values of each of these groups of columns.

    Its `__file` is the group's number and that of the combination, from 0, with a blank between.
    """
    columns = ", ".join(f"CAST(NULL AS {type_}) AS {identifier(c)}" for c, type_ in shape.types.items())
    selects = [f"SELECT {columns}, CAST(NULL AS VARCHAR) AS __file WHERE FALSE"]
    for number, group in enumerate(needs):
        lists = [
            f"(SELECT unnest({_list(values[c])}) AS {identifier(c)}, unnest(range({len(values[c])})) AS n{i})"
            for i, c in enumerate(group)
        ]
        place = " + ".join(
            ["0", *(f"{prod(len(values[c]) for c in group[i + 1 :])} * n{i}" for i in range(len(group)))]
        )
        named = "".join(f"{identifier(c)}, " for c in group)
        source = f" FROM {', '.join(lists)}" if lists else ""
        selects.append(f"SELECT {named}'{number} ' || ({place}) AS __file{source}")
    return f"({' UNION ALL BY NAME '.join(selects)})"


def results(
    follows: Mapping[str, tuple[str, ...]], stage: str, engine: Engine
) -> dict[str, list[str | None]]:
    """Column of facts -> its value for each combination, as text.

    Args:
        follows: As `followed` has it.
        stage: The statement over `combinations` of the different values of `follows`, in order.
        engine: Runs the SQL.
    """
    groups = [*dict.fromkeys(follows.values())]
    asked = ", ".join(f"CAST({identifier(c)} AS VARCHAR) AS {identifier(c)}" for c in follows)
    places: dict[int, dict[int, Mapping[str, str | None]]] = {n: {} for n in range(len(groups))}
    for row in engine.rows(f"SELECT __file, {asked} FROM ({stage})"):
        number, place = map(int, row["__file"].split())
        places[number][place] = row
    return {
        c: [row[c] for _, row in sorted(places[groups.index(group)].items())] for c, group in follows.items()
    }


def coded(column: str, needs: Sequence[str], found: Sequence[str | None], values: Values) -> str | None:
    """SQL over native columns: the value of a column of facts, texts as an enumeration; None where there never is one.

    Args:
        column: The column.
        needs: The native columns that it follows from.
        found: Its value for each combination of theirs.
        values: The values of these.
    """
    different = [*dict.fromkeys(x for x in found if x is not None)]
    if not different:
        return None
    type_ = in_parquet(next(c for c in tables.FOCUS.columns if c.name == column))
    if len(found) == 1:
        return one_of(different[0], different) if type_ == "VARCHAR" else None
    if type_ == "VARCHAR":
        type_ = f"ENUM({', '.join(map(literal, different))})"
    places = [
        f"{prod(len(values[c]) for c in needs[i + 1 :])} * (list_position({_list(values[c])}, {identifier(c)}) - 1)"
        for i, c in enumerate(needs)
    ]
    return f"CAST({_list(found)} AS {type_}[])[{' + '.join([*places, '1'])}]"


def _list(texts: Sequence[str | None]) -> str:
    """SQL: a list of texts."""
    return f"[{', '.join('NULL' if x is None else literal(x) for x in texts)}]"
