"""Immutable Parquet facts on disk: one folder for each version of each slice, committed by one rename.

`facts/<source>/<period>/<version>/` holds a Parquet file a table, `issues.parquet` and `slice.json`; beside new FOCUS
rows there may be files of an earlier version that go on counting in part (hard links: either folder may be removed),
and `memory.json`, what the reader wants to know again. A folder that exists is complete; nothing in it ever changes. Which versions are current is decided by a publication
(`pipelines/warehouse.py`), not here.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl

from connectors.base import Loaded
from connectors.parts import Earlier, Part
from models.tables import FOCUS

ISSUES = "issues.parquet"
RECORD = "slice.json"
MEMORY = "memory.json"


@dataclass(frozen=True)
class SliceFacts:
    """One committed version of one slice.

    Attributes:
        source: Source name; `site:NAME` for what a site's hardware was billed.
        kind: Kind of the source.
        period: First day of the slice.
        grain: month or day.
        fingerprint: As the reader gave it.
        folder: Where its files lie.
        tables: Table names with a Parquet file in the folder.
        kept: File of an earlier version, in the folder -> its days (UTC) whose rows no longer count.
        totals: Currency -> native total.
        rows: rows_read, rows_loaded, rows_rejected, rows_repaired.
        objects: Files it was read from.
        read_at: When, UTC.
        note: The reader's remark.
        status: loaded (by this run), unchanged, kept (no longer listed), stale (the source failed), not_ready (a new
            delivery cannot be read yet).
    """

    source: str
    kind: str
    period: date
    grain: str
    fingerprint: str
    folder: Path
    tables: tuple[str, ...]
    totals: Mapping[str, Decimal]
    rows: Mapping[str, int]
    objects: tuple[Mapping[str, Any], ...]
    read_at: datetime
    note: str = ""
    kept: Mapping[str, tuple[date, ...]] = field(default_factory=dict)
    status: str = field(default="unchanged", compare=False)

    def parts(self, table: str) -> tuple[Part, ...]:
        """The Parquet files of a table, and what of them counts; none if the slice has no such table."""
        if table not in self.tables:
            return ()
        of_earlier = self.kept if table == FOCUS.name else {}
        new = self.folder / f"{table}.parquet"
        parts = [Part(self.folder / name, without) for name, without in of_earlier.items()]
        return (*parts, *([Part(new)] if not parts or new.is_file() else []))

    @property
    def earlier(self) -> Earlier:
        """What a reader may build on when the slice is delivered again."""
        memory = self.folder / MEMORY
        return Earlier(self.parts(FOCUS.name), json.loads(memory.read_text()) if memory.is_file() else {})

    def to_json(self) -> dict[str, Any]:
        """A JSON-able form that `from_json` reads back; its folder is named from the folder of all facts."""
        return {
            "source": self.source, "kind": self.kind, "period": self.period.isoformat(), "grain": self.grain,
            "fingerprint": self.fingerprint, "folder": "/".join(self.folder.parts[-3:]), "tables": list(self.tables),
            "totals": {k: str(v) for k, v in self.totals.items()}, "rows": dict(self.rows),
            "objects": list(self.objects), "read_at": self.read_at.isoformat(), "note": self.note, "status": self.status,
            "kept": {name: [d.isoformat() for d in without] for name, without in self.kept.items()},
        }  # fmt: skip

    @staticmethod
    def from_json(data: Mapping[str, Any], root: Path, status: str | None = None) -> SliceFacts:
        """The inverse of `to_json`, below the folder of all facts, with another status if one is given."""
        return SliceFacts(
            source=data["source"], kind=data["kind"], period=date.fromisoformat(data["period"]), grain=data["grain"],
            fingerprint=data["fingerprint"], folder=root.joinpath(*Path(data["folder"]).parts[-3:]), tables=tuple(data["tables"]),
            totals={k: Decimal(v) for k, v in data["totals"].items()}, rows=data["rows"],
            objects=tuple(data["objects"]), read_at=datetime.fromisoformat(data["read_at"]), note=data["note"],
            kept={name: tuple(map(date.fromisoformat, without)) for name, without in data.get("kept", {}).items()},
            status=status or data["status"],
        )  # fmt: skip


class FactStore:
    """The facts below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, source: str, period: date, fingerprint: str) -> Path:
        """Where a version of a slice lies, whether or not it exists."""
        version = hashlib.sha256(fingerprint.encode()).hexdigest()[:24]
        return self.root / source.replace(":", "=") / period.isoformat() / version

    def find(self, source: str, period: date, fingerprint: str) -> SliceFacts | None:
        """The committed version of a slice, None if it has not been read."""
        record = self.folder(source, period, fingerprint) / RECORD
        if not record.is_file():
            return None
        return SliceFacts.from_json(json.loads(record.read_text()), self.root, "unchanged")

    def commit(self, source: str, kind: str, loaded: Loaded, read_at: datetime) -> SliceFacts:
        """Moves what a reader wrote to its place in one rename.

        Args:
            source: Source name.
            kind: Its kind.
            loaded: What the reader gave; its new files are moved, those it keeps are linked.
            read_at: When it was read, UTC.

        Returns:
            The committed slice, with status `loaded`.
        """
        piece = loaded.slice
        final = self.folder(source, piece.period, piece.fingerprint)
        building = final.with_name(f".{final.name}-{uuid4().hex}")
        building.mkdir(parents=True)
        for table, file in loaded.facts.items():
            shutil.move(file, building / f"{table}.parquet")
        kept = {f"{FOCUS.name}.kept-{n}.parquet": part for n, part in enumerate(loaded.kept, 1)}
        for name, part in kept.items():
            _link(part.file, building / name)
        if loaded.memory:
            (building / MEMORY).write_text(json.dumps(loaded.memory))
        if not loaded.issues.is_empty():
            loaded.issues.write_parquet(building / ISSUES)
        rejected = loaded.issues.filter(pl.col("action") == "rejected")["rows"].sum()
        repaired = loaded.issues.filter(pl.col("action") == "repaired")["rows"].sum()
        facts = SliceFacts(
            source=source, kind=kind, period=piece.period, grain=piece.grain, fingerprint=piece.fingerprint,
            folder=final, tables=tuple(sorted({*loaded.facts, *([FOCUS.name] if kept else [])})), totals=dict(loaded.totals),
            rows={"read": loaded.rows_read, "loaded": loaded.rows_loaded, "rejected": int(rejected), "repaired": int(repaired)},
            objects=tuple({"key": o.key, "size": o.size, "version": o.version} for o in piece.objects),
            read_at=read_at, note=loaded.note,
            kept={name: part.without for name, part in kept.items()}, status="loaded",
        )  # fmt: skip
        (building / RECORD).write_text(json.dumps(facts.to_json(), indent=1))
        if final.exists():  # another run committed the same content first
            shutil.rmtree(building)
        else:
            building.rename(final)
        return facts

    def issues(self, facts: SliceFacts) -> pl.DataFrame | None:
        """The issues of a slice, None if there were none."""
        file = facts.folder / ISSUES
        return pl.read_parquet(file) if file.is_file() else None

    def prune(self, keep: set[Path]) -> int:
        """Removes versions that are not in `keep` and what interrupted runs left; returns how many."""
        removed = 0
        for version in self.root.glob("*/*/*"):
            if version.is_dir() and version not in keep:
                shutil.rmtree(version, ignore_errors=True)
                removed += 1
        return removed


def _link(file: Path, to: Path) -> None:
    """The same file under another name; a copy where the disk has no links."""
    try:
        os.link(file, to)
    except OSError:
        shutil.copy2(file, to)
