from __future__ import annotations

import gzip
import json
import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from tests.connectors.bills.helpers import WINDOW, counted, csv_bytes, facts, load, reader, write
from tests.connectors.llm.helpers import DAY, PRIVATE, SECRET, everything, hours, one, request, write_lines
from tests.engine import Session


def test_hours_from_a_csv(tmp_path: Path) -> None:
    got = one(
        tmp_path,
        request(1),
        request(2, prompt_tokens="50", completion_tokens="0", total_tokens="50", status="failure", spend="0"),
        request(3, request_duration_ms="2000", startTime="2026-09-01T12:59:59.999+02:00"),
        request(4, startTime="2026-09-01 11:00:00", team_alias="", request_tags="[]"),
    )
    assert got.rows_read == 4
    assert got.totals == {}
    assert "focus.cost_and_usage" not in got.facts
    rows = {(r["hour"].hour, r["workload"], r["team"]): r for r in hours(got).iter_rows(named=True)}
    assert set(rows) == {(10, "tagger", "vision"), (11, "chat", "t-1")}
    ten = rows[10, "tagger", "vision"]
    # requests 1 and 3 answered, 2 failed; 3 starts at 10:59:59.999 UTC; tokens of the failed one count
    assert (ten["inferences"], ten["failed"], ten["tokens_in"], ten["tokens_out"]) == (2, 1, 250, 40)
    assert (ten["model"], ten["tier"], ten["source"], ten["coverage"]) == ("gpt-4o", "api", "bills", 1)
    assert ten["tokens_cached"] is None
    buckets = json.loads(ten["latency_buckets"])
    assert [buckets[b] for b in ("0.3", "0.5", "1.5", "2", "7680", "+Inf")] == [0, 1, 1, 2, 2, 2]
    assert got.issues.is_empty()


@pytest.mark.parametrize("form", ["csv", "csv.gz", "parquet", "jsonl", "jsonl.gz"])
@pytest.mark.parametrize("bill", [False, True])
def test_every_form_gives_the_same_and_no_prompt(tmp_path: Path, form: str, bill: bool) -> None:
    rows = [request(1), request(2, spend="nan"), request(3, prompt_tokens="-1"), request(1)]
    path = tmp_path / "logs" / f"a.{form}"
    path.parent.mkdir()
    if form == "parquet":
        typed = [r | {"prompt_tokens": int(r["prompt_tokens"]), "spend": float(r["spend"])} for r in rows]
        pl.DataFrame(typed).with_columns(
            pl.col("startTime").str.to_datetime("%Y-%m-%d %H:%M:%S%.f"),
            request_tags=pl.Series([["workload:tagger"]] * 4),
        ).write_parquet(path)
    elif form.startswith("jsonl"):
        lines = "".join(json.dumps(r | {"request_tags": json.loads(r["request_tags"])}) + "\n" for r in rows)
        path.write_bytes(gzip.compress(lines.encode()) if form.endswith("gz") else lines.encode())
    else:
        write(path, rows)
    loaded = load("litellm", tmp_path / "logs", tmp_path, bill=bill)
    got = loaded[DAY]
    (row,) = hours(got).to_dicts()
    assert (row["workload"], row["inferences"], row["tokens_in"], row["tokens_out"]) == ("tagger", 2, 200, 40)
    assert counted(got) == {
        ("flagged", "duplicate_request", "request_id"): 1,
        ("rejected", "bad_tokens", "prompt_tokens"): 1,
        ("rejected" if bill else "flagged", "not_a_number", "spend"): 1,
    }
    # 0.0005 of request 1, once, in the ledger; 0.0005 of request 3 set aside with its row
    assert got.totals == ({"USD": Decimal("0.001")} if bill else {})
    if bill:
        assert facts(got)["BilledCost"].sum() == Decimal("0.0005")
        assert got.issues["billed_cost"].sum() == Decimal("0.0005")
    assert SECRET not in everything(loaded)


