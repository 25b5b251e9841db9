"""JSON of a bill: tags that it has in columns of their own or as pairs, and texts that should be JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from connectors.sql import literal

PAIRS = re.compile(r'STRUCT\("?key"? \w+, "?value"? \w+.*\)\[\]', re.IGNORECASE)

KEYS = ("key", "Key", "tagKey", "TagKey")
VALUES = ("value", "Value", "tagValue", "TagValue")
NAMES = ("name", "Name")
"""What exports call key and value of a tag; a name is a key only beside a value."""


def flat_json(tags: Mapping[str, str]) -> str:
    """SQL: the tags that have a value as a JSON object; NULL if none has.

    Args:
        tags: Tag key -> SQL expression of its value as text.
    """
    if not tags:
        return "CAST(NULL AS VARCHAR)"
    parts = ", ".join(
        f"CASE WHEN {text} <> '' THEN {literal(json.dumps(name, ensure_ascii=False) + ':')} || CAST(to_json({text}) AS VARCHAR) END"
        for name, text in tags.items()
    )
    joined = f"concat_ws(',', {parts})"
    return f"CASE WHEN {joined} <> '' THEN '{{' || {joined} || '}}' END"


def json_or_text(content: str, text: str) -> str:
    """SQL: JSON as every reader takes it; a text that is none is kept as a JSON string.

    Args:
        content: The text as JSON; NULL where it is none.
        text: The text.
    """
    return f"COALESCE(CAST(json_extract({content}, '$') AS VARCHAR), CAST(to_json({text}) AS VARCHAR))"


def is_pairs(type_: str) -> bool:
    """The DuckDB type is a list of keys and values: tags of Google's FOCUS view, or a MAP that polars has written anew."""
    return PAIRS.fullmatch(type_) is not None


def pairs_as_json(pairs: str) -> str:
    """SQL: a list of records with key and value as `flat_pairs` makes it of text.

    Args:
        pairs: SQL expression of the list.
    """
    each = f"list_transform({pairs}, lambda p: [to_json(p.key), to_json(p.value)])"
    return _flat(each, f"CAST(to_json({pairs}) AS VARCHAR)")


def flat_pairs(text: str) -> str:
    """SQL: an array of keys and values as one flat JSON object, NULL for an empty one; any other text as it is.

    Exports write `[{"key": "team", "value": "vision"}]`, with `Key`, `name` or `tagKey`, too. Of a key that comes twice
    the first value counts. A key without a value is true. An array with an element that is no such pair stays as it
    is, to be counted as malformed.

    Args:
        text: SQL expression of the tags as text.
    """
    members = [*KEYS, *VALUES, *NAMES]
    paths = ", ".join(literal(f"$.{name}") for name in members)
    key, value, name = (
        f"COALESCE({', '.join(f'm[{members.index(n) + 1}]' for n in names)})"
        for names in (KEYS, VALUES, NAMES)
    )
    key = f"COALESCE({key}, CASE WHEN {value} IS NOT NULL THEN {name} END)"
    content = f"CAST(CASE WHEN ltrim({text}) LIKE '[%' THEN TRY_CAST({text} AS JSON) END AS JSON[])"
    found = f"list_transform(list_transform({content}, lambda p: json_extract(p, [{paths}])), lambda m: [{key}, {value}])"
    return _flat(found, text)


def _flat(pairs: str, otherwise: str) -> str:
    """SQL: pairs of JSON as one flat JSON object, NULL if there is none.

    Args:
        pairs: SQL expression of a list of [key, value]; NULL where there is no list.
        otherwise: SQL of the result there, and where an element has no key.
    """
    pair = "CAST(p[1] AS VARCHAR) || ':' || COALESCE(nullif(CAST(p[2] AS VARCHAR), 'null'), 'true')"
    first = "list_filter(l, lambda p, i: list_position(list_transform(l, lambda q: q[1]), p[1]) = i)"
    joined = f"array_to_string(list_transform({first}, lambda p: {pair}), ',')"
    keyless = "len(list_filter(l, lambda p: json_type(p[1]) IS DISTINCT FROM 'VARCHAR')) > 0"
    flat = (
        f"CASE WHEN l IS NULL OR {keyless} THEN {otherwise} WHEN len(l) > 0 THEN '{{' || {joined} || '}}' END"
    )
    return f"list_transform([{pairs}], lambda l: {flat})[1]"
