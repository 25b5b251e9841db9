"""How amounts are written: one grammar for bills, with a decimal point or comma, signs and what separates thousands.

Which of the two a file has belongs to `numbers.py`: `1.234` is one and a bit or a thousand.
"""

from __future__ import annotations

from connectors.sql import literal

DOLLARS = ("USD", "CAD", "AUD", "NZD", "SGD", "HKD", "TWD", "MXN", "BRL", "ARS", "CLP", "COP")
SIGNS = {
    "$": DOLLARS, "€": ("EUR",), "£": ("GBP", "GIP", "EGP", "FKP", "SHP"), "¥": ("JPY", "CNY"), "₹": ("INR",),
    "₩": ("KRW",), "₺": ("TRY",), "₽": ("RUB",), "₪": ("ILS",), "฿": ("THB",), "₫": ("VND",), "₱": ("PHP",),
    "₦": ("NGN",), "₴": ("UAH",),
}  # fmt: skip
"""Signs of currencies -> the currencies that have them."""
ALL_SIGNS = "".join(SIGNS)

BLANKS = " \t\u00a0\u2007\u2009\u202f"
QUOTES = "'\u2019"
"""Between thousands in Switzerland."""
MINUS = "-\u2212"
EXPONENT = "([eE][+-]?[0-9]+)?"


def _written(number: str) -> str:
    """A number with a minus before or after it or in brackets, with the sign or code of a currency; in the spelling of RE2."""
    blank, minus, sign = f"[{BLANKS}]*", f"[{MINUS}]", f"([{ALL_SIGNS}]|[A-Z]{{3}})?"
    ways = (
        f"[{MINUS}+]?{blank}{sign}{blank}{number}{blank}{sign}",
        f"{sign}{blank}{minus}{blank}{number}{blank}{sign}",
        f"{sign}{blank}{number}{blank}{minus}{blank}{sign}",
        f"{sign}{blank}{number}{blank}{sign}{blank}{minus}",
        f"{minus}?{sign}{blank}\\({blank}{sign}{blank}{number}{blank}{sign}{blank}\\){blank}{sign}",
    )
    return f"{blank}({'|'.join(ways)}){blank}"


def _thousands(separators: str) -> str:
    """Digits in threes with the same sign between them."""
    return "|".join(f"[1-9][0-9]{{0,2}}([{s}][0-9]{{3}})+" for s in (separators, QUOTES, BLANKS))


LAKHS = "[1-9][0-9]?(,[0-9]{2})+,[0-9]{3}"
"""Digits as India groups them: `1,23,456`."""

COMMA = _written(f"({_thousands('.')}|[0-9]+)(,[0-9]+)?{EXPONENT}")
"""With a decimal comma."""
POINT = _written(f"(({_thousands(',')}|{LAKHS}|[0-9]+)(\\.[0-9]+)?|\\.[0-9]+){EXPONENT}")
"""With a decimal point."""
POINT_OR_COMMA = _written(f"[1-9][0-9]{{0,2}},[0-9]{{3}}{EXPONENT}")
"""With a comma that is either."""
SURE = _written(
    f"([0-9]{{1,3}}(,[0-9]{{3}})+\\.[0-9]+|[0-9]{{1,3}}(,[0-9]{{3}}){{2,}}|({_thousands(QUOTES)}|{LAKHS}|[0-9]+)(\\.[0-9]+)?|\\.[0-9]+)"
)
"""With a decimal point, where it has one meaning on its own: `$1,234.50`, `(12.00)`, `5- USD`; not `1,234`, nor `1,5`."""


def amount(text: str, currency: str) -> str:
    """SQL: an amount, plain or as a spreadsheet writes it; NULL where it is none or has the sign or code of another currency.

    Args:
        text: The amount, as text or DECIMAL.
        currency: SQL of the currency it is in.
    """
    as_text = f"CAST({text} AS VARCHAR)"
    bare = f"regexp_replace({as_text}, '[^0-9.]', '', 'g')"
    negative = f"regexp_matches({as_text}, '[{MINUS}(]')"
    sign = f"regexp_replace({as_text}, '[^{ALL_SIGNS}]', '', 'g')"
    of = "|".join(f"[{s}]({'|'.join(currencies)})" for s, currencies in SIGNS.items())
    code = f"regexp_replace({as_text}, '[^A-Za-z]', '', 'g')"
    fits = f"({code} = '' OR {code} = upper(trim({currency}))) AND ({sign} = '' OR regexp_full_match({sign} || upper(trim({currency})), {literal(of)}))"
    return (
        f"COALESCE(TRY_CAST({text} AS DECIMAL(38,12)), CASE WHEN regexp_full_match({as_text}, {literal(SURE)}) AND {fits} "
        f"THEN TRY_CAST(CASE WHEN {negative} THEN '-' ELSE '' END || {bare} AS DECIMAL(38,12)) END)"
    )


def pointed(text: str, decimal: str) -> str:
    """SQL: a text without what makes its number ambiguous; any other text as it is.

    Args:
        text: SQL of the text.
        decimal: The decimal sign that it has if it is an amount: a comma or a point.
    """
    if decimal == ".":
        return f"CASE WHEN regexp_full_match({text}, {literal(POINT_OR_COMMA)}) THEN replace({text}, ',', '') ELSE {text} END"
    bare = f"replace(regexp_replace({text}, {literal(f'[{BLANKS}.{QUOTES}]')}, '', 'g'), ',', '.')"
    return f"CASE WHEN regexp_full_match({text}, {literal(COMMA)}) THEN {bare} ELSE {text} END"
