from __future__ import annotations

import gzip
import json
import random
import re
from collections import defaultdict
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.base import SourceError
from tests.connectors.bills.helpers import WINDOW, counted, facts, load, reader
from tests.connectors.llm.helpers import bucket, cost, hours, page, usage

DAY = date(2026, 9, 1)
START = int(datetime(2026, 9, 1, tzinfo=UTC).timestamp())
HOUR, FULL = 3600, 86400


def save(tmp: Path, name: str, content: Any) -> None:
    path = tmp / "api" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") and not isinstance(content, bytes) else data)


def costs(*results: Any, start: int = START) -> dict[str, Any]:
    return page(bucket(start, start + FULL, *results))


def test_costs_become_focus(tmp_path: Path) -> None:
    save(
        tmp_path,
        "costs.json",
        costs(
            cost(0.06, "gpt-4o-2024-08-06, input", quantity=24000),
            cost(0.03, "gpt-4o-2024-08-06, cached input"),
            cost("1.0000000000005", "web search", project=None),
            cost(-0.01, "gpt-4o-2024-08-06, output", project="proj_b"),
        ),
    )
    projects = {"proj_a": {"team": "vision"}, "proj_b": {"team": "assist", "workload": "chat"}}
    got = load("openai", tmp_path / "api", tmp_path, projects=projects)[DAY]
    rows = facts(got).to_dicts()
    # 0.06 + 0.03 + 1.000000000001 (the 13th decimal, a 5, rounds away from zero) - 0.01
    assert got.totals == {"USD": Decimal("1.080000000001")}
    assert sum(r["BilledCost"] for r in rows) == Decimal("1.080000000001")
    by_item = {r["ChargeDescription"]: r for r in rows}
    first = by_item["gpt-4o-2024-08-06, input"]
    assert (first["ServiceName"], first["SkuMeter"], first["SubAccountId"]) == (
        "gpt-4o-2024-08-06",
        "input",
        "proj_a",
    )
    assert (first["ConsumedQuantity"], first["ConsumedUnit"], first["ServiceProviderName"]) == (
        24000,
        "Tokens",
        "OpenAI",
    )
    assert (first["x_tier"], first["BillingAccountId"], first["ChargeCategory"]) == ("api", "org-1", "Usage")
    assert json.loads(first["Tags"]) == {"team": "vision", "workload": "gpt-4o-2024-08-06"}
    assert json.loads(by_item["gpt-4o-2024-08-06, output"]["Tags"]) == {"team": "assist", "workload": "chat"}
    search = by_item["web search"]
    assert (search["ServiceName"], search["SubAccountId"], search["ConsumedUnit"], search["Tags"]) == (
        "web search",
        None,
        None,
        None,
    )
    assert got.issues.is_empty()


def test_usage_becomes_hours(tmp_path: Path) -> None:
    at = START + 5 * HOUR
    content = page(
        bucket(at, at + HOUR, usage(1000, 400, 50, 3), usage(10, 0, 5, 1, project_id="proj_b")),
    )
    save(tmp_path, "usage.json.gz", content)
    embedded = usage(
        7, None, None, 2, "text-embedding-3-small", object="organization.usage.embeddings.result"
    )
    save(tmp_path, "embeddings.json", page(bucket(at + HOUR, at + 2 * HOUR, embedded)))
    got = load("openai", tmp_path / "api", tmp_path)[DAY]
    rows = {r["hour"].hour: r for r in hours(got).iter_rows(named=True)}
    keys = ("workload", "inferences", "tokens_in", "tokens_cached", "tokens_out", "failed")
    # cached tokens are inside input: 1000 + 10 read, 400 of them cached
    assert [rows[5][k] for k in keys] == ["gpt-4o-2024-08-06", 4, 1010, 400, 55, None]
    assert [rows[6][k] for k in keys] == ["text-embedding-3-small", 2, 7, None, 0, None]
    assert (got.totals, sorted(got.facts)) == (
        {},
        ["telemetry.api_usage_daily", "telemetry.inference_hourly"],
    )
    none = load("openai", tmp_path / "api", tmp_path / "x", usage=False)[DAY]
    assert list(none.facts) == ["telemetry.api_usage_daily"]
    own = {
        r["model"]: r for r in pl.read_parquet(none.facts["telemetry.api_usage_daily"]).iter_rows(named=True)
    }
    keys = (
        "side",
        "provider",
        "requests",
        "requests_unpriced",
        "tokens_in",
        "tokens_cached",
        "tokens_out",
        "cost",
    )
    assert [own["gpt-4o-2024-08-06"][k] for k in keys] == ["provider", "OpenAI", 4, 4, 1010, 400, 55, None]
    assert [own["text-embedding-3-small"][k] for k in keys] == ["provider", "OpenAI", 2, 2, 7, None, 0, None]


