"""FOCUS files of the published ledger: columns, types, totals, hostile content, warnings; the carried-away warehouse."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pytest

from models import focus
from tests.connectors.bills.helpers import focus as focus_row
from tests.connectors.bills.helpers import write
from tests.pipelines import small

pytestmark = pytest.mark.long

SOURCE = "sites"
"""The name that comes nearest to where owned hardware is written."""

TAGS = {
    "team": 'vi"sion',
    "=cmd|' /C calc'!A0": "a,b;c",
    "line": "one\ntwo\r\nthree",
    "note": "back\\slash, ünï\u2028cødé, 'single'",
    "digits": "000412",
}
UNITS = {
    "Hrs": "Hours",
    "GB-Mo": "GB-Months",
    "1K tokens": "1000 tokens",
    "kWh": "kWh",
    "vCPU-hours": "vCPU-Hours",
    "10K": "10000 Units",
    "1/Month": "Units/Month",
    "1 Hour": "Hours",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two months of charges and content that is hostile to CSV, published."""
    folder = tmp_path_factory.mktemp("export")
    config = f"data_dir: ./data\nsources:\n  {SOURCE}: {{kind: focus, location: ./bills}}\n"
    small.write_site(folder, config)
    hostile = small.row("7", small.OCTOBER, 5, json.dumps(TAGS))
    units = [small.row("1", small.OCTOBER, 6 + n).replace(",Hours,", f",{u},") for n, u in enumerate(UNITS)]
    small.write_bill(folder, "2026-10", [*small.OCTOBER_ROWS, hostile, *units, small.OCTOBER_ROWS[0]])
    done = small.tierwise("run", "--config", folder / "tierwise.yaml", "--date", "2026-11-05")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module", params=["1.2", "1.4"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def exported(site: Path, version: str) -> tuple[Path, small.Done]:
    to = site / f"focus-{version}"
    done = export(site, version, to)
    assert done.returncode == 0, done.stderr
    return to / SOURCE, done


def export(site: Path, version: str, to: Path) -> small.Done:
    return small.tierwise(
        "export", "focus", "--config", site / "tierwise.yaml", "--version", version, "--to", to
    )


def read(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text))


def test_columns_of_each_version(exported: tuple[Path, small.Done], version: str) -> None:
    header = set(read(exported[0] / "2026-10.csv")[0])
    assert set(pl.read_parquet_schema(exported[0] / "2026-10.parquet")) == header
    if version == "1.2":
        assert len(header) == 57  # the columns of FOCUS 1.2
        assert {"ProviderName", "PublisherName", "CapacityReservationId"} <= header
        assert not {"ServiceProviderName", "HostProviderName", "AllocatedMethodDetails"} & header
    else:
        assert {c.name for c in focus.COLUMNS if not c.conditional} <= header
        assert {"ResourceId", "SubAccountId", "Tags"} <= header  # conditional, and with values
        assert not {"ProviderName", "PublisherName", "CapacityReservationId"} & header
    assert not [name for name in header if name.startswith("x_")]


def test_types_of_parquet(exported: tuple[Path, small.Done]) -> None:
    october = pl.read_parquet(exported[0] / "2026-10.parquet", hive_partitioning=False)
    assert october.schema["BilledCost"] == pl.Decimal(38, 12)
    assert october.schema["PricingQuantity"] == pl.Decimal(38, 12)
    assert october.schema["ChargePeriodStart"] == pl.Datetime("us", "UTC")
    assert october.schema["Tags"] == pl.String()
    assert october["BillingPeriodEnd"].unique().to_list() == [datetime(2026, 11, 1, tzinfo=UTC)]


def test_csv_and_parquet_hold_the_same(exported: tuple[Path, small.Done]) -> None:
    for month in ("2026-10", "2026-11"):
        rows = pl.read_parquet(exported[0] / f"{month}.parquet").rows(named=True)
        assert read(exported[0] / f"{month}.csv") == [{k: text(v) for k, v in row.items()} for row in rows]


def text(value: object) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return "" if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)


