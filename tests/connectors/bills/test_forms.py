"""One bill in every form that is read: the same facts, whatever separates, packs or encodes it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.base import SourceError
from connectors.bills.texts import CHUNK
from tests.connectors.azure.rows import row as azure_row
from tests.connectors.bills.helpers import CUR_ROW, WINDOW, counted, csv_bytes, facts, focus, load, reader
from tests.connectors.oci.rows import row as oci_row

SEPTEMBER, OCTOBER = date(2026, 9, 1), date(2026, 10, 1)
NEXT = {
    "BillingPeriodStart": "2026-10-01T00:00:00Z",
    "BillingPeriodEnd": "2026-11-01T00:00:00Z",
    "ChargePeriodStart": "2026-10-01T00:00:00Z",
    "ChargePeriodEnd": "2026-10-02T00:00:00Z",
}
ROWS = [
    focus(BilledCost="0.100000000004", ChargeDescription='a;b,c\t"d"|é\u2028€'),
    focus(BilledCost="-2.5", Tags='{"team": "a;b,c"}'),
    focus(BilledCost="7", **NEXT),
]
"""0.100000000004 - 2.5 = -2.399999999996 in September, 7 in October."""


def separated(sign: str, rows: Sequence[dict[str, str]] = ROWS, blanks: str = "") -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=sign, lineterminator="\r\n")
    writer.writerow([f"{blanks}{name}{blanks}" for name in rows[0]])
    writer.writerows(row.values() for row in rows)
    return out.getvalue().encode()


def archive(*files: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files:
            packed.writestr(name, content)
    return out.getvalue()


def json_rows() -> list[dict[str, object]]:
    """As a program writes them: numbers as numbers, no key for null, tags as an object."""
    rows: list[dict[str, object]] = []
    for native in ROWS:
        row: dict[str, object] = {k: v for k, v in native.items() if v}
        rows.append(row | {"Tags": json.loads(native["Tags"]), "ListCost": 2})
    return rows


def utf_16(content: bytes, code: str = "utf-16") -> bytes:
    return content.decode().encode(code)


LINES = "".join(json.dumps(row) + "\n" for row in json_rows()).encode()
PARTS = [("b/part_0.csv", separated(";", ROWS[:1])), ("b/part_1.csv", separated(";", ROWS[1:]).rstrip())]

FORMS: dict[str, tuple[str, bytes]] = {
    "semicolons": ("a.csv", separated(";")),
    "tabs": ("a.tsv", separated("\t")),
    "tabs, packed": ("a.tsv.gz", gzip.compress(separated("\t"))),
    "bars": ("a.csv", separated("|")),
    "blanks in the header": ("a.csv", separated(",", blanks=" ")),
    "blanks and semicolons": ("a.csv", b"\xef\xbb\xbf" + separated(";", blanks=" ")),
    "utf-16": ("a.csv", utf_16(csv_bytes(ROWS))),
    "utf-16, big end first": ("a.csv", b"\xfe\xff" + utf_16(separated("\t"), "utf-16-be")),
    "utf-16, packed": ("a.csv.gz", gzip.compress(utf_16(separated("\t")))),
    "JSON lines": ("a.jsonl", LINES),
    "JSON lines, packed": ("a.json.gz", gzip.compress(LINES)),
    "JSON array": ("a.json", json.dumps(json_rows()).encode()),
    "JSON array of several lines": ("a.json", b"\xef\xbb\xbf\n" + json.dumps(json_rows(), indent=2, ensure_ascii=False).encode()),
    "JSON array in utf-16, packed": ("a.json.gz", gzip.compress(utf_16(json.dumps(json_rows()).encode()))),
    "JSON objects of several lines": ("a.json", b"\n".join(json.dumps(r, indent=1).encode() for r in json_rows())),
    "archive": ("a.zip", archive(("a.csv", csv_bytes(ROWS)))),
    "archive under another name": ("a.csv", archive(("a.csv", csv_bytes(ROWS)))),
    "archive of parts": ("a.zip", archive(*PARTS, ("b/readme.txt", b"x"), ("__MACOSX/b/part_0.csv", b"x"), (".x.csv", b"x"))),
    "archive of parts in utf-16": ("a.zip", archive(*((n, utf_16(c)) for n, c in PARTS))),
    "archive of a packed file": ("a.zip", archive(("a.csv.gz", gzip.compress(csv_bytes(ROWS))))),
    "archive of an array": ("a.zip", archive(("a.json", json.dumps(json_rows()).encode()))),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_the_form_makes_no_difference(form: str, tmp_path: Path) -> None:
    name, content = FORMS[form]
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / name).write_bytes(content)
    loaded = load("focus", tmp_path / "bills", tmp_path)
    assert {month: one.totals for month, one in loaded.items()} == {
        SEPTEMBER: {"USD": Decimal("-2.399999999996")},
        OCTOBER: {"USD": Decimal(7)},
    }
    assert (loaded[SEPTEMBER].rows_loaded, loaded[OCTOBER].rows_loaded) == (2, 1)
    found = facts(loaded[SEPTEMBER]).sort("BilledCost", descending=True)
    assert found["ChargeDescription"].to_list() == ['a;b,c\t"d"|é\u2028€', "GPU hours"]
    assert [json.loads(t) for t in found["Tags"]] == [{"team": "vision"}, {"team": "a;b,c"}]
    assert found["ListCost"].to_list() == [2, 2]
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
        lambda: archive(("a.csv", csv_bytes([focus()])), ("b.jsonl", LINES)),
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


# Amounts of a German file: 1,234.56 + 1 - 0.5 + 1,000 - 2,000.25 = 234.81; thousands by points, and a hard blank
GERMAN = ["1.234,56", "1", "-0,5", "1.000", "-2\u00a0000,25"]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
@pytest.mark.parametrize("sign", [";", ","])
def test_a_decimal_comma_that_every_amount_agrees_with(sign: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "bills").mkdir()
    rows = [focus(BilledCost=a, EffectiveCost=a, ListCost="1,5E-05", ContractedCost="3,25") for a in GERMAN]
    if name.endswith(".csv"):
        (tmp_path / "bills" / name).write_bytes(separated(sign, rows))
    else:
        import polars as pl

        pl.DataFrame(rows).write_parquet(tmp_path / "bills" / name)
    (loaded,) = load("focus", tmp_path / "bills", tmp_path).values()
    assert loaded.totals == {"USD": Decimal("234.81")}
    assert facts(loaded)["BilledCost"].to_list() == [
        Decimal(a) for a in ("1234.56", "1", "-0.5", "1000", "-2000.25")
    ]
    assert set(facts(loaded)["ListCost"]) == {Decimal("0.000015")}
    assert f"amounts read with a decimal comma: {name}" in loaded.note
    assert counted(loaded) == {}


def test_each_file_is_read_in_its_own_form(tmp_path: Path) -> None:
    """1,234 in the one is a bit more than one, 1.234 in the other a thousand: 1.234 + 0.5 + 1,234 + 0.5."""
    (tmp_path / "bills").mkdir()
    plain = [focus(BilledCost="1.234", EffectiveCost="0.5"), focus(BilledCost="0.5", EffectiveCost="0.5")]
    comma = [
        {k: v.replace(".", ",") if k in ("EffectiveCost", "ContractedCost") else v for k, v in r.items()}
        for r in plain
    ]
    comma[1]["BilledCost"] = "0,5"
    (tmp_path / "bills" / "us.csv").write_bytes(separated(",", plain))
    (tmp_path / "bills" / "de.csv").write_bytes(separated(";", comma))
    (loaded,) = load("focus", tmp_path / "bills", tmp_path).values()
    assert loaded.totals == {"USD": Decimal("1236.234")}
    assert "amounts read with a decimal comma: de.csv" in loaded.note


# 1,234.56 - 1,234.56 + 1,000 - 12.5 + 2,345.5 - 0.25 + 7 = 3,339.75; 1.000 is a thousand, as the commas say
MARKED = ["€ 1.234,56", "1.234,56-", "1.000 €", "(12,50)", "2\u202f345,5", "\u2212 0,25 €", "+7"]


def test_a_decimal_comma_with_signs_and_brackets(tmp_path: Path) -> None:
    (tmp_path / "bills").mkdir()
    rows = [focus(BilledCost=a, EffectiveCost=a, BillingCurrency="EUR", ListCost="2,0") for a in MARKED]
    others = [r | {"ContractedCost": ""} for r in rows]
    (tmp_path / "bills" / "a.csv").write_bytes(separated(";", others))
    (loaded,) = load("focus", tmp_path / "bills", tmp_path).values()
    assert loaded.totals == {"EUR": Decimal("3339.75")}
    # the trailing minus, the brackets and the three signs
    assert counted(loaded)["repaired", "spelling", "BilledCost"] == 5
    assert loaded.issues.filter(action="rejected").is_empty()


def test_a_sign_of_another_currency_is_rejected_with_its_amount(tmp_path: Path) -> None:
    """The first row's 1,234.56 euros; 5 dollars billed in euros cannot be known to be either."""
    (tmp_path / "bills").mkdir()
    rows = [
        focus(BilledCost=a, EffectiveCost="1,0", ContractedCost="", BillingCurrency="EUR")
        for a in ("€ 1.234,56", "$5,00")
    ]
    (tmp_path / "bills" / "a.csv").write_bytes(separated(";", rows))
    (loaded,) = load("focus", tmp_path / "bills", tmp_path).values()
    assert loaded.totals == {"EUR": Decimal("1234.56")}
    [bad] = loaded.issues.filter(action="rejected").iter_rows(named=True)
    assert (bad["rule"], bad["column_name"], bad["value"]) == ("not_a_number", "BilledCost", "$5.00")
    assert "$5,00" in bad["raw"]