def test_a_bucket_of_two_files_counts_once_as_the_last_has_it(tmp_path: Path) -> None:
    other = START - FULL
    save(
        tmp_path,
        "2026-09-02.json",
        page(*costs(cost(1, "a"), start=other)["data"], *costs(cost(2, "a"))["data"]),
    )
    save(tmp_path, "2026-09-03.json", page(*costs(cost(3, "a"))["data"], *costs(start=START + FULL)["data"]))
    got = load("openai", tmp_path / "api", tmp_path)
    assert {d: x.totals for d, x in got.items()} == {
        date(2026, 8, 31): {"USD": Decimal(1)}, DAY: {"USD": Decimal(3)}, date(2026, 9, 2): {},
    }  # fmt: skip
    assert counted(got[DAY]) == {("flagged", "duplicate_bucket", "start_time"): 1}
    assert got[date(2026, 9, 2)].rows_loaded == 0


@pytest.mark.parametrize(
    ("first", "second", "lost"),
    [
        ([cost(1, "a", "p1")], [cost(2, "a", "p2")], "1 of the results of the earlier one (organization_id org-1, project_id p1"),
        ([cost(1, "a"), cost(2, "b")], [cost(3, "b")], "line_item a"),
        ([cost(1, "a")], [], "line_item a"),
        ([usage(1, 0, 1, 1), usage(1, 0, 1, 1, "gpt-5")], [usage(1, 0, 1, 1, "gpt-5")], "model gpt-4o-2024-08-06"),
    ],
    ids=["a project each", "fewer line items", "an empty answer", "fewer models"],
)  # fmt: skip
def test_a_later_file_that_lacks_what_an_earlier_one_has_is_refused(
    first: list[Any], second: list[Any], lost: str, tmp_path: Path
) -> None:
    """Of answers for one project each, the last would have counted alone."""
    for name, results in (("1.json", first), ("2.json", second)):
        save(
            tmp_path,
            name,
            page(bucket(START, START + FULL, *results), bucket(START + FULL, START + 2 * FULL, *first)),
        )
    with pytest.raises(SourceError, match=re.escape(lost)):
        load("openai", tmp_path / "api", tmp_path)
    (tmp_path / "api" / "1.json").unlink()
    assert set(load("openai", tmp_path / "api", tmp_path)) == {DAY, date(2026, 9, 2)}


def test_daily_usage_is_flagged_and_mixed_widths_are_refused(tmp_path: Path) -> None:
    save(tmp_path, "day.json", page(bucket(START, START + FULL, usage(10, 0, 1, 1))))
    got = load("openai", tmp_path / "api", tmp_path)[DAY]
    assert counted(got) == {("flagged", "coarse_bucket", "end_time"): 1}
    assert hours(got)["hour"].to_list() == [datetime(2026, 9, 1)]  # noqa: DTZ001
    save(tmp_path, "hour.json", page(bucket(START, START + HOUR, usage(10, 0, 1, 1))))
    with pytest.raises(SourceError, match="different width"):
        load("openai", tmp_path / "api", tmp_path)


