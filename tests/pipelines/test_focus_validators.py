"""What is exported of every kind of source is accepted by the two independent validators, but for the baseline of the docs."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from examples.generate import write
from tests.pipelines import every_kind, generated_bills, small
from tests.services.focus_validators import baseline, failed_rules, focus_toolkit, focus_validator, violations

__all__ = ["focus_toolkit", "focus_validator"]

pytestmark = pytest.mark.service

PAGE = Path(__file__).parents[2] / "docs" / "focus-conformance.md"
OWNED = ("sites/dc1", "sites/plant2")
IN_CSV = "aws_cur"
"""The source whose CSV the slow validator sees as well: its account ids have leading zeros."""

REAL = {
    "real_cur": ("aws_cur", "nise/aws_cur_legacy_bucket"),
    "real_azure": ("azure_export", "finops_toolkit/assets/EA_ActualCost_Small.csv"),
    "real_gcp": ("gcp_billing_export", "nise/gcp_bigquery_jsonl"),
}
"""Real and independently generated bills, which only the fast validator sees: source -> kind and place."""

END = date(2026, 11, 2)
"""Four days of two billing months."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, focus_toolkit: Path) -> Path:
    """The demo, with a source of every other kind added to it, published and exported in both versions."""
    folder = tmp_path_factory.mktemp("every-kind")
    write(folder, END, days=4)
    more = every_kind.hand_typed(folder / "more")
    more += generated_bills.of_toolkit(folder / "more", focus_toolkit)
    more += generated_bills.of_nise(folder / "more", seed=3)
    more += _real(folder / "more")
    config = folder / "tierwise.yaml"
    text = config.read_text().replace("sources:\n", "sources:\n" + "\n".join(more) + "\n", 1)
    for bound, wide in (
        ("freshness_max_days: 3", "freshness_max_days: 9999"),
        ("untagged_max_share: 0.15", "untagged_max_share: 1"),
        ("gates:\n", "gates:\n  accounts_billed_twice_max: 9\n"),  # the same lines in both reports of AWS
    ):
        assert bound in text
        text = text.replace(bound, wide)
    config.write_text(text)
    done = small.tierwise("run", "--config", config, "--date", END.isoformat())
    assert done.returncode == 0, done.stdout + done.stderr
    for version in ("1.2", "1.4"):
        done = small.tierwise(
            "export", "focus", "--config", config, "--version", version, "--to", folder / version
        )
        assert done.returncode == 0, done.stderr
    return folder


def _real(folder: Path) -> Iterator[str]:
    """Links to the real bills, where they lie."""
    data = os.environ.get("TIERWISE_REAL_DATA")
    for name, (kind, place) in REAL.items() if data else ():
        path = Path(str(data)).resolve() / "billing" / place
        (folder / name).mkdir()
        (folder / name / path.name).symlink_to(path)
        location = path if path.is_dir() else folder / name
        yield f"  {name}: {{kind: {kind}, location: {location}}}"


def files(site: Path, version: str, suffix: str) -> Mapping[str, list[Path]]:
    """Source, as its folder is named -> its files, one a month."""
    found: dict[str, list[Path]] = {}
    for file in sorted((site / version).rglob(f"*.{suffix}")):
        found.setdefault(str(file.parent.relative_to(site / version)), []).append(file)
    return found


def kind_of(source: str) -> str:
    """What the baseline calls the files of a source."""
    kinds = {name: kind for name, (kind, _) in every_kind.WRITERS.items()} | {"aws": "aws_cur"}
    if source in OWNED:
        return "owned"
    return "focus" if source.startswith("toolkit_") else kinds.get(source) or source.removeprefix("nise_")


