"""Every bad input ends in words that name the thing and in exit code 1 or 2; what was published stays as it was."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipelines import small

DATE = ("--date", "2026-11-05")
CUR = "  cur: {kind: aws_cur, location: ./cur}\n"
SITE = "sites: {dc1: {time_zone: %s, tariff: 0.1}}\n"
PROMETHEUS = '  dc1: {kind: prometheus, url: "http://127.0.0.1:%d", site: dc1}\n'


def november(site: Path) -> Path:
    return site / "bills" / "2026-11.csv"


def bad_cost(site: Path, text: str) -> None:
    small.write_bill(site, "2026-11", [small.row("7", small.NOVEMBER, 5).replace("7,7,", f"7,{text},", 1)])


def empty_file(site: Path) -> None:
    november(site).write_bytes(b"")


def truncated_gzip(site: Path) -> None:
    whole = gzip.compress(november(site).read_bytes() * 50)
    november(site).unlink()
    (site / "bills" / "2026-11.csv.gz").write_bytes(whole[: len(whole) // 2])


def missing_report_file(site: Path) -> None:
    folder = site / "cur" / "daily" / "20261101-20261201"
    folder.mkdir(parents=True)
    manifest = {
        "assemblyId": "a-1",
        "account": "1",
        "reportName": "daily",
        "reportKeys": ["daily/20261101-20261201/a-1/daily-00001.csv.gz"],
        "billingPeriod": {"start": "20261101T000000.000Z", "end": "20261201T000000.000Z"},
    }
    (folder / "daily-Manifest.json").write_text(json.dumps(manifest))
    (site / "tierwise.yaml").write_text(small.CONFIG + CUR)


def column_gone(site: Path) -> None:
    november(site).write_text(november(site).read_text().replace("EffectiveCost", "Something", 1))


def text_in_a_cost(site: Path) -> None:
    bad_cost(site, "12 dollars")


def not_a_number_in_a_cost(site: Path) -> None:
    bad_cost(site, "NaN")


def too_large_a_cost(site: Path) -> None:
    bad_cost(site, "1e30")


def lines_end_with_cr(site: Path) -> None:
    november(site).write_bytes(november(site).read_bytes().replace(b"\n", b"\r"))


def utf16(site: Path) -> None:
    november(site).write_text(november(site).read_text(), encoding="utf-16")


def same_file_twice(site: Path) -> None:
    (site / "bills" / "copy.csv").write_bytes(november(site).read_bytes())


def wrong_yaml(site: Path) -> None:
    (site / "tierwise.yaml").write_text("sources: {bills: {kind: focus, password: hunter2: x}}\n")


def key_twice(site: Path) -> None:
    (site / "tierwise.yaml").write_text(small.CONFIG + "  bills: {kind: focus, location: ./other}\n")


def unreachable_prometheus(site: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (site / "tierwise.yaml").write_text(small.CONFIG + PROMETHEUS % port + SITE % "Europe/Athens")


def unknown_time_zone(site: Path) -> None:
    (site / "tierwise.yaml").write_text(small.CONFIG + SITE % "Mars/Olympus")


def register_without_quotes(site: Path) -> None:
    header = (
        "asset,site,node,kind,units,model,capex,currency,in_service,retired,life_months,salvage,opex_month"
    )
    row = "a1,dc1,n1,gpu_server,8,H100,250000,USD,2026-01-01,,36,0,1,500"  # meant as 1500
    (site / "assets.csv").write_text(f"{header}\n{row}\n")
    (site / "tierwise.yaml").write_text(small.CONFIG + SITE % "UTC" + "assets: ./assets.csv\n")


def data_below_the_bills(site: Path) -> None:
    (site / "tierwise.yaml").write_text(small.CONFIG.replace("./bills", "."))


def nonsense_cron(site: Path) -> None:
    (site / "tierwise.yaml").write_text(small.CONFIG + "schedule: {cron: nonsense}\n")


CASES: list[tuple[Callable[[Path], None], int, tuple[str, ...]]] = [
    (empty_file, 1, ("2026-11.csv", "empty (0 bytes)")),
    (truncated_gzip, 1, ("2026-11.csv.gz", "damaged")),
    (missing_report_file, 1, ("delivery not ready", "daily-Manifest.json", "daily-00001.csv.gz")),
    (column_gone, 1, ("2026-11.csv", "'EffectiveCost' is missing")),
    (text_in_a_cost, 1, ("quarantine_share", "2026-11.csv:2", "EffectiveCost", "12 dollars")),
    (not_a_number_in_a_cost, 1, ("2026-11.csv:2", "EffectiveCost", "NaN")),
    (too_large_a_cost, 1, ("2026-11.csv:2", "EffectiveCost", "1e30")),
    (lines_end_with_cr, 1, ("2026-11.csv", "CR alone")),
    (utf16, 1, ("2026-11.csv", "UTF-8")),
    (same_file_twice, 1, ("copy.csv", "same content")),
    (wrong_yaml, 2, ("tierwise.yaml", "line 1, column 49")),
    (key_twice, 2, ("'bills' is there twice", "line 5")),
    (unreachable_prometheus, 1, ("'dc1' (prometheus)", "cannot be reached", "127.0.0.1")),
    (unknown_time_zone, 2, ("sites.dc1.time_zone", "Mars/Olympus", "IANA")),
    (register_without_quotes, 2, ("assets.csv line 2", "13 columns")),
    (data_below_the_bills, 2, ("sources.bills.location", "data_dir")),
    (nonsense_cron, 2, ("schedule.cron", "nonsense")),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published site; every test puts its inputs back."""
    folder = tmp_path_factory.mktemp("site")
    small.write_site(folder)
    done = small.tierwise("run", "--config", folder / "tierwise.yaml", *DATE)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(("spoil", "code", "says"), CASES, ids=[c[0].__name__ for c in CASES])
