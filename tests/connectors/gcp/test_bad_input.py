"""Faults of BigQuery's export as JSON lines and Parquet, as it is written with nested columns."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.base import Loaded, SourceError
from tests.connectors.bills.helpers import counted, facts, load
from tests.connectors.gcp.rows import ROW, row

KIND = "gcp_billing_export"
COST = Decimal("10.5")
"""Of a row without faults."""

Rows = Sequence[dict[str, Any]]


def lines(rows: Rows) -> bytes:
    return b"".join(json.dumps(r).encode() + b"\n" for r in rows)


def parquet(rows: Rows) -> bytes:
    """As a job writes it that keeps amounts and times as text."""
    out = io.BytesIO()
    texts = [r | {k: str(v) for k, v in r.items() if k == "cost"} for r in rows]
    typed = [
        r
        | {"labels": [{"key": str(p["key"]), "value": str(p["value"])} for p in r["labels"]], "credits": None}
        for r in texts
    ]
    pl.DataFrame(typed, infer_schema_length=None).write_parquet(out)
    return out.getvalue()


WRITE = {"a.jsonl": lines, "a.parquet": parquet}

# column, value, rule, FOCUS column
ROWS: list[tuple[str, Any, str, str]] = [
    ("cost", "NaN", "not_a_number", "BilledCost"),
    ("cost", "-Infinity", "not_a_number", "BilledCost"),
    ("cost", "1e30", "not_a_number", "BilledCost"),
    ("cost", "9" * 40, "not_a_number", "BilledCost"),
    ("cost", "12 dollars", "not_a_number", "BilledCost"),
    ("cost", "1,5", "not_a_number", "BilledCost"),
    ("cost", "", "missing_value", "BilledCost"),
    ("currency", "", "missing_value", "BillingCurrency"),
    ("currency", "NULL", "missing_value", "BillingCurrency"),
    ("cost_type", "surprise", "unknown_charge_category", "ChargeCategory"),
    ("usage_start_time", "yesterday", "bad_date", "ChargePeriodStart"),
    ("usage_start_time", "", "missing_value", "ChargePeriodStart"),
    ("usage_end_time", "2026-09-31 00:00:00 UTC", "bad_date", "ChargePeriodEnd"),
    ("usage_end_time", "9999-12-31 00:00:00 UTC", "bad_date", "ChargePeriodEnd"),
    ("usage_end_time", "2026-08-01 00:00:00 UTC", "period_ends_before_start", "ChargePeriodEnd"),
    ("invoice", {"month": "soon"}, "bad_date", "BillingPeriodStart"),
    ("invoice", {"month": ""}, "missing_value", "BillingPeriodStart"),
]
JSON_ROWS: list[tuple[str, Any, str, str]] = [
    ("cost", float("1e30"), "not_a_number", "BilledCost"),
    ("cost", {"units": 10}, "not_a_number", "BilledCost"),
    ("cost", [10], "not_a_number", "BilledCost"),
    ("cost", True, "not_a_number", "BilledCost"),
    ("cost", None, "missing_value", "BilledCost"),
    ("usage_start_time", 1788220800, "bad_date", "ChargePeriodStart"),
    ("invoice", "202609", "missing_value", "BillingPeriodStart"),
    ("invoice", None, "missing_value", "BillingPeriodStart"),
]
"""Values of another type than the column's: only JSON lines may have them in one row."""


def put(tmp_path: Path, file: str, content: bytes) -> Path:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / file).write_bytes(content)
    return tmp_path / "b"


CASES = {"a.jsonl": [*ROWS, *JSON_ROWS], "a.parquet": ROWS}


@pytest.fixture(scope="module")
def bills(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Loaded]]:
    """File -> a row without faults and after it one of each fault."""
    found = {}
    for file, cases in CASES.items():
        folder = tmp_path_factory.mktemp("rows")
        bad = [row() | {column: value} for column, value, *_ in cases]
        at = put(folder, file, WRITE[file]([row(), *bad]))
        (loaded,) = load(KIND, at, folder).values()
        found[file] = (at / file, loaded)
    return found


