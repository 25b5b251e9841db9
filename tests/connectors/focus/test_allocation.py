"""Split costs: the rows of one origin add up to it, or are flagged."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.connectors.bills.helpers import counted, facts, focus, load, write

SEPTEMBER = date(2026, 9, 1)


def split(*elements: tuple[str, Any], to: str = "pod/a", **more: str) -> dict[str, str]:
    """A row that stands for a part of one host: (unit, ratio) of each element."""
    details = {"Elements": [{"UsageUnit": u, "AllocatedRatio": r, "UsageQuantity": 1} for u, r in elements]}
    columns = {
        "ResourceId": "host-1",
        "AllocatedMethodId": "m",
        "AllocatedMethodDetails": json.dumps(details),
        "AllocatedResourceId": to,
        "AllocatedTags": json.dumps({"pod": to}),
    }
    return focus(**(columns | more))


RATIOS = ("flagged", "allocation_ratios", "AllocatedMethodDetails")
CPU, MEMORY = "CPU", "GB"

# (rows, issues)
CASES: list[tuple[list[dict[str, str]], dict[tuple[str, str, str], int]]] = [
    ([split((CPU, 0.25)), split((CPU, 0.75), to="pod/b")], {}),
    ([split((CPU, 0.333333)), split((CPU, 0.333333), to="b"), split((CPU, 0.333333), to="c")], {}),
    ([split((CPU, 0.25)), split((CPU, 0.7), to="pod/b")], {RATIOS: 2}),
    ([split((CPU, 0.25)), split((CPU, 0.25), to="pod/b"), split((CPU, 1), ResourceId="host-2")], {RATIOS: 2}),
    ([split((CPU, 1)), split((CPU, 1), ChargePeriodEnd="2026-09-03T00:00:00Z")], {}),
    ([split((CPU, 0.3), (MEMORY, 0.2)), split((CPU, 0.1), (MEMORY, 0.4), to="b")], {}),  # in total 1
    ([split((CPU, 0.3), (MEMORY, 0.2)), split((CPU, 0.7), (MEMORY, 0.8), to="b")], {}),  # 1 for each unit
    ([split((CPU, "half")), split((CPU, 0.5), to="b")], {RATIOS: 2}),
    ([split(), split((CPU, 1), ResourceId="host-2")], {RATIOS: 1}),
    ([split((CPU, 1), AllocatedMethodDetails='{"x_note": "none"}')], {RATIOS: 1}),
    (
        [split((CPU, 1), AllocatedMethodId="")],
        {("flagged", "allocation_without_method", "AllocatedMethodId"): 1},
    ),
    (
        [split((CPU, 1), Tags='{"pod": "pod/a", "team": "x"}')],
        {("flagged", "repeated_tags", "AllocatedTags"): 1},
    ),
    ([split((CPU, 1), Tags='{"pod": "other"}')], {}),
    ([split((CPU, 1), Tags='{"a\\"b": 1}', AllocatedTags='{"a\\"b": 2, "$.x": "\'"}')], {}),
    ([focus(AllocatedMethodId="", AllocatedResourceId="")], {}),
]


@pytest.mark.parametrize(("rows", "issues"), CASES)
def test_ratios_and_tags_of_split_rows(
    rows: list[dict[str, str]], issues: dict[tuple[str, str, str], int], tmp_path: Path
) -> None:
    write(tmp_path / "b" / "a.csv", rows)
    loaded = load("focus", tmp_path / "b", tmp_path)[SEPTEMBER]
    assert counted(loaded) == issues
    assert facts(loaded).height == len(rows)


def parts(*shares: tuple[str, float | None], **more: str) -> list[dict[str, str]]:
    """Parts of a host of 8 USD: what each costs, and its ratio."""
    money = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")
    return [
        split(*([(CPU, ratio)] if ratio else []), to=f"pod/{n}", **(dict.fromkeys(money, cost) | more))
        for n, (cost, ratio) in enumerate(shares)
    ]


HOST = {
    "ResourceId": "host-1",
    **dict.fromkeys(("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"), "8"),
}
TWO = parts(("2", 0.25), ("6", 0.75))


@pytest.mark.parametrize(
    ("rows", "total", "rule"),
    [
        ([*TWO, focus(**HOST)], "16", "repeated_bill"),
        ([*TWO, focus(**HOST), focus(**(HOST | {"ResourceId": "host-2"}))], "24", "repeated_bill"),
        (TWO, "8", None),
        ([*TWO, focus(**(HOST | {"BilledCost": "7"}))], "15", None),
        ([*TWO, focus(**(HOST | {"ChargePeriodStart": "2026-09-01T01:00:00Z"}))], "16", None),
        ([*parts(("8", 0.5)), focus(**HOST)], "16", "repeated_rows"),  # the other half is nobody's
        ([*parts(("2", None), ("6", None)), focus(**HOST)], "16", "repeated_rows"),
        (
            [*parts(*[("2.666667", 0.333333)] * 3), focus(**HOST)],
            "16.000001",
            "repeated_bill",
        ),  # thirds, rounded
        ([*parts(("2", 0.25), ("6.01", 0.75)), focus(**HOST)], "16.01", None),
    ],
)
def test_a_charge_beside_the_parts_that_replace_it(
    rows: list[dict[str, str]], total: str, rule: str | None, tmp_path: Path
) -> None:
    """A host of 8, and 2 + 6 of it: both are 16. FOCUS says that parts replace it; which of them is too much is not ours to say."""
    write(tmp_path / "b" / "a.csv", rows)
    loaded = load("focus", tmp_path / "b", tmp_path)[SEPTEMBER]
    assert loaded.totals == {"USD": Decimal(total)}
    assert facts(loaded).height == len(rows)
    found = loaded.issues.filter(column_name="AllocatedMethodId", action="flagged")
    shown = [*found.select("rule", "rows", "billed_cost", "currency").iter_rows()]
    assert shown == ([(rule, 1, Decimal(8), "USD")] if rule else [])
