"""Requests of a spend log in SQL: what is wrong with a row, hours of usage, and spend by day.

Rules:
- A request belongs to the hour and UTC day in which it started.
- A request id counts once a day: the copy that ended last, of those the one in the last file.
- A request without a status counts as answered, and how many failed in its hour is not known.
- LiteLLM counts cached tokens within the prompt's. Some versions, and calls that pass Anthropic's own count through,
  write them beside it. That is certain where they are more than the prompt's, or the total is the sum of all three:
  they are added then.
- What the gateway answered from its own cache (`cache_hit`) counts as cached prompt tokens.
- A request without spend, or with spend 0 for tokens of the provider, has no cost yet: the price list may know it.
- Tokens that are no whole number from 0 to 10^9 reject the row; so does a start that cannot be read. Spend that cannot
  be read does not: the usage stands, only the charge is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from connectors.base import Engine
from connectors.bills.amounts import plain
from connectors.bills.footer import COUNT, TOTAL
from connectors.llm.logs import clean_sql, pointed_sql, shown_sql, utc_sql
from connectors.sql import identifier, literal

BOUNDS = (0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680)
"""Upper bounds of the latency histogram in seconds: those of vLLM, so that both can be added."""

MAX_TOKENS = 1e9
TOKENS = ("prompt_tokens", "completion_tokens", "total_tokens", "cache_read_input_tokens")
FAILED = ("failure", "failed", "error")
KNOWN_STATUS = ("success", *FAILED)
COSTLESS = (
    "reject IS NULL AND NOT hit AND NOT failed AND (spend IS NULL OR (cost = 0 AND prompt + output > 0))"
)
"""LiteLLM writes 0 where it has no price for a model; its own cache and failures do cost nothing."""
QUOTES = " '\""
_TAGS = r"""( *('[^'",\\]*'|"[^'",\\]*"|[^'",\[\]{}\\]*) *)"""
_TAGS += f"(,{_TAGS})*"
TAGS = rf"\[{_TAGS}\]|\{{{_TAGS}\}}|{_TAGS}"
"""Tags that are no JSON: text with commas, a list as Python writes it, an array as PostgreSQL writes it."""
FOOTER = "footer:request_id"
"""A line below the requests: a word of total, or a count of rows, in place of an id, and nothing else but numbers."""
NAMING = ("startTime", "endTime", "model", "model_group", "custom_llm_provider", "status")
UNKNOWN = "unknown"
"""Workload of requests that name neither tag nor model."""


def _bad(column: str) -> str:
    value = plain(column, "DOUBLE")
    return f"NOT COALESCE({value} >= 0 AND {value} <= {MAX_TOKENS} AND {value} = floor({value}), FALSE)"


def requests_sql(rows: str, billed: str) -> str:
    """SQL: every row of a log, typed.

    Args:
        rows: Relation of `logs.rows_sql`.
        billed: SQL condition: the request's cost is money of the ledger.

    Returns:
        file, row, day (NULL where the start cannot be read), ts, workload, team, team_id, organisation, provider,
        model, prompt, output, cached, beside (cached tokens were added to prompt), total, cost (NULL where it cannot be read), spend, ms, hit, failed, status,
        billed, costless (an answer of the provider that carries no spend), tags_bad, reject (rule:column, NULL for good rows), `value` (what is rejected) and copy (1 counts).
    """
    is_list = "json_type(TRY_CAST(request_tags AS JSON)) = 'ARRAY'"
    written = f"CASE WHEN regexp_full_match(request_tags, {literal(TAGS)}) THEN string_split(trim(request_tags, '[]{{}}'), ',') END"
    unquoted = f"list_transform({written}, lambda x: trim(x, {literal(QUOTES)}))"
    tag_list = (
        f"CASE WHEN {is_list} THEN TRY_CAST(TRY_CAST(request_tags AS JSON) AS VARCHAR[]) ELSE {unquoted} END"
    )
    tag = "list_filter(tag_list, lambda x: starts_with(lower(trim(x)), 'workload:'))[1]"
    hit = "COALESCE(lower(cache_hit) IN ('true', 't', '1'), FALSE)"
    prefix = "lower(custom_llm_provider) || '/'"
    failed = ", ".join(map(literal, FAILED))
    total = f"regexp_full_match(request_id, {literal(f'(?i){TOTAL.pattern}|{COUNT.pattern}')})"
    nameless = " AND ".join(f"{identifier(c)} IS NULL" for c in NAMING)
    checks = {
        FOOTER: (f"{total} AND {nameless}", "request_id"),
        "missing_value:startTime": ('"startTime" IS NULL', "NULL"),
        "bad_date:startTime": ("ts IS NULL", '"startTime"'),
        "missing_value:prompt_tokens": ("prompt_tokens IS NULL", "NULL"),
        "bad_tokens:prompt_tokens": (_bad("prompt_tokens"), "prompt_tokens"),
        "missing_value:completion_tokens": ("completion_tokens IS NULL", "NULL"),
        "bad_tokens:completion_tokens": (_bad("completion_tokens"), "completion_tokens"),
        "bad_tokens:cache_read_input_tokens": (
            f"cache_read_input_tokens IS NOT NULL AND {_bad('cache_read_input_tokens')}",
            "cache_read_input_tokens",
        ),
    }
    reject = " ".join(f"WHEN {condition} THEN {literal(name)}" for name, (condition, _) in checks.items())
    value = " ".join(f"WHEN {literal(name)} THEN {text}" for name, (_, text) in checks.items())
    number = {c: plain(c, "DOUBLE") for c in (*TOKENS, "request_duration_ms")}
    ended = f"date_diff('millisecond', ts, {utc_sql(chr(34) + 'endTime' + chr(34), 'end_text')})"
    return f"""
        WITH worded AS (
            SELECT *, {pointed_sql('"startTime"')} AS start_text, {pointed_sql('"endTime"')} AS end_text, {tag_list} AS tag_list, {hit} AS hit
            FROM {clean_sql(rows)}
        ), timed AS (SELECT *, {utc_sql('"startTime"', "start_text")} AS ts FROM worded
        ), judged AS (SELECT *, CASE WHEN broken IS NOT NULL THEN broken || ':' {reject} END AS reject FROM timed
        ), typed AS (
            SELECT file, row, request_id, ts, CAST(ts AS DATE) AS day, status, spend, reject,
                   CASE reject {value} END AS value,
                   NULLIF(trim(substr(trim({tag}), 10)), '') AS tagged, COALESCE(team_alias, team_id) AS team, team_id,
                   organization_id AS organisation, custom_llm_provider AS provider, model_group,
                   NULLIF(CASE WHEN starts_with(lower(model), {prefix}) THEN substr(model, length({prefix}) + 1) ELSE model END, '')
                       AS model,
                   {number["prompt_tokens"]} AS prompt, {number["completion_tokens"]} AS output,
                   {number["total_tokens"]} AS total, {plain("spend")} AS cost,
                   hit, CASE WHEN hit THEN {number["prompt_tokens"]} ELSE {number["cache_read_input_tokens"]} END AS cached,
                   COALESCE({number["request_duration_ms"]}, {ended}) AS ms,
                   COALESCE(lower(status) IN ({failed}), FALSE) AS failed, {billed} AS billed,
                   request_tags IS NOT NULL AND tag_list IS NULL AS tags_bad
            FROM judged
        ), counted AS (
            SELECT * REPLACE (CASE WHEN beside THEN prompt + cached ELSE prompt END AS prompt)
            FROM (SELECT *, COALESCE(NOT hit AND (cached > prompt OR (cached > 0 AND total = prompt + output + cached)), FALSE) AS beside FROM typed)
        )
        SELECT * EXCLUDE (tagged, model_group, ms), COALESCE({COSTLESS}, FALSE) AS costless, COALESCE(tagged, model_group, model, '{UNKNOWN}') AS workload,
               CASE WHEN ms >= 0 AND ms < 1e9 THEN ms END AS ms, ms IS NOT NULL AND NOT COALESCE(ms >= 0 AND ms < 1e9, FALSE) AS ms_bad,
               CASE WHEN request_id IS NULL THEN 1 ELSE row_number() OVER (
                   PARTITION BY day, request_id, reject IS NULL ORDER BY ts + to_milliseconds(CAST(CASE WHEN ms >= 0 AND ms < 1e9 THEN ms ELSE 0 END AS BIGINT)) DESC NULLS LAST, file DESC, row DESC
               ) END AS copy,
               MIN(hash(spend, prompt, output)) OVER (PARTITION BY day, request_id, reject IS NULL)
                   <> MAX(hash(spend, prompt, output)) OVER (PARTITION BY day, request_id, reject IS NULL) AS conflicting
        FROM counted"""


def hours_sql(requests: str) -> str:
    """SQL: `telemetry.inference_hourly` without source; buckets as `b0`, `b1`, ... and `measured` (all)."""
    answered = "NOT failed AND ms IS NOT NULL"
    buckets = ", ".join(
        f"COUNT(*) FILTER ({answered} AND ms <= {bound * 1000}) AS b{i}" for i, bound in enumerate(BOUNDS)
    )
    return f"""
        SELECT date_trunc('hour', ts) AS hour, day, workload, model, team, 'api' AS tier, CAST(1 AS DOUBLE) AS coverage,
               CAST(COUNT(*) FILTER (NOT failed) AS DOUBLE) AS inferences,
               CASE WHEN COUNT(status) = COUNT(*) THEN CAST(COUNT(*) FILTER (failed) AS DOUBLE) END AS failed,
               SUM(prompt) AS tokens_in, SUM(output) AS tokens_out,
               CASE WHEN COUNT(cached) = COUNT(*) THEN SUM(cached) END AS tokens_cached,
               COUNT(*) FILTER ({answered}) AS measured, {buckets}
        FROM {requests} WHERE reject IS NULL AND copy = 1 GROUP BY ALL"""


def groups_sql(requests: str) -> str:
    """SQL: requests and spend by day, owner, provider, model and by how their cost is known.

    cached is NULL where some are not known, cost where none can be read; costed counts the requests with a cost, and
    costed_tokens their tokens. file and row are those of an example.
    """
    return f"""
        SELECT day, organisation, team_id, team, workload, provider, model, billed, hit, costless, spend IS NULL AS blank, cached IS NULL AS cached_unknown,
               COUNT(*) AS requests, SUM(prompt) AS tokens_in, SUM(output) AS tokens_out, SUM(cached) AS tokens_cached,
               CAST(SUM(cost) AS DECIMAL(38,12)) AS cost, COUNT(cost) AS costed,
               COALESCE(SUM(prompt + output) FILTER (cost IS NOT NULL), 0) AS costed_tokens,
               MIN(file) AS file, arg_min(row, (file, row)) AS row
        FROM {requests} WHERE reject IS NULL AND copy = 1
        GROUP BY ALL ORDER BY ALL"""


@dataclass(frozen=True)
class Finding:
    """One thing to count: SQL of rule, column, example and condition, and of the money concerned.

    Attributes:
        where: Condition of a row by itself.
        also: Condition beside it that other rows decide.
    """

    action: str
    rule: str
    column: str
    value: str
    where: str
    cost: str = "NULL"
    also: str = "TRUE"

    def sql(self, requests: str) -> str:
        """SQL: the rows concerned, by file and day."""
        return (
            f"SELECT file, day, '{self.action}' AS action, {self.rule} AS rule, {self.column} AS column_name, "
            f"{shown_sql(f'CAST(MIN({self.value}) AS VARCHAR)')} AS value, COUNT(*) AS rows, "
            f"CAST({self.cost} AS DECIMAL(38,12)) AS billed_cost, MIN(row) AS row FROM {requests} "
            f"WHERE {self.where} AND {self.also} GROUP BY ALL"
        )


def findings(requests: str, engine: Engine) -> Iterator[dict[str, Any]]:
    """What was found: file, day (NULL unknown), action, rule, column_name, value (an example), rows, billed_cost, row (the first).

    Where spend is money of the ledger and cannot be read, the row is rejected from it. Requests without spend are
    not here: what the price list says of them is known later.

    Args:
        requests: Table of `requests_sql`.
        engine: Runs the SQL. One scan says what there is to look for; mostly nothing.
    """
    kept = "reject IS NULL AND copy = 1"
    statuses = ", ".join(map(literal, KNOWN_STATUS))
    alike = f"(provider, model) IN (SELECT (provider, model) FROM {requests} WHERE {kept} AND beside)"
    unread = f"{kept} AND cost IS NULL AND NOT costless"
    unread_rule = "CASE WHEN spend IS NULL THEN 'missing_value' ELSE 'not_a_number' END"
    parts = [
        Finding(
            "rejected", "split_part(reject, ':', 1)", "split_part(reject, ':', 2)", "value",
            f"reject <> '{FOOTER}' AND copy = 1", "SUM(cost) FILTER (billed)",
        ),
        Finding("flagged", "'footer'", "NULL", "request_id", f"reject = '{FOOTER}'"),
        Finding("flagged", "'duplicate_request'", "'request_id'", "request_id", f"copy > 1 AND reject IS DISTINCT FROM '{FOOTER}'"),
        Finding("flagged", "'conflicting_request'", "'request_id'", "request_id", f"{kept} AND conflicting AND request_id IS NOT NULL"),
        Finding("flagged", "'missing_value'", "'request_id'", "NULL", f"{kept} AND request_id IS NULL"),
        Finding("flagged", "'missing_value'", "'model'", "NULL", f"{kept} AND model IS NULL"),
        Finding("flagged", "'unknown_value'", "'status'", "status", f"{kept} AND status IS NOT NULL AND lower(status) NOT IN ({statuses})"),
        Finding("flagged", "'total_differs'", "'total_tokens'", "total", f"{kept} AND total IS NOT NULL AND total <> prompt + output AND NOT (beside AND total = prompt + output - cached)"),
        Finding("repaired", "'cached_tokens_beside'", "'prompt_tokens'", "cached", f"{kept} AND beside"),
        Finding("flagged", "'cached_tokens_ambiguous'", "'prompt_tokens'", "cached", f"{kept} AND NOT beside AND NOT hit AND cached > 0", also=alike),
        Finding("repaired", "'malformed_tags'", "'request_tags'", "NULL", f"{kept} AND tags_bad"),
        Finding("repaired", "'value_dropped'", "'request_duration_ms'", "NULL", f"{kept} AND ms_bad"),
        Finding("rejected", unread_rule, "'spend'", "spend", f"{unread} AND billed"),
        Finding("flagged", unread_rule, "'spend'", "spend", f"{unread} AND NOT billed"),
        Finding("flagged", "'negative_spend'", "'spend'", "spend", f"{kept} AND cost < 0"),
    ]  # fmt: skip
    counts = ", ".join(f"COUNT(*) FILTER ({p.where}) AS n{i}" for i, p in enumerate(parts))
    [there] = engine.rows(f"SELECT {counts} FROM {requests}")
    sql = " UNION ALL ".join(p.sql(requests) for p, n in zip(parts, there.values(), strict=True) if n)
    if sql:
        yield from engine.rows(sql)


def totals_sql(requests: str) -> str:
    """SQL: file, day, total: billed spend that can be read, of rejected rows too, each request once."""
    return (
        f"SELECT file, day, CAST(SUM(cost) AS DECIMAL(38,12)) AS total FROM {requests} "
        f"WHERE copy = 1 AND cost IS NOT NULL AND billed AND reject IS DISTINCT FROM '{FOOTER}' GROUP BY ALL"
    )
