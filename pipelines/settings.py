"""Reads the configuration file: settings, readers and the asset register, with every problem at once.

The shape of the settings belongs to `models/config.py`, what a source accepts to its connector.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from connectors.base import Context, Reader
from connectors.registry import KINDS, reader_class
from models import ownership
from models.config import Settings, Site
from models.records import Price, Rate, Revenue, TrainingRun
from models.register import Asset
from pipelines.problems import ConfigError, Problem, problems_of
from pipelines.registers import (
    assets_of,
    prices_of,
    rates_of,
    revenue_of,
    training_runs_of,
    with_spot_prices,
)
from pipelines.urdb import with_rates

_ENV = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SECRET = re.compile(
    r"sources\.[^.]+\.(admin_key|bearer_token|password|headers\..*(auth|cookie|cred|key|pass|secret|token).*)",
    re.IGNORECASE,
)
"""Places whose values are taken from the environment only: a tenant's header may stand there, one that signs in may not."""
_USER = re.compile(r"(?<=://)[^/\s@]+@")
_PATTERN = re.compile(r"[*?\[\]\\]")


SHORTEST_SECRET = 4
"""Characters; shorter values from the environment are not hidden in messages: too much else reads the same."""


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
        environment: Value of an environment variable that the file uses -> `${NAME}`.
        prices: Prices of model APIs.
        rates: Exchange rates.
        revenue: Revenue of months.
        training_runs: Training runs.
    """

    file: Path
    settings: Settings
    sources: Mapping[str, Source]
    assets: tuple[Asset, ...]
    hash: str
    environment: Mapping[str, str] = field(default_factory=dict)
    prices: tuple[Price, ...] = ()
    rates: tuple[Rate, ...] = ()
    revenue: tuple[Revenue, ...] = ()
    training_runs: tuple[TrainingRun, ...] = ()

    def hide(self, text: str) -> str:
        """The text without what may be secret: values from the environment, user and password in addresses."""
        return hide(text, self.environment)

    @property
    def data_dir(self) -> Path:
        """The folder of everything that is written."""
        return (self.file.parent / self.settings.data_dir).resolve()


def asset_name(source: str) -> str:
    """The name of a source among Dagster's assets: letters, digits and underscores."""
    return re.sub(r"\W", "_", source)


def hide(text: str, environment: Mapping[str, str]) -> str:
    """The text with `${NAME}` for values of the environment and `***` for user and password in addresses."""
    for value, name in sorted(environment.items(), key=lambda item: -len(item[0])):
        text = text.replace(value, name)
    return _USER.sub("***@", text)


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
    environment: dict[str, str] = {}
    raw = _expand(_read_yaml(file), "", problems, environment)
    raw = with_rates(with_spot_prices(raw, file.parent, problems), file.parent, problems)
    settings = _validate_settings(raw, problems)
    assets: tuple[Asset, ...] = ()
    prices: tuple[Price, ...] = ()
    rates: tuple[Rate, ...] = ()
    revenue: tuple[Revenue, ...] = ()
    runs: tuple[TrainingRun, ...] = ()
    register = ""
    if settings is None:  # the settings are unusable as a whole, but the sources can still be looked at
        context = Context("", file.parent, file.parent, {})
        sources = _sources(raw.get("sources"), context, None, problems)
    else:
        cache = (file.parent / settings.data_dir).resolve() / "cache"
        assets, register = assets_of(settings, file.parent, problems)
        prices, price_text = prices_of(settings, file.parent, problems)
        runs, run_text = training_runs_of(settings, file.parent, problems)
        context = Context(
            "", file.parent, cache, settings.sites, settings.time_zone, settings.currency, prices, runs
        )
        rates, rate_text = rates_of(settings, file.parent, problems)
        revenue, revenue_text = revenue_of(settings, file.parent, problems)
        register += price_text + rate_text + revenue_text + run_text
        sources = _sources(settings.sources, context, settings.sites, problems)
        _check_data_dir(settings, file.parent, problems)
        _check_owners(settings, problems)
    if problems:
        hidden = [Problem(*(hide(t, environment) for t in (p.path, p.value, p.allowed))) for p in problems]
        raise ConfigError(file, hidden)
    assert settings is not None  # noqa: S101 - no problems means that validation succeeded
    digest = hashlib.sha256(
        json.dumps(raw, sort_keys=True, default=str).encode() + register.encode()
    ).hexdigest()
    return Config(file, settings, sources, assets, digest, environment, prices, rates, revenue, runs)


