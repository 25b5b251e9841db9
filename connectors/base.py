"""What a source is: the protocol every connector follows, and the types it speaks.

A connector lists what a source offers as slices (a billing month, a local day), each with a fingerprint that
changes when its content does, and turns the slices it is asked for into Parquet facts in the columns of
`models.tables`. It decides nothing about when to read, what to keep or whether to publish: that belongs to
`pipelines/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import polars as pl

from connectors.parts import Earlier, Part, current_rows
from models import tables
from models.config import Site
from models.fields import Frozen
from models.records import Price, TrainingRun

ISSUES_SCHEMA = pl.Schema(
    {c.name: tables.TYPES[c.type][1] for c in tables.QUARANTINE.columns if c.name not in ("source", "period")}
)
"""`Loaded.issues`: the columns of `ops.quarantine` without source and period, which the pipeline adds."""


class SourceError(Exception):
    """A source cannot be read. The message says what, where, which value, what is allowed and what to do."""


class DamagedFileError(SourceError):
    """A file is not whole, or not of the kind that its name says. Others of its source may be read without it.

    Attributes:
        file: The file, where that was found while slices were read: they are to be listed again.
    """

    def __init__(self, reason: str, file: Object | None = None) -> None:
        super().__init__(reason)
        self.file = file


class SourceOptions(Frozen):
    """Keys that every source accepts; a connector's `Options` adds its own."""

    kind: str
    required: bool = True


@dataclass(frozen=True)
class Window:
    """The time a run is for.

    Attributes:
        day: The day of the run; telemetry later than it is not read.
        now: The present moment, with a time zone; what is younger than a source's delay is not complete.
        only: First and last day (inclusive) that may be read again; None for all that changed.
    """

    day: date
    now: datetime
    only: tuple[date, date] | None = None


@dataclass(frozen=True)
class Object:
    """A file at a source: its key below the location, size in bytes, and a version (etag, or hash of the content)."""

    key: str
    size: int
    version: str


@dataclass(frozen=True)
class Slice:
    """One replaceable part of a source: a billing month of a bill, or a local day of telemetry.

    Attributes:
        period: First day of the month, or the day.
        grain: month or day.
        fingerprint: Hex text that changes when the content or the reader's way of reading it changes.
        objects: The files it consists of, as far as it consists of files.
        detail: What the connector needs to know again when it loads the slice.
        not_ready: Why the delivery cannot be read yet (a file that its manifest names is not there, say); such a
            slice is not loaded, and earlier figures of its period stand. Empty when it can be read.
        earlier: What the version that was read last left, where the pipeline knows one; a reader may build on it, or
            read everything again.
    """

    period: date
    grain: Literal["month", "day"]
    fingerprint: str
    objects: tuple[Object, ...] = ()
    detail: Mapping[str, str] = field(default_factory=dict)
    not_ready: str = ""
    earlier: Earlier | None = field(default=None, compare=False, repr=False)


def require_ready(slices: Iterable[Slice]) -> None:
    """Checks that all slices can be read.

    Raises:
        SourceError: One is not ready; the first reason.
    """
    for item in slices:
        if item.not_ready:
            raise SourceError(item.not_ready)


@dataclass(frozen=True)
class Loaded:
    """What reading one slice gave.

    Attributes:
        slice: The slice.
        facts: Table name of `models.tables` -> Parquet file below the work folder, in that table's columns; those
            without a value may be absent.
        rows_read: Native rows seen, rejected ones included.
        rows_loaded: Rows in the facts.
        totals: Currency -> sum of the native invoiced amounts, computed apart from the mapping, over every
            row whose amount can be read, rejected ones included. Empty for telemetry.
        issues: Rows rejected, values repaired or flagged, in `ISSUES_SCHEMA`.
        note: A remark for `ops.ingests`.
        kept: Files of the earlier version whose FOCUS rows go on counting, beside those in `facts`.
        memory: What the reader wants to know again when the slice is delivered anew; JSON.
    """

    slice: Slice
    facts: Mapping[str, Path]
    rows_read: int
    rows_loaded: int
    totals: Mapping[str, Decimal] = field(default_factory=dict)
    issues: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=ISSUES_SCHEMA))
    note: str = ""
    kept: tuple[Part, ...] = ()
    memory: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> str:
        """SQL table expression of the FOCUS rows."""
        return self.rows_of()

    def rows_of(self, *columns: str) -> str:
        """The same for a question of some columns: all of them take longer to plan than a small month to read."""
        new = [Part(path) for name, path in self.facts.items() if name == tables.FOCUS.name]
        return current_rows(tables.FOCUS, [*self.kept, *new], columns)


class Engine(Protocol):
    """Runs SQL (DuckDB dialect) for connectors. The session's time zone is UTC."""

    def query(self, sql: str) -> pl.DataFrame:
        """The result of a query as a frame."""
        ...

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """The few rows of a query, each by column name: planned once, where a frame is planned twice."""
        ...

    def execute(self, sql: str) -> None:
        """Runs a statement for its effect (a temporary view, say)."""
        ...

    def copy(self, sql: str, path: Path, *, ordered: bool = True) -> int:
        """Writes the result of a query as Parquet (zstd) to the path and returns its number of rows.

        Args:
            sql: The query.
            path: The file.
            ordered: Keep the order of the rows; without it a large result costs a fifth less CPU.
        """
        ...

    def columns(self, sql: str) -> dict[str, str]:
        """Column name -> DuckDB type of a query, without running it."""
        ...


@dataclass(frozen=True)
class Context:
    """What a connector may know of its surroundings.

    Attributes:
        name: The source's name in the configuration.
        base: Folder of the configuration file; relative locations start there.
        cache: Folder for what may be lost: downloads, hashes of files.
        sites: The configuration's sites.
        time_zone: The organisation's time zone.
        currency: The organisation's currency.
        prices: Prices of model APIs, for requests that carry none.
        runs: Training and benchmark runs, for readings of power inside them.
    """

    name: str
    base: Path
    cache: Path
    sites: Mapping[str, Site]
    time_zone: str = "UTC"
    currency: str = "USD"
    prices: tuple[Price, ...] = ()
    runs: tuple[TrainingRun, ...] = ()


class Reader(Protocol):
    """A configured source. Its class is named in `connectors.registry.KINDS`.

    `__init__` takes the validated options and the context and touches neither network nor disk; it raises
    `ValueError` for options that cannot be right (an unknown site, say).
    """

    Options: ClassVar[type[SourceOptions]]

    def __init__(self, options: SourceOptions, context: Context) -> None: ...

    def check(self) -> str:
        """Reaches the source and says in one line what is there.

        Raises:
            SourceError: It cannot be reached or holds nothing usable.
        """
        ...

    def slices(self, window: Window) -> Sequence[Slice]:
        """What the source offers now, in order of period. Cheap: lists and manifests, no bill is read.

        A period whose delivery is damaged or not complete is offered as not ready, so that the others can be read.

        Raises:
            SourceError: The source cannot be listed, or a delivery of unknown period is damaged.
        """
        ...

    def load(self, slices: Sequence[Slice], work: Path, engine: Engine) -> Iterator[Loaded]:
        """Reads the given slices (in any grouping that is cheap) into Parquet files below `work`.

        Raises:
            SourceError: Something cannot be read; nothing of that slice may be used then.
        """
        ...
