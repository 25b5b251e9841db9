"""JSON whose records are a list in an object, as APIs answer: `{"data": [{...}, {...}], "count": 2}`.

What is a record, the mandatory columns of a format say. Beside the one list of records the object may hold anything else.
A file holds one answer, a list of them, or one after another.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from connectors.bills.header import IsHeader

SAMPLE = 100
"""Records of a list among which one has all mandatory columns: others may leave out what is null."""

LONGEST_SHOWN = 30
"""Characters of a text beside the records that are told: tokens and links are longer."""
SECRET = re.compile("token|secret|key|sig|pass|auth|link|url|uri|cursor|session|cookie", re.IGNORECASE)
"""In names of what may be secret however short it is."""
NEXT = re.compile(
    r"(^|[._@])next([-_]?(page|link|url|uri|token|cursor|offset|marker))*$|has[-_]?(more|next)|truncated|continuation",
    re.IGNORECASE,
)
"""In names of what says that another page follows, unless it is empty."""
MORE = "(another page follows)"
NO = ("", "0", "false", "no", "none", "null")

LISTS = frozenset({"data", "items", "records", "results", "rows", "value", "values", "charges", "costs"})
"""What answers call their list, in small letters."""
ERRORS = frozenset({"error", "errors"})
"""Names, in small letters, under which an answer says why it has no records, unless they are empty."""
FAILED = "there was an error; ask again"
SHORT = 1 << 16
"""Characters of an answer without records, at most."""

BLANKS, BETWEEN = re.compile(r"[ \t\r\n]*"), re.compile(r"[ \t\r\n,]*")
"""What stands around the parts of a value, and between values one after another."""

_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class Wrapped:
    """What an object holds.

    Attributes:
        lists: Names of its lists of records, inner objects with dots, and where in the text they start.
        others: What else there is, as texts such as `count: 2`.
        against: What one without lists says against that being all; "" where nothing.
    """

    lists: Sequence[tuple[str, int]]
    others: Sequence[str]
    against: str = ""


def is_record(value: Any, is_header: IsHeader) -> bool:
    """It is an object with the mandatory columns; nested ones have a dot in their names."""
    if not isinstance(value, dict):
        return False
    inner = (f"{k}.{n}" for k, v in value.items() if isinstance(v, dict) for n in v)
    return is_header([*value, *inner])


def answers(text: str, is_header: IsHeader) -> list[Wrapped | None] | None:
    """What the answers of a file hold, None for a value among them that is none; None where no value is one, or the text is not complete."""
    found = []
    try:
        at = _blanks(text, 0)
        listed = text[at] == "["
        at = _blanks(text, at + 1) if listed else at
        while at < len(text) and not (listed and text[at] == "]"):
            answer, end = _answer(text, at, is_header)
            found.append(answer)
            at = _after(text, end, "]") if listed else BETWEEN.match(text, end).end()  # type: ignore[union-attr]
        whole = not (listed and text[at + 1 :].strip())
    except (ValueError, IndexError, RecursionError):
        return None
    return found if whole and any(found) else None


def _answer(text: str, start: int, is_header: IsHeader) -> tuple[Wrapped | None, int]:
    """What the value holds that starts here, and the place behind it."""
    if text[start] != "{":
        return None, _DECODER.raw_decode(text, start)[1]
    lists, others, end = _members(text, start, "", is_header)
    against = None if lists or end - start > SHORT else empty(text[start:end])
    return (Wrapped(lists, others, against or "") if lists or against is not None else None), end


def empty(text: str) -> str | None:
    """What an answer whose list is empty says against that being all, "" where nothing; None for a text that is no such answer."""
    try:
        content = json.loads(text) if len(text) <= SHORT else None
    except (ValueError, RecursionError):
        return None
    said = content if isinstance(content, dict) else {}
    found = {k: v for k, v in said.items() if isinstance(v, list) and k.lower() not in ERRORS}
    if not found or any(v or k.lower() not in LISTS for k, v in found.items()):
        return None
    if failed(said):
        return FAILED
    _, others, _ = _members(text, _blanks(text, 0), "", lambda _: False)
    more = any(other.endswith(MORE) for other in others)
    return "another page follows; save that page, too, and remove this one" if more else ""


def failed(answer: Mapping[str, Any]) -> bool:
    """An answer tells of an error."""
    return any(v for k, v in answer.items() if k.lower() in ERRORS)


def elements(text: str, start: int) -> Iterator[tuple[int, int]]:
    """Where the elements of a list lie, and at last the place behind the list, twice.

    Raises:
        ValueError: It is not JSON.
    """
    at = _blanks(text, start + 1)
    while text[at] != "]":
        _, end = _DECODER.raw_decode(text, at)
        yield at, end
        at = _after(text, end, "]")
    yield at + 1, at + 1


def _members(
    text: str, start: int, prefix: str, is_header: IsHeader
) -> tuple[list[tuple[str, int]], list[str], int]:
    """The lists of records of the object that starts here, what else it has, and the place behind it."""
    lists: list[tuple[str, int]] = []
    others: list[str] = []
    if text[start] != "{":
        raise ValueError
    at = _blanks(text, start + 1)
    while text[at] != "}":
        key, end = _DECODER.raw_decode(text, at)
        at = _blanks(text, end)
        if text[at] != ":" or not isinstance(key, str):
            raise ValueError
        at, name = _blanks(text, at + 1), prefix + key
        if text[at] == "{":
            inner, more, end = _members(text, at, f"{name}.", is_header)
            lists += inner
            others += more
        elif text[at] == "[":
            places = [*elements(text, at)]
            end = places[-1][0]
            values = (json.loads(text[a:b]) for a, b in islice(places[:-1], SAMPLE))
            if any(is_record(value, is_header) for value in values):
                lists.append((name, at))
            elif len(places) > 1:
                others.append(f"{name}: {len(places) - 1} elements")
        else:
            value, end = _DECODER.raw_decode(text, at)
            others += [] if value is None else [f"{name}: {_shown(name, value)}"]
        at = _after(text, end, "}")
    return lists, others, at + 1


def _shown(name: str, value: Any) -> str:
    """What may be told of a value beside the records: a link to the next page holds its reader's token."""
    if NEXT.search(name) and says_more(value):
        return MORE
    secret = isinstance(value, str) and (len(value) > LONGEST_SHOWN or SECRET.search(name))
    return f"({len(value)} characters)" if secret else json.dumps(value, ensure_ascii=False)


def says_more(value: Any) -> bool:
    """What says that another page follows does so: it is neither empty nor no, also as a text such as `"false"`."""
    return str(value).strip().lower() not in NO


def _after(text: str, at: int, close: str) -> int:
    """Where the next element starts, or the list or object closes."""
    at = _blanks(text, at)
    if text[at] == close:
        return at
    if text[at] != ",":
        raise ValueError
    at = _blanks(text, at + 1)
    if text[at] == close:
        raise ValueError
    return at


def _blanks(text: str, at: int) -> int:
    """The first place that is no blank."""
    return BLANKS.match(text, at).end()  # type: ignore[union-attr]