class _Loader(yaml.SafeLoader):
    """Refuses a key that is in one mapping twice: the later one would silently replace the earlier.

    It also gives the place of a value such as 2026-02-30, which has the form of a date and is none.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            msg = f"{node.value!r}: {error}; correct it, or quote what is meant as text"
            raise yaml.MarkedYAMLError(problem=msg, problem_mark=node.start_mark) from error

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    msg = f"key {key.value!r} is there twice; keep one of them"
                    raise yaml.MarkedYAMLError(problem=msg, problem_mark=key.start_mark)
                seen.add(key.value)
        return node


def _where(error: Exception) -> str:
    """The problem and its place, without the text around it, in which there may be a secret."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return str(error)
    return f"{getattr(error, 'problem', '')} (line {mark.line + 1}, column {mark.column + 1})"


def _read_yaml(file: Path) -> dict[str, Any]:
    if not file.is_file():
        hint = "no such file; name one with --config FILE, or run `tierwise demo` to write an example"
        raise ConfigError(file, [Problem("(file)", "", hint)])
    try:
        raw = yaml.load(file.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError, OSError, RecursionError) as error:
        problem = Problem("(file)", "", f"not readable as YAML: {_where(error)}")
        raise ConfigError(file, [problem]) from error
    if not isinstance(raw, dict):
        raise ConfigError(
            file, [Problem("(file)", type(raw).__name__, "must be a mapping with a key `sources`")]
        )
    return raw


def _expand(value: Any, path: str, problems: list[Problem], environment: dict[str, str]) -> Any:
    """Replaces `${NAME}` by the environment's value, and notes it; a name that is not set is a problem."""
    if isinstance(value, dict):
        return {
            k: _expand(v, f"{path}.{k}" if path else str(k), problems, environment) for k, v in value.items()
        }
    if isinstance(value, list):
        return [_expand(v, f"{path}.{i}", problems, environment) for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value
    if _SECRET.fullmatch(path) and not _ENV.search(value):
        said = "must be an environment variable, written as ${NAME}: a secret does not belong into this file"
        problems.append(Problem(path, "", said))

    def lookup(match: re.Match[str]) -> str:
        found = os.environ.get(match.group(1))
        if found is None:
            problems.append(
                Problem(path, match.group(0), f"environment variable {match.group(1)} must be set")
            )
            return match.group(0)
        if len(found) >= SHORTEST_SECRET:
            environment[found] = match.group(0)
        return found

    return _ENV.sub(lookup, value)


def _validate_settings(raw: dict[str, Any], problems: list[Problem]) -> Settings | None:
    try:
        return Settings.model_validate(raw)
    except ValidationError as error:
        problems.extend(problems_of(error, Settings))
        return None


def _sources(
    raw: Any, context: Context, sites: Mapping[str, Site] | None, problems: list[Problem]
) -> dict[str, Source]:
    """The readers of the sources; sites are not looked up where they are None, because they are unusable."""
    sources: dict[str, Source] = {}
    seen: dict[str, str] = {}
    for name, options in raw.items() if isinstance(raw, dict) else ():
        path = f"sources.{name}"
        twin = seen.setdefault(asset_name(str(name)), str(name))
        if twin != name:
            problems.append(
                Problem(path, "", f"differs from {twin!r} only in punctuation; rename one of them")
            )
        if not isinstance(options, dict):
            problems.append(
                Problem(path, repr(options), "must be a mapping such as {kind: focus, location: ./bills}")
            )
            continue
        kind = options.get("kind")
        if not isinstance(kind, str) or kind not in KINDS:
            problems.append(Problem(f"{path}.kind", repr(kind), f"must be one of {', '.join(sorted(KINDS))}"))
            continue
        reader = reader_class(kind)
        try:
            valid = reader.Options.model_validate(options)
        except ValidationError as error:
            problems.extend(problems_of(error, reader.Options, path))
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


def _check_owners(settings: Settings, problems: list[Problem]) -> None:
    try:
        ownership.names(settings.ownership)
    except ValueError as error:
        path, _, said = str(error).partition(": ")
        problems.append(Problem(path, "", said))


def _check_data_dir(settings: Settings, base: Path, problems: list[Problem]) -> None:
    """What is written must not be read again as input, and DuckDB must be able to name it."""
    data_dir = (base / settings.data_dir).resolve()
    if data_dir.exists() and not data_dir.is_dir():
        problems.append(Problem("data_dir", str(data_dir), "must be a folder"))
    if _PATTERN.search(str(data_dir)):
        problems.append(
            Problem("data_dir", str(data_dir), "no folder in its path may have * ? [ ] or \\ in its name")
        )
    for name, options in settings.sources.items():
        location = options.get("location")
        if not location or not isinstance(location, str) or "://" in location:
            continue
        folder = (base / Path(location).expanduser()).resolve()
        if data_dir.is_relative_to(folder):
            allowed = f"must not hold data_dir ({data_dir}): what is published would be read as input again"
            problems.append(Problem(f"sources.{name}.location", location, allowed))
