"""Azure export containers: the newest run only, actual beside amortized, and everything that may be wrong."""

from __future__ import annotations

import gzip
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.azure.columns import parse_azure_month
from connectors.base import Loaded, SourceError, require_ready
from tests.connectors.azure.rows import row, run_export
from tests.connectors.bills.helpers import (
    WINDOW,
    all_but_bad_are_kept,
    counted,
    csv_bytes,
    facts,
    focus,
    is_set_aside,
    load,
    reader,
    write,
)

KIND = "azure_export"
SEPTEMBER, OCTOBER = date(2026, 9, 1), date(2026, 10, 1)
MONTH = "exports/daily/20260901-20260930"
GUIDS = ("11111111-2222-3333-4444-555555555555", "66666666-7777-8888-9999-000000000000")

RI = {"PricingModel": "Reservation", "ReservationId": "R-1"}
BOUGHT = row(**RI, ChargeType="Purchase", Frequency="Recurring", Cost="30")
COVERED = row(**RI, Cost="0")
COVERED_AMORTIZED = row(**RI, Cost="21")
UNUSED = row(**RI, ChargeType="UnusedReservation", Cost="9")


def total(tmp: Path, **options: str) -> Decimal:
    """What September costs in USD."""
    return load(KIND, tmp / "bills", tmp, **options)[SEPTEMBER].totals["USD"]


def test_only_blobs_that_the_manifest_lists_count(tmp_path: Path) -> None:
    files = {"part_0_0001.csv": [row()], "part_1_0001.csv.gz": [row(Cost="5")]}
    run_export(tmp_path / "bills", f"{MONTH}/202609100100/{GUIDS[0]}", files)
    write(tmp_path / "bills" / MONTH / "202609100100" / GUIDS[0] / "part_2_0001.csv", [row(Cost="100")])
    write(tmp_path / "bills" / "stray.csv", [row(Cost="1000")])
    assert total(tmp_path) == Decimal(15)


@pytest.mark.parametrize("by", ["folder", "submitted"])
def test_only_the_newest_run_of_a_month_counts(by: str, tmp_path: Path) -> None:
    days = {"202609080100": "1", "202609100100": "3", "202609090100": "2"}
    for guid, (stamp, cost) in enumerate(days.items()):
        folder = f"{MONTH}/{stamp}/g{guid}" if by == "folder" else f"{MONTH}/g{guid}"
        submitted = f"2026-09-{stamp[6:8]}T01:00:00.1234567Z" if by == "submitted" else ""
        run_export(tmp_path / "bills", folder, {"a.csv": [row(Cost=cost)]}, submitted=submitted)
    run_export(
        tmp_path / "bills",
        "exports/daily/20261001-20261031/202610010100/x",
        {"a.csv": [row(Cost="7", BillingPeriodStartDate="10/01/2026")]},
    )
    loaded = load(KIND, tmp_path / "bills", tmp_path)
    assert {m: r.totals["USD"] for m, r in loaded.items()} == {SEPTEMBER: Decimal(3), OCTOBER: Decimal(7)}
    assert loaded[SEPTEMBER].rows_read == 1
    assert "final" not in loaded[SEPTEMBER].note  # Azure marks no month as final


def test_a_new_run_changes_the_fingerprint_of_its_month_only(tmp_path: Path) -> None:
    def prints() -> dict[date, str]:
        return {s.period: s.fingerprint for s in reader(KIND, tmp_path / "bills", tmp_path).slices(WINDOW)}

    run_export(tmp_path / "bills", f"{MONTH}/202609080100/a", {"a.csv": [row()]})
    run_export(
        tmp_path / "bills",
        "exports/daily/20261001-20261031/202610010100/x",
        {"a.csv": [row(BillingPeriodStartDate="10/01/2026")]},
    )
    first = prints()
    assert prints() == first
    run_export(tmp_path / "bills", f"{MONTH}/202609090100/b", {"a.csv": [row(Cost="11")]})
    second = prints()
    assert (second[SEPTEMBER] != first[SEPTEMBER], second[OCTOBER] == first[OCTOBER]) == (True, True)