def test_decimal_commas_in_texts_of_json(tmp_path: Path) -> None:
    """A number of JSON has a point whatever the texts beside it have: 1,234.56 + 1.234 + 1,000 = 2,235.794."""
    (tmp_path / "bills").mkdir()
    amounts: list[object] = ["1.234,56", 1.234, "1.000"]
    rows = [
        {**focus(EffectiveCost="1,5", ContractedCost="1", ListCost="2"), "BilledCost": a} for a in amounts
    ]
    (tmp_path / "bills" / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (loaded,) = load("focus", tmp_path / "bills", tmp_path).values()
    assert loaded.totals == {"USD": Decimal("2235.794")}
    assert set(facts(loaded)["EffectiveCost"]) == {Decimal("1.5")}
    assert "amounts read with a decimal comma: a.jsonl" in loaded.note


def test_texts_of_json_with_two_meanings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bills").mkdir()
    rows = [focus(BilledCost=a) for a in ("1,5", "1.234")]  # EffectiveCost 1.25
    (tmp_path / "bills" / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    with pytest.raises(
        SourceError, match=r"a\.jsonl: the amount '1\.234' may be written .*'1,5' can only .*'1\.25'"
    ):
        load("focus", tmp_path / "bills", tmp_path)


TITLE = b'Report "generated on 2026-10-01, 09:00\r\nAccount;0086\r\n\r\nBillingPeriodStart,2026-09-01\r\n'
"""Lines of a portal: a quote that is not closed, a blank line, a name of a column."""

BEFORE: dict[str, tuple[str, bytes]] = {
    "sep": ("a.csv", b"sep=;\r\n" + separated(";")),
    "sep behind a mark, in quotes": ("a.csv", b'\xef\xbb\xbf"sep=,"\n' + separated(",")),
    "title": ("a.csv", TITLE + separated(",")),
    "title, packed": ("a.csv.gz", gzip.compress(TITLE + separated(";"))),
    "sep and title in utf-16": ("a.csv", utf_16(b"sep=\t\n" + TITLE + separated("\t"))),
    "archive": ("a.zip", archive(("a.csv", TITLE + separated("|")))),
    "archive of parts": ("a.zip", archive(*((n, b"sep=;\r\n" + TITLE + c) for n, c in PARTS))),
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


# other amounts of the file beside 1.234, what separates it, and words of the refusal
UNCERTAIN = [
    ({"BilledCost": "1,5"}, ",", "'1,5' can only be written with a decimal comma and '1.25' only with a point"),
    ({"BilledCost": "1,234", "EffectiveCost": "3", "ContractedCost": "2"}, ",", "no other amount says which"),
    ({"BilledCost": "5", "EffectiveCost": "3", "ContractedCost": "2"}, ";", "no other amount says which"),
]  # fmt: skip


@pytest.mark.parametrize(("other", "sign", "words"), UNCERTAIN)
def test_amounts_of_two_meanings_are_never_guessed(
    other: dict[str, str], sign: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "bills").mkdir()
    rows = [focus(**other), focus(**{**other, "BilledCost": "1.234"})]
    (tmp_path / "bills" / "a.csv").write_bytes(separated(sign, rows))
    with pytest.raises(SourceError, match=rf"a\.csv: the amount '1\.234' may be written .*{words}"):
        load("focus", tmp_path / "bills", tmp_path)


# an export of the portal as a German spreadsheet saves it: (header, value)
PORTAL = {
    "Abrechnungskonto-ID (BillingAccountId)": "0086",
    "Abonnement-GUID (SubscriptionGuid)": "AAAA",
    "datum (date)": "30.09.2026",
    "Kategorie (meterCategory)": "Virtual Machines",
    "Menge (quantity)": "2,5",
    "Einheitenpreis (unitPrice)": "493,824",
    "Kosten (costInBillingCurrency)": "1.234,56",
    "Währung (billingCurrency)": "EUR",
    "Typ (chargeType)": "Usage",
}


@pytest.mark.parametrize("packed", ["plain", "gzip", "zip", "utf-16"])
def test_a_localised_export_of_azure(packed: str, tmp_path: Path) -> None:
    """1,234.56 + 0.5 + 1,000 = 2,235.06 euros; 1.000 is a thousand, as 1.234,56 says."""
    amounts = ["1.234,56", "0,5", "1.000"]
    content = separated(";", [PORTAL | {"Kosten (costInBillingCurrency)": a} for a in amounts])
    name, content = {
        "plain": ("a.csv", b"\xef\xbb\xbf" + content),
        "gzip": ("a.csv.gz", gzip.compress(content)),
        "zip": ("a.zip", archive(("export.csv", content))),
        "utf-16": ("a.csv", utf_16(content)),
    }[packed]
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / name).write_bytes(content)
    (loaded,) = load("azure_export", tmp_path / "bills", tmp_path).values()
    assert (loaded.slice.period, loaded.totals) == (SEPTEMBER, {"EUR": Decimal("2235.06")})
    found = facts(loaded)
    assert found["BilledCost"].to_list() == [Decimal("1234.56"), Decimal("0.5"), Decimal(1000)]
    assert set(found["PricingQuantity"]) == {Decimal("2.5")}
    assert set(found["ContractedUnitPrice"]) == {Decimal("493.824")}
    assert set(found["SubAccountId"]) == {"aaaa"}
    assert f"amounts read with a decimal comma: {name}" in loaded.note


def test_azure_amounts_with_signs_and_a_minus_at_the_end(tmp_path: Path) -> None:
    """1,234.56 - 2,000 = -765.44 euros; dollars in a row of euros are neither."""
    (tmp_path / "bills").mkdir()
    amounts = ["€ 1.234,56", "2.000,00-", "$ 5,00"]
    rows = [PORTAL | {"Kosten (costInBillingCurrency)": a} for a in amounts]
    (tmp_path / "bills" / "a.csv").write_bytes(separated(";", rows))
    (loaded,) = load("azure_export", tmp_path / "bills", tmp_path).values()
    assert loaded.totals == {"EUR": Decimal("-765.44")}
    assert counted(loaded)["rejected", "not_a_number", "BilledCost"] == 1


def test_azure_amounts_of_two_forms_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bills").mkdir()
    rows = [azure_row(Cost=a, Quantity="2.5") for a in ("1,5", "1.234")]
    (tmp_path / "bills" / "a.csv").write_bytes(csv_bytes(rows))
    with pytest.raises(SourceError, match=r"a\.csv: the amount '1\.234' may be written"):
        load("azure_export", tmp_path / "bills", tmp_path)


def test_a_damaged_archive_leaves_the_other_months(tmp_path: Path) -> None:
    (tmp_path / "bills").mkdir()
    whole = archive(("a.csv", csv_bytes([focus()])))
    (tmp_path / "bills" / "2026-09.zip").write_bytes(whole[:-30])
    (tmp_path / "bills" / "2026-10.zip").write_bytes(archive(("a.csv", csv_bytes(ROWS[2:]))))
    slices = reader("focus", tmp_path / "bills", tmp_path).slices(WINDOW)
    assert [(s.period, bool(s.not_ready)) for s in slices] == [(SEPTEMBER, True), (OCTOBER, False)]
    assert "2026-09.zip is damaged or cannot be unpacked" in slices[0].not_ready
