"""What a later run makes of inputs that changed: it reads these alone, and all else stays as it was published."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from tests.pipelines import small

pytestmark = pytest.mark.long

BILLS = ("grows", "vanishes", "restated", "foreign")
OTHER = "  other: {kind: focus, location: ./other/bills, required: %s}\n"
TEAMS = "SELECT sum(effective_cost)::TEXT FROM marts.chargeback_daily WHERE source = '%s' AND team = '%s'"
MONEY = (
    "SELECT sum(effective_cost)::TEXT FROM marts.chargeback_daily WHERE currency = 'USD'",
    """SELECT sum(EffectiveCost)::TEXT FROM focus.cost_and_usage WHERE "BillingCurrency" = 'USD'""",
)


@dataclass(frozen=True)
class Runs:
    """Four runs, the second of which is refused, and the third with what is published by the second to last.

    Attributes:
        site: The folder.
        published: Bytes of what is published before and after the refused run.
        refused: What it said: a required source is not there.
        changed: What the third said: that source is optional now, and every other one has changed.
        reader: What one connection, opened before the third run, read before and after it.
        third: Facts of what the third published.
        limited: Source total of `grows` by month after the fourth run, which was for October alone.
    """

    site: Path
    published: tuple[str, str]
    refused: str
    changed: str
    reader: tuple[list[str], list[str]]
    third: Path
    limited: list[tuple[object, ...]]

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """Rows of a query on what the third run published."""
        with duckdb.connect(str(self.third / "warehouse.duckdb"), read_only=True) as connection:
            found: list[tuple[object, ...]] = connection.execute(sql).fetchall()
            return found


def write_config(site: Path, required: str) -> None:
    sources = "".join(f"  {n}: {{kind: focus, location: ./{n}/bills}}\n" for n in BILLS)
    text = f"data_dir: ./data\nrates: ./rates.csv\nsources:\n{sources}"
    (site / "tierwise.yaml").write_text(text + OTHER % required)


def run(site: Path, code: int, *day: str) -> str:
    done = small.tierwise("run", "--config", site / "tierwise.yaml", *(day or ("--date", "2026-11-05")))
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    site = tmp_path_factory.mktemp("changes")
    for name in (*BILLS, "other"):
        small.write_site(site / name)
    foreign = [
        small.row("10", small.OCTOBER, 1, currency="EUR"),
        small.row("1000", small.OCTOBER, 1, currency="JPY"),
    ]
    small.write_bill(site / "foreign", "2026-10", [*foreign, small.row("2", small.OCTOBER, 1)])
    (site / "rates.csv").write_text("date,currency,rate\n2026-09-30,EUR,1.10\n2026-10-02,EUR,1.50\n")
    write_config(site, "true")
    run(site, 0)
    before = small.fingerprint(site)

    for file in (site / "other" / "bills").iterdir():
        file.unlink()
    (site / "other" / "bills").rmdir()
    refused = run(site, 1)
    after = small.fingerprint(site)

    write_config(site, "false")
    more = small.row("1", small.NOVEMBER, 5, '{"team":"assist"}')
    small.write_bill(site / "grows", "2026-11", [*small.NOVEMBER_ROWS, more])
    (site / "vanishes" / "bills" / "2026-10.csv").unlink()
    tax = small.row("0.25", small.NOVEMBER, 4, service="Tax")
    small.write_bill(site / "restated", "2026-11", [small.NOVEMBER_ROWS[0], tax])
    with duckdb.connect(str(site / "data" / "warehouse.duckdb"), read_only=True) as reader:
        first = [reader.execute(sql).fetchall()[0][0] for sql in MONEY]
        changed = run(site, 0)
        second = [reader.execute(sql).fetchall()[0][0] for sql in MONEY]
    third = (site / "data" / "current").resolve()

    small.write_bill(site / "grows", "2026-10", small.OCTOBER_ROWS[:2])
    small.write_bill(site / "grows", "2026-11", small.NOVEMBER_ROWS[:1])
    run(site, 0, "--month", "2026-10")
    limited = small.query(
        site, "SELECT source_total::TEXT FROM ops.reconciliation WHERE source = 'grows' ORDER BY month"
    )
    return Runs(site, (before, after), refused, changed, (first, second), third, limited)


def test_only_the_changed_months_are_read(runs: Runs) -> None:
    assert "2 slices were new" in runs.changed  # November of `grows` and of `restated`
    assert runs.query(TEAMS % ("grows", "assist")) == [("21.200000000000",)]
    log = runs.query(
        "SELECT strftime(period, '%Y-%m'), current FROM ops.ingests WHERE source = 'grows' ORDER BY read_at, period"
    )
    assert log == [("2026-10", True), ("2026-11", False), ("2026-11", True)]


def test_a_month_that_vanishes_from_the_source_stays(runs: Runs) -> None:
    assert runs.query(TEAMS % ("vanishes", "assist")) == [("20.200000000000",)]


def test_required_source_blocks_and_optional_one_is_stale(runs: Runs) -> None:
    assert "other" in runs.refused
    assert runs.published[0] == runs.published[1]
    status = runs.query(
        "SELECT status, stale_since IS NOT NULL, error IS NOT NULL FROM ops.sources WHERE source = 'other'"
    )
    assert status == [("stale", True, True)]
    assert runs.query(TEAMS % ("other", "assist")) == [("20.200000000000",)]  # its earlier figures stand
    page = runs.third / "statements" / "2026-10" / "assist.html"
    assert "stale since" in page.read_text().lower()


def test_open_reader_neither_blocks_nor_is_disturbed(runs: Runs) -> None:
    """33.800000000001 of four sources, 5.50 of the foreign one; then 1 more, and 5.25 in place of 3.50."""
    before, after = runs.reader
    assert before == after == ["140.700000000004"] * 2
    assert [runs.query(sql) for sql in MONEY] == [[("143.450000000004",)]] * 2


def test_month_limits_what_is_read(runs: Runs) -> None:
    assert runs.limited == [("30.300000000000",), ("4.500000000000",)]  # November stays as published


def test_restatement_says_what_changed_by_service_and_account(runs: Runs) -> None:
    """November was 5 - 1.50 in two rows; the new delivery has 5 and 0.25 of another service."""
    logged = "SELECT changes FROM ops.ingests WHERE source = 'restated' AND current AND strftime(period, '%Y-%m') = "
    [(changes,)] = runs.query(f"{logged}'2026-11'")
    found = [
        (c["service_name"], c["sub_account"], c["rows_before"], c["rows_after"])
        for c in json.loads(str(changes))
    ]
    assert found == [("Compute Engine", "sub-1", 2, 1), ("Tax", "sub-1", 0, 1)]
    amounts = [(c["billed_cost_before"], c["billed_cost_after"]) for c in json.loads(str(changes))]
    assert amounts == [("3.500000000000", "5.000000000000"), ("0.000000000000", "0.250000000000")]
    assert runs.query(f"{logged}'2026-10'") == [(None,)]


def test_other_currencies_are_converted_beside_the_original(runs: Runs) -> None:
    """10 EUR on 1 October at 1.10 are 11 USD; 1,000 JPY have no rate; dollars are themselves."""
    found = runs.query(
        """SELECT currency, effective_cost::TEXT, converted_cost::TEXT, unconverted_cost::TEXT FROM marts.chargeback_monthly
           WHERE strftime(month, '%Y-%m') = '2026-10' AND source = 'foreign' ORDER BY currency"""
    )
    assert found == [
        ("EUR", "10.000000000000", "11.000000000000", "0.000000000000"),
        ("JPY", "1000.000000000000", None, "1000.000000000000"),
        ("USD", "2.000000000000", "2.000000000000", "0.000000000000"),
    ]
