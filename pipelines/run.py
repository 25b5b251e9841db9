"""One run of the daily job: its day, its folder, and what its steps hand to each other through that folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from connectors.base import Window
from pipelines.facts import FactStore, SliceFacts
from pipelines.settings import Config
from pipelines.warehouse import Warehouse

Report = Callable[[str], None]


def _silent(_: str) -> None:
    return None


@dataclass(frozen=True)
class Run:
    """What every step of a run may know.

    Attributes:
        id: Identifies the run.
        config: The configuration.
        window: The time it is for.
        report: Told of progress, in a few words.
    """

    id: str
    config: Config
    window: Window
    report: Report = _silent

    @property
    def folder(self) -> Path:
        """Where this run builds; nothing in it is published."""
        return self.config.data_dir / "runs" / self.id

    @property
    def stage(self) -> Path:
        """What is published if every gate passes: warehouse and statements."""
        return self.folder / "stage"

    @property
    def as_of(self) -> date:
        """The day that what it builds is for: the run's, or a later one that is published already.

        A later one that is still to come was a mistake, and does not stay.
        """
        published = self.warehouse.publication
        earlier = date.fromisoformat(published["as_of"]) if published else self.window.day
        return max(self.window.day, min(earlier, self.window.now.date()))

    @property
    def facts(self) -> FactStore:
        """The immutable facts."""
        return FactStore(self.config.data_dir / "facts")

    @property
    def warehouse(self) -> Warehouse:
        """What is published."""
        return Warehouse(self.config.data_dir)

    def write_frame(self, name: str, frame: pl.DataFrame) -> None:
        """Keeps a frame for later steps."""
        file = self.folder / "frames" / f"{name}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(file)

    def read_frame(self, name: str) -> pl.DataFrame:
        """A frame that an earlier step kept."""
        return pl.read_parquet(self.folder / "frames" / f"{name}.parquet")

    def write_json(self, name: str, value: Any) -> None:
        """Keeps a JSON-able value for later steps."""
        file = self.folder / f"{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(value, indent=1))

    def read_json(self, name: str) -> Any:
        """A value that an earlier step kept."""
        return json.loads((self.folder / f"{name}.json").read_text())

    def slices(self) -> list[SliceFacts]:
        """All slices that the tables of this run follow from, of every source, in order."""
        found, root = [], self.facts.root
        for file in sorted((self.folder / "slices").glob("*.json")):
            found += [SliceFacts.from_json(d, root) for d in json.loads(file.read_text())["slices"]]
        return sorted(found, key=lambda s: (s.source, s.period))

    def write_slices(self, source: str, slices: list[SliceFacts], **state: Any) -> None:
        """Keeps what a source gave to this run."""
        self.write_json(
            f"slices/{source.replace(':', '=')}",
            {"source": source, "slices": [s.to_json() for s in slices], **state},
        )

    @property
    def unchanged(self) -> bool:
        """Everything this run would publish follows from the same inputs as what is published."""
        return bool(self.read_json("plan")["unchanged"])
