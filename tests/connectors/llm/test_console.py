"""CSV files of costs and usage that Anthropic's console exports, and lines below the rows of such files."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.base import SourceError
from connectors.llm.console import pages
from tests.connectors.bills.helpers import counted, facts, load
from tests.connectors.llm.helpers import everything, hours

DAY = date(2026, 9, 1)
SECRET = "SECRET-key"
COSTS = (
    "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type,"
    "inference_geo,speed,api_key_id,api_key_status\n"
)
USAGE = (
    "usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,"
    "usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,"
    "usage_output_tokens,web_search_count,inference_geo,speed\n"
)


def cost(
    dollars: str, token_type: str = "input_no_cache", day: str = "2026-09-01", model: str = "Claude Haiku 4.5",
    workspace: str = "Default", usage_type: str = "message", cost_type: str = "token",
) -> str:  # fmt: skip
    return (
        f"{day},{model},{workspace},{SECRET},{usage_type},≤ 200k,{token_type},{dollars},{dollars},{cost_type},"
        f"not_available,,apikey_1,active\n"
    )


def save(tmp: Path, text: str, name: str = "a.csv") -> Path:
    (tmp / "api").mkdir(exist_ok=True)
    (tmp / "api" / name).write_text(text)
    return tmp / "api"


def test_costs_in_dollars_become_focus(tmp_path: Path) -> None:
    """1.501 + 0.25 + 0.5 + 10 - 0.000000000001 on the first day, 3 on the next; two keys of one model are two charges."""
    rows = [
        cost("1.501"),
        cost("0.25", "input_cache_read", workspace="Vision", usage_type="batch"),
        cost("0.5", "input_cache_write_5m"),
        cost("10", "", model="", cost_type="web_search"),
        cost("-0.000000000001", "output"),
        cost("2", day="2026-09-02"),
        cost("1", day="2026-09-02"),
    ]
    loaded = load(
        "anthropic", save(tmp_path, COSTS + "".join(rows)), tmp_path, workspaces={"Vision": {"team": "v"}}
    )
    assert {d: one.totals for d, one in loaded.items()} == {
        DAY: {"USD": Decimal("12.250999999999")},
        date(2026, 9, 2): {"USD": Decimal(3)},
    }
    names = ("BilledCost", "ServiceName", "SkuMeter", "ChargeDescription", "SubAccountId")
    model = "Claude Haiku 4.5"
    assert {tuple(row[n] for n in names) for row in facts(loaded[DAY]).iter_rows(named=True)} == {
        (Decimal("1.501"), model, "input tokens", f"{model}, input tokens", None),
        (Decimal("0.25"), model, "cache read input tokens", f"{model}, cache read input tokens, batch", "Vision"),
        (Decimal("0.5"), model, "cache creation.ephemeral 5m input tokens", f"{model}, cache creation.ephemeral 5m input tokens", None),
        (Decimal(10), "web search", "web search", "web search", None),
        (Decimal("-0.000000000001"), model, "output tokens", f"{model}, output tokens", None),
    }  # fmt: skip
    [batch] = facts(loaded[DAY]).filter(SubAccountId="Vision").iter_rows(named=True)
    assert json.loads(batch["Tags"]) == {"team": "v", "workload": model}
    assert (batch["ChargePeriodStart"].day, batch["ChargePeriodEnd"].day) == (1, 2)
    assert loaded[DAY].issues.is_empty()
    assert SECRET not in everything(loaded)


@pytest.mark.parametrize(
    ("second", "hour"), [("2026-09-01 07:00:00", 7), ("2026-09-01T07:00:00Z", 7), ("", 0)]
)
def test_usage_by_hour_and_by_day(second: str, hour: int, tmp_path: Path) -> None:
    """Input 100 + 5 + 7 + 60 = 172, of which 60 from the cache; output 20."""
    row = f"claude-haiku-4-5-20251001,{SECRET},Default,standard,≤ 200k,100,5,7,60,20,0,global,\n"
    text = USAGE + f"2026-09-01,{row}" + (f"{second},{row}" if second else "")
    loaded = load("anthropic", save(tmp_path, text), tmp_path)[DAY]
    found = hours(loaded).sort("hour").select("tokens_in", "tokens_cached", "tokens_out", "inferences").rows()
    assert found == [(172, 60, 20, None)] * (2 if second else 1)
    assert hours(loaded)["hour"].dt.hour().max() == hour
    assert counted(loaded) == ({} if second else {("flagged", "coarse_bucket", "end_time"): 1})


def test_what_cannot_be_read_is_set_aside(tmp_path: Path) -> None:
    loaded = load(
        "anthropic", save(tmp_path, COSTS + cost("1") + cost("ten") + cost("") + cost("0x1")), tmp_path
    )[DAY]
    assert loaded.totals == {"USD": Decimal(1)}
    assert counted(loaded) == {
        ("rejected", "not_a_number", "amount.value"): 2,
        ("rejected", "missing_value", "amount.value"): 1,
    }


def test_an_export_that_is_saved_again_counts_once(tmp_path: Path) -> None:
    """The later file has the day to its end."""
    save(tmp_path, COSTS + cost("1") + cost("2", "output"), "2026-09-01.csv")
    where = save(
        tmp_path, COSTS + cost("1.5") + cost("2", "output") + cost("4", day="2026-09-02"), "2026-09-02.csv"
    )
    loaded = load("anthropic", where, tmp_path)
    assert [one.totals["USD"] for one in loaded.values()] == [Decimal("3.5"), Decimal(4)]
    assert counted(loaded[DAY]) == {("flagged", "duplicate_bucket", "start_time"): 1}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "no export of Anthropic's console: columns usage_date_utc and cost_usd"),
        (COSTS + cost("1", day="August"), "bucket 1 is not one: it starts at 'August'"),
        (COSTS + cost("1", day="2026-09-01T00:30:00") + cost("1", day="2026-09-01T01:00:00"), "overlap"),
    ],
)
def test_what_is_no_export_is_refused(text: str, words: str, tmp_path: Path) -> None:
    where = save(tmp_path, text)
    with pytest.raises(SourceError, match=words):
        load("anthropic", where, tmp_path)


@pytest.mark.parametrize("kind", ["anthropic", "openai"])
def test_lines_below_the_rows_are_no_charges(kind: str, tmp_path: Path) -> None:
    if kind == "anthropic":
        text = COSTS + cost("1") + "Total,,,,,,,1.00,,,,,,\n\n"
    else:
        head = "start_time,end_time,amount_value,amount_currency,line_item\n"
        text = head + '1788220800,1788307200,1,usd,"gpt-4o, input"\n\nTotal,,1.00,usd,\n(1 row)\n'
    loaded = load(kind, save(tmp_path, text), tmp_path)[DAY]
    assert loaded.totals == {"USD": Decimal(1)}
    assert counted(loaded) == {("flagged", "footer", None): 1 if kind == "anthropic" else 2}


@pytest.mark.parametrize("name", ["message", "token", "output"])
def test_a_workspace_may_have_a_word_of_the_console_as_name(name: str) -> None:
    text = f"usage_date_utc,cost_usd,workspace,usage_type\n2026-09-01,1.25,{name},message\n"
    ((bucket,),) = pages(text, "a.csv")
    assert [(r["workspace_id"], r["service_tier"]) for r in bucket["results"]] == [(name, None)]


@pytest.mark.parametrize("first", ["", "sep=;\n"])
@pytest.mark.parametrize("kind", ["anthropic", "openai"])
def test_a_csv_saved_by_a_spreadsheet_with_semicolons_and_decimal_commas(
    kind: str, first: str, tmp_path: Path
) -> None:
    """1,501 and 1.234,5 in Europe are 1.501 + 1234.5 = 1236.001."""
    if kind == "anthropic":
        text = (COSTS + cost("A") + cost("B", "output")).replace(",", ";")
    else:
        text = "start_time;end_time;amount_value;amount_currency;line_item\n" + "".join(
            f'1788220800;1788307200;{c};usd;"gpt-4o, {kind}"\n'
            for c, kind in (("A", "input"), ("B", "output"))
        )
    text = first + text.replace(";A;", ";1,501;").replace(";B;", ";1.234,5;")
    loaded = load(kind, save(tmp_path, text), tmp_path)[DAY]
    assert loaded.totals == {"USD": Decimal("1236.001")}
    assert loaded.issues.is_empty()


def test_an_amount_of_a_spreadsheet_with_two_meanings_is_refused(tmp_path: Path) -> None:
    where = save(tmp_path, (COSTS + cost("1.501")).replace(",", ";"))
    with pytest.raises(SourceError, match=r"'1\.501' may be written with a decimal point"):
        load("anthropic", where, tmp_path)


OPENAI = (
    "start_time,end_time,amount_value,amount_currency,project_id\n1788220800,1788307200,2.5,usd,proj_12\n"
)
COUNTED = "start_time,end_time,model,num_model_requests,input_tokens,output_tokens,input_cached_tokens\n"


@pytest.mark.parametrize(
    ("kind", "text", "row"),
    [
        ("anthropic", COSTS + cost("12.5") + cost("12.5").partition("2.5,")[0] + "2", "row 3 has 8 fields, the header 14"),
        ("anthropic", USAGE + "2026-09-01,m,k,Default,message,,1000,0,0,0,50", "row 2 has 11 fields, the header 14"),
        ("openai", OPENAI + "1788220800,1788307200", "row 3 has 2 fields, the header 5"),
        ("openai", OPENAI + "1788220800,1788307200,2.5,usd", "row 3 has 4 fields, the header 5"),
        ("openai", COUNTED + "1788220800,1788224400,m,1,1000,50", "row 2 has 6 fields, the header 7"),
        ("openai", OPENAI.replace(",", ";") + "1788220800;1788307200;2.5", "row 3 has 3 fields, the header 5"),
    ],
)  # fmt: skip
def test_a_csv_with_a_row_cut_short_is_refused(tmp_path: Path, kind: str, text: str, row: str) -> None:
    """Of 12.5 dollars 12 may be left and of 500 tokens 50, and rows below may be missing."""
    with pytest.raises(SourceError, match=f"a.csv is damaged or not CSV .{row}"):
        load(kind, save(tmp_path, text), tmp_path)


def test_a_last_row_of_tabs_is_not_cut_short(tmp_path: Path) -> None:
    """2.5 on a day, and a day without costs, whose fields are empty."""
    text = OPENAI + ",,,,\n\n1788307200,1788393600,,,\n"
    loaded = load("openai", save(tmp_path, text.replace(",", "\t")), tmp_path)
    assert {day: one.totals for day, one in loaded.items()} == {
        DAY: {"USD": Decimal("2.5")},
        date(2026, 9, 2): {},
    }
    assert [one.issues.filter(action="rejected").height for one in loaded.values()] == [0, 0]


def test_quantities_have_decimal_commas_where_amounts_have(tmp_path: Path) -> None:
    """1.000 tokens for 2,5 and 1500,0 for 3 are 2,500 for 5.5; without an amount that proves it nobody knows."""
    rows = '1788220800;1788307200;2,5;usd;"gpt-4o, input";1.000\n1788220800;1788307200;3;usd;"gpt-4o, output";1500,0\n'
    text = f"start_time;end_time;amount_value;amount_currency;line_item;quantity\n{rows}"
    loaded = load("openai", save(tmp_path, text), tmp_path)[DAY]
    assert loaded.totals == {"USD": Decimal("5.5")}
    assert facts(loaded)["ConsumedQuantity"].sum() == 2500
    with pytest.raises(SourceError, match=r"'1\.000' may be written with a decimal point"):
        load("openai", save(tmp_path, text.replace("2,5", "2").replace("1500,0", "1500")), tmp_path)
