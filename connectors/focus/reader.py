"""Source kind `focus`: a folder or bucket of FOCUS 1.0 to 1.4 cost and usage files, CSV or Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal, cast

from pydantic import Field

from connectors.base import Context, Engine, Loaded, Slice, SourceError, SourceOptions, Window
from connectors.bills.dates import WORDS
from connectors.bills.files import BillFile
from connectors.bills.load import load_bill
from connectors.bills.plain import PlainFiles
from connectors.bills.runs import refuse_runs
from connectors.bills.stage import Bill
from connectors.focus.files import Datasets, counting, dated
from connectors.focus.mapping import is_moment, is_number, period_column, to_focus
from connectors.objects import LocationOptions, open_store

VERSION = "focus-3"
"""Changes whenever the same file would give other facts."""


class Options(LocationOptions):
    """Options of the kind.

    Attributes:
        tier: Tier of charges that are not for a managed model API.
        date_order: How to read dates such as 4/1/25: mdy or dmy. Needed only where a file does not prove it.
        currency: BillingCurrency (ISO 4217) of rows that name none. Without it they are rejected.
    """

    tier: Literal["cloud", "api", "onprem", "edge"] = "cloud"
    date_order: Literal["mdy", "dmy"] | None = None
    currency: str | None = Field(default=None, pattern="^[A-Z]{3}$")


class FocusReader:
    """FOCUS files. A slice is a billing month, over all files that hold rows of it."""

    Options: ClassVar[type[SourceOptions]] = Options

    def __init__(self, options: SourceOptions, context: Context) -> None:
        self.options = cast("Options", options)
        self.context = context
        self._store = open_store(self.options, context.base, context.cache)
        self._datasets = Datasets(self._store, context.cache / f"datasets-{context.name}.json")
        self._order = self.options.date_order or ""
        version = f"{VERSION}-{self._order}"
        self._files = PlainFiles(
            self._store, context, version, period_column, prepare=lambda bill: dated(bill, self._order)
        )

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
        counted, told = counting(self._store, self._store.list())
        if not counted and not told.empty and not told.not_ready:
            self._files.objects()  # says what is missing
        costs, others = self._datasets.split(counted)
        if others and not costs:
            msg = (
                f"{self._store.uri('')} holds no cost and usage rows, only other datasets of FOCUS "
                f"({', '.join(sorted(set(others.values())))}); put the cost and usage files there, too"
            )
            raise SourceError(msg)
        note = (
            f"no cost rows, not read: {', '.join(f'{k} ({d})' for k, d in others.items())}" if others else ""
        )
        currency = self.options.currency or ""
        slices = self._files.slices(self.options.tier, currency, note=note, objects=costs, told=told)
        refuse_runs(self._store, slices)
        return slices

    def load(self, slices: Sequence[Slice], work: Path, engine: Engine) -> Iterator[Loaded]:
        """Reads all files of the slices in one scan.

        Raises:
            SourceError: A file cannot be read.
        """
        currency = self.options.currency
        bill = Bill(
            self.context.name,
            self.options.tier,
            lambda shape: to_focus(shape, currency),
            is_number,
            is_moment,
        )
        yield from (Loaded(s, {}, 0, 0, note=s.detail["note"]) for s in slices if not s.objects)
        files = self._files.open(slices)
        for loaded in load_bill(bill, [s for s in slices if s.objects], files, work, engine):
            yield replace(loaded, note="; ".join(filter(None, [loaded.note, *self._remarks(loaded, files)])))

    def _remarks(self, loaded: Loaded, files: Sequence[BillFile]) -> Iterator[str]:
        """What was taken from options or concluded rather than read."""
        keys = {o.key for o in loaded.slice.objects}
        mine = [f for f in files if f.key in keys]
        for order, words in WORDS.items():
            if found := [f.key for f in mine if f.dates == order]:
                yield f"dates read as {words}: {', '.join(found)}"
        if self.options.currency:
            lacking = [f.key for f in mine if "billingcurrency" not in map(str.lower, f.columns)]
            if lacking:
                yield f"billed in {self.options.currency} by the option `currency`: {', '.join(lacking)}"
