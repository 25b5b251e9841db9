"""Source kind `oci_cost_report`: OCI cost reports, CSV, from a folder or an S3-compatible bucket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal, cast

from connectors.base import Context, Engine, Loaded, Slice, SourceError, SourceOptions
from connectors.bills.load import load_bill
from connectors.bills.plain import PlainFiles
from connectors.bills.reader import BillReader
from connectors.bills.stage import Bill
from connectors.objects import LocationOptions
from connectors.oci.mapping import is_header, period_column, to_focus

VERSION = "oci-cost-report-3"
"""Changes whenever the same file would give other facts."""

OTHER_REPORTS = ("usage-csv/", "FOCUS Reports/")
"""Folders of the reports' bucket that hold the same charges in another form."""


class Options(LocationOptions):
    """Options of the kind.

    Attributes:
        tier: Tier of charges that are not for a managed model API.
    """

    tier: Literal["cloud", "api"] = "cloud"


class OciReader(BillReader):
    """Cost reports. A slice is a month of usage, over all files that hold rows of it.

    Each file holds some hours, and what came late or corrects earlier hours; all files count.
    """

    Options: ClassVar[type[SourceOptions]] = Options
    words = "OCI cost report"
    is_header = staticmethod(is_header)

    def __init__(self, options: SourceOptions, context: Context) -> None:
        super().__init__(options, context)
        self.options = cast("Options", options)
        self._files = PlainFiles(self._store, context, VERSION, period_column)

    def _slices(self) -> list[Slice]:
        objects = [
            o for o in self._files.objects() if not any(f"/{other}" in f"/{o.key}" for other in OTHER_REPORTS)
        ]
        if not objects:
            msg = f"{self._store.uri('')} holds usage or FOCUS reports and no cost report; correct `location`"
            raise SourceError(msg)
        return self._files.slices(self.options.tier, objects=objects)

    def load(self, slices: Sequence[Slice], work: Path, engine: Engine) -> Iterator[Loaded]:
        """Reads all files of the slices in one scan.

        Raises:
            SourceError: A file cannot be read.
        """
        bill = Bill(self.context.name, self.options.tier, to_focus)
        yield from load_bill(bill, slices, self._files.open(slices), work, engine)
