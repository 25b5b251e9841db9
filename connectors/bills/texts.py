"""Text of bills in forms that DuckDB does not read in place, as UTF-8 and as one JSON object a line."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

from connectors.base import SourceError
from connectors.bills import footer
from connectors.bills.header import LONGEST_LINE, WITHIN, IsHeader, from_header, lines_before
from connectors.bills.wrapped import FAILED, LISTS, MORE, Wrapped, answers, elements, is_record

UTF_16 = (b"\xff\xfe", b"\xfe\xff")
UTF_8 = b"\xef\xbb\xbf"
"""Byte order marks."""
PARQUET = b"PAR1"

CHUNK = 1 << 20

MOST_PACKED = 8 << 20
"""Bytes of a gzip whose end is looked at: larger ones come from programs, and few have totals below their rows. Of these the rows tell (`Unpacked.without_footer`)."""

MOST_UNPACKED = 256 << 20
"""Bytes that such a gzip may hold, for the same reason; a bomb holds more."""

MOST_TIMES = 250
"""What unpacks to more than so many times its size is no bill."""

LONGEST_OBJECT = 16 << 20
"""Characters of one object of a JSON text."""

LONG = r"-?(?=[1-9][0-9]{3})[0-9](?:\.?[0-9]){15,}"
"""A number of JSON that is no double: from 1,000 on, a double of 16 digits has fewer than twelve decimals."""
LONG_NUMBER = re.compile(f":\\s*{LONG}".encode())
TOKEN = re.compile(f'"(?:[^"\\\\]|\\\\.)*"|({LONG}(?:[eE][+-]?[0-9]+)?)|-?[0-9][-+.eE0-9]*')
"""A text of JSON, a number that is no double, or any other number."""

Rewrite = Callable[[Path, str], Iterator[bytes]]
"""From a file and its name for a person to the content of its copy. Raises UnpackError if it cannot be read."""


class UnpackError(SourceError):
    """A file has come, and cannot be unpacked."""


def opened(path: Path) -> IO[bytes]:
    """The file, unpacked if it is gzip."""
    return cast("IO[bytes]", gzip.open(path)) if is_packed(path) else path.open("rb")


def is_packed(path: Path) -> bool:
    """The file is gzip."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def rewrite(
    path: Path, is_header: IsHeader, found: list[str], *, exact: bool = False, whole: bool = False
) -> Rewrite | None:
    """What makes a copy of the file that can be read in place; None where itself can.

    Args:
        path: The file.
        is_header: What makes a line of a CSV its header.
        found: Takes the lines after the rows of a CSV, and what stands beside the records of JSON, which the copy lacks.
        exact: Numbers of JSON are decimals, which DuckDB would read as doubles; else they are doubles.
        whole: The end of a gzip is looked at however much it holds.
    """
    with opened(path) as file:
        start = file.read(64)
    wide = start.startswith(UTF_16)
    text = start.decode("utf-16", "ignore") if wide else start.removeprefix(UTF_8).decode("utf-8", "ignore")
    if (mark := text.lstrip()[:1]) in ("{", "["):
        first = _first(path, mark)
        records = partial(_listed, is_header, found) if _is_wrapped(path, first, is_header) else _one_a_line
        exactly = exact and _has_long_numbers(path)
        a_line = mark == "{" and first is not None and not wide and not start.startswith(UTF_8)
        in_place = records is _one_a_line and a_line
        return partial(_exact_lines, records) if exactly else None if in_place else records
    if wide:
        return partial(_decoded, is_header, found)
    as_it_is = start.startswith(PARQUET) or (_begins(path, is_header) and not _has_footer(path, whole=whole))
    return None if as_it_is else partial(_decoded, is_header, found)


def _first(path: Path, mark: str) -> Any:
    """The JSON in the first line, or the first element of an array; None where it is not complete, or long."""
    with suppress(ValueError, RecursionError), in_utf_8(path) as file:
        if mark == "{":
            return json.loads(file.readline(LONGEST_OBJECT).decode("utf-8-sig"))
        text = file.read(CHUNK).decode("utf-8-sig", "ignore").lstrip().removeprefix("[").lstrip()
        return json.JSONDecoder().raw_decode(text)[0]
    return None


