"""Reads the configuration file: settings, readers and the asset register, with every problem at once.

The shape of the settings belongs to `models/config.py`, what a source accepts to its connector.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from connectors.base import Context, Reader
from connectors.registry import KINDS, reader_class
from models.config import Asset, Settings, Site

_ENV = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SECRET = re.compile(r"pass|secret|token|key|auth|header|bearer|cred", re.IGNORECASE)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: the key's path, the value found there, and what is allowed."""

    path: str
    value: str
    allowed: str

    def __str__(self) -> str:
        """The problem on one line."""
        found = f" (found: {self.value})" if self.value else ""
        return f"{self.path}: {self.allowed}{found}"


class ConfigError(Exception):
    """The configuration cannot be used; `problems` holds every reason."""

    def __init__(self, file: Path, problems: list[Problem]) -> None:
        self.file = file
        self.problems = problems
        noun = "problem" if len(problems) == 1 else "problems"
        super().__init__(f"{file}: {len(problems)} {noun}\n" + "\n".join(f"  - {p}" for p in problems))


@dataclass(frozen=True)
class Source:
    """One configured source: its name, kind, whether its failure blocks publication, and its reader."""

    name: str
    kind: str
    required: bool
    reader: Reader
    site: str | None


@dataclass(frozen=True)
class Config:
    """A configuration file that has been found right.

    Attributes:
        file: Where it lies.
        settings: Its content.
        sources: One reader a source, in the order of the file.
        assets: The owned-hardware register.
        hash: Changes when the content of the file or of the register does.
    """

    file: Path
    settings: Settings
    sources: Mapping[str, Source]
    assets: tuple[Asset, ...]
    hash: str

    @property
    def data_dir(self) -> Path:
        """The folder of everything that is written."""
        return (self.file.parent / self.settings.data_dir).resolve()


def asset_name(source: str) -> str:
    """The name of a source among Dagster's assets: letters, digits and underscores."""
    return re.sub(r"\W", "_", source)


def load_config(file: Path) -> Config:
    """Reads and validates a configuration file.

    Args:
        file: The YAML file.

    Returns:
        The settings with one reader for each source; no source has been touched yet.

    Raises:
        ConfigError: Something is wrong; all problems are listed.
    """
    file = file.resolve()
    problems: list[Problem] = []
    raw = _expand(_read_yaml(file), "", problems)
    settings = _validate_settings(raw, problems)
    assets: tuple[Asset, ...] = ()
    register = ""
    if settings is None:  # the settings are unusable as a whole, but the sources can still be looked at
        context = Context("", file.parent, file.parent, {})
        sources = _sources(raw.get("sources"), context, None, problems)
    else:
        cache = (file.parent / settings.data_dir).resolve() / "cache"
        context = Context("", file.parent, cache, settings.sites, settings.time_zone, settings.currency)
        assets, register = _register(settings, file.parent, problems)
        sources = _sources(settings.sources, context, settings.sites, problems)
    if problems:
        raise ConfigError(file, problems)
    assert settings is not None  # noqa: S101 - no problems means that validation succeeded
    digest = hashlib.sha256(
        json.dumps(raw, sort_keys=True, default=str).encode() + register.encode()
    ).hexdigest()
    return Config(file, settings, sources, assets, digest)


def _read_yaml(file: Path) -> dict[str, Any]:
    if not file.is_file():
        hint = "no such file; name one with --config FILE, or run `tierwise demo` to write an example"
        raise ConfigError(file, [Problem("(file)", "", hint)])
    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(file, [Problem("(file)", "", f"not readable as YAML: {error}")]) from error
    if not isinstance(raw, dict):
        raise ConfigError(
            file, [Problem("(file)", type(raw).__name__, "must be a mapping with a key `sources`")]
        )
    return raw


