"""Devices remote-write into a real Prometheus; days are published; one device delivers four days late, out of order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from tests.pipelines import small
from tests.services import remote_write
from tests.services.prometheus import receiver

pytestmark = pytest.mark.service

DAYS, STEP_S, DAY_SLOTS = 6, 300, 288
OFFLINE = range(240, 384)
"""Slots of cam-1 that come late: from 20:00 of the first day to 08:00 of the second."""

WORK, JOULES = 7, 3000
"""Of each device and five minutes: inferences times its number, and 10 W."""

Rows = dict[tuple[str, date], tuple[float, float]]


@dataclass(frozen=True)
class Site:
    """A server that devices have written to, and the folder of the configuration that reads it."""

    url: str
    folder: Path
    first: date

    @property
    def last(self) -> date:
        return self.first + timedelta(days=DAYS - 1)

    def send(self, device: int, slots: Sequence[int]) -> None:
        """Writes the samples of these slots, six hours at a time, as an agent does."""
        t0 = int(datetime(self.first.year, self.first.month, self.first.day, tzinfo=UTC).timestamp())
        labels = {"device": f"cam-{device}", "site": "plant", "team": "vision", "workload": "weld"}
        for start in range(0, len(slots), 72):
            batch = [(t0 + s * STEP_S, s) for s in slots[start : start + 72]]
            remote_write.write(
                self.url,
                [
                    (labels | {"__name__": name}, [(at, 1000 + rate * s) for at, s in batch])
                    for name, rate in (
                        ("edge_inferences_total", WORK * device),
                        ("edge_energy_joules_total", JOULES),
                    )
                ],
            )

    def run(self) -> Rows:
        """One daily run; (device, day) -> inferences, kWh."""
        done = small.tierwise(
            "run", "--config", self.folder / "tierwise.yaml", "--date", self.last.isoformat()
        )
        assert done.returncode == 0, done.stdout + done.stderr
        rows = small.query(
            self.folder,
            "SELECT device, day, inferences, energy_kwh + energy_estimated_kwh FROM telemetry.edge_daily",
        )
        return {
            (str(d), day): (float(str(n)), float(str(kwh)))
            for d, day, n, kwh in rows
            if isinstance(day, date)
        }


def truth(first: date, sent: dict[int, Sequence[int]]) -> Rows:
    """An increment belongs to the day of the sample that shows it; the first shows none."""
    found: dict[tuple[str, date], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for device, slots in sent.items():
        for before, slot in pairwise(slots):
            row = found[f"cam-{device}", first + timedelta(days=slot // DAY_SLOTS)]
            row[0] += WORK * device * (slot - before)
            row[1] += JOULES * (slot - before) / 3.6e6
    return {key: (n, pytest.approx(kwh)) for key, (n, kwh) in found.items()}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("written")
    first = datetime.now(UTC).date() - timedelta(days=DAYS + 1)
    with receiver(folder, "30d") as url:
        remote_write.edge_plant(folder, url, first, cameras=2, interval_s=STEP_S)
        yield Site(url, folder, first)


def test_late_samples_restate_closed_days_to_the_truth(site: Site) -> None:
    every = range(DAYS * DAY_SLOTS)
    online = [s for s in every if s not in OFFLINE]
    site.send(2, every)
    site.send(1, online)
    assert site.run() == truth(site.first, {1: online, 2: every})
    before = small.fingerprint(site.folder)
    site.run()
    assert small.fingerprint(site.folder) == before
    money = "SELECT day, SUM(effective_cost)::DOUBLE FROM marts.chargeback_daily GROUP BY day"
    paid = dict(small.query(site.folder, money))
    site.send(1, OFFLINE)
    later = (DAYS + 3) * DAY_SLOTS
    site.send(2, range(later, later + 3))  # its clock is two days ahead
    assert site.run() == truth(site.first, {1: every, 2: every})
    # 48 slots of the first day were on the second: 48 x 3000 J x PUE 1.5 x 0.20
    moved = 48 * JOULES / 3.6e6 * 1.5 * 0.2
    now = dict(small.query(site.folder, money))
    days = [site.first + timedelta(days=n) for n in range(DAYS)]
    changes = [float(str(now[d])) - float(str(paid[d])) for d in days]
    assert changes == pytest.approx([moved, -moved, 0, 0, 0, 0], abs=1e-9)
    restated = small.query(
        site.folder,
        "SELECT period FROM ops.ingests WHERE source = 'cams' GROUP BY period HAVING COUNT(*) = 2 ORDER BY period",
    )
    assert [d for (d,) in restated] == days[:3]
    ahead = "SELECT rule, value, rows::INT, period FROM ops.quarantine WHERE rule = 'clock_ahead'"
    assert small.query(site.folder, ahead) == [("clock_ahead", "cam-2", 3, days[2])]
