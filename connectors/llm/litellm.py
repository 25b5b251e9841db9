"""Source kind `litellm`: spend logs of a LiteLLM gateway, exported from its table LiteLLM_SpendLogs.

A gateway knows who used which model, and estimates what it cost; the provider's bill says what it did cost. So a log
gives hours of usage, and charges only with `bill: true`, for providers whose bill is not a source. A slice is a UTC day.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, cast
from zoneinfo import ZoneInfo

import polars as pl

from connectors.base import Context, Engine, Loaded, Slice, SourceError, SourceOptions, Window
from connectors.llm.charges import SCHEMA, tags, to_focus, write_charges
from connectors.llm.logs import explain, is_data, rows_sql, scan
from connectors.llm.requests import BOUNDS, findings_sql, hours_sql, requests_sql, spend_sql, totals_sql
from connectors.objects import LocationOptions, open_store
from connectors.telemetry import day_of, fingerprint, issues, write_days
from connectors.telemetry_index import Indexed, days, index, settings, within
from models.tables import FOCUS, INFERENCE_HOURLY

VERSION = "litellm-1"
"""Changes whenever the same files would give other facts."""

BATCH_DAYS = 31
"""Days read by one pass; bounds the memory it takes."""

UTC_ZONE = ZoneInfo("UTC")
GATEWAY = "LiteLLM"
CURRENCY = "USD"
"""LiteLLM estimates spend in US dollars."""


class Options(LocationOptions):
    """Options of the kind.

    Attributes:
        bill: The log is a bill too; only for providers whose own bill is not a source, or money counts twice.
    """

    bill: bool = False


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
        role = "usage and charges" if self.options.bill else "usage; no charges (bill: false)"
        return f"{len(files)} files of spend logs, {found[0]} to {found[-1]} (UTC), {role}"

    def _files(self) -> list[Indexed]:
        objects = [o for o in self.store.list() if is_data(o.key, self.store.uri(o.key))]
        bill = self.options.bill
        name = f"{VERSION}/{self.context.name}/{self.options.location}/{bill}"
        return index(objects, lambda i: scan(self.store, i, spend=bill), self.context.cache, name)

    def slices(self, window: Window) -> Sequence[Slice]:
        """The UTC days with requests. Of files not seen before the start times are read, of others nothing.

        Raises:
            SourceError: The location cannot be read, or a file is damaged or lacks a column.
        """
        files = self._files()
        options = settings(self.options.model_dump())
        found = []
        for day in days(files, UTC_ZONE):
            if day <= window.day:
                start = datetime(day.year, day.month, day.day, tzinfo=UTC)
                objects = tuple(f.object for f in within(files, start, start + timedelta(days=1)))
                found.append(Slice(day, "day", fingerprint(VERSION, options, objects), objects))
        return found

    def load(self, slices: Sequence[Slice], work: Path, engine: Engine) -> Iterator[Loaded]:
        """Reduces requests to hours, and with `bill: true` to charges, in passes of up to a month.

        Raises:
            SourceError: A file cannot be read.
        """
        from duckdb import Error

        wanted = sorted(slices, key=lambda s: s.period)
        known = {f.object: f for f in self._files()}
        if any(o not in known for s in wanted for o in s.objects):
            msg = f"{self.store.uri('')}: files changed while they were read; run again"
            raise SourceError(msg)
        for first in range(0, len(wanted), BATCH_DAYS):
            batch = wanted[first : first + BATCH_DAYS]
            objects = sorted({o for s in batch for o in s.objects}, key=lambda o: o.key)
            try:
                yield from self._read([known[o] for o in objects], batch, work, engine)
            except Error as error:
                names = ", ".join(self.store.uri(o.key) for o in objects[:3])
                msg = f"spend logs {names}{' ...' if len(objects) > 3 else ''} cannot be read ({explain(error)}); export them again"
                raise SourceError(msg) from None

    def _read(
        self, files: Sequence[Indexed], batch: Sequence[Slice], work: Path, engine: Engine
    ) -> Iterator[Loaded]:
        bill = self.options.bill
        work.mkdir(parents=True, exist_ok=True)
        paths = self.store.fetch([f.object for f in files])
        rows = [
            rows_sql(f.object, p, self.store, work, engine, spend=bill)
            for f, p in zip(files, paths, strict=True)
        ]
        engine.execute(
            f"CREATE OR REPLACE TEMP TABLE requests AS {requests_sql('(' + ' UNION ALL '.join(rows) + ')')}"
        )
        by_day = {s.period: s for s in batch}
        hours = {INFERENCE_HOURLY: self._hours(engine.query(hours_sql("requests")))}
        charges = self._charges(engine.query(spend_sql("requests"))) if bill else pl.DataFrame(schema=SCHEMA)
        first = {f.object.key: day_of(f.start, UTC_ZONE) for f in files if f.runs}
        read = _by_day(engine.query("SELECT file, day, COUNT(*) AS n FROM requests GROUP BY ALL"), first, 0)
        totals = _by_day(engine.query(totals_sql("requests")), first, Decimal(0)) if bill else {}
        findings = self._findings(engine.query(findings_sql("requests", bill=bill)), first)
        engine.execute("DROP TABLE requests")
        for staged in work.glob("lines-*.parquet"):
            staged.unlink()
        charged = write_charges(to_focus(charges, self.context), by_day, work)
        for day, facts, count in write_days(hours, by_day, work):
            if day in charged:
                facts[FOCUS.name], more = charged[day]
                count += more  # noqa: PLW2901
            total = {CURRENCY: totals[day]} if day in totals else {}
            yield Loaded(by_day[day], facts, read.get(day, 0), count, total, issues(findings.get(day, [])))

    def _hours(self, frame: pl.DataFrame) -> pl.DataFrame:
        names = [*(str(bound) for bound in BOUNDS), "+Inf"]
        counts = frame.select(*(f"b{i}" for i in range(len(BOUNDS))), "measured").iter_rows()
        texts = [json.dumps(dict(zip(names, c, strict=True))) if c[-1] else None for c in counts]
        return frame.with_columns(
            source=pl.lit(self.context.name), latency_buckets=pl.Series(texts, dtype=pl.String)
        )

    def _charges(self, spend: pl.DataFrame) -> pl.DataFrame:
        labels = spend.select("team", "workload").iter_rows(named=True)
        start = pl.col("day").cast(pl.Datetime("us"))
        return spend.select(
            "day", "service", "cost", "quantity",
            start=start,
            end=start.dt.offset_by("1d"),
            provider=pl.col("provider").fill_null(GATEWAY),
            account=pl.col("organisation").fill_null(self.context.name),
            sub_account="team_id",
            sub_account_name="team",
            meter=pl.lit("Tokens"),
            description=pl.format("{}, as estimated by LiteLLM", "service"),
            currency=pl.lit(CURRENCY),
            tags=pl.Series([tags(label) for label in labels], dtype=pl.String),
        ).match_to_schema(SCHEMA)  # fmt: skip

    def _findings(
        self, found: pl.DataFrame, first: Mapping[str, date]
    ) -> dict[date, list[Mapping[str, Any]]]:
        findings: dict[date, list[Mapping[str, Any]]] = defaultdict(list)
        kept = ("action", "rule", "column_name", "value", "rows", "billed_cost")
        for row in found.sort("file", "day", "rule", "column_name", "action").iter_rows(named=True):
            money = {"currency": CURRENCY} if row["billed_cost"] is not None else {}
            location = {"location": f"{self.store.uri(row['file'])}, row {row['row']}"}
            findings[row["day"] or first[row["file"]]].append({k: row[k] for k in kept} | money | location)
        return findings


def _by_day(frame: pl.DataFrame, first: Mapping[str, date], zero: Any) -> dict[date, Any]:
    """Sums of a column by day; rows of no known day belong to the first day of their file."""
    found: dict[date, Any] = {}
    for file, day, value in frame.iter_rows():
        key = day or first[file]
        found[key] = found.get(key, zero) + value
    return found


__all__ = ["LiteLLMReader", "Options"]
