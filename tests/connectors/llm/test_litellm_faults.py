"""Spend logs of LiteLLM with rows and files that cannot be: counted or refused, and no prompt is shown."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.base import Loaded, SourceError
from tests.connectors.bills.helpers import WINDOW, counted, csv_bytes, facts, load, reader, write
from tests.connectors.llm.helpers import DAY, SECRET, by_day, everything, hours, one, request, write_lines

BAD_ROWS = {
    "startTime missing": ({"startTime": ""}, ("rejected", "missing_value", "startTime")),
    "startTime no date": ({"startTime": "yesterday"}, ("rejected", "bad_date", "startTime")),
    "startTime of year 1": ({"startTime": "0001-01-01 00:00:00"}, ("rejected", "bad_date", "startTime")),
    "negative tokens": ({"prompt_tokens": "-5"}, ("rejected", "bad_tokens", "prompt_tokens")),
    "NaN tokens": ({"completion_tokens": "nan"}, ("rejected", "bad_tokens", "completion_tokens")),
    "half a token": ({"completion_tokens": "1.5"}, ("rejected", "bad_tokens", "completion_tokens")),
    "huge tokens": ({"prompt_tokens": "1e18"}, ("rejected", "bad_tokens", "prompt_tokens")),
    "tokens missing": ({"prompt_tokens": ""}, ("rejected", "missing_value", "prompt_tokens")),
    "cached beside the prompt": ({"cache_read_input_tokens": "101"}, ("repaired", "cached_tokens_beside", "prompt_tokens")),
    "NaN spend": ({"spend": "NaN"}, ("rejected", "not_a_number", "spend")),
    "infinite spend": ({"spend": "inf"}, ("rejected", "not_a_number", "spend")),
    "huge spend": ({"spend": "1e30"}, ("rejected", "not_a_number", "spend")),
    "spend missing": ({"spend": ""}, ("rejected", "missing_value", "spend")),
    "negative spend": ({"spend": "-1"}, ("flagged", "negative_spend", "spend")),
    "tags no JSON": ({"request_tags": "[workload:x"}, ("repaired", "malformed_tags", "request_tags")),
    "tags an object": ({"request_tags": '{"a": 1}'}, ("repaired", "malformed_tags", "request_tags")),
    "negative duration": ({"request_duration_ms": "-1"}, ("repaired", "value_dropped", "request_duration_ms")),
    "status unknown": ({"status": "maybe"}, ("flagged", "unknown_value", "status")),
    "total differs": ({"total_tokens": "121"}, ("flagged", "total_differs", "total_tokens")),
    "no model": ({"model": "", "model_group": ""}, ("flagged", "missing_value", "model")),
    "no id": ({"request_id": ""}, ("flagged", "missing_value", "request_id")),
}  # fmt: skip


def cases(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A request without a fault and one with it."""
    return request(f"{name} 1"), request(f"{name} 2") | BAD_ROWS[name][0]


@pytest.fixture(scope="module")
def bad_rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Loaded]:
    """Each case of `BAD_ROWS` on a day of its own; those without a time, in logs of their own."""
    timed = [name for name, (changes, _) in BAD_ROWS.items() if "startTime" not in changes]
    days = by_day(tmp_path_factory.mktemp("timed"), *map(cases, timed), bill=True)
    others = {
        name: one(tmp_path_factory.mktemp("other"), *cases(name), bill=True)
        for name in {*BAD_ROWS} - {*timed}
    }
    return others | dict(zip(timed, days, strict=True))


@pytest.mark.parametrize("name", BAD_ROWS)
def test_bad_rows_are_counted_and_no_money_is_lost(bad_rows: dict[str, Loaded], name: str) -> None:
    got, expected = bad_rows[name], BAD_ROWS[name][1]
    assert counted(got) == {expected: 1}
    assert got.rows_read == 2
    native = sum((Decimal(r["spend"]) for r in cases(name) if r["spend"] in ("0.0005", "-1")), Decimal(0))
    aside = Decimal(str(got.issues["billed_cost"].drop_nulls().sum()))
    assert got.totals["USD"] == native
    assert facts(got)["BilledCost"].sum() == native - aside


