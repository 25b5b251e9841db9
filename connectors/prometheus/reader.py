"""Source kind `prometheus`: GPUs (dcgm-exporter), model servers (vLLM) and node power (ipmi_exporter) of one site.

A slice is a local day of the site. It is offered once it is complete, and then never changes; a change of the options
reads it again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal, cast
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from connectors.base import Context, Engine, Loaded, Slice, SourceError, SourceOptions, Window
from connectors.prometheus.client import Access, Client, describe
from connectors.prometheus.gpu import ENERGY
from connectors.prometheus.hours import Scrapes, read_hours
from connectors.prometheus.question import Question
from connectors.telemetry import fingerprint, first_hour, issues, site_of, write_days

VERSION = "prometheus-3"
"""Changes whenever the same series would give other facts."""

CHUNK_DAYS = 7
"""Days asked for at once: 168 points a series."""

DAYS_BACK = 35
"""Days before the day of the run that are read where `start` does not say."""

Dimension = Literal["team", "project", "environment", "workload", "workload_type"]

POD_LABELS: Mapping[Dimension, tuple[str, ...]] = {
    "team": ("label_team",),
    "project": ("label_project",),
    "environment": ("label_environment", "label_env"),
    "workload": ("label_workload", "label_app_kubernetes_io_name", "label_app"),
    "workload_type": ("label_workload_type",),
}


class Options(SourceOptions):
    """Options of the kind.

    Attributes:
        url: Base URL of a Prometheus, Thanos, Mimir or VictoriaMetrics.
        site: A key of `sites`.
        replica_label: Label that tells apart highly available replicas; of each card and hour one replica counts.
        start: First local day to read; 35 days before the day of the run where absent.
        lateness_hours: A day is complete this long after its end.
        matchers: More label matchers for every series, such as `cluster="dc1"`.
        tier: Tier of the inference found here.
        scrape_interval_s: Seconds between scrapes; where absent, found from the samples.
        pod_labels: Dimension -> labels of kube_pod_labels that may hold it, best first.
        exporter_pods: Regular expression of the pods of exporters, which hold no card.
        headers: Sent with each request (X-Scope-OrgID, say).
        username: For basic authentication, with `password`.
        password: For basic authentication.
        bearer_token: For token authentication.
        ca_file: Certificates to trust, relative to the configuration file.
        timeout_s: Seconds to wait for an answer.
    """

    url: str
    site: str
    replica_label: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    start: date | None = None
    lateness_hours: float = Field(default=1, ge=0, le=720)
    matchers: str = ""
    tier: Literal["cloud", "api", "onprem", "edge"] = "onprem"
    scrape_interval_s: float | None = Field(default=None, gt=0, le=1800)
    pod_labels: dict[Dimension, tuple[str, ...]] = Field(default_factory=lambda: dict(POD_LABELS))
    exporter_pods: str = ".*dcgm-exporter.*"
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    username: str | None = None
    password: SecretStr | None = None
    bearer_token: SecretStr | None = None
    ca_file: str | None = None
    timeout_s: int = Field(default=90, ge=1, le=600)

    @field_validator("url")
    @classmethod
    def _http(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            msg = f"{url!r} is no http or https URL; write one such as http://prometheus.example:9090"
            raise ValueError(msg)
        return url

    @field_validator("matchers")
    @classmethod
    def _bare(cls, matchers: str) -> str:
        return matchers.strip().removeprefix("{").removesuffix("}").strip().strip(",")

    @model_validator(mode="after")
    def _one_login(self) -> Options:
        if (self.username is None) != (self.password is None):
            msg = "username and password go together; give both or neither"
            raise ValueError(msg)
        if self.username is not None and self.bearer_token is not None:
            msg = "give bearer_token, or username and password, not both"
            raise ValueError(msg)
        return self


class PrometheusReader:
    """A Prometheus, read for one site."""

    Options: ClassVar[type[SourceOptions]] = Options

    def __init__(self, options: SourceOptions, context: Context) -> None:
        self.options = cast("Options", options)
        self.context = context
        self.zone = site_of(self.options.site, context).zone

    def _client(self) -> Client:
        options = self.options
        headers = {name: value.get_secret_value() for name, value in options.headers.items()}
        if options.bearer_token is not None:
            headers["Authorization"] = f"Bearer {options.bearer_token.get_secret_value()}"
        auth = (
            (options.username, options.password.get_secret_value())
            if options.username and options.password
            else None
        )
        ca_file = self.context.base / options.ca_file if options.ca_file else None
        if ca_file is not None and not ca_file.is_file():
            msg = f"ca_file {ca_file} is not there; correct its path (relative to the configuration file)"
            raise SourceError(msg)
        return Client(Access(options.url, headers, auth, ca_file, options.timeout_s))

    def check(self) -> str:
        """Asks for the cards there are.

        Raises:
            SourceError: There is no answer.
        """
        client = self._client()
        try:
            now = datetime.now(UTC)
            question = Question(client, now, now, self.options.matchers)
            cards = client.at(f"count(max by (UUID) (max_over_time({question.select(ENERGY)}[1d])))", now, ())
        finally:
            client.close()
        found = f"{cards['value'][0]:.0f} GPUs" if cards.height else "no GPU"
        return f"Prometheus {self.options.url} answers: {found} with {ENERGY} in the last day"

    def slices(self, window: Window) -> Sequence[Slice]:
        """The complete local days; the server is not asked."""
        options = self.options
        first = options.start or window.day - timedelta(days=DAYS_BACK)
        if window.only is not None and options.start is None:
            first = min(first, window.only[0])
        settings = options.model_dump(
            mode="json", exclude={"kind", "required", "start", "lateness_hours", "headers", "username", "password",
                                  "bearer_token", "ca_file", "timeout_s"},
        )  # fmt: skip
        mark = fingerprint(VERSION, settings | {"zone": self.zone.key})
        found = []
        day = first
        while day <= window.day:
            end = first_hour(day + timedelta(days=1), self.zone)
            if end + timedelta(hours=options.lateness_hours) <= window.now:
                found.append(Slice(day, "day", mark))
            day += timedelta(days=1)
        return found

    def load(self, slices: Sequence[Slice], work: Path, engine: Engine) -> Iterator[Loaded]:
        """Asks for the days, up to a week at once.

        Raises:
            SourceError: There is no answer.
        """
        del engine
        client = self._client()
        try:
            for run in _runs(sorted(slices, key=lambda s: s.period)):
                yield from self._load_run(run, client, work)
        finally:
            client.close()

    def _load_run(self, run: Sequence[Slice], client: Client, work: Path) -> Iterator[Loaded]:
        options = self.options
        days = {s.period: s for s in run}
        last = first_hour(run[-1].period + timedelta(days=1), self.zone) - timedelta(hours=1)
        client.warnings.clear()
        question = Question(
            client, first_hour(run[0].period, self.zone), last, options.matchers, options.replica_label
        )
        wanted = {str(d): names for d, names in options.pod_labels.items()}
        scrapes = Scrapes(options.scrape_interval_s, options.exporter_pods, wanted)
        hours = read_hours(question, list(days), self.zone, scrapes)
        frames = {t: hours.of(t, self.context.name, options.site, options.tier) for t in hours.frames}
        partial = describe(client.warnings)
        findings: dict[date, list[Mapping[str, Any]]] = defaultdict(list, hours.findings)
        for day, facts, rows in write_days(frames, days, work):
            found = findings[day]
            if partial:
                found.append(
                    {
                        "action": "flagged",
                        "rule": "partial_data",
                        "column_name": "*",
                        "value": partial,
                        "rows": rows,
                    }
                )
            note = partial or ("" if facts else "no samples that day")
            yield Loaded(days[day], facts, rows, rows, issues=issues(found), note=note)


def _runs(slices: Sequence[Slice]) -> Iterator[list[Slice]]:
    """Slices of days that follow each other, at most a week together."""
    run: list[Slice] = []
    for item in slices:
        if run and (len(run) == CHUNK_DAYS or item.period - run[-1].period > timedelta(days=1)):
            yield run
            run = []
        run.append(item)
    if run:
        yield run


__all__ = ["Options", "PrometheusReader"]
