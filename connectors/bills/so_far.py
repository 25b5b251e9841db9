"""Files that each hold the month so far, delivered one beside the other without a manifest: the latest state counts.

Exports write a new file a day, `costs-2026-09-03.csv` beside `costs-2026-09-02.csv`, or one with another GUID in its name.
Names alone prove nothing: files of single days are called alike. So a run of an export gives way to a later one only where
its rows prove it, and what cannot be proven stays a repetition (`copies.py`), which stops the publication.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from typing import Any

import polars as pl

from connectors.base import ISSUES_SCHEMA, Engine, Loaded, SourceError
from connectors.bills.copies import CERTAIN_RULE, LEAST_SHARE, MONEY, SAME
from connectors.bills.copies import RULE as COPIES_RULE
from connectors.bills.files import BillFile
from connectors.bills.issues import CURRENCY
from connectors.bills.stage import Stage
from connectors.sql import identifier, literal, literals

RULE = "superseded_file"
MONTH_SO_FAR = "month_so_far"
"""The option of a source, and in the detail of a slice, that says that each file holds the month so far."""

DATE = re.compile(
    r"(?<!\d)20\d\d[-_.]?(?:0[1-9]|1[0-2])[-_.]?(?:0[1-9]|[12]\d|3[01])"
    r"(?:[t _.-]?(?:[01]\d|2[0-3])[:h_.-]?[0-5]\d(?:[:m_.-]?[0-5]\d)?(?:\.\d+)?z?)?(?!\d)"
)
"""A day in a name in lower case, and a time behind it."""
GUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
COPY = re.compile(r" ?\(\d+\)")
"""The number that a browser gives to a download of a name that is there."""
PART = re.compile(r"part[-_]?\d+(?:[-_]\d+)*|(?<!\d)\d{12}(?!\d)")
"""What numbers the files of one run."""

READ = "__reject IS NULL AND NOT __header"
"""SQL condition of rows that tell what a file holds: those that another export repeats do, too."""

COUNTS_AGAINST = (
    "the one with fewer charges has the higher number in its name, so which is the newest is not known"
)
OTHER_AMOUNTS = (
    "with other amounts, as files do that each hold the month so far: "
    f"say `{MONTH_SO_FAR}: true` in the source if they do, false if all of them are charges"
)

LABELS = frozenset({"AllocatedTags", "ResourceName", "Tags"})
CHANGING = LABELS | {"BillingAccountName", "InvoiceDetailId", "InvoiceId", "SubAccountName"}
"""Columns of a charge that are filled in, or written anew, in the course of a month. Where names have no days, labels alone tell charges without a resource apart:
files may be of two teams."""


@dataclass(frozen=True)
class Run:
    """Files that one run of an export wrote, by their names.

    Attributes:
        series: The name without what tells runs apart.
        dates: The days and times in the name, as digits.
        number: The number that a browser gave to a download of a name that was there: 0 where it gave none.
        files: The files.
    """

    series: str
    dates: str
    number: int
    files: tuple[BillFile, ...]


def named(key: str) -> tuple[str, str, tuple[str, ...]]:
    """Of a file's name the series, its days and times as digits, and what else tells the runs of the series apart."""
    name = key.lower().removesuffix(".gz")
    dates = " ".join(re.sub(r"\D", "", d) for d in DATE.findall(GUID.sub("#", name)))
    series = COPY.sub("", PART.sub("part", DATE.sub("#", GUID.sub("#", name))))
    return series, dates, (*GUID.findall(name), *COPY.findall(name))


def may_follow(one: str, other: str) -> bool:
    """By their names two files are of different runs of one export: what they share is looked at when they are read."""
    return named(one)[0] == named(other)[0] and named(one) != named(other)