def test_runs_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    for name in "ab":
        run_export(tmp_path / "bills", f"{MONTH}/{name}", {"a.csv": [row(Cost=f"{ord(name)}")]})
    with pytest.raises(SourceError, match=r"2 runs of the same scope, type and month.*keep the newest"):
        reader(KIND, tmp_path / "bills", tmp_path).slices(WINDOW)


def test_of_two_exports_of_one_scope_the_newest_run_counts(tmp_path: Path) -> None:
    """The month to date until September 30th, and since October 4th the closed month from an export of its own."""

    def run(export: str, at: str, cost: str) -> None:
        run_export(
            tmp_path / "bills", f"{export}/20260901-20260930/{at}/x", {"a.csv": [row(Cost=cost)]},
            dataset="ActualCost", scope="/subscriptions/1",
        )  # fmt: skip

    run("month-to-date", "202609300100", "3")
    run("closed-month", "202610040100", "5")
    assert total(tmp_path) == Decimal(5)
    run("third", "202610040100", "7")
    with pytest.raises(SourceError, match=r"same scope, type and month.*every charge would count twice"):
        reader(KIND, tmp_path / "bills", tmp_path).slices(WINDOW)


def test_two_scopes_are_one_month(tmp_path: Path) -> None:
    for n in (1, 2):
        run_export(
            tmp_path / "bills", f"e{n}/20260901-20260930/202609080100/x", {"a.csv": [row(Cost=str(n))]},
            dataset="ActualCost", scope=f"/subscriptions/{n}",
        )  # fmt: skip
    assert total(tmp_path) == Decimal(3)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ("{}", "is damaged.*blobs"),
        ('{"blobs": [{}]}', "is damaged.*blobName"),
        ('{"blobs": []}', "names no blob"),
        ('{"blobs": [{"blobName": "x/gone.csv"}]}', "names x/gone.csv, which is not there yet"),
        ('{"blobs": [{"blobName": "a.csv"}], "exportConfig": {"type": "FocusCost"}}', "kind `focus`"),
        ('{"blobs": [{"blobName": "a.csv"}], "exportConfig": {"type": "PriceSheet"}}', "'pricesheet'"),
    ],
)
def test_damaged_manifests_and_runs_not_ready(content: str, words: str, tmp_path: Path) -> None:
    run_export(tmp_path / "bills", f"{MONTH}/202609080100/x", {"a.csv": [row()]}).write_text(content)
    with pytest.raises(SourceError, match=words):
        require_ready(reader(KIND, tmp_path / "bills", tmp_path).slices(WINDOW))
    with pytest.raises(SourceError, match=words):
        reader(KIND, tmp_path / "bills", tmp_path).check()


def test_old_exports_that_add_a_file_a_run_are_refused(tmp_path: Path) -> None:
    for n, guid in enumerate(GUIDS):
        write(tmp_path / "bills" / MONTH / f"daily_{guid}.csv", [row(Cost=str(n))])
    with pytest.raises(SourceError, match=r"runs of one export for 2026-09.*keep the newest"):
        total(tmp_path)
    (tmp_path / "bills" / MONTH / f"daily_{GUIDS[0]}.csv").unlink()
    assert total(tmp_path) == Decimal(1)


def both(root: Path) -> None:
    """A month of both exports: 30 for a reservation, of which 21 are used and 9 not, and 10 on demand."""
    run_export(
        root,
        "c/actual/20260901-20260930/202609300100/a",
        {"a.csv": [BOUGHT, COVERED, row()]},
        dataset="ActualCost",
    )
    run_export(
        root,
        "c/amort/20260901-20260930/202609300100/b",
        {"a.csv": [COVERED_AMORTIZED, UNUSED, row()]},
        dataset="AmortizedCost",
    )


