"""The pages name every key of the configuration and every gate, and their example is one that is taken."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from models.config import Gates, Settings
from pipelines.checks.gates import gates

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "configuration.md").read_text(encoding="utf-8")
PAGES = PAGE + "".join(
    (DOCS / f"{name}.md").read_text(encoding="utf-8")
    for name in ("sources", "operating", "metrics", "placement")
)


def keys(type_: Any, found: dict[str, set[str]]) -> dict[str, set[str]]:
    """Name of each part of the settings -> its keys."""
    if isinstance(type_, type) and issubclass(type_, BaseModel):
        if type_.__name__ not in found:
            found[type_.__name__] = set(type_.model_fields)
            for field in type_.model_fields.values():
                keys(field.annotation, found)
    else:
        for inner in get_args(type_):
            keys(inner, found)
    return found


KEYS = keys(Settings, {})


@pytest.mark.parametrize("part", sorted(KEYS))
def test_every_key_is_named(part: str) -> None:
    page = PAGE if part in ("Settings", "Site", "Ownership", "Tariff", "Publish", "Schedule") else PAGES
    named = set(
        re.findall(r"\w+", " ".join(re.findall(r"`[^`\n]+`|^    .+$|^```yaml$.*?^```$", page, re.M | re.S)))
    )
    missing = sorted(KEYS[part] - named)
    assert not missing, f"docs/configuration.md, or the page it names, lacks {', '.join(missing)} ({part})"


def test_the_example_is_taken() -> None:
    [example] = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    settings = Settings.model_validate(yaml.safe_load(example) | {"sources": {"a": {}}})
    assert settings.sites["dc1"].pue == {"2026-01": 1.30, "2026-07": 1.25}
    assert (settings.sites["osaka"].currency, settings.rates[0].currency) == ("JPY", "JPY")  # type: ignore[union-attr]


def test_every_gate_has_a_line() -> None:
    page = (DOCS / "operating.md").read_text(encoding="utf-8")
    lines = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    missing = sorted({gate.name for gate in gates(Gates())} - lines)
    assert not missing, f"the table of gates in docs/operating.md lacks {', '.join(missing)}"
