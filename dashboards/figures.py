"""What a page states about money: lines that add up, changes, and the period they are compared over.

Pure functions from frames to plain records. GPU hours, unit costs and placement are in `usage.py`; how a
figure is written, in `format.py`.
"""

from __future__ import annotations

import calendar
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import polars as pl

from dashboards.format import cents, change, short_month, spread_cents

ZERO = Decimal(0)
KINDS = ("direct", "shared", "idle", "unallocated")


@dataclass(frozen=True)
class Period:
    """The month of a page and what it is compared with.

    Attributes:
        month: First day of the month.
        as_of: The day the published run was for.
        previous: First day of the month before; None where the warehouse has no charges in it.
        latest: No later month has charges: its page tells what is true on the run's day (waste, placement) too.
        charged: Of the days compared with, how many have charges, where `previous` is the first month of all; None elsewhere.
        begins: `previous` has charges on less than half as many of its days as this month: they begin within it.
    """

    month: date
    as_of: date
    previous: date | None
    latest: bool
    charged: int | None = None
    begins: bool = False

    @property
    def end(self) -> date:
        """Last day of the month."""
        return self.month.replace(day=calendar.monthrange(self.month.year, self.month.month)[1])

    @property
    def complete(self) -> bool:
        """The run's day is not before the end of the month."""
        return self.as_of >= self.end

    @property
    def days(self) -> list[date]:
        """Every day of the month."""
        return [self.month + timedelta(n) for n in range(self.end.day)]

    @property
    def compared(self) -> date | None:
        """First day of the month that the figures are compared with; None where there is none that is whole, or no day to compare yet."""
        return None if self.begins or self.as_of < self.month else self.previous

    @property
    def cut(self) -> date | None:
        """Last day of the month before that is compared: all of it, or as many days as this month has had."""
        if self.compared is None:
            return None
        last = self.compared.replace(day=calendar.monthrange(self.compared.year, self.compared.month)[1])
        return last if self.complete else min(last, self.compared + timedelta((self.as_of - self.month).days))

    @property
    def against(self) -> str:
        """What the figures are compared with, in words."""
        if self.compared is None or self.cut is None:
            return "no whole month before"
        name = short_month(self.compared)
        days = name if self.complete else f"1–{self.cut.day} {name}"
        partly = self.charged is not None and self.charged < self.cut.day
        return f"{days} ({self.charged} of {self.cut.day} days)" if partly else days

    def before(self, daily: pl.DataFrame) -> pl.DataFrame:
        """The rows (column `day`) of the month before that are compared."""
        if self.complete or self.cut is None:
            return daily
        return daily.filter(pl.col("day") <= self.cut)


def period(
    month: date, months: Sequence[date], as_of: date, first: Sequence[date] = (), own: Sequence[date] = ()
) -> Period:
    """The period of a month, given all months of the warehouse, and the days with charges in the first of them and in this one."""
    previous = (month - timedelta(1)).replace(day=1)
    found = Period(month, as_of, previous if previous in months else None, month == max(months))
    if not first or found.cut is None or previous != min(months):
        return found
    charged = sum(previous <= day <= found.cut for day in {*first})
    last = min(as_of, found.end)
    now = sum(month <= day <= last for day in {*own}) / ((last - month).days + 1)
    return replace(found, charged=charged, begins=2 * charged / found.cut.day < now)


@dataclass(frozen=True)
class Line:
    """One line of a table of amounts.

    Attributes:
        labels: What the line is for, one text a column.
        exact: Effective cost.
        shown: The same at the smallest unit, so that the lines sum to the total shown.
        before: Cost of the period compared with, shown in the same way; None without one.
        share: Part of the total (0-1); None where the total is not positive.
        stale: Since when a source behind the line has failed; None where all are fresh.
        is_stale: A source behind the line has failed.
    """

    labels: tuple[str, ...]
    exact: Decimal
    shown: Decimal
    before: Decimal | None
    share: float | None
    stale: datetime | None = None
    is_stale: bool = False

    @property
    def change(self) -> float | None:
        """Relative change of the amounts shown."""
        return change(self.shown, self.before)

    @property
    def difference(self) -> Decimal | None:
        """Change of the amounts shown."""
        return None if self.before is None else self.shown - self.before


@dataclass(frozen=True)
class Lines:
    """A table of amounts: its lines and their total, all in one currency."""

    lines: tuple[Line, ...]
    total: Line


def total(frame: pl.DataFrame, column: str = "effective_cost") -> Decimal:
    """The exact sum of a column of amounts; 0 for no rows."""
    value = frame[column].sum()
    return Decimal(value) if value is not None else ZERO


