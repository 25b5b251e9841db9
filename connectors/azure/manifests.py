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
from datetime import date, timedelta

from connectors.base import Object, SourceError
from connectors.bills.months import parse_month
from connectors.bills.plain import Told
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
        months: First days of the months that it is for; empty if nothing tells.
        not_ready: Why it cannot be read yet; empty when it can.
    """

    manifest: str
    export: str
    scope: str
    at: str
    dataset: str | None
    names: tuple[str, ...]
    months: tuple[date, ...] = ()
    not_ready: str = ""


@dataclass(frozen=True)
class Current:
    """The newest runs at a location.

    Attributes:
        datasets: Blob -> dataset, None where nothing tells.
        told: What their manifests say of months.
    """

    datasets: Mapping[Object, str | None]
    told: Told


def is_manifest(key: str) -> bool:
    """The key is that of a manifest."""
    return key.rsplit("/", 1)[-1].lower() == NAME


def dataset_of_name(key: str) -> str | None:
    """The dataset that a folder or file name speaks of; None if it does not."""
    return next((dataset for dataset, name in NAMED.items() if name.search(key)), None)


def current(store: Store, objects: Sequence[Object], datasets: Mapping[str, str] = DATASETS) -> Current:
    """The blobs of the newest run of each scope, type and month.

    Args:
        store: For reading the manifests.
        objects: Everything at the location.
        datasets: Types of export (lower case) that are read -> dataset.

    Raises:
        SourceError: A run of an unknown month is not ready, a manifest is of a FOCUS export, or two runs cannot be
            told apart.
    """
    keys = {o.key: o for o in objects}
    groups: dict[str, list[Run]] = defaultdict(list)
    for key in sorted(filter(is_manifest, keys)):
        run = _run(store, keys[key], datasets)
        groups[run.export].append(run)
    newest = _newest_of_scopes(store, [_newest(store, group) for group in groups.values()])
    of: dict[Object, str | None] = {}
    months: dict[Object, tuple[date, ...]] = {}
    manifests: dict[Object, str] = {}
    not_ready: dict[date, str] = {}
    waiting: dict[Object, str] = {}
    for run in newest:
        blobs, reason = _blobs(store, run, keys)
        if reason and not run.months:
            raise SourceError(reason)
        if reason:
            not_ready |= dict.fromkeys(run.months, reason)
            waiting |= dict.fromkeys(blobs, reason)
        of |= {blob: run.dataset or dataset_of_name(blob.key) for blob in blobs}
        months |= dict.fromkeys(blobs, run.months)
        manifests |= dict.fromkeys(blobs, run.manifest)
    empty = {month for run in newest if not run.names and not run.not_ready for month in run.months}
    return Current(of, Told(months, manifests, frozenset(empty), not_ready, waiting))


def _run(store: Store, item: Object, datasets: Mapping[str, str]) -> Run:
    key, uri = item.key, store.uri(item.key)
    folders = key.split("/")[:-1]
    depth = next((i for i, part in enumerate(folders) if PERIOD.fullmatch(part)), None)
    stamp = next((part for part in reversed(folders) if STAMP.fullmatch(part)), "")
    try:
        manifest = json.loads(store.read(item).decode("utf-8-sig"))
        names = tuple(str(blob["blobName"]) for blob in manifest["blobs"])
        config, info = manifest.get("exportConfig") or {}, manifest.get("runInfo") or {}
        type_ = str(config.get("type") or "").lower()
        submitted, resource = str(info.get("submittedTime") or ""), str(config.get("resourceId") or "")
        span, until = (f"{info.get(k) or ''}".strip()[:10] for k in ("startDate", "endDate"))
        rows = manifest.get("dataRowCount")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        msg = f"manifest {uri} is damaged ({type(error).__name__}: {error}); have the export run again"
        months = _months(*_period(folders)) if depth is not None else ()
        return Run(key, "/".join(folders[: (depth or 0) + 1]), "", stamp, None, (), months, msg)
    if type_.startswith("focus") and type_ not in datasets:
        msg = f"manifest {uri} is of a FOCUS export; read this location with kind `focus`"
        raise SourceError(msg)
    if type_ and type_ not in datasets:
        msg = f"manifest {uri} is of an export of type {type_!r}; only {', '.join(sorted(datasets))} are read here: move it elsewhere"
        raise SourceError(msg)
    reason = ""
    if not names and rows != 0:
        reason = f"delivery not ready: manifest {uri} names no blob; run again when the export is complete"
    period = folders[depth] if depth is not None else span
    above = folders[: depth + 1] if depth is not None else [*folders[:-1], span]
    scope = resource.lower().partition("/providers/microsoft.costmanagement")[0]
    return Run(
        manifest=key,
        export="/".join(above),
        scope=f"{scope} {type_} {period}" if resource and period else "",
        at=re.sub(r"\D", "", submitted) or stamp,
        dataset=datasets.get(type_),
        names=names,
        months=_months(*_period(folders)) if depth is not None else _months(span, until),
        not_ready=reason,
    )


def _period(folders: Sequence[str]) -> tuple[str, str]:
    """First and last day, as text, of the period folder among these."""
    days = next(part for part in folders if PERIOD.fullmatch(part)).split("-")
    first, last = (f"{d[:4]}-{d[4:6]}-{d[6:]}" for d in days)
    return first, last


def _months(first: str, last: str) -> tuple[date, ...]:
    """The months from the first to the last day; only the first one's where the last is no date or too far off."""
    start, end = parse_month(first), parse_month(last)
    if start is None:
        return ()
    months = [start]
    while end is not None and months[-1] < end and len(months) < 24:
        months.append((months[-1] + timedelta(days=31)).replace(day=1))
    return tuple(months)


def _newest(store: Store, runs: Sequence[Run]) -> Run:
    if len(runs) == 1:
        return runs[0]
    unknown = next((r for r in runs if r.not_ready and not r.at), None)
    if unknown is not None:  # it may be the newest
        return unknown
    length = min(len(r.at) for r in runs)
    ordered = sorted(runs, key=lambda r: r.at[:length])
    if length < 8 or ordered[-1].at[:length] == ordered[-2].at[:length]:
        found = ", ".join(store.uri(r.manifest) for r in runs[:3])
        msg = (
            f"{found} are {len(runs)} runs of the same scope, type and month, and neither runInfo.submittedTime nor "
            "the folders say which is the newest: every charge would count twice; keep the newest run's folder only"
        )
        raise SourceError(msg)
    return ordered[-1]


def _newest_of_scopes(store: Store, runs: Sequence[Run]) -> list[Run]:
    """Of several exports of one scope, type and month, the newest run: each holds the whole month up to then.

    An export of the month to date stops at its last day; the closed month then comes from an export of its own.

    Raises:
        SourceError: Which is the newest cannot be known.
    """
    scopes: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        scopes[run.scope or run.manifest].append(run)
    return [_newest(store, group) for group in scopes.values()]


def _blobs(store: Store, run: Run, keys: Mapping[str, Object]) -> tuple[list[Object], str]:
    """The blobs of a run that are there, and why it cannot be read yet."""
    folder = run.manifest.rpartition("/")[0]
    result, reason = [], run.not_ready
    for name in run.names:
        base = name.rsplit("/", 1)[-1]
        beside = f"{folder}/{base}" if folder else base
        found = keys.get(beside) or keys.get(name)
        if found is not None:
            result.append(found)
        elif not reason:
            reason = (
                f"delivery not ready: manifest {store.uri(run.manifest)} names {name}, which is not there yet; "
                "run again when the export is complete, or restore the blob"
            )
    return result, reason
