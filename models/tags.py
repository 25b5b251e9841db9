"""Reads ownership tags out of FOCUS `Tags`: the first configured key that has a value. What a value means: ownership.py."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import polars as pl

from models.config import DIMENSIONS


def tag_values(tags: str | None, keys: Mapping[str, Sequence[str]]) -> dict[str, str | None]:
    """One value for each dimension of ownership.

    Args:
        tags: A flat JSON object, or None.
        keys: Dimension -> tag keys in order of preference, compared without regard to case.

    Returns:
        Dimension -> the first value that is not blank, None where there is none. A number is taken as it is
        written. A tag without a value (FOCUS writes it as true), one that is no number (NaN) or nested names
        no owner; neither does a text that is nested too deeply to be read.
    """
    found: dict[str, str] = {}
    for key, value in _parsed(tags).items() if tags else ():
        if isinstance(value, str) and value.strip():
            found.setdefault(key.strip().lower(), value.strip())
    return {
        dimension: next((found[k.lower()] for k in keys.get(dimension, ()) if k.lower() in found), None)
        for dimension in DIMENSIONS
    }


def _parsed(tags: str) -> dict[str, object]:
    try:
        found: dict[str, object] = json.loads(
            tags, parse_int=str, parse_float=str, parse_constant=lambda _: None
        )
    except RecursionError:
        return {}
    return found


def with_tag_columns(costs: pl.DataFrame, keys: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """Adds `team_tag`, `project_tag`, ... from the column `tags`; each distinct text is parsed once.

    Args:
        costs: Any frame with a text column `tags`.
        keys: As for `tag_values`.

    Returns:
        The frame with one text column for each dimension, NULL where no key has a value.
    """
    distinct = costs.select(pl.col("tags").unique()).to_series().to_list()
    rows = [{"tags": t, **{f"{d}_tag": v for d, v in tag_values(t, keys).items()}} for t in distinct]
    schema = {"tags": pl.String, **{f"{d}_tag": pl.String for d in DIMENSIONS}}
    return costs.join(pl.DataFrame(rows, schema=schema), on="tags", how="left", nulls_equal=True)
