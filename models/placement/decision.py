"""From judged and priced options to one decision: which option, with which status.

What is feasible belongs to `constraints.py`, what it costs to `options.py`, the words to `explain.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from models.placement import tco
from models.placement.constraints import Constraint
from models.placement.settings import Option, Workload
from models.placement.tco import Cost
from models.placement.words import number

Status = Literal["keep", "plan", "implement", "blocked", "infeasible"]
Confidence = Literal["high", "medium", "low"]


@dataclass(frozen=True)
class Verdict:
    """What is known about one option of a workload.

    Attributes:
        name: Name of the option.
        option: Its declaration.
        breaches: Constraints it breaks, with why; empty if it is feasible.
        cost: Its cost; None if infeasible or not computable.
        missing: Keys without which its cost is not computable.
        basis: How its cost was found, in words.
    """

    name: str
    option: Option
    breaches: tuple[tuple[Constraint, str], ...] = ()
    cost: Cost | None = None
    missing: tuple[str, ...] = ()
    basis: str = ""

    @property
    def feasible(self) -> bool:
        """It meets every hard constraint."""
        return not self.breaches


@dataclass(frozen=True)
class Decision:
    """Where a workload should run.

    Attributes:
        status: keep (stay), implement (move), plan (move, but something is still open), blocked (a better
            place exists that cannot be used yet), infeasible (no place meets the constraints).
        pick: The recommended option; None where nothing is feasible or nothing can be priced.
        saving: Cost of staying - cost of the recommended option; None where staying is forbidden or unpriced.
        npv: The same, discounted.
        breakeven_month: First whole month in which moving has paid; None if never, or if nothing moves.
        holds: What stands against moving now, in words.
    """

    status: Status
    pick: Verdict | None = None
    saving: Decimal | None = None
    npv: Decimal | None = None
    breakeven_month: int | None = None
    holds: tuple[str, ...] = ()


def decide(workload: Workload, verdicts: Sequence[Verdict], confidence: Confidence) -> Decision:
    """The cheapest feasible option, if moving there is worth it; see `Decision`.

    A move is worth it when its saving and its net present value, both after migration, are above zero and the
    saving is at least `min_saving_share` of the cost of staying. Of such moves the cheapest that can be had
    today is taken, else the cheapest. Where today's option breaks a constraint, the move needs no saving.
    """
    if not any(v.feasible for v in verdicts):
        return Decision("infeasible")
    current = next((v for v in verdicts if v.name == workload.current), None)
    others = sorted(
        ((v, v.cost) for v in verdicts if v is not current and v.cost is not None),
        key=lambda priced: (priced[1].total, priced[0].name),
    )
    if current is None or not current.feasible:
        return _placed_anew(workload, current, others, confidence)
    if current.cost is None:
        return Decision("keep", current)
    stay = current.cost
    better = [(v, cost) for v, cost in others if _worth_it(workload, stay, cost)]
    if not better:
        return Decision("keep", current, saving=tco.ZERO, npv=tco.ZERO)
    pick, move = _first_available(better)
    status, holds = _gate(workload, pick, _open_points(workload, stay, move, confidence))
    return Decision(
        status,
        pick,
        tco.saving(stay, move),
        tco.npv(stay, move, workload.discount_rate),
        tco.breakeven_month(stay, move),
        holds,
    )


def _placed_anew(
    workload: Workload,
    current: Verdict | None,
    others: Sequence[tuple[Verdict, Cost]],
    confidence: Confidence,
) -> Decision:
    """The cheapest option for a workload that may not stay where it is, or that runs nowhere yet."""
    if not others:
        return Decision("blocked", holds=("no option that can be used has a known cost",))
    pick, _ = _first_available(others)
    points = _untested(workload)
    if current is None and confidence == "low":
        points.append("its volumes are not well measured")
    status, holds = _gate(workload, pick, points)
    return Decision(status, pick, holds=holds)


def _worth_it(workload: Workload, stay: Cost, move: Cost) -> bool:
    saved = tco.saving(stay, move)
    enough = saved > 0 and saved >= stay.total * workload.min_saving_share
    return enough and tco.npv(stay, move, workload.discount_rate) > 0


def _first_available(priced: Sequence[tuple[Verdict, Cost]]) -> tuple[Verdict, Cost]:
    return next((pair for pair in priced if pair[0].option.available), priced[0])


def _gate(workload: Workload, pick: Verdict, points: list[str]) -> tuple[Status, tuple[str, ...]]:
    blockers = []
    if not pick.option.available:
        blockers.append(f"{pick.name} cannot be had today")
    if workload.eval_passed is False:
        blockers.append("it failed its quality test (eval_passed)")
    if blockers:
        return "blocked", tuple(blockers)
    return ("plan", tuple(points)) if points else ("implement", ())


def _untested(workload: Workload) -> list[str]:
    return ["its quality test has not been run (eval_passed)"] if workload.eval_passed is None else []


def _open_points(workload: Workload, stay: Cost, move: Cost, confidence: Confidence) -> list[str]:
    points = _untested(workload)
    if confidence == "low":
        points.append("its cost and volumes are not well measured")
    line = workload.implement_line_month
    if line is not None and move.capex > 0 and stay.month < line:
        points.append(f"its spend is below the line of {number(line)} a month for buying hardware")
    return points
