"""FOCUS files in, facts by month out: forms, months, fingerprints, refusals."""

from __future__ import annotations

import gzip
import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from connectors.base import SourceError
from tests.connectors.bills.helpers import (
    WINDOW,
    counted,
    csv_bytes,
    facts,
    focus,
    load,
    reader,
    write,
)
from tests.engine import Session

at = datetime.fromisoformat

SEPTEMBER, OCTOBER = date(2026, 9, 1), date(2026, 10, 1)


def test_one_file_of_several_months_and_one_month_of_several_files(tmp_path: Path) -> None:
    october = {"BillingPeriodStart": "2026-10-01 00:00:00", "BillingPeriodEnd": "2026-11-01"}
    write(
        tmp_path / "bills" / "a.csv",
        [focus(), focus(**october, BilledCost="7"), focus(BillingPeriodStart="?")],
    )
    write(tmp_path / "bills" / "sub" / "b.csv.gz", [focus(BilledCost="4")])
    loaded = load("focus", tmp_path / "bills", tmp_path)
    assert sorted(loaded) == [SEPTEMBER, OCTOBER]
    assert loaded[SEPTEMBER].totals == {"USD": Decimal("7.0")}  # 1.5 + 4 + 1.5 of the row without a month
    assert loaded[OCTOBER].totals == {"USD": Decimal(7)}
    assert facts(loaded[SEPTEMBER])["BilledCost"].to_list() == [Decimal("1.5"), Decimal(4)]
    assert facts(loaded[OCTOBER])["BilledCost"].to_list() == [Decimal(7)]
    assert loaded[SEPTEMBER].issues["rows"].sum() == 1
    assert [o.key for o in loaded[SEPTEMBER].slice.objects] == ["a.csv", "sub/b.csv.gz"]
    assert [o.key for o in loaded[OCTOBER].slice.objects] == ["a.csv"]


def test_a_month_can_be_loaded_alone(tmp_path: Path) -> None:
    write(
        tmp_path / "bills" / "a.csv",
        [focus(), focus(BillingPeriodStart="2026-10-01", BillingPeriodEnd="2026-11-01")],
    )
    source = reader("focus", tmp_path / "bills", tmp_path)
    (_, october) = source.slices(WINDOW)
    with Session() as engine:
        (loaded,) = source.load([october], tmp_path / "work", engine)
        assert list(source.load([], tmp_path / "work", engine)) == []
    assert (loaded.slice, loaded.rows_read) == (october, 1)
    assert [p.name for p in (tmp_path / "work").iterdir()] == ["cost-and-usage-2026-10-01.parquet"]


def test_fingerprints_change_with_content_and_only_for_the_months_concerned(tmp_path: Path) -> None:
    write(tmp_path / "bills" / "a.csv", [focus()])
    write(
        tmp_path / "bills" / "b.csv", [focus(BillingPeriodStart="2026-10-01", BillingPeriodEnd="2026-11-01")]
    )

    def prints(**options: str) -> list[str]:
        return [
            s.fingerprint for s in reader("focus", tmp_path / "bills", tmp_path, **options).slices(WINDOW)
        ]

    first = prints()
    assert prints() == first
    write(
        tmp_path / "bills" / "b.csv", [focus(BillingPeriodStart="2026-10-02", BillingPeriodEnd="2026-11-01")]
    )
    second = prints()
    assert second[0] == first[0]
    assert second[1] != first[1]
    assert prints(tier="api")[0] != first[0]


def test_known_files_are_not_looked_into_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "bills" / "a.csv", [focus()])
    first = reader("focus", tmp_path / "bills", tmp_path).slices(WINDOW)
    monkeypatch.setattr("connectors.bills.months.open_bill", None)
    assert reader("focus", tmp_path / "bills", tmp_path).slices(WINDOW) == first


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet"])
def test_every_form_gives_the_same_rows(name: str, tmp_path: Path) -> None:
    rows = [
        focus(
            Tags='{"team": "a \\"b\\",\\n c", "ключ": "é"}', ChargeDescription='x,"y"\r\nz', BilledCost="0.1"
        ),
        focus(Tags="", BilledCost="-2e-7"),
        focus(Tags="NULL", BilledCost=" 3 "),
    ]
    path = tmp_path / "bills" / name
    if name.endswith(".parquet"):
        path.parent.mkdir()
        pl.DataFrame(rows).write_parquet(path)
    else:
        write(path, rows)
    loaded = load("focus", tmp_path / "bills", tmp_path)[SEPTEMBER]
    frame = facts(loaded)
    assert frame["BilledCost"].to_list() == [Decimal("0.1"), Decimal("-0.0000002"), Decimal(3)]
    assert loaded.totals == {"USD": Decimal("3.0999998")}
    assert json.loads(frame["Tags"][0]) == {"team": 'a "b",\n c', "ключ": "é"}
    assert frame["Tags"].to_list()[1:] == [None, None]
    assert frame["ChargeDescription"][0] == 'x,"y"\r\nz'
    assert counted(loaded) == {("repaired", "null_text", "Tags"): 1}


