"""One bill in every form that is read: the same facts, whatever separates, packs or encodes it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.base import SourceError
from connectors.bills.texts import CHUNK
from tests.connectors.azure.rows import row as azure_row
from tests.connectors.bills.forms import ROWS, TITLE, archive, json_rows, separated, utf_16
from tests.connectors.bills.helpers import CUR_ROW, WINDOW, csv_bytes, facts, focus, load, reader
from tests.connectors.oci.rows import row as oci_row

pytestmark = pytest.mark.long

SEPTEMBER, OCTOBER = date(2026, 9, 1), date(2026, 10, 1)

Write = Callable[[list[dict[str, str]]], bytes]


def lines(rows: list[dict[str, str]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in json_rows(rows)).encode()


def array(rows: list[dict[str, str]]) -> bytes:
    return json.dumps(json_rows(rows)).encode()


def parts(rows: list[dict[str, str]]) -> list[tuple[str, bytes]]:
    return [("b/part_0.csv", separated(";", rows[:1])), ("b/part_1.csv", separated(";", rows[1:]).rstrip())]


FORMS: dict[str, tuple[str, Write]] = {
    "semicolons": ("a.csv", lambda r: separated(";", r)),
    "tabs": ("a.tsv", lambda r: separated("\t", r)),
    "tabs, packed": ("a.tsv.gz", lambda r: gzip.compress(separated("\t", r))),
    "bars": ("a.csv", lambda r: separated("|", r)),
    "blanks in the header": ("a.csv", lambda r: separated(",", r, blanks=" ")),
    "blanks and semicolons": ("a.csv", lambda r: b"\xef\xbb\xbf" + separated(";", r, blanks=" ")),
    "a second byte order mark": ("a.csv", lambda r: b"\xef\xbb\xbf" * 2 + csv_bytes([{"BilledCost": "", **row} for row in r])),
    "utf-16": ("a.csv", lambda r: utf_16(csv_bytes(r))),
    "utf-16, big end first": ("a.csv", lambda r: b"\xfe\xff" + utf_16(separated("\t", r), "utf-16-be")),
    "utf-16, packed": ("a.csv.gz", lambda r: gzip.compress(utf_16(separated("\t", r)))),
    "JSON lines": ("a.jsonl", lines),
    "JSON lines, packed": ("a.json.gz", lambda r: gzip.compress(lines(r))),
    "JSON lines with a byte order mark": ("a.json", lambda r: b"\xef\xbb\xbf" + lines(r)),
    "JSON array": ("a.json", array),
    "JSON array of several lines": ("a.json", lambda r: b"\xef\xbb\xbf\n" + json.dumps(json_rows(r), indent=2, ensure_ascii=False).encode()),
    "JSON array in utf-16, packed": ("a.json.gz", lambda r: gzip.compress(utf_16(array(r)))),
    "JSON objects of several lines": ("a.json", lambda r: b"\n".join(json.dumps(row, indent=1).encode() for row in json_rows(r))),
    "archive": ("a.zip", lambda r: archive(("a.csv", csv_bytes(r)))),
    "archive under another name": ("a.csv", lambda r: archive(("a.csv", csv_bytes(r)))),
    "archive of parts": ("a.zip", lambda r: archive(*parts(r), ("b/readme.txt", b"x"), ("__MACOSX/b/part_0.csv", b"x"), (".x.csv", b"x"))),
    "archive of parts in utf-16": ("a.zip", lambda r: archive(*((n, utf_16(c)) for n, c in parts(r)))),
    "archive of a packed file": ("a.zip", lambda r: archive(("a.csv.gz", gzip.compress(csv_bytes(r))))),
    "JSON object around the list": ("a.json", lambda r: b'{"data": ' + array(r) + b"}"),
    "JSON object around objects around the list": ("a.json", lambda r: json.dumps({"a": {"rows": json_rows(r)}}, indent=2).encode()),
    "JSON object in utf-16, packed": ("a.json.gz", lambda r: gzip.compress(utf_16(b'{"next": null, "rows": ' + array(r) + b"}"))),
    "archive of an array": ("a.zip", lambda r: archive(("a.json", array(r)))),
}  # fmt: skip


def test_the_form_makes_no_difference(tmp_path: Path) -> None:
    """Each form is a file of its own of one bill, with an account of its own."""
    for number, (name, written) in enumerate(FORMS.values()):
        place = tmp_path / "bills" / f"{number:02}"
        place.mkdir(parents=True)
        (place / name).write_bytes(written([row | {"SubAccountId": f"{number:02}"} for row in ROWS]))
    loaded = load("focus", tmp_path / "bills", tmp_path)
    assert sorted(loaded) == [SEPTEMBER, OCTOBER]
    found = {
        month: facts(one).sort("SubAccountId", "BilledCost", descending=[False, True])
        for month, one in loaded.items()
    }
    for number, form in enumerate(FORMS):
        september, october = (found[m].filter(SubAccountId=f"{number:02}") for m in (SEPTEMBER, OCTOBER))
        assert september["BilledCost"].to_list() == [Decimal("0.100000000004"), Decimal("-2.5")], form
        assert october["BilledCost"].to_list() == [7], form
        assert {*found[SEPTEMBER]["BillingCurrency"], *found[OCTOBER]["BillingCurrency"]} == {"USD"}
        assert september["ChargeDescription"].to_list() == ['a;b,c\t"d"|é\u2028€', "GPU hours"], form
        assert [json.loads(t) for t in september["Tags"]] == [{"team": "vision"}, {"team": "a;b,c"}], form
        assert september["ListCost"].to_list() == [2, 2], form
    n = len(FORMS)
    assert {month: one.totals for month, one in loaded.items()} == {
        SEPTEMBER: {"USD": n * Decimal("-2.399999999996")},
        OCTOBER: {"USD": n * Decimal(7)},
    }
    assert (loaded[SEPTEMBER].rows_loaded, loaded[OCTOBER].rows_loaded) == (2 * n, n)
    assert [*loaded[SEPTEMBER].issues.iter_rows()] == []


def test_an_array_longer_than_is_read_at_once_keeps_every_row(tmp_path: Path) -> None:
    """Objects lie across the ends of what is read; 0.25 x 4,000 = 1,000."""
    rows = [focus(BilledCost="0.25", ChargeDescription="x" * (n % 1000)) for n in range(4000)]
    content = json.dumps(rows)
    assert len(content) > 3 * CHUNK
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "a.json").write_text(content)
    (loaded,) = load("focus", tmp_path / "bills", tmp_path).values()
    assert (loaded.rows_read, loaded.totals) == (4000, {"USD": Decimal(1000)})


# numbers of JSON that a double does not hold to the twelfth decimal, and what is none
LONG = ["12345678901234567890.12", "123456.123456789012", "-4096.000000000001", "1234567890123456.5E-3"]
SHORT = ["0.1234567890125", "0.1234567890123456789", "4095.999999999999", "1e3"]


@pytest.mark.parametrize("form", ["lines", "array", "utf-16", "in an object"])
def test_numbers_of_json_are_the_decimals_that_they_are_written_as(form: str, tmp_path: Path) -> None:
    """1234567890123456.5E-3 is 1234567890123.4565; of 0.1234567890125 the thirteenth decimal rounds away from zero."""
    text = json.dumps(focus(Tags='{"t": ": 12345678901234567890.12"}'))
    rows = [text.replace('"BilledCost": "1.5"', f'"BilledCost": {n}') for n in [*LONG, *SHORT]]
    whole = "\n".join(rows) if form == "lines" else f"[{', '.join(rows)}]"
    whole = f'{{"data": {whole}}}' if form == "in an object" else whole
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "a.json").write_bytes(whole.encode("utf-16" if form == "utf-16" else "utf-8"))
    (loaded,) = load("focus", tmp_path / "bills", tmp_path).values()
    wanted = [*LONG, "0.123456789013", "0.123456789012", *SHORT[2:]]
    assert facts(loaded)["BilledCost"].to_list() == [Decimal(n) for n in wanted]
    assert {*facts(loaded)["Tags"]} == {'{"t": ": 12345678901234567890.12"}'}
    assert loaded.issues.is_empty()


def test_what_stands_beside_the_list_of_an_answer_is_told(tmp_path: Path) -> None:
    """A total there is no total of the rows: whether other pages belong to it is not known."""
    answer = {
        "count": 3,
        "total": 99.5,
        "page": {"next": "p2"},
        "currencies": ["USD"],
        "data": json_rows(),
        "meta": [],
    }
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "a.json").write_text(json.dumps(answer))
    loaded = load("focus", tmp_path / "bills", tmp_path)
    assert loaded[SEPTEMBER].totals == {"USD": Decimal("-2.399999999996")}
    assert loaded[SEPTEMBER].issues.select("action", "rule", "rows", "value").rows() == [
        ("flagged", "footer", 3, "count: 3; total: 99.5; currencies: 1 elements"),
        ("flagged", "page_missing", 1, "page.next: (another page follows)"),
    ]
    assert loaded[OCTOBER].issues.is_empty()


def test_no_token_beside_the_list_of_an_answer_is_kept(tmp_path: Path) -> None:
    """Neither a link with a signature nor a short secret is in what was found, nor in the cache; what is empty tells of no page."""
    beside = {
        "nextLink": "https://store/bill?sig=SECRET%2Babc",
        "meta": {"api_key": "SECRET", "note": "SECRET " * 10, "currency": "USD"},
        "hasMore": False,
        "has_next": "false",
        "next_page_token": "",
        "next_billing_day": "2026-10-01",
    }
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "a.json").write_text(json.dumps(beside | {"data": json_rows()}))
    issues = load("focus", tmp_path / "bills", tmp_path)[SEPTEMBER].issues
    assert [(r, v) for r, v in issues.select("rule", "value").rows() if r == "page_missing"] == [
        ("page_missing", "nextLink: (another page follows)")
    ]
    assert 'meta.currency: "USD"' in issues["value"][0]
    assert "meta.api_key: (6 characters); meta.note: (70 characters)" in issues["value"][0]
    kept = [p.read_text(errors="replace") for p in (tmp_path / "cache").rglob("*") if p.is_file()]
    assert "SECRET" not in "".join([json.dumps(issues.to_dicts(), default=str), *kept])


def test_of_two_lists_of_records_none_is_chosen(tmp_path: Path) -> None:
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "a.json").write_text(
        json.dumps({"data": json_rows(), "late": {"rows": json_rows()}})
    )
    with pytest.raises(SourceError, match=r"a\.json holds several lists of records \(data, late\.rows\)"):
        load("focus", tmp_path / "bills", tmp_path)


@pytest.mark.parametrize("form", ["{}\n", "[{}]", '{{"data": [{}]}}'])
def test_what_is_nested_too_deeply_is_refused(form: str, tmp_path: Path) -> None:
    deep = '{"a":' * 100_000 + "1" + "}" * 100_000
    row = json.dumps(focus(Tags="HERE")).replace('"HERE"', deep)
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "a.json").write_text(form.format(row))
    with pytest.raises(SourceError, match=r"a\.json .*nested too deeply"):
        load("focus", tmp_path / "bills", tmp_path)


def test_a_cut_answer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "a.json").write_text(json.dumps({"data": json_rows()}, indent=1)[:-4])
    with pytest.raises(SourceError, match=r"a\.json is not JSON lines, nor a complete array"):
        load("focus", tmp_path / "bills", tmp_path)


def test_a_column_that_only_the_last_line_has_is_read(tmp_path: Path) -> None:
    rows = [focus(BilledCost="1") for _ in range(1500)] + [focus(BilledCost="1", ResourceId="r-9")]
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (loaded,) = load("focus", tmp_path / "bills", tmp_path).values()
    assert facts(loaded)["ResourceId"].drop_nulls().to_list() == ["r-9"]


def test_json_that_is_no_bill_is_left_out_and_named(tmp_path: Path) -> None:
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "a.csv").write_bytes(csv_bytes([focus()]))
    (tmp_path / "bills" / "schema.json").write_text(json.dumps({"version": "1.2", "tables": [1]}, indent=2))
    (loaded,) = load("focus", tmp_path / "bills", tmp_path).values()
    assert loaded.totals == {"USD": Decimal("1.5")}
    assert "no cost rows, not read: schema.json (no column of FOCUS)" in loaded.note


def test_a_copy_is_made_once_and_goes_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "bills").mkdir()
    path = tmp_path / "bills" / "a.zip"
    path.write_bytes(archive(("a.csv", csv_bytes([focus()]))))
    source = reader("focus", tmp_path / "bills", tmp_path)
    source.slices(WINDOW)
    (first,) = (tmp_path / "cache" / "unpacked-bills").iterdir()
    stamp = first.stat().st_mtime_ns
    load("focus", tmp_path / "bills", tmp_path)
    assert first.stat().st_mtime_ns == stamp
    path.write_bytes(archive(("a.csv", csv_bytes([focus(BilledCost="3")]))))
    (loaded,) = load("focus", tmp_path / "bills", tmp_path).values()
    assert loaded.totals == {"USD": Decimal(3)}
    assert not first.exists()
    assert len([*(tmp_path / "cache" / "unpacked-bills").iterdir()]) == 1


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "one file twice": (
        lambda: archive(("a.csv", csv_bytes([focus()])), ("b.csv", csv_bytes([focus()]))),
        r"'a\.csv' and 'b\.csv' in it have the same content",
    ),
    "several that are not CSV": (
        lambda: archive(("a.csv", csv_bytes([focus()])), ("b.jsonl", lines(ROWS))),
        r"holds 2 files that are not all CSV",
    ),
    "a password": (
        lambda: archive(("a.csv", csv_bytes([focus()]))).replace(
            b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"
        ),
        "is protected by a password",
    ),
    "nothing but an archive": (lambda: archive(("b.zip", b"PK")), r"holds no bill file .* but b\.zip"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_archives_that_cannot_be_told_are_refused(case: str, tmp_path: Path) -> None:
    content, words = REFUSED[case]
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "a.zip").write_bytes(content())
    with pytest.raises(SourceError, match=rf"a\.zip.*{words}"):
        load("focus", tmp_path / "bills", tmp_path)
    assert not [*(tmp_path / "cache" / "unpacked-bills").glob("*")]


BEFORE: dict[str, tuple[str, bytes]] = {
    "sep": ("a.csv", b"sep=;\r\n" + separated(";")),
    "sep behind a mark, in quotes": ("a.csv", b'\xef\xbb\xbf"sep=,"\n' + separated(",")),
    "title": ("a.csv", TITLE + separated(",")),
    "title, packed": ("a.csv.gz", gzip.compress(TITLE + separated(";"))),
    "sep and title in utf-16": ("a.csv", utf_16(b"sep=\t\n" + TITLE + separated("\t"))),
    "archive": ("a.zip", archive(("a.csv", TITLE + separated("|")))),
    "archive of parts": ("a.zip", archive(*((n, b"sep=;\r\n" + TITLE + c) for n, c in parts(ROWS)))),
}


@pytest.mark.parametrize("form", BEFORE)
def test_lines_before_the_header_are_no_rows(form: str, tmp_path: Path) -> None:
    name, content = BEFORE[form]
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / name).write_bytes(content)
    loaded = load("focus", tmp_path / "bills", tmp_path)
    assert {month: (one.rows_read, one.totals) for month, one in loaded.items()} == {
        SEPTEMBER: (2, {"USD": Decimal("-2.399999999996")}),
        OCTOBER: (1, {"USD": Decimal(7)}),
    }


@pytest.mark.parametrize(
    ("kind", "native", "total"),
    [
        ("aws_cur", CUR_ROW, "10"),
        ("azure_export", azure_row(Cost="10"), "10"),
        ("oci_cost_report", oci_row(cost__myCost="10"), "10"),
    ],
)
def test_lines_before_the_header_of_other_kinds(
    kind: str, native: dict[str, str], total: str, tmp_path: Path
) -> None:
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "a.csv").write_bytes(b"sep=,\nUsage of my company\n\n" + csv_bytes([native]))
    (loaded,) = load(kind, tmp_path / "bills", tmp_path).values()
    assert [*loaded.totals.values()] == [Decimal(total)]


@pytest.mark.parametrize("before", [b"sep=;\n", b""])
def test_what_has_no_header_says_what_is_missing(before: bytes, tmp_path: Path) -> None:
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "a.csv").write_bytes(before + b"day;euros\n1;2\n")
    with pytest.raises(
        SourceError, match=r"a\.csv: mandatory column 'BillingPeriodStart' is missing; it has: day, euros"
    ):
        load("focus", tmp_path / "bills", tmp_path)


OTHERS = {"ORC\x08": "an ORC file", "Obj\x01": "an Avro file", "%PDF-1.7": "a PDF document"}


@pytest.mark.parametrize("start", OTHERS)
def test_what_is_no_bill_whatever_its_name_says_what_it_is(start: str, tmp_path: Path) -> None:
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "a.parquet").write_bytes(start.encode() + b"\0\0\n")
    with pytest.raises(SourceError, match=rf"a\.parquet is {OTHERS[start]}; deliver it as Parquet"):
        load("focus", tmp_path / "bills", tmp_path)


def test_columns_without_a_name_are_not_used(tmp_path: Path) -> None:
    """A table saved by a program that numbers its rows, and by a spreadsheet with two empty columns beside it."""
    header, row = csv_bytes([focus()]).splitlines()
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "a.csv").write_bytes(b"," + header + b",,\n0," + row + b",,\n")
    (loaded,) = load("focus", tmp_path / "bills", tmp_path).values()
    assert (loaded.rows_loaded, loaded.totals) == (1, {"USD": Decimal("1.5")})
    assert "(column 1)" in loaded.note


def test_a_damaged_archive_leaves_the_other_months(tmp_path: Path) -> None:
    (tmp_path / "bills").mkdir()
    whole = archive(("a.csv", csv_bytes([focus()])))
    (tmp_path / "bills" / "2026-09.zip").write_bytes(whole[:-30])
    (tmp_path / "bills" / "2026-10.zip").write_bytes(archive(("a.csv", csv_bytes(ROWS[2:]))))
    slices = reader("focus", tmp_path / "bills", tmp_path).slices(WINDOW)
    assert [(s.period, bool(s.not_ready)) for s in slices] == [(SEPTEMBER, True), (OCTOBER, False)]
    assert "2026-09.zip is damaged or cannot be unpacked" in slices[0].not_ready


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_a_last_row_that_the_engine_would_leave_out(name: str, tmp_path: Path) -> None:
    """Rows of 1, 2 and 4 USD without quotes; the last one, of 40 MB, was in no sum and no issue."""
    rows = [focus(BilledCost=c, Tags="") for c in "124"]
    rows[2]["ChargeDescription"] = "x" * 40_000_000
    data = csv_bytes(rows).replace(b'"', b"")
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / name).write_bytes(gzip.compress(data, 1) if name.endswith("gz") else data)
    with pytest.raises(SourceError, match=f"{name}: its last row is longer than 16000000 bytes"):
        load("focus", tmp_path / "bills", tmp_path)
