"""What a tariff says: prices of energy by time and tier, demand charges, fixed charges.

An example, in YAML:

    tariff:
      energy:                                  # the first period that matches an hour wins
        - {price: "0.163", months: [5, 6, 7, 8, 9, 10], weekdays: [0, 1, 2, 3, 4], start: "12:00", end: "18:00"}
        - {price: "0.098", above_kwh: 10000}   # what a month uses beyond 10,000 kWh
        - {price: "0.105"}
      demand:
        - {name: peak, price: "21.19", ratchet: 0.8, when: [{weekdays: [0, 1, 2, 3, 4], start: "12:00", end: "18:00"}]}
        - {name: any time, price: "7.10"}
      customer_month: "666.65"
      minimum_month: "1500"                    # what a calendar month costs at least, all of the above together
      holidays: [2026-01-01, 2026-12-25]       # a holiday counts as a Sunday
      spot: ./day-ahead.csv                    # columns start, price_mwh (or price_kwh): comes on top of `energy`

What a kWh costs at an instant belongs to `schedule.py`, what a month costs to `bill.py`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from models.fields import Day, Frozen, Moment

Money = Annotated[Decimal, Field(ge=0, max_digits=30, decimal_places=12)]
EnergyPrice = Annotated[Decimal, Field(max_digits=30, decimal_places=12)]
"""Of a kWh: below 0 where the supplier pays for what is used."""

Share = Annotated[float, Field(ge=0, le=1)]


def _time_of_day(value: Any) -> Any:
    if isinstance(value, int | float):
        msg = 'must be a local time of day in quotes, such as "22:00": without quotes YAML reads 22:00 as the number 1320'
        raise ValueError(msg)
    return value


def _quarter_without_zone(value: time) -> time:
    if value.tzinfo is not None:
        msg = 'must be a local time of day without a zone, such as "22:00"'
        raise ValueError(msg)
    if value.minute % 15 or value.second or value.microsecond:
        msg = 'must be a quarter of an hour, such as "22:15"; the end of a day is "00:00"'
        raise ValueError(msg)
    return value


def _some(prices: tuple[TariffPeriod, ...]) -> tuple[TariffPeriod, ...]:
    if not prices:
        msg = "must have a price of a kWh, such as 0.12 or [{price: 0.12}]"
        raise ValueError(msg)
    if all(period.price < 0 for period in prices):
        msg = "has no price of 0 or more; below 0 may be the prices of some hours or tiers, not all"
        raise ValueError(msg)
    if all(period.above_kwh for period in prices):
        msg = "has no price for the first kWh of a month; give one without above_kwh"
        raise ValueError(msg)
    return prices


def _each_reached(prices: tuple[TariffPeriod, ...]) -> tuple[TariffPeriod, ...]:
    for later, period in enumerate(prices):
        for earlier, other in enumerate(prices[:later]):
            if other.above_kwh == period.above_kwh and other.covers(period):
                msg = (
                    f"the period at place {later + 1} (price {period.price}) is never reached: that at place {earlier + 1} (price "
                    f"{other.price}) holds at all its times, and the first that matches wins; put the later one first, or remove it"
                )
                raise ValueError(msg)
    return prices


def _not_empty(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values:
        msg = "is empty, so that it would never hold; leave it out for always"
        raise ValueError(msg)
    return values


SOME = AfterValidator(_not_empty)
TimeOfDay = Annotated[time, BeforeValidator(_time_of_day), AfterValidator(_quarter_without_zone)]


class Window(Frozen):
    """When a charge applies, in local wall time.

    Attributes:
        start: First local time of day, inclusive.
        end: Last local time of day, exclusive; midnight means the end of the day. A window may cross midnight.
        weekdays: Monday is 0; a holiday counts as a Sunday.
        months: 1-12.
        holidays: true: on holidays only; false: not on holidays; absent: a holiday is a Sunday like any other.
    """

    start: TimeOfDay = time(0)
    end: TimeOfDay = time(0)
    weekdays: Annotated[tuple[Annotated[int, Field(ge=0, le=6)], ...], SOME] = (0, 1, 2, 3, 4, 5, 6)
    months: Annotated[tuple[Annotated[int, Field(ge=1, le=12)], ...], SOME] = tuple(range(1, 13))
    holidays: bool | None = None

    def covers(self, other: Window) -> bool:
        """Whether it is open at all times of another one, as far as one window tells: not by parts of the day's times."""
        return (
            (self.start == self.end or (self.start, self.end) == (other.start, other.end))
            and set(other.weekdays) <= set(self.weekdays)
            and set(other.months) <= set(self.months)
            and self.holidays in (None, other.holidays)
        )


