"""The worked examples of the documentation run, and no published figure is left out of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from models.tables import TABLES

DOCS = Path(__file__).parents[2] / "docs"
METRICS = DOCS / "metrics.md"
PAGES = (METRICS, DOCS / "placement.md")
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FIGURES = ("decimal", "double")


def blocks() -> Iterator[ParameterSet]:
    """Each example, moved down to its own lines of the page, so that a failure names the line there."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in FENCE.finditer(text):
            above = text[: found.start(1)]
            heading = re.findall(r"^#+ (.+)$", above, re.MULTILINE)[-1]
            line = above.count("\n")
            yield pytest.param(page, "\n" * line + found[1], id=f"{page.name}:{line + 1} {heading}")


@pytest.mark.parametrize(("page", "code"), list(blocks()))
def test_example(page: Path, code: str) -> None:
    assert "assert " in code
    exec(compile(code, page, "exec"), {"__name__": "example"})


def test_every_section_has_an_example() -> None:
    sections = re.split(r"^## ", METRICS.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert len(sections) >= 8
    assert [s.splitlines()[0] for s in sections if not FENCE.search(s)] == []


PAGE = METRICS.read_text(encoding="utf-8")
SECTIONS = {
    re.sub(r"[^\w -]", "", title).lower().replace(" ", "-"): text
    for title, text in re.findall(r"^## (.+?)$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
}


def places(table: str) -> list[str]:
    """The sections that the table at the top of the page names for a table."""
    rows = [
        line for line in PAGE.splitlines() if line.startswith("| `") and f"`{table}`" in line.split("|")[1]
    ]
    return re.findall(r"\(#([\w-]+)\)", rows[0]) if rows else []


def test_every_section_is_in_the_table_at_the_top() -> None:
    assert set(re.findall(r"\(#([\w-]+)\)", PAGE.partition("\n## ")[0])) == set(SECTIONS)


@pytest.mark.parametrize(
    "table", [n for n in TABLES if n.startswith("marts.")] + ["ops.reconciliation", "ops.api_reconciliation"]
)
def test_every_figure_is_explained_where_its_table_is(table: str) -> None:
    explained = {name for place in places(table) for name in re.findall(r"`(\w+)`", SECTIONS[place])}
    figures = {c.name for c in TABLES[table].columns if c.type in FIGURES}
    assert figures
    missing = sorted(figures - explained)
    assert not missing, f"docs/metrics.md does not explain {', '.join(missing)} of {table} in {places(table)}"
