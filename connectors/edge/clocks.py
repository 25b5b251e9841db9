"""Reports whose time their sequence contradicts: a clock that was days off, for one report or for some.

Counters rise from report to report. A report out of its place would look like a restart, and all that the device ever
counted would count again. So of each device the most reports that can be right together are believed: the longest run
of times that rise with the sequence. A boot of which hardly any is believed is not believed at all: it is another device's
that goes by the same name. Where too many contradict each other the times stand, and the counters say what is unknown.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby, pairwise
from pathlib import Path

import polars as pl

from connectors.base import Engine
from connectors.edge.days import COUNTERS
from connectors.sql import literal, literals

Stamp = tuple[int, datetime, Sequence[float | None], int, int, int, int]
"""seq, ts, counters, row id, boot, reports of the boot, reports of the device."""

HARDLY = 0.1
"""Of a boot's reports, believed: none of them then is."""

FEW = 3
"""Reports that are always set aside where they contradict others."""

MANY = 0.2
"""Of a device's reports, contradicting others: more is no clock that was wrong for some time."""


def suspects_sql(reports: str) -> str:
    """SQL: device_id of those whose sequence falls in the order of time, or whose boots return.

    Args:
        reports: Table of `days.reports_sql`.
    """
    return f"""
        WITH ordered AS (
            SELECT device_id, boot_id, TRY_CAST(seq AS BIGINT) AS n, LAG(boot_id) OVER w AS boot_before,
                   LAG(TRY_CAST(seq AS BIGINT)) OVER w AS n_before
            FROM {reports} WHERE wrong IS NULL WINDOW w AS (PARTITION BY device_id ORDER BY ts, TRY_CAST(seq AS BIGINT))
        )
        SELECT device_id FROM ordered GROUP BY device_id
        HAVING BOOL_OR(boot_id = boot_before AND n < n_before)
               OR COUNT(*) FILTER (boot_id IS DISTINCT FROM boot_before) > COUNT(DISTINCT boot_id)"""


def contradictions_sql(reports: str, suspects: str) -> str:
    """SQL: the reports of devices that cannot all be right about their time, in order of sequence.

    A device's boots follow each other by the middle of their times. Where all times before some place in the sequence
    are before all times after it, the sequence is cut; pieces of one report contradict nobody, and are left out but for
    boots that hardly have others.

    Args:
        reports: Table of `days.reports_sql`.
        suspects: The devices of `suspects_sql`, as a query.

    Returns:
        device_id, piece, and what `Stamp` has. Reports whose seq is no number are left out.
    """
    return f"""
        WITH numbered AS (
            SELECT device_id, boot_id, TRY_CAST(seq AS BIGINT) AS n, ts, [{", ".join(COUNTERS)}] AS counters, rowid AS id FROM {reports}
            WHERE wrong IS NULL AND TRY_CAST(seq AS BIGINT) IS NOT NULL AND device_id IN ({suspects})
        ), boots AS (
            SELECT device_id, boot_id, row_number() OVER (PARTITION BY device_id ORDER BY quantile_disc(ts, 0.5), boot_id) AS boot,
                   COUNT(*) AS of_boot, CAST(SUM(COUNT(*)) OVER (PARTITION BY device_id) AS BIGINT) AS of_device
            FROM numbered GROUP BY device_id, boot_id
        ), placed AS (
            SELECT device_id, row_number() OVER (PARTITION BY device_id ORDER BY boot, n, ts, id) AS place,
                   n, ts, counters, id, boot, of_boot, of_device
            FROM numbered JOIN boots USING (device_id, boot_id)
        ), reached AS (
            SELECT *, MAX(ts) OVER (PARTITION BY device_id ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reached,
                   MIN(ts) OVER (PARTITION BY device_id ORDER BY place ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS ahead
            FROM placed
        ), cut AS (
            SELECT * EXCLUDE (reached, ahead),
                   SUM(CASE WHEN reached > ahead THEN 0 ELSE 1 END) OVER (PARTITION BY device_id ORDER BY place) AS piece
            FROM reached
        ), pieces AS (SELECT device_id, piece FROM cut GROUP BY ALL HAVING COUNT(*) > 1
        ), hardly AS (
            SELECT device_id, boot FROM cut SEMI JOIN pieces USING (device_id, piece)
            GROUP BY device_id, boot HAVING COUNT(*) >= {1 - HARDLY} * MAX(of_boot)
        )
        SELECT device_id, piece, n, ts, counters, id, boot, of_boot, of_device
        FROM cut LEFT JOIN pieces AS p USING (device_id, piece) LEFT JOIN hardly AS h USING (device_id, boot)
        WHERE p.piece IS NOT NULL OR h.boot IS NOT NULL ORDER BY device_id, piece, place"""


