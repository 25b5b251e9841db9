"""A small site for tests of the whole run: two months of a hand-made FOCUS bill, known to the cent."""

from __future__ import annotations

import hashlib
import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import duckdb

from pipelines import cli

HEADER = (
    "BilledCost,EffectiveCost,ListCost,ContractedCost,BillingCurrency,BillingAccountId,BillingPeriodStart,BillingPeriodEnd,"
    "ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ChargeDescription,ProviderName,PublisherName,InvoiceIssuerName,"
    "ServiceCategory,ServiceName,SubAccountId,ResourceId,ConsumedQuantity,ConsumedUnit,Tags"
)
OCTOBER = ("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z")
NOVEMBER = ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")


def row(
    cost: str,
    month: tuple[str, str],
    day: int,
    tags: str = "",
    currency: str = "USD",
    service: str = "Compute Engine",
) -> str:
    """One charge of one day."""
    ym = month[0][:8]
    text = tags.replace('"', '""')
    return (
        f"{cost},{cost},{cost},{cost},{currency},acct-1,{month[0]},{month[1]},{ym}{day:02d}T00:00:00Z,{ym}{day:02d}T12:00:00Z,Usage,"
        f'instance hours,Cloud One,Cloud One,Cloud One,Compute,{service},sub-1,res-{day},1,Hours,"{text}"'
    )


OCTOBER_ROWS = [
    row("10.10", OCTOBER, 1, '{"team":"vision","workload":"train"}'),
    row("20.20", OCTOBER, 2, '{"team":"assist"}'),
    row("0.000000000001", OCTOBER, 2),
]
"""30.300000000001 USD: vision 10.10, assist 20.20, untagged 0.000000000001."""

NOVEMBER_ROWS = [row("5", NOVEMBER, 3, '{"team":"vision"}'), row("-1.5", NOVEMBER, 4, '{"team":"vision"}')]
"""3.50 USD."""

CONFIG = """
data_dir: ./data
sources:
  bills: {kind: focus, location: ./bills}
"""


def write_site(folder: Path, config: str = CONFIG) -> Path:
    """Writes bills and configuration; returns the configuration file."""
    write_bill(folder, "2026-10", OCTOBER_ROWS)
    write_bill(folder, "2026-11", NOVEMBER_ROWS)
    file = folder / "tierwise.yaml"
    file.write_text(config)
    return file


def write_bill(folder: Path, name: str, rows: list[str]) -> Path:
    """Writes one bill."""
    (folder / "bills").mkdir(parents=True, exist_ok=True)
    file = folder / "bills" / f"{name}.csv"
    file.write_text("\n".join([HEADER, *rows]) + "\n")
    return file


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def tierwise(*arguments: str | Path) -> Done:
    """Runs the command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            cli.app([str(a) for a in arguments], prog_name="tierwise")
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        else:
            code = 0
    return Done(code, out.getvalue(), err.getvalue())


def totals(folder: Path) -> dict[str, str]:
    """Team -> effective cost of everything published, as exact text."""
    return {
        t: f"{c:f}"
        for t, c in query(
            folder, "SELECT team, sum(effective_cost) FROM marts.chargeback_daily GROUP BY team ORDER BY team"
        )
    }


def query(folder: Path, sql: str) -> list[tuple[object, ...]]:
    """Rows of a query on the published warehouse."""
    with duckdb.connect(str((folder / "data" / "warehouse.duckdb").resolve()), read_only=True) as connection:
        found: list[tuple[object, ...]] = connection.execute(sql).fetchall()
        return found


def fingerprint(folder: Path) -> str:
    """A hash over every byte that is published: warehouse, statements, and the facts behind the views."""
    digest = hashlib.sha256()
    current = (folder / "data" / "current").resolve()
    for file in sorted(f for f in current.rglob("*") if f.is_file()):
        digest.update(str(file.relative_to(current)).encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()
