"""Source kind `aws_cur2`: AWS CUR 2.0 from Data Exports, Parquet or CSV, from a folder or S3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, cast

from connectors.aws.exports import exports, is_export_manifest
from connectors.aws.manifests import Delivery
from connectors.aws.reader import CurReader
from connectors.base import Object, SourceOptions
from connectors.bills.reader import BillOptions


class Options(BillOptions):
    """Options of the kind.

    Attributes:
        export: Name of the export, where the location holds several; None for all.
        tier: Tier of charges that are not for a managed model API.
    """

    export: str | None = None
    tier: Literal["cloud", "api"] = "cloud"


class Cur2Reader(CurReader):
    """CUR 2.0 exports. A slice is a billing month, replaced whole by each new delivery.

    Without a manifest every file counts, and of two deliveries of one month the latest, where rows say which it is.
    """

    Options: ClassVar[type[SourceOptions]] = Options
    version = "aws-cur2-24"

    def _deliveries(self, objects: Sequence[Object]) -> list[Delivery] | None:
        export = cast("Options", self.options).export
        if export is None and not any(is_export_manifest(o.key) for o in objects):
            return None
        return exports(self._store, objects, export, lambda columns: "line_item_unblended_cost" in columns)
