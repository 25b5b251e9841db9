"""Differential test: our totals of random bills of AWS, GCP and Azure against sums over the raw files.

The sums are made by csv, json and Decimal alone, by month and currency. TIERWISE_NISE_SEEDS sets how many seeds.
"""

from __future__ import annotations

import ast
import csv
import gzip
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import ROUND_HALF_UP, Decimal
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from tests.connectors.bills.helpers import counted, facts, load
from tests.pipelines import small
from tests.services.nise import BILLS

pytestmark = pytest.mark.service

SEEDS = range(int(os.environ.get("TIERWISE_NISE_SEEDS") or 20))
IN_A_RUN = range(1000, 1003)

Charge = tuple[str, str, str]
"""Month (YYYY-MM), currency and cost as they stand in the file."""
Totals = dict[tuple[str, str], tuple[int, Decimal]]
"""(month, currency) -> charges and their sum."""


def aws(bucket: Path) -> Iterator[Charge]:
    """Of each month, the files that its top manifest names."""
    for manifest in bucket.rglob("????????-????????/*-Manifest.json"):
        for key in json.loads(manifest.read_text())["reportKeys"]:
            with gzip.open(bucket / key.lstrip("/"), "rt", encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    month = row["bill/BillingPeriodStartDate"][:7]
                    yield month, row["lineItem/CurrencyCode"], row["lineItem/UnblendedCost"]


def gcp(bucket: Path) -> Iterator[Charge]:
    """Costs, and credits other than 0 as charges of their own; CSV has them as Python writes a list."""
    for path in bucket.glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                yield from _with_credits(
                    row["invoice.month"], row["currency"], row["cost"], ast.literal_eval(row["credits"])
                )
    for path in bucket.glob("*.json"):
        for line in path.read_text().splitlines():
            native = json.loads(line, parse_float=str, parse_int=str)
            yield from _with_credits(
                native["invoice"]["month"], native["currency"], native["cost"], [native["credits"]]
            )


def _with_credits(month: str, currency: str, cost: str, credits: list[dict[str, object]]) -> Iterator[Charge]:
    month = f"{month[:4]}-{month[4:]}"
    yield month, currency, cost
    for credit in credits:
        if Decimal(str(credit["amount"])):
            yield month, currency, str(credit["amount"])


def azure(bucket: Path) -> Iterator[Charge]:
    """All files."""
    for path in bucket.rglob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                currency = row.get("BillingCurrency") or row["BillingCurrencyCode"]
                yield row["BillingPeriodStartDate"][:7], currency, row["CostInBillingCurrency"]


RAW: dict[str, Callable[[Path], Iterator[Charge]]] = {
    "aws_cur": aws,
    "gcp_billing_export": gcp,
    "azure_export": azure,
}


def raw_totals(kind: str, bucket: Path) -> Totals:
    """Sums of costs, each with the 12 decimals that money has."""
    totals: Totals = {}
    for month, currency, text in RAW[kind](bucket):
        n, total = totals.get((month, currency), (0, Decimal(0)))
        totals[month, currency] = (
            n + 1,
            total + Decimal(text).quantize(Decimal("1e-12"), ROUND_HALF_UP),
        )
    return totals


def generate(folder: Path, seed: int) -> None:
    """Bills of all kinds, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda kind: BILLS[kind](seed, folder / kind), BILLS))


@pytest.mark.parametrize("seed", SEEDS)
def test_random_months_add_up_to_their_raw_files(seed: int, tmp_path: Path) -> None:
    generate(tmp_path, seed)
    for kind in BILLS:
        bucket = tmp_path / kind / "bucket"
        wanted = raw_totals(kind, bucket)
        months = load(kind, bucket, tmp_path / f"{kind}-work").values()
        rejected = sum(
            (Counter({k: n}) for m in months for k, n in counted(m).items() if k[0] == "rejected"), Counter()
        )
        frame = pl.concat([facts(m) for m in months if m.rows_loaded])
        found = {
            (month, currency): (n, total)
            for month, currency, n, total in frame.group_by(
                pl.col("BillingPeriodStart").dt.strftime("%Y-%m"), "BillingCurrency"
            )
            .agg(pl.len(), pl.col("BilledCost").sum().alias("total"))
            .iter_rows()
        }
        said = f"seed {seed}, {kind}, files in {bucket}: raw {wanted}, ours {found}, rejected {rejected}"
        assert wanted, said
        assert found == wanted, said
        assert not rejected, said
        native = {(f"{m.slice.period:%Y-%m}", c): t for m in months for c, t in m.totals.items()}
        assert native == {key: total for key, (_, total) in wanted.items()}, said