def test_totals_of_random_pages_by_plain_python(tmp_path: Path) -> None:
    rng = random.Random(3)
    expected: dict[date, Decimal] = defaultdict(Decimal)
    for n in range(4):
        buckets = []
        for d in range(n * 3, n * 3 + 3):
            results = [
                cost(rng.random() * 10 ** rng.randrange(-9, 4), rng.choice(["m, input", "m, output", None]))
                for _ in range(40)
            ]
            for r in results:
                expected[date(2026, 9, 1 + d)] += Decimal(repr(r["amount"]["value"])).quantize(
                    Decimal("1e-12"), "ROUND_HALF_UP"
                )
            buckets.append(bucket(START + d * FULL, START + (d + 1) * FULL, *results))
        save(tmp_path, f"{n}.json", page(*buckets))
    got = load("openai", tmp_path / "api", tmp_path)
    assert {d: x.totals["USD"] for d, x in got.items()} == expected
    assert {d: facts(x)["BilledCost"].sum() for d, x in got.items()} == expected


BAD_RESULTS = {
    "NaN": (cost(float("nan"), "m, input"), ("rejected", "not_a_number", "amount.value"), 0),
    "infinite": (cost(float("inf"), "m, input"), ("rejected", "not_a_number", "amount.value"), 0),
    "text": (cost("six", "m, input"), ("rejected", "not_a_number", "amount.value"), 0),
    "huge": (cost(1e30, "m, input"), ("rejected", "not_a_number", "amount.value"), 0),
    "boolean": (cost(True, "m, input"), ("rejected", "not_a_number", "amount.value"), 0),
    "null amount": (cost(None, "m, input"), ("rejected", "missing_value", "amount.value"), 0),
    "no amount": (cost(1, "m, input", amount=None), ("rejected", "missing_value", "amount.value"), 0),
    "no object": (7, ("rejected", "missing_value", "amount.value"), 0),
    "no such currency": (
        cost(1, "m, input", amount={"value": 4, "currency": "xyz"}), ("rejected", "unknown_currency", "amount.currency"), 4,
    ),
    "currency a number": (
        cost(1, "m, input", amount={"value": 4, "currency": 978}), ("rejected", "unknown_currency", "amount.currency"), 4,
    ),
    "another kind": ({"object": "organization.costs.v9", "amount": {"value": 1}}, ("flagged", "kind_not_read", "object"), 0),
    "not grouped": (cost(0, None), ("flagged", "not_grouped", "line_item"), 0),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_RESULTS)
def test_bad_costs_are_counted_and_no_money_is_lost(tmp_path: Path, name: str) -> None:
    result, expected, aside = BAD_RESULTS[name]
    save(tmp_path, "costs.json", costs(cost(1.5, "m, input"), result))
    got = load("openai", tmp_path / "api", tmp_path)[DAY]
    assert counted(got) == {expected: 1}
    assert got.totals == {"USD": Decimal("1.5")} | ({"XXX": Decimal(aside)} if aside else {})
    assert facts(got)["BilledCost"].sum() == Decimal("1.5")
    assert (got.issues["billed_cost"].drop_nulls().sum() or 0) == aside
    assert got.rows_read == 2


@pytest.mark.parametrize(
    ("result", "column"),
    [
        (usage(-1, 0, 1, 1), "input_tokens"),
        (usage(1.5, 0, 1, 1), "input_tokens"),
        (usage(10, 11, 1, 1), "input_cached_tokens"),
        (usage(10, 0, "many", 1), "output_tokens"),
        (usage(10, 0, None, 1), "output_tokens"),
        (usage(10, 0, 1, None), "num_model_requests"),
        (usage(10**16, 0, 1, 1), "input_tokens"),
    ],
)
def test_bad_usage_is_counted(tmp_path: Path, result: Any, column: str) -> None:
    save(tmp_path, "usage.json", page(bucket(START, START + HOUR, usage(5, 0, 5, 1), result)))
    got = load("openai", tmp_path / "api", tmp_path)[DAY]
    assert counted(got) == {("rejected", "bad_count", column): 1}
    assert hours(got)["tokens_in"].sum() == 5


