"""Every kind of power meter through a real Prometheus and the whole run: kWh a node and local day against the truth."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from connectors.base import Context, Window
from connectors.prometheus.reader import Options, PrometheusReader
from models.config import Site
from pipelines.engines.duckdb import DuckDBEngine
from tests.pipelines import small
from tests.services.metered_site import DAYS, METER_NODES, NODES, WRAPS, Metered, write_meters
from tests.services.prometheus import prometheus

pytestmark = pytest.mark.service

METHODS = {
    "apc": "pdu_outlet", "apc-power": "pdu_outlet", "servertech": "pdu_outlet", "redfish": "redfish",
    "redfish-psu": "redfish", "idrac": "redfish", "dcmi": "ipmi_dcmi", "total": "ipmi_sensor", "psu": "ipmi_sensor",
    "kepler-platform": "kepler_platform", "kepler-old": "kepler_platform",
}  # fmt: skip
"""Node -> the method that sees all that it draws."""

COMPONENTS = {"kepler-new": "kepler", "kepler-old-cpu": "kepler", "rapl": "rapl"}
RACK = ("raritan-1", "raritan-2")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Metered, Path]]:
    """URL, truth, and the folder of the run."""
    folder = tmp_path_factory.mktemp("meters")
    truth = write_meters(folder / "site.om")
    with prometheus(folder / "site.om", folder) as url:
        config(folder, url)
        done = small.tierwise("run", "--config", folder / "tierwise.yaml", "--date", DAYS[-1].isoformat())
        assert done.returncode == 0, done.stdout + done.stderr
        yield url, truth, folder


def config(folder: Path, url: str) -> None:
    header = "asset,site,node,kind,units,model,capex,currency,in_service,retired,life_months,salvage,opex_month,meter"
    rows = [
        f"s-{n},dc1,{n},gpu_server,1,H100,36500,USD,2025-01-01,,12,0,0,{'pdu-d/1/1' if n in RACK else ''}"
        for n in NODES
    ]
    (folder / "assets.csv").write_text("\n".join([header, *rows]) + "\n")
    nodes = "".join(f'      "{meter}": {node}\n' for meter, node in METER_NODES.items())
    (folder / "tierwise.yaml").write_text(
        f"""
sources:
  dc1:
    kind: prometheus
    url: "{url}"
    site: dc1
    start: {DAYS[0]}
    rapl_wrap_joules: {{package: {WRAPS["package"]}, dram: {WRAPS["dram"]}}}
    meter_nodes:
{nodes}
sites:
  dc1: {{time_zone: Europe/Athens, pue: 1.25, tariff: 0.2}}
assets: ./assets.csv
"""
    )


def by_day(folder: Path, sql: str) -> dict[tuple[str, date], float]:
    return {(str(n), day): float(str(v)) for n, day, v in small.query(folder, sql) if isinstance(day, date)}


def test_kwh_of_each_node_and_local_day_at_the_wall(site: tuple[str, Metered, Path]) -> None:
    _, truth, folder = site
    found = by_day(
        folder,
        "SELECT node, day, sum(energy_kwh + energy_estimated_kwh) FROM telemetry.power_hourly "
        "WHERE counts AND scope = 'wall' GROUP BY ALL",
    )
    assert_wall(found, truth, list(METHODS))


def assert_wall(found: dict[tuple[str, date], float], truth: Metered, nodes: list[str]) -> None:
    """Within 0.1 %; what was used in the silence over a midnight is exact in sum, and each day's part an estimate."""
    wanted = {(n, day): truth.wall[n, day] for n in nodes for day in DAYS}
    assert found.keys() == wanted.keys()
    dark = {("servertech", DAYS[0]), ("servertech", DAYS[1])}
    seen = {key: kwh for key, kwh in found.items() if key not in dark}
    assert seen == pytest.approx({key: wanted[key] for key in seen}, rel=0.001)
    assert sum(found[k] for k in dark) == pytest.approx(sum(wanted[k] for k in dark), rel=0.001)
    assert {k: found[k] for k in dark} == pytest.approx({k: wanted[k] for k in dark}, rel=0.003)


def test_the_method_that_counts(site: tuple[str, Metered, Path]) -> None:
    found = small.query(site[2], "SELECT DISTINCT node, method FROM telemetry.power_hourly WHERE counts")
    assert sorted(found) == sorted((METHODS | COMPONENTS).items())


def test_a_rack_counts_for_no_node(site: tuple[str, Metered, Path]) -> None:
    _, truth, folder = site
    found = by_day(
        folder,
        "SELECT meter, day, sum(energy_kwh) FROM telemetry.power_hourly WHERE scope = 'rack' AND counts IS NULL GROUP BY ALL",
    )
    wanted = {("pdu-a/1/A", day): truth.wall["apc", day] for day in DAYS}
    wanted |= {("pdu-d/1/1", day): sum(truth.wall[n, day] for n in RACK) for day in DAYS}
    assert found == pytest.approx(wanted, rel=0.001)