def test_sums_of_every_source_and_month_are_those_of_the_ledger(site: Path) -> None:
    wanted = {
        (str(source), str(month)): total
        for source, month, total in small.query(
            site,
            "SELECT source, strftime(month, '%Y-%m'), sum(focus_total) FROM ops.reconciliation GROUP BY ALL",
        )
        if total is not None
    }
    kinds = {kind for kind, _ in every_kind.WRITERS.values()}
    assert len(wanted) > len(kinds) == 10
    for version in ("1.2", "1.4"):
        sums: Counter[tuple[str, str]] = Counter()
        for source, months in files(site, version, "parquet").items():
            for file in months:
                billed = pl.read_parquet(file)["BilledCost"].sum()
                assert isinstance(billed, Decimal)
                sums[source.replace("sites/", "site:"), file.stem] += billed  # type: ignore[assignment]
        assert {k: v for k, v in sums.items() if v} == {k: v for k, v in wanted.items() if v}


def test_owners_of_split_charges_are_the_same_in_both_versions(site: Path) -> None:
    def by_team(version: str, tags: str) -> dict[str | None, Decimal]:
        sums: Counter[str | None] = Counter()
        for source in OWNED:
            for file in files(site, version, "parquet")[source]:
                for text, cost in pl.read_parquet(file).select(tags, "BilledCost").iter_rows():
                    sums[json.loads(text).get("team") if text else None] += cost
        return dict(sums)

    owners = by_team("1.4", "AllocatedTags")
    assert by_team("1.2", "Tags") == owners
    assert len(owners) > 3


def test_focus_toolkit_finds_nothing_beyond_the_baseline_in_1_4(site: Path, focus_toolkit: Path) -> None:
    found = {
        f"{source} {file.stem}": violations(focus_toolkit, file)
        for source, months in files(site, "1.4", "csv").items()
        for file in months
    }
    lacking = found.pop("focus_lacking 2026-09")
    assert {name: text for name, text in found.items() if text} == {}
    told = set(re.findall(r"\[\w+:(\w+)\] (\w+) row", lacking))
    assert len(told) > 3
    assert told == set(re.findall(r"^\| `(\w+)` of (\w+) \|", PAGE.read_text(), re.MULTILINE))


def test_focus_toolkit_still_finds_what_is_wrong(site: Path, focus_toolkit: Path, tmp_path: Path) -> None:
    text = files(site, "1.4", "csv")["gcp"][-1].read_text()
    (tmp_path / "wrong.csv").write_text(text.replace(",Usage,", ",Usages,"))
    assert "ChargeCategory" in violations(focus_toolkit, tmp_path / "wrong.csv")


def test_focus_validator_fails_nothing_beyond_the_baseline_in_1_2(
    site: Path, focus_validator: Path, tmp_path: Path
) -> None:
    months: dict[str, list[Path]] = {}
    for source, found in files(site, "1.2", "parquet").items():
        if source not in REAL:
            months.setdefault(kind_of(source), []).extend(found)
    wholes = {}
    for kind, found in months.items():
        wholes[kind] = tmp_path / kind / "whole.parquet"
        wholes[kind].parent.mkdir()
        pl.concat([pl.read_parquet(file, hive_partitioning=False) for file in found]).write_parquet(
            wholes[kind]
        )
    wholes["csv"] = files(site, "1.2", "csv")[IN_CSV][0]
    also = {
        "csv": "aws_cur",
        "gcp": "focus",
    }  # the demo's gcp has another category for BigQuery than the toolkit
    assert set(wholes) == {kind for kind, _ in every_kind.WRITERS.values()} | {"owned", *also}
    with ThreadPoolExecutor(2) as pool:
        results = pool.map(
            lambda kind: failed_rules(focus_validator, wholes[kind], tmp_path / f"{kind}.xml"), wholes
        )
    known = baseline(PAGE)
    beyond, needed = {}, set()
    for kind, (failed, tested) in zip(wholes, results, strict=True):
        assert tested > 300
        mine = {"every", kind, also.get(kind, kind)} | ({"cloud"} if kind != "owned" else set())
        if rest := sorted(failed.difference(*(rules for rules, where in known if where & mine))):
            beyond[kind] = rest
        needed |= {(rule, word) for rule in failed for word in mine}
    assert beyond == {}
    assert {(rule, word) for rules, where in known for rule in rules for word in where} - needed == set()
