"""What deliveries do to what is published: not ready, empty, moved, there twice, restated."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.connectors.aws.exports import export, row
from tests.connectors.bills.deliveries import FORMATS
from tests.connectors.bills.helpers import cur, deliver
from tests.pipelines import small

DATE = ("--date", "2026-11-05")
STATE = (
    """SELECT strftime(period, '%Y-%m'), status, rows_loaded FROM ops.ingests WHERE current ORDER BY period"""
)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    small.write_site(tmp_path)
    return tmp_path


def run(site: Path) -> tuple[int, str]:
    done = small.tierwise("run", "--config", site / "tierwise.yaml", *DATE)
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


def break_november(site: Path) -> None:
    """October grows by 1 USD; November comes half-written."""
    small.write_bill(
        site, "2026-10", [*small.OCTOBER_ROWS, small.row("1", small.OCTOBER, 9, '{"team":"vision"}')]
    )
    (site / "bills" / "2026-11.csv").unlink()
    rows = [small.row(str(n), small.NOVEMBER, 3) for n in range(500)]
    whole = gzip.compress("\n".join([small.HEADER, *rows]).encode())
    (site / "bills" / "2026-11.csv.gz").write_bytes(whole[: len(whole) // 2])


def test_a_half_written_month_of_a_required_source_blocks_and_the_bound_lets_it_pass(site: Path) -> None:
    assert run(site)[0] == 0
    before = small.fingerprint(site)
    break_november(site)
    code, text = run(site)
    assert code == 1
    for words in (
        "not_ready_months is 1; allowed: at most 0",
        "bills 2026-11: ",
        "2026-11.csv.gz",
        "damaged",
    ):
        assert words in text
    assert small.fingerprint(site) == before
    config = site / "tierwise.yaml"
    config.write_text(small.CONFIG + "gates: {not_ready_max_months: 1}\n")
    code, text = run(site)
    assert code == 0, text
    assert small.query(site, STATE) == [("2026-10", "loaded", 4), ("2026-11", "not_ready", 2)]
    assert small.totals(site)["vision"] == "14.600000000000"  # 10.10 + 1 + 5 - 1.50


def test_an_optional_source_publishes_its_other_months_and_says_since_when_one_is_stale(site: Path) -> None:
    (site / "tierwise.yaml").write_text(small.CONFIG.replace("./bills}", "./bills, required: false}"))
    assert run(site)[0] == 0
    break_november(site)
    code, text = run(site)
    assert code == 0, text
    assert "stale_sources is 1" in text
    assert small.totals(site)["vision"] == "14.600000000000"
    asked = "SELECT status, months_not_ready, error, stale_since IS NOT NULL FROM ops.sources"
    [(status, months, error, since)] = small.query(site, asked)
    assert (status, months, since) == ("stale", 1, True)
    assert str(error).startswith("2026-11: ")
    assert "stale since" in (site / "data" / "statements" / "2026-10" / "vision.html").read_text().lower()
    (site / "bills" / "2026-11.csv.gz").unlink()
    small.write_bill(site, "2026-11", [small.row("7", small.NOVEMBER, 3, '{"team":"vision"}')])
    assert run(site)[0] == 0
    assert small.totals(site)["vision"] == "18.100000000000"  # 10.10 + 1 + 7
    assert small.query(site, "SELECT status, months_not_ready, error FROM ops.sources") == [("ok", 0, None)]


def test_a_file_damaged_further_on_holds_back_its_month_only(site: Path) -> None:
    """The months are found, the rows cannot be read: that shows only when the file is loaded."""
    (site / "tierwise.yaml").write_text(small.CONFIG + "gates: {not_ready_max_months: 1}\n")
    file = small.write_bill(site, "2026-11", small.NOVEMBER_ROWS)
    file.write_text(file.read_text() + "1,2\n")
    code, text = run(site)
    assert code == 0, text
    assert small.query(site, STATE) == [("2026-10", "loaded", 3)]
    [(error,)] = small.query(site, "SELECT error FROM ops.sources")
    assert "2026-11.csv" in str(error)


def test_a_month_that_a_manifest_delivers_without_rows_becomes_empty(tmp_path: Path) -> None:
    form = FORMATS["azure, runs"]
    (tmp_path / "tierwise.yaml").write_text(small.CONFIG.replace("kind: focus", f"kind: {form.kind}"))
    bills = tmp_path / "bills"
    form.deliver(bills, "2026-09", ["4"], 1)
    form.deliver(bills, "2026-10", ["2", "3"], 1)
    assert run(tmp_path)[0] == 0
    form.deliver(bills, "2026-10", [], 2)  # a header
    assert run(tmp_path)[0] == 0
    assert small.query(tmp_path, STATE) == [("2026-09", "loaded", 1), ("2026-10", "loaded", 0)]
    assert small.query(tmp_path, "SELECT sum(BilledCost)::TEXT FROM focus.cost_and_usage") == [
        ("4.000000000000",)
    ]
    form.deliver(bills, "2026-10", ["3"], 3)
    assert run(tmp_path)[0] == 0
    manifest = bills / "exports/daily/20261001-20261031/202611040100/run/manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"blobs": [], "dataRowCount": 0}))  # not even a header
    assert run(tmp_path)[0] == 0
    assert small.query(tmp_path, "SELECT sum(BilledCost)::TEXT FROM focus.cost_and_usage") == [
        ("4.000000000000",)
    ]
    asked = "SELECT changes FROM ops.ingests WHERE current AND strftime(period, '%Y-%m') = '2026-10'"
    [(changes,)] = small.query(tmp_path, asked)
    (change,) = json.loads(str(changes))
    assert (change["billed_cost_before"], change["billed_cost_after"]) == ("3.000000000000", "0.000000000000")


def test_a_month_without_rows_and_without_manifest_stays_and_is_warned_of(site: Path) -> None:
    """A file cut after its header looks the same, so nothing is taken away on its word."""
    assert run(site)[0] == 0
    small.write_bill(site, "2026-11", [])
    code, text = run(site)
    assert code == 0, text
    assert "kept_months is 1" in text
    assert small.totals(site)["vision"] == "13.600000000000"


def test_charges_that_moved_to_another_month_are_warned_of_with_their_money(site: Path) -> None:
    """October's file is gone and its 10.10 and 20.20 are billed in November now; 0.000000000001 is not."""
    assert run(site)[0] == 0
    (site / "bills" / "2026-10.csv").unlink()
    billed = [
        line.replace(",".join(small.OCTOBER), ",".join(small.NOVEMBER)) for line in small.OCTOBER_ROWS[:2]
    ]
    small.write_bill(site, "2026-11", [*small.NOVEMBER_ROWS, *billed])
    code, text = run(site)
    assert code == 0, text
    assert "kept_months is 1" in text
    assert "of bills 2026-10, USD 30.30 is billed in another month, too" in text


