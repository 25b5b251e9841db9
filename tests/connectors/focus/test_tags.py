"""Tags of FOCUS files that are no flat JSON object: arrays of keys and values, lists, maps and records of Parquet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.connectors.bills.helpers import counted, facts, focus, load, write


def read(tmp: Path) -> tuple[list[Any], dict[tuple[str, str, str], int]]:
    """Tags of the one month there is, and what was found."""
    (loaded,) = load("focus", tmp / "bills", tmp).values()
    assert loaded.rows_read == loaded.rows_loaded
    found = facts(loaded)["Tags"].to_list()
    return [tags and json.loads(tags) for tags in found], counted(loaded)


# (written, read)
TEXTS: list[tuple[str, dict[str, Any] | None]] = [
    ('[{"key":"team","value":"a"}]', {"team": "a"}),
    (' [ {"Key": "team", "Value": "a"}, {"Key": "env", "Value": "p"} ]', {"team": "a", "env": "p"}),
    ('[{"name":"team","value":"a"}]', {"team": "a"}),
    ('[{"Name":"team","Value":"a"}]', {"team": "a"}),
    ('[{"tagKey":"team","tagValue":"a"}]', {"team": "a"}),
    # the key counts, a name beside it is not one; of a key that comes twice the first value counts
    ('[{"key":"team","name":"x","value":"a"},{"key":"team","value":"b"}]', {"team": "a"}),
    ('[{"key":"gpu"},{"key":"spot","value":null}]', {"gpu": True, "spot": True}),
    ('[{"key":"n","value":3},{"key":"a,\\"b","value":"null"}]', {"n": 3, 'a,"b': "null"}),
    ("[]", None),
    ('{"team":"a"}', {"team": "a"}),
]

# a pair without a key is left out, the others count
PARTLY: list[tuple[str, dict[str, Any]]] = [
    ('[{"key":"team","value":"a"},{"x":1}]', {"team": "a"}),
    ('[{"value":"b"},{"Key":"team","Value":"a"},null,"c"]', {"team": "a"}),
    ('[{"key":null,"value":"b"},{"key":"gpu"}]', {"gpu": True}),
    ('[{"key":"","value":"b"},{"key":"team","value":"a"}]', {"team": "a"}),
]

MALFORMED = ['["team"]', '[{"name":"team"}]', '[{"key":1,"value":2}]',
             '[null]', '[{"key":"team"', '[{"team":"a"}]']  # fmt: skip


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_arrays_of_keys_and_values_in_text(name: str, tmp_path: Path) -> None:
    rows = [focus(Tags=text) for text in [*(t for t, _ in TEXTS + PARTLY), *MALFORMED]]
    path = tmp_path / "bills" / name
    if name.endswith(".csv"):
        write(path, rows)
    else:
        path.parent.mkdir()
        pl.DataFrame(rows).write_parquet(path)
    tags, issues = read(tmp_path)
    assert tags == [*(found for _, found in TEXTS + PARTLY), *([None] * len(MALFORMED))]
    assert issues == {
        ("repaired", "malformed_tags", "Tags"): len(PARTLY) + len(MALFORMED),
        ("repaired", "repeated_tag_key", "Tags"): 1,
    }


def test_lists_maps_and_records_of_parquet(tmp_path: Path) -> None:
    """A field of a record that is null is a tag that the row does not have."""
    forms: dict[str, tuple[pa.DataType, Any, Any]] = {
        "list": (
            pa.list_(pa.struct({"Key": pa.string(), "Value": pa.string()})),
            [{"Key": "team", "Value": "a"}],
            {"team": "a"},
        ),
        "names": (
            pa.list_(pa.struct({"value": pa.string(), "name": pa.string()})),
            [{"name": "team", "value": "a"}],
            {"team": "a"},
        ),
        "map": (pa.map_(pa.string(), pa.string()), [("team", "a"), ("env", "p")], {"team": "a", "env": "p"}),
        "record": (
            pa.struct({"team": pa.string(), "env": pa.string()}),
            {"team": "a", "env": None},
            {"team": "a"},
        ),
        "empty": (pa.struct({"team": pa.string()}), {"team": None}, None),
    }
    (tmp_path / "bills").mkdir()
    for name, (type_, value, _) in forms.items():
        table = pa.table({**{k: [v] for k, v in focus().items()}, "Tags": pa.array([value], type_)})
        pq.write_table(table, tmp_path / "bills" / f"{name}.parquet")
    tags, issues = read(tmp_path)
    assert sorted(tags, key=str) == sorted((expected for _, _, expected in forms.values()), key=str)
    assert not [rule for _, rule, _ in issues if rule.startswith("malformed")]


def test_a_pair_without_key_of_a_list_is_counted_and_the_others_kept(tmp_path: Path) -> None:
    (tmp_path / "bills").mkdir()
    tags = [{"key": "team", "value": "a"}, {"key": None, "value": "b"}]
    pl.DataFrame([focus() | {"Tags": tags}]).write_parquet(tmp_path / "bills" / "a.parquet")
    assert read(tmp_path) == ([{"team": "a"}], {("repaired", "malformed_tags", "Tags"): 1})


def test_of_allocated_tags_the_pairs_with_a_key_count(tmp_path: Path) -> None:
    allocated = '[{"key":"team","value":"b"},{"value":"x"}]'
    write(tmp_path / "bills" / "a.csv", [focus(AllocatedTags=allocated, AllocatedMethodId="m")])
    (loaded,) = load("focus", tmp_path / "bills", tmp_path).values()
    assert facts(loaded)["AllocatedTags"].to_list() == ['{"team":"b"}']
    assert counted(loaded)["repaired", "malformed_json", "AllocatedTags"] == 1
