"""Options of the kind `prometheus`: where the server is, how to log in, and what its series mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import polars as pl
from pydantic import Field, SecretStr, field_validator, model_validator

from connectors.base import SourceError, SourceOptions
from connectors.meters import METHODS
from connectors.prometheus.client import Access

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
        bridge_hours: Longer gaps are not bridged by counters. A day is read a second time this long after its end: by
            then a gap over midnight has ended.
        matchers: More label matchers for every series, such as `cluster="dc1"`.
        params: More parameters of every question, such as `dedup: "true"` for Thanos.
        tier: Tier of the inference found here.
        scrape_interval_s: Seconds between scrapes; where absent, found from the samples.
        pod_labels: Dimension -> labels that may hold it, best first; `annotation_` for annotations. Looked for on the
            pod, then its Job, its namespace, its node.
        hpc_job_pattern: Regular expression that finds dimensions in the names of batch jobs (label hpc_job) as named
            groups, such as `^(?P<team>[a-z]+)-(?P<workload>.+)-[0-9]+$`; a job's workload is else its name.
        exporter_pods: Regular expression of the pods of exporters, which hold no card.
        power_order: Ways to measure a node's power, best first; those left out are not read.
        meter_nodes: Meter or device -> node behind it, where no label of the series says.
        rapl_wrap_joules: Value after which RAPL counters start again (max_energy_range_uj / 1e6), of all or by zone
            (`package`, `dram`), which often differ. What wraps lose is estimated where it is absent.
        headers: Sent with each request (X-Scope-OrgID, say).
        username: For basic authentication, with `password`.
        password: For basic authentication.
        bearer_token: For token authentication.
        ca_file: Certificates to trust, relative to the configuration file.
        cert_file: Own certificate for mutual TLS, with `key_file`.
        key_file: Its key.
        http_method: GET, or POST for servers that want it.
        timeout_s: Seconds to wait for an answer.
    """

    url: str
    site: str
    replica_label: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    start: date | None = None
    lateness_hours: float = Field(default=1, ge=0, le=720)
    bridge_hours: int = Field(default=24, ge=1, le=168)
    matchers: str = ""
    params: dict[str, str] = Field(default_factory=dict)
    tier: Literal["cloud", "api", "onprem", "edge"] = "onprem"
    scrape_interval_s: float | None = Field(default=None, gt=0, le=1800)
    pod_labels: dict[Dimension, tuple[str, ...]] = Field(default_factory=lambda: dict(POD_LABELS))
    hpc_job_pattern: str | None = None
    exporter_pods: str = ".*dcgm-exporter.*"
    power_order: tuple[str, ...] = METHODS
    meter_nodes: dict[str, str] = Field(default_factory=dict)
    rapl_wrap_joules: dict[Literal["package", "dram"], Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict
    )
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    username: str | None = None
    password: SecretStr | None = None
    bearer_token: SecretStr | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    http_method: Literal["GET", "POST"] = "GET"
    timeout_s: int = Field(default=90, ge=1, le=600)

    @field_validator("url")
    @classmethod
    def _http(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            msg = f"{url!r} is no http or https URL; write one such as http://prometheus.example:9090"
            raise ValueError(msg)
        if parts.username or parts.password:
            msg = "a URL must not hold a login, which messages would show; give `username` and `password`"
            raise ValueError(msg)
        return url

    @field_validator("matchers")
    @classmethod
    def _bare(cls, matchers: str) -> str:
        return matchers.strip().removeprefix("{").removesuffix("}").strip().strip(",")

    @field_validator("rapl_wrap_joules", mode="before")
    @classmethod
    def _of_all_zones(cls, value: Any) -> Any:
        return (
            value
            if isinstance(value, dict)
            else {}
            if value is None
            else dict.fromkeys(("package", "dram"), value)
        )

    @field_validator("power_order")
    @classmethod
    def _known(cls, order: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [m for m in order if m not in METHODS]
        if unknown:
            msg = f"{unknown} are no ways to measure power; allowed are {', '.join(METHODS)}"
            raise ValueError(msg)
        return order

    @field_validator("hpc_job_pattern")
    @classmethod
    def _named_groups(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            groups = re.compile(value).groupindex
            pl.Series([""]).str.extract_groups(value)
        except (re.error, pl.exceptions.PolarsError) as error:
            msg = f"{value!r} is no regular expression: {error}"
            raise ValueError(msg) from error
        if not groups or (wrong := sorted(set(groups) - set(POD_LABELS))):
            msg = f"{value!r} names {', '.join(wrong) if groups else 'no group'}; allowed are {', '.join(POD_LABELS)}"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _one_login(self) -> Options:
        if (self.username is None) != (self.password is None):
            msg = "username and password go together; give both or neither"
            raise ValueError(msg)
        if self.username is not None and self.bearer_token is not None:
            msg = "give bearer_token, or username and password, not both"
            raise ValueError(msg)
        if (self.cert_file is None) != (self.key_file is None):
            msg = "cert_file and key_file go together; give both or neither"
            raise ValueError(msg)
        return self

    def access(self, base: Path) -> Access:
        """How to reach the server.

        Args:
            base: Folder that relative paths start from.

        Raises:
            SourceError: A file is not there.
        """
        headers = {name: value.get_secret_value() for name, value in self.headers.items()}
        if self.bearer_token is not None:
            headers["Authorization"] = f"Bearer {self.bearer_token.get_secret_value()}"
        auth = (self.username, self.password.get_secret_value()) if self.username and self.password else None
        paths: dict[str, Path] = {}
        for key in ("ca_file", "cert_file", "key_file"):
            if name := getattr(self, key):
                paths[key] = base / name
                if not paths[key].is_file():
                    msg = f"{key} {paths[key]} is not there; correct its path (relative to the configuration file)"
                    raise SourceError(msg)
        cert = (paths["cert_file"], paths["key_file"]) if "cert_file" in paths else None
        return Access(
            self.url, headers, auth, paths.get("ca_file"), cert, self.params, self.http_method, self.timeout_s
        )
