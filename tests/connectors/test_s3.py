"""An S3 bucket, spoken to over HTTP by boto3 as it is: lists, roles, broken downloads, errors."""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from moto.s3.models import s3_backends

from connectors.base import Object, SourceError
from connectors.objects import LocationOptions, Store, open_store
from tests.connectors.gcs_server import serve
from tests.connectors.wire import wire

BIG = random.Random(0).randbytes(3_000_000)


CLIENTS: dict[str, Any] = {}
"""Endpoint -> the client that puts objects there; making one takes as long as ten requests."""


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Iterator[None]:
    yield
    while CLIENTS:
        CLIENTS.popitem()[1].close()


def owner(endpoint: str) -> Any:
    """A client of whoever owns the bucket."""
    if endpoint not in CLIENTS:
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        CLIENTS[endpoint] = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)
    return CLIENTS[endpoint]


@pytest.fixture
def bucket(s3: str) -> Iterator[str]:
    client = owner(s3)
    client.create_bucket(Bucket="bills")
    yield s3
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="bills"):
        if keys := [{"Key": entry["Key"]} for entry in page.get("Contents", ())]:
            client.delete_objects(Bucket="bills", Delete={"Objects": keys})
    client.delete_bucket(Bucket="bills")


def remote(endpoint: str, tmp: Path, location: str = "s3://bills/export", **options: Any) -> Store:
    options = {"region": "us-east-1", **options}
    return open_store(
        LocationOptions(kind="focus", location=location, endpoint_url=endpoint, **options), tmp, tmp / "cache"
    )


def put(endpoint: str, key: str, body: bytes, **more: str) -> None:
    owner(endpoint).put_object(Bucket="bills", Key=key, Body=body, **more)


def cached(tmp: Path) -> list[Path]:
    """Copies, whole or begun, below the cache."""
    return sorted(p for p in (tmp / "cache").rglob("*") if p.is_file() and not p.name.startswith("."))