class TariffPeriod(Window):
    """One priced period of a tariff; of those of the highest tier reached, the first that matches an hour wins.

    Attributes:
        price: Price per kWh, also below 0.
        above_kwh: The tier: this price holds for what a calendar month uses beyond so many kWh.
    """

    price: EnergyPrice
    above_kwh: Money = Decimal(0)


class DemandCharge(Frozen):
    """A price for the greatest mean power of an interval, a quarter of an hour where it names none.

    Attributes:
        name: What the bill calls it.
        price: Price per unit of a month, or of a day where it is assessed by day.
        unit: kW, or kVA: kW / the tariff's power factor.
        interval_minutes: The interval whose mean power is billed, counted from the full hour of the local clock.
        when: Windows in which the power counts; any of them. The start of an interval decides.
        assessed: The greatest power of the calendar month, or of each day.
        ratchet: The month is billed for at least this share of the greatest of the eleven months before it.
    """

    name: str = Field(min_length=1)
    price: Money
    unit: Literal["kW", "kVA"] = "kW"
    interval_minutes: Literal[15, 30, 60] = 15
    when: Annotated[tuple[Window, ...], SOME] = (Window(),)
    assessed: Literal["month", "day"] = "month"
    ratchet: Share = 0.0

    @model_validator(mode="after")
    def _ratchet_of_months(self) -> DemandCharge:
        if self.ratchet and self.assessed == "day":
            msg = "a ratchet compares months; leave it out, or write assessed: month"
            raise ValueError(msg)
        return self


class SpotPrice(Frozen):
    """What the market asks for a kWh from an instant on, until the next price is given, for an hour at most.

    Attributes:
        start: With its zone, such as 2026-11-01T00:00+01:00; on a quarter of an hour.
        price_kwh: Price per kWh, also below 0.
        price_mwh: The same per MWh, as exchanges publish it; one of the two is given.
    """

    start: Moment
    price_kwh: EnergyPrice | None = None
    price_mwh: EnergyPrice | None = None

    @model_validator(mode="after")
    def _one_price(self) -> SpotPrice:
        if (self.price_kwh is None) == (self.price_mwh is None):
            msg = "give either price_kwh or price_mwh"
            raise ValueError(msg)
        if not 1 < self.start.year < 9999:
            msg = f"start {self.start} is no time of a price; write such as 2026-11-01T00:00+01:00"
            raise ValueError(msg)
        if self.start.minute % 15 or self.start.second or self.start.microsecond:
            msg = f"start {self.start} must be a quarter of an hour, such as 14:15"
            raise ValueError(msg)
        return self

    @property
    def utc(self) -> datetime:
        """The start, UTC without a zone."""
        return self.start.astimezone(UTC).replace(tzinfo=None)

    @property
    def price(self) -> Decimal:
        """Price per kWh."""
        return self.price_kwh if self.price_kwh is not None else (self.price_mwh or Decimal(0)) / 1000


