"""A whole run over a site whose every figure is worked out by hand: from minute samples to GPU days and chargeback.

Six servers, each 3,000 over the 30 days of September: 100 a day. Energy at 0.10 x PUE 1.5 = 0.15 a kWh. A card draws
500 W, 12 kWh or 1.80 a day, where nothing else is said; a card that is held works at half.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.pipelines import small

pytestmark = pytest.mark.long

FIRST, SECOND = date(2026, 9, 1), date(2026, 9, 2)
START = datetime(2026, 9, 1, tzinfo=UTC)
DAY_MINUTES = 1440

REGISTER = """asset,site,node,kind,units,model,capex,currency,in_service,retired,life_months
a1,dc1,n1,gpu_server,2,H100,3000,USD,2026-09-01,,1
a2,dc1,n2,gpu_server,2,H100,3000,USD,2026-09-01,,1
a3,dc1,n3,gpu_server,1,H100,3000,USD,2026-09-01,,1
a4,dc1,n4,gpu_server,1,H100,3000,USD,2026-09-01,2026-09-02,1
a5,dc1,n5,gpu_server,1,H100,3000,USD,2026-09-01,,1
a6,dc1,n6,gpu_server,1,H100,3000,USD,2026-09-01,,1
"""

CONFIG = """
sources:
  dc1: {kind: telemetry_files, location: ./samples, site: dc1}
sites:
  dc1: {time_zone: UTC, pue: 1.5, tariff: 0.10}
