"""What kube-state-metrics knows of pods: labels, owners, GPUs requested while running, and names of nodes.

Whose a row is by them belongs to `owners.py`, which card a pod held to `requests.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from connectors.prometheus.pace import pace
from connectors.prometheus.question import Question, blank, first_of

POD = ("namespace", "pod", "exported_namespace", "exported_pod", "uid", "exported_uid")
METRICS = "kube_(pod|namespace|job|node)_(labels|annotations)|kube_pod_(owner|info|status_phase|container_resource_requests)|kube_replicaset_owner"
GPUS = r"nvidia_com_gpu|nvidia_com_gpu_shared|amd_com_gpu|gpu_intel_com_.*"
"""Resources that are whole cards. Slices (`nvidia_com_mig_...`) are told apart by their instance."""


def _pods(frame: pl.DataFrame) -> pl.DataFrame:
    """Puts namespace, pod and uid under those names, with or without `honorLabels`."""
    return frame.with_columns(
        *(first_of([f"exported_{n}", n]).alias(n) for n in ("namespace", "pod", "uid"))
    ).drop("exported_namespace", "exported_pod", "exported_uid")


def pod_labels(question: Question, wanted: Mapping[str, Sequence[str]], there: set[str]) -> pl.DataFrame:
    """What labels, annotations and owners of pods say of who they work for.

    A pod's own label or annotation comes first, then the label of the Job that it belongs to, then that of its namespace;
    the workload is, where no label names it, the Deployment or other owner of the pod. Nodes: `nodes.py`.

    Args:
        question: The hours.
        wanted: Dimension (team, ...) -> labels that may hold it, best first; `annotation_` for annotations.
        there: Names of metrics that the server has.

    Returns:
        namespace, pod, uid, hour, samples, told (its own labels) and each dimension (NULL unknown): one row a pod's uid, hour and labels; and
        without a pod one row a namespace and hour, for pods that no series names.
    """
    names = sorted({name for names in wanted.values() for name in names})
    labels = [n for n in names if not n.startswith("annotation_")]
    key = ["namespace", "pod", "uid", "hour"]
    found = _sets(question, "kube_pod_labels", labels, there)
    for metric, more in (
        ("kube_pod_annotations", [n for n in names if n.startswith("annotation_")]),
        ("kube_pod_owner", ["owner_kind", "owner_name"]),
    ):
        found = found.join(
            _info(question, metric, more, there).drop("value"),
            on=key,
            how="full",
            coalesce=True,
            nulls_equal=True,
        )
    space = _info(question, "kube_namespace_labels", labels, there).drop("pod", "uid", "value")
    found = found.join(space, on=["namespace", "hour"], how="left", suffix="_of_namespace")
    found = found.join(_replica_sets(question, there), on=["namespace", "owner_name", "hour"], how="left")
    job = pl.when(pl.col("owner_kind") == "Job").then("owner_name").alias("job_name")
    jobs = labels_of(question, "kube_job_labels", ("namespace", "job_name"), labels, there)
    found = found.with_columns(job).join(
        jobs, on=["namespace", "job_name", "hour"], how="left", suffix="_of_job"
    )
    dimensions = {
        dimension: first_of(
            [*all_, *(f"{n}_of_{of}" for of in ("job", "namespace") for n in all_ if n in labels)]
        )
        for dimension, all_ in wanted.items()
    }
    if "workload" in dimensions:
        owner = pl.when(blank("owner_kind").is_not_null()).then(
            pl.coalesce("deployment", blank("owner_name"))
        )
        dimensions["workload"] = pl.coalesce(dimensions["workload"], owner)
    told = pl.sum_horizontal(pl.lit(0), *(blank(n).is_not_null() for n in labels))
    owned = found.select(*key, pl.col("value").alias("samples"), told=told, **dimensions)
    of_space = {d: first_of([n for n in all_ if n in labels] or [""]) for d, all_ in wanted.items()}
    empty = pl.lit(None, dtype=pl.String)
    spaces = space.with_columns(empty.alias("")).select(
        "namespace", "hour", pod=empty, uid=empty, samples=pl.lit(0.0), told=pl.lit(0), **of_space
    )
    return pl.concat([owned, spaces.select(owned.columns)], how="vertical_relaxed")


def _sets(question: Question, metric: str, labels: Sequence[str], there: set[str]) -> pl.DataFrame:
    """The labels of a metric's series of pods: one row a uid, hour and labels; value is their samples."""
    schema = dict.fromkeys(("namespace", "pod", "uid", *labels), pl.String())
    if metric not in there or not labels:
        return pl.DataFrame(schema=pl.Schema({**schema, "hour": pl.Datetime("us"), "value": pl.Float64()}))
    found = _pods(question.ask(f"count_over_time({question.gauge(metric)})", [*POD, *labels]))
    return found.group_by(*schema, "hour").agg(pl.col("value").max())


def _info(question: Question, metric: str, labels: Sequence[str], there: set[str]) -> pl.DataFrame:
    """The same, one row a uid and hour: that with the most samples."""
    found = _sets(question, metric, labels, there)
    by = [True, *(False for _ in labels)]
    return found.sort("value", *labels, descending=by).unique(
        ["namespace", "pod", "uid", "hour"], keep="first", maintain_order=True
    )


