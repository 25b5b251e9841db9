"""Buckets of an organisation API as charges and hours of usage, with what was found wrong in them.

Reading the pages belongs to `pages.py`, files and slices to `organisation.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import polars as pl

from connectors.base import SourceError
from connectors.llm.charges import SCHEMA, tags
from connectors.llm.pages import COSTS, MESSAGES, USAGE, Bucket, count, currency, line_item, money, text
from connectors.objects import Store
from connectors.telemetry import issues
from models.api_names import TOKEN_METERS

HOUR_S, DAY_S = 3600, 86400
NO_CURRENCY = "XXX"
"""ISO 4217 code for no currency: of money whose currency cannot be read."""

Labels = Mapping[str, tuple[str | None, str | None]]
"""Project id -> team and workload."""

GROUPS = (
    "organization_id",
    "project_id",
    "line_item",
    "model",
    "user_id",
    "api_key_id",
    "batch",
    "service_tier",
    "description",
)
"""What the API can group results by: together they name a result within its bucket."""

COUNTS = ("num_model_requests", "input_tokens", "output_tokens", "input_cached_tokens")
OPTIONAL = {MESSAGES: ("num_model_requests",), USAGE[0]: ("input_cached_tokens",)}
"""Kind of a result -> counts that it may lack; of the others output and cached tokens, which embeddings have not."""

USAGE_SCHEMA = pl.Schema(
    {
        "hour": pl.Datetime("us"), "day": pl.Date(), "model": pl.String(), "team": pl.String(), "workload": pl.String(),
        "inferences": pl.Int64(), "tokens_in": pl.Int64(), "tokens_cached": pl.Int64(), "tokens_out": pl.Int64(),
    }
)  # fmt: skip


class Findings:
    """What was found, added up by rule, column, place and currency; the first value is the example.

    Args:
        store: Names files to a person.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows: dict[tuple[Any, ...], dict[str, Any]] = {}

    def add(
        self,
        bucket: Bucket,
        action: str,
        what: tuple[str, str | None],
        value: Any,
        cost: Decimal | None = None,
    ) -> None:
        """Counts one result, or one bucket.

        Args:
            bucket: Where.
            action: rejected or flagged.
            what: Rule and column.
            value: What was found there.
            cost: Money of the result whose currency cannot be read.
        """
        code = None if cost is None else NO_CURRENCY
        location = f"{self._store.uri(bucket.file)}, bucket {bucket.place}"
        row = {
            "action": action,
            "rule": what[0],
            "column_name": what[1],
            "value": None if value is None else str(value)[:200],
            "rows": 0,
            "billed_cost": None if cost is None else Decimal(0),
            "currency": code,
            "location": location,
        }
        kept = self._rows.setdefault((action, *what, location, code), row)
        kept["rows"] += 1
        if cost is not None:
            kept["billed_cost"] += cost

    def frame(self) -> pl.DataFrame:
        """The findings in `ISSUES_SCHEMA`."""
        return issues(list(self._rows.values()))


def once(buckets: Sequence[Bucket], findings: Findings) -> list[Bucket]:
    """Each bucket once: as the last file in order of key has it.

    Args:
        buckets: Of one day, in any order.
        findings: Gets the copies that do not count.

    Returns:
        The buckets by kind, in order of time. One that ends on a later day than it starts is flagged: it stands in the
        day, and with its month, in which it starts.

    Raises:
        SourceError: Two overlap and are not the same, as hourly and daily buckets of one day do; or a later copy lacks
            what an earlier one has, as answers for one project each do.
    """
    kept: dict[tuple[str, int, int], Bucket] = {}
    for bucket in sorted(buckets, key=lambda b: (b.file, b.place)):
        key = (bucket.kind, bucket.start, bucket.end)
        if key in kept:
            _require_whole(kept[key], bucket)
            findings.add(kept[key], "flagged", ("duplicate_bucket", "start_time"), bucket.start)
        kept[key] = bucket
    ordered = [kept[key] for key in sorted(kept)]
    for before, after in pairwise(ordered):
        if before.kind and before.kind == after.kind and after.start < before.end:
            names = " and ".join(sorted({before.file, after.file}))
            msg = (
                f"{names}: buckets of different width overlap ({before.start}-{before.end} and {after.start}-{after.end}); "
                "keep the files of one bucket_width"
            )
            raise SourceError(msg)
    for bucket in ordered:
        if bucket.results and (bucket.end - 1) // DAY_S != bucket.start // DAY_S:
            findings.add(bucket, "flagged", ("crosses_midnight", "end_time"), bucket.end)
        for result in bucket.results:
            if isinstance(result, dict) and result.get("object") not in (COSTS, *USAGE):
                kind = result.get("object")  # what says nothing may be money whose key has another name now
                action = "rejected" if kind is None else "flagged"
                findings.add(bucket, action, ("kind_not_read", "object"), kind)
    return ordered