def test_bad_lines_of_json_are_counted(tmp_path: Path) -> None:
    write_lines(
        tmp_path / "logs" / "a.jsonl",
        [request(1), f'{{"request_id": 2, "messages": "{SECRET}', "", "[1]", "[" * 100000, request(3)],
    )
    loaded = load("litellm", tmp_path / "logs", tmp_path)
    assert counted(loaded[DAY]) == {("rejected", "malformed_json", ""): 3}
    assert loaded[DAY].issues["location"][0].endswith("a.jsonl, row 2")
    assert loaded[DAY].rows_read == 5
    assert SECRET not in everything(loaded)


def test_bytes_of_prompts_do_not_matter_in_json_and_half_a_character_of_a_name_is_counted(
    tmp_path: Path,
) -> None:
    lines = [
        json.dumps(request(1)).encode().replace(b"answer", b"\xff\x00\x1b\t\\ud800"),
        json.dumps(request(2)).encode().replace(b"gpt-4o", b"\\ud800"),
    ]
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.jsonl").write_bytes(b"\n".join(lines))
    loaded = load("litellm", tmp_path / "logs", tmp_path)
    assert counted(loaded[DAY]) == {("rejected", "malformed_json", ""): 1}
    assert hours(loaded[DAY])["inferences"].sum() == 1


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("many", [3, 100])
def test_bytes_of_prompts_do_not_matter_in_csv_and_those_of_a_name_are_counted(
    tmp_path: Path, many: int, gz: bool
) -> None:
    """In the first bytes of the file, and far from its header."""
    rows = [request(n) for n in range(many)]
    rows[-2] |= {"response": f"{SECRET} \nBYTES"}
    rows[-1] |= {"team_alias": "M\u00fcnchen"}
    data = csv_bytes(rows).replace(b"BYTES", b"\xff\x00\x80").replace("M\u00fcnchen".encode(), b"M\xfcnchen")
    (tmp_path / "logs").mkdir()
    name = "a.csv.gz" if gz else "a.csv"
    (tmp_path / "logs" / name).write_bytes(gzip.compress(data) if gz else data)
    loaded = load("litellm", tmp_path / "logs", tmp_path, bill=True)
    assert counted(loaded[DAY]) == {("rejected", "not_utf_8", ""): 1}
    assert loaded[DAY].issues["location"][0].endswith(f"{name}, row {many}")
    assert loaded[DAY].rows_read == many
    assert facts(loaded[DAY])["BilledCost"].to_list() == [(many - 1) * Decimal("0.0005")]
    assert SECRET not in everything(loaded)


def test_columns_that_slipped_do_not_show_prompts(tmp_path: Path) -> None:
    text = f"{SECRET}: please summarise this"
    loaded = one(tmp_path, request(1), request(2, prompt_tokens=text, status="x"), request(3, status=text))
    assert counted(loaded)["rejected", "bad_tokens", "prompt_tokens"] == 1
    assert counted(loaded)["flagged", "unknown_value", "status"] == 1
    assert SECRET not in everything({DAY: loaded})


def _raises(tmp: Path, **options: Any) -> str:
    with pytest.raises(SourceError) as caught:
        load("litellm", tmp / "logs", tmp, **options)
    assert SECRET not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("column", ["request_id", "startTime", "prompt_tokens", "completion_tokens", "model"])
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    row = request(1)
    del row[column]
    write(tmp_path / "logs" / "a.csv", [row])
    assert f"['{column}'] are missing" in _raises(tmp_path)


@pytest.mark.parametrize("twice", [True, False])
def test_a_log_without_header_shows_none_of_its_first_request(twice: bool, tmp_path: Path) -> None:
    native = request(1) if twice else {c: f"{SECRET} {c}" for c in request(1)}
    path = tmp_path / "logs" / "a.csv"
    path.parent.mkdir()
    path.write_bytes(csv_bytes([native]).split(b"\n", 1)[1])
    with pytest.raises(SourceError, match=r"a\.csv.*header") as error:
        reader("litellm", tmp_path / "logs", tmp_path).slices(WINDOW)
    assert SECRET not in str(error.value)


