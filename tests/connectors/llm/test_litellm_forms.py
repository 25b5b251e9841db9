"""Spend logs of LiteLLM in the forms in which databases, APIs and scripts write times, lists, tags and no value."""

from __future__ import annotations

import csv
import gzip
import io
import json
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from itertools import product
from pathlib import Path

import polars as pl
import pytest

from connectors.base import Loaded
from models.records import Price
from tests.connectors.bills.helpers import WINDOW, counted, csv_bytes, facts, load, reader, write
from tests.connectors.llm.helpers import DAY, SECRET, by_day, everything, hours, one, request, write_lines
from tests.engine import Session

# 2026-09-01 is day 20697 of the epoch: 20697 x 86400 + 22 x 3600 + 59 x 60 + 59 = 1788303599
TIMES: list[tuple[float, float]] = [
    (1788303599, 1788303601),
    (1788303599.25, 1788303601.25),
    (1788303599250, 1788303601250),
    (1788303599250.0, 1788303601250.0),
    (1788303599250000, 1788303601250000),
]


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """A log of one request for each of `TIMES` and each form; the workload says which."""
    folder = tmp_path_factory.mktemp("timed")
    (folder / "logs").mkdir()
    for (n, (start, end)), form in product(enumerate(TIMES), ("csv", "jsonl", "parquet")):
        native = request(f"{form} {n}", startTime=start, endTime=end, request_duration_ms="")
        native["request_tags"] = f'["workload:{form} {n}"]'
        path = folder / "logs" / f"{n}.{form}"
        if form == "parquet":
            pl.DataFrame([native]).write_parquet(path)
        elif form == "jsonl":
            write_lines(path, [native])
        else:
            write(path, [native | {"startTime": str(start), "endTime": str(end)}])
    (loaded,) = load("litellm", folder / "logs", folder).values()
    return loaded


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("n", range(len(TIMES)), ids=map(str, TIMES))
def test_times_as_numbers_are_read_in_the_unit_that_their_size_says(timed: Loaded, form: str, n: int) -> None:
    assert timed.slice.period == DAY
    assert timed.issues.is_empty()
    (row,) = hours(timed).filter(workload=f"{form} {n}").to_dicts()
    assert row["hour"] == datetime.fromisoformat("2026-09-01 22:00")
    buckets = json.loads(row["latency_buckets"])
    assert [buckets[b] for b in ("1.5", "2")] == [0, 1]


def test_numbers_that_are_no_time_of_these_years_stay_rejected(tmp_path: Path) -> None:
    # 20260901100000 is a date without separators, 1788303599 / 10 a time of 1975, 46266 a day of a spreadsheet
    starts = ["1788303599", "20260901100000", "178830359", "46266.4", "1.788303599e9", "-1788303599"]
    got = one(tmp_path, *(request(n, startTime=start) for n, start in enumerate(starts)))
    assert counted(got) == {("rejected", "bad_date", "startTime"): 5}
    assert hours(got)["inferences"].sum() == 1


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("wrap", ["list", "page", "rows", "beside nothing", "lines"])
def test_json_may_be_a_list_a_page_or_lines(tmp_path: Path, wrap: str, gz: bool) -> None:
    rows = [
        request(1, metadata={"a": [1], "startTime": SECRET}, request_tags=["workload:tagger"]),
        request(2),
    ]
    text = {
        "list": json.dumps(rows, indent=1),
        "page": json.dumps({"data": rows, "total": 2, "page": 1}),
        "rows": json.dumps({"keys": [{"id": 1}], "rows": rows}),
        "beside nothing": json.dumps({"data": [], "rows": rows}),
        "lines": "\n".join(map(json.dumps, rows)),
    }[wrap]
    data = text.replace(f"{SECRET} body", "\udcff\udcfe").encode("utf-8", "surrogateescape")  # no UTF-8
    path = tmp_path / "logs" / ("a.json.gz" if gz else "a.json")
    path.parent.mkdir()
    path.write_bytes(gzip.compress(data) if gz else data)
    (path.parent / "b.json").write_text("[]")
    loaded = load("litellm", tmp_path / "logs", tmp_path, bill=True)
    assert facts(loaded[DAY])["BilledCost"].to_list() == [Decimal("0.001")]
    assert hours(loaded[DAY])["tokens_in"].to_list() == [200]
    assert loaded[DAY].issues.is_empty()
    assert SECRET not in everything(loaded)


