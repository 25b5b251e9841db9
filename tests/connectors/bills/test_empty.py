"""Files without a charge: which say so, and which may have lost theirs."""

from __future__ import annotations

import gzip
import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.base import SourceError
from tests.connectors.bills.helpers import focus, load
from tests.connectors.gcp.rows import row as gcp

SEPTEMBER = date(2026, 9, 1)


def test_an_empty_list_says_that_there_are_no_charges_and_an_empty_file_says_nothing(tmp_path: Path) -> None:
    """10 USD, beside an answer without records and a shard of BigQuery without rows."""
    bills = tmp_path / "bills"
    bills.mkdir()
    (bills / "a.json").write_text(json.dumps(gcp(cost=10.0)))
    (bills / "b.json").write_text("[ ]")
    (bills / "c.json.gz").write_bytes(gzip.compress(b""))
    loaded = load("gcp_billing_export", bills, tmp_path)[SEPTEMBER]
    assert loaded.totals == {"USD": Decimal(10)}
    assert "files with no rows: b.json, c.json.gz" in loaded.note
    (bills / "d.json").write_bytes(b"")
    with pytest.raises(SourceError, match=r"d\.json is empty \(0 bytes\)"):
        load("gcp_billing_export", bills, tmp_path)


def test_an_empty_list_of_focus_is_a_file_with_no_rows_as_a_header_alone_is(tmp_path: Path) -> None:
    bills = tmp_path / "bills"
    bills.mkdir()
    (bills / "a.json").write_text("[]")
    (bills / "b.json.gz").write_bytes(gzip.compress(b""))
    assert load("focus", bills, tmp_path) == {}
    (bills / "c.json").write_text(json.dumps([focus()]))
    loaded = load("focus", bills, tmp_path)[SEPTEMBER]
    assert (loaded.totals, loaded.note) == (
        {"USD": Decimal("1.5")},
        "files with no rows: a.json, b.json.gz",
    )


ANSWERS = [
    '{"data": [], "has_more": false}',
    '{"data": [],\n "next_page": null, "links": {"next": ""}}',
    '{"value": [], "errors": [], "error": null}',
]


@pytest.mark.parametrize("kind", ["focus", "gcp_billing_export"])
def test_an_empty_answer_holds_no_charge_unless_another_page_follows(kind: str, tmp_path: Path) -> None:
    bills = tmp_path / "bills"
    bills.mkdir()
    for n, answer in enumerate(ANSWERS):
        (bills / f"{n}.json").write_text(answer)
    (bills / "3.json.gz").write_bytes(gzip.compress(ANSWERS[0].encode()))
    assert load(kind, bills, tmp_path) == {}
    row = focus() if kind == "focus" else gcp(cost=1.5)
    (bills / "a.json").write_text(json.dumps([row]))
    loaded = load(kind, bills, tmp_path)[SEPTEMBER]
    assert loaded.totals == {"USD": Decimal("1.5")}
    assert "files with no rows: 0.json, 1.json, 2.json, 3.json.gz" in loaded.note
    (bills / "b.json").write_text('{"data": [], "has_more": true}')
    with pytest.raises(
        SourceError, match=r"b\.json is an answer without a record that says that another page follows"
    ):
        load(kind, bills, tmp_path)


@pytest.mark.parametrize("kind", ["focus", "gcp_billing_export"])
@pytest.mark.parametrize(
    "error", ['"error": {"code": 429}', '"errors": [{"message": "no"}]', '"Error": "no"']
)
def test_an_answer_that_tells_of_an_error_does_not_say_that_there_are_no_charges(
    kind: str, error: str, tmp_path: Path
) -> None:
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "a.json").write_text(f'{{"data": [], {error}}}')
    with pytest.raises(
        SourceError, match=r"a\.json is an answer without a record that says that there was an error"
    ):
        load(kind, tmp_path / "bills", tmp_path)


def test_a_charge_without_its_columns_is_no_empty_answer(tmp_path: Path) -> None:
    """Its credits are an empty list, too; and what is named as there is there."""
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "a.json").write_text('{"cost": 7, "currency": "USD", "credits": []}')
    with pytest.raises(SourceError, match=r"'invoice.month' is missing; it has: cost, currency\. If"):
        load("gcp_billing_export", tmp_path / "bills", tmp_path)
