"""Bad exports of Google, Oracle and Azure through the whole run: words, exit code 1, and what was published stands."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.connectors.azure import rows as azure
from tests.connectors.bills.helpers import csv_bytes
from tests.connectors.gcp import rows as gcp
from tests.connectors.oci import rows as oci
from tests.pipelines import small

CONFIG = """
data_dir: ./data
sources:
  gcp: {kind: gcp_billing_export, location: ./gcp}
  oci: {kind: oci_cost_report, location: ./oci}
  azure: {kind: azure_export, location: ./azure}
"""
MONEY = "SELECT x_source, BillingCurrency, sum(BilledCost)::TEXT FROM focus.cost_and_usage GROUP BY ALL ORDER BY ALL"
GOOD = [
    ("azure", "USD", "10.000000000000"),
    ("gcp", "USD", "10.500000000000"),
    ("oci", "USD", "32.000000000000"),
]
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
    return gzip.compress(content(source, ROW[source]) + b'"' + b"a" * (64 << 20))


def zipped(source: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.csv", content(source, ROW[source]))
    return out.getvalue()


Make = Callable[[str], bytes]
# ending of the name, what is in it, words that must be there (FILE: the name of the file; COST, START: the column)
CASES: dict[str, tuple[str, Make, tuple[str, ...]]] = {
    "empty": ("", lambda _: b"", ("FILE is empty",)),
    "cost missing": ("", without(COST), ("FILE: mandatory column 'COST' is missing", "it has: ")),
    "start missing": ("", without(START), ("FILE: mandatory column 'START' is missing",)),
    "currency missing": ("", without(CURRENCY), ("FILE: mandatory column",)),
    "cost renamed": ("", renamed, ("FILE: mandatory column 'COST' is missing", "Kosten")),
    "NaN": ("", with_bad(COST, "NaN"), ("quarantine_share", "not_a_number", "FILE:LINE", "NaN")),
    "huge": ("", with_bad(COST, "1e30"), ("quarantine_share", "not_a_number", "FILE:LINE", "1e30")),
    "no currency": ("", with_bad(CURRENCY, ""), ("quarantine_share", "missing_value", "FILE:LINE")),
    "bad date": ("", with_bad(START, "32.13.2026"), ("quarantine_share", "bad_date", "FILE:LINE", "32.13.2026")),
    "cut in a row": ("", cut, ("FILE",)),
    "cut gzip": (".gz", lambda s: gzip.compress(many(s))[:-300], ("FILE.gz is", "damaged")),
    "wrong checksum": (".gz", lambda s: gzip.compress(many(s))[:-8] + b"\0" * 8, ("FILE.gz is", "damaged")),
    "bomb": (".gz", bomb, ("FILE.gz",)),
    "an archive": ("", zipped, ("FILE",)),
    "utf-16": ("", lambda s: content(s, ROW[s]).decode().encode("utf-16"), ("FILE", "UTF-8")),
    "latin-1": ("", lambda s: content(s, ROW[s]).replace(b"GPU", b"\xe9PU"), ("FILE",)),
}  # fmt: skip


def write(site: Path, source: str = "", ending: str = "", bad: bytes = b"") -> None:
    for name, row in ROW.items():
        (site / name).mkdir(exist_ok=True)
        for old in (site / name).iterdir():
            old.unlink()
        if name == source:
            (site / name / (FILE[name] + ending)).write_bytes(bad)
        else:
            (site / name / FILE[name]).write_bytes(content(name, row))
    (site / "tierwise.yaml").write_text(CONFIG)


def run(site: Path) -> small.Done:
    return small.tierwise("run", "--config", site / "tierwise.yaml", "--date", "2026-09-20")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clouds")
    write(folder)
    done = run(folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("source", ROW)
@pytest.mark.parametrize("case", CASES)
def test_named_refused_and_nothing_published(site: Path, source: str, case: str) -> None:
    before = small.fingerprint(site)
    ending, make, says = CASES[case]
    write(site, source, ending, make(source))
    done = run(site)
    assert done.returncode == 1, done.stdout
    line = "2" if source == "gcp" else "3"  # a CSV has a header
    for words in says:
        text = words
        for name, stands_for in (
            ("FILE", FILE[source]),
            ("COST", COST[source]),
            ("START", START[source]),
            ("LINE", line),
        ):
            text = text.replace(name, stands_for)
        assert text in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert small.fingerprint(site) == before
    assert small.query(site, MONEY) == GOOD


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


@pytest.mark.parametrize("source", ROW)
@pytest.mark.parametrize("case", ODD)
def test_odd_input_is_read_to_the_cent(site: Path, source: str, case: str) -> None:
    make, money = ODD[case]
    write(site, source, "", make(source))
    done = run(site)
    assert done.returncode == 0, done.stderr
    cost = next(Decimal(c) for s, _, c in GOOD if s == source)
    expected = [(s, "USD", Decimal(c)) for s, _, c in GOOD if s != source]
    expected += [(source, currency, amount) for currency, amount in money(cost)]
    assert sorted((s, c, Decimal(a)) for s, c, a in small.query(site, MONEY)) == sorted(expected)
    assert small.query(site, "SELECT max(difference) FROM ops.reconciliation") == [(0,)]
    if case == "hostile tags":
        tags = small.query(
            site, f"SELECT Tags ->> 'team' FROM focus.cost_and_usage WHERE x_source = '{source}'"
        )
        assert tags == [(HOSTILE,)]
