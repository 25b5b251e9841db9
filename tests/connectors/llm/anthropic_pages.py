"""Pages as Anthropic's reference of `cost_report` and `usage_report/messages` has them: amounts are in cents."""

from __future__ import annotations

from typing import Any

SONNET = "claude-sonnet-4-20250514"


def bucket(start: str, end: str, *results: Any) -> dict[str, Any]:
    """A bucket of September 2026."""
    return {"starting_at": f"2026-09-{start}Z", "ending_at": f"2026-09-{end}Z", "results": list(results)}


def day(n: int, *results: Any) -> dict[str, Any]:
    """A bucket of a day of September 2026."""
    return bucket(f"{n:02}T00:00:00", f"{n + 1:02}T00:00:00", *results)


def page(*buckets: dict[str, Any], more: bool = False) -> dict[str, Any]:
    """A page."""
    return {"data": list(buckets), "has_more": more, "next_page": "page_x" if more else None}


def cost(cents: Any, token_type: str | None = "uncached_input_tokens", **changes: Any) -> dict[str, Any]:
    """A result of the cost report."""
    return {
        "amount": cents, "currency": "USD", "cost_type": "tokens", "token_type": token_type, "model": SONNET,
        "description": "Claude Sonnet 4 Usage - Input Tokens", "workspace_id": "wrkspc_a", "service_tier": "standard",
        "context_window": "0-200k", "inference_geo": "global",
    } | changes  # fmt: skip


def usage(uncached: Any, read: Any, written: Any, out: Any, **changes: Any) -> dict[str, Any]:
    """A result of the usage report."""
    return {
        "uncached_input_tokens": uncached, "cache_read_input_tokens": read, "output_tokens": out,
        "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
        "server_tool_use": {"web_search_requests": 10}, "model": SONNET, "workspace_id": "wrkspc_a",
        "api_key_id": None, "service_tier": None, "context_window": None,
    } | changes  # fmt: skip
