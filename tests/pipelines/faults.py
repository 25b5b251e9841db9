"""Many sources in one run, each with a fault of its own: what was said of each of them, and what was staged."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from tests.pipelines import small


@dataclass(frozen=True)
class Input:
    """One source: its options as YAML, and the one file that it has."""

    options: str
    file: str
    content: bytes


def write(site: Path, sources: Mapping[str, Input], more: str = "") -> None:
    """Writes the files of sources, each to a folder of its own name, and a configuration with these sources alone."""
    lines = ["data_dir: ./data", "sources:"]
    for name, source in sources.items():
        (site / name).mkdir(exist_ok=True)
        (site / name / source.file).write_bytes(source.content)
        lines.append(f"  {name}: {{{source.options}, location: ./{name}}}")
    (site / "tierwise.yaml").write_text("\n".join([*lines, more]))


def words_of(stderr: str, names: Iterable[str]) -> dict[str, str]:
    """Source -> what was said of it alone: that it failed, or that its month cannot be read yet."""
    known = "|".join(re.escape(n) for n in names)
    marks = rf"(?:failed source '({known})' \(\w+\): |(?:\(|; )({known}) (?=\d{{4}}-\d\d: ))"
    parts = re.split(marks, stderr)[1:]
    said = {}
    for failed, held_back, words in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        assert (failed or held_back) not in said
        said[failed or held_back] = words
    return said


def staged(site: Path, sql: str) -> list[tuple[object, ...]]:
    """Rows of a query on what the last run staged and did not publish."""
    file = max((site / "data" / "runs").glob("*/stage/warehouse.duckdb"), key=lambda f: f.stat().st_mtime)
    with duckdb.connect(str(file), read_only=True) as connection:
        found: list[tuple[object, ...]] = connection.execute(sql).fetchall()
        return found


def rejected(site: Path) -> dict[str, list[tuple[object, ...]]]:
    """Source -> rule, column, value and place of each row that the last run rejected."""
    rows = staged(
        site,
        "SELECT source, rule, column_name, value, location FROM ops.quarantine WHERE action = 'rejected' ORDER BY ALL",
    )
    found: dict[str, list[tuple[object, ...]]] = {}
    for source, *words in rows:
        found.setdefault(str(source), []).append(tuple(words))
    return found


def rejected_share(site: Path) -> dict[str, float]:
    """Source -> share of its rows that the last run rejected, which is what the gate judges."""
    rows = staged(
        site,
        "SELECT source, sum(rows_rejected) / sum(rows_read) FROM ops.ingests WHERE current GROUP BY source",
    )
    return {str(source): float(str(share)) for source, share in rows}


def run(site: Path, day: str) -> small.Done:
    """The daily run for a day."""
    done = small.tierwise("run", "--config", site / "tierwise.yaml", "--date", day)
    assert "Traceback" not in done.stdout + done.stderr
    return done
