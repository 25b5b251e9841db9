"""Every bad input ends in words that name the thing and in exit code 1 or 2; what was published stays as it was."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.pipelines import faults, small

pytestmark = pytest.mark.long

DATE = ("--date", "2026-11-05")
SITE = "sites: {dc1: {time_zone: %s, tariff: 0.1}}\n"


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
    november(site).write_text(november(site).read_text(), encoding="utf-16-le")


def same_file_twice(site: Path) -> None:
    (site / "bills" / "copy.csv").write_bytes(november(site).read_bytes())


def wrong_yaml(site: Path) -> None:
    (site / "tierwise.yaml").write_text("sources: {bills: {kind: focus, password: hunter2: x}}\n")


def key_twice(site: Path) -> None:
    (site / "tierwise.yaml").write_text(small.CONFIG + "  bills: {kind: focus, location: ./other}\n")


def no_server() -> str:
    """A URL where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


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


Case = tuple[Callable[[Path], None], tuple[str, ...]]
NOT_READY: list[Case] = [
    (empty_file, ("2026-11.csv", "empty (0 bytes)")),
    (truncated_gzip, ("2026-11.csv.gz", "damaged")),
    (missing_report_file, ("delivery not ready", "daily-Manifest.json", "daily-00001.csv.gz")),
    (column_gone, ("2026-11.csv", "'EffectiveCost' is missing")),
    (lines_end_with_cr, ("2026-11.csv", "CR alone")),
    (utf16, ("2026-11.csv", "UTF-16 without a byte order mark")),
]
REJECTED: list[Case] = [
    (text_in_a_cost, ("2026-11.csv:2", "EffectiveCost", "12 dollars")),
    (not_a_number_in_a_cost, ("2026-11.csv:2", "EffectiveCost", "NaN")),
    (too_large_a_cost, ("2026-11.csv:2", "EffectiveCost", "1e30")),
]
CONFIGURATION: list[Case] = [
    (wrong_yaml, ("tierwise.yaml", "line 1, column 49")),
    (key_twice, ("'bills' is there twice", "line 5")),
    (unknown_time_zone, ("sites.dc1.time_zone", "Mars/Olympus", "IANA")),
    (register_without_quotes, ("assets.csv line 2", "13 columns")),
    (data_below_the_bills, ("sources.bills.location", "data_dir")),
    (nonsense_cron, ("schedule.cron", "nonsense")),
]


def names(cases: list[Case]) -> list[str]:
    return [spoil.__name__ for spoil, _ in cases]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published site; every test puts its inputs back."""
    folder = tmp_path_factory.mktemp("site")
    small.write_site(folder)
    done = small.tierwise("run", "--config", folder / "tierwise.yaml", *DATE)
    assert done.returncode == 0, done.stderr
    return folder


def put_back(site: Path) -> None:
    for file in (site / "bills").iterdir():
        file.unlink()
    small.write_site(site)


def beside(site: Path, *spoilt: Callable[[Path], None]) -> str:
    """The configuration of the site with a source more for each fault, which has a good October."""
    sources = ""
    for spoil in spoilt:
        folder = site / "faults" / spoil.__name__
        small.write_site(folder)
        spoil(folder)
        kind, place = ("aws_cur", "cur") if (folder / "cur").exists() else ("focus", "bills")
        sources += f"  {spoil.__name__}: {{kind: {kind}, location: ./faults/{spoil.__name__}/{place}}}\n"
    return small.CONFIG + sources


def run(site: Path, code: int) -> str:
    """What a run says that ends with a code and leaves what is published."""
    before = small.fingerprint(site)
    done = small.tierwise("run", "--config", site / "tierwise.yaml", *DATE)
    text = done.stdout + done.stderr
    assert done.returncode == code, text
    assert "Traceback" not in text
    assert "hunter2" not in text
    assert small.fingerprint(site) == before
    assert small.totals(site)["vision"] == "13.600000000000"
    return done.stderr


@dataclass(frozen=True)
class Judged:
    """What is said of each source whose month cannot be read, and rows rejected of the others."""

    words: dict[str, str]
    rejected: dict[str, list[tuple[object, ...]]]
    share: dict[str, float]


@pytest.fixture(scope="module")
def judged(site: Path) -> Judged:
    put_back(site)
    (site / "tierwise.yaml").write_text(beside(site, *(spoil for spoil, _ in NOT_READY + REJECTED)))
    stderr = run(site, 1)
    assert f"not_ready_months is {len(NOT_READY)}; allowed: at most 0" in stderr
    assert "quarantine_share is 0.25; allowed: at most 0" in stderr  # 3 rows of October, 1 of November
    words = faults.words_of(stderr, names(NOT_READY))
    return Judged(words, faults.rejected(site), faults.rejected_share(site))


@pytest.mark.parametrize("case", NOT_READY, ids=names(NOT_READY))
def test_a_month_that_cannot_be_read_is_named(judged: Judged, case: Case) -> None:
    for text in case[1]:
        assert text in judged.words[case[0].__name__]


@pytest.mark.parametrize("case", REJECTED, ids=names(REJECTED))
def test_a_row_that_cannot_be_read_is_named(judged: Judged, case: Case) -> None:
    [row] = judged.rejected[case[0].__name__]
    for text in case[1]:
        assert any(text in str(part) for part in row)
    assert judged.share[case[0].__name__] == 0.25


def test_sources_that_fail_are_named_all_at_once(site: Path) -> None:
    put_back(site)
    text = beside(site, same_file_twice) + f'  dc1: {{kind: prometheus, url: "{no_server()}", site: dc1}}\n'
    (site / "tierwise.yaml").write_text(text + SITE % "Europe/Athens")
    words = faults.words_of(run(site, 1), ["same_file_twice", "dc1"])
    for text in ("copy.csv", "same content"):
        assert text in words["same_file_twice"]
    for text in ("cannot be reached", "127.0.0.1"):
        assert text in words["dc1"]


@pytest.mark.parametrize("case", CONFIGURATION, ids=names(CONFIGURATION))
def test_a_wrong_configuration_is_named_and_leaves_what_is_published(site: Path, case: Case) -> None:
    put_back(site)
    case[0](site)
    stderr = run(site, 2)
    assert small.tierwise("check", "--config", site / "tierwise.yaml").stderr == stderr
    for text in case[1]:
        assert text in stderr


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


HOSTILE_TAGS = ['{"team":"[/x]"}', '{"team":"a\\u0000b"}', '{"team":"x",}', '{"team":%s}' % ("9" * 5000)]
HOSTILE_TAGS += ['{"a":' + "[" * 20000 + "]" * 20000 + ',"team":"y"}', '{"team":"../../z"}']
ODD = """data_dir: ./data
sources:
  patterns: {kind: focus, location: ./patterns/bills}
  tags: {kind: focus, location: ./tags/bills}
  moved: {kind: focus, location: ./moved/bills}
