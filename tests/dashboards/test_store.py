"""The warehouse opened read-only and locked; what a team's store sees."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pytest

from dashboards.store import Store
from models import tables
from pipelines.engines.duckdb import DuckDBEngine
from tests.dashboards.conftest import AUGUST, HOSTILE, SCRIPT, SEPTEMBER, build, charge


def test_months_are_newest_first_and_teams_sorted(store: Store) -> None:
    assert store.months() == [SEPTEMBER, AUGUST]
    assert store.teams(AUGUST) == ["speech", "vision"]
    assert store.teams() == sorted(["vision", "speech", "untagged", "platform", *HOSTILE])


def test_a_table_that_an_earlier_version_did_not_publish_has_no_rows(tmp_path: Path) -> None:
    file = build(tmp_path / "old.duckdb", [charge(date(2026, 9, 3), "vision", "1")], [], [], [], [])
    with duckdb.connect(str(file)) as connection:
        connection.execute("DROP TABLE marts.anomalies")
    with Store(file) as store:
        assert store.anomalies(SEPTEMBER).is_empty()
        assert store.chargeback_monthly(SEPTEMBER).height > 0


def test_nothing_can_be_written_read_beside_it_or_unlocked(store: Store, tmp_path: Path) -> None:
    beside = tmp_path / "x.csv"
    beside.write_text("a\n1\n")
    for sql in (
        "CREATE TABLE marts.x (a INT)",
        f"SELECT * FROM read_csv('{beside}')",
        f"COPY (SELECT 1) TO '{tmp_path / 'out.csv'}'",
        "SET enable_external_access = true",
    ):
        with pytest.raises(duckdb.Error):
            store.warehouse.query(sql)
    assert not (tmp_path / "out.csv").exists()


def test_views_read_the_facts_folder_and_nothing_else(tmp_path: Path) -> None:
    facts = tmp_path / "facts"
    facts.mkdir()
    pl.DataFrame({"a": [1]}).write_parquet(facts / "a.parquet")
    pl.DataFrame({"a": [2]}).write_parquet(tmp_path / "b.parquet")
    with DuckDBEngine(tmp_path / "w.duckdb") as engine:
        engine.execute(f"CREATE VIEW inside AS SELECT * FROM read_parquet('{facts / 'a.parquet'}')")
        engine.execute(f"CREATE VIEW outside AS SELECT * FROM read_parquet('{tmp_path / 'b.parquet'}')")
    with Store(tmp_path / "w.duckdb", facts) as store:
        assert store.warehouse.query("FROM inside")["a"].to_list() == [1]
        with pytest.raises(duckdb.Error):
            store.warehouse.query("FROM outside")


def test_stores_of_one_file_do_not_disturb_each_other(warehouse: Path) -> None:
    with Store(warehouse) as first, Store(warehouse, warehouse.parent) as second:
        assert first.months() == second.months()
        second.close()
        assert first.months() == [SEPTEMBER, AUGUST]


def test_a_missing_warehouse_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no warehouse at .*absent.duckdb; publish one with `tierwise run`"):
        Store(tmp_path / "absent.duckdb")


def test_a_teams_store_gives_its_own_rows_only(store: Store) -> None:
    own = store.for_team("vision")
    assert own.teams() == ["vision"]
    for frame in (
        own.chargeback_monthly(), own.chargeback_daily(SEPTEMBER), own.gpu_daily(SEPTEMBER),
        own.unit_cost_daily(SEPTEMBER), own.placement(),
    ):  # fmt: skip
        assert frame["team"].unique().to_list() == ["vision"]
    assert set(own.placement_options()["workload"]) == {"chat"}
    assert own.chargeback_monthly(SEPTEMBER)["effective_cost"].sum() == Decimal("137.012")
    assert store.team is None


def test_a_teams_store_refuses_what_holds_other_teams_amounts(store: Store) -> None:
    own = store.for_team("vision")
    with pytest.raises(PermissionError):
        own.reconciliation(SEPTEMBER)
    assert own.quality()["detail"].to_list() == ["", ""]
    assert own.sources()["error"].to_list() == [None, None, None]


def test_a_hostile_team_name_is_a_value_not_sql(store: Store) -> None:
    assert store.for_team("x' OR '1'='1").chargeback_monthly().is_empty()
    assert store.for_team(SCRIPT).chargeback_monthly().height == 1


def test_a_team_sees_the_sources_behind_its_charges(store: Store) -> None:
    # speech is charged by `bills` alone; the stale telemetry stands behind site:dc1, which charges vision
    assert store.for_team("speech").sources()["source"].to_list() == ["bills"]
    assert store.for_team("speech").stale() == {}
    assert list(store.for_team("vision").stale()) == ["site:dc1"]
    assert store.for_team("speech").quarantine_counts(SEPTEMBER).rows() == [
        ("bills", "repaired", "null_text", 7)
    ]


def test_sites_of_telemetry_are_read_from_the_facts(tmp_path: Path, warehouse: Path) -> None:
    path = tmp_path / "w.duckdb"
    path.write_bytes(warehouse.read_bytes())
    with DuckDBEngine(path) as engine:
        row = {
            "hour": date(2026, 9, 1), "day": date(2026, 9, 1), "source": "dc1-files", "site": "other", "gpu": "g",
            "observed_hours": 1.0, "energy_kwh": 0.0, "energy_estimated_kwh": 0.0,
        }  # fmt: skip
        engine.insert(tables.GPU_HOURLY.name, tables.GPU_HOURLY.conform(pl.DataFrame([row])))
    with Store(path, tmp_path) as store:
        assert list(store.stale()) == ["site:other"]
        assert store.for_team("vision").stale() == {}


def test_only_the_published_runs_gates_count(store: Store) -> None:
    assert store.publication()["run_id"] == "run-2"
    assert store.quality()["gate"].to_list() == ["fresh", "money"]


def test_shares_without_an_owner(store: Store) -> None:
    # September USD: 130.012 + 41.77 + 5.555 + 12.345 + 7 x 1.111 = 197.459
    untagged, unallocated = store.ownerless_share(SEPTEMBER, "USD")
    assert untagged == pytest.approx(5.555 / 197.459)
    assert unallocated == pytest.approx(12.345 / 197.459)
    assert store.ownerless_share(SEPTEMBER, "JPY") == (None, None)


def test_a_credit_of_another_day_hides_no_cost_without_an_owner(tmp_path: Path) -> None:
    # by day |30| + |-30| of 60 + 140 = 0.3, as the gate counts; the sum of the month would be 0
    rows = [
        charge(date(2026, 9, 1), "untagged", "30"),
        charge(date(2026, 9, 2), "untagged", "-30"),
        charge(date(2026, 9, 2), "vision", "140"),
    ]
    with Store(build(tmp_path / "w.duckdb", rows, [], [], [], [])) as store:
        assert store.ownerless_share(SEPTEMBER, "USD")[0] == pytest.approx(0.3)
