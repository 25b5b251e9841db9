"""A file with exactly the columns of each version of FOCUS, and AWS' own exports of 1.0 and 1.2, to the cent."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from models import focus
from tests.connectors.bills.helpers import facts, load, write
from tests.connectors.focus.versions import NUMBERS, VERSIONS, row

pytestmark = pytest.mark.long

SEPTEMBER = date(2026, 9, 1)


@pytest.mark.parametrize(
    ("version", "number"), [(v, n) for v, n in zip(VERSIONS, (43, 43, 50, 57, 65, 65), strict=True)]
)
def test_columns_are_those_of_the_specification(version: str, number: int) -> None:
    """1.1 has 7 more than 1.0, 1.2 7 more, 1.3 8 more, 1.4 two more and two less."""
    assert len(VERSIONS[version]) == len(set(VERSIONS[version])) == number
    if version in ("1.2", "1.4"):
        assert {c.name for c in focus.columns(version)} == set(VERSIONS[version])


def value(column: str, text: str) -> Any:
    """What a text is in the ledger, by csv and Decimal alone."""
    if column.endswith(NUMBERS):
        return Decimal(text)
    if column.endswith(("PeriodStart", "PeriodEnd")):
        return datetime.fromisoformat(text.removesuffix("Z"))
    return text


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("version", VERSIONS)
def test_every_column_of_a_version_arrives(version: str, form: str, tmp_path: Path) -> None:
    rows = [row(version, 1), row(version, 2)]
    write(tmp_path / "b" / "a.csv", rows)
    if form == "parquet":
        pl.DataFrame(rows).write_parquet(tmp_path / "b" / "a.parquet")
        (tmp_path / "b" / "a.csv").unlink()
    loaded = load("focus", tmp_path / "b", tmp_path)[SEPTEMBER]
    # BilledCost is the second column: 0.2 and 0.4; EffectiveCost the 23rd of 1.0: 2.3 and 4.6
    assert loaded.totals == {"USD": Decimal("0.6")}
    assert (loaded.rows_read, loaded.rows_loaded) == (2, 2)
    assert loaded.issues.is_empty()
    found = facts(loaded)
    effective = Decimal(3 * (VERSIONS[version].index("EffectiveCost") + 1)) / 10
    assert found["EffectiveCost"].sum() == effective
    if version in ("1.0", "1.0r2"):
        assert effective == Decimal("6.9")
    kept = [c for c in VERSIONS[version] if c != "PublisherName"]
    assert found.select(kept).rows(named=True) == [{c: value(c, r[c]) for c in kept} for r in rows]
    assert loaded.note == ("columns not used: PublisherName" if "PublisherName" in rows[0] else "")
    provider = "ServiceProviderName" if "ServiceProviderName" in rows[0] else "ProviderName"
    assert found["ServiceProviderName"].to_list() == [r[provider] for r in rows]


AWS_ONLY = """'RunInstances' AS x_Operation, 'BoxUsage:p5' AS x_UsageType, 'AmazonEC2' AS x_ServiceCode,
    MAP {'EDP': -0.25} AS x_Discounts, MAP {'unit': 'lab'} AS x_CostCategories"""
"""Columns that AWS adds to FOCUS."""


def deliver(root: Path, version: str, costs: list[str], *, execution: str = "") -> None:
    """Delivers September as AWS writes it: typed Parquet, tags as a map, the manifest last."""
    names = VERSIONS[version]
    typed = []
    for c in names:
        if c.endswith(NUMBERS):
            typed.append(f"CAST({c} AS DOUBLE) AS {c}")
        elif c.endswith(("PeriodStart", "PeriodEnd")):
            typed.append(f"CAST(CAST({c} AS TIMESTAMPTZ) AS TIMESTAMP_MS) AS {c}")
        else:
            typed.append("MAP {'team': 'vision'} AS Tags" if c == "Tags" else c)
    rows = pl.DataFrame([row(version, n) | {"BilledCost": cost} for n, cost in enumerate(costs, 1)])
    data, meta = (
        "/".join(filter(None, ["focus/gpu", kind, "BILLING_PERIOD=2026-09", execution]))
        for kind in ("data", "metadata")
    )
    for folder in (data, meta):
        (root / folder).mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("rows", rows)
        file = root / data / "gpu-00001.snappy.parquet"
        connection.execute(
            f"COPY (SELECT {', '.join(typed)}, {AWS_ONLY} FROM rows) TO '{file}' (FORMAT parquet, COMPRESSION snappy)"
        )
    extra = ("x_Operation", "x_UsageType", "x_ServiceCode", "x_Discounts", "x_CostCategories")
    manifest = {
        "exportArn": "arn:aws:bcm-data-exports:us-east-1:000111122223:export/gpu",
        "columns": [{"name": c} for c in (*names, *extra)],
        "dataFiles": [f"s3://acme/{data}/gpu-00001.snappy.parquet"],
    }
    (root / meta / "gpu-Manifest.json").write_text(json.dumps(manifest))


RUNS = ("2026-09-02T01-00-00.000Z-11111111", "2026-09-03T01-00-00.000Z-22222222")


@pytest.mark.parametrize("versioned", [False, True], ids=["overwrite", "create new"])
@pytest.mark.parametrize("version", ["1.0", "1.2"])
def test_aws_own_export_counts_its_newest_delivery(version: str, versioned: bool, tmp_path: Path) -> None:
    runs = RUNS if versioned else ("", "")
    deliver(tmp_path / "b", version, ["1.5", "2.25"], execution=runs[0])
    first = load("focus", tmp_path / "b", tmp_path / "x")[SEPTEMBER]
    assert first.totals == {"USD": Decimal("3.75")}
    deliver(tmp_path / "b", version, ["1.5", "2.25", "-0.5"], execution=runs[1])
    loaded = load("focus", tmp_path / "b", tmp_path / "y")[SEPTEMBER]
    assert loaded.totals == {"USD": Decimal("3.25")}  # the second delivery alone
    assert (loaded.rows_read, loaded.rows_loaded) == (3, 3)
    assert loaded.issues.is_empty()
    found = facts(loaded)
    assert found["BilledCost"].to_list() == [Decimal("1.5"), Decimal("2.25"), Decimal("-0.5")]
    assert [json.loads(t) for t in found["Tags"]] == [{"team": "vision"}] * 3
    assert found["ChargePeriodStart"].to_list() == [datetime.fromisoformat("2026-09-03T04:00:00")] * 3
    assert found["ServiceProviderName"].to_list() == [f"ProviderName {n}" for n in (1, 2, 3)]
    for column in ("x_Operation", "x_UsageType", "x_ServiceCode", "x_Discounts"):
        assert column in loaded.note  # not in the ledger, and said so
