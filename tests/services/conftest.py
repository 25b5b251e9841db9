"""Services for the tests of this folder, started once a session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.services.prometheus import prometheus
from tests.sites import Truth, write_site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Truth]]:
    """URL of a Prometheus that holds `tests.sites`, and the truth."""
    folder = tmp_path_factory.mktemp("prometheus")
    truth = write_site(folder / "site.om")
    with prometheus(folder / "site.om", folder) as url:
        yield url, truth