def test_sums_are_those_of_the_ledger(exported: tuple[Path, small.Done], site: Path) -> None:
    """October: 30.300000000001 + hostile 7 + eight units of 1 + the repeated 10.10; November: 5 - 1.5."""
    billed = {
        month: sum(Decimal(row["BilledCost"]) for row in read(exported[0] / f"{month}.csv"))
        for month in ("2026-10", "2026-11")
    }
    assert billed == {"2026-10": Decimal("55.400000000001"), "2026-11": Decimal("3.5")}
    totals = small.query(site, "SELECT strftime(month, '%Y-%m'), focus_total FROM ops.reconciliation")
    assert dict(totals) == billed


def test_hostile_tags_come_back_whole(exported: tuple[Path, small.Done]) -> None:
    (row,) = [r for r in read(exported[0] / "2026-10.csv") if r["BilledCost"] == "7.000000000000"]
    assert json.loads(row["Tags"]) == TAGS


def test_units_are_spelt_as_focus_does_and_quantities_stay(exported: tuple[Path, small.Done]) -> None:
    rows = [r for r in read(exported[0] / "2026-10.csv") if r["BilledCost"] == "1.000000000000"]
    assert [r["ConsumedUnit"] for r in rows] == list(UNITS.values())
    assert {r["ConsumedQuantity"] for r in rows} == {"1.000000000000"}


def test_unknown_stays_empty_and_the_billing_currency_prices(exported: tuple[Path, small.Done]) -> None:
    for row in read(exported[0] / "2026-11.csv"):
        assert row["AvailabilityZone"] == row["BillingAccountName"] == row["PricingQuantity"] == ""
        assert row["ServiceSubcategory"] == "Other (Compute)"
        assert row["PricingCurrency"] == "USD"
        assert row["PricingCurrencyEffectiveCost"] == row["EffectiveCost"]


def test_warns_with_counts(exported: tuple[Path, small.Done]) -> None:
    assert exported[1].stderr == (
        f"warning {SOURCE} 2026-10: 1 of 13 rows: the row is the same as another one in every column\n"
    )


def test_what_focus_demands_and_a_bill_does_not_say(tmp_path: Path) -> None:
    """List and contracted cost are price x quantity, else what was paid; a tax has no SKU, no quantity no unit."""
    used = {
        "ContractedCost": "",
        "ListCost": "",
        "SkuId": "s",
        "SkuPriceId": "p",
        "SkuMeter": "m",
        "PricingUnit": "Hours",
    }
    priced = {"PricingQuantity": "3", "ListUnitPrice": "2", "ContractedUnitPrice": "0.7"}
    tax = {"ChargeCategory": "Tax", "PricingQuantity": "", "ListUnitPrice": "", "ContractedUnitPrice": ""}
    covered = {"BilledCost": "0", "EffectiveCost": "1.25"} | dict.fromkeys(priced, "")
    write(tmp_path / "bills" / "a.csv", [focus_row(**used | more) for more in (priced, tax, covered)])
    (tmp_path / "tierwise.yaml").write_text(small.CONFIG)
    assert small.tierwise("run", "--config", tmp_path / "tierwise.yaml").returncode == 0
    done = export(tmp_path, "1.4", tmp_path / "out")
    names = ("ContractedCost", "ListCost", "SkuId", "SkuMeter", "SkuPriceId", "PricingUnit")
    rows = [[r[n] for n in names] for r in read(tmp_path / "out" / "bills" / "2026-09.csv")]
    assert sorted(rows) == [
        ["1.250000000000", "1.250000000000", "s", "m", "", ""],
        ["1.500000000000", "1.500000000000", "", "", "", ""],
        ["2.100000000000", "6.000000000000", "s", "m", "p", "Hours"],
    ]
    for column in ("ListCost", "ContractedCost"):
        assert f"3 of 3 rows: {column} is mandatory and not known" in done.stderr
    unknown = small.query(tmp_path, "SELECT count(ListCost), count(ContractedCost) FROM focus.cost_and_usage")
    assert unknown == [(0, 0)]


