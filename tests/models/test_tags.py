"""Which tag names an owner."""

from __future__ import annotations

import polars as pl

from models.config import Ownership
from models.ownership import names
from models.tags import tag_values, with_tag_columns

KEYS = {"team": ("team", "owner"), "environment": ("env",)}


def test_first_key_with_a_value_wins_whatever_its_case() -> None:
    assert tag_values('{"Owner": "b", "TEAM": " "}', KEYS)["team"] == "b"
    assert tag_values('{"Owner": "b", "Team": "a"}', KEYS)["team"] == "a"


def test_of_keys_that_differ_in_case_the_configured_spelling_wins_in_any_order() -> None:
    for tags in ('{"team": "a", "Team": "b", "TEAM": "c"}', '{"TEAM": "c", "Team": "b", "team": "a"}'):
        assert tag_values(tags, {"team": ("Team",)})["team"] == "b"
        assert tag_values(tags, KEYS)["team"] == "a"
        assert tag_values(tags, {"team": ("tEAM",)})["team"] == "c"  # capitals come first
    assert tag_values('{"team": "", "Team": "b"}', KEYS)["team"] == "b"


def test_of_a_key_that_comes_twice_the_first_value_counts() -> None:
    assert tag_values('{"team": "a", "team": "b"}', KEYS)["team"] == "a"
    assert tag_values('{"team": {"x": "a"}, "owner": "b"}', KEYS)["team"] == "b"


def test_a_letter_with_its_mark_apart_is_the_same_letter() -> None:
    """Keys and names from macOS have `u` and two dots for `ü`."""
    apart, one = "M\u0075\u0308ller", "M\u00fcller"
    keys = {"team": [f"team-{one}"]}
    assert tag_values(f'{{"TEAM-{apart}": "{apart}"}}', keys)["team"] == apart
    frame = pl.DataFrame({"team": [apart, one]})
    assert (
        frame.select(names(Ownership())["team"].of(pl.col("team"))).to_series().to_list()
        == ["m\u00fcller"] * 2
    )


def test_no_tag_no_owner() -> None:
    assert tag_values(None, KEYS)["team"] is None
    assert tag_values('{"team": true}', KEYS)["team"] is None
    assert tag_values('{"cost-center": "x"}', KEYS) == dict.fromkeys(
        ("team", "project", "environment", "workload_type", "workload")
    )


def test_columns_keep_every_row() -> None:
    costs = pl.DataFrame({"tags": ['{"team":"a"}', None, '{"team":"a"}'], "n": [1, 2, 3]})
    found = with_tag_columns(costs, KEYS)
    assert found["n"].to_list() == [1, 2, 3]
    assert found["team_tag"].to_list() == ["a", None, "a"]


def test_tags_of_the_receiver_count_before_those_of_the_resource() -> None:
    costs = pl.DataFrame(
        {
            "tags": ['{"team":"node","env":"prod"}', '{"team":"node"}', None],
            "allocated_tags": ['{"owner":"pod"}', None, '{"env":"dev"}'],
        }
    )
    found = with_tag_columns(costs, KEYS)
    assert found.select("team_tag", "environment_tag").rows() == [
        ("pod", "prod"),
        ("node", None),
        (None, "dev"),
    ]


def test_numbers_are_taken_as_written_and_no_number_is_no_name() -> None:
    assert tag_values('{"team": 1.10}', KEYS)["team"] == "1.10"
    assert tag_values('{"team": 1e400}', KEYS)["team"] == "1e400"
    assert tag_values(f'{{"team": {"7" * 5000}}}', KEYS)["team"] == "7" * 5000
    assert tag_values('{"team": NaN, "owner": "a"}', KEYS)["team"] == "a"


def test_nested_too_deeply_names_no_owner() -> None:
    assert tag_values(f'{{"a": {"[" * 99999}{"]" * 99999}, "team": "x"}}', KEYS)["team"] is None
