"""What is wrong with sites and owned hardware is said once: where, which value, what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.problems import ConfigError
from pipelines.settings import load_config

ASSET = "asset: a, site: dc1, node: n1, kind: gpu_server, capex: 1, currency: USD, in_service: 2026-09-01"
CONFIG = """
sources: {dc1: {kind: telemetry_files, location: ./in, site: dc1}}
sites: {dc1: {time_zone: UTC, TARIFF}}
assets: [{%s, life_months: 1ASSET}]
MORE
"""
PUE = "must be a number from 1 to 5, or a map of months (YYYY-MM) to such numbers"
QUOTES = 'must be a local time of day in quotes, such as "22:00": without quotes YAML reads 22:00 as the number 1320'
RUN = "run_id: a, workload: w, ended_at: 2026-09-02T00:00:00Z"


def problems(folder: Path, tariff: str, asset: str, more: str) -> list[str]:
    """What is said of a configuration with these parts."""
    text = (CONFIG % ASSET).replace("TARIFF", tariff).replace("1ASSET", f"1{asset}").replace("MORE", more)
    (folder / "tierwise.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(folder / "tierwise.yaml")
    return [str(p) for p in caught.value.problems]


@pytest.mark.parametrize(
    ("tariff", "asset", "more", "problem"),
    [
        ("tariff: -0.1", "", "", "sites.dc1.tariff.energy: has no price of 0 or more; below 0 may be the prices of some hours or tiers, not all"),
        ("tariff: true", "", "", "sites.dc1.tariff.energy.0.price: must be a number, not true or false (which YAML also reads for yes, no, on and off) (found: True)"),
        ("tariff: []", "", "", "sites.dc1.tariff.energy: must have a price of a kWh, such as 0.12 or [{price: 0.12}]"),
        (
            "tariff: [{price: 1, above_kwh: 9}]", "", "",
            "sites.dc1.tariff.energy: has no price for the first kWh of a month; give one without above_kwh",
        ),
        ("tariff: [{price: 1, start: 22:00}]", "", "", f"sites.dc1.tariff.energy.0.start: {QUOTES} (found: 1320)"),
        ("tariff: [{price: 1, end: 6}]", "", "", f"sites.dc1.tariff.energy.0.end: {QUOTES} (found: 6)"),
        (
            'tariff: [{price: 1, end: "06:00Z"}]', "", "",
            'sites.dc1.tariff.energy.0.end: must be a local time of day without a zone, such as "22:00" (found: \'06:00Z\')',
        ),
        (
            "tariff: {energy: 1, valid_from: 2026-10-01, valid_to: 2026-09-01}", "", "",
            "sites.dc1.tariff: valid_to 2026-09-01 is before valid_from 2026-10-01",
        ),
        ("tariff: {energy: 1, demand: {name: a, price: 3}}", "", "", "sites.dc1.tariff.demand: must be a list"),
        ("tariff: 1, pue: 0.9", "", "", f"sites.dc1.pue: {PUE}; 0.9 (found: 0.9)"),
        ("tariff: 1, pue: high", "", "", f"sites.dc1.pue: {PUE}; high (found: 'high')"),
        ("tariff: 1, pue: {2026-09-01: 1.2}", "", "", f"sites.dc1.pue: {PUE}; 2026-09-01: 1.2"),
        ("tariff: 1", ", units: 0", "", "assets.0.units: must be greater than or equal to 1 (found: 0)"),
        ("tariff: 1", ", retired: 2026-09-31x", "", "assets.0.retired: must be a day that exists, written as 2026-10-31 (found: '2026-09-31x')"),
        ("tariff: 1", "", "revenue: 3", "revenue: must be a CSV file, or a list (found: 3)"),
        (
            "tariff: 1", "", f"training_runs: [{{{RUN}, started_at: 2026-09-01T00:00:00Z, tokens: 0}}]",
            "training_runs.0.tokens: must be greater than 0 (found: 0)",
        ),
        (
            "tariff: 1", "", f"training_runs: [{{{RUN}, started_at: '2026-09-01T00:00:00'}}]",
            "training_runs.0.started_at: must have its offset from UTC, such as 2026-09-01T10:00:00+03:00 "
            "(found: '2026-09-01T00:00:00')",
        ),
        ("tariff: 1", "", "token_weights: {input: 0, cached: 0, output: 0}", "token_weights: all weights are 0; give one of them"),
        (
            "tariff: 1", "", "ownership: {platform_team: ''}",
            "ownership.platform_team: must name an owner; write untagged for what has none (found: '')",
        ),
    ],
)  # fmt: skip
def test_one_problem_for_one_mistake(
    tmp_path: Path, tariff: str, asset: str, more: str, problem: str
) -> None:
    assert problems(tmp_path, tariff, asset, more) == [problem]


SPELLING = "unknown key; remove it or correct its spelling"


@pytest.mark.parametrize(
    ("tariff", "asset", "more", "problem"),
    [
        ("tariff: 1, regoin: eu", "", "", "sites.dc1.regoin: %s, perhaps to region; the keys are time_zone, region, pue, tariff, currency, "),
        ("tariff: 1}, region: {time_zone: UTC, tariff: 1, x: 1", "", "", "sites.region.x: %s; the keys are time_zone, region, pue, "),
        ("tariff: {energy: [{price: 1, strat: 1}]}", "", "", "sites.dc1.tariff.energy.0.strat: %s, perhaps to start; the keys are start, end, "),
        ("tariff: 1", ", capexx: 3", "", "assets.0.capexx: %s, perhaps to capex; the keys are asset, site, node, "),
        ("tariff: 1", "", "gates: {untaged_max_share: 1}", "gates.untaged_max_share: %s, perhaps to untagged_max_share; the keys are reconc"),
        ("tariff: 1", "", "prices: {fiel: x, file: prices.csv}", "prices.fiel: %s, perhaps to file; the keys are file (found"),
        ("tariff: 1", "", "publish: {kep: 1}", "publish.kep: %s, perhaps to keep; the keys are keep, metrics_file (found: 1)"),
    ],
)  # fmt: skip
def test_an_unknown_key_is_told_those_of_its_place(
    tmp_path: Path, tariff: str, asset: str, more: str, problem: str
) -> None:
    [found] = problems(tmp_path, tariff, asset, more)
    assert found.startswith(problem % SPELLING)


def test_a_day_that_is_none_has_its_place(tmp_path: Path) -> None:
    text = (CONFIG % ASSET).replace("TARIFF", "tariff: 1").replace("1ASSET", "1").replace("MORE", "")
    (tmp_path / "tierwise.yaml").write_text(text.replace("2026-09-01", "2026-02-30"))
    with pytest.raises(ConfigError, match=r"'2026-02-30': day is out of range .*\(line 4, "):
        load_config(tmp_path / "tierwise.yaml")


def test_secrets_stay_hidden_and_a_pue_of_the_environment_is_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SITE_PUE", "1.5")
    text = (CONFIG % ASSET).replace("TARIFF", 'tariff: 1, pue: "${SITE_PUE}"').replace("1ASSET", "1")
    (tmp_path / "tierwise.yaml").write_text(text.replace("MORE", ""))
    pue = load_config(tmp_path / "tierwise.yaml").settings.sites["dc1"].pue
    assert float(str(pue)) == 1.5
    source = "sources: {p: {kind: prometheus, url: http://h, site: dc1, bearer_token: 33}, "
    (tmp_path / "tierwise.yaml").write_text(text.replace("sources: {", source).replace("MORE", ""))
    with pytest.raises(ConfigError, match=r"sources.p.bearer_token: must be text \(found: \(hidden\)\)"):
        load_config(tmp_path / "tierwise.yaml")


HEADER = "asset,site,node,kind,capex,currency,in_service,life_months"
LINE = "a,dc1,n1,gpu_server,1,USD,2026-09-01,1"


def register(folder: Path, text: str) -> Path:
    config = (CONFIG % ASSET).replace("TARIFF", "tariff: 1").replace("MORE", "")
    start = config.index("assets:")
    (folder / "tierwise.yaml").write_text(config[:start] + "assets: assets.csv\n")
    (folder / "assets.csv").write_text(text)
    return folder / "tierwise.yaml"


def test_a_wrong_header_is_said_once_and_not_by_line(tmp_path: Path) -> None:
    file = register(tmp_path, "\n".join([HEADER.replace(",node", ",host"), *[LINE] * 50]))
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    missing, unknown = (str(p) for p in caught.value.problems)
    assert missing.startswith("assets.csv header: must have the columns node too")
    assert unknown.startswith("assets.csv header: has unknown columns 'host'; remove them")


def test_blanks_around_values_of_a_register_do_not_count(tmp_path: Path) -> None:
    (asset,) = load_config(register(tmp_path, f"{HEADER}\n{LINE}\n".replace(",", " , "))).assets
    assert (asset.asset, asset.site, asset.node, asset.capex) == ("a", "dc1", "n1", 1)


def test_values_of_a_line_that_contradict_each_other_are_told_with_the_line(tmp_path: Path) -> None:
    file = register(tmp_path, f"{HEADER},retired\n{LINE},2026-10-01\n{LINE.replace('a,', 'b,')},2026-08-31\n")
    with pytest.raises(
        ConfigError, match=r"assets\.csv line 3: retired 2026-08-31 is before in_service 2026-09-01"
    ):
        load_config(file)