GOOD = json.dumps(costs(cost(1, "m, input"))).encode()
BAD_FILES = {
    "empty": ("a.json", b"", "is empty"),
    "cut": ("a.json", GOOD[:-10], "is not JSON"),
    "cut gzip": ("a.json.gz", gzip.compress(GOOD * 50)[:-12], "is damaged"),
    "no data": ("a.json", b'{"object": "page"}', "mandatory key 'data'"),
    "no bucket and more": ("a.json", b'{"data": [], "has_more": true}', "without buckets that says that another page follows"),
    "no bucket and an error": ("a.json", b'{"data": [], "error": {"code": 429}}', "says that there was an error; ask again"),
    "no bucket and errors": ("a.json", b'[{"data": [], "Errors": ["no"]}, {"data": []}]', "says that there was an error"),
    "a bucket and an error": ("a.json", GOOD[:-1] + b', "error": "busy"}', "says that there was an error"),
    "an error of the API": ("a.json", b'{"error": {"message": "no scope"}}', "no scope"),
    "a number": ("a.json", b"7", "mandatory key 'data'"),
    "deep": ("a.json", b"[" * 100000, "is not JSON"),
    "a bucket without times": ("a.json", json.dumps(page({"results": []})).encode(), "bucket 1 is not one"),
    "a bucket that ends first": ("a.json", json.dumps(page(bucket(START, START))).encode(), "bucket 1 is not one"),
    "a bucket without results": (
        "a.json", json.dumps(page({"start_time": START, "end_time": START + 3600})).encode(),
        rf"starts at {START} and ends at {START + 3600}, with results of type NoneType",
    ),
    "milliseconds": ("a.json", json.dumps(page(bucket(START * 1000, START * 1000 + 1))).encode(), "seconds since"),
    "costs and usage": ("a.json", json.dumps(costs(cost(1, "m"), usage(1, 0, 1, 1))).encode(), "mixes"),
    "a sheet": ("a.xlsx", b"a,b", "no saved page"),
    "another table": ("a.csv", b"start_time,end_time,seats\n", "amount_value .costs. or num_model_requests"),
    "an open quote": ("a.csv", b'start_time,end_time,amount_value\n1,2,"3', "damaged or not CSV"),
    "a comma in a text": (
        "a.csv", f"start_time,end_time,line_item,amount_value\n{START},{START + FULL},m, input,3\n".encode(), "row 2 has 5 fields, the header 4",
    ),
    "times of a table": ("a.csv", b"start_time,end_time,amount_value\n2026-09-01,2,3\n", "bucket 1 is not one"),
    "latin-1": ("a.json", '{"é": 1}'.encode("latin-1"), "is damaged"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_refused(tmp_path: Path, name: str) -> None:
    file, data, words = BAD_FILES[name]
    save(tmp_path, file, data)
    with pytest.raises(SourceError, match=words) as caught:
        load("openai", tmp_path / "api", tmp_path)
    assert file in str(caught.value)


def test_pages_in_lists_and_lines(tmp_path: Path) -> None:
    first, second = costs(cost(1, "m, input")), costs(cost(2, "m, input"), start=START + FULL)
    save(tmp_path, "list.json", [first, second])
    listed = load("openai", tmp_path / "api", tmp_path)
    (tmp_path / "api" / "list.json").unlink()
    empty = json.dumps({"data": [], "has_more": True})  # the page that follows is in the same file
    save(tmp_path, "lines.jsonl", f"{json.dumps(first)}\n{empty}\n{json.dumps(second)}\n".encode())
    lines = load("openai", tmp_path / "api", tmp_path)
    assert (
        [x.totals for x in listed.values()] == [x.totals for x in lines.values()] == [{"USD": 1}, {"USD": 2}]
    )


TABLE = (
    "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,quantity,quantity_unit,line_item,"
    "user_id,api_key_id,project_id,organization_id,project_name,organization_name,user_email,api_source\n"
    f"{START},{START + FULL},2026-09-01T00:00:00+00:00,2026-09-02T00:00:00+00:00,0.0612500000000000000000000,usd,24000,tokens,"
    '"gpt-4o-2024-08-06, input",user-1,key_1,proj_a,org-1,Vision,Acme,somebody@example.com,\n'
    f"{START},{START + FULL},,,-0.0100000,usd,,,web search,,,,org-1,,Acme,,\n"
    f'{START},{START + FULL},,,,usd,,,"gpt-4o-2024-08-06, output",,,proj_a,org-1,,,,\n'
    f"{START + FULL},{START + 2 * FULL},2026-09-02T00:00:00+00:00,2026-09-03T00:00:00+00:00,,,,,,,,,,,,,\n"
)


@pytest.mark.parametrize("name", ["cost.csv", "cost.csv.gz"])
def test_costs_of_the_dashboard(name: str, tmp_path: Path) -> None:
    """0.06125 - 0.01; a row of an amount without a value is counted, a day without costs is no row."""
    save(tmp_path, name, gzip.compress(TABLE.encode()) if name.endswith(".gz") else TABLE.encode())
    loaded = load("openai", tmp_path / "api", tmp_path, projects={"proj_a": {"team": "vision"}})
    got = loaded[DAY]
    assert got.totals == {"USD": Decimal("0.05125")}
    assert (got.rows_read, counted(got)) == (3, {("rejected", "missing_value", "amount.value"): 1})
    found = facts(got).sort("BilledCost", descending=True)
    assert found["BilledCost"].to_list() == [Decimal("0.06125"), Decimal("-0.01")]
    first = found.row(0, named=True)
    assert (first["ServiceName"], first["SkuMeter"], first["ConsumedQuantity"]) == (
        "gpt-4o-2024-08-06",
        "input",
        24000,
    )
    assert (first["SubAccountId"], first["SubAccountName"], first["BillingAccountId"]) == (
        "proj_a",
        "Vision",
        "org-1",
    )
    assert json.loads(first["Tags"]) == {"team": "vision", "workload": "gpt-4o-2024-08-06"}
    assert "somebody@example.com" not in json.dumps(found.to_dicts(), default=str)
    second = loaded[date(2026, 9, 2)]
    assert (second.rows_read, second.totals) == (0, {})


def test_usage_of_the_dashboard_counts_as_that_of_the_api(tmp_path: Path) -> None:
    header = "start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,user_id,api_key_id,model,batch"
    rows = [
        f"{START},{START + HOUR},,,proj_a,2,u,k,gpt-4o-2024-08-06,False,standard,100,30,40",
        f"{START},{START + HOUR},,,proj_a,1,u,k2,gpt-4o-2024-08-06,True,standard,10,5,0",
        f"{START + HOUR},{START + 2 * HOUR},,,,,,,,,,,,",
    ]
    save(
        tmp_path,
        "usage.csv",
        "\n".join([f"{header},service_tier,input_tokens,output_tokens,input_cached_tokens", *rows]).encode(),
    )
    embedded = f"{header},input_tokens\n{START},{START + HOUR},,,proj_a,3,,,text-embedding-3-small,False,70\n"
    save(tmp_path, "embeddings.csv", embedded.encode())
    got = load("openai", tmp_path / "api", tmp_path)[DAY]
    assert got.issues.is_empty()
    found = hours(got).sort("model").select("model", "inferences", "tokens_in", "tokens_out", "tokens_cached")
    assert found.rows() == [
        ("gpt-4o-2024-08-06", 3.0, 110.0, 35.0, 40.0),
        ("text-embedding-3-small", 3.0, 70.0, 0.0, None),
    ]


def test_check_and_later_days(tmp_path: Path) -> None:
    save(tmp_path, "a.json", page(*costs()["data"], *costs(start=START + 60 * FULL)["data"]))
    source = reader("openai", tmp_path / "api", tmp_path)
    assert "1 files of pages, 2026-09-01 to 2026-10-31" in source.check()
    assert [s.period for s in source.slices(WINDOW)] == [DAY]
    assert isinstance(source.slices(WINDOW)[0].fingerprint, str)
    (tmp_path / "api" / "a.json").write_text("[]")
    with pytest.raises(SourceError, match="holds no buckets"):
        source.check()


def test_hostile_names_pass_as_they_are(tmp_path: Path) -> None:
    name = "proj'; DROP TABLE facts; --\u202e\"\n<script>"
    save(tmp_path, "a.json", costs(cost(1, f"{name}, input", project=name)))
    (row,) = facts(load("openai", tmp_path / "api", tmp_path)[DAY]).to_dicts()
    assert (row["SubAccountId"], row["ServiceName"]) == (name, name)
    assert pl.Series([row["Tags"]]).str.json_path_match("$.workload").to_list() == [name]
