"""Deliveries of CUR 2.0: the current one counts, others do not, and what is not ready or of two exports is refused."""

from __future__ import annotations

import json
import shutil
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.base import SourceError, require_ready
from tests.connectors.aws.exports import export, parquet, row
from tests.connectors.bills.helpers import WINDOW, facts, load, reader

pytestmark = pytest.mark.long

SEPTEMBER = date(2026, 9, 1)
FILE = "gpu-00001.snappy.parquet"


def test_create_new_delivery_counts_the_current_execution_only(tmp_path: Path) -> None:
    root = tmp_path / "bucket"
    export(root, {FILE: [row()]}, execution="20260902T000000Z-e1")
    export(root, {FILE: [row(), row()]}, execution="20260903T000000Z-e2")
    (item,) = reader("aws_cur2", root, tmp_path).slices(WINDOW)
    assert [o.key.split("/")[-2] for o in item.objects] == ["20260903T000000Z-e2"]
    (root / "cur2/gpu/metadata/BILLING_PERIOD=2026-09/gpu-Manifest.json").unlink()
    assert reader("aws_cur2", root, tmp_path).slices(WINDOW) == [
        item.__class__(**{**item.__dict__, "detail": {"manifests": "cur2/gpu/metadata/BILLING_PERIOD=2026-09/20260903T000000Z-e2/gpu-Manifest.json"}})
    ]  # fmt: skip


def test_overwritten_delivery_leaves_out_what_the_manifest_does_not_name(tmp_path: Path) -> None:
    root = tmp_path / "bucket"
    export(root, {FILE: [row()], "gpu-00002.snappy.parquet": [row()]})
    export(root, {FILE: [row(line_item_unblended_cost=3.0)]})  # smaller now; the second file is left over
    assert load("aws_cur2", root, tmp_path)[SEPTEMBER].totals == {"USD": Decimal(3)}


def test_two_exports_of_one_account_and_month_would_count_twice(tmp_path: Path) -> None:
    export(tmp_path / "bucket", {FILE: [row()]}, name="one")
    export(tmp_path / "bucket", {FILE: [row()]}, name="two")
    with pytest.raises(SourceError, match=r"count twice; set `export` to one of 'one' and 'two'"):
        reader("aws_cur2", tmp_path / "bucket", tmp_path).slices(WINDOW)
    assert load("aws_cur2", tmp_path / "bucket", tmp_path, export="two")[SEPTEMBER].rows_read == 1


def test_not_ready_and_damaged_manifests(tmp_path: Path) -> None:
    root = tmp_path / "bucket"
    export(root, {FILE: [row()]})
    path = root / "cur2/gpu/metadata/BILLING_PERIOD=2026-09/gpu-Manifest.json"
    whole = json.loads(path.read_text())
    other = [f.replace("2026-09", "2026-08") for f in whole["dataFiles"]]
    cases = {
        "is damaged": "{",
        "no list `dataFiles`": json.dumps({"reportKeys": []}),
        "names no file": json.dumps(whole | {"dataFiles": []}),
        "not ready.*gpu-9": json.dumps(whole | {"dataFiles": [*whole["dataFiles"], "s3://b/cur2/gpu/data/BILLING_PERIOD=2026-09/gpu-9.parquet"]}),
        "of another month": json.dumps(whole | {"dataFiles": other}),
        "a file twice": json.dumps(whole | {"dataFiles": whole["dataFiles"] * 2}),
        "holds no export of this kind": json.dumps(whole | {"columns": [{"name": "BilledCost"}]}),
    }  # fmt: skip
    for words, content in cases.items():
        path.write_text(content)
        with pytest.raises(SourceError, match=words):
            require_ready(reader("aws_cur2", root, tmp_path).slices(WINDOW))


def test_files_without_manifest_count_unless_they_are_of_two_executions(tmp_path: Path) -> None:
    data = tmp_path / "bucket" / "data" / "BILLING_PERIOD=2026-09"
    parquet(data / "20260902T000000Z-e1" / "a.parquet", [row()])
    assert load("aws_cur2", tmp_path / "bucket", tmp_path)[SEPTEMBER].totals == {"USD": Decimal(10)}
    parquet(data / "20260903T000000Z-e2" / "a.parquet", [row(), row()])
    with pytest.raises(SourceError, match="different runs of one export"):
        load("aws_cur2", tmp_path / "bucket", tmp_path)


STATES = [[row(line_item_unblended_cost=float(n))] * n for n in (1, 2, 3)]


@pytest.mark.long
@settings(
    max_examples=settings.default.max_examples // 4,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=4), st.booleans())
def test_any_sequence_of_deliveries_ends_as_if_only_the_last_had_come(
    tmp_path: Path, order: list[int], new_folders: bool
) -> None:
    shutil.rmtree(tmp_path / "bucket", ignore_errors=True)
    for turn, state in enumerate(order):
        execution = f"2026090{turn + 1}T000000Z-e" if new_folders else ""
        export(tmp_path / "bucket", {FILE: STATES[state]}, execution=execution)
    loaded = load("aws_cur2", tmp_path / "bucket", tmp_path)[SEPTEMBER]
    n = order[-1] + 1
    assert facts(loaded)["BilledCost"].to_list() == [Decimal(n)] * n
    assert loaded.totals == {"USD": Decimal(n * n)}
