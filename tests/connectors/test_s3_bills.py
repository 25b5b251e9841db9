"""Bills of other clouds that lie in S3, listed over three pages: half-written, and changed while they are read, as on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.base import Loaded, SourceError
from tests.connectors.azure.rows import row as azure_row
from tests.connectors.azure.rows import run_export
from tests.connectors.bills.helpers import WINDOW, csv_bytes, load, reader
from tests.connectors.gcp.rows import row as gcp_row
from tests.connectors.oci.rows import row as oci_row
from tests.connectors.s3_bucket import owner, put
from tests.engine import Session

RUN = "x/20260901-20260930/202609100100/a"
OPTIONS: Mapping[str, Any] = {"region": "us-east-1"}


@pytest.fixture(autouse=True)
def _pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven parts and what lies beside them are three pages."""
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")


def read(kind: str, endpoint: str, tmp: Path) -> Loaded:
    (loaded,) = load(kind, "s3://bills/export", tmp, endpoint_url=endpoint, **OPTIONS).values()
    return loaded


PARTS = {
    "gcp_billing_export": [("jsonl", json.dumps(gcp_row(cost=n)).encode()) for n in range(1, 8)],
    "oci_cost_report": [("csv", csv_bytes([oci_row(cost__myCost=str(n))])) for n in range(1, 8)],
}


@pytest.mark.parametrize("kind", PARTS)
def test_parts_on_all_pages_count_and_one_that_changes_is_refused(
    kind: str, bucket: str, tmp_path: Path
) -> None:
    """1 + 2 + ... + 7 = 28."""
    for n, (form, content) in enumerate(PARTS[kind]):
        put(bucket, f"export/{n}.{form}", content)
    assert [*read(kind, bucket, tmp_path / "a").totals.values()] == [Decimal(28)]
    source = reader(kind, "s3://bills/export", tmp_path / "b", endpoint_url=bucket, **OPTIONS)
    slices = source.slices(WINDOW)
    form, content = PARTS[kind][0]
    put(bucket, f"export/6.{form}", content + b"\n")
    later = reader(kind, "s3://bills/export", tmp_path / "c", endpoint_url=bucket, **OPTIONS)
    with Session() as engine, pytest.raises(SourceError, match=rf"6\.{form}.*changed while it was being"):
        list(later.load(slices, tmp_path / "work", engine))


def test_an_azure_run_is_not_ready_until_its_last_blob_is_there(bucket: str, tmp_path: Path) -> None:
    """Seven blobs of 1 to 7; the last one comes after the manifest."""
    files = {f"part_{n}.csv": [azure_row(Cost=str(n))] for n in range(1, 8)}
    run_export(tmp_path / "disk", RUN, files)
    blobs = {p.relative_to(tmp_path / "disk"): p.read_bytes() for p in (tmp_path / "disk").rglob("*.*")}
    last = Path(RUN, "part_7.csv")
    for key, content in blobs.items():
        if key != last:
            put(bucket, f"export/{key.as_posix()}", content)
    source = reader("azure_export", "s3://bills/export", tmp_path, endpoint_url=bucket, **OPTIONS)
    assert ["part_7.csv, which is not there yet" in s.not_ready for s in source.slices(WINDOW)] == [True]
    put(bucket, f"export/{last.as_posix()}", blobs[last])
    assert read("azure_export", bucket, tmp_path).totals == {"USD": Decimal(28)}
    assert owner(bucket).list_objects_v2(Bucket="bills")["KeyCount"] == 3  # a page holds no more