def test_lists_over_pages_reads_and_downloads_once(
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
    assert store.read(odd) == b"hello"
    assert store.uri(odd.key) == "s3://bills/export/we'ird [é].csv"
    (path,) = store.fetch([odd])
    assert path.read_bytes() == b"hello"
    inode = path.stat().st_ino
    assert remote(bucket, tmp_path).fetch([odd]) == [path]
    assert path.stat().st_ino == inode
    assert cached(tmp_path) == [path]


def test_empty_object(bucket: str, tmp_path: Path) -> None:
    put(bucket, "export/a.csv", b"")
    store = remote(bucket, tmp_path)
    assert store.fetch(store.list())[0].read_bytes() == b""


def test_object_that_changed_since_it_was_listed_is_refused(bucket: str, tmp_path: Path) -> None:
    put(bucket, "export/a.csv", b"one")
    store = remote(bucket, tmp_path)
    listed = store.list()
    put(bucket, "export/a.csv", b"two")
    with pytest.raises(SourceError, match=r"s3://bills/export/a\.csv: the object changed while it was being"):
        store.fetch(listed)
    assert cached(tmp_path) == []


def test_download_that_is_cut_is_continued_where_it_broke(bucket: str, tmp_path: Path) -> None:
    put(bucket, "export/big.csv", BIG)
    with wire(bucket) as proxy:
        proxy.marker, proxy.cut = b"GET /bills/export/big.csv", [1_200_000, 700_000]
        store = remote(proxy.url, tmp_path)
        (path,) = store.fetch(store.list())
        gets = proxy.requests(b"GET /bills/export/big.csv")
    assert path.read_bytes() == BIG
    assert cached(tmp_path) == [path]
    starts = [int(g.split(b"Range: bytes=")[1].split(b"-")[0]) if b"Range" in g else 0 for g in gets]
    assert len(starts) == 3
    assert starts[0] == 0
    # what came before each cut, less the head of the answer and at most the piece being read, is not asked again
    assert 900_000 < starts[1] < 1_200_000
    assert 300_000 < starts[2] - starts[1] < 700_000


def test_download_broken_for_good_is_continued_by_the_next_run(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.downloads.ATTEMPTS", 1)
    put(bucket, "export/big.csv", BIG)
    with wire(bucket) as proxy:
        proxy.marker, proxy.cut = b"GET /bills/export/big.csv", [2_000_000]
        store = remote(proxy.url, tmp_path)
        with pytest.raises(SourceError, match=r"broke off at \d+ of 3000000 bytes.*run again to continue"):
            store.fetch(store.list())
        (part,) = cached(tmp_path)
        assert part.suffix == ".part"
        assert part.read_bytes() == BIG[: part.stat().st_size]
        next_run = remote(proxy.url, tmp_path)
        (path,) = next_run.fetch(next_run.list())
        last = proxy.requests(b"GET /bills/export/big.csv")[-1]
    assert path.read_bytes() == BIG
    assert cached(tmp_path) == [path]
    assert b"Range: bytes=1" in last


def test_a_manifest_is_asked_for_once_a_version(bucket: str, tmp_path: Path) -> None:
    put(bucket, "export/m.json", b"{}")
    with wire(bucket) as proxy:
        for _ in range(2):
            store = remote(proxy.url, tmp_path)
            (listed,) = store.list()
            assert store.read(listed) == b"{}"
        assert len(proxy.requests(b"GET /bills/export/m.json")) == 1
        put(bucket, "export/m.json", b"[1]")
        with pytest.raises(SourceError, match=r"gone\.json: the object is gone"):
            store.read(Object("gone.json", 2, listed.version))
        assert store.read(store.list()[0]) == b"[1]"


def test_listing_whose_connection_breaks_is_asked_again(bucket: str, tmp_path: Path) -> None:
    for n in range(3):
        put(bucket, f"export/{n}.csv", b"x")
    with wire(bucket) as proxy:
        proxy.marker, proxy.cut = b"list-type=2", [0, 0]
        assert len(remote(proxy.url, tmp_path).list()) == 3
        assert len(proxy.requests(proxy.marker)) == 3


def test_a_page_holds_a_thousand_objects_and_all_pages_count(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service's own page size, not one that a test has set: 1,001 objects are two requests."""
    monkeypatch.delenv("MOTO_S3_DEFAULT_MAX_KEYS", raising=False)
    backend = s3_backends["123456789012"]["aws"]  # of the server, which runs in this process
    for n in range(1001):
        backend.put_object("bills", f"export/{n:04}.csv", b"x")
    with wire(bucket) as proxy:
        assert [o.key for o in remote(proxy.url, tmp_path).list()] == [f"{n:04}.csv" for n in range(1001)]
        assert len(proxy.requests(b"list-type=2")) == 2


def test_begun_download_of_a_changed_object_is_not_continued(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.downloads.ATTEMPTS", 1)
    put(bucket, "export/big.csv", BIG)
    with wire(bucket) as proxy:
        proxy.marker, proxy.cut = b"GET /bills/export/big.csv", [2_000_000]
        store = remote(proxy.url, tmp_path)
        listed = store.list()
        with pytest.raises(SourceError, match="broke off"):
            store.fetch(listed)
    other = BIG[::-1]
    put(bucket, "export/big.csv", other)
    with pytest.raises(SourceError, match="changed while it was being read"):
        remote(bucket, tmp_path).fetch(listed)
    assert cached(tmp_path) == []
    store = remote(bucket, tmp_path)
    assert store.fetch(store.list())[0].read_bytes() == other


def test_part_that_is_too_long_begins_again(bucket: str, tmp_path: Path) -> None:
    put(bucket, "export/a.csv", b"hello")
    store = remote(bucket, tmp_path)
    (path,) = store.fetch(store.list())
    path.unlink()
    path.with_name(f"{path.name}.part").write_bytes(b"not what it should be")
    assert store.fetch(store.list()) == [path]
    assert path.read_bytes() == b"hello"
    path.write_bytes(b"hel")  # as after a power cut
    assert store.fetch(store.list()) == [path]
    assert path.read_bytes() == b"hello"


def test_several_objects_are_asked_for_at_once(bucket: str, tmp_path: Path) -> None:
    for n in range(4):
        put(bucket, f"export/{n}.csv", b"%d" % n)
    with wire(bucket) as proxy:
        store = remote(proxy.url, tmp_path)
        proxy.marker, proxy.together = b"GET /bills/export/", threading.Barrier(4, timeout=5)
        found = [path.read_bytes() for path in store.fetch(store.list())]
        assert not proxy.together.broken
    assert found == [b"0", b"1", b"2", b"3"]


def test_superseded_copies_are_pruned_a_day_after_their_last_use(bucket: str, tmp_path: Path) -> None:
    for key in ("same", "changes", "goes"):
        put(bucket, f"export/{key}.csv", b"one")
    store = remote(bucket, tmp_path)
    changes, goes, same = store.fetch(store.list())
    begun = changes.with_name("0" * 40 + ".part")
    begun.write_bytes(b"x")
    put(bucket, "export/changes.csv", b"two")
    owner(bucket).delete_object(Bucket="bills", Key="export/goes.csv")
    store.fetch(store.list())
    assert {changes, goes, same, begun} < set(cached(tmp_path))  # perhaps still being read
    for path in cached(tmp_path):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    new = store.fetch(store.list())
    assert cached(tmp_path) == sorted(new)
    assert same in new
    assert [p.read_bytes() for p in new] == [b"two", b"one"]


def test_copies_of_another_location_are_left_alone(bucket: str, tmp_path: Path) -> None:
    put(bucket, "export/a.csv", b"one")
    put(bucket, "other/a.csv", b"one")
    store, other = remote(bucket, tmp_path), remote(bucket, tmp_path, "s3://bills/other")
    paths = [*store.fetch(store.list()), *other.fetch(other.list())]
    for path in paths:
        os.utime(path, (1_700_000_000, 1_700_000_000))
    store.fetch(store.list())
    assert cached(tmp_path) == sorted(paths)


def test_full_or_forbidden_cache_says_where(bucket: str, tmp_path: Path) -> None:
    put(bucket, "export/a.csv", b"one")
    (tmp_path / "cache").write_text("in the way")
    store = remote(bucket, tmp_path)
    with pytest.raises(SourceError, match=r"a\.csv: no local copy can be written to .*cache"):
        store.fetch(store.list())


def test_requester_pays_is_said_in_every_request(bucket: str, tmp_path: Path) -> None:
    put(bucket, "export/a.csv", b"one")
    with wire(bucket) as proxy:
        store = remote(proxy.url, tmp_path, requester_pays=True)
        store.fetch(store.list())
        assert len(proxy.requests(b"GET ")) == 2
        assert len(proxy.requests(b"x-amz-request-payer: requester")) == 2
        proxy.sent.clear()
        remote(proxy.url, tmp_path).list()
        assert proxy.requests(b"x-amz-request-payer") == []


def test_public_bucket_needs_no_credentials(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(bucket, "export/a.csv", b"one", ACL="public-read")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with wire(bucket) as proxy:
        store = remote(proxy.url, tmp_path, anonymous=True)
        assert store.fetch(store.list())[0].read_bytes() == b"one"
        assert proxy.requests(b"Authorization") == []


def test_two_sources_have_profiles_of_their_own(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(bucket, "export/a.csv", b"one")
    lines = (f"[{n}]\naws_access_key_id = AKIA{n.upper()}\naws_secret_access_key = x" for n in ("one", "two"))
    (tmp_path / "credentials").write_text("\n".join(lines))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    with wire(bucket) as proxy:
        for name in ("one", "two"):
            assert len(remote(proxy.url, tmp_path, profile=name).list()) == 1
            (asked,) = proxy.requests(b"Authorization")
            assert f"Credential=AKIA{name.upper()}/".encode() in asked
            proxy.sent.clear()
    with pytest.raises(SourceError, match="AWS's own files have no profile 'three'; add it"):
        remote(bucket, tmp_path, profile="three").list()


def allow(action: str, resource: str) -> str:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
def reader_role(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that checks signatures and policies: the user may assume a role and nothing else."""
    put(bucket, "export/a.csv", b"one")
    iam = boto3.client("iam", endpoint_url=bucket, region_name="us-east-1")
    iam.create_user(UserName="tierwise")
    key = iam.create_access_key(UserName="tierwise")["AccessKey"]
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName="bills", AssumeRolePolicyDocument=policy)["Role"]["Arn"]
    iam.put_user_policy(UserName="tierwise", PolicyName="p", PolicyDocument=allow("sts:AssumeRole", role))
    iam.put_role_policy(RoleName="bills", PolicyName="p", PolicyDocument=allow("s3:*", "*"))
    with monkeypatch.context() as user:
        user.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        user.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        user.setenv("AWS_ENDPOINT_URL_STS", bucket)
        requests.post(f"{bucket}/moto-api/reset-auth", data=b"0", timeout=5)
        yield role
        requests.post(f"{bucket}/moto-api/reset-auth", data=b"inf", timeout=5)
    iam.delete_user_policy(UserName="tierwise", PolicyName="p")
    iam.delete_access_key(UserName="tierwise", AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName="tierwise")
    iam.delete_role_policy(RoleName="bills", PolicyName="p")
    iam.delete_role(RoleName="bills")
    iam.close()


def test_role_is_assumed(
    bucket: str, reader_role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SourceError, match=r"s3://bills/export/: access is denied; allow s3:ListBucket"):
        remote(bucket, tmp_path).list()
    with wire(bucket) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", proxy.url)
        store = remote(bucket, tmp_path, role_arn=reader_role, external_id="acme-17")
        assert store.fetch(store.list())[0].read_bytes() == b"one"
        (asked,) = proxy.requests(b"Action=AssumeRole")
    assert b"ExternalId=acme-17" in asked
    assert b"RoleSessionName=tierwise" in asked


def test_role_that_may_not_be_assumed_says_what_to_allow(
    bucket: str, reader_role: str, tmp_path: Path
) -> None:
    other = "arn:aws:iam::123456789012:role/other"
    with pytest.raises(SourceError, match=f"role {other} may not be assumed; allow sts:AssumeRole"):
        remote(bucket, tmp_path, role_arn=other).list()


def test_wrong_keys_say_which(
    bucket: str, reader_role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(SourceError, match="check AWS_SECRET_ACCESS_KEY"):
        remote(bucket, tmp_path).list()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAXXXXXXXXXXXXXXXX")
    with pytest.raises(SourceError, match="check AWS_ACCESS_KEY_ID"):
        remote(bucket, tmp_path).list()


def test_errors_say_what_to_do(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match=r"s3://nobody/x.*no such bucket"):
        remote(bucket, tmp_path, "s3://nobody/x").list()
    with pytest.raises(SourceError, match="object is gone"):
        remote(bucket, tmp_path).read(Object("missing.json", 1, "etag-1"))
    put(bucket, "export/cold.csv", b"x", StorageClass="GLACIER")
    store = remote(bucket, tmp_path)
    with pytest.raises(SourceError, match=r"cold\.csv: the object is archived; restore it"):
        store.fetch(store.list())
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(SourceError, match="no AWS credentials; set AWS_ACCESS_KEY_ID"):
        remote(bucket, tmp_path).list()


def test_unreachable_endpoint_says_where(s3: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"http://127\.0\.0\.1:9 cannot be reached"):
        remote("http://127.0.0.1:9", tmp_path).list()


def test_endpoint_that_is_no_s3_says_so(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve() as other:
        other.failures = [200] * 9  # a login page, say
        with pytest.raises(SourceError, match=r"s3://bills/export/: the service has trouble, or is no S3"):
            remote(other.url, tmp_path).list()
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", other.url)
        role = "arn:aws:iam::123456789012:role/bills"
        with pytest.raises(SourceError, match="s3://bills/export/: Unable to parse response"):
            remote(s3, tmp_path, role_arn=role).list()
