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

What a kWh costs at an instant belongs to `schedule.py`, what a month costs to `bill.py`.
"""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from models.fields import Frozen

Money = Annotated[Decimal, Field(ge=0, max_digits=30, decimal_places=12)]
EnergyPrice = Annotated[Decimal, Field(max_digits=30, decimal_places=12)]
"""Of a kWh: below 0 where the supplier pays for what is used."""

Share = Annotated[float, Field(ge=0, le=1)]


def _time_of_day(value: Any) -> Any:
    if isinstance(value, int | float):
        msg = 'must be a local time of day in quotes, such as "22:00": without quotes YAML reads 22:00 as the number 1320'
        raise ValueError(msg)
    return value


def _without_zone(value: time) -> time:
    if value.tzinfo is not None:
        msg = 'must be a local time of day without a zone, such as "22:00"'
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


TimeOfDay = Annotated[time, BeforeValidator(_time_of_day), AfterValidator(_without_zone)]


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
    weekdays: tuple[Annotated[int, Field(ge=0, le=6)], ...] = (0, 1, 2, 3, 4, 5, 6)
    months: tuple[Annotated[int, Field(ge=1, le=12)], ...] = tuple(range(1, 13))
    holidays: bool | None = None


class TariffPeriod(Window):
    """One priced period of a tariff; of those of the highest tier reached, the first that matches an hour wins.

    Attributes:
        price: Price per kWh, also below 0.
        above_kwh: The tier: this price holds for what a calendar month uses beyond so many kWh.
    """

    price: EnergyPrice
    above_kwh: Money = Decimal(0)


class DemandCharge(Frozen):
    """A price for the greatest mean power of a quarter of an hour.

    Attributes:
        name: What the bill calls it.
        price: Price per unit of a month, or of a day where it is assessed by day.
        unit: kW, or kVA: kW / the tariff's power factor.
        when: Windows in which the power counts; any of them.
        assessed: The greatest power of the calendar month, or of each day.
        ratchet: The month is billed for at least this share of the greatest of the eleven months before it.
    """

    name: str = Field(min_length=1)
    price: Money
    unit: Literal["kW", "kVA"] = "kW"
    when: tuple[Window, ...] = (Window(),)
    assessed: Literal["month", "day"] = "month"
    ratchet: Share = 0.0

    @model_validator(mode="after")
    def _ratchet_of_months(self) -> DemandCharge:
        if self.ratchet and self.assessed == "day":
            msg = "a ratchet compares months; leave it out, or write assessed: month"
            raise ValueError(msg)
        return self


class Tariff(Frozen):
    """A whole tariff; a bare price or a list of periods means `energy` alone.

    Attributes:
        energy: Prices of a kWh.
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

    energy: Annotated[tuple[TariffPeriod, ...], AfterValidator(_some)]
    demand: tuple[DemandCharge, ...] = ()
    customer_month: Money = Decimal(0)
    minimum_month: Money = Decimal(0)
    power_factor: Annotated[Decimal, Field(gt=0, le=1)] | None = None
    holidays: frozenset[date] = frozenset()
    meter: str | None = None
    demand_by: Literal["coincident_peak", "energy"] = "coincident_peak"
    valid_from: date | None = None
    valid_to: date | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if not isinstance(value, dict | Tariff):
            value = {"energy": value}
        if isinstance(value, dict) and isinstance(value.get("energy"), str | int | float | Decimal):
            value = value | {"energy": ({"price": value["energy"]},)}
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

    @property
    def may_pay(self) -> bool:
        """Some price of a kWh is below 0."""
        return any(period.price < 0 for period in self.energy)

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
