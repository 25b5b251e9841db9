"""Source kind `focus`: a folder or bucket of FOCUS 1.0 to 1.4 cost and usage files, CSV, JSON or Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import polars as pl
from pydantic import Field

from connectors.base import (
    ISSUES_SCHEMA,
    Context,
    Engine,
    Loaded,
    Object,
    Slice,
    SourceError,
    SourceOptions,
)
from connectors.bills.dates import dated
from connectors.bills.files import BillFile, open_bill
from connectors.bills.load import load_bill
from connectors.bills.months import AHEAD_H, parse_month
from connectors.bills.numbers import numbered
from connectors.bills.plain import PlainFiles, fingerprint
from connectors.bills.reader import BillOptions, BillReader
from connectors.bills.runs import refuse_runs
from connectors.bills.so_far import counting as counting_files
from connectors.bills.stage import Bill
from connectors.focus.allocation import faults
from connectors.focus.contracts import disagreements, load_contracts
from connectors.focus.files import FILES, Datasets, counting
from connectors.focus.mapping import is_header, is_moment, is_number, key, period_column, to_focus
from models import tables

VERSION = "focus-29"
"""Changes whenever the same file would give other facts."""


class Options(BillOptions):
    """Options of the kind.

    Attributes:
        tier: Tier of charges that are not for a managed model API.
        date_order: How to read dates such as 4/1/25: mdy or dmy. Needed only where a file does not prove it.
        currency: BillingCurrency (ISO 4217) of rows that name none. Without it they are rejected.
        billing_period: charge_month: files have no billing period, and it is the month, in UTC, in which a charge starts.
    """

    tier: Literal["cloud", "api", "onprem", "edge"] = "cloud"
    date_order: Literal["mdy", "dmy"] | None = None
    currency: str | None = Field(default=None, pattern="^[A-Z]{3}$")
    billing_period: Literal["charge_month"] | None = None


CONTRACTS = "ContractCommitment"


class FocusReader(BillReader):
    """FOCUS files. A slice is a billing month, over all files that hold rows of it."""

    Options: ClassVar[type[SourceOptions]] = Options
    words = "FOCUS"
    is_header = staticmethod(is_header)
    exact = True

    def __init__(self, options: SourceOptions, context: Context) -> None:
        super().__init__(options, context)
        self.options = cast("Options", options)
        self._datasets = Datasets(self._store, context.cache / f"datasets-{context.name}.json", VERSION)
        self._by_charge = self.options.billing_period is not None
        version = f"{VERSION}-{self.options.date_order or ''}{'-by-charge' if self._by_charge else ''}"
        self._files = PlainFiles(
            self._store,
            context,
            version,
            partial(period_column, by_charge=self._by_charge),
            parse=partial(parse_month, ahead_h=0 if self._by_charge else AHEAD_H),
            suffixes=FILES,
            prepare=self._written,
        )

    def _written(self, bill: BillFile) -> BillFile:
        """The file with the forms of its dates and numbers."""
        named = {key(c): c for c in bill.columns if is_moment(c)}
        period = [named[c] for c in ("billingperiodstart", "billingperiodend") if c in named]
        bill = dated(bill, self.options.date_order or "", list(named.values()), period)
        return numbered(bill, {c for c in bill.columns if is_number(c)})

    def _slices(self) -> list[Slice]:
        listed = self._files.noted(self._store.list())
        counted, told = counting(self._store, listed)
        if not counted and not told.empty and not told.not_ready:
            self._files.objects()  # says what is missing
        costs, others = self._datasets.split(counted)
        if others and not costs:
            msg = (
                f"{self._store.uri('')} holds no cost and usage rows, only other datasets of FOCUS "
                f"({', '.join(sorted(set(others.values())))}); put the cost and usage files there, too"
            )
            raise SourceError(msg)
        contracts = [o for o in listed if others.get(o.key) == CONTRACTS]
        unread = [f"{k} ({d})" for k, d in others.items() if d != CONTRACTS]
        note = f"no cost rows, not read: {', '.join(unread)}" if unread else ""
        currency = self.options.currency or ""
        slices = self._files.slices(self.options.tier, currency, note=note, objects=costs, told=told)
        newest = max((s.period for s in slices if s.objects), default=None)
        if not contracts:
            return slices
        return [_with_contracts(s, contracts) if s.period == newest else s for s in slices]

    def load(self, slices: Sequence[Slice], work: Path, engine: Engine) -> Iterator[Loaded]:
        """Reads all files of the slices in one scan.

        Raises:
            SourceError: A file cannot be read.
        """
        currency = self.options.currency
        bill = Bill(
            self.context.name,
            self.options.tier,
            lambda shape: to_focus(shape, currency, by_charge=self._by_charge),
            is_number,
            is_moment,
        )
        yield from (Loaded(s, {}, 0, 0, note=s.detail["note"]) for s in slices if not s.objects)
        slices = [s for s in slices if s.objects]
        contracts = {k for s in slices for k in json.loads(s.detail.get(CONTRACTS, "[]"))}
        costs = [replace(s, objects=tuple(o for o in s.objects if o.key not in contracts)) for s in slices]
        files = self._files.open(costs)
        whole = {s.period: s for s in slices}
        for cost in load_bill(bill, costs, files, work, engine):
            refuse_runs(cost.slice.period, counting_files(cost, files))
            notes = filter(None, [cost.note, *self._remarks(cost, files)])
            loaded = replace(cost, slice=whole[cost.slice.period], note="; ".join(notes))
            yield self._checked(loaded, files, work, engine)

    def _checked(self, loaded: Loaded, files: Sequence[BillFile], work: Path, engine: Engine) -> Loaded:
        """With what later versions of FOCUS add: checks of split costs, and the commitments of contracts."""
        issues = list(faults(loaded.rows, engine)) if any(map(_splits, files)) else []
        keys = json.loads(loaded.slice.detail.get(CONTRACTS, "[]"))
        if not keys:
            return _noted(loaded, issues)
        objects = [o for o in loaded.slice.objects if o.key in keys]
        paths = self._store.fetch(objects)
        months = (loaded.slice.period,)
        bills = [
            open_bill(o, self._store.uri(o.key), path, months) for o, path in zip(objects, paths, strict=True)
        ]
        path = work / f"contract-commitment-{loaded.slice.period}.parquet"
        read, written, found = load_contracts(self.context.name, bills, path, engine)
        issues += [*found, *disagreements(loaded.rows, path, engine)]
        return replace(
            _noted(loaded, issues),
            facts={**loaded.facts, tables.CONTRACT_COMMITMENT.name: path},
            note="; ".join(
                filter(None, [loaded.note, f"commitments of contracts: {written} of {read} rows"])
            ),
        )

    def _remarks(self, loaded: Loaded, files: Sequence[BillFile]) -> Iterator[str]:
        """What was taken from an option rather than read."""
        keys = {o.key for o in loaded.slice.objects}
        mine = [f for f in files if f.key in keys]
        if self._by_charge:
            yield "billed in the month of the charge by the option `billing_period`"
        if self.options.currency:
            lacking = [f.key for f in mine if "billingcurrency" not in map(key, f.columns)]
            if lacking:
                yield f"billed in {self.options.currency} by the option `currency`: {', '.join(lacking)}"


def _splits(bill: BillFile) -> bool:
    """The file has columns of split costs."""
    return "allocatedmethodid" in map(key, bill.columns)


def _with_contracts(newest: Slice, contracts: Sequence[Object]) -> Slice:
    """The newest month with the files that say what is contracted; it is read again when they change."""
    return replace(
        newest,
        fingerprint=fingerprint(newest.fingerprint, [CONTRACTS], contracts),
        objects=(*newest.objects, *contracts),
        detail={**newest.detail, CONTRACTS: json.dumps([o.key for o in contracts])},
    )


def _noted(loaded: Loaded, issues: Sequence[dict[str, Any]]) -> Loaded:
    found = pl.DataFrame(issues, schema=ISSUES_SCHEMA, orient="row")
    return replace(loaded, issues=pl.concat([loaded.issues, found]))
