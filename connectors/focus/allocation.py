"""Checks of split costs (FOCUS 1.3 and later): do the rows that replace an origin add up to it?

What a row means for its owner belongs to `models/tags.py`: AllocatedTags count before Tags.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from connectors.base import Engine
from connectors.bills.copies import CERTAIN_RULE, MONEY
from connectors.bills.copies import RULE as COPIES_RULE

TOLERANCE = "0.0001"
"""By how much ratios of one origin, which are rounded, may miss 1, and costs of its parts, of what it costs."""

CHARGE = (
    "ServiceProviderName, BillingAccountId, SubAccountId, ResourceId, SkuPriceId, ChargeCategory, ChargeDescription, "
    "ChargePeriodStart, ChargePeriodEnd, BillingCurrency"
)
"""What a part has from its origin: FOCUS has no id for it."""
ORIGIN = f"{CHARGE}, AllocatedMethodId"
"""Rows that agree in these columns were one charge."""
COSTS = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")

RATIO = "TRY_CAST(json_extract_string(e, '$.AllocatedRatio') AS DECIMAL(24,12))"
LISTED = "CAST(json_extract(CAST(AllocatedMethodDetails AS JSON), '$.Elements[*]') AS JSON[])"


def faults(rows: str, engine: Engine) -> Iterator[dict[str, Any]]:
    """Issues of the split rows of a month (SQL table expression): one entry for each rule, with the number of rows.

    - allocation_ratios: the ratios of one origin sum to 1 neither in total nor for each unit; nor can they be read, or there is none
    - allocation_without_method: an allocated resource or its tags on a row that names no method
    - repeated_tags: a tag that is in Tags and, with the same value, in AllocatedTags
    - what `_origins` finds
    """
    yield from _origins(rows, engine)
    elements = f"CASE WHEN len({LISTED}) > 0 THEN {LISTED} ELSE ['{{}}'::JSON] END"
    units = f"""
        SELECT origin, count(DISTINCT row) AS rows, unit, sum(ratio) AS total, bool_or(ratio IS NULL) AS unread
        FROM (SELECT origin, row, {RATIO} AS ratio, json_extract_string(e, '$.UsageUnit') AS unit
              FROM (SELECT dense_rank() OVER (ORDER BY {ORIGIN}) AS origin, row_number() OVER () AS row,
                           unnest({elements}) AS e
                    FROM {rows} WHERE AllocatedMethodId IS NOT NULL AND AllocatedMethodDetails IS NOT NULL))
        GROUP BY origin, unit"""
    wrong = f"""
        SELECT max(rows) AS n FROM ({units}) GROUP BY origin
        HAVING bool_or(unread) OR (abs(sum(total) - 1) > {TOLERANCE} AND max(abs(total - 1)) > {TOLERANCE})"""
    tags, own = (
        f"map_entries(TRY_CAST(CAST({c} AS JSON) AS MAP(VARCHAR, VARCHAR)))"
        for c in ("AllocatedTags", "Tags")
    )
    repeated = f"list_has_any({tags}, {own})"
    found = engine.rows(f"""
        SELECT 'allocation_ratios' AS rule, 'AllocatedMethodDetails' AS column_name,
               CAST(COALESCE(sum(n), 0) AS BIGINT) AS n FROM ({wrong})
        UNION ALL SELECT 'allocation_without_method', 'AllocatedMethodId', count(*) FROM {rows}
            WHERE AllocatedMethodId IS NULL AND (AllocatedResourceId IS NOT NULL OR AllocatedTags IS NOT NULL)
        UNION ALL SELECT 'repeated_tags', 'AllocatedTags', count(*) FROM {rows}
            WHERE AllocatedTags IS NOT NULL AND Tags IS NOT NULL AND {repeated}""")
    for rule, column, n in (row.values() for row in found):
        if n:
            yield {"action": "flagged", "rule": rule, "column_name": column, "rows": n}


def _origins(rows: str, engine: Engine) -> Iterator[dict[str, Any]]:
    """Rows that are there beside the parts that replace them, so that they count twice.

    Such a row says what its parts say, has no method, and costs what they, rounded, cost together. Where their ratios sum to 1 nothing
    is left that it could stand for; else it may be what was not allocated, and as much by chance, so that it is a warning.
    """
    sums = ", ".join(f"sum({c}) AS {c}" for c in COSTS)
    same = " AND ".join(f"a.{c.strip()} IS NOT DISTINCT FROM b.{c.strip()}" for c in CHARGE.split(","))
    near = " AND ".join(
        f"(a.{c} IS NOT DISTINCT FROM b.{c} OR abs(CAST(a.{c} - b.{c} AS DOUBLE)) <= {TOLERANCE} * abs(CAST(b.{c} AS DOUBLE)))"
        for c in COSTS
    )
    total = f"list_sum([{RATIO} for e in {LISTED}])"
    units = f"len(list_distinct([json_extract_string(e, '$.UsageUnit') for e in {LISTED}]))"
    found = engine.rows(f"""
        WITH parts AS (
            SELECT {ORIGIN}, {sums}, bool_and(total IS NOT NULL) AND (abs(sum(total) - 1) <= {TOLERANCE}
                   OR abs(sum(total) - max(units)) <= {TOLERANCE} * max(units)) AS whole
            FROM (SELECT *, {total} AS total, {units} AS units FROM {rows} WHERE AllocatedMethodId IS NOT NULL)
            GROUP BY ALL HAVING {MONEY}
        )
        SELECT whole, a.BillingCurrency AS currency, count(*) AS n, CAST(sum(a.BilledCost) AS DECIMAL(38,12)) AS billed,
               min(a.ChargeDescription) AS example
        FROM {rows} AS a JOIN (SELECT DISTINCT ON ({CHARGE}) * FROM parts ORDER BY {CHARGE}, whole DESC) AS b ON {same} AND {near}
        WHERE a.AllocatedMethodId IS NULL GROUP BY ALL ORDER BY ALL""")
    for row in found:
        yield {
            "action": "flagged",
            "rule": CERTAIN_RULE if row["whole"] else COPIES_RULE,
            "column_name": "AllocatedMethodId",
            "value": f"charges that stand beside the rows that they were split into (FOCUS 1.3), such as {row['example']!r}: "
            "both count; export the one or the others",
            "rows": row["n"],
            "billed_cost": row["billed"],
            "currency": row["currency"],
        }
