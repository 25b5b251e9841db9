"""Brings one source up to date: lists its slices, reads those that changed, keeps those it no longer lists."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import groupby

from connectors.base import DamagedFileError, Slice, SourceError
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
        RequiredSourceError: It failed and its configuration does not say `required: false`, or files of an earlier
            slice are gone. Slices that were read before the failure stay as facts, so that the next run need not
            read them again.
    """
    earlier = {s.period: s for s in run.warehouse.current_slices(source.name)}
    not_ready: dict[date, str] = {}
    try:
        slices = _current(run, source, earlier, not_ready)
    except SourceError as error:
        reason = run.config.hide(str(error))
        if source.required:
            msg = f"source {source.name!r} ({source.kind}): {reason}"
            raise RequiredSourceError(msg) from error
        for known in earlier.values():
            _require(known)
        kept = [replace(s, status="stale") for s in earlier.values()]
        run.write_slices(source.name, kept, error=reason, not_ready=0)
        run.report(f"{source.name}: failed, {len(kept)} earlier slices stand: {reason}")
        return kept
    reasons = [f"{of}: {run.config.hide(reason)}" for of, reason in _together(not_ready)]
    for reason in reasons:
        run.report(f"{source.name}: not ready: {reason}")
    months = len({period.replace(day=1) for period in not_ready})
    run.write_slices(source.name, slices, error="; ".join(reasons) or None, not_ready=months)
    return slices


def _together(not_ready: Mapping[date, str]) -> Iterator[tuple[str, str]]:
    """Each month, or the first and last of days that have one reason, with the reason."""
    months = all(period.day == 1 for period in not_ready)
    for reason, periods in groupby(sorted(not_ready), key=not_ready.__getitem__):
        some = list(periods)
        for period in some if months else ():
            yield f"{period:%Y-%m}", reason
        if not months:
            yield f"{some[0]} to {some[-1]}" if len(some) > 1 else f"{some[0]}", reason


def _current(
    run: Run, source: Source, earlier: dict[date, SliceFacts], not_ready: dict[date, str]
) -> list[SliceFacts]:
    """The slices of a source; periods that cannot be read yet are noted in `not_ready`.

    A file that turns out to be damaged while it is read is known when the source is listed again.
    """
    seen: set[str] = set()
    while True:
        try:
            return _listed_and_read(run, source, earlier, not_ready)
        except DamagedFileError as error:
            if error.file is None or str(error) in seen:
                raise
            seen.add(str(error))


def _listed_and_read(
    run: Run, source: Source, earlier: dict[date, SliceFacts], not_ready: dict[date, str]
) -> list[SliceFacts]:
    run.report(f"{source.name}: looking for what changed")
    offered = source.reader.slices(run.window)
    found: dict[date, SliceFacts] = {}
    changed: list[Slice] = []
    for piece in offered:
        if piece.not_ready:
            not_ready[piece.period] = piece.not_ready
            continue
        facts = run.facts.find(source.name, piece.period, piece.fingerprint)
        if facts is not None:
            found[piece.period] = facts
        elif _may_read(run, piece.period, piece.grain):
            known = earlier.get(piece.period)
            there = known is not None and known.folder.is_dir()
            changed.append(replace(piece, earlier=known.earlier) if known and there else piece)
    for facts in load(run, source, changed, not_ready):
        found[facts.period] = facts
    for period, facts in earlier.items():
        if period not in found:
            _require(facts)
            found[period] = replace(facts, status="not_ready" if period in not_ready else "kept")
    return [found[p] for p in sorted(found)]


def _require(facts: SliceFacts) -> None:
    """Raises RequiredSourceError if the files of a published slice are gone: its charges would be gone without a word."""
    if not facts.folder.is_dir():
        msg = (
            f"source {facts.source!r}: its {facts.grain} {facts.period} is published, the source does not offer it now, and "
            f"its files are gone: {facts.folder}. Bring them back from a backup, or have it delivered again; to go on "
            "without it, remove the link `current` in the data folder, which starts the history anew"
        )
        raise RequiredSourceError(msg)


def _may_read(run: Run, period: date, grain: str) -> bool:
    if run.window.only is None:
        return True
    first, last = run.window.only
    return first.replace(day=1) <= period <= last if grain == "month" else first <= period <= last


def load(run: Run, source: Source, changed: Sequence[Slice], not_ready: dict[date, str]) -> list[SliceFacts]:
    """Reads slices of a source into facts.

    Bills are read together. Where one of them turns out to be damaged, those that are left are read one by one, and
    what cannot be read is noted in `not_ready`.

    Raises:
        SourceError: Something cannot be read, and it is no bill.
    """
    committed: dict[date, SliceFacts] = {}
    try:
        _load(run, source, changed, committed)
    except SourceError as error:
        left = [s for s in changed if s.period not in committed]
        if any(s.grain != "month" for s in left):
            raise
        if len(left) == 1:
            not_ready[left[0].period] = str(error)
            left = []
        for piece in left:
            try:
                _load(run, source, [piece], committed)
            except SourceError as one:
                not_ready[piece.period] = str(one)
    return list(committed.values())


def _load(run: Run, source: Source, changed: Sequence[Slice], committed: dict[date, SliceFacts]) -> None:
    """Reads slices together, and notes each that is committed."""
    if not changed:
        return
    work = run.folder / "work" / source.name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        with DuckDBEngine(temp=work / "spill") as engine:
            for loaded in source.reader.load(changed, work, engine):
                if not loaded.rows_read and not loaded.slice.objects and loaded.slice.grain == "day":
                    continue  # a server that had nothing yet is asked again by the next run
                at = datetime.now(UTC).replace(tzinfo=None)
                piece = loaded.slice.period
                committed[piece] = run.facts.commit(source.name, source.kind, loaded, at)
                run.report(f"{source.name}: {piece} read, {loaded.rows_read:,} rows ({len(committed)} read)")
    finally:
        shutil.rmtree(work, ignore_errors=True)
