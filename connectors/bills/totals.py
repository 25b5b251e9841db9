"""Totals below the rows of a CSV, held against the rows: where they contradict each other, rows may be missing.

A total that stands below a column of amounts is one of that column; one that stands anywhere is of the charges, or
their number. It has the digits that it is written with: a difference of less than one in the last of them is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from connectors.base import Engine
from connectors.bills.amounts import amount, pointed
from connectors.bills.files import JSON_FORMS, BillFile
from connectors.bills.footer import SUBTOTAL, fields
from connectors.bills.issues import CURRENCY, RAW_LENGTH
from connectors.bills.native import Native, native_sql
from connectors.bills.shapes import Shape, scan
from connectors.bills.stage import Stage, stage_sql
from connectors.sql import literal

RULE = "total_contradicts"


@dataclass(frozen=True)
class Total:
    """A line with a total.

    Attributes:
        text: The line.
        fields: Position -> text of what stands beside its word.
        aligned: It stands below the columns: there are as many fields, or empty ones between the word and an amount.
    """

    text: str
    fields: Mapping[int, str]
    aligned: bool


Sums = Mapping[str, Decimal]
"""Currency -> sum."""


def contradictions(stage: Stage, month: date, engine: Engine) -> Iterator[dict[str, Any]]:
    """The files whose total is not that of their rows, each with the first month of its file."""
    for shape, native in zip(stage.shapes, stage.natives, strict=True):
        below = {
            bill: totals
            for bill in shape.files
            if bill.months[0] == month and (totals := [t for line in bill.after if (t := _total(line, bill))])
        }
        if not below:
            continue
        charges = _charges(stage, replace(shape, files=tuple(below), scan=scan([*below])), native, engine)
        for bill, totals in below.items():
            one = replace(shape, files=(bill,), scan=scan([bill]))
            yield from _judged(totals, bill, _Rows(charges[str(bill.path)], one, native, engine))


def _charges(
    stage: Stage, shape: Shape, native: Native, engine: Engine
) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """File -> the charges of its rows: currency, rows and cost."""
    sql = stage_sql(
        [native_sql(shape, native)], stage.present, stage.bill.source, stage.bill.tier, sure=stage.sure
    )
    found: dict[str, list[Mapping[str, Any]]] = {str(bill.path): [] for bill in shape.files}
    for row in engine.rows(
        f"SELECT __file AS file, {CURRENCY} AS currency, count(*) FILTER (NOT __is_part) AS rows, "
        f"CAST(COALESCE(sum(__cost), 0) AS DECIMAL(38,12)) AS cost FROM ({sql}) WHERE NOT __skip GROUP BY ALL"
    ):
        found[row["file"]].append(row)
    return found


def _total(line: str, bill: BillFile) -> Total | None:
    """The total that a line states; None if it is a part of one, or something else."""
    if bill.form in JSON_FORMS:
        return None
    word, *beside = fields(line, bill.separator)
    if not beside or SUBTOTAL.match(word[1]):
        return None
    first, last = word[0], beside[-1][0]
    aligned = last - first > len(beside) or last + 1 == len(bill.columns)
    return Total(line, dict(beside), aligned)


def _judged(totals: Sequence[Total], bill: BillFile, rows: _Rows) -> Iterator[dict[str, Any]]:
    """What contradicts the rows: a total of a currency, or all of the others, one by one and added up."""
    named = [t for t in totals if rows.named(t)]
    others = [t for t in totals if not rows.named(t)]
    wrong = [t for t in named if not rows.agree([t])]
    if others and not rows.agree(others) and not any(rows.agree([t]) for t in others):
        wrong += others
    if wrong:
        said = "; ".join(t.text for t in wrong)[:RAW_LENGTH]
        cost = ", ".join(f"{c} {s.normalize():f}" for c, s in sorted(rows.cost.items()))
        yield {
            "action": "flagged",
            "rule": RULE,
            "column_name": "BilledCost",
            "value": f"{said}: the rows are {cost}",
            "rows": len(wrong),
            "location": bill.uri,
        }


class _Rows:
    """The sums of a file."""

    def __init__(
        self, charges: Sequence[Mapping[str, Any]], shape: Shape, native: Native, engine: Engine
    ) -> None:
        self._shape, self._native, self._engine = shape, native, engine
        self.cost: Sums = {row["currency"]: row["cost"] for row in charges}
        self._count = sum(row["rows"] for row in charges)
        self._columns: dict[int, Sums] = {}

    def named(self, total: Total) -> list[str]:
        """The currencies of the file that a total names."""
        return [
            c for c in self.cost if re.search(rf"(?<![A-Za-z]){re.escape(c)}(?![A-Za-z])", total.text, re.I)
        ]

    def agree(self, totals: Sequence[Total]) -> bool:
        """The totals together are those of the rows: every one that stands below its column, else any."""
        currencies = self.named(totals[0])
        places = sorted({at for t in totals for at in t.fields})
        if all(t.aligned for t in totals):
            below = [at for at in places if self._column(at) and self._read(totals, at)]
            if below:
                return all(self._is(totals, at, self._column(at), currencies) for at in below)
        return any(
            self._is(totals, at, self.cost, currencies) or (Decimal(self._count), 0) in self._read(totals, at)
            for at in places
        )

    def _is(self, totals: Sequence[Total], at: int, sums: Sums, currencies: Sequence[str]) -> bool:
        of = [sums[c] for c in currencies if c in sums] or [*sums.values(), sum(sums.values(), Decimal(0))]
        return any(
            abs(s - said) < Decimal(1).scaleb(-digits) for said, digits in self._read(totals, at) for s in of
        )

    def _read(self, totals: Sequence[Total], at: int) -> list[tuple[Decimal, int]]:
        """What the fields at a position may mean, added up, each with its decimal digits."""
        texts = [t.fields[at] for t in totals if at in t.fields]
        result = set()
        for currency in self.cost:
            ways = (
                [amount(way, literal(currency)) for way in (text, pointed(text, "."), pointed(text, ","))]
                for text in (literal(t.strip()) for t in texts)
            )
            values = ", ".join(f"[{', '.join(read)}]" for read in zip(*ways, strict=True))
            for read in self._engine.rows(f"SELECT [{values}] AS found")[0]["found"]:
                if None not in read:
                    result.add((sum(read, Decimal(0)), max(map(_digits, read, texts))))
        return sorted(result)

    def _column(self, at: int) -> Sums:
        """The sums of a native column; none where it is no column of amounts."""
        if at not in self._columns:
            self._columns[at] = self._summed(at) if at < len(self._shape.text) else {}
        return self._columns[at]

    def _summed(self, at: int) -> Sums:
        text, sign = [*self._shape.text.values()][at], self._shape.decimal
        value = amount(pointed(text, sign) if sign else text, self._native.currency)
        found = self._engine.rows(
            f"SELECT {CURRENCY} AS currency, CAST(sum(value) AS DECIMAL(38,12)) AS total, count(text) AS texts, count(value) AS values "
            f"FROM (SELECT {self._native.currency} AS __currency, {text} AS text, {value} AS value FROM {self._shape.scan}) GROUP BY 1"
        )
        texts, values = (sum(row[name] for row in found) for name in ("texts", "values"))
        return {row["currency"]: row["total"] for row in found if row["values"]} if 2 * values > texts else {}


def _digits(value: Decimal, text: str) -> int:
    """Digits after the decimal sign of an amount as it is written; 12 where that cannot be told."""
    written = Decimal(re.sub(r"\D", "", text) or 0)
    return next((n for n in range(13) if abs(value).scaleb(n) == written), 12)
