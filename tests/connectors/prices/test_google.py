"""GPU list prices of Google, read by Google's own client from a catalogue on the loopback.

Shapes of SKUs and the names in their descriptions are those of the public Cloud Billing Catalog; prices are
made up.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from connectors.base import SourceError
from connectors.prices.google import GpuPrices, catalog_client, gpu_model, gpu_prices, parse
from models.prices import GPU_PRICES, list_price
from tests.connectors.prices.catalogue import CATALOGUE, Catalogue, serve, sku

DAY = date(2026, 9, 1)


@pytest.fixture
def catalogue() -> Iterator[Catalogue]:
    with serve() as found:
        yield found


def prices(
    catalogue: Catalogue, cache: Path, *regions: str, day: date = DAY, currency: str = "USD"
) -> GpuPrices:
    return gpu_prices(catalogue.client, currency, regions, cache, today=day, patience_s=0.1)


def test_prices_of_all_pages(catalogue: Catalogue, tmp_path: Path) -> None:
    found = prices(catalogue, tmp_path)
    assert found.frame.schema == GPU_PRICES
    rows = found.frame.select(
        "gpu_model", "region", "usage_type", "sku_id", "price_per_gpu_hour", "whole_machine"
    ).rows()
    assert rows == [
        ("a100-40gb", "us-central1", "OnDemand", "0008", Decimal(2), False),
        ("a100-40gb", "us-east1", "OnDemand", "0008", Decimal(2), False),
        ("a100-80gb", "us-central1", "OnDemand", "0009", Decimal(3), False),
        ("b200", "europe-west4", "OnDemand", "0007", Decimal(16), True),
        ("b200", "europe-west4", "Preemptible", "0006", Decimal(5), True),
        ("h100-80gb", "europe-west4", "Commit1Yr", "0003", Decimal(6), False),
        ("h100-80gb", "europe-west4", "Commit3Yr", "0004", Decimal(4), False),
        ("h100-80gb", "europe-west4", "OnDemand", "0001", Decimal("9.796550569"), False),
        ("h100-80gb", "europe-west4", "Preemptible", "0002", Decimal(2), False),
        ("h100-80gb-mega", "europe-west4", "OnDemand", "0005", Decimal("10.000000001"), False),
    ]
    assert set(found.frame["provider"]) == {"google"}
    assert set(found.frame["currency"]) == {"USD"}
    assert set(found.frame["price_date"]) == {DAY}
    # 20-24; 25 and 28; 26 and 27. 30 is no GPU.
    assert found.notes == (
        "Google GPU SKUs left out of the price list: 5 not on demand, spot or committed, "
        "2 not priced flat by the hour, 2 without a price",
    )
    path, query = catalogue.asked[0]
    assert path == "/v1/services/6F81-5844-456A/skus"
    assert query["currencyCode"] == "USD"
    assert [q.get("pageToken", "") for _, q in catalogue.asked] == ["", "7", "14"]


def test_regions_wanted(catalogue: Catalogue, tmp_path: Path) -> None:
    assert set(prices(catalogue, tmp_path, "us-east1").frame["gpu_model"]) == {"a100-40gb"}
    assert prices(catalogue, tmp_path, "mars-1").frame.is_empty()
    assert len(catalogue.asked) == 3  # both from one fetch


def test_asked_once_a_day_and_only_the_last_list_is_kept(catalogue: Catalogue, tmp_path: Path) -> None:
    first = prices(catalogue, tmp_path)
    assert prices(catalogue, tmp_path).frame.equals(first.frame)
    assert len(catalogue.asked) == 3
    prices(catalogue, tmp_path, day=DAY + timedelta(1))
    assert len(catalogue.asked) == 6
    assert [p.name for p in tmp_path.iterdir()] == ["google-gpu-USD-2026-09-02.json"]


def test_cached_list_needs_no_client(catalogue: Catalogue, tmp_path: Path) -> None:
    first = prices(catalogue, tmp_path)

    def connect() -> Any:
        raise AssertionError

    assert gpu_prices(connect, "USD", (), tmp_path, today=DAY).frame.equals(first.frame)


def test_old_list_is_used_with_a_note(catalogue: Catalogue, tmp_path: Path) -> None:
    first = prices(catalogue, tmp_path)
    catalogue.failures = [403]
    later = prices(catalogue, tmp_path, day=DAY + timedelta(3))
    assert later.frame.equals(first.frame)
    assert set(later.frame["price_date"]) == {DAY}
    assert "Google GPU list prices are 3 days old, of 2026-09-01" in later.notes[0]
    assert "403" in later.notes[0]
    assert "Cloud Billing API is disabled" in later.notes[0]
    gone = partial(catalog_client, "http://127.0.0.1:9", anonymous=True)
    unreachable = gpu_prices(gone, "USD", (), tmp_path, today=DAY + timedelta(4), patience_s=0.1)
    assert unreachable.frame.equals(first.frame)
    assert "4 days old" in unreachable.notes[0]


def test_passing_trouble_is_asked_again(catalogue: Catalogue, tmp_path: Path) -> None:
    catalogue.failures = [503]
    found = gpu_prices(catalogue.client, "USD", (), tmp_path, today=DAY, patience_s=10)
    assert found.frame.height == 10
    assert len(catalogue.asked) == 4


@pytest.mark.parametrize("status", [403, 404, 429, 500])
def test_refusal_without_an_old_list_is_an_error(status: int, catalogue: Catalogue, tmp_path: Path) -> None:
    catalogue.failures = [status] * 50
    with pytest.raises(SourceError, match=f"cannot be read: .*{status}.*API is disabled.*check the network"):
        prices(catalogue, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_credentials_that_are_not_accepted(catalogue: Catalogue, tmp_path: Path) -> None:
    catalogue.failures = [401]
    with pytest.raises(SourceError, match=r"credentials cannot be refreshed.*GOOGLE_APPLICATION_CREDENTIALS"):
        prices(catalogue, tmp_path)


def test_unreachable_and_no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = partial(catalog_client, "http://127.0.0.1:9", anonymous=True)
    with pytest.raises(SourceError, match=r"cannot be read: .*refused.*check the network"):
        gpu_prices(gone, "USD", (), tmp_path, today=DAY, patience_s=0.1)
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", "/nonexistent")
    with pytest.raises(SourceError, match=r"default credentials.*GOOGLE_APPLICATION_CREDENTIALS"):
        gpu_prices(catalog_client, "USD", (), tmp_path, today=DAY, patience_s=0.1)


def test_list_without_gpus_is_an_error(catalogue: Catalogue, tmp_path: Path) -> None:
    catalogue.skus = CATALOGUE[-1:]
    with pytest.raises(SourceError, match="has no GPU in its list; check the endpoint"):
        prices(catalogue, tmp_path)


def test_other_currency_than_asked_for_is_an_error(catalogue: Catalogue, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"SKU 0001 \(Nvidia H100.*price is in 'USD', 'EUR' was asked for"):
        prices(catalogue, tmp_path, currency="EUR")


def test_damaged_cache_is_only_a_lost_cache(catalogue: Catalogue, tmp_path: Path) -> None:
    first = prices(catalogue, tmp_path)
    (file,) = tmp_path.iterdir()
    for text in ("{broken", "[]", '{"skus": 1}'):
        file.write_text(text)
        assert prices(catalogue, tmp_path).frame.equals(first.frame)
    file.write_text("{broken")
    catalogue.failures = [403]
    with pytest.raises(SourceError, match="cannot be read"):
        prices(catalogue, tmp_path, day=DAY + timedelta(1))


@pytest.mark.parametrize(
    ("description", "model"),
    [
        ("Nvidia Tesla T4 GPU running in Americas", "t4"),
        ("Nvidia Tesla V100 GPU attached to Spot Preemptible VMs running in Paris", "v100"),
        ("Commitment v1: Nvidia L4 GPU in Frankfurt for 1 Year", "l4"),
        ("Nvidia H100 80GB Mega GPU running in Frankfurt", "h100-80gb-mega"),
        ("Nvidia H100 Mega 80GB GPU running in Frankfurt", "h100-80gb-mega"),
        ("H200 141GB GPU running in Belgium", "h200-141gb"),
        ("Commitment v1: A4 Nvidia B200 (1 gpu slice) in Netherlands for 3 Years", "b200"),
        ("A4X Nvidia GB200 (1 gpu slice) running in Iowa", "gb200"),
        ("RTX 6000 96GB running in Oregon", "rtx-6000-96gb"),
    ],
)
def test_model_in_a_description(description: str, model: str) -> None:
    assert gpu_model(description) == model


def test_last_price_of_a_timeline_counts() -> None:
    two = sku(1, "Nvidia L4 GPU running in Netherlands", units=1)
    two["pricingInfo"] += sku(1, "", units=2)["pricingInfo"]
    frame, left_out = parse([two], "USD", (), DAY)
    assert frame["price_per_gpu_hour"].to_list() == [Decimal(2)]
    assert left_out == {}


def test_price_an_option_names(catalogue: Catalogue, tmp_path: Path) -> None:
    frame = prices(catalogue, tmp_path).frame
    found = list_price(frame, "google", "h100", "europe-west4", "OnDemand")
    assert found.price_per_gpu_hour == Decimal("9.796550569")
    assert (found.currency, found.price_date) == ("USD", DAY)
    assert found.price_source == (
        "google list price, SKU 0001, OnDemand in europe-west4, card only, without vCPUs and memory"
    )
    slice_ = list_price(frame, "google", "b200", "europe-west4", "Preemptible")
    assert slice_.price_per_gpu_hour == Decimal(5)
    assert slice_.price_source.endswith("share of vCPUs and memory included")
    assert list_price(frame, "google", "h100-80gb-mega", "europe-west4", "OnDemand").price_per_gpu_hour > 10
    assert list_price(frame, "google", "0009", "us-central1", "OnDemand").price_per_gpu_hour == 3
    with pytest.raises(ValueError, match=r"has 2 prices for gpu 'a100'.*a100-40gb.*0008.*a100-80gb.*0009"):
        list_price(frame, "google", "a100", "us-central1", "OnDemand")
    with pytest.raises(ValueError, match=r"has no price for gpu 'l4'.*there is: b200.*or write price_per"):
        list_price(frame, "google", "l4", "europe-west4", "OnDemand")
    with pytest.raises(ValueError, match="there is: nothing"):
        list_price(frame, "google", "h100", "mars-1", "OnDemand")
