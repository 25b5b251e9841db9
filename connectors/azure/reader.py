"""Source kind `azure_export`: Azure cost exports, actual and amortized, CSV or Parquet, with or without manifests."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal, cast

import polars as pl

from connectors.azure.columns import is_header, parse_azure_month, period_columns, written
from connectors.azure.kinds import Exports, disagreement, kinds_of_export
from connectors.azure.manifests import PERIOD, Current, current, dataset_of_name, is_manifest
from connectors.azure.mapping import to_focus
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
from connectors.bills.files import BillFile
from connectors.bills.load import load_bill
from connectors.bills.plain import NOTHING_TOLD, PlainFiles
from connectors.bills.reader import BillOptions, BillReader
from connectors.bills.runs import refuse_runs
from connectors.bills.shapes import shapes
from connectors.bills.so_far import counting
from connectors.bills.stage import Bill

VERSION = "azure-export-24"
"""Changes whenever the same file would give other facts."""

WITHOUT_MANIFEST = "no manifest at the location: every file counts"
ONLY_AMORTIZED = "amortized export only: purchases of commitments are not in it, so BilledCost lacks them"
GUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)


class Options(BillOptions):
    """Options of the kind.

    Attributes:
        dataset: actual or amortized. Files whose manifest or name says the other are left out; files that say
            nothing are taken to be of this one. None: every file counts, and a month that has both exports gets
            its BilledCost from the actual and its EffectiveCost from the amortized one.
        tier: Tier of charges that are not for a managed model API.
    """

    dataset: Literal["actual", "amortized"] | None = None
    tier: Literal["cloud", "api"] = "cloud"


class AzureReader(BillReader):
    """Cost exports. A slice is a billing month, replaced whole by each new run of the export."""

    Options: ClassVar[type[SourceOptions]] = Options
    words = "Azure cost export"
    is_header = staticmethod(is_header)

    def __init__(self, options: SourceOptions, context: Context) -> None:
        super().__init__(options, context)
        self.options = cast("Options", options)
        self._files = PlainFiles(
            self._store, context, VERSION, period_columns, parse=parse_azure_month, prepare=written
        )

    def _slices(self) -> list[Slice]:
        listed = self._store.list()
        with_manifest = any(is_manifest(o.key) for o in listed)
        if with_manifest:
            runs = current(self._store, listed)
            self._files.noted_by_manifests(
                listed, [o.key for o in listed if is_manifest(o.key)], runs.datasets
            )
        else:
            runs = Current({o: dataset_of_name(o.key) for o in self._files.objects()}, NOTHING_TOLD)
        datasets, told = runs.datasets, runs.told
        chosen = self.options.dataset
        if chosen:
            datasets = {o: chosen for o, d in datasets.items() if d in (chosen, None)}
        if not datasets and not told.empty and not told.not_ready:
            msg = (
                f"{self._store.uri('')} holds no file of dataset {chosen!r}; correct `dataset` or `location`"
            )
            raise SourceError(msg)
        slices = self._files.slices(
            self.options.tier,
            *(sorted(f"{o.key}:{d}" for o, d in datasets.items() if d)),
            note="" if with_manifest else WITHOUT_MANIFEST,
            objects=sorted(datasets, key=lambda o: o.key),
            told=told,
        )
        return [self._described(s, datasets) for s in slices]

    def _described(self, item: Slice, datasets: Mapping[Object, str | None]) -> Slice:
        """The slice with the dataset of each of its files."""
        of = {
            name: [o.key for o in item.objects if datasets[o] == name]
            for name in ("actual", "amortized", None)
        }
        if of["amortized"] and of[None]:
            msg = (
                f"{self._store.uri(of['amortized'][0])} is of the amortized export, and nothing tells of which "
                f"{self._store.uri(of[None][0])} is: they may be the same charges; set `dataset`, or put them into "
                "folders named actual and amortized"
            )
            raise SourceError(msg)
        note = item.detail.get("note", "")
        if of["amortized"] and not of["actual"]:
            note = "; ".join(n for n in (note, ONLY_AMORTIZED) if n)
        both = "yes" if of["amortized"] and of["actual"] else ""
        names = {f"dataset:{o.key}": d for o in item.objects if (d := datasets[o])}
        return replace(item, detail={**item.detail, "note": note, "both": both, **names})

    def load(self, slices: Sequence[Slice], work: Path, engine: Engine) -> Iterator[Loaded]:
        """Reads all files of the slices in one scan; months that have both exports, each in one of its own.

        Raises:
            SourceError: A file cannot be read.
        """
        require_ready(slices)
        yield from (Loaded(s, {}, 0, 0, note=s.detail["note"]) for s in slices if not s.objects)
        single = [s for s in slices if s.objects and not s.detail.get("both")]
        if single:
            yield from self._load(single, work, engine)
        for item in slices:
            if item.detail.get("both"):
                yield from self._load([item], work, engine)

    def _load(self, slices: Sequence[Slice], work: Path, engine: Engine) -> Iterator[Loaded]:
        files = self._files.open(slices)
        of = {k: v for s in slices for k, v in s.detail.items()}
        paths: dict[str, list[str]] = defaultdict(list)
        for file in files:
            paths[of.get(f"dataset:{file.key}", "")].append(str(file.path))
        exports = Exports(paths["actual"], paths["amortized"], both=bool(slices[0].detail.get("both")))
        bill = Bill(
            self.context.name, self.options.tier, partial(to_focus, exports=exports), by_row=not exports.both
        )
        for loaded in load_bill(bill, slices, files, work, engine):
            mine = [*counting(loaded, files)]
            refuse_runs(loaded.slice.period, mine)
            _refuse_deliveries(loaded.slice.period, mine)
            if not exports.both:
                if not exports.actual and not exports.amortized:
                    _refuse_mixed(loaded, mine, engine)
                yield loaded
                continue
            sql = disagreement(shapes(mine, engine), exports, loaded.slice.period)
            yield _with_disagreement(loaded, engine.query(sql))


def _refuse_deliveries(month: date, files: Sequence[BillFile]) -> None:
    """Checks that of the runs of an export that does not partition its files, `name_GUID.csv` in the month's folder, one counts.

    Each holds the month up to then. Where their rows do not prove which is the latest, every charge would count twice.

    Raises:
        SourceError: Several count.
    """
    seen: dict[str, BillFile] = {}
    for file in files:
        folder, _, name = file.key.rpartition("/")
        if PERIOD.fullmatch(folder.rsplit("/", 1)[-1]) and GUID.search(name):
            other = seen.setdefault(f"{folder}/{GUID.sub('', name)}", file)
            if other is not file:
                msg = (
                    f"{other.uri} and {file.uri} are runs of one export for {month:%Y-%m}, and neither a manifest nor "
                    "their rows say which is the latest: every charge would count twice; keep the newest, let the "
                    "export partition its files, or put the day of each run into its name and say `month_so_far: true` "
                    "in the source"
                )
                raise SourceError(msg)


def _refuse_mixed(loaded: Loaded, files: Sequence[BillFile], engine: Engine) -> None:
    """Checks that files of which nothing tells the export are not of both: on-demand usage would count twice.

    Raises:
        SourceError: One has unused commitments, which only the amortized export has, another their purchases.
    """
    if len(files) < 2 or not loaded.rows_loaded:
        return
    paid = "ChargeCategory IN ('Purchase', 'Adjustment') AND CommitmentDiscountId IS NOT NULL"
    there = engine.query(
        f"SELECT bool_or(CommitmentDiscountStatus = 'Unused') AS unused, bool_or({paid}) AS paid FROM {loaded.rows_of('CommitmentDiscountStatus', 'ChargeCategory', 'CommitmentDiscountId')}"
    )
    if not all(there.row(0)):
        return
    uris = {str(f.path): f.uri for f in files}
    rows = engine.query(kinds_of_export(shapes(files, engine))).rows()
    amortized = [uris[file] for file, unused, bought in rows if unused and not bought]
    actual = [uris[file] for file, unused, bought in rows if bought and not unused]
    if amortized and actual:
        msg = (
            f"{amortized[0]} is of the amortized export (it has unused commitments) and {actual[0]} of the actual one "
            "(it has purchases of commitments), so all other charges would count twice; set `dataset`, or put them "
            "into folders named actual and amortized"
        )
        raise SourceError(msg)


def _with_disagreement(loaded: Loaded, differences: pl.DataFrame) -> Loaded:
    """The charges that are in both exports are taken from the actual one; that the other has other sums is flagged."""
    found = [
        {
            "action": "flagged",
            "rule": "exports_disagree",
            "column_name": "EffectiveCost",
            "value": f"actual - amortized: {difference} {currency}",
            "rows": 1,
        }
        for currency, difference in differences.iter_rows()
    ]
    issues = pl.concat([loaded.issues, pl.DataFrame(found, schema=ISSUES_SCHEMA, orient="row")])
    return replace(loaded, issues=issues)