# (native values, columns of the file): what follows from other values is written, what a bill alone knows is left out
DERIVED: list[tuple[dict[str, str], dict[str, str]]] = [
    ({"ServiceCategory": "Edge"}, {"ServiceCategory": "Other", "ServiceSubcategory": "Other (Other)"}),
    ({"ServiceCategory": ""}, {"ServiceCategory": "Other", "ServiceSubcategory": "Other (Other)"}),
    ({"ChargeFrequency": "Hourly", "ChargeClass": "Refund"}, {"ChargeFrequency": "Usage-Based", "ChargeClass": ""}),
    ({"ChargeCategory": "Tax", "ChargeFrequency": ""}, {"ChargeFrequency": ""}),
    ({"PricingCurrency": "usd", "PricingCurrencyEffectiveCost": "9"}, {"PricingCurrency": "USD", "PricingCurrencyEffectiveCost": "1.250000000000"}),
    ({"PricingCurrency": " Credits ", "PricingCurrencyEffectiveCost": "9"}, {"PricingCurrency": "Credits", "PricingCurrencyEffectiveCost": "9.000000000000"}),
    ({"RegionName": "Paris", "SubAccountId": "", "SubAccountName": "x"}, {"RegionName": "", "SubAccountName": ""}),
    ({"RegionName": "Paris", "RegionId": "p", "SubAccountName": "x"}, {"RegionName": "Paris", "SubAccountName": "x"}),
    ({"RegionId": "us-east-1", "ProviderName": "AWS"}, {"RegionName": "US East (N. Virginia)"}),
    ({"RegionId": "us-east-1", "ProviderName": "Alibaba Cloud"}, {"RegionName": ""}),
    ({"RegionId": "eu-west-1", "RegionName": "EU (Ireland)", "ProviderName": "AWS"}, {"RegionName": "EU (Ireland)"}),
    ({"RegionId": "us-central1", "ProviderName": "Google Cloud"}, {"RegionName": "Iowa"}),
    ({"RegionId": "us-east-1-wl1-bos-wlz-1", "ProviderName": "AWS"}, {"RegionName": ""}),
    ({"CommitmentDiscountStatus": "Used", "CapacityReservationStatus": "Unused"}, {"CommitmentDiscountStatus": "", "CapacityReservationStatus": ""}),
    ({"ListUnitPrice": "-2", "PricingQuantity": "1"}, {"ListUnitPrice": "", "ListCost": "2.000000000000"}),
]  # fmt: skip


def test_what_follows_from_other_values_and_what_is_left_out(tmp_path: Path) -> None:
    rows = [focus_row(**native, ChargeDescription=str(n)) for n, (native, _) in enumerate(DERIVED)]
    write(tmp_path / "bills" / "a.csv", rows, header=list(dict.fromkeys(k for r in rows for k in r)))
    (tmp_path / "tierwise.yaml").write_text(small.CONFIG)
    assert small.tierwise("run", "--config", tmp_path / "tierwise.yaml").returncode == 0
    assert export(tmp_path, "1.2", tmp_path / "out").returncode == 0
    found = {int(r["ChargeDescription"]): r for r in read(tmp_path / "out" / "bills" / "2026-09.csv")}
    assert [{k: found[n][k] for k in written} for n, (_, written) in enumerate(DERIVED)] == [
        written for _, written in DERIVED
    ]


def test_same_publication_same_bytes(exported: tuple[Path, small.Done], site: Path, version: str) -> None:
    again = site / f"again-{version}"
    export(site, version, again)
    for file in exported[0].iterdir():
        assert (again / SOURCE / file.name).read_bytes() == file.read_bytes()