def lines(
    now: pl.DataFrame,
    before: pl.DataFrame | None,
    by: Sequence[str],
    currency: str,
    stale: Mapping[str, datetime | None],
    *,
    top: int = 40,
) -> Lines:
    """Amounts by some columns, greatest first, with those of the period before beside them.

    Lines that only the period before has stand there with 0. What does not fit in `top` lines becomes one line
    `N other lines`. Cents are by the largest-remainder method, so lines shown sum to the total shown.

    Args:
        now: effective_cost, source and the columns of `by`, of one currency.
        before: The same for the period before; None where there is none.
        by: Columns that name a line.
        currency: The currency of both frames.
        stale: Sources that failed -> since when.
        top: Most lines to give.
    """
    keys = list(by)
    failed = pl.DataFrame(
        {"source": list(stale), "stale": list(stale.values())},
        schema={"source": pl.String, "stale": pl.Datetime("us")},
    ).with_columns(is_stale=pl.lit(True))
    summed = (
        now.join(failed, on="source", how="left")
        .group_by(keys)
        .agg(pl.col("effective_cost").sum().alias("now"), pl.col("stale").min(), pl.col("is_stale").any())
    )
    old = (
        (now.clear() if before is None else before)
        .group_by(keys)
        .agg(pl.col("effective_cost").sum().alias("old"))
    )
    joined = (
        summed.join(old, on=keys, how="full", coalesce=True, nulls_equal=True)
        .with_columns(pl.col("now", "old").fill_null(ZERO), pl.col("is_stale").fill_null(value=False))
        .with_columns(pl.max_horizontal(pl.col("now", "old").abs()).alias("size"))
        .sort(["now", "size", *keys], descending=[True, True, *[False] * len(keys)], nulls_last=True)
    )
    rows = joined.to_dicts()
    if len(rows) > top:
        rows = [*rows[: top - 1], _fold(rows[top - 1 :], keys)]
    whole, whole_before = total(now), None if before is None else total(before)
    shown = spread_cents([r["now"] for r in rows], cents(whole, currency), currency)
    olds: Sequence[Decimal | None] = [None] * len(rows)
    if whole_before is not None:
        olds = spread_cents([r["old"] for r in rows], cents(whole_before, currency), currency)
    return Lines(
        tuple(
            Line(
                tuple(str(r[k]) if r[k] is not None else "–" for k in keys),
                r["now"], s, o, float(r["now"] / whole) if whole > 0 else None, r["stale"], r["is_stale"],
            )
            for r, s, o in zip(rows, shown, olds, strict=True)
        ),
        Line(
            ("Total",), whole, cents(whole, currency),
            None if whole_before is None else cents(whole_before, currency),
            1.0 if whole > 0 else None,
            min((r["stale"] for r in rows if r["stale"]), default=None),
            any(r["is_stale"] for r in rows),
        ),
    )  # fmt: skip


def _fold(rows: Sequence[Mapping[str, object]], keys: Sequence[str]) -> dict[str, object]:
    label = {k: (f"{len(rows)} other lines" if k == keys[0] else "") for k in keys}
    since = [r["stale"] for r in rows if isinstance(r["stale"], datetime)]
    return label | {
        "now": sum((Decimal(str(r["now"])) for r in rows), ZERO),
        "old": sum((Decimal(str(r["old"])) for r in rows), ZERO),
        "stale": min(since, default=None),
        "is_stale": any(r["is_stale"] for r in rows),
    }


@dataclass(frozen=True)
class TeamLine:
    """One team of an overview: amounts shown, its kinds of cost summing to its total."""

    team: str
    shown: Decimal
    kinds: tuple[Decimal, ...]
    before: Decimal | None
    share: float | None
    is_stale: bool

    @property
    def change(self) -> float | None:
        """Relative change of the amounts shown."""
        return change(self.shown, self.before)


@dataclass(frozen=True)
class TeamLines:
    """All teams of a month and currency.

    Attributes:
        lines: A team each, greatest first; its total is that of its own statement.
        rounding: What makes the columns add up: total shown - sum of the lines shown; None where all are 0.
        total: All teams, correctly rounded.
    """

    lines: tuple[TeamLine, ...]
    rounding: TeamLine | None
    total: TeamLine


def team_lines(
    now: pl.DataFrame, before: pl.DataFrame | None, currency: str, stale: Mapping[str, datetime | None]
) -> TeamLines:
    """Amounts by team and kind of cost, each team as on its own statement.

    Args:
        now: Chargeback rows of one month and currency.
        before: Those of the period before; None where there is none.
        currency: The currency of both frames.
        stale: Sources that failed -> since when.
    """
    whole = total(now)
    by_team = {k[0]: f for k, f in now.group_by("team")}
    old = {k[0]: f for k, f in before.group_by("team")} if before is not None else {}
    names = sorted(by_team.keys() | old.keys(), key=lambda t: (-total(by_team.get(t, now.clear())), str(t)))

    def one(team: str, frame: pl.DataFrame, past: pl.DataFrame | None) -> TeamLine:
        exact = total(frame)
        shown = cents(exact, currency)
        parts = [total(frame.filter(pl.col("cost_kind") == k)) for k in KINDS]
        return TeamLine(
            team,
            shown,
            tuple(spread_cents(parts, shown, currency)),
            None if past is None else cents(total(past), currency),
            float(exact / whole) if whole > 0 else None,
            frame["source"].is_in(list(stale)).any(),
        )

    rows = tuple(
        one(str(t), by_team.get(t, now.clear()), None if before is None else old.get(t, now.clear()))
        for t in names
    )
    all_teams = one("Total", now, before)
    rounding = TeamLine(
        "Rounding",
        all_teams.shown - sum((r.shown for r in rows), ZERO),
        tuple(all_teams.kinds[i] - sum((r.kinds[i] for r in rows), ZERO) for i in range(len(KINDS))),
        None if all_teams.before is None else all_teams.before - sum((r.before or ZERO for r in rows), ZERO),
        None,
        is_stale=False,
    )
    needed = rounding.shown or rounding.before or any(rounding.kinds)
    return TeamLines(rows, rounding if needed else None, all_teams)
