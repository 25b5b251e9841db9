"""What samples of GPUs say beside numbers, each combination once, so that samples and hours carry one number for it.

A label stands for a file and its texts as they are; a name, for the texts as they are meant:
- An instance is named by `mig_id`, else by its profile.
- Without a pod the batch job (`hpc_job`) holds the card; it is the pod, and the workload where none is named.

These numbers are hashes of 64 bits: of a million combinations two share one with a probability of 3 in 100 million.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connectors.telemetry_files.columns import HOLDER
from connectors.telemetry_files.rows import given_texts, label_sql, texts

Layout = tuple[str, Mapping[str, str]]
"""SQL of the rows of files of one layout as they are, and their columns and DuckDB types."""

TEXTS = ("gpu", "mig_id", "node", "gpu_model", "mig_profile", *HOLDER)
"""Columns of a name."""

HOLDING = ("gpu", "mig_id", "namespace", "pod", "team", "workload")
"""Columns that hours are told apart by, beside the node."""

NUMBERED = (
    f"hash({', '.join(TEXTS)}) AS name, hash(gpu) AS card, hash(gpu, mig_id) AS instance, "
    "hash(namespace, pod, CASE WHEN pod IS NULL THEN workload END, CASE WHEN pod IS NULL THEN team END) AS holder, "
    f"pod IS NOT NULL OR workload IS NOT NULL OR team IS NOT NULL AS allocated, {', '.join(TEXTS)}"
)
"""SQL: columns of rows with `TEXTS`: the numbers of name, card, instance (whole card or MIG instance) and holder, whether there is one, and texts."""

NAMED = ("name", "card", "instance", "holder", "allocated", *TEXTS)
"""The columns of `NUMBERED`."""

_SLICES = "COALESCE(TRY_CAST(regexp_extract(mig_profile, '([0-9]+)g', 1) AS DOUBLE), CASE WHEN mig_id IS NULL THEN 7 ELSE 1 END)"


def meant_sql(rows: str) -> str:
    """SQL: rows with the texts of `columns.GPU`, with those that are meant."""
    return f"""
        SELECT * EXCLUDE (hpc_job) REPLACE (
            COALESCE(mig_id, mig_profile) AS mig_id, COALESCE(pod, hpc_job) AS pod,
            COALESCE(workload, CASE WHEN pod IS NULL THEN hpc_job END) AS workload)
        FROM ({rows})"""


def labels_sql(layouts: Sequence[Layout], same: str) -> str:
    """SQL: the table `labels`: one row a label, with file, texts and their numbers, and a number for what is `same`.

    Args:
        layouts: The files.
        same: Columns, as they are in the files, of what has one sample at a time.
    """
    parts = []
    for scan, types in layouts:
        given = ", ".join(f"{c} := {c}" for c in ("filename", *given_texts("gpu", types)))
        seen = f"SELECT {label_sql('gpu', types)} AS label, any_value(struct_pack({given})) AS given FROM ({scan}) GROUP BY label"
        parts.append(
            f"SELECT label, filename AS file, {', '.join(texts('gpu', types))} FROM (SELECT label, given.* FROM ({seen}))"
        )
    rows = f"SELECT *, hash({same}) AS same FROM ({' UNION ALL BY NAME '.join(parts)})"
    return f"SELECT label, file, same, {NUMBERED} FROM ({meant_sql(rows)})"


NAMES = f"""
    SELECT *, hash({", ".join(HOLDING)}) AS holding, {_SLICES} AS slices
    FROM (SELECT {", ".join(NAMED)} FROM labels UNION SELECT {", ".join(NAMED)} FROM merged)"""
"""SQL: the table `names`: one row a name of labels and of readings of several, with its compute slices (of 7) and a number for `HOLDING`."""
