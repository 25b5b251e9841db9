"""Legacy CUR buckets: only the current delivery of a month, whole or not at all, from a folder as from S3."""

from __future__ import annotations

import gzip
import shutil
import zipfile
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from connectors.base import SourceError, require_ready
from tests.connectors.bills.helpers import WINDOW, counted, cur, deliver, facts, load, reader, write

SEPTEMBER = date(2026, 9, 1)
PERIOD = "cur/gpu/20260901-20261001"


def three_deliveries(root: Path) -> None:
    """Cumulative deliveries of one month; the last one has two files of different columns."""
    deliver(root, "a1", {"gpu-1.csv.gz": [cur(lineItem__UnblendedCost="1")]})
    deliver(
        root, "a2", {"gpu-1.csv.gz": [cur(lineItem__UnblendedCost="1"), cur(lineItem__UnblendedCost="2")]}
    )
    deliver(
        root,
        "a3",
        {
            "gpu-1.csv.gz": [cur(lineItem__UnblendedCost="1"), cur(lineItem__UnblendedCost="2")],
            "gpu-2.csv.gz": [cur(lineItem__UnblendedCost="4", **{"resourceTags__user:project": "x"})],
        },
    )


def test_only_the_delivery_that_the_top_manifest_names_counts(tmp_path: Path) -> None:
    three_deliveries(tmp_path / "bucket")
    loaded = load("aws_cur", tmp_path / "bucket", tmp_path)[SEPTEMBER]
    assert loaded.totals == {"USD": Decimal(7)}
    assert facts(loaded)["BilledCost"].to_list() == [Decimal(1), Decimal(2), Decimal(4)]
    assert facts(loaded)["Tags"].to_list() == ['{"team":"vision"}'] * 2 + ['{"team":"vision","project":"x"}']
    assert [o.key for o in loaded.slice.objects] == [f"{PERIOD}/a3/gpu-1.csv.gz", f"{PERIOD}/a3/gpu-2.csv.gz"]
    assert loaded.issues.is_empty()


@pytest.mark.parametrize("folder", ["cur", "cur/gpu", PERIOD, "../bucket"])
def test_location_anywhere_above_or_at_the_report(folder: str, tmp_path: Path) -> None:
    three_deliveries(tmp_path / "bucket")
    assert load("aws_cur", tmp_path / "bucket" / folder, tmp_path)[SEPTEMBER].totals == {"USD": Decimal(7)}


def test_location_above_the_bucket(tmp_path: Path) -> None:
    three_deliveries(tmp_path / "copies" / "my-bucket")
    assert load("aws_cur", tmp_path / "copies", tmp_path)[SEPTEMBER].totals == {"USD": Decimal(7)}


def test_a_new_delivery_changes_the_fingerprint_and_the_same_files_do_not(tmp_path: Path) -> None:
    root = tmp_path / "bucket"
    deliver(root, "a1", {"gpu-1.csv.gz": [cur()]})
    (first,) = reader("aws_cur", root, tmp_path).slices(WINDOW)
    (again,) = reader("aws_cur", root, tmp_path).slices(WINDOW)
    assert again == first
    write(root / PERIOD / "a0" / "gpu-1.csv.gz", [cur(), cur()])  # an older delivery, not named
    assert reader("aws_cur", root, tmp_path).slices(WINDOW) == [first]
    deliver(root, "a2", {"gpu-1.csv.gz": [cur(lineItem__UnblendedCost="11")]})
    (second,) = reader("aws_cur", root, tmp_path).slices(WINDOW)
    assert second.fingerprint != first.fingerprint


@pytest.mark.long
def test_s3_gives_the_same_rows_as_the_folder(s3: str, tmp_path: Path) -> None:
    import boto3

    three_deliveries(tmp_path / "bucket")
    client = boto3.client("s3", endpoint_url=s3, region_name="us-east-1")
    client.create_bucket(Bucket="acme-billing")
    for path in (tmp_path / "bucket").rglob("*"):
        if path.is_file():
            client.upload_file(str(path), "acme-billing", path.relative_to(tmp_path / "bucket").as_posix())
    client.close()
    folder = load("aws_cur", tmp_path / "bucket", tmp_path / "x")[SEPTEMBER]
    for location in ("s3://acme-billing", "s3://acme-billing/cur/", "s3://acme-billing/cur/gpu"):
        remote = load("aws_cur", location, tmp_path / "y", endpoint_url=s3, region="us-east-1")[SEPTEMBER]
        assert facts(remote).equals(facts(folder))
        assert (remote.totals, remote.rows_read) == (folder.totals, folder.rows_read)
    assert remote.slice.objects[0].key == "20260901-20261001/a3/gpu-1.csv.gz"


