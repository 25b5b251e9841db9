"""Who holds a card or runs a service, by the labels of a series: old and new names of pods and jobs.

What kube-state-metrics says of pods belongs to `kube.py`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl

from connectors.prometheus.question import first_of

PODS = (
    "namespace", "pod", "exported_namespace", "exported_pod", "pod_namespace", "pod_name", "pod_uid", "hpc_job",
)  # fmt: skip
"""Labels that may name the holder. `exported_` is the workload's own where a series has both; `pod_name` is the old
name of dcgm-exporter; `hpc_job` is a job of Slurm."""

OWN = ("exported_pod", "pod_name")
"""Labels of a pod that are never the exporter's own."""


def holders(frame: pl.DataFrame, exporter_pods: str) -> pl.DataFrame:
    """Puts the workload's namespace, pod and uid under those names, NULL where nobody holds it, and adds job.

    With `honorLabels: false` the exporter's own pod takes the plain names and the workload's become `exported_`; a
    series of a free card then has the exporter's pod alone. Without a pod the job of a batch system holds it: it is the
    pod, and the job.

    Args:
        frame: With the columns of `PODS`, "" where absent.
        exporter_pods: Regular expression of the exporter's own pods.
    """
    own = pl.col("pod").str.contains(f"^(?:{exporter_pods})$")
    named = first_of(OWN).is_not_null()
    plain = pl.when(~own).then(first_of(["pod"]))
    job = first_of(["hpc_job"])
    return frame.with_columns(
        pl.coalesce(first_of(OWN), plain, job).alias("pod"),
        pl.when(named)
        .then(first_of(["exported_namespace", "pod_namespace"]))
        .when(plain.is_not_null())
        .then(first_of(["namespace"]))
        .alias("namespace"),
        first_of(["pod_uid"]).alias("uid"),
        pl.when(~named & plain.is_null()).then(job).alias("job"),
    ).drop("exported_namespace", "exported_pod", "pod_namespace", "pod_name", "pod_uid", "hpc_job")


def with_jobs(rows: pl.DataFrame, pattern: str | None, dimensions: Sequence[str]) -> pl.DataFrame:
    """Fills dimensions of cards that batch jobs hold: from the named groups in the job's name; its workload is the job.

    Args:
        rows: With job, NULL where none holds the card, and the dimensions.
        pattern: Regular expression with dimensions as named groups.
        dimensions: Names of the dimensions.
    """
    found: dict[str, pl.Expr] = {}
    if pattern is not None:
        groups = pl.col("job").str.extract_groups(pattern)
        found = {d: groups.struct.field(d).replace("", None) for d in re.compile(pattern).groupindex}
    if "workload" in dimensions:
        found["workload"] = pl.coalesce(found["workload"], "job") if "workload" in found else pl.col("job")
    return rows.with_columns(pl.coalesce(d, e).alias(d) for d, e in found.items() if d in dimensions)
