"""Spend logs of LiteLLM in files: which columns are read, and the way from CSV, JSON lines and Parquet to text rows.

Columns that may hold prompts, answers, keys or persons (messages, response, proxy_server_request, metadata, api_key,
user, end_user) are never selected: of Parquet they are not read at all, of CSV and JSON lines they are passed over.
Errors of parsers, which quote lines, are reduced to a line number. What the rows mean belongs to `requests.py`.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import IO, Any

import polars as pl

from connectors.base import Engine, Object, SourceError
from connectors.bills.files import BillFile, lazy, open_bill, verify
from connectors.bills.shapes import NESTED
from connectors.epochs import seconds, sql_epoch_text
from connectors.objects import Store
from connectors.sql import identifier, literal, literals
from connectors.telemetry import QUARTER_S, TIMESTAMP
from connectors.telemetry_index import quarters_of, quarters_of_utc

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
TABULAR = (".csv", ".csv.gz", ".parquet")
SUFFIXES = TABULAR + JSON_LINES + JSON

NULLS = ("", "\\N", "NULL", "null", "None")
"""What stands for no value: COPY of the database, SQL clients, JSON and Python write it so."""

MAX_LINE = 256 * 1024 * 1024
"""Longest row, bytes: prompts with pictures in them are long. A packed file may hide a longer one, and no end of it."""

CHUNK = 20_000
"""JSON lines staged at once; bounds the memory they take."""

PLAIN = r"[A-Za-z0-9_.:+-]{1,64}( [0-9:.+-]{1,20})?"
"""Ids, numbers and timestamps: what may be quoted in findings."""

FIRST_QUARTER, LAST_QUARTER = (
    int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) // QUARTER_S for year in (2000, 2100)
)

NAIVE = r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?"
"""A timestamp without a zone: LiteLLM's database holds UTC."""


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


def json_rows(path: Path, uri: str) -> Iterator[tuple[int, dict[str, str | None] | None]]:
    """Number (from 1) of a line or of a request of a list, and the columns wanted as text; None for what is no JSON object.

    Raises:
        SourceError: The file is empty or damaged.
    """
    lines = 0
    try:
        if uri.lower().endswith(JSON) and (listed := _listed(path)) is not None:
            yield from ((number, _wanted(row)) for number, row in enumerate(listed, start=1))
            return
        with _open(path) as file:
            for number, raw in enumerate(iter(lambda: file.readline(MAX_LINE + 1), b""), start=1):
                if len(raw) > MAX_LINE:
                    raise _too_long(uri, number)
                line = raw.decode("utf-8", errors="replace").removeprefix("\ufeff").strip()
                if line:
                    lines += 1
                    yield number, _wanted(_loads(line))
    except (OSError, EOFError, zlib.error) as error:
        msg = f"{uri} is damaged or cannot be read ({type(error).__name__}); deliver it again"
        raise SourceError(msg) from error
    if not lines:
        msg = f"{uri} is empty (no line); deliver it again, or remove it"
        raise SourceError(msg)


def _too_long(uri: str, number: int) -> SourceError:
    msg = f"{uri}: row {number} is longer than {MAX_LINE >> 20} MiB; no request is: export the log again"
    return SourceError(msg)


def _check_rows(path: Path, uri: str) -> None:
    """Unpacks a gzip piece by piece, so that what is read as a whole later is known to have rows that end."""
    run, rows = 0, 1
    with gzip.open(path) as file:
        while piece := file.read(1 << 20):
            ends = piece.count(b"\n")
            run = len(piece) - piece.rfind(b"\n") - 1 if ends else run + len(piece)
            rows += ends
            if run > MAX_LINE:
                raise _too_long(uri, rows)


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if zipped or path.name.endswith(".gz") else path.open("rb")  # type: ignore[return-value]


def _listed(path: Path) -> list[Any] | None:
    """The requests of a file that is one JSON list, or one page of them; None where it is neither: JSON lines."""
    with _open(path) as file:
        data = file.read(MAX_LINE + 1)
    if len(data) > MAX_LINE:
        return None
    content = _loads(data.decode("utf-8", errors="replace").removeprefix("\ufeff"))
    if isinstance(content, dict) and "startTime" not in content:
        content = content.get("data")
    return content if isinstance(content, list) else None


