"""Source kind `focus`: a folder or bucket of FOCUS 1.0 to 1.4 cost and usage files, CSV or Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal, cast

from connectors.base import Context, Engine, Loaded, Slice, SourceError, SourceOptions, Window
from connectors.bills.load import load_bill
from connectors.bills.plain import PlainFiles
from connectors.bills.runs import refuse_runs
from connectors.bills.stage import Bill
from connectors.focus.files import Datasets, counting
from connectors.focus.mapping import is_moment, is_number, period_column, to_focus
from connectors.objects import LocationOptions, open_store

VERSION = "focus-2"
"""Changes whenever the same file would give other facts."""


class Options(LocationOptions):
    """Options of the kind.

    Attributes:
        tier: Tier of charges that are not for a managed model API.
    """

    tier: Literal["cloud", "api", "onprem", "edge"] = "cloud"


class FocusReader:
    """FOCUS files. A slice is a billing month, over all files that hold rows of it."""

    Options: ClassVar[type[SourceOptions]] = Options

    def __init__(self, options: SourceOptions, context: Context) -> None:
        self.options = cast("Options", options)
        self.context = context
        self._store = open_store(self.options, context.base, context.cache)
        self._datasets = Datasets(self._store, context.cache / f"datasets-{context.name}.json")
        self._files = PlainFiles(self._store, context, VERSION, period_column)

    def check(self) -> str:
        """Says what is there.

        Raises:
            SourceError: The location cannot be read or holds nothing usable.
        """
        return self._files.describe(self._slices(), "FOCUS")

    def slices(self, window: Window) -> Sequence[Slice]:
        """The billing months. Files not seen before are looked into for their months; others are not read.

        Raises:
            SourceError: The location cannot be read, or a file is damaged.
        """
        del window
        return self._slices()

    def _slices(self) -> list[Slice]:
        self._files.objects()
        costs, others = self._datasets.split(counting(self._store, self._store.list()))
        if others and not costs:
            msg = (
                f"{self._store.uri('')} holds no cost and usage rows, only other datasets of FOCUS "
                f"({', '.join(sorted(set(others.values())))}); put the cost and usage files there, too"
            )
            raise SourceError(msg)
        note = (
            f"no cost rows, not read: {', '.join(f'{k} ({d})' for k, d in others.items())}" if others else ""
        )
        slices = self._files.slices(self.options.tier, note=note, objects=costs)
        refuse_runs(self._store, slices)
        return slices

    def load(self, slices: Sequence[Slice], work: Path, engine: Engine) -> Iterator[Loaded]:
        """Reads all files of the slices in one scan.

        Raises:
            SourceError: A file cannot be read.
        """
        bill = Bill(self.context.name, self.options.tier, to_focus, is_number, is_moment)
        yield from load_bill(bill, slices, self._files.open(slices), work, engine)
