"""Lines that portals and spreadsheets write before the header of a CSV: `sep=;`, titles, accounts, blank lines.

Which columns make a header belongs to the formats.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

SEPARATORS = (",", ";", "\t", "|")
"""What may stand between columns: spreadsheets and databases do not all write a comma."""

LONGEST_LINE = 1 << 20
"""Characters of a header that are looked at; a longer first line is no header."""

WITHIN = 50
"""Lines of a file among which its header is looked for."""

SAYS_SEPARATOR = re.compile(r'\s*"?sep=.?"?\s*', re.IGNORECASE)
"""The line with which a program tells Excel what stands between columns."""

IsHeader = Callable[[Sequence[str]], bool]
"""The names are those of a header: the mandatory columns of a format are among them."""


def lines_before(lines: Iterable[str], is_header: IsHeader) -> int:
    """How many of the first lines of a CSV stand before its header, the first line that has the mandatory columns.

    Where no line has them the first one is the header, or the one after `sep=;`: whoever reads it says what is missing.
    """
    said = 0
    for number, line in enumerate(lines):
        if any(is_header(columns(line, sign)) for sign in SEPARATORS):
            return number
        if number == 0 and SAYS_SEPARATOR.fullmatch(line):
            said = 1
    return said


def columns(line: str, sign: str) -> list[str]:
    """Names of the columns in a line, without blanks around them; none where it is not CSV."""
    try:
        return [c.strip() for c in next(csv.reader([line], delimiter=sign), [])]
    except csv.Error:
        return []


def from_header(parts: Iterator[bytes], is_header: IsHeader) -> Iterator[bytes]:
    """A CSV in UTF-8, part by part, without the lines before its header."""
    head = b""
    for part in parts:
        head += part
        if head.count(b"\n") > WITHIN or len(head) > LONGEST_LINE:
            break
    lines = head.splitlines(keepends=True)
    first = lines_before([line.decode("utf-8", "replace") for line in lines[:WITHIN]], is_header)
    yield b"".join(lines[first:])
    yield from parts
