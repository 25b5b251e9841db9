"""The order of day, month and year: proven by the file, said by an option, or not known."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pytest

from connectors.base import SourceError
from connectors.bills.dates import is_written, iso, iso_sql, proven
from connectors.bills.months import parse_month
from tests.connectors.azure.rows import row as azure_row
from tests.connectors.bills.helpers import facts, focus, load, write

APRIL = ("4/1/25", "5/1/25")

# (dates, billing periods, order)
PROOFS: list[tuple[list[str], list[tuple[str, str]], str | None]] = [
    (["4/13/25"], [], "mdy"),
    (["13/4/25"], [], "dmy"),
    (["04/05/2026", "28.02.2026"], [], "dmy"),
    (["4/1/25", "5/1/25"], [APRIL], "mdy"),  # 1 April to 1 May is a month, 4 to 5 January is none
    (["1/4/25", "1/5/25"], [("1/4/25", "1/5/25")], "dmy"),
    (["12/1/25", "1/1/26"], [("12/1/25", "1/1/26")], "mdy"),
    (["1/1/25", "1/2/25"], [("1/1/25", "1/2/25")], "dmy"),
    (["4/1/25", "1/4/25"], [APRIL, ("1/4/25", "1/5/25")], None),
    (["4/1/25", "4/5/25"], [], None),
    (["4/1/25", "4/8/25"], [("4/1/25", "4/8/25")], None),  # a week in one order, seven months in the other
    (["2025-04-01T00:00:00Z"], [("2025-04-01", "2025-05-01")], None),
    ([], [], None),
]


@pytest.mark.parametrize(("moments", "periods", "order"), PROOFS)
def test_order_is_proven_or_unknown(
    moments: list[str], periods: list[tuple[str, str]], order: str | None
) -> None:
    assert proven(moments, periods, "a.csv") == order


def test_two_orders_in_one_file_are_refused() -> None:
    with pytest.raises(SourceError, match=r"a\.csv.*two orders: '4/13/25'.*'13/4/25'"):
        proven(["4/13/25", "13/4/25"], [], "a.csv")


# (text, order, ISO 8601)
READ = [
    ("4/1/25", "mdy", "2025-04-01T00:00:00"),
    ("4/1/25", "dmy", "2025-01-04T00:00:00"),
    ("04/01/2025 13:05", "mdy", "2025-04-01T13:05:00"),
    ("4/1/2025 1:05:09 PM", "mdy", "2025-04-01T13:05:09"),
    ("01.04.2025", "dmy", "2025-04-01T00:00:00"),
    ("1-4-2025", "dmy", "2025-04-01T00:00:00"),
    (" 12/31/25 ", "mdy", "2025-12-31T00:00:00"),
    ("2025-04-01T00:00:00Z", "mdy", "2025-04-01T00:00:00Z"),
    ("25-04-01", "dmy", "25-04-01"),  # a year of two digits, or a day: nobody knows
    ("13/13/25", "mdy", "13/13/25"),
    ("soon", "mdy", "soon"),
]


@pytest.mark.parametrize(("text", "order", "expected"), READ)
def test_python_and_sql_read_the_same_moment(text: str, order: str, expected: str) -> None:
    assert iso(text, order) == expected
    ((found,),) = duckdb.execute(f"SELECT {iso_sql('x', order)} FROM (VALUES ('{text}')) AS t(x)").fetchall()
    assert found.replace(" 00:", "T00:").replace(" 13:", "T13:") == expected
    assert is_written(text) == (not text.startswith(("20", "25", "soon")))


def test_no_order_leaves_every_text_alone() -> None:
    assert iso("4/1/25", "") == "4/1/25"
    assert iso_sql("x", "") == "x"


# 13 + 14 in September, 15 in October, as spreadsheets of Japan write days; the hour may have one digit
YEAR_FIRST = [("2026/09/30", 13, 9), ("2026/9/5 0:00", 14, 9), ("2026/10/1", 15, 10)]


def test_a_year_that_comes_first_proves_the_order(tmp_path: Path) -> None:
    rows = [azure_row(Date=d, Cost=str(cost), BillingPeriodStartDate="") for d, cost, _ in YEAR_FIRST]
    write(tmp_path / "bills" / "a.csv", [r | {"BillingPeriodEndDate": ""} for r in rows])
    loaded = load("azure_export", tmp_path / "bills", tmp_path)
    assert {m: one.totals for m, one in loaded.items()} == {
        date(2026, 9, 1): {"USD": Decimal(27)},
        date(2026, 10, 1): {"USD": Decimal(15)},
    }
    assert all(one.issues.filter(action="rejected").is_empty() for one in loaded.values())
    assert [str(t) for t in facts(loaded[date(2026, 10, 1)])["ChargePeriodStart"]] == ["2026-10-01 00:00:00"]


@pytest.mark.parametrize("text", ["2026/13/1", "2026/9/31", "2026/9/301", "26/9/1"])
def test_no_date_has_no_month(text: str) -> None:
    assert parse_month(text) is None


EPOCHS = {"BillingPeriodStart": 1788220800, "BillingPeriodEnd": 1790812800, "ChargePeriodStart": 1788307200, "ChargePeriodEnd": 1788310800}  # fmt: skip
"""1 September, 1 October, 2 September and an hour later, 2026, UTC, in seconds since 1970."""


def test_times_since_1970_are_read_in_their_unit(tmp_path: Path) -> None:
    """JSON as pandas writes it, in milliseconds; Parquet in microseconds; CSV in seconds; beside them a file in ISO 8601."""
    (tmp_path / "b").mkdir()
    rows = [{**focus(SubAccountId=n), **{k: v * unit for k, v in EPOCHS.items()}} for n, unit in (("j", 10**3), ("p", 10**6), ("c", 1))]  # fmt: skip
    (tmp_path / "b" / "j.jsonl").write_text(json.dumps(rows[0]) + "\n")
    pl.DataFrame(rows[1:2]).write_parquet(tmp_path / "b" / "p.parquet")
    odd = rows[2] | {"ChargePeriodEnd": "20260902010000", "BilledCost": "7"}
    write(tmp_path / "b" / "c.csv", [{k: str(v) for k, v in r.items()} for r in [rows[2]] * 1000 + [odd]])
    write(
        tmp_path / "b" / "iso.csv",
        [focus(ChargePeriodStart="2026-09-02T00:00:00Z", ChargePeriodEnd="2026-09-02T01:00:00Z")],
    )
    (loaded,) = load("focus", tmp_path / "b", tmp_path).values()
    assert facts(loaded).select(*EPOCHS).unique().rows() == [tuple(datetime.fromisoformat(d) for d in ("2026-09-01", "2026-10-01", "2026-09-02", "2026-09-02T01:00"))]  # fmt: skip
    assert loaded.rows_loaded == 1003
    [bad] = loaded.issues.filter(action="rejected").iter_rows(named=True)
    assert (bad["rule"], bad["column_name"], bad["value"]) == (
        "bad_date",
        "ChargePeriodEnd",
        "20260902010000",
    )
    assert "dates read as times since 1970: c.csv, j.jsonl, p.parquet" in loaded.note
