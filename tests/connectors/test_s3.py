"""An S3 bucket, spoken to over HTTP by boto3 as it is: lists, local copies, broken downloads.

Who may read it, and what errors say, is in `test_s3_access.py`.
"""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path

import pytest
from moto.s3.models import s3_backends

from connectors.base import Object, SourceError
from tests.connectors.s3_bucket import owner, put, remote
from tests.connectors.wire import wire

BIG = random.Random(0).randbytes(3_000_000)


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
