"""Requests of a spend log one by one, where no engine can read them: JSON, and CSV with bytes that are no UTF-8, or in UTF-16.

Such bytes do not matter in prompts, which are passed over. Where a column that is read has them, the request is counted
and left out. All other files belong to `logs.py`.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from connectors.base import SourceError
from connectors.bills.files import BillFile
from connectors.bills.footer import COUNT, NOTHING
from connectors.bills.header import SAYS_SEPARATOR, SEPARATORS
from connectors.bills.texts import in_utf_8, is_utf_16
from connectors.bills.wrapped import FAILED, failed

COLUMNS = (
    "request_id", "spend", "prompt_tokens", "completion_tokens", "total_tokens", "cache_read_input_tokens",
    "startTime", "endTime", "request_duration_ms", "model", "model_group", "custom_llm_provider", "team_id",
    "team_alias", "organization_id", "request_tags", "cache_hit", "status",
)  # fmt: skip
"""All columns that are ever read."""

REQUIRED = ("request_id", "startTime", "prompt_tokens", "completion_tokens", "model")

JSON = (".json", ".json.gz")
"""A list of requests, or a page of them below `data`; or JSON lines."""
JSON_LINES = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")

MAX_LINE = 256 * 1024 * 1024
"""Longest row, bytes: prompts with pictures in them are long. A packed file may hide a longer one, and no end of it."""

LONGEST_COUNT = 256
"""Bytes at the end of a file among which such a line stands."""

Row = dict[str, str | None]
"""Column of `COLUMNS` -> its text."""

Rows = Iterator[tuple[int, Row | None]]
"""Number (from 1) of a row, and the row; None for one that is no JSON object, or that has bytes that are no UTF-8."""


def is_json(key: str) -> bool:
    """The file holds JSON."""
    return key.lower().endswith(JSON_LINES + JSON)


def chosen(names: Sequence[str], uri: str, *, spend: bool) -> dict[str, str]:
    """Column of `COLUMNS` -> its name in the file, compared without regard to case.

    Raises:
        SourceError: A mandatory column is missing. The first line is not quoted: without a header it is a request.
    """
    lower = {n.lower(): n for n in names}
    found = {c: lower[c.lower()] for c in COLUMNS if c.lower() in lower}
    missing = [c for c in (*REQUIRED, *(("spend",) if spend else ())) if c not in found]
    if missing:
        msg = (
            f"{uri}: mandatory columns {missing} are missing; of those that are read it has {', '.join(found) or 'none'}. "
            "Export them from LiteLLM_SpendLogs, with a header"
        )
        raise SourceError(msg)
    return found


def json_rows(path: Path, uri: str) -> Rows:
    """The requests of JSON lines, of a list, or of a page.

    Raises:
        SourceError: The file is empty or damaged, or tells of an error.
    """
    lines = 0
    try:
        if uri.lower().endswith(JSON) and (listed := _listed(path, uri)) is not None:
            yield from ((number, _wanted(row)) for number, row in enumerate(listed, start=1))
            return
        with in_utf_8(path) as file:
            for number, raw in enumerate(iter(lambda: file.readline(MAX_LINE + 1), b""), start=1):
                if len(raw) > MAX_LINE:
                    raise _too_long(uri, number)
                line = _decoded(raw).strip()
                if line:
                    lines += 1
                    yield number, _wanted(_loads(line))
    except (OSError, EOFError, UnicodeError, zlib.error) as error:
        raise _damaged(uri, error) from error
    if not lines:
        msg = f"{uri} is empty (no line); deliver it again, or remove it"
        raise SourceError(msg)


def is_garbled(log: BillFile) -> bool:
    """The file is a CSV that no engine reads: bytes that are no UTF-8, UTF-16, `sep=;` before it, or a count of rows below it.

    Raises:
        SourceError: It is damaged, or a row does not end: known before it is read as a whole.
    """
    if log.form not in ("csv", "gzip"):
        return False
    decoder: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8")()
    run, rows, end = 0, 1, b""
    try:
        with in_utf_8(log.path) as file:
            says = SAYS_SEPARATOR.fullmatch(file.readline(MAX_LINE).decode("utf-8-sig", "replace"))
        with in_utf_8(log.path) as file:
            while piece := file.read(1 << 20):
                end = (end + piece)[-LONGEST_COUNT:]
                ends = piece.count(b"\n")
                run = len(piece) - piece.rfind(b"\n") - 1 if ends else run + len(piece)
                rows += ends
                if run > MAX_LINE:
                    raise _too_long(log.uri, rows)
                decoder = decoder and _fed(decoder, piece)
    except (OSError, EOFError, UnicodeError, zlib.error) as error:
        raise _damaged(log.uri, error) from error
    counted = is_count(end.decode("utf-8", "replace").rstrip(NOTHING).rpartition("\n")[2])
    return bool(says or counted or is_utf_16(log.path)) or not (decoder and _fed(decoder, b"", final=True))


def _fed(
    decoder: codecs.IncrementalDecoder, piece: bytes, *, final: bool = False
) -> codecs.IncrementalDecoder | None:
    """The decoder; None where the bytes are not what it decodes."""
    try:
        decoder.decode(piece, final)
    except UnicodeDecodeError:
        return None
    return decoder


def csv_rows(log: BillFile, *, spend: bool) -> Rows:
    """The requests of a CSV.

    Raises:
        SourceError: The file is damaged or lacks a column.
    """
    places = {c: log.columns.index(n) for c, n in chosen(log.columns, log.uri, spend=spend).items()}
    csv.field_size_limit(MAX_LINE)
    try:
        with io.TextIOWrapper(in_utf_8(log.path), "utf-8-sig", "surrogateescape", newline="") as file:
            first = file.readline()
            lines = file if SAYS_SEPARATOR.fullmatch(first) else chain([first], file)
            rows = csv.reader(lines, delimiter=log.separator, strict=True)
            next(rows)
            for number, row in enumerate(filter(None, rows), start=1):
                said = [text for text in row if text.strip()]
                if not said:
                    continue  # spreadsheets write empty lines
                if len(said) == 1 and is_count(said[0]):
                    yield number, dict.fromkeys(COLUMNS) | {"request_id": said[0]}
                elif len(row) != len(log.columns):
                    msg = f"{log.uri}: row {number} has {len(row)} columns, the header {len(log.columns)}; export the log again"
                    raise SourceError(msg)
                else:
                    yield number, _whole({c: row[i] for c, i in places.items()})
    except (OSError, EOFError, UnicodeError, zlib.error, csv.Error) as error:
        raise _damaged(log.uri, error) from error


def is_count(line: str) -> bool:
    """The line is what databases write below the rows: `(12 rows)`."""
    return COUNT.fullmatch(line.strip(NOTHING + "".join(SEPARATORS))) is not None


def _too_long(uri: str, number: int) -> SourceError:
    msg = f"{uri}: row {number} is longer than {MAX_LINE >> 20} MiB; no request is: export the log again"
    return SourceError(msg)


def _damaged(uri: str, error: Exception) -> SourceError:
    msg = f"{uri} is damaged or cannot be read ({type(error).__name__}); deliver it again"
    return SourceError(msg)


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", errors="surrogateescape").removeprefix("\ufeff")


def _listed(path: Path, uri: str) -> list[Any] | None:
    """The requests of a file that is one JSON list, or an object around one; None where it is neither: JSON lines.

    Raises:
        SourceError: It is an object around one that tells of an error.
    """
    content = _content(path)
    if isinstance(content, dict) and "startTime" not in content:
        listed = [
            v
            for v in content.values()
            if isinstance(v, list) and any((_wanted(r) or {}).get("startTime") for r in v)
        ]
        named, alone = content.get("data"), listed[0] if len(listed) == 1 else None
        found = named if isinstance(named, list) and (named or alone is None) else alone
        if found is not None and failed(content):
            msg = f"{uri} is an answer that says that {FAILED}, and save the whole answer"
            raise SourceError(msg)
        content = found
    return content if isinstance(content, list) else None


def page_of(path: Path) -> tuple[int, int] | None:
    """Number of a saved page, from 1, and how many there are; None for a file that does not say so."""
    content = _content(path)
    given = [content.get(name) for name in ("page", "total_pages")] if isinstance(content, dict) else []
    found = [int(n) for n in given if isinstance(n, str) and re.fullmatch(r"[0-9]{1,9}", n)]
    return (found[0], found[1]) if len(found) == 2 else None


def _content(path: Path) -> Any:
    """A whole file of JSON; None where it is none, or too long."""
    with in_utf_8(path) as file:
        data = file.read(MAX_LINE + 1)
    return _loads(_decoded(data)) if len(data) <= MAX_LINE else None


def _loads(text: str) -> Any:
    try:
        return json.loads(text, strict=False, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        return None


def _wanted(content: Any) -> Row | None:
    if not isinstance(content, dict):
        return None
    lower = {k.lower(): v for k, v in content.items()}
    return _whole({c: _text(lower.get(c.lower())) for c in COLUMNS})


def _whole(row: Row) -> Row | None:
    """The row; None where a column has half a character or a byte that is none."""
    return None if re.search("[\ud800-\udfff]", "".join(v or "" for v in row.values())) else row


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, dict | list) else str(value)
