"""Bad spend logs and pages of model APIs through the whole run: words, exit code 1, and what was published stands.

Each fault is in a source of its own, beside two good sources that are published. One run has those that end the
reading of a source; another, those that reject a row.
"""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.llm import log_rows, logs, pages
from tests.connectors.bills.helpers import csv_bytes
from tests.connectors.llm.helpers import SECRET, bucket, cost, page, request, usage
from tests.pipelines import faults, small

pytestmark = pytest.mark.long

START, FULL = 1788220800, 86400  # 2026-09-01 UTC
DAY = "2026-09-20"
OPTIONS = {"logs": "kind: litellm, bill: [mistral]", "api": "kind: openai, usage: false"}
PRICES = """prices:
  - {provider: mistral, model: large, kind: input, price_per_1m: 2, currency: EUR, valid_from: 2026-01-01}
  - {provider: mistral, model: large, kind: output, price_per_1m: 6, currency: EUR, valid_from: 2026-01-01}
"""
GOOD = {"logs": [("USD", Decimal("0.75"))], "api": [("USD", Decimal("1.5"))]}
MONEY = "SELECT BillingCurrency, sum(BilledCost) FROM focus.cost_and_usage WHERE x_source = '%s' GROUP BY 1 ORDER BY 1"


def ask(n: int, **changes: Any) -> dict[str, Any]:
    return request(
        n, custom_llm_provider="mistral", model="mistral/large", cache_read_input_tokens="0", **changes
    )


ROWS = [ask(1, spend="0.5"), ask(2, spend="0.25")]
LINES = b"".join(json.dumps(r).encode() + b"\n" for r in ROWS)
COSTS = page(bucket(START, START + FULL, cost(1, "m, input"), cost(0.5, "m, output")))


def rows(*more: dict[str, Any]) -> bytes:
    return csv_bytes([*ROWS, *more])


def without(column: str) -> bytes:
    return csv_bytes([{k: v for k, v in r.items() if k != column} for r in ROWS])


def parquet(*changes: pl.Expr) -> bytes:
    out = io.BytesIO()
    pl.DataFrame(ROWS).with_columns(*changes).write_parquet(out)
    return out.getvalue()


def zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.csv", data)
    return out.getvalue()


def wrong_sum(data: bytes) -> bytes:
    packed = bytearray(gzip.compress(data))
    packed[-8] ^= 0xFF
    return bytes(packed)


BOMB = 4 << 20
"""Bytes of a bomb; the bound is set to a quarter of it while these tests run."""


