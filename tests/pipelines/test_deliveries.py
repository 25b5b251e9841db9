"""What deliveries do to what is published: not ready, empty, moved, there twice, restated.

One site with a source for each, and the runs of six days; a test looks at what its source was after a run.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from tests.connectors.aws.exports import export, row
from tests.connectors.bills.deliveries import FORMATS
from tests.connectors.bills.helpers import cur, deliver
from tests.pipelines import small

pytestmark = pytest.mark.long

AZURE = FORMATS["azure, runs"]
FOCUS = ("required", "optional", "further", "header", "moved", "twice", "later", "restated")
CONFIG = f"""
data_dir: ./data
publish: {{keep: 9}}
sources:
  azure: {{kind: {AZURE.kind}, location: ./azure}}
  old: {{kind: aws_cur, location: ./old}}
  new: {{kind: aws_cur2, location: ./new}}
"""
VISION = '{"team":"vision"}'


@dataclass(frozen=True)
class Day:
    """One run, and what was published after it."""

    code: int
    text: str
    published: Path

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """Rows of a query on the warehouse that was published then."""
        with duckdb.connect(str(self.published / "warehouse.duckdb"), read_only=True) as connection:
            found: list[tuple[object, ...]] = connection.execute(sql).fetchall()
            return found

    def months(self, source: str) -> list[tuple[object, ...]]:
        return self.query(
            f"""SELECT strftime(period, '%Y-%m'), status, rows_loaded FROM ops.ingests
                WHERE current AND source = '{source}' ORDER BY period"""
        )

    def vision(self, source: str) -> str:
        sql = (
            "SELECT sum(effective_cost)::TEXT FROM marts.chargeback_daily WHERE team = 'vision' AND source = "
        )
        return str(self.query(f"{sql}'{source}'")[0][0])

    def billed(self, source: str) -> str:
        sql = "SELECT sum(BilledCost)::TEXT FROM focus.cost_and_usage WHERE x_source = "
        return str(self.query(f"{sql}'{source}'")[0][0])


@dataclass(frozen=True)
class Days:
    """The runs, in order.

    Attributes:
        site: The folder.
        refused: A bill that is there twice, and an account that two reports bill.
        first: These are mended.
        blocked: Months of three sources are broken, and two of these are required.
        second: The bound of the gate lets two months pass.
        third: What was broken is delivered again.
        fourth: A manifest of Azure names no file.
    """

    site: Path
    refused: Day
    first: Day
    blocked: Day
    second: Day
    third: Day
    fourth: Day


def write_config(site: Path, more: str = "") -> None:
    sources = "".join(
        f"  {n}: {{kind: focus, location: ./{n}/bills{', required: false' * (n == 'optional')}}}\n"
        for n in FOCUS
    )
    (site / "tierwise.yaml").write_text(CONFIG + sources + more)


def run(site: Path) -> Day:
    done = small.tierwise("run", "--config", site / "tierwise.yaml", "--date", "2026-11-05")
    assert "Traceback" not in done.stdout + done.stderr
    return Day(done.returncode, done.stdout + done.stderr, (site / "data" / "current").resolve())


def break_november(folder: Path) -> None:
    """October grows by 1 USD; November comes half-written."""
    small.write_bill(folder, "2026-10", [*small.OCTOBER_ROWS, small.row("1", small.OCTOBER, 9, VISION)])
    (folder / "bills" / "2026-11.csv").unlink()
    rows = [small.row(str(n), small.NOVEMBER, 3) for n in range(500)]
    whole = gzip.compress("\n".join([small.HEADER, *rows]).encode())
    (folder / "bills" / "2026-11.csv.gz").write_bytes(whole[: len(whole) // 2])


def mend_november(folder: Path) -> None:
    (folder / "bills" / "2026-11.csv.gz").unlink()
    small.write_bill(folder, "2026-11", [small.row("7", small.NOVEMBER, 3, VISION)])


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Days:
    site = tmp_path_factory.mktemp("deliveries")
    for name in FOCUS:
        small.write_site(site / name)
    write_config(site)
    AZURE.deliver(site / "azure", "2026-09", ["4"], 1)
    AZURE.deliver(site / "azure", "2026-10", ["2", "3"], 1)
    for name, days in (("2026-11", (5, 6)), ("alike", (7, 8, 9))):
        others = [small.row("1", small.NOVEMBER, day) for day in days]
        small.write_bill(site / "twice", name, [small.NOVEMBER_ROWS[0], *others])
    later = site / "later" / "bills" / "2026-11.csv"
    later.with_name("later.csv").write_text(later.read_text() + "\n")
    october = later.with_name("2026-10.csv")
    october.write_text(october.read_text() + "Total,30.32\n")
    deliver(site / "old", "a1", {"gpu-1.csv.gz": [cur()]})
    export(site / "new", {"gpu-1.csv.gz": [row()]})
    refused = run(site)
    assert not (site / "data" / "warehouse.duckdb").exists()

    later.with_name("later.csv").unlink()
    october.write_text(october.read_text().replace("30.32", "30.30"))
    export(site / "new", {"gpu-1.csv.gz": [row(line_item_usage_account_id="000111122225")]})
    first = run(site)
    assert first.code == 0, first.text
    before = small.fingerprint(site)

    break_november(site / "required")
    break_november(site / "optional")
    # the months are found, the rows cannot be read: that shows only when the file is loaded
    further = site / "further" / "bills" / "2026-11.csv"
    further.write_text(further.read_text() + "1,2\n")
    AZURE.deliver(site / "azure", "2026-10", [], 2)  # a header
    small.write_bill(site / "header", "2026-11", [])
    moved = site / "moved" / "bills"
    (moved / "2026-10.csv").unlink()
    billed = [x.replace(",".join(small.OCTOBER), ",".join(small.NOVEMBER)) for x in small.OCTOBER_ROWS[:2]]
    small.write_bill(site / "moved", "2026-11", [*small.NOVEMBER_ROWS, *billed])
    restated = [small.row("1", small.OCTOBER, 1), small.row("4", small.OCTOBER, 2, service="Tax")]
    small.write_bill(site / "restated", "2026-10", restated)
    blocked = run(site)
    assert small.fingerprint(site) == before

    write_config(site, "gates: {not_ready_max_months: 2}\n")
    second = run(site)
    assert second.code == 0, second.text

    mend_november(site / "required")
    mend_november(site / "optional")
    AZURE.deliver(site / "azure", "2026-10", ["3"], 3)
    third = run(site)
    assert third.code == 0, third.text

    manifest = site / "azure/exports/daily/20261001-20261031/202611040100/run/manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"blobs": [], "dataRowCount": 0}))  # not even a header
    fourth = run(site)
    assert fourth.code == 0, fourth.text
    return Days(site, refused, first, blocked, second, third, fourth)


def test_a_half_written_month_of_a_required_source_blocks_and_the_bound_lets_it_pass(days: Days) -> None:
    assert days.blocked.code == 1
    assert "not_ready_months is 2; allowed: at most 0" in days.blocked.text  # the optional one is not counted
    for words in ("required 2026-11: ", "2026-11.csv.gz", "damaged"):
        assert words in days.blocked.text
    assert days.second.months("required") == [("2026-10", "loaded", 4), ("2026-11", "not_ready", 2)]
    assert days.second.vision("required") == "14.600000000000"  # 10.10 + 1 + 5 - 1.50


def test_an_optional_source_publishes_its_other_months_and_says_since_when_one_is_stale(days: Days) -> None:
    assert "stale_sources is 3" in days.second.text
    assert days.second.vision("optional") == "14.600000000000"
    asked = "SELECT status, months_not_ready, error, stale_since IS NOT NULL FROM ops.sources WHERE source = 'optional'"
    [(status, months, error, since)] = days.second.query(asked)
    assert (status, months, since) == ("stale", 1, True)
    assert str(error).startswith("2026-11: ")
    page = days.second.published / "statements" / "2026-10" / "vision.html"
    assert "stale since" in page.read_text().lower()
    assert days.third.vision("optional") == "18.100000000000"  # 10.10 + 1 + 7
    asked = "SELECT status, months_not_ready, error FROM ops.sources WHERE source IN ('optional', 'required')"
    assert days.third.query(asked) == [("ok", 0, None)] * 2


def test_a_file_damaged_further_on_holds_back_its_month_only(days: Days) -> None:
    assert days.second.months("further") == [("2026-10", "loaded", 3), ("2026-11", "not_ready", 2)]
    [(error,)] = days.second.query("SELECT error FROM ops.sources WHERE source = 'further'")
    assert "2026-11.csv" in str(error)


def test_a_month_that_a_manifest_delivers_without_rows_becomes_empty(days: Days) -> None:
    assert days.first.billed("azure") == "9.000000000000"
    assert days.second.months("azure") == [("2026-09", "loaded", 1), ("2026-10", "loaded", 0)]
    assert days.second.billed("azure") == "4.000000000000"
    assert days.third.billed("azure") == "7.000000000000"
    assert days.fourth.billed("azure") == "4.000000000000"
    asked = "SELECT changes FROM ops.ingests WHERE current AND source = 'azure' AND strftime(period, '%Y-%m') = '2026-10'"
    [(changes,)] = days.fourth.query(asked)
    (change,) = json.loads(str(changes))
    assert (change["billed_cost_before"], change["billed_cost_after"]) == ("3.000000000000", "0.000000000000")


def test_a_month_without_rows_and_without_manifest_stays_and_is_warned_of(days: Days) -> None:
    """A file cut after its header looks the same, so nothing is taken away on its word."""
    assert "kept_months is 2" in days.second.text
    assert "header 2026-11" in days.second.text
    assert days.second.months("header")[1] == ("2026-11", "kept", 2)
    assert days.second.vision("header") == "13.600000000000"


def test_charges_that_moved_to_another_month_are_warned_of_with_their_money(days: Days) -> None:
    """October's file is gone and its 10.10 and 20.20 are billed in November now; 0.000000000001 is not."""
    assert "kept_months is 2" in days.second.text
    assert "of moved 2026-10, USD 30.30 is billed in another month, too" in days.second.text