def test_actual_beside_amortized_bills_the_one_and_amortizes_by_the_other(tmp_path: Path) -> None:
    both(tmp_path / "bills")
    loaded = load(KIND, tmp_path / "bills", tmp_path)[SEPTEMBER]
    found = facts(loaded).sort("BilledCost", "EffectiveCost", descending=True)
    assert found.select("BilledCost", "EffectiveCost", "ChargeCategory").rows() == [
        (Decimal(30), Decimal(0), "Purchase"),
        (Decimal(10), Decimal(10), "Usage"),
        (Decimal(0), Decimal(21), "Usage"),
        (Decimal(0), Decimal(9), "Usage"),
    ]
    assert loaded.totals == {"USD": Decimal(40)}  # the actual export: 30 + 0 + 10
    assert found["EffectiveCost"].sum() == Decimal(40)  # the amortized one: 21 + 9 + 10
    assert (loaded.rows_read, loaded.rows_loaded) == (6, 4)
    assert counted(loaded)["flagged", "in_both_exports", "BilledCost"] == 2
    assert "exports_disagree" not in loaded.issues["rule"].to_list()


def test_exports_that_disagree_say_so(tmp_path: Path) -> None:
    both(tmp_path / "bills")
    run_export(
        tmp_path / "bills",
        "c/amort/20260901-20260930/202610010100/b",
        {"a.csv": [UNUSED, row(Cost="12")]},
        dataset="AmortizedCost",
    )
    loaded = load(KIND, tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert facts(loaded)["EffectiveCost"].sum() == Decimal(19)  # 9 unused + 10 of the actual export
    (issue,) = loaded.issues.filter(rule="exports_disagree").to_dicts()
    assert issue["value"] == "actual - amortized: -2.000000000000 USD"


@pytest.mark.parametrize(("dataset", "billed", "effective"), [("actual", 40, 10), ("amortized", 10, 40)])
def test_one_of_two_exports_can_be_chosen(dataset: str, billed: int, effective: int, tmp_path: Path) -> None:
    both(tmp_path / "bills")
    loaded = load(KIND, tmp_path / "bills", tmp_path, dataset=dataset)[SEPTEMBER]
    assert loaded.totals == {"USD": Decimal(billed)}
    assert facts(loaded).select("BilledCost", "EffectiveCost").sum().row(0) == (
        Decimal(billed),
        Decimal(effective),
    )
    assert ("amortized export only" in loaded.note) == (dataset == "amortized")


def test_a_month_with_one_of_the_exports_keeps_all_its_rows(tmp_path: Path) -> None:
    both(tmp_path / "bills")
    october = row(BillingPeriodStartDate="10/01/2026", BillingPeriodEndDate="10/31/2026", Date="10/02/2026")
    run_export(
        tmp_path / "bills",
        "c/actual/20261001-20261031/202610100100/a",
        {"a.csv": [october, october | COVERED | {"BillingPeriodStartDate": "10/01/2026"}]},
        dataset="ActualCost",
    )
    loaded = load(KIND, tmp_path / "bills", tmp_path)
    assert (loaded[OCTOBER].rows_loaded, loaded[OCTOBER].totals) == (2, {"USD": Decimal(10)})
    assert loaded[SEPTEMBER].totals == {"USD": Decimal(40)}


def test_names_tell_the_dataset_and_what_says_nothing_beside_amortized_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "bills" / "actual" / "a.csv", [BOUGHT, COVERED, row()])
    write(tmp_path / "bills" / "AmortisedCost" / "a.csv", [COVERED_AMORTIZED, UNUSED, row()])
    assert total(tmp_path) == Decimal(40)
    (tmp_path / "bills" / "actual").rename(tmp_path / "bills" / "daily")
    with pytest.raises(SourceError, match=r"nothing tells of which.*set `dataset`"):
        reader(KIND, tmp_path / "bills", tmp_path).slices(WINDOW)
    assert total(tmp_path, dataset="actual") == Decimal(40)
    (tmp_path / "bills" / "daily" / "a.csv").unlink()
    with pytest.raises(SourceError, match="holds no file of dataset 'actual'"):
        reader(KIND, tmp_path / "bills", tmp_path, dataset="actual").slices(WINDOW)


def test_both_exports_that_only_their_rows_tell_apart_are_refused(tmp_path: Path) -> None:
    """Else the on-demand 10 would count twice: 30 + 10 + 10."""
    write(tmp_path / "bills" / "a.csv", [BOUGHT, COVERED, row()])
    write(tmp_path / "bills" / "b.csv", [COVERED_AMORTIZED, UNUSED, row()])
    with pytest.raises(SourceError, match=r"b\.csv is of the amortized export .*a\.csv of the actual one"):
        total(tmp_path)
    write(tmp_path / "bills" / "b.csv", [row(Cost="7")])
    assert total(tmp_path) == Decimal(47)