def test_names_the_thing_and_leaves_what_is_published(
    site: Path, spoil: Callable[[Path], None], code: int, says: tuple[str, ...]
) -> None:
    before = small.fingerprint(site)
    for file in (site / "bills").iterdir():
        file.unlink()
    small.write_site(site)
    spoil(site)
    done = small.tierwise("run", "--config", site / "tierwise.yaml", *DATE)
    assert done.returncode == code, done.stdout + done.stderr
    for text in says:
        assert text in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert small.fingerprint(site) == before
    assert small.totals(site)["vision"] == "13.600000000000"


def test_nothing_is_published_where_nothing_was(tmp_path: Path) -> None:
    small.write_site(tmp_path)
    empty_file(tmp_path)
    done = small.tierwise("run", "--config", tmp_path / "tierwise.yaml", *DATE)
    assert done.returncode == 1
    assert "nothing is published yet" in done.stderr
    assert not (tmp_path / "data" / "warehouse.duckdb").exists()


def test_secrets_of_the_environment_are_not_shown_or_published(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METRICS_URL", "http://127.0.0.1:9/open-sesame")
    source = '  dc1: {kind: prometheus, url: "${METRICS_URL}", site: dc1, token: "${METRICS_URL}"}\n'
    (site / "tierwise.yaml").write_text(small.CONFIG + source + SITE % "UTC")
    done = small.tierwise("run", "--config", site / "tierwise.yaml", *DATE)
    assert "open-sesame" not in done.stdout + done.stderr
    (site / "tierwise.yaml").write_text(
        small.CONFIG + source.replace(', token: "${METRICS_URL}"', "") + SITE % "UTC"
    )
    for command in ("run", "check"):
        done = small.tierwise(command, "--config", site / "tierwise.yaml")
        assert done.returncode == 1
        assert "open-sesame" not in done.stdout + done.stderr
        assert "${METRICS_URL}" in done.stdout + done.stderr


def test_patterns_in_file_names_are_only_names(tmp_path: Path) -> None:
    small.write_site(tmp_path)  # 33.800000000001 USD
    for name, cost in (("2026-1[01].csv", "1000"), ("2026-1?.csv", "200"), ("*.csv", "30")):
        rows = [small.row(cost, small.OCTOBER, 5), small.row("1", small.NOVEMBER, 5)]
        (tmp_path / "bills" / name).write_text("\n".join([small.HEADER, *rows]) + "\n")
    done = small.tierwise("run", "--config", tmp_path / "tierwise.yaml", *DATE)
    assert done.returncode == 0, done.stderr
    assert small.query(tmp_path, "SELECT sum(BilledCost)::TEXT FROM focus.cost_and_usage") == [
        ("1266.800000000001",)  # 33.8 + 1000 + 200 + 30 + 3 x 1
    ]


def test_hostile_tags_cost_nothing_but_their_own_name(tmp_path: Path) -> None:
    small.write_site(tmp_path)
    tags = ['{"team":"[/x]"}', '{"team":"a\\u0000b"}', '{"team":"x",}', '{"team":%s}' % ("9" * 5000)]
    tags += ['{"a":' + "[" * 20000 + "]" * 20000 + ',"team":"y"}', '{"team":"../../z"}']
    small.write_bill(tmp_path, "2026-11", [small.row("5", small.NOVEMBER, 3, t) for t in tags])
    done = small.tierwise("run", "--config", tmp_path / "tierwise.yaml", *DATE)
    assert done.returncode == 0, done.stderr
    found = small.totals(tmp_path)
    assert {t: found[t] for t in ("[/x]", "a\0b", "x", "9" * 5000, "../../z")} == dict.fromkeys(
        ("[/x]", "a\0b", "x", "9" * 5000, "../../z"), "5.000000000000"
    )
    assert found["untagged"] == "5.000000000001"  # the nested one; 0.000000000001 is October's
    assert not (tmp_path / "z.html").exists()


def test_a_query_cannot_write_to_the_facts(site: Path) -> None:
    fact = next((site / "data" / "facts").rglob("focus.cost_and_usage.parquet"))
    content = fact.read_bytes()
    for query in (
        f"COPY (SELECT 1 AS a) TO '{fact}'",
        f"SELECT 1; COPY (SELECT 1 AS a) TO '{fact}'",
        f"EXPLAIN ANALYZE COPY (SELECT 1 AS a) TO '{fact}'",
        "ATTACH ':memory:' AS m",
        "",
    ):
        small.write_site(site)
        done = small.tierwise("sql", query, "--config", site / "tierwise.yaml")
        assert done.returncode == 1, query
        assert "SELECT" in done.stderr
    assert fact.read_bytes() == content


def test_a_month_that_moved_and_a_file_in_two_sources_are_warned_of(tmp_path: Path) -> None:
    small.write_site(tmp_path)
    other = "  other: {kind: focus, location: ./bills}\n"
    (tmp_path / "tierwise.yaml").write_text(small.CONFIG + other)
    done = small.tierwise("run", "--config", tmp_path / "tierwise.yaml", *DATE)
    assert "repeated_files is 2" in done.stdout
    (tmp_path / "tierwise.yaml").write_text(small.CONFIG)
    (tmp_path / "bills" / "2026-10.csv").unlink()
    done = small.tierwise("run", "--config", tmp_path / "tierwise.yaml", *DATE)
    assert done.returncode == 0
    assert "kept_months is 1" in done.stdout
    assert "bills 2026-10" in done.stdout


def test_a_day_to_come_does_not_stay_the_day_of_what_is_published(tmp_path: Path) -> None:
    small.write_site(tmp_path)
    for day, expected in (("2099-01-01", True), ("2026-11-05", False)):
        done = small.tierwise("run", "--config", tmp_path / "tierwise.yaml", "--date", day)
        assert done.returncode == 0, done.stdout + done.stderr
        [(as_of,)] = small.query(tmp_path, "SELECT max_by(as_of, published_at)::TEXT FROM ops.publications")
        assert (as_of == "2099-01-01") is expected
