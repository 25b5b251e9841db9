"""Lists that a configuration holds inline or as CSV files: assets, prices, rates, revenue, training runs, market prices of energy."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from models.config import Settings
from models.ownership import fold
from models.records import Price, Rate, Revenue, TrainingRun
from models.register import Asset
from models.tariffs.settings import SpotPrice
from pipelines.problems import Problem, problems_of

Row = TypeVar("Row", bound=BaseModel)


def assets_of(settings: Settings, base: Path, problems: list[Problem]) -> tuple[tuple[Asset, ...], str]:
    """The asset register and its text, for the hash of the configuration."""
    assets, text = _rows(settings.assets, base, Asset, "assets", problems)
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
            allowed = f"must be {tariff}, the currency of {asset.site}'s tariff, or that site needs `currency: {asset.currency}`"
            problems.append(Problem(f"{path}.currency", repr(asset.currency), allowed))
        if asset.contract is not None and asset.contract not in settings.contracts:
            known = ", ".join(settings.contracts) or "none is defined"
            problems.append(
                Problem(f"{path}.contract", repr(asset.contract), f"must be a key of `contracts` ({known})")
            )
        seen.add(asset.asset)
        if asset.retired is None:
            nodes.add(node)
    problems.extend(_other_currencies(settings, assets))
    return assets, text


def _other_currencies(settings: Settings, assets: Sequence[Asset]) -> Iterator[Problem]:
    """Staff and contracts are charged with the assets, so they must be in their currency."""
    for number, people in enumerate(settings.staff):
        for site in people.sites:
            if site not in settings.sites:
                known = ", ".join(settings.sites) or "none is defined"
                yield Problem(f"staff.{number}.sites", repr(site), f"must be keys of `sites` ({known})")
        found = sorted({a.currency for a in assets if people.covers(a)} - {people.currency})
        if found:
            allowed = f"must be {found[0]}, the currency of the assets; name `sites` of one currency"
            yield Problem(f"staff.{number}.currency", repr(people.currency), allowed)
    for name, contract in settings.contracts.items():
        found = sorted({a.currency for a in assets if a.contract == name} - {contract.currency})
        if found:
            allowed = f"must be {found[0]}, the currency of its assets"
            yield Problem(f"contracts.{name}.currency", repr(contract.currency), allowed)
        sites = sorted({a.site for a in assets if a.contract == name})
        if len(sites) > 1:
            allowed = "its assets must be of one site; make one contract a site"
            yield Problem(f"contracts.{name}", ", ".join(sites), allowed)


def prices_of(settings: Settings, base: Path, problems: list[Problem]) -> tuple[tuple[Price, ...], str]:
    """The prices of model APIs and their text, for the hash of the configuration."""
    listed = settings.prices if isinstance(settings.prices, tuple) else settings.prices.file
    prices, text = _rows(listed, base, Price, "prices", problems)
    known: dict[tuple[str, str], list[Price]] = {}
    for price in prices:
        rivals = known.setdefault((price.provider.strip().lower(), price.model.strip().lower()), [])
        for other in rivals:
            if price.overlaps(other) and (price.kind == other.kind or price.currency != other.currency):
                name = f"{price.provider} {price.model} {price.kind}"
                allowed = (
                    f"a model has one price a kind of token and day, all in one currency; this one ({price.currency}, from "
                    f"{price.valid_from}) and that of {other.kind} ({other.currency}, from {other.valid_from}) overlap: set valid_to"
                )
                problems.append(Problem("prices", name, allowed))
        rivals.append(price)
    return prices, text


def rates_of(settings: Settings, base: Path, problems: list[Problem]) -> tuple[tuple[Rate, ...], str]:
    """The exchange rates and their text, for the hash of the configuration."""
    rates, text = _rows(settings.rates, base, Rate, "rates", problems)
    seen = set()
    for rate in rates:
        if rate.currency == settings.currency:
            allowed = (
                f"is the organisation's currency, in which the others are given; its rate is 1 ({rate.date})"
            )
            problems.append(Problem("rates", repr(rate.currency), allowed))
        if (rate.date, rate.currency) in seen:
            problems.append(
                Problem("rates", f"{rate.currency} {rate.date}", "a currency may have one rate a day")
            )
        seen.add((rate.date, rate.currency))
    return rates, text


def revenue_of(settings: Settings, base: Path, problems: list[Problem]) -> tuple[tuple[Revenue, ...], str]:
    """The revenue of months and its text, for the hash of the configuration."""
    revenue, text = _rows(settings.revenue, base, Revenue, "revenue", problems)
    _unique(
        [" ".join((f"{r.month}", r.currency, *((fold(r.project),) if r.project else ()))) for r in revenue],
        "revenue",
        "a month may be there once a currency and project",
        problems,
    )
    return revenue, text


def training_runs_of(
    settings: Settings, base: Path, problems: list[Problem]
) -> tuple[tuple[TrainingRun, ...], str]:
    """The training runs and their text, for the hash of the configuration."""
    runs, text = _rows(settings.training_runs, base, TrainingRun, "training_runs", problems)
    _unique([r.run_id for r in runs], "training_runs", "run ids must be unique", problems)
    return runs, text


def _unique(keys: Sequence[Hashable], path: str, allowed: str, problems: list[Problem]) -> None:
    for key, times in Counter(keys).items():
        if times > 1:
            problems.append(Problem(path, f"{key} ({times} times)", allowed))


def with_spot_prices(raw: dict[str, Any], base: Path, problems: list[Problem]) -> dict[str, Any]:
    """The configuration with the files of market prices read that its tariffs name in `spot`."""
    sites = raw.get("sites")
    if not isinstance(sites, dict):
        return raw
    read = dict(sites)
    for name, site in sites.items():
        tariff = site.get("tariff") if isinstance(site, dict) else None
        if isinstance(tariff, dict) and isinstance(tariff.get("spot"), str):
            rows, _ = _rows(tariff["spot"], base, SpotPrice, f"sites.{name}.tariff.spot", problems)
            read[name] = site | {"tariff": tariff | {"spot": rows}}
    return raw | {"sites": read}


def _rows(
    listed: str | tuple[Row, ...], base: Path, model: type[Row], key: str, problems: list[Problem]
) -> tuple[tuple[Row, ...], str]:
    """Rows that are written in the configuration, or those of the CSV file that it names, and the file's text.

    What is wrong with the file goes to the problems, line by line.
    """
    if isinstance(listed, tuple):
        return listed, ""
    file = base / listed
    if not file.is_file():
        problems.append(Problem(key, str(file), "no such file; give a CSV file, or a list"))
        return (), ""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        problems.append(Problem(key, str(file), f"cannot be read as CSV in UTF-8: {error}"))
        return (), ""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    lines = (line for line in reader if any(value.strip() for value in line))  # spreadsheets write empty ones
    rows: list[Row] = []
    try:
        header = [name.strip() for name in next(lines, ())]
        twice = sorted({c for c in header if header.count(c) > 1})
        if twice:
            problems.append(Problem(f"{file.name} header", ", ".join(twice), "each column may be there once"))
            return (), ""
        wrong = _header_problems(file.name, header, model)
        if wrong:
            problems.extend(wrong)
            return (), ""
        for line in lines:
            where = f"{file.name} line {reader.line_num}"
            given, wrong = _values(header, line, where, model)
            problems.extend(wrong)
            if not wrong:
                try:
                    rows.append(model.model_validate(given))
                except ValidationError as error:
                    problems.extend(problems_of(error, model, where))
    except csv.Error as error:
        problems.append(Problem(f"{file.name} line {reader.line_num}", "", f"is not CSV ({error})"))
    return tuple(rows), text


def _values(
    header: Sequence[str], line: Sequence[str], where: str, model: type[BaseModel]
) -> tuple[dict[str, str], list[Problem]]:
    """The values of a line that has all its columns, empty ones left out; or what is wrong with it."""
    if len(line) != len(header):
        allowed = f"must have a value, or nothing between commas, for each of {len(header)} columns"
        return {}, [Problem(where, "", f"{allowed}; quote a value with a comma")]
    given = {name: text for name, value in zip(header, line, strict=True) if (text := value.strip())}
    # Python reads 1_0 as 10
    odd = [
        name
        for name, field in model.model_fields.items()
        if "_" in given.get(name, "") and re.search(r"Decimal|int|float", str(field.annotation))
    ]
    return given, [Problem(f"{where}.{n}", repr(given[n]), "must be a number without '_'") for n in odd]


def _header_problems(file: str, header: Sequence[str], model: type[BaseModel]) -> list[Problem]:
    """What is wrong with the names of columns, once for all lines; an empty file has none."""
    if not header:
        return []
    found = ", ".join(header)
    missing = [n for n, field in model.model_fields.items() if field.is_required() and n not in header]
    unknown = [n for n in header if n not in model.model_fields]
    texts = []
    if missing:
        texts.append(
            f"must have the columns {', '.join(missing)} too, in small letters and with commas between them"
        )
    if unknown:
        known = ", ".join(model.model_fields)
        texts.append(
            f"has unknown columns {', '.join(map(repr, unknown))}; remove them or correct their spelling ({known})"
        )
    return [Problem(f"{file} header", found, text) for text in texts]
