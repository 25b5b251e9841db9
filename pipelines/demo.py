"""Writes the inputs of the made-up company for `tierwise demo`."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path


def prepare(target: Path, days: int, seed: int) -> tuple[Path, date]:
    """Writes inputs and configuration, unless the same ones are there already.

    Args:
        target: Folder; made if absent.
        days: Days of history; they end yesterday.
        seed: Of the generator.

    Returns:
        The configuration file, and the last day of the inputs.
    """
    from examples.generate import write

    end = datetime.now(UTC).date() - timedelta(days=1)
    file = target / "tierwise.yaml"
    stamp = target / "inputs" / ".generated"
    wanted = f"{end} {days} {seed}\n"
    if not (stamp.is_file() and stamp.read_text() == wanted and file.is_file()):
        write(target, end, days, seed)
        stamp.write_text(wanted)
    return file, end
