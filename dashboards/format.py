"""How figures, names and cells are written for people: money, changes, file names, spreadsheet-safe text.

Nothing here reads the warehouse or adds up a ledger; that belongs to `figures.py`.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal, localcontext

import polars as pl
from babel.numbers import format_currency, get_currency_precision

LOCALE = "en_US"
_FORMULA = r"\s*[=+\-@＝＋－＠]"
"""What a spreadsheet takes for the start of a formula; some leave blanks before it out."""

_RESERVED = {
    "index",
    "overview",
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{d}{n}" for d in ("com", "lpt") for n in range(10)),
}
_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")


def cents(amount: Decimal, currency: str) -> Decimal:
    """The amount at the currency's smallest unit (0.01 for USD, 1 for JPY), half away from zero."""
    with localcontext() as context:
        context.prec = 60
        return amount.quantize(_unit(currency), ROUND_HALF_UP) + 0  # 0 has no sign


def spread_cents(amounts: Sequence[Decimal], total: Decimal, currency: str) -> list[Decimal]:
    """Amounts at the currency's smallest unit that sum to `total`, by the largest-remainder method.

    Every amount is rounded down; the units still missing go to those that lost most (the first among equals).

    Args:
        amounts: Exact amounts.
        total: What the result must sum to: the sum of the amounts at the smallest unit.
        currency: ISO 4217 code.

    Returns:
        One displayed amount for each exact one, in order, less than one unit away from it.

    Raises:
        ValueError: `total` is too far from the sum of the amounts for that.
    """
    unit = _unit(currency)
    with localcontext() as context:
        context.prec = 60
        floors = [a.quantize(unit, ROUND_FLOOR) for a in amounts]
        missing = int((total - sum(floors, Decimal(0))) / unit)
        if not 0 <= missing <= len(floors):
            msg = f"{len(amounts)} amounts that sum to {sum(amounts, Decimal(0))} cannot be shown as {total}"
            raise ValueError(msg)
        order = sorted(range(len(floors)), key=lambda i: (floors[i] - amounts[i], i))
        for i in order[:missing]:
            floors[i] += unit
        return floors


def _unit(currency: str) -> Decimal:
    return Decimal(1).scaleb(-get_currency_precision(currency))


def money(amount: Decimal | None, currency: str) -> str:
    """An amount with its currency's sign, such as `$1,234.50`; a dash where it is unknown."""
    if amount is None:
        return "–"
    return str(format_currency(cents(amount, currency), currency, locale=LOCALE))


def amount(value: Decimal | None, currency: str) -> str:
    """An amount without the currency's sign, for columns whose heading names it."""
    return "–" if value is None else f"{cents(value, currency):,f}"


def unit_price(value: Decimal | None, currency: str) -> str:
    """A price per unit with its currency's sign: cents, or four decimals below one unit of the currency."""
    if value is None or abs(value) >= 1 or value == 0:
        return money(value, currency)
    return str(format_currency(value, currency, "¤#,##0.0000", locale=LOCALE, currency_digits=False))


def signed(value: Decimal | None, currency: str) -> str:
    """An amount with its sign, such as `+12.00`; a dash where it is unknown."""
    if value is None:
        return "–"
    shown = cents(value, currency)
    return f"{shown:+,f}" if shown else f"{shown:,f}"


def number(value: float | int | None, digits: int = 0) -> str:
    """A quantity with separators; a dash where it is unknown."""
    return "–" if value is None else f"{value:,.{digits}f}"


def percent(share: float | Decimal | None, digits: int = 1) -> str:
    """A share (0-1) as a percentage; a dash where it is unknown."""
    return "–" if share is None else f"{100 * float(share):,.{digits}f}%"


def signed_percent(share: float | None) -> str:
    """A relative change as a percentage with its sign; a dash where it is unknown."""
    if share is None:
        return "–"
    text = f"{100 * share:+,.1f}%"
    return "0.0%" if text in ("+0.0%", "-0.0%") else text


def change(now: Decimal | None, before: Decimal | None) -> float | None:
    """The relative change of an amount (0.1 is +10%); None without a positive amount to compare with."""
    if now is None or before is None or before <= 0:
        return None
    return float(now / before) - 1


def month_name(month: date) -> str:
    """`September 2026`, in English whatever the machine's language."""
    return f"{_MONTHS[month.month - 1]} {month.year}"


def short_month(month: date) -> str:
    """`Sep 2026`."""
    return f"{_MONTHS[month.month - 1][:3]} {month.year}"


def day_name(day: date | None) -> str:
    """`21 Sep 2026`; a dash where it is unknown."""
    return "–" if day is None else f"{day.day} {_MONTHS[day.month - 1][:3]} {day.year}"


def days_of_month(days: str | None) -> str:
    """`3–4, 7 Sep` of the ISO days of one month, separated by commas; empty without any."""
    if not days:
        return ""
    known = sorted(map(date.fromisoformat, days.split(", ")))
    runs: list[list[int]] = []
    for day in known:
        if runs and runs[-1][-1] == day.day - 1:
            runs[-1].append(day.day)
        else:
            runs.append([day.day])
    written = ", ".join(f"{r[0]}–{r[-1]}" if len(r) > 1 else f"{r[0]}" for r in runs)
    return f"{written} {_MONTHS[known[0].month - 1][:3]}"


_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def file_names(names: Iterable[str]) -> Mapping[str, str]:
    """A file name without ending for every name: safe on any file system, and never the same for two names.

    A plain lower-case name stays as it is; any other becomes a readable slug and a part of its SHA-256, so it
    is the same in every publication.

    Args:
        names: Names of teams, in any order, of any content.

    Returns:
        Name -> file name, of at most 60 characters of `a-z0-9_-`.
    """
    distinct = sorted(set(names))
    result = {n: n for n in distinct if _PLAIN.fullmatch(n) and n not in _RESERVED}
    taken = set(result.values())
    for name in distinct:
        if name in result:
            continue
        ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
        slug = re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")[:40].strip("-") or "team"
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        length = next(n for n in range(8, 65) if f"{slug}-{digest[:n]}"[:60] not in taken)
        result[name] = f"{slug}-{digest[:length]}"[:60]
        taken.add(result[name])
    return result


def csv_safe(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with a single quote wherever a spreadsheet would take text for a formula.

    That is where the text starts, and after semicolons, tabs and line breaks, since a spreadsheet that parts
    columns there does not see the quotes around a text.
    """
    text = pl.col(pl.String)
    return frame.with_columns(
        text.str.replace_all(rf"([;\t\r\n])({_FORMULA})", "${1}'${2}").str.replace(
            rf"^({_FORMULA}|[\t\r\n])", "'${1}"
        )
    )