@pytest.mark.parametrize("period", [True, False])
def test_dates_that_were_written_anew_as_day_month_year(period: bool, tmp_path: Path) -> None:
    """03/09 alone would be 9 March; 25/09 proves that it is 3 September."""
    rows = [row(Date=d, BillingPeriodStartDate="01/09/2026", BillingPeriodEndDate="30/09/2026") for d in ("03/09/2026", "25/09/2026")]  # fmt: skip
    for native in rows if not period else []:
        del native["BillingPeriodStartDate"], native["BillingPeriodEndDate"]
    write(tmp_path / "bills" / "a.csv", rows)
    (loaded,) = load(KIND, tmp_path / "bills", tmp_path).values()
    assert (loaded.slice.period, loaded.totals) == (SEPTEMBER, {"USD": Decimal(20)})
    assert facts(loaded)["ChargePeriodStart"].dt.day().to_list() == [3, 25]
    assert "dates read as day/month/year: a.csv" in loaded.note


def test_covered_usage_that_an_actual_export_does_bill_stays_billed(tmp_path: Path) -> None:
    write(tmp_path / "bills" / "actual" / "a.csv", [row(**RI, Cost="2")])
    found = facts(load(KIND, tmp_path / "bills", tmp_path)[SEPTEMBER])
    assert found.select("BilledCost", "EffectiveCost").row(0) == (Decimal(2), Decimal(2))


def test_focus_exports_are_sent_to_their_kind(tmp_path: Path) -> None:
    write(tmp_path / "bills" / "a.csv", [focus()])
    with pytest.raises(SourceError, match=r"a\.csv is a FOCUS export .*kind `focus`"):
        reader(KIND, tmp_path / "bills", tmp_path).slices(WINDOW)


def test_currencies_are_never_added(tmp_path: Path) -> None:
    write(tmp_path / "bills" / "a.csv", [row(), row(BillingCurrency="EUR", Cost="9"), row(Cost="0.5")])
    assert load(KIND, tmp_path / "bills", tmp_path)[SEPTEMBER].totals == {
        "USD": Decimal("10.5"),
        "EUR": Decimal(9),
    }


@pytest.mark.parametrize(
    ("text", "month"),
    [
        ("09/01/2026", SEPTEMBER), ("9/1/2026", SEPTEMBER), ("2026-09-30", SEPTEMBER), ("2026-09-01T00:00:00Z", SEPTEMBER),
        ("30/09/2026", None), ("soon", None), ("", None), (None, None),
    ],
)  # fmt: skip
def test_months(text: str | None, month: date | None) -> None:
    assert parse_azure_month(text) == month


# (change, rule, column, value)
REJECTED = [
    ({"Cost": "ten"}, "not_a_number", "BilledCost", "ten"),
    ({"Cost": "1,5"}, "not_a_number", "BilledCost", "1,5"),
    ({"Cost": "NaN"}, "not_a_number", "BilledCost", "NaN"),
    ({"Cost": "1e30"}, "not_a_number", "BilledCost", "1e30"),
    ({"Cost": ""}, "missing_value", "BilledCost", None),
    ({"Cost": "NULL"}, "missing_value", "BilledCost", None),
    (RI | {"Cost": "ten"}, "not_a_number", "BilledCost", "ten"),
    ({"BillingCurrency": ""}, "missing_value", "BillingCurrency", None),
    ({"Date": "30/09/2026"}, "bad_date", "ChargePeriodStart", "2026-30-09"),
    ({"Date": "soon"}, "bad_date", "ChargePeriodStart", "soon"),
    ({"Date": ""}, "missing_value", "ChargePeriodStart", None),
    ({"BillingPeriodStartDate": "soon"}, "bad_date", "BillingPeriodStart", "soon"),
    ({"BillingPeriodEndDate": "soon"}, "bad_date", "BillingPeriodEnd", "soon"),
    (
        {"BillingPeriodEndDate": "08/15/2026"},
        "period_ends_before_start",
        "BillingPeriodEnd",
        "2026-08-16 00:00:00",
    ),
    ({"ChargeType": "Surprise"}, "unknown_charge_category", "ChargeCategory", "Surprise"),
]


