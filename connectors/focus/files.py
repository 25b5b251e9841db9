"""Which files at a FOCUS location are bills that count: the current ones where manifests say so.

- AWS Data Exports: the files of each month's manifest (`connectors/aws/exports.py`)
- Azure exports: the newest run of each export and month (`connectors/azure/manifests.py`)
- else every file, but files of other FOCUS datasets are left out, and two runs of one export refused
  (`connectors/bills/runs.py`)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from connectors.aws.exports import exports, is_export_manifest
from connectors.azure.manifests import current, is_manifest
from connectors.base import Object, SourceError
from connectors.bills.files import SUFFIXES, is_bill, open_bill
from connectors.bills.plain import NOTHING_TOLD, Told
from connectors.focus.mapping import is_foreign, other_dataset
from connectors.objects import Store, fetch_ahead, read_json, write_json

AZURE = {"focuscost": "focus"}

TABLES = (*SUFFIXES, ".tsv", ".tsv.gz", ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")
FILES = (*TABLES, ".json", ".json.gz")
"""Names of files that may be bills; JSON may be anything else, too, so what has no column of FOCUS is left out."""

NO_FOCUS = "no column of FOCUS"


def counting(store: Store, objects: Sequence[Object]) -> tuple[list[Object], Told]:
    """The files that count, by their manifests, and what these say of months; all bill files where there is none.

    A location may hold both: manifests stand for the files below the folder they lie in.

    Raises:
        SourceError: A manifest of an unknown month is damaged, or two exports bill the same.
    """
    if any(is_export_manifest(o.key) for o in objects):
        delivered = exports(store, objects, None, lambda columns: "billedcost" in columns)
        told = Told(
            {o: (d.month,) for d in delivered for o in d.objects},
            {o: d.manifest for d in delivered for o in d.objects},
            not_ready={d.month: d.not_ready for d in delivered if d.not_ready},
        )
        return _whole(store, objects, {*told.months}, "data exports"), told
    if any(is_manifest(o.key) for o in objects):
        runs = current(store, objects, AZURE)
        return _whole(store, objects, {*runs.datasets}, "export manifests"), runs.told
    return [o for o in objects if is_bill(o.key, FILES)], NOTHING_TOLD


def _whole(store: Store, objects: Sequence[Object], named: set[Object], kind: str) -> list[Object]:
    """The named files, if no other bill file lies outside the folders of exports."""
    manifests = {o for o in objects if is_export_manifest(o.key) or is_manifest(o.key)}
    tops = {o.key.split("/")[0] if "/" in o.key else "" for o in named | manifests}
    loose = [
        o.key
        for o in objects
        if is_bill(o.key, TABLES) and (o.key.split("/")[0] if "/" in o.key else "") not in tops
    ]
    if loose:
        msg = (
            f"{store.uri(loose[0])} is named by no manifest, while {kind} beside it are: whether it counts cannot "
            "be known; put files without a manifest into a source of their own"
        )
        raise SourceError(msg)
    return sorted(named, key=lambda o: o.key)


class Datasets:
    """Which files hold cost rows; remembered by the file's version.

    Args:
        store: Where the files are.
        cache: The JSON file that remembers.
        version: Version of the reader; what another one found is not used.
    """

    def __init__(self, store: Store, cache: Path, version: str) -> None:
        self._store = store
        self._cache = cache
        self._version = version

    def split(self, objects: Sequence[Object]) -> tuple[list[Object], dict[str, str]]:
        """The files with cost rows, and key -> dataset of the others.

        Raises:
            SourceError: A file cannot be fetched.
        """
        known = read_json(self._cache)
        found = {}
        fetch_ahead(self._store, [o for o in objects if self._name(o) not in known])
        for item in objects:
            name = self._name(item)
            if name not in known:
                try:
                    path = self._store.fetch([item])[0]
                    bill = open_bill(item, self._store.uri(item.key), path)
                    foreign = bill.columns and not is_bill(item.key, TABLES) and is_foreign(bill.columns)
                    dataset = NO_FOCUS if foreign else other_dataset(bill.columns)
                except SourceError:
                    continue  # a damaged file counts until it can be read: its months are not ready
                found[name] = [dataset] if dataset else []
            else:
                found[name] = known[name]
        if found != known:
            write_json(self._cache, found)
        others = {o.key: found.get(self._name(o), []) for o in objects}
        return [o for o in objects if not others[o.key]], {k: v[0] for k, v in others.items() if v}

    def _name(self, item: Object) -> str:
        return f"{self._version}:{item.key}:{item.version}"
