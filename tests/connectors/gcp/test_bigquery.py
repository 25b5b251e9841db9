"""The export read from its table: a BigQuery server for what works, and what is said where it does not."""

from __future__ import annotations

import builtins
import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.base import Loaded, SourceError
from connectors.bills.reader import CloudOptions as Options
from tests.connectors.bills.helpers import WINDOW, facts, reader
from tests.connectors.gcp.rows import row, write_lines
from tests.pipelines import small
from tests.services.bigquery import bigquery_url

__all__ = ["bigquery_url"]

KIND = "gcp_billing_export"
SEPTEMBER, OCTOBER = date(2026, 9, 1), date(2026, 10, 1)
SCHEMA = """
    billing_account_id STRING, service STRUCT<id STRING, description STRING>, sku STRUCT<id STRING, description STRING>,
    usage_start_time TIMESTAMP, usage_end_time TIMESTAMP, project STRUCT<id STRING, name STRING, labels ARRAY<STRUCT<key STRING, value STRING>>>,
    labels ARRAY<STRUCT<key STRING, value STRING>>, system_labels ARRAY<STRUCT<key STRING, value STRING>>,
    location STRUCT<location STRING, country STRING, region STRING, zone STRING>, export_time TIMESTAMP, cost FLOAT64, currency STRING,
    usage STRUCT<amount FLOAT64, unit STRING, amount_in_pricing_units FLOAT64, pricing_unit STRING>,
    credits ARRAY<STRUCT<name STRING, amount FLOAT64, full_name STRING, id STRING, type STRING>>,
    invoice STRUCT<month STRING>, cost_type STRING"""
CREDIT = {
    "name": "Committed",
    "amount": -3,
    "full_name": "",
    "id": "cud-1",
    "type": "COMMITTED_USAGE_DISCOUNT",
}


class Table:
    """A table of the export on the server, written to as Google does: rows are added, never changed."""

    def __init__(self, url: str, name: str, *, partitioned: bool = True) -> None:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud.bigquery import Client

        self.client = Client(
            project="acme",
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": url},
        )
        self.url, self.name = url, f"acme.billing.{name}"
        self.client.create_dataset("acme.billing", exists_ok=True)
        by = ""
        self.sql(f"CREATE TABLE `{self.name}` ({SCHEMA}){by}")

    def sql(self, query: str) -> None:
        self.client.query(query).result()

    def add(self, *rows: dict[str, Any]) -> None:
        names = list(rows[0])
        values = ", ".join(f"({', '.join(_literal(name, one[name]) for name in names)})" for one in rows)
        self.sql(f"INSERT INTO `{self.name}` ({', '.join(names)}) VALUES {values}")

    @property
    def options(self) -> dict[str, Any]:
        return {"endpoint_url": self.url, "anonymous": True}

    @property
    def location(self) -> str:
        return f"bigquery://{self.name}"

    def load(self, tmp: Path, only: date | None = None) -> dict[date, Loaded]:
        from pipelines.engines.duckdb import DuckDBEngine

        source = reader(KIND, self.location, tmp, **self.options)
        with DuckDBEngine() as engine:
            wanted = [s for s in source.slices(WINDOW) if only in (None, s.period)]
            return {r.slice.period: r for r in source.load(wanted, tmp / "work", engine)}


def _literal(name: str, value: Any) -> str:
    """A value as BigQuery's SQL writes it."""
    if isinstance(value, dict):
        return f"STRUCT({', '.join(f'{_literal(key, v)} AS {key}' for key, v in value.items())})"
    if isinstance(value, list):
        return f"[{', '.join(_literal(name, v) for v in value)}]"
    if isinstance(value, str):
        return ("TIMESTAMP " if name.endswith("_time") else "") + json.dumps(value, ensure_ascii=False)
    return repr(float(value))


ROWS = [
    row(credits=[CREDIT], cost=0.1),
    row(labels=[{"key": 'a"b', "value": "é,\n'"}], cost=-2e-7, export_time="2026-09-02 05:00:00 UTC"),
    row(invoice={"month": "202610"}, cost=4, export_time="2026-10-01 05:00:00 UTC"),
]


@pytest.mark.service
@pytest.mark.parametrize("partitioned", [False])
def test_a_table_gives_what_its_rows_give_as_a_file(
    bigquery_url: str, partitioned: bool, tmp_path: Path
) -> None:
    table = Table(bigquery_url, f"same_{partitioned}", partitioned=partitioned)
    table.add(*ROWS)
    live = table.load(tmp_path / "live")
    # 0.1 - 3 - 0.0000002, and 4
    assert {m: r.totals for m, r in live.items()} == {
        SEPTEMBER: {"USD": Decimal("-2.9000002")},
        OCTOBER: {"USD": Decimal(4)},
    }
    write_lines(tmp_path / "bills" / "a.jsonl", ROWS)
    filed = reader(KIND, tmp_path / "bills", tmp_path / "filed")
    from pipelines.engines.duckdb import DuckDBEngine

    with DuckDBEngine() as engine:
        for one in filed.load(filed.slices(WINDOW), tmp_path / "work", engine):
            same = facts(one).sort("BilledCost")
            assert facts(live[one.slice.period]).sort("BilledCost").equals(same)
    assert "2 billing months" in reader(KIND, table.location, tmp_path / "live", **table.options).check()


