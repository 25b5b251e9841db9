"""Azure export manifests: which blobs are the newest run of each export and month. Pure but for reading the manifests.

A partitioned export lies in `<root>/<export>/<YYYYMMDD-YYYYMMDD>/[<run>/]<run id>/`, each run in a folder of its own
with a `manifest.json` that lists its blobs; each run holds the whole month up to then.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connectors.base import Object, SourceError
from connectors.objects import Store

NAME = "manifest.json"
PERIOD = re.compile(r"\d{8}-\d{8}")
STAMP = re.compile(r"\d{12,14}")
DATASETS = {"actualcost": "actual", "usage": "actual", "amortizedcost": "amortized"}
NAMED = {
    "amortized": re.compile(r"amorti[sz]ed", re.IGNORECASE),
    "actual": re.compile(r"actual", re.IGNORECASE),
}


@dataclass(frozen=True)
class Run:
    """One run of an export for one period.

    Attributes:
        manifest: Key of its manifest.
        export: Folder of the export and period, or what stands for it.
        scope: The scope of the export with type and period; empty if the manifest does not say.
        at: When it ran, as digits from the year on; empty if unknown.
        dataset: actual or amortized; None if the manifest does not say.
        names: Names of its blobs.
    """

    manifest: str
    export: str
    scope: str
    at: str
    dataset: str | None
    names: tuple[str, ...]


def is_manifest(key: str) -> bool:
    """The key is that of a manifest."""
    return key.rsplit("/", 1)[-1].lower() == NAME


def dataset_of_name(key: str) -> str | None:
    """The dataset that a folder or file name speaks of; None if it does not."""
    return next((dataset for dataset, name in NAMED.items() if name.search(key)), None)


def current(
    store: Store, objects: Sequence[Object], datasets: Mapping[str, str] = DATASETS
) -> dict[Object, str | None]:
    """The blobs of the newest run of each export and month -> dataset, None where nothing tells.

    Args:
        store: For reading the manifests.
        objects: Everything at the location.
        datasets: Types of export (lower case) that are read -> dataset.

    Raises:
        SourceError: A manifest is damaged, names a blob that is not there, is of a FOCUS export, two runs cannot
            be told apart, or two exports bill the same.
    """
    keys = {o.key: o for o in objects}
    groups: dict[str, list[Run]] = defaultdict(list)
    for key in sorted(filter(is_manifest, keys)):
        run = _run(store, key, datasets)
        groups[run.export].append(run)
    newest = [_newest(store, group) for group in groups.values()]
    _refuse_same_scope(store, newest)
    result: dict[Object, str | None] = {}
    for run in newest:
        for blob in _blobs(store, run, keys):
            result[blob] = run.dataset or dataset_of_name(blob.key)
    return result


def _run(store: Store, key: str, datasets: Mapping[str, str]) -> Run:
    uri = store.uri(key)
    try:
        manifest = json.loads(store.read(key).decode("utf-8-sig"))
        names = tuple(str(blob["blobName"]) for blob in manifest["blobs"])
        config, info = manifest.get("exportConfig") or {}, manifest.get("runInfo") or {}
        type_ = str(config.get("type") or "").lower()
        submitted, resource = str(info.get("submittedTime") or ""), str(config.get("resourceId") or "")
        span = f"{info.get('startDate') or ''}".strip()[:10]
        rows = manifest.get("dataRowCount")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"manifest {uri} is damaged ({type(error).__name__}: {error}); have the export run again"
        raise SourceError(msg) from error
    if type_.startswith("focus") and type_ not in datasets:
        msg = f"manifest {uri} is of a FOCUS export; read this location with kind `focus`"
        raise SourceError(msg)
    if type_ and type_ not in datasets:
        msg = f"manifest {uri} is of an export of type {type_!r}; only {', '.join(sorted(datasets))} are read here: move it elsewhere"
        raise SourceError(msg)
    if not names and rows != 0:
        msg = f"delivery not ready: manifest {uri} names no blob; run again when the export is complete"
        raise SourceError(msg)
    folders = key.split("/")[:-1]
    depth = next((i for i, part in enumerate(folders) if PERIOD.fullmatch(part)), None)
    period = folders[depth] if depth is not None else span
    above = folders[: depth + 1] if depth is not None else [*folders[:-1], span]
    stamp = next((part for part in reversed(folders) if STAMP.fullmatch(part)), "")
    scope = resource.lower().partition("/providers/microsoft.costmanagement")[0]
    return Run(
        manifest=key,
        export="/".join(above),
        scope=f"{scope} {type_} {period}" if resource and period else "",
        at=re.sub(r"\D", "", submitted) or stamp,
        dataset=datasets.get(type_),
        names=names,
    )


def _newest(store: Store, runs: Sequence[Run]) -> Run:
    if len(runs) == 1:
        return runs[0]
    length = min(len(r.at) for r in runs)
    ordered = sorted(runs, key=lambda r: r.at[:length])
    if length < 8 or ordered[-1].at[:length] == ordered[-2].at[:length]:
        found = ", ".join(store.uri(r.manifest) for r in runs[:3])
        msg = (
            f"{found} are {len(runs)} runs of one export and month, and neither runInfo.submittedTime nor the "
            "folders say which is the newest; keep the newest run's folder only"
        )
        raise SourceError(msg)
    return ordered[-1]


def _refuse_same_scope(store: Store, runs: Sequence[Run]) -> None:
    seen: dict[str, Run] = {}
    for run in runs:
        same = seen.setdefault(run.scope, run) if run.scope else run
        if same is not run:
            msg = (
                f"{store.uri(same.manifest)} and {store.uri(run.manifest)} are exports of the same scope, type and "
                "month: every charge would count twice; set `location` to the folder of one of them"
            )
            raise SourceError(msg)


def _blobs(store: Store, run: Run, keys: Mapping[str, Object]) -> list[Object]:
    folder = run.manifest.rpartition("/")[0]
    result = []
    for name in run.names:
        base = name.rsplit("/", 1)[-1]
        beside = f"{folder}/{base}" if folder else base
        found = keys.get(beside) or keys.get(name)
        if found is None:
            msg = (
                f"delivery not ready: manifest {store.uri(run.manifest)} names {name}, which is not there yet; "
                "run again when the export is complete, or restore the blob"
            )
            raise SourceError(msg)
        result.append(found)
    return result