def test_processors_and_memory_without_what_lies_within_them(site: tuple[str, Metered, Path]) -> None:
    _, truth, folder = site
    found = by_day(
        folder,
        "SELECT node, day, sum(energy_kwh + energy_estimated_kwh) FROM telemetry.power_hourly "
        "WHERE counts AND scope = 'components' GROUP BY ALL",
    )
    wanted = {(n, day): truth.parts[n, day] for n in COMPONENTS for day in DAYS}
    assert found == pytest.approx(wanted, rel=0.001)


def test_a_reading_of_nought_is_not_a_restart(site: tuple[str, Metered, Path]) -> None:
    """Of kepler-old-cpu two packages and two banks, each in two modes, show 0 once; its days are those of the other tests.

    So do an outlet, the two modes of a restarted Kepler and a counter that is new, at their start, which loses nothing.
    """
    found = small.query(
        site[2],
        "SELECT rule, column_name, sum(rows)::INT FROM ops.quarantine WHERE rule = 'value_dropped' GROUP BY ALL",
    )
    assert found == [("value_dropped", "energy_kwh", 12)]


def test_the_silence_of_the_exporter_is_estimated(site: tuple[str, Metered, Path]) -> None:
    """Three hours at about 9 kW over a midnight. Of RAPL the first hour alone: what it showed before is not known."""
    found = small.query(
        site[2],
        "SELECT node, day, sum(energy_estimated_kwh), count(DISTINCT hour) FROM telemetry.power_hourly "
        "WHERE energy_estimated_kwh > 0 GROUP BY ALL ORDER BY ALL",
    )
    assert [(n, d, h) for n, d, _, h in found] == [
        ("rapl", DAYS[0], 1), ("servertech", DAYS[0], 2), ("servertech", DAYS[1], 2)
    ]  # fmt: skip
    assert [float(str(kwh)) for n, _, kwh, _ in found if n != "rapl"] == pytest.approx([13.5, 13.5], rel=0.05)


def test_without_the_range_of_rapl_what_wraps_lose_is_estimated(
    site: tuple[str, Metered, Path], tmp_path: Path
) -> None:
    """A processor of 250 W wraps 82 times a day, memory of 45 W 59 times, each time half a minute is lost: 2.7 % in all."""
    url, truth, _ = site
    context = Context(
        "dc1", tmp_path, tmp_path / "cache", {"dc1": Site(time_zone="Europe/Athens", tariff="0.1")}
    )
    settings = {"kind": "prometheus", "url": url, "site": "dc1", "start": DAYS[0], "power_order": ["rapl"]}
    source = PrometheusReader(Options.model_validate(settings), context)
    slices = source.slices(Window(DAYS[-1], datetime(2026, 6, 1, tzinfo=UTC)))
    with DuckDBEngine() as engine:
        loaded = list(source.load(slices, tmp_path / "work", engine))
    rows = pl.concat([pl.read_parquet(item.facts["telemetry.power_hourly"]) for item in loaded])
    sums = rows.group_by("day").agg(pl.col("energy_kwh", "energy_estimated_kwh").sum())
    wanted = {day: truth.parts["rapl", day] for day in DAYS}
    assert {d: a + b for d, a, b in sums.iter_rows()} == pytest.approx(wanted, rel=0.005)
    assert {d: a for d, a, _ in sums.iter_rows()} == pytest.approx(
        {d: kwh * 0.973 for d, kwh in wanted.items()}, rel=0.003
    )


def test_cards_are_billed_what_their_wall_meter_shows(site: tuple[str, Metered, Path]) -> None:
    _, truth, folder = site
    found = by_day(
        folder,
        "SELECT node, day, sum(energy_kwh + energy_estimated_kwh) FROM marts.gpu_daily GROUP BY ALL",
    )
    wall = [n for n in NODES if n not in COMPONENTS and n not in RACK]
    assert_wall({key: kwh for key, kwh in found.items() if key[0] in wall}, truth, wall)
    alone = {key: kwh for key, kwh in found.items() if key[0] in COMPONENTS}
    assert alone == pytest.approx(
        {(n, day): truth.card[n, day] for n in COMPONENTS for day in DAYS}, rel=0.001
    )
    for day in DAYS:  # the rack's, whatever each node has of it
        assert sum(found[n, day] for n in RACK) == pytest.approx(
            sum(truth.wall[n, day] for n in RACK), rel=0.001
        )
    days = small.query(folder, "SELECT count(*), max(abs(difference_kwh)) < 1e-6 FROM ops.energy_balance")
    assert days == [((len(wall) + 1) * len(DAYS), True)]