def _loads(text: str) -> Any:
    try:
        return json.loads(text, strict=False, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        return None


def _wanted(content: Any) -> dict[str, str | None] | None:
    """The columns of a request; None where it is none, or holds half a character in them, which no text can."""
    if not isinstance(content, dict):
        return None
    lower = {k.lower(): v for k, v in content.items()}
    found = {c: _text(lower.get(c.lower())) for c in COLUMNS}
    return None if re.search("[\ud800-\udfff]", "".join(v or "" for v in found.values())) else found


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def scan(store: Store, item: Object, *, spend: bool) -> tuple[set[int], str]:
    """Reads the start times of a file: the quarter hours with requests, and "" (files have no layout).

    Raises:
        SourceError: It is empty, damaged, lacks a column, or no start time can be read.
    """
    uri = store.uri(item.key)
    path = store.fetch([item])[0]
    if is_json(item.key):
        texts = pl.Series([row and row["startTime"] for _, row in json_rows(path, uri)], dtype=pl.String)
    else:
        log = open_bill(item, uri, path, private=True)
        column = chosen(log.columns, uri, spend=spend)["startTime"]
        try:
            if log.form == "gzip":
                _check_rows(path, uri)
            texts = lazy(log).select(column).collect(engine="streaming")[column]
        except (pl.exceptions.PolarsError, OSError, EOFError, zlib.error) as error:
            msg = f"{uri} is damaged or not a complete CSV or Parquet file ({type(error).__name__}); deliver it again"
            raise SourceError(msg) from error
    if isinstance(texts.dtype, pl.Datetime):
        found = quarters_of_utc(texts)
    else:
        texts = texts.cast(pl.String)
        found = quarters_of(utc_text(texts))
        for times in seconds(texts).values():
            found |= {*(times // QUARTER_S).unique()}
    found = {q for q in found if FIRST_QUARTER <= q < LAST_QUARTER}
    given = texts.drop_nulls().cast(pl.String)
    if not found and len(given):
        quoted = repr(given[0]) if re.fullmatch(PLAIN, given[0]) else f"{len(given[0])} characters long"
        msg = (
            f"{uri}: column 'startTime': none of {len(texts)} times can be read, the first is {quoted}; "
            "write UTC (2026-09-01 12:00:00.000), ISO 8601 with a zone, or seconds or milliseconds since 1970, of 2000 to 2099"
        )
        raise SourceError(msg)
    if not found and len(texts) and is_json(item.key):
        msg = f"{uri}: none of its requests is a JSON object with a `startTime`; export LiteLLM_SpendLogs as JSON"
        raise SourceError(msg)
    return found, ""


def utc_text(texts: pl.Series) -> pl.Series:
    """Timestamps in text; those without a zone get UTC's."""
    clean = texts.str.strip_chars()
    naive = clean.str.contains(f"^{NAIVE}$")
    return pl.select(pl.when(naive).then(clean + "Z").otherwise(clean)).to_series()


def utc_sql(text: str) -> str:
    """SQL: the UTC timestamp of a text, without a zone taken as UTC; NULL where it is none or not of 2000-2099.

    A number is a time since 1970, in the unit that `connectors/epochs.py` tells from its size.
    """
    clean = f"UPPER(REPLACE(TRIM({text}), ',', '.'))"
    zoned = f"CASE WHEN regexp_full_match({clean}, '{NAIVE}') THEN {clean} || 'Z' ELSE {clean} END"
    moment = f"CAST(TRY_CAST({zoned} AS TIMESTAMPTZ) AS TIMESTAMP)"
    readable = f"(regexp_full_match({clean}, '{NAIVE}') OR regexp_full_match({clean}, '{TIMESTAMP}'))"
    iso = f"CASE WHEN {readable} AND {moment} >= TIMESTAMP '2000-01-01' AND {moment} < TIMESTAMP '2100-01-01' THEN {moment} END"
    return f"COALESCE({iso}, {sql_epoch_text(text)})"


def rows_sql(item: Object, path: Path, store: Store, work: Path, engine: Engine, *, spend: bool) -> str:
    """SQL: the rows of a file as text.

    Args:
        item: The file.
        path: Where it can be read.
        store: Names it to a person.
        work: Folder for the columns of JSON lines.
        engine: Tells the types of Parquet columns.
        spend: The column `spend` must be there.

    Returns:
        file (key), row (from 1), broken (no JSON object), and `COLUMNS` (text, NULL where absent or one of `NULLS`).

    Raises:
        SourceError: The file is damaged or lacks a column.
    """
    uri = store.uri(item.key)
    if is_json(item.key):
        tables = _stage_json(path, uri, work)
        found = dict(zip(COLUMNS, COLUMNS, strict=True))
        source, number, broken = f"read_parquet({literals(tables)})", '"row"', '"broken"'
    else:
        log = open_bill(item, uri, path, private=True)
        verify([log])
        found = chosen(log.columns, uri, spend=spend)
        source, number, broken = _table(log), "row_number() OVER ()", "FALSE"
        if log.form != "parquet":
            found = {c: f"c{log.columns.index(name)}" for c, name in found.items()}
    types = engine.columns(f"SELECT * FROM {source}")
    nulls = ", ".join(map(literal, NULLS))
    texts = {
        c: f"TRIM({_as_text(found[c], types[found[c]])})" if c in found else "CAST(NULL AS VARCHAR)"
        for c in COLUMNS
    }
    values = (
        f"CASE WHEN {text} NOT IN ({nulls}) THEN {text} END AS {identifier(c)}" for c, text in texts.items()
    )
    return (
        f"SELECT {literal(item.key)} AS file, {number} AS row, {broken} AS broken, "
        f"{', '.join(values)} FROM {source}"
    )


def _as_text(name: str, type_: str) -> str:
    value = (
        f"to_json({identifier(name)})"
        if type_.endswith("[]") or type_.startswith(NESTED)
        else identifier(name)
    )
    return f"CAST({value} AS VARCHAR)"


def _stage_json(path: Path, uri: str, work: Path) -> list[Path]:
    schema = {"row": pl.Int64, "broken": pl.Boolean, **dict.fromkeys(COLUMNS, pl.String)}
    rows, targets = json_rows(path, uri), []
    while chunk := list(islice(rows, CHUNK)):
        frame = pl.DataFrame([{"row": n, "broken": r is None, **(r or {})} for n, r in chunk], schema=schema)
        targets.append(work / f"lines-{len(list(work.glob('lines-*')))}.parquet")
        frame.write_parquet(targets[-1], compression="lz4")
    return targets


def _table(log: BillFile) -> str:
    if log.form == "parquet":
        return f"read_parquet({literal(log.path)}, hive_partitioning=false, binary_as_string=true)"
    columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(log.columns)))
    compression = literal("gzip" if log.form == "gzip" else "none")
    return (
        f"read_csv({literal(log.path)}, auto_detect=false, header=true, delim={literal(log.separator)}, quote='\"', escape='\"', nullstr='', "
        f"columns={{{columns}}}, compression={compression}, hive_partitioning=false, strict_mode=true, max_line_size={MAX_LINE})"
    )


def shown_sql(text: str) -> str:
    """SQL: a value to quote in a finding. Where columns have slipped it may be a prompt: long or worded text is not quoted."""
    return (
        f"CASE WHEN regexp_full_match({text}, '{PLAIN}') THEN {text} "
        f"WHEN {text} IS NOT NULL THEN '(' || length({text}) || ' characters, not shown)' END"
    )


def explain(error: Exception) -> str:
    """What a parser said without the text that it quotes, which may be a prompt."""
    line = re.search(r"\b(?:on )?[Ll]ine:? (\d+)", str(error))
    return type(error).__name__ + (f" at line {line[1]}" if line else "")
