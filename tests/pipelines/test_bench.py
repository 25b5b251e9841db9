"""`tierwise bench`: every case runs on a small bill and its ways agree. How fast they are is asserted nowhere."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from pipelines.bench.cases import CASES, FETCHED, BenchError, Figure, bench_in
from pipelines.bench.converter import PACKAGES
from pipelines.bench.generate import deliver
from pipelines.bench.measure import Measured, measured
from pipelines.bench.ways import look, update
from tests.pipelines.small import tierwise
from tests.services.environments import environment, python_of

pytestmark = pytest.mark.service

COST, KIND = "line_item_unblended_cost", "line_item_line_item_type"


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("month")
    deliver(root, 1000)
    return root


def read(root: Path) -> pl.DataFrame:
    (file,) = root.rglob("*.parquet")
    return pl.read_parquet(file)


def test_the_same_arguments_give_the_same_bytes_and_another_seed_other_costs(
    month: Path, tmp_path: Path
) -> None:
    deliver(tmp_path / "again", 1000, execution="20261001T000000Z-b")
    deliver(tmp_path / "seed", 1000, seed=8)
    (one,), (two,) = month.rglob("*.parquet"), (tmp_path / "again").rglob("*.parquet")
    assert one.read_bytes() == two.read_bytes()
    assert read(month)[COST].sum() != read(tmp_path / "seed")[COST].sum()


def test_changed_days_cost_one_and_a_half_times_as_much_and_no_others_change(
    month: Path, tmp_path: Path
) -> None:
    deliver(tmp_path, 1000, changed=(10, 11, 12))
    before, after = read(month), read(tmp_path)
    day = before["line_item_usage_start_date"].dt.day()
    assert set(day) == set(range(1, 31))
    inside = day.is_between(10, 12)
    assert after.filter(~inside).equals(before.filter(~inside))
    wanted = [pytest.approx(1.5 * c, abs=1e-9) for c in before.filter(inside)[COST]]
    assert after.filter(inside)[COST].to_list() == wanted


def test_our_totals_are_those_of_plain_python_over_the_raw_rows(month: Path, tmp_path: Path) -> None:
    """Effective cost by hand: plan 0.7, reservation 0.6, unused plan 0.5, unused reservation 0.1, negation 0."""
    result = update(month, tmp_path)()
    rows = read(month)
    billed = sum((Decimal(repr(c)).quantize(Decimal("1e-12")) for c in rows[COST]), Decimal(0))
    assert (result["rows"], result["billed"], result["reduced"]) == (1000, billed, billed)
    native = look(list(month.rglob("*.parquet")))()
    assert (native["rows"], native["billed"]) == (1000, billed)
    assert "line_item_blended_cost" not in native["used"]
    assert {COST, KIND, "resource_tags"} <= set(native["used"]) < set(native["columns"])
    cost, listed = rows[COST], rows["pricing_public_on_demand_cost"] / 1.1
    share = {"SavingsPlanCoveredUsage": 0.7, "SavingsPlanRecurringFee": 0.5, "RIFee": 0.1}
    effective = sum(
        0.0 if k == "SavingsPlanNegation" else share[k] * c if k in share else 0.6 * on_demand if k == "DiscountedUsage" else c
        for k, c, on_demand in zip(rows[KIND], cost, listed, strict=True)
    )  # fmt: skip
    (reduced,) = (tmp_path / "reduced").glob("*.parquet")
    assert float(pl.read_parquet(reduced)["effective_cost"].sum()) == pytest.approx(effective, abs=1e-6)


@pytest.mark.parametrize("case", [case for case in CASES if case not in FETCHED])
def test_each_case_runs_and_removes_its_data(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    done = tierwise("bench", "--rows", "1200", "--case", case, "--format", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["rows"] == 1200
    assert {f["case"] for f in found["figures"]} == {m["case"] for m in found["measurements"]} == {case}
    assert all(f["value"] > 0 and f["met"] in (True, False) for f in found["figures"])
    assert all(m["cpu_s"] > 0 and m["peak_mb"] > 20 for m in found["measurements"])
    assert not any(tmp_path.iterdir())


def test_focus_converter_and_our_statement_agree_on_rows_and_money(tmp_path: Path) -> None:
    python = python_of("focus-converter", ("3.11", "3.12"))
    with bench_in(tmp_path, 1000, 1, lambda _: None) as bench:
        tool = bench.folder / "focus-converter"
        tool.symlink_to(environment(PACKAGES[0].replace("==", "-"), python, PACKAGES))
        figures = bench.run("converter")
    assert [f.goal for f in figures] == [3.0, 3.0]
    named = {name: measured for (_, name), measured in bench.measurements.items()}
    assert named["the same columns"].result["rows"] == 1000
    # the tool is a process that ours waits for: without its own time there would be hardly any
    assert min(named[way].cpu_s for way in ("focus-converter", "focus-converter, start")) > 0.1


def test_the_table_names_ways_and_goals_and_kept_bills_are_used_again(tmp_path: Path) -> None:
    asked = ("bench", "--rows", "1000", "--case", "memory", "--keep", tmp_path)
    done = tierwise(*asked)
    assert done.returncode == 0, done.stderr
    assert "growth of peak memory" in done.stdout
    assert "<= 1.10 x" in done.stdout
    (file,) = (tmp_path / "1000-rows" / "month").rglob("*.parquet")
    written = file.stat().st_ino
    assert tierwise(*asked).returncode == 0
    assert file.stat().st_ino == written


def test_an_unknown_case_is_wrong_usage() -> None:
    done = tierwise("bench", "--case", "speed")
    assert done.returncode == 2
    assert "speed is no case" in done.stderr


def test_ways_that_do_not_agree_end_the_run(tmp_path: Path) -> None:
    with bench_in(tmp_path, 1000, 1, lambda _: None) as bench:
        root = bench.deliver("month", 1000)
        (file,) = root.rglob("*.parquet")
        deliver(tmp_path / "other", 1000, date(2026, 10, 1))
        (other,) = (tmp_path / "other").rglob("*.parquet")
        file.with_name("unlisted.parquet").write_bytes(
            other.read_bytes()
        )  # the copies read it, ours does not
        with pytest.raises(BenchError, match="totals differ"):
            bench.run("load")


def test_the_least_time_and_the_most_memory_of_two_measurements_count() -> None:
    assert Measured(2.0, 1.0, 50.0, {}).least(Measured(1.0, 3.0, 60.0, {})) == Measured(1.0, 1.0, 60.0, {})


def test_goals_are_bounds_above_or_below() -> None:
    assert Figure("c", "w", 1.4, "x", 1.4).met is True
    assert Figure("c", "w", 1.5, "x", 1.4).met is False
    assert Figure("c", "w", 7.9, "x", 8.0, at_least=True).met is False
    assert Figure("c", "w", 1.0, "x").met is None


def test_a_way_that_fails_fails_the_measurement(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="does not exist"):
        measured(update, tmp_path / "nowhere", tmp_path / "data")
