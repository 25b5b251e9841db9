"""The same faults in a bill of each kind: a refusal that names the file, or rows counted in quarantine; no money lost."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from connectors.base import Loaded, SourceError
from tests.connectors.azure import rows as azure
from tests.connectors.bills.helpers import CUR_ROW, FOCUS_ROW, counted, csv_bytes, facts, load
from tests.connectors.gcp import rows as gcp
from tests.connectors.oci import rows as oci

pytestmark = pytest.mark.long

Row = dict[str, str]


class Kind(NamedTuple):
    """A row without faults, of some USD, and what its columns are called: nothing where a format has no such column."""

    row: Mapping[str, str]
    cost: str
    currency: str
    category: str
    start: str
    end: str
    month: str
    tags: str
    starts_month: bool = False
    """The start of the charge says the month too."""


def snake(name: str) -> str:
    out = "".join(f"_{c.lower()}" if c.isupper() else c for c in name.replace("/", "_"))
    return out.replace("__", "_")


FOCUS = Kind(
    FOCUS_ROW, "BilledCost", "BillingCurrency", "ChargeCategory", "ChargePeriodStart", "ChargePeriodEnd",
    "BillingPeriodStart", "Tags",
)  # fmt: skip
AWS = Kind(
    CUR_ROW, "lineItem/UnblendedCost", "lineItem/CurrencyCode", "lineItem/LineItemType", "lineItem/UsageStartDate",
    "lineItem/UsageEndDate", "bill/BillingPeriodStartDate", "resourceTags/user:team",
)  # fmt: skip
AWS2 = Kind(
    {snake(k): v for k, v in CUR_ROW.items() if ":" not in k} | {"resource_tags": '{"user_team":"vision"}'},
    snake(AWS.cost), snake(AWS.currency), snake(AWS.category), snake(AWS.start), snake(AWS.end), snake(AWS.month),
    "resource_tags",
)  # fmt: skip
GCP = Kind(
    gcp.flat(gcp.ROW), "cost", "currency", "cost_type", "usage_start_time", "usage_end_time", "invoice.month", "labels"
)  # fmt: skip
OCI = Kind(
    oci.ROW, "cost/myCost", "cost/currencyCode", "", "lineItem/intervalUsageStart", "lineItem/intervalUsageEnd", "",
    "tags/team", starts_month=True,
)  # fmt: skip
AZURE = Kind(azure.ROW, "Cost", "BillingCurrency", "ChargeType", "Date", "", "BillingPeriodStartDate", "Tags")
KINDS = {
    "focus": FOCUS,
    "aws_cur": AWS,
    "aws_cur2": AWS2,
    "gcp_billing_export": GCP,
    "oci_cost_report": OCI,
    "azure_export": AZURE,
}
NAMES = pytest.mark.parametrize("name", KINDS)

# (field, value, rule, FOCUS column); the row's money is in quarantine, or in no sum where it is no number
ROWS: list[tuple[str, str, str, str]] = [
    ("cost", "NaN", "not_a_number", "BilledCost"),
    ("cost", "-Infinity", "not_a_number", "BilledCost"),
    ("cost", "1e30", "not_a_number", "BilledCost"),
    ("cost", "9" * 40, "not_a_number", "BilledCost"),
    ("cost", "12 dollars", "not_a_number", "BilledCost"),
    ("cost", "1,5", "not_a_number", "BilledCost"),
    ("cost", "'; DROP TABLE x; --", "not_a_number", "BilledCost"),
    ("cost", "", "missing_value", "BilledCost"),
    ("currency", "", "missing_value", "BillingCurrency"),
    ("currency", "NULL", "missing_value", "BillingCurrency"),
    ("category", "Surprise", "unknown_charge_category", "ChargeCategory"),
    ("start", "", "missing_value", "ChargePeriodStart"),
    ("start", "yesterday", "bad_date", "ChargePeriodStart"),
    ("start", "2026-09-31T00:00:00Z", "bad_date", "ChargePeriodStart"),
    ("end", "2026-08-01T00:00:00Z", "period_ends_before_start", "ChargePeriodEnd"),
    ("end", "9999-12-31T00:00:00Z", "bad_date", "ChargePeriodEnd"),
    ("end", "1970-01-01T00:00:00Z", "bad_date", "ChargePeriodEnd"),
    ("month", "soon", "bad_date", "BillingPeriodStart"),
]

# (kind, native column, value, rule, FOCUS column) of what only one format has
OWN: list[tuple[str, str, str, str, str]] = [
    ("gcp_billing_export", "invoice.month", "", "missing_value", "BillingPeriodStart"),
    ("gcp_billing_export", "invoice.month", "202613", "bad_date", "BillingPeriodStart"),
    ("gcp_billing_export", "invoice.month", "2026-09-02", "bad_date", "BillingPeriodStart"),
    ("azure_export", "BillingPeriodEndDate", "09/31/2026", "bad_date", "BillingPeriodEnd"),
    ("azure_export", "BillingPeriodEndDate", "01/31/2026", "period_ends_before_start", "BillingPeriodEnd"),
    ("azure_export", "Date", "13/13/2026", "bad_date", "ChargePeriodStart"),
    ("azure_export", "Date", "46000", "bad_date", "ChargePeriodStart"),
]
BAD_ROWS = [
    (name, getattr(kind, field), value, rule, column)
    for name, kind in KINDS.items()
    for field, value, rule, column in ROWS
    if getattr(kind, field)
] + OWN


@pytest.fixture(scope="module")
def bad_rows(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Loaded]]:
    """All faults of a kind in one file, a good row before each bad one."""

    @cache
    def read(name: str) -> tuple[Path, Loaded]:
        folder, kind = tmp_path_factory.mktemp(name), KINDS[name]
        (folder / "b").mkdir()
        bad = [{native: value} for of, native, value, *_ in BAD_ROWS if of == name]
        rows = [dict(kind.row) | change for one in bad for change in ({}, one)]
        (folder / "b" / "a.csv").write_bytes(csv_bytes(rows))
        (loaded,) = load(name, folder / "b", folder).values()
        return folder, loaded

    return read


@pytest.mark.parametrize("place", range(len(BAD_ROWS)), ids=["-".join(case) for case in BAD_ROWS])
def test_a_row_without_meaning_is_counted(place: int, bad_rows: Callable[[str], tuple[Path, Loaded]]) -> None:
    name, native, _, rule, column = BAD_ROWS[place]
    kind = KINDS[name]
    if kind.starts_month and native == kind.start:
        column = "BillingPeriodStart"
    folder, loaded = bad_rows(name)
    line = 3 + 2 * [n for n, case in enumerate(BAD_ROWS) if case[0] == name].index(place)
    rejected = loaded.issues.filter(action="rejected", location=f"{folder / 'b' / 'a.csv'}:{line}")
    (issue,) = rejected.iter_rows(named=True)
    assert (issue["rule"], issue["column_name"], issue["rows"]) == (rule, column, 1)
    lost = Decimal(0) if native == kind.cost else Decimal(kind.row[kind.cost])
    assert (issue["billed_cost"] or 0) == lost


@NAMES
def test_rows_beside_those_without_meaning_are_kept(
    name: str, bad_rows: Callable[[str], tuple[Path, Loaded]]
) -> None:
    kind, (_, loaded) = KINDS[name], bad_rows(name)
    faults = [native for of, native, *_ in BAD_ROWS if of == name]
    cost = Decimal(kind.row[kind.cost])
    assert (loaded.rows_read, loaded.rows_loaded) == (2 * len(faults), len(faults))
    assert loaded.issues.filter(action="rejected")["rows"].sum() == len(faults)
    assert facts(loaded)["BilledCost"].to_list() == [cost] * len(faults)
    assert sum(loaded.totals.values()) == cost * (len(faults) + sum(n != kind.cost for n in faults))


def without(column: str) -> Callable[[Kind], bytes]:
    return lambda kind: csv_bytes([{k: v for k, v in kind.row.items() if k != getattr(kind, column)}])


def renamed(kind: Kind) -> bytes:
    return csv_bytes([{("Kosten" if k == kind.cost else k): v for k, v in kind.row.items()}])


def twice(kind: Kind) -> bytes:
    plain = csv_bytes([dict(kind.row)])
    return plain.replace(f'"{kind.currency}"'.encode(), f'"{kind.cost}"'.encode(), 1)


def zipped(kind: Kind, *names: str, wrong: bool = False, bomb: bool = False) -> bytes:
    """An archive of bills, each but the first with a column more; the first with a wrong checksum, or 320 MB long."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for n, name in enumerate(names or ["a.csv"]):
            content = csv_bytes([dict(kind.row) | {f"x_{i}": "" for i in range(n)}])
            with archive.open(name, "w") as file:
                file.write(content)
                for _ in range(320 * bomb):
                    file.write(b"0" * (1 << 20))
    whole = bytearray(out.getvalue())
    if wrong:
        whole[whole.index(b"PK\x01\x02") + 16] ^= 1
    return bytes(whole)