def test_prompts_of_parquet_are_not_even_decoded(tmp_path: Path) -> None:
    """The pages of `messages` are overwritten with noise: a reader that touches them fails, ours does not."""
    path = tmp_path / "logs" / "a.parquet"
    path.parent.mkdir()
    marker = "".join(random.Random(7).choices("abcdefghij", k=4000))
    pl.DataFrame([request(n, messages=marker + str(n)) for n in range(3)]).write_parquet(
        path, compression="uncompressed", statistics=False
    )
    data = bytearray(path.read_bytes())
    while (at := data.find(marker.encode())) >= 0:
        data[at - 8 : at + len(marker)] = b"\xff" * (len(marker) + 8)
    path.write_bytes(bytes(data))
    with pytest.raises(pl.exceptions.PolarsError):
        pl.read_parquet(path, columns=["messages"])
    assert hours(load("litellm", tmp_path / "logs", tmp_path)[DAY])["inferences"].sum() == 3


def test_charges_by_day_team_and_model(tmp_path: Path) -> None:
    got = one(
        tmp_path,
        request(1, spend="1e-7"),
        request(2, spend="0.25", team_alias="a'; DROP TABLE x; --\u202e\"", team_id="t-2"),
        request(3, spend="0.1", startTime="2026-09-01 23:59:59.999"),
        bill=True,
    )
    rows = facts(got).sort("BilledCost")
    # requests 1 and 3 are of one day, team and model: 0.1 + 0.0000001
    assert rows["BilledCost"].to_list() == [Decimal("0.1000001"), Decimal("0.25")]
    assert got.totals == {"USD": Decimal("0.3500001")}
    first, second = rows.to_dicts()
    assert json.loads(first["Tags"]) == {"team": "vision", "workload": "tagger"}
    assert json.loads(second["Tags"])["team"] == "a'; DROP TABLE x; --\u202e\""
    assert (first["ServiceName"], first["ConsumedQuantity"], first["ConsumedUnit"]) == (
        "gpt-4o",
        240,
        "Tokens",
    )
    assert (first["x_tier"], first["x_billing_month"], first["ChargeCategory"]) == ("api", DAY, "Usage")
    assert (first["ServiceProviderName"], first["SubAccountId"], first["BillingAccountId"]) == (
        "openai",
        "t-1",
        "org-1",
    )
    assert (first["PricingCurrency"], first["PricingCurrencyEffectiveCost"]) == ("USD", Decimal("0.1000001"))
    assert first["ChargePeriodStart"] == datetime(2026, 9, 1)  # noqa: DTZ001
    assert first["ChargePeriodEnd"] == datetime(2026, 9, 2)  # noqa: DTZ001


def test_totals_of_random_logs_by_plain_python(tmp_path: Path) -> None:
    """Ten files that overlap by a day each, 400 requests over six days, a tenth of them twice."""
    rng = random.Random(11)
    begin = datetime(2026, 8, 29, tzinfo=UTC)
    requests = []
    for n in range(400):
        at = begin + timedelta(seconds=rng.randrange(6 * 86400))
        requests.append(
            request(
                n, startTime=f"{at:%Y-%m-%d %H:%M:%S}", spend=f"{rng.randrange(10**9)}e-{rng.randrange(6, 12)}",
                prompt_tokens=str(rng.randrange(5000)), completion_tokens=str(rng.randrange(900)), total_tokens="",
                team_alias=rng.choice(["a", "b", ""]), model_group=rng.choice(["x", "y"]), request_tags="",
                cache_read_input_tokens="0",
            )
        )  # fmt: skip
    copies = requests + rng.sample(requests, 40)
    rng.shuffle(copies)
    for f in range(10):
        write(tmp_path / "logs" / f"{f}.csv", copies[f * 44 : (f + 1) * 44])
    loaded = load("litellm", tmp_path / "logs", tmp_path, bill=True)
    money: dict[date, Decimal] = defaultdict(Decimal)
    tokens: dict[tuple[date, str], int] = defaultdict(int)
    for r in requests:
        day = date.fromisoformat(r["startTime"][:10])
        money[day] += Decimal(r["spend"])
        tokens[day, r["model_group"]] += int(r["prompt_tokens"])
    assert {d: x.totals["USD"] for d, x in loaded.items()} == money
    assert {d: facts(x)["BilledCost"].sum() for d, x in loaded.items()} == money
    got = (
        pl.concat([hours(x) for x in loaded.values()])
        .group_by("day", "workload")
        .agg(pl.col("tokens_in").sum())
    )
    assert {(d, w): n for d, w, n in got.iter_rows()} == tokens
    assert (
        sum(counted(x).get(("flagged", "duplicate_request", "request_id"), 0) for x in loaded.values()) == 40
    )
    assert {x.slice.grain for x in loaded.values()} == {"day"}


