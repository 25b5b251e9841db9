"""What our reader of buckets knows of S3 holds on another server too: pages, ranges, ETags, signatures, errors."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.base import Object, SourceError
from connectors.objects import LocationOptions, Store, open_store
from tests.connectors.bills.helpers import cur, deliver, facts, load
from tests.connectors.wire import wire
from tests.services import rclone

pytestmark = pytest.mark.service

BIG = random.Random(0).randbytes(3_000_000)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder behind the server; a bucket for each test."""
    return tmp_path_factory.mktemp("buckets")


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[str]:
    """The endpoint."""
    with rclone.serving(root) as url:
        yield url


@pytest.fixture
def bucket(root: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty bucket's folder, and the keys for it in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", rclone.KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", rclone.SECRET)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    folder = root / hashlib.sha256(request.node.name.encode()).hexdigest()[:16]
    folder.mkdir()
    return folder


def store(url: str, bucket: Path, tmp: Path) -> Store:
    options = {"location": f"s3://{bucket.name}/export", "endpoint_url": url, "region": "us-east-1"}
    return open_store(LocationOptions.model_validate({"kind": "focus", **options}), tmp, tmp / "cache")


def put(bucket: Path, key: str, body: bytes) -> None:
    (bucket / key).parent.mkdir(parents=True, exist_ok=True)
    (bucket / key).write_bytes(body)


def test_all_pages_are_listed_and_odd_names_read(server: str, bucket: Path, tmp_path: Path) -> None:
    for n in range(1001):
        put(bucket, f"export/many/{n:04}.csv", b"x")
    put(bucket, "exportother/a.csv", b"x")
    put(bucket, "export/.hidden.csv", b"x")
    put(bucket, "export/we'ird [é] +&.csv", b"hello")
    found = store(server, bucket, tmp_path)
    *many, odd = found.list()
    assert [o.key for o in many] == [f"many/{n:04}.csv" for n in range(1001)]
    assert (odd.key, odd.size, odd.version) == ("we'ird [é] +&.csv", 5, "5d41402abc4b2a76b9719d911017c592-5")
    assert found.read(odd) == b"hello"
    assert found.fetch([odd])[0].read_bytes() == b"hello"


def test_download_that_is_cut_is_continued(server: str, bucket: Path, tmp_path: Path) -> None:
    put(bucket, "export/big.csv", BIG)
    with wire(server) as proxy:
        proxy.marker, proxy.cut = b"/export/big.csv", [1_200_000, 700_000]
        found = store(proxy.url, bucket, tmp_path)
        (path,) = found.fetch(found.list())
        gets = proxy.requests(b"/export/big.csv")
    assert path.read_bytes() == BIG
    starts = [int(g.split(b"Range: bytes=")[1].split(b"-")[0]) if b"Range" in g else 0 for g in gets]
    assert len(starts) == 3
    assert 0 == starts[0] < starts[1] < starts[2]


def test_object_that_changed_since_it_was_listed_is_refused(
    server: str, bucket: Path, tmp_path: Path
) -> None:
    put(bucket, "export/a.csv", b"one")
    found = store(server, bucket, tmp_path)
    listed = found.list()
    put(bucket, "export/a.csv", b"three")
    with pytest.raises(SourceError, match=r"/export/a\.csv: the object changed while it was being read"):
        found.fetch(listed)


def test_errors_say_what_is_wrong(
    server: str, bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(bucket, "export/a.csv", b"one")
    with pytest.raises(SourceError, match=r"gone\.json: the object is gone"):
        store(server, bucket, tmp_path).read(Object("gone.json", 1, "etag-1"))
    with pytest.raises(SourceError, match=r"s3://nobody/export/: there is no such bucket"):
        store(server, Path("nobody"), tmp_path).list()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(SourceError, match="the secret key is wrong; check AWS_SECRET_ACCESS_KEY"):
        store(server, bucket, tmp_path).list()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    with pytest.raises(SourceError, match="the access key is not known there; check AWS_ACCESS_KEY_ID"):
        store(server, bucket, tmp_path).list()


def test_a_bill_in_the_bucket_is_the_bill_in_the_folder(server: str, bucket: Path, tmp_path: Path) -> None:
    costs = [Decimal(n) / 100 for n in range(1, 51)]
    rows = [cur(lineItem__UnblendedCost=str(c), lineItem__ResourceId=f"i-{c}") for c in costs]
    deliver(bucket, "a1", {"gpu-1.csv.gz": rows[:20], "gpu-2.csv.gz": rows[20:]})
    remote = {"endpoint_url": server, "region": "us-east-1"}
    (found,) = load("aws_cur", f"s3://{bucket.name}", tmp_path / "s3", **remote).values()
    assert sorted(facts(found)["BilledCost"].to_list()) == costs
    assert found.totals == {"USD": Decimal("12.75")}  # 50 x 51 / 2 cents