@pytest.fixture(scope="module")
def rejected(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Loaded]:
    """Two good rows, then one of each that has no meaning."""
    folder = tmp_path_factory.mktemp("rows")
    rows = [row(), row(Product="a\nb"), *(row(**change) for change, *_ in REJECTED)]
    path = write(folder / "bills" / "we'ird [x].csv", rows)
    return path, load(KIND, folder / "bills", folder)[SEPTEMBER]


@pytest.mark.parametrize("place", range(len(REJECTED)))
def test_a_row_without_meaning_is_set_aside_with_its_place(rejected: tuple[Path, Loaded], place: int) -> None:
    path, loaded = rejected
    is_set_aside(path, loaded, REJECTED[place], place + 4, 10)


def test_rows_beside_those_without_meaning_are_kept(rejected: tuple[Path, Loaded]) -> None:
    all_but_bad_are_kept(rejected[1], len(REJECTED), 20)


WHOLE = gzip.compress(csv_bytes([row(Product=str(n)) for n in range(3000)]), mtime=0)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv.gz", WHOLE[: len(WHOLE) // 2], "damaged"),
        ("a.csv.gz", WHOLE[:-8] + b"\0" * 8, "damaged"),
        ("a.csv", csv_bytes([row()]) + b"1,2\n", "Expected Number of Columns"),
        ("a.csv", csv_bytes([row()]) + b'"open\n', "unterminated quote|damaged"),
        ("a.csv", csv_bytes([row(Product="é")]).replace("é".encode(), b"\xe9"), "UTF-8"),
        ("a.csv", b"a,b\n1,2\n", "mandatory column 'Date' is missing"),
        ("a.csv", b"Date;Cost\n09/01/2026;1,5\n", "mandatory column 'BillingCurrency' is missing"),
        ("a.csv", b"Date;Cost,Tags\n01.09.2026;1,5\n", "may be separated by ',' or ';'"),
        ("a.csv", b"Date,Tags,Tags\n09/01/2026,,\n", "more than once"),
        ("a.csv", csv_bytes([row() | {"cost ": "1"}]), "twice in different spellings"),
        ("a.csv", csv_bytes([row(Date="soon", BillingPeriodStartDate="")]), "holds no date"),
        ("a.parquet", b"PAR1 this is not Parquet", "not a complete|damaged"),
        ("a.xlsx", b"x", "holds no bill file"),
    ],
)  # fmt: skip
def test_damaged_files_are_refused(name: str, content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / name).write_bytes(content)
    with pytest.raises(SourceError, match=words):
        load(KIND, tmp_path / "bills", tmp_path)
    assert not list((tmp_path / "work").glob("*"))


@pytest.mark.parametrize("column", ["Cost", "BillingCurrency", "Date"])
def test_missing_mandatory_column_is_named_with_its_spellings(column: str, tmp_path: Path) -> None:
    native = row()
    native[f"my {column}"] = native.pop(column)
    write(tmp_path / "bills" / "a.csv", [native])
    with pytest.raises(
        SourceError, match=rf"a\.csv: mandatory column '{column}' is missing \(also known as "
    ):
        load(KIND, tmp_path / "bills", tmp_path)


def test_same_content_twice_header_only_and_extra_columns(tmp_path: Path) -> None:
    write(tmp_path / "bills" / "empty.csv", [], header=list(row()))
    source = reader(KIND, tmp_path / "bills", tmp_path)
    assert source.slices(WINDOW) == []
    assert "no rows" in source.check()
    write(tmp_path / "bills" / "a.csv", [row(brandNew="x"), row(brandNew="x")])
    loaded = load(KIND, tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert (loaded.totals, "brandNew" in loaded.note, "empty.csv" in loaded.note) == (
        {"USD": Decimal(20)},
        True,
        True,
    )
    write(tmp_path / "bills" / "b.csv", [row(brandNew="x"), row(brandNew="x")])
    with pytest.raises(SourceError, match="have the same content"):
        source.slices(WINDOW)