def test_the_same_bill_twice_with_one_byte_more_is_warned_of_with_the_money(site: Path) -> None:
    file = site / "bills" / "2026-11.csv"
    (site / "bills" / "copy.csv").write_text(file.read_text() + "\n")
    code, text = run(site)
    assert code == 0, text
    assert "repeated_rows is 2" in text
    assert "copy.csv hold the same rows, 2 rows, USD 3.500000000000" in text


def test_a_month_so_far_beside_a_later_one_is_not_published(site: Path) -> None:
    """Ten times the two charges of November are 20 rows, 35 USD: 10 x 3.50."""
    small.write_bill(site, "2026-11", small.NOVEMBER_ROWS * 10)
    (site / "bills" / "later.csv").write_text((site / "bills" / "2026-11.csv").read_text() + "\n")
    code, text = run(site)
    assert code == 1, text
    assert "repeated_bill is 20; allowed: at most 0" in text
    assert "later.csv hold the same rows, 20 rows, USD 35.000000000000" in text


def test_an_earlier_version_of_a_restated_month_can_be_asked_for(site: Path) -> None:
    assert run(site)[0] == 0
    [(first,)] = small.query(site, "SELECT run_id FROM ops.publications")
    small.write_bill(
        site, "2026-10", [small.row("1", small.OCTOBER, 1), small.row("4", small.OCTOBER, 2, service="Tax")]
    )
    assert run(site)[0] == 0
    config = ("--config", site / "tierwise.yaml", "--format", "csv")
    asked = "SELECT sum(BilledCost) AS cost FROM focus.cost_and_usage WHERE x_billing_month = '2026-10-01'"
    assert small.tierwise("sql", asked, *config).stdout == "cost\n5.000000000000\n"
    done = small.tierwise("sql", asked, "--publication", first, *config)
    assert done.stdout == "cost\n30.300000000001\n"
    done = small.tierwise("sql", asked, "--publication", "nobody", *config)
    assert done.returncode == 1
    assert f"there are {first}" in done.stderr
    # what it was and is, by service and account, is in the log for good
    [(changes,)] = small.query(site, "SELECT changes FROM ops.ingests WHERE changes IS NOT NULL")
    assert [
        (c["service_name"], c["sub_account"], c["rows_before"], c["rows_after"], c["billed_cost_before"], c["billed_cost_after"])
        for c in json.loads(str(changes))
    ] == [
        ("Compute Engine", "sub-1", 3, 1, "30.300000000001", "1.000000000000"),
        ("Tax", "sub-1", 0, 1, "0.000000000000", "4.000000000000"),
    ]  # fmt: skip


def test_an_account_in_a_legacy_report_and_in_cur_2_blocks_until_one_of_them_is_gone(tmp_path: Path) -> None:
    (tmp_path / "tierwise.yaml").write_text(
        "sources:\n  old: {kind: aws_cur, location: ./old}\n  new: {kind: aws_cur2, location: ./new}\n"
    )
    deliver(tmp_path / "old", "a1", {"gpu-1.csv.gz": [cur()]})
    export(tmp_path / "new", {"gpu-1.csv.gz": [row()]})
    code, text = run(tmp_path)
    assert code == 1
    said = "account 000111122224 in 2026-09 by old and new, USD 10.00 in old"
    assert f"accounts_billed_twice is 1; allowed: at most 0 ({said})" in text
    assert not (tmp_path / "data" / "warehouse.duckdb").exists()
    export(tmp_path / "new", {"gpu-1.csv.gz": [row(line_item_usage_account_id="000111122225")]})
    code, text = run(tmp_path)
    assert code == 0, text
