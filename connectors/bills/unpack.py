"""A location whose files can all be read in place: of those that cannot, a copy in the cache says the same.

These are ZIP archives with one file or with CSV files of one header, and what `texts.py` rewrites.
The copy of a CSV begins with its header and ends with its last row; what stood after it lies beside the copy.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import cast

from connectors.base import Object
from connectors.bills.files import AFTER, ZIP
from connectors.bills.footer import before_footer
from connectors.bills.header import IsHeader, from_header
from connectors.bills.texts import (
    CHUNK,
    MOST_PACKED,
    MOST_TIMES,
    UTF_16,
    UnpackError,
    is_packed,
    rewrite,
    utf_8,
)
from connectors.objects import Store, hidden

TABLES = (".csv", ".tsv")
MEMBERS = (*TABLES, ".csv.gz", ".tsv.gz", ".parquet", ".json", ".jsonl", ".ndjson")
"""Names of files in an archive that may be bills; others are left alone."""

ALWAYS_ALLOWED = 256 << 20
"""Bytes that any file may unpack to, however small it is."""

DAMAGED = (
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    UnicodeError,
    NotImplementedError,
)
"""What reading an archive raises; NotImplementedError is zipfile's word for a compression that it does not know."""


class Unpacked:
    """The files of a store; which forms that makes no difference to is its whole purpose.

    Args:
        store: The location.
        cache: Folder for copies, of this source alone.
        is_header: What makes a line of a CSV its header.
        exact: Numbers of JSON are decimals.
    """

    def __init__(self, store: Store, cache: Path, is_header: IsHeader, *, exact: bool = False) -> None:
        self._store = store
        self._cache = cache
        self._is_header = is_header
        self._exact = exact
        self._rewrite = partial(rewrite, exact=exact)
        self._as_they_are: set[Object] = set()

    def list(self, prefix: str = "") -> Sequence[Object]:
        """All objects below the prefix; copies of what is no longer there are deleted."""
        objects = self._store.list(prefix)
        if not prefix and self._cache.is_dir():
            names = {self._copy(o).name for o in objects}
            for path in self._cache.iterdir():
                if path.name.partition(".")[0] not in names:
                    path.unlink(missing_ok=True)
        return objects

    def read(self, item: Object) -> bytes:
        """The content of a small object, as it is."""
        return self._store.read(item)

    def uri(self, key: str) -> str:
        """How to name the object to a person."""
        return self._store.uri(key)

    def fetch(self, objects: Sequence[Object]) -> Sequence[Path]:
        """Local paths of the objects.

        Raises:
            SourceError: One cannot be fetched.
            UnpackError: One cannot be unpacked.
        """
        return [self._plain(o, path) for o, path in zip(objects, self._store.fetch(objects), strict=True)]

    def without_footer(self, item: Object) -> bool:
        """Looks at the end of a gzip that was too large for it: if lines stand after its rows, it has a copy without them from now on.

        Args:
            item: A file that was fetched.

        Returns:
            Whether it has.

        Raises:
            UnpackError: It cannot be unpacked.
        """
        (path,) = self._store.fetch([item])
        if item not in self._as_they_are or path.stat().st_size <= MOST_PACKED or not is_packed(path):
            return False
        self._as_they_are.remove(item)
        return self._plain(item, path, whole=True) != path

    def _copy(self, item: Object) -> Path:
        name = json.dumps([item.key, item.version, *(["exact"] if self._exact else [])])
        return self._cache / hashlib.sha256(name.encode()).hexdigest()[:32]

    def _plain(self, item: Object, path: Path, *, whole: bool = False) -> Path:
        uri, copy = self._store.uri(item.key), self._copy(item)
        if copy.exists():
            return copy
        if item in self._as_they_are:
            return path
        part, unpacked = (copy.with_suffix(f".{os.getpid()}.{name}") for name in ("part", "unpacked"))
        try:
            packed = _is_zip(path)
            found: list[str] = []
            make = (
                partial(_members, self._is_header, found)
                if packed
                else self._rewrite(path, self._is_header, found, whole=whole)
            )
            if make is None:
                self._as_they_are.add(item)
                return path
            self._cache.mkdir(parents=True, exist_ok=True)
            most = max(MOST_TIMES * path.stat().st_size, ALWAYS_ALLOWED)
            _write(part, make(path, uri), most, uri)
            if packed and (make := self._rewrite(part, self._is_header, found)) is not None:
                part.replace(unpacked)
                _write(part, make(unpacked, uri), most, uri)
            if found:
                copy.with_suffix(AFTER).write_text(json.dumps(found))
            part.replace(copy)
        except DAMAGED as error:
            msg = f"{uri} is damaged or cannot be unpacked ({error}); have it delivered again"
            raise UnpackError(msg) from error
        finally:
            part.unlink(missing_ok=True)
            unpacked.unlink(missing_ok=True)
        return copy