@pytest.mark.parametrize(("file", "place"), [(f, i) for f, cases in CASES.items() for i in range(len(cases))])
def test_a_row_without_meaning_is_counted_with_its_place(
    bills: dict[str, tuple[Path, Loaded]], file: str, place: int
) -> None:
    path, loaded = bills[file]
    column, _, rule, focus = CASES[file][place]
    [issue] = loaded.issues.filter(action="rejected", location=f"{path}:{place + 2}").iter_rows(named=True)
    assert (issue["rule"], issue["column_name"], issue["rows"]) == (rule, focus, 1)
    assert (issue["billed_cost"] or 0) == (Decimal(0) if column == "cost" else COST)


@pytest.mark.parametrize("file", CASES)
def test_the_row_beside_those_without_meaning_is_kept(
    bills: dict[str, tuple[Path, Loaded]], file: str
) -> None:
    loaded, cases = bills[file][1], CASES[file]
    assert (loaded.rows_read, loaded.rows_loaded) == (len(cases) + 1, 1)
    assert loaded.issues.filter(action="rejected").height == len(cases)
    assert facts(loaded)["BilledCost"].to_list() == [COST]
    readable = sum(column != "cost" for column, *_ in cases)
    assert sum(loaded.totals.values()) == COST * (1 + readable)


def without(column: str, write: Callable[[Rows], bytes] = lines) -> bytes:
    return write([{k: v for k, v in row().items() if k != column}])


def typed(*changes: pl.Expr) -> bytes:
    out = io.BytesIO()
    pl.read_parquet(parquet([row()])).with_columns(*changes).write_parquet(out)
    return out.getvalue()


def wrong_sum(data: bytes) -> bytes:
    packed = gzip.compress(data)
    return packed[:-8] + b"\0" * 8


MANY = lines([{**ROW, "cost": n} for n in range(2000)])