assets: ./assets.csv
"""

VISION = {"pod": "train-0", "team": "vision", "workload": "train", "utilisation": 0.5}
SEARCH = {"pod": "rank-0", "team": "search", "workload": "rank", "utilisation": 0.5}
FREE = {"utilisation": 0.0}


def series(node: str, gpu: str, watts: int = 500, **labels: Any) -> Iterator[dict[str, Any]]:
    """Two days of a card, a sample a minute; the last one ends the last minute."""
    for minute in range(2 * DAY_MINUTES + 1):
        yield {
            "ts": START + timedelta(minutes=minute),
            "node": node,
            "gpu": gpu,
            "gpu_model": "NVIDIA H100 80GB HBM3",
            "energy_mj": 1e12 + minute * watts * 60_000.0,
        } | labels


def samples() -> Iterator[dict[str, Any]]:
    # n1 mixes a dedicated card with one in MIG slices: 3 of 7 held, 2 free, 2 that do not exist.
    yield from series("n1", "g1", **VISION)
    yield from series("n1", "g2", mig_id="1", mig_profile="3g.40gb", **SEARCH)
    yield from series("n1", "g2", mig_id="2", mig_profile="2g.20gb", **FREE)
    # n2: one pod on two cards. It restarts at 06:00 under another name; at 08:00 the counters have restarted a
    # minute ago, and the driver counts from 0.
    for gpu in ("g3", "g4"):
        for row in series("n2", gpu, **VISION | {"pod": "pair-7f"}):
            at = row["ts"] - START
            if at >= timedelta(hours=6):
                row["pod"] = "pair-8c"
            if at >= timedelta(hours=8):
                row["energy_mj"] -= 1e12 + (8 * 60 - 1) * 500 * 60_000.0
            yield row
    # n3: nobody asked for it; it idles at 100 W.
    yield from series("n3", "g5", 100, **FREE)
    # n4 is retired on the second day, and its card is still there.
    yield from series("n4", "g6", **VISION)
    # g7 moves from n5 to n6 at noon of the first day.
    for row in series("n5", "g7", **VISION):
        yield row | ({"node": "n6"} if row["ts"] - START >= timedelta(hours=12) else {})


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("owned")
    (folder / "samples").mkdir()
    pl.DataFrame(list(samples()), infer_schema_length=None).write_parquet(folder / "samples" / "gpu.parquet")
    (folder / "assets.csv").write_text(REGISTER)
    (folder / "tierwise.yaml").write_text(CONFIG)
    done = small.tierwise("run", "--config", folder / "tierwise.yaml", "--date", SECOND.isoformat())
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def gpu_days(folder: Path, day: date) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """(node, gpu, profile, state) -> team, hours (capacity, allocated, used), cost (used, idle, unallocated)."""
    rows = small.query(
        folder,
        "SELECT node, gpu, mig_profile, state, team, gpu_hours_capacity, gpu_hours_allocated, gpu_hours_used, cost_used, "
        f"cost_idle, cost_unallocated FROM marts.gpu_daily WHERE day = DATE '{day}'",
    )
    return {
        row[:4]: (
            row[4],
            *(None if h is None else round(float(str(h)), 6) for h in row[5:8]),
            *(round(Decimal(str(c)), 6) for c in row[8:]),
        )
        for row in rows
    }


HELD = ("vision", 24, 24, 12)
SLICE = round(24 / 7, 6)


def test_the_first_day(published: Path) -> None:
    d = Decimal
    # 50 a card of n1 and n2, half of it used: 25 + 1.80 and 25.
    whole = (*HELD, d("26.8"), d(25), 0)
    # g2: 12 kWh by activity and slices (a = 0.5 on 3/7, U = 3/14): 54/98 to the held slice, 22/98 each to the others.
    # Held: 50 x 3/7 = 21.428571, half used, + 1.80 x 54/98 = 0.991837. Others: 50 x 2/7 = 14.285714 + 0.404082.
    assert gpu_days(published, FIRST) == {
        ("n1", "g1", None, "allocated"): whole,
        ("n1", "g2", "3g.40gb", "allocated"): (
            "search", 10.285714, 10.285714, 5.142857, d("11.706122"), d("10.714286"), 0,
        ),
        ("n1", "g2", "2g.20gb", "unallocated"): ("platform", 6.857143, 0, 0, 0, 0, d("14.689796")),
        ("n1", "g2", None, "unallocated"): ("platform", 6.857143, 0, 0, 0, 0, d("14.689796")),
        ("n2", "g3", None, "allocated"): whole,
        ("n2", "g4", None, "allocated"): whole,
        # 2.4 kWh x 0.15 = 0.36
        ("n3", "g5", None, "unallocated"): ("platform", 24, 0, 0, 0, 0, d("100.36")),
        ("n4", "g6", None, "allocated"): (*HELD, d("51.8"), d(50), 0),
        # 12 h of each node's 24: 50, half of it used, + 6 kWh x 0.15; of the other 12 h nothing is known.
        ("n5", "g7", None, "allocated"): ("vision", 12, 12, 6, d("25.9"), d(25), 0),
        ("n5", "g7", None, "unknown"): ("platform", 12, 0, None, 0, 0, d(50)),
        ("n6", "g7", None, "allocated"): ("vision", 12, 12, 6, d("25.9"), d(25), 0),
        ("n6", "g7", None, "unknown"): ("platform", 12, 0, None, 0, 0, d(50)),
    }  # fmt: skip


def test_the_second_day(published: Path) -> None:
    found = gpu_days(published, SECOND)
    # n4 is retired: no row. g7 is in n6 all day; the place it left in n5 is a registered card of which nothing is known.
    assert not [key for key in found if key[0] == "n4"]
    assert found["n5", "n5/unseen-1", None, "unknown"] == ("platform", 24, 0, None, 0, 0, 100)
    assert found["n6", "g7", None, "allocated"] == (*HELD, Decimal("51.8"), 50, 0)
    assert len(found) == 9


def test_every_team_is_charged_its_part(published: Path) -> None:
    rows = small.query(
        published,
        "SELECT day, team, cost_kind, round(sum(effective_cost), 6) FROM marts.chargeback_daily GROUP BY ALL",
    )
    found = {(day, team, kind): cost for day, team, kind, cost in rows}
    d = Decimal
    # Used: g1, g3, g4 3 x 26.80, g6 51.80, g7 2 x 25.90. Idle: 3 x 25, 50, 2 x 25. Nobody's: 2 x 14.689796 + 100.36 + 2 x 50.
    # In all 611.16: six servers at 100, and 11.16 of energy (six cards at 1.80, one at 0.36).
    assert {k[1:]: v for k, v in found.items() if k[0] == FIRST} == {
        ("vision", "direct"): d("184"),
        ("vision", "idle"): d("175"),
        ("search", "direct"): d("11.706122"),
        ("search", "idle"): d("10.714286"),
        ("platform", "unallocated"): d("229.739592"),
    }
    # Used: 3 x 26.80 + 51.80; idle 3 x 25 + 50; nobody's: 2 x 14.689796 + 100.36 + 100, and what a4 leaves:
    # 3,000 less one day of 30.
    assert {k[1:]: v for k, v in found.items() if k[0] == SECOND} == {
        ("vision", "direct"): d("132.2"),
        ("vision", "idle"): d("125"),
        ("search", "direct"): d("11.706122"),
        ("search", "idle"): d("10.714286"),
        ("platform", "unallocated"): d("3129.739592"),
    }


def test_nothing_is_lost(published: Path) -> None:
    # 611.16 + (500 + 9.36 of energy + 2,900)
    total = small.query(published, "SELECT sum(effective_cost) FROM marts.chargeback_daily")
    assert total == [(Decimal("4020.52"),)]
    assert small.query(published, "SELECT max(difference) FROM ops.reconciliation") == [(0,)]


def test_a_card_without_asset_is_told(published: Path) -> None:
    rows = small.query(
        published, "SELECT source, period, action, rule, value, rows, location FROM ops.quarantine"
    )
    assert [r[1:] for r in rows] == [
        (SECOND, "flagged", "no_asset", "12.0 kWh without a price", 24, "dc1/n4/g6")
    ]


def test_a_report_of_a_copy_says_that_its_files_lie_elsewhere(published: Path, tmp_path: Path) -> None:
    """Views name files by absolute path: in the copy they are those of the original."""
    shutil.copytree(published, tmp_path / "copy", symlinks=True)
    done = small.tierwise("report", "--config", tmp_path / "copy" / "tierwise.yaml", "--to", tmp_path / "to")
    assert done.returncode == 1
    assert done.stderr.startswith("error ")
    assert "`tierwise run` publishes it anew" in done.stderr
