"""What a gate is, and the one query that measures all of them. Which gates there are belongs to `gates.py`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields

from connectors.sql import literal, literals
from pipelines.focus_checks import GATES


@dataclass(frozen=True)
class Gate:
    """One gate: a metric with bounds.

    Attributes:
        name: Its name, that of the metric, and that of the asset check.
        doc: What it guards, in words.
        relation: SQL after FROM: the rows that are looked at.
        value: SQL: the figure, an aggregate over the rows; NULL where it is not known.
        detail: SQL: the finding in words, an aggregate too; NULL or empty where words do not help.
        minimum: Least value allowed; None for no bound.
        maximum: Greatest value allowed; None for no bound.
        blocking: A value outside the bounds stops publication; else it is a warning.
        advice: What to do when it fails.
    """

    name: str
    doc: str
    relation: str
    value: str = "count(*)"
    detail: str = "NULL"
    minimum: float | None = None
    maximum: float | None = None
    blocking: bool = True
    advice: str = ""

    @property
    def enforced(self) -> bool:
        """It has a bound."""
        return self.minimum is not None or self.maximum is not None


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known only during the run: the one row of the relation `known`, which gates may look at.

    Attributes:
        unregistered: Cards and devices without an asset.
        contradictions: Cards whose telemetry contradicts the register or itself.
        first_contradiction: The first of them in words.
        moved: Charges of kept months that are billed in another month, in words.
        billed_twice: Accounts and months that two kinds of report of one provider bill, each in words.
        removed: Sources that are published and no longer configured, each in words.
        paid: Site and day (`dc1 2026-09-30`) with a price of energy below 0 in an hour of its cards: what drew energy then
            may cost less than nothing; idle hours have none.
        broken: Gate of `pipelines.focus_checks.GATES` -> rows that break its rules, and the worst in words.
    """

    unregistered: int = 0
    contradictions: int = 0
    first_contradiction: str = ""
    moved: str = ""
    billed_twice: Sequence[str] = ()
    removed: Sequence[str] = ()
    paid: Sequence[str] = ()
    broken: Mapping[str, tuple[int, str]] = field(default_factory=dict)

    def sql(self) -> str:
        """The row: a column an attribute, and for each of `broken` its rows and `<gate>_detail`."""
        columns = {f.name: _value(getattr(self, f.name)) for f in fields(self) if f.name != "broken"}
        for gate in GATES:
            rows, detail = self.broken.get(gate, (None, ""))
            columns |= {gate: _value(rows), f"{gate}_detail": _value(detail)}
        return "SELECT " + ", ".join(f"{value} AS {name}" for name, value in columns.items())


def metrics_sql(gates: Iterable[Gate], known: Known) -> str:
    """The one query that gives every metric in one row: a column a gate, and `<gate>_detail`."""
    measured = ",\n".join(
        f"(SELECT CAST({g.value} AS DOUBLE) AS {g.name}, CAST({g.detail} AS VARCHAR) AS {g.name}_detail FROM {g.relation})"
        for g in gates
    )
    return f"WITH known AS MATERIALIZED ({known.sql()})\nFROM {measured}"


def _value(value: int | str | Sequence[str] | None) -> str:
    if value is None or isinstance(value, int):
        return f"CAST({'NULL' if value is None else value} AS BIGINT)"
    return literal(value) if isinstance(value, str) else f"CAST({literals(value)} AS VARCHAR[])"


@dataclass(frozen=True)
class Verdict:
    """What a gate found."""

    gate: Gate
    value: float | None
    passed: bool
    detail: str

    @property
    def blocks(self) -> bool:
        """It stops publication."""
        return self.gate.blocking and not self.passed

    def sentence(self) -> str:
        """The finding in words: gate, value, threshold, what to do."""
        value = "not measured" if self.value is None else f"{self.value:.12g}"
        bounds = " and ".join(
            f"{word} {bound:.12g}"
            for word, bound in (("at least", self.gate.minimum), ("at most", self.gate.maximum))
            if bound is not None
        )
        text = f"{self.gate.name} is {value}; allowed: {bounds or 'no bound is configured'}"
        if self.detail:
            text += f" ({self.detail})"
        return text if self.passed else f"{text}. {self.gate.advice}"


def verdicts(gates: Iterable[Gate], row: Mapping[str, object], failed: set[str]) -> list[Verdict]:
    """Puts the measured row and the names of failed gates together."""
    found = []
    for gate in gates:
        value = row[gate.name]
        number = float(value) if isinstance(value, int | float) else None
        found.append(
            Verdict(gate, number, gate.name not in failed, str(row.get(f"{gate.name}_detail") or ""))
        )
    return found