def test_a_day_is_the_same_whichever_days_are_read_with_it(tmp_path: Path) -> None:
    rows = [request(n, startTime=f"2026-09-0{1 + n % 3} 10:00:00", spend=str(n)) for n in range(9)]
    rows.append(rows[0] | {"startTime": "2026-09-03 10:00:00"})  # the same id on another day
    write(tmp_path / "logs" / "a.csv", rows)
    write(tmp_path / "logs" / "b.csv", [r | {"spend": "7"} for r in rows[:4]])
    whole = load("litellm", tmp_path / "logs", tmp_path, bill=True)
    # requests 0, 3 (7 each in the last file) and 6; requests 2 (7), 5, 8 and the second 0, which costs 0
    assert [whole[d].totals["USD"] for d in (DAY, date(2026, 9, 3))] == [20, 20]
    assert hours(whole[date(2026, 9, 3)])["inferences"].sum() == 4
    source = reader("litellm", tmp_path / "logs", tmp_path, bill=True)

    for piece in source.slices(WINDOW):
        with Session() as engine:
            (single,) = source.load([piece], tmp_path / f"work-{piece.period}", engine)
        assert single.totals == whole[piece.period].totals
        assert single.issues.equals(whole[piece.period].issues)
        assert facts(single).equals(facts(whole[piece.period]))


def test_of_two_copies_the_last_file_counts(tmp_path: Path) -> None:
    write(tmp_path / "logs" / "b.csv", [request(1, spend="2")])
    write(tmp_path / "logs" / "a.csv", [request(1, spend="1")])
    got = load("litellm", tmp_path / "logs", tmp_path, bill=True)[DAY]
    assert got.totals == {"USD": Decimal(2)}
    assert counted(got)["flagged", "conflicting_request", "request_id"] == 1


def test_cached_tokens(tmp_path: Path) -> None:
    got = one(
        tmp_path,
        request(1, cache_read_input_tokens="30"),
        request(2, cache_read_input_tokens="", cache_hit="True", spend="0"),  # the gateway answered: all 100
        request(3, cache_read_input_tokens="", startTime="2026-09-01 11:00:00"),
    )
    assert hours(got).sort("hour")["tokens_cached"].to_list() == [130, None]


def test_cached_tokens_beside_the_prompt(tmp_path: Path) -> None:
    """More than the prompt's 100, or 20 + 100 + 30 = 150 in total, are beside it; else within, as LiteLLM documents it.

    gpt-4o: prompt (100 + 2000) + (100 + 30) + 100 + 100 = 2430, of these cached 2000 + 30 + 40 = 2070.
    """
    got = one(
        tmp_path,
        request(1, cache_read_input_tokens="2000"),
        request(2, cache_read_input_tokens="30", total_tokens="150"),
        request(3, cache_read_input_tokens="40"),
        request(4, cache_read_input_tokens="50", model="openai/gpt-5"),
        request(5, cache_read_input_tokens="0"),
    )
    found = hours(got).sort("model")
    assert found.select("model", "tokens_in", "tokens_cached", "tokens_out").rows() == [
        ("gpt-4o", 2430, 2070, 80),
        ("gpt-5", 100, 50, 20),
    ]
    assert counted(got) == {
        ("repaired", "cached_tokens_beside", "prompt_tokens"): 2,
        ("flagged", "cached_tokens_ambiguous", "prompt_tokens"): 1,
    }


def test_spend_zero_for_tokens_is_flagged(tmp_path: Path) -> None:
    got = one(tmp_path, request(1, spend="0"), request(2, spend="0", cache_hit="True"), bill=True)
    assert counted(got) == {("flagged", "spend_without_price", "spend"): 1}


