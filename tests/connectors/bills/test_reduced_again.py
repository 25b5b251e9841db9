"""A month delivered again: only files of days that differ are reduced to daily costs and counts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from pipelines.facts import SliceFacts
from pipelines.reduce import daily_costs, focus_counts
from tests.connectors.bills.redelivery import FOCUS, Site, month

pytestmark = pytest.mark.long


def test_only_the_file_of_the_day_that_changed_is_reduced_again(tmp_path: Path) -> None:
    """As above: of 115 day 3 cost 6.5, then 200. Its second charge, said twice, ends before it starts: two rows of one
    rule, one repeated row."""
    reductions: dict[str, Callable[[SliceFacts], pl.DataFrame]] = {
        "costs": lambda facts: daily_costs([facts], {}, tmp_path / "costs"),
        "counts": lambda facts: focus_counts([facts], tmp_path / "counts"),
        "zone": lambda facts: daily_costs([facts], {"bills": "America/Los_Angeles"}, tmp_path / "zone"),
    }
    for name in reductions:
        (tmp_path / name).mkdir()
    site, days = Site(tmp_path), [date(2026, 9, n) for n in range(1, 11)]
    site.deliver(month(), "parquet", 1)
    first = site.load()
    found = {name: of(first) for name, of in reductions.items()}
    assert sorted(found["costs"]["day"]) == days
    assert found["costs"]["billed_cost"].sum() == Decimal(115)
    assert found["counts"].select("ChargePeriod order", "duplicate").sum().row(0) == (0, 0)
    hour = "2026-09-03T00:00:00Z"
    odd = {"lineItem/UnblendedCost": "100", "lineItem/UsageStartDate": hour, "lineItem/UsageEndDate": hour}
    site.deliver(month(d3=odd), "parquet", 2)
    second = site.load()
    assert len(second.parts(FOCUS)) == 2
    before = {name: set((tmp_path / name).glob("*.parquet")) for name in reductions}
    found = {name: of(second) for name, of in reductions.items()}
    new = {
        name: [pl.read_parquet(file) for file in set((tmp_path / name).glob("*.parquet")) - before[name]]
        for name in reductions
    }
    assert [frame["day"].unique().to_list() for frame in new["costs"]] == [[date(2026, 9, 3)]]
    assert [frame["day"].unique().to_list() for frame in new["counts"]] == [[date(2026, 9, 3)]]
    assert found["costs"]["billed_cost"].sum() == Decimal("308.5")
    assert found["costs"].filter(pl.col("day") == date(2026, 9, 3))["billed_cost"].sum() == Decimal(200)
    assert found["counts"].select("ChargePeriod order", "duplicate").sum().row(0) == (2, 1)
    assert found["zone"]["billed_cost"].sum() == Decimal("308.5")
    counted = {name: len(set((tmp_path / name).glob("*.parquet"))) for name in reductions}
    for of in reductions.values():
        of(first), of(second)
    assert {name: len(set((tmp_path / name).glob("*.parquet"))) for name in reductions} == counted, (
        "nothing was read again, the version that was replaced included"
    )


def test_reductions_that_nobody_asked_for_in_a_week_go(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.deliver(month(), "parquet", 1)
    facts = site.load()
    old, young = tmp_path / "reduced/old.parquet", tmp_path / "reduced/young.parquet"
    now = time.time()
    for file, days in ((old, 7.1), (young, 6.9)):
        file.touch()
        os.utime(file, (now - days * 86400, now - days * 86400))
    assert daily_costs([facts], {}, tmp_path / "reduced")["billed_cost"].sum() == Decimal(115)
    (mine,) = set((tmp_path / "reduced").glob("*.parquet")) - {old, young}
    assert (old.exists(), young.exists()) == (False, True)
    os.utime(mine, (now - 8 * 86400, now - 8 * 86400))
    daily_costs([facts], {}, tmp_path / "reduced")
    assert mine.exists(), "asked for just now"
