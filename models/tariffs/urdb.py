"""A rate of OpenEI's Utility Rate Database (URDB, version 7 of its API) as a tariff of ours.

Whatever of a rate changes the bill and cannot be said by `models.tariffs.settings.Tariff` is refused, never left out.
Which fields there are is in `urdb_fields.py`, schedules in `urdb_windows.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

from models.money import SCALE
from models.tariffs.urdb_fields import LEAST, RATCHET, REFUSED, UnsupportedRateError, nothing, refused
from models.tariffs.urdb_windows import window, windows_of

FIXED_IN = {"$/month": (1, 1), "$/day": (31, 1), "$/year": (1, 12)}
"""Unit of a minimum bill -> so many of them are at most so many months."""

UNITS = ("kW", "kVA")
INTERVALS = (15, 30, 60)
"""Units of demand that can be said."""


def pick(document: Any, label: str | None = None) -> Mapping[str, Any]:
    """The one rate of a response of the API, or of a file with one rate.

    Args:
        document: The parsed JSON.
        label: The rate's `label`, needed where there are several.

    Raises:
        UnsupportedRateError: There is none, or it is not clear which is meant.
    """
    items = document.get("items", [document]) if isinstance(document, Mapping) else document
    rates = [r for r in items if isinstance(r, Mapping)] if isinstance(items, list) else []
    found = [r for r in rates if label is None or r.get("label") == label]
    if len(found) == 1:
        return found[0]
    there = ", ".join(str(r.get("label")) for r in rates) or "none"
    msg = f"{len(found)} rates match label {label!r}; name one in `label`; there are: {there}"
    raise UnsupportedRateError([msg])


def tariff(rate: Mapping[str, Any]) -> dict[str, Any]:
    """A rate in the form of `models.tariffs.settings.Tariff`, not yet validated.

    Prices are rate + adj (+ the month's fuel adjustment). Hours are wall time of the site. Validity is from startdate to
    enddate, both days included.

    Args:
        rate: One rate, numbers as int or Decimal.

    Returns:
        energy, demand, customer_month, minimum_month, and valid_from and valid_to where the rate has them.

    Raises:
        UnsupportedRateError: Something of it cannot be said; all such things are named.
    """
    problems = [*refused(rate), *_scope(rate)]
    result: dict[str, Any] = {}
    try:
        result["customer_month"] = _fixed(rate, problems)
        result["energy"] = list(_energy(rate, problems))
        interval = {"interval_minutes": rate.get("demandwindow", INTERVALS[0])}
        result["demand"] = [c | interval for c in (*_demand(rate, problems), *_flat_demand(rate, problems))]
        given = {key.lower(): value for key, value in rate.items()}
        paid = any(period["price"] < 0 for period in result["energy"])  # energy may lower the bill
        fixed = Decimal(0) if paid else result["customer_month"]
        result["minimum_month"] = _least_bill(given, fixed, problems)
        problems += _ratchet(given, result["demand"])
    except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        problems.append(f"its structures and schedules do not fit together ({error!r})")
    if problems:
        raise UnsupportedRateError(problems)
    for ours, theirs in (("valid_from", "startdate"), ("valid_to", "enddate")):
        if rate.get(theirs):
            result[ours] = datetime.fromtimestamp(int(rate[theirs]), UTC).date()
    return result


def _scope(rate: Mapping[str, Any]) -> Iterator[str]:
    if rate.get("country", "USA") not in ("USA", ""):
        yield f"country ({rate['country']}): amounts are taken as US dollars, so only USA is read"
    if rate.get("servicetype", "Bundled") not in ("Bundled", ""):
        yield f"servicetype ({rate['servicetype']}): the rate is a part of the bill; only Bundled is the whole"
    for structure, unit in (
        ("demandratestructure", "demandrateunit"),
        ("flatdemandstructure", "flatdemandunit"),
    ):
        if nothing(rate.get(structure)):
            continue
        given = [f"{key} ({rate[key]})" for key in (unit, "demandunits") if rate.get(key)]
        if _unit(rate, unit) is None:
            yield f"{', '.join(given)}: only kW or kVA of a month can be billed, the same in both"
        if rate.get("demandwindow", INTERVALS[0]) not in INTERVALS:
            yield f"demandwindow ({rate['demandwindow']}): demand can be billed by {', '.join(map(str, INTERVALS))} minutes"


def _fixed(rate: Mapping[str, Any], problems: list[str]) -> Decimal:
    first, unit = rate.get("fixedchargefirstmeter") or 0, rate.get("fixedchargeunits", "$/month")
    if first and unit != "$/month":
        problems.append(f"fixedchargeunits ({unit}): only $/month can be said")
    return _money(first) + _money(rate.get("fixedmonthlycharge") or 0)


def _unit(rate: Mapping[str, Any], key: str) -> str | None:
    """The unit of a kind of demand charges; None where it is another, or the rate says two."""
    said = {rate[name] for name in (key, "demandunits") if rate.get(name)} or {UNITS[0]}
    return next((unit for unit in UNITS if said == {unit}), None)


def _least_bill(given: Mapping[str, Any], fixed: Decimal, problems: list[str]) -> Decimal:
    """The greatest minimum bill of a month, 0 where the fixed charge, of which nothing is taken away, reaches it by itself."""
    least = Decimal(0)
    for key, usual in LEAST.items():
        if nothing(given.get(key)):
            continue
        amount, unit = (
            _money(given[key]),
            given.get("minchargeunits") or usual if key == "mincharge" else usual,
        )
        if unit not in FIXED_IN:
            problems.append(f"minchargeunits ({unit}): allowed are {', '.join(FIXED_IN)}")
        elif amount * FIXED_IN[unit][0] <= fixed * FIXED_IN[unit][1]:
            continue
        elif unit == "$/month":
            least = max(least, amount)
        else:
            problems.append(
                f"{key} ({given[key]} {unit}): above the fixed charge of {fixed:f} a month only a minimum bill of a month can "
                "be said; if the site always uses more, say so by `without`"
            )
    return least


def _ratchet(given: Mapping[str, Any], charges: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Adds the ratchet to the one charge that there is, if it looks back on the eleven months before.

    Twelve equal percentages mean that every month of the year counts, as eleven months of look-back do.
    """
    by_month, share = given.get("demandratchetpercentage"), given.get("lookbackpercent")
    shares = {
        Decimal(str(s))
        for s in (by_month if isinstance(by_month, list) else [by_month])
        if not nothing(by_month)
    }
    shares |= set() if nothing(share) else {Decimal(str(share))}
    if not shares:
        if any(not nothing(given.get(key)) for key in RATCHET):
            yield "lookbackRange, lookbackMonths: they have no lookbackPercent"
        return
    said = ", ".join(f"{key} ({str(given[key])[:60]})" for key in RATCHET if not nothing(given.get(key)))
    months = given.get("lookbackmonths") or []
    back = given.get("lookbackrange") or 0
    all_year = back in (0, 11) and (all(months) if not nothing(months) else back == 11 or not share)
    if (
        len(shares) > 1
        or not 0 < max(shares) <= 1
        or (isinstance(by_month, list) and len(by_month) not in (0, 12))
    ):
        yield f"{said}: only one share from 0 to 1 for all 12 months can be said"
    elif not all_year or (months and len(months) != 12):
        yield f"{said}: only a look-back on the eleven months before, or on all 12 months, can be said"
    elif len(charges) != 1 or {m for w in charges[0]["when"] for m in w.get("months", range(1, 13))} != set(
        range(1, 13)
    ):
        yield f"{said}: which of {len(charges)} demand charges it is of is not said; it can be of one that holds in all months"
    else:
        charges[0]["ratchet"] = float(max(shares))


def _energy(rate: Mapping[str, Any], problems: list[str]) -> Iterator[dict[str, Any]]:
    structure = rate.get("energyratestructure") or []
    if not structure:
        problems.append("energyratestructure: it is missing, and with it the price of energy")
        return
    windows = windows_of(rate, "energy", len(structure), problems)
    fuel = [_money(v or 0) for v in rate.get("fueladjustmentsmonthly") or [0] * 12]
    if len(fuel) != 12:
        problems.append(f"fueladjustmentsmonthly: it has {len(fuel)} months, not 12")
        return
    for period, tiers in enumerate(structure):
        problems += _tier_problems(f"energyratestructure period {period}", tiers, rate, period)
        bounds = [Decimal(0), *(_money(t.get("max") or 0) for t in tiers[:-1])]
        for of, months in windows[period].items():
            by_fuel: dict[Decimal, list[int]] = defaultdict(list)
            for month in months:
                by_fuel[fuel[month - 1]].append(month)
            for extra, those in by_fuel.items():
                for above, tier in zip(bounds, tiers, strict=True):
                    yield {**window(of, those), "price": _price(tier) + extra, "above_kwh": above}


def _tier_problems(
    where: str, tiers: Sequence[Mapping[str, Any]], rate: Mapping[str, Any], period: int
) -> Iterator[str]:
    limits = [t.get("max") for t in tiers]
    if not tiers or None in limits[:-1] or limits[-1] is not None:
        yield f"{where}: each tier but the last must have `max`, and the last must not; they are {limits}"
    elif not all(a < b for a, b in pairwise(Decimal(str(m)) for m in (0, *limits[:-1]))):
        yield f"{where}: tiers must ascend; they are {limits[:-1]}"
    for tier in tiers:
        if tier.get("unit", "kWh") != "kWh":
            yield f"{where}: unit ({tier['unit']}): only tiers in kWh of a month can be said"
        if not nothing(tier.get("sell")):
            yield f"{where}: sell ({tier['sell']}): {REFUSED['usenetmetering']}"
        unknown = sorted(set(tier) - {"max", "unit", "rate", "adj", "sell"})
        if unknown:
            yield f"{where}: {', '.join(unknown)} is not known"
    if len(tiers) > 1:
        both = zip(rate["energyweekdayschedule"], rate["energyweekendschedule"], strict=True)
        mixed = [m for m, (a, b) in enumerate(both, 1) if period in {*a, *b} and len({*a, *b}) > 1]
        if mixed:
            yield f"{where}: tiers beside other periods in months {mixed}: which kWh fill them is not said"


def _demand(rate: Mapping[str, Any], problems: list[str]) -> Iterator[dict[str, Any]]:
    structure = rate.get("demandratestructure") or []
    if nothing([[_price(t) for t in tiers] for tiers in structure]):
        return
    windows = windows_of(rate, "demand", len(structure), problems)
    for period, tiers in enumerate(structure):
        price = _only_tier(f"demandratestructure period {period}", tiers, problems)
        when = [window(of, months) for of, months in windows[period].items()]
        if price and when:
            unit = _unit(rate, "demandrateunit")
            yield {"name": f"time-of-use demand {period}", "price": price, "unit": unit, "when": when}


def _flat_demand(rate: Mapping[str, Any], problems: list[str]) -> Iterator[dict[str, Any]]:
    structure = rate.get("flatdemandstructure") or []
    if nothing([[_price(t) for t in tiers] for tiers in structure]):
        return
    of_months = rate.get("flatdemandmonths") or []
    if len(of_months) != 12 or not all(0 <= p < len(structure) for p in of_months):
        problems.append(
            f"flatdemandmonths ({of_months}): must name one of {len(structure)} periods for 12 months"
        )
        return
    for period, tiers in enumerate(structure):
        price = _only_tier(f"flatdemandstructure period {period}", tiers, problems)
        months = [m for m, p in enumerate(of_months, 1) if p == period]
        if price and months:
            unit = _unit(rate, "flatdemandunit")
            yield {
                "name": f"monthly demand {period}",
                "price": price,
                "unit": unit,
                "when": [{"months": months}],
            }


def _only_tier(where: str, tiers: Sequence[Mapping[str, Any]], problems: list[str]) -> Decimal:
    if len(tiers) != 1 or tiers[0].get("max") is not None:
        problems.append(f"{where}: tiers of demand cannot be said")
    unknown = sorted({k for t in tiers for k in t} - {"max", "unit", "rate", "adj"})
    if unknown:
        problems.append(f"{where}: {', '.join(unknown)} is not known")
    price = _price(tiers[0]) if tiers else Decimal(0)
    if price < 0:
        problems.append(f"{where}: a price of {price} cannot be said")
    return price


def _price(tier: Mapping[str, Any]) -> Decimal:
    return _money(tier.get("rate") or 0) + _money(tier.get("adj") or 0)


def _money(value: Any) -> Decimal:
    return round(Decimal(str(value)), SCALE)
