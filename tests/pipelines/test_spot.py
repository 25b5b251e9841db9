"""`tariff: {spot: FILE}` in a configuration."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from pipelines.problems import ConfigError
from pipelines.settings import Config, load_config


def config(folder: Path, prices: str, file: str = "prices.csv") -> Config:
    (folder / "bills").mkdir(exist_ok=True)
    (folder / "prices.csv").write_text(prices)
    (folder / "tierwise.yaml").write_text(
        "sources: {b: {kind: focus, location: ./bills}}\n"
        f"sites: {{dc1: {{time_zone: Europe/Berlin, currency: EUR, tariff: {{energy: 0.05, spot: {file}}}}}}}\n"
    )
    return load_config(folder / "tierwise.yaml")


def problems(folder: Path, prices: str, file: str = "prices.csv") -> str:
    with pytest.raises(ConfigError) as caught:
        config(folder, prices, file)
    return "\n".join(str(p) for p in caught.value.problems)


def test_the_file_becomes_the_market_prices_of_the_tariff(tmp_path: Path) -> None:
    found = config(tmp_path, "start,price_mwh\n2026-10-01T12:00+02:00,81.37\n2026-10-01T11:00Z,-4.10\n")
    tariff = found.settings.sites["dc1"].tariff
    assert tariff.spot_price(datetime.fromisoformat("2026-10-01T10:30")) == Decimal("0.08137")
    assert tariff.spot_price(datetime.fromisoformat("2026-10-01T11:59:59")) == Decimal("-0.0041")
    # another price is another configuration
    other = "start,price_mwh\n2026-10-01T12:00+02:00,81.38\n2026-10-01T11:00Z,-4.10\n"
    assert found.hash != config(tmp_path, other).hash


def test_what_is_wrong_with_the_file_is_told_with_its_line(tmp_path: Path) -> None:
    assert "no such file" in problems(tmp_path, "", "missing.csv")
    assert "prices.csv header" in problems(tmp_path, "time;price\n")
    for nothing in ("", "start,price_mwh\n"):  # not a market that asks 0
        assert "sites.dc1.tariff" in (found := problems(tmp_path, nothing))
        assert "spot has no price" in found
    found = problems(tmp_path, "start,price_mwh\n2026-10-01T10:00Z,5 EUR\n2026-10-01 11:00,5\n")
    assert "prices.csv line 2" in found
    assert "prices.csv line 3" in found
