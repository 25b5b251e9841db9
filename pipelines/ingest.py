"""Brings one source up to date: lists its slices, reads those that changed, keeps those it no longer lists."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

from connectors.base import Slice, SourceError
from pipelines.engines.duckdb import DuckDBEngine
from pipelines.facts import SliceFacts
from pipelines.run import Run
from pipelines.settings import Source


class RequiredSourceError(Exception):
    """A source whose absence blocks publication cannot be read."""


def ingest(run: Run, source: Source) -> list[SliceFacts]:
    """Makes the facts of a source current and records them for the run.

    Args:
        run: The run.
        source: The source.

    Returns:
        Its slices: read now, unchanged, or kept from the last publication.

    Raises:
        RequiredSourceError: It failed and its configuration does not say `required: false`. Slices that were
            read before the failure stay as facts, so that the next run need not read them again.
    """
    earlier = {s.period: s for s in run.warehouse.current_slices(source.name)}
    try:
        slices = _current(run, source, earlier)
    except SourceError as error:
        reason = run.config.hide(str(error))
        if source.required:
            msg = f"source {source.name!r} ({source.kind}): {reason}"
            raise RequiredSourceError(msg) from error
        kept = [replace(s, status="stale") for s in earlier.values()]
        run.write_slices(source.name, kept, error=reason)
        run.report(f"{source.name}: failed, {len(kept)} earlier slices stand: {reason}")
        return kept
    run.write_slices(source.name, slices, error=None)
    return slices


def _current(run: Run, source: Source, earlier: dict[date, SliceFacts]) -> list[SliceFacts]:
    run.report(f"{source.name}: looking for what changed")
    offered = source.reader.slices(run.window)
    found: dict[date, SliceFacts] = {}
    changed: list[Slice] = []
    for piece in offered:
        facts = run.facts.find(source.name, piece.period, piece.fingerprint)
        if facts is not None:
            found[piece.period] = facts
        elif _may_read(run, piece.period, piece.grain):
            changed.append(piece)
    for facts in load(run, source, changed):
        found[facts.period] = facts
    for period, facts in earlier.items():
        if period not in found and facts.folder.is_dir():
            found[period] = replace(facts, status="kept")
    return [found[p] for p in sorted(found)]


def _may_read(run: Run, period: date, grain: str) -> bool:
    if run.window.only is None:
        return True
    first, last = run.window.only
    return first.replace(day=1) <= period <= last if grain == "month" else first <= period <= last


def load(run: Run, source: Source, changed: Sequence[Slice]) -> list[SliceFacts]:
    """Reads slices of a source into facts.

    Raises:
        SourceError: Something cannot be read.
    """
    if not changed:
        return []
    work = run.folder / "work" / source.name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    committed = []
    try:
        with DuckDBEngine(temp=work / "spill") as engine:
            for loaded in source.reader.load(changed, work, engine):
                if not loaded.rows_read and not loaded.slice.objects:
                    continue  # a server that had nothing yet is asked again by the next run
                at = datetime.now(UTC).replace(tzinfo=None)
                committed.append(run.facts.commit(source.name, source.kind, loaded, at))
                piece, done = loaded.slice.period, f"{len(committed)} of {len(changed)}"
                run.report(f"{source.name}: {piece} read, {loaded.rows_read:,} rows ({done})")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return committed
