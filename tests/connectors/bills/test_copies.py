"""The same bill twice in one source, in another order, form or packing, is flagged with the money at stake."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.base import Loaded
from tests.connectors.bills.helpers import focus, load, write

pytestmark = pytest.mark.long

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


def flagged(loaded: Loaded, rule: str = "repeated_bill") -> list[dict[str, Any]]:
    return loaded.issues.filter(rule=rule).select("value", "rows", "billed_cost", "currency").to_dicts()


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


def test_currencies_are_told_apart_and_a_row_alike_may_be_chance(tmp_path: Path) -> None:
    bills = tmp_path / "bills"
    write(bills / "a.csv", [*rows(4), *rows(3, BillingCurrency="EUR")])
    write(bills / "b.csv", [*rows(1), *rows(3, SubAccountId="008")])  # 1 of 4 rows is alike
    write(bills / "c.csv", rows(3, BillingCurrency="EUR"))
    loaded = load("focus", bills, tmp_path)[SEPTEMBER]
    found = flagged(loaded)
    assert [(f["rows"], f["billed_cost"], f["currency"]) for f in found] == [(3, Decimal(6), "EUR")]
    found = flagged(loaded, "repeated_rows")
    assert [(f["rows"], f["billed_cost"], f["currency"]) for f in found] == [(1, Decimal(1), "USD")]


def test_a_later_state_of_the_month_beside_an_earlier_one_is_no_chance(tmp_path: Path) -> None:
    """1 + 2 + 3 = 6 USD of the first three days are in both files: all of one of them, and 3 of 6 rows are half."""
    bills = tmp_path / "bills"
    write(bills / "first.csv", rows(3))
    write(bills / "second.csv", rows(25))
    (found,) = flagged(load("focus", bills, tmp_path)[SEPTEMBER])
    assert (found["rows"], found["billed_cost"]) == (3, Decimal(6))
    write(bills / "first.csv", [*rows(3), *rows(3, SubAccountId="008")])
    (found,) = flagged(load("focus", bills, tmp_path)[SEPTEMBER])
    assert (found["rows"], found["billed_cost"]) == (3, Decimal(6))


def so_far(day: int, things: int, *, end: str = "", **changes: str) -> list[dict[str, str]]:
    """The month up to a day, one charge a thing from the first day on: thing 1 costs 1 a day, thing 2 costs 2 ..."""
    end = end or f"2026-09-{day + 1:02}T00:00:00Z"
    return [
        focus(BilledCost=str(n * day), ResourceId=f"r-{n}", ChargePeriodEnd=end, **changes)
        for n in range(1, things + 1)
    ]


def test_files_that_each_hold_the_month_so_far_in_one_row_a_thing(tmp_path: Path) -> None:
    """Two days cost 2 x (1 + 2 + 3) = 12 USD, which the file of five days (30 USD, a fourth thing: 20) holds again.

    And five days are in the file of nine, whose thing 1 is gone: 5 x (2 + 3 + 4) = 45 USD. Another account's file is none of them.
    """
    bills = tmp_path / "bills"
    write(bills / "02.csv", so_far(2, 3))
    write(bills / "05.csv", so_far(5, 4))
    write(bills / "09.csv", [*so_far(9, 4)[1:], *rows(9, ResourceId="once")[3:4]])
    write(bills / "other.csv", so_far(2, 3, SubAccountId="008"))
    found = flagged(load("focus", bills, tmp_path)[SEPTEMBER])
    words = "hold the same charges from the same start, in the second to a later end"
    assert [f["value"].split(", as ")[0] for f in found] == [
        f"{bills / a} and {bills / b} {words}" for a, b in (("02.csv", "05.csv"), ("05.csv", "09.csv"))
    ]
    assert [(f["rows"], f["billed_cost"]) for f in found] == [(3, Decimal(12)), (3, Decimal(45))]


def test_the_month_so_far_whose_rows_all_end_with_the_month_is_a_warning(tmp_path: Path) -> None:
    """20 things of which all cost more in the later file: 2 x (1 + ... + 20) = 420 USD; 19 may be a supplement, and so may
    20 of which one costs less. Files of single days, and parts of one month, are neither.
    """
    bills, end = tmp_path / "bills", "2026-10-01T00:00:00Z"
    write(bills / "a.csv", so_far(2, 20, end=end))
    for later, figures in (
        (so_far(5, 20, end=end), [(20, Decimal(420))]),
        (so_far(5, 19, end=end), []),
        ([*so_far(5, 19, end=end), *so_far(1, 20, end=end)[19:]], []),
        (so_far(-5, 20, end=end), []),
        ([r | {"ChargePeriodStart": "2026-09-02T00:00:00Z"} for r in so_far(5, 20, end=end)], []),
        ([r | {"ResourceId": f"x-{r['ResourceId']}"} for r in so_far(5, 20, end=end)], []),
    ):
        write(bills / "b.csv", later)
        loaded = load("focus", bills, tmp_path)[SEPTEMBER]
        assert [(f["rows"], f["billed_cost"]) for f in flagged(loaded, "repeated_rows")] == figures
        assert flagged(loaded) == []


def test_deliveries_that_overlap_in_some_of_their_days(tmp_path: Path) -> None:
    """1 to 24 and 5 to 28 September, of three accounts: 20 of 68 charges are alike, 5 + ... + 24 = 290 USD.

    With 19 charges (5 to 23: 266) it may be chance, and so it may where 10 rows of a file are there twice within it,
    which is 20 rows that have a twin: a bill whose rows do not name what they are for.
    """
    bills = tmp_path / "bills"
    others = [*rows(24, SubAccountId="008"), *rows(20, SubAccountId="009")]
    last = [*rows(28)[4:], *rows(22, SubAccountId="010"), *rows(22, SubAccountId="011")]
    write(bills / "b.csv", last)
    for first, rule, figures in (
        (rows(24), "repeated_bill", (20, Decimal(290))),
        (rows(23), "repeated_rows", (19, Decimal(266))),
        ([*rows(24), *rows(10, SubAccountId="012") * 2], "repeated_rows", (20, Decimal(290))),
    ):
        write(bills / "a.csv", [*first, *others])
        loaded = load("focus", bills, tmp_path)[SEPTEMBER]
        (found,) = [f for r in ("repeated_bill", "repeated_rows") for f in flagged(loaded, r)]
        assert flagged(loaded, rule) == [found]
        assert (found["rows"], found["billed_cost"]) == figures


def test_lines_without_money_do_not_hide_a_copy_and_are_none(tmp_path: Path) -> None:
    """Billed 0 and 1.25 in effect, as what a savings plan covers: 2 rows of 0 / 2.5 are there twice beside 8 of nothing."""
    bills = tmp_path / "bills"
    nothing = [focus(BilledCost="0", EffectiveCost="0", SubAccountId=str(n)) for n in range(8)]
    covered = [r | {"BilledCost": "0", "ServiceName": "GPUs"} for r in rows(2)]
    write(bills / "a.csv", [*covered, *nothing])
    write(bills / "b.csv", [*nothing, *covered, *rows(1, SubAccountId="008")])
    (found,) = flagged(load("focus", bills, tmp_path)[SEPTEMBER])
    assert (found["rows"], found["billed_cost"]) == (2, Decimal(0))
    write(bills / "a.csv", nothing)
    loaded = load("focus", bills, tmp_path)[SEPTEMBER]
    assert [*flagged(loaded), *flagged(loaded, "repeated_rows")] == []
