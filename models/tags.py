"""Reads ownership tags out of FOCUS `Tags` and `AllocatedTags`: the first configured key that has a value.

What a value means belongs to `models/ownership.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import polars as pl

from models.config import DIMENSIONS
from models.ownership import fold


def tag_values(tags: str | None, keys: Mapping[str, Sequence[str]]) -> dict[str, str | None]:
    """One value for each dimension of ownership.

    Args:
        tags: A flat JSON object, or None.
        keys: Dimension -> tag keys in order of preference, compared without regard to case. Of tags that are then
            one, the one that is spelt as here counts, else the first by alphabet; of one that is there twice, the first.

    Returns:
        Dimension -> the first value that is not blank, None where there is none. A number is taken as it is
        written. A tag without a value (FOCUS writes it as true), one that is no number (NaN) or nested names
        no owner; neither does a text that is nested too deeply to be read.
    """
    exact: dict[str, str] = {}
    for key, value in _parsed(tags) if tags else ():
        if isinstance(value, str) and value.strip():
            exact.setdefault(key, value.strip())
    alike: dict[str, str] = {}
    for key in sorted(exact):
        alike.setdefault(fold(key), exact[key])
    return {
        dimension: next(
            (exact.get(key, alike[fold(key)]) for key in keys.get(dimension, ()) if fold(key) in alike), None
        )
        for dimension in DIMENSIONS
    }


def _parsed(tags: str) -> list[tuple[str, object]]:
    """Keys and values of the object as they stand there; what is nested is a list."""
    try:
        found: list[tuple[str, object]] = json.loads(
            tags, parse_int=str, parse_float=str, parse_constant=lambda _: None, object_pairs_hook=list
        )
    except RecursionError:
        return []
    return found


def with_tag_columns(costs: pl.DataFrame, keys: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """Adds `team_tag`, `project_tag`, ... from the tags; each distinct pair of texts is parsed once.

    Args:
        costs: Any frame with a text column `tags`, the resource's, and perhaps `allocated_tags`, those of the
            receiver of a split cost (FOCUS `AllocatedTags`), which count first.
        keys: As for `tag_values`.

    Returns:
        The frame with one text column for each dimension, NULL where no key has a value.
    """
    columns = [name for name in ("allocated_tags", "tags") if name in costs.columns]
    rows = []
    for texts in costs.select(columns).unique().iter_rows():
        values = [tag_values(text, keys) for text in texts]
        first = {f"{d}_tag": next((v[d] for v in values if v[d] is not None), None) for d in DIMENSIONS}
        rows.append(dict(zip(columns, texts, strict=True)) | first)
    schema = dict.fromkeys((*columns, *(f"{d}_tag" for d in DIMENSIONS)), pl.String)
    return costs.join(pl.DataFrame(rows, schema=schema), on=columns, how="left", nulls_equal=True)
