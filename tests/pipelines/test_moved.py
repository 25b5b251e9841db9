"""A data folder that is moved is published anew from where it is; published charges never vanish with their files."""

from __future__ import annotations

import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from tests.pipelines import small

pytestmark = pytest.mark.long

DATE = ("--date", "2026-11-05")
TOTALS = {"assist": "20.200000000000", "untagged": "0.000000000001", "vision": "13.600000000000"}
"""October: 10.10, 20.20 and 0.000000000001; November: 5 - 1.5."""


def run(site: Path) -> small.Done:
    return small.tierwise("run", "--config", site / "tierwise.yaml", *DATE)


def billed(site: Path) -> Decimal:
    """Of the line items, which are read from the facts' files."""
    ((total,),) = small.query(site, "SELECT sum(BilledCost) FROM focus.cost_and_usage")
    assert isinstance(total, Decimal)
    return total


def test_a_moved_data_folder_is_published_anew_with_what_its_sources_no_longer_have(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    small.write_site(before)
    assert run(before).returncode == 0
    (before / "bills" / "2026-10.csv").unlink()
    before.rename(after)
    asked = small.tierwise("sql", "SELECT * FROM focus.cost_and_usage", "--config", after / "tierwise.yaml")
    assert asked.returncode == 1
    assert "`tierwise run` publishes it anew" in asked.stderr
    done = run(after)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (small.totals(after), billed(after)) == (TOTALS, Decimal("33.800000000001"))
    assert "Nothing changed" in run(after).stdout


def test_a_month_whose_files_are_gone_stops_the_run_until_it_is_delivered_again(tmp_path: Path) -> None:
    small.write_site(tmp_path)
    assert run(tmp_path).returncode == 0
    before = small.fingerprint(tmp_path)
    (version,) = (tmp_path / "data" / "facts" / "bills" / "2026-10-01").iterdir()
    shutil.rmtree(version)
    bill = tmp_path / "bills" / "2026-10.csv"
    content = bill.read_bytes()
    bill.unlink()
    done = run(tmp_path)
    assert done.returncode == 1
    said = " ".join((done.stdout + done.stderr).split())
    assert "source 'bills': its month 2026-10-01 is published" in said
    assert version.name in said.replace(" ", "")
    assert small.fingerprint(tmp_path) == before
    bill.write_bytes(content)
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (small.totals(tmp_path), billed(tmp_path)) == (TOTALS, Decimal("33.800000000001"))


def test_a_source_that_is_no_longer_configured_goes_with_a_word(tmp_path: Path) -> None:
    """The second source bills 7 USD and 2.5 EUR."""
    config = small.write_site(tmp_path)
    alone = config.read_text()
    config.write_text(alone + "  second: {kind: focus, location: ./second}\n")
    rows = [small.row("7", small.OCTOBER, 5), small.row("2.5", small.OCTOBER, 6, currency="EUR")]
    small.write_bill(tmp_path / "new", "2026-10", rows)
    (tmp_path / "new" / "bills").rename(tmp_path / "second")
    assert "removed_sources" not in run(tmp_path).stdout
    assert billed(tmp_path) == Decimal("43.300000000001")
    config.write_text(alone)
    done = run(tmp_path)
    assert done.returncode == 0
    assert "removed_sources is 1; allowed: at most 0 (second: EUR 2.50, USD 7.00)" in done.stdout
    assert (small.totals(tmp_path), billed(tmp_path)) == (TOTALS, Decimal("33.800000000001"))