def _write(path: Path, content: Iterator[bytes], most: int, uri: str) -> None:
    with path.open("wb") as file:
        for part in content:
            most -= len(part)
            if most < 0:
                msg = f"{uri} unpacks to more than {MOST_TIMES} times its size: it is no bill; deliver it unpacked"
                raise UnpackError(msg)
            file.write(part)


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == ZIP


def _members(is_header: IsHeader, found: list[str], path: Path, uri: str) -> Iterator[bytes]:
    """The bill in an archive: the one file, or the CSV files one after the other, their header once.

    Args:
        is_header: What makes a line of a CSV its header.
        found: Takes the lines after the rows of each of several CSV files.
        path: The archive.
        uri: Its name for a person.

    Raises:
        UnpackError: It holds no bill, several that are not CSV, headers that differ, a file twice, or is protected.
    """
    with zipfile.ZipFile(path) as archive:
        bills = _bills(archive, uri)
        header = b""
        for member in bills:
            with archive.open(member) as file:
                peeked = io.BufferedReader(cast("io.RawIOBase", file), CHUNK)
                if len(bills) == 1 and peeked.peek(2)[:2] not in UTF_16:
                    yield from iter(partial(peeked.read, CHUNK), b"")
                    return
                parts = before_footer(from_header(utf_8(peeked), is_header), found)
                line, _, rest = next(parts, b"").partition(b"\n")
                if header and line.strip() != header:
                    msg = f"{uri}: {bills[0].filename!r} and {member.filename!r} in it have different headers; deliver them unpacked"
                    raise UnpackError(msg)
                if not header:
                    yield line + b"\n"
                header, last = line.strip(), b"\n"
                for part in chain([rest], parts):
                    yield part
                    last = part or last
                if not last.endswith(b"\n"):
                    yield b"\n"


def _bills(archive: zipfile.ZipFile, uri: str) -> Sequence[zipfile.ZipInfo]:
    files = [m for m in archive.infolist() if not m.is_dir()]
    names = [m.filename for m in files]
    bills = [
        m
        for m in files
        if m.filename.lower().endswith(MEMBERS)
        and not (hidden(m.filename) or m.filename.startswith("__MACOSX/"))
    ]
    if not bills:
        msg = f"{uri} holds no bill file ({', '.join(MEMBERS)}) but {', '.join(names[:5]) or 'nothing'}; move it elsewhere"
        raise UnpackError(msg)
    if any(m.flag_bits & 1 for m in bills):
        msg = f"{uri} is protected by a password; deliver it without"
        raise UnpackError(msg)
    if len(bills) > 1 and not all(m.filename.lower().endswith(TABLES) for m in bills):
        msg = f"{uri} holds {len(bills)} files that are not all CSV ({', '.join(names[:5])}); deliver them unpacked"
        raise UnpackError(msg)
    seen: dict[tuple[int, int], str] = {}
    for member in bills:
        other = seen.setdefault((member.CRC, member.file_size), member.filename)
        if other is not member.filename:
            msg = (
                f"{uri}: {other!r} and {member.filename!r} in it have the same content: every charge would count "
                "twice; remove one of them"
            )
            raise UnpackError(msg)
    return bills
