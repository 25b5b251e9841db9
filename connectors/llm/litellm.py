"""Source kind `litellm`: spend logs of a LiteLLM gateway, exported from its table LiteLLM_SpendLogs.

A gateway knows who used which model, and estimates what it cost; the provider's bill says what it did cost. So a log
gives usage, and charges only for providers that `bill` names: those whose own bill is not a source. A slice is a UTC day.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, cast

import polars as pl

from connectors.base import Context, Engine, Loaded, Slice, SourceError, SourceOptions, Window
from connectors.llm import spend
from connectors.llm.charges import to_focus, write_charges
from connectors.llm.logs import SUFFIXES, explain, lacking, rows_sql, scan
from connectors.llm.requests import BOUNDS, findings, groups_sql, hours_sql, requests_sql, totals_sql
from connectors.objects import LocationOptions, open_store
from connectors.sql import literal
from connectors.telemetry import day_of, fingerprint, issues, write_days
from connectors.telemetry_index import UTC_ZONE, Indexed, data_files, days, index, settings, utc_days
from models.records import Price
from models.tables import API_USAGE, FOCUS, INFERENCE_HOURLY

VERSION = "litellm-15"
"""Changes whenever the same files would give other facts."""

BATCH_DAYS = 31
"""Days read by one pass; bounds the memory it takes."""


class Options(LocationOptions):
    """Options of the kind.

    Attributes:
        bill: Providers for which the log is the bill too, as it names them; true for all of them. A provider whose own
            bill is a source must not be one of them: its money would count twice.
    """

    bill: bool | tuple[str, ...] = False

    @property
    def billed_sql(self) -> str:
        """SQL condition over the columns of a log: the request's cost is money of the ledger."""
        if isinstance(self.bill, bool):
            return str(self.bill).upper()
        names = ", ".join(literal(name.strip().lower()) for name in self.bill)
        return f"COALESCE(lower(custom_llm_provider) IN ({names}), FALSE)" if names else "FALSE"


