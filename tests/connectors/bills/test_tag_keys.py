"""Two tags of one charge whose keys are one to whoever looks for an owner: counted, whichever of them counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.connectors.aws.exports import parquet, row
from tests.connectors.bills.helpers import counted, csv_bytes, facts, focus, load, write
from tests.connectors.test_bad_bills import KINDS

FLAGGED, REPAIRED = (("flagged", "repeated_tag_key", "Tags"), ("repaired", "repeated_tag_key", "Tags"))

# kind, native columns, how it is counted, and what team is then
CASES: list[tuple[str, dict[str, str], tuple[str, str, str], str]] = [
    ("focus", {"Tags": '{"team":"a","team":"b"}'}, REPAIRED, "a"),
    ("focus", {"Tags": '{"team":"a","x":"[1,]","team":"b"}'}, REPAIRED, "a"),
    ("azure_export", {"Tags": '"team":"a","x":"1","team":"b"'}, REPAIRED, "a"),
    ("focus", {"Tags": '{"team":"a"," Team":"b"}'}, FLAGGED, "a"),
    ("focus", {"Tags": '[{"key":"team","value":"a"},{"key":"team","value":"b"}]'}, REPAIRED, "a"),
    ("aws_cur", {"resourceTags/user:Team": "b"}, FLAGGED, "vision"),
    ("aws_cur2", {"resource_tags": '{"user_team":"a","user:Team":"b"}'}, FLAGGED, "a"),
    ("aws_cur2", {"resource_tags": '{"user_team":"a","user_x":"","user_team":"b"}'}, REPAIRED, "a"),
    (
        "gcp_billing_export",
        {"labels": json.dumps([{"key": "team", "value": v} for v in "ab"])},
        REPAIRED,
        "a",
    ),
    ("azure_export", {"Tags": '"team":"a","TEAM":"b"'}, FLAGGED, "a"),
    ("oci_cost_report", {"tags/Team": "b"}, FLAGGED, "vision"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_keys_that_are_one_are_counted(case: tuple[str, dict[str, str], Any, str], tmp_path: Path) -> None:
    name, change, note, team = case
    (tmp_path / "b").mkdir()
    rows = [dict(KINDS[name].row) | change, dict(KINDS[name].row), dict(KINDS[name].row) | change]
    (tmp_path / "b" / "a.csv").write_bytes(csv_bytes(rows))
    (loaded,) = load(name, tmp_path / "b", tmp_path).values()
    assert counted(loaded)[note] == 2
    assert json.loads(facts(loaded)["Tags"][0])["team"] == team


def test_keys_of_a_map_that_become_one_are_counted(tmp_path: Path) -> None:
    parquet(tmp_path / "b" / "a.parquet", [row(resource_tags={"user_team": "a", "team": "b"})])
    (loaded,) = load("aws_cur2", tmp_path / "b", tmp_path).values()
    assert counted(loaded)[FLAGGED] == 1


def test_a_key_that_is_written_twice_is_in_the_ledger_once(tmp_path: Path) -> None:
    """The first value counts, whatever the values are; what has no key twice stays as it is written."""
    twice = '{"a": "1", "b": {"c": [1, "d"]}, "a": "2", "é\\"": null, "b": true, "a": "3"}'
    plain = '{"a" : "1",  "A": "2"}'
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a.csv").write_bytes(
        csv_bytes([focus(Tags=t, BilledCost=c) for t, c in ((twice, "1"), (plain, "2"))])
    )
    (loaded,) = load("focus", tmp_path / "b", tmp_path).values()
    tags = facts(loaded).sort("BilledCost")["Tags"].to_list()
    assert tags == ['{"a":"1","b":{"c":[1,"d"]},"é\\"":null}', plain]
    assert counted(loaded)[REPAIRED] == 1


def test_a_key_twice_beside_a_raw_line_break_is_there_once(tmp_path: Path) -> None:
    """Also in an array of keys and values; JSON on several lines is JSON."""
    texts = [
        '{"team": "a\nb", "team": "c"}',
        '[{"key": "team", "value": "a\nb"}]',
        '{\n "team": "x"\n}',
        "a\nb",
    ]
    write(tmp_path / "bills" / "a.csv", [focus(Tags=text) for text in texts])
    (loaded,) = load("focus", tmp_path / "bills", tmp_path).values()
    assert [t and json.loads(t) for t in facts(loaded)["Tags"]] == [
        {"team": "a\nb"},
        {"team": "a\nb"},
        {"team": "x"},
        None,
    ]
    assert {k: n for k, n in counted(loaded).items() if k[2] == "Tags"} == {
        ("repaired", "spelling", "Tags"): 2, ("repaired", "repeated_tag_key", "Tags"): 1, ("repaired", "malformed_tags", "Tags"): 1,
    }  # fmt: skip
