"""A decision in words: what to do, at what cost, since when it pays, and what was ruled out and why.

Nothing is decided or computed here.
"""

from __future__ import annotations

from collections.abc import Sequence

from models.placement.constraints import Constraint
from models.placement.decision import Decision, Verdict
from models.placement.settings import Workload
from models.placement.tco import Cost
from models.placement.words import listing, money

_SHOWN = 3
"""Options ruled out that are named in a recommendation; `marts.placement_options` has them all."""


_VERB = {"implement": "Move", "plan": "Plan to move", "blocked": "Wait to move"}


def reason(
    workload: Workload,
    verdicts: Sequence[Verdict],
    decision: Decision,
    clashes: Sequence[Sequence[Constraint]],
    currency: str,
) -> str:
    """The recommendation in a few plain sentences.

    Args:
        workload: The declaration.
        verdicts: All its options.
        decision: What `decide` made of them.
        clashes: The minimal sets of constraints that exclude each other, if nothing is feasible.
        currency: Of all amounts.
    """
    current = next((v for v in verdicts if v.name == workload.current), None)
    if decision.status == "infeasible":
        return _infeasible(verdicts, clashes)
    if decision.pick is None:
        text = "Nothing can be recommended: " + listing(decision.holds) + "."
    elif decision.pick is current:
        text = _stay(current, verdicts, currency)
    elif current is None:
        cost = _spread(decision.pick, currency)
        text = f"Start on {decision.pick.name}, the cheapest place that can be used: {cost}."
    elif not current.feasible:
        why = listing([why for _, why in current.breaches])
        text = (
            f"Leave {current.name}, which cannot be used because {why}: "
            f"{decision.pick.name} is the cheapest place that can: {_spread(decision.pick, currency)}."
        )
    else:
        text = _move(current, decision.pick, decision, currency)
    return " ".join(filter(None, [text, _holds(decision), _ruled_out(verdicts, decision, current)]))


def option_reason(verdict: Verdict) -> str:
    """Why an option is impossible, why it has no cost, or how its cost was found."""
    if not verdict.feasible:
        return f"Cannot be used: {listing([why for _, why in verdict.breaches])}."
    if verdict.missing:
        return f"Can be used; its cost cannot be computed without {listing(verdict.missing)}."
    parts = [f"Can be used; {verdict.basis}."]
    if verdict.option.lead_time_months:
        parts.append(f"Allow {verdict.option.lead_time_months} months to get it.")
    if not verdict.option.available:
        parts.append("It cannot be had today.")
    return " ".join(parts)


def _priced(verdict: Verdict) -> Cost:
    if verdict.cost is None:
        msg = f"option {verdict.name} has no cost; only a priced option can be recommended"
        raise ValueError(msg)
    return verdict.cost


def _spread(verdict: Verdict, currency: str) -> str:
    cost = _priced(verdict)
    return f"{money(cost.spread_month, currency)} a month over {cost.horizon} months, everything included"


def _stay(current: Verdict, verdicts: Sequence[Verdict], currency: str) -> str:
    rivals = [(v.cost, v.name) for v in verdicts if v is not current and v.cost is not None]
    best = min(rivals, key=lambda pair: (pair[0].total, pair[1]), default=None)
    if current.cost is None:
        known = (
            f"; the cheapest alternative, {best[1]}, costs {money(best[0].spread_month, currency)} a month"
            if best
            else ""
        )
        return (
            f"Stay on {current.name} for now: what it costs is unknown without {listing(current.missing)}, "
            f"so no saving can be shown{known}."
        )
    head = f"Stay on {current.name}: "
    own = f"it costs {money(current.cost.spread_month, currency)} a month ({current.basis})"
    if best is None:
        return f"{head}{own} and there is no other option with a known cost."
    against = f"{money(best[0].spread_month, currency)} on {best[1]}"
    if best[0].total < current.cost.total:
        gain = money(current.cost.total - best[0].total, currency)
        return (
            f"{head}{own} against {against}, and the {gain} that moving would save is too little to move for."
        )
    return f"{head}{own} against {against}, over {best[0].horizon} months with everything included."


def _move(current: Verdict, pick: Verdict, decision: Decision, currency: str) -> str:
    stay, move = _priced(current), _priced(pick)
    saved = "" if decision.saving is None else money(decision.saving, currency)
    if decision.breakeven_month is None:
        pays = "pays only through the value left at the end"
    elif decision.breakeven_month == 0:
        pays = "pays from the first month"
    else:
        pays = f"has paid in month {decision.breakeven_month}"
    return (
        f"{_VERB[decision.status]} from {current.name} to {pick.name}: it costs {_spread(pick, currency)}, "
        f"against {money(stay.spread_month, currency)} today ({current.basis}). "
        f"That saves {saved} in {move.horizon} months and {pays}."
    )


def _holds(decision: Decision) -> str:
    if decision.pick is None or not decision.holds:
        return ""
    head = "It is blocked" if decision.status == "blocked" else "It is only a plan"
    return f"{head} because {listing(decision.holds)}."


def _ruled_out(verdicts: Sequence[Verdict], decision: Decision, current: Verdict | None) -> str:
    out = [v for v in verdicts if v is not current and v is not decision.pick]
    parts = [
        f"{v.name} cannot be used because {listing([why for _, why in v.breaches])}"
        for v in out
        if not v.feasible
    ] + [f"{v.name} has no known cost without {listing(v.missing)}" for v in out if v.missing]
    if len(parts) > _SHOWN:
        parts = [*parts[:_SHOWN], f"{len(parts) - _SHOWN} more are ruled out"]
    return f"{'; '.join(parts)}." if parts else ""


def _infeasible(verdicts: Sequence[Verdict], clashes: Sequence[Sequence[Constraint]]) -> str:
    sentences = []
    for clash in clashes:
        needs = listing([f"it {rule.need} ({rule.key})" for rule in clash])
        end = "no option offers that" if len(clash) == 1 else "no option offers these together"
        sentences.append(f"{needs[0].upper()}{needs[1:]}, and {end}.")
    closest = min(verdicts, key=lambda v: (len(v.breaches), v.name))
    why = listing([why for _, why in closest.breaches])
    return f"No option can be used. {' '.join(sentences)} Closest is {closest.name}, where {why}."