@pytest.fixture(scope="module", autouse=True)
def _bounds() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (log_rows, logs):
            patch.setattr(module, "MAX_LINE", BOMB // 4)
        patch.setattr(pages, "MAX_BYTES", BOMB // 4)
        yield


# what it is: file, content, words that must be there
LOGS: dict[str, tuple[str, bytes, tuple[str, ...]]] = {
    "empty": ("a.csv", b"", ("a.csv", "empty")),
    "truncated gzip": ("a.csv.gz", gzip.compress(rows() * 9)[:-20], ("a.csv.gz", "damaged")),
    "wrong checksum": ("a.csv.gz", wrong_sum(rows()), ("a.csv.gz", "damaged")),
    "truncated parquet": ("a.parquet", parquet()[:-40], ("a.parquet", "damaged")),
    "partial object": ("a.jsonl", LINES[:-60], ("malformed_json", "a.jsonl, row 2")),
    "column missing": ("a.csv", without("model"), ("a.csv", "['model'] are missing")),
    "column renamed": ("a.csv", rows().replace(b"prompt_tokens", b"input_tokens"), ("['prompt_tokens'] are missing", "input_tokens")),
    "spend missing": ("a.csv", without("spend"), ("['spend'] are missing",)),
    "column twice": ("a.csv", rows().replace(b'"user"', b'"model"', 1), ("more than once",)),
    "tokens a list": ("a.parquet", parquet(pl.concat_list("prompt_tokens")), ("bad_tokens", "prompt_tokens")),
    "time a number": ("a.parquet", parquet(pl.lit(46266).alias("startTime")), ("a.parquet", "startTime")),
    "bad date": ("a.csv", rows(ask(3, startTime="32.13.2026")), ("bad_date", "startTime", "32.13.2026")),
    "no date": ("a.csv", csv_bytes([r | {"startTime": "soon"} for r in ROWS]), ("a.csv", "none of 2 times")),
    "NaN cost": ("a.csv", rows(ask(3, spend="NaN")), ("not_a_number", "spend", "NaN")),
    "infinite cost": ("a.csv", rows(ask(3, spend="-inf")), ("not_a_number", "spend")),
    "huge cost": ("a.csv", rows(ask(3, spend="1e30")), ("not_a_number", "1e30")),
    "cost in words": ("a.csv", rows(ask(3, spend="3 euros")), ("not_a_number", "(7 characters, not shown)")),
    "negative tokens": ("a.csv", rows(ask(3, completion_tokens="-1")), ("bad_tokens", "completion_tokens", "-1")),
    "negative cached tokens": ("a.csv", rows(ask(3) | {"cache_read_input_tokens": "-9"}), ("bad_tokens", "cache_read_input_tokens", "-9")),
    "row too short": ("a.csv", rows() + b'"x","y"\n', ("a.csv", "cannot be read")),
    "bomb in a row": ("a.csv.gz", gzip.compress(rows() + b'"' + b"a" * BOMB), ("a.csv.gz", "longer than")),
    "bomb in a line": ("a.jsonl.gz", gzip.compress(LINES + b"a" * BOMB), ("a.jsonl.gz: row 3 is longer than",)),
    "bomb in the header": ("a.csv.gz", gzip.compress(b"a" * BOMB), ("a.csv.gz",)),
    "an archive": ("a.zip", zipped(rows()), ("a.zip is no spend log",)),
    "utf-16": ("a.csv", rows().decode().encode("utf-16-le"), ("a.csv", "UTF-8")),
}  # fmt: skip


def costs(*results: Any, **changes: Any) -> bytes:
    return json.dumps(page(bucket(START, START + FULL, cost(1, "m, input"), *results) | changes)).encode()


TEXT = json.dumps(COSTS).encode()
PAGES: dict[str, tuple[str, bytes, tuple[str, ...]]] = {
    "empty": ("a.json", b"", ("a.json", "empty")),
    "partial object": ("a.json", TEXT[:-20], ("a.json is not JSON",)),
    "truncated gzip": ("a.json.gz", gzip.compress(TEXT * 9)[:-20], ("a.json.gz is damaged",)),
    "wrong checksum": ("a.json.gz", wrong_sum(TEXT), ("a.json.gz is damaged",)),
    "bomb": ("a.json.gz", gzip.compress(b" " * BOMB + TEXT), ("a.json.gz has more than 1 MiB",)),
    "deep": ("a.json", b"[" * 200_000, ("a.json is not JSON",)),
    "data missing": ("a.json", TEXT.replace(b'"data"', b'"rows"'), ("mandatory key 'data'", "rows")),
    "an error": ("a.json", b'{"error": {"message": "no scope api.usage.read"}}', ("no scope",)),
    "amount renamed": ("a.json", TEXT.replace(b'"amount"', b'"price"'), ("missing_value", "amount.value")),
    "value a list": ("a.json", costs(cost([1], "m, output")), ("not_a_number", "amount.value")),
    "times in words": ("a.json", costs(start_time="2026-09-01"), ("bucket 1 is not one", "2026-09-01")),
    "milliseconds": ("a.json", costs(start_time=START * 1000), ("bucket 1 is not one", "seconds since")),
    "ends before it starts": ("a.json", costs(end_time=START - 1), ("bucket 1 is not one",)),
    "results renamed": ("a.json", TEXT.replace(b'"results"', b'"result"'), ("bucket 1 is not one", "results")),
    "NaN": ("a.json", costs(cost(float("nan"), "m, output")), ("not_a_number", "amount.value", "NaN|nan")),
    "infinite": ("a.json", costs(cost(float("inf"), "m, output")), ("not_a_number",)),
    "huge": ("a.json", costs(cost(1e30, "m, output")), ("not_a_number", "E+30|e+30|1000000000000000")),
    "no such currency": ("a.json", costs(cost(1, "m, output", amount={"value": 1, "currency": "zzz"})), ("unknown_currency", "zzz")),
    "costs and usage": ("a.json", costs(usage(1, 0, 1, 1)), ("a.json mixes",)),
    "negative count": ("a.json", json.dumps(page(bucket(START, START + 3600, usage(-5, 0, 1, 1)))).encode(), ("bad_count", "input_tokens", "-5")),
    "utf-16 without its mark": ("a.json", TEXT.decode().encode("utf-16-le"), ("a.json is not JSON", "save the whole answer")),
    "a sheet": ("a.xlsx", b"a,b\n", ("a.xlsx is no saved page",)),
    "another table": ("a.csv", b"a,b\n", ("are mandatory, it has a, b",)),
}  # fmt: skip


SOUND = {
    "logs": faults.Input(OPTIONS["logs"], "good.csv", rows()),
    "api": faults.Input(OPTIONS["api"], "good.json", TEXT),
}
CASES = {
    f"{folder}-{case.replace(' ', '-')}": (faults.Input(OPTIONS[folder], file, content), says)
    for folder, cases in (("logs", LOGS), ("api", PAGES))
    for case, (file, content, says) in cases.items()
}
RULES = {
    "malformed_json",
    "bad_tokens",
    "bad_date",
    "not_a_number",
    "missing_value",
    "unknown_currency",
    "bad_count",
}
REJECTED = {name for name, (_, says) in CASES.items() if RULES & set(says)}
"""Cases of which a row is rejected, which the gate does not let pass; the others end the reading of their source."""


@dataclass(frozen=True)
class Ended:
    """Two runs over the faults, after one without any."""

    site: Path
    published: str
    refused: small.Done
    words: Mapping[str, str]
    judged: small.Done
    rejected: Mapping[str, list[tuple[object, ...]]]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory, _bounds: None) -> Ended:
    site = tmp_path_factory.mktemp("apis")
    faults.write(site, SOUND, PRICES)
    done = faults.run(site, DAY)
    assert done.returncode == 0, done.stderr
    before = small.fingerprint(site)
    faults.write(site, SOUND | {n: source for n, (source, _) in CASES.items() if n not in REJECTED}, PRICES)
    refused = faults.run(site, DAY)
    assert small.fingerprint(site) == before
    faults.write(site, SOUND | {n: source for n, (source, _) in CASES.items() if n in REJECTED}, PRICES)
    judged = faults.run(site, DAY)
    words = faults.words_of(refused.stderr, CASES)
    return Ended(site, before, refused, words, judged, faults.rejected(site))


def published(site: Path, source: str) -> list[tuple[object, ...]]:
    return small.query(site, MONEY % source)


def test_nothing_is_published(ended: Ended) -> None:
    assert (ended.refused.returncode, ended.judged.returncode) == (1, 1)
    assert "quarantine_share is " in ended.judged.stderr
    for done in (ended.refused, ended.judged):
        assert SECRET not in done.stdout + done.stderr
        assert "stand unchanged" in done.stderr
    assert small.fingerprint(ended.site) == ended.published
    assert {source: published(ended.site, source) for source in GOOD} == GOOD


@pytest.mark.parametrize("name", CASES)
def test_named_and_refused(ended: Ended, name: str) -> None:
    says = CASES[name][1]
    if name in REJECTED:
        assert faults.rejected_share(ended.site)[name] > 0
        said = "; ".join(str(part) for row in ended.rejected[name] for part in row)
    else:
        said = ended.words[name]
    for words in says:
        assert any(w in said for w in words.split("|")), (words, said)


EXTRA = csv_bytes([r | {"new_column": "x", "another": "=cmd()"} for r in ROWS])
HOSTILE = "a'; DROP TABLE x; --\u202e<script>"
ODD: dict[str, tuple[str, str, bytes, dict[str, list[tuple[object, ...]]]]] = {
    "extra columns": ("logs", "a.csv", EXTRA, {}),
    "columns in capitals": ("logs", "a.csv", rows().replace(b"startTime", b"STARTTIME"), {}),
    "duplicate rows": ("logs", "a.csv", rows(*ROWS), {}),
    "hostile tags": ("logs", "a.csv", csv_bytes([r | {"team_alias": HOSTILE, "request_tags": f'["workload:{HOSTILE}"]'} for r in ROWS]), {}),
    # no spend: 100 x 2 + 20 x 6 = 320 per million, in the currency of the price list
    "two currencies": ("logs", "a.csv", rows(ask(3, spend="0")), {"logs": [("EUR", Decimal("0.00032")), ("USD", Decimal("0.75"))]}),
    "extra keys": ("api", "a.json", TEXT.replace(b'"bucket"', b'"bucket", "new": [1]'), {}),
    "duplicate pages": ("api", "a.json", json.dumps([COSTS, COSTS]).encode(), {}),
    "mixed currencies": ("api", "a.json", costs(cost(0.5, "m, output"), cost(1, "m, input", amount={"value": 7, "currency": "eur"})), {"api": [("EUR", Decimal(7)), ("USD", Decimal("1.5"))]}),
    "hostile names": ("api", "a.json", costs(cost(0.5, f"{HOSTILE}, output", project=HOSTILE)), {}),
}  # fmt: skip


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site that published all that is odd and sound, each in a source of its own."""
    site = tmp_path_factory.mktemp("odd")
    sources = {
        name.replace(" ", "-"): faults.Input(OPTIONS[folder], file, content)
        for name, (folder, file, content, _) in ODD.items()
    }
    faults.write(site, sources, PRICES)
    done = faults.run(site, DAY)
    assert done.returncode == 0, done.stderr
    return site


@pytest.mark.parametrize("name", ODD)
def test_odd_input_is_read_to_the_cent(odd: Path, name: str) -> None:
    folder, _, _, money = ODD[name]
    source = name.replace(" ", "-")
    expected = (GOOD | money)[folder]
    assert published(odd, source) == expected
    differences = small.query(odd, f"SELECT difference FROM ops.reconciliation WHERE source = '{source}'")
    assert differences == [(0,)] * len(expected)
