"""The same tariff for us and for eeco, the independent oracle (PyPI, tests only)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from models.tariffs.settings import Tariff
from tests.models.tariffs.whole import month_cost

UTC = ZoneInfo("UTC")


def row(kind: str, price: Any, window: dict[str, Any] | None = None, **other: Any) -> dict[str, Any]:
    """One line of eeco's rate table; a window has months, weekdays and hours as (first, last)."""
    window = window or {}
    months, weekdays = window.get("months", (1, 12)), window.get("weekdays", (0, 6))
    hours = window.get("hours", (0, 24))
    return {
        "utility": "electric", "type": kind, "assessed": "monthly", "name": "", "basic_charge_limit (metric)": 0,
        "month_start": months[0], "month_end": months[1], "weekday_start": weekdays[0], "weekday_end": weekdays[1],
        "hour_start": hours[0], "hour_end": hours[1], "charge (metric)": float(price),
    } | other  # fmt: skip


def ours(window: dict[str, Any]) -> dict[str, Any]:
    """The same window in our configuration."""
    months, weekdays = window.get("months", (1, 12)), window.get("weekdays", (0, 6))
    start, end = window.get("hours", (0, 24))
    return {
        "months": list(range(months[0], months[1] + 1)),
        "weekdays": list(range(weekdays[0], weekdays[1] + 1)),
        "start": _clock(start),
        "end": _clock(end),
    }


def tariff_of(rows: Sequence[dict[str, Any]]) -> Tariff:
    """Our tariff from eeco's lines; demand lines of one name are windows of one charge."""
    electric = [r for r in rows if r["utility"] == "electric"]
    energy = [
        {"price": str(round(r["charge (metric)"], 12)), "above_kwh": int(r["basic_charge_limit (metric)"])}
        | ours(_window(r))
        for r in electric
        if r["type"] == "energy"
    ]
    demand: dict[str, dict[str, Any]] = {}
    for place, r in enumerate(r for r in electric if r["type"] == "demand"):
        name = r["name"] or f"line {place}"
        charge = demand.setdefault(
            name,
            {"name": name, "price": str(round(r["charge (metric)"], 12)), "when": [], "assessed": "month"},
        )
        charge["when"].append(ours(_window(r)))
        charge["assessed"] = "day" if r["assessed"] == "daily" else "month"
    fixed = sum(Decimal(str(round(r["charge (metric)"], 12))) for r in electric if r["type"] == "customer")
    return Tariff.model_validate({"energy": energy, "demand": list(demand.values()), "customer_month": fixed})


def our_cost(rows: Sequence[dict[str, Any]], start: datetime, kw: Sequence[str], minutes: int) -> Decimal:
    """What our engine bills."""
    load = [(start + i * timedelta(minutes=minutes), Decimal(value)) for i, value in enumerate(kw)]
    return month_cost(load, Decimal(minutes) / 60, tariff_of(rows), UTC)


def eeco_cost(rows: Sequence[dict[str, Any]], start: datetime, kw: Sequence[str], minutes: int) -> float:
    """What eeco bills."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandas as pd
        from eeco import costs

        end, every = start + len(kw) * timedelta(minutes=minutes), f"{minutes}m"
        charges = costs.get_charge_dict(start, end, pd.DataFrame(list(rows)), resolution=every)
        load = {
            "electric": pd.Series([float(v) for v in kw]).to_numpy(),
            "gas": pd.Series([0.0] * len(kw)).to_numpy(),
        }
        result, _ = costs.calculate_cost(charges, load, resolution=every, desired_utility="electric")
    return float(result)


def _window(r: dict[str, Any]) -> dict[str, Any]:
    pairs = {"months": "month", "weekdays": "weekday"}
    found: dict[str, Any] = {k: (int(r[f"{v}_start"]), int(r[f"{v}_end"])) for k, v in pairs.items()}
    return found | {"hours": (float(r["hour_start"]), float(r["hour_end"]))}


def _clock(hour: float) -> str:
    return time(int(hour) % 24, round(hour % 1 * 60)).isoformat()
