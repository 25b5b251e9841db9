"""An option of a workload takes its price from Google's catalogue, through the whole run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.connectors.prices.catalogue import serve
from tests.pipelines import small

WORKLOADS = """
workloads:
  chat:
    gpu_hours_month: 100
    options:
      on-demand: {tier: cloud, region: europe-west4, list_price: {provider: google, gpu: h100-80gb}, migration_cost: 0}
      spot: {tier: cloud, list_price: {provider: google, gpu: "0002", region: europe-west4, usage: Preemptible}, migration_cost: 0}
      nowhere: {tier: cloud, list_price: {provider: google, gpu: h100-80gb, region: mars1}, migration_cost: 0}
      written: {tier: cloud, price_per_gpu_hour: 11, migration_cost: 0}
list_prices: {google: {endpoint_url: "%s", anonymous: true}}
"""
OPTIONS = "SELECT option, feasible, cost_36m, reason FROM marts.placement_options ORDER BY option"


def run(site: Path, url: str) -> dict[str, tuple[object, ...]]:
    (site / "tierwise.yaml").write_text(small.CONFIG + WORKLOADS % url)
    done = small.tierwise("run", "--config", site / "tierwise.yaml", "--date", "2026-11-05")
    assert done.returncode == 0, done.stdout + done.stderr
    return {str(row[0]): row[1:] for row in small.query(site, OPTIONS)}


@contextmanager
def refusing() -> Iterator[str]:
    """The address of a catalogue that lets nobody in."""
    with serve() as catalogue:
        catalogue.failures = [403] * 10
        yield catalogue.url


@pytest.fixture
def site(tmp_path: Path) -> Path:
    small.write_site(tmp_path)
    return tmp_path


Options = dict[str, tuple[object, ...]]


@dataclass(frozen=True)
class Runs:
    """Three runs of one site: the catalogue lets nobody in and no list is kept, it answers, it lets nobody in again.

    Attributes:
        before: The day of the list that is kept when the third begins.
        recommended: After the second.
    """

    unknown: Options
    answered: Options
    recommended: list[tuple[object, ...]]
    last: Options
    before: date


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    site = tmp_path_factory.mktemp("prices")
    small.write_site(site)
    with serve() as catalogue:
        catalogue.failures = [403] * 10
        unknown = run(site, catalogue.url)
        catalogue.failures = []
        answered = run(site, catalogue.url)  # nothing but the answer has changed
    recommended = small.query(site, "SELECT recommended_option FROM marts.placement")
    (cached,) = (site / "data" / "cache" / "list_prices").glob("*.json")
    before = datetime.now(UTC).date() - timedelta(days=3)
    cached.rename(cached.with_name(f"google-gpu-USD-{before}.json"))
    with refusing() as url:
        last = run(site, url)
    return Runs(unknown, answered, recommended, last, before)


@pytest.mark.long
def test_options_take_dated_list_prices_and_say_where_they_are_from(runs: Runs) -> None:
    found = runs.answered
    # 100 h x 36 months x 9.796550569, and x 2
    assert found["on-demand"][1] == Decimal("35267.5820484")
    assert found["spot"][1] == Decimal(7200)
    assert found["written"][1] == Decimal(39600)
    today = runs.before + timedelta(days=3)
    reason = str(found["on-demand"][2])
    assert (
        f"from its prices of {today}, google list price, SKU 0001, OnDemand in europe-west4, card only"
        in reason
    )
    assert found["nowhere"][1] is None
    assert "cannot be computed without its list price" in str(found["nowhere"][2])
    assert "region 'mars1'" in str(found["nowhere"][2])
    assert runs.recommended == [("spot",)]


@pytest.mark.long
def test_without_the_catalogue_the_last_list_counts_and_shows_its_day(runs: Runs) -> None:
    assert runs.last["spot"][1] == Decimal(7200)
    assert f"from its prices of {runs.before}" in str(runs.last["spot"][2])


@pytest.mark.long
def test_without_any_list_the_price_is_unknown_and_the_run_goes_on(runs: Runs) -> None:
    for option in ("on-demand", "spot", "nowhere"):
        assert runs.unknown[option][:2] == (True, None)
        assert "without its list price (Cloud Billing Catalog cannot be read" in str(runs.unknown[option][2])
    assert runs.unknown["written"][1] == Decimal(39600)


@pytest.mark.long
def test_a_site_that_asks_for_none_asks_nobody(site: Path) -> None:
    with serve() as catalogue:
        (site / "tierwise.yaml").write_text(
            small.CONFIG + f'list_prices: {{google: {{endpoint_url: "{catalogue.url}"}}}}\n'
        )
        assert (
            small.tierwise("run", "--config", site / "tierwise.yaml", "--date", "2026-11-05").returncode == 0
        )
        assert catalogue.asked == []


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("price_per_gpu_hour: 3, list_price: {provider: google, gpu: t4, region: x}", "keep one of them"),
        ("list_price: {provider: google, gpu: t4}", "needs a region"),
        ("list_price: {provider: aws, gpu: t4, region: x}", "'google'"),
        ("list_price: {provider: google, gpu: t4, region: x, usage: Weekly}", "Commit3Yr"),
    ],
)
def test_what_a_list_price_may_be(site: Path, option: str, says: str) -> None:
    text = f"workloads: {{chat: {{options: {{a: {{tier: cloud, {option}}}}}}}}}\n"
    (site / "tierwise.yaml").write_text(small.CONFIG + text)
    done = small.tierwise("run", "--config", site / "tierwise.yaml")
    assert done.returncode == 2
    assert says in done.stderr


def test_check_reaches_the_catalogue_whatever_is_cached(site: Path) -> None:
    """SKUs 1, 2, 3, 4, 5, 6 and 7 of the catalogue are prices of cards in europe-west4; nowhere is mars1."""
    with serve() as catalogue:
        (site / "tierwise.yaml").write_text(small.CONFIG + WORKLOADS % catalogue.url)
        for _ in range(2):
            done = small.tierwise("check", "--config", site / "tierwise.yaml")
            assert done.returncode == 0, done.stdout + done.stderr
            assert "ok    list_prices (google): 7 prices of GPUs in europe-west4, mars1" in done.stdout
            assert len(catalogue.asked) > 0
            catalogue.asked.clear()
    with refusing() as url:
        (site / "tierwise.yaml").write_text(small.CONFIG + WORKLOADS % url)
        done = small.tierwise("check", "--config", site / "tierwise.yaml", "--format", "json")
    assert done.returncode == 1
    config, *_, prices = json.loads(done.stdout)
    assert (config["ok"], prices["ok"], prices["name"]) == (True, False, "list_prices (google)")
    assert url in prices["message"]
    (site / "tierwise.yaml").write_text(small.CONFIG)
    assert "list_prices" not in small.tierwise("check", "--config", site / "tierwise.yaml").stdout