def _require_whole(before: Bucket, after: Bucket) -> None:
    lost = sorted({_group(r) for r in _results(before)} - {_group(r) for r in _results(after)})
    if lost:
        named = ", ".join(f"{name} {value}" for name, value in zip(GROUPS, lost[0], strict=True) if value)
        names = " and ".join(sorted({before.file, after.file}))
        msg = (
            f"{names}: the bucket of {before.day} (from {before.start} to {before.end}) is there twice, and "
            f"the later copy lacks {len(lost)} of the results of the earlier one ({named or 'without a group'}): answers for a part "
            "of the projects, or grouped otherwise, as those of analytics/cost and cost_report are, cannot be put together. Save one answer for all projects, grouped as the "
            "documentation says, and remove the older file; or give each project's files a source of their own"
        )
        raise SourceError(msg)


def _group(result: Any) -> tuple[str, ...]:
    return tuple(str(result.get(name) or "") for name in GROUPS) if isinstance(result, dict) else ()


def _results(bucket: Bucket) -> Iterator[Any]:
    """Results of the bucket's kind, and those that are no objects at all."""
    return (r for r in bucket.results if not isinstance(r, dict) or r.get("object") == bucket.kind)


def _amount(result: Any) -> tuple[Any, Any]:
    """Value and currency as they came."""
    given = result.get("amount") if isinstance(result, dict) else None
    return (given.get("value"), given.get("currency")) if isinstance(given, dict) else (None, None)


def totals(costs: Sequence[Bucket]) -> dict[str, Decimal]:
    """Currency -> sum of the amounts that can be read, apart from the mapping; XXX where no currency can."""
    found: dict[str, Decimal] = defaultdict(Decimal)
    for bucket in costs:
        for result in _results(bucket):
            value, code = _amount(result)
            if (amount := money(value)) is not None:
                found[currency(code) or NO_CURRENCY] += amount
    return dict(found)


def charges(
    costs: Sequence[Bucket], labels: Labels, account: str, provider: str, findings: Findings
) -> pl.DataFrame:
    """Cost results as charges.

    The workload of tokens that no label names is the model, as in the usage; other line items have none.

    Args:
        costs: Buckets of costs.
        labels: Of projects.
        account: Billing account where a result names no organisation.
        provider: Name of the provider.
        findings: Gets rejected results.

    Returns:
        Columns of `charges.SCHEMA`.
    """
    rows = []
    for bucket in costs:
        for result in _results(bucket):
            value, given = _amount(result)
            cost, code = money(value), currency(given)
            if value is None:
                findings.add(bucket, "rejected", ("missing_value", "amount.value"), None)
            elif cost is None:
                findings.add(bucket, "rejected", ("not_a_number", "amount.value"), value)
            elif code is None:
                findings.add(bucket, "rejected", ("unknown_currency", "amount.currency"), given, cost)
            else:
                row = _charge(bucket, result, labels, provider, findings)
                rows.append(
                    row
                    | {
                        "account": text(result.get("organization_id")) or account,
                        "cost": cost,
                        "currency": code,
                    }
                )
    return pl.DataFrame(rows, schema=SCHEMA)


