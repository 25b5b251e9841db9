"""Readings of power meters inside the windows of runs to `telemetry.run_power_daily`, in SQL.

What a run's energy is follows from them in `models/run_energy.py`. A reading belongs to the runs that its log names
(`run_id`), else to those that are measured by its meter, or by its node where it names no meter. It must lie strictly
between the start and the end of the run. Readings without power (0 or less, no number, nothing) are counted, and are
in no sum. A meter has one reading at a time (the highest of several, as for hours), and one without power beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from connectors.meters import METER
from connectors.sql import literal
from models.records import TrainingRun


def overlapping(runs: Sequence[TrainingRun], start: datetime, end: datetime) -> list[TrainingRun]:
    """The runs that have a moment between two instants, in order of name."""
    return sorted((r for r in runs if r.started_at < end and r.ended_at > start), key=lambda r: r.run_id)


def windows(runs: Sequence[TrainingRun], day: tuple[datetime, datetime]) -> dict[str, list[str]]:
    """What of the runs of a day changes its facts, for its fingerprint; nothing for a day without runs."""
    found = [f"{r.run_id}/{r.measured_by}/{r.started_at}/{r.ended_at}" for r in overlapping(runs, *day)]
    return {"runs": found} if found else {}


def run_power_sql(samples: str, runs: Sequence[TrainingRun], zone: ZoneInfo) -> str:
    """SQL: what each meter read inside each run, by local day.

    Args:
        samples: Relation with meter, node, run_id, ts (UTC) and power_w.
        runs: One run or more.
        zone: Time zone of the days.

    Returns:
        The columns of `telemetry.run_power_daily` without source and site.
    """
    given = ", ".join(
        f"({literal(r.run_id)}, {literal(r.measured_by)}, {_utc(r.started_at)}, {_utc(r.ended_at)})"
        for r in runs
    )
    day = f"CAST(ts AT TIME ZONE 'UTC' AT TIME ZONE {literal(zone.key)} AS DATE)"
    return f"""
        WITH windows AS (SELECT * FROM (VALUES {given}) AS w(run_id, measured_by, opens, closes)
        ), moments AS (
            SELECT COALESCE(run_id, meter, node) AS measured_by, {METER} AS meter, ts, power_w IS NULL AS dropped,
                   MAX(node) AS node, MAX(power_w) AS power_w
            FROM {samples} WHERE ts IS NOT NULL GROUP BY ALL
        ), inside AS (
            SELECT w.run_id, m.* EXCLUDE (measured_by), {day} AS day,
                   LAG(ts) OVER (PARTITION BY w.run_id, m.meter, {day}, dropped ORDER BY ts) AS before
            FROM moments AS m JOIN windows AS w USING (measured_by) WHERE m.ts > w.opens AND m.ts < w.closes
        )
        SELECT day, run_id, meter, MAX(node) AS node, COUNT(*) FILTER (NOT dropped) AS readings,
               COUNT(*) FILTER (dropped) AS readings_dropped, COALESCE(fsum(power_w), 0) AS sum_w,
               MIN(ts) FILTER (NOT dropped) AS first_reading, MAX(ts) FILTER (NOT dropped) AS last_reading,
               MAX(date_diff('microsecond', before, ts)) FILTER (NOT dropped) / 1e6 AS longest_gap_s
        FROM inside GROUP BY day, run_id, meter"""


def _utc(at: datetime) -> str:
    return f"TIMESTAMP '{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}'"
