"""Facts are committed whole, found again, and pruned when no publication needs them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl

from connectors.base import ISSUES_SCHEMA, Loaded, Object, Slice
from pipelines.facts import FactStore

AT = datetime(2026, 11, 1, tzinfo=UTC).replace(tzinfo=None)


def loaded(work: Path, fingerprint: str = "f1") -> Loaded:
    work.mkdir(parents=True, exist_ok=True)
    file = work / "x.parquet"
    pl.DataFrame({"a": [1, 2]}).write_parquet(file)
    issue = {"action": "rejected", "rule": "bad", "column_name": "BilledCost", "rows": 3}
    return Loaded(
        slice=Slice(date(2026, 10, 1), "month", fingerprint, (Object("k", 5, "v"),)),
        facts={"focus.cost_and_usage": file},
        rows_read=5,
        rows_loaded=2,
        totals={"USD": Decimal("1.10")},
        issues=pl.DataFrame([issue], schema=ISSUES_SCHEMA),
    )


def test_commit_and_find(tmp_path: Path) -> None:
    store = FactStore(tmp_path / "facts")
    assert store.find("aws", date(2026, 10, 1), "f1") is None
    made = store.commit("aws", "focus", loaded(tmp_path / "w"), AT)
    found = store.find("aws", date(2026, 10, 1), "f1")
    assert found == made
    assert found.status == "unchanged"
    assert found.totals == {"USD": Decimal("1.10")}
    assert found.rows == {"read": 5, "loaded": 2, "rejected": 3, "repaired": 0}
    (part,) = found.parts("focus.cost_and_usage")
    assert pl.read_parquet(part.file).height == 2
    issues = store.issues(found)
    assert issues is not None
    assert issues["rows"].to_list() == [3]


def test_interrupted_commit_is_invisible_and_pruned(tmp_path: Path) -> None:
    store = FactStore(tmp_path / "facts")
    made = store.commit("aws", "focus", loaded(tmp_path / "w"), AT)
    half = made.folder.with_name(".half-written")
    half.mkdir()
    other = store.commit("aws", "focus", loaded(tmp_path / "w", "f2"), AT)
    assert store.prune({made.folder}) == 2
    assert made.folder.is_dir()
    assert not half.exists()
    assert not other.folder.exists()


def test_same_content_twice_is_one_version(tmp_path: Path) -> None:
    store = FactStore(tmp_path / "facts")
    first = store.commit("aws", "focus", loaded(tmp_path / "w"), AT)
    second = store.commit("aws", "focus", loaded(tmp_path / "w"), AT)
    assert first.folder == second.folder
    assert len(list((tmp_path / "facts").glob("*/*/*"))) == 1