def test_a_page_whose_next_one_is_not_there_is_flagged_until_it_comes(tmp_path: Path) -> None:
    """Three pages of a request of 0.0005 each: without the second 0.001 is there, and nothing else says so."""

    def save(name: str, page: int, of: int) -> None:
        data = [request(f"{name}-{page}")]
        content = {"data": data, "total": of, "page": page, "page_size": 1, "total_pages": of}
        path = tmp_path / "logs" / f"{name}{page}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))

    def got() -> tuple[Decimal, list[tuple[str, str, str]]]:
        (loaded,) = load("litellm", tmp_path / "logs", tmp_path, bill=True).values()
        return loaded.totals["USD"], loaded.issues.select("action", "rule", "value").rows()

    def print_() -> str:
        return reader("litellm", tmp_path / "logs", tmp_path, bill=True).slices(WINDOW)[0].fingerprint

    save("a", 1, 3)
    assert got() == (Decimal("0.0005"), [("flagged", "page_missing", "1 of 3")])
    save("a", 3, 3)
    assert got() == (Decimal("0.0010"), [("flagged", "page_missing", f"{n} of 3") for n in (1, 3)])
    save("a", 2, 3)
    assert got() == (Decimal("0.0015"), [])
    save("bb", 1, 3)  # of another export: the second page that is there is that of the first one
    assert [issue[1] for issue in got()[1]] == ["page_missing", "page_missing"]
    before = print_()
    save("bb", 2, 3)
    save("bb", 3, 3)
    assert got() == (Decimal("0.003"), [])
    assert print_() != before


