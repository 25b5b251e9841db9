"""The daily run from files to what is published, as a person runs it."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from connectors.focus.reader import FocusReader
from tests.pipelines import small

DATE = ("--date", "2026-11-05")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A site with its bills published, and what the run said."""
    folder = tmp_path_factory.mktemp("site")
    small.write_site(folder)
    code, text = run(folder)
    assert code == 0, text
    return folder, text


@pytest.fixture
def site(published: tuple[Path, str]) -> Path:
    """The published site, its inputs put back; a test that uses it publishes nothing else."""
    small.write_site(published[0])
    return published[0]


def run(site: Path, *more: str) -> tuple[int, str]:
    done = small.tierwise("run", "--config", site / "tierwise.yaml", *(more or DATE))
    return done.returncode, done.stdout + done.stderr


def test_publishes_every_cent(published: tuple[Path, str]) -> None:
    site, text = published
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
    before = small.fingerprint(site)

    def refuse(*_: object) -> None:
        pytest.fail("a bill was read")

    monkeypatch.setattr(FocusReader, "load", refuse)
    done = small.tierwise("run", "--config", site / "tierwise.yaml", *DATE, "--format", "json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["status"], told["slices_read"], told["failures"]) == (0, "unchanged", 0, [])
    assert [(m["currency"], m["money_in"], m["money_out"], m["difference"]) for m in told["money"]] == [
        ("USD", "33.800000000001", "33.800000000001", "0.000000000000")
    ]
    assert [(t["team"], t["month"], t["cost"]) for t in told["teams"]] == [
        ("vision", "2026-11-01", "3.500000000000")
    ]
    assert {g["passed"] for g in told["gates"]} == {True}
    assert Path(told["statements"]).is_file()
    assert small.fingerprint(site) == before


def test_failed_gates_keep_everything_published(site: Path) -> None:
    """An amount that is none, and bills that are too old; the freshness gate names its source and bound."""
    before = small.fingerprint(site)
    small.write_bill(
        site,
        "2026-11",
        [*small.NOVEMBER_ROWS, small.row("12,50", small.NOVEMBER, 5).replace("12,50", '"12 dollars"')],
    )
    (site / "tierwise.yaml").write_text(small.CONFIG + "gates: {freshness_max_days: 3}\n")
    done = small.tierwise("run", "--config", site / "tierwise.yaml", "--date", "2026-11-20", "-f", "json")
    told, text = json.loads(done.stdout), done.stderr
    assert (done.returncode, told["status"], told["slices_read"], len(told["failures"])) == (
        1,
        "failed",
        None,
        2,
    )
    assert "quarantine_share" in text
    assert "allowed: at most 0" in text
    assert "12 dollars" in text
    assert "freshness_days is 16; allowed: at most 3 (bills)" in text  # the last charge is of 4 November
    assert "stand unchanged" in text
    assert small.fingerprint(site) == before
    assert f"open {told['staged']} read-only" in text
    with duckdb.connect(told["staged"], read_only=True) as refused:
        failed = refused.sql(
            "SELECT gate FROM ops.quality WHERE NOT passed AND severity = 'error' ORDER BY gate"
        ).fetchall()
    assert failed == [("freshness_days",), ("quarantine_share",)]


def test_wrong_configuration_is_exit_code_2(site: Path) -> None:
    (site / "tierwise.yaml").write_text(small.CONFIG + "sauces: 1\n")
    code, text = run(site)
    assert code == 2
    assert "sauces" in text


def test_sql_before_anything_is_published_says_what_to_do(tmp_path: Path) -> None:
    small.write_site(tmp_path)
    missing = small.tierwise("sql", "SELECT 1", "--config", tmp_path / "tierwise.yaml")
    assert missing.returncode == 1
    assert "tierwise run" in missing.stderr


def test_sql_and_report(site: Path) -> None:
    config = ("--config", site / "tierwise.yaml")
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


def test_wrong_rates_are_named(site: Path) -> None:
    (site / "rates.csv").write_text("date,currency,rate\n2026-09-30,EUR,0\n2026-10-02,USD,1\n")
    (site / "tierwise.yaml").write_text(small.CONFIG + "rates: ./rates.csv\n")
    code, text = run(site)
    assert code == 2
    assert "rates.csv line 2.rate" in text
    assert "organisation's currency" in text
