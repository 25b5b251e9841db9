"""Costs and usage of Anthropic's Admin API, as saved pages and from a server on the loopback.

The form of pages and the names of their keys are those of Anthropic's reference of `cost_report` and
`usage_report/messages`; amounts there are decimal strings in cents. All figures are worked out by hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.base import Context, SourceError
from connectors.llm.anthropic import AnthropicReader, Options
from tests.connectors.bills.helpers import WINDOW, counted, facts, load
from tests.connectors.llm.anthropic_pages import SONNET, bucket, cost, day, page, usage
from tests.connectors.llm.api_server import KEY, Api, serving
from tests.connectors.llm.helpers import everything, hours
from tests.engine import Session

DAY = date(2026, 9, 1)


def save(tmp: Path, name: str, content: Any) -> None:
    (tmp / "api").mkdir(exist_ok=True)
    (tmp / "api" / name).write_text(content if isinstance(content, str) else json.dumps(content))


def test_costs_in_cents_become_focus(tmp_path: Path) -> None:
    search = {"cost_type": "web_search", "token_type": None, "model": None, "description": "Web Search Usage"}
    save(
        tmp_path,
        "costs.json",
        page(
            day(
                1,
                cost("123.78912"),
                cost("0.5", "cache_read_input_tokens", service_tier="batch"),
                cost("7", "cache_creation.ephemeral_5m_input_tokens"),
                cost("-10", "output_tokens", workspace_id=None),
                cost("1000", **search),
            )
        ),
    )
    got = load("anthropic", tmp_path / "api", tmp_path, workspaces={"wrkspc_a": {"team": "vision"}})[DAY]
    # 1.2378912 + 0.005 + 0.07 - 0.10 + 10.00
    assert got.totals == {"USD": Decimal("11.2128912")}
    rows = {r["BilledCost"]: r for r in facts(got).to_dicts()}
    assert sorted(rows) == [Decimal(n) for n in ("-0.1", "0.005", "0.07", "1.2378912", "10")]
    names = ("ServiceName", "SkuMeter", "ChargeDescription", "SubAccountId", "ServiceProviderName", "x_tier")
    told = [rows[Decimal(n)] for n in ("1.2378912", "0.005", "0.07", "-0.1", "10")]
    assert [tuple(r[n] for n in names) for r in told] == [
        (SONNET, "input tokens", f"{SONNET}, input tokens", "wrkspc_a", "Anthropic", "api"),
        (SONNET, "cache read input tokens", f"{SONNET}, cache read input tokens, batch", "wrkspc_a", "Anthropic", "api"),
        (SONNET, "cache creation.ephemeral 5m input tokens", f"{SONNET}, cache creation.ephemeral 5m input tokens", "wrkspc_a", "Anthropic", "api"),
        (SONNET, "output tokens", f"{SONNET}, output tokens", None, "Anthropic", "api"),
        ("web search", "web search", "Web Search Usage", "wrkspc_a", "Anthropic", "api"),
    ]  # fmt: skip
    labels = [r["Tags"] and json.loads(r["Tags"]) for r in told]
    assert labels == [{"team": "vision", "workload": SONNET}] * 3 + [{"workload": SONNET}, {"team": "vision"}]
    assert got.issues.is_empty()


def test_usage_becomes_hours_without_a_count_of_requests(tmp_path: Path) -> None:
    save(
        tmp_path,
        "usage.json",
        page(bucket("01T05:00:00", "01T06:00:00", usage(1000, 400, 50, 30), usage(7, 0, 0, 5, workspace_id=None))),
    )  # fmt: skip
    got = load("anthropic", tmp_path / "api", tmp_path)[DAY]
    (row,) = hours(got).to_dicts()
    # read from the cache, written to it, and neither are all input: 1000 + 400 + 50 + 7
    assert [row[k] for k in ("tokens_in", "tokens_cached", "tokens_out", "inferences", "model")] == [1457, 400, 35, None, SONNET]  # fmt: skip
    assert row["hour"].hour == 5
    (own,) = pl.read_parquet(got.facts["telemetry.api_usage_daily"]).to_dicts()
    assert [own[k] for k in ("provider", "tokens_in", "tokens_cached", "tokens_out", "requests")] == ["Anthropic", 1457, 400, 35, None]  # fmt: skip


BAD_RESULTS: dict[str, tuple[Any, tuple[str, str], str | None]] = {
    "no amount": (cost(None), ("missing_value", "amount.value"), None),
    "words": (cost("a lot"), ("not_a_number", "amount.value"), "a lot"),
    "NaN": (cost("NaN"), ("not_a_number", "amount.value"), "NaN"),
    "truth": (cost(True), ("not_a_number", "amount.value"), "True"),
    "too large": (cost("1e400"), ("not_a_number", "amount.value"), "1E+398"),
    "no currency": (cost("5", currency=None), ("unknown_currency", "amount.currency"), None),
    "made-up currency": (cost("5", currency="XYZ"), ("unknown_currency", "amount.currency"), "XYZ"),
    "negative tokens": (usage(-5, 0, 0, 1), ("bad_count", "input_tokens"), "-5"),
    "part of a token": (usage(1.5, 0, 0, 1), ("bad_count", "input_tokens"), "1.5"),
    "no cache writes": (usage(1, 0, 0, 1, cache_creation=None), ("bad_count", "input_tokens"), None),
    "tokens as text": (usage(1, 0, "7", 1), ("bad_count", "input_tokens"), "7"),
    "no output": (usage(1, 0, 0, None), ("bad_count", "output_tokens"), None),
    "no object": (17, ("kind", ""), None),
}


@pytest.mark.parametrize("name", BAD_RESULTS)
def test_a_bad_result_is_set_aside_and_the_others_count(tmp_path: Path, name: str) -> None:
    result, (rule, column), value = BAD_RESULTS[name]
    good = cost("100") if name == "no object" or "amount" in result else usage(3, 0, 0, 1)
    save(tmp_path, "a.json", page(day(1, result, good)))
    got = load("anthropic", tmp_path / "api", tmp_path)[DAY]
    if name == "no object":
        assert got.totals == {"USD": Decimal(1)}
        assert got.issues.filter(action="rejected").height == 1
        return
    (issue,) = got.issues.filter(rule=rule).to_dicts()
    assert (issue["action"], issue["column_name"], issue["value"]) == ("rejected", column, value)
    assert "a.json, bucket 1" in issue["location"]
    if "amount" in result:
        assert facts(got)["BilledCost"].to_list() == [Decimal(1)]
    else:
        assert hours(got)["tokens_in"].to_list() == [3]


@pytest.mark.parametrize("key", ["amount", "uncached_input_tokens"])
def test_a_result_whose_key_has_another_name_is_set_aside(key: str, tmp_path: Path) -> None:
    """Of two results of 1 dollar, or 3 tokens, one lacks the key by which it is known: it may be money."""
    good = cost("100") if key == "amount" else usage(3, 0, 0, 1)
    odd = {f"{k}_v2" if k == key else k: v for k, v in good.items()}
    save(tmp_path, "a.json", page(day(1, good, odd)))
    got = load("anthropic", tmp_path / "api", tmp_path)[DAY]
    assert counted(got)["rejected", "kind_not_read", "object"] == 1
    assert got.totals == ({"USD": Decimal(1)} if key == "amount" else {})
    assert got.rows_read == 2


def test_a_yen_has_no_cents(tmp_path: Path) -> None:
    save(tmp_path, "a.json", page(day(1, cost("150", currency="JPY"), cost("150"))))
    got = load("anthropic", tmp_path / "api", tmp_path)[DAY]
    assert got.totals == {"JPY": Decimal(150), "USD": Decimal("1.5")}


def test_what_is_not_grouped_says_so(tmp_path: Path) -> None:
    bare = {"amount": "100", "currency": "USD"}
    save(tmp_path, "a.json", page(day(1, bare)))
    got = load("anthropic", tmp_path / "api", tmp_path)[DAY]
    (row,) = facts(got).to_dicts()
    assert (row["ServiceName"], row["BilledCost"]) == ("Anthropic API", 1)
    assert counted(got) == {("flagged", "not_grouped", "line_item"): 1}


BAD_FILES = {
    "seconds": (page({"starting_at": 1788220800, "ending_at": 1788307200, "results": []}), "RFC 3339"),
    "no zone": (page({"starting_at": "2026-09-01T00:00:00", "ending_at": "2026-09-02T00:00:00", "results": []}), "RFC 3339"),
    "ends before": (page(bucket("02T00:00:00", "01T00:00:00")), "start before end"),
    "no results": (page({"starting_at": "2026-09-01T00:00:00Z", "ending_at": "2026-09-02T00:00:00Z"}), "results"),
    "an error": ({"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}}, "invalid x-api-key"),
    "no bucket and an error": ({"data": [], "error": {"type": "overloaded_error"}}, "says that there was an error; ask again"),
    "mixed": (page(day(1, cost("1"), usage(1, 0, 0, 1))), "mixes"),
    "Claude Code": ({"data": [{"date": "2026-09-01", "actor": {"email": "a@b.c"}}], "has_more": False}, "bucket 1 is not one"),
    "half": ('{"data": [', "not JSON"),
    "nothing": ("", "empty"),
    "a list": ("[1]", "no page"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_refused(tmp_path: Path, name: str) -> None:
    content, words = BAD_FILES[name]
    save(tmp_path, "a.json", content)
    with pytest.raises(SourceError, match=words) as caught:
        load("anthropic", tmp_path / "api", tmp_path)
    assert "a.json" in str(caught.value)


def test_a_page_whose_next_one_is_not_there(tmp_path: Path) -> None:
    save(tmp_path, "a.json", page(day(1, cost("100")), day(2, cost("100")), more=True))
    loaded = load("anthropic", tmp_path / "api", tmp_path)
    assert [counted(one) for one in loaded.values()] == [
        {},
        {("flagged", "page_missing", "has_more"): 1},
    ]
    save(tmp_path, "b.json", page(day(3, cost("100"))))
    assert all(one.issues.is_empty() for one in load("anthropic", tmp_path / "api", tmp_path).values())


@pytest.fixture
def api() -> Iterator[Api]:
    signed = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
    with serving(Api("organizations", ("starting_at", "starting_at"), signed)) as server:
        yield server


def test_the_api_is_asked_page_by_page_with_the_key_in_its_header(api: Api, tmp_path: Path) -> None:
    api.data = {
        "cost_report": [day(n, cost(f"{n}00")) for n in range(1, 6)],
        "usage_report/messages": [bucket("01T05:00:00", "01T06:00:00", usage(1000, 400, 50, 30))],
    }
    options = {"kind": "anthropic", "url": api.url, "admin_key": KEY, "since": "2026-09-02"}
    reader = AnthropicReader(
        Options.model_validate(options), Context("claude", tmp_path, tmp_path / "cache", {})
    )
    with Session() as engine:
        found = {r.slice.period: r for r in reader.load(reader.slices(WINDOW), tmp_path / "work", engine)}
    # since the 2nd: 2 + 3 + 4 + 5 USD; the hour of usage lies before
    assert {d.day: one.totals["USD"] for d, one in found.items()} == {2: 2, 3: 3, 4: 4, 5: 5}
    assert [e for e, _ in api.asked] == ["cost_report", "cost_report", "usage_report/messages"]
    first = api.asked[0][1]
    assert (first["starting_at"], first["group_by[]"]) == (
        ["2026-09-02T00:00:00Z"],
        ["workspace_id", "description"],
    )
    assert api.asked[1][1]["page"] == ["page_2"]
    assert KEY not in everything(found)
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and KEY.encode() in p.read_bytes()]
    api.signed = {"x-api-key": "another"}
    with pytest.raises(SourceError, match="refuses admin_key") as caught:
        reader.slices(WINDOW)
    assert KEY not in str(caught.value)
