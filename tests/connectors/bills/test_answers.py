"""JSON of several saved answers in one file: a list of pages, or one after another. No page is left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.base import Loaded, SourceError
from tests.connectors.bills.helpers import csv_bytes, focus, load
from tests.connectors.gcp.rows import row as gcp

SEPTEMBER = date(2026, 9, 1)

FORMS: dict[str, Callable[[list[Any]], str]] = {
    "a list": json.dumps,
    "a list of several lines": lambda pages: json.dumps(pages, indent=1),
    "a line each": lambda pages: "\n".join(map(json.dumps, pages)) + "\n",
    "one after another": lambda pages: ",\n".join(json.dumps(page, indent=1) for page in pages),
}


def paged(*costs: str, **beside: Any) -> dict[str, Any]:
    """A page with charges of these costs."""
    return {"data": [focus(BilledCost=cost) for cost in costs], **beside}


def beside_a_csv(tmp_path: Path, text: str, kind: str = "focus") -> Loaded:
    """September of a source with this file and, of FOCUS, a CSV with 1.5 dollars."""
    (tmp_path / "bills").mkdir()
    if kind == "focus":
        (tmp_path / "bills" / "a.csv").write_bytes(csv_bytes([focus()]))
    (tmp_path / "bills" / "b.json").write_text(text)
    return load(kind, tmp_path / "bills", tmp_path)[SEPTEMBER]


@pytest.mark.parametrize("form", FORMS)
def test_every_page_of_a_file_counts(form: str, tmp_path: Path) -> None:
    """1.5 of the CSV, and 10 + 20.25, 4 and 0.125 of three pages with an empty one between: 35.875 of 5 rows."""
    pages = [paged("10", "20.25", has_more=True), {"data": [], "has_more": True}, paged("4"), paged("0.125")]
    loaded = beside_a_csv(tmp_path, FORMS[form](pages))
    assert (loaded.totals, loaded.rows_read, loaded.note) == ({"USD": Decimal("35.875")}, 5, "")
    assert loaded.issues.is_empty()


@pytest.mark.parametrize("form", FORMS)
def test_so_does_every_page_of_google(form: str, tmp_path: Path) -> None:
    pages = [{"rows": [gcp(cost=cost)]} for cost in (7.5, 0.25)]
    assert beside_a_csv(tmp_path, FORMS[form](pages), "gcp_billing_export").totals == {"USD": Decimal("7.75")}


def test_the_last_page_says_whether_another_one_follows(tmp_path: Path) -> None:
    pages = [paged("1", next="p2", count=1), paged("2", next="p3", count=1)]
    issues = beside_a_csv(tmp_path, json.dumps(pages)).issues
    assert issues.select("rule", "value").rows() == [
        ("footer", "count: 1"),
        ("page_missing", "next: (another page follows)"),
    ]


REFUSED = [
    ([paged("1"), paged("1")], "answer 2 in it has the records of an earlier one"),
    ([paged("1"), {"message": "busy"}], "value 2 in it is no answer with a list of records"),
    ([{"message": "busy"}, paged("1")], "value 1 in it is no answer with a list of records"),
    ([paged("1"), {"data": [], "error": "busy"}, paged("2")], "says that there was an error"),
    ([paged("1"), {"data": [], "has_more": True}], "says that another page follows"),
]


@pytest.mark.parametrize("form", ["a list", "a line each"])
@pytest.mark.parametrize(("pages", "words"), REFUSED)
def test_what_may_lose_a_page_or_count_it_twice_is_refused(
    pages: list[Any], words: str, form: str, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match=rf"b\.json.* {words}"):
        beside_a_csv(tmp_path, FORMS[form](pages))


@pytest.mark.parametrize("form", ["a list", "a line each"])
def test_pages_that_are_cut_are_refused(form: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"b\.json is not JSON lines"):
        beside_a_csv(tmp_path, FORMS[form]([paged("1"), paged("2")])[:-9])


def test_pages_too_large_to_be_read_at_once_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.bills.texts.MOST_UNPACKED", 1 << 10)
    with pytest.raises(SourceError, match=r"b\.json has more than .* save each page of the API in a file"):
        beside_a_csv(tmp_path, FORMS["a line each"]([paged("1"), paged("2")]))
