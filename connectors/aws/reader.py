"""Source kind `aws_cur`: legacy AWS Cost and Usage Reports, CSV or Parquet, with manifests, from a folder or S3."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal, cast

import polars as pl

from connectors.aws.columns import is_header, is_moment, is_number, is_price, period_column, written
from connectors.aws.discounts import in_columns, note
from connectors.aws.manifests import SUFFIX, Delivery, deliveries
from connectors.aws.mapping import to_focus
from connectors.aws.state import with_state
from connectors.base import (
    ISSUES_SCHEMA,
    Context,
    Engine,
    Loaded,
    Object,
    Slice,
    SourceError,
    SourceOptions,
    require_ready,
)
from connectors.bills.files import BillFile, open_bill
from connectors.bills.load import load_bill
from connectors.bills.plain import PlainFiles, fingerprint
from connectors.bills.reader import BillOptions, BillReader
from connectors.bills.runs import refuse_runs
from connectors.bills.so_far import counting
from connectors.bills.stage import Bill
from connectors.bills.unpack import Unpacked

STATUS = "cost_and_usage_data_status.parquet"
"""What AWS puts beside Parquet reports for Athena: no bill."""

WITHOUT_MANIFEST = "no manifest at the location: every file counts"


class Options(BillOptions):
    """Options of the kind.

    Attributes:
        report: Name of the report, where the location holds several; None for all.
        tier: Tier of charges that are not for a managed model API.
    """

    report: str | None = None
    tier: Literal["cloud", "api"] = "cloud"


class CurReader(BillReader):
    """Legacy Cost and Usage Reports. A slice is a billing month, replaced whole by each new delivery."""

    Options: ClassVar[type[SourceOptions]] = Options
    words = "AWS CUR"
    is_header = staticmethod(is_header)
    version: ClassVar[str] = "aws-cur-22"
    """Changes whenever the same file would give other facts."""

    def __init__(self, options: SourceOptions, context: Context) -> None:
        super().__init__(options, context)
        self.options = cast("Options", options)
        self._files = PlainFiles(self._store, context, self.version, period_column, prepare=written)

    def _slices(self) -> list[Slice]:
        listed = self._store.list()
        delivered = self._deliveries(listed)
        if delivered is None:
            return self._without_manifest()
        manifests = [o.key for o in listed if o.key.endswith(SUFFIX)]
        note = self._files.noted_by_manifests(listed, manifests, {o for d in delivered for o in d.objects})
        months: dict[date, list[Delivery]] = defaultdict(list)
        for delivery in delivered:
            months[delivery.month].append(delivery)
        slices = [self._slice(month, months[month]) for month in sorted(months)]
        newest = slices[-1]
        return [
            *slices[:-1],
            replace(newest, detail={**newest.detail, "note": note} if note else newest.detail),
        ]

    def _deliveries(self, objects: Sequence[Object]) -> list[Delivery] | None:
        """The current deliveries; None if the location has no manifests."""
        if self.options.report is None and not any(o.key.endswith(SUFFIX) for o in objects):
            return None
        return deliveries(self._store, objects, self.options.report)

    def _without_manifest(self) -> list[Slice]:
        objects = [o for o in self._files.objects() if not o.key.endswith(STATUS)]
        return self._files.slices(self.options.tier, note=WITHOUT_MANIFEST, objects=objects)

    def _slice(self, month: date, parts: Sequence[Delivery]) -> Slice:
        objects = sorted({o for d in parts for o in d.objects}, key=lambda o: o.key)
        return Slice(
            period=month,
            grain="month",
            fingerprint=fingerprint(self.version, [self.options.tier], objects),
            objects=tuple(objects),
            detail={"manifests": ", ".join(d.manifest for d in parts)},
            not_ready="; ".join(d.not_ready for d in parts if d.not_ready),
        )

    def load(self, slices: Sequence[Slice], work: Path, engine: Engine) -> Iterator[Loaded]:
        """Reads each month's files in one scan; the note says whether the month is final, and whose it is.

        Raises:
            SourceError: A file cannot be read.
        """
        require_ready(slices)
        for item in (s for s in slices if "manifests" in s.detail):
            yield from self._delivered(item, work, engine)
        plain = [s for s in slices if "manifests" not in s.detail]
        if plain:
            yield from self._load(plain, self._files.open(plain), work, engine)

    def _delivered(self, item: Slice, work: Path, engine: Engine) -> list[Loaded]:
        """A month whose manifest names its files: read once more where rows do not fit and totals stand below those of a large gzip."""
        try:
            found = self._load_delivered(item, work, engine)
            if found and not any("rejected" in month.issues["action"] for month in found):
                return found
        except SourceError:
            if not self._without_footers(item):
                raise
        else:
            if not self._without_footers(item):
                return found
        return self._load_delivered(item, work / "without-footers", engine)

    def _load_delivered(self, item: Slice, work: Path, engine: Engine) -> list[Loaded]:
        return [*self._load([item], self._open(item.objects, item.period), work, engine)]

    def _without_footers(self, item: Slice) -> bool:
        """Some file has had a copy without the lines after its rows made of it."""
        store = self._store
        return isinstance(store, Unpacked) and sum(map(store.without_footer, item.objects)) > 0

    def _load(
        self, slices: Sequence[Slice], files: Sequence[BillFile], work: Path, engine: Engine
    ) -> Iterator[Loaded]:
        """Months that have their discounts in columns alone are read apart from the others."""
        of = {s.period: [f for f in files if s.period in f.months] for s in slices}
        judged = {month: in_columns(mine, month, engine) for month, mine in of.items()}
        for discounted in dict.fromkeys(whose for whose, _ in judged.values()):
            mine = [s for s in slices if judged[s.period][0] == discounted]
            read = [f for f in files if any(f in of[s.period] for s in mine)]
            bill = Bill(
                self.context.name,
                self.options.tier,
                partial(to_focus, net=discounted),
                is_number,
                is_moment,
                is_price,
            )
            for loaded in load_bill(bill, mine, read, work, engine):
                if "manifests" not in loaded.slice.detail:
                    refuse_runs(loaded.slice.period, counting(loaded, read))
                said = [loaded.note, note(of[loaded.slice.period], discounted) if discounted else ""]
                found = pl.DataFrame(judged[loaded.slice.period][1], schema=ISSUES_SCHEMA, orient="row")
                issues = pl.concat([loaded.issues, found])
                yield with_state(replace(loaded, note="; ".join(filter(None, said)), issues=issues), engine)

    def _open(self, objects: Sequence[Object], month: date) -> list[BillFile]:
        paths = self._store.fetch(objects)
        return [
            written(open_bill(o, self._store.uri(o.key), path, (month,)))
            for o, path in zip(objects, paths, strict=True)
        ]
