"""The same bill twice in one source, in another order, form or packing, is flagged with the money at stake."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from connectors.base import Loaded
from tests.connectors.bills.helpers import focus, load, write

SEPTEMBER = date(2026, 9, 1)


def rows(count: int, **changes: str) -> list[dict[str, str]]:
    """Charges of 1, 2, 3 ... on the first days of September."""
    return [
        focus(
            BilledCost=str(n), ChargePeriodStart=f"2026-09-{n:02}T00:00:00Z",
            ChargePeriodEnd=f"2026-09-{n:02}T12:00:00Z", **changes,
        )
        for n in range(1, count + 1)
    ]  # fmt: skip


def flagged(loaded: Loaded) -> list[dict[str, Any]]:
    return (
        loaded.issues.filter(rule="repeated_rows")
        .select("value", "rows", "billed_cost", "currency")
        .to_dicts()
    )


def test_the_same_rows_in_another_order_form_and_packing(tmp_path: Path) -> None:
    """1 + 2 + 3 + 4 = 10 USD in each of three files: three pairs; the fourth file is another account's."""
    bills = tmp_path / "bills"
    write(bills / "a.csv", rows(4))
    write(bills / "b.csv.gz", rows(4)[::-1])
    pl.DataFrame(rows(4)).write_parquet(bills / "c.parquet")
    write(bills / "other.csv", rows(4, SubAccountId="008"))
    loaded = load("focus", bills, tmp_path)[SEPTEMBER]
    uris = {name: str(bills / name) for name in ("a.csv", "b.csv.gz", "c.parquet")}
    pairs = [("a.csv", "b.csv.gz"), ("a.csv", "c.parquet"), ("b.csv.gz", "c.parquet")]
    assert flagged(loaded) == [
        {
            "value": f"{uris[a]} and {uris[b]} hold the same rows",
            "rows": 4,
            "billed_cost": Decimal(10),
            "currency": "USD",
        }
        for a, b in pairs
    ]
    assert loaded.totals == {"USD": Decimal(40)}  # flagged, not left out


def test_one_byte_less_and_one_row_corrected_are_still_the_same_bill(tmp_path: Path) -> None:
    """The copy lacks its last line end, and its third charge is of 3.5, not 3: 10 - 3 = 7 USD are there twice."""
    bills = tmp_path / "bills"
    first = write(bills / "a.csv", rows(4))
    copy = first.read_text().removesuffix("\n").replace('"3"', '"3.5"')
    (bills / "b.csv").write_text(copy)
    (found,) = flagged(load("focus", bills, tmp_path)[SEPTEMBER])
    assert (found["rows"], found["billed_cost"]) == (3, Decimal(7))


def test_currencies_are_told_apart_and_a_row_alike_by_chance_is_none(tmp_path: Path) -> None:
    bills = tmp_path / "bills"
    write(bills / "a.csv", [*rows(4), *rows(3, BillingCurrency="EUR")])
    write(bills / "b.csv", [*rows(1), *rows(3, SubAccountId="008")])  # 1 of 4 rows is alike
    write(bills / "c.csv", rows(3, BillingCurrency="EUR"))
    found = flagged(load("focus", bills, tmp_path)[SEPTEMBER])
    assert [(f["rows"], f["billed_cost"], f["currency"]) for f in found] == [(3, Decimal(6), "EUR")]


def test_a_later_state_of_the_month_beside_an_earlier_one_is_no_chance(tmp_path: Path) -> None:
    """1 + ... + 20 = 210 USD of the first twenty days are in both files; with one charge less it could be chance."""
    bills = tmp_path / "bills"
    write(bills / "2026-09-20.csv", rows(20))
    write(bills / "2026-09-25.csv", rows(25))
    loaded = load("focus", bills, tmp_path)[SEPTEMBER]
    (found,) = loaded.issues.filter(rule="repeated_bill").to_dicts()
    assert (found["rows"], found["billed_cost"], flagged(loaded)) == (20, Decimal(210), [])
    write(bills / "2026-09-20.csv", rows(19))
    (found,) = flagged(load("focus", bills, tmp_path)[SEPTEMBER])
    assert (found["rows"], found["billed_cost"]) == (19, Decimal(190))
