"""A provider's organisation API as a store of files: a day of one endpoint is a saved page, kept in the cache.

Asks for costs and usage over HTTP, page by page. What the pages mean belongs to `pages.py` beside it, what differs from
provider to provider to `openai.py` and `anthropic.py`.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import requests
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from connectors.base import Object, SourceError
from connectors.bills.wrapped import failed
from connectors.objects import write_json


@dataclass(frozen=True)
class Api:
    """An organisation API.

    Attributes:
        provider: Name of the provider, as its charges have it.
        url: Where it is, for a person.
        root: Path between url and endpoints.
        endpoints: Path of an endpoint -> what is asked for.
        since: Name of the parameter with the first moment that is asked for.
        moment: A moment (UTC) as that parameter has it.
        signed: The headers that prove who asks, from the admin key.
        plain: A bucket in the form of OpenAI's, which `pages.py` reads.
        gather: The buckets of a file whose rows are no buckets, from its rows and its name for a person.
        table: The buckets of a CSV that a person exports, page by page, from its text and its name for a person.
    """

    provider: str
    url: str
    root: str
    endpoints: Mapping[str, Mapping[str, Any]]
    since: str
    moment: Callable[[datetime], Any]
    signed: Callable[[str], Mapping[str, str]]
    table: Callable[[str, str], list[list[Any]]]
    plain: Callable[[Any], Any] = lambda bucket: bucket
    gather: Callable[[list[Any], str], list[Any]] = lambda buckets, _: buckets


RESTATED = timedelta(days=7)
"""Days before the newest known one that are asked for again: costs of a day go on coming for a while."""

ATTEMPTS, TIMEOUT_S, MAX_WAIT_S = 5, 60, 60
PASSING = (408, 429, 500, 502, 503, 504)


class _AskAgainError(Exception):
    """The answer did not come, or not as a whole; it may the next time."""

    def __init__(self, said: str, after_s: float | None = None) -> None:
        super().__init__(said)
        self.after_s = after_s


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    after = error.after_s if isinstance(error, _AskAgainError) else None
    return (
        wait_exponential(multiplier=0.5, max=MAX_WAIT_S)(state) if after is None else min(after, MAX_WAIT_S)
    )


class OrganisationStore:
    """Days of costs and usage. Days older than `RESTATED` before the newest are asked for once.

    Args:
        api: What is asked.
        url: As far as the API's root excluded.
        key: Admin key. No message quotes it, nor what the server says of it.
        since: First day (UTC).
        cache: Folder for the pages; where they are lost, all days are asked for again.
    """

    def __init__(self, api: Api, url: str, key: str, since: date, cache: Path) -> None:
        self.api = api
        self.url = url.rstrip("/")
        self.since = since
        self._key = key
        name = hashlib.sha256(f"{self.url} {since}".encode()).hexdigest()[:16]
        self.folder = cache / f"{api.provider.lower()}-{name}"

    def list(self, prefix: str = "") -> Sequence[Object]:
        """Asks for what may have changed, and lists all days.

        Raises:
            SourceError: The server refuses, or cannot be reached. The days known before stay as they are.
        """
        for endpoint in self.api.endpoints:
            self._renew(endpoint)
        found = []
        for path in sorted(self.folder.rglob("*.json")):
            content, key = path.read_bytes(), path.relative_to(self.folder).as_posix()
            if key.startswith(prefix):
                found.append(Object(key, len(content), hashlib.sha256(content).hexdigest()))
        return found

    def read(self, item: Object) -> bytes:
        """The saved page of a day."""
        return self.fetch([item])[0].read_bytes()

    def fetch(self, objects: Sequence[Object]) -> Sequence[Path]:
        """Paths of the saved pages."""
        return [self.folder / o.key for o in objects]

    def uri(self, key: str) -> str:
        """The endpoint, and the day."""
        return f"{self.url}/{self.api.root}/{key.removesuffix('.json')}"

    def _renew(self, endpoint: str) -> None:
        folder = self.folder / endpoint
        known = sorted(date.fromisoformat(p.stem) for p in folder.glob("*.json"))
        start = max(self.since, known[-1] - RESTATED) if known else self.since
        days: dict[date, list[Any]] = defaultdict(list)
        for bucket in self._buckets(endpoint, start):
            days[datetime.fromtimestamp(self.api.plain(bucket)["start_time"], UTC).date()].append(bucket)
        for day, buckets in days.items():
            if day in known or any(b["results"] for b in buckets):
                write_json(folder / f"{day}.json", {"object": "page", "data": buckets})

    def _buckets(self, endpoint: str, start: date) -> Iterator[Any]:
        first = self.api.moment(datetime.combine(start, time(), UTC))
        asked: dict[str, Any] = {self.api.since: first, **self.api.endpoints[endpoint]}
        seen: set[str] = set()
        uri = f"{self.url}/{self.api.root}/{endpoint}"
        with requests.Session() as session:
            while True:
                page = self._page(session, uri, asked)
                yield from page["data"]
                following = page.get("next_page")
                if not page.get("has_more"):
                    return
                if not isinstance(following, str) or following in seen:
                    msg = f"{uri} says has_more and names next_page {following!r}, which leads nowhere; nothing of it is used. Run again later"
                    raise SourceError(msg)
                seen.add(following)
                asked["page"] = following

    def _page(self, session: requests.Session, uri: str, asked: dict[str, Any]) -> dict[str, Any]:
        retrying = Retrying(
            retry=retry_if_exception_type(_AskAgainError),
            stop=stop_after_attempt(ATTEMPTS),
            wait=_wait,
            reraise=True,
        )
        try:
            return retrying(self._ask, session, uri, asked)
        except _AskAgainError as error:
            msg = f"{uri} gave no whole answer, {ATTEMPTS} times: {error}. Run again later"
            raise SourceError(msg) from error

    def _ask(self, session: requests.Session, uri: str, asked: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = session.get(uri, params=asked, auth=self._sign, timeout=TIMEOUT_S, allow_redirects=False)
        except requests.RequestException as error:
            raise _AskAgainError(type(error).__name__) from None
        if answer.status_code in PASSING:
            after = answer.headers.get("Retry-After", "")
            raise _AskAgainError(f"HTTP {answer.status_code}", float(after) if after.isdigit() else None)
        if answer.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            msg = (
                f"{uri} refuses admin_key (HTTP {answer.status_code}); it must be an admin key of the organisation "
                "that may read usage, not a key of a project"
            )
            raise SourceError(msg)
        if answer.status_code != HTTPStatus.OK:
            said = answer.text[:200].replace(self._key, "***")
            msg = (
                f"{uri} answers HTTP {answer.status_code}: {said}. Is url the API's, such as {self.api.url}?"
            )
            raise SourceError(msg)
        try:
            page = json.loads(answer.content, parse_float=str, parse_constant=str)
        except ValueError as error:
            raise _AskAgainError("the answer is no JSON") from error
        data = page.get("data") if isinstance(page, dict) else None
        if not isinstance(data, list) or not all(_is_bucket(self.api.plain(b)) for b in data):
            msg = f"{uri} gave no page of buckets (a list `data`, each with its times and results); is url the API's?"
            raise SourceError(msg)
        if failed(page):
            raise _AskAgainError("the answer tells of an error")
        return {**page, "data": data}

    def _sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self.api.signed(self._key))
        return request


def _is_bucket(bucket: Any) -> bool:
    return (
        isinstance(bucket, dict)
        and isinstance(bucket.get("start_time"), int)
        and isinstance(bucket.get("results"), list)
    )