# what it is: file, content, words of the refusal
FILES: dict[str, tuple[str, bytes, str]] = {
    "empty": ("a.jsonl", b"", r"a\.jsonl is empty"),
    "cut in a line": ("a.jsonl", MANY[:-60], r"a\.jsonl"),
    "cut gzip": ("a.jsonl.gz", gzip.compress(MANY)[:-500], r"a\.jsonl\.gz is (a )?damaged"),
    "wrong checksum": ("a.jsonl.gz", wrong_sum(MANY), r"a\.jsonl\.gz is (a )?damaged"),
    "an array that is cut": ("a.json", json.dumps([row()]).encode()[:-1], r"a\.json is not JSON lines, nor a complete array"),
    "an array of numbers": ("a.json", b"[1, 2]", r"a\.json is not JSON lines, nor a complete array"),
    "a line that is no object": ("a.jsonl", lines([row()]) + b"[1]\n", r"a\.jsonl"),
    "a line of text": ("a.jsonl", lines([row()]) + b"Total: 10.5\n", r"a\.jsonl"),
    "a late line of text": ("a.jsonl", MANY + b"Total: 10.5\n", r"a\.jsonl"),
    "latin-1": ("a.jsonl", lines([row()]).replace(b"Vision", b"Visi\xf3n"), r"a\.jsonl"),
    "utf-16 without mark": ("a.jsonl", lines([row()]).decode().encode("utf-16-le"), r"a\.jsonl"),
    "bomb in a line": ("a.jsonl.gz", gzip.compress(lines([row()]) + b'{"cost": "' + b"0" * (64 << 20), 1), r"a\.jsonl\.gz"),
    "cost missing": ("a.jsonl", without("cost"), r"a\.jsonl: mandatory column 'cost' is missing; it has"),
    "currency missing": ("a.jsonl", without("currency"), r"a\.jsonl: mandatory column 'currency' is missing"),
    "month missing": ("a.jsonl", without("invoice"), r"a\.jsonl: mandatory column 'invoice\.month' is missing"),
    "start missing": ("a.jsonl", without("usage_start_time"), r"mandatory column 'usage_start_time' is missing"),
    "cost renamed": ("a.jsonl", lines([row()]).replace(b'"cost"', b'"Kosten"'), r"'cost' is missing.*Kosten"),
    "month in no row": ("a.jsonl", lines([row(invoice="202609")]), r"a\.jsonl: .*'invoice\.month'"),
    "parquet cut": ("a.parquet", parquet([row()])[:-40], r"a\.parquet is damaged"),
    "parquet without pages": ("a.parquet", b"PAR1" + parquet([row()])[-600:], r"a\.parquet"),
    "parquet, cost missing": ("a.parquet", without("cost", parquet), r"a\.parquet: mandatory column 'cost' is missing"),
    "parquet, currency missing": ("a.parquet", without("currency", parquet), r"'currency' is missing"),
    "parquet, end missing": ("a.parquet", without("usage_end_time", parquet), r"'usage_end_time' is missing"),
    "parquet, month missing": ("a.parquet", without("invoice", parquet), r"'invoice\.month' is missing"),
    "parquet, invoice a text": ("a.parquet", typed(pl.lit("202609").alias("invoice")), r"a\.parquet: column 'invoice' has the type String.*record"),
    "parquet, month renamed": ("a.parquet", typed(pl.struct(pl.lit("202609").alias("monat")).alias("invoice")), r"a\.parquet: column 'invoice' has the type .*monat.*field 'month'"),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_a_file_without_meaning_is_refused_by_name_and_nothing_is_left(case: str, tmp_path: Path) -> None:
    file, content, words = FILES[case]
    at = put(tmp_path, file, content)
    with pytest.raises(SourceError, match=words):
        load(KIND, at, tmp_path)
    assert not list((tmp_path / "work").glob("*"))


@pytest.mark.parametrize("file", WRITE)
def test_further_columns_and_currencies_and_repeated_rows_lose_nothing(file: str, tmp_path: Path) -> None:
    """Equal rows may be two charges: both count. Currencies are never added."""
    more = {"new_column": {"a": [1]}, "another": "=cmd()"}
    rows = [row(**more), row(**more), row(**more, currency="EUR", cost=7)]
    (loaded,) = load(KIND, put(tmp_path, file, WRITE[file](rows)), tmp_path).values()
    assert loaded.totals == {"USD": 2 * COST, "EUR": Decimal(7)}
    assert loaded.rows_loaded == 3
    assert "another" in loaded.note


@pytest.mark.parametrize("file", WRITE)
def test_hostile_labels_are_kept_as_they_are(file: str, tmp_path: Path) -> None:
    texts = ["'; DROP TABLE x; --", "<script>", "=cmd()", "\u202e", "a" * 5000, '"', "\\", "{", "é\n,"]
    rows = [row(labels=[{"key": "team", "value": t}]) for t in texts]
    (loaded,) = load(KIND, put(tmp_path, file, WRITE[file](rows)), tmp_path).values()
    assert [json.loads(t)["team"] for t in facts(loaded)["Tags"]] == texts
    assert loaded.issues.filter(action="rejected").is_empty()


def test_a_credit_without_amount_is_counted_and_its_row_kept(tmp_path: Path) -> None:
    bad: list[Any] = ["x", [{"amount": "NaN"}], [{"name": "no amount"}], [{"amount": "-1e30"}]]
    at = put(tmp_path, "a.jsonl", lines([row(credits=c) for c in bad]))
    (loaded,) = load(KIND, at, tmp_path).values()
    assert counted(loaded)["rejected", "not_a_number", "BilledCost"] == 4
    places = loaded.issues.filter(action="rejected")["location"].to_list()
    assert places == [f"{at / 'a.jsonl'}:{n}" for n in range(1, 5)]
    assert facts(loaded)["BilledCost"].to_list() == [COST] * 4


def test_a_parquet_of_other_types_is_read_where_it_has_one_meaning(tmp_path: Path) -> None:
    """Cost as a float and as a whole number of nothing else; a list of costs has no meaning."""
    good = typed(pl.lit(10.5).alias("cost"), pl.struct(pl.lit(202609).alias("month")).alias("invoice"))
    (loaded,) = load(KIND, put(tmp_path, "a.parquet", good), tmp_path).values()
    assert loaded.totals == {"USD": COST}
    (tmp_path / "b" / "a.parquet").write_bytes(typed(pl.concat_list("cost")))
    (loaded,) = load(KIND, tmp_path / "b", tmp_path).values()
    assert counted(loaded)["rejected", "not_a_number", "BilledCost"] == 1
    assert loaded.rows_loaded == 0
