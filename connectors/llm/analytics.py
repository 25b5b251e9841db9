"""Saved answers of Anthropic's `analytics/cost` and `analytics/usage` (beta): rows, which become buckets of the reports before them.

A row has its period, its cost or usage, and the group that it is of. Rows are ranked by cost, so those of a day may lie on
any page: all pages of an answer are one file, a list of them or one a line.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from connectors.base import SourceError

ENDPOINTS = {"cost": "cost_report", "usage": "usage_report/messages"}
"""What a row holds, which is the name of its endpoint below `analytics` -> the endpoint whose results have the same keys."""
WIDEST = timedelta(days=1)
NAMED = (
    "model", "workspace_id", "cost_type", "token_type", "service_tier", "context_window", "inference_geo", "speed", "api_key_id",
)  # fmt: skip
"""What a group and a result of a report both call so."""


def buckets(rows: list[Any], uri: str) -> list[Any]:
    """The buckets of a file; what holds no rows of analytics stays as it is.

    Args:
        rows: What the lists of its pages hold.
        uri: Its name for a person.

    Raises:
        SourceError: It is grouped by rbac_group_id, also as buckets; it holds other things, too, or costs and usage; its last page says that another one follows; a row is
            there twice, names no period, or one of more than a day.
    """
    _refuse_overlaps(rows, uri)
    kinds = {_kind(row) for row in rows}
    if kinds <= {""}:
        return rows
    if len(kinds) > 1:
        names = " and ".join(f"analytics/{kind}" if kind else "other answers" for kind in sorted(kinds))
        msg = f"{uri} mixes {names}; save each in files of its own"
        raise SourceError(msg)
    if rows[-1].get("has_more"):
        msg = (
            f"{uri} ends with a page that says that another page follows, on which rows of any day may be; save all pages of "
            "the answer in this file, as a list or one a line"
        )
        raise SourceError(msg)
    found: dict[tuple[Any, Any], dict[str, Any]] = defaultdict(dict)
    for number, row in enumerate(rows, start=1):
        period = (row.get("starting_at"), row.get("ending_at"))
        _require_day(*period, f"{uri}: row {number}")
        given = row.get("group")
        group = {k: v for k, v in given.items() if v is not None} if isinstance(given, dict) else {}
        name = json.dumps(group, sort_keys=True, default=str)
        if name in found[period]:
            msg = f"{uri}: row {number} is there twice, for the same time and group: is a page saved twice? Remove one of them"
            raise SourceError(msg)
        found[period][name] = _result(row, group)
    return [
        {"starting_at": start, "ending_at": end, "results": [*results.values()]}
        for (start, end), results in sorted(found.items())
    ]


def _kind(row: Any) -> str:
    """What a row holds; nothing for what is no row of analytics."""
    given = row if isinstance(row, dict) and "results" not in row else {}
    return next((kind for kind in ENDPOINTS if isinstance(given.get(kind), dict)), "")


def _refuse_overlaps(rows: list[Any], uri: str) -> None:
    """Raises SourceError if rows or results are of groups of people: who is in several is in the row of each."""
    given = [row for row in rows if isinstance(row, dict)]
    results = [r for row in given if isinstance(row.get("results"), list) for r in row["results"]]
    groups = [*(row.get("group") for row in given), *results]
    if any(isinstance(group, dict) and group.get("rbac_group_id") is not None for group in groups):
        msg = (
            f"{uri} is grouped by rbac_group_id: what people in several groups use is in the row of each, and counts more than "
            "once; ask again without that group"
        )
        raise SourceError(msg)


def _require_day(start: Any, end: Any, where: str) -> None:
    try:
        width = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    except (TypeError, ValueError) as error:
        msg = f"{where} has no period: it starts at {start!r} and ends at {end!r}; save the whole answer of the API again"
        raise SourceError(msg) from error
    if width > WIDEST:
        msg = (
            f"{where} is of {start} to {end}, more than a day; ask for costs with time_bucket_width=1d, and for usage with "
            "time_bucket_width=1h"
        )
        raise SourceError(msg)


def _result(row: Mapping[str, Any], group: Mapping[str, Any]) -> dict[str, Any]:
    """A result as the reports have it. What else names its group, such as a person, tells it from others and is not kept."""
    named = {name: group.get(name) for name in NAMED}
    other = {k: v for k, v in group.items() if k not in NAMED}
    digest = hashlib.sha256(json.dumps(other, sort_keys=True, default=str).encode()).hexdigest()[:12]
    return {**named, **(row.get("cost") or row.get("usage") or {}), "user_id": digest if other else None}