def test_a_page_whose_previous_one_is_not_there_is_flagged_and_one_saved_twice_is_one(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()

    def got(name: str, page: int) -> list[str | None]:
        content = {"data": [request(page)], "page": page, "total_pages": 2}
        (folder / name).write_text(json.dumps(content))
        (loaded,) = load("litellm", folder, tmp_path, bill=True).values()
        return loaded.issues.filter(rule="page_missing")["value"].to_list()

    assert got("2.json", 2) == ["2 of 2"]
    assert got("1.json", 1) == []
    assert got("1 (1).json", 1) == []


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.jsonl", "a.json.gz"])
@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_read(tmp_path: Path, name: str, order: str) -> None:
    rows = [request(1, team_alias="Größe Ω"), request(2, team_alias="Größe Ω")]
    text = (
        csv_bytes(rows).decode()
        if ".csv" in name
        else "\n".join(json.dumps(r, ensure_ascii=False) for r in rows)
        if ".jsonl" in name
        else json.dumps(rows)
    )
    data = f"\ufeff{text}".encode(order)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    loaded = load("litellm", tmp_path / "logs", tmp_path, bill=True)
    assert facts(loaded[DAY])["BilledCost"].to_list() == [Decimal("0.001")]
    assert hours(loaded[DAY]).select("tokens_in", "team").rows() == [(200, "Größe Ω")]
    assert loaded[DAY].issues.is_empty()
    assert SECRET not in everything(loaded)


WRITTEN_TAGS = {
    "workload:tagger": "tagger",
    "other, workload:tagger": "tagger",
    "['other', 'workload:tagger']": "tagger",
    '{other,"workload:big tagger"}': "big tagger",
    '{"workload":"tagger"}': "chat",
    "prod": "chat",
    "{}": "chat",
    "null": "chat",
}


def test_tags_as_text_and_as_lists_of_databases(tmp_path: Path) -> None:
    days = by_day(tmp_path, *([request(n, request_tags=text)] for n, text in enumerate(WRITTEN_TAGS)))
    for got, (text, workload) in zip(days, WRITTEN_TAGS.items(), strict=True):
        assert hours(got)["workload"].to_list() == [workload], text
        repaired = {("repaired", "malformed_tags", "request_tags"): 1}
        assert counted(got) == (repaired if text.startswith('{"workload"') else {}), text


def test_words_for_no_value_are_no_owners(tmp_path: Path) -> None:
    columns = ("team_alias", "organization_id", "request_tags", "status", "model_group", "cache_hit")
    words = ("None", "null", "NULL", "\\N")
    of_words = [
        [
            request(f"{word} 1", **dict.fromkeys(columns, word)),
            request(f"{word} 2", **dict.fromkeys((*columns, "team_id", "spend"), word)),
        ]
        for word in words
    ]
    for got, word in zip(by_day(tmp_path, *of_words, bill=True), words, strict=True):
        rows = hours(got).sort("team", nulls_last=True)
        assert rows.select("workload", "team").rows() == [("gpt-4o", "t-1"), ("gpt-4o", None)], word
        assert facts(got).select("BilledCost", "BillingAccountId").rows() == [(Decimal("0.0005"), "bills")]
        assert counted(got) == {("rejected", "missing_value", "spend"): 1}, word


def test_a_price_that_the_unknown_number_of_cached_tokens_leaves_open_says_so(tmp_path: Path) -> None:
    blank = {"spend": "0", "cache_read_input_tokens": ""}
    rows = [request(1, **blank), request(2, **blank | {"cache_read_input_tokens": "40"})]
    write(tmp_path / "logs" / "a.csv", rows)
    source = reader("litellm", tmp_path / "logs", tmp_path, bill=True)
    given = {"provider": "openai", "model": "gpt-4o", "currency": "USD", "valid_from": DAY}
    per_1m = {"input": "2.5", "cached": "1.25", "output": "10"}
    prices = [Price.model_validate(given | {"kind": k, "price_per_1m": p}) for k, p in per_1m.items()]
    source.context = replace(source.context, prices=tuple(prices))  # type: ignore[attr-defined]
    with Session() as engine:
        (got,) = source.load(source.slices(WINDOW), tmp_path / "work", engine)
    # request 2: 60 x 2.5 + 40 x 1.25 + 20 x 10 = 400 per million; request 1: from 325 to 450, so not known
    assert facts(got)["BilledCost"].to_list() == [Decimal("0.0004")]
    assert counted(got) == {
        ("repaired", "priced_from_list", "spend"): 1,
        ("flagged", "cached_tokens_unknown", "spend"): 1,
    }


@pytest.mark.parametrize("last", ["(2 rows)", "(2 rows)\n\n", "2 rows in set", "(2 rows)" + "," * 25])
@pytest.mark.parametrize("first", ["", "sep=;\r\n", "\ufeffsep=;\n"])
def test_what_databases_and_spreadsheets_write_around_the_requests(
    tmp_path: Path, first: str, last: str
) -> None:
    """Two requests of 0.0005 USD; the count is no request, and what is not read stays out of the findings."""
    sign = ";" if first else ","
    rows = [request(1), request(2)]
    text = csv_bytes(rows).decode()
    if first:
        text = (
            "\n".join(
                sign.join(f'"{v.replace(chr(34), chr(34) * 2)}"' for v in of)
                for of in [[*rows[0]], *(r.values() for r in rows)]
            )
            + "\n"
        )
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.csv").write_text(first + text + last.replace(",", sign), newline="")
    loaded = load("litellm", tmp_path / "logs", tmp_path)
    got = loaded[DAY]
    assert hours(got)["inferences"].sum() == 2
    assert [(i["action"], i["rule"], i["rows"]) for r in loaded.values() for i in r.issues.to_dicts()] == [
        ("flagged", "footer", 1)
    ]
    assert SECRET not in everything(loaded)


FORMS_OF_BYTES = {"utf-8": "utf-8", "bytes that are no UTF-8": "latin-1", "utf-16": "utf-16"}


@pytest.mark.parametrize("code", FORMS_OF_BYTES.values(), ids=FORMS_OF_BYTES)
def test_lines_of_a_csv_without_a_value_are_left_out(tmp_path: Path, code: str) -> None:
    """Two requests of 0.0005; a line that has nothing but a prompt is a request without its time."""
    header, *rows = csv.reader(io.StringIO(csv_bytes([request(1), request(2)]).decode()))
    prompt = ["é" if name == "messages" else "" for name in header]
    text = io.StringIO()
    empty = [[""] * len(header), [" "] * len(header)]
    csv.writer(text).writerows([header, *empty, rows[0], empty[0], prompt, rows[1], *empty])
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.csv").write_bytes(text.getvalue().encode(code))
    (tmp_path / "logs" / "b.csv").write_bytes(f"{','.join(header)}\n{', ' * (len(header) - 1)}\n".encode())
    (loaded,) = load("litellm", tmp_path / "logs", tmp_path, bill=True).values()
    assert (loaded.totals["USD"], loaded.rows_read) == (Decimal("0.001"), 3)
    assert counted(loaded) == {("rejected", "missing_value", "startTime"): 1}
    assert loaded.issues["location"][0].endswith("a.csv, row 5")
