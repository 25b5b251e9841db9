"""Whatever was delivered, repeated, half-written or interrupted before: the facts are those of the last delivery alone."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.base import Window
from connectors.parts import current_rows
from models.tables import TABLES
from pipelines.engines.duckdb import DuckDBEngine
from pipelines.facts import SliceFacts
from pipelines.ingest import RequiredSourceError, ingest
from pipelines.run import Run
from pipelines.settings import load_config
from tests.connectors.bills.deliveries import BAD, FORMATS, Format

MONTHS = ("2026-09", "2026-10")
VERSIONS = (["1.25"], ["3", "0.1", "-2.5"], ["7", BAD, "7"], ["0.000000000001", "3"], [])
"""Costs of the deliveries that may come; the last is of a month without charges."""

WINDOW = Window(day=date(2026, 11, 5), now=datetime(2026, 11, 6, tzinfo=UTC))
WHERE_KILLED = ("between slices", "in a commit", "before the first")


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Site:
    """A folder with a source and what was read of it."""

    folder: Path
    format: Format
    runs: int = 0

    @property
    def bills(self) -> Path:
        return self.folder / "bills"

    def run(self, killed: str = "") -> list[SliceFacts]:
        """One run up to its publication; a killed one publishes nothing and leaves what it was writing."""
        self.runs += 1
        source = {"kind": self.format.kind, "location": "./bills", **self.format.options}
        file = self.folder / "tierwise.yaml"
        file.write_text(yaml.safe_dump({"data_dir": "./data", "sources": {"bills": source}}))
        config = load_config(file)
        run = Run(f"r{self.runs}", config, WINDOW)
        one = config.sources["bills"]
        if not killed:
            found = ingest(run, one)
            current = config.data_dir / "current"
            current.mkdir(parents=True, exist_ok=True)
            (current / "slices.json").write_text(json.dumps([s.to_json() for s in found]))
            return found
        if killed == "in a commit":
            with patch.object(Path, "rename", side_effect=Killed), suppress(Killed, RequiredSourceError):
                ingest(run, one)
        else:
            reader = one.reader
            after = 1 if killed == "between slices" else 0

            def load(*arguments: Any) -> Iterator[Any]:
                for n, loaded in enumerate(type(reader).load(reader, *arguments)):
                    if n >= after:
                        raise Killed
                    yield loaded

            with patch.object(reader, "load", load), suppress(Killed, RequiredSourceError):
                ingest(run, replace(one, reader=reader))
        left = run.folder / "work" / "bills"
        left.mkdir(parents=True, exist_ok=True)
        (left / "cost-and-usage-2026-09-01.parquet").write_bytes(b"PAR1 half")
        return []


def state(site: Site, slices: list[SliceFacts]) -> dict[date, tuple[Any, ...]]:
    """What is known of each slice: status, rows as a multiset, totals, counts and issues."""
    found = {}
    for facts in slices:
        rows: Counter[str] = Counter()
        for table in facts.tables:
            with DuckDBEngine() as engine:
                frame = engine.query(f"SELECT * FROM {current_rows(TABLES[table], facts.parts(table))}")
            rows.update(f"{table} {row}" for row in frame.iter_rows())
        issues = facts.folder / "issues.parquet"
        noted: Counter[str] = Counter()
        if issues.is_file():
            for row in pl.read_parquet(issues).drop("location").iter_rows():
                noted[str(row)] += 1
        found[facts.period] = (facts.status in ("kept", "stale", "not_ready"), rows, dict(facts.totals), dict(facts.rows), noted)  # fmt: skip
    return found


STEP = st.tuples(
    st.sampled_from(MONTHS),
    st.integers(0, len(VERSIONS) - 1),
    st.booleans(),  # a half-written delivery comes first
    st.sampled_from(("", "run", *WHERE_KILLED)),
)


@pytest.mark.long
@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=settings.default.max_examples // 6, derandomize=True, database=None)
@given(steps=st.lists(STEP, min_size=2, max_size=5))
def test_any_sequence_ends_as_if_only_the_last_deliveries_had_come(
    name: str, steps: list[tuple[str, int, bool, str]]
) -> None:
    form = FORMATS[name]
    last: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        site, alone = Site(Path(folder, "a"), form), Site(Path(folder, "b"), form)
        for each in (site, alone):
            each.bills.mkdir(parents=True)
        for turn, (month, version, broken, then) in enumerate(steps, 1):
            if broken:
                form.half(site.bills, month, turn)
                with suppress(RequiredSourceError):
                    site.run()
            costs = VERSIONS[version] if VERSIONS[version] or form.empty else VERSIONS[0]
            form.deliver(site.bills, month, costs, turn)
            last[month] = costs
            if then:
                site.run(killed="" if then == "run" else then)
        for month, costs in last.items():
            form.deliver(alone.bills, month, costs, 1)
        expected = state(alone, alone.run())
        assert state(site, site.run()) == expected
        assert not any(held for held, *_ in expected.values())
        assert len(expected) == len(last)
        assert state(site, site.run()) == expected


@pytest.mark.long
@pytest.mark.parametrize("name", FORMATS)
def test_a_half_written_month_holds_back_neither_the_others_nor_its_earlier_figures(
    name: str, tmp_path: Path
) -> None:
    """September 1.25, then October half-written: September stands. October 3, then half again: 3 stands."""
    form = FORMATS[name]
    if form.kind in ("litellm", "openai", "anthropic"):
        pytest.skip("logs of a gateway are read by day; a damaged file fails the source")
    site = Site(tmp_path, form)
    form.deliver(site.bills, "2026-09", ["1.25"], 1)
    form.half(site.bills, "2026-10", 1)
    (only,) = site.run()
    assert (only.period, only.totals["USD"]) == (
        date(2026, 9, 1),
        pl.Series(["1.25"]).str.to_decimal(scale=12)[0],
    )
    form.deliver(site.bills, "2026-10", ["3"], 2)
    assert [str(s.totals["USD"].normalize()) for s in site.run()] == ["1.25", "3"]
    form.deliver(site.bills, "2026-09", ["1.5"], 3)
    form.half(site.bills, "2026-10", 3)
    found = site.run()
    assert [(str(s.totals["USD"].normalize()), s.status) for s in found] == [
        ("1.5", "loaded"),
        ("3", "not_ready"),
    ]
    said = json.loads((tmp_path / "data" / "runs" / f"r{site.runs}" / "slices" / "bills.json").read_text())
    assert said["not_ready"] == 1
    assert said["error"].startswith("2026-10: ")
