"""Registers as people and spreadsheets save them: no line goes into another one, and empty ones say nothing."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from models.records import Revenue
from pipelines.problems import ConfigError
from pipelines.settings import load_config

HEADER = "month,amount,currency,project\n"


def revenue(folder: Path, text: str) -> tuple[Revenue, ...]:
    (folder / "bills").mkdir()
    (folder / "revenue.csv").write_bytes(text.encode())
    (folder / "tierwise.yaml").write_text(
        "sources: {b: {kind: focus, location: ./bills}}\nrevenue: revenue.csv\n"
    )
    return load_config(folder / "tierwise.yaml").revenue


@pytest.mark.parametrize(
    "text",
    [
        HEADER + '2026-09-01,100,USD,"vision\n2026-10-01,200,USD,ads\n',
        HEADER + '2026-09-01,100,USD,"vision\n2026-10-01,200,USD,"ads\n',
        HEADER + '2026-09-01,100,USD,"vision" ads\n2026-10-01,200,USD,ads\n',
        HEADER.replace("project", '"project') + "2026-09-01,100,USD,vision\n",
    ],
)
def test_a_quote_that_is_not_closed_takes_no_line(tmp_path: Path, text: str) -> None:
    """The first two gave one row, whose project had the 200 of the second within its name."""
    with pytest.raises(ConfigError, match=r"revenue\.csv line \d: is not CSV"):
        revenue(tmp_path, text)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_empty_lines_and_a_name_over_two_lines(tmp_path: Path, end: str) -> None:
    """100 + 200, whatever a spreadsheet writes before, between and below."""
    text = f'\ufeff\n{HEADER},,,\n2026-09-01,100,USD,"vision\nEMEA"\n\n  \n2026-10-01,200,USD,"ads, all"\n,,,\n , ,,\n'
    found = revenue(tmp_path, text.replace("\n", end))
    assert [(r.amount, r.project) for r in found] == [
        (Decimal(100), "vision\nEMEA"),
        (Decimal(200), "ads, all"),
    ]


def test_a_line_without_amount_is_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"revenue\.csv line 2\.amount: required, but absent"):
        revenue(tmp_path, HEADER + "2026-09-01,,USD,\n")
