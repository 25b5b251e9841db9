"""Billing periods of providers whose months begin at midnight of their own zone."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from connectors.base import Loaded
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


FORMS = ("csv", "parquet", "typed")


@pytest.fixture(scope="module")
def bills(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[Loaded, pl.DataFrame]]]:
    """Form -> a file with a row of each of `ZONES`, which is its description: what was loaded of each month, and its rows."""
    found = {}
    for form in FORMS:
        folder = tmp_path_factory.mktemp("zones")
        periods = [period.split() for period in ZONES]
        rows = [
            focus(BillingPeriodStart=a, BillingPeriodEnd=b, ChargeDescription=f"{a} {b}") for a, b in periods
        ]
        path = folder / "b" / ("a.csv" if form == "csv" else "a.parquet")
        if form == "csv":
            write(path, rows)
        else:
            path.parent.mkdir()
            frame = pl.DataFrame(rows)
            if form == "typed":
                named = ("BillingPeriodStart", "BillingPeriodEnd")
                frame = frame.with_columns(
                    pl.Series(n, [datetime.fromisoformat(r[n]).astimezone(UTC) for r in rows]) for n in named
                )
            frame.write_parquet(path)
        found[form] = [(m, facts(m)) for m in load("focus", folder / "b", folder).values()]
    return found


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("period", ZONES)
def test_a_billing_period_of_another_zone_is_of_its_own_month(
    bills: dict[str, list[tuple[Loaded, pl.DataFrame]]], period: str, form: str
) -> None:
    [(month, rows)] = [(m, rows) for m, rows in bills[form] if period in rows["ChargeDescription"].to_list()]
    assert month.slice.period == ZONES[period]
    found = rows.filter(ChargeDescription=period)
    assert found.select("x_billing_month").rows() == [(ZONES[period],)]
    assert month.issues.is_empty()
