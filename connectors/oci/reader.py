"""Source kind `oci_cost_report`: OCI cost reports, CSV, from a folder or an S3-compatible bucket."""

from __future__ import annotations

from connectors.base import Context, Slice, SourceError, SourceOptions
from connectors.bills.plain import PlainFiles
from connectors.bills.reader import PlainReader
from connectors.oci.mapping import is_header, period_column, to_focus, written

VERSION = "oci-cost-report-15"
"""Changes whenever the same file would give other facts."""

OTHER_REPORTS = ("usage-csv/", "FOCUS Reports/")
"""Folders of the reports' bucket that hold the same charges in another form."""


class OciReader(PlainReader):
    """Cost reports. A slice is a month of usage, over all files that hold rows of it.

    Each file holds some hours, and what came late or corrects earlier hours; all files count.
    """

    words = "OCI cost report"
    is_header = staticmethod(is_header)
    to_focus = staticmethod(to_focus)

    def __init__(self, options: SourceOptions, context: Context) -> None:
        super().__init__(options, context)
        self._files = PlainFiles(self._store, context, VERSION, period_column, prepare=written)

    def _slices(self) -> list[Slice]:
        objects = [
            o for o in self._files.objects() if not any(f"/{other}" in f"/{o.key}" for other in OTHER_REPORTS)
        ]
        if not objects:
            msg = f"{self._store.uri('')} holds usage or FOCUS reports and no cost report; correct `location`"
            raise SourceError(msg)
        return self._files.slices(self.options.tier, objects=objects)