def _charge(
    bucket: Bucket, result: Mapping[str, Any], labels: Labels, provider: str, findings: Findings
) -> dict[str, Any]:
    service, meter = line_item(result.get("line_item"))
    project = text(result.get("project_id"))
    if service is None:
        findings.add(bucket, "flagged", ("not_grouped", "line_item"), None)
    is_tokens = meter is not None and (meter in TOKEN_METERS or meter.endswith("tokens"))
    team, workload = labels.get(project or "", (None, None))
    return {
        "day": bucket.day, "start": _time(bucket.start), "end": _time(bucket.end), "provider": provider,
        "sub_account": project, "sub_account_name": text(result.get("project_name")),
        "service": service or f"{provider} API", "meter": meter,
        "description": text(result.get("description")) or text(result.get("line_item")) or f"{provider} API, all line items",
        "quantity": money(result.get("quantity")) if is_tokens else None,
        "tags": tags({"team": team, "workload": workload or (service if is_tokens else None)}),
    }  # fmt: skip


def hours(usage: Sequence[Bucket], labels: Labels, findings: Findings) -> pl.DataFrame:
    """Usage results as hours of models. A bucket wider than an hour stands in its first hour, and is flagged.

    Args:
        usage: Buckets of usage.
        labels: Of projects; without a workload it is the model.
        findings: Gets rejected results.

    Returns:
        `telemetry.inference_hourly` without source.
    """
    rows = []
    for bucket in usage:
        if bucket.end - bucket.start > HOUR_S and bucket.results:
            findings.add(bucket, "flagged", ("coarse_bucket", "end_time"), bucket.end - bucket.start)
        for result in _results(bucket):
            counts, bad = _counts(result)
            if bad is not None:
                value = result.get(bad) if isinstance(result, dict) else None
                findings.add(bucket, "rejected", ("bad_count", bad), value)
                continue
            model = text(result.get("model"))
            if model is None:
                findings.add(bucket, "flagged", ("not_grouped", "model"), None)
            team, workload = labels.get(text(result.get("project_id")) or "", (None, None))
            start = _time(bucket.start - bucket.start % HOUR_S)
            names = {"hour": start, "day": bucket.day, "model": model, "team": team}
            rows.append(names | counts | {"workload": workload or model or "unknown"})
    return (
        pl.DataFrame(rows, schema=USAGE_SCHEMA)
        .group_by("hour", "day", "workload", "model", "team")
        .agg(
            pl.sum("tokens_in", "tokens_out"),
            inferences=_known_sum("inferences"),
            tokens_cached=_known_sum("tokens_cached"),
        )
        .with_columns(tier=pl.lit("api"), coverage=pl.lit(1.0))
    )


def _known_sum(column: str) -> pl.Expr:
    """The sum of counts, unless one of them is unknown."""
    return pl.when(pl.col(column).is_not_null().all()).then(pl.col(column).sum())


def counted(worked: pl.DataFrame, provider: str) -> pl.DataFrame:
    """The provider's own account of its work, by day and model: `telemetry.api_usage_daily` without source.

    Args:
        worked: Result of `hours`.
        provider: Name of the provider.
    """
    requests = _known_sum("inferences")
    return worked.group_by("day", "model").agg(
        pl.sum("tokens_in", "tokens_out"),
        tokens_cached=_known_sum("tokens_cached"),
        requests=requests,
        requests_priced=pl.lit(0.0),
        requests_unpriced=requests,
        side=pl.lit("provider"),
        provider=pl.lit(provider),
    )


def _counts(result: Any) -> tuple[dict[str, int | None], str | None]:
    """The counts of a result, or the key of the first that cannot be right."""
    given = result if isinstance(result, dict) else {}
    values = {k: count(given.get(k)) for k in COUNTS}
    optional = OPTIONAL.get(str(given.get("object")), ("output_tokens", "input_cached_tokens"))
    for key in COUNTS:
        if values[key] is None and not (key in optional and given.get(key) is None):
            return {}, key
    read, cached = values["input_tokens"] or 0, values["input_cached_tokens"]
    if cached is not None and cached > read:
        return {}, "input_cached_tokens"
    return {
        "inferences": values["num_model_requests"], "tokens_in": read, "tokens_cached": cached,
        "tokens_out": values["output_tokens"] or 0,
    }, None  # fmt: skip


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
