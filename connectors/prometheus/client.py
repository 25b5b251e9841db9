"""Questions to a Prometheus over HTTP: retries, smaller questions where one is too big, errors a person can act on.

What is asked belongs to the modules beside it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import polars as pl
import requests
from prometheus_api_client.exceptions import PrometheusApiClientException
from prometheus_api_client.prometheus_connect import PrometheusConnect
from urllib3.util.retry import Retry

from connectors.base import SourceError

HOUR = timedelta(hours=1)
TOO_MUCH = ("too many samples", "maximum resolution", "timed out", "timeout", "too many series", "limit")
"""What servers say when a question is too big; a smaller one may do."""

RETRIED = (429, 502, 503, 504)


class TooMuchError(Exception):
    """The server cannot answer so much at once."""


@dataclass(frozen=True)
class Access:
    """How to reach a server.

    Attributes:
        url: Base URL, as far as `/api/v1` excluded.
        headers: Sent with every request.
        auth: User and password, None without.
        ca_file: Certificates to trust, None for the system's.
        timeout_s: Seconds to wait for an answer.
        retries: Times a request is repeated after 429, 502, 503, 504 or a lost connection.
        backoff_s: Seconds before the second repetition; doubles each time.
    """

    url: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    auth: tuple[str, str] | None = field(default=None, repr=False)
    ca_file: Path | None = None
    timeout_s: int = 90
    retries: int = 4
    backoff_s: float = 0.5


class Client:
    """A Prometheus. Collects the warnings of its answers (partial data) in `warnings`."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.warnings: set[str] = set()
        session = requests.Session()
        session.hooks["response"].append(self._notice)
        if access.ca_file is not None:
            session.verify = str(access.ca_file)
        retry = Retry(
            total=access.retries,
            connect=2,
            read=1,
            backoff_factor=access.backoff_s,
            backoff_max=30,
            retry_after_max=60,
            status_forcelist=RETRIED,
            allowed_methods=None,
            raise_on_status=False,
        )
        self._connect = PrometheusConnect(
            url=access.url.rstrip("/"),
            headers=access.headers,
            auth=access.auth or (),
            retry=retry,
            session=session,
            timeout=access.timeout_s,
        )

    def close(self) -> None:
        """Closes the connections."""
        self._connect.close()

    def _notice(self, response: requests.Response, **_: object) -> None:
        if b'"warnings"' in response.content:
            try:
                self.warnings.update(str(w) for w in response.json().get("warnings") or ())
            except (ValueError, AttributeError):
                return

    def at(self, query: str, time: datetime, labels: Sequence[str]) -> pl.DataFrame:
        """The answer at one instant.

        Args:
            query: PromQL.
            time: The instant, with a zone.
            labels: Labels wanted.

        Returns:
            The labels ("" where a series has none of that name) and value.

        Raises:
            SourceError: There is no answer.
        """
        try:
            result = self._ask(query, time, None)
        except TooMuchError as error:
            msg = f"{self._where}: cannot answer for one day: {error}. Raise its --query.timeout and --query.max-samples"
            raise SourceError(msg) from error
        return _frame([(s["metric"], [s["value"]]) for s in result], labels).drop("hour")

    def hourly(self, query: str, first: datetime, last: datetime, labels: Sequence[str]) -> pl.DataFrame:
        """The answer at the end of each hour: a value for the hour before.

        Args:
            query: PromQL over the last hour.
            first: Start of the first hour, with a zone.
            last: Start of the last hour.
            labels: Labels wanted.

        Returns:
            The labels, hour (its start, UTC without a zone) and value.

        Raises:
            SourceError: There is no answer.
        """
        try:
            result = self._ask(query, first + HOUR, last + HOUR)
        except TooMuchError as error:
            hours = (last - first) // HOUR + 1
            if hours == 1:
                msg = f"{self._where}: cannot answer even for one hour: {error}. Raise its --query.timeout and --query.max-samples"
                raise SourceError(msg) from error
            middle = first + hours // 2 * HOUR
            parts = (
                self.hourly(query, first, middle - HOUR, labels),
                self.hourly(query, middle, last, labels),
            )
            return pl.concat(parts)
        return _frame([(s["metric"], s["values"]) for s in result], labels)

    @property
    def _where(self) -> str:
        return f"Prometheus {self.access.url}"

    def _ask(self, query: str, start: datetime, end: datetime | None) -> list[dict[str, Any]]:
        try:
            if end is None:
                answer = self._connect.custom_query(query, params={"time": start.timestamp()})
            else:
                answer = self._connect.custom_query_range(query, start, end, "3600")
        except PrometheusApiClientException as error:
            raise self._refused(str(error), query) from error
        except requests.exceptions.JSONDecodeError as error:
            msg = (
                f"{self._where}: the answer is not JSON: it may be a login page or another service. "
                "Correct `url`, or give `headers`, `bearer_token` or `username` and `password`"
            )
            raise SourceError(msg) from error
        except (KeyError, TypeError) as error:
            msg = f"{self._where}: the answer is JSON, but not Prometheus' (no data.result). Correct `url`"
            raise SourceError(msg) from error
        except requests.exceptions.Timeout as error:
            raise TooMuchError(f"no answer within {self.access.timeout_s} s") from error
        except requests.exceptions.SSLError as error:
            msg = f"{self._where}: its certificate is not trusted: {_cause(error)}. Name the CA's certificate in `ca_file`"
            raise SourceError(msg) from error
        except requests.exceptions.RequestException as error:
            if "timed out" in str(error).lower() and "connect timeout" not in str(error).lower():
                raise TooMuchError(f"no answer within {self.access.timeout_s} s") from error
            msg = f"{self._where} cannot be reached: {_cause(error)}. Start it, open the way to it, or correct `url`"
            raise SourceError(msg) from error
        return list(answer)

    def _refused(self, text: str, query: str) -> Exception:
        """What an answer other than 200 means; the library puts status and body into the text."""
        digits = "".join(c for c in text[:24] if c.isdigit())
        status = int(digits) if digits else 0
        body = text[:400]
        if status not in (400, 401, 403, 404) and any(words in text.lower() for words in TOO_MUCH):
            return TooMuchError(body)
        if status == HTTPStatus.BAD_REQUEST and "maximum resolution" in text:
            return TooMuchError(body)
        if status in (401, 403):
            return SourceError(
                f"{self._where} refuses ({status}): correct `bearer_token`, `headers` or `username` and `password`"
            )
        if status in (400, 422):
            return SourceError(
                f"{self._where} cannot run {query!r}: {body}. Correct `matchers` and `replica_label`"
            )
        return SourceError(
            f"{self._where} failed after {self.access.retries} repetitions: {body}. Try later, or look at its log"
        )


