"""CSV files that Anthropic's console exports, costs and usage, as the buckets that its Admin API would give.

Costs are in dollars there, and workspaces and models of costs have their names, no ids. Names of keys are not looked at.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.base import SourceError
from connectors.bills.amounts import EXACT, number
from connectors.llm.dashboard import table, whole

DATE, COST, UNCACHED = "usage_date_utc", "cost_usd", "usage_input_tokens_no_cache"
"""The day in all files; what only files of costs, and only those of usage, have."""

WRITTEN = (
    "usage_input_tokens_cache_write_5m",
    "usage_input_tokens_cache_write_1h",
    "usage_input_tokens_cache_write",
)
"""Tokens written to the cache; older files have one column of them."""

TOKENS = {
    "input_no_cache": "uncached_input_tokens",
    "input_cache_read": "cache_read_input_tokens",
    "input_cache_write_5m": "cache_creation.ephemeral_5m_input_tokens",
    "input_cache_write_1h": "cache_creation.ephemeral_1h_input_tokens",
    "output": "output_tokens",
}
"""Kind of token -> its name in the API; others are called as they are."""

SAID = {
    "token": "tokens",
    "≤ 200k": "0-200k",
    "message": None,
    "not_available": None,
    "": None,
}
"""Other words of the console -> those of the API; names of workspaces are none of them."""

DEFAULT = "Default"
"""The workspace that is null in the API."""


def pages(text: str, uri: str) -> list[list[Any]]:
    """One page with the buckets of an export, a day each, or an hour where the file tells hours.

    Args:
        text: The file.
        uri: Its name for a person.

    Raises:
        SourceError: It is no such export, or not CSV.
    """
    try:
        names, rows = table(
            text, uri, (COST, UNCACHED, "usage_input_tokens_cache_read", *WRITTEN, "usage_output_tokens")
        )
        if DATE not in names or not {COST, UNCACHED} & {*names}:
            msg = (
                f"{uri} is no export of Anthropic's console: columns {DATE} and {COST} (costs) or {UNCACHED} (usage) are "
                f"mandatory, it has {', '.join(names)[:300]}"
            )
            raise SourceError(msg)
        found: dict[str, list[Any]] = defaultdict(list)
        for row in rows:
            given = {k: v.strip() for k, v in row.items() if k}
            found[given.get(DATE, "")].append(_cost(given) if COST in names else _usage(given))
    except csv.Error as error:
        msg = f"{uri} is damaged or not CSV ({error}); export it again"
        raise SourceError(msg) from error
    starts = {day: _moment(day) for day in found}
    hourly = any(start and start.hour for start in starts.values())
    width = timedelta(hours=1) if hourly else timedelta(days=1)
    return [
        [
            {
                "starting_at": start.isoformat() if start else day,
                "ending_at": (start + width).isoformat() if start else day,
                "results": found[day],
            }
            for day, start in starts.items()
        ]
    ]


def _moment(day: str) -> datetime | None:
    """A day or hour, UTC unless it has a zone; None where it is none."""
    try:
        read = datetime.fromisoformat(day)
    except ValueError:
        return None
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read


def _said(given: Mapping[str, str], name: str) -> str | None:
    value = given.get(name, "")
    return SAID.get(value, value)


def _workspace(given: Mapping[str, str]) -> str | None:
    name = given.get("workspace")
    return None if name == DEFAULT else name or None


def _cost(given: Mapping[str, str]) -> dict[str, Any]:
    """A row as a cost of the API, in cents. What is no number stays text, which is then rejected and counted."""
    written = given.get(COST) or None
    dollars = number(written or "")
    kind = _said(given, "token_type")
    return {
        "amount": written if dollars is None else EXACT.scaleb(dollars, 2),
        "currency": "USD",
        "token_type": kind and TOKENS.get(kind, kind),
        "workspace_id": _workspace(given),
        "service_tier": _said(given, "usage_type"),
        **{n: _said(given, n) for n in ("model", "cost_type", "context_window", "inference_geo")},
    }


def _usage(given: Mapping[str, str]) -> dict[str, Any]:
    """A row as usage of the API."""
    return {
        "uncached_input_tokens": whole(given.get(UNCACHED)),
        "cache_read_input_tokens": whole(given.get("usage_input_tokens_cache_read")),
        "cache_creation": {n: whole(given[n]) for n in WRITTEN if n in given},
        "output_tokens": whole(given.get("usage_output_tokens")),
        "model": _said(given, "model_version"),
        "workspace_id": _workspace(given),
        "service_tier": _said(given, "usage_type"),
        **{n: _said(given, n) for n in ("context_window", "inference_geo", "speed")},
    }
