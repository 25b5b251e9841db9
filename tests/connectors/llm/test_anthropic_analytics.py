"""Saved answers of Anthropic's `analytics/cost` and `analytics/usage` (beta), in the form of its reference: amounts are in cents."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.base import Loaded, SourceError
from tests.connectors.bills.helpers import counted, facts, load
from tests.connectors.llm import anthropic_pages as reports
from tests.connectors.llm.anthropic_pages import SONNET
from tests.connectors.llm.helpers import everything, hours

DAY, NEXT = date(2026, 9, 1), date(2026, 9, 2)
PERSON = "a@b.c"


def group(**of: Any) -> dict[str, Any]:
    """A group: null for each dimension that was not asked for."""
    none = (
        "actor",
        "api_key_id",
        "context_window",
        "cost_type",
        "inference_geo",
        "product",
        "service_tier",
        "speed",
        "token_type",
    )
    return dict.fromkeys(none) | {"model": SONNET, "workspace_id": "wrkspc_a"} | of  # fmt: skip


def period(start: str, end: str) -> dict[str, str]:
    return {"starting_at": f"2026-09-{start}Z", "ending_at": f"2026-09-{end}Z"}


def cost(day: int, cents: Any, **of: Any) -> dict[str, Any]:
    """A row of costs of a day of September 2026."""
    money = {"amount": cents, "currency": "USD", "list_amount": "99999", "requests": None}
    return {
        "cost": money,
        "group": group(**of),
        **period(f"{day:02}T00:00:00", f"{day + 1:02}T00:00:00"),
    }


def usage(
    hour: int, uncached: int, read: int, written: tuple[int, int], out: int, **of: Any
) -> dict[str, Any]:
    """A row of usage of an hour of 1 September 2026."""
    tokens = {
        "uncached_input_tokens": uncached, "cache_read_input_tokens": read, "output_tokens": out, "requests": 7,
        "cache_creation": {"ephemeral_5m_input_tokens": written[0], "ephemeral_1h_input_tokens": written[1]},
        "server_tool_use": {"web_search_requests": 3},
    }  # fmt: skip
    return {"usage": tokens, "group": group(**of), **period(f"01T{hour:02}:00:00", f"01T{hour + 1:02}:00:00")}


def page(*rows: dict[str, Any], more: bool = False) -> dict[str, Any]:
    return {"data": list(rows), "has_more": more, "next_page": "page_x" if more else None}


def got(tmp: Path, files: dict[str, Any]) -> dict[date, Loaded]:
    (tmp / "api").mkdir(exist_ok=True)
    for name, content in files.items():
        (tmp / "api" / name).write_text(json.dumps(content))
    return load("anthropic", tmp / "api", tmp, workspaces={"wrkspc_a": {"team": "vision"}})


INPUT = {"cost_type": "tokens", "token_type": "uncached_input_tokens"}
OUTPUT = {"cost_type": "tokens", "token_type": "output_tokens"}
SEARCH = {"cost_type": "web_search", "model": None}


def test_rows_of_all_pages_become_the_charges_of_their_days(tmp_path: Path) -> None:
    """Ranked by cost: 1 September has 10.00 + 1.2378912 - 0.10 on two pages and 0.005 of a person, the 2nd 3.00."""
    pages = [
        page(cost(1, "1000", **SEARCH), cost(2, "300", **INPUT), cost(1, "123.78912", **INPUT), more=True),
        page(cost(1, "0.5", **INPUT, actor={"email": PERSON}), cost(1, "-10", **OUTPUT), more=True),
        page(),
    ]
    loaded = got(tmp_path, {"a.json": pages})
    assert {day: one.totals["USD"] for day, one in loaded.items()} == {
        DAY: Decimal("11.1428912"),
        NEXT: Decimal(3),
    }
    rows = {r["BilledCost"]: r for r in facts(loaded[DAY]).to_dicts()}
    names = ("ServiceName", "SkuMeter", "SubAccountId")
    assert {cost: tuple(r[n] for n in names) for cost, r in rows.items()} == {
        Decimal(10): ("web search", "web search", "wrkspc_a"),
        Decimal("1.2378912"): (SONNET, "input tokens", "wrkspc_a"),
        Decimal("0.005"): (SONNET, "input tokens", "wrkspc_a"),
        Decimal("-0.1"): (SONNET, "output tokens", "wrkspc_a"),
    }
    assert [counted(one) for one in loaded.values()] == [{}, {}]
    assert PERSON not in everything(loaded)


def test_costs_of_all_kinds_of_tokens_are_those_of_their_model(tmp_path: Path) -> None:
    """Grouped by model alone, by model and cost_type, and not at all."""
    rows = [cost(1, "100"), cost(1, "200", cost_type="tokens"), cost(1, "400", model=None, workspace_id=None)]
    (loaded,) = got(tmp_path, {"a.json": page(*rows)}).values()
    found = facts(loaded).sort("BilledCost").select("BilledCost", "ServiceName", "SkuMeter").rows()
    assert found == [(1, SONNET, SONNET), (2, SONNET, "tokens"), (4, "Anthropic API", "Anthropic API")]
    assert counted(loaded) == {("flagged", "not_grouped", "line_item"): 1}


def test_usage_counts_all_input_and_no_requests(tmp_path: Path) -> None:
    """1000 + 400 + 30 + 20 = 1450 tokens in, and 5 of another key: requests may be spans of a sandbox, so they are not known."""
    rows = [usage(10, 1000, 400, (30, 20), 50), usage(10, 5, 0, (0, 0), 1, api_key_id="apikey_b")]
    (loaded,) = got(tmp_path, {"a.json": page(*rows)}).values()
    found = (
        hours(loaded)
        .select("hour", "model", "team", "tokens_in", "tokens_cached", "tokens_out", "inferences")
        .rows()
    )
    assert [(row[0].hour, *row[1:]) for row in found] == [(10, SONNET, "vision", 1455, 400, 51, None)]
    assert counted(loaded) == {}


def test_a_row_whose_keys_are_not_known_is_rejected(tmp_path: Path) -> None:
    row = usage(10, 1000, 400, (30, 20), 50)
    row["usage"]["input"] = row["usage"].pop("uncached_input_tokens")
    (loaded,) = got(tmp_path, {"a.json": page(row)}).values()
    assert counted(loaded) == {("rejected", "kind_not_read", "object"): 1}


def test_a_day_of_both_apis_counts_never_twice(tmp_path: Path) -> None:
    """The same 1.00 counts once where both name the same groups, and is refused where they do not."""
    old, new = reports.cost("100"), cost(1, "100", cost_type="tokens")
    with pytest.raises(
        SourceError, match=r"a\.json and b\.json: the bucket of 2026-09-01 .* analytics/cost and cost_report"
    ):
        got(tmp_path, {"a.json": reports.page(reports.day(1, old)), "b.json": page(new)})
    loaded = got(tmp_path, {"b.json": page(cost(1, "100", **INPUT))})
    assert loaded[DAY].totals == {"USD": Decimal(1)}
    assert counted(loaded[DAY]) == {("flagged", "duplicate_bucket", "start_time"): 1}


def test_days_of_one_api_and_later_ones_of_the_other_are_read(tmp_path: Path) -> None:
    loaded = got(
        tmp_path,
        {
            "a.json": reports.page(reports.day(1, reports.cost("100"))),
            "b.json": page(cost(2, "250", **INPUT)),
        },
    )
    assert [one.totals["USD"] for one in loaded.values()] == [Decimal(1), Decimal("2.5")]


WIDE = cost(1, "100") | {"ending_at": "2026-10-01T00:00:00Z"}
REFUSED = {
    "another page": (page(cost(1, "100"), more=True), "save all pages of the answer in this file"),
    "a page twice": ([page(cost(1, "100"), more=True), page(cost(1, "100"))], "row 2 is there twice"),
    "a month": (page(WIDE), "more than a day; ask for costs with time_bucket_width=1d"),
    "groups of people": (page(cost(1, "100", rbac_group_id="rbac_group_x")), "counts more than once"),
    "groups of people in buckets": (reports.page(reports.day(1, reports.cost("1", rbac_group_id="x"))), "counts more than once"),
    "no time": (page(cost(1, "100") | {"starting_at": None}), "row 1 has no period"),
    "costs and usage": ([page(cost(1, "1")), page(usage(1, 1, 0, (0, 0), 1))], "mixes analytics/cost and analytics/usage"),
    "both APIs": (
        [page(cost(1, "1")), reports.page(reports.day(2, reports.cost("1")))], "mixes other answers and analytics/cost",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_may_be_lost_or_counted_twice_is_refused(name: str, tmp_path: Path) -> None:
    content, words = REFUSED[name]
    with pytest.raises(SourceError, match=rf"a\.json.*{words}"):
        got(tmp_path, {"a.json": content})
