"""What all settings share: their base, names, currencies, time zones."""

from __future__ import annotations

from functools import cache
from typing import Annotated
from zoneinfo import available_timezones

from babel.numbers import list_currencies
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_zones = cache(available_timezones)  # each call looks through a folder of hundreds of files


def _zone(name: str) -> str:
    if name not in _zones():
        msg = f"{name!r} is not an IANA time zone; write one such as Europe/Athens, Asia/Kolkata or UTC"
        raise ValueError(msg)
    return name


def _currency(code: str) -> str:
    if code not in list_currencies():
        msg = f"{code!r} is not an ISO 4217 currency code; write one such as USD or EUR"
        raise ValueError(msg)
    return code


TimeZone = Annotated[str, AfterValidator(_zone)]
Currency = Annotated[str, AfterValidator(_currency)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]


class Frozen(BaseModel):
    """Base of all settings: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
