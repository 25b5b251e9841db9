"""How amounts are written: one grammar for bills, with a decimal point or comma, signs and what separates thousands.

Which of the two a file has belongs to `numbers.py`: `1.234` is one and a bit or a thousand.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Context, Decimal
from string import ascii_letters, digits

from connectors.sql import literal

DOLLARS = ("USD", "CAD", "AUD", "NZD", "SGD", "HKD", "TWD", "MXN", "BRL", "ARS", "CLP", "COP")
SIGNS = {
    "$": DOLLARS, "€": ("EUR",), "£": ("GBP", "GIP", "EGP", "FKP", "SHP"), "¥": ("JPY", "CNY"), "₹": ("INR",),
    "₩": ("KRW",), "₺": ("TRY",), "₽": ("RUB",), "₪": ("ILS",), "฿": ("THB",), "₫": ("VND",), "₱": ("PHP",),
    "₦": ("NGN",), "₴": ("UAH",),
}  # fmt: skip
"""Signs of currencies -> the currencies that have them."""
PREFIXED = {
    "US$": "USD", "C$": "CAD", "CA$": "CAD", "A$": "AUD", "AU$": "AUD", "NZ$": "NZD", "S$": "SGD", "HK$": "HKD",
    "NT$": "TWD", "MX$": "MXN", "R$": "BRL",
}  # fmt: skip
"""Signs with the country before them -> the currency."""

EXACT = Context(prec=76)
"""For sums of amounts of 38 digits: the context of Python has 28."""

BLANKS = " \t\u00a0\u2007\u2009\u202f"
QUOTES = "'\u2019"
"""Between thousands in Switzerland."""
MINUS = "-\u2212"
EXPONENT = "([eE][+-]?[0-9]+)?"

_ALIKE = {
    **dict.fromkeys(BLANKS, " "),
    **dict.fromkeys(QUOTES, "'"),
    **dict.fromkeys(MINUS, "-"),
    **dict.fromkeys(SIGNS, "$"),
}
_MARKS = "".join(
    f"|{mark}:{c}|"
    for sign, currencies in SIGNS.items()
    for c in currencies
    for mark in (sign, c + sign, sign + c, *(p for p, of in PREFIXED.items() if of == c and sign in p))
)
"""What stands beside amounts of a currency, each with it, between bars."""


def alike(text: str) -> str:
    """A text with one character for all blanks, quotes, minuses and signs each, as the grammars below have it."""
    return text.translate(str.maketrans("".join(_ALIKE), "".join(_ALIKE.values())))


def _alike(text: str) -> str:
    """The same in SQL."""
    return f"translate({text}, {literal(''.join(_ALIKE))}, {literal(''.join(_ALIKE.values()))})"


def _written(number: str) -> str:
    """A number with a minus before or after it or in brackets, with the sign or code of a currency; in the spelling of RE2."""
    sign = "([A-Za-z]{0,2}[$]|[A-Za-z]{3})?"
    ways = (
        f"[-+]? *{sign} *{number} *{sign}",
        f"{sign} *- *{number} *{sign}",
        f"{sign} *{number} *- *{sign}",
        f"{sign} *{number} *{sign} *-",
        f"-?{sign} *\\( *{sign} *{number} *{sign} *\\) *{sign}",
    )
    return f" *({'|'.join(ways)}) *"


def _thousands(separators: str) -> str:
    """Digits in threes with the same sign between them."""
    return "|".join(f"[1-9][0-9]{{0,2}}([{s}][0-9]{{3}})+" for s in (separators, "'", " "))


LAKHS = "[1-9][0-9]?(,[0-9]{2})+,[0-9]{3}"
"""Digits as India groups them: `1,23,456`."""

COMMA = _written(f"({_thousands('.')}|[0-9]+)(,[0-9]+)?{EXPONENT}")
"""With a decimal comma; a grammar of texts made `alike`."""
POINT = _written(f"(({_thousands(',')}|{LAKHS}|[0-9]+)(\\.[0-9]+)?|\\.[0-9]+){EXPONENT}")
"""With a decimal point."""
POINT_OR_COMMA = _written(f"[1-9][0-9]{{0,2}},[0-9]{{3}}{EXPONENT}")
"""With a comma that is either."""
SURE = _written(
    f"([0-9]{{1,3}}(,[0-9]{{3}})+\\.[0-9]+|[0-9]{{1,3}}(,[0-9]{{3}}){{2,}}|({_thousands(chr(39))}|{LAKHS}|[0-9]+)(\\.[0-9]+)?|\\.[0-9]+)"
)
"""With a decimal point, where it has one meaning on its own: `$1,234.50`, `(12.00)`, `5- USD`; not `1,234`, nor `1,5`."""

_BARE = re.compile("\\s*[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,3})?\\s*")
"""A bare number, as DuckDB reads one; a longer exponent is none that Python could compute with."""


def amount(text: str, currency: str) -> str:
    """SQL: an amount, plain or as a spreadsheet writes it; NULL where it is none or has the sign or code of another currency.

    Args:
        text: The amount, as text.
        currency: SQL of the currency it is in.
    """
    return f"COALESCE({plain(text)}, {written(text, currency)})"


def plain(text: str, type_: str = "DECIMAL(38,12)") -> str:
    """SQL: a text that is a bare number; NULL where it is none. `1_000` is none: DuckDB would read it as a thousand."""
    return f"CASE WHEN NOT contains({text}, '_') THEN TRY_CAST({text} AS {type_}) END"


def number(text: str) -> Decimal | None:
    """The same of a text that does not pass through SQL."""
    return Decimal(text) if _BARE.fullmatch(text) else None


def written(text: str, currency: str) -> str:
    """SQL: an amount as a spreadsheet writes it, as in `amount`."""
    of = f"upper(trim({currency}))"
    beside = f"upper(translate({text}, {literal(BLANKS + QUOTES + MINUS + digits + ',.+()')}, ''))"
    fits = f"({beside} IN ('', {of}) OR contains({literal(_MARKS)}, '|' || {beside} || ':' || {of} || '|'))"
    bare = (
        f"translate({text}, {literal(BLANKS + QUOTES + MINUS + ascii_letters + ''.join(SIGNS) + ',+()')}, '')"
    )
    negative = f"contains(translate({text}, {literal(MINUS + '(')}, '---'), '-')"
    return (
        f"CASE WHEN regexp_full_match({_alike(text)}, {literal(SURE)}) AND {fits} "
        f"THEN TRY_CAST(CASE WHEN {negative} THEN '-' ELSE '' END || {bare} AS DECIMAL(38,12)) END"
    )


def written_ones(amounts: Sequence[tuple[str, str, str]]) -> str:
    """SQL: several amounts of a row as `written`, a list; NULL where all are bare numbers, which is tested first.

    One grammar for all of them: to plan it for each took a third of what a small bill takes.

    Args:
        amounts: Text, currency and `plain` of each.
    """
    odd = " OR ".join(f"{text} IS NOT NULL AND {bare} IS NULL" for text, _, bare in amounts)
    pairs = ", ".join(f"[{text}, {currency}]" for text, currency, _ in amounts)
    return f"CASE WHEN {odd} THEN list_transform([{pairs}], lambda x: {written('x[1]', 'x[2]')}) END"


def pointed(text: str, decimal: str) -> str:
    """SQL: a text without what makes its number ambiguous; any other text as it is.

    Args:
        text: SQL of the text.
        decimal: The decimal sign that it has if it is an amount: a comma or a point.
    """
    if decimal == ".":
        return f"CASE WHEN regexp_full_match({_alike(text)}, {literal(POINT_OR_COMMA)}) THEN replace({text}, ',', '') ELSE {text} END"
    bare = f"replace(translate({text}, {literal(f'{BLANKS}.{QUOTES}')}, ''), ',', '.')"
    return f"CASE WHEN regexp_full_match({_alike(text)}, {literal(COMMA)}) THEN {bare} ELSE {text} END"
