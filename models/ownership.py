"""Who owns a charge or a measured hour: tags, aliases and defaults become one spelling of each owner.

One rule makes one name of all spellings (`Names`); everything that names an owner goes through it, so a team
has one spelling on every tier. Adding up what owners owe belongs to `models/chargeback.py`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from models.config import DIMENSIONS, Ownership

UNTAGGED = "untagged"
"""Owner of what no tag, account or namespace names."""

NOBODY: Mapping[str, str] = dict.fromkeys(DIMENSIONS, UNTAGGED) | {"workload_type": "other"}
"""Dimension -> its value where nothing names one."""


def fold(name: str) -> str:
    """The text by which two spellings of one name are equal: no outer blanks, lower case, letters with marks as one character."""
    return unicodedata.normalize("NFC", name).strip().lower()


@dataclass(frozen=True)
class Names:
    """How the names of one dimension are spelled.

    Attributes:
        spelling: Folded spelling -> name to use. A name that is not in it is used in its folded form, so that
            the spelling of a team does not depend on which other rows there are.
        aliases: Folded spellings that stand for another name.
    """

    spelling: Mapping[str, str]
    aliases: tuple[str, ...]

    def one(self, name: str) -> str:
        """The name to use for a spelling."""
        return self.spelling.get(fold(name), fold(name))

    def of(self, text: pl.Expr) -> pl.Expr:
        """The name to use for each text; NULL for NULL and blank texts."""
        key = _folded(text)
        return key.replace_strict(dict(self.spelling), default=key, return_dtype=pl.String)


def names(rules: Ownership) -> dict[str, Names]:
    """The spelling of every dimension's names: of what has no owner, then the first in aliases, then in other rules.

    An alias of an alias stands for the last name of the chain.

    Args:
        rules: The `ownership` settings.

    Returns:
        Dimension -> names.

    Raises:
        ValueError: Two aliases of one spelling disagree, aliases go in a circle, or two spellings of one account
            or namespace have different owners.
    """
    for kind, owners in (("accounts", rules.accounts), ("namespaces", rules.namespaces)):
        _refuse_two(kind, owners)
    return {dimension: _names(dimension, rules) for dimension in DIMENSIONS}


def _names(dimension: str, rules: Ownership) -> Names:
    targets: dict[str, str] = {}
    for found, name in rules.aliases.get(dimension, {}).items():  # type: ignore[call-overload]
        key, target = fold(found), name.strip()
        if fold(targets.get(key, target)) != fold(target):
            msg = (
                f"ownership.aliases.{dimension}: {found!r} stands for both {targets[key]!r} and {target!r} "
                "(case and outer blanks do not count); keep one of them"
            )
            raise ValueError(msg)
        targets.setdefault(key, target)
    lasts = {key: _last(dimension, key, targets) for key in targets}
    one: dict[str, str] = {}
    for name in (NOBODY[dimension], *lasts.values(), *_used(dimension, rules)):
        one.setdefault(fold(name), name.strip())
    spelling = one | {key: one[fold(name)] for key, name in lasts.items()}
    return Names(spelling, tuple(key for key, name in lasts.items() if fold(name) != key))


def _refuse_two(kind: str, owners: Mapping[str, Mapping[Any, str]]) -> None:
    seen: dict[str, str] = {}
    for key in owners:
        other = seen.setdefault(fold(key), key)
        if other != key:
            msg = f"ownership.{kind}: {other!r} and {key!r} are one (case and outer blanks do not count); keep one of them"
            raise ValueError(msg)


def _last(dimension: str, key: str, targets: Mapping[str, str]) -> str:
    seen = [key]
    while True:
        target = targets[seen[-1]]
        following = fold(target)
        if following == seen[-1] or following not in targets:
            return target
        if following in seen:
            circle = " -> ".join([*seen, following])
            msg = f"ownership.aliases.{dimension}: {circle} goes in a circle; remove one of them"
            raise ValueError(msg)
        seen.append(following)


def _used(dimension: str, rules: Ownership) -> Iterator[str]:
    """Names that the rules themselves give, in the order in which their spelling counts."""
    if dimension == "team":
        yield rules.platform_team
    for defaults in (rules.accounts, rules.namespaces):
        for by_dimension in defaults.values():
            if dimension in by_dimension:
                yield by_dimension[dimension]


def platform_team(rules: Ownership) -> str:
    """The team that carries what nobody held, as it is spelled everywhere."""
    return names(rules)["team"].one(rules.platform_team)


def assign(costs: pl.DataFrame, rules: Ownership) -> pl.DataFrame:
    """Names the owner of every charge.

    Per dimension: the tag's value, put through aliases; else the default of the account; else `untagged`
    (workload_type: `other`). Nobody's cost (cost_kind `unallocated`) goes to the platform team and takes the
    other dimensions from its own tags only, since an account's defaults describe its owner.

    Args:
        costs: Columns team_tag, project_tag, environment_tag, workload_type_tag, workload_tag (text, NULL or
            blank where there is none), sub_account, cost_kind; measured (true where the tags are what `label`
            found for owned hardware), without which no row is; others pass through.
        rules: The `ownership` settings.

    Returns:
        The rows in their order, with team, project, environment, workload_type, workload added (never NULL)
        and method, which says how the team was found: platform, telemetry, alias, tag, account, untagged.

    Raises:
        ValueError: The rules contradict themselves.
    """
    spelled = names(rules)
    nobodys = pl.col("cost_kind").eq_missing("unallocated")
    owners = []
    for dimension in DIMENSIONS:
        tag = spelled[dimension].of(pl.col(f"{dimension}_tag"))
        default = _default(dimension, "sub_account", rules.accounts, spelled[dimension])
        owner = pl.when(nobodys).then(tag).otherwise(pl.coalesce(tag, default))
        if dimension == "team":
            owner = pl.when(nobodys).then(pl.lit(platform_team(rules))).otherwise(owner)
        owners.append(owner.fill_null(NOBODY[dimension]).alias(dimension))
    team = _folded(pl.col("team_tag"))
    account = _default("team", "sub_account", rules.accounts, spelled["team"])
    measured = (
        pl.col("measured").fill_null(value=False) if "measured" in costs.columns else pl.lit(value=False)
    )
    method = (
        pl.when(nobodys)
        .then(pl.lit("platform"))
        .when(measured & team.is_not_null())
        .then(pl.lit("telemetry"))
        .when(team.is_in(list(spelled["team"].aliases)))
        .then(pl.lit("alias"))
        .when(team.is_not_null())
        .then(pl.lit("tag"))
        .when(account.is_not_null())
        .then(pl.lit("account"))
        .otherwise(pl.lit(UNTAGGED))
    )
    return costs.with_columns(*owners, method.alias("method"))


def label(telemetry: pl.DataFrame, rules: Ownership) -> pl.DataFrame:
    """Names the owner of measured rows where a label, their namespace or their site says.

    Args:
        telemetry: Any of the columns team, project, environment, workload_type, workload; namespace and site
            if there are any; allocated (of `telemetry.gpu_hourly`), without which every row counts as held.
        rules: The `ownership` settings.

    Returns:
        The rows in their order. Labels are put through aliases; rows that are held get the namespace's
        defaults, then the site's (`accounts`), where they have no label. NULL where nothing says.

    Raises:
        ValueError: The rules contradict themselves.
    """
    spelled = names(rules)
    held = (
        pl.col("allocated").fill_null(value=False) if "allocated" in telemetry.columns else pl.lit(value=True)
    )
    owners = []
    for dimension in DIMENSIONS:
        if dimension not in telemetry.columns:
            continue
        defaults = [
            _default(dimension, column, where, spelled[dimension])
            for column, where in (("namespace", rules.namespaces), ("site", rules.accounts))
            if column in telemetry.columns
        ]
        found = spelled[dimension].of(pl.col(dimension))
        owners.append(pl.when(held).then(pl.coalesce(found, *defaults)).otherwise(found).alias(dimension))
    return telemetry.with_columns(owners)


def _folded(text: pl.Expr) -> pl.Expr:
    value = text.cast(pl.String).str.normalize("NFC").str.strip_chars().str.to_lowercase()
    return pl.when(value != "").then(value)


def _default(dimension: str, column: str, where: Mapping[str, Mapping[Any, str]], spelled: Names) -> pl.Expr:
    given = {fold(key): spelled.one(names[dimension]) for key, names in where.items() if dimension in names}
    return _folded(pl.col(column)).replace_strict(given, default=None, return_dtype=pl.String)
