"""What readers of bills have in common: a location, its files by month, and the questions that are answered from these."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal, cast

from connectors.base import Context, Engine, Loaded, Slice, SourceOptions, Window
from connectors.bills.load import load_bill
from connectors.bills.native import Native
from connectors.bills.plain import PlainFiles
from connectors.bills.shapes import Shape
from connectors.bills.so_far import MONTH_SO_FAR
from connectors.bills.stage import Bill
from connectors.bills.unpack import Unpacked
from connectors.objects import LocationOptions, Store, open_store


class BillOptions(LocationOptions):
    """Options of every bill in files.

    Attributes:
        month_so_far: true: each file holds the month so far; without a manifest the newest of a month counts, by the day
            in its name or by how far it reaches, also where its rows do not prove that it holds the earlier ones.
            false: every file counts, also one whose charges a later one holds. None: what rows prove.
    """

    month_so_far: bool | None = None


class BillReader(ABC):
    """A bill in files. A slice is a billing month; files not seen before are looked into for their months, others are not read."""

    words: ClassVar[str]
    """What its files are, for a person."""
    is_header: ClassVar[staticmethod[[Sequence[str]], bool]]
    """What makes a line of a CSV the header of such a file."""
    exact: ClassVar[bool] = False
    """Numbers of JSON are decimals; else its writer has doubles."""
    _files: PlainFiles

    def __init__(self, options: SourceOptions, context: Context) -> None:
        self.context = context
        self._month_so_far = cast("BillOptions", options).month_so_far
        self._store = self._open_store(cast("LocationOptions", options))

    def _open_store(self, options: LocationOptions) -> Store:
        store = open_store(options, self.context.base, self.context.cache)
        return Unpacked(
            store, self.context.cache / f"unpacked-{self.context.name}", self.is_header, exact=self.exact
        )

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
        told = self._month_so_far
        return (
            self._slices() if told is None else [_so_far(s, "yes" if told else "no") for s in self._slices()]
        )

    @abstractmethod
    def _slices(self) -> list[Slice]: ...


def _so_far(item: Slice, told: str) -> Slice:
    """A month of which the option says whether each file holds the month so far."""
    changed = hashlib.sha256(f"{item.fingerprint} {MONTH_SO_FAR} {told}".encode()).hexdigest()
    return replace(item, fingerprint=changed, detail={**item.detail, MONTH_SO_FAR: told})


class CloudOptions(BillOptions):
    """Options of a bill of a cloud.

    Attributes:
        tier: Tier of charges that are not for a managed model API.
    """

    tier: Literal["cloud", "api"] = "cloud"


class PlainReader(BillReader):
    """A bill whose files all count and mean the same whatever manifest, name or option there is."""

    Options: ClassVar[type[SourceOptions]] = CloudOptions
    to_focus: ClassVar[staticmethod[[Shape], Native]]
    """The format."""

    def __init__(self, options: SourceOptions, context: Context) -> None:
        super().__init__(options, context)
        self.options = cast("CloudOptions", options)

    def load(self, slices: Sequence[Slice], work: Path, engine: Engine) -> Iterator[Loaded]:
        """Reads all files of the slices in one scan.

        Raises:
            SourceError: A file cannot be read.
        """
        bill = Bill(self.context.name, self.options.tier, self.to_focus)
        yield from load_bill(bill, slices, self._files.open(slices), work, engine)