def test_nulls_as_copy_writes_them_are_unknown(tmp_path: Path) -> None:
    names = ("team_id", "team_alias", "organization_id", "request_tags", "status", "custom_llm_provider")
    got = one(tmp_path, request(1, **dict.fromkeys(names, "\\N")), bill=True)
    assert got.issues.is_empty()
    (charge,) = facts(got).to_dicts()
    assert (charge["SubAccountId"], charge["SubAccountName"]) == (None, None)
    assert (charge["ProviderName"], charge["BillingAccountId"]) == ("LiteLLM", "bills")


def test_notes_beside_the_logs_and_an_unchanged_file(tmp_path: Path) -> None:
    write(tmp_path / "logs" / "a.csv", [request(1)])
    (tmp_path / "logs" / "README.md").write_text("hello")
    first = reader("litellm", tmp_path / "logs", tmp_path).slices(WINDOW)
    assert first == reader("litellm", tmp_path / "logs", tmp_path).slices(WINDOW)
    billed = reader("litellm", tmp_path / "logs", tmp_path, bill=True).slices(WINDOW)
    assert billed[0].fingerprint != first[0].fingerprint
    assert "no charges" in reader("litellm", tmp_path / "logs", tmp_path).check()


def test_private_columns_are_not_among_those_read() -> None:
    from connectors.llm.logs import COLUMNS

    assert not set(PRIVATE) & set(COLUMNS)


def test_rows_with_long_prompts(tmp_path: Path) -> None:
    """Three megabytes, more than DuckDB takes by itself."""
    got = one(tmp_path, request(1, messages=f'{SECRET},"\n' * 200_000), request(2))
    assert hours(got)["inferences"].sum() == 2
    assert got.issues.is_empty()


def test_logs_in_a_bucket(tmp_path: Path, s3: str) -> None:
    import boto3

    client = boto3.client("s3", endpoint_url=s3, region_name="us-east-1")
    client.create_bucket(Bucket="gateway")
    client.put_object(Bucket="gateway", Key="logs/2026/a.csv.gz", Body=gzip.compress(csv_bytes([request(1)])))
    lines = json.dumps(request(2, request_tags=["workload:other"]))
    client.put_object(Bucket="gateway", Key="logs/2026/b.jsonl", Body=lines.encode())
    options = {"endpoint_url": s3, "region": "us-east-1"}
    loaded = load("litellm", "s3://gateway/logs", tmp_path, **options)
    assert sorted(hours(loaded[DAY])["workload"]) == ["other", "tagger"]
    assert loaded[DAY].rows_read == 2


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_without_status_failures_are_unknown(tmp_path: Path, form: str) -> None:
    rows = [request(1), request(2, startTime="2026-09-01 11:00:00")]
    del rows[1]["status"]
    (write if form == "csv" else write_lines)(tmp_path / "logs" / f"a.{form}", rows)
    got = hours(load("litellm", tmp_path / "logs", tmp_path)[DAY]).sort("hour")
    assert got["failed"].to_list() == [0, None]
    assert got["inferences"].to_list() == [1, 1]


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Kolkata"])
def test_times_of_parquet(tmp_path: Path, zone: str | None) -> None:
    """23:30 UTC of the 1st is the 2nd in Kolkata; a time without a zone is UTC. A file, and a model, for each unit."""
    (tmp_path / "logs").mkdir()
    at = pl.Series([datetime(2026, 9, 1, 23, 30, tzinfo=UTC)]).dt.convert_time_zone(zone or "UTC")
    times = at if zone else at.dt.replace_time_zone(None)
    units: tuple[pl.datatypes.TimeUnit, ...] = ("ms", "ns", "us")
    for unit in units:
        rows = pl.DataFrame([request(unit, model=f"openai/{unit}")])
        rows.with_columns(startTime=times.dt.cast_time_unit(unit)).write_parquet(
            tmp_path / "logs" / f"{unit}.parquet"
        )
    loaded = load("litellm", tmp_path / "logs", tmp_path)
    assert list(loaded) == [DAY]
    found = hours(loaded[DAY]).select("model", "hour").sort("model")
    assert found.rows() == [(unit, datetime(2026, 9, 1, 23)) for unit in units]  # noqa: DTZ001