def _cause(error: BaseException) -> str:
    """The innermost reason, which names the failure; the outer ones name classes of libraries."""
    reason = getattr(error.args[0], "reason", error.args[0]) if error.args else error
    return str(reason).rsplit(": ", maxsplit=1)[-1]


def _frame(series: Sequence[tuple[dict[str, str], list[list[Any]]]], labels: Sequence[str]) -> pl.DataFrame:
    times: list[float] = []
    values: list[float] = []
    columns: dict[str, list[str]] = {name: [] for name in labels}
    for metric, points in series:
        times += [float(p[0]) for p in points]
        values += [float(p[1]) for p in points]
        for name, column in columns.items():
            column.extend([metric.get(name, "")] * len(points))
    frame = pl.DataFrame(columns, schema=dict.fromkeys(labels, pl.String)).with_columns(
        hour=pl.from_epoch(pl.Series(times, dtype=pl.Float64).cast(pl.Int64), time_unit="s").cast(
            pl.Datetime("us")
        )
        - HOUR,
        value=pl.Series(values, dtype=pl.Float64),
    )
    return frame.filter(pl.col("value").is_finite())


def describe(warnings: set[str]) -> str:
    """Warnings of answers as one remark; "" for none."""
    return f"partial data, the server warned: {json.dumps(sorted(warnings))[:800]}" if warnings else ""