@pytest.mark.service
def test_only_months_with_new_rows_are_read_again(
    bigquery_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from connectors.gcp.bigquery import TableStore

    table = Table(bigquery_url, "late")
    table.add(*ROWS)
    asked: list[int] = []
    original = TableStore._query
    monkeypatch.setattr(TableStore, "_query", lambda *a: asked.append(1) or original(*a))  # type: ignore[func-returns-value]
    first = {
        s.period: s.fingerprint
        for s in reader(KIND, table.location, tmp_path, **table.options).slices(WINDOW)
    }
    assert len(asked) == 2
    again = {
        s.period: s.fingerprint
        for s in reader(KIND, table.location, tmp_path, **table.options).slices(WINDOW)
    }
    assert (again, len(asked)) == (first, 2)
    table.add(row(cost=1, export_time="2026-10-05 05:00:00 UTC"))  # of September, five days late
    after = {
        s.period: s.fingerprint
        for s in reader(KIND, table.location, tmp_path, **table.options).slices(WINDOW)
    }
    assert len(asked) == 3
    assert after[OCTOBER] == first[OCTOBER]
    assert after[SEPTEMBER] != first[SEPTEMBER]
    assert table.load(tmp_path, SEPTEMBER)[SEPTEMBER].totals == {"USD": Decimal("-1.9000002")}
    assert len(asked) == 3


@pytest.mark.service
def test_rows_that_come_between_listing_and_reading_wait_for_the_next_run(
    bigquery_url: str, tmp_path: Path
) -> None:
    from connectors.gcp.bigquery import TableStore

    table = Table(bigquery_url, "moving")
    table.add(*ROWS)
    store = TableStore(Options(kind=KIND, location=table.location, **table.options), tmp_path)
    listed = store.list()
    table.add(row(cost=1, export_time="2026-10-05 05:00:00 UTC"))
    import polars as pl

    assert [pl.read_parquet(path).height for path in store.fetch(listed)] == [2, 1]
    other = TableStore(Options(kind=KIND, location=table.location, **table.options), tmp_path / "other")
    with pytest.raises(
        SourceError, match=r"acme\.billing\.moving 202609.*changed while it was being read; run again"
    ):
        other.fetch(listed)
    assert not [p for p in (tmp_path / "other").rglob("*") if p.is_file()]


@pytest.mark.service
def test_a_long_and_a_table_that_is_not_there(bigquery_url: str, tmp_path: Path) -> None:
    table = Table(bigquery_url, "run")
    table.add(*ROWS)
    file = tmp_path / "tierwise.yaml"
    text = "sources:\n  google: {{kind: gcp_billing_export, location: {}, endpoint_url: '{}', anonymous: true}}\ngates: {{untagged_max_share: 1}}\n"
    file.write_text(text.format(table.location, bigquery_url))
    done = small.tierwise("run", "--config", file, "--date", "2026-10-02")
    assert done.returncode == 0, done.stderr
    assert small.query(tmp_path, "SELECT sum(BilledCost) FROM focus.cost_and_usage") == [
        (Decimal("1.0999998"),)
    ]
    file.write_text(text.format("bigquery://acme.billing.gone", bigquery_url))
    done = small.tierwise("check", "--config", file)
    assert done.returncode == 1
    assert (
        "bigquery://acme.billing.gone: there is no such table; correct `location`"
        in done.stdout + done.stderr
    )
    table.sql("CREATE TABLE `acme.billing.other` (a STRING)")
    file.write_text(text.format("bigquery://acme.billing.other", bigquery_url))
    done = small.tierwise("check", "--config", file)
    assert done.returncode == 1
    assert "the table is no billing export" in done.stdout + done.stderr


def test_a_server_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("google.cloud.bigquery.client.DEFAULT_GET_JOB_TIMEOUT", 1, raising=False)
    from google.cloud.bigquery import Client

    def refuse(*_: Any, **__: Any) -> None:
        import requests

        message = "connection refused"
        raise requests.ConnectionError(message)

    monkeypatch.setattr(Client, "get_table", refuse)
    source = reader(
        KIND, "bigquery://acme.billing.t", tmp_path, endpoint_url="http://127.0.0.1:9", anonymous=True
    )
    with pytest.raises(SourceError, match=r"cannot be reached \(connection refused\); check the network"):
        source.check()


def test_without_the_extra_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("google.cloud.bigquery"):
            raise ImportError(name)
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    source = reader(KIND, "bigquery://acme.billing.t", tmp_path)
    with pytest.raises(SourceError, match=r"pip install 'tierwise\[bigquery\]'"):
        source.check()


@pytest.mark.parametrize(
    "location", ["bigquery://t", "bigquery://acme.billing.t`; DROP", "bigquery://acme.billing"]
)
def test_a_location_that_names_no_table(location: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"write bigquery://project\.dataset\.table"):
        reader(KIND, location, tmp_path)


def test_other_kinds_do_not_read_tables(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="bigquery:// is not supported"):
        reader("focus", "bigquery://acme.billing.t", tmp_path)
