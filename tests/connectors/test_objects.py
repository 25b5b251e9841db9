"""Stores: a folder, and which options go with which kind of location. Buckets: test_s3.py, test_gcs.py."""

from __future__ import annotations

import os
from pathlib import Path

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
    (root / "~$open.csv").write_text("x")
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
    assert store.read(store.list()[0]) == b"x"


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


@pytest.mark.parametrize("location", ["https://host/x", "az://bucket/x"])
def test_other_schemes_are_refused(location: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not supported; write a folder, gs://bucket/prefix, or s3://"):
        open_store(LocationOptions(kind="focus", location=location), tmp_path, tmp_path)


@pytest.mark.parametrize("location", ["s3://", "s3:///prefix", "gs://", "gs://Capitals/x"])
def test_location_without_bucket_is_refused(location: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"names no bucket; write (s3|gs)://bucket/prefix"):
        open_store(LocationOptions(kind="focus", location=location), tmp_path, tmp_path)


ROLE = "arn:aws:iam::123456789012:role/bills"


@pytest.mark.parametrize(
    ("location", "options", "reason"),
    [
        ("./bills", {"endpoint_url": "http://x"}, "endpoint_url is for s3:// or gs:// or bigquery:// only"),
        ("./bills", {"anonymous": True}, "anonymous is for s3:// or gs:// or bigquery:// only"),
        ("./bills", {"region": "eu-west-1"}, "region is for s3:// only"),
        ("gs://bucket", {"role_arn": ROLE}, "remove role_arn and impersonate a service account"),
        ("gs://bucket", {"requester_pays": True}, "set GOOGLE_CLOUD_QUOTA_PROJECT to the project that pays"),
        ("s3://bucket", {"external_id": "abc"}, "external_id goes with role_arn"),
        ("s3://bucket", {"role_arn": ROLE, "anonymous": True}, "no role and nobody who pays"),
        ("s3://bucket", {"profile": "bills", "anonymous": True}, "anonymous reading has no profile"),
        ("gs://bucket", {"profile": "bills"}, "profile is for s3:// only"),
        ("s3://bucket", {"requester_pays": True, "anonymous": True}, "nobody who pays"),
        ("s3://bucket", {"role_arn": "bills"}, "role_arn\n.*should match pattern"),
    ],
)
def test_options_that_do_not_fit_the_location_are_refused(
    location: str, options: dict[str, object], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        LocationOptions.model_validate({"kind": "focus", "location": location, **options})


def test_options_that_fit_are_accepted() -> None:
    LocationOptions(
        kind="focus", location="s3://bucket", role_arn=ROLE, external_id="abc", requester_pays=True
    )
    LocationOptions(
        kind="focus", location="gs://bucket", anonymous=True, endpoint_url="http://localhost:4443"
    )
