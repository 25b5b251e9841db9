"""A wrong configuration is told all at once: path, value, what is allowed."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from pipelines.problems import ConfigError
from pipelines.settings import load_config

REGISTER = (
    "asset,site,node,kind,units,model,capex,currency,in_service,retired,life_months,salvage,opex_month\n"
    "a1,dc1,n1,gpu_server,8,DGX,199000,USD,2026-01-01,,36,,2500\n"
)


def write(folder: Path, text: str) -> Path:
    (folder / "bills").mkdir(exist_ok=True)
    file = folder / "tierwise.yaml"
    file.write_text(text)
    return file


def problems(folder: Path, text: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        load_config(write(folder, text))
    return {p.path: str(p) for p in caught.value.problems}


def test_smallest_file(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "sources:\n  bills: {kind: focus, location: ./bills}\n"))
    assert config.settings.currency == "USD"
    assert list(config.sources) == ["bills"]
    assert config.sources["bills"].required
    assert config.data_dir == tmp_path / "data"


def test_every_problem_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """
currncy: EUR
time_zone: Mars/Olympus
sources:
  a: {kind: floppy, location: x}
  b: {kind: focus, locaton: ./bills}
  c: {kind: focus, location: "${NOT_SET_ANYWHERE}"}
sites:
  dc1: {time_zone: UTC, pue: 0.5, tariff: 0.1}
gates: {untagged_max_share: 25}
""",
    )
    assert (
        "unknown key; remove it or correct its spelling, perhaps to currency; the keys are data_dir, currency, "
        in found["currncy"]
    )
    assert "Mars/Olympus" in found["time_zone"]
    assert "IANA" in found["time_zone"]
    assert "floppy" in found["sources.a.kind"]
    assert "aws_cur" in found["sources.a.kind"]
    assert "required" in found["sources.b.location"]
    assert "; the keys are kind, required, location, " in found["sources.b.locaton"]
    assert "NOT_SET_ANYWHERE must be set" in found["sources.c.location"]
    assert "0.5" in found["sites.dc1.pue"]
    assert "less than or equal to 1" in found["gates.untagged_max_share"]


def test_a_secret_in_the_file_is_refused_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = (
        "sources: {o: {kind: openai, url: 'https://api.openai.com/v1', since: 2026-01-01, admin_key: '%s'}}"
    )
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, source % "sk-admin-0123456789"))
    assert "sources.o.admin_key: must be an environment variable" in str(caught.value)
    assert "0123456789" not in str(caught.value)
    monkeypatch.setenv("KEY_OF_TESTS", "sk-admin-0123456789")
    assert load_config(write(tmp_path, source % "${KEY_OF_TESTS}")).sources["o"].kind == "openai"


def test_a_header_that_signs_in_is_a_secret_and_a_tenant_is_not(tmp_path: Path) -> None:
    source = "sources: {p: {kind: prometheus, url: 'http://h', site: dc1, headers: {X-Scope-OrgID: team-a, %s: '%s'}}}"
    for header in ("Authorization", "Cookie", "X-Api-Key"):
        found = problems(tmp_path, source % (header, "Bearer 0123456789"))
        assert "must be an environment variable" in found[f"sources.p.headers.{header}"]
        assert "sources.p.headers.X-Scope-OrgID" not in found


def test_one_location_that_is_missing_is_one_problem(tmp_path: Path) -> None:
    unset, empty = (
        problems(tmp_path, f"sources: {{a: {{kind: focus, location: '{location}'}}}}")
        for location in ("${NOT_SET_ANYWHERE}", "")
    )
    assert list(unset) == list(empty) == ["sources.a.location"]
    assert "NOT_SET_ANYWHERE must be set" in unset["sources.a.location"]
    assert "at least 1 character" in empty["sources.a.location"]


def test_unknown_site_names_the_known_ones(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """
sources: {e: {kind: edge_files, location: ., site: plant9}}
sites: {plant2: {time_zone: Asia/Kolkata, tariff: 0.1}}
""",
    )
    assert "plant9" in found["sources.e.site"]
    assert "plant2" in found["sources.e.site"]


def test_register_is_read_and_its_errors_name_the_line(tmp_path: Path) -> None:
    (tmp_path / "assets.csv").write_text(REGISTER)
    head = "sources: {b: {kind: focus, location: bills}}\nassets: assets.csv\nsites: {dc1: {time_zone: UTC, tariff: 0.12}}\n"
    config = load_config(write(tmp_path, head))
    assert config.assets[0].capex == Decimal(199000)
    assert config.assets[0].salvage == 0

    (tmp_path / "assets.csv").write_text(REGISTER + "a2,dc1,n2,gpu_server,8,DGX,free,USD,2026-01-01,,36,,\n")
    assert "'free'" in problems(tmp_path, head)["assets.csv line 3.capex"]
    wrong = "".join(f"b{n},dc1,m{n},gpu,8,DGX,1,USD,2026-01-01,,36,,\n" for n in range(150))
    (tmp_path / "assets.csv").write_text(REGISTER + wrong)
    with pytest.raises(ConfigError, match="150 problems") as caught:
        load_config(write(tmp_path, head))
    assert str(caught.value).count("must be 'gpu_server' or 'edge_device' (found: 'gpu')") == 40
    assert str(caught.value).endswith("and 110 more; correct these, and run again")
    (tmp_path / "assets.csv").write_text(REGISTER + REGISTER.splitlines()[1])
    assert "unique" in problems(tmp_path, head)["assets"]


@pytest.mark.parametrize("text", ["", "- a\n", "sources: [", "sources: {}"])
def test_unusable_files(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text)


def test_owners_that_contradict_each_other_are_told_before_a_run(tmp_path: Path) -> None:
    start = "sources: {bills: {kind: focus, location: ./bills}}\nownership: "
    found = problems(tmp_path, start + "{aliases: {team: {ML: a, ml: b}}}")
    assert "'ml' stands for both 'a' and 'b'" in found["ownership.aliases.team"]
    found = problems(tmp_path, start + "{accounts: {ABC: {team: a}, abc: {team: b}}}")
    assert "'ABC' and 'abc' are one" in found["ownership.accounts"]
    found = problems(tmp_path, start + "{platform_team: ' '}")
    assert "must name an owner" in found["ownership.platform_team"]


def test_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="tierwise demo"):
        load_config(tmp_path / "none.yaml")


def test_secrets_come_from_the_environment_and_are_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROM_TOKEN", "s3cr3t-value")
    text = (
        'sources: {p: {kind: prometheus, url: "http://127.0.0.1:1", site: x, token_typo: "${PROM_TOKEN}"}}\n'
    )
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    assert "s3cr3t-value" not in str(caught.value)
    assert "token_typo" in str(caught.value)


def test_hash_follows_file_and_register(tmp_path: Path) -> None:
    (tmp_path / "assets.csv").write_text(REGISTER)
    text = "sources: {b: {kind: focus, location: bills}}\nassets: assets.csv\nsites: {dc1: {time_zone: UTC, tariff: 0.12}}\n"
    first = load_config(write(tmp_path, text)).hash
    assert load_config(write(tmp_path, text)).hash == first
    (tmp_path / "assets.csv").write_text(REGISTER.replace("199000", "199001"))
    assert load_config(write(tmp_path, text)).hash != first


def test_true_is_no_number(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """
sources:
  p: {kind: prometheus, url: 'http://127.0.0.1:9090', site: dc1, timeout_s: true, required: no}
