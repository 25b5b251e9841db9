"""Files of several runs of one export without a manifest: they repeat each other, so they are refused unless rows say which is the latest.

An exporter that keeps its runs writes each into a folder named by a GUID or a time. Which files are current,
where a manifest says so, belongs to the formats.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date

from connectors.base import SourceError
from connectors.bills.files import BillFile

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


def refuse_runs(month: date, files: Iterable[BillFile]) -> None:
    """Checks that of two runs of one export one counts in a month: where their rows prove which is the latest, that one does.

    Args:
        month: First day of the month.
        files: The files that count (`connectors/bills/so_far.py`).

    Raises:
        SourceError: Both do: every charge would count twice.
    """
    seen: dict[str, tuple[str, BillFile]] = {}
    for file in files:
        run = run_of(file.key)
        if run is None:
            continue
        above, name = run
        other, earlier = seen.setdefault(above, (name, file))
        if other != name:
            msg = (
                f"{earlier.uri} and {file.uri} are of different runs of one export and both bill {month:%Y-%m}, and neither a "
                "manifest nor their rows say which run counts: every charge would count twice; keep the newest run's "
                "folder only, bring the manifests back, or, if folders are named by the time of their run and each "
                "holds the month so far, say `month_so_far: true` in the source"
            )
            raise SourceError(msg)
