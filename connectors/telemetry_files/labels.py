"""What samples of GPUs say beside numbers: each combination once, as the table `labels`, so that samples carry one number.

Rules:
- An instance is named by `mig_id`, else by its profile.
- Without a pod the batch job (`hpc_job`) holds the card; it is the pod, and the workload where none is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connectors.telemetry_files.columns import HOLDER
from connectors.telemetry_files.rows import given_texts, label_sql, texts

Layout = tuple[str, Mapping[str, str]]
"""SQL of the rows of files of one layout as they are, and their columns and DuckDB types."""

_SLICES = "COALESCE(TRY_CAST(regexp_extract(mig_profile, '([0-9]+)g', 1) AS DOUBLE), CASE WHEN mig_id IS NULL THEN 7 ELSE 1 END)"


def labels_sql(layouts: Sequence[Layout]) -> str:
    """SQL: one row a label, with file and texts, slices of 7, and numbers for `card`, `instance` and order of `holder`."""
    parts = []
    for scan, types in layouts:
        any_value = ", ".join(f"any_value({c}) AS {c}" for c in ("filename", *given_texts("gpu", types)))
        seen = f"SELECT {label_sql('gpu', types)} AS label, {any_value} FROM ({scan}) GROUP BY label"
        parts.append(f"SELECT label, filename AS file, {', '.join(texts('gpu', types))} FROM ({seen})")
    return f"""
        SELECT *, dense_rank() OVER (ORDER BY gpu) AS card, dense_rank() OVER (ORDER BY gpu, mig_id) AS instance,
               row_number() OVER (ORDER BY {", ".join(f"{c} NULLS FIRST" for c in HOLDER)}) AS holder, {_SLICES} AS slices,
               pod IS NOT NULL OR workload IS NOT NULL OR team IS NOT NULL AS allocated
        FROM (SELECT * EXCLUDE (hpc_job) REPLACE (
                  COALESCE(mig_id, mig_profile) AS mig_id, COALESCE(pod, hpc_job) AS pod,
                  COALESCE(workload, CASE WHEN pod IS NULL THEN hpc_job END) AS workload)
              FROM ({" UNION ALL BY NAME ".join(parts)}))"""
