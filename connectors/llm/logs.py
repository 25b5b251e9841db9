"""Spend logs of LiteLLM in files: the way from CSV, JSON and Parquet to text rows.

Columns that may hold prompts, answers, keys or persons (messages, response, proxy_server_request, metadata, api_key,
user, end_user) are never selected: of Parquet they are not read at all, of CSV and JSON they are passed over (`log_rows.py`).
Errors of parsers, which quote lines, are reduced to a line number. What the rows mean belongs to `requests.py`.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

import polars as pl

from connectors.base import Engine, Object, SourceError
from connectors.bills.files import BillFile, lazy, open_bill, verify
from connectors.bills.shapes import NESTED
from connectors.epochs import END, FIRST, seconds, sql_epoch_text, sql_plausible
from connectors.llm.log_rows import (
    COLUMNS,
    JSON,
    JSON_LINES,
    MAX_LINE,
    Rows,
    chosen,
    csv_rows,
    is_garbled,
    is_json,
    json_rows,
    page_of,
)
from connectors.objects import Store
from connectors.sql import identifier, literal, literals
from connectors.telemetry import QUARTER_S, TIMESTAMP
from connectors.telemetry_index import Indexed, quarters_of, quarters_of_utc

TABULAR = (".csv", ".csv.gz", ".parquet")
SUFFIXES = TABULAR + JSON_LINES + JSON

NULLS = ("", "\\N", "NULL", "null", "None")
"""What stands for no value: COPY of the database, SQL clients, JSON and Python write it so."""

CHUNK = 20_000
"""Rows staged at once; bounds the memory they take."""

MOST_SHORT_LINES = 4_000_000
"""Lines of a packed CSV of which more must hold, on average, half of what separates the columns of a request."""

PLAIN = r"[A-Za-z0-9_.:+-]{1,64}( [0-9:.+-]{1,20})?"
"""Ids, numbers and timestamps: what may be quoted in findings."""

NAIVE = r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?"
"""A timestamp without a zone: LiteLLM's database holds UTC."""


def scan(store: Store, item: Object, *, spend: bool) -> tuple[set[int], str]:
    """Reads the start times of a file: the quarter hours with requests, and as layout, of a page, its number and that of all pages.

    Raises:
        SourceError: It is empty, damaged, lacks a column, or no start time can be read.
    """
    uri = store.uri(item.key)
    path = store.fetch([item])[0]
    log = _opened(item, path, uri, spend=spend)
    if not isinstance(log, BillFile):
        texts = pl.Series([row and row["startTime"] for _, row in log], dtype=pl.String)
    else:
        column = chosen(log.columns, uri, spend=spend)["startTime"]
        try:
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
    found = {q for q in found if FIRST <= q * QUARTER_S < END}
    given = texts.drop_nulls().cast(pl.String).str.strip_chars()
    given = given.filter(given != "")
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
    page = page_of(path) if uri.lower().endswith(JSON) else None
    return found, json.dumps(page) if page else ""


def lacking(files: Sequence[Indexed]) -> dict[str, str]:
    """Pages next to which another one is missing: of their number there are more than of that one, as of two exports.

    A page that was saved twice, byte by byte, is one.

    Returns:
        Key -> `1 of 3`.
    """
    pages = {f.object.key: tuple(json.loads(f.layout)) for f in files if f.layout}
    counted = Counter(
        page for page, _ in {(pages[f.object.key], f.object.version) for f in files if f.layout}
    )
    return {
        key: f"{page} of {last}"
        for key, (page, last) in pages.items()
        if any(counted[n, last] < counted[page, last] for n in (page - 1, page + 1) if 1 <= n <= last)
    }


def _opened(item: Object, path: Path, uri: str, *, spend: bool) -> BillFile | Rows:
    """A file that an engine reads, or the rows of one that none can."""
    if is_json(item.key):
        return json_rows(path, uri)
    log = open_bill(item, uri, path, private=True)
    if log.form == "gzip":
        _refuse_hollow(log)
    return csv_rows(log, spend=spend) if is_garbled(log) else log


def _refuse_hollow(log: BillFile) -> None:
    """Raises SourceError if a gzip holds millions of lines that are too short for a request: the memory they take is no file's size."""
    size = lines = 0
    with (
        suppress(OSError, EOFError, zlib.error),
        gzip.open(log.path) as file,
    ):  # damage is told by who reads it
        while part := file.read(1 << 20):
            size += len(part)
            lines += part.count(b"\n")
            if lines > MOST_SHORT_LINES and size < lines * len(log.columns) / 2:
                msg = f"{log.uri} unpacks to millions of lines that hold no request; export the log again"
                raise SourceError(msg)


def utc_text(texts: pl.Series) -> pl.Series:
    """Timestamps in text; those without a zone get UTC's."""
    clean = texts.str.strip_chars()
    naive = clean.str.contains(f"^{NAIVE}$")
    return pl.select(pl.when(naive).then(clean + "Z").otherwise(clean)).to_series()


