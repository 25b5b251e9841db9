"""The daily run from files to what is published, as a person runs it."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from connectors.focus.reader import FocusReader
from tests.pipelines import small

DATE = ("--date", "2026-11-05")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    small.write_site(tmp_path)
    return tmp_path


def run(site: Path, *more: str) -> tuple[int, str]:
    done = small.tierwise("run", "--config", site / "tierwise.yaml", *(more or DATE))
    return done.returncode, done.stdout + done.stderr


def test_publishes_every_cent(site: Path) -> None:
    code, text = run(site)
    assert code == 0, text
    assert "33.80" in text  # 30.300000000001 + 3.50
    assert small.totals(site) == {
        "assist": "20.200000000000",
        "untagged": "0.000000000001",
        "vision": "13.600000000000",  # 10.10 + 5 - 1.50
    }
    assert small.query(
        site,
        "SELECT source, strftime(month, '%Y-%m'), source_total::TEXT, difference::TEXT FROM ops.reconciliation ORDER BY month",
    ) == [
        ("bills", "2026-10", "30.300000000001", "0.000000000000"),
        ("bills", "2026-11", "3.500000000000", "0.000000000000"),
    ]
    assert small.query(site, "SELECT count(*) FROM focus.cost_and_usage") == [(5,)]
    assert (site / "data" / "statements" / "index.html").is_file()
    assert (site / "data" / "statements" / "2026-10" / "vision.html").is_file()


def test_second_run_reads_no_bill(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(site)[0] == 0
    before = small.fingerprint(site)

    def refuse(*_: object) -> None:
        pytest.fail("a bill was read")

    monkeypatch.setattr(FocusReader, "load", refuse)
    code, text = run(site)
    assert code == 0, text
    assert "no bill was read" in text
    assert small.fingerprint(site) == before


def test_only_the_changed_month_is_read(site: Path) -> None:
    assert run(site)[0] == 0
    small.write_bill(
        site, "2026-11", [*small.NOVEMBER_ROWS, small.row("1", small.NOVEMBER, 5, '{"team":"assist"}')]
    )
    code, text = run(site)
    assert code == 0, text
    assert "1 slices were new" in text
    assert small.totals(site)["assist"] == "21.200000000000"
    log = small.query(
        site, "SELECT strftime(period, '%Y-%m'), current FROM ops.ingests ORDER BY read_at, period"
    )
    assert log == [("2026-10", True), ("2026-11", False), ("2026-11", True)]


def test_a_month_that_vanishes_from_the_source_stays(site: Path) -> None:
    assert run(site)[0] == 0
    (site / "bills" / "2026-10.csv").unlink()
    code, text = run(site, "--date", "2026-11-06")
    assert code == 0, text
    assert small.totals(site)["assist"] == "20.200000000000"


def test_failed_gate_keeps_everything_published(site: Path) -> None:
    assert run(site)[0] == 0
    before = small.fingerprint(site)
    small.write_bill(
        site,
        "2026-11",
        [*small.NOVEMBER_ROWS, small.row("12,50", small.NOVEMBER, 5).replace("12,50", '"12 dollars"')],
    )
    code, text = run(site)
    assert code == 1
    assert "quarantine_share" in text
    assert "allowed: at most 0" in text
    assert "12 dollars" in text
    assert "stand unchanged" in text
    assert small.fingerprint(site) == before


def test_freshness_gate_names_source_and_bound(site: Path) -> None:
    (site / "tierwise.yaml").write_text(small.CONFIG + "gates: {freshness_max_days: 3}\n")
    code, text = run(site, "--date", "2026-11-20")
    assert code == 1
    assert "freshness_days is 16; allowed: at most 3 (bills)" in text  # the last charge is of 4 November
    assert "nothing is published yet" in text


def test_required_source_blocks_and_optional_one_is_stale(site: Path) -> None:
    other = "  other: {kind: focus, location: ./other, required: %s}\n"
    (site / "other").mkdir()
    (site / "other" / "x.csv").write_text((site / "bills" / "2026-10.csv").read_text())
    (site / "tierwise.yaml").write_text(small.CONFIG + other % "true")
    assert run(site)[0] == 0
    before = small.fingerprint(site)
    (site / "other" / "x.csv").unlink()
    (site / "other").rmdir()
    code, text = run(site)
    assert code == 1
    assert "other" in text
    assert small.fingerprint(site) == before
    (site / "tierwise.yaml").write_text(small.CONFIG + other % "false")
    code, text = run(site)
    assert code == 0, text
    status = small.query(
        site,
        "SELECT status, stale_since IS NOT NULL, error IS NOT NULL FROM ops.sources WHERE source = 'other'",
    )
    assert status == [("stale", True, True)]
    assert small.totals(site)["assist"] == "40.400000000000"  # its earlier figures stand
    assert "stale since" in (site / "data" / "statements" / "2026-10" / "assist.html").read_text().lower()


def test_open_reader_neither_blocks_nor_is_disturbed(site: Path) -> None:
    assert run(site)[0] == 0
    reader = duckdb.connect(str(site / "data" / "warehouse.duckdb"), read_only=True)
    try:
        query = "SELECT sum(effective_cost)::TEXT FROM marts.chargeback_daily"
        lines = "SELECT sum(EffectiveCost)::TEXT FROM focus.cost_and_usage"
        assert reader.execute(query).fetchall() == [("33.800000000001",)]
        small.write_bill(site, "2026-11", small.NOVEMBER_ROWS[:1])
        code, text = run(site)
        assert code == 0, text
        assert reader.execute(query).fetchall() == [("33.800000000001",)]
        assert reader.execute(lines).fetchall() == [("33.800000000001",)]
    finally:
        reader.close()
    assert small.query(site, query) == [("35.300000000001",)]


def test_wrong_configuration_is_exit_code_2(site: Path) -> None:
    (site / "tierwise.yaml").write_text(small.CONFIG + "sauces: 1\n")
    code, text = run(site)
    assert code == 2
    assert "sauces" in text


def test_month_limits_what_is_read(site: Path) -> None:
    assert run(site)[0] == 0
    for name, rows in (("2026-10", small.OCTOBER_ROWS[:2]), ("2026-11", small.NOVEMBER_ROWS[:1])):
        small.write_bill(site, name, rows)
    code, text = run(site, "--month", "2026-10")
    assert code == 0, text
    found = small.query(site, "SELECT source_total::TEXT FROM ops.reconciliation ORDER BY month")
    assert found == [("30.300000000000",), ("3.500000000000",)]  # November stays as published


def test_sql_and_report(site: Path) -> None:
    config = ("--config", site / "tierwise.yaml")
    missing = small.tierwise("sql", "SELECT 1", *config)
    assert missing.returncode == 1
    assert "tierwise run" in missing.stderr
    assert run(site)[0] == 0
    done = small.tierwise(
        "sql",
        "SELECT team, sum(billed_cost) AS cost FROM marts.chargeback_daily GROUP BY team ORDER BY team",
        "--format",
        "csv",
        *config,
    )
    assert (
        done.stdout == "team,cost\nassist,20.200000000000\nuntagged,0.000000000001\nvision,13.600000000000\n"
    )
    assert small.tierwise("sql", "SELECT * FROM read_csv('/etc/passwd')", *config).returncode == 1
    assert small.tierwise("sql", "DROP TABLE marts.chargeback_daily", *config).returncode == 1
    assert small.totals(site)["assist"] == "20.200000000000"
    to = site / "out"
    done = small.tierwise(
        "report", "--team", "vision", "--month", "2026-10", "--format", "csv", "--to", to, *config
    )
    assert done.returncode == 0, done.stderr
    assert any("vision" in f.name for f in to.rglob("*.csv"))
    done = small.tierwise("report", "--team", "nobody", *config)
    assert done.returncode == 1
    assert "vision" in done.stderr  # names the teams there are


def test_restatement_says_what_changed_by_service_and_account(site: Path) -> None:
    """November was 5 - 1.50 in two rows; the new delivery has 5 and 0.25 of another service."""
    assert run(site)[0] == 0
    tax = small.row("0.25", small.NOVEMBER, 4, service="Tax")
    small.write_bill(site, "2026-11", [small.NOVEMBER_ROWS[0], tax])
    assert run(site)[0] == 0
    rows = small.query(
        site, "SELECT changes FROM ops.ingests WHERE current AND strftime(period, '%Y-%m') = '2026-11'"
    )
    found = [
        (c["service_name"], c["sub_account"], c["rows_before"], c["rows_after"])
        for c in json.loads(str(rows[0][0]))
    ]
    assert found == [("Compute Engine", "sub-1", 2, 1), ("Tax", "sub-1", 0, 1)]
    amounts = [(c["billed_cost_before"], c["billed_cost_after"]) for c in json.loads(str(rows[0][0]))]
    assert amounts == [("3.500000000000", "5.000000000000"), ("0.000000000000", "0.250000000000")]
    first = small.query(
        site, "SELECT changes IS NULL FROM ops.ingests WHERE strftime(period, '%Y-%m') = '2026-10'"
    )
    assert first == [(True,)]


def test_other_currencies_are_converted_beside_the_original(site: Path) -> None:
    """10 EUR on 1 October at 1.10 are 11 USD; 1,000 JPY have no rate; dollars are themselves."""
    small.write_bill(
        site, "2026-10",
        [small.row("10", small.OCTOBER, 1, currency="EUR"), small.row("1000", small.OCTOBER, 1, currency="JPY"),
         small.row("2", small.OCTOBER, 1)],
    )  # fmt: skip
    (site / "rates.csv").write_text("date,currency,rate\n2026-09-30,EUR,1.10\n2026-10-02,EUR,1.50\n")
    (site / "tierwise.yaml").write_text(small.CONFIG + "rates: ./rates.csv\n")
    code, text = run(site)
    assert code == 0, text
    found = small.query(
        site,
        """SELECT currency, effective_cost::TEXT, converted_cost::TEXT FROM marts.chargeback_monthly
           WHERE strftime(month, '%Y-%m') = '2026-10' ORDER BY currency""",
    )
    assert found == [
        ("EUR", "10.000000000000", "11.000000000000"),
        ("JPY", "1000.000000000000", None),
        ("USD", "2.000000000000", "2.000000000000"),
    ]


def test_wrong_rates_are_named(site: Path) -> None:
    (site / "rates.csv").write_text("date,currency,rate\n2026-09-30,EUR,0\n2026-10-02,USD,1\n")
    (site / "tierwise.yaml").write_text(small.CONFIG + "rates: ./rates.csv\n")
    code, text = run(site)
    assert code == 2
    assert "rates.csv line 2.rate" in text
    assert "organisation's currency" in text
