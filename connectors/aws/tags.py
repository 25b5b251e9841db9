"""Tags of CUR 2.0 as one flat JSON object, from its map; `connectors/bills/tags.py` has those of legacy reports.

`user:team` (`user_team` in the map) becomes `team`; `aws:createdBy` (`aws_createdBy`) becomes `aws:createdBy`.
Tags without a value are left out; NULL where none is left.
"""

from __future__ import annotations

from connectors.sql import literal

PREFIXES = {"aws_": "aws:", "user_": "", "user:": ""}
"""Start of a key in the map -> what FOCUS tags have instead."""


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
    entries = f"map_entries(CAST(CAST({column} AS JSON) AS MAP(VARCHAR, VARCHAR)))"
    key = "e.key"
    for start, instead in PREFIXES.items():
        key = f"CASE WHEN starts_with(e.key, {literal(start)}) THEN {literal(instead)} || substr(e.key, {len(start) + 1}) ELSE {key} END"
    pair = f"CAST(to_json({key}) AS VARCHAR) || ':' || CAST(to_json(e.value) AS VARCHAR)"
    joined = f"array_to_string(list_transform(list_filter({entries}, lambda e: e.value <> ''), lambda e: {pair}), ',')"
    hollow = f"contains({compact}, ':\"\"') OR contains({compact}, ':null')"
    tags = f"CASE WHEN {hollow} THEN nullif('{{' || {joined} || '}}', '{{}}') ELSE {renamed} END"
    empty = f"{column} IS NULL OR {column} = '{{}}' OR {column} = 'null'"
    if json_text:
        odd = f"COALESCE(json_type(TRY_CAST({column} AS JSON)), '') <> 'OBJECT'"
        return f"CASE WHEN {empty} THEN NULL WHEN {odd} THEN {column} ELSE {tags} END"
    return f"CASE WHEN {empty} THEN NULL ELSE {tags} END"
