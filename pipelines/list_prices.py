"""List prices of rented GPUs for the options that ask for them: looked up once a day, dated, kept in the cache.

Reading a list belongs to `connectors/prices/`; which price an option takes, to `models/prices.py`.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from connectors.base import SourceError
from connectors.prices.google import GpuPrices, catalog_client, gpu_prices
from models.placement.settings import Workload
from models.prices import GPU_PRICES, with_list_prices
from pipelines.run import Run
from pipelines.settings import Config

FRAME = "list_prices"


def wanted(config: Config) -> list[str]:
    """Regions of Google for which an option takes a list price; empty where none does."""
    keys = [(o.list_price, o.region) for w in config.settings.workloads.values() for o in w.options.values()]
    return sorted({key.region or region or "" for key, region in keys if key is not None})


def reach(config: Config) -> str | None:
    """Asks the catalogue for today's list, whatever is cached.

    Returns:
        In one line what is there; None where no option asks.

    Raises:
        SourceError: The catalogue cannot be read.
    """
    if not (regions := wanted(config)):
        return None
    with TemporaryDirectory() as empty:
        found = _google(config, Path(empty), datetime.now(UTC).date())
    return f"{found.frame.height} prices of GPUs in {', '.join(filter(None, regions)) or 'all regions'}"


def _google(config: Config, cache: Path, today: date) -> GpuPrices:
    """The prices of today, or the last that are known.

    Raises:
        SourceError: The catalogue cannot be read and no earlier list is cached.
    """
    where = config.settings.list_prices.google
    return gpu_prices(
        lambda: catalog_client(where.endpoint_url, anonymous=where.anonymous),
        config.settings.currency,
        wanted(config),
        cache,
        today=today,
    )


def listed(config: Config, today: date) -> tuple[GpuPrices, str]:
    """The list that options ask for, and why it is not known; empty where it is."""
    try:
        return _google(config, config.data_dir / "cache" / "list_prices", today), ""
    except SourceError as error:
        return GpuPrices(GPU_PRICES.to_frame()), config.hide(str(error))


def priced_now(config: Config) -> dict[str, Workload]:
    """The workloads of the configuration, with today's list prices."""
    settings = config.settings
    if not wanted(config):
        return dict(settings.workloads)
    found, failed = listed(config, datetime.now(UTC).date())
    return with_list_prices(settings.workloads, found.frame, settings.currency, failed)


def look_up(run: Run) -> str | None:
    """Keeps the list for this run.

    Returns:
        What changes when the prices do; None where no option asks.
    """
    if not wanted(run.config):
        return None
    run.report("list prices of GPUs")
    found, failed = listed(run.config, run.window.now.date())
    for note in found.notes:
        run.report(f"list prices: {run.config.hide(note)}")
    run.write_frame(FRAME, found.frame)
    run.write_json(FRAME, {"failed": failed})
    return hashlib.sha256(f"{failed}{found.frame.write_csv()}".encode()).hexdigest()


def priced_workloads(run: Run) -> dict[str, Workload]:
    """The workloads of the configuration, with the list prices that `look_up` kept."""
    settings = run.config.settings
    if not wanted(run.config):
        return dict(settings.workloads)
    failed = run.read_json(FRAME)["failed"]
    return with_list_prices(settings.workloads, run.read_frame(FRAME), settings.currency, failed)
