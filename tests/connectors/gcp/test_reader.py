"""Files of the BigQuery export: months, late rows, and everything that may be wrong with them."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from csv import DictReader
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.base import Loaded, SourceError
from connectors.gcp.columns import parse_invoice_month
from tests.connectors.bills.helpers import WINDOW, facts, load, reader, write
from tests.connectors.gcp.rows import ROW, flat, row, write_lines

KIND = "gcp_billing_export"
SEPTEMBER, OCTOBER = date(2026, 9, 1), date(2026, 10, 1)

DATA = os.environ.get("TIERWISE_REAL_DATA", "")
BILLING = Path(DATA) / "billing"
real = pytest.mark.skipif(not DATA, reason="TIERWISE_REAL_DATA is not set: no real bills to read")


def test_billed_by_invoice_month_reported_by_usage_time(tmp_path: Path) -> None:
    late = row(usage_start_time="2026-09-30 23:00:00 UTC", usage_end_time="2026-10-01 00:00:00 UTC", cost=4)
    write_lines(tmp_path / "bills" / "a.jsonl", [row(), late, late | {"invoice": {"month": "202610"}}])
    write_lines(tmp_path / "bills" / "late" / "b.jsonl.gz", [row(cost=1)])
    loaded = load(KIND, tmp_path / "bills", tmp_path)
    assert {m: r.totals["USD"] for m, r in loaded.items()} == {
        SEPTEMBER: Decimal("15.5"),
        OCTOBER: Decimal(4),
    }
    assert facts(loaded[OCTOBER])["ChargePeriodStart"].dt.date().to_list() == [date(2026, 9, 30)]
    assert [o.key for o in loaded[SEPTEMBER].slice.objects] == ["a.jsonl", "late/b.jsonl.gz"]


def test_late_rows_change_only_the_months_that_they_bill(tmp_path: Path) -> None:
    write_lines(tmp_path / "bills" / "a.jsonl", [row()])
    write_lines(tmp_path / "bills" / "b.jsonl", [row(invoice={"month": "202610"})])
    first = {s.period: s.fingerprint for s in reader(KIND, tmp_path / "bills", tmp_path).slices(WINDOW)}
    write_lines(tmp_path / "bills" / "c.jsonl", [row(cost=2)])
    second = {s.period: s.fingerprint for s in reader(KIND, tmp_path / "bills", tmp_path).slices(WINDOW)}
    assert second[OCTOBER] == first[OCTOBER]
    assert second[SEPTEMBER] != first[SEPTEMBER]


def test_known_files_are_not_looked_into_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_lines(tmp_path / "bills" / "a.jsonl", [row()])
    first = reader(KIND, tmp_path / "bills", tmp_path).slices(WINDOW)
    monkeypatch.setattr("connectors.bills.months.open_bill", None)
    assert reader(KIND, tmp_path / "bills", tmp_path).slices(WINDOW) == first


def test_standard_and_detailed_export_are_the_same_money(tmp_path: Path) -> None:
    write_lines(tmp_path / "bills" / "gcp_billing_export_v1_01-000.json", [row()])
    write_lines(
        tmp_path / "bills" / "gcp_billing_export_resource_v1_01-000.json", [row(resource={"name": "x"})]
    )
    with pytest.raises(SourceError, match=r"standard export.*detailed one.*count twice"):
        reader(KIND, tmp_path / "bills", tmp_path).slices(WINDOW)


MONTHS = ["202609", "202609.0", " 202609 ", "2026-09", "2026/09", "2026-09-01", "2026/09/01", "2026-09-01 00:00:00.000 UTC", "2026-09-01T00:00:00Z", "2026-09-01 00:00:00+00"]  # fmt: skip
NONE = [
    "202613",
    "2026-13",
    "2026-09-02",
    "2026-09-01 01:00:00",
    "202609-01",
    "09/2026",
    "Sep-26",
    "2609",
    "",
]


def test_invoice_months(tmp_path: Path) -> None:
    """One row a spelling, in CSV; the files say which months they hold by the same rule."""
    rows = [flat(row(invoice={"month": m})) for m in [*MONTHS, *NONE]]
    write(tmp_path / "bills" / "a.csv", rows)
    (month, loaded), *others = load(KIND, tmp_path / "bills", tmp_path).items()
    assert (month, others, loaded.rows_loaded) == (SEPTEMBER, [], len(MONTHS))
    rejected = loaded.issues.filter(action="rejected")
    assert {*rejected["rule"]} == {"bad_date", "missing_value"}
    assert rejected["rows"].sum() == len(NONE)
    assert [parse_invoice_month(text) for text in [*MONTHS, *NONE, None]] == [SEPTEMBER] * len(MONTHS) + [
        None
    ] * (len(NONE) + 1)


def test_times_as_pandas_writes_them_to_json(tmp_path: Path) -> None:
    """1788220800 seconds since 1970 are the start of September 2026; pandas writes milliseconds."""
    late = row(usage_start_time=1790809200000, usage_end_time=1790812800000, cost=4)
    write_lines(
        tmp_path / "bills" / "a.jsonl",
        [row(usage_start_time=1788220800000, usage_end_time=1788224400000), late],
    )
    (loaded,) = load(KIND, tmp_path / "bills", tmp_path).values()
    found = facts(loaded).sort("ChargePeriodStart").select("ChargePeriodStart", "ChargePeriodEnd").rows()
    assert found == [
        (datetime(2026, 9, 1), datetime(2026, 9, 1, 1)),  # noqa: DTZ001
        (datetime(2026, 9, 30, 23), datetime(2026, 10, 1)),  # noqa: DTZ001
    ]
    assert loaded.totals == {"USD": Decimal("14.5")}


# (change, rule, column, value)
REJECTED: list[tuple[dict[str, Any], str, str, str | None]] = [
    ({"cost": "ten"}, "not_a_number", "BilledCost", "ten"),
    ({"cost": float("nan")}, "not_a_number", "BilledCost", "NaN"),
    ({"cost": float("inf")}, "not_a_number", "BilledCost", None),
    ({"cost": 1e27}, "not_a_number", "BilledCost", "1e27"),
    ({"cost": {"amount": 1}}, "not_a_number", "BilledCost", '{"amount":1}'),
    ({"cost": ""}, "missing_value", "BilledCost", None),
    ({"currency": " "}, "missing_value", "BillingCurrency", None),
    ({"usage_start_time": "1/9/26"}, "bad_date", "ChargePeriodStart", "1/9/26"),
    ({"usage_end_time": "2026-02-30 00:00:00 UTC"}, "bad_date", "ChargePeriodEnd", "2026-02-30 00:00:00 UTC"),
    ({"usage_end_time": "2026-08-30 00:00:00 UTC"}, "period_ends_before_start", "ChargePeriodEnd", "2026-08-30 00:00:00 UTC"),
    ({"invoice": {"month": "soon"}}, "bad_date", "BillingPeriodStart", "soon"),
    ({"invoice": {}}, "missing_value", "BillingPeriodStart", None),
    ({"invoice": "202609"}, "missing_value", "BillingPeriodStart", None),  # retyped
    ({"cost_type": "surprise"}, "unknown_charge_category", "ChargeCategory", "surprise"),
    ({"cost": None}, "missing_value", "BilledCost", None),
]  # fmt: skip


FLAT = [
    case for case in REJECTED if not ({"invoice"} & set(case[0]) or isinstance(case[0].get("cost"), dict))
]
"""Those that a flattened file can have."""


BAD_ROWS = {"a.jsonl": REJECTED, "a.csv": FLAT}


@pytest.fixture(scope="module")
def bad_rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Loaded]]:
    """File -> two good rows, then one of each that has no meaning."""
    found = {}
    for name, cases in BAD_ROWS.items():
        folder = tmp_path_factory.mktemp("rows")
        rows = [row(), row(), *(row(**change) for change, *_ in cases)]
        if name == "a.csv":
            path = write(folder / "bills" / name, [flat(r) for r in rows])
        else:
            path = write_lines(folder / "bills" / name, rows)
        found[name] = (path, load(KIND, folder / "bills", folder)[SEPTEMBER])
    return found


@pytest.mark.parametrize(
    ("name", "place"), [(f, i) for f, cases in BAD_ROWS.items() for i in range(len(cases))]
)
def test_a_row_without_meaning_is_set_aside_with_its_place(
    bad_rows: dict[str, tuple[Path, Loaded]], name: str, place: int
) -> None:
    path, loaded = bad_rows[name]
    change, rule, column, value = BAD_ROWS[name][place]
    line = place + (4 if name == "a.csv" else 3)
    [issue] = loaded.issues.filter(action="rejected", location=f"{path}:{line}").iter_rows(named=True)
    assert (issue["rule"], issue["column_name"]) == (rule, column)
    if value is not None and name == "a.jsonl":
        assert issue["value"] == value
    assert (issue["billed_cost"] or 0) == (0 if "cost" in change else Decimal("10.5"))


@pytest.mark.parametrize("name", BAD_ROWS)
def test_rows_beside_those_without_meaning_are_kept(
    bad_rows: dict[str, tuple[Path, Loaded]], name: str
) -> None:
    loaded, cases = bad_rows[name][1], BAD_ROWS[name]
    assert (loaded.rows_read, loaded.rows_loaded) == (len(cases) + 2, 2)
    rejected = loaded.issues.filter(action="rejected")
    assert rejected.height == len(cases)
    assert sum(loaded.totals.values()) - rejected["billed_cost"].sum() == facts(loaded)["BilledCost"].sum()


def test_a_credit_that_cannot_be_read_is_set_aside_and_not_lost(tmp_path: Path) -> None:
    bad: list[Any] = ["nonsense", [{"name": "x"}], [5], {"amount": "free"}]
    write_lines(tmp_path / "bills" / "a.jsonl", [row(), *(row(credits=c) for c in bad)])
    loaded = load(KIND, tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert facts(loaded)["BilledCost"].to_list() == [Decimal("10.5")] * 5
    rejected = loaded.issues.filter(action="rejected")
    assert set(rejected.select("rule", "column_name").rows()) == {("not_a_number", "BilledCost")}
    assert [at.rsplit("/", 1)[1] for at in rejected["location"]] == [f"a.jsonl:{n}" for n in range(2, 6)]


def test_currencies_are_never_added(tmp_path: Path) -> None:
    euro = row(currency="EUR", cost=3, credits=[{"name": "c", "amount": -1}])
    write_lines(tmp_path / "bills" / "a.jsonl", [row(), euro])
    assert load(KIND, tmp_path / "bills", tmp_path)[SEPTEMBER].totals == {
        "USD": Decimal("10.5"),
        "EUR": Decimal(2),
    }


def test_hostile_labels_stay_text(tmp_path: Path) -> None:
    labels = [{"key": "a'; DROP TABLE x --", "value": '"}, {"key": "b'}, {"key": "__part", "value": "\\"}]
    write_lines(
        tmp_path / "bills" / "we'ird [x].jsonl", [row(labels=labels, system_labels=[], project={"id": "p"})]
    )
    loaded = load(KIND, tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert json.loads(facts(loaded)["Tags"][0]) == {label["key"]: label["value"] for label in labels}


def refused(tmp: Path, match: str) -> None:
    """Neither listing nor loading gets past the damage, and nothing is left in the work folder."""
    with pytest.raises(SourceError, match=match):
        load(KIND, tmp / "bills", tmp)
    assert not list((tmp / "work").glob("*"))


WHOLE = "".join(json.dumps({**ROW, "cost": n}) + "\n" for n in range(2000)).encode()
PACKED = gzip.compress(WHOLE, mtime=0)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", b"", "is empty"),
        ("a.jsonl", WHOLE[:-20], "damaged|not JSON lines"),
        ("a.jsonl", b"[" + WHOLE.splitlines()[0], "not JSON lines"),
        ("a.jsonl", b'{"cost": 1}\nxyz\n', "mandatory column 'invoice.month' is missing|not JSON lines"),
        ("a.jsonl", b'{"cost": "\xe9"}\n', "UTF-8|damaged"),
        ("a.json.gz", PACKED[: len(PACKED) // 2], "damaged"),
        ("a.json.gz", PACKED[:-8] + b"\0" * 8, "damaged"),
        ("a.parquet", b"PAR1 this is not Parquet", "not a complete|damaged"),
        ("a.csv", b"a,b\n1,2\n", "mandatory column 'invoice.month' is missing; it has: a, b"),
        ("a.csv", b"invoice.month,cost,cost\n202609,1,2\n", "more than once"),
        ("a.csv", b"invoice.month,cost,Cost\n202609,1,2\n", "twice in different spellings"),
        ("a.csv", b"invoice.month,cost\nsoon,1\n", "holds no date"),
        ("notes.txt", b"x", "holds no bill file"),
    ],
)  # fmt: skip
def test_damaged_files_are_refused(name: str, content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / name).write_bytes(content)
    refused(tmp_path, words)


@pytest.mark.parametrize(
    "column", ["cost", "currency", "usage_start_time", "usage_end_time", "billing_account_id"]
)
@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_missing_or_renamed_mandatory_column_is_named(column: str, name: str, tmp_path: Path) -> None:
    native = row()
    native[f"my {column}"] = native.pop(column)
    if name == "a.csv":
        write(tmp_path / "bills" / name, [flat(native)])
    else:
        write_lines(tmp_path / "bills" / name, [native])
    refused(tmp_path, rf"a\.\w+: mandatory column '{column}' is missing; it has: ")


def test_extra_and_reordered_columns_are_fine_and_named(tmp_path: Path) -> None:
    write(tmp_path / "bills" / "a.csv", [dict(reversed(flat(row() | {"brand_new": 1}).items()))])
    loaded = load(KIND, tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert loaded.totals == {"USD": Decimal("10.5")}
    assert "brand_new" in loaded.note


def test_the_same_content_twice_is_refused_and_a_header_without_rows_is_noted(tmp_path: Path) -> None:
    write(tmp_path / "bills" / "a.csv", [flat(row())])
    write(tmp_path / "bills" / "empty.csv", [], header=list(flat(row())))
    assert "empty.csv" in load(KIND, tmp_path / "bills", tmp_path / "first")[SEPTEMBER].note
    write(tmp_path / "bills" / "b.csv", [flat(row())])
    refused(tmp_path, "have the same content")


def nise_lines(path: Path) -> Iterator[tuple[str, Decimal]]:
    """Invoice month and net cost of each raw row, by plain Python."""
    with path.open() as file:
        for line in file:
            raw = json.loads(line, parse_float=Decimal, parse_int=Decimal)
            given = raw["credits"] if isinstance(raw["credits"], list) else [raw["credits"]]
            yield raw["invoice"]["month"], raw["cost"] + sum(c["amount"] for c in given)


def csv_lines(path: Path) -> Iterator[tuple[str, Decimal]]:
    """The same of a flattened CSV."""
    with path.open(newline="") as file:
        for raw in DictReader(file):
            given = eval(raw["credits"], {"__builtins__": {}})  # a Python literal, as pandas wrote it
            yield raw["invoice.month"], Decimal(raw["cost"]) + sum(Decimal(str(c["amount"])) for c in given)


@real
@pytest.mark.parametrize("folder", ["nise/gcp_bigquery_jsonl", "nise/gcp_csv", "koku/gcp"])
def test_real_exports_add_up_to_their_raw_rows(folder: str, tmp_path: Path) -> None:
    expected: dict[str, Decimal] = {}
    rows = 0
    for path in sorted((BILLING / folder).iterdir()):
        for month, net in nise_lines(path) if path.suffix == ".jsonl" else csv_lines(path):
            expected[month] = expected.get(month, Decimal(0)) + net
            rows += 1
    loaded = load(KIND, BILLING / folder, tmp_path)
    assert sum(r.rows_read for r in loaded.values()) == rows
    for start, one in loaded.items():
        assert abs(one.totals["USD"] - expected[f"{start:%Y%m}"]) < Decimal(
            "1e-9"
        )  # raw has up to 16 decimals
        assert facts(one)["BilledCost"].sum() == one.totals["USD"]
        assert one.issues.filter(action="rejected").is_empty()
    assert {f"{m:%Y%m}" for m in loaded} == set(expected)


@real
def test_real_credits_of_a_free_trial(tmp_path: Path) -> None:
    loaded = load(KIND, BILLING / "koku" / "gcp", tmp_path)[date(2020, 11, 1)]
    found = (
        facts(loaded)
        .group_by("ChargeCategory")
        .agg(pl.len(), pl.col("BilledCost").sum())
        .sort("ChargeCategory")
    )
    # six credits of -0.000005 and two of -0.000001 take back all that was charged
    assert found.rows() == [("Credit", 8, Decimal("-0.000032")), ("Usage", 25, Decimal("0.000032"))]


def test_repeated_columns_without_the_mark_of_a_list(tmp_path: Path) -> None:
    """As BigQuery exports them: 10.5 + 100 is billed, 0.5 + 20 + 1 credited."""
    rows = [
        row(cost=10.5, credits=[{"name": "a", "amount": -0.5}], project__labels=[{"key": "env", "value": "dev"}]),
        row(cost=100, credits=[{"name": "b", "amount": -20}, {"name": "c", "amount": -1}], labels=[]),
        row(cost=0),
    ]  # fmt: skip

    def unmarked(records: list[Any]) -> dict[str, Any]:
        return {"list": [{"element": r} for r in records]}

    for native in rows:
        native |= {c: unmarked(native[c]) for c in ("credits", "labels", "system_labels")}
        native["project"]["labels"] = unmarked(native["project"]["labels"])
    path = tmp_path / "bills" / "a.parquet"
    path.parent.mkdir()
    pl.DataFrame(rows).write_parquet(path)
    loaded = load(KIND, path.parent, tmp_path)[SEPTEMBER]
    assert loaded.issues.filter(action="rejected").is_empty()
    assert loaded.totals == {"USD": Decimal("89.0")}
    found = facts(loaded)
    assert sorted(found["BilledCost"]) == [Decimal(c) for c in ("-20", "-1", "-0.5", "0", "10.5", "100")]
    tags = json.loads(found.filter(pl.col("BilledCost") == Decimal("10.5"))["Tags"].item())
    assert tags == {
        "team": "vision", "spot": True, "gcp:project.env": "dev", "gcp:compute.googleapis.com/cores": "8"
    }  # fmt: skip


def test_an_array_of_numpy_has_no_commas_between_its_records(tmp_path: Path) -> None:
    written = "[{'name': 'a', 'amount': -0.5, 'id': None}\n {'name': 'b', 'amount': -1.25, 'id': 'x'}]"
    write(tmp_path / "bills" / "a.csv", [flat(row(cost=4)) | {"credits": written}])
    loaded = load(KIND, tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert sorted(facts(loaded)["BilledCost"]) == [Decimal(c) for c in ("-1.25", "-0.5", "4")]
