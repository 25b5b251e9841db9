"""Teams' pages of months whose figures did not change: they stay as an earlier publication has them.

With each month are noted the queries behind its pages and what they gave. Where they give the same again, the
files are linked, not written: the cost of a day follows what changed that day, and a statement that a team has
does not change for a new run number. Such a page names the run that wrote it. Overviews show the state of all
sources and gates and are written by each run.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dashboards.figures import Period
from dashboards.store import Store

INPUTS = "inputs.json"
"""File beside the pages: month -> what its pages were made of."""


class KeptPages:
    """The pages of an earlier publication, to take over what stays the same.

    Args:
        store: The store that pages are made from.
        earlier: Folder of the earlier statements; None takes over nothing.
    """

    def __init__(self, store: Store, earlier: Path | None) -> None:
        self._store = store
        self._earlier = earlier
        try:
            self._known: dict[str, Any] = (
                {} if earlier is None else json.loads((earlier / INPUTS).read_text())
            )
        except (OSError, ValueError):  # none, or no longer whole: all pages are written
            self._known = {}
        self._inputs: dict[str, Any] = {}

    def taken(self, at: Period, names: Sequence[str], folder: Path) -> bool:
        """Links the files of a month from the earlier publication, if their inputs and all of the files are the same.

        Args:
            at: The month.
            names: Names of the files.
            folder: Where to.
        """
        key = folder.name
        before = self._known.get(key)
        if self._earlier is None or before is None or before["given"] != self._given(at, names):
            return False
        if before["figures"] != self._store.warehouse.fingerprint(before["queries"]):
            return False
        files = [self._earlier / key / name for name in names]
        if not all(file.is_file() for file in files):
            return False
        for file in files:
            _link(file, folder / file.name)
        self._inputs[key] = before
        return True

    @contextmanager
    def noted(self, at: Period, names: Sequence[str], folder: Path) -> Iterator[None]:
        """Notes what the files of a month are made of, which are written within the context."""
        with self._store.warehouse.noting() as asked:
            yield
            queries = sorted((sql, [*map(str, values)]) for sql, values in asked)
        self._inputs[folder.name] = {
            "given": self._given(at, names),
            "queries": queries,
            "figures": self._store.warehouse.fingerprint(queries),
        }

    def text(self) -> str:
        """The content of `inputs.json`."""
        return json.dumps(self._inputs, indent=1) + "\n"

    def _given(self, at: Period, names: Sequence[str]) -> str:
        """What pages are made of apart from figures; the day of the run only where a page shows more than that day."""
        day = at.as_of if at.latest or not at.complete else None
        currency = self._store.publication()["currency"]
        told = repr((at.month, at.previous, at.charged, at.begins, day, currency, [*names], _code()))
        return hashlib.sha256(told.encode(errors="surrogatepass")).hexdigest()


@cache
def _code() -> str:
    """Changes when the same figures may give another page."""
    here = Path(__file__).parent
    files = sorted(f for f in here.rglob("*") if f.suffix in (".py", ".j2", ".css"))
    libraries = " ".join(version(name) for name in ("jinja2", "polars", "tierwise", "vl-convert-python"))
    return libraries + hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()


def _link(file: Path, to: Path) -> None:
    """The same file under a second name; a copy where the disk has no links."""
    try:
        os.link(file, to)
    except OSError:
        shutil.copyfile(file, to)
