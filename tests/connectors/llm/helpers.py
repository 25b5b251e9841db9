"""Small spend logs and pages written by tests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from connectors.base import Loaded
from tests.connectors.bills.helpers import load, write

SECRET = "SECRET-prompt"
"""Stands in every column that may hold prompts, keys or persons."""

PRIVATE = ("messages", "response", "proxy_server_request", "metadata", "api_key", "user", "end_user")


def request(n: int | str, **changes: Any) -> dict[str, Any]:
    """A request as LiteLLM_SpendLogs has it: 100 prompt and 20 completion tokens at 2026-09-01 10:00 UTC, 0.4 s."""
    row = {
        "request_id": f"chatcmpl-{n}", "call_type": "acompletion", "api_key": f"{SECRET} key", "spend": "0.0005",
        "prompt_tokens": "100", "completion_tokens": "20", "total_tokens": "120",
        "startTime": "2026-09-01 10:00:00.000", "endTime": "2026-09-01 10:00:00.400", "completionStartTime": "",
        "request_duration_ms": "400", "model": "openai/gpt-4o", "model_group": "chat", "custom_llm_provider": "openai",
        "team_id": "t-1", "team_alias": "vision", "organization_id": "org-1", "end_user": f"{SECRET} person",
        "user": f"{SECRET} user", "request_tags": '["workload:tagger", "other"]', "cache_hit": "False", "status": "success",
        "messages": f'[{{"role": "user",\n "content": "{SECRET}, ""quoted"""}}]', "response": f"{SECRET}\nanswer",
        "proxy_server_request": f"{SECRET} body", "metadata": f'{{"startTime": "{SECRET}"}}',
    }  # fmt: skip
    return row | changes


def write_lines(path: Path, rows: Sequence[Mapping[str, Any] | str]) -> Path:
    """Rows as JSON lines; text as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows))
    return path


def hours(loaded: Loaded) -> pl.DataFrame:
    """The hours of a slice."""
    return pl.read_parquet(loaded.facts["telemetry.inference_hourly"])


def everything(loaded: Mapping[date, Loaded]) -> str:
    """All text that reading left behind: facts, issues, notes."""
    parts = []
    for one in loaded.values():
        parts += [json.dumps(pl.read_parquet(f).to_dicts(), default=str) for f in one.facts.values()]
        parts += [json.dumps(one.issues.to_dicts(), default=str), one.note, repr(one.slice)]
    return "\n".join(parts)


def page(*buckets: Mapping[str, Any]) -> dict[str, Any]:
    """A page of the organisation API."""
    return {"object": "page", "data": list(buckets), "has_more": False, "next_page": None}


def bucket(start: int, end: int, *results: Any) -> dict[str, Any]:
    """A bucket."""
    return {"object": "bucket", "start_time": start, "end_time": end, "results": list(results)}


def cost(value: Any, line_item: str | None, project: str | None = "proj_a", **changes: Any) -> dict[str, Any]:
    """A result of the costs API."""
    return {
        "object": "organization.costs.result", "amount": {"value": value, "currency": "usd"}, "line_item": line_item,
        "project_id": project, "organization_id": "org-1",
    } | changes  # fmt: skip


def usage(
    read: Any, cached: Any, out: Any, requests: Any, model: str | None = "gpt-4o-2024-08-06", **changes: Any
) -> dict[str, Any]:
    """A result of the usage API."""
    return {
        "object": "organization.usage.completions.result", "input_tokens": read, "input_cached_tokens": cached,
        "output_tokens": out, "num_model_requests": requests, "model": model, "project_id": "proj_a",
    } | changes  # fmt: skip


DAY = date(2026, 9, 1)


def one(tmp: Path, *rows: dict[str, Any], **options: Any) -> Loaded:
    write(tmp / "logs" / "a.csv", rows)
    loaded = load("litellm", tmp / "logs", tmp, **options)
    assert list(loaded) == [DAY]
    return loaded[DAY]


def by_day(tmp: Path, *days: Sequence[Mapping[str, Any]], **options: Any) -> list[Loaded]:
    """Requests of one log, each list of them on a day of its own, and what became of each day."""
    dates = [date(2026, 9, n) for n in range(1, len(days) + 1)]
    rows = [
        {k: v.replace(str(DAY), str(day)) if k in ("startTime", "endTime") else v for k, v in r.items()}
        for day, requests in zip(dates, days, strict=True)
        for r in requests
    ]
    write(tmp / "logs" / "a.csv", rows)
    loaded = load("litellm", tmp / "logs", tmp, **options)
    return [loaded[day] for day in dates]