def runs(files: Collection[BillFile]) -> list[Run]:
    """The runs of those exports that have several."""
    found: dict[str, dict[tuple[str, tuple[str, ...]], list[BillFile]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for file in files:
        series, dates, marks = named(file.key)
        found[series][dates, marks].append(file)
    return [
        Run(series, dates, _number(marks), tuple(of))
        for series, by_run in found.items()
        if len(by_run) > 1
        for (dates, marks), of in by_run.items()
    ]


def _number(marks: Sequence[str]) -> int:
    """Of what tells runs apart the number of a download, as in ` (2)`; 0 where there is none."""
    return max((int(mark.strip(" ()")) for mark in marks if COPY.fullmatch(mark)), default=0)


def superseded(
    stage: Stage, month: str, files: Collection[BillFile], engine: Engine, *, told: bool = False
) -> tuple[Mapping[BillFile, BillFile], Sequence[dict[str, Any]]]:
    """Files whose charges the next run of their export holds, too -> a file of that run; and issues of files of which this is not proven.

    All charges of the earlier run are in the later one, at least half of those that have money with the same amounts, or to a
    later end and no less: what falls from file to file is no state of a month. Charges of several days may have been computed
    anew: then most are not less by more than a tenth, as a correction or what comes late is. And the later one reaches further; or it reaches
    as far, the earlier one has charges of several days, and names say which is later, or say nothing, and the later one has
    more charges and no lower number of a download, or all are equal. Where all charges of several days are in one with a later day in its name, with other amounts
    of the same sign, it is an issue: certain where half of them have half of the money or more, which is more than comes late.

    Args:
        stage: The rows.
        month: SQL condition of the rows of the slice.
        files: The files that have such rows.
        engine: Runs the SQL.
        told: The option says that each file holds the month so far, so a later one counts alone whatever it holds.

    Raises:
        SourceError: The option says so, and the newest file begins on a later day than an earlier one and lacks most of its charges, or nothing says which is the newest.
    """
    there = runs(files)
    if not there:
        return {}, ()
    days = engine.rows(
        f"SELECT __file AS file, MIN(__day) AS first, MAX(__day) AS last FROM {stage.rows} WHERE {month} AND __day IS NOT NULL GROUP BY file"
    )
    if not told and not _overlap(there, {row["file"]: (row["first"], row["last"]) for row in days}):
        return {}, ()
    dated = Counter(series for series, _ in {(run.series, run.dates) for run in there})
    undated = {series for series, of in Counter(run.series for run in there).items() if of != dated[series]}
    known = ", ".join(
        f"({literal(f.path)}, {i}, {literal(run.series)}, {literal(run.dates)}, {run.number}, {run.series in undated})"
        for i, run in enumerate(there)
        for f in run.files
    )
    same = ", ".join(
        f'CASE WHEN undated AND "ResourceId" IS NULL THEN {identifier(c)} END'
        if c in LABELS
        else identifier(c)
        for c in stage.written
        if c in SAME - CHANGING | LABELS
    )
    found = engine.rows(f"""
        WITH charges AS MATERIALIZED (
            SELECT run, series, dates, number, "BillingCurrency" AS currency, "ChargePeriodStart" AS start, hash(start, {same}) AS same,
                   count(*) AS rows, MAX("ChargePeriodEnd") AS until, SUM(BilledCost) AS billed, SUM(EffectiveCost) AS effective,
                   {MONEY} AS money, bool_and("SubAccountId" IS NOT NULL) AS named
            FROM {stage.rows} JOIN (VALUES {known}) AS runs(file, run, series, dates, number, undated) ON file = __file
            WHERE {month} AND {READ} GROUP BY ALL
        ), sizes AS (
            SELECT run, series, dates, number, MIN(start) AS first, MAX(until) AS until, count(*) FILTER (money) AS charges,
                   count(DISTINCT CAST(start AS DATE)) FILTER (money) AS days, bool_and(named) AS named
            FROM charges GROUP BY ALL
        ), ordered AS (
            SELECT *, lead(run) OVER (PARTITION BY series ORDER BY dates, until, charges, run) AS next FROM sizes
        ), shared AS (
            SELECT a.run, count(*) AS known, count(b.run) AS held, CAST(SUM(a.rows) AS BIGINT) AS rows,
                   count(*) FILTER (a.money AND {_at_least(0, "billed")} AND {_at_least(0, "effective")}) AS signed,
                   count(*) FILTER (a.money AND {_at_least(0.5, "billed")} AND {_at_least(0.5, "effective")}) AS half,
                   count(*) FILTER (a.money AND (a.rows, a.billed, a.effective) = (b.rows, b.billed, b.effective)) AS alike,
                   count(*) FILTER (a.money AND {_at_least(0.9, "billed")} AND {_at_least(0.9, "effective")}) AS near,
                   count(*) FILTER (a.money AND a.until < b.until AND abs(a.billed) <= abs(b.billed) AND abs(a.effective) <= abs(b.effective)) AS grown
            FROM ordered JOIN charges AS a USING (run) LEFT JOIN charges AS b ON b.run = next AND (b.currency, b.same) = (a.currency, a.same)
            GROUP BY a.run
        )
        SELECT a.run, next, rows, CAST(a.first AS DATE) < CAST(b.first AS DATE) AND 2 * held < known AS apart, half >= {LEAST_SHARE} * a.charges AS certain,
               a.dates < b.dates OR a.charges = b.charges AND alike = a.charges OR a.charges < b.charges AND a.number <= b.number AS later,
               held = known AND a.until = b.until AND a.dates = b.dates AND a.charges < b.charges AND a.number > b.number AS against,
               {told} AND (a.dates < b.dates OR a.until < b.until OR held = known AND later)
               OR held = known AND a.charges > 0 AND (alike + grown >= {LEAST_SHARE} * a.charges OR a.days > 1 AND near >= {LEAST_SHARE} * a.charges)
               AND (a.dates < b.dates OR a.named)
               AND (a.until < b.until OR a.until = b.until AND a.days > 1 AND later) AS proven
        FROM ordered AS a JOIN shared USING (run) JOIN sizes AS b ON b.run = next
        WHERE proven OR {told} OR against OR held = known AND a.dates < b.dates AND a.days > 1 AND signed >= {LEAST_SHARE} * a.charges""")
    proven = [row for row in found if row["proven"]]
    for row in found:
        one, other = (there[row[i]].files[0].uri for i in ("run", "next"))
        if told and not row["proven"]:
            msg = (
                f"{one} and {other} each hold the month so far, as `{MONTH_SO_FAR}: true` says, and which is the later is not known: "
                "their names have no different days, both reach as far, and "
                + (COUNTS_AGAINST if row["against"] else "neither holds all charges of the other")
                + "; put the day of each into its name, or keep the newest"
            )
            raise SourceError(msg)
        if row["proven"] and row["apart"]:
            msg = (
                f"{other} begins on a later day than {one} and lacks most of its charges, so it does not hold the month so far, as "
                f"`{MONTH_SO_FAR}: true` says: take the option off, or put files of single days, or with what came late, into a source of their own"
            )
            raise SourceError(msg)
    left = {f: there[row["next"]].files[0] for row in proven for f in there[row["run"]].files}
    return left, [
        {
            "action": "flagged",
            "rule": CERTAIN_RULE if row["certain"] else COPIES_RULE,
            "column_name": "BilledCost",
            "value": f"{there[row['next']].files[0].uri} holds all charges of {there[row['run']].files[0].uri}, "
            + (
                f"both reach as far, and {COUNTS_AGAINST}: keep the newest"
                if row["against"]
                else OTHER_AMOUNTS
            ),
            "rows": row["rows"],
        }
        for row in found
        if not row["proven"]
    ]


def _overlap(there: Sequence[Run], days: Mapping[str, tuple[date, date]]) -> bool:
    """Some run has charges of a day within those of another run of its export: files of single days have not."""
    spans = []
    for run in there:
        held = [days[str(f.path)] for f in run.files if str(f.path) in days]
        if held:
            spans.append((run.series, min(first for first, _ in held), max(last for _, last in held)))
    return any(a[0] == b[0] and b[1] <= a[2] for a, b in pairwise(sorted(spans)))


def _at_least(share: float, amount: str) -> str:
    """SQL condition: of a charge in two states the later one is of the same sign and at least a share of the earlier."""
    one, other = (f"CAST({of}.{amount} AS DOUBLE)" for of in "ab")
    return f"(sign({one}) = sign({other}) AND abs({other}) >= {share} * abs({one}))"


def noted(
    loaded: Loaded, left: Mapping[BillFile, BillFile], stage: Stage, month: str, engine: Engine
) -> Loaded:
    """What was loaded from the others, with the files that were left out, what they hold, and what holds it instead."""
    by_path = {str(f.path): f for f in left}
    found = engine.rows(
        f"SELECT __file AS file, __reject IS NOT NULL AS rejected, {CURRENCY} AS currency, count(*) AS rows, "
        f"CAST(COALESCE(SUM(COALESCE(BilledCost, __cost)) FILTER (NOT __skip), 0) AS DECIMAL(38,12)) AS billed "
        f"FROM {stage.rows} WHERE {month} AND NOT __header AND list_contains({literals(by_path)}, __file) GROUP BY ALL ORDER BY ALL"
    )
    issues = [
        {
            "action": "flagged",
            "rule": RULE,
            "column_name": "BilledCost",
            "value": f"left out: {left[by_path[row['file']]].uri} holds "
            + (
                "a later state of the month; these rows cannot be read"
                if row["rejected"]
                else "the same charges in a later state of the month"
            ),
            "rows": row["rows"],
            "billed_cost": row["billed"],
            "currency": row["currency"],
            "location": by_path[row["file"]].uri,
        }
        for row in found
    ]
    newest = sorted({f.key for f in left.values()} - {f.key for f in left})
    note = (
        f"each file holds the month so far: {', '.join(newest)} counts, {len(left)} earlier ones are left out"
    )
    return replace(
        loaded,
        issues=pl.concat([loaded.issues, pl.DataFrame(issues, schema=ISSUES_SCHEMA, orient="row")]),
        note="; ".join(filter(None, [loaded.note, note])),
    )


def counting(loaded: Loaded, files: Collection[BillFile]) -> Iterator[BillFile]:
    """The files of a month but those that were left out."""
    left = {*loaded.issues.filter(rule=RULE)["location"]}
    return (f for f in files if loaded.slice.period in f.months and f.uri not in left)
