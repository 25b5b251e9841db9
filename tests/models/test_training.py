from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from models.config import Ownership
from models.ownership import names
from models.records import TrainingRun
from models.tables import CHARGEBACK_DAILY, TRAINING_RUNS
from models.training import costs
from tests.models.owned import DAY, gpu_hourly, hour
from tests.models.test_unit_cost import charge

SPELLED = names(Ownership(aliases={"workload": {"vlm-train": "vlm"}}))["workload"]


def run(name: str, start: str, end: str, **changes: Any) -> TrainingRun:
    line = {"run_id": name, "workload": "vlm", "started_at": start, "ended_at": end}
    return TrainingRun.model_validate(line | changes)


def table(
    runs: list[TrainingRun], charges: list[dict[str, Any]], *hours: dict[str, Any], **zones: ZoneInfo
) -> pl.DataFrame:
    frame = pl.DataFrame(charges, schema=CHARGEBACK_DAILY.schema)
    got = costs(runs, frame, gpu_hourly(*hours), SPELLED, zones)
    assert got.schema == TRAINING_RUNS.schema
    return got


def paid(cost: str, **changes: Any) -> dict[str, Any]:
    return charge(cost, **({"workload": "vlm", "team": "research"} | changes))


def test_cloud_run_takes_its_part_of_the_time_of_all_runs() -> None:
    """Day 1: a 18 h, b 6 h of 24; day 2: b alone, 12 h. 100 and 40: a 75, b 25 + 40."""
    runs = [
        run("a", "2026-09-01T00:00Z", "2026-09-01T18:00Z", epochs=3, model="vlm-7b"),
        run("b", "2026-09-01T18:00Z", "2026-09-02T12:00Z"),
    ]
    charges = [
        paid("90"),
        paid("10", cost_kind="idle"),
        paid("7", cost_kind="unallocated"),
        paid("55", workload="other"),
        paid("40", day=DAY + timedelta(days=1)),
    ]
    got = {r["run_id"]: r for r in table(runs, charges).iter_rows(named=True)}
    assert (got["a"]["cost"], got["b"]["cost"]) == (Decimal(75), Decimal(65))
    assert (got["a"]["hours"], got["a"]["hours_per_epoch"], got["a"]["cost_per_epoch"]) == (
        18.0,
        6.0,
        Decimal(25),
    )
    assert (got["b"]["cost_per_epoch"], got["b"]["gpu_hours"], got["b"]["method"]) == (None, None, "time")
    assert (got["a"]["model"], got["a"]["team"], got["a"]["tier"]) == ("vlm-7b", "research", "cloud")


def test_owned_run_takes_its_measured_gpu_hours_and_leaves_the_rest() -> None:
    """Two cards held 10 h each; the run covers 2.5 h of both: 5 of 20 GPU-h, 5 x 0.5 kWh, a quarter of 80."""
    held = [hour(h, gpu=g, workload="vlm", team="research") for h in range(10) for g in ("g1", "g2")]
    runs = [run("a", "2026-09-01T01:30Z", "2026-09-01T04:00Z", workload=" VLM-Train")]
    got = table(runs, [paid("80", tier="onprem", sub_account="dc1")], *held).row(0, named=True)
    assert (got["cost"], got["gpu_hours"], got["energy_kwh"]) == (Decimal(20), 5.0, 2.5)
    assert (got["tier"], got["method"]) == ("onprem", "gpu_hours")


def test_a_short_run_has_all_that_was_held_for_it() -> None:
    """10:10 to 10:50, a card held for just that time: 2/3 of an hour and its 0.5 kWh; the pod of 12:00 is no run's."""
    at = {"workload": "vlm", "team": "research"}
    held = [
        hour(10, observed_hours=2 / 3, **at),
        hour(12, **at),
        hour(12, gpu="g2", observed_hours=1 / 3, **at),
    ]
    got = table(
        [run("a", "2026-09-01T10:10Z", "2026-09-01T10:50Z"), run("b", "2026-09-01T14:00Z", "2026-09-01T15:00Z")],
        [paid("60", tier="onprem", sub_account="dc1")],
        *held,
    )  # fmt: skip
    columns = ("run_id", "cost", "gpu_hours", "energy_kwh", "method")
    assert got.select(columns).rows() == [
        ("a", Decimal(20), pytest.approx(2 / 3), 0.5, "gpu_hours"),
        ("b", None, None, None, "none"),
    ]