def test_two_accounts_are_one_month(tmp_path: Path) -> None:
    deliver(tmp_path / "bills", "a1", {"x.csv.gz": [cur()]}, account="1", report="one")
    deliver(
        tmp_path / "bills", "b1", {"x.csv.gz": [cur(lineItem__UnblendedCost="5")]}, account="2", report="two"
    )
    loaded = load("aws_cur", tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert loaded.totals == {"USD": Decimal(15)}


def test_two_reports_of_one_account_would_count_twice(tmp_path: Path) -> None:
    deliver(tmp_path / "bills", "a1", {"x.csv.gz": [cur()]}, report="one")
    deliver(tmp_path / "bills", "b1", {"x.csv.gz": [cur(), cur()]}, report="two")
    with pytest.raises(
        SourceError, match=r"both bill account 1 for 2026-09.*set `report` to one of 'one' and 'two'"
    ):
        reader("aws_cur", tmp_path / "bills", tmp_path).slices(WINDOW)
    loaded = load("aws_cur", tmp_path / "bills", tmp_path, report="two")[SEPTEMBER]
    assert loaded.totals == {"USD": Decimal(20)}
    with pytest.raises(SourceError, match=r"no manifest of report 'three'; there are \['one', 'two'\]"):
        reader("aws_cur", tmp_path / "bills", tmp_path, report="three").slices(WINDOW)


def test_a_copy_of_a_report_is_refused_by_its_place(tmp_path: Path) -> None:
    deliver(tmp_path / "bills", "a", {"gpu-1.csv.gz": [cur()]})
    shutil.copytree(tmp_path / "bills" / "cur", tmp_path / "bills" / "copy" / "cur")
    with pytest.raises(SourceError, match=r"would count twice; set `location` to the folder of one$"):
        reader("aws_cur", tmp_path / "bills", tmp_path).slices(WINDOW)


def test_a_named_file_that_is_not_there_means_not_ready(tmp_path: Path) -> None:
    three_deliveries(tmp_path / "bucket")
    (tmp_path / "bucket" / PERIOD / "a3" / "gpu-2.csv.gz").unlink()
    source = reader("aws_cur", tmp_path / "bucket", tmp_path)
    words = rf"delivery not ready: manifest .*{PERIOD}/gpu-Manifest.json names {PERIOD}/a3/gpu-2.csv.gz, which is not there yet"
    with pytest.raises(SourceError, match=words):
        require_ready(source.slices(WINDOW))
    with pytest.raises(SourceError, match=words):
        source.check()


def test_no_top_manifest_means_not_known(tmp_path: Path) -> None:
    three_deliveries(tmp_path / "bucket")
    (tmp_path / "bucket" / PERIOD / "gpu-Manifest.json").unlink()
    with pytest.raises(SourceError, match="top manifest is not there"):
        require_ready(reader("aws_cur", tmp_path / "bucket", tmp_path).slices(WINDOW))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is damaged"),
        ("[" * 100_000, "is damaged"),
        ("[]", "is damaged"),
        ('{"reportKeys": []}', "is damaged.*billingPeriod"),
        ('{"reportKeys": [], "billingPeriod": {"start": "20260901T000000.000Z"}}', "names no file"),
        ('{"reportKeys": ["a"], "billingPeriod": {"start": "soon"}}', "'soon' is no date"),
    ],
)
def test_damaged_manifest(content: str, words: str, tmp_path: Path) -> None:
    three_deliveries(tmp_path / "bucket")
    (tmp_path / "bucket" / PERIOD / "gpu-Manifest.json").write_text(content)
    with pytest.raises(SourceError, match=words):
        require_ready(reader("aws_cur", tmp_path / "bucket", tmp_path).slices(WINDOW))


def test_damaged_files_of_a_delivery_are_refused_whole(tmp_path: Path) -> None:
    three_deliveries(tmp_path / "bucket")
    path = tmp_path / "bucket" / PERIOD / "a3" / "gpu-2.csv.gz"
    whole = path.read_bytes()
    row = cur()
    del row["lineItem/UnblendedCost"]
    without = write(tmp_path / "without.csv.gz", [row]).read_bytes()
    damaged = {
        r"gpu-2\.csv\.gz is empty": b"",
        r"gpu-2\.csv\.gz is (a )?damaged": whole[:-12],
        r"gpu-2\.csv\.gz is a damaged gzip": whole[:-8] + b"\0" * 8,
        r"gpu-2\.csv\.gz: mandatory column 'lineItem/UnblendedCost' is missing; it has: bill/BillingEntity": without,
        r"gpu-2\.csv\.gz cannot be read as a bill.*Expected Number of Columns": gzip.compress(
            gzip.decompress(whole) + b"1,2\n"
        ),
    }
    for words, content in damaged.items():
        path.write_bytes(content)
        with pytest.raises(SourceError, match=words):
            load("aws_cur", tmp_path / "bucket", tmp_path)
        assert not list((tmp_path / "work").glob("*"))


