"""Source kind `gcp_billing_export`: the BigQuery billing export, from its table or as JSON lines, Parquet or CSV."""

from __future__ import annotations

from connectors.base import Context, Slice, SourceError, SourceOptions
from connectors.bills import files
from connectors.bills.plain import PlainFiles
from connectors.bills.reader import PlainReader
from connectors.gcp.bigquery import SCHEME, TableStore
from connectors.gcp.columns import OPTIONAL, is_header, parse_invoice_month, period_column, written
from connectors.gcp.mapping import to_focus
from connectors.objects import LocationOptions, Store

VERSION = "gcp-billing-export-19"
"""Changes whenever the same file would give other facts."""

SUFFIXES = (
    *files.SUFFIXES,
    ".json",
    ".jsonl",
    ".ndjson",
    ".json.gz",
    ".jsonl.gz",
    ".ndjson.gz",
    ".gz",
)

STANDARD, DETAILED = "gcp_billing_export_v1", "gcp_billing_export_resource_v1"
"""Names that BigQuery gives to the tables; the second holds the same costs as the first, by resource."""


class GcpReader(PlainReader):
    """Files of the export. A slice is an invoice month, over all files that hold rows of it.

    Charges are billed by invoice month and reported by usage time, which may lie in the month before. Each file
    is a part of the export: what arrives late comes in further files, which all count.
    """

    words = "GCP billing export"
    is_header = staticmethod(is_header)
    to_focus = staticmethod(to_focus)

    def __init__(self, options: SourceOptions, context: Context) -> None:
        super().__init__(options, context)
        self._files = PlainFiles(
            self._store,
            context,
            VERSION,
            period_column,
            parse=parse_invoice_month,
            suffixes=SUFFIXES,
            optional=OPTIONAL,
            prepare=written,
        )

    def _open_store(self, options: LocationOptions) -> Store:
        live = options.location.startswith(SCHEME)
        return TableStore(options, self.context.cache) if live else super()._open_store(options)

    def _slices(self) -> list[Slice]:
        objects = self._files.objects()
        standard = next((o.key for o in objects if STANDARD in o.key), None)
        detailed = next((o.key for o in objects if DETAILED in o.key), None)
        if standard and detailed:
            msg = (
                f"{self._store.uri(standard)} is of the standard export and {self._store.uri(detailed)} of the "
                "detailed one, which holds the same costs: every charge would count twice; keep one of them at "
                "the location"
            )
            raise SourceError(msg)
        return self._files.slices(self.options.tier, objects=objects)
