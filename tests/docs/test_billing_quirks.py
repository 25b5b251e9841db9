"""The page of what real bills do names tests that exist, and each of its rows names one."""

from __future__ import annotations

import ast
import re
from functools import cache
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "billing-quirks.md"
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")


@cache
def named_in(file: str) -> frozenset[str]:
    """The test functions of a file below `tests`; none where there is no such file."""
    path = ROOT / "tests" / file
    found = ast.parse(path.read_text(encoding="utf-8")).body if path.is_file() else []
    return frozenset(f.name for f in found if isinstance(f, ast.FunctionDef) and f.name.startswith("test_"))


def rows() -> list[str]:
    """The rows of the page's tables, without their heads."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    return [line for before, line in pairwise(lines) if line[:2] == "| " and before[:1] == "|"]


def test_every_test_that_is_named_exists() -> None:
    named = NAMED.findall(PAGE.read_text(encoding="utf-8"))
    assert len(named) > 80
    assert [f"{file}::{name}" for file, name in named if name not in named_in(file)] == []


def test_every_row_names_a_test() -> None:
    assert len(rows()) == 57
    assert [row for row in rows() if not NAMED.search(row.rsplit("|", 2)[1])] == []


def test_nise_is_a_tool_and_never_imported() -> None:
    imports = re.compile(r"^\s*(import|from)\s+nise\b", re.MULTILINE)
    code = [
        p for folder in ("connectors", "models", "pipelines", "tests") for p in (ROOT / folder).rglob("*.py")
    ]
    assert len(code) > 300
    assert [p for p in code if imports.search(p.read_text(encoding="utf-8"))] == []
    assert "nise" not in (ROOT / "requirements.lock").read_text(encoding="utf-8")
