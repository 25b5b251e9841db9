"""What a delivery holds, day by day, so that a later delivery of the month is read only where it differs.

A day is the UTC date of a row's ChargePeriodStart; rows that have none lie on the day `""`, and none of them is ever
in the facts. A day's content is the number of its rows, its money, and the sum over its rows of a hash of the native
columns that the mapping uses: the order of rows and files does not matter, a repeated row does.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

from connectors.base import Engine
from connectors.bills.amounts import EXACT
from connectors.bills.issues import CURRENCY
from connectors.bills.native import native_sql
from connectors.bills.stage import Stage, stage_sql
from connectors.parts import Earlier, Part

MOST_PARTS = 6
"""With more files the month is read again as a whole."""

SURVEY = (
    f"COALESCE(CAST(__day AS VARCHAR), '') AS day, {CURRENCY} AS currency, count(*) AS rows, "
    "count(*) FILTER (NOT __is_part AND NOT __header) AS read, count(*) FILTER (__skip AND NOT __header) AS skipped, "
    "count(*) FILTER (__header AND NOT __is_part) AS headers, "
    f"CAST(sum(__hash) AS VARCHAR) AS hash, CAST(sum(__cost) FILTER (NOT __skip) AS DECIMAL(38,12)) AS total"
)
"""SQL: what a day and currency of a stage hold."""

SURVEYS = (
    "day, currency, CAST(sum(rows) AS BIGINT) AS rows, CAST(sum(read) AS BIGINT) AS read, "
    "CAST(sum(skipped) AS BIGINT) AS skipped, CAST(sum(headers) AS BIGINT) AS headers, CAST(sum(CAST(hash AS HUGEINT)) AS VARCHAR) AS hash, "
    "CAST(sum(total) AS DECIMAL(38,12)) AS total"
)
"""SQL: the same from several groups of a day and currency, of each of which `SURVEY` was asked."""

COUNTED = ("rows", "read", "skipped", "headers")


@dataclass(frozen=True)
class Day:
    """The native rows of one day.

    Attributes:
        content: Equal for equal content only.
        rows: Rows, the parts of rows that stand for several charges included.
        read: Native rows.
        skipped: Rows that repeat the cost of others.
        headers: Rows that repeat the header.
    """

    content: str
    rows: int
    read: int
    skipped: int
    headers: int


@dataclass(frozen=True)
class Survey:
    """The native rows of one month.

    Attributes:
        days: ISO date, or `""`, -> what lies on it.
        totals: Currency -> sum of the native amounts as they were written, apart from the mapping to FOCUS.
    """

    days: Mapping[str, Day] = field(default_factory=dict)
    totals: Mapping[str, Decimal] = field(default_factory=dict)


def survey(rows: Sequence[Mapping[str, Any]]) -> Survey:
    """A month from the result of a query that selects `SURVEY`, grouped by day and currency."""
    contents: dict[str, list[str]] = defaultdict(list)
    sums: dict[str, list[int]] = defaultdict(lambda: [0] * len(COUNTED))
    totals: dict[str, Decimal] = {}
    for row in sorted(rows, key=lambda r: (r["day"], r["currency"])):
        contents[row["day"]].append(" ".join(str(row[c]) for c in ("currency", "rows", "hash", "total")))
        sums[row["day"]] = [n + row[c] for n, c in zip(sums[row["day"]], COUNTED, strict=True)]
        if row["total"] is not None:
            totals[row["currency"]] = EXACT.add(totals.get(row["currency"], Decimal(0)), row["total"])
    days = {day: Day("; ".join(contents[day]), *sums[day]) for day in contents}
    return Survey(days, dict(sorted(totals.items())))


def mapping_key(stage: Stage, engine: Engine) -> str:
    """Hex text that is equal only where equal native rows give equal facts and hashes."""
    shapes = [replace(shape, scan="bill") for shape in stage.shapes]
    natives = [native_sql(shape, native) for shape, native in zip(shapes, stage.natives, strict=True)]
    sql = stage_sql(sorted(set(natives)), stage.present, stage.bill.source, stage.bill.tier, sure=stage.sure)
    types = sorted({str(sorted(shape.types.items())) for shape in shapes})
    version = engine.rows("SELECT version() AS version")[0]["version"]
    return hashlib.sha256(repr((version, types, sql)).encode()).hexdigest()


@dataclass(frozen=True)
class Plan:
    """How a month is read.

    Attributes:
        parts: Files of the earlier version that go on counting.
        kept: Days that are in them -> what is remembered of each.
        fresh: Days to read; None for all there are.
    """

    parts: tuple[Part, ...] = ()
    kept: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    fresh: tuple[str, ...] | None = None

    @property
    def days(self) -> tuple[str, ...]:
        """The dates on which all rows to read lie; none where they may lie on any day, or on none."""
        return self.fresh if self.fresh and "" not in self.fresh else ()

    @property
    def condition(self) -> str:
        """SQL condition of the rows to read."""
        if self.fresh is None:
            return "TRUE"
        dates = ", ".join(f"DATE '{day}'" for day in self.fresh if day)
        ways = ([f"__day IN ({dates})"] if dates else []) + (["__day IS NULL"] if "" in self.fresh else [])
        return f"({' OR '.join(ways)})" if ways else "FALSE"


EVERYTHING = Plan()


def plan(earlier: Earlier, found: Survey) -> Plan:
    """What of an earlier version can stay: days of equal content without a rejected row.

    A rejected row is shown with its file and line, so its day is read again. Where less than half of the rows would
    stay, or the files would hold many days that no longer count, all is read.
    """
    known = earlier.memory["days"]
    same = [
        day
        for day, holds in found.days.items()
        if day in known and known[day]["content"] == holds.content and not known[day]["rejected"]
    ]
    parts: list[Part] = []
    kept: dict[str, Mapping[str, Any]] = {}
    for number, part in enumerate(earlier.parts):
        live = [day for day in same if known[day]["part"] == number]
        if live:
            kept |= {day: {**known[day], "part": len(parts)} for day in live}
            held = {date.fromisoformat(d) for d in known if d and known[d]["part"] == number}
            gone = {*part.without, *held} - {date.fromisoformat(d) for d in live if d}
            parts.append(Part(part.file, tuple(sorted(gone))))
    rows, staying = (sum(found.days[day].rows for day in days) for days in (found.days, kept))
    gone_days = sum(len(part.without) for part in parts)
    if not kept or 2 * staying < rows or 2 * gone_days > len(found.days) or len(parts) > MOST_PARTS:
        return EVERYTHING
    return Plan(tuple(parts), kept, tuple(day for day in found.days if day not in kept))


def memory(key: str, found: Survey, chosen: Plan, read: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What the next delivery wants to know of this one, as JSON.

    Args:
        key: Result of `mapping_key`.
        found: The delivery.
        chosen: How it was read.
        read: Day -> loaded, rejected (rows) and noted (what was found about those loaded), of the days that were read.
    """
    fresh = {
        day: {**read[day], "content": holds.content, "part": len(chosen.parts)}
        for day, holds in found.days.items()
        if day not in chosen.kept
    }
    return {"key": key, "days": {**chosen.kept, **fresh}}
