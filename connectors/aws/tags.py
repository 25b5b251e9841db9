"""Tags of CUR 2.0 as one flat JSON object, from its map; `connectors/bills/tags.py` has those of legacy reports.

`user:team` (`user_team` in the map) becomes `team`; `aws:createdBy` (`aws_createdBy`) becomes `aws:createdBy`.
Tags without a value are left out; NULL where none is left.
"""

from __future__ import annotations

from connectors.bills.tags import RECORDS
from connectors.sql import literal

PREFIXES = {"aws_": "aws:", "user_": "", "user:": ""}
"""Start of a key in the map -> what FOCUS tags have instead."""

RENAMED = "e.key"
for _start, _instead in PREFIXES.items():
    RENAMED = f"CASE WHEN starts_with(e.key, {literal(_start)}) THEN {literal(_instead)} || substr(e.key, {len(_start) + 1}) ELSE {RENAMED} END"


def tags_of_map(column: str, *, json_text: bool) -> str:
    """SQL of the object from a map written as JSON.

    In JSON without blanks a quote after `{` or `,` opens a key or closes a text, and what follows a closing
    quote is never a letter: so the prefixes of keys, and nothing else, are found by their text.

    Args:
        column: SQL text of the map as JSON.
        json_text: It comes from the bill as text: it may be no object, which is kept for the rules to find, and
            may have blanks.
    """
    compact = f"CAST(json({column}) AS VARCHAR)" if json_text else column
    renamed = compact
    for start, instead in PREFIXES.items():
        for before in "{,":
            renamed = f"replace({renamed}, {literal(before + chr(34) + start)}, {literal(before + chr(34) + instead)})"
    entries = (
        _entries(column)
        if json_text
        else f"map_entries(CAST(CAST({column} AS JSON) AS MAP(VARCHAR, VARCHAR)))"
    )
    pair = f"CAST(to_json({RENAMED}) AS VARCHAR) || ':' || CAST(to_json(e.value) AS VARCHAR)"
    joined = f"array_to_string(list_transform(list_filter({entries}, lambda e: e.value <> ''), lambda e: {pair}), ',')"
    hollow = f"contains({compact}, ':\"\"') OR contains({compact}, ':null')"
    tags = f"CASE WHEN {hollow} THEN nullif('{{' || {joined} || '}}', '{{}}') ELSE {renamed} END"
    empty = f"{column} IS NULL OR {column} = '{{}}' OR {column} = 'null'"
    if json_text:
        form = f"COALESCE(json_type(TRY_CAST({column} AS JSON)), '')"
        return (
            f"CASE WHEN {empty} THEN NULL WHEN {form} = 'ARRAY' THEN {_pairs(column)} "
            f"WHEN {form} <> 'OBJECT' THEN {column} ELSE {tags} END"
        )
    return f"CASE WHEN {empty} THEN NULL ELSE {tags} END"


def _entries(column: str) -> str:
    """SQL: keys and values of a JSON object, of which a map would not have one twice."""
    content = f"CAST({column} AS JSON)"
    zipped = f"list_zip(json_keys({content}), json_extract_string({content}, '$.*'))"
    return f"list_transform({zipped}, lambda e: {{'key': e[1], 'value': e[2]}})"


def _pairs(column: str) -> str:
    """SQL: an array of keys and values, as writers without maps have it, for the rules to make one object of."""
    pairs = f"from_json(CAST({column} AS JSON), {RECORDS})"
    kept = f"list_filter({pairs}, lambda e: e.key IS NULL OR e.value <> '')"
    return (
        f"CAST(to_json(list_transform({kept}, lambda e: {{'key': {RENAMED}, 'value': e.value}})) AS VARCHAR)"
    )
