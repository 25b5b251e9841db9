"""JSON of a bill: tags that it has in columns of their own, and texts that should be JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from connectors.sql import literal

PAIRS = re.compile(r'STRUCT\("?key"? \w+, "?value"? \w+.*\)\[\]', re.IGNORECASE)


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
    """SQL: a list of records with key and value as one flat JSON object; NULL where there is no key.

    Of a key that comes twice the first value counts. A key without a value is true.

    Args:
        pairs: SQL expression of the list.
    """
    keys = f"list_transform({pairs}, lambda p: p.key)"
    first = f"list_filter({pairs}, lambda p, i: p.key IS NOT NULL AND list_position({keys}, p.key) = i)"
    pair = "CAST(to_json(p.key) AS VARCHAR) || ':' || COALESCE(CAST(to_json(p.value) AS VARCHAR), 'true')"
    joined = f"array_to_string(list_transform({first}, lambda p: {pair}), ',')"
    return f"CASE WHEN {joined} <> '' THEN '{{' || {joined} || '}}' END"
