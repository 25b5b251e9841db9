"""Differential test: our totals of random bills of AWS, GCP and Azure against sums over the raw files.

The sums are made by csv, json and Decimal alone, by month and currency. TIERWISE_NISE_SEEDS sets how many seeds.
"""

from __future__ import annotations

import ast
import csv
import gzip
import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest

from tests.connectors.bills.helpers import counted, facts, load
from tests.pipelines import small
from tests.services.nise import BILLS

pytestmark = pytest.mark.service

SEEDS = range(int(os.environ.get("TIERWISE_NISE_SEEDS") or 20))
IN_A_RUN = range(1000, 1002)


class Charge(NamedTuple):
    """A cost as it stands in a file.

    Attributes:
        month: YYYY-MM.
        currency: Billing currency.
        cost: Text.
        aside: The bill does not say what the charge costs effectively: the row is rejected, and counted as such.
    """

    month: str
    currency: str
    cost: str
    aside: bool = False


Totals = dict[tuple[str, str], tuple[int, Decimal]]
"""(month, currency) -> charges and their sum."""


def aws(bucket: Path) -> Iterator[Charge]:
    """Of each month, the files that its top manifest names.

    koku-nise leaves empty what a plan has cost where it was used, which AWS fills on such rows.
    """
    for manifest in bucket.rglob("????????-????????/*-Manifest.json"):
        for key in json.loads(manifest.read_text())["reportKeys"]:
            with gzip.open(bucket / key.lstrip("/"), "rt", encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    needed = NEEDED.get(row["lineItem/LineItemType"])
                    yield Charge(
                        row["bill/BillingPeriodStartDate"][:7],
                        row["lineItem/CurrencyCode"],
                        row["lineItem/UnblendedCost"],
                        aside=needed is not None and not row[needed],
                    )


NEEDED = {"SavingsPlanCoveredUsage": "savingsPlan/SavingsPlanEffectiveCost"}
"""lineItem/LineItemType -> the column without which its effective cost is unknown."""


def gcp(bucket: Path) -> Iterator[Charge]:
    """Costs, and credits other than 0 as charges of their own; CSV has them as Python writes a list."""
    for path in bucket.glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                credits = ast.literal_eval(row["credits"])
                yield from _with_credits(row["invoice.month"], row["currency"], row["cost"], credits)
    for path in bucket.glob("*.json"):
        for line in path.read_text().splitlines():
            row = json.loads(line, parse_float=str, parse_int=str)
            yield from _with_credits(row["invoice"]["month"], row["currency"], row["cost"], [row["credits"]])


def _with_credits(month: str, currency: str, cost: str, credits: list[dict[str, object]]) -> Iterator[Charge]:
    month = f"{month[:4]}-{month[4:]}"
    yield Charge(month, currency, cost)
    for credit in credits:
        if Decimal(str(credit["amount"])):
            yield Charge(month, currency, str(credit["amount"]))


def azure(bucket: Path) -> Iterator[Charge]:
    """All files."""
    for path in bucket.rglob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                currency = row.get("BillingCurrency") or row["BillingCurrencyCode"]
                yield Charge(row["BillingPeriodStartDate"][:7], currency, row["CostInBillingCurrency"])


RAW = {"aws_cur": aws, "gcp_billing_export": gcp, "azure_export": azure}


def add_up(charges: Iterable[Charge]) -> Totals:
    """Sums of costs, each with the 12 decimals that money has."""
    totals: Totals = {}
    for c in charges:
        n, total = totals.get((c.month, c.currency), (0, Decimal(0)))
        cost = Decimal(c.cost).quantize(Decimal("1e-12"), ROUND_HALF_UP)
        totals[c.month, c.currency] = (n + 1, total + cost)
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
        charges = list(RAW[kind](bucket))
        months = load(kind, bucket, tmp_path / f"{kind}-work").values()
        native = {(f"{m.slice.period:%Y-%m}", c): t for m in months for c, t in m.totals.items()}
        rejected = sum(n for m in months for (action, _, _), n in counted(m).items() if action == "rejected")
        found: Totals = {}
        for m in months:
            if m.rows_loaded:
                sums = facts(m).group_by("BillingPeriodStart", "BillingCurrency")
                cells = sums.agg(pl.len(), pl.col("BilledCost").sum().alias("total"))
                found |= {(f"{month:%Y-%m}", c): (n, total) for month, c, n, total in cells.iter_rows()}
        kept = add_up(c for c in charges if not c.aside)
        said = f"seed {seed}, {kind}, files in {bucket}:\nraw  {kept}\nours {found}\nissues {list(map(counted, months))}"
        assert charges, said
        assert found == kept, said
        assert rejected == sum(c.aside for c in charges), said
        assert native == {key: total for key, (_, total) in add_up(charges).items()}, said


def test_a_seed_always_gives_the_same_files(tmp_path: Path) -> None:
    written = []
    for name in ("a", "b"):
        generate(tmp_path / name, 3)
        files = [f for f in (tmp_path / name).rglob("bucket/**/*") if f.suffix in (".csv", ".json", ".gz")]
        written.append(
            {
                str(f.relative_to(tmp_path / name)): gzip.decompress(f.read_bytes())
                if f.suffix == ".gz"
                else f.read_bytes()
                for f in files
                if "Manifest" not in f.name
            }
        )
    assert written[0] == written[1]
    assert len({name.split("/")[0] for name in written[0]}) == 3


def test_bills_of_all_providers_in_one_ledger(tmp_path: Path) -> None:
    lines = ["data_dir: ./data", "gates: {quarantine_max_share: 1}", "sources:"]
    wanted: dict[tuple[str, str, str], tuple[int, Decimal]] = {}
    for seed in IN_A_RUN:
        generate(tmp_path / str(seed), seed)
        for kind in BILLS:
            bucket = tmp_path / str(seed) / kind / "bucket"
            lines.append(f"  {kind}_{seed}: {{kind: {kind}, location: {bucket}}}")
            kept = add_up(c for c in RAW[kind](bucket) if not c.aside)
            wanted |= {(f"{kind}_{seed}", *key): total for key, total in kept.items()}
    (tmp_path / "tierwise.yaml").write_text("\n".join(lines))
    done = small.tierwise("run", "--config", tmp_path / "tierwise.yaml", "--date", "2026-01-31")
    assert done.returncode == 0, done.stdout + done.stderr
    found = small.query(
        tmp_path,
        "SELECT x_source, strftime(BillingPeriodStart, '%Y-%m'), BillingCurrency, count(*), sum(BilledCost) "
        "FROM focus.cost_and_usage GROUP BY ALL",
    )
    assert {row[:3]: row[3:] for row in found} == wanted
    ledger = small.query(
        tmp_path,
        "SELECT source, strftime(billing_month, '%Y-%m'), currency, sum(billed_cost) "
        "FROM marts.chargeback_daily GROUP BY ALL",
    )
    assert {row[:3]: row[3] for row in ledger} == {key: total for key, (_, total) in wanted.items()}