"""


@dataclass(frozen=True)
class Odd:
    """Two runs over what is odd and no fault; the first is for a day to come."""

    site: Path
    first: small.Done
    first_as_of: object
    second: small.Done


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Odd:
    site = tmp_path_factory.mktemp("odd")
    for name in ("patterns", "tags", "moved"):  # no file is that of another source, but for `other`
        small.write_site(site / name)
        for file in (site / name / "bills").iterdir():
            file.write_text(file.read_text().replace("acct-1", f"acct-{name}"))
    for day, name, cost in ((5, "2026-1[01].csv", "1000"), (6, "2026-1?.csv", "200"), (7, "*.csv", "30")):
        rows = [small.row(cost, small.OCTOBER, day), small.row("1", small.NOVEMBER, day)]
        (site / "patterns" / "bills" / name).write_text("\n".join([small.HEADER, *rows]) + "\n")
    small.write_bill(site / "tags", "2026-11", [small.row("5", small.NOVEMBER, 3, t) for t in HOSTILE_TAGS])
    config = site / "tierwise.yaml"
    config.write_text(ODD + "  other: {kind: focus, location: ./moved/bills}\n")
    first = small.tierwise("run", "--config", config, "--date", "2099-01-01")
    assert first.returncode == 0, first.stderr
    as_of = small.query(site, AS_OF)
    config.write_text(ODD)
    (site / "moved" / "bills" / "2026-10.csv").unlink()
    second = small.tierwise("run", "--config", config, *DATE)
    assert second.returncode == 0, second.stderr
    return Odd(site, first, as_of, second)


AS_OF = "SELECT max_by(as_of, published_at)::TEXT FROM ops.publications"


def test_patterns_in_file_names_are_only_names(odd: Odd) -> None:
    found = small.query(
        odd.site, "SELECT sum(BilledCost)::TEXT FROM focus.cost_and_usage WHERE x_source = 'patterns'"
    )
    assert found == [("1266.800000000001",)]  # 33.8 + 1000 + 200 + 30 + 3 x 1


def test_hostile_tags_cost_nothing_but_their_own_name(odd: Odd) -> None:
    found = dict(
        small.query(
            odd.site,
            "SELECT team, sum(effective_cost)::TEXT FROM marts.chargeback_daily WHERE source = 'tags' GROUP BY team",
        )
    )
    hostile = ("[/x]", "a\0b", "x", "9" * 5000, "../../z")
    assert {t: found[t] for t in hostile} == dict.fromkeys(hostile, "5.000000000000")
    assert found["untagged"] == "5.000000000001"  # the nested one; 0.000000000001 is October's
    assert not list(odd.site.rglob("z.html"))


def test_a_file_in_two_sources_is_warned_of(odd: Odd) -> None:
    assert "repeated_files is 2" in odd.first.stdout
    assert "repeated_files" not in odd.second.stdout


def test_a_month_that_moved_is_warned_of(odd: Odd) -> None:
    assert "kept_months is 1" in odd.second.stdout
    assert "moved 2026-10" in odd.second.stdout


def test_a_day_to_come_does_not_stay_the_day_of_what_is_published(odd: Odd) -> None:
    assert odd.first_as_of == [("2099-01-01",)]
    assert small.query(odd.site, AS_OF) != [("2099-01-01",)]
