"""A run of an export of which a partition is not there yet."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

from tests.connectors.azure.rows import row, run_export
from tests.connectors.bills.helpers import WINDOW, load, reader

MID_MONTH = {
    "BillingPeriodStartDate": "09/19/2026",
    "BillingPeriodEndDate": "10/18/2026",
    "Date": "10/02/2026",
}
"""Pay-as-you-go bills from any day on: the run of October holds charges of the period that began in September."""


def test_no_month_of_its_rows_is_read(tmp_path: Path) -> None:
    """September is 10 of its own run and 3 + 4 of October's: with 3 of them it would be wrong without a word."""
    root = tmp_path / "bills"
    run_export(root, "x/20260901-20260930/r1", {"part_0.csv": [row()]}, submitted="2026-10-03T00:00:00Z")
    parts = {f"part_{n}.csv": [row(Cost=cost, **MID_MONTH)] for n, cost in enumerate("34")}
    run_export(root, "x/20261001-20261031/r1", parts, submitted="2026-10-20T00:00:00Z")
    last = root / "x/20261001-20261031/r1/part_1.csv"
    content = last.read_bytes()
    last.unlink()
    found = {s.period: s.not_ready for s in reader("azure_export", root, tmp_path).slices(WINDOW)}
    assert [*found] == [date(2026, 9, 1), date(2026, 10, 1)]
    assert all("part_1.csv, which is not there yet" in reason for reason in found.values())
    last.write_bytes(content)
    (loaded,) = load("azure_export", root, tmp_path).values()
    assert (loaded.slice.period, loaded.totals) == (date(2026, 9, 1), {"USD": Decimal(17)})