def labels_of(
    question: Question, metric: str, key: Sequence[str], labels: Sequence[str], there: set[str]
) -> pl.DataFrame:
    """Labels of a metric's series of jobs or nodes: the key (`exported_` first), hour and the labels, "" where absent.

    Of several series of one key and hour the one with the most samples counts.
    """
    schema = pl.Schema({**dict.fromkeys((*key, *labels), pl.String()), "hour": pl.Datetime("us")})
    if metric not in there or not labels:
        return schema.to_frame()
    names = [*key, *(f"exported_{k}" for k in key), *labels]
    found = question.ask(f"count_over_time({question.gauge(metric)})", names)
    return (
        found.with_columns(first_of([f"exported_{k}", k]).alias(k) for k in key)
        .sort("value", *labels, descending=[True, *(False for _ in labels)])
        .unique([*key, "hour"], keep="first", maintain_order=True)
        .select(*schema)
    )


def _replica_sets(question: Question, there: set[str]) -> pl.DataFrame:
    """namespace, owner_name (a ReplicaSet), hour, deployment."""
    metric = "kube_replicaset_owner"
    labels = ["namespace", "exported_namespace", "replicaset", "owner_kind", "owner_name"]
    if metric not in there:
        texts = dict.fromkeys(("namespace", "owner_name", "deployment"), pl.String())
        return pl.DataFrame(schema=pl.Schema({**texts, "hour": pl.Datetime("us")}))
    found = question.ask(f"count_over_time({question.gauge(metric)})", labels)
    return (
        found.filter(pl.col("owner_kind") == "Deployment")
        .select("hour", namespace=first_of(["exported_namespace", "namespace"]), deployment="owner_name", owner_name="replicaset")
        .unique(["namespace", "owner_name", "hour"])
    )  # fmt: skip


def requests(question: Question, there: set[str]) -> pl.DataFrame:
    """GPUs that pods had while they were running.

    Requests stay for pods that are pending or done, so only the time in phase Running counts; where there are no
    phases, that in which the request was there.

    Args:
        question: The hours.
        there: Names of metrics that the server has.

    Returns:
        namespace, pod, uid, node, hour, gpus, running_hours.
    """
    metric, phase = "kube_pod_container_resource_requests", "kube_pod_status_phase"
    texts = dict.fromkeys(("namespace", "pod", "uid", "node"), pl.String())
    numbers = dict.fromkeys(("gpus", "running_hours"), pl.Float64())
    schema = pl.Schema({**texts, "hour": pl.Datetime("us"), **numbers})
    if metric not in there:
        return pl.DataFrame(schema=schema)
    gpu = question.gauge(metric, f'resource=~"{GPUS}"')
    labels = [*POD, "node", "exported_node", "container", "exported_container", "resource"]
    asked = _pods(question.ask(f"max_over_time({gpu})", labels))
    seen = _pods(question.ask(f"count_over_time({gpu})", labels)).rename({"value": "samples"})
    key = ["namespace", "pod", "uid", "hour"]
    same = [*key, "node", "exported_node", "container", "exported_container", "resource", "ha"]
    held = (
        asked.join(seen, on=same, nulls_equal=True)
        .with_columns(node=first_of(["exported_node", "node"]))
        .group_by(*key, "node", "container", "exported_container", "resource")
        .agg(pl.col("value").max(), pl.col("samples").max())
        .group_by(*key, "node")
        .agg(gpus=pl.col("value").sum(), samples=pl.col("samples").max())
    )
    if phase in there:
        running = question.gauge(phase, 'phase="Running"')
        phases = _pods(question.ask(f"sum_over_time({running})", POD))
        phases = phases.group_by(key).agg(running=pl.col("value").max())
        held = held.join(phases, on=key, how="left", nulls_equal=True).with_columns(
            samples=pl.min_horizontal("samples", pl.coalesce("running", "samples"))
        )
    pod = ["namespace", "pod", "uid"]
    scrapes = pace(held.rename({"samples": "count"}), pod, None)
    held = (
        scrapes.with_full(held)
        .join(question.hours().drop("index"), on="hour")
        .with_columns(running_hours=pl.min_horizontal(pl.col("samples") / pl.col("full"), "length"))
    )
    return held.filter(pl.col("running_hours") > 0).select(*schema)


def nodes(question: Question, there: set[str]) -> pl.DataFrame:
    """Name (of a pod) or address (host without port) -> node, from kube_pod_info: name, node."""
    if "kube_pod_info" not in there:
        return pl.DataFrame(schema={"name": pl.String, "node": pl.String})
    labels = ["pod", "exported_pod", "pod_ip", "host_ip", "node", "exported_node"]
    found = question.ask(f"count_over_time({question.gauge('kube_pod_info')})", labels)
    return (
        found.select(
            node=first_of(["exported_node", "node"]),
            name=pl.concat_list(first_of(["exported_pod", "pod"]), blank("pod_ip"), blank("host_ip")),
        )
        .explode("name")
        .drop_nulls()
        .unique()
        .sort("name", "node")
        .unique("name", keep="first", maintain_order=True)
    )
