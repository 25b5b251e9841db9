"""Billing periods of providers whose months begin at midnight of their own zone."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

from tests.connectors.bills.helpers import facts, focus, load, write

# start, end of a billing period -> its month
ZONES = {
    "2026-09-01T00:00:00Z 2026-10-01T00:00:00Z": date(2026, 9, 1),
    "2026-09-01T00:00:00+02:00 2026-10-01T00:00:00+02:00": date(2026, 9, 1),
    "2026-08-31T16:00:00Z 2026-09-30T16:00:00Z": date(2026, 9, 1),
    "2026-08-31T10:00:00Z 2026-09-30T10:00:00Z": date(2026, 9, 1),
    "2026-09-01T00:00:00-12:00 2026-10-01T00:00:00-12:00": date(2026, 9, 1),
    "2026-08-31T00:00:00Z 2026-09-30T00:00:00Z": date(2026, 8, 1),
    "2026-08-31T09:59:59Z 2026-09-30T00:00:00Z": date(2026, 8, 1),
}


@pytest.mark.parametrize("form", ["csv", "parquet", "typed"])
@pytest.mark.parametrize("period", ZONES)
def test_a_billing_period_of_another_zone_is_of_its_own_month(period: str, form: str, tmp_path: Path) -> None:
    start, end = period.split()
    rows = [focus(BillingPeriodStart=start, BillingPeriodEnd=end)]
    path = tmp_path / "b" / ("a.csv" if form == "csv" else "a.parquet")
    if form == "csv":
        write(path, rows)
    else:
        path.parent.mkdir()
        frame = pl.DataFrame(rows)
        if form == "typed":
            named = ("BillingPeriodStart", "BillingPeriodEnd")
            frame = frame.with_columns(pl.Series(n, [datetime.fromisoformat(rows[0][n])]) for n in named)
        frame.write_parquet(path)
    (month,) = load("focus", tmp_path / "b", tmp_path).values()
    assert month.slice.period == ZONES[period]
    assert facts(month).select("x_billing_month").rows() == [(ZONES[period],)]
    assert month.issues.is_empty()
