"""Saved answers of an organisation API: pages of buckets, and what is wrong with their results.

CSV files belong to `dashboard.py` (OpenAI) and `console.py` (Anthropic), FOCUS and slices to `charges.py` and `organisation.py` beside it. Buckets
have OpenAI's form here; what other providers call these things is translated before.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from babel.numbers import list_currencies

from connectors.base import SourceError
from connectors.bills import footer
from connectors.bills.amounts import EXACT, number
from connectors.bills.texts import UTF_16
from connectors.bills.wrapped import FAILED, failed, says_more
from connectors.epochs import END, FIRST
from connectors.llm.organisation_api import Api

COSTS = "organization.costs.result"
MESSAGES = "usage_report.messages.result"
"""Usage of Anthropic, which does not count requests."""
USAGE = ("organization.usage.completions.result", "organization.usage.embeddings.result", MESSAGES)
"""Kinds of results that are read; others are counted and left alone."""

MAX_TOKENS = 10**15
MAX_BYTES = 256 << 20
"""Largest file, unpacked: a page of the API has a few hundred kB."""
PENNY = Decimal("1e-12")


@dataclass(frozen=True)
class Bucket:
    """One bucket of one file.

    Attributes:
        file: Its key.
        place: Which bucket of the file, from 1.
        kind: `COSTS`, one of `USAGE`, or "" where nothing in the file is of such a kind.
        start: Seconds since 1970, UTC.
        end: The same, exclusive.
        results: As they came.
        more: It is the last of a page that says that another page follows.
        after: It is the last of a CSV, below whose rows these lines stand.
    """

    file: str
    place: int
    kind: str
    start: int
    end: int
    results: tuple[Any, ...]
    more: bool = False
    after: tuple[str, ...] = ()

    @property
    def day(self) -> date:
        """The UTC day in which it starts."""
        return datetime.fromtimestamp(self.start, UTC).date()


def read_buckets(
    path: Path,
    key: str,
    uri: str,
    api: Api,
) -> list[Bucket]:
    """The buckets of a file: one page, a list of pages, or a page a line; or a CSV that a person has exported.

    Args:
        path: The file.
        key: Its name below the location.
        uri: Its name for a person.
        api: Whose answers they are.

    Raises:
        SourceError: It is empty, damaged, not JSON, not a page, a bucket has no time, or it says that there was an error, or that another page follows and not where.
    """
    text = _text(path, uri)
    after: list[str] = []
    if is_table(key):
        header, _, rest = text.partition("\n")
        rows, after = footer.split(rest.encode(), footer.separator(header))
        text = f"{header}\n{rows.decode()}"
    found = api.table(text, uri) if is_table(key) else _pages(text, uri)
    given = api.gather([b for page in found for b in page], uri)
    buckets = [_bucket(api.plain(bucket), key, place, uri) for place, bucket in enumerate(given, start=1)]
    kind = _kind((b.kind for b in buckets), uri)
    buckets = [replace(b, kind=kind) for b in buckets]
    return [*buckets[:-1], *(replace(b, after=tuple(after)) for b in buckets[-1:])]


def is_table(key: str) -> bool:
    """The file is a CSV."""
    return key.lower().removesuffix(".gz").endswith(".csv")


def _text(path: Path, uri: str) -> str:
    try:
        with path.open("rb") as start:
            packed = start.read(2) == b"\x1f\x8b" or path.name.endswith(".gz")
        with gzip.open(path) if packed else path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            msg = f"{uri} has more than {MAX_BYTES >> 20} MiB, unpacked; save each page of the API in a file of its own"
            raise SourceError(msg)
        text = data.decode("utf-16" if data[:2] in UTF_16 else "utf-8-sig").strip("\r\n")  # tabs are columns
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        msg = f"{uri} is damaged or cannot be read ({error}); save it again"
        raise SourceError(msg) from error
    if not text.strip():
        msg = f"{uri} is empty; save the API's answer again, or remove it"
        raise SourceError(msg)
    return text


def _loads(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)


def _pages(text: str, uri: str) -> Iterator[Sequence[Any]]:
    try:
        try:
            content = _loads(text)
        except ValueError:
            if "\n" not in text:
                raise
            content = [_loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, ArithmeticError, RecursionError) as error:
        msg = f"{uri} is not JSON ({error}); save the whole answer of the API again"
        raise SourceError(msg) from error
    pages = content if isinstance(content, list) else [content]
    for place, page in enumerate(pages, start=1):
        if not isinstance(page, dict) or not isinstance(page.get("data"), list):
            found = ", ".join(sorted(page)[:10]) if isinstance(page, dict) else type(page).__name__
            said = (
                f"; it says: {str(page['error'])[:200]}" if isinstance(page, dict) and "error" in page else ""
            )
            msg = f"{uri} is no page of the organisation API: mandatory key 'data' (a list) is missing, it has {found}{said}"
            raise SourceError(msg)
        if failed(page):
            msg = f"{uri} is an answer that says that {FAILED}, and save the whole answer"
            raise SourceError(msg)
        if not page["data"] and page is pages[-1] and says_more(page.get("has_more")):
            msg = f"{uri} ends with a page without buckets that says that another page follows; save that page, too, and remove this one"
            raise SourceError(msg)
        *earlier, last = page["data"] or [None]
        if isinstance(last, dict):
            following = pages[place] if place < len(pages) else None
            came = (
                isinstance(following, dict) and following.get("data") == []
            )  # it follows here, and is empty
            yield [*earlier, last | {"has_more": says_more(page.get("has_more")) and not came}]
        else:
            yield page["data"]


def _bucket(bucket: Any, key: str, place: int, uri: str) -> Bucket:
    given = bucket if isinstance(bucket, dict) else {}
    start, end, results = (given.get(key) for key in ("start_time", "end_time", "results"))
    if not (
        isinstance(start, int)
        and isinstance(end, int)
        and FIRST <= start < end <= END
        and end - start <= 31 * 86400
        and isinstance(results, list)
    ):
        msg = (
            f"{uri}: bucket {place} is not one: it starts at {start!r} and ends at {end!r}, with results of type {type(results).__name__}; "
            "a bucket has both times (OpenAI: seconds since 1970, Anthropic: RFC 3339 with a zone), start before end, at most "
            "31 days, and a list `results`"
        )
        raise SourceError(msg)
    objects = {r.get("object") for r in results if isinstance(r, dict)}
    more = bucket.get("has_more") is True
    return Bucket(key, place, _kind(objects, uri), start, end, tuple(results), more)


def _kind(objects: Iterable[Any], uri: str) -> str:
    kinds = sorted({str(o) for o in objects} & {COSTS, *USAGE})
    if len(kinds) > 1:
        msg = f"{uri} mixes {' and '.join(kinds)}; save each in files of its own"
        raise SourceError(msg)
    return kinds[0] if kinds else ""


def money(value: Any) -> Decimal | None:
    """An amount with 12 decimals, rounded half away from zero; None for what is no amount."""
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    try:
        amount = number(value) if isinstance(value, str) else Decimal(value)
        if amount is None or not amount.is_finite() or abs(amount) >= Decimal(10) ** 26:
            return None
        return amount.quantize(PENNY, ROUND_HALF_UP, EXACT)
    except ArithmeticError:  # an exponent beyond all numbers
        return None


def currency(value: Any) -> str | None:
    """An ISO 4217 code in capitals; None for what is none."""
    code = value.strip().upper() if isinstance(value, str) else ""
    return code if code in list_currencies() else None


def count(value: Any) -> int | None:
    """A count of tokens or requests; None for what is none."""
    return (
        value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS else None
    )


def text(value: Any) -> str | None:
    """A name; None for a blank or for what is none."""
    return value.strip() or None if isinstance(value, str) else None


def line_item(value: Any) -> tuple[str | None, str | None]:
    """Model (or service) and meter of a line item such as `gpt-4o-2024-08-06, cached input`.

    Returns:
        The name before the last comma and what follows it: input, cached input, output, ...; None where there is none.
    """
    name = text(value)
    if name is None or ", " not in name:
        return name, None
    model, _, meter = name.rpartition(", ")
    return model, meter
