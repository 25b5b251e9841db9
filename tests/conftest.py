"""What all tests share: a fixed time zone, no secrets from the machine, no time limit on a busy one; the long files first."""

from __future__ import annotations

import gc
import os
import time
from typing import Any

import pytest
from hypothesis import settings

gc.set_threshold(50_000, 20, 50)
"""With those of Python a seventh of the CPU of collecting tests, and a fortieth of running them, looks for garbage among what stays."""

settings.register_profile("few", deadline=None, max_examples=6)
settings.register_profile("quick", deadline=None, max_examples=12)
settings.register_profile("thorough", deadline=None, max_examples=100)
settings.load_profile(os.environ.get("TIERWISE_HYPOTHESIS") or "quick")

os.environ["COLUMNS"] = "200"
os.environ["NO_COLOR"] = "1"
os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"
os.environ["GX_ANALYTICS_ENABLED"] = "false"


TOGETHER = (
    "tests/pipelines/test_daily.py",
    "tests/pipelines/test_gates.py",
    "tests/pipelines/test_definitions.py",
    "tests/connectors/test_contract.py",
    "tests/models/tariffs/test_eeco.py",
)
"""Files whose tests import Great Expectations, Dagster, pandas or SciPy: seconds, once for all of them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`TOGETHER` and files with long tests come first: begun last, one of them would keep one process busy while the others wait."""
    long = {i.path for i in items if any(map(i.get_closest_marker, ("service", "long")))}
    items.sort(key=lambda item: (not item.nodeid.startswith(TOGETHER), item.path not in long))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Whole files to each process, those of `TOGETHER` to one."""
    from xdist.scheduler import LoadFileScheduling

    class Files(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return TOGETHER[0] if file in TOGETHER else file

    return Files(config, log) if config.getoption("dist") == "loadfile" else None


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
