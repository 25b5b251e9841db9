"""`1_000` is a number for Python and DuckDB, and for no bill: it is counted as none, whatever reads it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.connectors.azure import rows as azure
from tests.connectors.bills.helpers import counted, csv_bytes, cur, facts, focus, load
from tests.connectors.gcp import rows as gcp
from tests.connectors.llm.helpers import bucket, cost, one, page, request
from tests.connectors.oci import rows as oci

pytestmark = pytest.mark.long

UNDER = "1_000"


def table(*rows: Any) -> bytes:
    return csv_bytes(rows)


def pages(*costs: Any) -> bytes:
    return json.dumps(page(bucket(1788220800, 1788307200, *costs))).encode()


def dashboard(*rows: str) -> bytes:
    start = "start_time,end_time,amount_value,amount_currency,line_item,project_id\n"
    return (start + "".join(f"1788220800,1788307200,{r},usd,gpt-4o input,p\n" for r in rows)).encode()


def anthropic(*amounts: str) -> bytes:
    results = [
        {"amount": a, "currency": "USD", "description": "tokens", "workspace_id": "w"} for a in amounts
    ]
    day = {"starting_at": "2026-09-01T00:00:00Z", "ending_at": "2026-09-02T00:00:00Z", "results": results}
    return json.dumps({"data": [day], "has_more": False}).encode()


MADE: dict[str, tuple[str, str, Callable[..., bytes], Sequence[Any], str, str]] = {
    "focus": (
        "focus", "a.csv", table, [focus(BilledCost=c, EffectiveCost="2") for c in (UNDER, "1")], "BilledCost", "1",
    ),
    "aws_cur": ("aws_cur", "a.csv", table, [cur(lineItem__UnblendedCost=c) for c in (UNDER, "1")], "BilledCost", "1"),
    "azure": ("azure_export", "a.csv", table, [azure.row(Cost=c) for c in (UNDER, "1")], "BilledCost", "1"),
    "oci": (
        "oci_cost_report", "a.csv", table, [oci.ROW | {"cost/myCost": c} for c in (UNDER, "1")], "BilledCost", "1",
    ),
    "gcp": (
        "gcp_billing_export", "a.csv", table, [gcp.flat(gcp.row(cost=c)) for c in (UNDER, "1")], "BilledCost", "1",
    ),
    "openai": ("openai", "a.json", pages, [cost(UNDER, "gpt, input"), cost("1", "gpt, input")], "amount.value", "1"),
    "openai table": ("openai", "a.csv", dashboard, [UNDER, "1"], "amount.value", "1"),
    "anthropic": ("anthropic", "a.json", anthropic, [UNDER, "1"], "amount.value", "0.01"),
}  # fmt: skip


@pytest.mark.parametrize("name", MADE)
def test_the_cost_is_no_number(name: str, tmp_path: Path) -> None:
    """Of two rows the one with 1_000 is set aside: what is left is 1 (Anthropic writes cents)."""
    kind, file, make, rows, column, left = MADE[name]
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / file).write_bytes(make(*rows))
    (loaded,) = load(kind, tmp_path / "bills", tmp_path).values()
    bad = loaded.issues.filter(action="rejected").select("rule", "column_name", "value", "rows").rows()
    assert bad == [("not_a_number", column, UNDER, 1)]
    assert facts(loaded)["BilledCost"].to_list() == [Decimal(left)]
    assert loaded.totals == {"USD": Decimal(left)}


HUGE = ["1e999999999", "1e99999999999999999999", "-1e999"]


@pytest.mark.parametrize("name", [n for n in MADE if n.startswith(("openai", "anthropic"))])
def test_an_exponent_beyond_all_numbers_is_no_number(name: str, tmp_path: Path) -> None:
    """Python would compute with it for hours, or end with an error."""
    kind, file, make, rows, column, left = MADE[name]
    good = rows[1]
    bad = [good | {"amount": {"value": h, "currency": "usd"}} if isinstance(good, dict) else h for h in HUGE]
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / file).write_bytes(make(*bad, good))
    (loaded,) = load(kind, tmp_path / "bills", tmp_path).values()
    assert loaded.totals == {"USD": Decimal(left)}
    assert counted(loaded)["rejected", "not_a_number", column] == len(HUGE)


@pytest.mark.parametrize("text", [UNDER, "1_0.5", "1e1_0", "0_0"])
def test_quantities_and_prices_are_unknown_and_counted(text: str, tmp_path: Path) -> None:
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "a.csv").write_bytes(table(focus(ConsumedQuantity=text, ListCost=text)))
    (loaded,) = load("focus", tmp_path / "bills", tmp_path).values()
    assert facts(loaded).select("ConsumedQuantity", "ListCost").rows() == [(None, None)]
    found = counted(loaded)
    assert found["repaired", "not_a_number", "ConsumedQuantity"] == 1
    assert found["repaired", "not_a_number", "ListCost"] == 1


@pytest.mark.parametrize("text", ["+1", " 1 ", "1.", ".1e1", "1E0", "01"])
def test_other_bare_numbers_are_what_they_say(text: str, tmp_path: Path) -> None:
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "a.csv").write_bytes(table(focus(BilledCost=text)))
    (loaded,) = load("focus", tmp_path / "bills", tmp_path).values()
    assert facts(loaded)["BilledCost"].to_list() == [1]


SUMMED = ("reservation/AmortizedUpfrontCostForUsage", "reservation/RecurringFeeForUsage")
PLAN = ("savingsPlan/TotalCommitmentToDate", "savingsPlan/UsedCommitment")
# kind of line, its two amounts, effective cost; None: the row is set aside
PARTS = [
    ("DiscountedUsage", SUMMED, ("2", "3"), 5),
    ("DiscountedUsage", SUMMED, ("2", "NULL"), 2),
    ("DiscountedUsage", SUMMED, ("", "3"), 3),
    ("DiscountedUsage", SUMMED, ("2", UNDER), None),
    ("DiscountedUsage", SUMMED, (UNDER, "3"), None),
    ("DiscountedUsage", SUMMED, (UNDER, ""), None),
    ("SavingsPlanRecurringFee", PLAN, ("7", "3"), 4),
    ("SavingsPlanRecurringFee", PLAN, ("7", UNDER), None),
    ("SavingsPlanRecurringFee", PLAN, ("7", "N/A"), 10),
]


def test_parts_of_an_effective_cost(tmp_path: Path) -> None:
    """Amortised 2 + recurring 1_000 is neither 2 nor 1002; where a part is not stated, the other or the billed 10 counts."""
    rows = [
        cur(lineItem__LineItemType=kind, lineItem__ResourceId=str(n)) | dict(zip(names, parts, strict=True))
        for n, (kind, names, parts, _) in enumerate(PARTS)
    ]
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "a.csv").write_bytes(table(*rows))
    (loaded,) = load("aws_cur", tmp_path / "bills", tmp_path).values()
    found = dict(facts(loaded).select("ResourceId", "EffectiveCost").rows())
    assert [found.get(str(n)) for n in range(len(PARTS))] == [cost for *_, cost in PARTS]
    bad = loaded.issues.filter(action="rejected")
    assert {*bad.select("rule", "column_name").rows()} == {("not_a_number", "EffectiveCost")}
    assert bad.height == sum(cost is None for *_, cost in PARTS)
    assert all(UNDER in value for value in bad["value"])


def test_spend_and_tokens_of_a_log(tmp_path: Path) -> None:
    rows = [request(1, spend=UNDER), request(2, prompt_tokens=UNDER), request(3, spend="1")]
    loaded = one(tmp_path, *rows, bill=True)
    bad = loaded.issues.filter(action="rejected").select("rule", "column_name", "value").sort("rule").rows()
    assert bad == [("bad_tokens", "prompt_tokens", UNDER), ("not_a_number", "spend", UNDER)]
    assert facts(loaded)["BilledCost"].to_list() == [1]
