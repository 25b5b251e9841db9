"""The fields of a URDB rate: which are read, which are passed over, which are refused and why.

A charge of 0 or an empty list is no charge. What the fields that are read mean belongs to `urdb.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

ABOUT = frozenset({
    "label", "uri", "name", "utility", "eiaid", "eia", "sector", "description", "source",
    "sourceparent", "approved", "is_default", "supersedes", "supercedes", "revisions", "latest_update",
    "basicinformationcomments", "energycomments", "demandcomments", "voltagecategory", "voltageminimum",
    "voltagemaximum", "phasewiring", "peakkwcapacitymin", "peakkwcapacitymax", "peakkwcapacityhistory",
    "peakkwhusagemin", "peakkwhusagemax", "peakkwhusagehistory", "coincidentrateunit",
    "coincidentrateschedule",
})  # fmt: skip
"""What a rate is and whom it is for; units and schedules of charges that are refused themselves."""

READ = frozenset({
    "energyratestructure", "energyweekdayschedule", "energyweekendschedule", "fueladjustmentsmonthly",
    "demandratestructure", "demandweekdayschedule", "demandweekendschedule", "flatdemandstructure",
    "flatdemandmonths", "fixedchargefirstmeter", "fixedchargeunits", "fixedmonthlycharge",
    "demandunits", "demandrateunit", "flatdemandunit", "demandwindow", "servicetype", "country",
    "startdate", "enddate",
})  # fmt: skip
"""What a tariff is made of."""

LEAST = {"mincharge": "$/month", "minmonthlycharge": "$/month", "annualmincharge": "$/year"}
"""Minimum bills, and their units where none is given."""

RATCHET = ("demandratchetpercentage", "lookbackpercent", "lookbackrange", "lookbackmonths")

SOMETIMES = frozenset({*LEAST, *RATCHET, "minchargeunits"})
"""Fields that can be said in some forms."""

REFUSED = {
    "fixedchargeeaaddl": "a charge for each further meter cannot be said; if the site has one meter, say so by `without`",
    "demandreactivepowercharge": "reactive power is not measured",
    "coincidentratestructure": "the hour of the grid's peak is not known",
    "usenetmetering": "energy that is fed in is not measured; if the site feeds nothing in, say so by `without`",
    "dgrules": "energy that is fed in is not measured; if the site feeds nothing in, say so by `without`",
    "energyattrs": "prices in free text cannot be read; if they are none, say so by `without`",
    "demandattrs": "prices in free text cannot be read; if they are none, say so by `without`",
    "fixedattrs": "prices in free text cannot be read; if they are none, say so by `without`",
}
"""Field -> why it is refused."""


class UnsupportedRateError(ValueError):
    """A rate cannot be said as a tariff of ours; `problems` are all the reasons, each with field and value."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


def nothing(value: Any) -> bool:
    """It is no charge: 0, absent, or a list of nothing else."""
    if isinstance(value, list):
        return all(nothing(v) for v in value)
    return value in (None, "", 0, False)


def refused(rate: Mapping[str, Any]) -> list[str]:
    """The fields that cannot be said as a tariff, each with its value and why."""
    return [
        f"{key} ({str(value)[:60]}): {REFUSED.get(key.lower(), 'this field is not known')}"
        for key, value in rate.items()
        if not nothing(value) and key.lower() not in ABOUT | READ | SOMETIMES
    ]


def without(rate: Mapping[str, Any], fields: Sequence[str]) -> Mapping[str, Any]:
    """The rate without fields that somebody has said do not matter; `sell` is one of every tier of energy.

    Raises:
        UnsupportedRateError: The rate has no such field, or it is one of those that a tariff is made of.
    """
    wrong = [f for f in fields if f != "sell" and (f not in rate or f.lower() in READ)]
    if wrong:
        msg = f"`without` names {', '.join(wrong)}; it may name what this rate has and a tariff cannot say, such as {', '.join(REFUSED)}, sell"
        raise UnsupportedRateError([msg])
    left = {k: v for k, v in rate.items() if k not in fields}
    if "sell" in fields:
        tiers = rate.get("energyratestructure") or []
        left["energyratestructure"] = [
            [{k: v for k, v in tier.items() if k != "sell"} for tier in period] for period in tiers
        ]
    return left
