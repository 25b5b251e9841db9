"""Stores: a folder, and an S3 bucket spoken to over HTTP."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from connectors.base import Object, SourceError
from connectors.objects import LocationOptions, Store, open_store


def local(folder: Path, tmp: Path) -> Store:
    return open_store(LocationOptions(kind="focus", location=str(folder)), tmp, tmp / "cache")


def old(path: Path) -> Path:
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


def test_lists_in_order_with_versions_and_without_hidden_files(tmp_path: Path) -> None:
    root = tmp_path / "bills"
    (root / "b").mkdir(parents=True)
    (root / ".git").mkdir()
    (root / ".git" / "x.csv").write_text("x")
    (root / ".hidden.csv").write_text("x")
    (root / "b" / "1.csv").write_bytes(b"abc")
    (root / "a.csv").write_bytes(b"")
    # sha256 of nothing and of `abc` are published test vectors
    assert local(root, tmp_path).list() == [
        Object("a.csv", 0, "e3b0c44298fc1c149afbf4c8996fb924"),
        Object("b/1.csv", 3, "ba7816bf8f01cfea414140de5dae2223"),
    ]
    assert [o.key for o in local(root, tmp_path).list("b/")] == ["b/1.csv"]


def test_relative_location_starts_at_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "a.csv").write_text("x")
    store = open_store(LocationOptions(kind="focus", location="./bills"), tmp_path, tmp_path / "cache")
    assert [o.key for o in store.list()] == ["a.csv"]
    assert store.read("a.csv") == b"x"


def test_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    root = tmp_path / "bills"
    root.mkdir()
    path = root / "a.csv"
    path.write_bytes(b"abc")
    old(path)
    before = local(root, tmp_path).list()
    path.write_bytes(
        b"xyz"
    )  # other content under the same size and time: only a reader of the content sees it
    old(path)
    assert local(root, tmp_path).list() == before
    os.utime(path, (1_700_000_001, 1_700_000_001))
    assert local(root, tmp_path).list()[0].version != before[0].version


def test_file_written_a_moment_ago_is_not_trusted_by_its_time(tmp_path: Path) -> None:
    root = tmp_path / "bills"
    root.mkdir()
    path = root / "a.csv"
    path.write_bytes(b"abc")
    stat = path.stat()
    before = local(root, tmp_path).list()
    path.write_bytes(b"xyz")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert local(root, tmp_path).list()[0].version != before[0].version


def test_fetch_refuses_a_file_that_changed_since_it_was_listed(tmp_path: Path) -> None:
    root = tmp_path / "bills"
    root.mkdir()
    (root / "a.csv").write_bytes(b"abc")
    store = local(root, tmp_path)
    listed = store.list()
    assert store.fetch(listed) == [root / "a.csv"]
    (root / "a.csv").write_bytes(b"abcd")
    with pytest.raises(SourceError, match="changed while it was being read"):
        store.fetch(listed)
    (root / "a.csv").unlink()
    with pytest.raises(SourceError, match="cannot be read"):
        store.fetch(listed)


def test_missing_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nowhere does not exist; create the folder"):
        local(tmp_path / "nowhere", tmp_path).list()
    (tmp_path / "file").write_text("x")
    with pytest.raises(SourceError, match="is a file"):
        local(tmp_path / "file", tmp_path).list()


def test_damaged_cache_is_only_a_lost_cache(tmp_path: Path) -> None:
    root = tmp_path / "bills"
    root.mkdir()
    (root / "a.csv").write_bytes(b"abc")
    old(root / "a.csv")
    before = local(root, tmp_path).list()
    for path in (tmp_path / "cache").iterdir():
        path.write_text("{broken")
    assert local(root, tmp_path).list() == before


@pytest.mark.parametrize("location", ["gs://bucket/x", "https://host/x"])
def test_other_schemes_are_refused(location: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not supported yet"):
        open_store(LocationOptions(kind="focus", location=location), tmp_path, tmp_path)


def test_location_without_bucket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="names no bucket"):
        open_store(LocationOptions(kind="focus", location="s3://"), tmp_path, tmp_path)


@pytest.fixture
def bucket(s3: str) -> Iterator[str]:
    client = boto3.client("s3", endpoint_url=s3, region_name="us-east-1")
    client.create_bucket(Bucket="bills")
    yield s3
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="bills"):
        for entry in page.get("Contents", ()):
            client.delete_object(Bucket="bills", Key=entry["Key"])
    client.delete_bucket(Bucket="bills")
    client.close()


def remote(endpoint: str, tmp: Path, location: str = "s3://bills/export") -> Store:
    options = LocationOptions(kind="focus", location=location, endpoint_url=endpoint, region="us-east-1")
    return open_store(options, tmp, tmp / "cache")


def put(endpoint: str, key: str, body: bytes) -> None:
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    client.put_object(Bucket="bills", Key=key, Body=body)
    client.close()


def test_s3_lists_over_pages_reads_and_downloads_once(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "4")  # objects a page
    for n in range(9):
        put(bucket, f"export/{n:04}.csv", b"x")
    put(bucket, "export/.hidden.csv", b"x")
    put(bucket, "export/folder/", b"")
    put(bucket, "exportother/a.csv", b"x")
    put(bucket, "export/we'ird [é].csv", b"hello")
    store = remote(bucket, tmp_path)
    objects = store.list()
    assert len(objects) == 10
    assert objects[0].key == "0000.csv"
    odd = objects[-1]
    assert odd == Object("we'ird [é].csv", 5, "5d41402abc4b2a76b9719d911017c592-5")  # md5 of `hello`
    assert store.read(odd.key) == b"hello"
    assert store.uri(odd.key) == "s3://bills/export/we'ird [é].csv"
    (path,) = store.fetch([odd])
    assert path.read_bytes() == b"hello"
    stamp = path.stat().st_mtime_ns
    assert remote(bucket, tmp_path).fetch([odd]) == [path]
    assert path.stat().st_mtime_ns == stamp
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_s3_object_that_changed_since_it_was_listed_is_refused(bucket: str, tmp_path: Path) -> None:
    put(bucket, "export/a.csv", b"one")
    store = remote(bucket, tmp_path)
    listed = store.list()
    put(bucket, "export/a.csv", b"two")
    with pytest.raises(SourceError, match="changed while it was being read"):
        store.fetch(listed)
    assert list((tmp_path / "cache" / "s3").iterdir()) == []


def test_s3_errors_say_what_to_do(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match=r"s3://nobody/x.*no such bucket"):
        remote(bucket, tmp_path, "s3://nobody/x").list()
    with pytest.raises(SourceError, match="object is gone"):
        remote(bucket, tmp_path).read("missing.json")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(SourceError, match="no AWS credentials; set AWS_ACCESS_KEY_ID"):
        remote(bucket, tmp_path).list()


def test_unreachable_endpoint_says_where(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    store = remote("http://127.0.0.1:9", tmp_path)
    with pytest.raises(SourceError, match=r"http://127\.0\.0\.1:9 cannot be reached"):
        store.list()


def test_access_denied_says_which_rights(tmp_path: Path) -> None:
    from botocore.exceptions import ClientError

    from connectors.s3 import S3Store

    store = S3Store(LocationOptions(kind="focus", location="s3://bills/x"), tmp_path)
    denied = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ListObjectsV2")
    with pytest.raises(SourceError, match="s3:ListBucket"), store._explained("s3://bills/x"):
        raise denied
