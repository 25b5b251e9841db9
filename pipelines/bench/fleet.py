"""A seeded fleet of edge devices whose truth is known: files as they arrive, and what each device did each day.

A device reports every fifteen minutes, and is offline for 12 of each 60 hours: three times in five it keeps its reports
and delivers them one to five days late, else they are lost while it counts on, or it is off and starts anew. Lines
come twice, in any order, some a day later again. Devices restart, counters fall without a word (where two
reports show it, so not soon after a start: else nobody can know), clocks are wrong: not
yet set after a start, or days off for one report. A twentieth is silent for some days, a twentieth from then on.

What the reports mean is `connectors/edge/days.py`; nothing of it is used here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from connectors.sql import literal
from pipelines.engines.duckdb import DuckDBEngine

STEP_S = 900
LATE_DAYS = 5
TEAMS = ("vision", "safety", "logistics")
TRUTH = ("inferences", "failed", "kwh", "messages", "duplicates", "late_messages")


@dataclass(frozen=True)
class Plan:
    """What is to be generated.

    Attributes:
        devices: Number of devices.
        days: Local days of reports; late ones arrive up to five days after the last.
        first: First local day.
        zone: Time zone of the site.
        seed: Seed.
        silent: From and until which day (index) some devices are silent.
        clock_sides: Of so many reports, two have a date that is wrong.
    """

    devices: int
    days: int
    first: date = date(2026, 9, 1)
    zone: str = "Asia/Kolkata"
    seed: int = 20260901
    silent: tuple[int, int] = (10, 20)
    clock_sides: int = 1000

    @property
    def last(self) -> date:
        """The last local day."""
        return self.first + timedelta(days=self.days - 1)


class Fleet:
    """The reports of a plan, in tables of an engine: `reports`, and `arrivals` (which of them comes when)."""

    def __init__(self, plan: Plan, engine: DuckDBEngine) -> None:
        self.plan = plan
        self.engine = engine
        engine.execute(f"CREATE OR REPLACE TEMP TABLE reports AS {_reports_sql(plan)}")
        engine.execute(f"CREATE OR REPLACE TEMP TABLE arrivals AS {_arrivals_sql(plan)}")

    def write(self, folder: Path, *, by_device: bool = False) -> list[Path]:
        """Writes `<day of arrival>.jsonl.gz`, or `<device>/<day of arrival>.jsonl.gz`; returns the files by day."""
        folder.mkdir(parents=True, exist_ok=True)
        files = []
        keys = "d, arrival" if by_device else "-1 AS d, arrival"
        wanted = self.engine.query(f"SELECT DISTINCT {keys} FROM arrivals ORDER BY arrival, d")
        form = "FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER '\\x01', COMPRESSION gzip"
        for d, day in wanted.iter_rows():
            path = folder / (f"cam-{d:04d}/{day}.jsonl.gz" if by_device else f"{day}.jsonl.gz")
            path.parent.mkdir(exist_ok=True)
            n = (day - self.plan.first).days
            where = f"arrivals.arrival = DATE '{day}' AND reports.k BETWEEN {(n - LATE_DAYS - 2) * 96} AND {(n + 1) * 96}"
            where += f" AND d = {d}" if by_device else ""
            self.engine.execute(
                f"COPY (SELECT {LINE} AS line FROM arrivals JOIN reports USING (d, k) WHERE {where} ORDER BY hash(d, k, copy)) "
                f"TO {literal(path)} ({form})"
            )
            files.append(path)
        return files

    def truth(self, bridge_days: int, arrived: date | None = None) -> pl.DataFrame:
        """What is known of each device and day from what has arrived.

        Work belongs to the day of the first report that shows it: the next believable one that arrives at all. What was
        not yet reported when a device started anew, and what it did in a silence longer than the bridge, is nowhere.

        Args:
            bridge_days: Longest silence that counters bridge.
            arrived: Only files up to this day; None for all.

        Returns:
            device, day and `TRUTH`: inferences, failed and kwh are NULL where no two reports tell them; messages,
            duplicates and late_messages do not count reports with a wrong clock. Sorted.
        """
        upto = f"WHERE arrival <= DATE '{arrived}'" if arrived else ""
        since = {c: f"all_{c} - GREATEST(all_before_{c}, born_{c})" for c in ("work", "bad", "mwh")}
        told = ", ".join(f"{sql} AS new_{c}" for c, sql in since.items())
        before = ", ".join(f"LAG(all_{c}) OVER o AS all_before_{c}" for c in since)
        return self.engine.query(f"""
            WITH there AS (
                SELECT d, k, COUNT(*) AS copies FROM arrivals {upto} GROUP BY d, k
            ), ordered AS (
                SELECT reports.*, copies, {before}, LAG(ts) OVER o AS ts_before FROM there JOIN reports USING (d, k) WHERE stamp = ts
                WINDOW o AS (PARTITION BY d ORDER BY k)
            ), news AS (
                SELECT *, {told} FROM ordered WHERE ts - ts_before <= to_days({bridge_days})
            )
            SELECT r.device, r.day, CAST(SUM(new_work) AS BIGINT) AS inferences, CAST(SUM(new_bad) AS BIGINT) AS failed,
                   SUM(new_mwh) / 1e6 AS kwh, COUNT(*) AS messages, CAST(SUM(r.copies - 1) AS BIGINT) AS duplicates,
                   COUNT(*) FILTER (r.delivery = 'kept') AS late_messages
            FROM ordered AS r LEFT JOIN news AS n ON n.d = r.d AND n.k = r.k
            GROUP BY r.device, r.day ORDER BY r.device, r.day""")

    def lines(self) -> int:
        """Lines of all files."""
        return int(self.engine.query("SELECT COUNT(*) FROM arrivals").item())


def _reports_sql(plan: Plan) -> str:
    """SQL: d, k (slot), device, day, ts, stamp (as the device says), boot, seq, counters, how it is delivered.

    all_*: done since the first day; born_*: that, when the counters began.
    """
    start = datetime.combine(plan.first, time(0), ZoneInfo(plan.zone)).astimezone(UTC).replace(tzinfo=None)
    end = datetime.combine(plan.last + timedelta(days=1), time(0), ZoneInfo(plan.zone)).astimezone(UTC)
    slots = int((end.replace(tzinfo=None) - start).total_seconds()) // STEP_S
    sums = {"work": "work", "bad": "work * 3 // 1000", "mwh": "mwh"}
    window = "(PARTITION BY d ORDER BY k)"

    def dice(name: str, sides: int, *keys: str) -> str:
        return f"CAST(hash({', '.join(keys or ('d', 'k'))}, '{name}', {plan.seed}) % {sides} AS INTEGER)"

    day_dice = lambda name, sides: dice(name, sides, "d", "day")  # noqa: E731
    return f"""
        WITH slots AS (
            SELECT d, k, TIMESTAMP '{start}' + to_seconds(k * {STEP_S} + d * 37 % {STEP_S}) AS ts, k // 240 AS block
            FROM range({plan.devices}) AS devices(d), range({slots}) AS slots(k)
        ), local AS (
            SELECT *, ts AT TIME ZONE 'UTC' AT TIME ZONE {literal(plan.zone)} AS here, CAST(here AS DATE) AS day,
                   day - DATE '{plan.first}' AS n, date_part('hour', here) AS hour,
                   k % 240 - {dice("when", 192, "d", "block")} BETWEEN 0 AND 47 AS offline,
                   CASE WHEN d % 20 = 7 AND n >= {plan.silent[0]} AND n < {plan.silent[1]} THEN 'lost'
                        WHEN d % 20 = 8 AND n >= {plan.silent[0]} THEN 'lost'
                        WHEN NOT offline THEN 'sent'
                        WHEN {dice("how", 5, "d", "block")} < 3 THEN 'kept'
                        WHEN {dice("how", 5, "d", "block")} = 3 THEN 'lost' ELSE 'off' END AS delivery
            FROM slots
        ), worked AS (
            SELECT *, CASE WHEN hour BETWEEN 6 AND 21 THEN 380 + {dice("work", 140)} ELSE 0 END AS work,
                   1450 + {dice("energy", 2000)} AS mwh,
                   COALESCE(LAG(delivery) OVER {window} = 'off' OR (hour = 3 AND LAG(hour) OVER {window} = 2 AND {day_dice("boot", 25)} = 0),
                            FALSE) AS boots,
                   delivery = 'sent' AND LAG(delivery) OVER {window} = 'sent' AND hour = 12 AND LAG(hour) OVER {window} = 11 AND {day_dice("reset", 40)} = 0 AS resets
            FROM local
        ), shown AS (
            SELECT * REPLACE (resets AND NOT BOOL_OR(boots) OVER (PARTITION BY d ORDER BY k ROWS 5 PRECEDING) AS resets) FROM worked
        ), summed AS (
            SELECT *, {", ".join(f"CAST(SUM({sql}) OVER {window} AS BIGINT) AS all_{c}" for c, sql in sums.items())},
                   {", ".join(f"{sql} AS now_{c}" for c, sql in sums.items())},
                   SUM(CASE WHEN boots THEN 1 ELSE 0 END) OVER {window} AS boot,
                   SUM(CASE WHEN boots OR resets THEN 1 ELSE 0 END) OVER {window} AS life
            FROM shown WHERE delivery <> 'off'
        ), lives AS (
            SELECT *, row_number() OVER (PARTITION BY d, boot ORDER BY k) - 1 AS seq,
                   {", ".join(f"first_value(all_{c} - now_{c}) OVER (PARTITION BY d, life ORDER BY k) AS born_{c}" for c in sums)}
            FROM summed
        )
        SELECT d, k, 'cam-' || lpad(CAST(d AS VARCHAR), 4, '0') AS device, day, ts, delivery, boot, seq,
               CASE WHEN boot > 0 AND seq < 4 AND {dice("unset", 4, "d", "boot")} = 0 THEN TIMESTAMP '1970-01-01' + to_seconds(seq * {STEP_S})
                    WHEN d % 20 NOT IN (7, 8) AND {dice("clock", plan.clock_sides)} < 2 AND n < {plan.days - 4} AND n > 2
                    THEN ts + to_days(CASE WHEN {dice("clock", plan.clock_sides)} = 0 THEN -2 ELSE 3 END)
                    ELSE ts END AS stamp,
               {", ".join(f"all_{c}, born_{c}, all_{c} - born_{c} + CASE WHEN life = 0 THEN {base} ELSE 0 END AS {c}" for c, base in (("work", "1200000 + d * 9001"), ("bad", "3000"), ("mwh", "5000000")))},
               CASE WHEN delivery = 'kept' THEN day + 1 + {dice("late", LATE_DAYS, "d", "block")} ELSE day END AS arrival
        FROM lives"""


def _arrivals_sql(plan: Plan) -> str:
    """SQL: d, k, copy, arrival: every line, those that come again included."""
    kept = "SELECT d, k, {} AS copy, {} AS arrival FROM reports WHERE delivery <> 'lost'"
    again = f"hash(d, k, 'again', {plan.seed}) % 100"
    return " UNION ALL ".join(
        (
            kept.format(0, "arrival"),
            kept.format(1, "arrival") + f" AND {again} < 5",
            kept.format(2, "arrival + 1") + f" AND {again} BETWEEN 5 AND 6",
        )
    )


def _text(key: str, sql: str) -> str:
    return f"""'"{key}":"' || {sql} || '"'"""


LINE = " || ',' || ".join(
    (
        "'{' || " + _text("device_id", "device"),
        _text("ts", "strftime(stamp, '%Y-%m-%dT%H:%M:%SZ')"),
        _text("boot_id", "to_hex(hash(d, boot))"),
        "'\"seq\":' || seq",
        "'\"inferences_total\":' || work",
        "'\"failed_total\":' || bad",
        "'\"energy_wh_total\":' || CAST(mwh AS DECIMAL(18, 3)) / 1000",
        _text("device_model", "'jetson-orin-nano'"),
        _text("model", "'weld-check-3'"),
        _text("team", f"[{', '.join(map(literal, TEAMS))}][d % {len(TEAMS)} + 1]"),
        _text("workload", "'line-' || d % 8") + " || '}'",
    )
)
"""SQL: a report as a line of JSON."""
