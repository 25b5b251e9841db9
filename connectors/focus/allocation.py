"""Checks of split costs (FOCUS 1.3 and later): do the rows that replace an origin add up to it?

What a row means for its owner belongs to `models/tags.py`: AllocatedTags count before Tags.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from connectors.base import Engine

TOLERANCE = "0.0001"
"""By how much ratios of one origin, which are rounded, may miss 1."""

ORIGIN = (
    "ServiceProviderName, BillingAccountId, SubAccountId, ResourceId, SkuPriceId, ChargeCategory, ChargeDescription, "
    "ChargePeriodStart, ChargePeriodEnd, BillingCurrency, AllocatedMethodId"
)
"""Rows that agree in these columns were one charge: FOCUS has no id for it."""


def faults(rows: str, engine: Engine) -> Iterator[dict[str, Any]]:
    """Issues of the split rows of a month (SQL table expression): one entry for each rule, with the number of rows.

    - allocation_ratios: the ratios of one origin sum to 1 neither in total nor for each unit; nor can they be read, or there is none
    - allocation_without_method: an allocated resource or its tags on a row that names no method
    - repeated_tags: a tag that is in Tags and, with the same value, in AllocatedTags
    """
    ratio = "TRY_CAST(json_extract_string(e, '$.AllocatedRatio') AS DECIMAL(24,12))"
    listed = "CAST(json_extract(CAST(AllocatedMethodDetails AS JSON), '$.Elements[*]') AS JSON[])"
    elements = f"CASE WHEN len({listed}) > 0 THEN {listed} ELSE ['{{}}'::JSON] END"
    units = f"""
        SELECT origin, count(DISTINCT row) AS rows, unit, sum(ratio) AS total, bool_or(ratio IS NULL) AS unread
        FROM (SELECT origin, row, {ratio} AS ratio, json_extract_string(e, '$.UsageUnit') AS unit
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