sites:
  dc1:
    time_zone: UTC
    pue: {2026-01: yes}
    tariff: {energy: true, demand: [{name: peak, price: 1, ratchet: true}, {name: base, price: 1, when: [{weekdays: [no, 1]}]}]}
  dc2: {time_zone: UTC, tariff: true}
gates: {api_charged_twice_max: false, untagged_max_share: true}
idle: {after_minutes: on}
sharing: {memory_gb: {chat: true}}
workloads:
  chat:
    regulated: true
    inferences_month: true
    options: {api: {tier: api, monthly_fee: false, frontier: yes}}
""",
    )
    no_number = {path for path, text in found.items() if "must be a number, not true or false" in text}
    assert no_number == set(found)
    assert no_number == {
        "sources.p.timeout_s",
        "sites.dc1.pue",
        "sites.dc1.tariff.energy.0.price",
        "sites.dc1.tariff.demand.0.ratchet",
        "sites.dc1.tariff.demand.1.when.0.weekdays",
        "sites.dc2.tariff.energy.0.price",
        "gates.api_charged_twice_max",
        "gates.untagged_max_share",
        "idle.after_minutes",
        "sharing.memory_gb",
        "workloads.chat.inferences_month",
        "workloads.chat.options.api.monthly_fee",
    }


def test_price_of_rented_gpus_where_none_is_rented(tmp_path: Path) -> None:
    site = "sources: {bills: {kind: focus, location: ./bills}}\nsites: {dc1: {time_zone: UTC, tariff: 0, rented: %s, rented_gpu_hour: 2.40}}"
    assert "rented: true" in problems(tmp_path, site % "false")["sites.dc1"]
    assert load_config(write(tmp_path, site % "true")).settings.sites["dc1"].rented_gpu_hour == Decimal(
        "2.40"
    )
