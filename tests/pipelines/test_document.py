"""The page of tables is what the definitions say."""

from __future__ import annotations

from pathlib import Path

from models.tables import TABLES
from pipelines.document import tables_markdown

PAGE = Path(__file__).parents[2] / "docs" / "tables.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == tables_markdown(), "run `make docs`"


def test_a_row_by_hand() -> None:
    lines = tables_markdown().splitlines()
    assert (
        "| `used_hours` | DOUBLE | GPU-h | "
        "Utilisation integrated over the observed part; NULL where it is not reported |"
    ) in lines
    assert "| `gpu_hours_capacity` | DOUBLE, not null | GPU-h | " in "\n".join(lines)
    assert "Table. Key: `source`, `month`, `currency`." in lines
    assert "View over Parquet facts. Key: none; rows may repeat." in lines


def test_every_column_is_one_row_of_four_cells() -> None:
    rows = [line for line in tables_markdown().splitlines() if line.startswith("| `")]
    assert len(rows) == sum(len(table.columns) for table in TABLES.values())
    assert {row.replace("\\|", "").count("|") for row in rows} == {5}
