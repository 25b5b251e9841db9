"""Hard constraints: which options a workload may use at all, and which of its demands exclude each other.

What an option costs belongs to `options.py`; no option that breaks a constraint is ever priced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations

from models.placement.settings import MONTH_HOURS, Option, Workload
from models.placement.words import listing, number


@dataclass(frozen=True)
class Constraint:
    """One demand of a workload.

    Attributes:
        key: The key of the configuration that makes it.
        need: The demand in words, after "it".
        breach: (name of the option, option) -> why the option breaks it, after "because", or None.
    """

    key: str
    need: str
    breach: Callable[[str, Option], str | None]


def constraints(
    workload: Workload, gpu_hours_month: Decimal | None, current_p95_ms: float | None
) -> tuple[Constraint, ...]:
    """The demands a workload makes, in the order in which they are told to a person.

    Args:
        workload: The declaration.
        gpu_hours_month: GPU-hours it holds a month; None where unknown, and then no capacity is checked.
        current_p95_ms: Measured p95 of the workload, which counts for the current option where that option's
            own latency is not given.

    Returns:
        Only demands that are made; a workload that demands nothing may run anywhere.
    """
    found: list[Constraint] = []
    if workload.offline_required:
        found.append(Constraint("offline_required", "must work without a network", _offline))
    if workload.air_gapped:
        found.append(Constraint("air_gapped", "must run on an isolated site of our own", _air_gapped))
    if workload.latency_p95_ms is not None:
        need = f"must answer within {number(workload.latency_p95_ms)} ms at p95"
        found.append(Constraint("latency_p95_ms", need, _latency(workload, current_p95_ms)))
    if workload.regions:
        need = f"must stay in {listing(workload.regions)}"
        found.append(Constraint("regions", need, _residency(workload.regions)))
    if not workload.data_may_leave_perimeter:
        found.append(Constraint("data_may_leave_perimeter", "must keep data on our own systems", _perimeter))
    if workload.regulated is True:
        found.append(
            Constraint("regulated", "needs our own systems or an agreement with the provider", _agreement)
        )
    elif workload.regulated:
        for regime in sorted(set(workload.regulated)):
            need = f"needs our own systems or a {regime} attestation"
            found.append(Constraint(f"regulated: {regime}", need, _regime(regime)))
    if workload.needs_frontier:
        found.append(Constraint("needs_frontier", "needs a frontier model", _frontier))
    if gpu_hours_month is not None:
        need = f"needs {number(gpu_hours_month)} GPU-hours a month"
        found.append(Constraint("gpu_hours_month", need, _capacity(workload, gpu_hours_month)))
    return tuple(found)


def breaches(name: str, option: Option, rules: tuple[Constraint, ...]) -> tuple[tuple[Constraint, str], ...]:
    """The constraints an option breaks, each with why; empty if it is feasible."""
    found = ((rule, rule.breach(name, option)) for rule in rules)
    return tuple((rule, why) for rule, why in found if why is not None)


def conflicts(
    options: Mapping[str, Option], rules: tuple[Constraint, ...]
) -> tuple[tuple[Constraint, ...], ...]:
    """Every minimal set of constraints that no option meets together; empty if some option meets them all.

    Subsets are tried by size, and none that contains an earlier find. In a minimal set each constraint is the
    only one to exclude some option, so no set is larger than the number of options.

    Returns:
        Sets in order of size, each in the order of `rules`. Without options: the one empty set.
    """
    permitted = [
        frozenset(name for name, option in options.items() if rule.breach(name, option) is None)
        for rule in rules
    ]
    everything = frozenset(options)
    useful = [i for i, names in enumerate(permitted) if names != everything]
    found: list[tuple[int, ...]] = []
    for size in range(min(len(useful), len(everything)) + 1):
        for subset in combinations(useful, size):
            if any(set(known) <= set(subset) for known in found):
                continue
            if not everything.intersection(*(permitted[i] for i in subset)):
                found.append(subset)
    return tuple(tuple(rules[i] for i in subset) for subset in found)


def p95_ms(option: Option, measured: float | None) -> float | None:
    """Network + queue + inference at p95, ms; a measured value stands in where the two are not both given.

    The measured one is taken at the server, so a stated `rtt_p95_ms` is added to it.
    """
    if option.rtt_p95_ms is not None and option.infer_p95_ms is not None:
        return option.rtt_p95_ms + option.infer_p95_ms
    return None if measured is None else (option.rtt_p95_ms or 0.0) + measured


def _offline(_: str, option: Option) -> str | None:
    if option.tier != "edge":
        return f"it is {option.tier} and only an edge option works without a network"
    return "it does not work without a network" if option.offline_capable is False else None


def _air_gapped(_: str, option: Option) -> str | None:
    if option.tier != "onprem":
        return f"it is {option.tier} and only an onprem option can be isolated"
    return _perimeter(_, option)


def _perimeter(_: str, option: Option) -> str | None:
    return "data would leave our own systems" if option.leaves_perimeter else None


def _frontier(_: str, option: Option) -> str | None:
    return None if option.frontier else "it offers no frontier model"


def _agreement(_: str, option: Option) -> str | None:
    if not option.leaves_perimeter or option.attestations:
        return None
    return "regulated data would leave our own systems without an agreement"


def _regime(regime: str) -> Callable[[str, Option], str | None]:
    def breach(_: str, option: Option) -> str | None:
        if not option.leaves_perimeter or regime in option.attestations:
            return None
        return f"{regime} data would leave our own systems and it has no {regime} attestation"

    return breach


def _residency(regions: tuple[str, ...]) -> Callable[[str, Option], str | None]:
    allowed = {region.casefold() for region in regions}

    def breach(_: str, option: Option) -> str | None:
        if option.region is None:
            return "its region is not given"
        if option.region.casefold() in allowed:
            return None
        return f"its region {option.region} is not {listing(regions).replace(' and ', ' or ')}"

    return breach


def _latency(workload: Workload, measured: float | None) -> Callable[[str, Option], str | None]:
    limit = workload.latency_p95_ms or 0.0

    def breach(name: str, option: Option) -> str | None:
        own = p95_ms(option, None)
        total = p95_ms(option, measured) if name == workload.current else own
        if total is None:
            return "its p95 latency is not known (rtt_p95_ms and infer_p95_ms)"
        if total <= limit:
            return None
        return f"its {'measured ' if own is None else ''}p95 of {number(total)} ms exceeds {number(limit)} ms"

    return breach


def _capacity(workload: Workload, needed: Decimal) -> Callable[[str, Option], str | None]:
    def breach(name: str, option: Option) -> str | None:
        capacity = option.capacity_gpu_hours_month
        if capacity is None and option.gpus is not None:
            capacity = Decimal(option.gpus * MONTH_HOURS)
        serves_it_today = name == workload.current and workload.gpu_hours_month is None
        if capacity is None or capacity >= needed or serves_it_today:
            return None
        return f"it serves {number(capacity)} GPU-hours a month and {number(needed)} are needed"

    return breach
