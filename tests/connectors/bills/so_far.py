"""Files of the month so far, for the tests of which of them counts."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

from connectors.base import Loaded
from tests.connectors.bills.helpers import focus

SEPTEMBER = date(2026, 9, 1)
GUIDS = ("11111111-2222-3333-4444-555555555555", "01111111-2222-3333-4444-555555555555")
MONTH = "daily/20260901-20260930"


def until(day: int, **changes: str) -> list[dict[str, str]]:
    """The month up to a day: 1 USD on the first, 2 on the second ..."""
    return [
        focus(
            BilledCost=str(n), ChargePeriodStart=f"2026-09-{n:02}T00:00:00Z",
            ChargePeriodEnd=f"2026-09-{n + 1:02}T00:00:00Z", **changes,
        )
        for n in range(1, day + 1)
    ]  # fmt: skip


def left_out(loaded: Loaded) -> list[tuple[str, int, Decimal]]:
    """File, rows and money of what was left out."""
    found = loaded.issues.filter(rule="superseded_file").select("location", "rows", "billed_cost")
    return [(Path(at).name, n, cost) for at, n, cost in found.iter_rows()]