def test_parquet_with_types_of_its_own(tmp_path: Path) -> None:
    frame = pl.DataFrame([focus(), focus()]).with_columns(
        pl.Series("BilledCost", [0.1, 1e-7]),
        pl.Series("EffectiveCost", [Decimal("0.10"), Decimal("0.20")]),
        pl.Series("BillingPeriodStart", [at("2026-09-01")] * 2).dt.replace_time_zone("UTC"),
        pl.Series("ChargePeriodStart", [at("2026-09-01T05:00")] * 2),
        pl.Series("Tags", [{"team": "a"}, {"team": None}]),
    )
    (tmp_path / "bills").mkdir()
    frame.write_parquet(tmp_path / "bills" / "a.parquet")
    loaded = load("focus", tmp_path / "bills", tmp_path)[SEPTEMBER]
    read = facts(loaded)
    assert read["BilledCost"].to_list() == [Decimal("0.1"), Decimal("0.0000001")]
    assert read["EffectiveCost"].to_list() == [Decimal("0.1"), Decimal("0.2")]
    assert read["ChargePeriodStart"].to_list() == [at("2026-09-01T05:00")] * 2
    assert [t and json.loads(t) for t in read["Tags"]] == [{"team": "a"}, None]
    assert loaded.issues.is_empty()


def test_files_of_different_columns_are_united_by_name(tmp_path: Path) -> None:
    write(tmp_path / "bills" / "a.csv", [focus()])
    write(
        tmp_path / "bills" / "b.csv",
        [dict(reversed(focus(InvoiceId="I-1", Extra="x", BilledCost="2").items()))],
    )
    loaded = load("focus", tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert facts(loaded).select("BilledCost", "InvoiceId", "SubAccountId").rows() == [
        (Decimal("1.5"), None, "007"),
        (Decimal(2), "I-1", "007"),
    ]
    assert "columns not used: Extra" in loaded.note


def test_header_without_rows_is_noted(tmp_path: Path) -> None:
    write(tmp_path / "bills" / "a.csv", [focus()])
    write(tmp_path / "bills" / "empty.csv", [], header=list(focus()))
    source = reader("focus", tmp_path / "bills", tmp_path)
    assert len(source.slices(WINDOW)) == 1
    assert "empty.csv" in load("focus", tmp_path / "bills", tmp_path)[SEPTEMBER].note
    (tmp_path / "bills" / "a.csv").unlink()
    assert source.slices(WINDOW) == []
    assert "no rows" in source.check()


def test_check_names_what_is_there(tmp_path: Path) -> None:
    write(tmp_path / "bills" / "a.csv", [focus()])
    assert (
        "1 FOCUS files, 0.0 MB, 1 billing months, 2026-09 to 2026-09"
        in reader("focus", tmp_path / "bills", tmp_path).check()
    )


def refused(tmp: Path, match: str) -> None:
    """Neither listing nor loading gets past the damage, and nothing is left in the work folder."""
    with pytest.raises(SourceError, match=match):
        load("focus", tmp / "bills", tmp)
    assert not list((tmp / "work").glob("*"))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    bills = tmp_path / "bills"
    bills.mkdir()
    refused(tmp_path, "holds no bill file")
    whole = gzip.compress(csv_bytes([focus(ChargeDescription=str(n)) for n in range(3000)]), mtime=0)
    damaged = {
        "empty (0 bytes)": b"",
        "damaged": whole[: len(whole) // 2],
        "is damaged": whole[:-8] + b"\0" * 8,
        "Expected Number of Columns": csv_bytes([focus()]) + b"1,2,3\n",
        "unterminated quote|damaged": csv_bytes([focus()]) + b'"open\n',
        "UTF-8": csv_bytes([focus(ChargeDescription="é")]).replace("é".encode(), b"\xe9"),
        "BillingPeriodStart' is missing": b"a,b\n1,2\n",
        "holds no date": csv_bytes([focus(BillingPeriodStart="9/1/26")]),
        "more than once": b"BillingPeriodStart,Tags,Tags\n2026-09-01,,\n",
        "twice in different spellings": csv_bytes([focus() | {"billedcost": "1"}]),
        "not a complete|damaged": b"PAR1 this is not Parquet",
    }
    for words, content in damaged.items():
        (bills / "a.csv").write_bytes(content)
        refused(tmp_path, words.replace("(", r"\(").replace(")", r"\)"))


@pytest.mark.parametrize(
    "column", ["BilledCost", "EffectiveCost", "BillingCurrency", "ChargePeriodEnd", "ChargeCategory"]
)
def test_missing_mandatory_column_is_named_with_file_and_columns(column: str, tmp_path: Path) -> None:
    row = focus()
    del row[column]
    write(tmp_path / "bills" / "a.csv", [row])
    refused(tmp_path, rf"a\.csv: mandatory column '{column}' is missing; it has: AvailabilityZone, ")


def test_the_same_content_twice_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "bills" / "a.csv", [focus()])
    write(tmp_path / "bills" / "copy of a.csv", [focus()])
    refused(tmp_path, "have the same content: every charge would count twice")
