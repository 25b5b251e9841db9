"""Small bills written by tests, and a reader run over them."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from connectors.base import Context, Loaded, Reader, Window
from connectors.registry import reader_class
from tests.engine import Session

WINDOW = Window(day=date(2026, 9, 30), now=datetime(2026, 10, 1, tzinfo=UTC))

FOCUS_ROW = {
    "AvailabilityZone": "",
    "BilledCost": "1.5",
    "BillingAccountId": "0012",
    "BillingAccountName": "Acme",
    "BillingCurrency": "USD",
    "BillingPeriodEnd": "2026-10-01T00:00:00Z",
    "BillingPeriodStart": "2026-09-01T00:00:00Z",
    "ChargeCategory": "Usage",
    "ChargeClass": "",
    "ChargeDescription": "GPU hours",
    "ChargeFrequency": "Usage-Based",
    "ChargePeriodEnd": "2026-09-02T00:00:00Z",
    "ChargePeriodStart": "2026-09-01T00:00:00Z",
    "CommitmentDiscountStatus": "",
    "ConsumedQuantity": "1",
    "ConsumedUnit": "Hours",
    "ContractedCost": "1.5",
    "EffectiveCost": "1.25",
    "InvoiceIssuerName": "Acme Cloud",
    "ListCost": "2",
    "PricingUnit": "Hours",
    "ProviderName": "Acme Cloud",
    "ServiceCategory": "Compute",
    "ServiceName": "Machines",
    "SubAccountId": "007",
    "Tags": '{"team": "vision"}',
}

CUR_ROW = {
    "bill/InvoiceId": "",
    "bill/BillingEntity": "AWS",
    "bill/PayerAccountId": "000111122223",
    "bill/BillingPeriodStartDate": "2026-09-01T00:00:00Z",
    "bill/BillingPeriodEndDate": "2026-10-01T00:00:00Z",
    "lineItem/UsageAccountId": "000111122224",
    "lineItem/LineItemType": "Usage",
    "lineItem/UsageStartDate": "2026-09-01T00:00:00Z",
    "lineItem/UsageEndDate": "2026-09-01T01:00:00Z",
    "lineItem/ProductCode": "AmazonEC2",
    "lineItem/UsageType": "BoxUsage:p5.48xlarge",
    "lineItem/UsageAmount": "2",
    "lineItem/CurrencyCode": "USD",
    "lineItem/UnblendedRate": "5",
    "lineItem/UnblendedCost": "10",
    "lineItem/BlendedCost": "77",
    "lineItem/LineItemDescription": "GPU hour",
    "lineItem/LegalEntity": "Amazon Web Services, Inc.",
    "product/ProductName": "Amazon Elastic Compute Cloud",
    "product/region": "us-east-1",
    "pricing/publicOnDemandCost": "12",
    "pricing/unit": "Hrs",
    "resourceTags/user:team": "vision",
}


def csv_bytes(rows: Sequence[Mapping[str, str]], header: Sequence[str] = ()) -> bytes:
    """Rows as CSV; the header is of all keys in order of first appearance."""
    names = list(header) or list(dict.fromkeys(k for row in rows for k in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n", restval="", quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def write(path: Path, rows: Sequence[Mapping[str, str]], header: Sequence[str] = ()) -> Path:
    """Writes rows as CSV, gzip if the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = csv_bytes(rows, header)
    path.write_bytes(gzip.compress(content, mtime=0) if path.name.endswith(".gz") else content)
    return path


def focus(**changes: str) -> dict[str, str]:
    """A FOCUS 1.0 row."""
    return FOCUS_ROW | changes


def cur(**changes: str) -> dict[str, str]:
    """A CUR row; `lineItem__UnblendedCost` stands for `lineItem/UnblendedCost`."""
    return CUR_ROW | {k.replace("__", "/"): v for k, v in changes.items()}


def deliver(
    root: Path,
    assembly: str,
    files: Mapping[str, Sequence[Mapping[str, str]]],
    *,
    account: str = "1",
    report: str = "gpu",
) -> None:
    """Puts a delivery of 2026-09 into a bucket folder, as AWS lays it out, and makes it the current one."""
    period = f"cur/{report}/20260901-20261001"
    keys = [f"{period}/{assembly}/{name}" for name in files]
    for key, rows in zip(keys, files.values(), strict=True):
        write(root / key, rows)
    manifest = {
        "assemblyId": assembly,
        "account": account,
        "reportName": report,
        "billingPeriod": {"start": "20260901T000000.000Z", "end": "20261001T000000.000Z"},
        "reportKeys": keys,
    }
    for place in (period, f"{period}/{assembly}"):
        path = root / place / f"{report}-Manifest.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(manifest))


def reader(kind: str, location: Path | str, tmp: Path, **options: Any) -> Reader:
    """A configured reader with its cache below tmp."""
    cls = reader_class(kind)
    context = Context("bills", tmp, tmp / "cache", {})
    return cls(cls.Options(kind=kind, location=str(location), **options), context)


def load(kind: str, location: Path | str, tmp: Path, **options: Any) -> dict[date, Loaded]:
    """Reads everything at a location: month -> what was loaded. One thread: rows stay in one order."""
    source = reader(kind, location, tmp, **options)
    with Session() as engine:
        return {r.slice.period: r for r in source.load(source.slices(WINDOW), tmp / "work", engine)}


def facts(loaded: Loaded) -> pl.DataFrame:
    """The FOCUS rows."""
    with Session() as engine:
        return engine.query(f"SELECT * FROM {loaded.rows}")


class Rows:
    """Rows of the tests of a file, read in one bill: to load a bill takes far longer than to read a row.

    A test adds its rows beside itself, `PLANS = ROWS.add(...)`, and looks up what they became: `lines[PLANS]`.
    """

    def __init__(self) -> None:
        self.all: list[Any] = []

    def add(self, *rows: Any) -> slice:
        """Adds rows; where they are."""
        self.all += rows
        return slice(len(self.all) - len(rows), len(self.all))


def counted(loaded: Loaded) -> dict[tuple[str, str, str], int]:
    """(action, rule, column) -> rows."""
    grouped = loaded.issues.group_by("action", "rule", "column_name").agg(pl.col("rows").sum())
    return {(a, r, c): n for a, r, c, n in grouped.iter_rows()}


Bad = tuple[Mapping[str, str], str, str, str | None]
"""What a row has instead, and of its rejection: rule, column and value."""


def is_set_aside(path: Path, loaded: Loaded, bad: Bad, line: int, cost: int) -> None:
    """The row on a line is rejected for what is wrong with it; its cost is kept where it can be read."""
    change, rule, column, value = bad
    [issue] = loaded.issues.filter(action="rejected", location=f"{path}:{line}").iter_rows(named=True)
    assert (issue["rule"], issue["column_name"], issue["value"]) == (rule, column, value)
    assert (issue["billed_cost"] or 0) == (0 if {"Cost", "cost__myCost"} & {*change} else cost)


def all_but_bad_are_kept(loaded: Loaded, bad: int, good: int) -> None:
    """Two good rows, which cost so much together, are in the facts; every bad one is an issue, and no money is lost."""
    assert (loaded.rows_read, loaded.rows_loaded) == (bad + 2, 2)
    issues = loaded.issues.filter(action="rejected")
    assert issues.height == bad
    assert sum(loaded.totals.values()) == good + issues["billed_cost"].sum()
