"""What all settings share: their base, names, currencies, days, moments, time zones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, get_args
from zoneinfo import available_timezones

from babel.numbers import list_currencies
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

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


def _day(value: Any) -> Any:
    """The value, unless it is a number or a text of one, which pydantic takes for seconds since 1970, or has a zone."""
    midnight = r"\d{4}-\d\d-\d\d([Tt ]00:00(:00(\.0+)?)?)?"
    plain = re.fullmatch(midnight, value.strip()) if isinstance(value, str) else isinstance(value, date)
    if not plain or (isinstance(value, datetime) and value.tzinfo is not None):
        msg = "must be a day that exists, written as 2026-10-31"
        raise ValueError(msg)
    return value


def _moment(value: Any) -> Any:
    """The value, unless it is a number or a text of one, which pydantic takes for seconds since 1970."""
    text = isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d([Tt ]|$)", value.strip())
    if not text and not isinstance(value, date):
        msg = "must be a moment with its offset from UTC, such as 2026-09-01T10:00:00+03:00"
        raise ValueError(msg)
    return value


Day = Annotated[date, BeforeValidator(_day)]
"""Written as in ISO 8601, also with the time 00:00."""
Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
"""Written as in ISO 8601."""
TimeZone = Annotated[str, AfterValidator(_zone)]
Currency = Annotated[str, AfterValidator(_currency)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]


class Frozen(BaseModel):
    """Base of all settings: immutable, unknown keys refused, and true and false are no numbers, which Python takes them for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        if any(isinstance(one, bool) for one in _values(value)):
            allowed = set(_types(cls.model_fields[str(info.field_name)].annotation))
            if allowed & {int, float, Decimal} and bool not in allowed:
                msg = "must be a number, not true or false (which YAML also reads for yes, no, on and off)"
                raise ValueError(msg)
        return value


def _values(value: Any) -> Iterator[Any]:
    """A value, or all that lists and maps hold."""
    if isinstance(value, dict | list | tuple):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _values(one)
    else:
        yield value


def _types(annotation: Any) -> Iterator[Any]:
    """A type, or all those that unions, lists and maps are made of."""
    arguments = get_args(annotation)
    if not arguments:
        yield annotation
    for one in arguments:
        yield from _types(one)
