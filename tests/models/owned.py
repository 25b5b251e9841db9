"""Inputs of owned hardware that several tests share."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from models.config import Ownership, Site
from models.gpu import anomalies, daily
from models.local_days import local_day
from models.register import Asset
from models.tables import EDGE_DAILY, GPU_HOURLY

DAY = date(2026, 9, 1)
DAYS = {"dc1": (DAY, DAY)}
SITE = Site.model_validate({"time_zone": "UTC", "tariff": "0.10", "pue": 1.5})
SITES = {"dc1": SITE}


def server(**changes: Any) -> Asset:
    """A node that costs 100 a day: 3000 / 30 days of September, nothing else."""
    return Asset.model_validate(
        {
            "asset": "srv-1",
            "site": "dc1",
            "node": "n1",
            "kind": "gpu_server",
            "units": 1,
            "model": "H100",
            "capex": 3000,
            "currency": "USD",
            "in_service": DAY,
            "life_months": 1,
        }
        | changes
    )


def device(**changes: Any) -> Asset:
    """An edge device that costs 1 a day in September."""
    return server(
        **({"asset": "cam-1", "node": "cam-1", "kind": "edge_device", "model": "Orin", "capex": 30} | changes)
    )


def hour(start: int | datetime, **changes: Any) -> dict[str, Any]:
    """One hour of card g1 on node n1, held by team vision at half use, 0.5 kWh."""
    at = (
        datetime.combine(DAY, datetime.min.time()) + timedelta(hours=start)
        if isinstance(start, int)
        else start
    )
    return (
        dict.fromkeys(GPU_HOURLY.schema.names())
        | {
            "hour": at,
            "day": at.date(),
            "source": "tele",
            "site": "dc1",
            "node": "n1",
            "gpu": "g1",
            "gpu_model": "NVIDIA H100",
            "team": "vision",
            "workload": "ocr",
            "allocated": True,
            "observed_hours": 1.0,
            "used_hours": 0.5,
            "energy_kwh": 0.5,
            "energy_estimated_kwh": 0.0,
        }
        | changes
    )


def free(start: int | datetime, **changes: Any) -> dict[str, Any]:
    """The same hour, held by nobody."""
    return hour(start, **({"team": None, "workload": None, "allocated": False, "used_hours": 0.0} | changes))


def gap(start: int | datetime, **changes: Any) -> dict[str, Any]:
    """The same hour without samples."""
    nothing = {"team": None, "workload": None, "allocated": None, "observed_hours": 0.0, "used_hours": None}
    return hour(start, **(nothing | {"energy_kwh": 0.0} | changes))


def gpu_hourly(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=GPU_HOURLY.schema)


def local_hours(day: date, site: Site = SITE) -> list[datetime]:
    """The starts of the UTC hours of a local day."""
    start, end = local_day(day, site)
    return [start + timedelta(hours=k) for k in range(int((end - start) / timedelta(hours=1)))]


def report(**changes: Any) -> dict[str, Any]:
    """One day of device cam-1 that works for team vision: 0.2 kWh, 1000 inferences."""
    return (
        dict.fromkeys(EDGE_DAILY.schema.names())
        | {
            "day": DAY,
            "source": "cams",
            "site": "dc1",
            "device": "cam-1",
            "model": "yolo",
            "team": "vision",
            "workload": "defects",
            "inferences": 1000.0,
            "failed": 0.0,
            "online_hours": 24.0,
            "coverage": 1.0,
            "energy_kwh": 0.2,
            "energy_estimated_kwh": 0.0,
            "messages": 96,
            "duplicates": 0,
            "late_messages": 0,
        }
        | changes
    )


def edge_daily(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=EDGE_DAILY.schema)


RULES = Ownership(platform_team="platform")


COSTS = ("cost_used", "cost_idle", "cost_unallocated")


def compute(
    *rows: dict[str, Any],
    assets: tuple[Asset, ...] = (server(),),
    sites: dict[str, Site] = SITES,
    day: date = DAY,
) -> pl.DataFrame:
    return daily(gpu_hourly(*rows), assets, sites, RULES, dict.fromkeys(sites, (day, day)))


def issues(*rows: dict[str, Any], assets: tuple[Asset, ...] = (server(),)) -> list[tuple[Any, ...]]:
    found = anomalies(gpu_hourly(*rows), assets, SITES, DAYS)
    return found.select("issue", "node", "gpu", "rows", "detail").rows()


def by_state(frame: pl.DataFrame, *columns: str) -> dict[str, tuple[Any, ...]]:
    return {row[0]: row[1:] for row in frame.select("state", *columns).iter_rows()}
