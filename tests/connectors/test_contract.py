"""What every kind of source must have; a new one is told by name what it lacks."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.base import SourceOptions
from connectors.bills.reader import BillReader
from connectors.objects import LocationOptions
from connectors.registry import KINDS, reader_class
from tests.connectors.bills.deliveries import FORMATS
from tests.pipelines.every_kind import WRITERS

ROOT = Path(__file__).resolve().parents[2]
SNAPSHOT = {
    "aws_cur": "month",
    "aws_cur2": "month",
    "azure_export": "month",
    "cloudwatch": "day",
    "edge_files": "day",
    "edge_prometheus": "day",
    "focus": "month",
    "gcp_billing_export": "month",
    "litellm": "day",
    "oci_cost_report": "month",
    "anthropic": "day",
    "openai": "day",
    "prometheus": "day",
    "telemetry_files": "day",
}


BILLS: tuple[tuple[dict[str, Any], Callable[[Any], str]], ...] = (
    (WRITERS, lambda written: str(written[0])),
    (FORMATS, lambda form: str(form.kind)),
)
"""What tests of all kinds of bills take them from, and how it names the kind."""


def lacks(kind: str) -> list[str]:
    """What a kind lacks, in words."""
    from pipelines.partitions import GRAIN  # with Dagster, which takes a second

    reader = reader_class(kind)
    folder = Path(inspect.getfile(reader)).parent.name
    tests = ROOT / "tests" / "connectors" / folder
    page = (ROOT / "docs" / "sources.md").read_text()
    options = reader.Options
    own = set(options.model_fields) - set(SourceOptions.model_fields)
    wanted = {
        "a docstring on its class": bool(inspect.getdoc(reader)),
        "Options that extend SourceOptions": issubclass(options, SourceOptions),
        "Options that refuse unknown keys": options.model_config.get("extra") == "forbid",
        "a method check(self) -> str": callable(getattr(reader, "check", None)),
        "a method slices(self, window)": list(inspect.signature(reader.slices).parameters)
        == ["self", "window"],
        "a method load(self, slices, work, engine)": list(inspect.signature(reader.load).parameters)
        == ["self", "slices", "work", "engine"],
        "its grain in pipelines/partitions.py": kind in GRAIN,
        f"tests in tests/connectors/{folder}": any(tests.glob("test_*.py")),
        "a line in docs/sources.md": f"`{kind}`" in page,
    }
    if issubclass(reader, BillReader):
        written, delivered = ({of(form) for form in forms.values()} for forms, of in BILLS)
        wanted["a small bill in tests/pipelines/every_kind.py"] = kind in written
        wanted["its deliveries in tests/connectors/bills/deliveries.py"] = kind in delivered
    wanted |= {f"its key `{key}` in docs/sources.md": f"`{key}`" in page for key in own if key != "kind"}
    return [what for what, there in wanted.items() if not there]


def test_kinds_and_grains() -> None:
    from pipelines.partitions import GRAIN

    assert {kind: GRAIN.get(kind) for kind in KINDS} == SNAPSHOT


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_nothing_is_missing(kind: str) -> None:
    missing = lacks(kind)
    assert not missing, f"{kind} lacks: {'; '.join(missing)} (docs/adding-a-source.md)"


class Bare:
    """A connector of somebody who has only begun."""

    class Options(LocationOptions):
        cabinet_colour: str = ""

    def slices(self, period: str) -> list[str]:
        return [period]

    def load(self, slices: list[str], work: Path, engine: object) -> list[str]:
        return slices


def test_what_a_new_kind_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a docstring, Options that refuse unknown keys, and load as it must be."""
    monkeypatch.setitem(KINDS, "cabinet", f"{__name__}:Bare")
    assert lacks("cabinet") == [
        "a method check(self) -> str",
        "a method slices(self, window)",
        "its grain in pipelines/partitions.py",
        "tests in tests/connectors/connectors",
        "a line in docs/sources.md",
        "its key `cabinet_colour` in docs/sources.md",
    ]
    assert lacks("edge_files") == []
