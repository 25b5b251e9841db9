"""Rows of the lists that a configuration gives, inline or as CSV: prices, exchange rates, revenue, training runs.

The register of owned hardware is in `models/register.py`; reading the files belongs to `pipelines/registers.py`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, model_validator

from models.fields import Currency, Day, Frozen, Moment
from models.tariffs.settings import Money

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Price(Frozen):
    """One price of a model API, for requests that carry none.

    Attributes:
        provider: As the gateway or provider names it (compared without regard to case).
        model: Model (compared without regard to case), or a pattern with `*`, `?` or `[0-9]` for models that no price names.
        kind: Kind of token; input is what is not cached.
        price_per_1m: Price of a million tokens.
        currency: Of the price.
        valid_from: First day.
        valid_to: Last day; absent while it holds.
    """

    provider: str = Field(min_length=1)
    model: str = Field(min_length=1)
    kind: Literal["input", "cached", "output"]
    price_per_1m: Money
    currency: Currency
    valid_from: Day
    valid_to: Day | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Price:
        if self.valid_to is not None and self.valid_to < self.valid_from:
            msg = f"valid_to {self.valid_to} is before valid_from {self.valid_from}"
            raise ValueError(msg)
        return self

    def overlaps(self, other: Price) -> bool:
        """Both hold on some day."""
        first, last = max(self.valid_from, other.valid_from), (self.valid_to, other.valid_to)
        return all(day is None or first <= day for day in last)


class Rate(Frozen):
    """One exchange rate: from `date` on, a unit of `currency` is worth `rate` units of the organisation's currency."""

    date: Day
    currency: Currency
    rate: Annotated[Decimal, Field(gt=0, max_digits=24, decimal_places=12)]


class Revenue(Frozen):
    """What the organisation earned in one calendar month, for the share that AI costs of it; or what one project brought.

    Attributes:
        month: Its first day.
        amount: What was earned, or saved, in it.
        currency: Of the amount.
        project: Whose benefit it is, for `marts.roi_monthly`; absent for the revenue of the organisation.
    """

    month: Day
    amount: Annotated[Decimal, Field(gt=0, max_digits=30, decimal_places=12)]
    currency: Currency
    project: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _first_day(self) -> Revenue:
        if self.month.day != 1:
            msg = f"month {self.month} is not the first day of a month; write {self.month.replace(day=1)}"
            raise ValueError(msg)
        return self


class TrainingRun(Frozen):
    """One training or benchmark run, as its job log or experiment tracker knows it.

    Attributes:
        run_id: Unique name.
        workload: The workload whose charges and GPU-hours it is part of (compared without regard to case).
        started_at: First instant, with its offset from UTC.
        ended_at: Last instant, with its offset from UTC.
        model: What was trained.
        epochs: Passes over the data; empty where unknown.
        meter: What its power log calls the meter, node or run that measured it; the run_id where empty.
        tokens: Tokens that it processed; empty where unknown.
        samples: Samples (images, queries) that it processed; empty where unknown.
    """

    run_id: str = Field(min_length=1)
    workload: str = Field(min_length=1)
    started_at: Moment
    ended_at: Moment
    model: str | None = None
    epochs: Positive | None = None
    meter: str | None = None
    tokens: Positive | None = None
    samples: Positive | None = None

    @property
    def measured_by(self) -> str:
        """What its power log calls the meter, node or run."""
        return self.meter or self.run_id

    @model_validator(mode="after")
    def _ordered(self) -> TrainingRun:
        if self.ended_at <= self.started_at:
            msg = (
                f"ended_at {self.ended_at.isoformat()} is not after started_at {self.started_at.isoformat()}"
            )
            raise ValueError(msg)
        return self
