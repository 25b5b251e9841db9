"""Devices that write one counter twice, and one whose clock is set back, in a real Prometheus: what a run publishes of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tests.pipelines import small
from tests.services import remote_write
from tests.services.prometheus import receiver

pytestmark = pytest.mark.service

DAYS, STEP_S, DAY_SLOTS = 3, 300, 288
WORK, JOULES = 7, 3000
"""Of each device and five minutes: inferences, and 10 W."""

BACK = range(DAY_SLOTS + 144, 2 * DAY_SLOTS)
"""Slots of cam-3 whose clock is two hours late: from noon of the second day to its end."""


def send(
    url: str, first: date, device: int, slots: range, *, late_s: int = 0, behind_s: float = 0, **labels: str
) -> None:
    """Writes counters of these slots, with times that are `late_s` later and values of `behind_s` before them."""
    t0 = int(datetime(first.year, first.month, first.day, tzinfo=UTC).timestamp())
    base = {
        "device": f"cam-{device}",
        "site": "plant",
        "team": "vision",
        "workload": f"weld-{device}",
        "instance": "localhost:9100",
    }
    for start in range(slots.start, slots.stop, 72):
        batch = [
            (t0 + s * STEP_S + late_s, (s * STEP_S + late_s - behind_s) / STEP_S)
            for s in slots
            if start <= s < start + 72
        ]
        remote_write.write(
            url,
            [
                (base | labels | {"__name__": name}, [(at, 50_000 + rate * steps) for at, steps in batch])
                for name, rate in (("edge_inferences_total", WORK), ("edge_energy_joules_total", JOULES))
            ],
        )  # fmt: skip


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, date]]:
    folder = tmp_path_factory.mktemp("doubles")
    first = datetime.now(UTC).date() - timedelta(days=DAYS + 2)
    every = range(DAYS * DAY_SLOTS)
    with receiver(folder, "30d") as url:
        send(url, first, 1, every)
        for job, late_s in (("node", 0), ("edge", 60)):
            send(url, first, 2, every, job=job, late_s=late_s)
        send(url, first, 3, range(BACK.start))
        send(url, first, 3, BACK, late_s=-7200, behind_s=-7200)
        send(url, first, 3, range(BACK.stop, every.stop))
        for replica, late_s, behind_s in (("a", 0, 0), ("b", 20, 45)):
            send(url, first, 4, every, prometheus_replica=replica, late_s=late_s, behind_s=behind_s)
        last = first + timedelta(days=DAYS - 1)
        remote_write.edge_plant(folder, url, first, cameras=4, interval_s=STEP_S)
        done = small.tierwise("run", "--config", folder / "tierwise.yaml", "--date", last.isoformat())
        assert done.returncode == 0, done.stdout + done.stderr
    yield folder, first


def test_one_counter_counts_once_and_a_clock_set_back_is_unknown(published: tuple[Path, date]) -> None:
    folder, first = published
    rows = small.query(
        folder,
        "SELECT device, day, inferences, energy_kwh FROM telemetry.edge_daily ORDER BY device, day",
    )
    found = {(str(d), (day - first).days): (n, kwh) for d, day, n, kwh in rows if isinstance(day, date)}
    kwh = JOULES / 3.6e6
    for device in ("cam-1", "cam-2", "cam-4"):
        for day in range(DAYS):
            # the first sample of all sets the base; a second one that is ahead of it, a minute later, is 1.4 inferences
            steps = DAY_SLOTS - 1 if day == 0 else DAY_SLOTS
            assert found[device, day] == pytest.approx((WORK * steps, kwh * steps), abs=1.5), (device, day)
            assert found[device, day][1] == pytest.approx(kwh * steps, rel=1e-2)
    assert found["cam-1", 1] == (WORK * DAY_SLOTS, pytest.approx(kwh * DAY_SLOTS))
    assert found["cam-3", 0] == found["cam-1", 0]
    assert found["cam-3", 1] == (None, None)
    # what the second day's last two hours did is told by the third day's first sample
    assert found["cam-3", 2][0] == WORK * DAY_SLOTS
    flags = small.query(
        folder,
        "SELECT rule, action, column_name, value FROM ops.quarantine WHERE source = 'cams'",
    )
    assert flags == [("counter_alternates", "flagged", "energy, inferences", "cam-3")]


def test_unit_cost_of_an_unknown_day_is_unknown_and_its_money_is_kept(published: tuple[Path, date]) -> None:
    folder, first = published
    rows = small.query(
        folder,
        "SELECT workload, day, inferences, cost_per_1m_inferences IS NULL, cost::DOUBLE FROM marts.unit_cost_daily WHERE basis = 'full'",
    )
    found = {(str(w), (day - first).days): more for w, day, *more in rows if isinstance(day, date)}
    fixed = float(str(found["weld-3", 1][2]))
    energy = JOULES * DAY_SLOTS / 3.6e6 * 1.5 * 0.2
    assert found["weld-3", 1][:2] == [None, True]
    assert found["weld-1", 1] == [WORK * DAY_SLOTS, False, pytest.approx(fixed + energy)]
    # 1,200 over twelve months, by the day
    assert 1200 / 366 <= fixed * 1 <= 1200 / 330
