"""Files of several runs of one export without a manifest: they repeat each other, so they are refused.

An exporter that keeps its runs writes each into a folder named by a GUID or a time. Which files are current,
where a manifest says so, belongs to the formats.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from connectors.base import Slice, SourceError
from connectors.objects import Store

RUN = re.compile(
    r".*[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}|.*\d{4}-?\d{2}-?\d{2}T\d{2}.*|\d{12,14}|run[-_=].+",
    re.IGNORECASE,
)
"""Folder names that stand for one run of an export."""


def run_of(key: str) -> tuple[str, str] | None:
    """The innermost run folder above a file: what lies above it, and its name; None if there is none."""
    folders = key.split("/")[:-1]
    for depth in range(len(folders) - 1, -1, -1):
        if RUN.fullmatch(folders[depth]):
            return "/".join(folders[:depth]), folders[depth]
    return None


def refuse_runs(store: Store, slices: Sequence[Slice]) -> None:
    """Checks that no month has files of two runs of the same export.

    Raises:
        SourceError: One has: every charge would count twice.
    """
    for item in slices:
        seen: dict[str, tuple[str, str]] = {}
        for file in item.objects:
            run = run_of(file.key)
            if run is None:
                continue
            above, name = run
            other, key = seen.setdefault(above, (name, file.key))
            if other != name:
                msg = (
                    f"{store.uri(key)} and {store.uri(file.key)} are of different runs of one export and both bill "
                    f"{item.period:%Y-%m}, with no manifest that says which run counts: every charge would count "
                    "twice; keep the newest run's folder only, or bring the manifests back"
                )
                raise SourceError(msg)
