"""Source kind `anthropic`: costs and usage of an Anthropic organisation, from its Admin API or as saved answers of it.

Answers of `analytics/cost` and `analytics/usage`, which take the place of the two below, are read as saved by `analytics.py`.

Answers of `/v1/organizations/cost_report` (group by workspace_id and description) are a bill; answers of
`/v1/organizations/usage_report/messages` (group by workspace_id and model, bucket_width 1h) are usage. Both are
translated to the form of OpenAI's buckets, which `pages.py` reads. The API counts tokens and no requests. CSV files that
the console exports of either are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar

from babel.numbers import get_currency_precision
from pydantic import Field

from connectors.base import SourceOptions
from connectors.bills.amounts import EXACT, number
from connectors.llm import analytics, console
from connectors.llm.organisation import Labels, OrganisationOptions, OrganisationReader
from connectors.llm.organisation_api import Api
from connectors.llm.pages import COSTS, MESSAGES, count, currency, text

METERS = {"uncached_input_tokens": "input tokens"}
"""Kind of token -> its name; the others are called as they are, with blanks, such as `cache read input tokens`."""

USUAL = ("standard", "0-200k", "global", "not_available")
"""Service tier, context window and region of inference that a description need not name."""


def plain_bucket(bucket: Any) -> Any:
    """A bucket in the form of OpenAI's; what is none stays as it is."""
    if not isinstance(bucket, dict):
        return bucket
    results = bucket.get("results")
    return {
        "start_time": _seconds(bucket.get("starting_at")),
        "end_time": _seconds(bucket.get("ending_at")),
        "results": [_plain_result(r) for r in results] if isinstance(results, list) else results,
        "has_more": bucket.get("has_more"),
    }


def _seconds(moment: Any) -> Any:
    """Seconds since 1970 of an RFC 3339 time; a text where it has no zone, or is none."""
    try:
        read = datetime.fromisoformat(moment)
    except (TypeError, ValueError):
        return str(moment)
    return moment if read.tzinfo is None else int(read.timestamp())


def _plain_result(result: Any) -> Any:
    if not isinstance(result, dict):
        return result
    if "amount" in result:
        return _cost(result)
    return _usage(result) if "uncached_input_tokens" in result else result


def _cost(result: Mapping[str, Any]) -> dict[str, Any]:
    """A cost: of tokens of a model, or of something else, such as web searches."""
    model, kind = text(result.get("model")), text(result.get("token_type"))
    meter = None if kind is None else METERS.get(kind, kind.replace("_", " "))
    other = (text(result.get("cost_type")) or "").replace("_", " ")
    said = text(result.get("description"))
    if other == "tokens":
        meter = meter or other  # of all kinds
    if model and meter:
        more = [text(result.get(name)) for name in ("service_tier", "context_window", "inference_geo")]
        said = ", ".join([model, meter, *(m for m in more if m and m not in USUAL)])
    return {
        "object": COSTS,
        "amount": {"value": _main_unit(result.get("amount"), result.get("currency")), "currency": result.get("currency")},
        "project_id": result.get("workspace_id"),
        "line_item": f"{model}, {meter}" if model and meter else other or model or said,
        "description": said,
        "user_id": result.get("user_id"),
    }  # fmt: skip


def _main_unit(amount: Any, code: Any) -> Any:
    """An amount in the main unit of its currency, from one in the lowest (cents); what is no amount stays as it is."""
    if isinstance(amount, bool) or not isinstance(amount, int | str | Decimal):
        return amount
    value = number(amount) if isinstance(amount, str) else Decimal(amount)
    if value is None:
        return amount
    try:
        return EXACT.scaleb(value, -get_currency_precision(currency(code) or ""))
    except ArithmeticError:
        return amount


def _usage(result: Mapping[str, Any]) -> dict[str, Any]:
    """Tokens of a model: read from the cache, written to it, and neither, are all input."""
    written = result.get("cache_creation")
    read = [
        result.get("uncached_input_tokens"),
        result.get("cache_read_input_tokens"),
        *(written.values() if isinstance(written, dict) else [written]),
    ]
    counts = [count(n) for n in read]
    bad = next((n for n, known in zip(read, counts, strict=True) if known is None), None)
    return {
        "object": MESSAGES,
        "input_tokens": sum(n or 0 for n in counts) if None not in counts else bad,
        "input_cached_tokens": result.get("cache_read_input_tokens"),
        "output_tokens": result.get("output_tokens"),
        "num_model_requests": None,
        "model": result.get("model"),
        "project_id": result.get("workspace_id"),
        **{name: result.get(name) for name in ("api_key_id", "service_tier", "user_id")},
        "description": " ".join(str(result.get(n) or "") for n in ("context_window", "inference_geo", "speed", "account_id")).strip(),
    }  # fmt: skip


ANTHROPIC = Api(
    provider="Anthropic",
    url="https://api.anthropic.com/v1",
    root="organizations",
    endpoints={
        "cost_report": {"bucket_width": "1d", "group_by[]": ["workspace_id", "description"], "limit": 31},
        "usage_report/messages": {
            "bucket_width": "1h",
            "group_by[]": ["workspace_id", "model"],
            "limit": 168,
        },
    },
    since="starting_at",
    moment=lambda moment: moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    signed=lambda key: {"x-api-key": key, "anthropic-version": "2023-06-01"},
    table=console.pages,
    plain=plain_bucket,
    gather=analytics.buckets,
)
"""Its limits are the largest that it allows."""


class Options(OrganisationOptions):
    """Options of the kind.

    Attributes:
        workspaces: Workspace id, or its name in files of the console, -> its labels. Without a workload it is the model's name.
    """

    api: ClassVar[Api] = ANTHROPIC
    workspaces: Mapping[str, Labels] = Field(default_factory=dict)

    @property
    def labels(self) -> Mapping[str, Labels]:
        """Those of the workspaces."""
        return self.workspaces


class AnthropicReader(OrganisationReader):
    """Answers of Anthropic's Admin API."""

    Options: ClassVar[type[SourceOptions]] = Options
    version = "anthropic-10"
    suffixes = (".json", ".json.gz", ".jsonl", ".jsonl.gz", ".csv", ".csv.gz")
