from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from models.request_rate import with_rates
from models.tables import EDGE_DAILY, INFERENCE_HOURLY
from tests.models.owned import DAY, edge_daily, report

START = datetime.fromisoformat("2026-09-01T00:00")
RATES = ("inferences_per_s_mean", "inferences_per_s_peak", "rate_hours")


def hour(at: float, inferences: float | None, coverage: float = 1.0, **changes: Any) -> dict[str, Any]:
    """One hour of pod p1 that serves ocr on owned cards of dc1."""
    known = {
        "hour": START + timedelta(hours=at), "day": DAY, "source": "vllm", "site": "dc1", "tier": "onprem",
        "workload": "ocr", "model": "m1", "pod": "p1", "inferences": inferences, "coverage": coverage,
    }  # fmt: skip
    return dict.fromkeys(INFERENCE_HOURLY.schema.names()) | known | changes


def rates(
    *hours: dict[str, Any],
    devices: pl.DataFrame | None = None,
    zones: dict[str | None, ZoneInfo] | None = None,
    **row: Any,
) -> tuple[float | None, ...]:
    work = {"day": DAY, "workload": "ocr", "tier": "onprem", "inferences": 0.0} | row
    got = with_rates(
        pl.DataFrame([work]),
        pl.DataFrame(hours, schema=INFERENCE_HOURLY.schema),
        EDGE_DAILY.empty() if devices is None else devices,
        zones or {},
    )
    return got.select(RATES).row(0)


def test_an_hour_in_which_a_replica_starts_is_whole() -> None:
    """p1 3,600, 7,200 and 1,800; p2 from 01:30 on 1,800 and 1,800: 1, 2.5 and 1 a second, 16,200 in 3 h."""
    p1 = [hour(h, n) for h, n in enumerate((3600.0, 7200.0, 1800.0))]
    assert rates(*p1, hour(1, 1800.0, 0.5, pod="p2"), hour(2, 1800.0, pod="p2")) == (1.5, 2.5, 3.0)


def test_neither_an_hour_seen_in_part_nor_the_one_after_a_silence_counts() -> None:
    """Silent from 01:30 to 03:00:36: 1,800 before it, and 1.5 h of work in hour 3, of which 99 % is seen."""
    seen = [hour(0, 3600.0), hour(1, 1800.0, 0.5), hour(3, 9000.0, 0.99), hour(4, 7200.0)]
    # hours 0 and 4: 10,800 in 7,200 s
    assert rates(*seen) == (1.5, 2.0, 2.0)


def test_a_scrape_missed_at_times_is_no_silence() -> None:
    assert rates(hour(0, 3600.0), hour(1, 3600.0, 0.99), hour(2, 7200.0)) == (4 / 3, 2.0, 3.0)


def test_unknown_where_no_hour_is_whole_or_a_count_is_lacking() -> None:
    assert rates(hour(0, 1800.0, 0.5)) == (None, None, None)
    assert rates(hour(0, 3600.0), hour(0, None, pod="p2")) == (None, None, None)
    assert rates(hour(0, 3600.0), workload="other") == (None, None, None)


def test_a_log_knows_all_hours() -> None:
    """10,800 of 86,400 s; the busiest hour has 7,200."""
    log = {"tier": "api", "site": None}
    hours = [hour(9, 7200.0, **log), hour(13, 3600.0, **log)]
    assert rates(*hours, tier="api", inferences=10_800.0) == (0.125, 2.0, 24.0)


def test_usage_by_day_has_no_peak() -> None:
    by_day = hour(0, 86_400.0, tier="api", site=None)
    assert rates(by_day, tier="api", inferences=86_400.0) == (1.0, None, 24.0)


def test_devices_have_the_mean_of_their_whole_day() -> None:
    """Two cameras, one of them offline for half of the day, on the day of 25 hours: 9,000 in 90,000 s."""
    day = date(2026, 10, 25)
    fleet = edge_daily(report(day=day), report(day=day, device="cam-2", online_hours=12.0))
    work = {"day": day, "workload": "defects", "tier": "edge", "inferences": 9000.0}
    assert rates(devices=fleet, zones={"dc1": ZoneInfo("Europe/Berlin")}, **work) == (0.1, None, 25.0)


def test_sites_add_up() -> None:
    """3,600 at dc1 and 1,800 at dc2 in one hour; with dc2 half an hour apart their hours cannot be added."""
    assert rates(hour(0, 3600.0), hour(0, 1800.0, site="dc2")) == (1.5, 1.5, 1.0)
    assert rates(hour(0, 3600.0), hour(0.5, 1800.0, site="dc2")) == (1.5, None, 1.0)


def test_half_an_hour_that_ends_a_day_is_half_an_hour() -> None:
    """Lord Howe, 4 April 2027: clocks go back by half an hour, the day has 24.5 h. 1,800 in the last half hour: 1 a second."""
    day, end = date(2027, 4, 4), datetime.fromisoformat("2027-04-04T13:30")
    last = hour(0, 1800.0, 0.5, day=day, hour=end - timedelta(minutes=30))
    before = hour(0, 3600.0, day=day, hour=end - timedelta(minutes=90))
    zones: dict[str | None, ZoneInfo] = {"dc1": ZoneInfo("Australia/Lord_Howe")}
    assert rates(before, last, day=day, zones=zones) == (1.0, 1.0, 1.5)
