"""`tariff: {urdb: FILE}` in a configuration."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipelines.problems import ConfigError
from pipelines.settings import Config, load_config

RATE: dict[str, Any] = {
    "label": "x1", "energyratestructure": [[{"rate": 0.1056, "adj": 0.029681}]], "energyweekdayschedule": [[0] * 24] * 12,
    "energyweekendschedule": [[0] * 24] * 12, "fixedchargefirstmeter": 1.95, "fixedchargeunits": "$/month",
    "enddate": 1427785200,
}  # fmt: skip


def config(folder: Path, rate: dict[str, Any], tariff: str, currency: str = "USD") -> Config:
    (folder / "bills").mkdir(exist_ok=True)
    (folder / "rate.json").write_text(json.dumps({"items": [rate]}))
    (folder / "tierwise.yaml").write_text(
        "sources: {b: {kind: focus, location: ./bills}}\n"
        f"sites: {{dc1: {{time_zone: America/Detroit, currency: {currency}, tariff: {tariff}}}}}\n"
    )
    return load_config(folder / "tierwise.yaml")


def problems(folder: Path, rate: dict[str, Any], tariff: str, currency: str = "USD") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config(folder, rate, tariff, currency)
    return [str(p) for p in caught.value.problems]


def test_the_rate_becomes_the_tariff_of_the_site(tmp_path: Path) -> None:
    found = config(
        tmp_path, RATE, "{urdb: rate.json, valid_to: 2030-12-31, holidays: [2026-12-25], meter: main}"
    )
    tariff = found.settings.sites["dc1"].tariff
    assert [(p.price, p.above_kwh) for p in tariff.energy] == [(Decimal("0.135281"), 0)]
    assert (tariff.customer_month, tariff.meter, len(tariff.holidays)) == (Decimal("1.95"), "main", 1)
    assert str(tariff.valid_to) == "2030-12-31"
    # another price is another configuration
    other = RATE | {"energyratestructure": [[{"rate": 0.2}]]}
    assert found.hash != config(tmp_path, other, "{urdb: rate.json, valid_to: 2030-12-31}").hash


def test_what_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        RATE | {"annualmincharge": 60, "demandreactivepowercharge": 1},
        "{urdb: rate.json, energy: 1}",
        "EUR",
    )
    assert len(found) == 4
    assert any("sites.dc1.tariff.energy: beside `urdb` there may be label, without" in p for p in found)
    assert any("annualmincharge (60 $/year): above the fixed charge" in p for p in found)
    assert any("reactive power" in p for p in found)
    assert any("its amounts are US dollars" in p for p in found)
    assert config(tmp_path, RATE | {"annualmincharge": 60}, "{urdb: rate.json, without: [annualmincharge]}")


def test_demand_by_kva_takes_the_power_factor_beside_it(tmp_path: Path) -> None:
    rate = RATE | {
        "flatdemandunit": "kVA",
        "flatdemandstructure": [[{"rate": 5}]],
        "flatdemandmonths": [0] * 12,
    }
    (found,) = problems(tmp_path, rate, "{urdb: rate.json}")
    assert "demand charges by kVA (monthly demand 0) need `power_factor`" in found
    tariff = config(tmp_path, rate, "{urdb: rate.json, power_factor: 0.95}").settings.sites["dc1"].tariff
    assert (tariff.demand[0].unit, tariff.power_factor) == ("kVA", Decimal("0.95"))


def test_no_file_and_no_rate(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, RATE, "{urdb: none.json}")
    assert "must be a file with the JSON that the API of OpenEI answers" in found
    (found,) = problems(tmp_path, RATE, "{urdb: rate.json, label: y2}")
    assert "0 rates match label 'y2'" in found
