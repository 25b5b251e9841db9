"""Registers as people and spreadsheets save them: no line goes into another one, and empty ones say nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from models.records import Revenue, TrainingRun
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


@pytest.mark.parametrize(
    "text",
    ["0", "-1", "1790812800", "1790812800000", "1790812800.0", "20261001", "46296", "2026-10-1", "01.10.2026", "2026/10/01",
     "2026-10-01T00:00:00Z", "2026-10-01 00:00:00+02:00", "2026-10-01_00:00", "2026-10-01 00:00:01", "2026-02-30"],
)  # fmt: skip
def test_a_day_is_an_iso_date(tmp_path: Path, text: str) -> None:
    """0 was 1970-01-01, and 1790812800 2026-10-01; midnight at +02:00 is the day before in UTC."""
    with pytest.raises(
        ConfigError, match=r"revenue\.csv line 2\.month: must be a day that exists, written as"
    ):
        revenue(tmp_path, f"{HEADER}{text},100,USD,\n")


@pytest.mark.parametrize("text", ["2026-10-01", "2026-10-01 00:00:00", "2026-10-01T00:00:00.000"])
def test_a_day_at_midnight_is_that_day(tmp_path: Path, text: str) -> None:
    assert revenue(tmp_path, f"{HEADER}{text},100,USD,\n")[0].month == date(2026, 10, 1)


@pytest.mark.parametrize("text", ["0", "20261001", "1790812800", "2026-10-01_00:00:00Z"])
def test_a_moment_is_one_of_iso_8601(text: str) -> None:
    """20261001 was 1970-08-23 12:03:21; 2026-10-01 02:00 at +02:00 is midnight in UTC."""
    run = {"run_id": "r", "workload": "w", "ended_at": "2026-10-02T00:00:00Z"}
    with pytest.raises(ValidationError, match="must be a moment with its offset from UTC"):
        TrainingRun.model_validate(run | {"started_at": text})
    good = TrainingRun.model_validate(run | {"started_at": "2026-10-01 02:00+02:00"})
    assert good.started_at == datetime(2026, 10, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["0", "20261001", "2026-10-01T00:00:00Z"])
def test_dates_that_a_configuration_holds_are_days_too(tmp_path: Path, text: str) -> None:
    """YAML makes numbers and a moment of these texts."""
    (tmp_path / "bills").mkdir()
    (tmp_path / "tierwise.yaml").write_text(
        "sources: {b: {kind: focus, location: ./bills}}\n"
        f"currency: USD\nrates: [{{date: {text}, currency: EUR, rate: 2}}]\n"
    )
    with pytest.raises(ConfigError, match=r"rates\.0\.date: must be a day that exists, written as"):
        load_config(tmp_path / "tierwise.yaml")
