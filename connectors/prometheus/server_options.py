"""How a Prometheus is reached: the keys that every kind of source which asks one has."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from connectors.base import SourceError, SourceOptions
from connectors.prometheus.client import Access

HOW_TO_REACH = frozenset(
    {"kind", "required", "start", "lateness_hours", "headers", "username", "password", "bearer_token", "ca_file", "cert_file",
     "key_file", "http_method", "timeout_s"}
)  # fmt: skip
"""Keys that change nothing of what a complete day holds."""


class ServerOptions(SourceOptions):
    """Where a server is and how to log in.

    Attributes:
        url: Base URL of a Prometheus, Thanos, Mimir or VictoriaMetrics.
        matchers: More label matchers for every series, such as `cluster="dc1"`.
        params: More parameters of every question, such as `dedup: "true"` for Thanos.
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
    matchers: str = ""
    params: dict[str, str] = Field(default_factory=dict)
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

    @model_validator(mode="after")
    def _one_login(self) -> Self:
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
