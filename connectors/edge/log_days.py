"""Samples of device logs to days of devices, in SQL, and how they complete what devices report.

Rules:
- A sample stands for the time until the device's next one, at most `MAX_STEP` log intervals: longer is a gap.
- Energy is the trapezoid of power between two readings; a gauge is never stretched over a gap.
- Several lines of one moment (logs of less than a second) count with their mean; equal lines are duplicates.
- Where a device also reports, its counters tell energy and hours online; the log completes what they do not tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

import polars as pl

from connectors.edge.days import calendar
from connectors.edge.logs import MAX_DEVICE_W, SET_ASIDE
from connectors.sql import literal
from connectors.steps import energy_steps

DEVICE_DAY = ("device", "day")


def is_sample() -> str:
    """SQL: a line is a sample."""
    return f"(rule IS NULL OR rule NOT IN ({', '.join(map(literal, SET_ASIDE))}))"


def power_sql(logs: str) -> str:
    """SQL: the readings of power of devices, for `connectors.run_power`; several of one moment are their mean.

    Args:
        logs: As in `log_days_sql`.
    """
    nothing = "CAST(NULL AS VARCHAR)"
    return (
        f"(SELECT device AS node, {nothing} AS meter, {nothing} AS run_id, ts, AVG(power_w) AS power_w "
        f"FROM {logs} WHERE {is_sample()} GROUP BY device, ts)"
    )


LOG_DAYS = pl.Schema(
    {
        "device": pl.String(),
        "day": pl.Date(),
        **dict.fromkeys(("log_messages", "log_duplicates"), pl.Decimal(38, 0)),
        **dict.fromkeys(("log_hours", "log_kwh", "gpu_utilisation"), pl.Float64()),
    }
)
"""The columns of `log_days_sql`, for where there are no logs."""


def log_days_sql(
    samples: str, bounds: Mapping[date, tuple[datetime, datetime]], max_step_us: int, bridge_us: int
) -> str:
    """SQL: days of devices with logs.

    Args:
        samples: Relation with device, content (what tells lines apart) and the columns of `connectors.edge.logs.SAMPLES`.
        bounds: Local day -> its first instant and the next day's, UTC, for all days of the samples.
        max_step_us: Longer steps between samples are gaps.
        bridge_us: At least that.

    Returns:
        device, day, log_messages, log_duplicates, log_hours, log_kwh (NULL where no step has power),
        gpu_utilisation (NULL where no step has it).
    """
    part = "date_diff('microsecond', GREATEST(t0, c.opens), LEAST(t1, c.closes))"
    days = f"JOIN {calendar(bounds)} ON t0 < c.closes AND t1 > c.opens"
    return f"""
        WITH points AS (
            SELECT device, ts, AVG(power_w) AS power_w, AVG(utilisation) AS utilisation,
                   CAST(NULL AS DOUBLE) AS energy_kwh_total, COUNT(*) AS messages, SUM(copies) AS lines
            FROM (
                SELECT device, ts, content, MAX(power_w) AS power_w, MAX(utilisation) AS utilisation, COUNT(*) AS copies
                FROM {samples} WHERE {is_sample()} GROUP BY device, ts, content
            ) GROUP BY device, ts
        ), counts AS (
            SELECT device, c.day, SUM(messages) AS log_messages, SUM(lines - messages) AS log_duplicates
            FROM points JOIN {calendar(bounds)} ON ts >= c.opens AND ts < c.closes GROUP BY device, c.day
        ), held AS (
            SELECT device, utilisation, ts AS t0, LEAD(ts) OVER (PARTITION BY device ORDER BY ts) AS t1 FROM points
        ), use AS (
            SELECT device, c.day, SUM({part}) AS us, SUM(utilisation * {part}) AS used_us,
                   SUM({part}) FILTER (utilisation IS NOT NULL) AS known_us
            FROM held {days} WHERE date_diff('microsecond', t0, t1) <= {max_step_us} GROUP BY device, c.day
        ), steps AS ({energy_steps("points", "device", max_step_us, bridge_us, MAX_DEVICE_W / 1000)}
        ), energy AS (
            SELECT device, c.day, SUM(kwh * {part} / us) AS kwh FROM steps {days} WHERE kwh IS NOT NULL GROUP BY device, c.day
        )
        SELECT device, day, COALESCE(log_messages, 0) AS log_messages, COALESCE(log_duplicates, 0) AS log_duplicates,
               COALESCE(us, 0) / 3.6e9 AS log_hours, kwh AS log_kwh, used_us / known_us AS gpu_utilisation
        FROM counts FULL JOIN use USING (device, day) LEFT JOIN energy USING (device, day)"""


def completed(reported: pl.DataFrame, logged: pl.DataFrame) -> pl.DataFrame:
    """Days of devices that report, log, or both.

    Args:
        reported: Result of `connectors.edge.days.edge_daily_sql`.
        logged: Result of `log_days_sql`.

    Returns:
        The columns of `reported`, gpu_utilisation, and log_hours (NULL without a log).
    """
    both = reported.join(logged, on=DEVICE_DAY, how="full", coalesce=True)
    count = {
        f"{n}": (pl.col(n).fill_null(0) + pl.col(f"log_{n}").fill_null(0)) for n in ("messages", "duplicates")
    }
    return both.with_columns(
        **count,
        late_messages=pl.col("late_messages").fill_null(0),
        online_hours=pl.coalesce("online_hours", "log_hours"),
        energy_kwh=pl.coalesce("energy_kwh", "log_kwh"),
        energy_estimated_kwh=pl.col("energy_estimated_kwh").fill_null(0.0),
    ).select(*reported.columns, "gpu_utilisation", "log_hours")