def _is_wrapped(path: Path, first: Any, is_header: IsHeader) -> bool:
    """It is answers, objects around lists of records, of which some may be empty: its first value is no record."""
    if is_record(first, is_header):
        return False
    with suppress(OSError, EOFError, zlib.error, UnicodeError):
        if text := _whole(path):
            return answers(text, is_header) is not None
        return isinstance(first, dict) and any(
            k.lower() in LISTS and isinstance(v, list) for k, v in first.items()
        )
    return False


def _whole(path: Path) -> str:
    """A text that is no larger than saved answers may be; empty where it is."""
    with in_utf_8(path) as file:
        text = file.read(MOST_UNPACKED + 1)
    return text.decode("utf-8-sig") if len(text) <= MOST_UNPACKED else ""


def _has_long_numbers(path: Path) -> bool:
    with suppress(OSError, EOFError, zlib.error, UnicodeError), in_utf_8(path) as file:
        before = b""
        while part := file.read(CHUNK):
            if LONG_NUMBER.search(before + part):
                return True
            before = part[-64:]
    return False


def _exact_lines(records: Rewrite, path: Path, uri: str) -> Iterator[bytes]:
    """One object a line, with numbers that are no doubles as texts."""
    for line in records(path, uri):
        yield TOKEN.sub(lambda m: f'"{m[1]}"' if m[1] else m[0], line.decode()).encode()


def _begins(path: Path, is_header: IsHeader) -> bool:
    """Nothing stands before the header of a CSV."""
    with opened(path) as file:
        lines = (file.readline(LONGEST_LINE) for _ in range(WITHIN))
        texts = (line.removeprefix(UTF_8).decode("utf-8", "replace") for line in lines)
        return lines_before(texts, is_header) == 0


def _has_footer(path: Path, *, whole: bool) -> bool:
    """Something stands after the last row of a CSV: more than blank lines, which DuckDB passes over."""
    packed, size = is_packed(path), path.stat().st_size
    if packed and size > MOST_PACKED and not whole:
        return False
    with suppress(OSError, EOFError, zlib.error), opened(path) as file:
        header = file.readline(LONGEST_LINE)
        if not packed and size > len(header) + footer.TAIL:
            file.seek(-footer.TAIL, os.SEEK_END)
            file.readline()
        rest = _last_lines(file, MOST_TIMES * size if whole else MOST_UNPACKED)
        kept, _ = footer.split(rest, footer.separator(header.decode("utf-8", "replace")))
        return bool(rest[len(kept) :].strip(b"\r\n"))
    return False  # damaged: whoever reads it says what is wrong


def _last_lines(file: IO[bytes], left: int) -> bytes:
    """Lines at the end of what is left of a file, all where there are few; none where it holds too many bytes."""
    held, cut = b"", False
    while part := file.read(CHUNK):
        left -= len(part)
        if left < 0:
            return b""
        held += part
        cut = cut or len(held) > footer.TAIL
        held = held[-footer.TAIL :]
    return held.partition(b"\n")[2] if cut else held


def utf_8(file: IO[bytes]) -> Iterator[bytes]:
    """A text in UTF-8, or in UTF-16 with its byte order mark, as UTF-8 without one."""
    peeked = io.BufferedReader(cast("io.RawIOBase", file), CHUNK)
    code = "utf-16" if peeked.peek(2)[:2] in UTF_16 else "utf-8-sig"
    with io.TextIOWrapper(peeked, encoding=code, newline="") as text:
        while part := text.read(CHUNK):
            yield part.encode()


class Utf8(io.RawIOBase):
    """A text in UTF-16 with its byte order mark, as a file in UTF-8.

    Args:
        file: The text.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._parts = utf_8(file)
        self._held = b""

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes."""
        self._held = self._held or next(self._parts, b"")
        part = self._held[: len(buffer)]
        buffer[: len(part)] = part
        self._held = self._held[len(part) :]
        return len(part)

    def close(self) -> None:
        """Closes the text, too."""
        self._file.close()
        super().close()


def is_utf_16(path: Path) -> bool:
    """The file, unpacked if it is gzip, begins with a byte order mark of UTF-16."""
    with opened(path) as file:
        return file.read(2) in UTF_16


def in_utf_8(path: Path) -> IO[bytes]:
    """The file, unpacked if it is gzip, as UTF-8 if it is UTF-16 with a byte order mark."""
    file = opened(path)
    return io.BufferedReader(Utf8(file), CHUNK) if is_utf_16(path) else file


