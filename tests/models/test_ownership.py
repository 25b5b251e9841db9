from __future__ import annotations

import polars as pl
import pytest

from models.config import Ownership
from models.ownership import assign, label, platform_team

RULES = Ownership(
    aliases={"team": {"Vison": "Vision", " cv ": "Vison", "nlp": "Language"}, "environment": {"prd": "prod"}},
    accounts={"0042": {"team": "language", "environment": "PRD"}, "dc1": {"team": "Vision"}},
    namespaces={"train": {"team": "research", "workload_type": "training"}},
    platform_team="Platform",
)


def costs(*rows: dict[str, str | None]) -> pl.DataFrame:
    blank = {f"{d}_tag": None for d in ("team", "project", "environment", "workload_type", "workload")} | {
        "sub_account": None,
        "cost_kind": "direct",
    }
    return pl.DataFrame([blank | row for row in rows], schema=dict.fromkeys(blank, pl.String))


@pytest.mark.parametrize(
    ("row", "team", "method"),
    [
        ({"team_tag": "vision"}, "Vision", "tag"),  # the spelling of the configuration
        ({"team_tag": "  VISON "}, "Vision", "alias"),
        ({"team_tag": "CV"}, "Vision", "alias"),  # an alias of an alias
        ({"team_tag": "Search "}, "search", "tag"),  # a name the configuration does not know: folded
        ({"team_tag": "SEARCH"}, "search", "tag"),
        ({"team_tag": "platform"}, "Platform", "tag"),
        ({"sub_account": "0042"}, "Language", "account"),  # the alias' target gives the spelling
        ({"team_tag": " ", "sub_account": "0042"}, "Language", "account"),
        ({"team_tag": "search", "sub_account": "0042"}, "search", "tag"),
        ({"sub_account": "42"}, "untagged", "untagged"),  # account ids are text: leading zeros count
        ({}, "untagged", "untagged"),
        ({"cost_kind": "unallocated", "team_tag": "vision", "sub_account": "0042"}, "Platform", "platform"),
        ({"cost_kind": "idle", "team_tag": "vision"}, "Vision", "tag"),
        ({"cost_kind": None}, "untagged", "untagged"),
    ],
)
def test_team_and_method(row: dict[str, str | None], team: str, method: str) -> None:
    got = assign(costs(row), RULES).row(0, named=True)
    assert (got["team"], got["method"]) == (team, method)


@pytest.mark.parametrize(
    ("row", "team", "method"),
    [
        ({"team_tag": "Vision", "sub_account": "dc1"}, "Vision", "telemetry"),
        ({"team_tag": "cv"}, "Vision", "telemetry"),
        ({"sub_account": "dc1"}, "Vision", "account"),
        ({}, "untagged", "untagged"),
        ({"cost_kind": "unallocated", "team_tag": "vision"}, "Platform", "platform"),
    ],
)
def test_owners_of_owned_hardware_come_from_telemetry(
    row: dict[str, str | None], team: str, method: str
) -> None:
    measured = assign(costs(row).with_columns(measured=pl.lit(value=True)), RULES).row(0, named=True)
    assert (measured["team"], measured["method"]) == (team, method)
    billed = assign(costs(row).with_columns(measured=pl.lit(value=False)), RULES)
    assert billed.drop("measured").equals(assign(costs(row), RULES))


def test_every_dimension_has_its_own_answer() -> None:
    got = assign(costs({"team_tag": "vision", "workload_tag": "OCR", "sub_account": "0042"}), RULES)
    assert got.select("team", "project", "environment", "workload_type", "workload").row(0) == (
        "Vision",
        "untagged",
        "prod",
        "other",
        "ocr",
    )


def test_nobodys_cost_does_not_take_the_account_defaults() -> None:
    got = assign(costs({"cost_kind": "unallocated", "sub_account": "0042"}), RULES)
    assert got["environment"].to_list() == ["untagged"]


