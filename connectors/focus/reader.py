"""Source kind `focus`: a folder or bucket of FOCUS 1.0 to 1.4 cost and usage files, CSV or Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal, cast

from connectors.base import Context, Engine, Loaded, Slice, SourceOptions, Window
from connectors.bills.load import load_bill
from connectors.bills.plain import PlainFiles
from connectors.bills.stage import Bill
from connectors.focus.mapping import period_column, to_focus
from connectors.objects import LocationOptions, open_store

VERSION = "focus-1"
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
        store = open_store(self.options, context.base, context.cache)
        self._files = PlainFiles(store, context, VERSION, period_column)

    def check(self) -> str:
        """Says what is there.

        Raises:
            SourceError: The location cannot be read or holds nothing usable.
        """
        slices = self._files.slices(self.options.tier)
        return self._files.describe(slices, "FOCUS")

    def slices(self, window: Window) -> Sequence[Slice]:
        """The billing months. Files not seen before are looked into for their months; others are not read.

        Raises:
            SourceError: The location cannot be read, or a file is damaged.
        """
        del window
        return self._files.slices(self.options.tier)

    def load(self, slices: Sequence[Slice], work: Path, engine: Engine) -> Iterator[Loaded]:
        """Reads all files of the slices in one scan.

        Raises:
            SourceError: A file cannot be read.
        """
        bill = Bill(self.context.name, self.options.tier, to_focus)
        yield from load_bill(bill, slices, self._files.open(slices), work, engine)