def pointed_sql(text: str) -> str:
    """SQL: a timestamp in capitals and with a decimal point, as `utc_sql` wants it."""
    return f"UPPER(REPLACE(TRIM({text}), ',', '.'))"


def utc_sql(text: str, clean: str) -> str:
    """SQL: the UTC timestamp of a text, without a zone taken as UTC; NULL where it is none or not of 2000-2099.

    A number is a time since 1970, in the unit that `connectors/epochs.py` tells from its size.

    Args:
        text: SQL of the text.
        clean: SQL of its `pointed_sql`, best a column: it is written many times.
    """
    zoned = f"CASE WHEN regexp_full_match({clean}, '{NAIVE}') THEN {clean} || 'Z' ELSE {clean} END"
    moment = f"CAST(TRY_CAST({zoned} AS TIMESTAMPTZ) AS TIMESTAMP)"
    readable = f"(regexp_full_match({clean}, '{NAIVE}') OR regexp_full_match({clean}, '{TIMESTAMP}'))"
    iso = f"CASE WHEN {readable} AND {sql_plausible(moment)} THEN {moment} END"
    return f"COALESCE({iso}, {sql_epoch_text(text)})"


def rows_sql(item: Object, path: Path, store: Store, work: Path, engine: Engine, *, spend: bool) -> str:
    """SQL: the rows of a file as text.

    Args:
        item: The file.
        path: Where it can be read.
        store: Names it to a person.
        work: Folder for the columns of what is read row by row.
        engine: Tells the types of Parquet columns.
        spend: The column `spend` must be there.

    Returns:
        file (key), row (from 1), broken (the rule that a row breaks of which nothing can be read), and `COLUMNS` (text without outer
        blanks, NULL where absent; what stands for no value as it is: `clean_sql`).

    Raises:
        SourceError: The file is damaged or lacks a column.
    """
    uri = store.uri(item.key)
    log = _opened(item, path, uri, spend=spend)
    if not isinstance(log, BillFile):
        tables = _staged(log, "malformed_json" if is_json(item.key) else "not_utf_8", work)
        found = dict(zip(COLUMNS, COLUMNS, strict=True))
        source, number, broken = f"read_parquet({literals(tables)})", '"row"', '"broken"'
        types = dict.fromkeys(COLUMNS, "VARCHAR")
    else:
        verify([log], MAX_LINE)
        found = chosen(log.columns, uri, spend=spend)
        source, number, broken = _table(log), "row_number() OVER ()", "CAST(NULL AS VARCHAR)"
        if log.form != "parquet":
            found = {c: f"c{log.columns.index(name)}" for c, name in found.items()}
            types = dict.fromkeys(found.values(), "VARCHAR")
            source, number = _with_values(source, number, len(log.columns)), '"row"'
        else:
            types = engine.columns(f"SELECT * FROM {source}")
    texts = {
        c: f"TRIM({_as_text(found[c], types[found[c]])})" if c in found else "CAST(NULL AS VARCHAR)"
        for c in COLUMNS
    }
    values = (f"{text} AS {identifier(c)}" for c, text in texts.items())
    return (
        f"SELECT {literal(item.key)} AS file, {number} AS row, {broken} AS broken, "
        f"{', '.join(values)} FROM {source}"
    )


def _with_values(source: str, number: str, columns: int) -> str:
    """SQL: the lines of a CSV that have a value; spreadsheets write empty ones. Few need a look at more than their first column."""
    some = " OR ".join(f"TRIM(c{i}) <> ''" for i in range(columns))
    return f'(SELECT {number} AS "row", * FROM {source}) WHERE {some}'


def clean_sql(rows: str) -> str:
    """SQL: the rows of `rows_sql`, NULL where a text stands for no value.

    CASE, not IN: DuckDB makes a join of each IN of five values, and plans these for longer than all else.
    """
    nulls = " ".join(f"WHEN {literal(text)} THEN NULL" for text in NULLS)
    values = (f"CASE {c} {nulls} ELSE {c} END AS {c}" for c in map(identifier, COLUMNS))
    return f"(SELECT * REPLACE ({', '.join(values)}) FROM {rows})"


def _as_text(name: str, type_: str) -> str:
    if type_ == "VARCHAR":
        return identifier(name)
    nested = type_.endswith("[]") or type_.startswith(NESTED)
    return f"CAST({f'to_json({identifier(name)})' if nested else identifier(name)} AS VARCHAR)"


def _staged(rows: Rows, broken: str, work: Path) -> list[Path]:
    schema = {"row": pl.Int64, "broken": pl.String, **dict.fromkeys(COLUMNS, pl.String)}
    targets: list[Path] = []
    while chunk := list(islice(rows, CHUNK)):
        found = [{"row": n, "broken": None if r else broken, **(r or {})} for n, r in chunk]
        targets.append(work / f"lines-{len(list(work.glob('lines-*')))}.parquet")
        pl.DataFrame(found, schema=schema).write_parquet(targets[-1], compression="lz4")
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
