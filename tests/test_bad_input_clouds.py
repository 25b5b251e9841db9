"""Bad exports of Google, Oracle and Azure through the whole run: words, exit code 1, and what was published stands.

Each fault is in a source of its own. All of them are in one run, beside three good sources that are published.
"""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.connectors.azure import rows as azure
from tests.connectors.bills.helpers import csv_bytes
from tests.connectors.gcp import rows as gcp
from tests.connectors.oci import rows as oci
from tests.pipelines import faults, small

pytestmark = pytest.mark.long

DAY = "2026-09-20"
MONEY = "SELECT x_source, BillingCurrency, sum(BilledCost)::TEXT FROM focus.cost_and_usage GROUP BY ALL ORDER BY ALL"
GOOD = [
    ("azure", "USD", "10.000000000000"),
    ("gcp", "USD", "10.500000000000"),
    ("oci", "USD", "32.000000000000"),
]
KIND = {"gcp": "gcp_billing_export", "oci": "oci_cost_report", "azure": "azure_export"}
ROW: Mapping[str, Mapping[str, Any]] = {"gcp": gcp.ROW, "oci": oci.ROW, "azure": azure.ROW}
FILE = {"gcp": "2026-09.jsonl", "oci": "2026-09.csv", "azure": "2026-09.csv"}
COST = {"gcp": "cost", "oci": "cost/myCost", "azure": "Cost"}
START = {"gcp": "usage_start_time", "oci": "lineItem/intervalUsageStart", "azure": "Date"}
CURRENCY = {"gcp": "currency", "oci": "cost/currencyCode", "azure": "BillingCurrency"}
TAG = {"gcp": "labels", "oci": "tags/team", "azure": "Tags"}


def content(source: str, *rows: Mapping[str, Any]) -> bytes:
    if source == "gcp":
        return b"".join(json.dumps(r).encode() + b"\n" for r in rows)
    return csv_bytes(rows)


def with_bad(column: Mapping[str, str], value: str) -> Callable[[str], bytes]:
    return lambda s: content(s, ROW[s], {**ROW[s], column[s]: value})


def without(column: Mapping[str, str]) -> Callable[[str], bytes]:
    return lambda s: content(s, {k: v for k, v in ROW[s].items() if k != column[s]})


def renamed(source: str) -> bytes:
    return content(source, ROW[source]).replace(f'"{COST[source]}"'.encode(), b'"Kosten"', 1)


def many(source: str) -> bytes:
    return content(source, *[{**ROW[source], COST[source]: str(n)} for n in range(500)])