@pytest.mark.parametrize("what", ["focus", "warehouse"])
def test_nothing_published(tmp_path: Path, what: str) -> None:
    file = small.write_site(tmp_path)
    done = small.tierwise("export", what, "--config", file, "--to", tmp_path / "out")
    assert done.returncode == 1
    assert "published yet; run `tierwise run` first" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def carried(site: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The copy, opened while the facts are away."""
    file = site / "away" / "copy.duckdb"
    done = small.tierwise("export", "warehouse", "--config", site / "tierwise.yaml", "--to", file)
    assert done.returncode == 0, done.stderr
    assert [f.name for f in file.parent.iterdir()] == ["copy.duckdb"]
    (site / "data" / "facts").rename(site / "data" / "hidden")
    with duckdb.connect(str(file), read_only=True) as connection:
        yield connection
    (site / "data" / "hidden").rename(site / "data" / "facts")


def test_carried_warehouse_needs_no_facts(carried: duckdb.DuckDBPyConnection, site: Path) -> None:
    with pytest.raises(duckdb.IOException):
        small.query(site, "SELECT count(*) FROM focus.cost_and_usage")
    assert carried.execute("SELECT count(*), sum(BilledCost)::TEXT FROM focus.cost_and_usage").fetchall() == [
        (15, "58.900000000001")  # the two sums above
    ]
    assert carried.execute("SELECT count(*) FROM duckdb_views() WHERE NOT internal").fetchall() == [(0,)]


def test_carried_warehouse_has_every_table_type_and_comment(
    carried: duckdb.DuckDBPyConnection, site: Path
) -> None:
    catalog = """
        SELECT schema_name, table_name, column_name, data_type, comment FROM duckdb_columns()
        WHERE NOT internal ORDER BY ALL"""
    comments = "SELECT schema_name, table_name, comment FROM duckdb_tables() WHERE NOT internal ORDER BY ALL"
    assert carried.execute(catalog).fetchall() == small.query(site, catalog)
    found: Mapping[tuple[str, str], str] = {(s, t): c for s, t, c in carried.execute(comments).fetchall()}
    assert found["focus", "cost_and_usage"].startswith("One charge of a provider")
    counts = {
        t: carried.execute(f"SELECT count(*) FROM {t}").fetchall()
        for t in ("marts.chargeback_daily", "ops.reconciliation")
    }
    assert counts == {t: small.query(site, f"SELECT count(*) FROM {t}") for t in counts}


@pytest.mark.parametrize("place", ["data/warehouse.duckdb", "data/current/copy.duckdb", "bills"])
def test_warehouse_is_not_written_over_data(site: Path, place: str) -> None:
    before = small.fingerprint(site)
    done = small.tierwise("export", "warehouse", "--config", site / "tierwise.yaml", "--to", site / place)
    assert done.returncode == 1
    assert "give a file elsewhere" in done.stderr
    assert (site / "data" / "warehouse.duckdb").is_symlink()
    assert small.fingerprint(site) == before


# tags of a bill, keys and values as they are written
WRITTEN: list[tuple[str, list[tuple[str, object]]]] = [
    ('{"o":{"x":[1]},"n":null,"e":true}', [("o", '{"x":[1]}'), ("n", None), ("e", True)]),
    ('{"a\\"b":["é"],"t":"x: [1"}', [('a"b', '["é"]'), ("t", "x: [1")]),
    ('{"team": "a: {b"}', [("team", "a: {b")]),
    ('{"team": "a", "n": 1, "team": "b"}', [("team", "a"), ("n", 1)]),
    ('{"team": {"x": 1}, "team": "b"}', [("team", '{"x":1}')]),
]


def test_values_of_tags_are_flat_and_keys_once(tmp_path: Path) -> None:
    config = "data_dir: ./data\nsources:\n  bills: {kind: focus, location: ./bills}\n"
    small.write_site(tmp_path, config)
    rows = [small.row(str(n), small.OCTOBER, 5, tags) for n, (tags, _) in enumerate(WRITTEN)]
    small.write_bill(tmp_path, "2026-10", rows)
    done = small.tierwise("run", "--config", tmp_path / "tierwise.yaml", "--date", "2026-11-05")
    assert done.returncode == 0, done.stdout + done.stderr
    for version in ("1.2", "1.4"):
        assert export(tmp_path, version, tmp_path / version).returncode == 0
        found = sorted(
            read(tmp_path / version / "bills" / "2026-10.csv"), key=lambda r: float(r["BilledCost"])
        )
        assert [json.loads(r["Tags"], object_pairs_hook=list) for r in found] == [w for _, w in WRITTEN]
