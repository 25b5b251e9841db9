"""Tags that a bill has in columns of their own, as one flat JSON object."""

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
