"""Questions to a Prometheus over HTTP: retries, smaller questions where one is too big, errors a person can act on.

What is asked belongs to the modules beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import requests
from prometheus_api_client.exceptions import PrometheusApiClientException
from prometheus_api_client.prometheus_connect import PrometheusConnect
from urllib3.util.retry import Retry

from connectors.base import SourceError
from connectors.prometheus.trouble import TooMuchError, refused, unreachable

HOUR = timedelta(hours=1)
RETRIED = (429, 502, 503, 504)


@dataclass(frozen=True)
class Access:
    """How to reach a server.

    Attributes:
        url: Base URL, as far as `/api/v1` excluded.
        headers: Sent with every request.
        auth: User and password, None without.
        ca_file: Certificates to trust, None for the system's.
        cert: Own certificate and its key (mutual TLS), None without.
        params: Sent with every question (Thanos: dedup, partial_response).
        method: GET or POST.
        timeout_s: Seconds to wait for an answer.
        retries: Times a request is repeated after 429, 502, 503, 504 or a lost connection.
        backoff_s: Seconds before the second repetition; doubles each time.
    """

    url: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    auth: tuple[str, str] | None = field(default=None, repr=False)
    ca_file: Path | None = None
    cert: tuple[Path, Path] | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    method: str = "GET"
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
        session.auth = _as_it_is
        if access.ca_file is not None:
            session.verify = str(access.ca_file)
        if access.cert is not None:
            session.cert = (str(access.cert[0]), str(access.cert[1]))
        retry = Retry(
            total=access.retries,
            connect=2,
            read=1,
            other=0,
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
            method=access.method,
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
        result = self._instant(query, time)
        found = _frame([(s["metric"], [s["value"]]) for s in result], labels, HOUR)
        return found.filter(pl.col("value").is_finite()).drop("hour")

    def samples(self, selector: str, time: datetime, labels: Sequence[str]) -> pl.DataFrame:
        """Samples themselves.

        Args:
            selector: Series over a range that ends at `time`.
            time: The instant, with a zone.
            labels: Labels wanted.

        Returns:
            The labels, at (UTC without a zone, whole seconds) and value, which may be NaN.

        Raises:
            SourceError: There is no answer.
        """
        result = self._instant(selector, time)
        return _frame([(s["metric"], s["values"]) for s in result], labels, timedelta(0)).rename(
            {"hour": "at"}
        )

    def series(self, selector: str, time: datetime) -> list[dict[str, Any]]:
        """Series with all their labels (`metric`) and samples (`values`: seconds since 1970, value as text).

        Args:
            selector: Series over a range that ends at `time`.
            time: The instant, with a zone.

        Raises:
            SourceError: There is no answer.
        """
        return self._instant(selector, time)

    def _instant(self, query: str, time: datetime) -> list[dict[str, Any]]:
        try:
            return self._ask(query, time, None, HOUR)
        except TooMuchError as error:
            msg = f"{self._where}: cannot answer for one hour: {error}. Raise its --query.timeout and --query.max-samples"
            raise SourceError(msg) from error

    def steps(
        self, query: str, first: datetime, last: datetime, labels: Sequence[str], step: timedelta = HOUR
    ) -> pl.DataFrame:
        """The answer at the end of each step: a value for the hour (or shorter step) before.

        Args:
            query: PromQL over the last step.
            first: Start of the first step, with a zone.
            last: Start of the last step.
            labels: Labels wanted.
            step: Length of a step.

        Returns:
            The labels, hour (start of the step, UTC without a zone) and value, which may be NaN.

        Raises:
            SourceError: There is no answer.
        """
        try:
            result = self._ask(query, first + step, last + step, step)
        except TooMuchError as error:
            count = (last - first) // step + 1
            if count == 1:
                msg = f"{self._where}: cannot answer even for one hour: {error}. Raise its --query.timeout and --query.max-samples"
                raise SourceError(msg) from error
            middle = first + count // 2 * step
            parts = (
                self.steps(query, first, middle - step, labels, step),
                self.steps(query, middle, last, labels, step),
            )
            return pl.concat(parts)
        seconds = int(step.total_seconds())
        if any(
            (int(float(p[0])) - int(first.timestamp())) % seconds for s in result for p in s["values"][:1]
        ):
            msg = (
                f"{self._where}: moves the hours asked for to multiples of the step, which cuts the days of this time "
                "zone wrong. Ask Thanos' querier itself, or start its frontend with --no-query-range.align-range-with-step"
            )
            raise SourceError(msg)
        return _frame([(s["metric"], s["values"]) for s in result], labels, step)

    def metrics(self, pattern: str, matchers: str, first: datetime, last: datetime) -> set[str]:
        """Names of metrics that have samples in a time.

        Args:
            pattern: Regular expression that a whole name meets.
            matchers: Further label matchers, without braces.
            first: Start, with a zone.
            last: End.

        Raises:
            SourceError: There is no answer.
        """
        inside = ",".join(m for m in (f'__name__=~"{pattern}"', matchers) if m)
        params = {
            "match[]": "{" + inside + "}", "start": f"{first.timestamp():.0f}", "end": f"{last.timestamp():.0f}",
        }  # fmt: skip
        try:
            names = self._guarded(
                lambda: self._connect.get_label_values("__name__", {**self.access.params, **params}), pattern
            )
        except TooMuchError as error:
            msg = f"{self._where}: cannot list its metrics: {error}. Raise its limits, or narrow `matchers`"
            raise SourceError(msg) from error
        return {str(n) for n in names}

    @property
    def _where(self) -> str:
        return f"Prometheus {self.access.url}"

    def _ask(
        self, query: str, start: datetime, end: datetime | None, step: timedelta
    ) -> list[dict[str, Any]]:
        # VictoriaMetrics moves start and end to multiples of the step unless told so; others do not know the parameter.
        params = {"nocache": "1", **self.access.params}
        if end is None:
            at = params | {"time": f"{start.timestamp():.0f}"}
            return list(self._guarded(lambda: self._connect.custom_query(query, params=at), query))
        seconds = f"{step.total_seconds():.0f}"
        return list(
            self._guarded(
                lambda: self._connect.custom_query_range(query, start, end, seconds, params=params), query
            )
        )

    def _guarded(self, ask: Callable[[], Any], query: str) -> Any:
        """The answer, or an error that says what to do."""
        try:
            return ask()
        except PrometheusApiClientException as error:
            raise refused(str(error), query, self._where, self.access.retries) from error
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
        except requests.exceptions.RequestException as error:
            if "timed out" in str(error).lower() and "connect timeout" not in str(error).lower():
                raise TooMuchError(f"no answer within {self.access.timeout_s} s") from error
            own = self.access.cert is not None
            raise SourceError(f"{self._where} {unreachable(error, own_certificate=own)}") from error


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Sends a request with the headers it has: else a login from ~/.netrc would take the place of a token."""
    return request


def _frame(
    series: Sequence[tuple[dict[str, str], list[list[Any]]]], labels: Sequence[str], step: timedelta
) -> pl.DataFrame:
    times: list[float] = []
    values: list[float] = []
    columns: dict[str, list[str]] = {name: [] for name in labels}
    for metric, points in series:
        times += [float(p[0]) for p in points]
        values += [float(p[1]) for p in points]
        for name, column in columns.items():
            column.extend([metric.get(name, "")] * len(points))
    return pl.DataFrame(columns, schema=dict.fromkeys(labels, pl.String)).with_columns(
        hour=pl.from_epoch(pl.Series(times, dtype=pl.Float64).cast(pl.Int64), time_unit="s").cast(
            pl.Datetime("us")
        )
        - step,
        value=pl.Series(values, dtype=pl.Float64),
    )


def describe(warnings: set[str]) -> str:
    """Warnings of answers as one remark; "" for none."""
    return f"partial data, the server warned: {json.dumps(sorted(warnings))[:800]}" if warnings else ""
