"""What the demo exports is accepted by the two independent validators, but for the baseline that the docs explain."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from examples.generate import write
from tests.pipelines import small
from tests.services.focus_validators import baseline, failed_rules, focus_toolkit, focus_validator, violations

__all__ = ["focus_toolkit", "focus_validator"]

PAGE = Path(__file__).parents[2] / "docs" / "focus-conformance.md"
SOURCES = {"aws": {"cloud", "aws"}, "gcp": {"cloud"}, "sites/dc1": {"owned"}, "sites/plant2": {"owned"}}
"""Source -> the words for its files in the baseline."""

END = date(2026, 11, 3)
"""Six days of two billing months."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    write(folder, END, days=6)
    config = folder / "tierwise.yaml"
    done = small.tierwise("run", "--config", config, "--date", END.isoformat())
    assert done.returncode == 0, done.stdout + done.stderr
    for version in ("1.2", "1.4"):
        done = small.tierwise(
            "export", "focus", "--config", config, "--version", version, "--to", folder / version
        )
        assert (done.returncode, done.stderr) == (0, "")
    return folder


def files(demo: Path, version: str, suffix: str) -> dict[str, Path]:
    """`SOURCE YYYY-MM` -> file."""
    found = {
        f"{file.parent.relative_to(demo / version)} {file.stem}": file
        for file in sorted((demo / version).rglob(f"*.{suffix}"))
    }
    assert set(found) == {f"{source} {month}" for source in SOURCES for month in ("2026-10", "2026-11")}
    return found


def test_sums_of_every_source_and_month_are_those_of_the_ledger(demo: Path) -> None:
    wanted = {
        (str(source), str(month)): total
        for source, month, total in small.query(
            demo,
            "SELECT source, strftime(month, '%Y-%m'), sum(focus_total) FROM ops.reconciliation GROUP BY ALL",
        )
    }
    for version in ("1.2", "1.4"):
        sums: Counter[tuple[str, str]] = Counter()
        for name, file in files(demo, version, "parquet").items():
            source, month = name.replace("sites/", "site:").split()
            sums[source, month] += pl.read_parquet(file)["BilledCost"].sum()
        assert dict(sums) == wanted
        assert all(isinstance(total, Decimal) for total in wanted.values())


def test_owners_of_split_charges_are_the_same_in_both_versions(demo: Path) -> None:
    def by_team(version: str, tags: str) -> dict[str | None, Decimal]:
        sums: Counter[str | None] = Counter()
        for name, file in files(demo, version, "parquet").items():
            if name.startswith("sites/"):
                for text, cost in pl.read_parquet(file).select(tags, "BilledCost").iter_rows():
                    sums[json.loads(text).get("team") if text else None] += cost
        return dict(sums)

    owners = by_team("1.4", "AllocatedTags")
    assert by_team("1.2", "Tags") == owners
    assert len(owners) > 3


@pytest.mark.service
def test_focus_toolkit_finds_no_violation_in_1_4(demo: Path, focus_toolkit: Path) -> None:
    assert {
        name: violations(focus_toolkit, f) for name, f in files(demo, "1.4", "csv").items()
    } == dict.fromkeys(files(demo, "1.4", "csv"), "")


@pytest.mark.service
def test_focus_toolkit_still_finds_what_is_wrong(demo: Path, focus_toolkit: Path, tmp_path: Path) -> None:
    text = files(demo, "1.4", "csv")["gcp 2026-11"].read_text()
    (tmp_path / "wrong.csv").write_text(text.replace(",Usage,", ",Usages,"))
    assert "ChargeCategory" in violations(focus_toolkit, tmp_path / "wrong.csv")


@pytest.mark.service
def test_focus_validator_fails_nothing_beyond_the_baseline_in_1_2(
    demo: Path, focus_validator: Path, tmp_path: Path
) -> None:
    known = baseline(PAGE)
    beyond, seen = {}, set()
    for suffix in ("parquet", "csv"):
        for name, file in files(demo, "1.2", suffix).items():
            words = {"every", suffix} | SOURCES[name.split()[0]]
            failed, tested = failed_rules(focus_validator, file, tmp_path)
            assert tested > 300
            allowed = [rules for rules, files_ in known if files_ <= words]
            beyond[f"{name} {suffix}"] = sorted(failed.difference(*allowed))
            seen |= failed
    assert {name: rules for name, rules in beyond.items() if rules} == {}
    assert {rule for rules, _ in known for rule in rules} - seen == set()
