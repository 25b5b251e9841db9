"""Lines that portals, spreadsheets and databases write after the last row of a CSV: totals, counts of rows, blanks.

Only what no charge can be is one: a last row that was cut off is refused by whoever reads the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from connectors.bills.amounts import COMMA, POINT, alike
from connectors.bills.header import SEPARATORS, columns

LONGEST_WORD = 100
"""Characters of a field of a line with totals: patterns are not tried on more."""

WITHIN = 20
"""Lines at the end of a file among which a footer is looked for."""

TAIL = 1 << 16
"""Bytes at the end of a file that are looked at."""

NOTHING = " \t\r\n\x1a\ufeff\u00a0"
"""Blanks, and the sign with which old programs end a file."""

ENDS = NOTHING.replace("\t", "").replace(" ", "")
"""The same without what may stand between columns."""

WORDS = (
    "(grand[ -]?|sub[ -]?)?totals?( (cost|costs|amount|charges|usage|due))?", "sum", "summe", "gesamt",
    "gesamt(summe|betrag|kosten)", "insgesamt", "zwischensumme", "totale?", "total g[ée]n[ée]ral", "sous-total", "somme",
    "importe total", "total general", "suma", "totale complessivo", "totaal", "eindtotaal", "razem", "итого", "всего",
    "合計", "総計", "合计", "总计", "總計", "합계", "총계",
)  # fmt: skip
TOTAL = re.compile(rf"({'|'.join(WORDS)})( ?\(?[a-z]{{3}}\)?)?\s*:?", re.IGNORECASE)
"""The first filled field of a line with totals."""

SUBTOTAL = re.compile(r"\s*(sub|zwischen|sous)", re.IGNORECASE)
"""A total of some of the rows."""

COUNT = re.compile(
    r"\(?\d+ (rows?|records?|zeilen?|lignes?|filas?)( (affected|selected|returned|in set))?\)?\.?",
    re.IGNORECASE,
)
"""How databases end their output: `(12 rows affected)`."""

FIGURE = re.compile(f"{COMMA}|{POINT}|[A-Za-z]{{3}}")
"""What stands beside the word: amounts and the code of a currency; no date, and no name."""


def lines_after(lines: Sequence[str], sign: str) -> int:
    """How many of the last lines of a CSV stand after its rows.

    Args:
        lines: Its last lines, without its header.
        sign: What stands between its columns.
    """
    found = 0
    for line in reversed(lines[-WITHIN:]):
        if not _is_footer(line, sign, lines[: len(lines) - found - 1]):
            break
        found += 1
    return found


def _is_footer(line: str, sign: str, above: Sequence[str]) -> bool:
    if line.count('"') % 2:
        return False  # it goes on from the line before, or was cut off
    filled = fields(line, sign)
    if not filled or COUNT.fullmatch(line.strip(NOTHING + "".join(SEPARATORS))):
        return True
    if not _is_total(filled):
        return False
    rows = (row for text in above if not _is_total(row := fields(text, sign)))
    return not any(filled[0] in row for row in rows)  # else it is the name of something, in a row cut off


def fields(line: str, sign: str) -> list[tuple[int, str]]:
    """Position and text of the fields that have one."""
    return [(at, field) for at, field in enumerate(columns(line.strip(ENDS), sign)) if field.strip(NOTHING)]


def _is_total(filled: Sequence[tuple[int, str]]) -> bool:
    """A word of total, and beside it amounts and nothing else."""
    words = [word for _, word in filled]
    if len(words) < 2 or max(map(len, words)) > LONGEST_WORD:
        return False
    return TOTAL.fullmatch(words[0]) is not None and all(FIGURE.fullmatch(alike(w)) for w in words[1:])


def split(tail: bytes, sign: str) -> tuple[bytes, list[str]]:
    """The end of a CSV without the lines after its rows, and the texts of those that say something.

    Args:
        tail: Its last lines, without its header.
        sign: What stands between its columns.
    """
    lines = tail.splitlines(keepends=True)
    texts = [line.decode("utf-8", "replace") for line in lines]
    after = lines_after(texts, sign)
    kept = len(lines) - after
    said = [t.strip(ENDS) for t in texts[kept:] if t.strip(NOTHING + "".join(SEPARATORS))]
    return b"".join(lines[:kept]), said


def separator(header: str) -> str:
    """The sign that makes most columns of a header."""
    return max(SEPARATORS, key=lambda sign: len(columns(header, sign)))


def before_footer(parts: Iterator[bytes], found: list[str]) -> Iterator[bytes]:
    """A CSV in UTF-8 that begins with its header, part by part, without the lines after its rows.

    Args:
        parts: The CSV.
        found: Takes the lines left out.
    """
    header, held = b"", b""
    for part in parts:
        held += part
        if not header and b"\n" in held:
            header, _, held = held.partition(b"\n")
            yield header + b"\n"
        if header and len(held) > 2 * TAIL and (cut := held.rfind(b"\n", 0, -TAIL) + 1):
            yield held[:cut]
            held = held[cut:]
    if header:
        held, said = split(held, separator(header.decode("utf-8", "replace")))
        found += said
    yield held