def wrong_clocks(rows: Iterable[tuple[str, int, *Stamp]]) -> list[int]:
    """The reports whose time is not believed.

    Where the counters fall more often in the order of the sequence than in that of the times, it is the sequence that is
    wrong (it began again, or ran over), and the times stand. So they do where no counter says which, and the sequence
    contradicts most of them.

    Args:
        rows: Rows of `contradictions_sql`.

    Returns:
        Row id of each.
    """
    found: list[int] = []
    for _, reports in groupby(rows, key=lambda row: row[0]):
        wrong: list[Stamp] = []
        believed: list[Stamp] = []
        for _, piece in groupby(reports, key=lambda row: row[1]):
            stamps: list[Stamp] = [row[2:] for row in piece]
            kept = _believed(stamps)
            wrong += [s for i, s in enumerate(stamps) if i not in kept]
            believed += [s for i, s in enumerate(stamps) if i in kept]
        if wrong and len(wrong) > max(FEW, MANY * wrong[0][6]):
            continue
        gone = Counter(s[4] for s in wrong)
        found += [s[3] for s in wrong] + [s[3] for s in believed if gone[s[4]] >= (1 - HARDLY) * s[5]]
    return found


def _believed(stamps: Sequence[Stamp]) -> set[int]:
    """Places of the reports of a piece whose times can be right together."""
    kept = _longest([s[1] for s in stamps])
    falls, by_time = _falls(stamps), _falls(sorted(stamps, key=lambda s: (s[1], s[0])))
    stand = falls > by_time or (falls == by_time and 2 * len(kept) < len(stamps))
    return set(range(len(stamps))) if stand else kept


def _falls(stamps: Sequence[Stamp]) -> int:
    """How often some counter falls from one report to the next."""
    return sum(
        any(x is not None and y is not None and y < x for x, y in zip(a[2], b[2], strict=True))
        for a, b in pairwise(stamps)
    )


def _longest(times: Sequence[datetime]) -> set[int]:
    """Places of a longest run of times of which none is before the one ahead of it."""
    ends: list[datetime] = []
    last: list[int] = []
    before: list[int] = []
    for place, at in enumerate(times):
        length = bisect_right(ends, at)
        before.append(last[length - 1] if length else -1)
        ends[length : length + 1] = [at]
        last[length : length + 1] = [place]
    run: set[int] = set()
    place = last[-1] if last else -1
    while place >= 0:
        run.add(place)
        place = before[place]
    return run


def set_aside(reports: str, work: Path, engine: Engine) -> None:
    """Marks the reports whose sequence contradicts their time as wrong.

    Args:
        reports: Table of `days.reports_sql`.
        work: Folder for an intermediate file.
        engine: Runs the SQL.
    """
    suspects = [row["device_id"] for row in engine.rows(suspects_sql(reports))]
    if not suspects:  # as it mostly is, and the rest takes five times as long to plan
        return
    listed = f"SELECT UNNEST({literals(suspects)})"
    wrong = wrong_clocks(engine.query(contradictions_sql(reports, listed)).iter_rows())
    if not wrong:
        return
    marked = work / "clocks.parquet"
    pl.DataFrame({"id": wrong}, schema={"id": pl.Int64}).write_parquet(marked)
    engine.execute(
        f"UPDATE {reports} SET wrong = 'clock_contradicts_sequence', wrong_key = 'ts' "
        f"WHERE rowid IN (SELECT id FROM read_parquet({literal(marked)}))"
    )
    marked.unlink()