def test_other_columns_and_order_stay() -> None:
    given = costs({"team_tag": "b"}, {"team_tag": "a"}).with_columns(amount=pl.Series([1, 2]))
    got = assign(given, RULES)
    assert got.select(given.columns).equals(given)


def test_label_uses_label_then_namespace_then_site_for_held_rows_only() -> None:
    telemetry = pl.DataFrame(
        {
            "team": ["vison", None, None, None, None, ""],
            "workload_type": [None, None, None, None, None, None],
            "namespace": ["train", "Train", "web", "train", "train", None],
            "site": ["dc1", "dc1", "dc1", "dc1", "dc1", "dc2"],
            "allocated": [True, True, True, False, None, True],
        },
        schema_overrides={"workload_type": pl.String},
    )
    got = label(telemetry, RULES)
    assert got["team"].to_list() == ["Vision", "research", "Vision", None, None, None]
    assert got["workload_type"].to_list() == ["training", "training", None, None, None, None]
    assert got.columns == telemetry.columns


def test_rows_without_allocated_count_as_held() -> None:
    edge = pl.DataFrame({"team": [None, "NLP"], "site": ["dc1", "dc1"]}, schema_overrides={"team": pl.String})
    assert label(edge, RULES)["team"].to_list() == ["Vision", "Language"]


def test_label_then_assign_changes_nothing_more() -> None:
    labelled = label(pl.DataFrame({"team": ["cv", "Vison", "nlp", "other team"]}), RULES)["team"]
    again = assign(costs(*({"team_tag": team} for team in labelled)), RULES)["team"]
    assert again.to_list() == labelled.to_list() == ["Vision", "Vision", "Language", "other team"]


def test_platform_team_is_spelled_as_the_aliases_say() -> None:
    assert (
        platform_team(Ownership(platform_team="infra", aliases={"team": {"Infra": "Platform"}})) == "Platform"
    )


@pytest.mark.parametrize(
    ("aliases", "message"),
    [
        ({"ML": "a", "ml ": "b"}, "'ml ' stands for both 'a' and 'b'"),
        ({"a": "b", "b": "a"}, "a -> b -> a goes in a circle"),
    ],
)
def test_contradictory_aliases_are_refused(aliases: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        assign(costs({}), Ownership(aliases={"team": aliases}))


def test_two_aliases_of_one_team_and_the_account_spell_it_once() -> None:
    rules = Ownership(
        aliases={"team": {"viz": "Vision", "cv": "VISION", "n/a": "Untagged"}},
        accounts={"7": {"team": "vision"}, "8": {"team": "UNTAGGED"}},
    )
    rows = costs(
        *({"team_tag": tag} for tag in ("viz", "cv", "ViSion", "n/a")),
        {"sub_account": "7"},
        {"sub_account": "8"},
        {},
    )
    teams = ["Vision"] * 3 + ["untagged", "Vision", "untagged", "untagged"]
    assert assign(rows, rules)["team"].to_list() == teams


@pytest.mark.parametrize("kind", ["accounts", "namespaces"])
def test_two_spellings_of_one_account_or_namespace_are_refused(kind: str) -> None:
    rules = Ownership.model_validate({kind: {"ABC-1": {"team": "a"}, "abc-1 ": {"team": "b"}}})
    with pytest.raises(ValueError, match=rf"ownership.{kind}: 'ABC-1' and 'abc-1 ' are one"):
        assign(costs({}), rules)


@pytest.mark.parametrize(
    "rules",
    [
        {"aliases": {"team": {"x": ""}}},
        {"accounts": {"7": {"project": " "}}},
        {"namespaces": {"ml": {"team": ""}}},
        {"platform_team": " "},
    ],
)
def test_a_blank_owner_is_refused(rules: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must name an owner"):
        Ownership.model_validate(rules)


def test_no_rules_and_no_rows() -> None:
    assert assign(costs(), Ownership()).height == 0
    assert assign(costs({"team_tag": "X"}), Ownership())["team"].to_list() == ["x"]