@cache
def packed(sign: bytes) -> bytes:
    """64 MB of one sign."""
    return gzip.compress(sign * (64 << 20))


def bomb(kind: Kind) -> bytes:
    """64 MB without a line end in 64 kB."""
    return gzip.compress(csv_bytes([dict(kind.row)]).splitlines(keepends=True)[0]) + packed(b"0")


def whole(kind: Kind) -> bytes:
    rows = [dict(kind.row) | {kind.tags: f"x{n}"} for n in range(2000)]
    return gzip.compress(csv_bytes(rows), mtime=0)


def appended(kind: Kind) -> bytes:
    """Two files of the same columns in another order, one after the other."""
    return csv_bytes([dict(kind.row)]) + csv_bytes([dict(reversed(kind.row.items()))])


# name of the file -> what is in it, and words of the refusal
FILES: dict[str, tuple[str, Callable[[Kind], bytes], str]] = {
    "empty": ("a.csv", lambda _: b"", r"a\.csv is empty"),
    "cost_column_missing": ("a.csv", without("cost"), r"a\.csv: mandatory column .* is missing.*; it has"),
    "start_column_missing": ("a.csv", without("start"), r"a\.csv: mandatory column .* is missing"),
    "currency_column_missing": ("a.csv", without("currency"), r"a\.csv: mandatory column .* is missing"),
    "month_column_missing": ("a.csv", without("month"), r"a\.csv: mandatory column .* is missing"),
    "category_column_missing": ("a.csv", without("category"), r"a\.csv: mandatory column .* is missing"),
    "column_renamed": ("a.csv", renamed, r"a\.csv: mandatory column .* is missing.*Kosten"),
    "column_twice": ("a.csv", twice, r"a\.csv: columns .* more than once"),
    "ragged": ("a.csv", lambda k: csv_bytes([dict(k.row)]) + b"1,2,3\n", r"a\.csv cannot be read as a bill"),
    "other_header_within": ("a.csv", appended, r"a\.csv: between its rows stands the header of another file"),
    "open_quote": ("a.csv", lambda k: csv_bytes([dict(k.row)]) + b'"x\n', r"a\.csv"),
    "latin_1": ("a.csv", lambda k: csv_bytes([dict(k.row)]).replace(b"GPU", b"\xe9PU"), r"a\.csv"),
    "utf_16_without_mark": ("a.csv", lambda k: csv_bytes([dict(k.row)]).decode().encode("utf-16-le"), r"a\.csv.*UTF-16"),
    "lines_end_with_cr": ("a.csv", lambda k: csv_bytes([dict(k.row)]).replace(b"\n", b"\r"), "CR alone"),
    "cut_gzip": ("a.csv.gz", lambda k: whole(k)[: len(whole(k)) // 2], r"a\.csv\.gz is (a )?damaged"),
    "wrong_checksum": ("a.csv.gz", lambda k: whole(k)[:-8] + b"\0" * 8, r"a\.csv\.gz is (a )?damaged"),
    "zip_cut": ("a.zip", lambda k: zipped(k)[:-30], r"a\.zip is damaged"),
    "zip_wrong_checksum": ("a.zip", lambda k: zipped(k, wrong=True), r"a\.zip is damaged or cannot be unpacked"),
    "zip_without_a_bill": ("a.zip", lambda k: zipped(k, "bill.pdf"), r"a\.zip holds no bill file .* but bill\.pdf"),
    "zip_of_two_headers": ("a.zip", lambda k: zipped(k, "a.csv", "b.csv"), r"a\.zip: 'a\.csv' and 'b\.csv' in it have different"),
    "bomb_in_zip": ("a.zip", lambda k: zipped(k, bomb=True), r"a\.zip unpacks to more than 250 times its size"),
    "bomb_in_header": ("a.csv.gz", lambda _: packed(b"a"), r"a\.csv\.gz.*first line is longer"),
    "bomb_in_row": ("a.csv.gz", bomb, r"a\.csv\.gz"),
    "no_parquet": ("a.parquet", lambda _: b"PAR1 and nothing PAR1", r"a\.parquet is damaged"),
    "json_array": ("a.csv", lambda _: b'[{"a": 1}]', r"a\.csv"),
}  # fmt: skip

MAY_LACK = {
    ("month_column_missing", "azure_export"),
    ("category_column_missing", "azure_export"),
    ("category_column_missing", "gcp_billing_export"),
}
"""Older exports lack the column, and the others say the same."""
BAD_FILES = [
    pytest.param(name, case, marks=[pytest.mark.long] * case.startswith("bomb"), id=f"{name}-{case}")
    for name, kind in KINDS.items()
    for case in FILES
    if (case, name) not in MAY_LACK and getattr(kind, case.removesuffix("_column_missing"), True)
]


@pytest.mark.parametrize(("name", "case"), BAD_FILES)
def test_a_file_without_meaning_is_refused_by_name_and_nothing_is_left(
    name: str, case: str, tmp_path: Path
) -> None:
    file, content, words = FILES[case]
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / file).write_bytes(content(KINDS[name]))
    with pytest.raises(SourceError, match=words):
        load(name, tmp_path / "b", tmp_path)
    assert not list((tmp_path / "work").glob("*"))


@NAMES
def test_further_columns_and_currencies_and_repeated_rows_lose_nothing(name: str, tmp_path: Path) -> None:
    """Equal rows may be two charges: both count. Currencies are never added."""
    kind = KINDS[name]
    rows = [dict(kind.row) | {"Extra": "1"}] * 2 + [dict(kind.row) | {kind.currency: "EUR", kind.cost: "7"}]
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a.csv").write_bytes(csv_bytes(rows))
    (loaded,) = load(name, tmp_path / "b", tmp_path).values()
    assert loaded.totals == {"USD": 2 * Decimal(kind.row[kind.cost]), "EUR": Decimal(7)}
    assert loaded.rows_loaded == 3


@NAMES
def test_the_header_between_rows_of_files_appended_to_each_other_is_no_charge(
    name: str, tmp_path: Path
) -> None:
    kind = KINDS[name]
    one, other = (csv_bytes([dict(kind.row) | {kind.cost: cost}]) for cost in ("2", "3"))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a.csv").write_bytes(one + b"\xef\xbb\xbf" + other)
    (tmp_path / "b" / "b.csv.gz").write_bytes(gzip.compress(one + one) + gzip.compress(other))
    (loaded,) = load(name, tmp_path / "b", tmp_path).values()
    assert loaded.totals == {"USD": Decimal(2 + 3 + 2 + 2 + 3)}
    assert (loaded.rows_read, loaded.rows_loaded) == (5, 5)
    headers = loaded.issues.filter(rule="repeated_header")
    assert headers.select("action", "location", "rows").rows() == [
        ("flagged", str(tmp_path / "b" / "a.csv"), 1),
        ("flagged", str(tmp_path / "b" / "b.csv.gz"), 2),
    ]
    assert loaded.issues.filter(action="rejected").is_empty()


HOSTILE = ["'; DROP TABLE x; --", "<script>", "=cmd()", "\u202e", "a" * 5000, '"', "\\", "{", "é\n,"]


def tagged(name: str, team: str) -> str:
    """The text of a kind's column of tags."""
    if name in ("aws_cur", "oci_cost_report"):
        return team
    if name == "gcp_billing_export":
        return json.dumps([{"key": "team", "value": team}])
    return json.dumps({"team": team})


@NAMES
def test_hostile_tags_are_kept_as_they_are(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    (tmp_path / "b").mkdir()
    rows = [dict(kind.row) | {kind.tags: tagged(name, t)} for t in HOSTILE]
    (tmp_path / "b" / "a.csv").write_bytes(csv_bytes(rows))
    (loaded,) = load(name, tmp_path / "b", tmp_path).values()
    assert [json.loads(t)["team"] for t in facts(loaded)["Tags"]] == HOSTILE
    assert loaded.issues.filter(action="rejected").is_empty()


@pytest.mark.parametrize("name", ["focus", "aws_cur2", "gcp_billing_export", "azure_export"])
def test_tags_that_are_no_object_are_dropped_and_counted(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    (tmp_path / "b").mkdir()
    rows = [dict(kind.row) | {kind.tags: tags} for tags in ('{"team": "x"', "team=x", "[1]", '"x"')]
    (tmp_path / "b" / "a.csv").write_bytes(csv_bytes(rows))
    (loaded,) = load(name, tmp_path / "b", tmp_path).values()
    # of Google, labels of the project and of the system are tags, too
    others = (
        {"gcp:project.env": "prod", "gcp:compute.googleapis.com/cores": "8"}
        if name.startswith("gcp")
        else None
    )
    assert [t and json.loads(t) for t in facts(loaded)["Tags"]] == [others] * 4
    assert counted(loaded)["repaired", "malformed_tags", "Tags"] == 4