def cut(source: str) -> bytes:
    return many(source)[: -len(content(source, ROW[source])) // 3]


def bomb(source: str) -> bytes:
    return gzip.compress(content(source, ROW[source]) + b'"') + gzip.compress(b"a" * (64 << 20), 1)


def zipped(source: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.csv", content(source, ROW[source]))
    return out.getvalue()


Make = Callable[[str], bytes]
# ending of the name, what is in it, words that must be there (FILE: the name of the file; COST, START: the column)
NOT_READY: dict[str, tuple[str, Make, tuple[str, ...]]] = {
    "empty": ("", lambda _: b"", ("FILE is empty",)),
    "cost missing": ("", without(COST), ("FILE: mandatory column 'COST' is missing", "it has: ")),
    "start missing": ("", without(START), ("FILE: mandatory column 'START' is missing",)),
    "currency missing": ("", without(CURRENCY), ("FILE: mandatory column",)),
    "cost renamed": ("", renamed, ("FILE: mandatory column 'COST' is missing", "Kosten")),
    "cut in a row": ("", cut, ("FILE",)),
    "cut gzip": (".gz", lambda s: gzip.compress(many(s))[:-300], ("FILE.gz is", "damaged")),
    "wrong checksum": (".gz", lambda s: gzip.compress(many(s))[:-8] + b"\0" * 8, ("FILE.gz is", "damaged")),
    "bomb": (".gz", bomb, ("FILE.gz",)),
    "cut archive": ("", lambda s: zipped(s)[:-40], ("FILE is damaged or cannot be unpacked",)),
    "utf-16": ("", lambda s: content(s, ROW[s]).decode().encode("utf-16-le"), ("FILE", "UTF-8")),
    "latin-1": ("", lambda s: content(s, ROW[s]).replace(b"GPU", b"\xe9PU"), ("FILE",)),
}  # fmt: skip

# what is in it, rule and value of the row that is rejected
REJECTED: dict[str, tuple[Make, str, str | None]] = {
    "NaN": (with_bad(COST, "NaN"), "not_a_number", "NaN"),
    "huge": (with_bad(COST, "1e30"), "not_a_number", "1e30"),
    "no currency": (with_bad(CURRENCY, ""), "missing_value", None),
    "bad date": (with_bad(START, "32.13.2026"), "bad_date", "32.13.2026"),
}


def name_of(source: str, case: str) -> str:
    return f"{source}-{case.replace(' ', '-')}"


def source_of(source: str, content: bytes, ending: str = "") -> faults.Input:
    return faults.Input(f"kind: {KIND[source]}", FILE[source] + ending, content)


SOUND = {s: source_of(s, content(s, r)) for s, r in ROW.items()}


@dataclass(frozen=True)
class Ended:
    """A run over all faults, after one without any."""

    site: Path
    done: small.Done
    words: Mapping[str, str]
    published: str


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    site = tmp_path_factory.mktemp("clouds")
    faults.write(site, SOUND)
    done = faults.run(site, DAY)
    assert done.returncode == 0, done.stderr
    before = small.fingerprint(site)
    bad = {
        name_of(s, case): source_of(s, make(s), end)
        for s in ROW
        for case, (end, make, _) in NOT_READY.items()
    }
    bad |= {name_of(s, case): source_of(s, make(s)) for s in ROW for case, (make, *_) in REJECTED.items()}
    faults.write(site, SOUND | bad)
    done = faults.run(site, DAY)
    return Ended(site, done, faults.words_of(done.stderr, bad), before)


def test_nothing_is_published(ended: Ended) -> None:
    assert ended.done.returncode == 1, ended.done.stdout
    assert f"not_ready_months is {len(NOT_READY) * 3}; allowed: at most 0" in ended.done.stderr
    first = f"first: not_a_number in column BilledCost, value NaN, at {ended.site / 'azure-NaN' / FILE['azure']}:3"
    assert "quarantine_share is 0.5; allowed: at most 0 (" in ended.done.stderr
    assert first in ended.done.stderr
    assert small.fingerprint(ended.site) == ended.published
    assert small.query(ended.site, MONEY) == GOOD


@pytest.mark.parametrize("source", ROW)
@pytest.mark.parametrize("case", NOT_READY)
def test_a_month_that_cannot_be_read_is_held_back_in_words(ended: Ended, source: str, case: str) -> None:
    says = NOT_READY[case][2]
    said = ended.words[name_of(source, case)]
    assert said.startswith("2026-09: ")
    for words in says:
        text = words
        for name, stands_for in (("FILE", FILE[source]), ("COST", COST[source]), ("START", START[source])):
            text = text.replace(name, stands_for)
        assert text in said


@pytest.mark.parametrize("source", ROW)
@pytest.mark.parametrize("case", REJECTED)
def test_a_row_without_meaning_is_rejected_with_its_place(ended: Ended, source: str, case: str) -> None:
    _, rule, value = REJECTED[case]
    name = name_of(source, case)
    [(broken, _, shown, place)] = faults.rejected(ended.site)[name]
    line = 2 if source == "gcp" else 3  # a CSV has a header
    assert (broken, shown, place) == (rule, value, f"{ended.site / name / FILE[source]}:{line}")
    assert faults.rejected_share(ended.site)[name] == 0.5


HOSTILE = "a'; DROP TABLE x; --\u202e<script>"
TEAM = {"gcp": [{"key": "team", "value": HOSTILE}], "oci": HOSTILE, "azure": json.dumps({"team": HOSTILE})}
ODD: dict[str, tuple[Make, Callable[[Decimal], list[tuple[str, Decimal]]]]] = {
    "extra columns": (
        lambda s: content(s, {**ROW[s], "new": "x", "another": "=cmd()"}),
        lambda c: [("USD", c)],
    ),
    "duplicate rows": (lambda s: content(s, *[ROW[s]] * 3), lambda c: [("USD", 3 * c)]),
    "mixed currencies": (
        lambda s: content(s, ROW[s], {**ROW[s], CURRENCY[s]: "EUR", COST[s]: "7"}),
        lambda c: [("EUR", Decimal(7)), ("USD", c)],
    ),
    "hostile tags": (lambda s: content(s, {**ROW[s], TAG[s]: TEAM[s]}), lambda c: [("USD", c)]),
}


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site that published all that is odd and sound, each in a source of its own."""
    site = tmp_path_factory.mktemp("odd")
    faults.write(
        site, {name_of(s, case): source_of(s, make(s)) for s in ROW for case, (make, _) in ODD.items()}
    )
    done = faults.run(site, DAY)
    assert done.returncode == 0, done.stderr
    return site


@pytest.mark.parametrize("source", ROW)
@pytest.mark.parametrize("case", ODD)
def test_odd_input_is_read_to_the_cent(odd: Path, source: str, case: str) -> None:
    name = name_of(source, case)
    cost = next(Decimal(c) for s, _, c in GOOD if s == source)
    found = [(c, Decimal(str(a))) for s, c, a in small.query(odd, MONEY) if s == name]
    assert found == sorted(ODD[case][1](cost))
    differences = small.query(odd, f"SELECT difference FROM ops.reconciliation WHERE source = '{name}'")
    assert differences == [(0,)] * len(found)
    if case == "hostile tags":
        tags = small.query(odd, f"SELECT Tags ->> 'team' FROM focus.cost_and_usage WHERE x_source = '{name}'")
        assert tags == [(HOSTILE,)]
