"""The two independent FOCUS validators for tests, each in an environment of its own, run as tools.

- `focus-validator`, of the FinOps Foundation, with the rules of 1.2; needs Python 3.12 or 3.13
- `focus-toolkit` of `focus-data-toolkit`, with the rules of 1.4
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.services.environments import environment, python_of

VALIDATOR = ("focus-validator==2.2.1", "pyarrow<20")
TOOLKIT = ("focus-data-toolkit==0.14.1",)


@pytest.fixture(scope="session")
def focus_validator() -> Path:
    """The environment of focus-validator."""
    return environment("validator-2.2.1", python_of("focus-validator", ("3.12", "3.13")), VALIDATOR)


@pytest.fixture(scope="session")
def focus_toolkit() -> Path:
    """The environment of focus-toolkit."""
    return environment("toolkit-0.14.1", sys.executable, TOOLKIT)


def failed_rules(tool: Path, file: Path, out: Path) -> tuple[frozenset[str], int]:
    """The rules of 1.2 that a file fails, and how many were tested; the exit code says neither, the report `out` does."""
    out.unlink(missing_ok=True)
    (site_packages,) = tool.glob("lib/python3*/site-packages")
    done = subprocess.run(
        [
            tool / "bin" / "focus-validator", "--data-file", file.resolve(), "--validate-version", "1.2",
            "--block-download", "--applicability-criteria", "ALL",
            "--output-type", "unittest", "--output-destination", out,
        ],
        cwd=site_packages, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert out.is_file(), done.stdout + done.stderr
    cases = [
        (str(c.get("name")).split(" ")[0], [part.tag for part in c])
        for c in ElementTree.parse(out).iter("testcase")
    ]
    tested = sum("skipped" not in parts for _, parts in cases)
    return frozenset(rule for rule, parts in cases if {"failure", "error"} & set(parts)), tested


def violations(tool: Path, file: Path) -> str:
    """What focus-toolkit finds wrong in a file as FOCUS 1.4; empty where it is valid."""
    done = subprocess.run(
        [tool / "bin" / "focus-toolkit", "validate", file.resolve(), "--dataset", "cost-and-usage"],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    return "" if done.returncode == 0 else done.stdout + done.stderr


def baseline(page: Path) -> list[tuple[frozenset[str], frozenset[str]]]:
    """Rules that may fail, with the words for the files in which they do: the rows of tables of the page."""
    rows = [line.strip("|").split("|") for line in page.read_text().splitlines() if line.startswith("| `")]
    found = [
        (frozenset(re.findall(r"\b\w+-[CD]-\d{3}-[MCOR]\b", row[0] + row[1])), frozenset(row[2].split()))
        for row in rows
        if len(row) == 4
    ]
    return [(rules, words) for rules, words in found if rules]
