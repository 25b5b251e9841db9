"""A GCS bucket, spoken to over HTTP: lists, credentials, broken downloads, errors."""

from __future__ import annotations

import base64
import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from connectors.base import Object, SourceError
from connectors.objects import LocationOptions, Store, open_store
from tests.connectors.gcs_server import Bucket, serve
from tests.connectors.wire import wire

BIG = random.Random(1).randbytes(3_000_000)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """A server, and no credentials of the person who runs the test."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_QUOTA_PROJECT", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", "/nonexistent")
    with serve() as found:
        yield found


def remote(url: str, tmp: Path, location: str = "gs://bills/export", **options: Any) -> Store:
    options = {"anonymous": True, **options}
    return open_store(
        LocationOptions(kind="focus", location=location, endpoint_url=url, **options), tmp, tmp / "cache"
    )


def cached(tmp: Path) -> list[Path]:
    return sorted(p for p in (tmp / "cache").rglob("*") if p.is_file() and not p.name.startswith("."))


def test_lists_over_pages_reads_and_downloads_once(bucket: Bucket, tmp_path: Path) -> None:
    bucket.page = 4
    for n in range(9):
        bucket.put(f"export/{n:04}.csv", b"x")
    bucket.put("export/.hidden.csv", b"x")
    bucket.put("export/folder/", b"")
    bucket.put("exportother/a.csv", b"x")
    bucket.put("export/we'ird [é]/?&#.csv", b"hello")
    store = remote(bucket.url, tmp_path)
    objects = store.list()
    assert len(objects) == 10
    assert sum("/o?" in path for path, _ in bucket.asked) == 3  # 12 objects below the prefix, 4 a page
    assert objects[0].key == "0000.csv"
    odd = objects[-1]
    assert odd == Object("we'ird [é]/?&#.csv", 5, "5d41402abc4b2a76b9719d911017c592-5")  # md5 of `hello`
    assert store.read(odd) == b"hello"
    assert store.uri(odd.key) == "gs://bills/export/we'ird [é]/?&#.csv"
    (path,) = store.fetch([odd])
    assert path.read_bytes() == b"hello"
    asked = len(bucket.media())
    assert remote(bucket.url, tmp_path).fetch([odd]) == [path]
    assert len(bucket.media()) == asked
    assert cached(tmp_path) == [path]


def test_empty_bucket_and_prefix(bucket: Bucket, tmp_path: Path) -> None:
    assert remote(bucket.url, tmp_path, "gs://bills").list() == []
    bucket.put("other/a.csv", b"x")
    assert remote(bucket.url, tmp_path).list() == []
    assert [o.key for o in remote(bucket.url, tmp_path, "gs://bills/").list()] == ["other/a.csv"]


def test_same_content_written_again_is_no_change(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("export/a.csv", b"one")
    store = remote(bucket.url, tmp_path)
    before = store.list()
    bucket.put("export/a.csv", b"one")
    assert remote(bucket.url, tmp_path).list() == before
    assert remote(bucket.url, tmp_path).fetch(before)[0].read_bytes() == b"one"  # its own listing finds it


def test_composed_object_has_its_generation_as_version(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("export/a.csv", b"one", composed=True)
    store = remote(bucket.url, tmp_path)
    before = store.list()
    assert before[0].version == f"generation {bucket.objects['export/a.csv'].generation}"
    assert store.fetch(before)[0].read_bytes() == b"one"
    bucket.put("export/a.csv", b"one", composed=True)
    assert remote(bucket.url, tmp_path).list() != before


def test_object_that_changed_since_it_was_listed_is_refused(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("export/a.csv", b"one")
    store = remote(bucket.url, tmp_path)
    listed = store.list()
    bucket.put("export/a.csv", b"two")
    for each in (store, remote(bucket.url, tmp_path)):
        with pytest.raises(SourceError, match=r"gs://bills/export/a\.csv: the object changed while it was"):
            each.fetch(listed)
    assert cached(tmp_path) == []


def test_packed_object_comes_as_it_is_stored(bucket: Bucket, tmp_path: Path) -> None:
    packed = gzip.compress(b"a,b\n1,2\n")
    bucket.put("export/a.csv.gz", packed)
    store = remote(bucket.url, tmp_path)
    assert store.fetch(store.list())[0].read_bytes() == packed
    assert {h["accept-encoding"] for h in bucket.media()} == {"gzip"}  # or the service would unpack it


def test_download_that_is_cut_is_continued_where_it_broke(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("export/big.csv", BIG)
    with wire(bucket.url) as proxy:
        proxy.marker, proxy.cut = b"alt=media", [1_200_000]
        store = remote(proxy.url, tmp_path)
        (path,) = store.fetch(store.list())
    assert path.read_bytes() == BIG
    assert cached(tmp_path) == [path]
    first, second = bucket.media()
    assert "range" not in first
    assert 900_000 < int(second["range"].removeprefix("bytes=").removesuffix("-")) < 1_200_000


def test_damaged_content_is_noticed_and_fetched_again(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("export/big.csv", BIG)
    store = remote(bucket.url, tmp_path)
    (path,) = store.fetch(store.list())
    path.unlink()
    path.with_name(f"{path.name}.part").write_bytes(b"damaged" * 100)
    assert store.fetch(store.list()) == [path]
    assert path.read_bytes() == BIG
    assert [h.get("range") for h in bucket.media()] == [None, "bytes=700-", None]


def test_download_broken_for_good_says_how_far_it_came(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.downloads.ATTEMPTS", 1)
    bucket.put("export/big.csv", BIG)
    with wire(bucket.url) as proxy:
        proxy.marker, proxy.cut = b"alt=media", [2_000_000]
        store = remote(proxy.url, tmp_path)
        with pytest.raises(SourceError, match=r"broke off at 1\d{6} of 3000000 bytes"):
            store.fetch(store.list())


def test_passing_trouble_is_asked_again(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("export/a.csv", b"one")
    bucket.failures = [503, 429]
    assert len(remote(bucket.url, tmp_path).list()) == 1
    assert len(bucket.asked) == 3


@pytest.mark.parametrize(
    ("location", "setting", "reason"),
    [
        ("gs://bills/x", {"token": "secret"}, r"not accepted; renew them.*HTTP 401: Invalid Credentials"),
        ("gs://bills/x", {"forbidden": True}, r"grant roles/storage\.objectViewer.*HTTP 403: who@acme"),
        ("gs://nobody/x", {}, r"gs://nobody/x/: there is no such bucket.*HTTP 404: The specified bucket"),
        ("gs://bills/x", {"failures": [500] * 5}, r"run again later \(HTTP 500: upstream trouble\)"),
        ("gs://bills/x", {"failures": [400]}, r"refused as wrong; correct `location` \(HTTP 400"),
        ("gs://bills/x", {"page_text": "<html>"}, r"answer is not JSON \('<html>'\); check `endpoint_url`"),
        ("gs://bills/x", {"page_text": "[]"}, r"no list of objects \('\[\]'\)"),
    ],
)
def test_errors_of_a_listing_say_what_to_do(
    location: str,
    setting: dict[str, Any],
    reason: str,
    bucket: Bucket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("urllib3.Retry.sleep", lambda *_: None)
    for name, value in setting.items():
        setattr(bucket, name, value)
    with pytest.raises(SourceError, match=reason):
        remote(bucket.url, tmp_path, location).list()


def test_errors_of_an_object_say_what_to_do(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"missing\.json: the object changed while it was being read"):
        remote(bucket.url, tmp_path).read(Object("missing.json", 1, "1"))
    bucket.put("export/a.csv", b"one")
    store = remote(bucket.url, tmp_path)
    listed = store.list()
    bucket.forbidden = True
    with pytest.raises(SourceError, match=r"a\.csv: access is denied; grant"):
        store.fetch(listed)
    assert cached(tmp_path) == []


def test_unreachable_endpoint_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib3.Retry.sleep", lambda *_: None)
    with pytest.raises(SourceError, match=r"http://127\.0\.0\.1:9 cannot be reached .*check the network"):
        remote("http://127.0.0.1:9", tmp_path).list()


def test_no_credentials_says_how_to_give_them(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no Google credentials .*set GOOGLE_APPLICATION_CREDENTIALS"):
        remote(bucket.url, tmp_path, anonymous=False).list()


def test_credentials_of_the_environment_are_used(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service account with a key of this test's own; outside Google's universe it signs its tokens itself."""
    bucket.put("export/a.csv", b"one")
    account = {
        "type": "service_account",
        "client_email": "who@acme.iam.gserviceaccount.com",
        "private_key_id": "1",
        "private_key": rsa.generate_private_key(65537, 2048)
        .private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        .decode(),
        "token_uri": "http://127.0.0.1:9/token",
    }
    file = tmp_path / "account.json"
    file.write_text(json.dumps({**account, "universe_domain": "example.test"}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    monkeypatch.setenv("GOOGLE_CLOUD_QUOTA_PROJECT", "payer")
    store = remote(bucket.url, tmp_path, anonymous=False)
    assert store.fetch(store.list())[0].read_bytes() == b"one"
    for _, headers in bucket.asked:
        claims = headers["authorization"].removeprefix("Bearer ").split(".")[1]
        said = json.loads(base64.urlsafe_b64decode(claims + "=="))
        assert said["iss"] == "who@acme.iam.gserviceaccount.com"
        assert said["scope"] == "https://www.googleapis.com/auth/devstorage.read_only"
        assert headers["x-goog-user-project"] == "payer"

    file.write_text(json.dumps(account))
    with pytest.raises(SourceError, match=r"cannot be reached .*port=9"):
        remote(bucket.url, tmp_path, anonymous=False).list()
    file.write_text("{}")
    with pytest.raises(SourceError, match="no Google credentials"):
        remote(bucket.url, tmp_path, anonymous=False).list()
