"""Volumes of a workload and the price of an option at those volumes.

Nothing is assumed: an option whose cost does not follow from what is declared and measured is not computable,
and the missing keys are named. Adding costs up belongs to `tco.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from typing import Any

from models.placement.settings import MONTH_HOURS, Option, Workload
from models.placement.tco import ZERO, Cost, exact

SAME_VOLUME = Decimal("0.1")
"""A declared volume further than this from the measured one does not go with the measured cost."""

_MEASURED = {
    "inferences_month": "inferences_month",
    "tokens_in_month": "tokens_in_month",
    "tokens_out_month": "tokens_out_month",
    "gpu_hours_month": "gpu_hours_allocated_month",
}


VOLUMES = (*_MEASURED, "egress_gb_month")


@dataclass(frozen=True)
class Volumes:
    """What a workload does in a month; None is unknown.

    Attributes:
        inferences_month: Requests.
        tokens_in_month: Prompt tokens.
        tokens_out_month: Generated tokens.
        gpu_hours_month: GPU-hours held.
        egress_gb_month: GB that leave.
        differ: Keys whose declared value is not the measured one.
        factor: The multiple of what is declared or measured that this is.
    """

    inferences_month: Decimal | None = None
    tokens_in_month: Decimal | None = None
    tokens_out_month: Decimal | None = None
    gpu_hours_month: Decimal | None = None
    egress_gb_month: Decimal | None = None
    differ: tuple[str, ...] = ()
    factor: Decimal = Decimal(1)

    def times(self, factor: Decimal) -> Volumes:
        """A multiple of it."""
        values = {key: value for key in VOLUMES if (value := getattr(self, key)) is not None}
        return replace(self, **{key: value * factor for key, value in values.items()}, factor=factor)


@dataclass(frozen=True)
class Missing:
    """Why an option's cost is not computable: the keys that would have to be given."""

    keys: tuple[str, ...]


def volumes(workload: Workload, measured: Mapping[str, Any] | None) -> Volumes:
    """The volumes to price at: declared ones first, then measured ones.

    Args:
        workload: The declaration.
        measured: The workload's row of `measured.measure`, or None if it was not observed.
    """
    values: dict[str, Any] = {}
    differ = []
    for key, column in _MEASURED.items():
        declared: Decimal | None = getattr(workload, key)
        raw = None if measured is None else measured[column]
        seen = None if raw is None else Decimal(str(round(raw, 6)))
        values[key] = seen if declared is None else declared
        if declared is not None and seen is not None and abs(declared - seen) > seen * SAME_VOLUME:
            differ.append(key)
    return Volumes(**values, egress_gb_month=workload.egress_gb_month, differ=tuple(differ))


def price(option: Option, volume: Volumes, *, current: bool, horizon: int) -> Cost | Missing:
    """The cost of an option over the horizon, or what is missing to know it.

    Args:
        option: The option; owned (onprem or edge without a rental price) or rented.
        volume: Monthly volumes.
        current: It is where the workload runs today, so nothing is spent on moving.
        horizon: Months.
    """
    missing: list[str] = []
    with localcontext(prec=60):
        usage = _usage(option, volume, missing)
        egress = _egress(option, volume, missing)
        if _owned(option):
            needed = ("capex", "opex_month", "power_kw")
            missing += [key for key in needed if getattr(option, key) is None]
        if not current and option.migration_cost is None:
            missing.append("migration_cost")
        if volume.factor > 1:
            missing += _unknown_room(option, volume)
        if missing:
            return Missing(tuple(dict.fromkeys(missing)))
        energy = (option.power_kw or ZERO) * (option.pue or ZERO) * (option.tariff_kwh or ZERO) * MONTH_HOURS
    return Cost(
        horizon=horizon,
        usage_month=exact(usage),
        energy_month=exact(energy),
        opex_month=exact(option.opex_month or ZERO),
        egress_month=None if egress is None else exact(egress),
        capex=exact(option.capex or ZERO),
        salvage=exact(option.salvage or ZERO),
        migration=ZERO if current else exact(option.migration_cost or ZERO),
    )


def _rented(option: Option) -> bool:
    return any(
        value is not None
        for value in (
            option.price_per_gpu_hour,
            option.price_per_1m_tokens_in,
            option.price_per_1m_inferences,
            option.monthly_fee,
        )
    )


def _owned(option: Option) -> bool:
    return option.tier in ("onprem", "edge") and not _rented(option)


def _unknown_room(option: Option, volume: Volumes) -> list[str]:
    """What must be known of an option of a fixed size, to tell whether it can serve more than it does."""
    by_use = (
        option.price_per_gpu_hour, option.price_per_1m_tokens_in, option.price_per_1m_tokens_out, option.price_per_1m_inferences
    )  # fmt: skip
    if not (_owned(option) or option.gpus is not None or (option.monthly_fee and not any(by_use))):
        return []
    room = option.capacity_gpu_hours_month is None and option.gpus is None
    return ["capacity_gpu_hours_month"] * room + ["gpu_hours_month"] * (volume.gpu_hours_month is None)


def _usage(option: Option, volume: Volumes, missing: list[str]) -> Decimal:
    if option.list_price is not None and option.price_per_gpu_hour is None:
        missing.append(f"its list price ({option.price_source or 'it was not looked up'})")
        return ZERO
    if not _rented(option):
        if not _owned(option):
            missing.append(
                "a price (price_per_gpu_hour, price_per_1m_tokens_in and _out, price_per_1m_inferences "
                "or monthly_fee)"
            )
        return ZERO
    if option.gpus is None:
        hours, hours_key = volume.gpu_hours_month, "gpu_hours_month or gpus"
    else:
        hours, hours_key = Decimal(option.gpus * MONTH_HOURS), "gpus"
    million = Decimal(1_000_000)
    terms = (
        (option.price_per_gpu_hour, hours, hours_key, Decimal(1)),
        (option.price_per_1m_tokens_in, volume.tokens_in_month, "tokens_in_month", million),
        (option.price_per_1m_tokens_out, volume.tokens_out_month, "tokens_out_month", million),
        (option.price_per_1m_inferences, volume.inferences_month, "inferences_month", million),
    )
    total = option.monthly_fee or ZERO
    for unit_price, quantity, key, per in terms:
        if unit_price and quantity is None:
            missing.append(key)
        elif unit_price and quantity is not None:
            total += unit_price * quantity / per
    return total


def _egress(option: Option, volume: Volumes, missing: list[str]) -> Decimal | None:
    """Monthly cost of data transfer; None where no volume is declared and so nothing is counted."""
    if volume.egress_gb_month is None:
        if option.egress_per_gb:
            missing.append("egress_gb_month")
        return None
    if option.egress_per_gb is None:
        if volume.egress_gb_month and option.tier in ("cloud", "api"):
            missing.append("egress_per_gb")
        return ZERO
    return option.egress_per_gb * volume.egress_gb_month
