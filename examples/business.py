"""What the demo's bills and telemetry do not know: training runs from a job log, and revenue by month, as CSV."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

RUNS = (
    ("vision-training", "line-defects-v{n}", 7, 60, 30),
    ("llm-tuning", "care-llm-r{n}", 10, 34, 4),
)
"""Workload, model, days from one run to the next, hours of a run, epochs."""

REVENUE_MONTH = 1_480_000
GROWTH = 24_000
BENEFITS = (("customer-care", 15_000), ("back-office", 31_000))
"""Project and what it brings a month: hours of work that it saves."""


def write_runs(path: Path, start: date, end: date) -> None:
    """Writes the training runs of the period: run_id, workload, model, started_at, ended_at, epochs."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("run_id", "workload", "model", "started_at", "ended_at", "epochs"))
        for workload, model, every, hours, epochs in RUNS:
            for n in range((end - start).days // every):
                begun = datetime.combine(start + timedelta(days=every * n + 1), time(7 + n % 5, 20), UTC)
                ended = begun + timedelta(hours=hours, minutes=13 * n)
                if ended.date() <= end:
                    name = model.format(n=n + 1)
                    writer.writerow(
                        (
                            name,
                            workload,
                            name.rpartition("-")[0],
                            begun.isoformat(),
                            ended.isoformat(),
                            epochs,
                        )
                    )


def write_revenue(path: Path, start: date, end: date) -> None:
    """Writes the revenue of every month of the period, and what two projects brought: month, amount, currency, project."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("month", "amount", "currency", "project"))
        for n in range((end.year - start.year) * 12 + end.month - start.month + 1):
            year, month = divmod(start.month - 1 + n, 12)
            writer.writerow((date(start.year + year, month + 1, 1), REVENUE_MONTH + GROWTH * n, "USD", ""))
            writer.writerows(
                (date(start.year + year, month + 1, 1), amount, "USD", p) for p, amount in BENEFITS
            )