class Tariff(Frozen):
    """A whole tariff; a bare price or a list of periods means `energy` alone.

    Attributes:
        energy: Prices of a kWh.
        spot: Prices of a market that are paid on top, such as those of the day ahead; every hour with energy needs one.
        demand: Prices of a kW, all of them added.
        customer_month: Fixed charge of a calendar month.
        minimum_month: What energy, demand and the fixed charge of a calendar month cost at least.
        power_factor: kW of a kVA, as the supplier counts it; needed where a demand charge is by kVA.
        holidays: Days that count as Sundays.
        meter: The power meter of telemetry that the supplier bills demand by; absent: the meters of the site's
            nodes added up, with PUE.
        demand_by: Who carries demand: whoever drew energy in the hour of the peak, or in the month.
        valid_from: First local day on which it holds; absent: it always did.
        valid_to: Last local day on which it holds; absent: it still does.
    """

    energy: Annotated[tuple[TariffPeriod, ...], AfterValidator(_some), AfterValidator(_each_reached)]
    spot: tuple[SpotPrice, ...] = ()
    demand: tuple[DemandCharge, ...] = ()
    customer_month: Money = Decimal(0)
    minimum_month: Money = Decimal(0)
    power_factor: Annotated[Decimal, Field(gt=0, le=1)] | None = None
    holidays: frozenset[Day] = frozenset()
    meter: str | None = None
    demand_by: Literal["coincident_peak", "energy"] = "coincident_peak"
    valid_from: Day | None = None
    valid_to: Day | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if not isinstance(value, dict | Tariff):
            value = {"energy": value}
        if isinstance(value, dict) and isinstance(value.get("energy"), str | int | float | Decimal):
            value = value | {"energy": ({"price": value["energy"]},)}
        if isinstance(value, dict) and "spot" in value:
            if not value["spot"]:
                msg = "spot has no price; give those of all hours with energy, or leave it out"
                raise ValueError(msg)
            value = {"energy": ({"price": 0},)} | value
        return value

    @model_validator(mode="after")
    def _names(self) -> Tariff:
        names = [charge.name for charge in self.demand]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            msg = f"demand charges {', '.join(twice)} are there twice; give each its own name, or one charge several windows in `when`"
            raise ValueError(msg)
        by_kva = [charge.name for charge in self.demand if charge.unit == "kVA"]
        if by_kva and self.power_factor is None:
            msg = f"demand charges by kVA ({', '.join(by_kva)}) need `power_factor`, the kW of a kVA that the supplier's bill shows, such as 0.95"
            raise ValueError(msg)
        if self.valid_from and self.valid_to and self.valid_to < self.valid_from:
            msg = f"valid_to {self.valid_to} is before valid_from {self.valid_from}"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _one_price_an_instant(self) -> Tariff:
        counts = Counter(price.utc for price in self.spot)
        twice = sorted(start for start, n in counts.items() if n > 1)
        if twice:
            msg = f"spot has two prices from {twice[0]} UTC on, of {len(twice)} such times; keep one"
            raise ValueError(msg)
        return self

    @cached_property
    def _spot(self) -> tuple[list[datetime], list[Decimal]]:
        ordered = sorted(self.spot, key=lambda price: price.utc)
        return [price.utc for price in ordered], [price.price for price in ordered]

    def spot_price(self, instant: datetime) -> Decimal:
        """What the market asks for a kWh at an instant, UTC without a zone; 0 where the tariff knows no market.

        Raises:
            ValueError: It knows one, and has no price for this instant.
        """
        if not self.spot:
            return Decimal(0)
        starts, prices = self._spot
        place = bisect_right(starts, instant) - 1
        if place >= 0 and instant - starts[place] < timedelta(hours=1):
            return prices[place]
        msg = (
            f"tariff: spot has no price for {instant} UTC; its {len(starts)} prices start between {starts[0]} and {starts[-1]} UTC, "
            "and each holds for an hour at most: add those that lack"
        )
        raise ValueError(msg)

    @property
    def may_pay(self) -> bool:
        """Some price of a kWh is below 0."""
        return min(*(p.price for p in self.energy), *(p.price for p in self.spot), Decimal(0)) < 0

    def require_valid(self, day: date) -> None:
        """Checks that it holds on a local day.

        Raises:
            ValueError: It does not.
        """
        if (self.valid_from or day) <= day <= (self.valid_to or day):
            return
        msg = (
            f"tariff: it holds from {self.valid_from or 'ever'} to {self.valid_to or 'now'}, not on {day}; give the tariff of that "
            "day, or write the `valid_from` and `valid_to` that are true"
        )
        raise ValueError(msg)

    def factor(self, charge: DemandCharge) -> Decimal:
        """The kW of one unit of a demand charge."""
        return self.power_factor if charge.unit == "kVA" and self.power_factor else Decimal(1)

    @property
    def tiers(self) -> tuple[Decimal, ...]:
        """The kWh of a month at which prices change, ascending; (0,) for a tariff without tiers."""
        return tuple(sorted({Decimal(0)} | {p.above_kwh for p in self.energy}))
