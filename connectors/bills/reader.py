"""What readers of bills have in common: a location, its files by month, and the questions that are answered from these."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, cast

from connectors.base import Context, Slice, SourceOptions, Window
from connectors.bills.plain import PlainFiles
from connectors.bills.unpack import Unpacked
from connectors.objects import LocationOptions, Store, open_store


class BillReader(ABC):
    """A bill in files. A slice is a billing month; files not seen before are looked into for their months, others are not read."""

    words: ClassVar[str]
    """What its files are, for a person."""
    is_header: ClassVar[staticmethod[[Sequence[str]], bool]]
    """What makes a line of a CSV the header of such a file."""
    _files: PlainFiles

    def __init__(self, options: SourceOptions, context: Context) -> None:
        self.context = context
        self._store = self._open_store(cast("LocationOptions", options))

    def _open_store(self, options: LocationOptions) -> Store:
        store = open_store(options, self.context.base, self.context.cache)
        return Unpacked(store, self.context.cache / f"unpacked-{self.context.name}", self.is_header)

    def check(self) -> str:
        """Says what is there.

        Raises:
            SourceError: The location cannot be read, holds nothing usable, or a delivery is not complete.
        """
        return self._files.describe(self._slices(), self.words)

    def slices(self, window: Window) -> Sequence[Slice]:
        """The billing months.

        Raises:
            SourceError: The location cannot be read, or a delivery of unknown month is damaged.
        """
        del window
        return self._slices()

    @abstractmethod
    def _slices(self) -> list[Slice]: ...
