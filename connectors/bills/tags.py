"""JSON of a bill: tags that it has in columns of their own, and texts that should be JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping

from connectors.sql import literal


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
