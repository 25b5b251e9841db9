"""AWS Data Exports (CUR 2.0, FOCUS): which files are the current delivery of each export and month.

Layout: `<prefix>/<export>/data/BILLING_PERIOD=YYYY-MM/` with the files and
`<prefix>/<export>/metadata/BILLING_PERIOD=YYYY-MM/<export>-Manifest.json`; where each delivery is kept ("create
new"), both have a folder `<timestamp>-<execution id>` more. What the files mean belongs to the formats.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date

from connectors.aws.manifests import SUFFIX, Delivery, choice, incomplete, locate
from connectors.base import Object, SourceError
from connectors.bills.months import parse_month
from connectors.objects import Store

PARTITION = re.compile(r"BILLING_PERIOD=(\d{4}-\d{2})", re.IGNORECASE)
DATED = re.compile(r"\d{4}-?\d{2}-?\d{2}")
ACCOUNT = re.compile(r"arn:[^:]*:bcm-data-exports:[^:]*:(\d+):")

Wanted = Callable[[frozenset[str]], bool]
"""Whether an export with these columns (lower case) is of the kind that is read."""


def is_export_manifest(key: str) -> bool:
    """The key is that of a Data Exports manifest."""
    return key.endswith(SUFFIX) and any(PARTITION.fullmatch(part) for part in key.split("/")[:-1])


def current_manifests(keys: Iterable[str]) -> list[str]:
    """The manifest that counts for each export and month: the one beside the month, else the newest delivery's.

    Raises:
        SourceError: There are several deliveries and which is the newest cannot be known.
    """
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for key in filter(is_export_manifest, keys):
        *folders, name = key.split("/")
        depth = next(i for i, part in enumerate(folders) if PARTITION.fullmatch(part))
        groups["/".join(folders[: depth + 1]), name].append(key)
    return sorted(_newest(folder, found) for (folder, _), found in groups.items())


def _newest(folder: str, found: Sequence[str]) -> str:
    top = [key for key in found if key.rsplit("/", 1)[0] == folder]
    if top:
        return top[0]
    if len(found) > 1 and not all(DATED.match(key[len(folder) + 1 :]) for key in found):
        msg = (
            f"{folder} holds the manifests of {len(found)} deliveries ({', '.join(sorted(found)[:3])}) and none of "
            "its own, and their folders do not start with a date: which one counts cannot be known; restore "
            f"{folder}/{found[0].rsplit('/', 1)[-1]}, or keep the newest delivery only"
        )
        raise SourceError(msg)
    return max(found)


def exports(store: Store, objects: Sequence[Object], name: str | None, wanted: Wanted) -> list[Delivery]:
    """The current deliveries at a location.

    Args:
        store: For reading the manifests.
        objects: Everything at the location.
        name: Only this export; None for all.
        wanted: Picks the exports of the kind that is read, by their columns.

    Raises:
        SourceError: Two exports bill the same, or there is no export of the kind or name.
    """
    keys = {o.key: o for o in objects}
    result: list[Delivery] = []
    seen: dict[tuple[str, date], Delivery] = {}
    there = set()
    for key in current_manifests(keys):
        export = key.rsplit("/", 1)[-1].removesuffix(SUFFIX)
        month = _month(store, key)
        try:
            manifest = _read(store, keys[key])
        except SourceError as error:
            if name in (None, export):
                there.add(export)
                result.append(Delivery(export, "", month, key, (), str(error)))
            continue
        columns = frozenset(_columns(manifest))
        if columns and not wanted(columns):
            continue
        there.add(export)
        if name is not None and export != name:
            continue
        delivery = _delivery(store.uri(key), key, export, month=month, manifest=manifest, keys=keys)
        if delivery.not_ready:
            result.append(delivery)
            continue
        same = seen.setdefault((delivery.account, delivery.month), delivery)
        if same is not delivery:
            whose = f"account {delivery.account}" if delivery.account else "an account that they do not name"
            msg = (
                f"{store.uri(same.manifest)} and {store.uri(key)} both bill {whose} for {delivery.month:%Y-%m}: "
                f"every charge would count twice; {choice('export', same.report, export)}; exports of different "
                "accounts go into one source each"
            )
            raise SourceError(msg)
        result.append(delivery)
    if not result:
        asked = f" {name!r}" if name else " of this kind"
        msg = f"{store.uri('')} holds no export{asked}; there are {sorted(there)}: correct `export` or `location`"
        raise SourceError(msg)
    return result


def _read(store: Store, item: Object) -> Mapping[str, object]:
    uri = store.uri(item.key)
    try:
        manifest = json.loads(store.read(item))
    except (ValueError, RecursionError) as error:
        msg = f"manifest {uri} is damaged ({error}); have the export delivered again"
        raise SourceError(msg) from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("dataFiles"), list):
        msg = f"manifest {uri} is damaged: it has no list `dataFiles`; have the export delivered again"
        raise SourceError(msg)
    return manifest


def _columns(manifest: Mapping[str, object]) -> list[str]:
    columns = manifest.get("columns")
    names = (
        [c.get("name") if isinstance(c, dict) else c for c in columns] if isinstance(columns, list) else []
    )
    return [str(n).lower() for n in names if n]


def _month(store: Store, key: str) -> date:
    period = next(m[1] for m in map(PARTITION.fullmatch, key.split("/")) if m)
    month = parse_month(f"{period}-01")
    if month is None:
        msg = (
            f"manifest {store.uri(key)} lies in {period!r}, which is no month such as BILLING_PERIOD=2026-09; "
            "correct it"
        )
        raise SourceError(msg)
    return month


def _delivery(
    uri: str,
    key: str,
    export: str,
    *,
    month: date,
    manifest: Mapping[str, object],
    keys: Mapping[str, Object],
) -> Delivery:
    files = manifest["dataFiles"]
    names = [re.sub(r"^s3://[^/]*/", "", str(f)) for f in files] if isinstance(files, list) else []
    elsewhere = [n for n in names if set(PARTITION.findall(n)) - {f"{month:%Y-%m}"}]
    found, missing = locate(key, names, keys)
    reason = incomplete(uri, names, missing)
    if elsewhere or len(set(names)) < len(names):
        what = f"names {elsewhere[0]}, a file of another month" if elsewhere else "names a file twice"
        reason = f"manifest {uri} {what}; have the export delivered again"
    account = ACCOUNT.match(str(manifest.get("exportArn", "")))
    return Delivery(export, account[1] if account else "", month, key, tuple(found), reason)
