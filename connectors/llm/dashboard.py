"""CSV files that OpenAI's dashboard exports, costs and usage, as the buckets that the organisation API would give.

Of a row only ids, counts, amounts and the line item are looked at: users and their e-mail addresses are not. A bucket
without charges or requests is a row whose other columns are empty.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from connectors.base import SourceError
from connectors.bills.amounts import number
from connectors.bills.footer import separator
from connectors.bills.header import SAYS_SEPARATOR
from connectors.bills.numbers import decimal_sign, point

TIMES = ("start_time", "end_time")
COST, COUNTED = "amount_value", "num_model_requests"
"""Columns that only files of costs, or of usage of models, have."""

NAMES = ("project_id", "project_name", "organization_id", "line_item", "model", "quantity")
COUNTS = (COUNTED, "input_tokens", "output_tokens", "input_cached_tokens")


def pages(text: str, uri: str, costs: str, usage: tuple[str, str]) -> list[list[Any]]:
    """One page with the buckets of an export, in the form of the API.

    Args:
        text: The file.
        uri: Its name for a person.
        costs: Kind of a result of costs.
        usage: Kinds of a result of completions and of embeddings.

    Raises:
        SourceError: It is no such export, or not CSV.
    """
    try:
        names, rows = table(text, uri, (COST, "quantity", *COUNTS))
        kind = costs if COST in names else usage["output_tokens" not in names] if COUNTED in names else ""
        if not kind or not {*TIMES} <= {*names}:
            msg = (
                f"{uri} is no export of OpenAI's dashboard: columns start_time, end_time and amount_value (costs) or "
                f"num_model_requests (usage) are mandatory, it has {', '.join(names)[:300]}"
            )
            raise SourceError(msg)
        found: dict[tuple[Any, Any], list[Any]] = defaultdict(list)
        for row in rows:
            given = {k: v.strip() for k, v in row.items() if k and v.strip()}
            results = found[tuple(whole(given.get(t)) for t in TIMES)]
            if {*given} - {*TIMES, "start_time_iso", "end_time_iso"}:
                results.append(_result(given, kind, costs=kind == costs))
    except csv.Error as error:
        msg = f"{uri} is damaged or not CSV ({error}); export it again"
        raise SourceError(msg) from error
    return [[{"start_time": start, "end_time": end, "results": r} for (start, end), r in found.items()]]


def table(text: str, uri: str, numbers: Sequence[str]) -> tuple[Sequence[str], list[dict[str, str]]]:
    """Names and rows of a CSV, empty ones left out, also with other separators than commas, as spreadsheets write it, then with decimal commas.

    Args:
        text: The file.
        uri: Its name for a person.
        numbers: Columns of amounts and quantities.

    Raises:
        SourceError: An amount may have a decimal point, or one between thousands.
        csv.Error: It is not CSV, or a row has not as many fields as the header.
    """
    first, _, rest = text.partition("\n")
    text = rest if SAYS_SEPARATOR.fullmatch(first) else text
    sign = separator(text.partition("\n")[0])
    lines = csv.reader(io.StringIO(text), strict=True, delimiter=sign)
    names, *filled = [line for line in lines if any(field.strip() for field in line)] or [[]]
    for row, line in enumerate(filled, start=2):
        if len(line) != len(names):
            msg = f"row {row} has {len(line)} fields, the header {len(names)}: it is cut off, or a text has a {sign!r} without quotes"
            raise csv.Error(msg)
    rows = [dict(zip(names, line, strict=True)) for line in filled]
    found = {row[c].strip() for row in rows for c in numbers if c in row}
    if sign != "," and decimal_sign(found, uri, doubtful=True) == ",":
        rows = [row | {c: point(row[c]) for c in numbers if c in row} for row in rows]
    return names, rows


def _result(given: Mapping[str, str], kind: str, *, costs: bool) -> dict[str, Any]:
    """A row as a result of the API. What is no number stays text, which is then rejected and counted."""
    result: dict[str, Any] = {"object": kind} | {n: given[n] for n in NAMES if n in given}
    if costs:
        return result | {"amount": {"value": given.get(COST), "currency": given.get("amount_currency")}}
    return result | {n: whole(given.get(n)) for n in COUNTS}


def whole(text: str | None) -> Any:
    """A whole number, else the text."""
    value = number(text or "")
    return int(value) if value is not None and value == value.to_integral_value() else text