def _decoded(is_header: IsHeader, found: list[str], path: Path, uri: str) -> Iterator[bytes]:
    del uri
    with opened(path) as file:
        yield from footer.before_footer(from_header(utf_8(file), is_header), found)


def _one_a_line(path: Path, uri: str) -> Iterator[bytes]:
    """An array of objects, or objects one after another, numbers as they are written.

    Raises:
        UnpackError: It is neither, or not complete.
    """
    decoder, buffer, array = json.JSONDecoder(), "", None
    with opened(path) as file:
        for part in utf_8(file):
            buffer += part.decode()
            if array is None:
                buffer = buffer.lstrip()
                array = buffer.startswith("[")
                if "\0" in buffer[:64]:
                    msg = f"{uri} has NUL characters, as UTF-16 without a byte order mark has; export it in UTF-8"
                    raise UnpackError(msg)
                buffer = buffer.removeprefix("[")
            at = 0
            while (at := _object(buffer, at)) < len(buffer) and buffer[at] == "{":
                try:
                    _, end = decoder.raw_decode(buffer, at)
                except ValueError:
                    break  # it goes on in the next part
                except RecursionError as error:
                    msg = f"{uri} holds an object that is nested too deeply to be read; export it without"
                    raise UnpackError(msg) from error
                yield _line(buffer[at:end])
                at = end
            buffer = buffer[at:]
            if len(buffer) > LONGEST_OBJECT or (buffer and buffer[0] not in "{]"):
                break
    if buffer.strip() != ("]" if array else ""):
        msg = (
            f"{uri} is not JSON lines, nor a complete array of objects (at {buffer[:60]!r}); export it as "
            "newline-delimited JSON"
        )
        raise UnpackError(msg)


def _listed(is_header: IsHeader, found: list[str], path: Path, uri: str) -> Iterator[bytes]:
    """The records of answers, each an object around one list of them: of one, a list of them, or one after another.

    Args:
        is_header: The names are those of a record.
        found: Takes what else the answers hold; of their pages, only the last says whether another one follows.
        path: The file.
        uri: Its name for a person.

    Raises:
        UnpackError: The file is too large, or holds something else, too; an answer holds several such lists, or twice the
            same; or one without a record says that there was an error or, at the end, that another page follows.
    """
    text = _whole(path)
    content = answers(text, is_header)
    if content is None:
        msg = f"{uri} has more than {MOST_UNPACKED >> 20} MiB, unpacked; save each page of the API in a file of its own"
        raise UnpackError(msg)
    seen: set[bytes] = set()
    for number, answer in enumerate(content, start=1):
        last = number == len(content)
        start = _records_start(answer, number, uri, last=last)
        if answer is None or start is None:
            continue
        found += [o for o in answer.others if o not in found and (last or not o.endswith(MORE))]
        digest = hashlib.sha256()
        for at, end in elements(text, start):
            if at < end:
                line = _line(text[at:end])
                digest.update(line)
                yield line
        if digest.digest() in seen:
            msg = f"{uri}: answer {number} in it has the records of an earlier one: every charge would count twice; remove one of them"
            raise UnpackError(msg)
        seen.add(digest.digest())


def _records_start(answer: Wrapped | None, number: int, uri: str, *, last: bool) -> int | None:
    """Where the list of records of an answer starts; None where it is empty."""
    if answer is None:
        msg = f"{uri}: value {number} in it is no answer with a list of records, as others are; save it in a file of its own"
        raise UnpackError(msg)
    if not answer.lists:
        if answer.against and (last or answer.against == FAILED):
            msg = f"{uri} is an answer without a record that says that {answer.against}"
            raise UnpackError(msg)
        return None
    if len(answer.lists) > 1:
        names = ", ".join(name for name, _ in answer.lists)
        msg = f"{uri} holds several lists of records ({names}), and whether all of them count cannot be known; keep one"
        raise UnpackError(msg)
    return answer.lists[0][1]


def _line(text: str) -> bytes:
    """A value of JSON in one line: its line breaks are between its parts, never within a text."""
    return text.replace("\r", " ").replace("\n", " ").encode() + b"\n"


def _object(text: str, at: int) -> int:
    """Where the next object starts: past blanks and a comma."""
    while at < len(text) and text[at] in " \t\r\n,":
        at += 1
    return at
