"""What all tests share: a fixed time zone, no secrets from the machine, no time limit on a busy one; the long files first."""

from __future__ import annotations

import os
import time

import pytest
from hypothesis import settings

settings.register_profile("quick", deadline=None, max_examples=12)
settings.register_profile("thorough", deadline=None, max_examples=100)
settings.load_profile(os.environ.get("TIERWISE_HYPOTHESIS") or "quick")

os.environ["COLUMNS"] = "200"
os.environ["NO_COLOR"] = "1"
os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"
os.environ["GX_ANALYTICS_ENABLED"] = "false"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with long tests come first: begun last, one of them would keep one process busy while the others wait."""
    long = {i.path for i in items if any(map(i.get_closest_marker, ("service", "long")))}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests run in UTC and see neither this machine's AWS settings nor its Tierwise configuration."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    for name in (
        "AWS_PROFILE",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "TIERWISE_CONFIG",
        "DAGSTER_HOME",
    ):
        monkeypatch.delenv(name, raising=False)