def test_rows_of_another_month_are_rejected_not_moved(tmp_path: Path) -> None:
    rows = [cur(), cur(bill__BillingPeriodStartDate="2026-08-01T00:00:00Z", lineItem__UnblendedCost="3")]
    deliver(tmp_path / "bucket", "a1", {"x.csv.gz": rows})
    loaded = load("aws_cur", tmp_path / "bucket", tmp_path)[SEPTEMBER]
    assert counted(loaded) == {("rejected", "unexpected_month", "BillingPeriodStart"): 1}
    assert loaded.issues["billed_cost"].to_list() == [Decimal(3)]
    assert loaded.totals == {"USD": Decimal(13)}


def test_a_text_in_a_cost_is_rejected_with_file_and_row(tmp_path: Path) -> None:
    deliver(tmp_path / "bucket", "a1", {"x.csv.gz": [cur(), cur(lineItem__UnblendedCost="ten")]})
    loaded = load("aws_cur", tmp_path / "bucket", tmp_path)[SEPTEMBER]
    issue = loaded.issues.row(0, named=True)
    assert (issue["rule"], issue["column_name"], issue["value"]) == ("not_a_number", "BilledCost", "ten")
    assert issue["location"].endswith("/a1/x.csv.gz:3")
    assert loaded.totals == {"USD": Decimal(10)}


def test_files_without_any_manifest_all_count_and_say_so(tmp_path: Path) -> None:
    write(tmp_path / "bills" / "a.csv", [cur()])
    write(tmp_path / "bills" / "b.csv.gz", [cur(lineItem__UnblendedCost="3")])
    loaded = load("aws_cur", tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert loaded.totals == {"USD": Decimal(13)}
    assert loaded.note == (
        "no manifest at the location: every file counts; not final: 2 of 2 rows have no invoice yet; "
        "payer accounts: 000111122223"
    )


def test_a_month_with_all_invoices_is_final(tmp_path: Path) -> None:
    write(tmp_path / "bills" / "a.csv", [cur(bill__InvoiceId="7"), cur(bill__InvoiceId="8")])
    loaded = load("aws_cur", tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert "; final: every row has an invoice; payer accounts: 000111122223" in loaded.note


def test_nothing_there(tmp_path: Path) -> None:
    (tmp_path / "bills").mkdir()
    with pytest.raises(SourceError, match="holds no bill file"):
        reader("aws_cur", tmp_path / "bills", tmp_path).check()


def test_a_report_as_zip_is_read_by_its_manifest(tmp_path: Path) -> None:
    """Of three files of 10 dollars each the manifest names two."""
    deliver(tmp_path / "bucket", "a1", {"gpu-1.csv.zip": [cur()], "gpu-2.csv.zip": [cur()]})
    write(tmp_path / "bucket" / PERIOD / "a0" / "gpu-1.csv.zip", [cur()])
    for n, path in enumerate(sorted((tmp_path / "bucket").rglob("*.zip"))):
        content = path.read_bytes()
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(f"gpu-{n}.csv", content)
    loaded = load("aws_cur", tmp_path / "bucket", tmp_path)[SEPTEMBER]
    assert loaded.totals == {"USD": Decimal(20)}


def test_what_aws_puts_beside_parquet_for_athena_is_no_bill(tmp_path: Path) -> None:
    folder = tmp_path / "bills" / "gpu" / "cost_and_usage_data_status"
    write(tmp_path / "bills" / "gpu" / "year=2026" / "month=9" / "gpu-00001.csv", [cur()])
    folder.mkdir()
    pl.DataFrame({"status": ["READY"]}).write_parquet(folder / "cost_and_usage_data_status.parquet")
    (loaded,) = load("aws_cur", tmp_path / "bills", tmp_path).values()
    assert loaded.totals == {"USD": Decimal(10)}


def test_columns_in_two_spellings_matter_only_where_they_are_read(tmp_path: Path) -> None:
    more = {"product/volumeType": "gp3", "product/volumetype": "io2"}
    write(tmp_path / "bills" / "a.csv", [cur() | more])
    (loaded,) = load("aws_cur", tmp_path / "bills", tmp_path).values()
    assert loaded.totals == {"USD": Decimal(10)}
    write(tmp_path / "bills" / "a.csv", [cur() | {"lineItem/unblendedcost": "3"}])
    with pytest.raises(SourceError, match=r"'lineItem/unblendedcost' is there twice in different spellings"):
        load("aws_cur", tmp_path / "bills", tmp_path)
