"""The rows of the marts that a page is made of, read at once, and those of them in one currency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from dashboards.figures import Period
from dashboards.store import Store
from models import tables
from models.unit_cost import NO_CURRENCY


@dataclass(frozen=True)
class Frames:
    """What a page is made of: rows of the marts of the month, and (`*_before`) of the days compared with."""

    now: pl.DataFrame
    before: pl.DataFrame | None
    daily: pl.DataFrame
    gpu: pl.DataFrame
    gpu_before: pl.DataFrame | None
    unit: pl.DataFrame
    unit_before: pl.DataFrame | None
    placement: pl.DataFrame
    stale: Mapping[str, datetime | None]

    def of(self, currency: str) -> Frames:
        """The rows in one currency; work without a known cost, which has none, stands with the first of them."""
        shown = self.currencies
        mine = [currency, *({NO_CURRENCY} - {*shown} if currency == shown[0] else ())]

        def own(frame: pl.DataFrame) -> pl.DataFrame:
            return frame.filter(pl.col("currency").is_in(mine))

        return replace(
            self,
            now=own(self.now),
            before=None if self.before is None else own(self.before),
            daily=own(self.daily),
            gpu=own(self.gpu),
            gpu_before=None if self.gpu_before is None else own(self.gpu_before),
            unit=own(self.unit),
            unit_before=None if self.unit_before is None else own(self.unit_before),
            placement=own(self.placement),
        )

    @property
    def currencies(self) -> list[str]:
        """Currencies with charges in the month or with measured costs, the one with most charges first.

        Work without a known cost makes none of its own, unless there is nothing else.
        """
        rows = dict(self.now.group_by("currency").len().iter_rows())
        priced = {*rows, *self.gpu["currency"].to_list()}
        measured = {*self.unit["currency"].to_list()}
        names = priced | (measured - {NO_CURRENCY} if priced | measured != {NO_CURRENCY} else measured)
        return sorted(names, key=lambda c: (-rows.get(c, 0), c))


def collect(store: Store, period: Period) -> Frames:
    """Reads what a page needs, for all teams or for the store's team."""
    month, previous = period.month, period.compared
    return Frames(
        now=store.chargeback_monthly(month),
        before=None if previous is None else period.before(store.chargeback_daily(previous)),
        daily=store.chargeback_daily(month),
        gpu=store.gpu_daily(month),
        gpu_before=None if previous is None else period.before(store.gpu_daily(previous)),
        unit=store.unit_cost_daily(month),
        unit_before=None if previous is None else period.before(store.unit_cost_daily(previous)),
        placement=store.placement() if period.latest else tables.PLACEMENT.empty(),
        stale=store.stale(),
    )