def test_a_charge_that_two_files_hold_is_warned_of_with_the_money(days: Days) -> None:
    """One of three charges, and of four."""
    assert "repeated_rows is 1" in days.first.text
    assert "alike.csv hold the same rows, 1 rows, USD 5.000000000000" in days.first.text


def test_a_month_so_far_beside_a_later_one_is_not_published(days: Days) -> None:
    """The two charges of November, 5 - 1.50 = 3.50 USD, in a file with one byte more."""
    assert days.refused.code == 1
    assert "repeated_bill is 2; allowed: at most 0" in days.refused.text
    assert "later.csv hold the same rows, 2 rows, USD 3.500000000000" in days.refused.text


def test_a_total_that_its_rows_do_not_have_stops_the_publication(days: Days) -> None:
    """10.10 + 20.20 + 0.000000000001 are 30.30 as the total is written, not 30.32."""
    assert "contradicted_totals is 1; allowed: at most 0" in days.refused.text
    assert "2026-10.csv: Total,30.32: the rows are USD 30.300000000001" in days.refused.text
    assert "contradicted_totals" not in days.first.text


def test_an_earlier_version_of_a_restated_month_can_be_asked_for(days: Days) -> None:
    [(first,)] = days.first.query("SELECT run_id FROM ops.publications")
    config = ("--config", days.site / "tierwise.yaml", "--format", "csv")
    asked = "SELECT sum(BilledCost) AS cost FROM focus.cost_and_usage WHERE x_source = 'restated' AND x_billing_month = '2026-10-01'"
    assert small.tierwise("sql", asked, *config).stdout == "cost\n5.000000000000\n"
    done = small.tierwise("sql", asked, "--publication", str(first), *config)
    assert done.stdout == "cost\n30.300000000001\n"
    done = small.tierwise("sql", asked, "--publication", "nobody", *config)
    assert done.returncode == 1
    assert f"there are {first}" in done.stderr
    # what it was and is, by service and account, is in the log for good
    logged = "SELECT changes FROM ops.ingests WHERE source = 'restated' AND changes IS NOT NULL"
    [(changes,)] = days.fourth.query(logged)
    assert [
        (c["service_name"], c["sub_account"], c["rows_before"], c["rows_after"], c["billed_cost_before"], c["billed_cost_after"])
        for c in json.loads(str(changes))
    ] == [
        ("Compute Engine", "sub-1", 3, 1, "30.300000000001", "1.000000000000"),
        ("Tax", "sub-1", 0, 1, "0.000000000000", "4.000000000000"),
    ]  # fmt: skip


def test_an_account_in_a_legacy_report_and_in_cur_2_blocks_until_one_of_them_is_gone(days: Days) -> None:
    said = "account 000111122224 in 2026-09 by old and new, USD 10.00 in old"
    assert f"accounts_billed_twice is 1; allowed: at most 0 ({said})" in days.refused.text
    assert days.first.code == 0
