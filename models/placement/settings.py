"""What a person declares about a workload: its constraints and the options it may run on."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Tier = Literal["cloud", "api", "onprem", "edge"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Option(_Frozen):
    """One place a workload could run, with its price. PLACEHOLDER: completed by the placement work."""

    tier: Tier
    region: str | None = None
    price_per_gpu_hour: Decimal | None = Field(default=None, ge=0)


class Workload(_Frozen):
    """One workload: what it must meet and where it may run. PLACEHOLDER: completed by the placement work."""

    team: str | None = None
    workload_type: str | None = None
    current: str | None = None
    options: dict[str, Option] = {}
