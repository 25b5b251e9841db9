"""OCI cost reports: columns, corrections, tags, and everything that may be wrong with them."""

from __future__ import annotations

import gzip
import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.base import Loaded, SourceError
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
from tests.connectors.oci.rows import october, row

KIND = "oci_cost_report"
SEPTEMBER, OCTOBER = date(2026, 9, 1), date(2026, 10, 1)
at = datetime.fromisoformat


def test_usage(tmp_path: Path) -> None:
    write(tmp_path / "bills" / "a.csv.gz", [row()])
    loaded = load(KIND, tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert counted(loaded) == {("flagged", "missing_mandatory", "ListCost"): 1}
    assert {k: v for k, v in facts(loaded).row(0, named=True).items() if v is not None} == {
        "AvailabilityZone": "AD-1",
        "BilledCost": Decimal(32),
        "BillingAccountId": "ocid1.tenancy.1",
        "BillingCurrency": "USD",
        "BillingPeriodEnd": at("2026-10-01"),
        "BillingPeriodStart": at("2026-09-01"),
        "ChargeCategory": "Usage",
        "ChargeDescription": "GPU - A100",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": at("2026-09-01T01:00"),
        "ChargePeriodStart": at("2026-09-01"),
        "ContractedCost": Decimal(32),
        "ContractedUnitPrice": Decimal(4),
        "EffectiveCost": Decimal(32),
        "HostProviderName": "Oracle",
        "InvoiceIssuerName": "Oracle",
        "PricingCategory": "Standard",
        "PricingQuantity": Decimal(8),
        "PricingUnit": "GPU HOURS",
        "ProviderName": "Oracle",
        "RegionId": "eu-frankfurt-1",
        "ResourceId": "ocid1.instance.1",
        "ResourceType": "instance",
        "ServiceCategory": "Compute",
        "ServiceName": "COMPUTE",
        "ServiceProviderName": "Oracle",
        "SkuId": "B95907",
        "SkuMeter": "GPU - A100",
        "SubAccountId": "ocid1.compartment.1",
        "SubAccountName": "vision",
        "Tags": '{"team":"vision"}',
        "x_billing_month": SEPTEMBER,
        "x_cost_kind": "direct",
        "x_source": "bills",
        "x_tier": "cloud",
    }


def test_corrections_of_an_earlier_month_are_corrections(tmp_path: Path) -> None:
    fix = {"lineItem__isCorrection": "true", "lineItem__backreferenceNo": "ref-1", "cost__myCost": "-2"}
    write(tmp_path / "bills" / "a-00001.csv.gz", [row(), row(**fix, product__Description="same month")])
    write(
        tmp_path / "bills" / "b-00001.csv.gz",
        [october(), row(**fix), october(**fix), row(**fix | {"lineItem__backreferenceNo": ""})],
    )
    loaded = load(KIND, tmp_path / "bills", tmp_path)
    assert loaded[SEPTEMBER].totals == {"USD": Decimal(26)}  # 32 - 2 - 2 - 2
    assert loaded[OCTOBER].totals == {"USD": Decimal(30)}
    assert facts(loaded[SEPTEMBER])["ChargeClass"].to_list() == [None, None, "Correction", None]
    assert facts(loaded[OCTOBER])["ChargeClass"].to_list() == [None, None]


def test_late_rows_change_only_their_month(tmp_path: Path) -> None:
    def prints() -> dict[date, str]:
        return {s.period: s.fingerprint for s in reader(KIND, tmp_path / "bills", tmp_path).slices(WINDOW)}

    write(tmp_path / "bills" / "a-00001.csv.gz", [row()])
    write(tmp_path / "bills" / "b-00001.csv.gz", [october()])
    first = prints()
    write(tmp_path / "bills" / "c-00001.csv.gz", [october(cost__myCost="1")])
    second = prints()
    assert (second[SEPTEMBER] == first[SEPTEMBER], second[OCTOBER] != first[OCTOBER]) == (True, True)


def test_models_are_apis_and_services_have_categories(tmp_path: Path) -> None:
    rows = [
        row(product__service="GENERATIVE_AI", product__Description="OCI Generative AI - Cohere Command"),
        row(product__service="OBJECTSTORE", product__Description="Storage"),
        row(product__service="NEW_THING", product__Description="x"),
    ]
    write(tmp_path / "bills" / "a.csv", rows)
    found = facts(load(KIND, tmp_path / "bills", tmp_path)[SEPTEMBER])
    assert found["x_tier"].to_list() == ["api", "cloud", "cloud"]
    assert found["ServiceCategory"].to_list() == ["AI and Machine Learning", "Storage", "Other"]


def test_tags_whatever_they_contain(tmp_path: Path) -> None:
    tags = {
        "tags/it's": 'a "b",\n c\\',
        "tags/Team": "other case",
        "tags/team": "NULL",
        "tags/x.y": "é",
        "tags/e": "",
    }
    write(tmp_path / "bills" / "a.csv", [row() | tags, row(tags__team="")])
    first, second = facts(load(KIND, tmp_path / "bills", tmp_path)[SEPTEMBER])["Tags"]
    assert json.loads(first) == {"it's": 'a "b",\n c\\', "Team": "other case", "team": "NULL", "x.y": "é"}
    assert second is None


def test_reports_of_other_columns_are_united_and_extra_ones_named(tmp_path: Path) -> None:
    write(tmp_path / "bills" / "a.csv", [row()])
    write(
        tmp_path / "bills" / "b.csv", [dict(reversed(row(tags__new="x", cost__attributedCost="1").items()))]
    )
    loaded = load(KIND, tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert loaded.totals == {"USD": Decimal(64)}
    assert "cost/attributedCost" in loaded.note


def test_usage_and_focus_reports_of_the_bucket_are_left_alone(tmp_path: Path) -> None:
    bucket = tmp_path / "bills" / "reports"
    write(bucket / "cost-csv" / "1-00001.csv.gz", [row()])
    write(bucket / "usage-csv" / "1-00001.csv.gz", [{"lineItem/referenceNo": "1"}])
    write(tmp_path / "bills" / "FOCUS Reports" / "2026" / "1.csv.gz", [focus()])
    assert load(KIND, tmp_path / "bills", tmp_path)[SEPTEMBER].totals == {"USD": Decimal(32)}
    (bucket / "cost-csv" / "1-00001.csv.gz").unlink()
    with pytest.raises(SourceError, match="no cost report"):
        reader(KIND, tmp_path / "bills", tmp_path).check()


def test_focus_reports_are_sent_to_their_kind(tmp_path: Path) -> None:
    write(tmp_path / "bills" / "a.csv", [focus()])
    with pytest.raises(SourceError, match=r"FOCUS report.*kind `focus`"):
        reader(KIND, tmp_path / "bills", tmp_path).slices(WINDOW)


def test_currencies_are_never_added(tmp_path: Path) -> None:
    write(tmp_path / "bills" / "a.csv", [row(), row(cost__currencyCode="EUR", cost__myCost="9")])
    assert load(KIND, tmp_path / "bills", tmp_path)[SEPTEMBER].totals == {
        "USD": Decimal(32),
        "EUR": Decimal(9),
    }


# (change, rule, column, value)
REJECTED = [
    ({"cost__myCost": "ten"}, "not_a_number", "BilledCost", "ten"),
    ({"cost__myCost": "NaN"}, "not_a_number", "BilledCost", "NaN"),
    ({"cost__myCost": "-inf"}, "not_a_number", "BilledCost", "-inf"),
    ({"cost__myCost": "1e30"}, "not_a_number", "BilledCost", "1e30"),
    ({"cost__myCost": ""}, "missing_value", "BilledCost", None),
    ({"cost__myCost": "N/A"}, "missing_value", "BilledCost", None),
    ({"cost__currencyCode": ""}, "missing_value", "BillingCurrency", None),
    ({"lineItem__intervalUsageStart": "1/9/26"}, "bad_date", "BillingPeriodStart", "1/9/26"),
    ({"lineItem__intervalUsageStart": ""}, "missing_value", "BillingPeriodStart", None),
    ({"lineItem__intervalUsageEnd": "2026-02-30T00:00Z"}, "bad_date", "ChargePeriodEnd", "2026-02-30T00:00Z"),
    ({"lineItem__intervalUsageEnd": ""}, "missing_value", "ChargePeriodEnd", None),
    ({"lineItem__intervalUsageEnd": "2026-08-30T00:00Z"}, "period_ends_before_start", "ChargePeriodEnd", "2026-08-30T00:00Z"),
]  # fmt: skip


@pytest.fixture(scope="module")
def rejected(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Loaded]:
    """Two good rows, then one of each that has no meaning."""
    folder = tmp_path_factory.mktemp("rows")
    path = write(folder / "bills" / "a.csv", [row(), row(), *(row(**change) for change, *_ in REJECTED)])
    return path, load(KIND, folder / "bills", folder)[SEPTEMBER]


@pytest.mark.parametrize("place", range(len(REJECTED)))
def test_a_row_without_meaning_is_set_aside_with_its_place(rejected: tuple[Path, Loaded], place: int) -> None:
    path, loaded = rejected
    is_set_aside(path, loaded, REJECTED[place], place + 4, 32)


def test_rows_beside_those_without_meaning_are_kept(rejected: tuple[Path, Loaded]) -> None:
    all_but_bad_are_kept(rejected[1], len(REJECTED), 64)


WHOLE = gzip.compress(csv_bytes([row(lineItem__referenceNo=str(n)) for n in range(3000)]), mtime=0)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv.gz", b"", "is empty"),
        ("a.csv.gz", WHOLE[: len(WHOLE) // 2], "damaged"),
        ("a.csv.gz", WHOLE[:-8] + b"\0" * 8, "damaged"),
        ("a.csv", csv_bytes([row()]) + b"1,2\n", "Expected Number of Columns"),
        ("a.csv", csv_bytes([row()]) + b'"open\n', "unterminated quote|damaged"),
        ("a.csv", b"a,b\n1,2\n", "mandatory column 'lineItem/intervalUsageStart' is missing; it has: a, b"),
        ("a.csv", b"lineItem/intervalUsageStart,x,x\n2026-09-01,,\n", "more than once"),
        ("a.csv", csv_bytes([row() | {"cost/mycost": "1"}]), "twice in different spellings"),
        ("a.csv", csv_bytes([row(lineItem__intervalUsageStart="soon")]), "holds no date"),
        ("a.txt", b"x", "holds no bill file"),
    ],
)  # fmt: skip
def test_damaged_files_are_refused(name: str, content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / name).write_bytes(content)
    with pytest.raises(SourceError, match=words):
        load(KIND, tmp_path / "bills", tmp_path)
    assert not list((tmp_path / "work").glob("*"))


@pytest.mark.parametrize(
    "column", ["cost/myCost", "cost/currencyCode", "lineItem/intervalUsageEnd", "lineItem/tenantId"]
)
def test_missing_mandatory_column_is_named(column: str, tmp_path: Path) -> None:
    native = row()
    native[f"my {column}"] = native.pop(column)
    write(tmp_path / "bills" / "a.csv", [native])
    with pytest.raises(SourceError, match=rf"a\.csv: mandatory column '{column}' is missing; it has: "):
        load(KIND, tmp_path / "bills", tmp_path)


def test_same_content_twice_and_header_only(tmp_path: Path) -> None:
    write(tmp_path / "bills" / "empty.csv", [], header=list(row()))
    source = reader(KIND, tmp_path / "bills", tmp_path)
    assert source.slices(WINDOW) == []
    write(tmp_path / "bills" / "a.csv", [row()])
    assert "empty.csv" in load(KIND, tmp_path / "bills", tmp_path)[SEPTEMBER].note
    write(tmp_path / "bills" / "b.csv", [row()])
    with pytest.raises(SourceError, match="have the same content"):
        source.slices(WINDOW)