def _expand(value: Any, path: str, problems: list[Problem]) -> Any:
    """Replaces `${NAME}` by the environment's value; a name that is not set is a problem."""
    if isinstance(value, dict):
        return {k: _expand(v, f"{path}.{k}" if path else str(k), problems) for k, v in value.items()}
    if isinstance(value, list):
        return [_expand(v, f"{path}.{i}", problems) for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value

    def lookup(match: re.Match[str]) -> str:
        found = os.environ.get(match.group(1))
        if found is None:
            problems.append(
                Problem(path, match.group(0), f"environment variable {match.group(1)} must be set")
            )
        return found or ""

    return _ENV.sub(lookup, value)


def _problems_of(error: ValidationError, prefix: str = "") -> list[Problem]:
    found = []
    for item in error.errors(include_url=False):
        path = ".".join(str(part) for part in item["loc"])
        path = f"{prefix}.{path}" if prefix and path else prefix or path or "(file)"
        given = item.get("input")
        shown = "" if item["type"] == "missing" or isinstance(given, dict | list | tuple) else repr(given)
        if _SECRET.search(path):
            shown = "(hidden)"
        text = {
            "extra_forbidden": "unknown key; remove it or correct its spelling",
            "missing": "required, but absent",
        }.get(item["type"], item["msg"].removeprefix("Value error, "))
        found.append(Problem(path, shown[:200], text))
    return found


def _validate_settings(raw: dict[str, Any], problems: list[Problem]) -> Settings | None:
    try:
        return Settings.model_validate(raw)
    except ValidationError as error:
        problems.extend(_problems_of(error))
        return None


def _sources(
    raw: Any, context: Context, sites: Mapping[str, Site] | None, problems: list[Problem]
) -> dict[str, Source]:
    """The readers of the sources; sites are not looked up where they are None, because they are unusable."""
    sources: dict[str, Source] = {}
    seen: dict[str, str] = {}
    for name, options in raw.items() if isinstance(raw, dict) else ():
        path = f"sources.{name}"
        if not isinstance(options, dict):
            problems.append(
                Problem(path, repr(options), "must be a mapping such as {kind: focus, location: ./bills}")
            )
            continue
        kind = options.get("kind")
        if kind not in KINDS:
            problems.append(Problem(f"{path}.kind", repr(kind), f"must be one of {', '.join(sorted(KINDS))}"))
            continue
        reader = reader_class(kind)
        try:
            valid = reader.Options.model_validate(options)
        except ValidationError as error:
            problems.extend(_problems_of(error, path))
            continue
        site = getattr(valid, "site", None)
        if sites is None:
            continue
        if site is not None and site not in sites:
            known = ", ".join(sites) or "none is defined"
            problems.append(Problem(f"{path}.site", repr(site), f"must be a key of `sites` ({known})"))
            continue
        own = replace(context, name=str(name), cache=context.cache / str(name))
        try:
            sources[name] = Source(name, kind, valid.required, reader(valid, own), site)
        except ValueError as error:
            problems.append(Problem(path, "", str(error)))
    return sources


def _register(settings: Settings, base: Path, problems: list[Problem]) -> tuple[tuple[Asset, ...], str]:
    """The asset register (from its CSV file or inline) and its text, for the hash."""
    if isinstance(settings.assets, str):
        assets, text = _register_csv(base / settings.assets, problems)
    else:
        assets, text = list(settings.assets), ""
    seen: set[str] = set()
    nodes: set[tuple[str, str]] = set()
    for asset in assets:
        path, node = f"assets.{asset.asset}", (asset.site, asset.node)
        site = settings.sites.get(asset.site)
        if asset.asset in seen:
            problems.append(Problem("assets", repr(asset.asset), "asset names must be unique"))
        if asset.retired is None and node in nodes:
            problems.append(Problem(f"{path}.node", repr(asset.node), "a node may have one asset in service"))
        if site is None:
            known = ", ".join(settings.sites) or "none is defined"
            problems.append(Problem(f"{path}.site", repr(asset.site), f"must be a key of `sites` ({known})"))
        elif asset.currency != (tariff := site.currency or settings.currency):
            allowed = f"must be {tariff}, the currency of the tariff of {asset.site}"
            problems.append(Problem(f"{path}.currency", repr(asset.currency), allowed))
        seen.add(asset.asset)
        if asset.retired is None:
            nodes.add(node)
    return tuple(assets), text


def _register_csv(file: Path, problems: list[Problem]) -> tuple[list[Asset], str]:
    if not file.is_file():
        problems.append(Problem("assets", str(file), "no such file; give a CSV file, or a list of assets"))
        return [], ""
    text = file.read_text(encoding="utf-8-sig")
    assets = []
    for line, row in enumerate(csv.DictReader(text.splitlines()), start=2):
        try:
            assets.append(
                Asset.model_validate({k: v for k, v in row.items() if v not in ("", None) and k is not None})
            )
        except ValidationError as error:
            problems.extend(_problems_of(error, f"{file.name} line {line}"))
    return assets, text
