"""Tariffs of sites that a file of OpenEI's rate database gives (`tariff: {urdb: FILE}`), put into the raw configuration."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from models.tariffs.urdb import pick, tariff
from models.tariffs.urdb_fields import UnsupportedRateError, without
from pipelines.problems import Problem

BESIDE = (
    "urdb",
    "label",
    "without",
    "spot",
    "holidays",
    "meter",
    "demand_by",
    "power_factor",
    "valid_from",
    "valid_to",
)
"""Keys allowed beside `urdb`; the last seven are those of a tariff, for what a rate does not say."""


def with_rates(raw: dict[str, Any], base: Path, problems: list[Problem]) -> dict[str, Any]:
    """The configuration with every such tariff read; one that cannot be read is a problem, and 0 in its place."""
    sites = raw.get("sites")
    if not isinstance(sites, dict):
        return raw
    read = {}
    for name, site in sites.items():
        given = site.get("tariff") if isinstance(site, dict) else None
        if not isinstance(given, dict) or "urdb" not in given:
            read[name] = site
            continue
        path = f"sites.{name}.tariff"
        currency = site.get("currency") or raw.get("currency", "USD")
        if currency != "USD":
            problems.append(
                Problem(
                    f"{path}.urdb",
                    repr(currency),
                    "its amounts are US dollars; say `currency: USD` for the site",
                )
            )
        read[name] = site | {"tariff": _tariff(given, base, path, problems)}
    return raw | {"sites": read}


def _tariff(given: dict[str, Any], base: Path, path: str, problems: list[Problem]) -> dict[str, Any] | int:
    for key in sorted(set(given) - set(BESIDE)):
        problems.append(
            Problem(f"{path}.{key}", repr(given[key]), f"beside `urdb` there may be {', '.join(BESIDE[1:])}")
        )
    file = base / str(given["urdb"])
    try:
        document = json.loads(file.read_text(encoding="utf-8-sig"), parse_float=Decimal)
        rate = tariff(without(pick(document, given.get("label")), given.get("without", [])))
    except UnsupportedRateError as error:
        problems += [Problem(f"{path}.urdb", file.name, reason) for reason in error.problems]
        return 0
    except (OSError, ValueError) as error:
        allowed = f"must be a file with the JSON that the API of OpenEI answers (version 7): {error}"
        problems.append(Problem(f"{path}.urdb", str(file), allowed))
        return 0
    return rate | {key: given[key] for key in BESIDE[3:] if key in given}