def test_a_slice_counts_by_its_part_of_the_card_and_each_team_has_its_own_hours() -> None:
    """vision holds 3/7 of a card for 7 h: 3 GPU-h; research 4/7 for 7 h: 4. Of 30 and 40 each has its own; 0.5 kWh an hour."""
    slices = {"vision": ("3g.40gb", "2"), "research": ("4g.40gb", "1")}
    held = [
        hour(h, workload="vlm", team=team, mig_profile=profile, mig_id=number)
        for h in range(7)
        for team, (profile, number) in slices.items()
    ]
    owned = {"tier": "onprem", "sub_account": "dc1"}
    got = table(
        [run("a", "2026-09-01T00:00Z", "2026-09-01T07:00Z")],
        [paid("30", team="vision", **owned), paid("40", **owned)],
        *held,
    )
    assert got.select("team", "cost", "gpu_hours", "energy_kwh").rows() == [
        ("research", Decimal(40), pytest.approx(4), 3.5),
        ("vision", Decimal(30), pytest.approx(3), 3.5),
    ]


def test_runs_of_the_same_hours_share_them_evenly() -> None:
    held = [hour(h, workload="vlm", team="research") for h in range(4)]
    runs = [run(n, "2026-09-01T00:00Z", "2026-09-01T04:00Z") for n in "ab"]
    got = table(runs, [paid("0.10", tier="onprem", sub_account="dc1")], *held)
    assert got["cost"].to_list() == [Decimal("0.05")] * 2
    assert got["gpu_hours"].to_list() == [2.0, 2.0]


def test_local_days_of_a_site() -> None:
    """23:00 UTC is 1:00 of the next day in Athens: nothing of the charge of 1 September, all of the next day's."""
    runs = [run("a", "2026-09-01T23:00Z", "2026-09-02T03:00Z")]
    charges = [
        paid("8", tier="onprem", sub_account="dc1"),
        paid("9", tier="onprem", sub_account="dc1", day=date(2026, 9, 2)),
    ]
    assert table(runs, charges, dc1=ZoneInfo("Europe/Athens"))["cost"].to_list() == [Decimal(9)]
    assert table(runs, charges)["cost"].to_list() == [Decimal(17)]


def test_run_without_charges_is_unknown_not_free() -> None:
    got = table([run("a", "2026-09-01T00:00Z", "2026-09-01T06:00Z")], [paid("9", day=date(2026, 10, 1))])
    row = got.row(0, named=True)
    assert (row["cost"], row["currency"], row["tier"], row["method"]) == (None, "XXX", "unknown", "none")


def test_parts_of_a_day_sum_to_its_cost() -> None:
    """Three runs of a third each of 1.00: 0.333333333333 twice, the rest for the first."""
    runs = [
        run(f"r{n}", f"2026-09-01T{8 * n:02}:00Z", f"2026-09-01T{8 * n + 7:02}:59:59.999999Z")
        for n in range(3)
    ]
    got = table(runs, [paid("1")])
    assert got["cost"].sum() == Decimal(1)
    assert sorted(got["cost"].to_list())[0] == Decimal("0.333333333333")


def test_end_must_follow_start() -> None:
    with pytest.raises(ValueError, match="is not after started_at"):
        run("a", "2026-09-01T06:00Z", "2026-09-01T06:00Z")
    with pytest.raises(ValueError, match="timezone"):
        run("a", "2026-09-01T05:00", "2026-09-01T06:00Z")
    assert (
        datetime.fromisoformat("2026-09-01T05:00+00:00")
        == run("a", "2026-09-01T05:00Z", "2026-09-01T06:00Z").started_at
    )
