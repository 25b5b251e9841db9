"""JSON of a bill: tags that it has in columns of their own or as pairs, and texts that should be JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from connectors.sql import literal

PAIRS = re.compile(r'STRUCT\("?key"? \w+, "?value"? \w+.*\)\[\]', re.IGNORECASE)

RECORDS = literal('[{"key":"VARCHAR","value":"VARCHAR"}]')
"""SQL: the form of such pairs for `from_json`."""

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


def flat_pairs(pairs: str) -> str:
    """SQL: an array of keys and values as one flat JSON object, NULL where there is none or the text is no array.

    Exports write `[{"key": "team", "value": "vision"}]`, with `Key`, `name` or `tagKey`, too. Of a key that comes twice
    the first value counts. A key without a value is true. What is no such pair is left out (`has_odd_pairs`).

    Args:
        pairs: SQL of `pairs` of the text.
    """
    pair = "CAST(p[1] AS VARCHAR) || ':' || COALESCE(nullif(CAST(p[2] AS VARCHAR), 'null'), 'true')"
    first = "list_filter(l, lambda p, i: list_position(list_transform(l, lambda q: q[1]), p[1]) = i)"
    joined = f"array_to_string(list_transform({first}, lambda p: {pair}), ',')"
    keyed = f"list_filter({pairs}, lambda p: {HAS_KEY})"
    return f"list_transform([{keyed}], lambda l: CASE WHEN len(l) > 0 THEN '{{' || {joined} || '}}' END)[1]"


def has_odd_pairs(pairs: str) -> str:
    """SQL: an element of the array is no pair with a key; NULL where the text is no array."""
    return f"len(list_filter({pairs}, lambda p: NOT {HAS_KEY})) > 0"


REPEATED = "repeated_tag_key"


def repeats_key(pairs: str) -> str:
    """SQL: a key comes twice in the array, of which the first value counts; NULL where the text is no array."""
    keys = f"list_transform(list_filter({pairs}, lambda p: {HAS_KEY}), lambda p: p[1])"
    return f"list_transform([{keys}], lambda l: len(l) <> len(list_distinct(l)))[1]"


def once(text: str, other: str) -> str:
    """SQL: a JSON object with each key once, of which the first value counts; `other` for any other text, and most."""
    content = f"TRY_CAST({text} AS JSON)"
    keys, values = f"json_keys({content})", f"json_extract({content}, '$.*')"
    first = f"list_filter(list_zip({keys}, {values}), lambda p, i: list_position({keys}, p[1]) = i)"
    pair = "CAST(to_json(p[1]) AS VARCHAR) || ':' || CAST(p[2] AS VARCHAR)"
    single = f"'{{' || array_to_string(list_transform({first}, lambda p: {pair}), ',') || '}}'"
    return f"CASE WHEN len({keys}) <> list_unique({keys}) THEN {single} ELSE {other} END"


def repeats_key_in(text: str, single: str) -> str:
    """SQL: the text is an object of which `once` took a key; `single` is what is left."""
    count = f"len(json_keys(TRY_CAST({text} AS JSON))) <> len(json_keys(TRY_CAST({single} AS JSON)))"
    return f"CASE WHEN {text} <> {single} AND ltrim({text}) LIKE '{{%' THEN {count} END"


def has_like_keys(tags: str) -> str:
    """SQL: two keys of a JSON object are the same but for case and outer blanks, so that both may name an owner."""
    keys = f"list_transform(json_keys(TRY_CAST({tags} AS JSON)), lambda k: lower(trim(k)))"
    return f"list_transform([{keys}], lambda l: len(l) <> len(list_distinct(l)))[1]"


BREAKS = (("chr(10)", "\\n"), ("chr(13)", "\\r"), ("chr(9)", "\\t"))
"""What may not stand in a text of JSON as it is -> how it is escaped there."""


def mended(text: str) -> str:
    """SQL: JSON with its line breaks and tabs escaped; NULL where the text has none, is JSON as it is, or is none even so."""
    there = f"({' OR '.join(f'contains({text}, {c})' for c, _ in BREAKS)})"
    escaped = text
    for c, escape in BREAKS:
        escaped = f"replace({escaped}, {c}, {literal(escape)})"
    is_none, is_json = (f"TRY_CAST({one} AS JSON) IS {be}NULL" for one, be in ((text, ""), (escaped, "NOT ")))
    return f"CASE WHEN {there} AND {is_none} AND {is_json} THEN {escaped} END"


HAS_KEY = "(json_type(p[1]) IS NOT DISTINCT FROM 'VARCHAR' AND CAST(p[1] AS VARCHAR) <> '\"\"')"


def pairs(text: str) -> str:
    """SQL: the elements of an array as lists of key and value, each JSON; NULL where the text is no array."""
    members = [*KEYS, *VALUES, *NAMES]
    paths = ", ".join(literal(f"$.{name}") for name in members)
    key, value, name = (
        f"COALESCE({', '.join(f'm[{members.index(n) + 1}]' for n in names)})"
        for names in (KEYS, VALUES, NAMES)
    )
    key = f"COALESCE({key}, CASE WHEN {value} IS NOT NULL THEN {name} END)"
    strict = f"json_extract(TRY_CAST({text} AS JSON), '$')"
    content = f"CAST(CASE WHEN ltrim({text}) LIKE '[%' THEN {strict} END AS JSON[])"
    return f"list_transform(list_transform({content}, lambda p: json_extract(p, [{paths}])), lambda m: [{key}, {value}])"
