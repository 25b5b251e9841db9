"""Text of bills, files and servers as a terminal may show it: readable, and never obeyed."""

from __future__ import annotations

import re

from rich import markup

_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters but tab and line feed (ESC starts commands of the terminal), and those that turn the direction of text."""


def visible(text: str) -> str:
    r"""The text with each character that a terminal would obey written out, such as `\x1b`."""
    return _OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def escape(text: str) -> str:
    """The same, to stand in rich's markup."""
    return markup.escape(visible(text))
