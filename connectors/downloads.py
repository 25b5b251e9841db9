"""Local copies of remote objects: there as a whole or not at all, continued where a connection broke, pruned.

How the bytes are asked for belongs to the stores (`connectors/s3.py`, `connectors/gcs.py`).
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from filelock import FileLock
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from connectors.base import Object, SourceError

CHUNK = 1 << 18
"""Bytes asked for at a time: what a broken connection can lose."""

ATTEMPTS = 5
"""Connections made for one object before giving up; the next run continues from there."""

AT_ONCE = 8
"""Objects downloaded at the same time: of small ones each takes little more than the way there and back."""

GRACE_S = 86_400
"""A superseded copy is kept this long after its last use, since another process may still be reading it."""

Content = Callable[[int], tuple[int, Iterator[bytes]]]
"""From the first byte wanted to the first byte that comes and the bytes from there on."""


class BrokenDownloadError(Exception):
    """The connection ended, or stalled, before the content did."""


class ChangedError(SourceError):
    """An object is not what was listed any more."""

    def __init__(self, uri: str) -> None:
        super().__init__(f"{uri}: the object changed while it was being read; run again")


def retrying() -> Retrying:
    """Asks again, after a while each time, where a connection broke."""
    return Retrying(
        retry=retry_if_exception_type(BrokenDownloadError),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(multiplier=0.5, max=8),
        reraise=True,
    )


class Downloads:
    """Copies of the objects of one location.

    A copy is named by the object's key and version, so another version never continues or replaces it. What
    has come so far lies in a `.part` file, which outlives the process.

    Args:
        folder: For downloads of all locations.
        location: Names the location, without secrets.
    """

    def __init__(self, folder: Path, location: str) -> None:
        self.folder = folder / _digest(location)

    def path(self, wanted: Object) -> Path:
        """Where the copy of an object lies, or would lie."""
        return self.folder / _digest(wanted.key, wanted.version)

    def get_all(self, wanted: Sequence[Object], get: Callable[[Object], Path]) -> list[Path]:
        """The copies of several objects, in their order; `get` calls the method of this name for one.

        Raises:
            SourceError: One cannot be read; the first of them, in their order.
        """
        with ThreadPoolExecutor(AT_ONCE) as threads:
            return [*threads.map(get, wanted)]

    def get(self, wanted: Object, uri: str, content: Content, md5: str | None = None) -> Path:
        """The copy of an object, downloaded if it is not there.

        Args:
            wanted: As listed.
            uri: How to name it to a person.
            content: Gives its bytes; raises `BrokenDownloadError` when it may be asked again, `SourceError`
                when not (`ChangedError` if the object is no longer of this version).
            md5: Hex digest of the whole content, where the store says it.

        Raises:
            SourceError: It cannot be read, or not be written here.
        """
        path = self.path(wanted)
        try:
            if not _whole(path, wanted):
                self.folder.mkdir(parents=True, exist_ok=True)
                with FileLock(self.folder / f".lock-{path.name[:2]}"):
                    if not _whole(path, wanted):
                        self._download(wanted, uri, path, content, md5)
            os.utime(path)
        except OSError as error:
            msg = f"{uri}: no local copy can be written to {self.folder}: {error.strerror or error}; make room there"
            raise SourceError(msg) from error
        return path

    def _download(self, wanted: Object, uri: str, path: Path, content: Content, md5: str | None) -> None:
        part = path.with_name(f"{path.name}.part")
        try:
            for attempt in retrying():
                with attempt:
                    _continue(part, wanted, content, md5)
        except ChangedError:
            part.unlink(missing_ok=True)
            raise
        except BrokenDownloadError as error:
            came = part.stat().st_size if part.exists() else 0
            msg = (
                f"{uri}: the download broke off at {came} of {wanted.size} bytes, {ATTEMPTS} times ({error}); "
                "run again to continue from there"
            )
            raise SourceError(msg) from error
        part.replace(path)

    def prune(self, current: Iterable[Object]) -> None:
        """Removes copies that are superseded, whole or begun, and have not been used for a day.

        Args:
            current: Everything that is at the location now.
        """
        if not self.folder.is_dir():
            return
        kept = {_digest(o.key, o.version) for o in current}
        old = time.time() - GRACE_S
        for path in self.folder.iterdir():
            name = path.name.removesuffix(".part")
            if not name.startswith(".") and name not in kept and path.stat().st_mtime < old:
                path.unlink(missing_ok=True)


def _whole(path: Path, wanted: Object) -> bool:
    return path.exists() and path.stat().st_size == wanted.size


def _continue(part: Path, wanted: Object, content: Content, md5: str | None) -> None:
    """Adds to a part what is missing; one that is as long as the whole was found wrong, and begins again."""
    have = part.stat().st_size if part.exists() else 0
    offset, chunks = content(have if have < wanted.size else 0)
    with part.open("ab") as file:
        file.truncate(offset)
        for chunk in chunks:
            file.write(chunk)
    size = part.stat().st_size
    if size != wanted.size:
        msg = f"{size} of {wanted.size} bytes came"
        raise BrokenDownloadError(msg)
    if md5 is not None:
        with part.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if found != md5:
            msg = f"md5 of what came is {found}, should be {md5}"
            raise BrokenDownloadError(msg)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]