class LiteLLMReader:
    """Spend logs of one gateway."""

    Options: ClassVar[type[SourceOptions]] = Options

    def __init__(self, options: SourceOptions, context: Context) -> None:
        self.options = cast("Options", options)
        self.context = context
        self.store = open_store(self.options, context.base, context.cache)

    def check(self) -> str:
        """Says what is there.

        Raises:
            SourceError: The location cannot be read or holds nothing usable.
        """
        files = self._files()
        found = days(files, UTC_ZONE)
        if not found:
            msg = f"{self.store.uri('')} holds no requests; put exports of LiteLLM_SpendLogs there"
            raise SourceError(msg)
        bill = self.options.bill
        role = "usage and charges" if bill else "usage; no charges (bill: false)"
        if not isinstance(bill, bool):
            role += f" of {', '.join(bill)}" if bill else ""
        return f"{len(files)} files of spend logs, {found[0]} to {found[-1]} (UTC), {role}"

    def _files(self) -> list[Indexed]:
        objects = data_files(self.store, SUFFIXES, "spend log")
        bill = bool(self.options.bill)
        name = f"{VERSION}/{self.context.name}/{self.options.location}/{bill}"
        return index(self.store, objects, lambda i: scan(self.store, i, spend=bill), self.context.cache, name)

    def _prices(self, day: date) -> list[Price]:
        """The prices that hold on a day: another price for another day changes nothing here."""
        return [
            p
            for p in self.context.prices
            if p.valid_from <= day and (p.valid_to is None or day <= p.valid_to)
        ]

    def slices(self, window: Window) -> Sequence[Slice]:
        """The UTC days with requests. Of files not seen before the start times are read, of others nothing.

        Raises:
            SourceError: The location cannot be read, or a file is damaged or lacks a column.
        """
        files = self._files()
        options = settings(self.options.model_dump())
        missing = lacking(files)
        found = []
        for day, objects in utc_days(files, window.day):
            prices = [
                p.model_dump(mode="json", exclude={"valid_from", "valid_to"}) for p in self._prices(day)
            ]
            ends = sorted(o.key for o in objects if o.key in missing)
            print_ = fingerprint(VERSION, options | {"prices": prices, "lacking": ends}, objects)
            found.append(Slice(day, "day", print_, objects))
        return found

    def load(self, slices: Sequence[Slice], work: Path, engine: Engine) -> Iterator[Loaded]:
        """Reduces requests to hours, and with `bill: true` to charges, in passes of up to a month.

        Raises:
            SourceError: A file cannot be read.
        """
        from duckdb import Error

        wanted = sorted(slices, key=lambda s: s.period)
        files = self._files()
        known, missing = {f.object: f for f in files}, lacking(files)
        if any(o not in known for s in wanted for o in s.objects):
            msg = f"{self.store.uri('')}: files changed while they were read; run again"
            raise SourceError(msg)
        for first in range(0, len(wanted), BATCH_DAYS):
            batch = wanted[first : first + BATCH_DAYS]
            objects = sorted({o for s in batch for o in s.objects}, key=lambda o: o.key)
            try:
                yield from self._read([known[o] for o in objects], missing, batch, work, engine)
            except Error as error:
                names = ", ".join(self.store.uri(o.key) for o in objects[:3])
                msg = f"spend logs {names}{' ...' if len(objects) > 3 else ''} cannot be read ({explain(error)}); export them again"
                raise SourceError(msg) from None

    def _read(
        self,
        files: Sequence[Indexed],
        missing: Mapping[str, str],
        batch: Sequence[Slice],
        work: Path,
        engine: Engine,
    ) -> Iterator[Loaded]:
        options = self.options
        work.mkdir(parents=True, exist_ok=True)
        paths = self.store.fetch([f.object for f in files])
        rows = [
            rows_sql(f.object, p, self.store, work, engine, spend=bool(options.bill))
            for f, p in zip(files, paths, strict=True)
        ]
        engine.execute(
            "CREATE OR REPLACE TEMP TABLE requests AS "
            + requests_sql("(" + " UNION ALL ".join(rows) + ")", options.billed_sql)
        )
        by_day = {s.period: s for s in batch}
        costs = spend.priced(engine.query(groups_sql("requests")), self.context.prices)
        telemetry = {
            INFERENCE_HOURLY: self._hours(engine.query(hours_sql("requests"))),
            API_USAGE: spend.usage(costs, self.context.name),
        }
        charges = spend.charges(costs, self.context.name)
        first = {f.object.key: day_of(f.start, UTC_ZONE) for f in files if f.runs}
        read = _by_day(engine.query("SELECT file, day, COUNT(*) AS n FROM requests GROUP BY ALL"), first, 0)
        logged = _by_day(engine.query(totals_sql("requests")), first, Decimal(0))
        totals: dict[date, dict[str, Decimal]] = defaultdict(dict)
        for day, total in logged.items():
            totals[day][spend.CURRENCY] = total
        for day, currency, total in spend.list_totals(costs):
            totals[day][currency] = totals[day].get(currency, Decimal(0)) + total
        ends = [_page_missing(f.object.key, missing[f.object.key]) for f in files if f.object.key in missing]
        by_row = [*findings("requests", engine), *spend.findings(costs), *ends]
        found = self._findings(by_row, first)
        engine.execute("DROP TABLE requests")
        for staged in work.glob("lines-*.parquet"):
            staged.unlink()
        charged = write_charges(to_focus(charges, self.context), by_day, work)
        for day, facts, count in write_days(telemetry, by_day, work):
            if day in charged:
                facts[FOCUS.name], more = charged[day]
                count += more  # noqa: PLW2901
            yield Loaded(
                by_day[day],
                facts,
                read.get(day, 0),
                count,
                totals.get(day, {}),
                issues(found.get(day, [])),
            )

    def _hours(self, frame: pl.DataFrame) -> pl.DataFrame:
        names = [*(str(bound) for bound in BOUNDS), "+Inf"]
        counts = frame.select(*(f"b{i}" for i in range(len(BOUNDS))), "measured").iter_rows()
        texts = [json.dumps(dict(zip(names, c, strict=True))) if c[-1] else None for c in counts]
        return frame.with_columns(
            source=pl.lit(self.context.name), latency_buckets=pl.Series(texts, dtype=pl.String)
        )

    def _findings(
        self, found: Sequence[Mapping[str, Any]], first: Mapping[str, date]
    ) -> dict[date, list[Mapping[str, Any]]]:
        findings: dict[date, list[Mapping[str, Any]]] = defaultdict(list)
        kept = ("action", "rule", "column_name", "value", "rows", "billed_cost")
        order = ("file", "rule", "column_name", "action", "row")
        for row in sorted(found, key=lambda r: (str(r["day"]), *(str(r[c]) for c in order))):
            money = {"currency": spend.CURRENCY} if row["billed_cost"] is not None else {}
            location = {"location": f"{self.store.uri(row['file'])}, row {row['row']}"}
            findings[row["day"] or first[row["file"]]].append({k: row[k] for k in kept} | money | location)
        return findings


def _page_missing(file: str, page: str) -> Mapping[str, Any]:
    return {
        "file": file, "day": None, "action": "flagged", "rule": "page_missing", "column_name": "page", "value": page,
        "rows": 1, "billed_cost": None, "row": 1,
    }  # fmt: skip


def _by_day(frame: pl.DataFrame, first: Mapping[str, date], zero: Any) -> dict[date, Any]:
    """Sums of a column by day; rows of no known day belong to the first day of their file."""
    found: dict[date, Any] = {}
    for file, day, value in frame.iter_rows():
        key = day or first[file]
        found[key] = found.get(key, zero) + value
    return found


__all__ = ["LiteLLMReader", "Options"]