def test_spend_is_mandatory_for_a_bill_only(tmp_path: Path) -> None:
    row = request(1)
    del row["spend"]
    write(tmp_path / "logs" / "a.csv", [row])
    assert "['spend'] are missing" in _raises(tmp_path, bill=True)
    assert hours(load("litellm", tmp_path / "logs", tmp_path)[DAY])["inferences"].sum() == 1


@pytest.mark.parametrize("error", ['"error": {"code": 429}', '"errors": ["no"]', '"Error": "SECRET-prompt"'])
@pytest.mark.parametrize("rows", [0, 1])
def test_an_answer_that_tells_of_an_error_is_refused(rows: int, error: str, tmp_path: Path) -> None:
    """One without requests was a file with none; of one with some the rest may be missing."""
    write_lines(tmp_path / "logs" / "a.jsonl", [request(1)])
    (tmp_path / "logs" / "b.json").write_text(f'{{"data": {json.dumps([request(2)] * rows)}, {error}}}')
    said = _raises(tmp_path)
    assert "b.json is an answer that says that there was an error; ask again" in said
    assert SECRET not in said
    (tmp_path / "logs" / "b.json").write_text('{"data": [], "error": null, "errors": []}')
    assert hours(load("litellm", tmp_path / "logs", tmp_path)[DAY])["inferences"].sum() == 1


BAD_FILES = {
    "empty csv": ("a.csv", b"", "is empty"),
    "empty jsonl": ("a.jsonl", b"", "is empty"),
    "truncated gzip": ("a.csv.gz", gzip.compress(csv_bytes([request(n) for n in range(500)]))[:-30], "damaged"),
    "truncated jsonl.gz": ("a.jsonl.gz", gzip.compress(json.dumps(request(1)).encode() * 99)[:-9], "damaged"),
    "not parquet": ("a.parquet", b"PAR1 and nothing", "damaged"),
    "an archive": ("a.zip", b"PK", "no spend log"),
    "a row too long": ("a.csv", csv_bytes([request(1)]) + b",".join([SECRET.encode()] * 60) + b"\n", "cannot be read|damaged"),
    "only bad times": ("a.csv", csv_bytes([request(1, startTime=f"{SECRET} text that is long")]), "none of 1 times"),
    "no request at all": ("a.jsonl", b"{}\n", "none of its requests"),
    "column twice": ("a.csv", b"model,model\n1,2\n", "more than once"),
    "utf-16 cut": ("a.csv", csv_bytes([request(1)]).decode().encode("utf-16")[:-1], "truncated"),
    "utf-16 without mark": ("a.csv", csv_bytes([request(1)]).decode().encode("utf-16-le"), "UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_refused(tmp_path: Path, name: str) -> None:
    file, data, words = BAD_FILES[name]
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / file).write_bytes(data)
    message = _raises(tmp_path)
    assert any(w in message for w in words.split("|")), message
    assert file in message


def test_a_bomb_of_line_ends_is_refused(tmp_path: Path) -> None:
    """100 MB of them in 0.5 MB took 6.6 GB of memory, 300 MB ended the process."""
    data = gzip.compress(csv_bytes([request(1)]) + b"\n" * 8_000_000, 1)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.csv.gz").write_bytes(data)
    assert "millions of lines that hold no request" in _raises(tmp_path)


def test_a_line_with_totals_is_no_request(tmp_path: Path) -> None:
    """Two requests of 0.0005; what is written below them is told and is in no sum, also where the log is the bill."""
    blank = dict.fromkeys(request(1), "")
    below = [
        blank | {"request_id": word, "spend": "0.0010", "total_tokens": "240"} for word in ("Total", "Sum")
    ]
    loaded = one(
        tmp_path, request(1), request(2), *below, blank | {"request_id": "Total", "model": "m"}, bill=True
    )
    assert loaded.totals == {"USD": Decimal("0.001")}
    assert counted(loaded) == {("flagged", "footer", None): 2, ("rejected", "missing_value", "startTime"): 1}
    assert sorted(loaded.issues.filter(rule="footer")["value"]) == ["Sum"]
